//! The client that a trusted proxy names: `X-Forwarded-For`, `X-Forwarded-Proto` and `Forwarded` (RFC 7239).
//!
//! Each proxy appends the address of its own client, so the rightmost entries are the most trustworthy. The client is the
//! rightmost address that is not itself a trusted proxy's: anyone may have written what is left of it.

use super::network::Network;
use ecohttpd::{Connection, PeerAddr, Request};
use std::net::{IpAddr, SocketAddr};

/// The proxies that a site trusts.
pub struct Proxies(Vec<Network>);

/// The fields name different clients, or are malformed in a way that hides who wrote what.
#[derive(Debug, PartialEq, Eq)]
pub struct Contradiction;

/// Where a request comes from, as far as its fields tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct Origin {
    client: Option<IpAddr>,
    encrypted: Option<bool>,
}

/// What one proxy says about its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hop {
    /// `None`: no address.
    ip: Option<IpAddr>,
    encrypted: Option<bool>,
}

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED: &str = "forwarded";

/// Whether a request says that it was forwarded.
pub fn is_forwarded(req: &Request) -> bool {
    [FORWARDED_FOR, FORWARDED].iter().any(|name| req.header_bytes(name).is_some())
}

impl Proxies {
    /// The proxies at these addresses; `None` if there are none.
    pub fn new(trusted: &[Network]) -> Option<Proxies> {
        (!trusted.is_empty()).then(|| Proxies(trusted.to_vec()))
    }

    /// Attributes a request of a trusted proxy to its client. Returns whether the proxy said if the client uses TLS.
    pub fn apply(&self, con: &mut Connection, req: &Request) -> Result<bool, Contradiction> {
        if !self.trust(con.remote_addr().ip()) {
            return Ok(false);
        }
        let values = |name: &str| -> Vec<&[u8]> {
            req.headers_bytes().filter(|(other, _)| *other == name).map(|(_, value)| value).collect()
        };
        let origin = self.origin(&values(FORWARDED_FOR), &values(FORWARDED_PROTO), &values(FORWARDED))?;
        let addr = origin.client.map_or(*con.remote_addr(), |ip| PeerAddr::from(SocketAddr::new(ip, 0)));
        if origin != Origin::default() {
            con.set_client(addr, origin.encrypted);
        }
        Ok(origin.encrypted.is_some())
    }

    fn trust(&self, ip: Option<IpAddr>) -> bool {
        self.0.iter().any(|network| network.holds(ip))
    }

    fn origin(&self, fors: &[&[u8]], protos: &[&[u8]], forwarded: &[&[u8]]) -> Result<Origin, Contradiction> {
        let plain: Vec<Hop> = items(fors).into_iter().map(|item| Hop { ip: node(item), encrypted: None }).collect();
        let mut standard = Vec::new();
        for line in forwarded {
            read_forwarded(line, &mut standard).ok_or(Contradiction)?;
        }
        let (plain, standard) = (self.choose(&plain), self.choose(&standard));
        // A proxy that sets one of them may pass on the other as the client sent it.
        if let (Some(plain), Some(standard)) = (plain, standard)
            && plain.ip != standard.ip
        {
            return Err(Contradiction);
        }
        let proto = items(protos).last().and_then(|proto| is_encrypted(proto));
        let encrypted = match (proto, standard.and_then(|hop| hop.encrypted)) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        };
        Ok(Origin { client: plain.or(standard).and_then(|hop| hop.ip), encrypted })
    }

    /// The first hop from the right that is not trusted. One without an address hides all before it.
    fn choose(&self, hops: &[Hop]) -> Option<Hop> {
        let mut found = None;
        for hop in hops.iter().rev() {
            let Some(ip) = hop.ip else { return found.or(Some(*hop)) };
            found = Some(*hop);
            if !self.trust(Some(ip)) {
                break;
            }
        }
        found
    }
}

/// The items of a list (RFC 9110 §5.6.1) in any number of fields. Empty items are skipped.
fn items<'a>(lines: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut items = Vec::new();
    for line in lines {
        items.extend(line.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty()));
    }
    items
}

