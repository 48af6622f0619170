//! A request's body: what of it comes before its script has a place, and how fast the rest has to come.

use super::body_file::{Held, Hold, NotHeld};
use super::minimum_rate::MinimumRate;
use ecohttpd::{Connection, Error, sleep};
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Bytes moved at a time, in either direction.
pub const PIECE: usize = 16 << 10;

/// Bytes of a body that are gathered before its script takes a place: the forms and calls of LuCI fit in wholly.
const BEGINNING_MAX: usize = 64 << 10;

/// Bytes of it that are gathered whatever others have sent, so that a login never waits for slow uploads; their number
/// is bounded by that of connections. One more than 4 KiB: the end of so many shows with the next.
const FREE: usize = (4 << 10) + 1;

/// Bytes beyond those that are gathered for all requests of a site that have no place yet.
const GATHERED_MAX: usize = 256 << 10;

/// The part of them that one client's requests may take.
const PART: usize = 4;

/// How much of the bodies of all waiting requests is there, beyond what is free: by client, none of them with nothing.
#[derive(Clone, Default)]
pub struct Gathered(Rc<RefCell<Vec<ClientShare>>>);

struct ClientShare {
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
        let pace = MinimumRate::new(timeout);
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
            None => shares.push(ClientShare { client, bytes }),
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
    pace: MinimumRate,
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
