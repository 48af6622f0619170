//! A request's body: what of it comes before its script has a place, and how fast the rest has to come.

use ecohttpd::{Connection, Result};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Bytes of a body that are gathered before its script takes a place: the forms and calls of LuCI fit in wholly.
const BEGINNING_MAX: usize = 64 << 10;

/// Bytes that are gathered for all requests of a site that have no place yet.
const GATHERED_MAX: usize = 256 << 10;

/// Bytes a second, of a body or of a reply, that a script with a place is waited with for: any modem has as much to
/// spare, and a firmware of 20 MB is not bounded by it in total.
const RATE: u64 = 1 << 10;

/// How much of the bodies of all waiting requests is there.
#[derive(Clone, Default)]
pub struct Gathered(Rc<Cell<usize>>);

impl Gathered {
    /// Gathers a body's beginning: none of it where too much was gathered already.
    pub async fn beginning(&self, con: &mut Connection) -> Result<Beginning> {
        let mut beginning = Beginning { bytes: Vec::new(), whole: false, awaited: false, of: self.clone() };
        poll_fn(|cx| beginning.poll(con, cx)).await?;
        Ok(beginning)
    }

    fn room(&self) -> usize {
        GATHERED_MAX.saturating_sub(self.0.get())
    }
}

/// The beginning of a body; dropped, it makes room for others.
pub struct Beginning {
    bytes: Vec<u8>,
    whole: bool,
    /// More is waited for: the server's timeout runs, and is not to be left behind.
    awaited: bool,
    of: Gathered,
}

impl Beginning {
    /// Whether it is all of the body.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The bytes, which count no longer.
    pub fn take(mut self) -> Vec<u8> {
        self.release();
        std::mem::take(&mut self.bytes)
    }

    fn release(&self) {
        self.of.0.set(self.of.0.get().saturating_sub(self.bytes.len()));
    }

    fn poll(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let before = self.bytes.len();
            let room = BEGINNING_MAX.saturating_sub(before).min(self.of.room());
            if room == 0 && !self.awaited {
                return Poll::Ready(Ok(()));
            }
            let read = con.poll_read_body(cx, &mut self.bytes, before + room.max(1));
            let came = self.bytes.len().saturating_sub(before);
            self.of.0.set(self.of.0.get() + came);
            self.awaited = read.is_pending();
            ready!(read)?;
            if came == 0 {
                self.whole = true;
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.release();
    }
}

/// How long a client that holds a script's place may be waited for.
///
/// So many bytes, in every timeout of the script that was spent on waiting for them: time in which it is the script
/// that takes no more is not the client's.
pub struct Pace {
    timeout: Duration,
    quota: usize,
    came: usize,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    pub fn new(timeout: Duration) -> Pace {
        let quota = usize::try_from(timeout.as_secs().saturating_mul(RATE)).unwrap_or(usize::MAX);
        Pace { timeout, quota, came: 0, waited: Duration::ZERO, since: None }
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
        let mut pace = Pace::new(Duration::from_secs(10));
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
