//! A listing as a page of HTML.

use super::header_lines::modified_secs;
use super::limits::MAX_CRUMBS;
use super::selection::{Entry, Order, Selection, SortKey};
use crate::http::date::civil;
use std::borrow::Cow;
use std::io::Write as _;

/// Writes a listing in pieces: its head, a row for each entry, its foot.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The decoded path of the directory, from `/` to `/`.
    pub path: &'a [u8],
    /// Which entries are shown, in which order.
    pub selection: &'a Selection,
    /// The charset of the names. With `utf-8`, invalid bytes are shown as U+FFFD.
    ///
    /// With another one, the bytes are written as they are. ASCII must mean ASCII in it.
    pub charset: &'a str,
}

impl Page<'_> {
    /// Writes everything before the rows.
    pub fn head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"");
        push_html(out, self.charset.as_bytes());
        out.extend_from_slice(
            b"\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
              <meta name=\"color-scheme\" content=\"light dark\">\n<title>Index of ",
        );
        self.push_name(out, self.path);
        out.extend_from_slice(b"</title>\n<style>\n");
        out.extend_from_slice(STYLE);
        out.extend_from_slice(b"</style>\n</head>\n<body>\n<header><h1>Index of ");
        self.push_crumbs(out);
        out.extend_from_slice(b"</h1>\n");
        self.push_form(out);
        out.extend_from_slice(b"<table>\n<thead><tr>");
        self.push_heading(out, SortKey::Name, "Name");
        self.push_heading(out, SortKey::Size, "Size");
        self.push_heading(out, SortKey::Time, "Modified (UTC)");
        out.extend_from_slice(b"</tr></thead>\n<tbody>\n");
        if self.path.iter().any(|&b| b != b'/') {
            out.extend_from_slice(b"<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
        }
    }

    /// Writes the row of an entry.
    pub fn row(&self, entry: &Entry, out: &mut Vec<u8>) {
        let slash: &[u8] = if entry.dir { b"/" } else { b"" };
        // Without the dot, a name like `a:b` would be a scheme.
        out.extend_from_slice(b"<tr><td><a href=\"./");
        push_url(out, &entry.name);
        out.extend_from_slice(slash);
        out.extend_from_slice(b"\">");
        self.push_name(out, &entry.name);
        out.extend_from_slice(slash);
        out.extend_from_slice(b"</a></td><td");
        if !entry.dir {
            push_size(out, entry.size);
        } else {
            out.push(b'>');
        }
        out.extend_from_slice(b"</td><td>");
        push_time(out, entry.mtime);
        out.extend_from_slice(b"</td></tr>\n");
    }

    /// Writes a row that says something about the others.
    pub fn note(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<tr><td>");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"</td><td></td><td></td></tr>\n");
    }

    /// Writes everything after the rows.
    pub fn foot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</tbody>\n</table>\n</body>\n</html>\n");
    }

    /// Writes the path with a link to each directory above. The links are relative, so they work behind a proxy's prefix.
    fn push_crumbs(&self, out: &mut Vec<u8>) {
        let segments = || self.path.split(|&b| b == b'/').filter(|s| !s.is_empty());
        let mut above = segments().count();
        for segment in std::iter::once(&b""[..]).chain(segments()) {
            let link = above < MAX_CRUMBS;
            if link {
                out.extend_from_slice(b"<a href=\"./");
                out.extend_from_slice(&b"../".repeat(above));
                out.extend_from_slice(b"\">");
            }
            self.push_name(out, segment);
            out.push(b'/');
            if link {
                out.extend_from_slice(b"</a>");
            }
            above = above.saturating_sub(1);
        }
    }

    /// Writes the search box, a form that keeps the order.
    fn push_form(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<form>");
        let Order { key, descending } = self.selection.order;
        for (name, value) in [(b'C', key as u8), (b'O', if descending { b'D' } else { b'A' })] {
            out.extend_from_slice(b"<input type=\"hidden\" name=\"");
            out.push(name);
            out.extend_from_slice(b"\" value=\"");
            out.push(value);
            out.extend_from_slice(b"\">");
        }
        out.extend_from_slice(b"<input type=\"search\" name=\"q\" placeholder=\"Search\" value=\"");
        self.push_name(out, &self.selection.search);
        out.extend_from_slice(b"\"></form></header>\n");
    }

    /// Writes the heading of a column: a link that sorts by it, or reverses the order if it is the current one. It keeps
    /// the search.
    fn push_heading(&self, out: &mut Vec<u8>, key: SortKey, label: &str) {
        let order = self.selection.order;
        let (sort, next, arrow) = match (order.key == key, order.descending) {
            (true, false) => (" aria-sort=\"ascending\"", "D", " &#9650;"),
            (true, true) => (" aria-sort=\"descending\"", "A", " &#9660;"),
            (false, _) => ("", "A", ""),
        };
        // Writing to memory does not fail.
        let _ = write!(out, "<th{sort}><a href=\"?C={}&amp;O={next}", char::from(key as u8));
        if !self.selection.search.is_empty() {
            out.extend_from_slice(b"&amp;q=");
            push_url(out, &self.selection.search);
        }
        let _ = write!(out, "\">{label}</a>{arrow}</th>");
    }

    /// Writes a name as text.
    fn push_name(&self, out: &mut Vec<u8>, name: &[u8]) {
        let text = match self.charset.eq_ignore_ascii_case("utf-8") {
            true => Cow::Owned(String::from_utf8_lossy(name).into_owned().into_bytes()),
            false => Cow::Borrowed(name),
        };
        push_html(out, &text);
    }
}

