//! The raw stream after `101 Switching Protocols` (RFC 9110 §7.8).

use super::error::{Error, Result};
use super::http1::{Http1, Phase, Step};
use super::limits;
use super::respond::{self, another_turn};
use super::shared::Shared;
use super::waiter::Want;
use crate::rt::Key;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A connection that speaks another protocol now. Dropping it sends what was written, and then closes it.
#[derive(Debug)]
pub struct Upgraded(Stream);

impl Upgraded {
    pub(super) fn new(shared: Rc<Shared>, http1: Rc<RefCell<Http1>>, key: Key) -> Upgraded {
        Upgraded(Stream { shared, http1, key })
    }

    /// The connection underneath, for protocols of the library itself.
    #[cfg(feature = "websocket")]
    pub(super) fn into_stream(self) -> Stream {
        self.0
    }

    /// Reads at most `buffer.len()` bytes, and waits for the first of them; 0 at the end of the stream.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection is broken.
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| self.0.poll_read(cx, buffer)).await
    }

    /// Queues all of `data`; waits only while more than the high-water mark is queued.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection is broken.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<()> {
        poll_fn(|cx| self.0.poll_write_all(cx, &mut data)).await
    }

    /// Reads at most `buffer.len()` bytes; 0 at the stream's end. Pending while there is nothing.
    ///
    /// For a relay, which waits for both directions at once in one task.
    ///
    /// # Errors
    /// Those of [`read`](Upgraded::read).
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.0.poll_read(cx, buffer)
    }

    /// Queues as much of `data` as there is room for, and returns how much. Pending while there is no room.
    ///
    /// # Errors
    /// Those of [`write_all`](Upgraded::write_all).
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let mut left = data;
        match self.0.poll_write_all(cx, &mut left) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if left.len() == data.len() => Poll::Pending,
            _ => Poll::Ready(Ok(data.len() - left.len())),
        }
    }

    /// Ready when the connection is broken, as by a reset. Until then the task is woken when that happens.
    pub fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut http1 = self.0.http1.borrow_mut();
        if http1.phase == Phase::Dead {
            return Poll::Ready(());
        }
        http1.waiter.wait_for_end(cx);
        Poll::Pending
    }

    /// Ends our direction once everything written has been passed to the kernel; the client may still send.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection broke before.
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        std::task::ready!(self.0.poll_flushed(cx))?;
        let shut = self.0.http1.borrow_mut().link.transport.shutdown_write(true);
        Poll::Ready(shut.map_err(|_| Error::Closed))
    }

    /// Waits until everything written has been passed to the kernel, and closes.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection broke before.
    pub async fn close(self) -> Result<()> {
        poll_fn(|cx| self.0.poll_flushed(cx)).await
    }

    /// Splits the stream into two halves, to read and write at once. They may be used in one task or in two.
    ///
    /// The connection closes when both halves are dropped.
    ///
    /// ```no_run
    /// # async fn demo(con: &mut ecohttpd::Connection) -> ecohttpd::Result<()> {
    /// let (mut reader, mut writer) = con.upgrade().await?.split();
    /// let ticker = ecohttpd::spawn(async move {
    ///     while writer.write_all(b"tick\n").await.is_ok() {
    ///         ecohttpd::sleep(std::time::Duration::from_secs(1)).await;
    ///     }
    /// });
    /// let mut buffer = [0; 512];
    /// while reader.read(&mut buffer).await? > 0 {}
    /// drop(ticker);
    /// # Ok(()) }
    /// ```
    pub fn split(self) -> (UpgradedReader, UpgradedWriter) {
        let stream = Rc::new(self.0);
        let waiting = Arc::new(Waiting::default());
        let half = |side| Half { stream: Rc::clone(&stream), waiting: Arc::clone(&waiting), side };
        (UpgradedReader(half(Side::Reader)), UpgradedWriter(half(Side::Writer)))
    }
}

/// The half of an [`Upgraded`] that reads.
#[derive(Debug)]
pub struct UpgradedReader(Half);

impl UpgradedReader {
    /// Reads as [`Upgraded::read`] does.
    ///
    /// # Errors
    /// Those of [`Upgraded::read`].
    pub async fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        poll_fn(|cx| self.0.poll(cx, |stream, cx| stream.poll_read(cx, buffer))).await
    }
}

/// The half of an [`Upgraded`] that writes.
#[derive(Debug)]
pub struct UpgradedWriter(Half);

impl UpgradedWriter {
    /// Writes as [`Upgraded::write_all`] does.
    ///
    /// # Errors
    /// Those of [`Upgraded::write_all`].
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<()> {
        poll_fn(|cx| self.0.poll(cx, |stream, cx| stream.poll_write_all(cx, &mut data))).await
    }

    /// Waits until everything written has been passed to the kernel.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection broke before.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.0.poll(cx, |stream, cx| stream.poll_flushed(cx))).await
    }
}

