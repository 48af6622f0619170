//! Limits of the server: what one connection, and all of them, may cost. Every default of [`Options`](super::Options).

use std::time::Duration;

/// How long a client may take to send a whole request head.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request body may stand still.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may refuse to take what waits for it: a player that is paused stands still for minutes.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// How often it is looked whether a client takes what the kernel holds for it, when that takes no more of us.
pub(crate) const READER_LOOK: Duration = Duration::from_secs(10);

/// How long a connection may idle between requests: the reference's default.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Connections at once; a router's default would be 100, an embedding program can afford more.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// Bytes of a request body that `read_body(None)` may gather; longer ones are read in pieces.
pub(crate) const MAX_BODY: u64 = 1 << 20;

/// Bytes of memory that wait for one connection before `send` waits.
pub(crate) const HIGH_WATER: usize = 32 << 10;

/// The fraction of the high-water mark at which a waiting `send` goes on: late enough to write in large pieces.
pub(crate) const LOW_WATER_DIVISOR: usize = 4;

/// Pieces of files that may wait for one connection; each holds a descriptor.
pub(crate) const QUEUED_FILES: usize = 2;

/// Bytes of answers gathered from a pipeline before they are written: a few packets.
pub(crate) const PIPELINE_BATCH: usize = 8 << 10;

/// The receive buffer of the loop: a whole head of the default limit, or a body's piece, in one read.
pub(crate) const SCRATCH: usize = 16 << 10;

/// Bytes that one connection may send before the others get their turn.
pub(crate) const FLUSH_BUDGET: u64 = 2 << 20;

/// Bytes that may come in, or be dropped on their way out, before a handler that never has to wait makes way for others.
pub(crate) const TURN: usize = 256 << 10;

/// Steps (a head, a poll of the handler, a drained piece) of one connection before the others get their turn.
pub(crate) const DRIVE_BUDGET: u32 = 32;

/// How long the rest of an unread body may take.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long, after a last answer, what the client still sends is discarded so that no reset eats the answer.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes discarded while lingering: an upload that was refused may be well under way, and its sender reads only after.
pub(crate) const LINGER_MAX: u64 = 16 << 20;

/// How long after its peer's end of sending a handler is waited for before the peer is asked whether it is there: the
/// question is an interim response, which simple clients take for the answer, and most answers come sooner. At once where
/// a quarter of the connections are in use: many clients that left would take the place of those to come.
pub(crate) const PROBE_AFTER: Duration = Duration::from_secs(1);

/// How often the kernel is asked whether a client has all that there is of a reply that ends with a reset: no event tells.
pub(crate) const DELIVERY_GLANCE: Duration = Duration::from_millis(20);

/// Connections accepted in one tick, so that a flood of them does not starve those there are.
pub(crate) const ACCEPT_BUDGET: usize = 64;

/// How long accepting rests after the system ran out of descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long a connection that never sent a byte is safe from being closed to make room: its request may be on the way.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// Bytes a second that make a client lively: none such is closed for one more connection of its own address.
pub(crate) const LIVELY: u32 = 4 << 10;

/// Over how long a client's pace is measured, at least: one that takes a little now and then shows.
pub(crate) const PACE_WINDOW: Duration = Duration::from_secs(5);

/// How long a client must have stood still before its place is given to another, within its share though it is. Of one
/// that reads slowly out of a large receive buffer TCP tells only now and then.
pub(crate) const STILL: Duration = Duration::from_secs(30);

/// Accepted connections that wait for a place, at the most: as many as a kernel's queue usually holds. More are closed.
pub(crate) const WAITING: usize = 128;

/// Between two lines of the log about connections that were closed for want of room.
pub(crate) const EVICTION_LOG: Duration = Duration::from_secs(10);

/// Over how long the lines of the log about a client are counted.
pub(crate) const LOG_WINDOW: Duration = Duration::from_secs(60);

/// Lines about one client that are written in that time: enough to tell what it does.
pub(crate) const LOGGED_LINES: u32 = 10;

/// Clients that are told apart in that time: their addresses take 2 KiB at most.
pub(crate) const LOGGED_CLIENTS: usize = 64;

/// Descriptors kept for files and for the process itself when connections are counted against the limit.
pub(crate) const RESERVED_DESCRIPTORS: u64 = 64;

/// Buffers for requests in flight that are kept for the next ones.
pub(crate) const SPARE_IN_FLIGHT: usize = 16;
