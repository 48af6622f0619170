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
    fields: Vec<FieldSpan>,
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
            self.fields.push(FieldSpan { name, value });
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
        // All of it at once, if it is UTF-8: then not each name has to be checked.
        let text = from_utf8(&self.bytes).unwrap_or_default();
        self.fields.iter().map(move |field| {
            let name = text.get(field.name.range()).unwrap_or_else(|| self.text(field.name));
            (name, self.slice(field.value))
        })
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
            let field =
                FieldSpan { name: Span::of(header.name.as_bytes(), bytes), value: Span::of(header.value, bytes) };
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

    fn is_named(&self, field: &FieldSpan, name: &str) -> bool {
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
struct FieldSpan {
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
#[path = "head_tests.rs"]
mod tests;