#[derive(Debug)]
struct Half {
    stream: Rc<Stream>,
    waiting: Arc<Waiting>,
    side: Side,
}

/// One of two halves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Reader,
    Writer,
}

impl Half {
    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&Stream, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        self.waiting.poll(self.side, cx, |cx| poll(&self.stream, cx))
    }
}

/// The wakers of the halves that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<[Option<Waker>; 2]>);

impl Waiting {
    /// Polls the stream, which knows one waker, with one that wakes both halves.
    pub(super) fn poll<T>(
        self: &Arc<Self>,
        side: Side,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.set(side, Some(cx.waker().clone()));
        let polled = poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))));
        if polled.is_ready() {
            self.set(side, None);
        }
        polled
    }

    fn set(&self, side: Side, waker: Option<Waker>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[side as usize] = waker;
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        // The lock is free again when they are called.
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// What both halves share.
pub(super) struct Stream {
    pub(super) shared: Rc<Shared>,
    pub(super) http1: Rc<RefCell<Http1>>,
    pub(super) key: Key,
}

impl Stream {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.renew_credit();
        poll_read(&mut self.http1.borrow_mut(), &self.shared, cx, buffer)
    }

    /// Queues `data` piece by piece, and shortens it to what is left.
    fn poll_write_all(&self, cx: &mut Context<'_>, data: &mut &[u8]) -> Poll<Result<()>> {
        while !data.is_empty() {
            self.renew_credit();
            let mut http1 = self.http1.borrow_mut();
            std::task::ready!(respond::poll_room(&mut http1, cx))?;
            let (piece, rest) = data.split_at(data.len().min(respond::room(&http1)));
            http1.in_flight()?.output.push(piece);
            *data = rest;
            // In a task of its own, nothing else would drive the connection.
            http1.make_ready(&self.shared, self.key);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        respond::poll_flushed(&mut self.http1.borrow_mut(), cx)
    }

    /// Asks for the connection's next turn if this one is used up. If a task of its own has the stream, nobody else does.
    pub(super) fn renew_credit(&self) {
        let mut http1 = self.http1.borrow_mut();
        if http1.link.credit == 0 {
            http1.make_ready(&self.shared, self.key);
        }
    }

    /// The other protocol has ended: the connection ends when no handler runs, though somebody may own the stream.
    #[cfg(feature = "websocket")]
    pub(super) fn end(&self, lost: bool) {
        let mut http1 = self.http1.borrow_mut();
        if http1.phase == Phase::Upgraded {
            http1.phase = Phase::Ended { lost };
            // A half may wait to write.
            http1.wake();
            http1.make_ready(&self.shared, self.key);
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut http1 = self.http1.borrow_mut();
        match http1.phase {
            Phase::Upgraded => http1.phase = Phase::Closing { discard: limits::LINGER_MAX },
            #[cfg(feature = "websocket")]
            Phase::Ended { lost } => {
                end(&mut http1, lost);
            }
            _ => return,
        }
        http1.make_ready(&self.shared, self.key);
    }
}

/// Takes the connection away from HTTP.
pub(super) fn begin(http1: &mut Http1) -> Result<()> {
    http1.in_flight()?.exchange.hand_over();
    http1.phase = Phase::Upgraded;
    Ok(())
}

/// Ends the connection after another protocol has ended.
#[cfg(feature = "websocket")]
pub(super) fn end(http1: &mut Http1, lost: bool) -> Step {
    if lost {
        http1.drop_client();
    } else {
        http1.phase = Phase::Closing { discard: limits::LINGER_MAX };
    }
    Step::Again
}

/// One step of a connection that speaks another protocol.
pub(super) fn step(http1: &mut Http1, shared: &Shared) -> Step {
    match http1.flush(shared) {
        Ok(false) if http1.link.writable => return Step::Again,
        Ok(_) => {}
        Err(step) => return step,
    }
    #[cfg(feature = "websocket")]
    if let Some(in_flight) = &mut http1.in_flight {
        shared.take_output_memory(in_flight);
    }
    if http1.link.readable && http1.waiter.wants(Want::Read) {
        http1.wake();
    }
    Step::Park
}

pub(super) fn poll_read(
    http1: &mut Http1,
    shared: &Shared,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<Result<usize>> {
    if !http1.input.is_empty() {
        let bytes = http1.input.bytes();
        let n = bytes.len().min(buffer.len());
        buffer[..n].copy_from_slice(&bytes[..n]);
        http1.input.consume(n);
        return Poll::Ready(Ok(n));
    }
    if http1.link.readable && http1.link.credit == 0 {
        return another_turn(cx);
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
            Err(_) if http1.link.credit == 0 => return another_turn(cx),
            Err(_) => {}
        }
    }
    if http1.phase == Phase::Dead {
        return Poll::Ready(Err(Error::Closed));
    }
    http1.waiter.wait(Want::Read, cx);
    Poll::Pending
}
