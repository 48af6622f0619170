//! Addresses of peers.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address of a peer, or our own address on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerAddr {
    /// TCP: address and port. An IPv4 peer of a dual-stack listener appears as IPv4.
    Ip(SocketAddr),
    /// A Unix socket, whose clients have no address.
    Unix,
}

/// What identifies one client for counts and limits: see [`PeerAddr::network`].
pub(crate) type Network = Option<IpAddr>;

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

    /// What identifies one client for counts and limits: its IPv4 address, or the /64 of its IPv6 address, which a
    /// single host may use as a whole (RFC 4291 §2.5.4). `None` for a Unix socket.
    pub fn network(&self) -> Option<IpAddr> {
        self.ip().map(|ip| match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        })
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        // A mapped address has no scope, so nothing is lost.
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

    #[test]
    fn ipv6_is_counted_by_64_bits() {
        let network = |addr: &str| PeerAddr::from(addr.parse::<SocketAddr>().unwrap()).network().unwrap().to_string();
        assert_eq!(network("[2001:db8:1:2:3:4:5:6]:80"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.7:80"), "192.0.2.7");
        assert_eq!(network("[::ffff:192.0.2.7]:80"), "192.0.2.7");
        assert_eq!(PeerAddr::Unix.network(), None);
    }
}
