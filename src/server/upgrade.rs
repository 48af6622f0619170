//! The raw stream after `101 Switching Protocols` (RFC 9110 §7.8).

use super::error::{Error, Result};
use super::http1::{Http1, Phase, Step};
use super::limits;
use super::respond::{self, yield_now};
use super::shared::Shared;
use super::waiter::Want;
use crate::rt::Key;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A connection that has switched to another protocol. When dropped, it sends queued output and closes.
pub struct Upgraded {
    shared: Rc<Shared>,
    http1: Rc<RefCell<Http1>>,
    key: Key,
}

impl Upgraded {
    pub(super) fn new(shared: Rc<Shared>, http1: Rc<RefCell<Http1>>, key: Key) -> Upgraded {
        Upgraded { shared, http1, key }
    }

    /// Reads at most `buffer.len()` bytes, and waits for the first of them; 0 at the end of the stream.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection is broken.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| {
            self.renew_credit();
            poll_read(&mut self.http1.borrow_mut(), &self.shared, cx, buffer)
        })
        .await
    }

    /// Queues all of `data`; waits only while more than the high-water mark is queued.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection is broken.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            poll_fn(|cx| {
                self.renew_credit();
                respond::poll_room(&mut self.http1.borrow_mut(), cx)
            })
            .await?;
            let mut http1 = self.http1.borrow_mut();
            let (piece, rest) = data.split_at(data.len().min(respond::room(&http1)));
            http1.in_flight()?.output.push(piece);
            data = rest;
            // In a task of its own, nothing else would drive the connection.
            http1.make_ready(&self.shared, self.key);
        }
        Ok(())
    }

    /// Asks for another turn when this one is used up: in a task of its own, nothing else would.
    fn renew_credit(&self) {
        let mut http1 = self.http1.borrow_mut();
        if http1.link.credit == 0 {
            http1.make_ready(&self.shared, self.key);
        }
    }

    /// Waits until all output was handed to the kernel, then closes.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection broke before.
    pub async fn close(self) -> Result<()> {
        poll_fn(|cx| respond::poll_flushed(&mut self.http1.borrow_mut(), cx)).await
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        let mut http1 = self.http1.borrow_mut();
        if http1.phase == Phase::Upgraded {
            http1.phase = Phase::Closing { discard: limits::LINGER_MAX };
            http1.make_ready(&self.shared, self.key);
        }
    }
}

/// Takes the connection away from HTTP.
pub(super) fn begin(http1: &mut Http1) -> Result<()> {
    http1.in_flight()?.exchange.hand_over();
    http1.phase = Phase::Upgraded;
    Ok(())
}

/// One step of a connection that speaks another protocol.
pub(super) fn step(http1: &mut Http1, shared: &Shared) -> Step {
    match http1.flush(shared) {
        Ok(false) if http1.link.writable => return Step::Again,
        Ok(_) => {}
        Err(step) => return step,
    }
    if http1.link.readable && http1.waiter.wants(Want::Read) {
        http1.wake();
    }
    Step::Park
}

fn poll_read(http1: &mut Http1, shared: &Shared, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
    if !http1.input.is_empty() {
        let bytes = http1.input.bytes();
        let n = bytes.len().min(buffer.len());
        buffer[..n].copy_from_slice(&bytes[..n]);
        http1.input.consume(n);
        return Poll::Ready(Ok(n));
    }
    if http1.link.readable && http1.link.credit == 0 {
        return yield_now(cx);
    }
    while http1.link.readable && http1.phase != Phase::Dead {
        match http1.read(shared, buffer) {
            Ok(n) => {
                http1.link.spend(n);
                // A later read must find the end, too.
                http1.link.readable |= n == 0;
                return Poll::Ready(Ok(n));
            }
            Err(Step::Close) => break,
            Err(_) if http1.link.credit == 0 => return yield_now(cx),
            Err(_) => {}
        }
    }
    if http1.phase == Phase::Dead {
        return Poll::Ready(Err(Error::Closed));
    }
    http1.waiter.wait(Want::Read, cx);
    Poll::Pending
}
