//! The byte stream under a connection.

use super::PeerAddr;
use crate::buf::Sink;
use crate::sys;
use mio::net::{TcpStream, UnixStream};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

/// A connected stream socket. Everything that differs between kinds of stream is behind these methods.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Transport {
    pub(crate) fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Transport::Tcp(stream) => stream,
            Transport::Unix(stream) => stream,
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.read(buffer),
            Transport::Unix(stream) => stream.read(buffer),
        }
    }

    /// Ends our direction; what was sent still arrives.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Transport::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Transport::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Makes closing send a reset, so that the peer can't take what it got for the whole.
    pub(crate) fn reset_on_close(&self) {
        if let Transport::Tcp(stream) = self
            && let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO))
        {
            log::debug!("cannot set SO_LINGER: {error}");
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<PeerAddr> {
        match self {
            Transport::Tcp(stream) => stream.local_addr().map(PeerAddr::from),
            Transport::Unix(_) => Ok(PeerAddr::Unix),
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Transport::Tcp(stream) => SockRef::from(stream),
            Transport::Unix(stream) => SockRef::from(stream),
        }
    }
}

impl Sink for Transport {
    fn write(&mut self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        if more {
            return self.socket().send_vectored_with_flags(slices, libc::MSG_MORE | libc::MSG_NOSIGNAL);
        }
        match (self, slices) {
            (Transport::Tcp(stream), [one]) => stream.write(one),
            (Transport::Tcp(stream), _) => stream.write_vectored(slices),
            (Transport::Unix(stream), _) => stream.write_vectored(slices),
        }
    }

    fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let socket = match *self {
            Self::Tcp(ref stream) => stream.as_fd(),
            Self::Unix(ref stream) => stream.as_fd(),
        };
        sys::send_file(socket, file.as_fd(), offset, count).map(|sent| sent as u64)
    }
}
