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
#[cfg(test)]
use std::{cell::RefCell, collections::VecDeque, rc::Rc};

/// A connected stream socket. Everything that differs between kinds of stream is behind these methods.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(test)]
    Simulated(Rc<RefCell<Wire>>),
}

impl Transport {
    pub(crate) fn source(&mut self) -> &mut dyn mio::event::Source {
        match self {
            Transport::Tcp(stream) => stream,
            Transport::Unix(stream) => stream,
            #[cfg(test)]
            Transport::Simulated(_) => unreachable!("no event source"),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(stream) => stream.read(buffer),
            Transport::Unix(stream) => stream.read(buffer),
            #[cfg(test)]
            Transport::Simulated(wire) => wire.borrow_mut().read(buffer),
        }
    }

    /// Ends our direction; what was sent still arrives.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Transport::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Transport::Unix(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(test)]
            Transport::Simulated(wire) => {
                wire.borrow_mut().ended = true;
                Ok(())
            }
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
            #[cfg(test)]
            Transport::Simulated(_) => Ok(PeerAddr::Unix),
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Transport::Tcp(stream) => SockRef::from(stream),
            Transport::Unix(stream) => SockRef::from(stream),
            #[cfg(test)]
            Transport::Simulated(_) => unreachable!("no socket"),
        }
    }
}

impl Sink for Transport {
    fn write(&mut self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        #[cfg(test)]
        if let Transport::Simulated(wire) = self {
            return wire.borrow_mut().write(slices);
        }
        if more {
            return self.socket().send_vectored_with_flags(slices, libc::MSG_MORE | libc::MSG_NOSIGNAL);
        }
        match (self, slices) {
            (Transport::Tcp(stream), [one]) => stream.write(one),
            (Transport::Tcp(stream), _) => stream.write_vectored(slices),
            (Transport::Unix(stream), _) => stream.write_vectored(slices),
            #[cfg(test)]
            (Transport::Simulated(_), _) => unreachable!("written above"),
        }
    }

    fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let socket = match *self {
            Self::Tcp(ref stream) => stream.as_fd(),
            Self::Unix(ref stream) => stream.as_fd(),
            #[cfg(test)]
            Self::Simulated(_) => unreachable!("no file is sent in the simulation"),
        };
        sys::send_file(socket, file.as_fd(), offset, count).map(|sent| sent as u64)
    }
}

/// A stream for simulations: cut as its scripts say, 0 being "not now".
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Wire {
    /// What the client has sent and the server not yet read.
    pub(crate) incoming: VecDeque<u8>,
    /// The client will send no more.
    pub(crate) eof: bool,
    pub(crate) read_cuts: VecDeque<usize>,
    pub(crate) write_cuts: VecDeque<usize>,
    /// Nothing can be written.
    pub(crate) stuck: bool,
    pub(crate) outgoing: Vec<u8>,
    /// The server has shut its direction.
    pub(crate) ended: bool,
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
