//! Waiting for a descriptor to be ready.

use super::reactor::{Direction, Readiness};
use super::runtime::Runtime;
use super::slots::Key;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

/// A descriptor that a handler or task can await: a pipe of a child process, a socket, a pidfd.
///
/// The descriptor must be non-blocking and of a kind that epoll(7) supports (not a regular file). One reader and one
/// writer may wait at a time. It is deregistered when the value is dropped.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// # async fn demo() -> std::io::Result<()> {
/// let stream = UnixStream::connect("/run/service.sock")?;
/// stream.set_nonblocking(true)?;
/// let stream = ecohttpd::AsyncFd::new(stream)?;
/// let mut reply = [0; 512];
/// stream.write_with(|mut s| s.write(b"hello\n")).await?;
/// let n = stream.read_with(|mut s| s.read(&mut reply)).await?;
/// # let _ = n; Ok(()) }
/// ```
pub struct AsyncFd<T: AsFd> {
    io: T,
    key: Key,
    readiness: Rc<Readiness>,
    runtime: Rc<Runtime>,
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers `io` with the loop of this thread.
    ///
    /// # Errors
    /// Errors of epoll_ctl(2): `EPERM` for a regular file, `EEXIST` for a descriptor that is registered already.
    ///
    /// # Panics
    /// If called outside of a handler or task of a running server.
    pub fn new(io: T) -> io::Result<AsyncFd<T>> {
        let runtime = Runtime::current();
        let (key, readiness) = runtime.reactor.watch(io.as_fd().as_raw_fd())?;
        Ok(AsyncFd { io, key, readiness, runtime })
    }

    /// The wrapped value.
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Calls `attempt` when the descriptor is readable, until the result is not `WouldBlock`.
    ///
    /// # Errors
    /// Those of `attempt`.
    pub async fn read_with<R>(&self, attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.when(&self.readiness.read, attempt).await
    }

    /// Calls `attempt` when the descriptor is writable, until the result is not `WouldBlock`.
    ///
    /// # Errors
    /// Those of `attempt`.
    pub async fn write_with<R>(&self, attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.when(&self.readiness.write, attempt).await
    }

    /// What is known of the descriptor's readiness, for reads and writes that poll.
    #[cfg(feature = "client")]
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// The loop's turn: see [`Runtime::turn`].
    #[cfg(feature = "client")]
    pub(crate) fn turn(&self) -> u32 {
        self.runtime.turn()
    }

    async fn when<R>(&self, direction: &Direction, mut attempt: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        loop {
            poll_fn(|cx| direction.poll(cx)).await;
            match attempt(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => direction.ready.set(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(&self.io).finish()
    }
}

impl<T: AsFd> Drop for AsyncFd<T> {
    fn drop(&mut self) {
        self.runtime.reactor.unwatch(self.io.as_fd().as_raw_fd(), self.key);
    }
}
