//! HTTP/1.1 over real sockets: what is refused, what is answered, how messages are delimited, how connections end.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, End, Framing, Gate, MOMENT, Running, chunk, next, pattern, serve};
use ecohttpd::{Connection, Error, Options, Request, Result};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// What the servers of this file answer with.
async fn app(con: &mut Connection, req: &mut Request) -> Result<()> {
    match req.path() {
        "/echo" => {
            let body = con.read_body(None, None).await?;
            con.add_header("content-length", body.len())?;
            con.send(body).await
        }
        "/head-of-body" => {
            con.read_body(5, None).await?;
            Ok(())
        }
        "/chunks" => {
            con.send("one,").await?;
            con.send("").await?;
            con.send("two").await
        }
        "/204" | "/304" => {
            con.set_status(req.path()[1..].parse().unwrap())?;
            con.send("dropped").await
        }
        "/304-length" => {
            con.set_status(304)?;
            con.add_header("content-length", 1234)?;
            con.send("dropped").await
        }
        "/redirect" => con.redirect(302, "/elsewhere").await,
        "/refuse" => con.send_error(403, None, "no\n").await,
        "/fail" => Err(Error::BadStatus),
        "/close" => {
            con.add_header("connection", "close")?;
            con.send("bye").await
        }
        _ => {
            let text = format!("{} {}", req.method(), req.raw_path());
            con.add_header("content-length", text.len())?;
            con.send(text).await
        }
    }
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
fn chunked_bodies() {
    let rows: &[(&str, Option<&str>, &str)] = &[
        ("0\r\n\r\n", Some(""), "empty"),
        ("5\r\nhello\r\n0\r\n\r\n", Some("hello"), "one chunk"),
        ("1\r\nh\r\n0004\r\nello\r\n000\r\n\r\n", Some("hello"), "leading zeros"),
        ("A\r\n0123456789\r\n0\r\n\r\n", Some("0123456789"), "upper-case hex"),
        ("5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", Some("hello"), "extensions"),
        ("5 ; a\r\nhello\r\n0\r\n\r\n", Some("hello"), "space before an extension"),
        ("5\r\nhello\r\n0\r\nA: b\r\nDigest: c\r\n\r\n", Some("hello"), "trailers"),
        ("2\r\n\r\n\r\n0\r\n\r\n", Some("\r\n"), "CRLF as payload"),
        ("\r\nhello\r\n0\r\n\r\n", None, "no size"),
        ("5 \r\nhello\r\n0\r\n\r\n", None, "space after the size"),
        (" 5\r\nhello\r\n0\r\n\r\n", None, "space before the size"),
        ("+5\r\nhello\r\n0\r\n\r\n", None, "plus"),
        ("-5\r\nhello\r\n0\r\n\r\n", None, "minus"),
        ("0x5\r\nhello\r\n0\r\n\r\n", None, "0x"),
        ("g\r\nhello\r\n0\r\n\r\n", None, "no hex"),
        ("5\nhello\r\n0\r\n\r\n", None, "bare LF after the size"),
        ("5;a\nb\r\nhello\r\n0\r\n\r\n", None, "bare LF in an extension"),
        ("5\r\nhello\n0\r\n\r\n", None, "bare LF after the payload"),
        ("5\r\nhelloworld\r\n0\r\n\r\n", None, "payload longer than its size"),
        ("6\r\nhello\r\n0\r\n\r\n", None, "payload shorter than its size"),
        ("10000000000000005\r\nhello\r\n0\r\n\r\n", None, "size beyond 64 bits"),
        ("0\r\n A: b\r\n\r\n", None, "folded trailer"),
        ("0\r\nA b\r\n\r\n", None, "trailer without colon"),
        ("0\r\nA: \0\r\n\r\n", None, "NUL in a trailer"),
        ("0\r\nA: b\n\r\n", None, "bare LF after a trailer"),
    ];
    let server = plain();
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for &(body, expected, name) in rows {
        for cut in 0..body.len() {
            let mut client = server.connect();
            client.send(format!("{head}{}", &body[..cut]));
            let _ = client.try_send(format!("{}{GET}", &body[cut..]));
            let reply = client.read_response();
            if let Some(text) = expected {
                assert_eq!((reply.status, reply.text()), (200, text), "{name} cut at {cut}");
                assert_eq!(client.read_response().text(), "GET /", "{name}: what follows, cut at {cut}");
            } else {
                assert_eq!((reply.status, reply.closes()), (400, true), "{name} cut at {cut}");
                assert_eq!(client.rest(), (Vec::new(), End::Eof), "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = plain();
    let mut client = server.connect();
    let mut requests = String::new();
    for n in 0..1000 {
        requests += &match n % 3 {
            0 => format!("GET /n{n} HTTP/1.1\r\nHost: x\r\n\r\n"),
            1 => format!("HEAD /n{n} HTTP/1.1\r\nHost: x\r\n\r\n"),
            _ => {
                let body = format!("POST /n{n}");
                format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
        };
    }
    client.send(requests);
    for n in 0..1000 {
        match n % 3 {
            0 => assert_eq!(client.read_response().text(), format!("GET /n{n}")),
            1 => {
                let reply = client.read_head_response();
                assert_eq!(reply.header("content-length"), Some(format!("HEAD /n{n}").len().to_string().as_str()));
            }
            _ => assert_eq!(client.read_response().text(), format!("POST /n{n}")),
        }
    }
    client.half_close();
    client.expect_close();
}

#[test]
fn keep_alive_by_version_and_connection_tokens() {
    let rows = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: x,close ,y\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: x-close\r\n", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: x, Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ];
    let server = plain();
    for (version, fields, keeps) in rows {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/{version}\r\nHost: x\r\n{fields}\r\n"));
        let reply = client.read_response();
        assert_eq!(reply.closes(), !keeps, "{version} {fields:?}");
        if keeps {
            assert_eq!(reply.has_token("connection", "keep-alive"), version == "1.0", "{version} {fields:?}");
            client.send(GET);
            assert_eq!(client.read_response().text(), "GET /", "{version} {fields:?}");
        } else {
            client.expect_close();
        }
    }
}

#[test]
fn http_10_gets_no_chunks() {
    let server = plain();
    let mut client = server.connect();
    client.send("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let reply = client.read_response();
    assert_eq!((reply.framing, reply.text()), (Framing::Close, "one,two"));

    client = server.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let reply = client.read_response();
    assert_eq!((reply.framing, reply.text(), reply.closes()), (Framing::Length, "GET /", true));
    client.expect_close();
}

#[test]
fn replies_without_body_have_none() {
    let rows = [
        ("HEAD", "/", 200, Some("6")),
        ("HEAD", "/chunks", 200, None),
        ("HEAD", "/refuse", 403, Some("3")),
        ("HEAD", "/fail", 500, None),
        ("GET", "/204", 204, None),
        ("HEAD", "/204", 204, None),
        ("GET", "/304", 304, None),
        ("GET", "/304-length", 304, Some("1234")),
    ];
    let server = plain();
    for (method, path, status, length) in rows {
        let mut client = server.connect();
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n{GET}"));
        let reply = if method == "HEAD" { client.read_head_response() } else { client.read_response() };
        assert_eq!(reply.status, status, "{method} {path}");
        if length.is_some() {
            assert_eq!(reply.header("content-length"), length, "{method} {path}");
        }
        if reply.closes() {
            client.expect_close();
        } else {
            assert_eq!(client.read_response().text(), "GET /", "after {method} {path}");
        }
    }
}

#[test]
fn date_is_the_time_and_server_our_name() {
    let server = plain();
    for path in ["/", "/fail", "/304", "/redirect"] {
        let reply = server.get(path);
        let date = httpdate::parse_http_date(reply.header("date").unwrap()).unwrap();
        let now = SystemTime::now();
        let off = now.duration_since(date).unwrap_or_else(|early| early.duration());
        assert!(off < Duration::from_secs(60), "{path}: {reply:?}");
        assert_eq!(reply.header("server"), Some("ecohttpd"), "{path}");
    }
}

#[test]
fn expect_100_continue() {
    let server = plain();
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n";
    let mut client = server.connect();
    client.send(head);
    let interim = client.read_response();
    assert_eq!((interim.status, interim.headers.len()), (100, 0));
    client.send("hello");
    assert_eq!(client.read_response().text(), "hello");

    // The body is there already: no interim reply is needed, but allowed.
    client.send(format!("{head}hello"));
    let mut reply = client.read_response();
    if reply.status == 100 {
        reply = client.read_response();
    }
    assert_eq!((reply.status, reply.text()), (200, "hello"));

    // Nobody asks for the body: the final reply alone, and the connection can't be used any more.
    let mut client = server.connect();
    client.send(head.replace("/echo", "/refuse"));
    let reply = client.read_response();
    assert_eq!((reply.status, reply.closes()), (403, true));
    client.expect_close();
    let mut client = server.connect();
    client.send(head.replace("/echo", "/"));
    let reply = client.read_response();
    assert_eq!((reply.status, reply.closes()), (200, true));
    client.expect_close();

    // RFC 9110 §10.1.1: HTTP/1.0 knows no interim replies, and a request without body waits for none.
    let old = head.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(server.ask(format!("{old}hello")).text(), "hello");
    assert_eq!(server.ask(with("Expect: 100-continue\r\n")).status, 200);

    let reply = server.ask(with("Expect: 100-continue, magic\r\n"));
    assert_eq!(reply.status, 417);
}

/// A body that nobody read must not be taken for a request (uhttpd and h2o do).
#[test]
fn unread_bodies_are_never_requests() {
    let rows = [
        ("POST /a", "", 200),
        ("GET /a", "", 200),
        ("HEAD /a", "", 200),
        ("DELETE /a", "", 200),
        ("POST /chunks", "", 200),
        ("POST /head-of-body", "", 200),
        ("POST /redirect", "", 302),
        ("POST /refuse", "", 403),
        ("POST /fail", "", 500),
        ("GET /304", "", 304),
        ("GET /204", "", 204),
        ("POST /a", "Expect: magic\r\n", 417),
        ("POST /a", "Expect: 100-continue\r\n", 200),
    ];
    let (seen, paths) = channel();
    let server = watched(seen);
    let mut body = SMUGGLED.repeat(2);
    // Small ones come with the head, middling ones are drained, large ones cost the connection.
    for size in [SMUGGLED.len(), 40_000, 300_000] {
        while body.len() < size {
            body = body.repeat(2);
        }
        body.truncate(size / SMUGGLED.len() * SMUGGLED.len());
        for (line, fields, status) in rows {
            for (chunked, late) in [(false, false), (true, false), (false, true)] {
                let name = format!("{line} {fields:?} with {size} bytes, chunked: {chunked}, late: {late}");
                let (framing, body) = match chunked {
                    true => ("Transfer-Encoding: chunked".to_owned(), [chunk(&body), chunk("")].concat()),
                    false => (format!("Content-Length: {}", body.len()), body.clone().into_bytes()),
                };
                let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{fields}{framing}\r\n\r\n").into_bytes();
                let next = b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec();
                let to_head = line.starts_with("HEAD");
                let mut client = server.connect();
                let reply = if late && !line.ends_with("head-of-body") {
                    client.send(head);
                    let reply = client.try_response(to_head).unwrap_or_else(|end| panic!("{end:?}: {name}"));
                    let _ = client.try_send([body, next].concat());
                    reply
                } else {
                    let _ = client.try_send([head, body, next].concat());
                    client.try_response(to_head).unwrap_or_else(|end| panic!("{end:?}: {name}"))
                };
                assert_eq!(reply.status, status, "{name}");
                match client.try_response(false) {
                    Ok(after) => {
                        assert!(!reply.closes(), "{name}");
                        assert_eq!(after.text(), "GET /next", "{name}");
                        client.expect_close();
                    }
                    // A reply that says `close` keeps its word; others may still cut a body that grows too long.
                    Err(end) => assert!(reply.closes() || size == 300_000 && chunked, "{name}: {end:?}, {reply:?}"),
                }
            }
        }
    }
    assert!(!paths.try_iter().any(|path| path == "/smuggled"));
}

#[test]
fn a_stalled_head_is_told_and_silence_is_not() {
    let options = || Options::new().header_timeout(MOMENT * 4);
    let server = serve(options, app);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHo");
    let reply = client.read_response();
    assert_eq!((reply.status, reply.closes()), (408, true));
    client.expect_close();

    // Nothing was asked: nothing is said.
    server.connect().expect_close();

    // Between requests it is the keep-alive time that counts.
    let mut client = server.connect();
    client.send(GET);
    client.read_response();
    thread::sleep(MOMENT * 6);
    client.send(GET);
    assert_eq!(client.read_response().text(), "GET /");
    client.send("G");
    assert_eq!(client.read_response().status, 408, "the second request's head has its own time");

    let options = || Options::new().http_keepalive(MOMENT);
    let server = serve(options, app);
    let mut client = server.connect();
    client.send(GET);
    assert_eq!(client.read_response().text(), "GET /");
    client.expect_close();
}

#[test]
fn an_early_error_arrives_though_the_client_keeps_sending() {
    let server = plain();
    let body = pattern(900_000);
    let rows = [
        ("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", 403),
        ("POST /fail HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", 500),
        ("POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\n", 400),
        ("POST / HTTP/3.0\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", 505),
    ];
    for (head, status) in rows {
        // All is sent before anything is read.
        let mut client = server.connect();
        client.send(head);
        client.send(&body);
        let reply = client.read_response();
        assert_eq!((reply.status, reply.closes()), (status, true), "{head:?}");
        client.expect_close();
    }

    // Far more than is discarded, by a client that reads meanwhile.
    let stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream.set_write_timeout(Some(common::PATIENCE)).unwrap();
    let mut sender = Client::new(stream.try_clone().unwrap());
    let sending = thread::spawn(move || {
        sender.try_send("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")?;
        let piece = pattern(65536);
        (0..1_000_000_000 / 65536).try_for_each(|_| sender.try_send(&piece))
    });
    let reply = Client::new(stream).read_response();
    assert_eq!((reply.status, reply.text()), (403, "no\n"));
    assert!(sending.join().unwrap().is_err(), "the server took a gigabyte that it had refused");
}

#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let (started, starts) = channel();
    let gate = Gate::default();
    let opened = gate.clone();
    let server = serve(Options::new, async move |con: &mut Connection, req: &mut Request| {
        if req.path() == "/slow" {
            started.send(()).unwrap();
            gate.wait().await;
        }
        app(con, req).await
    });
    let rows = [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /"),
        ("GET / HTTP/1.0\r\n\r\n", "GET /"),
        ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
    ];
    for (request, text) in rows {
        let mut client = server.connect();
        client.send(request);
        client.half_close();
        assert_eq!(client.read_response().text(), text, "{request:?}");
        client.expect_close();
    }
    let mut client = server.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    next(&starts);
    client.half_close();
    // Until another client was served, the server has seen the end of the first one's stream.
    assert_eq!(server.get("/").text(), "GET /");
    opened.open();
    assert_eq!(client.read_response().text(), "GET /slow");
    client.expect_close();
}
