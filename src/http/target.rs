//! Request targets (RFC 9112 §3.2), authorities (RFC 3986 §3.2) and percent-encoding.

use std::net::Ipv6Addr;

use super::headers::{decimal, is_name_byte, is_target_byte};
use super::reject::Reject;

/// The four forms of a request target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`, the usual one.
    #[default]
    Origin,
    /// `http://host/path?query`, as sent to proxies.
    Absolute,
    /// `host:port`, for CONNECT only.
    Authority,
    /// `*`, for OPTIONS only.
    Asterisk,
}

/// A parsed request target; the parts are slices of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Its form.
    pub form: TargetForm,
    /// The path, undecoded; empty if an absolute form has none. For CONNECT the authority, and `*` as it is.
    pub path: &'a str,
    /// Whether the path contains percent-encoded bytes.
    pub escaped: bool,
    /// What follows the first `?`, undecoded: any bytes but control characters, space and `#`. Browsers and scripts
    /// send a bare `%` and raw non-ASCII bytes there; the application has to interpret them.
    pub query: &'a str,
    /// The authority of an absolute or authority form.
    pub authority: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Parses the target of a request with this method.
    pub fn parse(method: &str, target: &'a str) -> Result<Self, Reject> {
        if method == "CONNECT" {
            return Self::authority_form(target);
        }
        if target.starts_with('/') {
            return Self::with_path(target);
        }
        if target == "*" && method == "OPTIONS" {
            return Ok(Self { form: TargetForm::Asterisk, path: target, escaped: false, query: "", authority: None });
        }
        Self::absolute_form(target)
    }

    fn authority_form(target: &'a str) -> Result<Self, Reject> {
        // RFC 9110 §9.3.6: there is no default port.
        match split_authority(target.as_bytes()) {
            Some(port) if !port.is_empty() => Ok(Self {
                form: TargetForm::Authority,
                path: target,
                escaped: false,
                query: "",
                authority: Some(target),
            }),
            _ => Err(Reject::bad("CONNECT without host:port")),
        }
    }

    fn absolute_form(target: &'a str) -> Result<Self, Reject> {
        let rest = match target.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => rest,
            _ => return Err(Reject::bad("malformed request target")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or_default();
        if !is_authority(authority.as_bytes()) {
            return Err(Reject::bad("bad authority in the request target"));
        }
        Ok(Self { form: TargetForm::Absolute, authority: Some(authority), ..Self::with_path(path)? })
    }

    /// Checks and splits a path and query, in one pass.
    fn with_path(text: &'a str) -> Result<Self, Reject> {
        let mut question = None;
        let mut escaped = false;
        let mut rest = text.as_bytes();
        while let Some(special) = rest.iter().position(|&byte| !is_target_byte(byte)) {
            rest = match rest.get(special..).unwrap_or_default() {
                [b'?', tail @ ..] => {
                    question.get_or_insert(text.len() - tail.len() - 1);
                    tail
                }
                [b'%', b'0', b'0', ..] if question.is_none() => {
                    return Err(Reject::bad("NUL in the path"));
                }
                [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    escaped |= question.is_none();
                    tail
                }
                [b'%' | 0x80.., tail @ ..] if question.is_some() => tail,
                [b'%', ..] => {
                    return Err(Reject::bad("bad percent-encoding in the request target"));
                }
                _ => return Err(Reject::bad("forbidden byte in the request target")),
            };
        }
        let path = question.map_or(text, |at| text.get(..at).unwrap_or_default());
        let query = question.map_or("", |at| text.get(at + 1..).unwrap_or_default());
        Ok(Self { form: TargetForm::Origin, path, escaped, query, authority: None })
    }
}

/// Whether the text is a `host[:port]` with a host and without user information.
pub fn is_authority(text: &[u8]) -> bool {
    is_plain_authority(text) || split_authority(text).is_some()
}

