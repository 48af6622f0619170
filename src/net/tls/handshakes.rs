//! How handshakes ended. Without the feature `stats` nothing is counted.

#[cfg(feature = "stats")]
use std::cell::Cell;

/// How a handshake ended.
#[derive(Clone, Copy)]
pub(super) enum HandshakeEnd {
    Full,
    /// By a ticket of an earlier connection (RFC 8446 §2.2).
    Resumed,
    Failed,
}

/// The handshakes of a thread's servers so far.
#[derive(Default)]
pub(super) struct Handshakes {
    #[cfg(feature = "stats")]
    ends: [Cell<u64>; 3],
}

impl Handshakes {
    pub(super) fn add(&self, _end: HandshakeEnd) {
        #[cfg(feature = "stats")]
        self.ends[_end as usize].update(|count| count + 1);
    }

    /// Those that were full, resumed, and failed.
    #[cfg(feature = "stats")]
    pub(super) fn counts(&self) -> [u64; 3] {
        self.ends.each_ref().map(Cell::get)
    }
}
