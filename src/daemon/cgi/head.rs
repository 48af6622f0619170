//! The head of a script's output (RFC 3875 §6): found as it comes, checked as a whole.

use crate::daemon::syntax::{decimal, is_token};

/// Bytes of a line of a script's head, its end included: uhttpd's scripts live with half of it.
const LINE_MAX: usize = 8 << 10;

/// Bytes of a script's head, its empty line included: many lines, such as cookies, but not without end.
const HEAD_MAX: usize = 64 << 10;

/// Fields that are between us and the client, and no script's (RFC 9110 §7.6.1).
const HOP_BY_HOP: &[&str] = &["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];

/// The bytes of a head as they come.
#[derive(Default)]
pub struct Collector {
    bytes: Vec<u8>,
    /// Where the line begins whose end has not come.
    line: usize,
}

impl Collector {
    /// Takes output; true once the head is complete, whatever part of the body came along.
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
            // What is no head at all is not waited for.
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

    /// The output ended. That ends a head, too, if there is any.
    pub fn end(&mut self) -> Result<(), Bad> {
        if self.bytes.is_empty() {
            return Err(Bad("it ended without output"));
        }
        self.line = self.bytes.len();
        Ok(())
    }

    /// The complete head, checked, and what came of the body.
    pub fn parse(&self) -> Result<(ScriptHead<'_>, &[u8]), Bad> {
        let (head, body) = self.bytes.split_at_checked(self.line).unwrap_or((&self.bytes, &[]));
        Ok((ScriptHead::parse(head)?, body))
    }
}

/// What is wrong with a script's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad(pub &'static str);

const TOO_LONG: Bad = Bad("its head is longer than 64 KiB");
const LONG_LINE: Bad = Bad("a line of its head is longer than 8 KiB");
const NO_COLON: Bad = Bad("a line of its head has no colon");

/// A head that can be sent: every field is one that the library takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ScriptHead<'a> {
    /// What `Status` says, or else a status line in front.
    pub status: Option<(u16, &'a str)>,
    /// One of them that says nothing, and is passed over as uhttpd does.
    pub odd_status: Option<&'a [u8]>,
    /// What `Content-Length` says.
    pub length: Option<u64>,
    /// What follows comes in chunks.
    pub chunked: bool,
    /// The fields in their order, `Location` included; without those that are not the script's to send.
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
            // What follows the colon may be in any charset.
            let value = text(value.get(1..).unwrap_or_default())?;
            parsed.take(name.ok_or(Bad("a field's name is no token"))?, value)?;
        }
        // CGI knows no status line, but other servers take one. `Status`, which it knows, counts before that.
        if let (None, Some(value)) = (parsed.status, in_front) {
            parsed.take("status", value)?;
        }
        if parsed.chunked {
            // RFC 9112 §6.3: the chunks count.
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
        if HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
            return Ok(());
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Bad("its Transfer-Encoding is not chunked"));
            }
            self.chunked = true;
            return Ok(());
        }
        if name.eq_ignore_ascii_case("content-length") {
            let length = decimal(value).ok_or(Bad("its Content-Length is none"))?;
            if self.length.is_some_and(|before| before != length) {
                return Err(Bad("it has two lengths"));
            }
            self.length = Some(length);
            return Ok(());
        }
        self.fields.push((name, value));
        Ok(())
    }

    /// Where it redirects to, when it has no status of its own.
    fn location(&self) -> Option<&'a [u8]> {
        let location = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
        location.filter(|_| self.status.is_none()).map(|(_, value)| *value)
    }

    /// Whether the client is to be redirected though no status says so (RFC 3875 §6.2.3).
    pub fn redirects(&self) -> bool {
        self.location().is_some()
    }

    /// The place of ours that is to be served instead: `Location` alone, with a path (RFC 3875 §6.2.2).
    ///
    /// Beside other fields it is the client that is redirected: it would not get to see them otherwise.
    pub fn local(&self) -> Option<&'a str> {
        let path = self.location()?;
        let alone = self.fields.len() == 1 && self.length.is_none();
        let ours = path.starts_with(b"/") && !path.starts_with(b"//");
        let plain = path.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
        str::from_utf8(path).ok().filter(|_| alone && ours && plain)
    }
}

/// A value, without the white space around it.
fn text(value: &[u8]) -> Result<&[u8], Bad> {
    let value = value.trim_ascii();
    let has_control = value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
    if has_control { Err(Bad("a field's value holds a control")) } else { Ok(value) }
}

/// What follows the version in a status line (RFC 9112 §4): as much as `Status` has.
fn status_line(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"HTTP/")? {
        [major, b'.', minor, b' ', status @ ..] if major.is_ascii_digit() && minor.is_ascii_digit() => Some(status),
        _ => None,
    }
}

/// Three digits, and a reason or none; one that is no text is none, too.
fn status(value: &[u8]) -> Option<(u16, &str)> {
    let (code, reason) = value.split_at_checked(3)?;
    // Interim responses are not a script's to send.
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
        ("HTTP/1.1 500 a\rb: c\n\n", Err("a field's value holds a control"), ""),
        ("HTTP/1.1\n\n", Err(NO_COLON.0), ""),
        ("HTTP/11 200 OK\n\n", Err(NO_COLON.0), ""),
        ("http/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        (" HTTP/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        ("A: b\nHTTP/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        ("HTTP/1.1 200 OK\nHTTP/1.1 200 OK\n\n", Err(NO_COLON.0), ""),
        ("", Err("it ended without output"), ""),
        ("hello\n", Err(NO_COLON.0), ""),
        ("hello", Err(NO_COLON.0), ""),
        ("<html>\n\n", Err(NO_COLON.0), ""),
        ("A: b\nhello\n\n", Err(NO_COLON.0), ""),
        ("A: b\n c: folded\n\n", Err("a field's name is no token"), ""),
        (": b\n\n", Err("a field's name is no token"), ""),
        ("A : b\n\n", Err("a field's name is no token"), ""),
        ("A: b\rC: d\n\n", Err("a field's value holds a control"), ""),
        ("A: \0\n\n", Err("a field's value holds a control"), ""),
        ("Status: 099\n\n", Ok((None, &[])), ""),
        ("Status: 101 Switching\n\n", Ok((None, &[])), ""),
        ("Status: 20\n\n", Ok((None, &[])), ""),
        ("Status: +20 OK\n\n", Ok((None, &[])), ""),
        ("Status: 404Not\n\n", Ok((None, &[])), ""),
        ("Status:\n\n", Ok((None, &[])), ""),
        ("Content-Length: 3\nContent-Length: 4\n\n", Err("it has two lengths"), ""),
        ("Content-Length: +3\n\n", Err("its Content-Length is none"), ""),
        ("Content-Length: 99999999999999999999\n\n", Err("its Content-Length is none"), ""),
        ("Content-Length:\n\n", Err("its Content-Length is none"), ""),
        ("Transfer-Encoding: gzip\n\n", Err("its Transfer-Encoding is not chunked"), ""),
        ("Transfer-Encoding: gzip, chunked\n\n", Err("its Transfer-Encoding is not chunked"), ""),
        ("Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n", Err("its Transfer-Encoding is not chunked"), ""),
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
