//! `serve_file` through real sockets: conditions, ranges, codings and types.

mod common;
mod common_files;

use common::system::mkfifo;
use common::{Response, pattern};
use common_files::{Site, set_mtime};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Fri, 01 Jan 2038 00:00:00 GMT";

/// Fields (`$E` the file's tag, `$M` its date) and the status by RFC 9110 §13.2.2. The file dates from 2001-09-09 01:46:40.
const CONDITIONS: &[(&[&str], u16)] = &[
    (&["If-Match: $E"], 200),
    (&["If-Match: *"], 200),
    (&["If-Match: \"x\""], 412),
    (&["If-Match: W/$E"], 412),
    (&["If-Match: \"x\", $E"], 200),
    (&["If-Match: \"x\"", "If-Match: $E"], 200),
    (&["If-Match: \"a,b\" , \"c\""], 412),
    (&["If-Match: $E", "If-Unmodified-Since: $OLD"], 200),
    (&["If-Match: \"x\"", "If-Unmodified-Since: $LATER"], 412),
    (&["If-Match: \"x\"", "If-None-Match: $E"], 412),
    (&["If-Match: $E", "If-None-Match: $E"], 304),
    (&["If-Unmodified-Since: $OLD"], 412),
    (&["If-Unmodified-Since: $M"], 200),
    (&["If-Unmodified-Since: $LATER"], 200),
    (&["If-Unmodified-Since: whenever"], 200),
    (&["If-Unmodified-Since: $OLD", "If-None-Match: $E"], 412),
    (&["If-None-Match: $E"], 304),
    (&["If-None-Match: W/$E"], 304),
    (&["If-None-Match: *"], 304),
    (&["If-None-Match: \"x\", W/\"y\",$E"], 304),
    (&["If-None-Match: \"x\"", "If-None-Match: $E"], 304),
    (&["If-None-Match: \"x\""], 200),
    (&["If-None-Match: \"x\"", "If-Modified-Since: $LATER"], 200),
    (&["If-None-Match: $E", "If-Modified-Since: $OLD"], 304),
    (&["If-Modified-Since: $M"], 304),
    (&["If-Modified-Since: $LATER"], 304),
    (&["If-Modified-Since: $OLD"], 200),
    (&["If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT"], 200),
    (&["If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT"], 304),
    (&["If-Modified-Since: Sun Sep  9 01:46:40 2001"], 304),
    (&["If-Modified-Since: Sun Sep  9 01:46:39 2001"], 200),
    (&["If-Modified-Since: yesterday"], 200),
    (&["If-None-Match: $E", "Range: bytes=0-1"], 304),
    (&["If-None-Match: $E", "Range: bytes=999999999-"], 304),
    (&["If-Match: \"x\"", "Range: bytes=0-1"], 412),
    (&["If-Match: $E", "Range: bytes=0-1"], 206),
    (&["If-Modified-Since: $OLD", "Range: bytes=0-1"], 206),
    (&["Range: bytes=0-1", "If-Range: $E"], 206),
    (&["Range: bytes=0-1", "If-Range: $M"], 206),
    (&["Range: bytes=0-1", "If-Range: \"x\""], 200),
    (&["Range: bytes=0-1", "If-Range: W/$E"], 200),
    (&["Range: bytes=0-1", "If-Range: $LATER"], 200),
    (&["Range: bytes=0-1", "If-Range: $OLD"], 200),
    (&["Range: bytes=999999999-", "If-Range: \"x\""], 200),
    (&["Range: bytes=999999999-", "If-Range: $E"], 416),
    (&["If-Range: \"x\""], 200),
];

#[test]
fn conditions() {
    let site = Site::new(|options| options);
    for size in [100, 100_000] {
        site.write("file", pattern(size));
        set_mtime(&site.path("file"), 1_000_000_000);
        let plain = site.get("/file");
        let (etag, modified) = (plain.header("etag").unwrap(), plain.header("last-modified").unwrap());
        assert_eq!(modified, "Sun, 09 Sep 2001 01:46:40 GMT");
        for &(fields, status) in CONDITIONS {
            let fill = |field: &&str| {
                let field = field.replace("$E", etag).replace("$M", modified);
                field.replace("$OLD", OLD).replace("$LATER", LATER)
            };
            let filled: Vec<String> = fields.iter().map(fill).collect();
            let filled: Vec<&str> = filled.iter().map(String::as_str).collect();
            for method in ["GET", "HEAD"] {
                // RFC 9110 §14.2: Range means something to GET alone, and If-Range with it.
                let status = if method == "HEAD" && matches!(status, 206 | 416) { 200 } else { status };
                let reply = site.ask(method, "/file", &filled);
                assert_eq!(reply.status, status, "{method} {filled:?} of {size} bytes");
                match status {
                    200 if method == "GET" => assert_eq!(reply.body, plain.body),
                    304 => {
                        assert_eq!(reply.header("etag"), Some(etag), "RFC 9110 §15.4.5");
                        assert_ne!(reply.header("content-length"), Some("0"), "not the length of the file");
                    }
                    412 | 416 => assert!(reply.body.len() < 100, "not the file"),
                    _ => {}
                }
            }
            // What is not there has no preconditions.
            assert_eq!(site.ask("GET", "/missing", &filled).status, 404, "{filled:?}");
        }
    }
}

