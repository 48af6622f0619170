//! The memory of a request in flight: its exchange and queued output.

#[cfg(feature = "http2")]
use super::mux::Role;
use super::pace::Pace;
#[cfg(feature = "stats")]
use super::tally::Tally;
use crate::buf::Output;
use crate::http::{self, Carry, Exchange, Persistence, SendError};
use crate::net::PeerAddr;
use std::fs::File;
use std::rc::Rc;

/// What a connection owns only while a request is in flight or output is queued.
///
/// The server keeps a few spares, so that requests allocate nothing.
#[derive(Default)]
pub(super) struct InFlight {
    pub(super) exchange: Exchange,
    pub(super) output: Output,
    /// The client that the request came from, if not the peer.
    pub(super) client: Option<PeerAddr>,
    /// Bytes received since the request's head.
    pub(super) received: u64,
    pub(super) pace: Pace,
    /// Bytes of output that were heads, not body.
    pub(super) head_bytes: u64,
    /// The smallest amount that the kernel was seen to hold for the client since it last accepted any of our bytes;
    /// initially the maximum.
    pub(super) queued: u32,
    /// Since when the client was not seen to read anything; valid while the write timeout runs.
    pub(super) still_since: u64,
    /// What the request is counted in, if not in the tally of its site.
    #[cfg(feature = "stats")]
    pub(super) tally: Option<Rc<Tally>>,
    /// Its part in a connection of HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) role: Role,
}

impl InFlight {
    /// Starts over for a request.
    pub(super) fn begin(&mut self, now: u64) {
        self.client = None;
        self.received = 0;
        #[cfg(feature = "stats")]
        if self.tally.is_some() {
            self.tally = None;
        }
        self.pace = Pace::new(now, self.output.sent());
    }

    /// Resets everything, but keeps buffers worth keeping.
    pub(super) fn clear(&mut self) {
        self.exchange.restart(0);
        self.output.clear();
        self.restart_count();
        #[cfg(feature = "http2")]
        {
            self.role = Role::None;
        }
    }

    /// Starts the byte counts of the access log over.
    pub(super) fn restart_count(&mut self) {
        self.output.restart_count();
        self.head_bytes = 0;
    }

    /// Bytes of body sent, with chunk framing.
    pub(super) fn body_bytes(&self) -> u64 {
        self.output.sent().saturating_sub(self.head_bytes)
    }

    /// Queues `100 Continue`.
    pub(super) fn push_continue(&mut self) {
        #[cfg(feature = "http2")]
        if self.role.send_continue() {
            return;
        }
        self.output.push(http::CONTINUE);
        self.head_bytes += http::CONTINUE.len() as u64;
    }

    /// Queues the response's head.
    pub(super) fn push_head(&mut self, frame: &http::Frame, persistence: Persistence, date_server: &[u8]) {
        #[cfg(feature = "http2")]
        if self.role.send_head(self.exchange.response(), frame, date_server) {
            return;
        }
        let before = self.output.mem();
        let response = self.exchange.response();
        self.output.push_with(|out| http::write_head(out, response, frame, persistence, date_server));
        self.head_bytes += (self.output.mem() - before) as u64;
    }

    /// Queues a piece of body; returns the number of bytes dropped instead.
    pub(super) fn push_body(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
        match self.exchange.carry(bytes.len() as u64)? {
            Carry::Plain => self.output.push(bytes),
            Carry::Chunk => self.push_chunk(bytes),
            Carry::Drop => return Ok(bytes.len()),
        }
        Ok(0)
    }

    /// Queues a piece of a file as body; returns the number of bytes dropped instead.
    pub(super) fn push_file(&mut self, file: Rc<File>, offset: u64, count: u64) -> Result<usize, SendError> {
        match self.exchange.carry(count)? {
            Carry::Plain => self.output.push_file(file, offset, count),
            Carry::Chunk => {
                self.output.push_with(|out| http::chunk_head(out, count));
                self.output.push_file(file, offset, count);
                self.output.push(http::CHUNK_END);
            }
            Carry::Drop => return Ok(usize::try_from(count).unwrap_or(usize::MAX)),
        }
        Ok(0)
    }

    /// Queues shared bytes as body, without a copy if possible; returns the number of bytes dropped instead.
    pub(super) fn push_shared(&mut self, bytes: Rc<[u8]>) -> Result<usize, SendError> {
        match self.exchange.carry(bytes.len() as u64)? {
            Carry::Plain => self.output.push_shared(bytes),
            Carry::Chunk => self.push_chunk(&bytes),
            Carry::Drop => return Ok(bytes.len()),
        }
        Ok(0)
    }

    fn push_chunk(&mut self, bytes: &[u8]) {
        self.output.push_with(|out| {
            http::chunk_head(out, bytes.len() as u64);
            out.extend_from_slice(bytes);
            out.extend_from_slice(http::CHUNK_END);
        });
    }
}
