//! A listing as JSON, in the form of nginx's `autoindex_format json`.

use super::header_lines::modified_secs;
use super::selection::Entry;
use crate::http::date;
use std::io::Write as _;

/// Writes a listing in pieces: an element for each entry, then the end.
#[derive(Debug)]
pub struct Json {
    /// What stands before the next element.
    before: &'static [u8],
}

impl Json {
    /// An array without elements so far.
    pub fn new() -> Json {
        Json { before: b"[\n" }
    }

    /// Writes an entry. JSON is UTF-8: other bytes of a name become U+FFFD.
    pub fn element(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        out.extend_from_slice(std::mem::replace(&mut self.before, b",\n"));
        out.extend_from_slice(b"{ \"name\":\"");
        push_text(out, &String::from_utf8_lossy(&entry.name));
        out.extend_from_slice(b"\", \"type\":\"");
        out.extend_from_slice(if entry.dir { b"directory" } else { b"file" });
        out.extend_from_slice(b"\", \"mtime\":\"");
        date::push(out, modified_secs(entry.mtime));
        out.push(b'"');
        if !entry.dir {
            // Writing to memory does not fail.
            let _ = write!(out, ", \"size\":{}", entry.size);
        }
        out.extend_from_slice(b" }");
    }

    /// Ends the array.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.before.starts_with(b"[") {
            out.push(b'[');
        }
        out.extend_from_slice(b"\n]\n");
    }
}

/// Writes text for a string (RFC 8259 §7).
fn push_text(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                let _ = write!(out, "\\u{byte:04x}");
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(entries: &[Entry]) -> String {
        let (mut json, mut out) = (Json::new(), Vec::new());
        entries.iter().for_each(|entry| json.element(entry, &mut out));
        json.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn it_is_nginxs() {
        assert_eq!(written(&[]), "[\n]\n");
        let dir = Entry { name: b"music".into(), dir: true, size: 4096, mtime: 784_111_777 };
        let file = Entry { name: b"a.txt".into(), dir: false, size: 12, mtime: -1 };
        let want = "[\n{ \"name\":\"music\", \"type\":\"directory\", \"mtime\":\"Sun, 06 Nov 1994 08:49:37 GMT\" },\n\
                    { \"name\":\"a.txt\", \"type\":\"file\", \"mtime\":\"Thu, 01 Jan 1970 00:00:00 GMT\", \"size\":12 }\n]\n";
        assert_eq!(written(&[dir, file]), want);
    }

    #[test]
    fn names_are_strings() {
        #[rustfmt::skip]
        let rows: &[(&[u8], &str)] = &[
            (b"plain", "plain"), (b"\"q\"", r#"\"q\""#), (b"back\\slash", r"back\\slash"), (b"<b>&'%", "<b>&'%"),
            (b"\n\t\x01\x1f\x7f", "\\u000a\\u0009\\u0001\\u001f\x7f"), ("größe".as_bytes(), "größe"),
            (b"latin\xe9", "latin\u{fffd}"), (b"\xf0\x9f", "\u{fffd}"),
        ];
        for &(name, want) in rows {
            let text = written(&[Entry { name: name.into(), dir: false, size: u64::MAX, mtime: i64::MAX }]);
            assert!(text.contains(&format!("\"name\":\"{want}\",")), "{text}");
            assert!(text.contains("\"Fri, 31 Dec 9999 23:59:59 GMT\", \"size\":18446744073709551615 }"), "{text}");
        }
    }
}
