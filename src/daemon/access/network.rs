//! Single addresses and prefixes, as rules name them.

use ecohttpd::syntax::decimal;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Clients that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `*`: all.
    All,
    /// `unix`: clients of a Unix socket, which have no address.
    Unix,
    /// Clients whose address begins with these bits.
    Prefix(NetworkPrefix),
}

/// The first bits of an address. IPv4 is stored as mapped to IPv6, so that both forms are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkPrefix {
    bits: u128,
    length: u32,
}

/// Bits in front of an IPv4-mapped address (RFC 4291 §2.5.5.2).
const MAPPED: u32 = 96;

impl Network {
    /// Everyone, as prefixes. Unlike `*`, no other rule of the same path makes exceptions.
    pub const EVERYBODY: [Network; 3] = [
        Network::Unix,
        Network::Prefix(NetworkPrefix { bits: 0, length: 0 }),
        Network::Prefix(NetworkPrefix { bits: 0xffff << 32, length: MAPPED }),
    ];

    /// Parses `*`, `unix`, an address, or an address with a prefix length or (IPv4) a mask after a slash. Bits behind the
    /// prefix are ignored.
    pub fn parse(text: &str) -> Option<Network> {
        match text {
            "*" => return Some(Network::All),
            "unix" => return Some(Network::Unix),
            _ => {}
        }
        let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
        let ip: IpAddr = ip.parse().ok()?;
        let (before, bits) = if ip.is_ipv4() { (MAPPED, 32) } else { (0, 128) };
        let length = match length {
            None => bits,
            Some(mask) if ip.is_ipv4() && mask.contains('.') => mask_length(mask.parse().ok()?)?,
            Some(length) => u32::try_from(decimal(length.as_bytes())?).ok().filter(|length| *length <= bits)?,
        };
        let length = before + length;
        Some(Network::Prefix(NetworkPrefix { bits: mapped(ip) & mask(length), length }))
    }

    /// Parses the additional form of busybox httpd: the first numbers of an IPv4 address, as in `192.168.`.
    pub fn parse_short(text: &str) -> Option<Network> {
        let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
        let count = ip.strip_suffix('.').unwrap_or(ip).split('.').count();
        if ip.contains(':') || !ip.starts_with(|first: char| first.is_ascii_digit()) || count >= 4 {
            return Network::parse(text);
        }
        let dot = if ip.ends_with('.') { "" } else { "." };
        let zeros = ["0.0.0", "0.0", "0"].get(count - 1)?;
        let own = (count * 8).to_string();
        Network::parse(&[ip, dot, zeros, "/", length.unwrap_or(&own)].concat())
    }

    /// Whether a client is one of these; `None` is a client without an address.
    pub fn holds(&self, client: Option<IpAddr>) -> bool {
        match (self, client) {
            (Network::All, _) | (Network::Unix, None) => true,
            (Network::Prefix(prefix), Some(ip)) => prefix.holds(ip),
            (Network::Unix, Some(_)) | (Network::Prefix(_), None) => false,
        }
    }
}

impl NetworkPrefix {
    fn holds(&self, ip: IpAddr) -> bool {
        let bits = mapped(ip);
        // A short IPv6 prefix covers mapped IPv4 addresses, but does not mean them.
        let same_family = self.length >= MAPPED || bits >> 32 != 0xffff;
        same_family && (bits ^ self.bits) & mask(self.length) == 0
    }
}

