//! The address at which other devices of the network reach this program.

use super::colours::shows_colours;
use super::qr_code;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// What is printed for a phone, or another device: the address, and in a terminal a QR code of it.
///
/// `bound` says where the program listens, and whether with TLS.
pub fn greeting(bound: &[(bool, SocketAddr)]) -> String {
    let reachable = bound.iter().find_map(|(tls, addr)| Some((*tls, reachable(*addr, own)?)));
    let Some((tls, addr)) = reachable else {
        let only_here = bound.iter().all(|(_, addr)| addr.ip().is_loopback());
        return if only_here { ONLY_HERE } else { NO_NETWORK }.into();
    };
    let url = format!("{}://{addr}/", if tls { "https" } else { "http" });
    let stdout = io::stdout();
    let code = stdout.is_terminal().then(|| qr_code::draw(&url, shows_colours(&stdout))).flatten();
    format!("ecohttpd: for other devices in this network: {url}\n{}", code.unwrap_or_default())
}

const ONLY_HERE: &str = "ecohttpd: other devices can't reach this: it listens on this machine alone. \
                         -p PORT without an address listens for all\n";
const NO_NETWORK: &str = "ecohttpd: no address for other devices: this machine has no route to other networks\n";

/// The address that others use for a listener; `None` if they can't reach it.
fn reachable(addr: SocketAddr, own: impl Fn(bool) -> Option<IpAddr>) -> Option<SocketAddr> {
    let ip = if addr.ip().is_unspecified() { own(addr.is_ipv4())? } else { addr.ip() };
    (!ip.is_loopback()).then(|| SocketAddr::new(ip, addr.port()))
}

/// The address that this machine has towards the Internet. Connecting a UDP socket sends nothing: the kernel looks the
/// route up. The other ends are of RFC 5737 and RFC 3849, for documentation.
fn own(v4: bool) -> Option<IpAddr> {
    let (any, other) = if v4 { ("0.0.0.0", "192.0.2.1") } else { ("::", "2001:db8::1") };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, DISCARD)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|ip| !ip.is_unspecified())
}

/// The port of a service that throws everything away (RFC 863).
const DISCARD: u16 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_reach() {
        let own = |v4| if v4 { "192.168.1.10".parse().ok() } else { None };
        #[rustfmt::skip]
        let rows = [
            ("0.0.0.0:8080", Some("192.168.1.10:8080"), "every address"),
            ("[::]:8080", None, "every address of a family that this machine is not in"),
            ("127.0.0.1:8080", None, "this machine alone"),
            ("[::1]:8080", None, "likewise"),
            ("10.0.0.1:80", Some("10.0.0.1:80"), "one of several"),
            ("[fd00::1]:80", Some("[fd00::1]:80"), "likewise"),
        ];
        for (bound, want, name) in rows {
            let found = reachable(bound.parse().unwrap(), own).map(|addr| addr.to_string());
            assert_eq!(found.as_deref(), want, "{name}");
        }
        assert_eq!(greeting(&[(false, ([127, 0, 0, 1], 80).into())]), ONLY_HERE);
    }
}