/// The address of a node, without its port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let ip = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.contains('.') => text.split(':').next()?,
        None => text,
    };
    // A mapped address has dots and colons.
    ip.parse().or_else(|_| text.parse()).ok().map(|ip: IpAddr| ip.to_canonical())
}

fn is_encrypted(proto: &[u8]) -> Option<bool> {
    [(&b"https"[..], true), (b"http", false)]
        .into_iter()
        .find(|(name, _)| proto.eq_ignore_ascii_case(name))
        .map(|(_, encrypted)| encrypted)
}

/// Parses a field `Forwarded` (RFC 7239 §4); `None` if it is malformed.
fn read_forwarded(line: &[u8], hops: &mut Vec<Hop>) -> Option<()> {
    for element in split(line, b',')? {
        let mut hop = Hop::default();
        let mut seen = [false; 2];
        for pair in split(element, b';')? {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            let (name, value) = (pair.get(..equals)?, unquoted(pair.get(equals + 1..)?)?);
            let place = [&b"for"[..], b"proto"].iter().position(|known| name.eq_ignore_ascii_case(known));
            match place {
                Some(0) => hop.ip = node(value),
                Some(_) => hop.encrypted = is_encrypted(value),
                None => continue,
            }
            // Each at most once.
            if std::mem::replace(seen.get_mut(place?)?, true) {
                return None;
            }
        }
        hops.push(hop);
    }
    Some(())
}

/// The non-empty pieces between separators outside quotes; `None` if a quote is not closed.
fn split(text: &[u8], separator: u8) -> Option<Vec<&[u8]>> {
    let (mut pieces, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in text.iter().enumerate() {
        if byte == separator && !quoted {
            pieces.push(text.get(start..at)?);
            start = at + 1;
        }
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && quoted && !escaped;
    }
    pieces.push(text.get(start..)?);
    let pieces = pieces.into_iter().map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty());
    (!quoted).then(|| pieces.collect())
}

