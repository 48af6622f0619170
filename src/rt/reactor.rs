//! Readiness: `mio::Poll`, and the descriptors that futures await.

use super::slots::{Key, Slots};
use crate::sys;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{self, Context};
use std::time::Duration;

/// Events taken from the kernel in one wait; more come with the next.
const EVENTS: usize = 256;

const WAKER: Token = Token(usize::MAX);

/// Everything is registered once, for both directions. Back-pressure means not reading, so registrations never change.
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// The target of an event, packed into mio's token.
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
    /// A duplicate of the poll's descriptor, made on first use.
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

    /// Watches a listener. It is reported in each turn while connections wait, at once or after a pause.
    pub(crate) fn listen(&self, listener: BorrowedFd<'_>, source: Source, report: bool) -> io::Result<()> {
        self.set_listener(listener, source, true, report)
    }

    /// Starts or stops reports about a listener.
    pub(crate) fn pause_listener(&self, listener: BorrowedFd<'_>, source: Source, pause: bool) -> io::Result<()> {
        self.set_listener(listener, source, false, !pause)
    }

    /// mio has edge-triggered events only.
    fn set_listener(&self, socket: BorrowedFd<'_>, source: Source, is_new: bool, readable: bool) -> io::Result<()> {
        let poll = self.poll.borrow();
        sys::epoll_set(poll.registry().as_fd(), socket, is_new, readable, source.token().0 as u64)
    }

    pub(crate) fn deregister(&self, io: &mut (impl mio::event::Source + ?Sized)) -> io::Result<()> {
        self.poll.borrow().registry().deregister(io)
    }

    /// Watches a descriptor for a future until [`unwatch`](Reactor::unwatch).
    pub(super) fn watch(&self, fd: RawFd) -> io::Result<(Key, Rc<Readiness>)> {
        let readiness = Rc::new(Readiness::default());
        let key = self.fds.borrow_mut().insert_with(|key| {
            self.register(&mut SourceFd(&fd), Source::Fd(key))?;
            Ok(Rc::clone(&readiness))
        })?;
        Ok((key, readiness))
    }

    pub(super) fn unwatch(&self, fd: RawFd, key: Key) {
        if let Err(error) = self.deregister(&mut SourceFd(&fd)) {
            log::debug!("cannot deregister descriptor {fd}: {error}");
        }
        self.fds.borrow_mut().remove(key);
    }

    /// Waits for events, forever for `None`. A signal ends the wait early and is not an error.
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

    /// Passes the events of the last wait to `see`. Those for awaited descriptors are handled here.
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
                // The waker, which has done its work.
                None => {}
            }
        }
    }
}

/// What an event says about a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer half-closed.
    pub(crate) read_closed: bool,
    /// The connection was reset: nothing more can be sent or read.
    pub(crate) gone: bool,
    /// Closed in both directions; what arrived before can still be read.
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

/// Sticky readiness of one descriptor, and the wakers that wait for it.
#[derive(Default)]
pub(crate) struct Readiness {
    pub(crate) read: Direction,
    pub(crate) write: Direction,
    /// The peer ended its direction: reads lead to the end, however short they are.
    pub(crate) peer_closed: Cell<bool>,
}

/// One direction of a descriptor.
#[derive(Default)]
pub(crate) struct Direction {
    pub(crate) ready: Cell<bool>,
    waker: RefCell<Option<task::Waker>>,
}

impl Readiness {
    fn notice(&self, event: &Event) {
        if event.is_read_closed() || event.is_error() {
            self.peer_closed.set(true);
        }
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

    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> task::Poll<()> {
        if self.ready.get() {
            return task::Poll::Ready(());
        }
        self.waker.replace(Some(cx.waker().clone()));
        task::Poll::Pending
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
