//! What both directions of a WebSocket share: the stream, and whether it is closing.

use super::super::deadline_table::Timer;
use super::super::error::{Error, Result};
use super::super::http1::Phase;
use super::super::respond;
use super::super::upgrade::{self, Stream};
use super::super::waiter::Want;
use crate::websocket::{Opcode, close, frame, violation};
use std::cell::{Cell, RefCell};
use std::task::{Context, Poll};

/// An upgraded stream that carries frames. Each frame is queued as a whole, so frames of two tasks never mix.
#[derive(Debug)]
pub(super) struct Channel {
    stream: Stream,
    /// Since when our Close is on its way.
    closing: Cell<Option<u64>>,
    /// The payload of the handler's last ping, until that is answered.
    pub(super) pinged: RefCell<Option<Vec<u8>>>,
}

/// What has become of all that was sent, in bytes since some time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    /// What the client has received.
    pub(super) received: u64,
    /// All of it, with what still waits.
    pub(super) all: u64,
}

impl Channel {
    pub(super) fn new(stream: Stream) -> Channel {
        Channel { stream, closing: Cell::default(), pinged: RefCell::default() }
    }

    /// The loop's clock.
    pub(super) fn now(&self) -> u64 {
        self.stream.shared.now()
    }

    /// Since when our Close is on its way.
    pub(super) fn closing(&self) -> Option<u64> {
        self.closing.get()
    }

    // --- receiving ----------------------------------------------------------------------------------

    /// Passes received bytes to `take`, and keeps those that it does not use; false at the end of the stream.
    ///
    /// Reads into the loop's buffer, so an idle connection has none.
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

    /// Whether the kernel has announced no more input.
    pub(super) fn is_silent(&self) -> bool {
        !self.stream.http1.borrow().link.readable
    }

    /// Has the next read ask the kernel, whatever it has announced.
    pub(super) fn look_again(&self) {
        self.stream.http1.borrow_mut().link.readable = true;
    }

    // --- sending ------------------------------------------------------------------------------------

    /// Queues a frame, even above the high-water mark.
    ///
    /// # Errors
    /// [`Error::Closed`] after a Close, and if the connection has ended.
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

    /// Queues a Close, unless one was queued before.
    pub(super) fn close(&self, payload: &[u8]) {
        // If it can't be sent any more, it need not be.
        let _ = self.push(Opcode::Close, payload);
        if self.closing.get().is_none() {
            self.closing.set(Some(self.now()));
        }
    }

    /// If the server is stopping, tells the client.
    pub(super) fn close_if_stopping(&self) {
        if self.stream.shared.stopping() && self.closing.get().is_none() {
            self.close(&close::payload(violation::GOING_AWAY, "the server stops"));
        }
    }

    /// Whether less than the high-water mark is queued.
    pub(super) fn has_room(&self) -> bool {
        respond::room(&self.stream.http1.borrow()) > 0
    }

    /// Wakes the task when there is room.
    pub(super) fn wait_for_room(&self, cx: &Context<'_>) {
        self.stream.http1.borrow_mut().waiter.wait(Want::Room, cx);
    }

    /// Ready when less than the high-water mark is queued.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream.renew_credit();
        if self.closing.get().is_some() {
            return Poll::Ready(Err(Error::Closed));
        }
        respond::poll_room(&mut self.stream.http1.borrow_mut(), cx)
    }

    /// How much of the output the client has received.
    pub(super) fn delivery(&self) -> Delivery {
        let http1 = self.stream.http1.borrow();
        let Some(in_flight) = &http1.in_flight else { return Delivery::default() };
        let sent = in_flight.output.sent();
        // If the kernel can't tell, what it took counts as received.
        let queued = match http1.link.transport.queued() {
            u32::MAX => 0,
            queued => u64::from(queued),
        };
        Delivery { received: sent.saturating_sub(queued), all: sent.saturating_add(in_flight.output.mem() as u64) }
    }

    /// Ready when all output was passed to the kernel.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        respond::poll_flushed(&mut self.stream.http1.borrow_mut(), cx)
    }

    // --- the end ----------------------------------------------------------------------------------

    /// Nothing more will be received: the connection ends with the handler, though the writing half may be kept.
    /// `lost`: the client does not answer.
    pub(super) fn end(&self, lost: bool) {
        self.stream.end(lost);
    }

    // --- time -------------------------------------------------------------------------------------

    /// Wakes the reading task at this time, or sooner. An upgraded connection has no other use for this deadline.
    pub(super) fn wake_at(&self, when: u64) {
        let Stream { shared, http1, key } = &self.stream;
        let mut http1 = http1.borrow_mut();
        if when < http1.deadlines.get(Timer::Call) {
            http1.deadlines.set(Timer::Call, when);
            http1.make_ready(shared, *key);
        }
    }
}

/// A WebSocket that is dropped without a Close ends normally.
impl Drop for Channel {
    fn drop(&mut self) {
        self.close(&close::payload(violation::NORMAL, ""));
    }
}
