//! What has happened since the server was made. Without the feature `stats` nothing is counted, and it takes no memory.

#[cfg(feature = "stats")]
use super::tally::Tally;
#[cfg(feature = "stats")]
use std::cell::Cell;

/// What is counted, apart from requests and bytes.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    /// A connection was taken.
    Accepted,
    /// One was closed because there was no room.
    Refused,
    /// A file was sent that is held ready.
    FileHit,
    /// A file was loaded.
    FileMiss,
}

/// All counters of a server.
#[derive(Default)]
pub(crate) struct Counters {
    #[cfg(feature = "stats")]
    counts: [Cell<u64>; 4],
    /// Requests on all connections.
    #[cfg(feature = "stats")]
    pub(super) requests: Tally,
    /// The bytes of connections that are closed.
    #[cfg(feature = "stats")]
    pub(super) closed: Cell<Traffic>,
}

impl Counters {
    #[inline]
    pub(crate) fn add(&self, _what: Count) {
        #[cfg(feature = "stats")]
        self.counts[_what as usize].update(|count| count + 1);
    }

    /// A connection is closed.
    #[inline]
    pub(super) fn close(&self, _traffic: Traffic) {
        #[cfg(feature = "stats")]
        self.closed.set(self.closed.get().plus(_traffic));
    }

    /// Connections accepted so far, as a number for the latest: one day it wraps.
    #[cfg(feature = "stats")]
    #[expect(clippy::cast_possible_truncation, reason = "it wraps")]
    pub(super) fn accepted(&self) -> u32 {
        self.get(Count::Accepted) as u32
    }

    #[cfg(feature = "stats")]
    pub(super) fn get(&self, what: Count) -> u64 {
        self.counts[what as usize].get()
    }
}

/// The bytes of one connection. Those of TLS itself are left out.
#[derive(Clone, Copy, Default)]
pub(super) struct Traffic {
    #[cfg(feature = "stats")]
    pub(super) received: u64,
    #[cfg(feature = "stats")]
    pub(super) sent: u64,
}

impl Traffic {
    #[inline]
    pub(super) fn receive(&mut self, _bytes: usize) {
        #[cfg(feature = "stats")]
        {
            self.received += _bytes as u64;
        }
    }

    #[inline]
    pub(super) fn send(&mut self, _bytes: u64) {
        #[cfg(feature = "stats")]
        {
            self.sent += _bytes;
        }
    }

    #[cfg(feature = "stats")]
    pub(super) fn plus(self, other: Traffic) -> Traffic {
        Traffic { received: self.received + other.received, sent: self.sent + other.sent }
    }
}
