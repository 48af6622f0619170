//! The head of a response while a handler puts it together.

use std::fmt::{self, Display, Write};

use super::headers::{decimal, find_lf, is_token, is_value, list, push_decimal};
use super::status;

/// Status and fields of a response while a handler puts them together.
///
/// Fields are stored as complete lines, so that sending them is one copy. Fields that delimit the message are not among
/// them: `Content-Length` and `Connection` are inputs of [`frame`](super::encoder::frame) and
/// [`write_head`](super::encoder::write_head), and `Transfer-Encoding` is refused.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub(super) status: u16,
    /// A reason phrase other than the registered one.
    reason: Option<String>,
    /// Lines `Name: value\r\n`; no value contains an LF.
    lines: Vec<u8>,
    pub(super) declared: Option<u64>,
    close: bool,
    /// Connection options besides `close` and `keep-alive`, as a list.
    pub(super) options: Vec<u8>,
    pub(super) has_date: bool,
    pub(super) has_server: bool,
}

impl ResponseHead {
    /// Resets to 200 without fields, but keeps the memory.
    pub fn clear(&mut self) {
        self.status = 200;
        self.reason = None;
        self.lines.clear();
        self.declared = None;
        self.close = false;
        self.options.clear();
        self.has_date = false;
        self.has_server = false;
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether `Connection: close` was set.
    pub fn closes(&self) -> bool {
        self.close
    }

    /// Sets the status code, 100 to 999, and a reason phrase other than the registered one.
    pub fn set_status(&mut self, code: u16, reason: Option<&str>) -> Result<(), BadHead> {
        if !(100..=999).contains(&code) {
            return Err(BadHead::Status);
        }
        if !is_value(reason.unwrap_or_default().as_bytes()) {
            return Err(BadHead::Field);
        }
        self.status = code;
        self.reason = reason.map(str::to_owned);
        Ok(())
    }

    /// Sets a field, and removes other fields of that name, in any case. On error nothing changes.
    pub fn set(&mut self, name: &str, value: impl Display) -> Result<(), BadHead> {
        self.put(name, true, &|lines| write!(Text(lines), "{value}").is_ok())
    }

    /// Adds a field, and keeps others of that name. On error nothing changes.
    ///
    /// `Content-Length` is replaced, as there can only be one.
    pub fn append(&mut self, name: &str, value: impl Display) -> Result<(), BadHead> {
        self.put(name, false, &|lines| write!(Text(lines), "{value}").is_ok())
    }

    /// Like [`append`](Self::append), for a value that need not be UTF-8.
    pub fn append_bytes(&mut self, name: &str, value: &[u8]) -> Result<(), BadHead> {
        self.put(name, false, &|lines| {
            lines.extend_from_slice(value);
            true
        })
    }

    /// Adds complete lines `Name: value\r\n` of the server itself, unchecked.
    ///
    /// Never a field that [`set`](Self::set) treats specially: `Content-Length`,
    /// `Connection`, `Transfer-Encoding`, `Date`, `Server`.
    pub fn push_raw(&mut self, lines: &[u8]) {
        debug_assert!(
            lines.split_inclusive(|&byte| byte == b'\n').all(|line| {
                let colon = line.iter().position(|&byte| byte == b':').unwrap_or(0);
                Special::of(&line[..colon]) == Special::None
                    && is_token(&line[..colon])
                    && line[colon..]
                        .strip_suffix(b"\r\n")
                        .is_some_and(|value| value.starts_with(b": ") && is_value(value))
            }),
            "lines that are not lines: {}",
            lines.escape_ascii()
        );
        self.lines.extend_from_slice(lines);
    }

    /// The value of the first field of that name, in any case; never `Content-Length` or `Connection`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let line = self.lines().find(|line| is_named(line, name))?;
        line.get(name.len() + 2..line.len() - 2)
    }

    /// Removes every field of that name, in any case.
    pub fn remove(&mut self, name: &str) {
        match Special::of(name.as_bytes()) {
            Special::Length => self.declared = None,
            Special::Connection => {
                self.close = false;
                self.options.clear();
            }
            Special::Date => self.has_date = false,
            Special::Server => self.has_server = false,
            Special::Coding | Special::None => {}
        }
        self.remove_lines(name, self.lines.len());
    }

    /// All fields but those that delimit the message, as complete lines.
    #[cfg(feature = "http2")]
    pub(super) fn text(&self) -> &[u8] {
        &self.lines
    }

