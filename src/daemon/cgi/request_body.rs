//! The beginning of a request's body, read before its script gets a permit.

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

/// Most bytes of a body that are read before its script starts: LuCI's forms and calls fit in.
const BEGINNING_MAX: usize = 64 << 10;

/// Bytes that are read whatever others have sent, so that a login never waits for slow uploads. One more than 4 KiB, to
/// notice the end of a body of exactly that length.
const FREE: usize = (4 << 10) + 1;

/// Most bytes beyond those, for all waiting requests of a site together.
const GATHERED_MAX: usize = 256 << 10;

/// The fraction of them that one client may use.
const PART: usize = 4;

/// How many bytes of the bodies of waiting requests are in memory, by client, beyond those that are free.
#[derive(Clone, Default)]
pub struct Gathered(Rc<RefCell<Vec<ClientShare>>>);

struct ClientShare {
    client: Option<IpAddr>,
    bytes: usize,
}

impl Gathered {
    /// Reads the beginning of a body, as far as there is room.
    ///
    /// With `hold`, reads all of it: what does not fit in memory goes to a file. `client`: whose limit applies, if any.
    ///
    /// # Errors
    /// [`Error::Timeout`] if it comes too slowly; those of reading a body; that it can't be stored.
    pub async fn beginning<'a>(
        &self,
        con: &mut Connection,
        client: Option<IpAddr>,
        timeout: Duration,
        hold: Option<&'a Hold>,
    ) -> Result<Beginning<'a>, BodyFailure> {
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
                // What came since the timer was set may have extended the deadline.
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

/// Why a body could not be read.
pub enum BodyFailure {
    /// It can't be read.
    Broken(Error),
    /// It can't be stored.
    NotHeld(NotHeld),
}

impl From<Error> for BodyFailure {
    fn from(error: Error) -> BodyFailure {
        BodyFailure::Broken(error)
    }
}

impl From<NotHeld> for BodyFailure {
    fn from(error: NotHeld) -> BodyFailure {
        BodyFailure::NotHeld(error)
    }
}

/// The body when its script starts.
pub enum ScriptInput {
    /// Its beginning, or all of it, to be written to a pipe.
    Piped(Vec<u8>),
    /// All of it, in a file.
    Held(Held),
}

/// The beginning of a body. Dropping it makes room for others.
pub struct Beginning<'a> {
    bytes: Vec<u8>,
    /// All of the body is read, into a file there if necessary.
    hold: Option<&'a Hold>,
    /// The file, once there is one. Then `bytes` holds at most one piece.
    held: Option<Held>,
    whole: bool,
    /// A read is pending: the timeout of the connection runs and must not be left behind.
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

    /// The length of a chunked body.
    pub fn found_length(&self) -> Option<u64> {
        let held = self.held.as_ref().map_or(0, Held::length);
        self.hold.map(|_| held.saturating_add(self.bytes.len() as u64))
    }

    /// The body. What of it is in memory is not counted any more.
    pub fn take(mut self) -> ScriptInput {
        self.release();
        let bytes = std::mem::take(&mut self.bytes);
        self.held.take().map_or(ScriptInput::Piped(bytes), ScriptInput::Held)
    }

    /// The bytes that count towards the limit.
    fn counted(&self) -> usize {
        self.bytes.len().saturating_sub(FREE)
    }

    fn release(&self) {
        self.of.remove(self.client, self.counted());
    }

    /// How many more bytes may be read now.
    fn room(&self) -> usize {
        let there = self.bytes.len();
        match FREE.saturating_sub(there) {
            _ if self.held.is_some() => PIECE.saturating_sub(there),
            0 => BEGINNING_MAX.saturating_sub(there).min(self.of.room(self.client)),
            free => free,
        }
    }

    /// Moves what was read to the file.
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

    fn poll(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<(), BodyFailure>> {
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
            // From now on it takes no memory, however slow the client is.
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
