//! The head of a response, and how its body is delimited.

use std::fmt::{self, Display, Write};

use super::headers::{decimal, find_lf, is_token, is_value_byte, list, push_decimal, push_hex};
use super::status;

/// The end of a chunk's payload.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The chunk that ends a body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The interim response that a client waits for before it sends a body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Status and fields of a response while a handler puts them together.
///
/// The fields are kept as complete lines, so that sending them is one copy. Those
/// that delimit the message are not among them: `Content-Length` and `Connection`
/// are wishes which [`frame`] and [`write_head`] heed, `Transfer-Encoding` is refused.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    status: u16,
    /// A reason phrase that is not the registered one.
    reason: Option<String>,
    /// Lines `Name: value\r\n`; no value holds an LF.
    lines: Vec<u8>,
    declared: Option<u64>,
    close: bool,
    /// Connection options besides `close` and `keep-alive`, as a list.
    options: Vec<u8>,
    has_date: bool,
    has_server: bool,
}

impl ResponseHead {
    /// Goes back to 200 without fields; keeps the memory.
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

    /// Sets the status code, 100 to 999, and a reason phrase if not the registered one.
    pub fn set_status(&mut self, code: u16, reason: Option<&str>) -> Result<(), BadHead> {
        if !(100..=999).contains(&code) {
            return Err(BadHead::Status);
        }
        if !reason.unwrap_or_default().bytes().all(is_value_byte) {
            return Err(BadHead::Field);
        }
        self.status = code;
        self.reason = reason.map(str::to_owned);
        Ok(())
    }

    /// Sets a field in place of every field of that name, in any case; an error changes nothing.
    pub fn set(&mut self, name: &str, value: impl Display) -> Result<(), BadHead> {
        self.put(name, true, &|lines| write!(Text(lines), "{value}").is_ok())
    }

    /// Adds a field besides those of that name; an error changes nothing.
    ///
    /// A `Content-Length`, of which there can only be one, is replaced.
    pub fn append(&mut self, name: &str, value: impl Display) -> Result<(), BadHead> {
        self.put(name, false, &|lines| write!(Text(lines), "{value}").is_ok())
    }

    /// Adds a field whose value need not be UTF-8, as [`append`](Self::append) does.
    pub fn append_bytes(&mut self, name: &str, value: &[u8]) -> Result<(), BadHead> {
        self.put(name, false, &|lines| {
            lines.extend_from_slice(value);
            true
        })
    }

    /// Adds complete lines `Name: value\r\n` of our own making, without a check.
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
                        .is_some_and(|value| value.starts_with(b": ") && value.iter().all(|&byte| is_value_byte(byte)))
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

    /// Writes the head with `extra` putting about `room` bytes between status line and fields.
    fn write_around(&self, out: &mut Vec<u8>, room: usize, extra: impl FnOnce(&mut Vec<u8>)) {
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

    /// Writes the line at the end, checks it there, and only then lets it replace others.
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
        if !written || !text.iter().all(|&byte| is_value_byte(byte)) {
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
        self.lines.split_inclusive(|&byte| byte == b'\n')
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

/// What a handler got wrong about a response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHead {
    /// A status code outside of 100 to 999, or a control character in its reason phrase.
    Status,
    /// A name that is no token, a control character in the value, or a field that is ours to set.
    Field,
}

/// What the request and the server want of a response.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Whether the method was HEAD.
    pub head: bool,
    /// Whether the request was HTTP/1.0.
    pub http10: bool,
    /// Whether both want to go on with the connection.
    pub keep_alive: bool,
}

/// How the payload that follows the head goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// As it is; so many bytes are still to come.
    Length {
        /// Bytes that the head promised and the handler has not given yet.
        left: u64,
    },
    /// In chunks, then [`LAST_CHUNK`].
    Chunked,
    /// As it is, and the connection's end is its end.
    UntilClose,
    /// Not at all: whatever payload there is, is dropped.
    Nothing,
}

/// How a response is delimited, and whether the connection survives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What becomes of the payload.
    pub encoder: Encoder,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// What `Content-Length` says, if it is sent.
    pub content_length: Option<u64>,
    /// Whether `Transfer-Encoding: chunked` is sent.
    pub chunked: bool,
}

