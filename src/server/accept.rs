//! New connections: accepting them, making room for them, keeping them waiting, pausing when the system is out of
//! resources.

use super::counters::Count;
use super::endpoints::{Endpoints, Newcomer};
use super::eviction::{self, Doing, Standing};
use super::http1::Http1;
use super::limits;
use super::session::{Session, Sessions};
use super::shared::Shared;
use crate::http::CloseReason;
use crate::net::PeerAddr;
use crate::rt::{Due, Key, MAX_SLOTS};
use crate::sys;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Accepts new connections, within the limit.
pub(super) struct Acceptor {
    shared: Rc<Shared>,
    sessions: Rc<Sessions>,
    pub(super) endpoints: Endpoints,
    /// Connections at once.
    pub(super) max_connections: Cell<usize>,
    /// Accepted connections for which there was no room yet.
    pub(super) waiting: RefCell<Vec<Newcomer>>,
    /// Sessions opened in this turn.
    admitted: RefCell<Vec<Key>>,
    /// A timer will try to accept again.
    retrying: Cell<bool>,
    /// When an eviction may next be logged, and how many were left out since the last one.
    eviction_log: Cell<(u64, u32)>,
}

impl Acceptor {
    pub(super) fn new(shared: Rc<Shared>, sessions: Rc<Sessions>) -> Acceptor {
        Acceptor {
            endpoints: Endpoints::new(Rc::clone(&shared)),
            shared,
            sessions,
            max_connections: Cell::new(limits::MAX_CONNECTIONS),
            waiting: RefCell::default(),
            admitted: RefCell::default(),
            retrying: Cell::new(false),
            eviction_log: Cell::default(),
        }
    }

    /// Admits connections that wait here, then accepts those that wait in the kernel.
    ///
    /// Even at the limit: only an accepted connection has an address, and one address must not lock out the others by
    /// filling the kernel's queue.
    pub(super) fn accept(&self) {
        self.admit_waiting();
        self.accept_queued();
        self.drive_admitted();
        if !self.waiting.borrow().is_empty() && self.sessions.len() < self.max_connections.get() {
            // Some left in the turn that admitted them: no event will tell.
            self.shared.runtime.wakes.rouse();
        }
    }

    fn accept_queued(&self) {
        for _ in 0..limits::ACCEPT_BUDGET {
            if self.endpoints.is_paused() || self.shared.stopping() {
                return;
            }
            let Some(listener) = self.endpoints.next_ready() else { return };
            match self.endpoints.accept_from(listener) {
                Ok(newcomer) if self.make_room(&newcomer.peer) => self.admit(newcomer),
                Ok(newcomer) => self.let_wait(newcomer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.accept_failed(&error),
            }
        }
    }

    /// Drives the sessions opened in this turn: most clients have sent their request by now.
    fn drive_admitted(&self) {
        let mut admitted = self.admitted.take();
        if !admitted.is_empty() {
            // Their clients may know of changes made since this turn began.
            self.shared.runtime.next_moment();
            admitted.drain(..).for_each(|key| self.sessions.drive(key));
        }
        self.admitted.replace(admitted);
    }

    fn admit(&self, newcomer: Newcomer) {
        // With a quarter of the connections in use, clients that may have left are probed at once.
        self.shared.filling_up.set(self.sessions.len() * 4 >= self.max_connections.get());
        let Newcomer { transport, peer, options, handler } = newcomer;
        self.shared.counters.add(Count::Accepted);
        let http1 = Http1::new(transport, peer, self.shared.now(), options);
        #[cfg(feature = "stats")]
        let http1 = Http1 { number: self.shared.counters.accepted(), ..http1 };
        match self.sessions.open(handler, http1) {
            Ok(key) => self.admitted.borrow_mut().push(key),
            Err(error) if self.shared.takes_log_line(&peer) => {
                log::warn!("{peer}: cannot take the connection: {error}")
            }
            Err(_) => {}
        }
    }

    // --- at the limit -----------------------------------------------------------------------------

    /// Makes room for a client with this address, by eviction if needed; false if the client has to wait.
    pub(super) fn make_room(&self, newcomer: &PeerAddr) -> bool {
        let max = self.max_connections.get();
        if self.sessions.len() < max {
            return true;
        }
        let standings = self.standings();
        let Some(chosen) = eviction::choose(&standings, max, newcomer.network(), self.shared.now()) else {
            return false;
        };
        if !matches!(chosen.doing, Doing::Idle { .. } | Doing::Lingering { .. }) {
            self.reset(chosen.key);
        }
        self.sessions.shut(chosen.key);
        true
    }

    fn standings(&self) -> Vec<Standing> {
        let now = self.shared.now();
        let standing = |(key, session): (Key, &Session)| {
            let mut http1 = session.http1.borrow_mut();
            if http1.phase.is_stream() {
                return None;
            }
            Some(Standing { key, network: http1.link.peer.network(), doing: http1.doing(session.is_busy(), now) })
        };
        self.sessions.table.borrow().iter().filter_map(standing).collect()
    }

    /// Makes the close a reset: the response can't be completed, and must not look complete.
    fn reset(&self, key: Key) {
        if let Some(session) = self.sessions.table.borrow().get(key) {
            let mut http1 = session.http1.borrow_mut();
            http1.must_close(CloseReason::Evicted);
            http1.link.transport.reset_on_close();
            self.log_eviction(&http1.link.peer, "closed for a new connection");
        }
    }

    /// Keeps a connection until there is room. If too many wait, the address with the most of them loses one.
    fn let_wait(&self, newcomer: Newcomer) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push(newcomer);
        if waiting.len() > limits::WAITING {
            let count = |newcomer: &Newcomer| {
                waiting.iter().filter(|other| other.peer.network() == newcomer.peer.network()).count()
            };
            // `max_by_key` returns the last maximum, which is the latest connection.
            let latest_of_most = (0..waiting.len()).max_by_key(|&at| count(&waiting[at])).unwrap_or(0);
            let refused = waiting.remove(latest_of_most);
            self.shared.counters.add(Count::Refused);
            self.log_eviction(&refused.peer, "refused");
        }
        self.retry_later(limits::FRESH);
    }

