//! What the streams of one connection of HTTP/2 share, and what a request in flight has to do with it.

use crate::http::h2::{Code, Connection, Fault};
use crate::http::{Encoder, Frame, ResponseHead};
use crate::net::Origin;
use crate::rt::Key;
use std::cell::RefCell;
use std::rc::Rc;

/// The part that an [`InFlight`](super::request_memory::InFlight) has in a connection of HTTP/2.
#[derive(Default)]
pub(super) enum Role {
    /// None: it is of HTTP/1.
    #[default]
    None,
    /// It is the connection's own, and holds what the connection sends.
    Connection(Rc<RefCell<Mux>>),
    /// It is that of the stream with this number.
    Stream(Rc<RefCell<Mux>>, u32),
}

/// A connection of HTTP/2.
pub(super) struct Mux {
    /// The protocol. Each stream has its session as the tenant.
    pub(super) proto: Connection<Option<Key>>,
    /// The connection's session.
    pub(super) key: Option<Key>,
    pub(super) origin: Rc<Origin>,
    /// A request that needs a session.
    pub(super) opening: Option<Box<Opening>>,
    /// Sessions of streams that have ended.
    pub(super) closing: Vec<Key>,
    /// The connection is in the queue of those to drive, or being driven.
    pub(super) is_queued: bool,
    /// The client has half-closed the connection.
    pub(super) client_left: bool,
    /// No more is read or sent but what waits: there was an error.
    pub(super) is_over: bool,
    /// When the client last took some body, in milliseconds of the loop's clock.
    pub(super) moved: u64,
}

/// A request of a new stream.
pub(super) struct Opening {
    pub(super) stream: u32,
    /// Its head as one of HTTP/1.1.
    pub(super) text: Vec<u8>,
    /// It has no body.
    pub(super) ends: bool,
}

/// What the streams of a connection are doing.
pub(super) enum Busyness {
    /// There are none.
    Idle,
    /// All of them wait for the client to read.
    Blocked {
        since: u64,
    },
    Busy,
}

impl Mux {
    /// Ends all because of an error.
    pub(super) fn fail(&mut self, fault: Fault) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.proto.fail(fault);
        }
    }

    /// The sessions of all streams.
    pub(super) fn tenants(&self) -> Vec<Key> {
        self.proto.streams().iter().filter_map(|stream| stream.tenant).collect()
    }
}

impl Role {
    /// The connection's shared part, for the connection itself.
    pub(super) fn connection(&self) -> Option<&Rc<RefCell<Mux>>> {
        match self {
            Role::Connection(mux) => Some(mux),
            Role::None | Role::Stream(..) => None,
        }
    }

    /// Sends a response's head if this is a stream; returns whether it is.
    pub(super) fn send_head(&self, response: &ResponseHead, frame: &Frame, date_server: &[u8]) -> bool {
        let Role::Stream(mux, id) = self else { return false };
        let ends = matches!(frame.encoder, Encoder::Nothing | Encoder::Length { left: 0 });
        mux.borrow_mut().proto.send_head(*id, response, frame, date_server, ends);
        true
    }

    /// Sends `100 Continue` if this is a stream; returns whether it is.
    pub(super) fn send_continue(&self) -> bool {
        let Role::Stream(mux, id) = self else { return false };
        mux.borrow_mut().proto.send_continue(*id);
        true
    }

    /// What the streams of the connection are doing.
    pub(super) fn busyness(&self) -> Busyness {
        let Some(mux) = self.connection() else { return Busyness::Idle };
        let mux = mux.borrow();
        match mux.proto.streams() {
            [] => Busyness::Idle,
            streams if streams.iter().all(|stream| stream.blocked) => Busyness::Blocked { since: mux.moved },
            _ => Busyness::Busy,
        }
    }

    /// Opens no more streams. `in_the_middle`: the client did not finish what it began, and all ends at once.
    pub(super) fn give_up(&self, in_the_middle: bool) {
        let Some(mux) = self.connection() else { return };
        let mut mux = mux.borrow_mut();
        if in_the_middle {
            mux.fail(Fault::new(Code::None, "the client took too long"));
        } else {
            mux.proto.leave();
        }
    }
}