/// Whether the text is an IPv4 address or an ordinary host name, perhaps with a port: the usual, at a third of the cost.
fn is_plain_authority(text: &[u8]) -> bool {
    let host = text.iter().position(|&byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')));
    match host.map(|end| text.split_at(end)) {
        None => !text.is_empty(),
        Some((host, [b':', port @ ..])) => !host.is_empty() && is_port(port),
        Some(_) => false,
    }
}

/// Appends the text with each `%XX` decoded; any other `%` is left as it is.
pub fn decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%'
            && let [high, low, tail @ ..] = tail
            && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
        {
            out.push(high << 4 | low);
            rest = tail;
        } else {
            out.push(*byte);
        }
    }
}

/// The port of a `host[:port]`, empty if absent; `None` if the text is malformed.
fn split_authority(text: &[u8]) -> Option<&[u8]> {
    let rest = if let [b'[', inner @ ..] = text {
        let end = inner.iter().position(|&byte| byte == b']')?;
        let (address, rest) = inner.split_at_checked(end)?;
        is_ipv6(address).then(|| rest.get(1..))?
    } else {
        let rest = after_reg_name(text);
        // RFC 9110 §4.2.1: an http URI has a host.
        (rest.len() < text.len()).then_some(rest)
    }?;
    match rest {
        [] => Some(rest),
        [b':', port @ ..] => is_port(port).then_some(port),
        _ => None,
    }
}

/// What follows the `reg-name` (or IPv4 address) at the start of the text.
fn after_reg_name(mut text: &[u8]) -> &[u8] {
    loop {
        // RFC 3986 allows the comma, but no host name has one: something has joined two names.
        let plain = text.iter().position(|&byte| !is_name_byte(byte) || byte == b',').unwrap_or(text.len());
        text = match text.get(plain..).unwrap_or_default() {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            rest => return rest,
        }
    }
}