/// A value without its quotes, which enclose all of it or are absent. Escapes are kept: no address contains any.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\""),
        None => (!value.contains(&b'"')).then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proxies() -> Proxies {
        Proxies(["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48", "unix"].map(|text| Network::parse(text).unwrap()).into())
    }

    /// Lines of a field are parted by `|`; none is no field.
    fn told(fors: &str, protos: &str, forwarded: &str) -> String {
        let lines = |text: &'static str| -> Vec<&'static [u8]> {
            if text.is_empty() { Vec::new() } else { text.split('|').map(str::as_bytes).collect() }
        };
        let leak = |text: &str| lines(text.to_owned().leak());
        match proxies().origin(&leak(fors), &leak(protos), &leak(forwarded)) {
            Err(Contradiction) => "!".into(),
            Ok(Origin { client, encrypted }) => {
                let client = client.map_or("-".into(), |ip| ip.to_string());
                let proto = encrypted.map_or("", |yes| if yes { " https" } else { " http" });
                client + proto
            }
        }
    }

    #[test]
    fn clients() {
        #[rustfmt::skip]
        let rows = [
            ("", "", "", "-", "nothing"),
            ("192.0.2.1", "", "", "192.0.2.1", "one"),
            ("127.0.0.1, 192.0.2.1", "", "", "192.0.2.1", "what the client wrote is to the left"),
            ("198.51.100.1, 192.0.2.1, 10.1.2.3", "", "", "192.0.2.1", "past a trusted one"),
            ("10.0.0.1,10.0.0.2", "", "", "10.0.0.1", "all are trusted: the first"),
            ("192.0.2.9|192.0.2.1", "", "", "192.0.2.1", "the last field"),
            (" ,192.0.2.1 ,\t, ", "", "", "192.0.2.1", "empty items"),
            ("2001:db8::1", "", "", "2001:db8::1", "IPv6"),
            ("192.0.2.1, 2001:db8:1::7", "", "", "192.0.2.1", "a trusted one of IPv6"),
            ("192.0.2.1:4711", "", "", "192.0.2.1", "a port"),
            ("[2001:db8::1]:4711", "", "", "2001:db8::1", "a port of IPv6"),
            ("[2001:db8::1]", "", "", "2001:db8::1", "brackets"),
            ("::ffff:192.0.2.1", "", "", "192.0.2.1", "mapped"),
            ("::ffff:10.0.0.1, ::ffff:127.0.0.1", "", "", "10.0.0.1", "mapped, and trusted"),
            ("192.0.2.1, unknown", "", "", "-", "the proxy does not tell"),
            ("192.0.2.1, unknown, 10.0.0.1", "", "", "10.0.0.1", "a proxy behind it does not"),
            ("192.0.2.1, x\", 10.0.0.1", "", "", "10.0.0.1", "junk hides what is before it"),
            ("junk, 192.0.2.1", "", "", "192.0.2.1", "junk to the left"),
            ("\u{e9}", "", "", "-", "no ASCII"),
            ("", "https", "", "- https", "encrypted"),
            ("", "HTTP", "", "- http", "not encrypted"),
            ("", "gopher", "", "-", "something else"),
            ("", "https, http", "", "- http", "the nearest"),
            ("", "http|https", "", "- https", "the last field"),
            ("192.0.2.1", "https", "", "192.0.2.1 https", "both"),
            ("", "", "for=192.0.2.1", "192.0.2.1", "RFC 7239"),
            ("", "", "For=\"192.0.2.1:47\";Proto=HTTPS;by=10.0.0.1", "192.0.2.1 https", "in any case, with more"),
            ("", "", "for=\"[2001:db8::1]:47\"", "2001:db8::1", "IPv6"),
            ("", "", "for=127.0.0.1;proto=https, for=192.0.2.1;proto=http", "192.0.2.1 http", "its own element's"),
            ("", "", "for=192.0.2.1 ; proto=https , for=10.0.0.1 ; proto=http", "192.0.2.1 https", "past a trusted one"),
            ("", "", "for=192.0.2.9|for=192.0.2.1", "192.0.2.1", "the last field"),
            ("", "", "for=192.0.2.1, for=_hidden", "-", "a name"),
            ("", "", "for=192.0.2.1, proto=https", "- https", "an element without"),
            ("", "", "x=\"a,b;c\\\"\\\\\";for=192.0.2.1", "192.0.2.1", "quotes"),
            ("", "", ", ;for=192.0.2.1;,", "192.0.2.1", "empty ones"),
            ("", "", "for=\"127.0.0.1, for=192.0.2.1", "!", "a quote that hides what the proxy adds"),
            ("", "", "x=\", for=\"[2001:db8::1]\"", "!", "another"),
            ("", "", "x=a\"b\", for=192.0.2.1", "!", "a quote within"),
            ("", "", "x=\"\\\", for=192.0.2.1", "!", "an escape at the end"),
            ("", "", "for=127.0.0.1;for=192.0.2.1", "!", "twice"),
            ("", "", "proto=https;for=192.0.2.1;proto=http", "!", "the protocol twice"),
            ("", "", "192.0.2.1", "!", "no pair"),
            ("192.0.2.1", "", "for=192.0.2.1", "192.0.2.1", "they agree"),
            ("192.0.2.1", "", "for=127.0.0.1", "!", "they contradict each other"),
            ("unknown", "", "for=127.0.0.1", "!", "one tells, the other does not"),
            ("192.0.2.1", "https", "for=192.0.2.1;proto=http", "192.0.2.1 http", "in doubt not encrypted"),
        ];
        for (fors, protos, forwarded, expected, name) in rows {
            assert_eq!(told(fors, protos, forwarded), expected, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whatever a client writes, what a proxy adds is what counts, or nothing does.
        #[test]
        fn what_the_proxy_adds_counts(text in "[a-z0-9.:;=,\"\\\\ \\[\\]]{0,40}", separate: bool) {
            let separator = if separate { "|" } else { ", " };
            prop_assert_eq!(told(&format!("{text}{separator}192.0.2.1"), "", ""), "192.0.2.1");
            let standard = told("", "", &format!("{text}{separator}for=192.0.2.1"));
            prop_assert!(standard == "192.0.2.1" || standard == "!", "{standard}");
            let quoted = told("", "", &format!("{text}{separator}for=\"192.0.2.1\""));
            prop_assert!(quoted == "192.0.2.1" || quoted == "!", "{quoted}");
        }
    }
}
