//! The raw stream after `101 Switching Protocols` (RFC 9110 §7.8).

use super::conn::{Conn, Link, Recv, Send, Step, Want};
use super::core::Core;
use super::error::{Error, Result};
use crate::rt::Key;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A connection that speaks another protocol now; dropped, it is closed once what waits was sent.
pub struct Upgraded {
    core: Rc<Core>,
    conn: Rc<RefCell<Conn>>,
    key: Key,
}

impl Upgraded {
    pub(super) fn new(core: Rc<Core>, conn: Rc<RefCell<Conn>>, key: Key) -> Upgraded {
        Upgraded { core, conn, key }
    }

    /// Reads what has come, at most `buffer.len()` bytes, and waits for the first of them; 0 at the stream's end.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection broke.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| {
            self.renew_credit();
            self.conn.borrow_mut().poll_read_raw(&self.core, cx, buffer)
        })
        .await
    }

    /// Queues all of `data`; waits only while more than the high-water mark waits already.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection broke.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            poll_fn(|cx| {
                self.renew_credit();
                self.conn.borrow_mut().poll_room(cx)
            })
            .await?;
            let mut conn = self.conn.borrow_mut();
            let (piece, rest) = data.split_at(data.len().min(conn.room()));
            conn.work()?.output.push(piece);
            data = rest;
            drop(conn);
            // Written from a task of its own, nobody else would look at the connection.
            self.core.make_ready(self.key);
        }
        Ok(())
    }

    /// Asks for the connection's next turn when this one is spent: in a task of its own, nobody else does.
    fn renew_credit(&self) {
        if self.conn.borrow().credit == 0 {
            self.core.make_ready(self.key);
        }
    }

    /// Waits until all that was written is in the kernel's hands, then closes.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection broke before.
    pub async fn close(self) -> Result<()> {
        poll_fn(|cx| self.conn.borrow_mut().poll_flushed(cx)).await
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        let mut conn = self.conn.borrow_mut();
        if matches!(conn.link, Link::Upgraded) {
            conn.link = Link::Closing { discard: super::limits::LINGER_MAX };
            self.core.make_ready(self.key);
        }
    }
}

impl Conn {
    /// Leaves HTTP behind.
    pub(super) fn become_upgraded(&mut self) {
        self.link = Link::Upgraded;
        self.recv = Recv::Closed;
        self.send = Send::Done;
    }

    fn poll_read_raw(&mut self, core: &Core, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if !self.input.is_empty() {
            let bytes = self.input.bytes();
            let n = bytes.len().min(buffer.len());
            buffer[..n].copy_from_slice(&bytes[..n]);
            self.input.consume(n);
            return Poll::Ready(Ok(n));
        }
        if self.readable && self.credit == 0 {
            return self.let_others(cx);
        }
        while self.readable && !matches!(self.link, Link::Dead) {
            match self.read(core, buffer) {
                Ok(n) => {
                    self.spend(n);
                    // The end stays the end, however often it is asked for.
                    self.readable |= n == 0;
                    return Poll::Ready(Ok(n));
                }
                Err(Step::Close) => break,
                Err(_) if self.credit == 0 => return self.let_others(cx),
                Err(_) => {}
            }
        }
        if matches!(self.link, Link::Dead) {
            return Poll::Ready(Err(Error::Closed));
        }
        self.wait(Want::Read, cx);
        Poll::Pending
    }
}
