//! What a server is doing, for those who watch it.

use super::counters::{Count, Traffic};
use super::event_loop::EventLoop;
use super::http1::{Http1, Phase, Unlogged};
#[cfg(feature = "http2")]
use super::mux::Role;
use super::tally::Tally;
use super::waiter::Want;
use crate::http::CloseReason;
use crate::net::PeerAddr;
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use crate::rt::{Key, LAG_BOUNDS};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Watches a [`Server`](crate::Server): what happened so far, and its connections. Clones watch the same server.
///
/// Once the server is gone, there is nothing to see: all numbers are zero, and no connection is found.
#[derive(Clone)]
pub struct Monitor(pub(super) Weak<EventLoop>);

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// What a server has done since it was made, and does now.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections now, by [`ConnectionState`] in the order of its variants.
    pub states: [usize; ConnectionState::ALL.len()],
    /// Connections there may be at once.
    pub max_connections: usize,
    /// How many of the connections are encrypted.
    pub tls: usize,
    /// How many speak HTTP/2.
    pub http2: usize,
    /// Connections accepted so far.
    pub accepted: u64,
    /// Connections closed because there was no room for them.
    pub refused: u64,
    /// Requests so far by the class of their status: the first is 1xx, the last 5xx.
    pub requests: [u64; 5],
    /// Bytes received so far, without those of TLS itself.
    pub received: u64,
    /// Bytes sent so far, without those of TLS itself.
    pub sent: u64,
    /// TLS handshakes of all servers of this thread so far: full ones, resumed ones, and those that failed.
    pub handshakes: [u64; 3],
    /// Files sent that were held ready since an earlier request.
    pub file_hits: u64,
    /// Files that were loaded for a request.
    pub file_misses: u64,
    /// Turns of the loop so far, by how long they took: up to 1, 5, 20, 50, 100, 500 and 2000 milliseconds, and longer.
    /// Meanwhile no other connection is served.
    pub turns: [u64; LAG_BOUNDS.len() + 1],
    /// How long all those turns took together; each is rounded to milliseconds.
    pub turn_time: Duration,
}

impl Stats {
    /// The upper bounds of [`turns`](Stats::turns) in milliseconds. The last of the turns have none.
    pub const TURN_BOUNDS: [u16; LAG_BOUNDS.len()] = LAG_BOUNDS;

    /// Connections now.
    pub fn open(&self) -> usize {
        self.states.iter().sum()
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It waits for a request.
    Idle,
    /// A request's head or body is being read.
    Reading,
    /// A handler is at work.
    Handling,
    /// A response waits to be sent.
    Writing,
    /// A TLS handshake is in progress.
    Handshaking,
    /// It is being closed.
    Closing,
}

impl ConnectionState {
    /// All of them.
    pub const ALL: [ConnectionState; 6] = [
        ConnectionState::Idle,
        ConnectionState::Reading,
        ConnectionState::Handling,
        ConnectionState::Writing,
        ConnectionState::Handshaking,
        ConnectionState::Closing,
    ];
}

/// One connection, as it is at the moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number: the first connection that the server accepted has 1. After 2^32 - 1 they begin again with 0.
    pub id: u64,
    /// The peer: behind a proxy, the proxy.
    pub peer: PeerAddr,
    /// What its request is counted in: see [`Options::tally`](crate::Options::tally).
    pub tally: Option<Rc<Tally>>,
    /// What it is doing.
    pub state: ConnectionState,
    /// Whether it is encrypted.
    pub is_tls: bool,
    /// Whether it speaks HTTP/2.
    pub is_http2: bool,
    /// How long it has been open, in whole seconds.
    pub age: Duration,
    /// Method and target of the request in progress, as sent; empty between requests. Of several on a connection of
    /// HTTP/2 it is any one.
    pub request: String,
    /// Requests in progress.
    pub requests: usize,
    /// Bytes received, without those of TLS itself.
    pub received: u64,
    /// Bytes sent, without those of TLS itself.
    pub sent: u64,
}

impl Monitor {
    /// What the server has done and does.
    pub fn stats(&self) -> Stats {
        let Some(event_loop) = self.0.upgrade() else { return Stats::default() };
        let shared = &event_loop.shared;
        let mut stats = Stats {
            max_connections: event_loop.acceptor.max_connections.get(),
            accepted: shared.counters.get(Count::Accepted),
            refused: shared.counters.get(Count::Refused),
            requests: shared.counters.requests.classes(),
            file_hits: shared.counters.get(Count::FileHit),
            file_misses: shared.counters.get(Count::FileMiss),
            turns: shared.runtime.lag.buckets(),
            turn_time: Duration::from_millis(shared.runtime.lag.millis()),
            ..Stats::default()
        };
        #[cfg(feature = "tls")]
        {
            stats.handshakes = TlsContext::handshakes();
        }
        let mut traffic = shared.counters.closed.get();
        event_loop.each_connection(&mut |_, http1| {
            stats.states[state(http1) as usize] += 1;
            stats.tls += usize::from(http1.link.transport.is_tls());
            stats.http2 += usize::from(is_http2(http1));
            traffic = traffic.plus(http1.link.traffic);
        });
        (stats.received, stats.sent) = (traffic.received, traffic.sent);
        stats
    }

