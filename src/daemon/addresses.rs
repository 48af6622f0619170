//! Which addresses are local, and addresses as text.

use ecohttpd::syntax::push_decimal;
use std::io::Write;
use std::net::IpAddr;

/// Whether an address is of this host or its own networks: RFC 1918, 3927, 4193, 4291 (link-local), loopback.
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether an address is not of the Internet: a local one, or one that a provider shares among customers (RFC 6598).
pub fn is_private(ip: IpAddr) -> bool {
    let shared = matches!(ip.to_canonical(), IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64);
    shared || is_local(ip)
}

/// Appends an address: without the machinery of formats for the usual kind, as many requests need it.
pub fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    let IpAddr::V4(ip) = ip else {
        // Writing to memory does not fail.
        let _ = write!(out, "{ip}");
        return;
    };
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        push_decimal(out, octet.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let local = "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1 127.0.0.1 fd00::1 fc00::1 fe80::1 ::1 \
                     ::ffff:192.168.1.1";
        let shared = "100.64.0.1 100.127.255.255 ::ffff:100.64.0.1";
        let public =
            "9.9.9.9 172.15.0.1 172.32.0.1 192.169.0.1 100.63.0.1 100.128.0.1 2001:db8::1 ::ffff:9.9.9.9 0.0.0.0";
        for (addresses, verdict) in [(local, (true, true)), (shared, (false, true)), (public, (false, false))] {
            for ip in addresses.split_whitespace() {
                let parsed = ip.parse().unwrap();
                assert_eq!((is_local(parsed), is_private(parsed)), verdict, "{ip}");
                let mut text = Vec::new();
                push_ip(&mut text, parsed);
                assert_eq!(String::from_utf8(text).unwrap(), ip);
            }
        }
    }
}
