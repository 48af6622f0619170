//! The head of a script's output (RFC 3875 §6): collected as it comes, then parsed as a whole.

use crate::daemon::field_names::FieldNames;
use ecohttpd::syntax::{decimal, is_token};

/// Most bytes of a line, including its end: uhttpd allows half of it.
const LINE_MAX: usize = 8 << 10;

/// Most bytes of a head, including its empty line.
const HEAD_MAX: usize = 64 << 10;

/// Hop-by-hop fields, which scripts may not set (RFC 9110 §7.6.1).
const HOP_BY_HOP: FieldNames =
    FieldNames::new(&["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"]);

/// Collects the bytes of a head.
#[derive(Default)]
pub struct Collector {
    bytes: Vec<u8>,
    /// The start of the unfinished line.
    line: usize,
}

impl Collector {
    /// Adds output. Returns true once the head is complete; part of the body may follow it.
    pub fn push(&mut self, output: &[u8]) -> Result<bool, Bad> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(output);
        let mut at = from;
        while let Some(length) = self.bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == b'\n')) {
            let line = self.bytes.get(self.line..at + length).unwrap_or_default();
            at += length + 1;
            if at - self.line > LINE_MAX {
                return Err(LONG_LINE);
            }
            self.line = at;
            if matches!(line, b"" | b"\r") {
                return if at <= HEAD_MAX { Ok(true) } else { Err(TOO_LONG) };
            }
            // Output that can't be a head is refused at once.
            let is_status_line = line.len() + 1 == at && status_line(line).is_some();
            if !line.contains(&b':') && !is_status_line {
                return Err(NO_COLON);
            }
        }
        match self.bytes.len() {
            length if length - self.line >= LINE_MAX => Err(LONG_LINE),
            length if length >= HEAD_MAX => Err(TOO_LONG),
            _ => Ok(false),
        }
    }

    /// The output has ended, and with it the head, if there is any.
    pub fn end(&mut self) -> Result<(), Bad> {
        if self.bytes.is_empty() {
            return Err(Bad("no output"));
        }
        self.line = self.bytes.len();
        Ok(())
    }

    /// The complete head, and the part of the body that follows it.
    pub fn parse(&self) -> Result<(ScriptHead<'_>, &[u8]), Bad> {
        let (head, body) = self.bytes.split_at_checked(self.line).unwrap_or((&self.bytes, &[]));
        Ok((ScriptHead::parse(head)?, body))
    }
}

/// What is wrong with a script's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad(pub &'static str);

const TOO_LONG: Bad = Bad("head longer than 64 KiB");
const LONG_LINE: Bad = Bad("head line longer than 8 KiB");
const NO_COLON: Bad = Bad("head line without a colon");

/// A parsed head. The library accepts all of its fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ScriptHead<'a> {
    /// From `Status`, or from a status line in front.
    pub status: Option<(u16, &'a str)>,
    /// An invalid one, which is ignored as in uhttpd.
    pub odd_status: Option<&'a [u8]>,
    /// From `Content-Length`.
    pub length: Option<u64>,
    /// The body is chunked.
    pub chunked: bool,
    /// The fields in order, including `Location`, without those that scripts may not set.
    pub fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> ScriptHead<'a> {
    fn parse(head: &'a [u8]) -> Result<ScriptHead<'a>, Bad> {
        let mut parsed = ScriptHead::default();
        let mut in_front = None;
        for (number, line) in head.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            if let Some(value) = status_line(line).filter(|_| number == 0) {
                in_front = Some(text(value)?);
                continue;
            }
            let colon = line.iter().position(|&byte| byte == b':').ok_or(NO_COLON)?;
            let (name, value) = line.split_at(colon);
            let name = str::from_utf8(name).ok().filter(|name| is_token(name.as_bytes()));
            // The value may be in any charset.
            let value = text(value.get(1..).unwrap_or_default())?;
            parsed.take(name.ok_or(Bad("invalid field name"))?, value)?;
        }
        // CGI has no status line, but other servers accept one. `Status` overrides it.
        if let (None, Some(value)) = (parsed.status, in_front) {
            parsed.take("status", value)?;
        }
        if parsed.chunked {
            // RFC 9112 §6.3: chunks override the length.
            parsed.length = None;
        }
        Ok(parsed)
    }

    fn take(&mut self, name: &'a str, value: &'a [u8]) -> Result<(), Bad> {
        if name.eq_ignore_ascii_case("status") {
            match status(value) {
                None => self.odd_status = Some(value),
                known => self.status = known,
            }
            return Ok(());
        }
        if HOP_BY_HOP.holds(name) {
            return Ok(());
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Bad("Transfer-Encoding other than chunked"));
            }
            self.chunked = true;
            return Ok(());
        }
        if name.eq_ignore_ascii_case("content-length") {
            let length = decimal(value).ok_or(Bad("invalid Content-Length"))?;
            if self.length.is_some_and(|before| before != length) {
                return Err(Bad("conflicting Content-Length"));
            }
            self.length = Some(length);
            return Ok(());
        }
        self.fields.push((name, value));
        Ok(())
    }

    /// `Location`, if there is no status.
    fn location(&self) -> Option<&'a [u8]> {
        let location = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
        location.filter(|_| self.status.is_none()).map(|(_, value)| *value)
    }

    /// Whether the client is redirected without a `Status` (RFC 3875 §6.2.3).
    pub fn redirects(&self) -> bool {
        self.location().is_some()
    }

    /// The target of a local redirect: a path in `Location`, without other fields (RFC 3875 §6.2.2).
    ///
    /// With other fields the client is redirected, as it would not see them otherwise.
    pub fn local(&self) -> Option<&'a str> {
        let path = self.location()?;
        let alone = self.fields.len() == 1 && self.length.is_none();
        let ours = path.starts_with(b"/") && !path.starts_with(b"//");
        let plain = path.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
        str::from_utf8(path).ok().filter(|_| alone && ours && plain)
    }
}

