//! How slowly a client may send a body or read a reply.

use std::time::{Duration, Instant};

/// Bytes a second, of a body or of a reply, that are waited for: any modem has as much to spare, and a firmware of
/// 20 MB is not bounded by it in total.
const RATE: u64 = 1 << 10;

/// How long a client that holds a script's place, or the room for bodies, may be waited for.
///
/// So many bytes, in every timeout of the script that was spent on waiting for them: time in which it is the script
/// that takes no more is not the client's.
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

    /// The client is waited for.
    pub fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Bytes of it came, or its body's end.
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

    /// When it was waited for long enough, unless something comes.
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
