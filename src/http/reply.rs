//! The head of a response that another server sent: strict, for what is made of it goes to a client of ours.
//!
//! What nginx or a browser would mend (bare LF, folded lines, a space before a colon, two lengths) is refused: where two
//! readers may disagree on where a message ends, one of them can be made to read another's response.

use super::framing::{BodyFields, Framing};
use super::headers::{find_lf, is_tchar, is_token, is_value, list, trim_ows};
use super::limits::{FIELDS_MAX, REPLY_HEAD};
use super::reject::Reject;
use super::usual::value_end;
use std::error::Error;
use std::fmt;

/// What is wrong with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadReply(&'static str);

impl BadReply {
    /// What is wrong, in a few words.
    pub fn reason(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for BadReply {}

impl From<Reject> for BadReply {
    fn from(reject: Reject) -> BadReply {
        BadReply(reject.reason)
    }
}

/// How a response's body is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9112 knows no other")]
pub enum ReplyBody {
    /// No body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks: see [`Chunked`](super::Chunked).
    Chunked,
    /// All that comes before the connection ends.
    UntilClose,
}

/// Searches for the end of a response's head, each byte once.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplyScanner {
    /// Where the line begins that has not ended.
    line: usize,
    /// Everything before this position was looked at.
    at: usize,
}

impl ReplyScanner {
    /// Looks at the bytes that are new; `Some(n)`: the head is `bytes[..n]`.
    ///
    /// `bytes` is all since the head's start: it grows from call to call. The verdict does not depend on how they were cut.
    ///
    /// # Errors
    /// If this can't become a head: it is too long, has a bare LF, or does not begin as HTTP/1 does.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadReply> {
        const START: &[u8] = b"HTTP/1.";
        if bytes.iter().zip(START).any(|(byte, known)| byte != known) {
            return Err(BadReply("it does not begin with HTTP/1."));
        }
        while let Some(lf) = find_lf(bytes.get(self.at..).unwrap_or_default()).map(|lf| self.at + lf) {
            let line = bytes.get(self.line..lf).unwrap_or_default();
            if lf >= REPLY_HEAD {
                return Err(TOO_LONG);
            }
            self.at = lf + 1;
            self.line = lf + 1;
            match line {
                b"\r" => return Ok(Some(lf + 1)),
                [.., b'\r'] => {}
                _ => return Err(BadReply("bare LF in its head")),
            }
        }
        self.at = bytes.len();
        if self.at >= REPLY_HEAD { Err(TOO_LONG) } else { Ok(None) }
    }
}

const TOO_LONG: BadReply = BadReply("its head is too long");

/// The parsed head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyHead<'a> {
    status: u16,
    reason: &'a [u8],
    fields: Vec<(&'a str, &'a [u8])>,
    body: ReplyBody,
    keep_alive: bool,
    /// `Connection` lists the names of fields.
    has_options: bool,
}

/// Fields that a head is expected to have: there is room for these from the start.
const USUAL_FIELDS: usize = 16;