    /// Admits waiting connections while there is room, first come, first served.
    fn admit_waiting(&self) {
        let mut in_vain = Vec::new();
        loop {
            let next = {
                let waiting = self.waiting.borrow();
                let next = waiting.iter().position(|newcomer| !in_vain.contains(&newcomer.peer.network()));
                next.map(|at| (at, waiting[at].peer))
            };
            let Some((at, peer)) = next else { break };
            if self.make_room(&peer) {
                let newcomer = self.waiting.borrow_mut().remove(at);
                self.admit(newcomer);
            } else {
                in_vain.push(peer.network());
            }
        }
        if !in_vain.is_empty() {
            // Time alone may make an eviction possible.
            self.retry_later(limits::FRESH);
        }
    }

    /// Logs an eviction or refusal, at most once in a while: under attack there are thousands.
    fn log_eviction(&self, peer: &PeerAddr, what: &str) {
        let (next, left_out) = self.eviction_log.get();
        if self.shared.now() < next {
            self.eviction_log.set((next, left_out.saturating_add(1)));
            return;
        }
        self.eviction_log.set((self.shared.deadline(limits::EVICTION_LOG), 0));
        let max = self.max_connections.get();
        log::warn!(
            "{peer}: {what}: all {max} connections are in use (max_connections); {left_out} more since the last such line"
        );
    }

    // --- when to try again ------------------------------------------------------------------------

    fn retry_later(&self, after: Duration) {
        if !self.retrying.replace(true) {
            let when = self.shared.deadline(after);
            self.shared.runtime.timers.borrow_mut().insert(when, Due::Accept);
        }
    }

    /// Skips errors of single connections; pauses after others, such as a lack of descriptors or memory.
    fn accept_failed(&self, error: &io::Error) {
        match error.raw_os_error() {
            // Errors of one connection, not of the listener (accept(2)). A refusal by TLS has no number.
            None
            | Some(
                sys::ECONNABORTED
                | sys::EINTR
                | sys::EPERM
                | sys::EPROTO
                | sys::ENOPROTOOPT
                | sys::EOPNOTSUPP
                | sys::ENETDOWN
                | sys::ENETUNREACH
                | sys::EHOSTDOWN
                | sys::EHOSTUNREACH
                | sys::ENONET,
            ) => log::debug!("a connection was gone before it was accepted: {error}"),
            Some(_) => {
                // Not about any client.
                if self.shared.takes_log_line(&PeerAddr::Unix) {
                    log::warn!("cannot accept connections: {error}");
                }
                // The system ran out of something.
                self.endpoints.pause(true);
                let when = self.shared.deadline(limits::ACCEPT_PAUSE);
                self.shared.runtime.timers.borrow_mut().insert(when, Due::Accept);
            }
        }
    }

    /// Accepts again after a pause.
    pub(super) fn resume(&self) {
        if self.endpoints.is_paused() {
            self.endpoints.pause(false);
        }
        self.retrying.set(false);
    }

    // --- limits and the end -----------------------------------------------------------------------

    /// Accepts no more.
    pub(super) fn stop(&self) {
        self.endpoints.close_all();
        self.waiting.take();
    }

    /// Sets the limit of connections. Raises the descriptor limit for it, or lowers `count` to what the system allows.
    pub(super) fn fit_to_descriptors(&self, count: usize) {
        let mut count = count.min(MAX_SLOTS);
        // Each connection may hold a socket and a file.
        let wanted = (count as u64).saturating_mul(2).saturating_add(limits::RESERVED_DESCRIPTORS);
        match sys::raise_descriptor_limit(wanted) {
            Ok(allowed) => {
                let fit = allowed.saturating_sub(limits::RESERVED_DESCRIPTORS).max(1);
                let fit = usize::try_from(fit).unwrap_or(usize::MAX);
                if fit < count {
                    log::warn!("max_connections lowered from {count} to {fit}: {allowed} descriptors allowed");
                    count = fit;
                }
            }
            Err(error) => log::warn!("cannot read the descriptor limit: {error}"),
        }
        self.max_connections.set(count);
        #[cfg(feature = "http2")]
        self.shared.max_streams.set(count.saturating_mul(limits::STREAMS_A_CONNECTION));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::Source;
    use crate::{Connection, Options, Request, Server};
    use std::net::TcpStream;

    /// A listener that is added while accepting pauses is not reported again and again.
    #[test]
    fn a_pause_holds_for_new_listeners() {
        let handler = async |con: &mut Connection, _: &mut Request| con.send("hello").await;
        let mut server = Server::new(Options::new(), handler).unwrap();
        let emfile = 24;
        server.event_loop.acceptor.accept_failed(&io::Error::from_raw_os_error(emfile));
        let addr = server.bind("127.0.0.1", 0).unwrap();
        let _client = TcpStream::connect(addr).unwrap();
        let is_reported = || {
            let runtime = &server.event_loop.shared.runtime;
            runtime.wait(true, None).unwrap();
            let mut reported = false;
            runtime.reactor.dispatch(|source, _| reported |= matches!(source, Source::Listener(_)));
            reported
        };
        assert!(!is_reported());
        server.event_loop.acceptor.resume();
        assert!(is_reported());
    }
}
