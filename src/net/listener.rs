//! Listening sockets.

use super::batch::Batch;
use super::said::said;
#[cfg(feature = "tls")]
use super::tls::TlsContext;
use super::{PeerAddr, Transport};
use crate::sys;
use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
#[cfg(feature = "tls")]
use std::rc::Rc;
use std::time::Duration;

/// Maximum connections accepted from one listener in a turn.
const ACCEPT_BATCH: u32 = 64;

/// How long the kernel keeps a connection back on which nothing was sent, if that is wanted.
const DEFER_SECONDS: i32 = 1;

/// How a listening socket is made. Accepted sockets inherit some of it.
#[derive(Clone, Debug)]
pub(crate) struct Bind {
    pub(crate) ipv6: Option<bool>,
    pub(crate) ipv6_v6only: bool,
    pub(crate) reuseaddr: bool,
    pub(crate) reuseport: bool,
    pub(crate) freebind: bool,
    pub(crate) backlog: i32,
    pub(crate) device: Option<String>,
    pub(crate) mark: Option<u32>,
    pub(crate) tcp_nodelay: bool,
    pub(crate) keepalive: bool,
    pub(crate) tcp_keepidle: Option<Duration>,
    pub(crate) tcp_keepcnt: Option<u32>,
    pub(crate) tcp_keepintvl: Option<Duration>,
    pub(crate) tcp_fastopen: Option<u32>,
    pub(crate) tcp_defer_accept: bool,
}

/// A listening socket of either kind.
pub(crate) struct Listener {
    socket: Kind,
    /// How many connections to accept in this turn.
    pub(crate) batch: Batch,
    /// Set if connections speak TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Rc<TlsContext>>,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens on `ip` and `port`; `None` is all addresses, of both families if the system has both.
    pub(crate) fn tcp(ip: Option<IpAddr>, scope: u32, port: u16, bind: &Bind) -> io::Result<Listener> {
        let every_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let every_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let socket = match (ip, bind.ipv6) {
            (Some(ip), _) => bind.tcp(ip, scope, port),
            (None, Some(true)) => bind.tcp(every_v6, 0, port),
            (None, Some(false)) => bind.tcp(every_v4, 0, port),
            (None, None) => match bind.tcp(every_v6, 0, port) {
                // The kernel has no IPv6, or it is disabled.
                Err(error) if matches!(error.raw_os_error(), Some(sys::EAFNOSUPPORT | sys::EADDRNOTAVAIL)) => {
                    bind.tcp(every_v4, 0, port)
                }
                bound => bound,
            },
        }?;
        Ok(Listener::new(Kind::Tcp(TcpListener::from_std(socket.into()))))
    }

    /// Listens on a Unix socket. Replaces a file that was left by a server that is gone.
    pub(crate) fn unix(path: &Path, bind: &Bind) -> io::Result<Listener> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(bind.backlog)?;
        let socket = UnixListener::from_std(socket.into());
        Ok(Listener::new(Kind::Unix(socket, path.to_owned())))
    }

    fn new(socket: Kind) -> Listener {
        Listener {
            socket,
            batch: Batch::new(ACCEPT_BATCH),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Kind::Tcp(socket) => socket.as_fd(),
            Kind::Unix(socket, _) => socket.as_fd(),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Kind::Tcp(socket) => socket.local_addr(),
            Kind::Unix(..) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Transport, PeerAddr)> {
        match &self.socket {
            Kind::Tcp(socket) => {
                let (stream, peer) = socket.accept()?;
                #[cfg(feature = "tls")]
                if let Some(tls) = &self.tls {
                    return Ok((Transport::Tls(tls.accept(stream)?), PeerAddr::from(peer)));
                }
                Ok((Transport::Tcp(stream), PeerAddr::from(peer)))
            }
            Kind::Unix(socket, _) => {
                let (stream, _) = socket.accept()?;
                Ok((Transport::Unix(stream), PeerAddr::Unix))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix(_, path) = &self.socket
            && let Err(error) = std::fs::remove_file(path)
        {
            log::debug!("cannot remove {}: {error}", path.display());
        }
    }
}

impl Bind {
    fn tcp(&self, ip: IpAddr, scope: u32, port: u16) -> io::Result<Socket> {
        let addr = match ip {
            IpAddr::V4(_) => SocketAddr::new(ip, port),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
        };
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if addr.is_ipv6() {
            socket.set_only_v6(self.ipv6_v6only)?;
        }
        socket.set_reuse_address(self.reuseaddr)?;
        socket.set_reuse_port(self.reuseport)?;
        if self.freebind {
            match addr {
                SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
                SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
            }
        }
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if let Some(mark) = self.mark {
            socket.set_mark(mark)?;
        }
        // Linux copies these to accepted sockets, which saves three system calls per connection.
        socket.set_tcp_nodelay(self.tcp_nodelay)?;
        self.set_keepalive(&socket)?;
        socket.bind(&addr.into())?;
        if let Some(queue) = self.tcp_fastopen {
            sys::set_tcp_fastopen(socket.as_fd(), i32::try_from(queue).unwrap_or(i32::MAX))?;
        }
        if self.tcp_defer_accept {
            sys::set_tcp_defer_accept(socket.as_fd(), DEFER_SECONDS)?;
        }
        socket.listen(self.backlog)?;
        Ok(socket)
    }

    fn set_keepalive(&self, socket: &Socket) -> io::Result<()> {
        if !self.keepalive {
            return Ok(());
        }
        socket.set_keepalive(true)?;
        let mut keepalive = TcpKeepalive::new();
        if let Some(idle) = self.tcp_keepidle {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = self.tcp_keepintvl {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = self.tcp_keepcnt {
            keepalive = keepalive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keepalive)
    }
}

/// Parses an IP address: IPv4, IPv6, or IPv6 with a zone (`fe80::1%br-lan`).
///
/// # Errors
/// `InvalidInput`, with a message that says what is wrong.
pub(crate) fn parse_ip(text: &str) -> io::Result<(IpAddr, u32)> {
    let (literal, zone) = match text.split_once('%') {
        Some((literal, zone)) => (literal, Some(zone)),
        None => (text, None),
    };
    let wrong = |what: &str| said(io::ErrorKind::InvalidInput, format!("{text}: {what}"));
    let ip: IpAddr = literal.parse().map_err(|_| wrong("not an IP address"))?;
    match (ip, zone) {
        (_, None) => Ok((ip, 0)),
        (IpAddr::V4(_), Some(_)) => Err(wrong("an IPv4 address has no zone")),
        (IpAddr::V6(_), Some(zone)) => Ok((ip, zone_index(zone).map_err(|_| wrong("no such network interface"))?)),
    }
}

fn zone_index(zone: &str) -> io::Result<u32> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    sys::interface_index(&CString::new(zone)?)
}

/// Removes a socket file without a listener. Leaves anything else for bind(2) to refuse.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket {
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Does not wait for a server whose queue is full.
        probe.set_nonblocking(true)?;
        if probe.connect(&SockAddr::unix(path)?).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return std::fs::remove_file(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_literals() {
        let good = [("127.0.0.1", 0), ("::1", 0), ("fe80::1%1", 1), ("fe80::1%lo", 1)];
        for (text, scope) in good {
            let (ip, got) = parse_ip(text).unwrap();
            assert_eq!((ip.to_string().as_str(), got), (text.split('%').next().unwrap(), scope));
        }
        for text in ["", "localhost", "127.0.0.1:80", "[::1]", "127.0.0.1%lo", "fe80::1%", "fe80::1%no-such-if"] {
            let error = parse_ip(text).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().starts_with(text), "{error}");
        }
    }
}
