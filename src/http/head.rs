//! The head of a request: parsed once, copied once, and interpreted on the way.

#[cfg(feature = "http2")]
mod of_stream;

use std::mem::MaybeUninit;
use std::str::from_utf8;

use super::directives::Directives;
use super::fields::Fields;
use super::framing::{BodyFields, Framing};
use super::lenient::acceptable_text;
use super::limits::{FIELDS_MAX, HEAD_MAX, HeadLimits};
use super::reject::Reject;
use super::span::Span;
use super::target::{Target, TargetForm, decode, is_authority};
use super::usual::{self, USUAL_MAX};

/// A parsed request head. `parse` reuses its memory.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The head as received, but with field names in lower case.
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// The path decoded; empty unless it holds percent-encoding.
    decoded: Vec<u8>,
    /// The decoded path with U+FFFD for what is not UTF-8; empty unless that is needed.
    lossy: String,
    /// The same of the target, whose query may hold any bytes.
    lossy_target: String,
    facts: HeadFacts,
}

impl Head {
    /// Parses `bytes[..n]` as the [`Scanner`](super::Scanner) found it.
    ///
    /// After an error the head contains what was understood, for the log. After 417, the only error that does not
    /// close, it is complete.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
        self.clear();
        if bytes.len() > limits.head.min(HEAD_MAX) {
            return Err(Reject::close(431, "head too long"));
        }
        self.bytes.extend_from_slice(bytes);
        let parsed = self.parse_text(bytes, limits);
        if parsed.is_ok() {
            return parsed;
        }
        let Some(text) = acceptable_text(bytes) else { return parsed };
        self.clear();
        self.bytes.extend_from_slice(bytes);
        let parsed = self.parse_text(&text, limits);
        if !self.target_bytes().is_ascii() {
            self.lossy_target = String::from_utf8_lossy(self.target_bytes()).into_owned();
        }
        parsed
    }

    /// Parses the head that `input` starts with if it is one of the usual kind, and returns its length.
    ///
    /// `None` says nothing of the input: it may be unfinished, wrong, or just unusual. This head has no meaning then.
    pub fn parse_usual(&mut self, input: &[u8], limits: &HeadLimits) -> Option<usize> {
        self.clear();
        let most = limits.head.min(USUAL_MAX).min(input.len());
        self.bytes.extend_from_slice(input.get(..most)?);
        let line = usual::request_line(&self.bytes)?;
        if line.target.len() > limits.target {
            return None;
        }
        let (mut body, mut host, mut at) = (BodyFields::default(), None, line.end);
        let length = loop {
            let (name, value) = match usual::field_line(&mut self.bytes, at)? {
                usual::Next::End(length) => break length,
                usual::Next::Field { name, value, end } => {
                    at = end;
                    (name, value)
                }
            };
            if self.fields.len() >= limits.fields.min(FIELDS_MAX) {
                return None;
            }
            self.fields.push(Field { name, value });
            let (name, text) = (self.bytes.get(name.range())?, self.bytes.get(value.range())?);
            if name != b"host" {
                self.facts.directives.read(name, text, &mut body).ok()?;
            } else if host.replace(value).is_some() || !is_authority(text) {
                return None;
            }
        };
        self.bytes.truncate(length);
        self.facts.method = line.method;
        self.facts.target = line.target;
        self.facts.path = line.path;
        self.facts.query = line.query;
        self.facts.minor = 1;
        self.facts.host = Some(host?);
        self.facts.framing = body.framing(1).ok()?;
        (!self.facts.directives.unknown_expectation).then_some(length)
    }

    /// Parses `bytes`, a version of `self.bytes` of the same length.
    fn parse_text(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<(), Reject> {
        let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let slots = slots.get_mut(..limits.fields.min(FIELDS_MAX)).unwrap_or_default();
        let mut request = httparse::Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(bytes, slots);
        let method = request.method.unwrap_or_default();
        let target = request.path.unwrap_or_default();
        self.facts.method = Span::of(method.as_bytes(), bytes);
        self.facts.target = Span::of(target.as_bytes(), bytes);
        self.facts.minor = request.version.unwrap_or_default();
        match parsed {
            Ok(httparse::Status::Complete(n)) if n == bytes.len() => {}
            // The scanner and the parser disagree about the end of the head: trust neither.
            Ok(_) => return Err(Reject::bad("ambiguous end of the head")),
            Err(error) => return Err(refusal(error, self.facts.target.after(bytes))),
        }
        if target.len() > limits.target {
            return Err(Reject::close(414, "request target too long"));
        }
        self.read_target(Target::parse(method, target)?, bytes);
        self.read_fields(request.headers, bytes)
    }

    /// The method: any token, known or not.
    pub fn method(&self) -> &str {
        self.text(self.facts.method)
    }

    /// Whether the method is GET.
    pub fn is_get(&self) -> bool {
        self.slice(self.facts.method) == b"GET"
    }

    /// Whether the method is HEAD.
    pub fn is_head(&self) -> bool {
        self.slice(self.facts.method) == b"HEAD"
    }

    /// The minor version of HTTP/1: 0 or 1. A request of HTTP/2 is treated as one of HTTP/1.1.
    pub fn minor_version(&self) -> u8 {
        self.facts.minor
    }

    /// The version of HTTP, as the request line of HTTP/1 would have it.
    pub fn version(&self) -> &'static str {
        match (self.facts.is_of_stream, self.facts.minor) {
            (true, _) => "HTTP/2.0",
            (false, 0) => "HTTP/1.0",
            (false, _) => "HTTP/1.1",
        }
    }

    /// Whether it is a request of HTTP/2.
    pub fn is_of_stream(&self) -> bool {
        self.facts.is_of_stream
    }

    /// The request target as sent, with U+FFFD for what is not UTF-8.
    pub fn target(&self) -> &str {
        if self.lossy_target.is_empty() { self.text(self.facts.target) } else { &self.lossy_target }
    }

    /// The request target as sent.
    pub fn target_bytes(&self) -> &[u8] {
        self.slice(self.facts.target)
    }

    /// The form of the request target.
    pub fn form(&self) -> TargetForm {
        self.facts.form
    }

    /// The path undecoded and without the query; `*` or the authority in those two forms.
    pub fn raw_path(&self) -> &str {
        match self.text(self.facts.path) {
            // RFC 9110 §4.2.3: an empty path of an absolute form is "/".
            "" => "/",
            path => path,
        }
    }

    /// The path, percent-decoded once.
    pub fn path_bytes(&self) -> &[u8] {
        match self.slice(self.facts.path) {
            _ if !self.decoded.is_empty() => &self.decoded,
            b"" => b"/",
            path => path,
        }
    }

    /// The path, percent-decoded once, with U+FFFD in place of what is not UTF-8.
    pub fn path(&self) -> &str {
        if self.decoded.is_empty() { self.raw_path() } else { from_utf8(&self.decoded).unwrap_or(&self.lossy) }
    }

    /// What follows the first `?` of the target, undecoded, or an empty string; with U+FFFD for what is not UTF-8.
    pub fn query_string(&self) -> &str {
        if self.lossy_target.is_empty() {
            return self.text(self.facts.query);
        }
        self.lossy_target.split_once('?').map_or("", |(_, query)| query)
    }

    /// What follows the first `?` of the target as sent, or nothing.
    pub fn query_bytes(&self) -> &[u8] {
        self.slice(self.facts.query)
    }

    /// The requested authority: the target's, or else that of Host (RFC 9112 §3.2.2).
    pub fn host(&self) -> Option<&str> {
        self.facts.host.map(|span| self.text(span))
    }

    /// The fields in their order: names in lower case, values trimmed.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (self.text(field.name), self.slice(field.value)))
    }

    /// The value of the first field of that name, in any case.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| self.is_named(field, name))?;
        Some(self.slice(field.value))
    }

    /// The value of the first field of that name as text; `None` also if it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        from_utf8(self.header_bytes(name)?).ok()
    }

    /// How long the request's body is.
    pub fn framing(&self) -> Framing {
        self.facts.framing
    }

    /// The length of the body, if the request says it.
    pub fn content_length(&self) -> Option<u64> {
        if let Framing::Length(length) = self.framing() { Some(length) } else { None }
    }

    /// Whether the client lets the connection persist: RFC 9112 §9.3.
    pub fn keep_alive(&self) -> bool {
        let directives = &self.facts.directives;
        !directives.close && (self.facts.minor > 0 || directives.keep)
    }

    /// Whether there is a precondition (RFC 9110 §13.1) or a range (§14.2).
    pub fn is_selective(&self) -> bool {
        self.facts.directives.selective
    }

    /// Whether the client names content codings: RFC 9110 §12.5.3.
    pub fn names_codings(&self) -> bool {
        self.facts.directives.codings
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        // RFC 9110 §10.1.1: ignored in HTTP/1.0.
        let awaits = self.facts.directives.awaits && self.facts.minor > 0;
        awaits && !matches!(self.facts.framing, Framing::None | Framing::Length(0))
    }

    /// Whether the client offers another protocol: RFC 9110 §7.8.
    pub fn wants_upgrade(&self) -> bool {
        self.facts.directives.upgrade && self.facts.minor > 0 && self.header_bytes("upgrade").is_some()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.decoded.clear();
        self.lossy.clear();
        self.lossy_target.clear();
        self.facts = HeadFacts::default();
    }

    fn read_target(&mut self, target: Target<'_>, bytes: &[u8]) {
        self.facts.form = target.form;
        self.facts.path = Span::of(target.path.as_bytes(), bytes);
        self.facts.query = Span::of(target.query.as_bytes(), bytes);
        self.facts.host = target.authority.map(|authority| Span::of(authority.as_bytes(), bytes));
        if target.escaped {
            decode(target.path.as_bytes(), &mut self.decoded);
            if from_utf8(&self.decoded).is_err() {
                self.lossy.push_str(&String::from_utf8_lossy(&self.decoded));
            }
        }
    }

    /// Records where the fields are, and interprets those that matter here.
    fn read_fields(&mut self, headers: &[httparse::Header<'_>], bytes: &[u8]) -> Result<(), Reject> {
        let mut body = BodyFields::default();
        let mut directives = Directives::default();
        let mut host = None;
        for header in headers {
            let field = Field { name: Span::of(header.name.as_bytes(), bytes), value: Span::of(header.value, bytes) };
            self.fields.push(field);
            let Some(name) = self.bytes.get_mut(field.name.range()) else {
                continue;
            };
            name.make_ascii_lowercase();
            if &*name != b"host" {
                directives.read(name, header.value, &mut body)?;
            } else if host.replace(field.value).is_some() {
                return Err(Reject::bad("more than one Host"));
            } else if !header.value.is_empty() && !is_authority(header.value) {
                // RFC 9112 §3.2: empty if the target has no authority.
                return Err(Reject::bad("malformed Host"));
            }
        }
        self.facts.directives = directives;
        if host.is_none() && self.facts.minor > 0 {
            return Err(Reject::bad("no Host"));
        }
        self.facts.host = self.facts.host.or(host);
        self.facts.framing = body.framing(self.facts.minor)?;
        if directives.unknown_expectation {
            return Err(Reject { status: 417, reason: "unknown expectation", close: false });
        }
        Ok(())
    }

    fn is_named(&self, field: &Field, name: &str) -> bool {
        field.name.len() == name.len() && self.slice(field.name).eq_ignore_ascii_case(name.as_bytes())
    }

    fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    /// A span that the parser found to be ASCII.
    fn text(&self, span: Span) -> &str {
        from_utf8(self.slice(span)).unwrap_or_default()
    }
}

