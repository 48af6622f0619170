//! A request as a handler sees it.

use super::error::Refusal;
use crate::http::{Head, Multipart, query};
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

/// The head of a request: method, target and header fields (RFC 9112 §3, §5).
///
/// Accessors return `str`. Where clients may send bytes that are not UTF-8, there is a variant that returns bytes.
pub struct Request {
    pub(crate) head: Rc<Head>,
    /// The parser of the body, after the first `read_formdata`.
    pub(crate) form: Option<Box<Multipart>>,
}

/// Shows the request line only: header fields may contain passwords.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}

impl Request {
    pub(crate) fn new(head: Rc<Head>) -> Request {
        Request { head, form: None }
    }

    /// The method as sent; methods are case-sensitive (RFC 9110 §9.1).
    pub fn method(&self) -> &str {
        self.head.method()
    }

    /// Refuses the method: 405 for one of RFC 9110 §9.3 or PATCH, 501 for one that nobody knows.
    ///
    /// A 405 needs the field `Allow`, which only the handler can set.
    pub fn refuse_method(&self) -> Refusal {
        const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
        Refusal::new(if KNOWN.contains(&self.method()) { 405 } else { 501 })
    }

    /// The request target as sent (RFC 9112 §3.2); bytes that are not UTF-8 appear as U+FFFD.
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The request target as sent, in bytes. A query may hold any byte but control characters.
    pub fn target_bytes(&self) -> &[u8] {
        self.head.target_bytes()
    }

    /// The target's path as sent, without the query; `*` for `OPTIONS *`, `host:port` for CONNECT.
    pub fn raw_path(&self) -> &str {
        self.head.raw_path()
    }

    /// The path, percent-decoded once; bytes that are not UTF-8 appear as U+FFFD.
    ///
    /// Dot segments are left in; `serve_file` resolves them.
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// The path, percent-decoded once, in bytes.
    pub fn path_bytes(&self) -> &[u8] {
        self.head.path_bytes()
    }

    /// The major version: 1, or 2 for HTTP/2.
    pub fn major_version(&self) -> u8 {
        if self.head.is_of_stream() { 2 } else { 1 }
    }

    /// The minor version: 0 or 1. It is 0 for HTTP/2.
    pub fn minor_version(&self) -> u8 {
        if self.head.is_of_stream() { 0 } else { self.head.minor_version() }
    }

    /// The version as text: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub fn version(&self) -> &'static str {
        self.head.version()
    }

    /// The length of the body, if the request says it.
    pub fn content_length(&self) -> Option<u64> {
        self.head.content_length()
    }

    /// The requested host: from an absolute target, else from `Host` (RFC 9112 §3.2.2).
    pub fn host(&self) -> Option<&str> {
        self.head.host()
    }

    /// Whether the client offers another protocol: HTTP/1.1 with `Connection: upgrade` and `Upgrade` (RFC 9110 §7.8).
    pub fn wants_upgrade(&self) -> bool {
        self.head.wants_upgrade()
    }

    /// Header names in lower case, and values, in order. Headers whose value is not UTF-8 are left out.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers_bytes().filter_map(|(name, value)| Some((name, str::from_utf8(value).ok()?)))
    }

    /// Header names in lower case, and values in bytes, in order.
    pub fn headers_bytes(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head.headers()
    }

    /// The first header of that name, in any case; `None` if absent or not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The first header of that name, in any case.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.head.header_bytes(name)
    }

    /// The query after `?` as sent, or an empty string. Bytes that are not UTF-8 appear as U+FFFD.
    pub fn query_string(&self) -> &str {
        self.head.query_string()
    }

    /// The query after `?` as sent, in bytes.
    pub fn query_bytes(&self) -> &[u8] {
        self.head.query_bytes()
    }

    /// The query's pairs in order, decoded as `application/x-www-form-urlencoded`.
    ///
    /// `+` becomes a space, a malformed escape is left as it is, and bytes that are not UTF-8 appear as U+FFFD.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        query::pairs(self.query_string())
    }

    /// The first value of that name in the query.
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}