    /// Writes the head. `extra` adds about `room` bytes between the status line and the fields.
    pub(super) fn write_around(&self, out: &mut Vec<u8>, room: usize, extra: impl FnOnce(&mut Vec<u8>)) {
        const STATUS_LINE: usize = 64; // the longest registered phrase has 31 bytes
        out.reserve(STATUS_LINE + room + self.lines.len());
        if self.status == 200 && self.reason.is_none() {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        } else {
            out.extend_from_slice(b"HTTP/1.1 ");
            push_decimal(out, u64::from(self.status));
            out.push(b' ');
            let reason = self.reason.as_deref();
            out.extend_from_slice(reason.unwrap_or_else(|| status::reason(self.status)).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        extra(out);
        out.extend_from_slice(&self.lines);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the line, checks it in place, and only then removes others.
    fn put(&mut self, name: &str, replace: bool, value: &dyn Fn(&mut Vec<u8>) -> bool) -> Result<(), BadHead> {
        let special = Special::of(name.as_bytes());
        if !is_token(name.as_bytes()) || special == Special::Coding {
            return Err(BadHead::Field);
        }
        let line = self.lines.len();
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b": ");
        let start = self.lines.len();
        let written = value(&mut self.lines);
        let text = self.lines.get(start..).unwrap_or_default();
        if !written || !is_value(text) {
            self.lines.truncate(line);
            return Err(BadHead::Field);
        }
        match special {
            Special::Length => {
                let length = decimal(text);
                self.lines.truncate(line);
                self.declared = Some(length.ok_or(BadHead::Field)?);
                return Ok(());
            }
            Special::Connection => {
                if replace {
                    self.close = false;
                    self.options.clear();
                }
                for option in list(text) {
                    if option.eq_ignore_ascii_case(b"close") {
                        self.close = true;
                    } else if !option.eq_ignore_ascii_case(b"keep-alive") {
                        push_option(&mut self.options, option);
                    }
                }
                self.lines.truncate(line);
                return Ok(());
            }
            Special::Date => self.has_date = true,
            Special::Server => self.has_server = true,
            Special::Coding | Special::None => {}
        }
        self.lines.extend_from_slice(b"\r\n");
        if replace {
            self.remove_lines(name, line);
        }
        Ok(())
    }

    /// Removes the lines of that name before the position `end`.
    fn remove_lines(&mut self, name: &str, end: usize) {
        let mut at = 0;
        let mut end = end;
        while at < end {
            let rest = self.lines.get(at..end).unwrap_or_default();
            let len = find_lf(rest).map_or(rest.len(), |lf| lf + 1);
            if is_named(rest, name) {
                self.lines.drain(at..at + len);
                end -= len;
            } else {
                at += len;
            }
        }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        lines(&self.lines)
    }
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            status: 200,
            reason: None,
            lines: Vec::new(),
            declared: None,
            close: false,
            options: Vec::new(),
            has_date: false,
            has_server: false,
        }
    }
}

/// A handler's error in a response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHead {
    /// A status code outside of 100 to 999, or a control character in its reason phrase.
    Status,
    /// A name that is not a token, a control character in the value, or a field that only the server may set.
    Field,
}

fn push_option(options: &mut Vec<u8>, option: &[u8]) {
    if !options.is_empty() {
        options.extend_from_slice(b", ");
    }
    options.extend_from_slice(option);
}

/// The lines of a text, with their ends.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = find_lf(rest).map_or(rest.len(), |lf| lf + 1);
        let (line, after) = rest.split_at_checked(end).unwrap_or_default();
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

/// Whether the line starts with this name and a colon.
pub(super) fn is_named(line: &[u8], name: &str) -> bool {
    line.get(name.len()) == Some(&b':')
        && line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
}

/// Fields with special treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    None,
    Length,
    Connection,
    Coding,
    Date,
    Server,
}

impl Special {
    fn of(name: &[u8]) -> Self {
        let (known, special): (&[u8], _) = match name.len() {
            4 => (b"date", Self::Date),
            6 => (b"server", Self::Server),
            10 => (b"connection", Self::Connection),
            14 => (b"content-length", Self::Length),
            17 => (b"transfer-encoding", Self::Coding),
            _ => return Self::None,
        };
        if name.eq_ignore_ascii_case(known) { special } else { Self::None }
    }
}