impl Fields for Head {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.fields.iter().filter(|field| self.is_named(field, name)).map(|field| self.slice(field.value))
    }
}

/// What the head says, apart from its fields.
#[derive(Clone, Copy, Debug, Default)]
struct HeadFacts {
    method: Span,
    target: Span,
    path: Span,
    query: Span,
    host: Option<Span>,
    form: TargetForm,
    framing: Framing,
    minor: u8,
    /// It came by a stream of HTTP/2.
    is_of_stream: bool,
    directives: Directives,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
}

/// The refusal for a parse error, given what follows the request target.
fn refusal(error: httparse::Error, rest: &[u8]) -> Reject {
    match (error, rest) {
        (httparse::Error::TooManyHeaders, _) => Reject::close(431, "too many fields"),
        // RFC 9112 §2.3: one digit, a dot, one digit.
        (
            httparse::Error::Version,
            [b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', b'\r', b'\n', ..],
        ) => Reject::close(505, "HTTP version not supported"),
        (httparse::Error::Version, _) => Reject::bad("malformed HTTP version"),
        (httparse::Error::HeaderName, _) => Reject::bad("malformed field name"),
        (httparse::Error::HeaderValue, _) => Reject::bad("malformed field value"),
        (httparse::Error::NewLine, _) => Reject::bad("CR without LF in the head"),
        _ => Reject::bad("malformed request line"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scanner;
    use super::*;
    use proptest::prelude::*;

    /// Scans and parses, as a connection does.
    fn parse(input: &[u8]) -> (Head, Result<(), Reject>) {
        let limits = HeadLimits { head: 1024, target: 64, fields: 6 };
        let mut head = Head::default();
        let end = Scanner::default().find(input, &limits);
        let mut scanner = Scanner::default();
        let trickled =
            (0..=input.len()).map(|len| scanner.find(&input[..len], &limits)).find(|verdict| *verdict != Ok(None));
        assert_eq!(trickled.unwrap_or(Ok(None)), end, "byte by byte");
        let verdict = match end {
            Ok(Some(n)) => head.parse(&input[..n], &limits),
            Ok(None) => Err(Reject::bad("incomplete")),
            Err(reject) => Err(reject),
        };
        let mut usual = Head::default();
        if let Some(n) = usual.parse_usual(input, &limits) {
            assert_eq!((end, verdict), (Ok(Some(n)), Ok(())), "what is usual is right");
            assert_eq!(format!("{usual:?}"), format!("{head:?}"), "and means the same");
        }
        (head, verdict)
    }

    const USUAL: &str = "POST /a/b.c?d=%1&e?f HTTP/1.1\r\nHost: h.example:80\r\nACCEPT-encoding:  gzip \t, br; q=0 \r\n\
        X-Empty:\r\nContent-Length:\t12\r\nIf-Match: \"\u{e9}\"\r\nConnection: close\r\n\r\nmore";

    #[test]
    fn the_usual_is_read_in_one_pass() {
        let limits = HeadLimits { head: 1024, target: 64, fields: 6 };
        let plain = USUAL.replace('%', "");
        let length = plain.len() - "more".len();
        assert_eq!(Head::default().parse_usual(plain.as_bytes(), &limits), Some(length));
        for cut in 0..length {
            assert_eq!(Head::default().parse_usual(&plain.as_bytes()[..cut], &limits), None, "unfinished: {cut}");
        }
        for limits in [
            HeadLimits { head: length - 1, ..limits },
            HeadLimits { target: 13, ..limits },
            HeadLimits { fields: 5, ..limits },
        ] {
            assert_eq!(Head::default().parse_usual(plain.as_bytes(), &limits), None, "too much: {limits:?}");
        }
        for head in
            ["GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /%20 HTTP/1.1\r\nHost: h\r\n\r\n"]
        {
            assert_eq!(Head::default().parse_usual(head.as_bytes(), &limits), None, "unusual: {head:?}");
        }
    }

    fn good(input: &str) -> Head {
        let (head, verdict) = parse(input.as_bytes());
        assert_eq!(verdict, Ok(()), "{input:?}");
        head
    }

    /// A 1.1 request with these fields besides Host.
    fn with(fields: &str) -> Head {
        good(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
    }

    #[test]
    fn refusals() {
        #[rustfmt::skip]
        let rows = [
            ("GET /\r\n\r\n", 400, "HTTP/0.9"),
            ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "two spaces before the target"),
            ("GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400, "two spaces before the version"),
            ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400, "space after the version"),
            ("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, "tab for a space"),
            ("GE(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method not a token"),
            ("GET / a HTTP/1.1\r\nHost: h\r\n\r\n", 400, "space in the target"),
            ("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", 400, "raw non-ASCII in the target"),
            ("GET /\u{1} HTTP/1.1\r\nHost: h\r\n\r\n", 400, "control in the target"),
            ("GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "NUL in the path"),
            ("GET /\u{e9}?q HTTP/1.1\r\nHost: h\r\n\r\n", 400, "raw non-ASCII before the query"),
            ("GET /?\u{e9} \u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", 400, "a space in the query"),
            ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400, "asterisk of GET"),
            ("GET / HTTP/1.1\rHost: h\r\n\r\n", 400, "bare CR after the request line"),
            ("GET / http/1.1\r\nHost: h\r\n\r\n", 400, "version in lower case"),
            ("GET / HTTP/11\r\nHost: h\r\n\r\n", 400, "version without a dot"),
            ("GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400, "minor version of two digits"),
            ("GET / HTTP/2.0x\r\nHost: h\r\n\r\n", 400, "version with more behind"),
            ("GET / H\r\n\r\n", 400, "cut version"),
            ("GET / HTTP/1.2\r\n\r\n", 400, "HTTP/1.2 without Host"),
            ("GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400, "two digits"),
            ("GET / HTTP/1.2 \r\nHost: h\r\n\r\n", 400, "space behind HTTP/1.2"),
            ("GET /\u{e9} HTTP/1.2\r\nHost: h\r\n\r\n", 400, "raw non-ASCII in the path, HTTP/1.2"),
            ("GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, "HTTP/0.9 with a version"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2 preface"),
            ("GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
            ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, "two Hosts"),
            ("GET / HTTP/1.0\r\nHost: h\r\nhost: h\r\n\r\n", 400, "two Hosts in 1.0"),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed Host"),
            ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400, "Host with a user"),
            ("GET http://h/ HTTP/1.1\r\n\r\n", 400, "absolute form without Host"),
            ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, "space before the colon"),
            ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, "space before the first field"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400, "folded field"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA:\r\n b\r\n\r\n", 400, "folded empty field"),
            ("GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", 400, "no field name"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", 400, "no colon"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA\u{e9}: b\r\n\r\n", 400, "field name not a token"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\n\r\n", 400, "NUL in a value"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", 400, "NUL as a value"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\u{7f}\r\n\r\n", 400, "DEL in a value"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\u{1b}c\r\n\r\n", 400, "ESC in a value"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400, "bare CR in a value"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n", 400, "CR CR LF"),
            ("GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, "bare LF after a field"),
            ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", 400, "signed length"),
            ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400, "empty length"),
            ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n", 400, "two lengths"),
            ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400, "chunked with a length"),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "chunked in 1.0"),
            ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "gzip"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n", 431, "a field too many"),
        ];
        for (input, status, name) in rows {
            let (_, verdict) = parse(input.as_bytes());
            let got = verdict.map_err(|reject| (reject.status, reject.close));
            assert_eq!(got, Err((status, true)), "{name}");
        }
        let (head, verdict) = parse(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(64)).as_bytes());
        assert_eq!(verdict.map_err(|reject| reject.status), Err(414));
        assert_eq!(head.method(), "GET", "what was understood is there for the log");
        assert_eq!(head.target().len(), 65);
    }

    #[test]
    fn queries_are_passed_as_they_are() {
        let rows: [(&[u8], &str); 5] = [
            (b"a=100%&%zz", "a=100%&%zz"),
            ("q=caf\u{e9}".as_bytes(), "q=caf\u{e9}"),
            (b"q=caf\xe9?\xff&b", "q=caf\u{fffd}?\u{fffd}&b"),
            (b"\xc3", "\u{fffd}"),
            (b"?", "?"),
        ];
        for (query, text) in rows {
            let head = [b"\r\nGET /%41?", query, b" HTTP/1.1\r\nHost: h\r\nA: \xe9\r\n\r\n"].concat();
            let (head, verdict) = parse(&head);
            assert_eq!(verdict, Ok(()), "{text}");
            assert_eq!((head.query_bytes(), head.query_string(), head.path()), (query, text, "/A"));
            assert_eq!(head.target_bytes(), [b"/%41?", query].concat());
            assert_eq!(head.target(), format!("/%41?{text}"));
            assert_eq!(head.header_bytes("a"), Some(&b"\xe9"[..]));
        }
        for target in [&b"/?\xe9#f"[..], b"/\xe9?\xe9", b"/\xe9", b"/%?\xe9", b"/?\xe9\x7f"] {
            let head = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            assert_eq!(parse(&head).1.map_err(|reject| reject.status), Err(400), "{target:?}");
        }
    }

    #[test]
    fn later_versions_are_read_as_1_1() {
        for minor in 2..=9 {
            let (head, verdict) = parse(format!("GET /%41?\u{e9} HTTP/1.{minor}\r\nHost: h\r\n\r\n").as_bytes());
            assert_eq!((verdict, head.minor_version(), head.keep_alive()), (Ok(()), 1, true), "HTTP/1.{minor}");
            assert_eq!((head.path(), head.query_string(), head.host()), ("/A", "\u{e9}", Some("h")));
        }
        assert_eq!(good("GET / HTTP/1.2\r\nHost: h\r\n\r\n").target(), "/");
        let chunked = "POST / HTTP/1.3\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(good(chunked).framing(), Framing::Chunked);
    }

    #[test]
    fn request_lines() {
        use TargetForm::*;
        #[rustfmt::skip]
        let rows = [
            ("GET / HTTP/1.1\r\nHost: h", "GET", Origin, "/", "/", "", Some("h")),
            ("\r\nM-SEARCH / HTTP/1.1\r\nHost:", "M-SEARCH", Origin, "/", "/", "", Some("")),
            ("GET /a%2Fb?x=%20 HTTP/1.0", "GET", Origin, "/a%2Fb", "/a/b", "x=%20", None),
            ("GET /%E4%BD%A0/ HTTP/1.0", "GET", Origin, "/%E4%BD%A0/", "/你/", "", None),
            ("GET /%ff%41 HTTP/1.0", "GET", Origin, "/%ff%41", "/\u{fffd}A", "", None),
            ("GET /%252e HTTP/1.0", "GET", Origin, "/%252e", "/%2e", "", None),
            ("GET http://a:1?q HTTP/1.1\r\nHost: b", "GET", Absolute, "/", "/", "q", Some("a:1")),
            ("GET http://a/%41 HTTP/1.1\r\nHost: b", "GET", Absolute, "/%41", "/A", "", Some("a")),
            ("OPTIONS * HTTP/1.1\r\nHost: b", "OPTIONS", Asterisk, "*", "*", "", Some("b")),
            ("CONNECT a:1 HTTP/1.1\r\nHost: b", "CONNECT", Authority, "a:1", "a:1", "", Some("a:1")),
        ];
        for (line, method, form, raw_path, path, query, host) in rows {
            let head = good(&format!("{line}\r\n\r\n"));
            assert_eq!(head.method(), method, "{line}");
            assert_eq!(head.target(), line.split(' ').nth(1).unwrap(), "{line}");
            assert_eq!((head.form(), head.raw_path(), head.path()), (form, raw_path, path), "{line}");
            assert_eq!((head.query_string(), head.host()), (query, host), "{line}");
            assert_eq!(head.minor_version(), u8::from(line.contains("HTTP/1.1")), "{line}");
            assert_eq!((head.is_get(), head.is_head()), (method == "GET", false), "{line}");
        }
        assert_eq!(good("HEAD /%ff HTTP/1.0\r\n\r\n").path_bytes(), b"/\xff");
    }

    #[test]
    fn fields() {
        let input = b"GET / HTTP/1.1\r\nHost:\t h \t\r\nX-A: 1\r\nx-a:2\r\nEmpty:  \r\nLatin: \xe9\tx\r\n\r\n";
        let (head, verdict) = parse(input);
        assert_eq!(verdict, Ok(()));
        let all: Vec<_> = head.headers().collect();
        let want: [(&str, &[u8]); 5] =
            [("host", b"h"), ("x-a", b"1"), ("x-a", b"2"), ("empty", b""), ("latin", b"\xe9\tx")];
        assert_eq!(all, want);
        assert_eq!(head.header("X-a"), Some("1"));
        assert!(head.values("X-A").eq([b"1", b"2"]));
        assert_eq!(head.header("EMPTY"), Some(""));
        assert_eq!(head.header("latin"), None);
        assert_eq!(head.header_bytes("latin"), Some(b"\xe9\tx".as_slice()));
        assert_eq!(head.header("absent"), None);
    }

    #[test]
    fn connections() {
        let rows = [
            (1, "", true),
            (1, "Connection: close\r\n", false),
            (1, "Connection: Keep-Alive\r\n", true),
            (1, "Connection: keep-alive, CLOSE\r\n", false),
            (1, "Connection: close\r\nConnection: keep-alive\r\n", false),
            (1, "Connection: closed\r\n", true),
            (0, "", false),
            (0, "Connection: x ,\tKEEP-alive\r\n", true),
            (0, "Connection: keep-alive\r\nConnection: close\r\n", false),
        ];
        for (minor, fields, keep_alive) in rows {
            let head = good(&format!("GET / HTTP/1.{minor}\r\nHost: h\r\n{fields}\r\n"));
            assert_eq!(head.keep_alive(), keep_alive, "1.{minor} {fields:?}");
        }
        let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
        assert!(with(upgrade).wants_upgrade());
        assert!(!with("Connection: upgrade\r\n").wants_upgrade());
        assert!(!with("Upgrade: websocket\r\n").wants_upgrade());
        let old = good(&format!("GET / HTTP/1.0\r\n{upgrade}\r\n"));
        assert!(!old.wants_upgrade());
    }

    #[test]
    fn expectations() {
        assert!(with("Content-Length: 1\r\nExpect: 100-Continue\r\n").expects_continue());
        assert!(with("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n").expects_continue());
        assert!(!with("Expect: 100-continue\r\n").expects_continue());
        assert!(!with("Content-Length: 1\r\n").expects_continue());
        let old = good("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
        assert!(!old.expects_continue());

        let (head, verdict) =
            parse(b"PUT / HTTP/1.1\r\nExpect: 100-continue, x\r\nContent-Length: 7\r\nHost: h\r\n\r\n");
        let got = verdict.map_err(|reject| (reject.status, reject.close));
        assert_eq!(got, Err((417, false)));
        assert_eq!(head.framing(), Framing::Length(7), "the head is whole: the body can be drained");
        assert!(head.keep_alive());
        assert_eq!(head.host(), Some("h"));
    }

    #[test]
    fn nothing_is_left_of_the_head_before() {
        let limits = HeadLimits::default();
        let mut head = Head::default();
        let first = b"PUT http://a/%ff?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
        head.parse(first, &limits).unwrap();
        head.parse(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &limits).unwrap();
        assert_eq!((head.path(), head.query_string(), head.host()), ("/x", "", None));
        assert_eq!((head.framing(), head.keep_alive()), (Framing::None, true));
        assert_eq!(head.header("host"), None);
        assert!(head.parse(b"\r\n\r\n", &limits).is_err());
        assert_eq!((head.method(), head.target(), head.headers().count()), ("", "", 0));
    }

    #[test]
    fn a_head_of_the_largest_size() {
        let limits = HeadLimits { head: usize::MAX, target: usize::MAX, fields: usize::MAX };
        let mut head = Head::default();
        let sized = |len: usize| format!("GET / HTTP/1.0\r\nA: {}\r\n\r\n", "a".repeat(len - 23));
        head.parse(sized(HEAD_MAX).as_bytes(), &limits).unwrap();
        assert_eq!(head.header("a").map(str::len), Some(HEAD_MAX - 23));
        let verdict = head.parse(sized(HEAD_MAX + 1).as_bytes(), &limits);
        assert_eq!(verdict.map_err(|reject| reject.status), Err(431));
    }

    proptest! {
        /// `parse` compares the two ways.
        #[test]
        fn what_is_nearly_usual_is_read_as_ever(at in 0..USUAL.len(), byte: u8, cut in 0..4_usize, also in 0..USUAL.len()) {
            let mut text = USUAL.replace('%', "x").into_bytes();
            text[at] = byte;
            text.drain(also..(also + cut).min(USUAL.len()));
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read(
            path in "/[a-z0-9._~-]{0,20}",
            fields in proptest::collection::vec(("X-[A-Za-z0-9]{1,8}", "([!-~]([ -~]{0,10}[!-~])?)?"), 0..5),
        ) {
            let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = good(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
            prop_assert_eq!(head.path(), path);
            let got: Vec<_> = head.headers().skip(1).map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
            let want: Vec<_> = fields.iter().map(|(n, v)| (n.to_lowercase(), v.clone().into_bytes())).collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>, text in "(GET|CONNECT) [/h%:?a1]{1,9} HTTP/1.1\r\n([CHEa-t-]{1,9}: ?[\t -~]{0,9}\r\n){0,3}\r\n") {
            for input in [bytes.as_slice(), text.as_bytes()] {
                let mut head = Head::default();
                let _ = head.parse(input, &HeadLimits::default());
                let _ = parse(input);
                let _ = (head.path(), head.host(), head.keep_alive(), head.headers().count());
            }
        }
    }
}
