//! The bounds of HTTP/2, with unit and reason.

/// Streams at once on one connection: a page of LuCI loads 48 files.
pub const STREAMS: usize = 64;

/// Bytes of a frame's payload that are accepted: the smallest limit that may be announced (RFC 9113 §6.5.2).
pub const FRAME: usize = 16 << 10;

/// Bytes of body that a client may send ahead on one stream: what a handler that does not read can hold up.
pub const STREAM_WINDOW: u32 = 32 << 10;

/// Bytes of body that it may send ahead on all streams together. Fixed by RFC 9113 §6.9.2 until it is raised.
pub const CONNECTION_WINDOW: u32 = 65_535;

/// The first value of each window for what we send, until the client says otherwise (RFC 9113 §6.9.2).
pub const FIRST_WINDOW: i32 = 65_535;

/// The largest window (RFC 9113 §6.9.1).
pub const WINDOW: i64 = i32::MAX as i64;

/// Bytes of the table of fields, counted as in RFC 7541 §4.1. It is the default of RFC 9113 §6.5.2, as some clients do not
/// notice a smaller one. The fields of a browser take a third of it.
pub const TABLE: usize = 4096;

/// Bytes of a field block, compressed. Its fields may have [`HeadLimits::head`](super::super::HeadLimits) bytes; a block
/// that is longer than this can only be meant badly.
pub const BLOCK: usize = 32 << 10;

/// CONTINUATION frames of one field block: as many as fill it, and some spare.
pub const CONTINUATIONS: u32 = 8;

/// Streams that we have reset and whose frames may still be under way, each an integer.
pub const FORGOTTEN: usize = 16;

/// What a client may spend on frames that lead to nothing, at once; see [`budget`](super::budget).
pub const BUDGET: u32 = 500;

/// How much of that comes back in a second.
pub const BUDGET_A_SECOND: u64 = 50;

/// Bytes of a DATA frame below which it is taken for one that a tiny window has caused.
pub const TINY_DATA: usize = 64;
