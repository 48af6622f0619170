//! A request's body: what of it comes before its script has a place, and how fast the rest has to come.

use super::held::{Held, Hold, NotHeld};
use super::relay::PIECE;
use ecohttpd::{Connection, Error, sleep};
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Bytes of a body that are gathered before its script takes a place: the forms and calls of LuCI fit in wholly.
const BEGINNING_MAX: usize = 64 << 10;

/// Bytes of it that are gathered whatever others have sent, so that a login never waits for slow uploads; their number
/// is bounded by that of connections. One more than 4 KiB: the end of so many shows with the next.
const FREE: usize = (4 << 10) + 1;

/// Bytes beyond those that are gathered for all requests of a site that have no place yet.
const GATHERED_MAX: usize = 256 << 10;

/// The part of them that one client's requests may take.
const PART: usize = 4;

/// Bytes a second, of a body or of a reply, that are waited for: any modem has as much to spare, and a firmware of
/// 20 MB is not bounded by it in total.
const RATE: u64 = 1 << 10;

/// How much of the bodies of all waiting requests is there, beyond what is free: by client, none of them with nothing.
#[derive(Clone, Default)]
pub struct Gathered(Rc<RefCell<Vec<Share>>>);

struct Share {
    client: Option<IpAddr>,
    bytes: usize,
}

impl Gathered {
    /// Gathers a body's beginning: no more than is free where too much was gathered already.
    ///
    /// With `hold` all of it: what memory has no room for goes to a file. A `client` has its share, `None` is bound to none.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it comes too slowly, and those of reading a body; and when it can't be held.
    pub async fn beginning<'a>(
        &self,
        con: &mut Connection,
        client: Option<IpAddr>,
        timeout: Duration,
        hold: Option<&'a Hold>,
    ) -> Result<Beginning<'a>, Unread> {
        let pace = Pace::new(timeout);
        let of = self.clone();
        let mut beginning =
            Beginning { bytes: Vec::new(), hold, held: None, whole: false, awaited: false, pace, client, of };
        let mut timer = pin!(sleep(timeout));
        poll_fn(|cx| {
            if let Poll::Ready(result) = beginning.poll(con, cx) {
                return Poll::Ready(result);
            }
            loop {
                ready!(timer.as_mut().poll(cx));
                // What came since the timer was set may have earned more time; never less.
                let left = beginning.pace.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
                match left.filter(|left| !left.is_zero()) {
                    Some(left) => timer.set(sleep(left)),
                    None => return Poll::Ready(Err(Error::Timeout.into())),
                }
            }
        })
        .await?;
        Ok(beginning)
    }

    fn room(&self, client: Option<IpAddr>) -> usize {
        let shares = self.0.borrow();
        let room = GATHERED_MAX.saturating_sub(shares.iter().map(|share| share.bytes).sum());
        let own = || shares.iter().find(|share| share.client == client).map_or(0, |share| share.bytes);
        if client.is_none() { room } else { room.min((GATHERED_MAX / PART).saturating_sub(own())) }
    }

    fn add(&self, client: Option<IpAddr>, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut shares = self.0.borrow_mut();
        match shares.iter_mut().find(|share| share.client == client) {
            Some(own) => own.bytes += bytes,
            None => shares.push(Share { client, bytes }),
        }
    }

    fn remove(&self, client: Option<IpAddr>, bytes: usize) {
        self.0.borrow_mut().retain_mut(|share| {
            if share.client == client {
                share.bytes = share.bytes.saturating_sub(bytes);
            }
            share.bytes > 0
        });
    }
}

/// Why a beginning is not gathered.
pub enum Unread {
    /// It can't be read.
    Broken(Error),
    /// It can't be held.
    NotHeld(NotHeld),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Unread {
        Unread::Broken(error)
    }
}

impl From<NotHeld> for Unread {
    fn from(error: NotHeld) -> Unread {
        Unread::NotHeld(error)
    }
}

/// What there is of a body when its script starts.
pub enum Body {
    /// Its beginning, or all of it, for a pipe.
    Piped(Vec<u8>),
    /// All of it, in a file.
    Held(Held),
}

