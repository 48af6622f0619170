//! The byte stream under a connection.

use super::PeerAddr;
#[cfg(feature = "http2")]
use super::pipe::Pipe;
#[cfg(feature = "tls")]
use super::tls::Tls;
use crate::buf::Sink;
use crate::sys;
use mio::net::{TcpStream, UnixStream};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;
#[cfg(test)]
use std::{cell::RefCell, collections::VecDeque, rc::Rc};

/// Bytes in the kernel's queue beside which there is room for a record of TLS and an alert: the least buffer has 46 KB.
#[cfg(feature = "ktls")]
const FEW: u32 = 4 << 10;

/// A connected stream socket. Its methods hide the differences between kinds of stream.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Tls),
    /// A stream of HTTP/2. Boxed, so that other connections stay small.
    #[cfg(feature = "http2")]
    Stream(Box<Pipe>),
    #[cfg(test)]
    Simulated(Rc<RefCell<Wire>>),
}

impl Transport {
    pub(crate) fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Transport::Tcp(stream) => stream,
            Transport::Unix(stream) => stream,
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.stream_mut(),
            #[cfg(feature = "http2")]
            Transport::Stream(_) => unreachable!("no event source"),
            #[cfg(test)]
            Transport::Simulated(_) => Box::leak(Box::new(Unwatched)),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.read(buffer),
            Transport::Unix(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.read(buffer),
            // Bodies are delivered by the connection.
            #[cfg(feature = "http2")]
            Transport::Stream(_) => Err(io::ErrorKind::WouldBlock.into()),
            #[cfg(test)]
            Transport::Simulated(wire) => wire.borrow_mut().read(buffer),
        }
    }

    /// Whether a read would return more, if only the end of the stream, without an event to announce it.
    pub(crate) fn has_more(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Transport::Tls(tls) = self {
            return tls.has_more();
        }
        false
    }

    /// Whether accepted bytes were not sent yet.
    pub(crate) fn is_pending(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Transport::Tls(tls) = self {
            return tls.is_pending();
        }
        false
    }

    /// Whether a handshake is in progress.
    pub(crate) fn is_handshaking(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Transport::Tls(tls) = self {
            return tls.is_handshaking();
        }
        false
    }

    /// Whether it is a TCP connection without TLS.
    pub(crate) fn is_plain_tcp(&self) -> bool {
        matches!(self, Transport::Tcp(_))
    }

    /// Whether client and server have agreed on HTTP/2 (RFC 9113 §3.2).
    #[cfg(feature = "http2")]
    pub(crate) fn has_agreed_on_http2(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.has_agreed_on_http2())
    }

    pub(crate) fn is_tls(&self) -> bool {
        #[cfg(feature = "http2")]
        if let Transport::Stream(pipe) = self {
            return pipe.origin.is_tls;
        }
        #[cfg(feature = "tls")]
        if let Transport::Tls(_) = self {
            return true;
        }
        false
    }

    /// The peer's verified certificate, in DER.
    #[cfg(feature = "tls")]
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        match self {
            Transport::Tls(tls) => tls.peer_certificate(),
            #[cfg(feature = "http2")]
            Transport::Stream(pipe) => pipe.origin.certificate.as_deref(),
            _ => None,
        }
    }

    /// Tells the peer that the stream is complete, if the protocol has a way to tell.
    pub(crate) fn say_goodbye(&mut self) {
        #[cfg(feature = "tls")]
        if let Transport::Tls(tls) = self {
            tls.send_close_notify();
        }
    }

    /// Closes both directions at once.
    pub(crate) fn shut(&self) {
        #[cfg(feature = "http2")]
        if let Transport::Stream(_) = self {
            return;
        }
        #[cfg(test)]
        if let Transport::Simulated(wire) = self {
            wire.borrow_mut().ended = true;
            return;
        }
        // Fails if the connection is broken already.
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Half-closes: what was sent still arrives. `whole`: the stream is complete, and the peer is told so.
    pub(crate) fn shutdown_write(&mut self, whole: bool) -> io::Result<()> {
        if whole {
            self.say_goodbye();
        }
        match self {
            Transport::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Transport::Unix(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.stream().shutdown(Shutdown::Write),
            #[cfg(feature = "http2")]
            Transport::Stream(_) => Ok(()),
            #[cfg(test)]
            Transport::Simulated(wire) => {
                wire.borrow_mut().ended = true;
                Ok(())
            }
        }
    }

    /// Makes the close a reset, so that the peer can't mistake what it received for the whole.
    pub(crate) fn reset_on_close(&mut self) {
        let stream = match self {
            Transport::Tcp(stream) => &*stream,
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => {
                tls.forget_close_notify();
                tls.stream()
            }
            _ => return,
        };
        if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
            log::debug!("cannot set SO_LINGER: {error}");
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<PeerAddr> {
        match self {
            Transport::Tcp(stream) => stream.local_addr().map(PeerAddr::from),
            Transport::Unix(_) => Ok(PeerAddr::Unix),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.stream().local_addr().map(PeerAddr::from),
            #[cfg(feature = "http2")]
            Transport::Stream(pipe) => pipe.origin.local.as_ref().copied().map_err(|error| error.kind().into()),
            #[cfg(test)]
            Transport::Simulated(_) => Ok(PeerAddr::Unix),
        }
    }

    /// Whether a half-close might cut off what was sent. Kernel TLS keeps what TCP has no room for, and loses it then.
    pub(crate) fn lags(&self) -> bool {
        #[cfg(feature = "ktls")]
        if let Transport::Tls(tls) = self
            && tls.is_in_kernel()
        {
            return (FEW..u32::MAX).contains(&self.queued());
        }
        false
    }

    /// Bytes that the kernel holds because the peer has not received them; `u32::MAX` if it can't tell.
    pub(crate) fn queued(&self) -> u32 {
        match self {
            #[cfg(test)]
            Transport::Simulated(wire) => wire.borrow().queued.unwrap_or(u32::MAX),
            // What the connection holds is not told apart by stream.
            #[cfg(feature = "http2")]
            Transport::Stream(_) => 0,
            _ => sys::queued_bytes(self.socket().as_fd()).unwrap_or(u32::MAX),
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Transport::Tcp(stream) => SockRef::from(stream),
            Transport::Unix(stream) => SockRef::from(stream),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => SockRef::from(tls.stream()),
            #[cfg(feature = "http2")]
            Transport::Stream(_) => unreachable!("a stream has no socket"),
            #[cfg(test)]
            Transport::Simulated(_) => unreachable!("the simulation has no socket"),
        }
    }
}

impl Sink for Transport {
    fn write(&mut self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        #[cfg(test)]
        if let Transport::Simulated(wire) = self {
            return wire.borrow_mut().write(slices);
        }
        #[cfg(feature = "tls")]
        if let Transport::Tls(tls) = self {
            return tls.write(slices, more);
        }
        #[cfg(feature = "http2")]
        if let Transport::Stream(pipe) = self {
            return pipe.write(slices, more);
        }
        if more {
            return self.socket().send_vectored_with_flags(slices, sys::MSG_MORE | sys::MSG_NOSIGNAL);
        }
        match (self, slices) {
            (Transport::Tcp(stream), [one]) => stream.write(one),
            (Transport::Tcp(stream), _) => stream.write_vectored(slices),
            (Transport::Unix(stream), _) => stream.write_vectored(slices),
            #[cfg(feature = "tls")]
            (Transport::Tls(_), _) => unreachable!("written above"),
            #[cfg(feature = "http2")]
            (Transport::Stream(_), _) => unreachable!("written above"),
            #[cfg(test)]
            (Transport::Simulated(_), _) => unreachable!("written above"),
        }
    }

    fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let socket = match *self {
            Self::Tcp(ref stream) => stream.as_fd(),
            Self::Unix(ref stream) => stream.as_fd(),
            #[cfg(feature = "tls")]
            Self::Tls(ref mut tls) => return tls.send_file(file, offset, count as u64),
            #[cfg(feature = "http2")]
            Self::Stream(ref mut pipe) => return pipe.send_file(file, offset, count as u64),
            #[cfg(test)]
            Self::Simulated(_) => unreachable!("no file is sent in the simulation"),
        };
        sys::send_file(socket, file.as_fd(), offset, count).map(|sent| sent as u64)
    }

    fn flush(&mut self) -> io::Result<bool> {
        #[cfg(feature = "tls")]
        if let Transport::Tls(tls) = self {
            return tls.flush();
        }
        Ok(true)
    }
}

/// A stream for simulations. Its scripts say how many bytes each call moves; 0 means `WouldBlock`.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Wire {
    /// What the client has sent and the server has not read yet.
    pub(crate) incoming: VecDeque<u8>,
    /// The client will send no more.
    pub(crate) eof: bool,
    pub(crate) read_cuts: VecDeque<usize>,
    pub(crate) write_cuts: VecDeque<usize>,
    /// Nothing can be written.
    pub(crate) stuck: bool,
    pub(crate) outgoing: Vec<u8>,
    /// Bytes that the kernel holds; `None` if it can't tell.
    pub(crate) queued: Option<u32>,
    /// The server has half-closed.
    pub(crate) ended: bool,
}

/// What a simulation has in place of events.
#[cfg(test)]
struct Unwatched;

#[cfg(test)]
impl mio::event::Source for Unwatched {
    fn register(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &mio::Registry) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let cut = self.read_cuts.pop_front().unwrap_or(usize::MAX);
        if cut == 0 || self.incoming.is_empty() && !self.eof {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = cut.min(buffer.len()).min(self.incoming.len());
        for (into, byte) in buffer.iter_mut().zip(self.incoming.drain(..n)) {
            *into = byte;
        }
        Ok(n)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let cut = self.write_cuts.pop_front().unwrap_or(usize::MAX);
        if cut == 0 || self.stuck {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = self.outgoing.len();
        self.outgoing.extend(slices.iter().flat_map(|slice| slice.iter()).take(cut));
        Ok(self.outgoing.len() - before)
    }
}