/// Lets `Display` write into bytes, without `io::Error`.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::headers::is_value_byte;
    use super::*;
    use proptest::prelude::*;

    /// A head with this status and these fields.
    pub fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let mut response = ResponseHead::default();
        response.set_status(status, None).unwrap();
        for (name, value) in fields {
            response.append(name, value).unwrap();
        }
        response
    }

    fn text(response: &ResponseHead) -> String {
        let mut out = Vec::new();
        response.write_around(&mut out, 0, |_| {});
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_replace_and_add_up() {
        let mut response = ResponseHead::default();
        response.set("Set-Cookie", "a").unwrap();
        response.append("set-cookie", "b").unwrap();
        response.set("X", 7).unwrap();
        assert_eq!(text(&response), "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nX: 7\r\n\r\n");
        assert_eq!(response.get("SET-COOKIE"), Some(b"a".as_slice()));
        response.set("SET-cookie", "").unwrap();
        response.push_raw(b"Y: 1\r\nZ: 2\r\n");
        assert_eq!(text(&response), "HTTP/1.1 200 OK\r\nX: 7\r\nSET-cookie: \r\nY: 1\r\nZ: 2\r\n\r\n");
        response.remove("x");
        response.remove("Z");
        response.remove("absent");
        assert_eq!(response.get("x"), None);
        assert_eq!(response.get("y"), Some(b"1".as_slice()));
        assert_eq!(response.get("Set-Cookie"), Some(b"".as_slice()));
        response.set_status(404, Some("Nix")).unwrap();
        response.clear();
        assert_eq!(text(&response), "HTTP/1.1 200 OK\r\n\r\n");
    }

    #[test]
    fn bad_heads_change_nothing() {
        let mut response = response(200, &[("A", "1"), ("Content-Length", "5")]);
        let before = text(&response);
        let rows = [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a\r\nb", "x"),
            ("\u{e9}", "x"),
            ("A", "x\r\nInjected: y"),
            ("A", "x\ny"),
            ("A", "x\ry"),
            ("A", "x\0"),
            ("A", "\u{7f}"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "-1"),
            ("Content-Length", "1, 1"),
            ("Content-Length", ""),
            ("Connection", "close\r\n"),
            ("Date", "\n"),
        ];
        for (name, value) in rows {
            assert_eq!(response.set(name, value), Err(BadHead::Field), "{name:?} {value:?}");
            assert_eq!(response.append(name, value), Err(BadHead::Field), "{name:?} {value:?}");
            assert_eq!(response.append_bytes(name, value.as_bytes()), Err(BadHead::Field), "{name:?} {value:?}");
        }
        for (code, reason) in [(99, None), (1000, None), (0, None), (200, Some("a\r\nb")), (200, Some("\0"))] {
            let wrong = if reason.is_none() { BadHead::Status } else { BadHead::Field };
            assert_eq!(response.set_status(code, reason), Err(wrong), "{code}");
        }
        assert_eq!(text(&response), before);
        assert_eq!(response.declared, Some(5));
        assert!(!response.close && !response.has_date);
    }

    #[test]
    fn values_need_not_be_text() {
        let every: Vec<u8> = (0..=u8::MAX).filter(|&byte| is_value_byte(byte)).collect();
        let mut response = response(200, &[("A", "1")]);
        response.append_bytes("a", &every).unwrap();
        response.append_bytes("Content-Length", b"7").unwrap();
        response.append_bytes("Connection", b"close").unwrap();
        assert_eq!((response.declared, response.close), (Some(7), true));
        assert!(every.contains(&b'\t') && every.contains(&0x80) && every.contains(&0xff));
        assert_eq!(response.lines, [b"A: 1\r\na: ", &every[..], b"\r\n"].concat());
    }

    #[test]
    fn status_lines() {
        #[rustfmt::skip]
        let rows = [
            (404, None, "HTTP/1.1 404 Not Found\r\n\r\n"),
            (200, Some("Fine"), "HTTP/1.1 200 Fine\r\n\r\n"),
            (299, None, "HTTP/1.1 299 Unknown\r\n\r\n"),
            (999, Some(""), "HTTP/1.1 999 \r\n\r\n"),
            (200, Some("sch\u{f6}n\t"), "HTTP/1.1 200 sch\u{f6}n\t\r\n\r\n"),
        ];
        for (code, reason, want) in rows {
            let mut response = ResponseHead::default();
            response.set_status(code, reason).unwrap();
            assert_eq!((response.status(), text(&response)), (code, want.to_owned()));
        }
    }

    #[test]
    fn special_fields_can_be_taken_back() {
        let mut response = response(200, &[("Content-Length", "5"), ("Connection", "close, x"), ("Date", "d")]);
        assert!(response.close && response.has_date);
        response.set("connection", "keep-alive").unwrap();
        assert!(!response.close);
        for name in ["content-length", "date"] {
            response.remove(name);
        }
        assert_eq!((response.declared, response.has_date), (None, false));
        assert_eq!(text(&response), "HTTP/1.1 200 OK\r\n\r\n");
    }

    proptest! {
        #[test]
        fn no_field_breaks_out_of_its_line(name in "[\0-~]{0,6}", value in "[\0-\u{ff}]{0,9}") {
            let mut response = response(200, &[("A", "1")]);
            if response.set(&name, &value).is_ok() && response.get(&name).is_some() {
                prop_assert_eq!(response.get(&name), Some(value.as_bytes()));
                let lines = 3 + usize::from(!name.eq_ignore_ascii_case("a"));
                prop_assert_eq!(text(&response).matches('\n').count(), lines);
            }
        }
    }
}