/// The beginning of a body; dropped, it makes room for others.
pub struct Beginning<'a> {
    bytes: Vec<u8>,
    /// All of the body is gathered, here if need be.
    hold: Option<&'a Hold>,
    /// All that came, once it was too much; `bytes` has no more than one piece of it then.
    held: Option<Held>,
    whole: bool,
    /// More is waited for: the server's timeout runs, and is not to be left behind.
    awaited: bool,
    pace: Pace,
    client: Option<IpAddr>,
    of: Gathered,
}

impl Beginning<'_> {
    /// Whether it is all of the body.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The length of a body that did not tell it.
    pub fn found_length(&self) -> Option<u64> {
        let held = self.held.as_ref().map_or(0, Held::length);
        self.hold.map(|_| held.saturating_add(self.bytes.len() as u64))
    }

    /// The body; what of it is in memory counts no longer.
    pub fn take(mut self) -> Body {
        self.release();
        let bytes = std::mem::take(&mut self.bytes);
        self.held.take().map_or(Body::Piped(bytes), Body::Held)
    }

    /// The bytes that count.
    fn counted(&self) -> usize {
        self.bytes.len().saturating_sub(FREE)
    }

    fn release(&self) {
        self.of.remove(self.client, self.counted());
    }

    /// How many bytes more may be read now.
    fn room(&self) -> usize {
        let there = self.bytes.len();
        match FREE.saturating_sub(there) {
            _ if self.held.is_some() => PIECE.saturating_sub(there),
            0 => BEGINNING_MAX.saturating_sub(there).min(self.of.room(self.client)),
            free => free,
        }
    }

    /// Moves what came to a file, where it takes no memory.
    fn store(&mut self, hold: &Hold) -> Result<(), NotHeld> {
        let held = match &mut self.held {
            Some(held) => held,
            None => self.held.insert(Held::new(&hold.folder, self.client)?),
        };
        held.push(&self.bytes, hold.limit)?;
        self.release();
        self.bytes = Vec::new();
        Ok(())
    }

    fn poll(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), Unread>> {
        loop {
            let (before, counted, room) = (self.bytes.len(), self.counted(), self.room());
            if room == 0 && !self.awaited {
                let Some(hold) = self.hold else { return Poll::Ready(Ok(())) };
                self.store(hold)?;
                continue;
            }
            let read = con.poll_read_body(cx, &mut self.bytes, before + room.max(1));
            self.of.add(self.client, self.counted() - counted);
            self.awaited = read.is_pending();
            if self.awaited {
                self.pace.wait(Instant::now());
            }
            ready!(read)?;
            let came = self.bytes.len().saturating_sub(before);
            self.pace.came(came, Instant::now());
            if came == 0 {
                self.whole = true;
                return Poll::Ready(Ok(()));
            }
            // A client that is slow from now on takes a file, and no memory.
            if let (Some(hold), Some(_)) = (self.hold, &self.held) {
                self.store(hold)?;
            }
        }
    }
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        self.release();
    }
}

/// How long a client that holds a script's place, or the room for bodies, may be waited for.
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
    fn a_client_has_its_share() {
        let gathered = Gathered::default();
        let [one, two] = ["192.0.2.1", "2001:db8::1"].map(|client| client.parse().ok());
        gathered.add(one, 60_000);
        assert_eq!(gathered.room(one), GATHERED_MAX / 4 - 60_000);
        gathered.add(one, 0);
        gathered.add(one, GATHERED_MAX / 4 - 60_000);
        assert_eq!((gathered.room(one), gathered.room(two)), (0, GATHERED_MAX / 4));
        // Who is bound to no share may have all the rest, and others none then.
        assert_eq!(gathered.room(None), GATHERED_MAX / 4 * 3);
        gathered.add(None, GATHERED_MAX / 4 * 3 - 100);
        assert_eq!((gathered.room(None), gathered.room(two), gathered.room(one)), (100, 100, 0));
        gathered.remove(one, 60_000);
        assert_eq!((gathered.room(one), gathered.room(two)), (60_000, 60_100));
        gathered.remove(one, GATHERED_MAX / 4 - 60_000);
        gathered.remove(None, GATHERED_MAX / 4 * 3 - 100);
        assert!(gathered.0.borrow().is_empty(), "nothing is left of them");
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