impl<'a> ReplyHead<'a> {
    /// Parses a head as [`ReplyScanner`] found it. `to_head`: the request's method was HEAD.
    ///
    /// # Errors
    /// If it breaks RFC 9112, or leaves in doubt where the body ends.
    pub fn parse(head: &'a [u8], to_head: bool) -> Result<ReplyHead<'a>, BadReply> {
        let end = find_lf(head).ok_or(BadReply("no status line"))?;
        let (line, lines) = head.split_at_checked(end + 1).unwrap_or_default();
        let (minor, status, reason) = status_line(line)?;
        let mut parsed = ReplyHead {
            status,
            reason,
            fields: Vec::with_capacity(USUAL_FIELDS),
            body: ReplyBody::None,
            keep_alive: minor > 0,
            has_options: false,
        };
        let mut fields = BodyFields::default();
        let (mut framed, mut close) = (false, false);
        // Checked at once, so that names need not be.
        let text = str::from_utf8(lines).ok();
        let mut at = 0;
        while let Some(rest) = lines.get(at..).filter(|rest| !matches!(*rest, b"" | b"\r\n")) {
            let (name, value, length) = usual_field(rest).map_or_else(|| any_field(rest), Ok)?;
            let name = match text {
                Some(text) => text.get(at..at + name.len()),
                None => str::from_utf8(name).ok(),
            };
            let name = name.ok_or(MALFORMED_NAME)?;
            at += length;
            if parsed.fields.len() == FIELDS_MAX {
                return Err(BadReply("too many fields"));
            }
            match name.len() {
                14 if name.eq_ignore_ascii_case("content-length") => {
                    fields.content_length(value)?;
                    framed = true;
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.transfer_encoding(value);
                    framed = true;
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    for option in list(value) {
                        let ends = option.eq_ignore_ascii_case(b"close");
                        let keeps = option.eq_ignore_ascii_case(b"keep-alive");
                        close |= ends;
                        parsed.keep_alive |= keeps;
                        parsed.has_options |= !ends && !keeps;
                    }
                }
                _ => {}
            }
            parsed.fields.push((name, value));
        }
        parsed.keep_alive &= !close;
        let framing = fields.framing(minor)?;
        parsed.body = match status {
            // RFC 9112 §6.3, with the numbers of its list. 1. no body, whatever the fields say.
            100..=199 | 204 | 304 => ReplyBody::None,
            _ if to_head => ReplyBody::None,
            // 2. is about CONNECT, which nobody here sends. 3. to 6.
            _ => match framing {
                Framing::Length(length) => ReplyBody::Length(length),
                Framing::Chunked => ReplyBody::Chunked,
                // 8.
                _ => ReplyBody::UntilClose,
            },
        };
        // A sender that announces a body where none can be may send it, too.
        let lies = matches!(status, 100..=199 | 204) && framed && framing != Framing::Length(0);
        parsed.keep_alive &= !lies && parsed.body != ReplyBody::UntilClose;
        Ok(parsed)
    }

    /// The status code, 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; empty if it is not UTF-8.
    pub fn reason(&self) -> &'a str {
        str::from_utf8(self.reason).unwrap_or_default()
    }

    /// How the body is delimited.
    pub fn body(&self) -> ReplyBody {
        self.body
    }

    /// Whether another request may follow on the connection, once the body was read: RFC 9112 §9.3.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The fields in their order: names as they were sent, values trimmed.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter().copied()
    }

    /// The value of the first field of that name, in any case.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether `Connection` lists that name beside others than `close` and `keep-alive`: the field is meant for the next hop
    /// only (RFC 9110 §7.6.1).
    pub fn is_of_connection(&self, name: &str) -> bool {
        self.has_options
            && self
                .fields()
                .filter(|(known, _)| known.eq_ignore_ascii_case("connection"))
                .any(|(_, value)| list(value).any(|option| option.eq_ignore_ascii_case(name.as_bytes())))
    }
}

/// The minor version, the status and the reason of a status line (RFC 9112 §4) with its CRLF.
fn status_line(line: &[u8]) -> Result<(u8, u16, &[u8]), BadReply> {
    let rest = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.strip_suffix(b"\r\n"));
    let Some([minor @ b'0'..=b'9', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..]) = rest else {
        return Err(BadReply("malformed status line"));
    };
    // Some leave out the space when there is no reason.
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] if is_value(reason) => trim_ows(reason),
        _ => return Err(BadReply("malformed status line")),
    };
    let digit = |byte: &u8| u16::from(byte - b'0');
    // Later versions of HTTP/1 are read as the latest known: RFC 9110 §2.5.
    Ok(((minor - b'0').min(1), digit(a) * 100 + digit(b) * 10 + digit(c), reason))
}

/// The name and the value of a field, and the length of its line.
type FieldLine<'a> = (&'a [u8], &'a [u8], usize);