    /// The connections, in no particular order.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let mut found = Vec::new();
        let Some(event_loop) = self.0.upgrade() else { return found };
        let now = event_loop.shared.now();
        let mut keys = Vec::new();
        event_loop.each_connection(&mut |key, http1| {
            keys.push(key);
            found.push(info(http1, now));
        });
        event_loop.each_stream(&mut |parent, http1| {
            let at = keys.iter().position(|key| *key == parent);
            if let Some(connection) = at.and_then(|at| found.get_mut(at)) {
                connection.requests += 1;
                connection.request = request(http1);
                connection.tally = tally(http1);
            }
        });
        found
    }

    /// Closes the connection of that number, whatever it is doing; false if no connection has it. What was sent so far must not
    /// look complete, so its client sees a reset.
    pub fn close(&self, id: u64) -> bool {
        let Some(event_loop) = self.0.upgrade() else { return false };
        let mut wanted = None;
        event_loop.each_connection(&mut |key, http1| {
            if u64::from(http1.number) == id {
                wanted = Some(key);
            }
        });
        let Some(key) = wanted else { return false };
        let table = event_loop.sessions.table.borrow();
        let Some(Ok(mut http1)) = table.get(key).map(|session| session.http1.try_borrow_mut()) else { return false };
        if state(&http1) != ConnectionState::Idle {
            http1.must_close(CloseReason::Evicted);
            http1.link.transport.reset_on_close();
        }
        // The loop closes it in this turn or the next: it may be that of the handler that asks for this.
        http1.phase = Phase::Dead;
        http1.make_ready(&event_loop.shared, key);
        event_loop.shared.runtime.wakes.rouse();
        true
    }

    /// Whether the server is stopping, or gone.
    pub fn is_stopping(&self) -> bool {
        self.0.upgrade().is_none_or(|event_loop| event_loop.shared.stopping())
    }
}

impl EventLoop {
    /// Passes each connection on. One that is in use at the moment is left out: no handler runs meanwhile.
    fn each_connection(&self, visit: &mut dyn FnMut(Key, &Http1)) {
        for (key, session) in self.sessions.table.borrow().iter() {
            if let Ok(http1) = session.http1.try_borrow()
                && !http1.phase.is_stream()
            {
                visit(key, &http1);
            }
        }
    }

    /// Passes each stream of HTTP/2 on, with the key of its connection.
    fn each_stream(&self, visit: &mut dyn FnMut(Key, &Http1)) {
        for (_, session) in self.sessions.table.borrow().iter() {
            if let Ok(http1) = session.http1.try_borrow()
                && let Some(parent) = parent_of(&http1)
            {
                visit(parent, &http1);
            }
        }
    }
}

fn info(http1: &Http1, now: u64) -> ConnectionInfo {
    let Traffic { received, sent } = http1.link.traffic;
    let request = request(http1);
    ConnectionInfo {
        id: http1.number.into(),
        peer: http1.link.peer,
        tally: tally(http1),
        state: state(http1),
        is_tls: http1.link.transport.is_tls(),
        is_http2: is_http2(http1),
        age: Duration::from_secs((now / 1000).saturating_sub(http1.opened.into())),
        requests: usize::from(!request.is_empty()),
        request,
        received,
        sent,
    }
}

fn state(http1: &Http1) -> ConnectionState {
    if http1.link.transport.is_handshaking() {
        return ConnectionState::Handshaking;
    }
    match http1.phase {
        Phase::Closing { .. } | Phase::Delivering { .. } | Phase::Linger { .. } | Phase::Dead => {
            ConnectionState::Closing
        }
        _ if http1.has_output() => ConnectionState::Writing,
        _ if has_streams(http1) => ConnectionState::Handling,
        _ if is_http2(http1) || http1.waits_for_request() => ConnectionState::Idle,
        _ if http1.waiter.wants(Want::Read) || !has_request(http1) => ConnectionState::Reading,
        _ => ConnectionState::Handling,
    }
}

#[cfg(feature = "http2")]
fn is_http2(http1: &Http1) -> bool {
    http1.phase == Phase::Http2
}

/// Whether it is a connection of HTTP/2 with streams.
#[cfg(feature = "http2")]
fn has_streams(http1: &Http1) -> bool {
    let role = http1.in_flight.as_ref().map(|in_flight| &in_flight.role);
    let Some(Role::Connection(mux)) = role else { return false };
    // One that can't be borrowed is being driven.
    mux.try_borrow().map_or(true, |mux| !mux.proto.streams().is_empty())
}

/// The connection of a stream of HTTP/2.
#[cfg(feature = "http2")]
fn parent_of(http1: &Http1) -> Option<Key> {
    match &http1.in_flight.as_ref()?.role {
        Role::Stream(mux, _) => mux.try_borrow().ok()?.key,
        Role::Connection(_) | Role::None => None,
    }
}

#[cfg(not(feature = "http2"))]
fn is_http2(_: &Http1) -> bool {
    false
}

#[cfg(not(feature = "http2"))]
fn has_streams(_: &Http1) -> bool {
    false
}

#[cfg(not(feature = "http2"))]
fn parent_of(_: &Http1) -> Option<Key> {
    None
}

/// Whether a request was read and is not answered yet.
fn has_request(http1: &Http1) -> bool {
    http1.unlogged == Unlogged::Exchange || http1.phase == Phase::Upgraded
}

fn request(http1: &Http1) -> String {
    match &http1.in_flight {
        Some(in_flight) if has_request(http1) => {
            let head = in_flight.exchange.head();
            [head.method(), " ", head.target()].concat()
        }
        _ => String::new(),
    }
}

fn tally(http1: &Http1) -> Option<Rc<Tally>> {
    let own = http1.in_flight.as_ref().and_then(|in_flight| in_flight.tally.clone());
    own.or_else(|| http1.options().tally.clone())
}
