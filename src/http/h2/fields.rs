//! Field sections of requests: which are malformed (RFC 9113 §8.1.1), and the head of HTTP/1.1 that means the same.
//!
//! The head is parsed like any other, so that the same rules hold for paths, hosts, lengths and limits. Nothing in a field
//! can end its line here, as no field has a control character.

use super::super::headers::{decimal, is_tchar, is_token, is_value};
use super::priority::{self, Priority};

/// A request's field section while it is decoded, field by field.
#[derive(Debug, Default)]
pub struct RequestFields {
    /// Values of pseudo-fields, one behind the other.
    held: Vec<u8>,
    /// Where they are, in the order of [`PSEUDO`].
    pseudo: [Option<(usize, usize)>; PSEUDO.len()],
    /// The head of HTTP/1.1, once all pseudo-fields are known.
    text: Vec<u8>,
    /// All cookies (RFC 9113 §8.2.3).
    cookie: Vec<u8>,
    has_host: bool,
    length: Option<u64>,
    priority: Priority,
    /// Bytes that the head may have.
    max: usize,
    malformed: bool,
}

/// A request that is not malformed.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestText {
    /// A head of HTTP/1.1. It is longer than allowed if the fields were.
    pub text: Vec<u8>,
    /// `Content-Length`.
    pub length: Option<u64>,
    /// What is sent first.
    pub priority: Priority,
}

/// The pseudo-fields of requests.
const PSEUDO: [&[u8]; 4] = [b":method", b":scheme", b":authority", b":path"];
const METHOD: usize = 0;
const SCHEME: usize = 1;
const AUTHORITY: usize = 2;
const PATH: usize = 3;

/// Bytes that the values of pseudo-fields usually have together.
const USUAL_PSEUDO: usize = 128;

/// The malformed request.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl RequestFields {
    /// No field yet. `max`: bytes that the head may have.
    pub fn new(max: usize) -> RequestFields {
        RequestFields { max, held: Vec::with_capacity(USUAL_PSEUDO), ..RequestFields::default() }
    }

    /// Adds a field.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let good = match name {
            [b':', ..] => self.add_pseudo(name, value),
            _ => is_acceptable(name, value) && self.add_regular(name, value),
        };
        self.malformed |= !good;
    }

    /// The whole request. `ends`: it has no body.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn finish(mut self, ends: bool) -> Result<RequestText, Malformed> {
        if self.malformed || !self.begin_text() {
            return Err(Malformed);
        }
        if !self.cookie.is_empty() {
            let cookie = std::mem::take(&mut self.cookie);
            self.push_line(b"cookie", &cookie);
        }
        if !ends && self.length.is_none() {
            // What HTTP/1.1 says of a body whose length is not known.
            self.push_line(b"transfer-encoding", b"chunked");
        }
        self.text.extend_from_slice(b"\r\n");
        Ok(RequestText { text: self.text, length: self.length, priority: self.priority })
    }

    fn value(&self, which: usize) -> Option<&[u8]> {
        let (start, end) = (*self.pseudo.get(which)?)?;
        self.held.get(start..end)
    }

    fn add_pseudo(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some(which) = PSEUDO.iter().position(|known| *known == name) else { return false };
        // RFC 9113 §8.3: each once, and before all regular fields.
        if self.pseudo[which].is_some() || !self.text.is_empty() {
            return false;
        }
        // A request line of more than the whole head is too long in any case.
        let value = value.get(..self.max).unwrap_or(value);
        let start = self.held.len();
        self.held.extend_from_slice(value);
        self.pseudo[which] = Some((start, self.held.len()));
        true
    }

    /// Writes the request line, and `Host` for the authority, unless that was done; false if they are malformed.
    fn begin_text(&mut self) -> bool {
        if !self.text.is_empty() {
            return true;
        }
        let Some(method) = self.value(METHOD).filter(|method| is_token(method)) else { return false };
        let (scheme, authority, path) = (self.value(SCHEME), self.value(AUTHORITY), self.value(PATH));
        let is_good = match (method, scheme, authority, path) {
            // RFC 9113 §8.5
            (b"CONNECT", None, Some(_), None) => true,
            (b"CONNECT", ..) | (_, None, ..) | (.., None) => false,
            (_, Some(scheme), _, Some(path)) => {
                (scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"http"))
                    && (path.starts_with(b"/") || path == b"*" && method == b"OPTIONS")
            }
        };
        // RFC 9113 §8.3.1: no user information. `Host` may be empty, but not what stands for it.
        let names_host = authority.is_none_or(|host| !host.is_empty() && !host.contains(&b'@'));
        let target = path.or(authority).unwrap_or_default();
        let on_one_line = |text: &[u8]| text.iter().all(|&byte| byte > b' ' && byte != 0x7f);
        if !is_good || !names_host || !on_one_line(target) || !on_one_line(authority.unwrap_or_default()) {
            return false;
        }
        let mut text = Vec::with_capacity(method.len() + target.len() + authority.map_or(0, <[u8]>::len) + 512);
        for part in [method, b" ", target, b" HTTP/1.1\r\n"] {
            text.extend_from_slice(part);
        }
        if let Some(authority) = authority {
            for part in [&b"host: "[..], authority, b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        self.has_host = authority.is_some();
        self.text = text;
        true
    }

    fn add_regular(&mut self, name: &[u8], value: &[u8]) -> bool {
        if !self.begin_text() {
            return false;
        }
        match name {
            b"host" if self.has_host => {
                // RFC 9113 §8.3.1: it may only repeat the authority. Without one, a second `Host` is refused later.
                return self.value(AUTHORITY).is_none_or(|authority| authority.eq_ignore_ascii_case(value));
            }
            b"cookie" if self.text.len() + self.cookie.len() <= self.max => {
                if !self.cookie.is_empty() {
                    self.cookie.extend_from_slice(b"; ");
                }
                self.cookie.extend_from_slice(value);
                return true;
            }
            b"cookie" => return true,
            b"content-length" => self.length = self.length.or(decimal(value)),
            b"priority" => self.priority = priority::parse(value),
            _ => {}
        }
        self.push_line(name, value);
        true
    }

    /// Nothing more is added to a head that is too long already: a few bytes of a block can mean much.
    fn push_line(&mut self, name: &[u8], value: &[u8]) {
        if self.text.len() > self.max {
            return;
        }
        for part in [name, b": ", value, b"\r\n"] {
            self.text.extend_from_slice(part);
        }
    }
}

