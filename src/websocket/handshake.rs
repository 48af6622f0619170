//! Whether a request opens a WebSocket, and what answers it: RFC 6455 §4.2.

use super::sha1::{self, sha1};
use crate::http::Head;
use crate::http::headers::list;

/// What is hashed with the client's key: §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Characters of a key: 16 bytes in Base64.
const KEY_LEN: usize = 24;

/// Characters of the answer to it: a hash in Base64.
const ACCEPT_LEN: usize = sha1::LEN.div_ceil(3) * 4;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Which clients may connect.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Subprotocols that it speaks.
    pub protocols: Vec<String>,
    /// Origins of pages that may connect, besides its own.
    pub origins: Vec<String>,
    /// Pages of all origins may connect.
    pub any_origin: bool,
}

/// The answer to a valid request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: [u8; ACCEPT_LEN],
    /// The chosen subprotocol, as an index into those of the rules.
    pub protocol: Option<usize>,
}

/// The answer to an invalid request: a status, and why.
pub type Refused = (u16, &'static str);

/// Whether a request wants a WebSocket, of any version.
pub fn is_websocket(head: &Head) -> bool {
    let offers = |value: &[u8]| list(value).any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    head.is_get() && head.wants_upgrade() && values(head, "upgrade").any(offers)
}

/// Judges a request. `tls`: the client's connection is encrypted.
///
/// # Errors
/// 426 for a request that wants something else, or another version; the answer names the supported one. 400 for a
/// malformed one, 403 for a page of another origin.
pub fn judge(head: &Head, rules: &Rules, tls: bool) -> Result<Accepted, Refused> {
    if !is_websocket(head) {
        return Err((426, "this speaks WebSocket alone\n"));
    }
    if values(head, "sec-websocket-version").ne([b"13"]) {
        return Err((426, "WebSocket has to be of version 13\n"));
    }
    let mut keys = values(head, "sec-websocket-key");
    let (Some(key), None) = (keys.next().filter(|key| is_key(key)), keys.next()) else {
        return Err((400, "not one Sec-WebSocket-Key of 16 bytes\n"));
    };
    if !rules.any_origin && !values(head, "origin").all(|origin| is_allowed(origin, head, rules, tls)) {
        return Err((403, "pages of this origin may not connect\n"));
    }
    Ok(Accepted { accept: accept(key), protocol: protocol(head, rules) })
}

/// The first subprotocol that the client offers, in its order, and that the server speaks.
fn protocol(head: &Head, rules: &Rules) -> Option<usize> {
    let find = |offered: &[u8]| rules.protocols.iter().position(|known| known.as_bytes() == offered);
    values(head, "sec-websocket-protocol").flat_map(list).find_map(find)
}

/// Whether a page may connect: it came from this host, or the rules name its origin (RFC 6454 §6.2).
///
/// On an encrypted connection it must have come encrypted itself: anybody on the way can write other pages. Without TLS, a
/// proxy in front may have it, so that both schemes are right.
fn is_allowed(origin: &[u8], head: &Head, rules: &Rules, tls: bool) -> bool {
    let plain = if tls { None } else { origin.strip_prefix(b"http://") };
    let host = plain.or_else(|| origin.strip_prefix(b"https://"));
    let ours = head.header_bytes("host").filter(|host| !host.is_empty());
    let is_own = host.is_some_and(|host| ours.is_some_and(|ours| ours.eq_ignore_ascii_case(host)));
    is_own || rules.origins.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(origin))
}

fn values<'a>(head: &'a Head, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    head.headers().filter(move |(field, _)| *field == name).map(|(_, value)| value)
}

/// Whether a key is 16 bytes in Base64.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==").unwrap_or_default();
    // The last digit has two bits of the sixteenth byte, and four that are zero: A, Q, g or w.
    let ends_well = matches!(digits, [.., b'A' | b'Q' | b'g' | b'w']);
    key.len() == KEY_LEN && ends_well && digits.iter().all(|digit| BASE64.contains(digit))
}