/// Reads the line of a field that has nothing unusual about it, in one pass.
fn usual_field(rest: &[u8]) -> Option<FieldLine<'_>> {
    let colon = rest.iter().position(|&byte| !is_tchar(byte)).filter(|&at| at > 0)?;
    if *rest.get(colon)? != b':' {
        return None;
    }
    let end = value_end(rest, colon + 1)?;
    Some((rest.get(..colon)?, trim_ows(rest.get(colon + 1..end)?), end + 2))
}

/// Reads any line of a field, or says what is wrong with it.
fn any_field(rest: &[u8]) -> Result<FieldLine<'_>, BadReply> {
    let length = find_lf(rest).map_or(rest.len(), |lf| lf + 1);
    let line = rest.get(..length).and_then(|line| line.strip_suffix(b"\r\n")).ok_or(BadReply("bare LF in its head"))?;
    if matches!(line, [b' ' | b'\t', ..]) {
        // RFC 9112 §5.2.
        return Err(BadReply("a field over several lines"));
    }
    let colon = line.iter().position(|&byte| byte == b':').ok_or(BadReply("a field without a colon"))?;
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    let value = trim_ows(value.get(1..).unwrap_or_default());
    if !is_token(name) {
        return Err(MALFORMED_NAME);
    }
    if !is_value(value) {
        return Err(BadReply("control character in a field value"));
    }
    Ok((name, value, length))
}