/// A trailer section: it is checked and dropped. False for a field that makes it malformed.
pub fn is_trailer(name: &[u8], value: &[u8]) -> bool {
    is_acceptable(name, value)
}

/// Whether a regular field may be in a request at all: RFC 9113 §8.2.1 and §8.2.2.
fn is_acceptable(name: &[u8], value: &[u8]) -> bool {
    let is_name = !name.is_empty() && name.iter().all(|&byte| is_tchar(byte) && !byte.is_ascii_uppercase());
    let is_value = is_value(value) && !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']);
    let is_of_connection = match name {
        b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => true,
        b"te" => value != b"trailers",
        _ => false,
    };
    is_name && is_value && !is_of_connection
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields as `name: value` lines; `GET`, `https`, `h` and `/` come first unless the lines start with a pseudo-field.
    fn request(lines: &str) -> Result<String, Malformed> {
        let mut fields = RequestFields::new(200);
        let usual = ":method: GET\n:scheme: https\n:authority: h\n:path: /\n";
        let lines = if lines.starts_with(':') { lines.to_owned() } else { format!("{usual}{lines}") };
        for line in lines.split('\n').filter(|line| !line.is_empty()) {
            let colon = line[1..].find(": ").unwrap() + 1;
            fields.add(&line.as_bytes()[..colon], &line.as_bytes()[colon + 2..]);
        }
        fields.finish(true).map(|request| String::from_utf8(request.text).unwrap())
    }

    #[test]
    fn heads() {
        #[rustfmt::skip]
        let rows = [
            ("", "GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
            ("accept: */*\nx: ", "GET / HTTP/1.1\r\nhost: h\r\naccept: */*\r\nx: \r\n\r\n"),
            ("cookie: a=1\nx: y\ncookie: b=2", "GET / HTTP/1.1\r\nhost: h\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n"),
            ("host: H", "GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
            ("te: trailers", "GET / HTTP/1.1\r\nhost: h\r\nte: trailers\r\n\r\n"),
            (":path: /a?b c\n", ""),
            (":path: /a?b\n:method: PUT\n:scheme: http\nhost: x", "PUT /a?b HTTP/1.1\r\nhost: x\r\n\r\n"),
            (":method: OPTIONS\n:scheme: https\n:path: *\n:authority: h", "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n"),
            (":method: CONNECT\n:authority: h:443", "CONNECT h:443 HTTP/1.1\r\nhost: h:443\r\n\r\n"),
        ];
        for (lines, want) in rows {
            assert_eq!(request(lines).unwrap_or_default(), want, "{lines}");
        }
    }

    #[test]
    fn malformed() {
        #[rustfmt::skip]
        let rows = [
            (":method: GET\n:scheme: https\n:authority: h", "no path"),
            (":method: GET\n:path: /\n:authority: h", "no scheme"),
            (":scheme: https\n:path: /\n:authority: h", "no method"),
            (":method: G T\n:scheme: https\n:path: /", "a method that is no token"),
            (":method: GET\n:method: GET\n:scheme: https\n:path: /", "a pseudo-field twice"),
            (":method: GET\n:scheme: https\nx: y\n:path: /", "a pseudo-field behind a field"),
            (":method: GET\n:scheme: https\n:path: /\nx: y\n:authority: h", "the authority behind a field"),
            (":method: GET\n:scheme: https\n:path: /\n:status: 200", "a pseudo-field of responses"),
            (":method: GET\n:scheme: https\n:path: /\n:protocol: websocket", "an extension"),
            (":method: GET\n:scheme: https\n:path: ", "an empty path"),
            (":method: GET\n:scheme: https\n:path: *", "an asterisk of GET"),
            (":method: GET\n:scheme: https\n:path: http://h/", "an absolute form"),
            (":method: GET\n:scheme: https\n:path: /a HTTP/1.1\r", "a line end in the path"),
            (":method: GET\n:scheme: https\n:path: /a b", "a space in the path"),
            (":method: GET\n:scheme: ftp\n:path: /", "another scheme"),
            (":method: GET\n:scheme: https\n:path: /\n:authority: ", "an empty authority"),
            (":method: GET\n:scheme: https\n:path: /\n:authority: u@h", "user information"),
            (":method: CONNECT\n:scheme: https\n:path: /\n:authority: h", "CONNECT with a path"),
            (":method: CONNECT", "CONNECT without an authority"),
            ("host: other", "a host beside another authority"),
            ("Accept: x", "upper case"),
            ("a b: x", "a name that is no token"),
            ("x: a\r", "CR"), ("x: a\0", "NUL"), ("x:  a", "a space first"), ("x: a\t", "a tab last"),
            ("connection: close", "connection"), ("proxy-connection: x", "proxy-connection"),
            ("keep-alive: x", "keep-alive"), ("transfer-encoding: chunked", "transfer-encoding"),
            ("upgrade: x", "upgrade"), ("te: gzip", "te"), ("te: trailers, gzip", "te with more"),
        ];
        for (lines, name) in rows {
            assert_eq!(request(lines), Err(Malformed), "{name}");
        }
        for (name, value, good) in [("x", "y", true), (":path", "/", false), ("X", "y", false), ("te", "x", false)] {
            assert_eq!(is_trailer(name.as_bytes(), value.as_bytes()), good, "{name}");
        }
    }

    #[test]
    fn lengths_and_priorities() {
        let mut fields = RequestFields::new(200);
        for (name, value) in [(":method", "GET"), (":scheme", "https"), (":path", "/")] {
            fields.add(name.as_bytes(), value.as_bytes());
        }
        fields.add(b"content-length", b"12");
        fields.add(b"priority", b"u=1, i");
        let request = fields.finish(true).unwrap();
        assert_eq!(request.length, Some(12));
        assert_eq!(request.priority, Priority { urgency: 1, incremental: true });
    }

    #[test]
    fn bodies_of_unknown_length() {
        for (length, ends, chunked) in [(None, false, true), (None, true, false), (Some("3"), false, false)] {
            let mut fields = RequestFields::new(200);
            for (name, value) in [(":method", "PUT"), (":scheme", "https"), (":path", "/")] {
                fields.add(name.as_bytes(), value.as_bytes());
            }
            if let Some(length) = length {
                fields.add(b"content-length", length.as_bytes());
            }
            let text = fields.finish(ends).unwrap().text;
            assert_eq!(text.ends_with(b"\r\ntransfer-encoding: chunked\r\n\r\n"), chunked, "{length:?} {ends}");
        }
    }

    #[test]
    fn a_bomb_stays_small() {
        let mut fields = RequestFields::new(1000);
        for (name, value) in [(":method", "GET"), (":scheme", "https"), (":path", "/")] {
            fields.add(name.as_bytes(), value.as_bytes());
        }
        for _ in 0..10_000 {
            fields.add(b"x", &[b'y'; 500]);
            fields.add(b"cookie", &[b'z'; 500]);
        }
        let text = fields.finish(true).unwrap().text;
        assert!(text.len() > 1000 && text.len() < 4000, "{}", text.len());
    }
}