/// The answer to a key: §4.2.2.
fn accept(key: &[u8]) -> [u8; ACCEPT_LEN] {
    let mut text = [0; ACCEPT_LEN];
    let hash = sha1(&[key, GUID].concat());
    for (out, bytes) in text.as_chunks_mut::<4>().0.iter_mut().zip(hash.chunks(3)) {
        let byte = |at: usize| bytes.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, digit) in out.iter_mut().enumerate() {
            let used = at <= bytes.len();
            *digit = if used { BASE64[(bits >> (18 - 6 * at)) as usize & 63] } else { b'=' };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn head(line: &str, fields: &str) -> Head {
        let mut head = Head::default();
        head.parse(format!("{line}\r\nHost: h.example\r\n{fields}\r\n").as_bytes(), &HeadLimits::default()).unwrap();
        head
    }

    fn status(fields: &str, rules: &Rules) -> u16 {
        judge(&head("GET /chat HTTP/1.1", fields), rules, false).map_or_else(|(status, _)| status, |_| 101)
    }

    const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";

    #[test]
    fn the_sample_of_the_rfc() {
        let fields = format!("{UPGRADE}Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n");
        let accepted = judge(&head("GET /chat HTTP/1.1", &fields), &Rules::default(), false).unwrap();
        assert_eq!(accepted.accept, *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accepted.protocol, None);
    }

    #[test]
    fn what_opens_a_websocket() {
        let is = |line: &str, fields: &str| is_websocket(&head(line, fields));
        assert!(is("GET / HTTP/1.1", UPGRADE));
        assert!(is("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"));
        assert!(is("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n"));
        assert!(!is("POST / HTTP/1.1", UPGRADE));
        assert!(!is("GET / HTTP/1.0", UPGRADE));
        assert!(!is("GET / HTTP/1.1", "Upgrade: websocket\r\n"));
        assert!(!is("GET / HTTP/1.1", "Connection: upgrade\r\n"));
        assert!(!is("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websockets\r\n"));
    }

    #[test]
    fn keys_and_versions() {
        let rules = Rules::default();
        let with = |key: &str, version: &str| status(&format!("{UPGRADE}{key}{version}"), &rules);
        let key = |key: &str| with(&format!("Sec-WebSocket-Key: {key}\r\n"), "Sec-WebSocket-Version: 13\r\n");
        assert_eq!(key(KEY), 101);
        assert_eq!(key("AAAAAAAAAAAAAAAAAAAAAA=="), 101);
        assert_eq!(key("++//++//++//++//++//+w=="), 101);
        assert_eq!(key("AAAAAAAAAAAAAAAAAAAAAB=="), 400, "more bits than 16 bytes have");
        assert_eq!(key("SGVsbG8sIHdvcmxkIQ=="), 400, "13 bytes");
        assert_eq!(key("dGhlIHNhbXBsZSBub25jZXg="), 400, "17 bytes");
        assert_eq!(key("dGhlIHNhbXBsZSBub25jZXh4"), 400, "18 bytes");
        assert_eq!(key("dGhlIHNhbXBsZSBub25j-Q=="), 400, "another alphabet");
        assert_eq!(key(""), 400);
        assert_eq!(key(&format!("{KEY}\r\nSec-WebSocket-Key: {KEY}")), 400, "two");
        let good = format!("Sec-WebSocket-Key: {KEY}\r\n");
        assert_eq!(with("", "Sec-WebSocket-Version: 13\r\n"), 400);
        assert_eq!(with(&good, ""), 426);
        assert_eq!(with(&good, "Sec-WebSocket-Version: 8\r\n"), 426);
        assert_eq!(with(&good, "Sec-WebSocket-Version: 013\r\n"), 426);
        assert_eq!(with(&good, "Sec-WebSocket-Version: 13, 8\r\n"), 426);
        assert_eq!(with(&good, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n"), 426);
    }

    #[test]
    fn origins() {
        let own = Rules::default();
        let named = Rules { origins: vec!["https://a.example".into(), "null".into()], ..Rules::default() };
        let plain = Rules { origins: vec!["http://b.example".into()], ..Rules::default() };
        let any = Rules { any_origin: true, ..Rules::default() };
        let good = format!("{UPGRADE}Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n");
        for (origin, with_own, with_named) in [
            ("http://h.example", 101, 101),
            ("https://H.example", 101, 101),
            ("https://h.example:8443", 403, 403),
            ("https://a.example", 403, 101),
            ("https://A.example", 403, 101),
            ("http://a.example", 403, 403),
            ("https://a.example.evil", 403, 403),
            ("null", 403, 101),
            ("h.example", 403, 403),
            ("", 403, 403),
            ("http://h.example\r\nOrigin: http://evil.example", 403, 403),
        ] {
            let fields = format!("{good}Origin: {origin}\r\n");
            let got = [&own, &named, &any].map(|rules| status(&fields, rules));
            assert_eq!(got, [with_own, with_named, 101], "{origin:?}");
        }
        assert_eq!(status(&good, &own), 101, "not a browser");
        for (origin, rules, with_tls) in
            [("http://h.example", &own, false), ("https://h.example", &own, true), ("http://b.example", &plain, true)]
        {
            let head = head("GET /chat HTTP/1.1", &format!("{good}Origin: {origin}\r\n"));
            assert!(judge(&head, rules, false).is_ok(), "{origin}");
            assert_eq!(judge(&head, rules, true).is_ok(), with_tls, "{origin}");
        }
    }

    #[test]
    fn subprotocols() {
        let rules = Rules { protocols: vec!["chat".into(), "soap".into()], ..Rules::default() };
        let good = format!("{UPGRADE}Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n");
        for (offered, chosen) in [
            ("", None),
            ("Sec-WebSocket-Protocol: chat\r\n", Some(0)),
            ("Sec-WebSocket-Protocol: soap, chat\r\n", Some(1)),
            ("Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Protocol: wamp,soap\r\n", Some(1)),
            ("Sec-WebSocket-Protocol: Chat\r\n", None),
        ] {
            let accepted = judge(&head("GET / HTTP/1.1", &format!("{good}{offered}")), &rules, false).unwrap();
            assert_eq!(accepted.protocol, chosen, "{offered:?}");
        }
    }
}
