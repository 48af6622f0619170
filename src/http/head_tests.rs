//! Tests of [`head`](super::head).

use super::*;
use crate::http::Scanner;
use proptest::prelude::*;

/// Scans and parses, as a connection does.
fn parse(input: &[u8]) -> (Head, Result<(), Reject>) {
    let limits = HeadLimits { head: 1024, target: 64, fields: 6 };
    let mut head = Head::default();
    let end = Scanner::default().find(input, &limits);
    let mut scanner = Scanner::default();
    let trickled =
        (0..=input.len()).map(|len| scanner.find(&input[..len], &limits)).find(|verdict| *verdict != Ok(None));
    assert_eq!(trickled.unwrap_or(Ok(None)), end, "byte by byte");
    let verdict = match end {
        Ok(Some(n)) => head.parse(&input[..n], &limits),
        Ok(None) => Err(Reject::bad("incomplete")),
        Err(reject) => Err(reject),
    };
    let mut usual = Head::default();
    if let Some(n) = usual.parse_usual(input, &limits) {
        assert_eq!((end, verdict), (Ok(Some(n)), Ok(())), "what is usual is right");
        assert_eq!(format!("{usual:?}"), format!("{head:?}"), "and means the same");
    }
    (head, verdict)
}

const USUAL: &str = "POST /a/b.c?d=%1&e?f HTTP/1.1\r\nHost: h.example:80\r\nACCEPT-encoding:  gzip \t, br; q=0 \r\n\
    X-Empty:\r\nContent-Length:\t12\r\nIf-Match: \"\u{e9}\"\r\nConnection: close\r\n\r\nmore";

#[test]
fn the_usual_is_read_in_one_pass() {
    let limits = HeadLimits { head: 1024, target: 64, fields: 6 };
    let plain = USUAL.replace('%', "");
    let length = plain.len() - "more".len();
    assert_eq!(Head::default().parse_usual(plain.as_bytes(), &limits), Some(length));
    for cut in 0..length {
        assert_eq!(Head::default().parse_usual(&plain.as_bytes()[..cut], &limits), None, "unfinished: {cut}");
    }
    for limits in [
        HeadLimits { head: length - 1, ..limits },
        HeadLimits { target: 13, ..limits },
        HeadLimits { fields: 5, ..limits },
    ] {
        assert_eq!(Head::default().parse_usual(plain.as_bytes(), &limits), None, "too much: {limits:?}");
    }
    for head in ["GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /%20 HTTP/1.1\r\nHost: h\r\n\r\n"]
    {
        assert_eq!(Head::default().parse_usual(head.as_bytes(), &limits), None, "unusual: {head:?}");
    }
}

fn good(input: &str) -> Head {
    let (head, verdict) = parse(input.as_bytes());
    assert_eq!(verdict, Ok(()), "{input:?}");
    head
}