/// A `Range` value for a file of 100 bytes, and the ranges that answer it; none is 416, `None` the whole file.
type RangeRow = (&'static str, Option<&'static [(usize, usize)]>);

#[rustfmt::skip]
const RANGES: &[RangeRow] = &[
    ("bytes=0-0", Some(&[(0, 1)])), ("bytes=10-19", Some(&[(10, 20)])), ("bytes=90-", Some(&[(90, 100)])), ("bytes=0-", Some(&[(0, 100)])),
    ("bytes=-1", Some(&[(99, 100)])), ("bytes=-100", Some(&[(0, 100)])), ("bytes=-1000", Some(&[(0, 100)])), ("bytes=50-1000", Some(&[(50, 100)])),
    ("BYTES=1-2", Some(&[(1, 3)])), ("bytes=99-99", Some(&[(99, 100)])), ("bytes=5-18446744073709551615", Some(&[(5, 100)])),
    ("bytes=5-99999999999999999999999", Some(&[(5, 100)])), ("bytes=-99999999999999999999999", Some(&[(0, 100)])),
    ("bytes=100-", Some(&[])), ("bytes=100-200", Some(&[])), ("bytes=-0", Some(&[])), ("bytes=99999999999999999999999-", Some(&[])),
    ("bytes=200-300,400-", Some(&[])), ("bytes=18446744073709551615-", Some(&[])),
    ("bytes=0-0,-1", Some(&[(0, 1), (99, 100)])), ("bytes=0-9, 20-29 ,40-", Some(&[(0, 10), (20, 30), (40, 100)])),
    ("bytes=50-59,0-9", Some(&[(50, 60), (0, 10)])), ("bytes=,0-1,,5-6,", Some(&[(0, 2), (5, 7)])),
    ("bytes=0-0,200-300", Some(&[(0, 1)])), ("bytes=0-10,5-20", Some(&[(0, 21)])), ("bytes=0-9,10-19", Some(&[(0, 20)])),
    ("bytes=5-2", None), ("bytes=", None), ("bytes=-", None), ("bytes=a-b", None), ("bytes=1", None), ("bytes=+1-2", None), ("bytes=1--2", None),
    ("bytes 0-1", None), ("lines=0-1", None), ("0-1", None), ("bytes=0-1,x", None), ("bytes=0x1-2", None),
    ("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32,34-34,36-36", None),
];

/// The same for a file of 300,000 bytes, which is sent by sendfile.
#[rustfmt::skip]
const LARGE_RANGES: &[RangeRow] = &[
    ("bytes=0-0,-1", Some(&[(0, 1), (299_999, 300_000)])), ("bytes=100000-299999", Some(&[(100_000, 300_000)])), ("bytes=300000-", Some(&[])),
    ("bytes=200000-,0-99999,150000-150001", Some(&[(200_000, 300_000), (0, 100_000), (150_000, 150_002)])), ("bytes=9-", Some(&[(9, 300_000)])),
];

