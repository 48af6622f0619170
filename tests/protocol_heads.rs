//! Which request heads are refused, and which are accepted.

#![allow(clippy::unwrap_used)]

mod common;

use common::{End, Running, serve};
use ecohttpd::{Connection, Options, Request, Result};
use std::sync::mpsc::{Sender, channel};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// What the servers of this file answer with.
/// Tells what was asked for; `/echo` sends the body back.
async fn app(con: &mut Connection, req: &mut Request) -> Result<()> {
    if req.path() == "/echo" {
        let body = con.read_body(None, None).await?;
        return con.send(body).await;
    }
    con.send(format!("{} {}", req.method(), req.raw_path())).await
}

fn plain() -> Running {
    serve(Options::new, app)
}

/// A server that tells the path of each request that reaches its handler.
fn watched(paths: Sender<String>) -> Running {
    serve(Options::new, async move |con: &mut Connection, req: &mut Request| {
        paths.send(req.path().to_owned()).unwrap();
        app(con, req).await
    })
}

/// GET with these fields, complete lines, besides `Host`.
fn with(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

#[test]
fn heads_that_are_refused() {
    let lines: &[(&str, u16, &str)] = &[
        (
            "CONNECT y:8 HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: y\r\n\r\n",
            501,
            "a tunnel, and what goes through it",
        ),
        ("GET / HTTP/1.1\nHost: x\n\n", 400, "bare LF everywhere"),
        ("GET / HTTP/1.1\r\nHost: x\n\r\n", 400, "bare LF after a field"),
        ("GET / HTTP/1.1\nHost: x\r\n\r\n", 400, "bare LF after the request line"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\n", 400, "bare LF at the end"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "two empty lines before"),
        ("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "an empty line of LF before"),
        (" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "space before the method"),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "two spaces after the method"),
        ("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "two spaces before the version"),
        ("GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n", 400, "tabs between the words"),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400, "space after the version"),
        ("GET /\r\nHost: x\r\n\r\n", 400, "no version"),
        ("GET\r\nHost: x\r\n\r\n", 400, "no target"),
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "method that is no token"),
        ("GET / http/1.1\r\nHost: x\r\n\r\n", 400, "version in lower case"),
        ("GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400, "version with two digits"),
        ("GET / HTTP/11\r\nHost: x\r\n\r\n", 400, "version without dot"),
        ("GET / FTP/1.1\r\nHost: x\r\n\r\n", 400, "another protocol"),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "HTTP/2.0"),
        ("GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505, "HTTP/0.9"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "the preface of HTTP/2"),
        ("GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target without slash"),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "asterisk with GET"),
        ("GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "authority with GET"),
        ("CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "CONNECT to a path"),
        ("CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "CONNECT without port"),
        ("GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", 400, "fragment"),
        ("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "NUL in the path"),
        ("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "percent without digits"),
        ("GET /% HTTP/1.1\r\nHost: x\r\n\r\n", 400, "percent alone"),
        ("GET /a%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "percent with one digit"),
        ("GET /?a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "a fragment behind the query"),
        ("GET /\u{e4} HTTP/1.1\r\nHost: x\r\n\r\n", 400, "raw UTF-8 in the target"),
        ("GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", 400, "DEL in the target"),
        ("GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "control in the target"),
        ("GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "absolute form without host"),
        ("GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "user information"),
        ("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "another scheme"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Host with a space"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host with a slash"),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "a list of hosts"),
        ("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", 400, "Host with user information"),
        ("GET / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "chunked in HTTP/1.0"),
    ];
    let fields: &[(&str, u16, &str)] = &[
        ("Host: x\r\n", 400, "Host twice"),
        ("no colon\r\n", 400, "field without colon"),
        (": v\r\n", 400, "field without name"),
        ("A : v\r\n", 400, "space before the colon"),
        ("A\t: v\r\n", 400, "tab before the colon"),
        ("A b: v\r\n", 400, "space in a name"),
        ("A: b\r\n c\r\n", 400, "folded field"),
        (" A: b\r\n", 400, "folded first field"),
        ("A: \0\r\n", 400, "NUL in a value"),
        ("A: b\rc\r\n", 400, "bare CR in a value"),
        ("A: \x1b[31m\r\n", 400, "control in a value"),
        ("A\x01: v\r\n", 400, "control in a name"),
        ("\u{e4}: v\r\n", 400, "UTF-8 in a name"),
        ("Content-Length: +3\r\n", 400, "length with plus"),
        ("Content-Length: -1\r\n", 400, "length with minus"),
        ("Content-Length: \r\n", 400, "no length"),
        ("Content-Length: 0x3\r\n", 400, "length in hex"),
        ("Content-Length: 1 2\r\n", 400, "two words of length"),
        ("Content-Length: 3.0\r\n", 400, "broken length"),
        ("Content-Length: 3, 3\r\n", 400, "a list of equal lengths"),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", 400, "equal lengths twice"),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", 400, "two lengths"),
        ("Content-Length: 18446744073709551616\r\n", 400, "length beyond 64 bits"),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400, "length, then coding"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400, "coding, then length"),
        ("Transfer-Encoding: x\r\nContent-Length: 3\r\n", 400, "unknown coding and length"),
        ("Transfer-Encoding: gzip\r\n", 400, "gzip"),
        ("Transfer-Encoding: identity\r\n", 400, "identity"),
        ("Transfer-Encoding: gzip, chunked\r\n", 501, "gzip, chunked"),
        ("Transfer-Encoding: chunked, chunked\r\n", 400, "chunked twice"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400, "chunked on two lines"),
        ("Transfer-Encoding: chunked, identity\r\n", 400, "chunked not last"),
        ("Transfer-Encoding: xchunked\r\n", 400, "almost chunked"),
        ("Transfer-Encoding: \x0bchunked\r\n", 400, "chunked after a control"),
    ];
    let (seen, paths) = channel();
    let server = watched(seen);
    let fields = fields.iter().map(|&(fields, status, name)| (with(fields), status, name));
    let cases = lines.iter().map(|&(head, status, name)| (head.to_owned(), status, name)).chain(fields);
    for (head, status, name) in cases {
        let mut client = server.connect();
        client.send(format!("{head}{SMUGGLED}"));
        let reply = client.read_response();
        assert_eq!(reply.status, status, "{name}");
        assert!(reply.closes(), "{name}: {reply:?}");
        assert_eq!(client.rest(), (Vec::new(), End::Eof), "{name}");
    }
    assert_eq!(paths.try_iter().collect::<Vec<_>>(), [""; 0], "no handler saw any of these");
}

/// RFC 9110 §2.5: an unknown minor version is read as the highest known one.
#[test]
fn later_minor_versions_are_served_as_1_1() {
    let server = plain();
    for minor in 2..=9 {
        let mut client = server.connect();
        for target in ["/", "/?\u{e4}%"] {
            client.send(format!("GET {target} HTTP/1.{minor}\r\nHost: x\r\n\r\n"));
            let reply = client.read_response();
            assert!(reply.status == 200 && !reply.closes(), "HTTP/1.{minor}: {reply:?}");
        }
        client.send(format!("GET / HTTP/1.{minor}\r\n\r\n"));
        assert_eq!(client.read_response().status, 400, "HTTP/1.{minor} without Host");
    }
}

#[test]
fn a_refused_head_is_refused_wherever_it_is_cut() {
    let server = plain();
    let heads = [
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
        ("GET / HTTP/2.1\r\nHost: x\r\n\r\n", 505),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ];
    for (head, status) in heads {
        for cut in 1..head.len() {
            let mut client = server.connect();
            client.send(&head[..cut]);
            // The verdict may have come before the rest.
            let _ = client.try_send(&head[cut..]);
            let reply = client.read_response();
            assert_eq!((reply.status, reply.closes()), (status, true), "{head:?} cut at {cut}");
        }
    }
}

#[test]
fn heads_that_are_taken() {
    let rows: &[(&[u8], &str, &str)] = &[
        (b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a", "one empty line before"),
        (b"BREW /a HTTP/1.1\r\nHost: x\r\n\r\n", "BREW /a", "an unknown method"),
        (b"get /a HTTP/1.1\r\nHost: x\r\n\r\n", "get /a", "methods are case-sensitive"),
        (b"GET /a HTTP/1.1\r\nhOST:x\r\nA:\t b \t\r\nB:\r\nC: \xff\xe4\r\n\r\n", "GET /a", "any case and space"),
        (b"GET /a HTTP/1.1\r\nHost:\r\n\r\n", "GET /a", "an empty Host"),
        (b"GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET /a", "an IPv6 Host"),
        (b"GET http://y:8/a?b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a", "absolute form"),
        (b"GET http://y HTTP/1.1\r\nHost: x\r\n\r\n", "GET /", "absolute form without path"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS *", "OPTIONS *"),
        (b"GET /%41?%00%42 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /%41", "percent-encoding"),
        (b"GET //a/../b;c=d,!$&'()*+@:~ HTTP/1.1\r\nHost: x\r\n\r\n", "GET //a/../b;c=d,!$&'()*+@:~", "odd paths"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "GET /a", "an empty body"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", "GET /a", "CHUNKED"),
    ];
    let server = plain();
    let mut client = server.connect();
    for &(request, text, name) in rows {
        client.send(request);
        let reply = client.read_response();
        assert_eq!((reply.status, reply.text()), (200, text), "{name}");
    }
}

#[test]
fn a_head_is_the_same_wherever_it_is_cut() {
    let request = b"\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let server = plain();
    let mut client = server.connect();
    for cut in 1..request.len() {
        client.send(&request[..cut]);
        client.send(&request[cut..]);
        assert_eq!(client.read_response().text(), "hello", "cut at {cut}");
    }
    for byte in request {
        client.send([*byte]);
    }
    assert_eq!(client.read_response().text(), "hello", "byte by byte");
}
