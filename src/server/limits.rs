//! Limits of the server: what one connection may cost, and all of them together. Includes the defaults of
//! [`Options`](super::Options).

use std::time::Duration;

/// How long a client may take to send a whole request head.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request body may stall.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may stop reading: a paused media player stops for minutes.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// How often a stalled client is checked: it may read what the kernel holds for it while our own writes still block.
pub(crate) const READER_LOOK: Duration = Duration::from_secs(10);

/// How long a connection may idle between requests: the reference's default.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Connections at once. A router would want 100; a program that embeds the library can afford more.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// Bytes of a request body that `read_body(None)` may gather; longer ones are read in pieces.
pub(crate) const MAX_BODY: u64 = 1 << 20;

/// Bytes of memory that wait for one connection before `send` waits.
pub(crate) const HIGH_WATER: usize = 32 << 10;

/// The part of that which one stream of HTTP/2 may have: a connection can have 64 of them.
pub(crate) const STREAM_SHARE: usize = 4;

/// Streams of HTTP/2 for each connection that there may be, on all connections together. A page opens dozens for a moment,
/// and most connections have none.
#[cfg(feature = "http2")]
pub(crate) const STREAMS_A_CONNECTION: usize = 16;

/// Frames of HTTP/2, in bytes, that wait before no more is read from a client: answers to its PINGs, heads of responses.
#[cfg(feature = "http2")]
pub(crate) const WAITING_FRAMES: usize = 32 << 10;

/// Bytes of a response of HTTP/2 that is sent before more urgent ones, as it takes no time.
#[cfg(feature = "http2")]
pub(crate) const SMALL_RESPONSE: usize = 4 << 10;

/// A waiting `send` resumes at this fraction of the high-water mark: low enough to write in large pieces.
pub(crate) const LOW_WATER_DIVISOR: usize = 4;

/// Pieces of files that may wait for one connection; each holds a descriptor.
pub(crate) const QUEUED_FILES: usize = 2;

/// Bytes of pipelined responses that are gathered before they are written: a few packets.
pub(crate) const PIPELINE_BATCH: usize = 8 << 10;

/// Size of the loop's receive buffer: a head of the default limit fits in one read.
pub(crate) const SCRATCH: usize = 16 << 10;

/// Bytes that one connection may send before the others get their turn.
pub(crate) const FLUSH_BUDGET: u64 = 2 << 20;

/// Bytes that a handler may read or have dropped in one turn. A handler that never has to wait then yields to others.
pub(crate) const TURN: usize = 256 << 10;

/// Steps (a head, a poll of the handler, a drained piece) of one connection before the others get their turn.
pub(crate) const DRIVE_BUDGET: u32 = 32;

/// How long the rest of an unread body may take.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long, after the last response, input is still discarded, so that no reset destroys the response.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes discarded while lingering: a refused upload may be well under way, and its sender reads only afterwards.
pub(crate) const LINGER_MAX: u64 = 16 << 20;

/// How long to wait for a handler before its half-closed peer is probed. The probe is an interim response, which simple
/// clients mistake for the final one, so it must not come before most responses do. It comes at once if a quarter of the
/// connections are in use: many clients that left would take the place of those to come.
pub(crate) const PROBE_AFTER: Duration = Duration::from_secs(1);

/// How often to check whether the client has received all of a response that ends with a reset: no event tells.
pub(crate) const DELIVERY_GLANCE: Duration = Duration::from_millis(20);

/// Connections accepted in one tick, so that a flood of new ones does not starve the existing ones.
pub(crate) const ACCEPT_BUDGET: usize = 64;

/// How long accepting pauses after the system ran out of descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long a connection that sent nothing yet is safe from eviction: its request may be on the way.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// Bytes a second above which a client is not evicted for another connection from its own address.
pub(crate) const LIVELY: u32 = 4 << 10;

/// The shortest time over which a client's pace is measured: long enough to expose a client that reads a little now and
/// then.
pub(crate) const PACE_WINDOW: Duration = Duration::from_secs(5);

/// How long a client within its share must have stalled before it is evicted. A client that reads slowly out of a large
/// receive buffer shows progress only now and then.
pub(crate) const STILL: Duration = Duration::from_secs(30);

/// Accepted connections that may wait for a slot: as many as a kernel's queue usually holds. Any more are closed.
pub(crate) const WAITING: usize = 128;

/// Time between two log lines about evicted connections.
pub(crate) const EVICTION_LOG: Duration = Duration::from_secs(10);

/// The time over which log lines about a client are counted.
pub(crate) const LOG_WINDOW: Duration = Duration::from_secs(60);

/// Log lines written about one client in that time: enough to tell what it does.
pub(crate) const LOGGED_LINES: u32 = 10;

/// Clients counted one by one in that time: their addresses take 2 KiB at most.
pub(crate) const LOGGED_CLIENTS: usize = 64;

/// Descriptors kept for files and for the process itself when connections are counted against the limit.
pub(crate) const RESERVED_DESCRIPTORS: u64 = 64;

/// Buffers for requests in flight that are kept for the next ones.
pub(crate) const SPARE_IN_FLIGHT: usize = 16;