#[test]
fn ranges() {
    let site = Site::new(|options| options);
    for (size, rows) in [(100, RANGES), (300_000, LARGE_RANGES)] {
        let whole = pattern(size);
        site.write("file.txt", &whole);
        for (value, expected) in rows {
            let reply = site.ask("GET", "/file.txt", &[&format!("Range: {value}")]);
            let Some(ranges) = expected else {
                assert_eq!((reply.status, &reply.body), (200, &whole), "{value}");
                continue;
            };
            if ranges.is_empty() {
                assert_eq!(reply.status, 416, "{value}");
                assert_eq!(reply.header("content-range"), Some(&*format!("bytes */{size}")), "{value}");
                continue;
            }
            assert_eq!(reply.status, 206, "{value}");
            assert!(reply.header("etag").is_some() && reply.header("last-modified").is_some(), "{value}");
            let line =
                |&(from, to): &(usize, usize)| (format!("bytes {from}-{}/{size}", to - 1), whole[from..to].to_vec());
            let expected: Vec<_> = ranges.iter().map(line).collect();
            assert!(parts_of(&reply) == expected, "{value}: {reply:?}");
        }
        let twice = site.ask("GET", "/file.txt", &["Range: bytes=0-1", "Range: bytes=5-6"]);
        assert!(matches!(twice.status, 200 | 400), "two Range fields are no list: {}", twice.status);
    }
    site.write("empty", "");
    for (value, status) in [("bytes=0-", 416), ("bytes=0-0", 416), ("bytes=-5", 416), ("bytes=x", 200)] {
        let reply = site.ask("GET", "/empty", &[&format!("Range: {value}")]);
        assert_eq!(reply.status, status, "{value} of an empty file");
        assert!(status == 200 || reply.header("content-range") == Some("bytes */0"), "{value}");
    }
}