/// A value without the white space around it.
fn text(value: &[u8]) -> Result<&[u8], Bad> {
    let value = value.trim_ascii();
    let has_control = value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
    if has_control { Err(Bad("control character in a field value")) } else { Ok(value) }
}

/// The part of a status line after the version (RFC 9112 §4), which is what `Status` contains.
fn status_line(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"HTTP/")? {
        [major, b'.', minor, b' ', status @ ..] if major.is_ascii_digit() && minor.is_ascii_digit() => Some(status),
        _ => None,
    }
}

/// Three digits and an optional reason. A reason that is not UTF-8 is dropped.
fn status(value: &[u8]) -> Option<(u16, &str)> {
    let (code, reason) = value.split_at_checked(3)?;
    // Scripts may not send interim responses.
    let code = decimal(code).and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 200)?;
    let reason = str::from_utf8(reason).unwrap_or_default();
    reason.is_empty().then_some("").or_else(|| reason.strip_prefix(' ')).map(|reason| (code, reason.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output, what its head says or what is wrong with it, the body that came along.
    type Row = (
        &'static str,
        Result<(Option<(u16, &'static str)>, &'static [(&'static str, &'static str)]), &'static str>,
        &'static str,
    );

    #[rustfmt::skip]
    const ROWS: &[Row] = &[
        ("A: b\n\nbody", Ok((None, &[("A", "b")])), "body"),
        ("A: b\r\n\r\n\r\nbody", Ok((None, &[("A", "b")])), "\r\nbody"),
        ("A: b\r\n\nbody", Ok((None, &[("A", "b")])), "body"),
        ("Status: 404 Not Found\nA:b\n\n", Ok((Some((404, "Not Found")), &[("A", "b")])), ""),
        ("status:  200\n\n", Ok((Some((200, "")), &[])), ""),
        ("Status: 200 \tyes, fine \n\n", Ok((Some((200, "yes, fine")), &[])), ""),
        ("Set-Cookie: a\nset-cookie: b\nX:\n\n", Ok((None, &[("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "")])), ""),
        ("X: \t a: b \t\r\n\r\n", Ok((None, &[("X", "a: b")])), ""),
        ("\nbody", Ok((None, &[])), "body"),
        ("\r\nbody", Ok((None, &[])), "body"),
        ("Status: 204 No Content", Ok((Some((204, "No Content")), &[])), ""),
        ("A: b\nC: d\r\n", Ok((None, &[("A", "b"), ("C", "d")])), ""),
        ("Connection: close\nKeep-Alive: 1\nTransfer-Encoding: chunked\nUpgrade: x\nTrailer: y\nTE: z\nA: b\n\n", Ok((None, &[("A", "b")])), ""),
        ("Location: /x\n\n", Ok((None, &[("Location", "/x")])), ""),
        ("X: \u{fc}\n\n", Ok((None, &[("X", "\u{fc}")])), ""),
        ("Content-Length: 3\nContent-Length: 3\n\nabc", Ok((None, &[])), "abc"),
        ("HTTP/1.1 200 OK\nA: b\n\nbody", Ok((Some((200, "OK")), &[("A", "b")])), "body"),
        ("HTTP/1.0 404 Nothing: here\r\n\r\n", Ok((Some((404, "Nothing: here")), &[])), ""),
        ("HTTP/1.1 204\n\n", Ok((Some((204, "")), &[])), ""),
        ("HTTP/1.1 403 No", Ok((Some((403, "No")), &[])), ""),
        ("HTTP/1.1 200 OK\nStatus: 404 Not Found\n\n", Ok((Some((404, "Not Found")), &[])), ""),
        ("HTTP/1.1 404 Not Found\nStatus: none\n\n", Ok((Some((404, "Not Found")), &[])), ""),
        ("HTTP/1.1 100 Continue\nA: b\n\n", Ok((None, &[("A", "b")])), ""),
        ("HTTP/1.1 OK\n\n", Ok((None, &[])), ""),
        ("HTTP/1.1 500 a\rb: c\n\n", Err("control character in a field value"), ""),
        ("HTTP/1.1\n\n", Err(NO_COLON.0), ""),
        ("HTTP/11 200 OK\n\n", Err(NO_COLON.0), ""),
        ("http/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        (" HTTP/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        ("A: b\nHTTP/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        ("HTTP/1.1 200 OK\nHTTP/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        ("", Err("no output"), ""),
        ("hello\n", Err(NO_COLON.0), ""),
        ("hello", Err(NO_COLON.0), ""),
        ("<html>\n\n", Err(NO_COLON.0), ""),
        ("A: b\nhello\n\n", Err(NO_COLON.0), ""),
        ("A: b\n c: folded\n\n", Err("invalid field name"), ""),
        (": b\n\n", Err("invalid field name"), ""),
        ("A : b\n\n", Err("invalid field name"), ""),
        ("A: b\rC: d\n\n", Err("control character in a field value"), ""),
        ("A: \0\n\n", Err("control character in a field value"), ""),
        ("Status: 099\n\n", Ok((None, &[])), ""),
        ("Status: 101 Switching\n\n", Ok((None, &[])), ""),
        ("Status: 20\n\n", Ok((None, &[])), ""),
        ("Status: +20 OK\n\n", Ok((None, &[])), ""),
        ("Status: 404Not\n\n", Ok((None, &[])), ""),
        ("Status:\n\n", Ok((None, &[])), ""),
        ("Content-Length: 3\nContent-Length: 4\n\n", Err("conflicting Content-Length"), ""),
        ("Content-Length: +3\n\n", Err("invalid Content-Length"), ""),
        ("Content-Length: 99999999999999999999\n\n", Err("invalid Content-Length"), ""),
        ("Content-Length:\n\n", Err("invalid Content-Length"), ""),
        ("Transfer-Encoding: gzip\n\n", Err("Transfer-Encoding other than chunked"), ""),
        ("Transfer-Encoding: gzip, chunked\n\n", Err("Transfer-Encoding other than chunked"), ""),
        ("Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n", Err("Transfer-Encoding other than chunked"), ""),
    ];

    /// The head of output that comes in two pieces.
    fn collect(output: &[u8], cut: usize) -> Result<(Collector, Vec<u8>), Bad> {
        let mut collector = Collector::default();
        let (first, second) = output.split_at(cut);
        if collector.push(first)? {
            return Ok((collector, second.to_vec()));
        }
        if !collector.push(second)? {
            collector.end()?;
        }
        Ok((collector, Vec::new()))
    }

    #[test]
    fn heads_cut_at_every_byte() {
        for (output, expected, body) in ROWS {
            for cut in 0..=output.len() {
                let collected = collect(output.as_bytes(), cut);
                let parsed = collected
                    .as_ref()
                    .map_err(|bad| *bad)
                    .and_then(|(head, rest)| head.parse().map(|(head, body)| (head, [body, rest].concat())));
                match (parsed, expected) {
                    (Ok((head, rest)), Ok((status, fields))) => {
                        let told: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
                        assert_eq!((head.status, head.fields), (*status, told), "{output:?} at {cut}");
                        assert_eq!(rest, body.as_bytes(), "{output:?} at {cut}");
                    }
                    (Err(bad), Err(why)) => assert_eq!(bad.0, *why, "{output:?} at {cut}"),
                    (other, _) => panic!("{output:?} at {cut}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_head_and_its_lines_have_their_limits() {
        // Lines of 1 KiB, the last one shortened so that the head has so many bytes.
        let lines = |total: usize| {
            let line = |n: usize| format!("A: {}\n", "b".repeat(n - 4));
            [line(1 << 10).repeat(total / 1024 - 1), line(1023 + total % 1024), "\n".to_owned()].concat()
        };
        let line = |n: usize| format!("A: b\nA: {}\n\n", "b".repeat(n - 4));
        #[rustfmt::skip]
        let rows = [
            (line(LINE_MAX), None),
            (line(LINE_MAX + 1), Some(LONG_LINE)),
            ("A".repeat(LINE_MAX), Some(LONG_LINE)),
            (lines(HEAD_MAX), None),
            (lines(HEAD_MAX + 1), Some(TOO_LONG)),
            ("A: b\n".repeat(HEAD_MAX / 5 + 1), Some(TOO_LONG)),
            ("A: b\n".repeat(HEAD_MAX), Some(TOO_LONG)),
        ];
        for (head, wrong) in rows {
            for cut in [0, 1, LINE_MAX / 2, LINE_MAX - 1] {
                assert_eq!(collect(head.as_bytes(), cut).err(), wrong, "{} bytes at {cut}", head.len());
            }
        }
    }

    #[test]
    fn lengths_and_chunks() {
        for (head, length, chunked) in [
            ("A: b\n\n", None, false),
            ("Content-Length: 5\n\n", Some(5), false),
            ("transfer-encoding:CHUNKED\r\n\r\n", None, true),
            ("Content-Length: 5\nTransfer-Encoding: chunked\n\n", None, true),
            ("Transfer-Encoding: chunked\nContent-Length: 5\n\n", None, true),
        ] {
            let (collector, _) = collect(head.as_bytes(), 0).unwrap();
            let (parsed, _) = collector.parse().unwrap();
            assert_eq!((parsed.length, parsed.chunked), (length, chunked), "{head:?}");
        }
    }

    #[test]
    fn values_are_bytes() {
        let (collector, _) = collect(b"Status: 404 sch\xf6n\nX: \x80\xff\t\xfc\r\n\n", 0).unwrap();
        let (head, _) = collector.parse().unwrap();
        assert_eq!((head.status, &head.fields[..]), (Some((404, "")), &[("X", &b"\x80\xff\t\xfc"[..])][..]));
        let (collector, _) = collect(b"Status: \xff\n\n", 0).unwrap();
        let (head, _) = collector.parse().unwrap();
        assert_eq!((head.status, head.odd_status), (None, Some(&b"\xff"[..])));
    }

    #[test]
    fn locations() {
        for (head, redirects, local) in [
            ("Location: /x?y\n\n", true, Some("/x?y")),
            ("location:/x\r\nConnection: close\r\n\r\n", true, Some("/x")),
            ("Location: /x\nSet-Cookie: a\n\n", true, None),
            ("Location: /x\nContent-Length: 0\n\n", true, None),
            ("Location: //host/x\n\n", true, None),
            ("Location: http://host/\n\n", true, None),
            ("Location: x\n\n", true, None),
            ("Location: /x#y\n\n", true, None),
            ("Location: /x y\n\n", true, None),
            ("Status: 201 Created\nLocation: /x\n\n", false, None),
            ("A: b\n\n", false, None),
        ] {
            let (collector, _) = collect(head.as_bytes(), 0).unwrap();
            let (parsed, _) = collector.parse().unwrap();
            assert_eq!((parsed.redirects(), parsed.local()), (redirects, local), "{head:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_accepted_can_be_sent(output in "[-AaSt:; \t\r\n\0é0-9/]{0,60}") {
            if let Ok((collector, _)) = collect(output.as_bytes(), 0)
                && let Ok((head, _)) = collector.parse()
            {
                for (name, value) in head.fields {
                    proptest::prop_assert!(!name.is_empty() && !value.iter().any(|byte| b"\r\n\0".contains(byte)));
                }
            }
        }
    }
}
