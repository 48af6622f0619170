//! What both directions of a WebSocket share: the stream, and whether it closes.

use super::super::deadlines::Timer;
use super::super::error::{Error, Result};
use super::super::http1::Phase;
use super::super::respond;
use super::super::upgrade::{self, Stream};
use super::super::waiter::Want;
use crate::websocket::{Opcode, close, frame, violation};
use std::cell::Cell;
use std::task::{Context, Poll};

/// An upgraded stream that carries frames. Each is queued whole, so those of both directions never mix.
#[derive(Debug)]
pub(super) struct Channel {
    stream: Stream,
    /// Since when our Close is on its way.
    closing: Cell<Option<u64>>,
    /// The handler sent a ping that was not answered.
    pub(super) pinged: Cell<bool>,
    /// The peer does not answer: nobody is there to take what waits.
    pub(super) is_lost: Cell<bool>,
}

impl Channel {
    pub(super) fn new(stream: Stream) -> Channel {
        Channel { stream, closing: Cell::default(), pinged: Cell::default(), is_lost: Cell::default() }
    }

    /// The loop's clock.
    pub(super) fn now(&self) -> u64 {
        self.stream.shared.now()
    }

    /// Since when our Close is on its way.
    pub(super) fn closing(&self) -> Option<u64> {
        self.closing.get()
    }

    // --- bytes that come --------------------------------------------------------------------------

    /// Has `take` look at what has come, and keeps what it does not use; false at the stream's end.
    ///
    /// It reads into the loop's buffer, so a connection on which nothing comes has none.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>, take: &mut dyn FnMut(&[u8]) -> usize) -> Poll<Result<bool>> {
        self.stream.renew_credit();
        let (shared, http1) = (&self.stream.shared, &mut *self.stream.http1.borrow_mut());
        if !http1.input.is_empty() {
            let used = take(http1.input.bytes());
            http1.input.consume(used);
            return Poll::Ready(Ok(true));
        }
        let mut scratch = shared.scratch();
        let n = std::task::ready!(upgrade::poll_read(http1, shared, cx, &mut scratch))?;
        let came = &scratch[..n];
        let used = if n > 0 { take(came) } else { 0 };
        http1.input.push(&came[used..]);
        Poll::Ready(Ok(n > 0))
    }

    /// Whether the kernel has nothing more of the peer, as far as it told.
    pub(super) fn is_silent(&self) -> bool {
        !self.stream.http1.borrow().link.readable
    }

    // --- frames that go ---------------------------------------------------------------------------

    /// Queues a frame, whatever waits already.
    ///
    /// # Errors
    /// [`Error::Closed`] after a Close, and when the connection is over.
    pub(super) fn push(&self, opcode: Opcode, payload: &[u8]) -> Result<()> {
        let Stream { shared, http1, key } = &self.stream;
        let mut http1 = http1.borrow_mut();
        if self.closing.get().is_some() || http1.phase != Phase::Upgraded {
            return Err(Error::Closed);
        }
        let in_flight = http1.in_flight()?;
        shared.lend_output_memory(in_flight);
        in_flight.output.push_with(|out| frame::write(out, opcode, payload));
        http1.make_ready(shared, *key);
        Ok(())
    }

    /// Queues a Close, unless there was one.
    pub(super) fn close(&self, payload: &[u8]) {
        // What can't be sent any more need not be.
        let _ = self.push(Opcode::Close, payload);
        if self.closing.get().is_none() {
            self.closing.set(Some(self.now()));
        }
    }

    /// Tells the client that the server stops, if it does.
    pub(super) fn close_if_stopping(&self) {
        if self.stream.shared.stopping() && self.closing.get().is_none() {
            self.close(&close::payload(violation::GOING_AWAY, "the server stops"));
        }
    }

    /// Whether less than the high-water mark waits.
    pub(super) fn has_room(&self) -> bool {
        respond::room(&self.stream.http1.borrow()) > 0
    }

    /// Has the task woken when there is room.
    pub(super) fn wait_for_room(&self, cx: &Context<'_>) {
        self.stream.http1.borrow_mut().waiter.wait(Want::Room, cx);
    }

    /// Ready when less than the high-water mark waits.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream.renew_credit();
        if self.closing.get().is_some() {
            return Poll::Ready(Err(Error::Closed));
        }
        respond::poll_room(&mut self.stream.http1.borrow_mut(), cx)
    }

    /// Ready when all is in the hands of the kernel.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        respond::poll_flushed(&mut self.stream.http1.borrow_mut(), cx)
    }

    // --- time -------------------------------------------------------------------------------------

    /// Has whoever reads woken at this time, or sooner. An upgraded connection has no other use for this deadline.
    pub(super) fn wake_at(&self, when: u64) {
        let Stream { shared, http1, key } = &self.stream;
        let mut http1 = http1.borrow_mut();
        if when < http1.deadlines.get(Timer::Call) {
            http1.deadlines.set(Timer::Call, when);
            http1.make_ready(shared, *key);
        }
    }
}

/// Without a Close of its own, a WebSocket ends well.
impl Drop for Channel {
    fn drop(&mut self) {
        if self.is_lost.get() {
            let mut http1 = self.stream.http1.borrow_mut();
            http1.drop_client();
            http1.make_ready(&self.stream.shared, self.stream.key);
        } else {
            self.close(&close::payload(violation::NORMAL, ""));
        }
    }
}