/// The `Content-Range` and the bytes of each part of a 206 (RFC 9110 §14.6).
fn parts_of(reply: &Response) -> Vec<(String, Vec<u8>)> {
    let content_type = reply.header("content-type").unwrap();
    let Some(boundary) = content_type.strip_prefix("multipart/byteranges; boundary=") else {
        assert_eq!(content_type, "text/plain; charset=utf-8");
        return vec![(reply.header("content-range").unwrap().to_owned(), reply.body.clone())];
    };
    assert_eq!(reply.header("content-range"), None, "RFC 9110 §15.3.7.2");
    let (delimiter, mut rest) = (format!("\r\n--{boundary}"), [b"\r\n", &reply.body[..]].concat());
    let mut parts = Vec::new();
    loop {
        assert!(rest.starts_with(delimiter.as_bytes()), "{:?}", rest.escape_ascii().to_string());
        rest.drain(..delimiter.len());
        if rest.starts_with(b"--") {
            assert_eq!(rest, b"--\r\n");
            return parts;
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(rest.drain(..end + 4).collect()).unwrap();
        assert!(head.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{head}");
        let range = head.split("Content-Range: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
        let (from, to) = range["bytes ".len()..].split('/').next().unwrap().split_once('-').unwrap();
        let length = to.parse::<usize>().unwrap() + 1 - from.parse::<usize>().unwrap();
        parts.push((range, rest.drain(..length).collect()));
    }
}

/// What a client accepts, and the coding that it gets where all three lie ready.
#[rustfmt::skip]
const ACCEPTS: &[(&str, &str)] = &[
    ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("GZip", "gzip"), ("x-gzip", "gzip"), ("gzip, deflate", "gzip"),
    ("gzip, deflate, br, zstd", "br"), ("gzip, zstd", "zstd"), ("br;q=0.5, gzip;q=0.9", "gzip"), ("gzip;q=0.001", "gzip"),
    ("br;q=0, gzip", "gzip"), ("br;q=0,zstd;q=0.000,gzip;q=0", ""), ("*", "br"), ("*;q=0", ""), ("br;q=0, *", "zstd"), ("gzip;q=1.0, *;q=0", "gzip"),
    ("identity", ""), ("", ""), ("deflate", ""), ("gzipx", ""), ("xgzip", ""), ("gzip;q=nonsense", ""), ("identity;q=1, gzip;q=0.5", ""),
    ("identity;q=0.5, gzip;q=1", "gzip"), ("gzip ; q=0.5", "gzip"), (";q=1", ""), ("identity;q=0", ""),
];

#[test]
fn precompressed_siblings() {
    let site = Site::new(|options| options.gzip(true));
    for (suffix, content) in [("", "plain"), (".gz", "as gzip"), (".br", "as br"), (".zst", "as zstd")] {
        site.write(&format!("a.css{suffix}"), content);
        site.write(&format!("index.html{suffix}"), content);
    }
    let accept = |value: &str| format!("Accept-Encoding: {value}");
    let mut tags = BTreeMap::new();
    for &(value, coding) in ACCEPTS {
        for (target, content_type) in [("/a.css", "text/css"), ("/", "text/html")] {
            let reply = site.ask("GET", target, &[&accept(value)]);
            let body = if coding.is_empty() { "plain".into() } else { format!("as {coding}") };
            assert_eq!((reply.status, reply.text()), (200, &*body), "{target} {value:?}");
            assert_eq!(reply.header("content-encoding").unwrap_or_default(), coding, "{target} {value:?}");
            assert_eq!(reply.header("content-type"), Some(&*format!("{content_type}; charset=utf-8")));
            assert!(reply.has_token("vary", "accept-encoding"), "{target} {value:?}");
            let etag = reply.header("etag").unwrap().to_owned();
            assert_eq!(tags.entry((target, coding)).or_insert(etag.clone()), &etag);

            let again = site.ask("GET", target, &[&accept(value), &format!("If-None-Match: {etag}")]);
            assert_eq!((again.status, again.header("etag")), (304, Some(&*etag)), "{target} {value:?}");
            assert!(again.has_token("vary", "accept-encoding"), "RFC 9110 §15.4.5");
        }
    }
    let distinct: BTreeSet<_> = tags.values().collect();
    assert_eq!((tags.len(), distinct.len()), (8, 8), "each coding has its own tag: {tags:?}");
    assert!(site.ask("GET", "/a.css", &[]).header("content-encoding").is_none(), "no field, no coding");

    // A tag of one coding is not one of another; a range is one of the coded bytes (RFC 9110 §14.1).
    let coded = format!("If-None-Match: {}", tags[&("/a.css", "gzip")]);
    assert_eq!(site.ask("GET", "/a.css", &[&coded]).status, 200);
    assert_eq!(site.ask("GET", "/a.css", &[&coded, "Accept-Encoding: br"]).status, 200);
    let part = site.ask("GET", "/a.css", &["Accept-Encoding: gzip", "Range: bytes=3-"]);
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "gzip", Some("bytes 3-6/7")));
    assert_eq!(part.header("content-encoding"), Some("gzip"));
    let head = site.ask("HEAD", "/a.css", &["Accept-Encoding: gzip"]);
    assert_eq!((head.header("content-encoding"), head.header("content-length")), (Some("gzip"), Some("7")));

    // Asked for by its own name it is a file of its own.
    let itself = site.ask("GET", "/a.css.gz", &["Accept-Encoding: gzip"]);
    assert_eq!((itself.text(), itself.header("content-encoding")), ("as gzip", None));
    assert_eq!(itself.header("content-type"), Some("application/gzip"));
    // A sibling of a folder, and siblings that are no files, are not served; nor one that is not there.
    site.write("dir.gz", "as gzip");
    site.write("dir/index.html", "index");
    site.write("b.css", "plain");
    fs::create_dir(site.path("b.css.gz")).unwrap();
    mkfifo(site.path("b.css.br"));
    assert_eq!(site.ask("GET", "/dir", &["Accept-Encoding: gzip"]).status, 301);
    let plain = site.ask("GET", "/b.css", &["Accept-Encoding: gzip, br, zstd"]);
    assert_eq!((plain.status, plain.text(), plain.header("content-encoding")), (200, "plain", None));

    let site = Site::new(|options| options.gzip(false));
    site.write("a.css", "plain");
    site.write("a.css.gz", "as gzip");
    let plain = site.ask("GET", "/a.css", &["Accept-Encoding: gzip"]);
    assert_eq!((plain.text(), plain.header("content-encoding"), plain.header("vary")), ("plain", None, None));
}

#[test]
fn content_types() {
    let site = Site::new(|options| options);
    #[rustfmt::skip]
    let rows = [
        ("a.html", "text/html; charset=utf-8"), ("a.HTM", "text/html; charset=utf-8"), ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"), ("a.mjs", "text/javascript; charset=utf-8"), ("a.txt", "text/plain; charset=utf-8"),
        ("a.json", "application/json"), ("a.svg", "image/svg+xml"), ("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.JPEG", "image/jpeg"),
        ("a.gif", "image/gif"), ("a.webp", "image/webp"), ("a.woff2", "font/woff2"), ("a.wasm", "application/wasm"), ("a.pdf", "application/pdf"),
        ("a.zip", "application/zip"), ("a.gz", "application/gzip"), ("a.mp4", "video/mp4"), ("a.unheard-of", "application/octet-stream"),
        ("a", "application/octet-stream"), ("html", "application/octet-stream"), (".html", "text/html; charset=utf-8"),
        ("a.html.unheard-of", "application/octet-stream"), ("a.", "application/octet-stream"), ("b.html/c.png", "image/png"),
        ("b.html/c", "application/octet-stream"),
    ];
    for (name, content_type) in rows {
        site.write(name, "x");
        assert_eq!(site.get(&format!("/{name}")).header("content-type"), Some(content_type), "{name}");
    }
}