/// A 1.1 request with these fields besides Host.
fn with(fields: &str) -> Head {
    good(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

#[test]
fn refusals() {
    #[rustfmt::skip]
    let rows = [
        ("GET /\r\n\r\n", 400, "HTTP/0.9"),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "two spaces before the target"),
        ("GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 400, "two spaces before the version"),
        ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400, "space after the version"),
        ("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, "tab for a space"),
        ("GE(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "method not a token"),
        ("GET / a HTTP/1.1\r\nHost: h\r\n\r\n", 400, "space in the target"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", 400, "raw non-ASCII in the target"),
        ("GET /\u{1} HTTP/1.1\r\nHost: h\r\n\r\n", 400, "control in the target"),
        ("GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400, "NUL in the path"),
        ("GET /\u{e9}?q HTTP/1.1\r\nHost: h\r\n\r\n", 400, "raw non-ASCII before the query"),
        ("GET /?\u{e9} \u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", 400, "a space in the query"),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400, "asterisk of GET"),
        ("GET / HTTP/1.1\rHost: h\r\n\r\n", 400, "bare CR after the request line"),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", 400, "version in lower case"),
        ("GET / HTTP/11\r\nHost: h\r\n\r\n", 400, "version without a dot"),
        ("GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400, "minor version of two digits"),
        ("GET / HTTP/2.0x\r\nHost: h\r\n\r\n", 400, "version with more behind"),
        ("GET / H\r\n\r\n", 400, "cut version"),
        ("GET / HTTP/1.2\r\n\r\n", 400, "HTTP/1.2 without Host"),
        ("GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400, "two digits"),
        ("GET / HTTP/1.2 \r\nHost: h\r\n\r\n", 400, "space behind HTTP/1.2"),
        ("GET /\u{e9} HTTP/1.2\r\nHost: h\r\n\r\n", 400, "raw non-ASCII in the path, HTTP/1.2"),
        ("GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, "HTTP/0.9 with a version"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2 preface"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, "two Hosts"),
        ("GET / HTTP/1.0\r\nHost: h\r\nhost: h\r\n\r\n", 400, "two Hosts in 1.0"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed Host"),
        ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", 400, "Host with a user"),
        ("GET http://h/ HTTP/1.1\r\n\r\n", 400, "absolute form without Host"),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, "space before the colon"),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400, "space before the first field"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400, "folded field"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA:\r\n b\r\n\r\n", 400, "folded empty field"),
        ("GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", 400, "no field name"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", 400, "no colon"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\u{e9}: b\r\n\r\n", 400, "field name not a token"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\n\r\n", 400, "NUL in a value"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", 400, "NUL as a value"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\u{7f}\r\n\r\n", 400, "DEL in a value"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\u{1b}c\r\n\r\n", 400, "ESC in a value"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400, "bare CR in a value"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n", 400, "CR CR LF"),
        ("GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400, "bare LF after a field"),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", 400, "signed length"),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400, "empty length"),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n", 400, "two lengths"),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400, "chunked with a length"),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "chunked in 1.0"),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "gzip"),
        ("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n", 431, "a field too many"),
    ];
    for (input, status, name) in rows {
        let (_, verdict) = parse(input.as_bytes());
        let got = verdict.map_err(|reject| (reject.status, reject.close));
        assert_eq!(got, Err((status, true)), "{name}");
    }
    let (head, verdict) = parse(format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(64)).as_bytes());
    assert_eq!(verdict.map_err(|reject| reject.status), Err(414));
    assert_eq!(head.method(), "GET", "what was understood is there for the log");
    assert_eq!(head.target().len(), 65);
}

#[test]
fn queries_are_passed_as_they_are() {
    let rows: [(&[u8], &str); 5] = [
        (b"a=100%&%zz", "a=100%&%zz"),
        ("q=caf\u{e9}".as_bytes(), "q=caf\u{e9}"),
        (b"q=caf\xe9?\xff&b", "q=caf\u{fffd}?\u{fffd}&b"),
        (b"\xc3", "\u{fffd}"),
        (b"?", "?"),
    ];
    for (query, text) in rows {
        let head = [b"\r\nGET /%41?", query, b" HTTP/1.1\r\nHost: h\r\nA: \xe9\r\n\r\n"].concat();
        let (head, verdict) = parse(&head);
        assert_eq!(verdict, Ok(()), "{text}");
        assert_eq!((head.query_bytes(), head.query_string(), head.path()), (query, text, "/A"));
        assert_eq!(head.target_bytes(), [b"/%41?", query].concat());
        assert_eq!(head.target(), format!("/%41?{text}"));
        assert_eq!(head.header_bytes("a"), Some(&b"\xe9"[..]));
    }
    for target in [&b"/?\xe9#f"[..], b"/\xe9?\xe9", b"/\xe9", b"/%?\xe9", b"/?\xe9\x7f"] {
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        assert_eq!(parse(&head).1.map_err(|reject| reject.status), Err(400), "{target:?}");
    }
}

#[test]
fn later_versions_are_read_as_1_1() {
    for minor in 2..=9 {
        let (head, verdict) = parse(format!("GET /%41?\u{e9} HTTP/1.{minor}\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!((verdict, head.minor_version(), head.keep_alive()), (Ok(()), 1, true), "HTTP/1.{minor}");
        assert_eq!((head.path(), head.query_string(), head.host()), ("/A", "\u{e9}", Some("h")));
    }
    assert_eq!(good("GET / HTTP/1.2\r\nHost: h\r\n\r\n").target(), "/");
    let chunked = "POST / HTTP/1.3\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(good(chunked).framing(), Framing::Chunked);
}

#[test]
fn request_lines() {
    use TargetForm::*;
    #[rustfmt::skip]
    let rows = [
        ("GET / HTTP/1.1\r\nHost: h", "GET", Origin, "/", "/", "", Some("h")),
        ("\r\nM-SEARCH / HTTP/1.1\r\nHost:", "M-SEARCH", Origin, "/", "/", "", Some("")),
        ("GET /a%2Fb?x=%20 HTTP/1.0", "GET", Origin, "/a%2Fb", "/a/b", "x=%20", None),
        ("GET /%E4%BD%A0/ HTTP/1.0", "GET", Origin, "/%E4%BD%A0/", "/你/", "", None),
        ("GET /%ff%41 HTTP/1.0", "GET", Origin, "/%ff%41", "/\u{fffd}A", "", None),
        ("GET /%252e HTTP/1.0", "GET", Origin, "/%252e", "/%2e", "", None),
        ("GET http://a:1?q HTTP/1.1\r\nHost: b", "GET", Absolute, "/", "/", "q", Some("a:1")),
        ("GET http://a/%41 HTTP/1.1\r\nHost: b", "GET", Absolute, "/%41", "/A", "", Some("a")),
        ("OPTIONS * HTTP/1.1\r\nHost: b", "OPTIONS", Asterisk, "*", "*", "", Some("b")),
        ("CONNECT a:1 HTTP/1.1\r\nHost: b", "CONNECT", Authority, "a:1", "a:1", "", Some("a:1")),
    ];
    for (line, method, form, raw_path, path, query, host) in rows {
        let head = good(&format!("{line}\r\n\r\n"));
        assert_eq!(head.method(), method, "{line}");
        assert_eq!(head.target(), line.split(' ').nth(1).unwrap(), "{line}");
        assert_eq!((head.form(), head.raw_path(), head.path()), (form, raw_path, path), "{line}");
        assert_eq!((head.query_string(), head.host()), (query, host), "{line}");
        assert_eq!(head.minor_version(), u8::from(line.contains("HTTP/1.1")), "{line}");
        assert_eq!((head.is_get(), head.is_head()), (method == "GET", false), "{line}");
    }
    assert_eq!(good("HEAD /%ff HTTP/1.0\r\n\r\n").path_bytes(), b"/\xff");
}

#[test]
fn fields() {
    let input = b"GET / HTTP/1.1\r\nHost:\t h \t\r\nX-A: 1\r\nx-a:2\r\nEmpty:  \r\nLatin: \xe9\tx\r\n\r\n";
    let (head, verdict) = parse(input);
    assert_eq!(verdict, Ok(()));
    let all: Vec<_> = head.headers().collect();
    let want: [(&str, &[u8]); 5] =
        [("host", b"h"), ("x-a", b"1"), ("x-a", b"2"), ("empty", b""), ("latin", b"\xe9\tx")];
    assert_eq!(all, want);
    assert_eq!(head.header("X-a"), Some("1"));
    assert!(head.values("X-A").eq([b"1", b"2"]));
    assert_eq!(head.header("EMPTY"), Some(""));
    assert_eq!(head.header("latin"), None);
    assert_eq!(head.header_bytes("latin"), Some(b"\xe9\tx".as_slice()));
    assert_eq!(head.header("absent"), None);
}

#[test]
fn connections() {
    let rows = [
        (1, "", true),
        (1, "Connection: close\r\n", false),
        (1, "Connection: Keep-Alive\r\n", true),
        (1, "Connection: keep-alive, CLOSE\r\n", false),
        (1, "Connection: close\r\nConnection: keep-alive\r\n", false),
        (1, "Connection: closed\r\n", true),
        (0, "", false),
        (0, "Connection: x ,\tKEEP-alive\r\n", true),
        (0, "Connection: keep-alive\r\nConnection: close\r\n", false),
    ];
    for (minor, fields, keep_alive) in rows {
        let head = good(&format!("GET / HTTP/1.{minor}\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(head.keep_alive(), keep_alive, "1.{minor} {fields:?}");
    }
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
    assert!(with(upgrade).wants_upgrade());
    assert!(!with("Connection: upgrade\r\n").wants_upgrade());
    assert!(!with("Upgrade: websocket\r\n").wants_upgrade());
    let old = good(&format!("GET / HTTP/1.0\r\n{upgrade}\r\n"));
    assert!(!old.wants_upgrade());
}

#[test]
fn expectations() {
    assert!(with("Content-Length: 1\r\nExpect: 100-Continue\r\n").expects_continue());
    assert!(with("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n").expects_continue());
    assert!(!with("Expect: 100-continue\r\n").expects_continue());
    assert!(!with("Content-Length: 1\r\n").expects_continue());
    let old = good("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    assert!(!old.expects_continue());

    let (head, verdict) = parse(b"PUT / HTTP/1.1\r\nExpect: 100-continue, x\r\nContent-Length: 7\r\nHost: h\r\n\r\n");
    let got = verdict.map_err(|reject| (reject.status, reject.close));
    assert_eq!(got, Err((417, false)));
    assert_eq!(head.framing(), Framing::Length(7), "the head is whole: the body can be drained");
    assert!(head.keep_alive());
    assert_eq!(head.host(), Some("h"));
}

#[test]
fn nothing_is_left_of_the_head_before() {
    let limits = HeadLimits::default();
    let mut head = Head::default();
    let first = b"PUT http://a/%ff?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
    head.parse(first, &limits).unwrap();
    head.parse(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &limits).unwrap();
    assert_eq!((head.path(), head.query_string(), head.host()), ("/x", "", None));
    assert_eq!((head.framing(), head.keep_alive()), (Framing::None, true));
    assert_eq!(head.header("host"), None);
    assert!(head.parse(b"\r\n\r\n", &limits).is_err());
    assert_eq!((head.method(), head.target(), head.headers().count()), ("", "", 0));
}

#[test]
fn a_head_of_the_largest_size() {
    let limits = HeadLimits { head: usize::MAX, target: usize::MAX, fields: usize::MAX };
    let mut head = Head::default();
    let sized = |len: usize| format!("GET / HTTP/1.0\r\nA: {}\r\n\r\n", "a".repeat(len - 23));
    head.parse(sized(HEAD_MAX).as_bytes(), &limits).unwrap();
    assert_eq!(head.header("a").map(str::len), Some(HEAD_MAX - 23));
    let verdict = head.parse(sized(HEAD_MAX + 1).as_bytes(), &limits);
    assert_eq!(verdict.map_err(|reject| reject.status), Err(431));
}

proptest! {
    /// `parse` compares the two ways.
    #[test]
    fn what_is_nearly_usual_is_read_as_ever(at in 0..USUAL.len(), byte: u8, cut in 0..4_usize, also in 0..USUAL.len()) {
        let mut text = USUAL.replace('%', "x").into_bytes();
        text[at] = byte;
        text.drain(also..(also + cut).min(USUAL.len()));
        let _ = parse(&text);
    }

    #[test]
    fn what_is_written_is_read(
        path in "/[a-z0-9._~-]{0,20}",
        fields in proptest::collection::vec(("X-[A-Za-z0-9]{1,8}", "([!-~]([ -~]{0,10}[!-~])?)?"), 0..5),
    ) {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = good(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        prop_assert_eq!(head.path(), path);
        let got: Vec<_> = head.headers().skip(1).map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
        let want: Vec<_> = fields.iter().map(|(n, v)| (n.to_lowercase(), v.clone().into_bytes())).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn any_bytes(bytes: Vec<u8>, text in "(GET|CONNECT) [/h%:?a1]{1,9} HTTP/1.1\r\n([CHEa-t-]{1,9}: ?[\t -~]{0,9}\r\n){0,3}\r\n") {
        for input in [bytes.as_slice(), text.as_bytes()] {
            let mut head = Head::default();
            let _ = head.parse(input, &HeadLimits::default());
            let _ = parse(input);
            let _ = (head.path(), head.host(), head.keep_alive(), head.headers().count());
        }
    }
}
