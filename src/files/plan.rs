//! The answer to a request for a file that exists: which status, which bytes, which header lines.

use super::header_lines::{FileStat, modified_secs};
use crate::http::conditional::{self, Precondition, Validators};
use crate::http::fields::Fields;
use crate::http::range::{self, Ranges};
use std::ops::Range;

/// The answer for a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// 200, 206, 304, 412 or 416.
    pub(super) status: u16,
    /// Which bytes follow the head.
    pub(super) body: Body,
    /// The header lines that this status needs in addition to those of [`header_lines`](super::header_lines).
    pub(super) headers: Vec<u8>,
}

/// Which bytes follow the head; for HEAD, which would follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
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
pub(super) struct ByteRanges {
    /// For each range, the delimiter and head that go before it.
    pub(super) parts: Vec<(Vec<u8>, Range<u64>)>,
    /// What follows the last range.
    pub(super) tail: Vec<u8>,
    /// Length of the whole body in bytes.
    pub(super) length: u64,
}

/// Plans the answer to a GET or HEAD of a file.
///
/// 1. Preconditions may end it with 304 or 412.
/// 2. A single `Range` field of a GET (RFC 9110 §14.2) that `If-Range` does not disable leads to 206 or 416.
/// 3. Otherwise: 200, the whole file.
///
/// `boundary` is called for several ranges only. Its result must be hard to guess, because the file is not searched for
/// it.
pub(super) fn plan(
    fields: &impl Fields,
    get: bool,
    facts: &FileStat,
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
    /// A plan without header lines of its own.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::header_lines::etag;
    use crate::http::Coding;
    use crate::http::fields::{List, Listed};
    use proptest::prelude::*;

    const FACTS: FileStat = FileStat { ino: 0x99_e913, size: 10, mtime: 784_111_777, mtime_nsec: 0 };
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

    proptest! {
        #[test]
        fn tag_is_strong_and_matches_itself(ino: u64, size: u64, mtime: i64, mtime_nsec in 0u32..1_000_000_000) {
            let facts = FileStat { ino, size, mtime, mtime_nsec };
            let tag = etag(&facts, Coding::Zstd);
            let fields = [("if-none-match", tag.as_bytes())];
            prop_assert_eq!(plan(&Listed(&fields), true, &facts, &tag, "", String::new).status, 304);
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
