//! The request that the server behind gets.

use crate::daemon::addresses::push_ip;
use crate::daemon::config::Backend;
use crate::daemon::field_names::FieldNames;
use ecohttpd::{CleanPath, PeerAddr, Request};
use std::io::Write;

/// Fields that are for the next hop only (RFC 9110 §7.6.1), or that the proxy writes itself.
const DROPPED: FieldNames = FieldNames::new(&[
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-real-ip",
]);

/// What else a client may not say of itself.
const FORWARDED: &str = "x-forwarded-";

/// The name in `Via`.
const PSEUDONYM: &str = "ecohttpd";

/// How often a request may have come through servers like this one: more is a loop.
const HOPS: usize = 8;

/// A request on its way.
pub struct Outgoing<'a> {
    pub req: &'a Request,
    pub path: &'a CleanPath,
    pub backend: &'a Backend,
    /// `Authorization` is for this server.
    pub is_ours: bool,
    /// The value of `Host`.
    pub host: &'a str,
    pub client: PeerAddr,
    pub tls: bool,
    /// Fields of the response are set already.
    pub has_fields: bool,
}

impl Outgoing<'_> {
    /// Whether it came through here too often.
    pub fn loops(&self) -> bool {
        if self.req.header_bytes("via").is_none() {
            return false;
        }
        let via = self.req.headers_bytes().filter(|(name, _)| *name == "via").map(|(_, value)| value);
        via.map(|value| value.split(|&byte| byte == b',').filter(|hop| hop.ends_with(PSEUDONYM.as_bytes())).count())
            .sum::<usize>()
            >= HOPS
    }

    /// The place with a slash at its end of which relative links hold, if the path is replaced and the client left it out.
    pub fn folder(&self) -> Option<String> {
        let is_page = matches!(self.req.method(), "GET" | "HEAD") && !self.wants_upgrade();
        let is_prefix = self.req.raw_path().len() == self.backend.from.len();
        self.backend.path.as_ref().filter(|_| is_page && is_prefix && self.raw_rest() == Some(b""))?;
        let query = self.req.query_string();
        let mark = if query.is_empty() { "" } else { "?" };
        Some([&self.backend.from, "/", mark, query].concat())
    }

    pub fn has_body(&self) -> bool {
        self.req.content_length().is_some_and(|length| length > 0) || self.is_chunked()
    }

    pub fn is_chunked(&self) -> bool {
        self.req.header_bytes("transfer-encoding").is_some()
    }

    /// Whether it has no more effect when it is sent twice: RFC 9110 §9.2.2.
    pub fn is_idempotent(&self) -> bool {
        matches!(self.req.method(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
    }

    /// Whether the server may go over to another protocol. Not to one that carries more requests, which nobody here would
    /// judge: HTTP/2 and TLS.
    pub fn wants_upgrade(&self) -> bool {
        let mut offers = self.req.headers_bytes().filter(|(name, _)| *name == "upgrade").map(|(_, value)| value);
        let carries_http = |value: &[u8]| {
            let starts = |start: &[u8]| {
                value.split(|&byte| byte == b',').any(|offer| {
                    offer.trim_ascii().get(..start.len()).is_some_and(|offer| offer.eq_ignore_ascii_case(start))
                })
            };
            starts(b"h2") || starts(b"http") || starts(b"tls")
        };
        self.req.wants_upgrade() && !self.has_body() && !offers.any(carries_http)
    }

    /// The head, for a server that is spoken to in HTTP/1.1.
    pub fn head(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        put(&mut out, &[self.req.method().as_bytes(), b" "]);
        self.push_target(&mut out);
        put(&mut out, &[b" HTTP/1.1\r\nHost: ", self.host.as_bytes(), b"\r\n"]);
        let upgrades = self.wants_upgrade();
        let lists = self.names_fields();
        for (name, value) in self.req.headers_bytes() {
            if self.may_pass(name) && !(lists && self.is_of_connection(name)) || upgrades && name == "upgrade" {
                put(&mut out, &[name.as_bytes(), b": ", value, b"\r\n"]);
            }
        }
        self.push_origin(&mut out);
        if upgrades {
            put(&mut out, &[b"Connection: upgrade\r\n"]);
        }
        if self.is_chunked() {
            put(&mut out, &[b"Transfer-Encoding: chunked\r\n"]);
        } else if let Some(length) = self.req.content_length() {
            // As a number has one form only. Writing to memory does not fail.
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        put(&mut out, &[b"\r\n"]);
        out
    }

    /// Who asks, and how: RFC 7239, and the fields that were before it.
    fn push_origin(&self, out: &mut Vec<u8>) {
        put(out, &[b"Via: "]);
        for (_, value) in self.req.headers_bytes().filter(|(name, _)| *name == "via") {
            put(out, &[value, b", "]);
        }
        let version = self.req.version().strip_prefix("HTTP/").unwrap_or_default();
        put(out, &[version.as_bytes(), b" ", PSEUDONYM.as_bytes(), b"\r\n"]);
        let proto: &[u8] = if self.tls { b"https" } else { b"http" };
        match self.client.ip() {
            Some(ip) => {
                put(out, &[b"X-Forwarded-For: "]);
                let start = out.len();
                push_ip(out, ip);
                let end = out.len();
                let quotes: [&[u8]; 2] = if ip.is_ipv6() { [b"\"[", b"]\""] } else { [b"", b""] };
                put(out, &[b"\r\nForwarded: for=", quotes[0]]);
                out.extend_from_within(start..end);
                put(out, &[quotes[1]]);
            }
            None => put(out, &[b"Forwarded: for=unknown"]),
        }
        if let Some(host) = self.req.host().filter(|host| !host.is_empty()) {
            put(out, &[b";host=\"", host.as_bytes(), b"\""]);
        }
        put(out, &[b";proto=", proto, b"\r\nX-Forwarded-Proto: ", proto, b"\r\n"]);
        if let Some(host) = self.req.host().filter(|host| !host.is_empty()) {
            put(out, &[b"X-Forwarded-Host: ", host.as_bytes(), b"\r\n"]);
        }
    }

    fn push_target(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let kept = self.backend.path.as_ref().map_or(self.backend.from.as_bytes(), |path| path.as_bytes());
        put(out, &[kept]);
        match self.raw_rest() {
            Some(rest) => put(out, &[rest]),
            None => self.push_clean_rest(out),
        }
        if out.len() == start {
            put(out, &[b"/"]);
        }
        if !self.req.query_bytes().is_empty() {
            put(out, &[b"?", self.req.query_bytes()]);
        }
    }

    /// What follows the prefix in the path as it was sent; `None` if the path has to be written from what it means: dot
    /// segments and the like may mean another place to the server than to the rules that were asked here.
    fn raw_rest(&self) -> Option<&[u8]> {
        let rest = self.req.raw_path().as_bytes().strip_prefix(self.backend.from.as_bytes())?;
        let is_dots = |segment: &[u8]| matches!(segment, b"." | b"..");
        let mut segments = self.req.path_bytes().split(|byte| matches!(byte, b'/' | b'\\'));
        let is_plain = rest.is_empty() || rest.starts_with(b"/");
        (is_plain && !segments.any(is_dots)).then_some(rest)
    }

    fn push_clean_rest(&self, out: &mut Vec<u8>) {
        let relative = self.path.relative();
        let prefix = self.backend.from.trim_matches('/').len();
        let rest = relative.get(prefix..).unwrap_or_default();
        let slash: &[u8] = if self.path.is_folder() { b"/" } else { b"" };
        for part in [if prefix == 0 && !relative.is_empty() { &b"/"[..] } else { b"" }, rest, slash] {
            for &byte in part {
                if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
                    out.push(byte);
                } else {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }

    /// Whether a field, its name in lower case, is passed on as it is.
    fn may_pass(&self, name: &str) -> bool {
        // Servers make the same variable of `a_b` as of `a-b`, some also of `a.b`.
        let alike = |(a, b): (u8, u8)| a == b || b == b'-' && !a.is_ascii_alphanumeric();
        let is = |known: &str| name.len() == known.len() && name.bytes().zip(known.bytes()).all(alike);
        let claims = name.get(..FORWARDED.len()).is_some_and(|start| start.bytes().zip(FORWARDED.bytes()).all(alike));
        let dropped = DROPPED.may_hold(name) && DROPPED.names().any(is);
        !(claims || dropped || self.is_ours && name == "authorization")
    }

    /// Whether `Connection` lists more than what every client may say.
    fn names_fields(&self) -> bool {
        const KNOWN: [&[u8]; 3] = [b"keep-alive", b"close", b"upgrade"];
        if self.req.header_bytes("connection").is_none() {
            return false;
        }
        let mut lists = self.req.headers_bytes().filter(|(known, _)| *known == "connection");
        lists.any(|(_, value)| {
            let mut options = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            options.any(|option| !KNOWN.iter().any(|known| option.eq_ignore_ascii_case(known)))
        })
    }

    fn is_of_connection(&self, name: &str) -> bool {
        let mut lists = self.req.headers_bytes().filter(|(known, _)| *known == "connection");
        lists.any(|(_, value)| {
            value.split(|&byte| byte == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        })
    }
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}
