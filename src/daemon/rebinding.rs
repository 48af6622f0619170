//! The filter against DNS rebinding: `-R`.

use ecohttpd::Connection;
use std::net::IpAddr;

/// Whether a private client asks a public address: a page from outside that had its name lead here (DNS rebinding).
pub fn is_rebound(con: &Connection) -> bool {
    let local = || con.local_addr().ok()?.ip();
    con.remote_addr().ip().is_some_and(is_private) && local().is_some_and(|ip| !is_private(ip))
}

/// Whether an address is not of the Internet: RFC 1918, 6598, 3927, 4193, 4291 (link-local), loopback.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses() {
        let private = "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 169.254.1.1 127.0.0.1 \
                       fd00::1 fc00::1 fe80::1 ::1 ::ffff:192.168.1.1";
        let public = "9.9.9.9 172.15.0.1 172.32.0.1 192.169.0.1 100.63.0.1 100.128.0.1 2001:db8::1 ::ffff:9.9.9.9";
        for ip in private.split_whitespace() {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in public.split_whitespace() {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }
}
