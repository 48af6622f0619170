//! What to answer for a regular file that exists: status, which bytes, which fields.

use std::ops::Range;

use crate::http::coding::Coding;
use crate::http::conditional::{self, Precondition, Validators};
use crate::http::date;
use crate::http::fields::Fields;
use crate::http::range::{self, Ranges};

/// What is known of the file that would be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Inode number.
    pub ino: u64,
    /// Length in bytes.
    pub size: u64,
    /// Modification time in Unix seconds.
    pub mtime: i64,
    /// Nanoseconds of the modification time.
    pub mtime_nsec: u32,
}

/// The answer for a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// 200, 206, 304, 412 or 416.
    pub status: u16,
    /// Which bytes follow the head.
    pub body: Body,
    /// Complete lines that this status needs besides the file's own (those of [`file_lines`] for 200 and 206, of
    /// [`not_modified_lines`] for 304).
    pub headers: Vec<u8>,
}

/// Which bytes follow the head; for HEAD, which would.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    Nothing,
    /// The file.
    Whole,
    /// One range of the file, never empty.
    Part(Range<u64>),
    /// Several ranges of the file, with text between them.
    Parts(ByteRanges),
}

/// A `multipart/byteranges` body (RFC 9110 §14.6).
#[derive(Debug, PartialEq, Eq)]
pub struct ByteRanges {
    /// For each range, the delimiter and head that go before it.
    pub parts: Vec<(Vec<u8>, Range<u64>)>,
    /// What follows the last range.
    pub tail: Vec<u8>,
    /// Length of the whole body in bytes.
    pub length: u64,
}

/// Decides what to answer to a GET or HEAD of a file.
///
/// 1. The preconditions: 304 or 412 without a body.
/// 2. `Range` counts for GET alone (RFC 9110 §14.2), when it stands once and `If-Range` lets it: 206 or 416.
/// 3. Otherwise all of it, 200.
///
/// `boundary` is asked for when several ranges are to be sent. It should be hard to guess: the file is not searched
/// for it.
pub fn plan(
    fields: &impl Fields,
    get: bool,
    facts: &Facts,
    etag: &str,
    content_type: &str,
    boundary: impl FnOnce() -> String,
) -> Plan {
    let validators = Validators { etag, modified: modified_secs(facts.mtime) };
    match conditional::evaluate(fields, true, &validators) {
        Precondition::Go => {}
        Precondition::NotModified => return Plan::new(304, Body::Nothing),
        Precondition::Failed => return Plan::new(412, Body::Nothing),
    }
    let ranges = match fields.only("range") {
        Some(value) if get && conditional::range_applies(fields, &validators) => range::parse(value, facts.size),
        _ => Ranges::Whole,
    };
    match ranges {
        Ranges::Whole => Plan::new(200, Body::Whole),
        Ranges::Unsatisfiable => Plan {
            status: 416,
            body: Body::Nothing,
            headers: format!("Content-Range: bytes */{}\r\n", facts.size).into_bytes(),
        },
        Ranges::Parts(parts) => match &parts[..] {
            [part] => Plan {
                status: 206,
                headers: format!("{}\r\n", content_range(part, facts.size)).into_bytes(),
                body: Body::Part(part.clone()),
            },
            _ => {
                let boundary = boundary();
                Plan {
                    status: 206,
                    headers: format!("Content-Type: multipart/byteranges; boundary={boundary}\r\n").into_bytes(),
                    body: Body::Parts(ByteRanges::new(parts, facts.size, content_type, &boundary)),
                }
            }
        },
    }
}

impl Plan {
    /// A plan whose status needs no further lines.
    fn new(status: u16, body: Body) -> Plan {
        Plan { status, body, headers: Vec::new() }
    }
}

impl ByteRanges {
    fn new(ranges: Vec<Range<u64>>, size: u64, content_type: &str, boundary: &str) -> ByteRanges {
        let tail = format!("\r\n--{boundary}--\r\n").into_bytes();
        let mut length = tail.len() as u64;
        let mut parts = Vec::with_capacity(ranges.len());
        let mut line_end = "";
        for range in ranges {
            let content_range = content_range(&range, size);
            let head = format!("{line_end}--{boundary}\r\nContent-Type: {content_type}\r\n{content_range}\r\n\r\n")
                .into_bytes();
            line_end = "\r\n";
            length = length.saturating_add(head.len() as u64).saturating_add(range.end - range.start);
            parts.push((head, range));
        }
        ByteRanges { parts, tail, length }
    }
}