/// An IPv6 address with an optional zone: routers are reached by link-local addresses.
fn is_ipv6(text: &[u8]) -> bool {
    let zone = text.iter().position(|&byte| byte == b'%');
    let Some((address, zone)) = text.split_at_checked(zone.unwrap_or(text.len())) else {
        return false;
    };
    let zone_fits = match zone {
        [] => true,
        [_, zone @ ..] => !zone.is_empty() && zone.iter().all(|&b| is_name_byte(b) || b == b'%'),
    };
    zone_fits && std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Digits that fit into a `u16`, or nothing, which RFC 3986 §3.2.3 allows.
fn is_port(text: &[u8]) -> bool {
    text.is_empty() || decimal(text).is_some_and(|port| port <= u64::from(u16::MAX))
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepted() {
        use TargetForm::*;
        #[rustfmt::skip]
        let rows = [
            ("GET", "/", Origin, "/", "", None),
            ("GET", "/a/b.html?x=1&y=?", Origin, "/a/b.html", "x=1&y=?", None),
            ("GET", "/a?", Origin, "/a", "", None),
            ("GET", "//host/x", Origin, "//host/x", "", None),
            ("GET", "/*", Origin, "/*", "", None),
            ("GET", "/%41?%00", Origin, "/%41", "%00", None),
            ("GET", "/a?100%&b=%zz%", Origin, "/a", "100%&b=%zz%", None),
            ("GET", "/a?caf\u{e9}?\u{e9}", Origin, "/a", "caf\u{e9}?\u{e9}", None),
            ("GET", "/a|b{}\"<>\\^`", Origin, "/a|b{}\"<>\\^`", "", None),
            ("GET", "http://h", Absolute, "", "", Some("h")),
            ("GET", "HTTP://h:80/x?y", Absolute, "/x", "y", Some("h:80")),
            ("GET", "https://h?y", Absolute, "", "y", Some("h")),
            ("GET", "http://[::1]:80/", Absolute, "/", "", Some("[::1]:80")),
            ("OPTIONS", "*", Asterisk, "*", "", None),
            ("OPTIONS", "/", Origin, "/", "", None),
            ("CONNECT", "h:443", Authority, "h:443", "", Some("h:443")),
            ("CONNECT", "[::1]:1", Authority, "[::1]:1", "", Some("[::1]:1")),
        ];
        for (method, target, form, path, query, authority) in rows {
            let got = Target::parse(method, target).expect(target);
            let want = Target { form, path, escaped: target.contains("%41"), query, authority };
            assert_eq!(got, want, "{method} {target}");
        }
    }

    #[test]
    fn refused() {
        let rows = [
            ("GET", "", "empty"),
            ("GET", "*", "asterisk of GET"),
            ("OPTIONS", "*/", "asterisk with more"),
            ("GET", "index.html", "relative"),
            ("GET", "h:80", "authority of GET"),
            ("GET", "ftp://h/", "another scheme"),
            ("GET", "http:/h/", "one slash"),
            ("GET", "http:///x", "no host"),
            ("GET", "http://:80/x", "no host but a port"),
            ("GET", "http://u@h/", "user information"),
            ("GET", "http://u:p@h/", "user and password"),
            ("GET", "http://h:x/", "bad port"),
            ("GET", "http://h#f", "fragment on an authority"),
            ("GET", "/a#b", "fragment"),
            ("GET", "/?a#b", "fragment after a query"),
            ("GET", "/\u{e9}", "raw non-ASCII"),
            ("GET", "/\u{7f}", "DEL"),
            ("GET", "/a\tb", "tab"),
            ("GET", "/%", "bare percent"),
            ("GET", "/%4", "cut percent"),
            ("GET", "/%4g", "bad hex"),
            ("GET", "/%%41", "percent percent"),
            ("GET", "/%+1", "sign for a digit"),
            ("GET", "/?a b", "space in the query"),
            ("GET", "/?a\u{1}", "control in the query"),
            ("GET", "/?a\u{7f}", "DEL in the query"),
            ("GET", "/\u{e9}?a", "raw non-ASCII before the query"),
            ("GET", "/%?%", "bare percent before the query"),
            ("GET", "/a%00b", "NUL"),
            ("CONNECT", "/", "origin form of CONNECT"),
            ("CONNECT", "h", "CONNECT without a port"),
            ("CONNECT", "h:", "CONNECT with an empty port"),
            ("CONNECT", "http://h:80/", "absolute form of CONNECT"),
        ];
        for (method, target, name) in rows {
            let status = Target::parse(method, target).map_err(|reject| reject.status);
            assert_eq!(status, Err(400), "{name}");
        }
    }

    #[test]
    fn authorities() {
        let good = [
            "h",
            "h:",
            "h:0",
            "h:65535",
            "1.2.3.4:80",
            "a_b.lan",
            "%41",
            "[::1]",
            "[::1]:80",
            "[fe80::1%25br-lan]",
            "[fe80::1%br-lan]:80",
            "a!b",
        ];
        let bad = [
            "",
            ":80",
            "h:65536",
            "h:+1",
            "h:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[]",
            "[::1%]",
            "[v1.x]",
            "[1.2.3.4]",
            "a b",
            "a/b",
            "u@h",
            "%4",
            "%",
            "h\0",
            "h]",
            "h:80,g",
            "h,g",
            "h,",
            ",h",
        ];
        for text in good {
            assert!(is_authority(text.as_bytes()), "{text}");
        }
        for text in bad {
            assert!(!is_authority(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(bytes: Vec<u8>) {
            let encoded: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            let mut decoded = Vec::new();
            decode(encoded.as_bytes(), &mut decoded);
            prop_assert_eq!(decoded, bytes);
        }

        #[test]
        fn any_text(target in "[a-z/:?#%@0\\[\\]]{0,12}", authority: Vec<u8>) {
            for method in ["GET", "OPTIONS", "CONNECT"] {
                let _ = Target::parse(method, &target);
            }
            let _ = is_authority(&authority);
            decode(&authority, &mut Vec::new());
        }
    }
}