#[inline(never)]
fn mapped(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[inline(never)]
fn mask(length: u32) -> u128 {
    !u128::MAX.checked_shr(length).unwrap_or(0)
}

/// The prefix length of a mask; `None` if its ones are not contiguous.
fn mask_length(mask: Ipv4Addr) -> Option<u32> {
    let bits = mask.to_bits();
    (bits.leading_ones() == bits.count_ones()).then_some(bits.count_ones())
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::All => f.write_str("*"),
            Network::Unix => f.write_str("unix"),
            Network::Prefix(NetworkPrefix { bits, length }) => {
                let ip = Ipv6Addr::from_bits(*bits);
                match ip.to_ipv4_mapped().filter(|_| *length >= MAPPED) {
                    Some(ip) => write!(f, "{ip}/{}", length - MAPPED),
                    None => write!(f, "{ip}/{length}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_hold_clients() {
        #[rustfmt::skip]
        let rows = [
            ("*", "192.0.2.1 2001:db8::1 unix", ""),
            ("unix", "unix", "192.0.2.1 ::1"),
            ("192.0.2.1", "192.0.2.1 ::ffff:192.0.2.1", "192.0.2.2 ::c000:201 unix"),
            ("192.0.2.0/24", "192.0.2.0 192.0.2.255", "192.0.3.0 192.0.1.255"),
            ("192.0.2.77/24", "192.0.2.1", "192.0.3.77"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("10.0.0.0/255.255.255.128", "10.0.0.127", "10.0.0.128"),
            ("10.0.0.0/255.0.0.0", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "0.0.0.0 255.255.255.255 ::ffff:9.9.9.9", "::1 :: 2001:db8::1 unix"),
            ("0.0.0.0/0.0.0.0", "9.9.9.9", "::1"),
            ("::/0", ":: ::1 2001:db8::1 ffff::", "127.0.0.1 ::ffff:127.0.0.1 unix"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("fe80::/10", "fe80::1 febf::1", "fec0::1"),
            ("::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ];
        let client = |text: &str| (text != "unix").then(|| text.parse::<IpAddr>().unwrap());
        for (text, inside, outside) in rows {
            let network = Network::parse(text).unwrap();
            assert!(inside.split_whitespace().all(|one| network.holds(client(one))), "{text}");
            assert!(!outside.split_whitespace().any(|one| network.holds(client(one))), "{text}");
            assert_eq!(Network::parse(&network.to_string()), Some(network), "{text}");
        }
        for text in ["192.0.2.1", "2001:db8::1", "::1", "unix"] {
            assert_eq!(Network::EVERYBODY.iter().filter(|one| one.holds(client(text))).count(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_network() {
        #[rustfmt::skip]
        let rows = [
            "", "/", "x", "192.168.1", "192.168.", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+1", "1.2.3.4/255.0.255.0", "1.2.3.4/8/8",
            "1.2.3.256", "::1/129", "::1/255.0.0.0", "fe80::1%lan", "[::1]", "1.2.3.4:80", "UNIX", "01.2.3.4", " 1.2.3.4", "1.2.3.4/ 8", "router.lan",
        ];
        for text in rows {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn short_forms_are_busyboxs() {
        #[rustfmt::skip]
        let rows = [
            ("192.168.", "192.168.0.0/16"), ("192.168", "192.168.0.0/16"), ("10.", "10.0.0.0/8"), ("10", "10.0.0.0/8"), ("1.2.3.", "1.2.3.0/24"),
            ("10.0./9", "10.0.0.0/9"), ("10/8", "10.0.0.0/8"), ("1.2.3.4", "1.2.3.4/32"), ("10.0.0.0/255.255.255.128", "10.0.0.0/25"),
            ("10.0.0.0/25", "10.0.0.0/25"), ("fd00::/8", "fd00::/8"), ("*", "*"), ("0", "0.0.0.0/8"),
        ];
        for (text, expected) in rows {
            assert_eq!(
                Network::parse_short(text).map(|network| network.to_string()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for text in ["", ".", "x", "1..2", "256.", "1.2.3.4.", "1.2.3.4.5", "10./33", "-1.", "+1.", "/8"] {
            assert_eq!(Network::parse_short(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn hostile_text_is_answered(text in "[0-9a-f.:/*%x]{0,20}") {
            let _ = Network::parse(&text);
            if let Some(network) = Network::parse_short(&text) {
                prop_assert_eq!(Network::parse(&network.to_string()), Some(network));
            }
        }
    }
}