/// The `Content-Range` line of a range that is not empty, without its end (RFC 9110 §14.4).
fn content_range(range: &Range<u64>, size: u64) -> String {
    debug_assert!(!range.is_empty());
    format!("Content-Range: bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

/// The entity tag of a file in a coding: strong, with its quotes.
///
/// Inode, size and modification time to the nanosecond, in hexadecimal, and the coding's suffix: a file replaced within
/// the same second, or by one of the same age, has another tag.
pub fn etag(facts: &Facts, coding: Coding) -> String {
    let mtime = facts.mtime.cast_unsigned();
    let mut tag = Vec::with_capacity(64);
    let mut before = b'"';
    for value in [facts.ino, facts.size, mtime, u64::from(facts.mtime_nsec)] {
        tag.push(before);
        push_hex(&mut tag, value);
        before = b'-';
    }
    tag.extend_from_slice(coding.suffix().as_bytes());
    tag.push(b'"');
    String::from_utf8(tag).unwrap_or_default()
}

/// Writes the fields that describe the file itself, for 200 and 206.
///
/// `content_type` is `None` for a body of [`Body::Parts`]: there the plan's own lines hold it, and each part's head
/// the file's. `vary` says that another coding could have been chosen.
pub fn file_lines(
    out: &mut Vec<u8>,
    content_type: Option<&str>,
    etag: &str,
    modified: i64,
    coding: Coding,
    vary: bool,
) {
    if let Some(content_type) = content_type {
        push_line(out, "Content-Type: ", content_type);
    }
    not_modified_lines(out, etag, modified, vary);
    out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    if coding != Coding::Identity {
        push_line(out, "Content-Encoding: ", coding.token());
    }
}

/// Writes the fields of the file that a 304 repeats (RFC 9110 §15.4.5).
pub fn not_modified_lines(out: &mut Vec<u8>, etag: &str, modified: i64, vary: bool) {
    push_line(out, "ETag: ", etag);
    push_last_modified(out, modified);
    if vary {
        out.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
}

fn push_line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn push_last_modified(out: &mut Vec<u8>, modified: i64) {
    out.extend_from_slice(b"Last-Modified: ");
    date::push(out, modified_secs(modified));
    out.extend_from_slice(b"\r\n");
}

/// A modification time as an HTTP date can say it, in Unix seconds.
pub fn modified_secs(mtime: i64) -> u64 {
    mtime.max(0).unsigned_abs().min(date::LAST)
}

/// Appends a number in lower case hexadecimal without leading zeros.
fn push_hex(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 16];
    let mut left = value;
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        let [nibble, ..] = (left & 0xf).to_le_bytes();
        *digit = match nibble {
            0..10 => b'0' + nibble,
            _ => b'a' - 10 + nibble,
        };
        start -= 1;
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::fields::{List, Listed};

    const FACTS: Facts = Facts { ino: 0x99_e913, size: 10, mtime: 784_111_777, mtime_nsec: 0 };
    const TAG: &str = "\"99e913-a-2ebc98a1-0\"";

    fn planned(fields: List<'_>, get: bool) -> Plan {
        plan(&Listed(fields), get, &FACTS, TAG, "text/css", || "B".to_owned())
    }

    #[test]
    fn statuses() {
        const PART: Body = Body::Part(2..5);
        const PART_LINE: &str = "Content-Range: bytes 2-4/10\r\n";
        #[rustfmt::skip]
        let rows: &[(List<'_>, bool, u16, Body, &str, &str)] = &[
            (&[], true, 200, Body::Whole, "", "plain GET"),
            (&[], false, 200, Body::Whole, "", "plain HEAD"),
            (&[("if-none-match", TAG.as_bytes())], true, 304, Body::Nothing, "", "current"),
            (&[("if-none-match", TAG.as_bytes())], false, 304, Body::Nothing, "", "current, HEAD"),
            (&[("if-match", b"\"x\"")], true, 412, Body::Nothing, "", "another version"),
            (&[("range", b"bytes=2-4")], true, 206, PART, PART_LINE, "a range"),
            (&[("range", b"bytes=2-4")], false, 200, Body::Whole, "", "no range for HEAD"),
            (&[("range", b"bytes=10-")], true, 416, Body::Nothing, "Content-Range: bytes */10\r\n", "past the end"),
            (&[("range", b"bytes=10-")], false, 200, Body::Whole, "", "past the end, HEAD"),
            (&[("range", b"bytes=junk")], true, 200, Body::Whole, "", "malformed range"),
            (&[("range", b"bytes=2-4"), ("range", b"bytes=2-4")], true, 200, Body::Whole, "", "doubled range"),
            (&[("range", b"bytes=2-4"), ("if-range", TAG.as_bytes())], true, 206, PART, PART_LINE, "if-range is ours"),
            (&[("range", b"bytes=2-4"), ("if-range", b"\"x\"")], true, 200, Body::Whole, "", "if-range of another"),
            (&[("range", b"bytes=10-"), ("if-range", b"\"x\"")], true, 200, Body::Whole, "", "if-range before 416"),
            (&[("range", b"bytes=2-4"), ("if-none-match", TAG.as_bytes())], true, 304, Body::Nothing, "", "304 before 206"),
        ];
        for (fields, get, status, body, headers, name) in rows {
            let plan = planned(fields, *get);
            assert_eq!(plan.status, *status, "{name}");
            assert_eq!(&plan.body, body, "{name}");
            assert_eq!(plan.headers, headers.as_bytes(), "{name}");
        }
    }

    #[test]
    fn several_ranges() {
        let plan = planned(&[("range", b"bytes=0-0,5-7")], true);
        assert_eq!(plan.status, 206);
        assert_eq!(plan.headers, b"Content-Type: multipart/byteranges; boundary=B\r\n");
        let Body::Parts(ranges) = plan.body else {
            panic!("{:?}", plan.body);
        };
        let file = b"0123456789";
        let mut body = Vec::new();
        for (head, Range { start, end }) in &ranges.parts {
            body.extend(head);
            body.extend(&file[usize::try_from(*start).unwrap()..usize::try_from(*end).unwrap()]);
        }
        body.extend(&ranges.tail);
        let want = "--B\r\nContent-Type: text/css\r\nContent-Range: bytes 0-0/10\r\n\r\n0\r\n\
                    --B\r\nContent-Type: text/css\r\nContent-Range: bytes 5-7/10\r\n\r\n567\r\n--B--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), want);
        assert_eq!(ranges.length, want.len() as u64);
    }

    #[test]
    fn tags() {
        assert_eq!(etag(&FACTS, Coding::Identity), TAG);
        assert_eq!(etag(&FACTS, Coding::Gzip), "\"99e913-a-2ebc98a1-0.gz\"");
        let zero = Facts { ino: 0, size: 0, mtime: -1, mtime_nsec: 16 };
        assert_eq!(etag(&zero, Coding::Brotli), "\"0-0-ffffffffffffffff-10.br\"");
    }

    #[test]
    fn lines() {
        let mut out = Vec::new();
        file_lines(&mut out, Some("text/css"), "\"t\"", 784_111_777, Coding::Gzip, true);
        let want = "Content-Type: text/css\r\nETag: \"t\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                    Vary: Accept-Encoding\r\nAccept-Ranges: bytes\r\nContent-Encoding: gzip\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);

        let mut out = Vec::new();
        file_lines(&mut out, None, "\"t\"", -5, Coding::Identity, false);
        let want = "ETag: \"t\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);

        let mut out = Vec::new();
        not_modified_lines(&mut out, "\"t\"", i64::MAX, false);
        let want = "ETag: \"t\"\r\nLast-Modified: Fri, 31 Dec 9999 23:59:59 GMT\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    proptest! {
        #[test]
        fn hex_is_hex(value: u64, shift in 0u32..64) {
            let mut out = Vec::new();
            push_hex(&mut out, value >> shift);
            prop_assert_eq!(out, format!("{:x}", value >> shift).into_bytes());
        }

        #[test]
        fn tag_is_strong_and_matches_itself(ino: u64, size: u64, mtime: i64, mtime_nsec in 0u32..1_000_000_000) {
            let facts = Facts { ino, size, mtime, mtime_nsec };
            let tag = etag(&facts, Coding::Zstd);
            let fields = [("if-none-match", tag.as_bytes())];
            prop_assert_eq!(plan(&Listed(&fields), true, &facts, &tag, "", String::new).status, 304);
            let mut out = Vec::new();
            file_lines(&mut out, None, &tag, mtime, Coding::Zstd, true);
        }

        #[test]
        fn no_panic(value in proptest::collection::vec(any::<u8>(), 0..30)) {
            let mut range = b"bytes=".to_vec();
            range.extend(&value);
            planned(&[("range", &range), ("if-range", &value)], true);
            planned(&[("range", &range)], true);
        }
    }
}