const MALFORMED_NAME: BadReply = BadReply("malformed field name");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The verdict when the bytes come in pieces of at most `piece`: how the body is delimited, and whether the connection
    /// can be used again.
    fn read(bytes: &[u8], piece: usize, to_head: bool) -> Result<Option<(u16, ReplyBody, bool)>, &'static str> {
        let mut scanner = ReplyScanner::default();
        let mut end = 0;
        loop {
            match scanner.find(&bytes[..end]).map_err(BadReply::reason)? {
                None if end == bytes.len() => return Ok(None),
                None => end = (end + piece).min(bytes.len()),
                Some(n) => {
                    let head = ReplyHead::parse(&bytes[..n], to_head).map_err(BadReply::reason)?;
                    return Ok(Some((head.status(), head.body(), head.keep_alive())));
                }
            }
        }
    }

    /// What is read of a head, cut at every byte.
    #[track_caller]
    fn verdict(head: &str, to_head: bool) -> Result<Option<(u16, ReplyBody, bool)>, &'static str> {
        let whole = read(head.as_bytes(), head.len().max(1), to_head);
        for piece in 1..head.len().min(200) {
            assert_eq!(read(head.as_bytes(), piece, to_head), whole, "in pieces of {piece}: {head:?}");
        }
        whole
    }

    #[test]
    fn bodies() {
        use ReplyBody::{Chunked, Length, None, UntilClose};
        #[rustfmt::skip]
        let rows: &[(&str, bool, ReplyBody, bool, &str)] = &[
            ("200 OK|Content-Length: 5", false, Length(5), true, "a length"),
            ("200 OK|Content-Length: 0", false, Length(0), true, "a length of nothing"),
            ("200 OK|content-LENGTH:\t 5 ", false, Length(5), true, "in any case, with white space"),
            ("200 OK|Content-Length: 18446744073709551615", false, Length(u64::MAX), true, "the longest"),
            ("200 OK|Transfer-Encoding: chunked", false, Chunked, true, "chunks"),
            ("200 OK|Transfer-Encoding: CHUNKED", false, Chunked, true, "chunks in capitals"),
            ("200 OK", false, UntilClose, false, "neither"),
            ("200 OK|Connection: keep-alive", false, UntilClose, false, "neither, whatever it says"),
            ("200 OK|Content-Length: 5|Connection: close", false, Length(5), false, "it closes"),
            ("200 OK|Content-Length: 5|Connection: x, Close", false, Length(5), false, "it closes, in a list"),
            ("200 OK|Content-Length: 5|Connection: keep-alive, close", false, Length(5), false, "close wins"),
            ("200 OK|Content-Length: 5|Connection: close|Connection: keep-alive", false, Length(5), false, "in any order"),
            ("200 OK|Content-Length: 5", true, None, true, "to HEAD"),
            ("200 OK|Transfer-Encoding: chunked", true, None, true, "to HEAD, chunks"),
            ("200 OK", true, None, true, "to HEAD, neither"),
            ("204 No Content", false, None, true, "204"),
            ("204 No Content|Content-Length: 0", false, None, true, "204 with a length of nothing"),
            ("204 No Content|Content-Length: 5", false, None, false, "204 with a body that can't be"),
            ("204 No Content|Transfer-Encoding: chunked", false, None, false, "204 with chunks that can't be"),
            ("304 Not Modified|Content-Length: 5", false, None, true, "304 tells the length of the 200"),
            ("304 Not Modified|Transfer-Encoding: chunked", false, None, true, "304 with chunks"),
            ("205 Reset Content|Content-Length: 0", false, Length(0), true, "205"),
            ("100 Continue", false, None, true, "100"),
            ("101 Switching Protocols|Connection: upgrade|Upgrade: x", false, None, true, "101"),
            ("103 Early Hints|Link: </a>", false, None, true, "103"),
            ("404 Not Found|Content-Length: 1", false, Length(1), true, "404"),
            ("999 What|Content-Length: 1", false, Length(1), true, "unknown"),
            ("200 |Content-Length: 1", false, Length(1), true, "no reason"),
            ("200|Content-Length: 1", false, Length(1), true, "no reason and no space"),
            ("200 gr\u{fc}n|Content-Length: 1", false, Length(1), true, "a reason beyond ASCII"),
            ("200 OK|X:|Content-Length: 1", false, Length(1), true, "an empty value"),
            ("200 OK|X: a\u{e4}\tb|Content-Length: 1", false, Length(1), true, "a value beyond ASCII"),
        ];
        for (head, to_head, body, keep, name) in rows {
            let head = format!("HTTP/1.1 {}\r\n\r\n", head.replace('|', "\r\n"));
            let status = head[9..12].parse().unwrap();
            assert_eq!(verdict(&head, *to_head), Ok(Some((status, *body, *keep))), "{name}");
            // What follows is not looked at.
            let more = format!("{head}HTTP/9 \n\0");
            assert_eq!(verdict(&more, *to_head), Ok(Some((status, *body, *keep))), "{name}, and more");
            assert_eq!(verdict(&head[..head.len() - 1], *to_head), Ok(Option::None), "{name}, without its end");
        }
    }

    #[test]
    fn versions() {
        use ReplyBody::{Length, UntilClose};
        let rows = [
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", Length(5), true),
            ("HTTP/1.0 200 OK\r\n\r\n", UntilClose, false),
            ("HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n", Length(5), true),
            ("HTTP/1.9 200 OK\r\nContent-Length: 5\r\n\r\n", Length(5), true),
        ];
        for (head, body, keep) in rows {
            assert_eq!(verdict(head, false), Ok(Some((200, body, keep))), "{head:?}");
        }
    }

    #[test]
    fn refused() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(REPLY_HEAD));
        let endless = "HTTP/1.1 200 OK\r\nX: ".to_owned() + &"a".repeat(REPLY_HEAD);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX + 1));
        #[rustfmt::skip]
        let rows: &[(&str, &str, &str)] = &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "more than one Content-Length", "two lengths"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "more than one Content-Length", "the same twice"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "malformed Content-Length", "a list of lengths"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "malformed Content-Length", "a sign"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\n", "malformed Content-Length", "a space"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n", "malformed Content-Length", "hex"),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "malformed Content-Length", "empty"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", "malformed Content-Length", "overflow"),
            ("HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n", "malformed Content-Length", "even where there is no body"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "both Transfer-Encoding and Content-Length", "both"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "both Transfer-Encoding and Content-Length", "both, the other way round"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unknown transfer coding", "another coding"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "chunked is not the last transfer coding", "only another"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "chunked is not the last transfer coding", "not the last"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", "chunked is not the last transfer coding", "nearly"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "chunked is not the last transfer coding", "twice"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding in HTTP/1.0", "of HTTP/1.0"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "a field over several lines", "folded"),
            ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "a field over several lines", "folded at the start"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n", "a field over several lines", "folded by a tab"),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "malformed field name", "a space before the colon"),
            ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "malformed field name", "no name"),
            ("HTTP/1.1 200 OK\r\nA(: b\r\n\r\n", "malformed field name", "a delimiter in a name"),
            ("HTTP/1.1 200 OK\r\nAb\r\n\r\n", "a field without a colon", "no colon"),
            ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "control character in a field value", "bare CR"),
            ("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", "control character in a field value", "NUL"),
            ("HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n", "control character in a field value", "DEL"),
            ("HTTP/1.1 200 OK\nA: b\n\n", "bare LF in its head", "bare LF"),
            ("HTTP/1.1 200 OK\r\nA: b\n\r\n", "bare LF in its head", "one bare LF"),
            ("HTTP/1.1 200 OK\r\n\n", "bare LF in its head", "bare LF at the end"),
            ("HTTP/1.1 200 OK\rA\r\n\r\n", "malformed status line", "bare CR in the status line"),
            ("HTTP/1.1 099 X\r\n\r\n", "malformed status line", "below 100"),
            ("HTTP/1.1 20 OK\r\n\r\n", "malformed status line", "two digits"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "malformed status line", "four digits"),
            ("HTTP/1.1  200 OK\r\n\r\n", "malformed status line", "two spaces"),
            ("HTTP/1.1 +20 OK\r\n\r\n", "malformed status line", "a sign"),
            ("HTTP/1.11 200 OK\r\n\r\n", "malformed status line", "two digits of version"),
            ("HTTP/1. 200 OK\r\n\r\n", "malformed status line", "no digit of version"),
            ("HTTP/2 200 OK\r\n\r\n", "it does not begin with HTTP/1.", "HTTP/2"),
            ("http/1.1 200 OK\r\n\r\n", "it does not begin with HTTP/1.", "small letters"),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", "it does not begin with HTTP/1.", "an empty line in front"),
            ("SSH-2.0-x\r\n", "it does not begin with HTTP/1.", "another protocol"),
            ("<html>", "it does not begin with HTTP/1.", "HTTP/0.9"),
            (&long, "its head is too long", "too long"),
            (&endless, "its head is too long", "without end"),
            (&many, "too many fields", "too many"),
        ];
        for (head, reason, name) in rows {
            assert_eq!(verdict(head, false), Err(*reason), "{name}");
        }
    }

    #[test]
    fn fields_are_those_of_the_head() {
        let text = b"HTTP/1.1 200 Fine\r\nA: b\r\nConnection: x-Hop , close\r\nX-HOP: 1\r\na:\t c d \r\nE:\r\n\r\n";
        let head = ReplyHead::parse(text, false).unwrap();
        let fields: Vec<_> = head.fields().map(|(name, value)| (name, str::from_utf8(value).unwrap())).collect();
        let wanted = [("A", "b"), ("Connection", "x-Hop , close"), ("X-HOP", "1"), ("a", "c d"), ("E", "")];
        assert_eq!(fields, wanted);
        assert_eq!((head.reason(), head.field("e"), head.field("f")), ("Fine", Some(&b""[..]), None));
        let listed = |name| head.is_of_connection(name);
        assert!(listed("x-hop") && listed("Close") && !listed("a") && !listed("connection"));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("HTTP/1.1 200 OK"), Just("\r\n"), Just("\n"), Just(" "), Just("A: b"), Just("\r\n\r\n"),
                    Just("Content-Length: 1"), Just("Transfer-Encoding: chunked"), Just("\0"),
                ],
                0..9,
            )
        ) {
            let bytes = ["HTTP/1.1 200 OK\r\n", &pieces.concat()].concat();
            prop_assert_eq!(read(bytes.as_bytes(), 1, false), read(bytes.as_bytes(), bytes.len(), false));
        }
    }
}
