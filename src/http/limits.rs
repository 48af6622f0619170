//! The bounds of the protocol layer, with unit and reason.

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

/// Maximum bytes of a head: a parsed head stores positions as `u16`.
pub const HEAD_MAX: usize = u16::MAX as usize;

/// Maximum bytes of the head of another server's response: room for many long cookies.
#[cfg(feature = "client")]
pub const REPLY_HEAD: usize = 32 << 10;

/// Maximum field lines of a head: their parse slots are on the stack, 32 bytes each.
pub const FIELDS_MAX: usize = 128;

/// Bytes of a request line besides its target: ` HTTP/1.1`, CRLF and any method in use.
pub const REQUEST_LINE_ROOM: usize = 64;

/// Hex digits of a chunk size: as many as fit into a `u64`, so that no sum can overflow.
pub const CHUNK_SIZE_DIGITS: u8 = 16;

/// Bytes of one chunk's extensions. They are not in use, but RFC 9112 §7.1.1 requires to skip them.
pub const CHUNK_EXTENSION: u16 = 1024;

/// Bytes of framing that are free for each chunk: the size line and CRLFs of any sane encoder.
pub const CHUNK_FREE: u32 = 16;

/// Bytes of chunk framing beyond the free ones and twice the payload, in one body.
///
/// Bounds the work that a client can cause without sending payload (as in CVE-2023-39326). An encoder that sends a byte
/// per chunk never reaches it.
pub const CHUNK_OVERHEAD: u32 = 16 * 1024;

/// Bytes of a chunked body's trailer section, which is validated and dropped.
pub const TRAILER: u16 = 4096;

/// Fields of a chunked body's trailer section.
pub const TRAILER_FIELDS: u8 = 32;

/// Bytes of an unread body that are discarded to keep the connection. For more, closing is cheaper.
pub const DRAIN_MAX: u64 = 64 << 10;

/// Maximum range specs in one `Range` field; with more, the whole file is sent.
///
/// Media players and PDF viewers ask for a handful. Each part costs a head of some hundred bytes and a seek.
pub const MAX_RANGES: usize = 16;

/// Maximum bytes of a form part's header line without its CRLF, folds included. Far more than an escaped file name
/// needs.
pub const MAX_PART_LINE: usize = 8 * 1024;

/// Maximum header lines of one part of a form; browsers send two.
pub const MAX_PART_HEADERS: usize = 32;

/// Maximum bytes of a form's boundary. RFC 2046 allows 70, but some clients send more.
pub const MAX_BOUNDARY: usize = 200;

/// Maximum bytes of padding after a form's boundary; mail gateways pad, browsers do not.
pub const MAX_BOUNDARY_PADDING: usize = 256;

/// Maximum bytes that a form's parser keeps of its input: an unfinished header line.
pub const HOLD: usize = MAX_PART_LINE + 2;
