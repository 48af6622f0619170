//! A connection to another server.

#[cfg(feature = "client-tls")]
use crate::net::tls::{ServerTrust, TlsClient};
use crate::rt::{AsyncFd, sleep};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long to wait before a Unix socket is tried again whose queue is full: nothing tells when it is not. Each time twice as
/// long, so that many that wait take little time of a server that is busy already.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);
const QUEUE_PAUSE_MAX: Duration = Duration::from_millis(160);

/// A connection to another server, over TCP or a Unix socket. Dropping it closes it.
///
/// Reading and writing are polled by one task. A write may succeed before it is known that the stream works.
pub struct Upstream {
    fd: AsyncFd<Socket>,
    /// The loop's turn in which it was read last.
    read_in: u32,
    #[cfg(feature = "client-tls")]
    tls: Option<TlsClient>,
}

impl Upstream {
    /// Connects to an address without blocking the loop.
    ///
    /// There is no timeout but the system's, which is minutes: see [`timeout`](crate::timeout).
    ///
    /// # Errors
    /// Those of connect(2).
    ///
    /// # Panics
    /// When polled outside of a handler or task of a running server.
    pub async fn tcp(addr: SocketAddr) -> io::Result<Upstream> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), None)?;
        socket.set_tcp_nodelay(true)?;
        Self::connect(socket, &addr.into()).await
    }

    /// Connects to a Unix socket. While the queue there is full, it tries again.
    ///
    /// # Errors
    /// Those of connect(2).
    ///
    /// # Panics
    /// As [`tcp`](Upstream::tcp).
    pub async fn unix(path: impl AsRef<Path>) -> io::Result<Upstream> {
        let addr = SockAddr::unix(path)?;
        let mut pause = QUEUE_PAUSE;
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
            match Self::connect(socket, &addr).await {
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(pause).await,
                connected => return connected,
            }
            pause = QUEUE_PAUSE_MAX.min(pause * 2);
        }
    }

    async fn connect(socket: Socket, addr: &SockAddr) -> io::Result<Upstream> {
        let begun = match socket.connect(addr) {
            Err(error) if error.raw_os_error() == Some(crate::sys::EINPROGRESS) => true,
            done => done.map(|()| false)?,
        };
        // Registered only now: epoll(7) reports a socket that does not connect yet as hung up.
        let fd = AsyncFd::new(socket)?;
        if begun {
            poll_fn(|cx| fd.readiness().write.poll(cx)).await;
            if let Some(error) = fd.get_ref().take_error()? {
                return Err(error);
            }
        }
        // Should that be wrong, the first write says so.
        fd.readiness().write.ready.set(true);
        Ok(Upstream {
            read_in: fd.turn(),
            fd,
            #[cfg(feature = "client-tls")]
            tls: None,
        })
    }

    /// Goes over to TLS with the server of that name or address.
    ///
    /// # Errors
    /// The name is not a host name or address; the server is not trusted, or does not speak TLS; errors of the stream.
    #[cfg(feature = "client-tls")]
    pub async fn with_tls(mut self, trust: &ServerTrust, name: &str) -> io::Result<Upstream> {
        self.tls = Some(TlsClient::new(trust, name)?);
        poll_fn(|cx| self.poll_handshake(cx)).await?;
        Ok(self)
    }

    /// Reads at most `buffer.len()` bytes; 0 at the stream's end. Pending while there is nothing.
    ///
    /// # Errors
    /// Those of recv(2); with TLS also an end without `close_notify`.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        #[cfg(feature = "client-tls")]
        if self.tls.is_some() {
            return self.poll_read_tls(cx, buffer);
        }
        self.read_in = self.fd.turn();
        poll_receive(&self.fd, cx, buffer.len(), |mut socket| socket.read(buffer))
    }

    /// Writes some of `bytes`, and returns how many. Pending while there is no room.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        #[cfg(feature = "client-tls")]
        if self.tls.is_some() {
            return self.poll_write_tls(cx, bytes);
        }
        poll_send(&self.fd, cx, |mut socket| socket.write(bytes))
    }

    /// Ends our direction once everything written has been passed to the kernel; the other side may still send.
    ///
    /// # Errors
    /// Those of send(2) and shutdown(2).
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(feature = "client-tls")]
        if self.tls.is_some() {
            ready!(self.poll_flush_tls(cx))?;
            if let Some(tls) = self.tls.as_mut().filter(|tls| !tls.closes()) {
                tls.close();
            }
            ready!(self.poll_flush_tls(cx))?;
        }
        #[cfg(not(feature = "client-tls"))]
        let _ = cx;
        Poll::Ready(self.fd.get_ref().shutdown(Shutdown::Write))
    }

    /// Whether nothing has come since the last read, not even the end: so it should be between two requests.
    ///
    /// Asks the system, as the loop may not know yet.
    pub fn is_quiet(&mut self) -> bool {
        #[cfg(feature = "client-tls")]
        if self.tls.as_mut().is_some_and(|tls| !is_blocked(tls.read(&mut [0]))) {
            return false;
        }
        is_blocked(self.fd.get_ref().peek(&mut [MaybeUninit::uninit()]))
    }

    /// The same, as far as the loop knows, which saves a system call: what has come since it last waited for events is not
    /// seen.
    pub fn seems_quiet(&mut self) -> bool {
        #[cfg(feature = "client-tls")]
        if self.tls.is_some() {
            return self.is_quiet();
        }
        let is_told = self.read_in != self.fd.turn() && !self.fd.readiness().read.ready.get();
        is_told || self.is_quiet()
    }

    #[cfg(feature = "client-tls")]
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush_tls(cx))?;
            let Some(tls) = self.tls.as_mut().filter(|tls| tls.is_handshaking()) else { return Poll::Ready(Ok(())) };
            match ready!(poll_receive(&self.fd, cx, 0, |mut socket| tls.receive(&mut socket))) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => {
                    // The server is told why; if that can't arrive, the end says enough.
                    let _ = self.poll_flush_tls(cx);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// Sends what waits.
    #[cfg(feature = "client-tls")]
    fn poll_flush_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            ready!(poll_send(&self.fd, cx, |mut socket| tls.send(&mut socket)))?;
        }
        Poll::Ready(Ok(()))
    }

    #[cfg(feature = "client-tls")]
    fn poll_read_tls(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            // What waits would not leave otherwise: who has written all may read only.
            if let Poll::Ready(Err(error)) = self.poll_flush_tls(cx) {
                return Poll::Ready(Err(error));
            }
            let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(0)) };
            match tls.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
            ready!(poll_receive(&self.fd, cx, 0, |mut socket| tls.receive(&mut socket)))?;
        }
    }

    #[cfg(feature = "client-tls")]
    fn poll_write_tls(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(0)) };
            let taken = tls.write(bytes)?;
            let flushed = self.poll_flush_tls(cx)?;
            if taken > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(taken));
            }
            ready!(flushed);
        }
    }
}

fn is_blocked(read: io::Result<usize>) -> bool {
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Tries to read until there is nothing; a read of fewer bytes than `room` shows that no more has come.
fn poll_receive(
    fd: &AsyncFd<Socket>,
    cx: &mut Context<'_>,
    room: usize,
    mut attempt: impl FnMut(&Socket) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    let readiness = fd.readiness();
    loop {
        ready!(readiness.read.poll(cx));
        match attempt(fd.get_ref()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => readiness.read.ready.set(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => {
                // epoll(7): with edge triggering a short read tells as much as EAGAIN. But not of a peer's end.
                let is_short = read.as_ref().is_ok_and(|read| (1..room).contains(read));
                if is_short && !readiness.peer_closed.get() {
                    readiness.read.ready.set(false);
                }
                return Poll::Ready(read);
            }
        }
    }
}

fn poll_send(
    fd: &AsyncFd<Socket>,
    cx: &mut Context<'_>,
    mut attempt: impl FnMut(&Socket) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    let readiness = fd.readiness();
    loop {
        ready!(readiness.write.poll(cx));
        match attempt(fd.get_ref()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => readiness.write.ready.set(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            written => return Poll::Ready(written),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(self.fd.get_ref()).finish()
    }
}
