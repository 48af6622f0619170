//! The memory of a request in flight: its exchange, and the output that waits.

use super::pace::Pace;
use crate::buf::Output;
use crate::http::{self, Carry, Exchange, Persistence, SendError};
use crate::net::PeerAddr;
use std::fs::File;
use std::rc::Rc;

/// What a connection owns while a request is in flight or output waits, and only then.
///
/// The server keeps a few of them, so that requests allocate nothing.
#[derive(Default)]
pub(super) struct InFlight {
    pub(super) exchange: Exchange,
    pub(super) output: Output,
    /// Whom the request is of, if not of the peer.
    pub(super) client: Option<PeerAddr>,
    /// Bytes that came in since the request's head.
    pub(super) received: u64,
    pub(super) pace: Pace,
    /// Bytes of output that were no body: heads.
    pub(super) head_bytes: u64,
    /// The fewest bytes that the kernel was seen to hold for the client since it last took any of ours; at first as many
    /// as can be.
    pub(super) queued: u32,
    /// Since when the client was not seen to take anything; has a meaning while the write timeout runs.
    pub(super) still_since: u64,
}

impl InFlight {
    /// A request's head is complete, or what came can't be one.
    pub(super) fn begin(&mut self, now: u64) {
        self.client = None;
        self.received = 0;
        self.pace = Pace::new(now, self.output.sent());
    }

    /// Makes it as new, but keeps what memory is worth keeping.
    pub(super) fn clear(&mut self) {
        self.exchange.restart(0);
        self.output.clear();
        self.restart_count();
    }

    /// Counts from here on what the access log is told.
    pub(super) fn restart_count(&mut self) {
        self.output.restart_count();
        self.head_bytes = 0;
    }

    /// Bytes of body that left, with their chunk framing.
    pub(super) fn body_bytes(&self) -> u64 {
        self.output.sent().saturating_sub(self.head_bytes)
    }

    /// Queues the interim response that invites the body.
    pub(super) fn push_continue(&mut self) {
        self.output.push(http::CONTINUE);
        self.head_bytes += http::CONTINUE.len() as u64;
    }

    /// Queues the response's head.
    pub(super) fn push_head(&mut self, frame: &http::Frame, persistence: Persistence, date_server: &[u8]) {
        let before = self.output.mem();
        let response = self.exchange.response();
        self.output.push_with(|out| http::write_head(out, response, frame, persistence, date_server));
        self.head_bytes += (self.output.mem() - before) as u64;
    }

    /// Queues a piece of body; returns how many bytes were dropped instead.
    pub(super) fn push_body(&mut self, bytes: &[u8]) -> Result<usize, SendError> {
        match self.exchange.carry(bytes.len() as u64)? {
            Carry::Plain => self.output.push(bytes),
            Carry::Chunk => self.push_chunk(bytes),
            Carry::Drop => return Ok(bytes.len()),
        }
        Ok(0)
    }

    /// Queues a piece of a file as body; returns how many bytes were dropped instead.
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

    /// Queues shared bytes as body, without copying them where that can be; returns how many were dropped instead.
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
