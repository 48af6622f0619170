//! Who is at the other end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The address of a peer, or of our own end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddr {
    /// TCP: address and port. An IPv4 peer of a dual-stack listener appears as IPv4.
    Ip(SocketAddr),
    /// A Unix socket, whose clients have no address.
    Unix,
}

impl PeerAddr {
    /// The IP address; `None` for a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            PeerAddr::Ip(addr) => Some(addr.ip()),
            PeerAddr::Unix => None,
        }
    }

    /// The TCP port; `None` for a Unix socket.
    pub fn port(&self) -> Option<u16> {
        match self {
            PeerAddr::Ip(addr) => Some(addr.port()),
            PeerAddr::Unix => None,
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        // A mapped address carries no scope, so nothing is lost.
        match addr.ip().to_canonical() {
            IpAddr::V4(ip) => PeerAddr::Ip(SocketAddr::new(IpAddr::V4(ip), addr.port())),
            IpAddr::V6(_) => PeerAddr::Ip(addr),
        }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddr::Ip(addr) => addr.fmt(f),
            PeerAddr::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_become_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
        assert_eq!(PeerAddr::from(mapped).to_string(), "192.0.2.1:80");
        let v6: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
        assert_eq!(PeerAddr::from(v6).to_string(), "[2001:db8::1]:80");
        assert_eq!((PeerAddr::Unix.ip(), PeerAddr::Unix.port()), (None, None));
    }
}
