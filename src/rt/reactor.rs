//! Readiness: `mio::Poll`, and descriptors that a handler awaits itself.

use super::{Key, Runtime, Slots};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{self, Context};
use std::time::Duration;

/// Events taken from the kernel in one wait; more than that come with the next.
const EVENTS: usize = 256;

const WAKER: Token = Token(usize::MAX);

/// Sockets and descriptors are registered once, for both directions, and never again: back-pressure is not reading.
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Who an event is for; packed into mio's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Conn(Key),
    Listener(Key),
    Fd(Key),
}

impl Source {
    fn token(self) -> Token {
        Token(match self {
            Source::Conn(key) => key.pack() << 2,
            Source::Listener(key) => key.pack() << 2 | 1,
            Source::Fd(key) => key.pack() << 2 | 2,
        })
    }

    fn of(token: Token) -> Option<Source> {
        let key = Key::unpack(token.0 >> 2);
        match token.0 & 3 {
            0 => Some(Source::Conn(key)),
            1 => Some(Source::Listener(key)),
            2 => Some(Source::Fd(key)),
            _ => None,
        }
    }
}

/// The poll, its events, and the descriptors that futures await.
pub(crate) struct Reactor {
    poll: RefCell<Poll>,
    events: RefCell<Events>,
    fds: RefCell<Slots<Rc<Readiness>>>,
    /// A duplicate of the poll's descriptor, once somebody asked for it.
    descriptor: OnceCell<OwnedFd>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Reactor> {
        Ok(Reactor {
            poll: RefCell::new(Poll::new()?),
            events: RefCell::new(Events::with_capacity(EVENTS)),
            fds: RefCell::default(),
            descriptor: OnceCell::new(),
        })
    }

    /// A descriptor that is readable when there are events.
    pub(crate) fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(descriptor) = self.descriptor.get() {
            return Ok(descriptor.as_fd());
        }
        let duplicate = self.poll.borrow().registry().as_fd().try_clone_to_owned()?;
        Ok(self.descriptor.get_or_init(|| duplicate).as_fd())
    }

    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.borrow().registry(), WAKER)
    }

    pub(crate) fn register(&self, io: &mut (impl mio::event::Source + ?Sized), source: Source) -> io::Result<()> {
        self.poll.borrow().registry().register(io, source.token(), BOTH)
    }

    pub(crate) fn deregister(&self, io: &mut (impl mio::event::Source + ?Sized)) -> io::Result<()> {
        self.poll.borrow().registry().deregister(io)
    }

    /// Waits for events, `None` for ever. A signal ends the wait early and is no error.
    pub(crate) fn poll(&self, timeout: Option<Duration>) -> io::Result<()> {
        let mut events = self.events.borrow_mut();
        match self.poll.borrow_mut().poll(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            polled => polled,
        }
    }

    /// Hands the events of the last wait to `see`; those for awaited descriptors are dealt with here.
    pub(crate) fn dispatch(&self, mut see: impl FnMut(Source, Edges)) {
        for event in &*self.events.borrow() {
            match Source::of(event.token()) {
                Some(Source::Fd(key)) => {
                    let readiness = self.fds.borrow().get(key).map(Rc::clone);
                    if let Some(readiness) = readiness {
                        readiness.notice(event);
                    }
                }
                Some(source) => see(source, Edges::of(event)),
                // The waker: being awake is all it is for.
                None => {}
            }
        }
    }
}

/// What an event says of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer ended its direction.
    pub(crate) read_closed: bool,
    /// Reset: nothing can be sent or read any more.
    pub(crate) gone: bool,
    /// Closed in both directions: what arrived before can still be read.
    pub(crate) hung_up: bool,
}

