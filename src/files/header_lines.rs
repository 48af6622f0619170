//! The header lines that describe a file: `ETag`, `Last-Modified`, `Content-Type` and the like.

use super::precompressed::VARY;
use crate::http::coding::Coding;
use crate::http::date;
use crate::http::headers::push_hex;

/// What stat(2) reported of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStat {
    /// Inode number.
    pub(super) ino: u64,
    /// Length in bytes.
    pub(super) size: u64,
    /// Modification time in Unix seconds.
    pub(super) mtime: i64,
    /// Nanoseconds of the modification time.
    pub(super) mtime_nsec: u32,
}

/// The entity tag of a file in a coding: strong, with its quotes.
///
/// It consists of inode, size, modification time and its nanoseconds, all in hexadecimal, and of the coding's suffix. So
/// a file that is replaced within a second, or by one of the same age, gets another tag.
pub(super) fn etag(facts: &FileStat, coding: Coding) -> String {
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

/// Appends the lines of a 200 or 206.
///
/// `content_type` is `None` for `multipart/byteranges`, where each part has its own. `vary` says that the client could
/// have got another coding.
pub(super) fn push_file(
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
    push_not_modified(out, etag, modified, vary);
    out.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    if coding != Coding::Identity {
        push_line(out, "Content-Encoding: ", coding.token());
    }
}

/// Appends the lines that a 304 repeats (RFC 9110 §15.4.5).
pub(super) fn push_not_modified(out: &mut Vec<u8>, etag: &str, modified: i64, vary: bool) {
    push_line(out, "ETag: ", etag);
    out.extend_from_slice(b"Last-Modified: ");
    date::push(out, modified_secs(modified));
    out.extend_from_slice(b"\r\n");
    if vary {
        out.extend_from_slice(VARY);
    }
}

/// A modification time in Unix seconds, moved into the range of HTTP dates.
pub(super) fn modified_secs(mtime: i64) -> u64 {
    mtime.max(0).unsigned_abs().min(date::LAST)
}

fn push_line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags() {
        let facts = FileStat { ino: 0x99_e913, size: 10, mtime: 784_111_777, mtime_nsec: 0 };
        assert_eq!(etag(&facts, Coding::Identity), "\"99e913-a-2ebc98a1-0\"");
        assert_eq!(etag(&facts, Coding::Gzip), "\"99e913-a-2ebc98a1-0.gz\"");
        let zero = FileStat { ino: 0, size: 0, mtime: -1, mtime_nsec: 16 };
        assert_eq!(etag(&zero, Coding::Brotli), "\"0-0-ffffffffffffffff-10.br\"");
    }

    #[test]
    fn lines() {
        let mut out = Vec::new();
        push_file(&mut out, Some("text/css"), "\"t\"", 784_111_777, Coding::Gzip, true);
        let want = "Content-Type: text/css\r\nETag: \"t\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                    Vary: Accept-Encoding\r\nAccept-Ranges: bytes\r\nContent-Encoding: gzip\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);

        let mut out = Vec::new();
        push_file(&mut out, None, "\"t\"", -5, Coding::Identity, false);
        let want = "ETag: \"t\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);

        let mut out = Vec::new();
        push_not_modified(&mut out, "\"t\"", i64::MAX, false);
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
    }
}
