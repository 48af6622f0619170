//! Every bound of the protocol layer, with its unit and its reason.

/// What a request head may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, with its final empty line; never above [`HEAD_MAX`].
    pub head: usize,
    /// Bytes of the request target.
    pub target: usize,
    /// Field lines; never above [`FIELDS_MAX`].
    pub fields: usize,
}

impl Default for HeadLimits {
    /// 16 KiB, 8 KiB and 100 fields: what browsers with large cookies stay well below.
    fn default() -> Self {
        Self { head: 16 * 1024, target: 8 * 1024, fields: 100 }
    }
}

/// Bytes of a head, at most: a parsed head keeps its positions as `u16`.
pub const HEAD_MAX: usize = u16::MAX as usize;

/// Bytes of the head of another server's response, at most: room for many long cookies.
#[cfg(feature = "client")]
pub const REPLY_HEAD: usize = 32 << 10;

/// Field lines of a head, at most: their parse slots lie on the stack, 32 bytes each.
pub const FIELDS_MAX: usize = 128;

/// Bytes of a request line besides its target: ` HTTP/1.1`, CRLF and any method in use.
pub const REQUEST_LINE_ROOM: usize = 64;

/// Hex digits of a chunk size: what a `u64` holds, so that no sum can overflow.
pub const CHUNK_SIZE_DIGITS: u8 = 16;

/// Bytes of one chunk's extensions: nobody uses them, but RFC 9112 §7.1.1 has us skip them.
pub const CHUNK_EXTENSION: u16 = 1024;

/// Bytes of chunk framing that a chunk may have for nothing: the size line and CRLFs of any sane encoder.
pub const CHUNK_FREE: u32 = 16;

/// Bytes of chunk framing beyond the free ones and twice the payload, in one body.
///
/// Bounds the work that can be had without sending a body worth its name (as in
/// CVE-2023-39326), while an encoder that sends a byte a chunk never meets it.
pub const CHUNK_OVERHEAD: u32 = 16 * 1024;

/// Bytes of a chunked body's trailer section, which is checked and dropped.
pub const TRAILER: u16 = 4096;

/// Fields of a chunked body's trailer section.
pub const TRAILER_FIELDS: u8 = 32;

/// Bytes of an unread body that are discarded to keep the connection; more, and closing is cheaper.
pub const DRAIN_MAX: u64 = 64 << 10;

/// Most range specs that one `Range` field may hold; with more, the whole file is sent.
///
/// Media players and PDF viewers ask for a handful. Each part costs a head of some hundred bytes and a seek.
pub const MAX_RANGES: usize = 16;

/// Longest header line of a form's part, in bytes without its CRLF, folds included: a long file name, escaped, fits many times.
pub const MAX_PART_LINE: usize = 8 * 1024;

/// Most header lines of one part of a form; browsers send two.
pub const MAX_PART_HEADERS: usize = 32;

/// Longest boundary of a form, in bytes: RFC 2046 has 70, which some clients do not know.
pub const MAX_BOUNDARY: usize = 200;

/// Most spaces and tabs after a form's boundary, in bytes; mail gateways pad, browsers do not.
pub const MAX_BOUNDARY_PADDING: usize = 256;

/// What a form's parser keeps of what it was fed, at most, in bytes: a header line that has not ended.
pub const HOLD: usize = MAX_PART_LINE + 2;