/// The page's style, inside of the page: a listing is one request.
const STYLE: &[u8] = b"\
body{margin:1em auto;max-width:60em;padding:0 1em;font:1em/1.5 system-ui,sans-serif}
header,tr{flex-wrap:wrap;justify-content:space-between}
header{display:flex;align-items:center;margin-bottom:1em}
h1{font-size:1.2em;margin:.3em 0;overflow-wrap:anywhere}
input{font:inherit;padding:.2em .5em;border:1px solid #8886}
table{width:100%;border-collapse:collapse}
th,td{padding:.3em .5em;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left;white-space:normal;overflow-wrap:anywhere;width:100%}
tbody tr{border-top:1px solid #8884}
tbody tr:hover{background:#8882}
a{text-decoration:none}
a:hover{text-decoration:underline}
td a{display:block}
@media(max-width:30em){
form,input[type=search]{width:100%;box-sizing:border-box}
tr{display:flex}
th:first-child{width:auto}
td+td{padding-top:0;font-size:.9em;opacity:.7}
td:last-child{margin-left:auto}
td:empty{display:none}
}
";

/// Writes text for HTML, in elements and in quoted attributes.
///
/// Control characters become U+FFFD: in some charsets they change the meaning of the ASCII that follows.
fn push_html(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            _ if byte.is_ascii_control() => out.extend_from_slice(b"&#xFFFD;"),
            _ => out.push(byte),
        }
    }
}

/// Writes a path segment for a URL, escaping everything but unreserved characters (RFC 3986 §2.3).
pub fn push_url(out: &mut Vec<u8>, segment: &[u8]) {
    for &byte in segment {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            // Writing to memory does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Writes the rest of a cell with a length: the exact one as its title, a rounded one as its text.
fn push_size(out: &mut Vec<u8>, size: u64) {
    let _ = write!(out, " title=\"{size} bytes\">");
    let (mut whole, mut rest) = (size, 0);
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next();
    while whole >= 1024 {
        (whole, rest) = (whole / 1024, whole % 1024);
        unit = units.next();
    }
    let _ = match unit {
        Some(unit) if size >= 1024 => write!(out, "{whole}.{} {unit}", rest * 10 / 1024),
        _ => write!(out, "{whole} B"),
    };
}

/// Writes a time in UTC. Times before 1970 become 1970, and times after 9999 the end of 9999.
fn push_time(out: &mut Vec<u8>, mtime: i64) {
    let seconds = modified_secs(mtime);
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let _ = write!(
        out,
        "<time datetime=\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\">\
         {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}</time>"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: &Selection = &Selection { order: Order { key: SortKey::Name, descending: false }, search: Vec::new() };
    const PAGE: Page<'_> = Page { path: b"/", selection: ALL, charset: "utf-8" };

    fn entry(name: &[u8], dir: bool, size: u64, mtime: i64) -> Entry {
        let name = name.to_vec();
        Entry { name, dir, size, mtime }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_escape_names() {
        #[rustfmt::skip]
        let rows: &[(&[u8], &str, &str)] = &[
            (b"plain-1.2_3~.txt", "./plain-1.2_3~.txt", "plain-1.2_3~.txt"),
            (b"<script>alert(1)</script>", "./%3Cscript%3Ealert%281%29%3C%2Fscript%3E", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            (b"\"quoted\" 'too'", "./%22quoted%22%20%27too%27", "&quot;quoted&quot; &#39;too&#39;"),
            (b"a&amp;b", "./a%26amp%3Bb", "a&amp;amp;b"),
            (b"a#b", "./a%23b", "a#b"),
            (b"a?b=c", "./a%3Fb%3Dc", "a?b=c"),
            (b"100%41", "./100%2541", "100%41"),
            (b"a b+c", "./a%20b%2Bc", "a b+c"),
            (b"a\nb\x1b\x7f", "./a%0Ab%1B%7F", "a&#xFFFD;b&#xFFFD;&#xFFFD;"),
            (b"javascript:x", "./javascript%3Ax", "javascript:x"),
            (b"//x", "./%2F%2Fx", "//x"),
            ("\u{e9}".as_bytes(), "./%C3%A9", "\u{e9}"),
            (b"a\xff\xfeb", "./a%FF%FEb", "a\u{fffd}\u{fffd}b"),
        ];
        for (name, url, text) in rows {
            let row = written(|out| PAGE.row(&entry(name, false, 1536, 784_111_777), out));
            let want = format!(
                "<tr><td><a href=\"{url}\">{text}</a></td><td title=\"1536 bytes\">1.5 KiB</td><td>\
                 <time datetime=\"1994-11-06T08:49:37Z\">1994-11-06 08:49</time></td></tr>\n"
            );
            assert_eq!(row, want, "{}", name.escape_ascii());
            let row = written(|out| PAGE.row(&entry(name, true, 4096, 0), out));
            assert!(row.contains(&format!("<a href=\"{url}/\">{text}/</a></td><td></td>")), "{row}");
        }
    }

    #[test]
    fn heads() {
        let sub = Page { path: b"/a&b/\"c\"/", ..PAGE };
        let head = written(|out| sub.head(out));
        assert!(head.contains("<title>Index of /a&amp;b/&quot;c&quot;/</title>"), "{head}");
        assert!(head.contains(
            "<h1>Index of <a href=\"./../../\">/</a><a href=\"./../\">a&amp;b/</a><a href=\"./\">&quot;c&quot;/</a></h1>"
        ), "{head}");
        assert!(head.contains("<th aria-sort=\"ascending\"><a href=\"?C=N&amp;O=D\">Name</a> &#9650;</th>"), "{head}");
        assert!(head.contains("<th><a href=\"?C=S&amp;O=A\">Size</a></th>"), "{head}");
        assert!(head.ends_with("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n"), "{head}");
        let root = written(|out| PAGE.head(out));
        assert!(root.contains("<h1>Index of <a href=\"./\">/</a></h1>"), "{root}");
        assert!(!root.contains("../"), "no parent of the root");
        assert!(root.is_ascii() && STYLE.len() < 1500);
        let deep = Page { path: &b"/d".repeat(2000), ..PAGE };
        assert!(written(|out| deep.head(out)).len() < 16_384);
    }

    #[test]
    fn the_search_is_kept() {
        let head = written(|out| PAGE.head(out));
        let form = "<form><input type=\"hidden\" name=\"C\" value=\"N\"><input type=\"hidden\" name=\"O\" value=\"A\">\
                    <input type=\"search\" name=\"q\" placeholder=\"Search\" value=\"\"></form>";
        assert!(head.contains(form), "{head}");
        let selection = Selection::from_query(b"C=M&O=D&q=%22%3E<b>%26+%25%E9");
        let head = written(|out| Page { selection: &selection, ..PAGE }.head(out));
        for part in [
            "name=\"C\" value=\"M\"",
            "name=\"O\" value=\"D\"",
            "value=\"&quot;&gt;&lt;b&gt;&amp; %\u{fffd}\"></form>",
            "<a href=\"?C=M&amp;O=A&amp;q=%22%3E%3Cb%3E%26%20%25%E9\">Modified",
        ] {
            assert!(head.contains(part), "{part} in {head}");
        }
    }

    #[test]
    fn other_charsets_keep_the_bytes() {
        let page = Page { charset: "iso-8859-1", ..PAGE };
        let mut out = Vec::new();
        page.row(&entry(b"\xe9<", false, 0, 0), &mut out);
        assert!(out.windows(6).any(|w| w == b">\xe9&lt;"));
    }

    #[test]
    fn sizes() {
        #[rustfmt::skip]
        let rows: &[(u64, &str)] = &[
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"), (5_905_580_032, "5.5 GiB"), (u64::MAX, "15.9 EiB"),
        ];
        for (size, want) in rows {
            let got = written(|out| push_size(out, *size));
            assert_eq!(got, format!(" title=\"{size} bytes\">{want}"));
        }
    }

    proptest! {
        #[test]
        fn no_panic(path in proptest::collection::vec(any::<u8>(), 0..30), dir: bool, size: u64, mtime: i64, query in "([CO]=[A-Z][&;]?){0,3}(&q=.{0,9})?") {
            let page = Page { path: &path, selection: &Selection::from_query(query.as_bytes()), charset: "utf-8" };
            let text = written(|out| {
                page.head(out);
                page.row(&entry(&path, dir, size, mtime), out);
                page.foot(out);
            });
            let markup = text.matches('<').count();
            prop_assert_eq!(markup, text.matches('>').count());
        }
    }
}