/// Decides how the body is delimited; `known` is its length when it is all there already.
///
/// RFC 9112 §6.3 seen from the sender, with RFC 9110 §8.6 on `Content-Length`.
pub fn frame(response: &ResponseHead, asked: Asked, known: Option<u64>) -> Frame {
    let declared = response.declared;
    let (encoder, content_length) = match response.status {
        // 1. 1xx and 204 have no body and no length.
        100..=199 | 204 => (Encoder::Nothing, None),
        // 2. 304 has no body. A length would be that of the 200, which only the
        //    handler can know: what it sent along here is nothing.
        304 => (Encoder::Nothing, declared),
        // 3. HEAD: no body. A handler that saw to that itself has sent nothing, and
        //    that nothing is not the length of what GET would get.
        _ if asked.head => {
            let known = known.filter(|&length| length > 0);
            (Encoder::Nothing, declared.or(known))
        }
        // 4. A length declared, else one known.
        _ => match declared.or(known) {
            Some(left) => (Encoder::Length { left }, Some(left)),
            // 5. HTTP/1.0 knows no chunks: the end of the connection is the end.
            None if asked.http10 => (Encoder::UntilClose, None),
            // 6. Chunks.
            None => (Encoder::Chunked, None),
        },
    };
    Frame {
        encoder,
        keep_alive: asked.keep_alive && !response.close && encoder != Encoder::UntilClose,
        content_length,
        chunked: encoder == Encoder::Chunked,
    }
}

