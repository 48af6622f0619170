//! The byte stream under a connection: transport, readiness, reading and flushing. It knows no HTTP.

use super::counters::Traffic;
use super::limits;
use crate::buf::{Drained, Output, Sink};
use crate::net::{PeerAddr, Transport};
use crate::rt::Edges;
use std::io;

/// One connected stream and what is known about its readiness.
pub(super) struct Link {
    pub(super) transport: Transport,
    pub(super) peer: PeerAddr,
    /// Our address, once asked for. Boxed, as few connections need it.
    local: Option<Box<PeerAddr>>,
    /// Sticky hints, cleared only by `WouldBlock` or a short read or write.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer half-closed: even a short read does not mean that the socket is drained.
    pub(super) peer_closed: bool,
    /// Its events are reported. That starts when it has to wait for the first time.
    pub(super) is_watched: bool,
    /// Bytes that may still pass in this turn before the handler yields.
    pub(super) credit: usize,
    pub(super) traffic: Traffic,
}

/// The result of a flush.
pub(super) struct Flushed {
    pub(super) drained: Drained,
    /// Whether any byte left.
    pub(super) moved: bool,
}

impl Link {
    pub(super) fn new(transport: Transport, peer: PeerAddr) -> Link {
        Link {
            transport,
            peer,
            local: None,
            // Most clients have sent something by now. If not, the first read says so.
            readable: true,
            // A fresh socket's buffer is empty. If not, the first write says so.
            writable: true,
            peer_closed: false,
            is_watched: false,
            credit: limits::TURN,
            traffic: Traffic::default(),
        }
    }

    /// Our address. The system is asked once per connection.
    pub(super) fn local_addr(&mut self) -> io::Result<PeerAddr> {
        if let Some(local) = &self.local {
            return Ok(**local);
        }
        let local = self.transport.local_addr()?;
        self.local = Some(Box::new(local));
        Ok(local)
    }

    /// Records an event. Returns true the first time that the peer is known to have half-closed.
    pub(super) fn notice(&mut self, edges: Edges) -> bool {
        self.readable |= edges.readable;
        self.writable |= edges.writable;
        edges.read_closed && !std::mem::replace(&mut self.peer_closed, true)
    }

    /// Reads what has arrived. A short read means that the socket is empty.
    ///
    /// # Errors
    /// Those of the transport. After `ResourceBusy` the turn is over.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.transport.read(buffer);
        match &read {
            // epoll(7): with edge triggering a short read means the same as EAGAIN, except for the peer's half-close.
            Ok(n) => {
                self.traffic.receive(*n);
                self.readable = *n == buffer.len() || *n > 0 && (self.peer_closed || self.transport.has_more());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            // The tick has done its share of handshakes: this one continues in the next.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => self.credit = 0,
            Err(_) => {}
        }
        read
    }

    /// Sends queued output, as much as the transport and this turn allow.
    ///
    /// # Errors
    /// Those of the transport; `UnexpectedEof` when a file is shorter than promised.
    pub(super) fn flush(&mut self, output: Option<&mut Output>) -> io::Result<Flushed> {
        let flushed = match output {
            Some(output) => {
                let before = output.sent();
                let drained = output.drain(&mut self.transport, limits::FLUSH_BUDGET);
                let sent = output.sent() - before;
                // Also what went before an error.
                self.traffic.send(sent);
                Flushed { drained: drained?, moved: sent > 0 }
            }
            None => {
                let all = self.transport.flush()?;
                Flushed { drained: if all { Drained::Empty } else { Drained::Blocked }, moved: false }
            }
        };
        if flushed.drained != Drained::Empty {
            self.writable = flushed.drained == Drained::Budget;
            if self.writable {
                self.credit = 0;
            }
        }
        Ok(flushed)
    }

    /// Counts bytes that passed without a wait.
    pub(super) fn spend(&mut self, n: usize) {
        self.credit = self.credit.saturating_sub(n);
    }
}