impl Edges {
    fn of(event: &Event) -> Edges {
        Edges {
            readable: event.is_readable() || event.is_read_closed(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            gone: event.is_error(),
            hung_up: event.is_write_closed(),
        }
    }
}

/// Sticky readiness of one descriptor, and who waits for it.
#[derive(Default)]
struct Readiness {
    read: Direction,
    write: Direction,
}

#[derive(Default)]
struct Direction {
    ready: Cell<bool>,
    waker: RefCell<Option<task::Waker>>,
}

impl Readiness {
    fn notice(&self, event: &Event) {
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read.set();
        }
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            self.write.set();
        }
    }
}

impl Direction {
    fn set(&self) {
        self.ready.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> task::Poll<()> {
        if self.ready.get() {
            return task::Poll::Ready(());
        }
        self.waker.replace(Some(cx.waker().clone()));
        task::Poll::Pending
    }
}

/// A descriptor whose readiness a handler or task can await: a pipe of a child process, a socket, a pidfd.
///
/// The descriptor must be non-blocking and of a kind that epoll(7) takes (not a regular file). One reader and
/// one writer may wait at a time. It is taken off the loop when the value is dropped.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// # async fn demo() -> std::io::Result<()> {
/// let stream = UnixStream::connect("/run/service.sock")?;
/// stream.set_nonblocking(true)?;
/// let stream = ecohttpd::AsyncFd::new(stream)?;
/// let mut reply = [0; 512];
/// stream.write_with(|mut s| s.write(b"hello\n")).await?;
/// let n = stream.read_with(|mut s| s.read(&mut reply)).await?;
/// # let _ = n; Ok(()) }
/// ```
pub struct AsyncFd<T: AsFd> {
    io: T,
    key: Key,
    readiness: Rc<Readiness>,
    runtime: Rc<Runtime>,
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers `io` with the loop of this thread.
    ///
    /// # Errors
    /// What epoll_ctl(2) answers: `EPERM` for a regular file, `EEXIST` for a descriptor registered already.
    ///
    /// # Panics
    /// When called outside of a handler or task of a running server.
    pub fn new(io: T) -> io::Result<AsyncFd<T>> {
        let runtime = Runtime::current();
        let readiness = Rc::new(Readiness::default());
        let fd = io.as_fd().as_raw_fd();
        let key = runtime.reactor.fds.borrow_mut().insert_with(|key| {
            runtime.reactor.register(&mut SourceFd(&fd), Source::Fd(key))?;
            Ok(Rc::clone(&readiness))
        })?;
        Ok(AsyncFd { io, key, readiness, runtime })
    }

    /// The descriptor's owner.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Calls `attempt` when the descriptor is readable, again after each `WouldBlock`, and returns its result.
    ///
    /// # Errors
    /// Those of `attempt`.
    pub async fn read_with<R>(&self, attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.when(&self.readiness.read, attempt).await
    }

    /// Calls `attempt` when the descriptor is writable, again after each `WouldBlock`, and returns its result.
    ///
    /// # Errors
    /// Those of `attempt`.
    pub async fn write_with<R>(&self, attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.when(&self.readiness.write, attempt).await
    }

    async fn when<R>(&self, direction: &Direction, mut attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        loop {
            poll_fn(|cx| direction.poll(cx)).await;
            match attempt(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => direction.ready.set(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(&self.io).finish()
    }
}

impl<T: AsFd> Drop for AsyncFd<T> {
    fn drop(&mut self) {
        let fd = self.io.as_fd().as_raw_fd();
        if let Err(error) = self.runtime.reactor.deregister(&mut SourceFd(&fd)) {
            log::debug!("cannot take descriptor {fd} off the loop: {error}");
        }
        self.runtime.reactor.fds.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_their_sources_apart() {
        for packed in [0, 77, usize::MAX >> 2] {
            let key = Key::unpack(packed);
            for source in [Source::Conn(key), Source::Listener(key), Source::Fd(key)] {
                assert_eq!(Source::of(source.token()), Some(source));
            }
        }
        assert_eq!(Source::of(WAKER), None);
    }
}