/// Appends the whole head to `out`: status line, our fields, the handler's, empty line.
///
/// `date_server` holds our `Date` and `Server` as complete lines; one that the
/// handler set itself is left out.
pub fn write_head(out: &mut Vec<u8>, response: &ResponseHead, asked: Asked, frame: &Frame, date_server: &[u8]) {
    const FRAMING: usize = 96; // Content-Length and Connection lines
    let room = date_server.len() + FRAMING + response.options.len();
    response.write_around(out, room, |out| {
        if response.has_date || response.has_server {
            for line in date_server.split_inclusive(|&byte| byte == b'\n') {
                let overridden =
                    response.has_date && is_named(line, "date") || response.has_server && is_named(line, "server");
                if !overridden {
                    out.extend_from_slice(line);
                }
            }
        } else {
            out.extend_from_slice(date_server);
        }
        if let Some(length) = frame.content_length {
            out.extend_from_slice(b"Content-Length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        } else if frame.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        write_connection(out, response, asked, frame);
    });
}

/// Appends the size line of a chunk; of a `len` above zero, for zero would end the body.
pub fn chunk_head(out: &mut Vec<u8>, len: u64) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    push_hex(out, len);
    out.extend_from_slice(b"\r\n");
}

/// The `Connection` line, when the version's default does not say it all (RFC 9112 §9.3).
fn write_connection(out: &mut Vec<u8>, response: &ResponseHead, asked: Asked, frame: &Frame) {
    let ours: &[u8] = match (response.status, frame.keep_alive) {
        // The connection goes over to another protocol: neither word fits.
        (101, _) if list(&response.options).any(is_upgrade) => b"",
        (101, _) => b"upgrade",
        (_, false) => b"close",
        (_, true) if asked.http10 => b"keep-alive",
        (_, true) => b"",
    };
    if ours.is_empty() && response.options.is_empty() {
        return;
    }
    out.extend_from_slice(b"Connection: ");
    out.extend_from_slice(ours);
    if !ours.is_empty() && !response.options.is_empty() {
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(&response.options);
    out.extend_from_slice(b"\r\n");
}

fn is_upgrade(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade")
}

fn push_option(options: &mut Vec<u8>, option: &[u8]) {
    if !options.is_empty() {
        options.extend_from_slice(b", ");
    }
    options.extend_from_slice(option);
}

/// Whether the line starts with this name and a colon.
fn is_named(line: &[u8], name: &str) -> bool {
    line.get(name.len()) == Some(&b':')
        && line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
}

/// The fields that are not simply lines.
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

/// Lets `Display` write into bytes, without the detour over `io::Error`.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: Asked = Asked { head: false, http10: false, keep_alive: true };

    /// Status, fields, what was asked, the length known, and the head without its version.
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Asked, Option<u64>, String);

    fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
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

    fn whole(response: &ResponseHead, asked: Asked, known: Option<u64>) -> String {
        let mut out = Vec::new();
        let frame = frame(response, asked, known);
        write_head(&mut out, response, asked, &frame, b"Date: d\r\nServer: s\r\n");
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
    fn frames() {
        let head = Asked { head: true, ..ASKED };
        let http10 = Asked { http10: true, ..ASKED };
        let length: &[(&str, &str)] = &[("content-length", "5")];
        let closing = Asked { keep_alive: false, ..ASKED };
        let nothing = Encoder::Nothing;
        let five = Encoder::Length { left: 5 };
        #[rustfmt::skip]
        let rows = [
            (200, length, ASKED, None, five, true, Some(5), "declared"),
            (200, length, ASKED, Some(9), five, true, Some(5), "declared before known"),
            (200, &[], ASKED, Some(5), five, true, Some(5), "known"),
            (200, &[], ASKED, Some(0), Encoder::Length { left: 0 }, true, Some(0), "empty"),
            (200, &[], ASKED, None, Encoder::Chunked, true, None, "neither"),
            (200, &[], http10, None, Encoder::UntilClose, false, None, "neither, for 1.0"),
            (200, length, http10, None, five, true, Some(5), "declared, for 1.0"),
            (200, length, head, None, nothing, true, Some(5), "HEAD, declared"),
            (200, &[], head, Some(5), nothing, true, Some(5), "HEAD, known"),
            (200, &[], head, Some(0), nothing, true, None, "HEAD, handler sent nothing"),
            (200, &[], head, None, nothing, true, None, "HEAD, neither"),
            (204, length, ASKED, Some(5), nothing, true, None, "204"),
            (101, length, ASKED, Some(5), nothing, true, None, "101"),
            (304, &[], ASKED, Some(0), nothing, true, None, "304"),
            (304, length, ASKED, Some(0), nothing, true, Some(5), "304, declared"),
            (500, &[], closing, Some(5), five, false, Some(5), "close asked"),
        ];
        for (status, fields, asked, known, encoder, keep_alive, content_length, name) in rows {
            let got = frame(&response(status, fields), asked, known);
            let chunked = encoder == Encoder::Chunked;
            let want = Frame { encoder, keep_alive, content_length, chunked };
            assert_eq!(got, want, "{name}");
        }
        assert!(!frame(&response(200, &[("connection", "Close")]), ASKED, Some(5)).keep_alive);
    }

    #[test]
    fn heads() {
        let http10 = Asked { http10: true, ..ASKED };
        let closing = Asked { keep_alive: false, ..ASKED };
        let ds = "Date: d\r\nServer: s\r\n";
        #[rustfmt::skip]
        let rows: Vec<Row<'_>> = vec![
            (200, &[("A", "b")], ASKED, Some(5), format!("200 OK\r\n{ds}Content-Length: 5\r\nA: b\r\n\r\n")),
            (200, &[], ASKED, None, format!("200 OK\r\n{ds}Transfer-Encoding: chunked\r\n\r\n")),
            (200, &[], http10, None, format!("200 OK\r\n{ds}Connection: close\r\n\r\n")),
            (200, &[], http10, Some(0), format!("200 OK\r\n{ds}Content-Length: 0\r\nConnection: keep-alive\r\n\r\n")),
            (400, &[("connection", "x, keep-alive"), ("Connection", "y")], closing, Some(0), format!("400 Bad Request\r\n{ds}Content-Length: 0\r\nConnection: close, x, y\r\n\r\n")),
            (204, &[("date", "mine")], ASKED, Some(0), "204 No Content\r\nServer: s\r\ndate: mine\r\n\r\n".into()),
            (204, &[("SERVER", "mine")], ASKED, None, "204 No Content\r\nDate: d\r\nSERVER: mine\r\n\r\n".into()),
            (101, &[("Upgrade", "websocket")], closing, None, format!("101 Switching Protocols\r\n{ds}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")),
            (101, &[("Connection", "Upgrade"), ("Upgrade", "x")], ASKED, None, format!("101 Switching Protocols\r\n{ds}Connection: Upgrade\r\nUpgrade: x\r\n\r\n")),
        ];
        for (status, fields, asked, known, want) in rows {
            let got = whole(&response(status, fields), asked, known);
            assert_eq!(got, format!("HTTP/1.1 {want}"));
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

    #[test]
    fn chunks() {
        let mut out = Vec::new();
        chunk_head(&mut out, 0xbeef);
        assert_eq!(out, b"beef\r\n");
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
