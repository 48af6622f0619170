//! How slowly a client may send a body or read a reply.

use std::time::{Duration, Instant};

/// Least bytes a second of a body or a response. Any modem is faster, and the total time of a large upload is not limited.
const RATE: u64 = 1 << 10;

/// Limits how long to wait for a client.
///
/// The client must move [`RATE`] bytes a second on average over the script's timeout. Only the time spent waiting for the
/// client counts, not the time in which the script is busy.
pub struct MinimumRate {
    timeout: Duration,
    quota: usize,
    came: usize,
    waited: Duration,
    since: Option<Instant>,
}

impl MinimumRate {
    pub fn new(timeout: Duration) -> MinimumRate {
        let quota = usize::try_from(timeout.as_secs().saturating_mul(RATE)).unwrap_or(usize::MAX);
        MinimumRate { timeout, quota, came: 0, waited: Duration::ZERO, since: None }
    }

    /// Starts waiting for the client.
    pub fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Bytes were moved, or its body ended.
    pub fn came(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.came = self.came.saturating_add(bytes);
        if self.came >= self.quota {
            self.came = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// When the client is too slow, unless something is moved.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + self.timeout.saturating_sub(self.waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a client is too slow that sends so many bytes each millisecond after waits of so many, in milliseconds.
    fn too_slow(pieces: impl Iterator<Item = (u64, usize)>, busy: u64) -> Option<u64> {
        let start = Instant::now();
        let mut pace = MinimumRate::new(Duration::from_secs(10));
        let mut at = 0;
        for (wait, bytes) in pieces {
            pace.wait(start + Duration::from_millis(at));
            let deadline = pace.deadline().unwrap();
            if deadline <= start + Duration::from_millis(at + wait) {
                return Some(u64::try_from((deadline - start).as_millis()).unwrap());
            }
            at += wait;
            pace.came(bytes, start + Duration::from_millis(at));
            assert_eq!(pace.deadline(), None, "nobody waits");
            // The script has it, and takes its time.
            at += busy;
        }
        None
    }

    #[test]
    fn a_pace_is_an_average() {
        let forever = |wait, bytes| std::iter::repeat_n((wait, bytes), 3000);
        assert_eq!(too_slow(forever(1000, 1200), 0), None);
        assert_eq!(too_slow(forever(9000, 10 << 10), 0), None, "it stalls");
        assert_eq!(too_slow(forever(1, 1), 0), None);
        assert_eq!(too_slow(forever(1, 1), 100_000), None);
        assert_eq!(too_slow(forever(1000, 1), 0), Some(10_000));
        assert_eq!(too_slow(forever(1000, 1000), 0), Some(10_000));
        assert_eq!(too_slow(forever(1000, 1), 500), Some(14_500), "the script's time is not the client's");
        assert_eq!(too_slow(forever(10_000, 20 << 20), 0), Some(10_000), "nothing at all");
        // What came fast before is no credit.
        let fast_first = [(1, 20 << 20)].into_iter().chain(forever(1000, 1));
        assert_eq!(too_slow(fast_first, 0), Some(10_001));
    }
}
