//! How fast a client reads and sends. Measured only at the connection limit, so that it costs nothing otherwise.

use super::limits;
use crate::rt::millis;

/// The pace of one exchange's client.
pub(super) struct Pace {
    /// Bytes a second in the last window; the maximum until the first one is over.
    bytes: u32,
    /// When the current window began, in milliseconds of the loop's clock.
    since: u64,
    /// The bytes that had moved by then.
    moved: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new(0, 0)
    }
}

impl Pace {
    /// Starts measuring.
    pub(super) fn new(now: u64, moved: u64) -> Pace {
        Pace { bytes: u32::MAX, since: now, moved }
    }

    /// Bytes a second. `moved` returns the bytes moved so far; it is called once a window.
    pub(super) fn measure(&mut self, now: u64, moved: impl FnOnce() -> u64) -> u32 {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= millis(limits::PACE_WINDOW) {
            let moved = moved();
            let bytes = moved.saturating_sub(self.moved).saturating_mul(1000) / elapsed;
            *self = Pace { bytes: u32::try_from(bytes).unwrap_or(u32::MAX), since: now, moved };
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_that_of_the_last_window() {
        let mut pace = Pace::new(1000, 500);
        let never = || unreachable!("the window is not over");
        assert_eq!(pace.measure(5999, never), u32::MAX, "a client is taken for fast at first");
        assert_eq!(pace.measure(6000, || 500 + 40_960), 8192);
        assert_eq!(pace.measure(10_999, never), 8192);
        assert_eq!(pace.measure(16_000, || 500 + 40_960), 0);
        assert_eq!(pace.measure(21_000, || u64::MAX), u32::MAX);
    }
}
