//! HTTP/2 as clients see it: exchanges, windows, timeouts, ends. Attacks are in `http2_hostile.rs`.

#![cfg(feature = "http2")]
#![allow(clippy::unwrap_used)]

mod common;
mod common_h2;
mod common_tls;

use common::{MOMENT, Running, pattern, serve};
use common_h2::*;
use common_tls::{Identity, h2_config, handshake, open, serve_tls};
use ecohttpd::{Access, Connection, Error, Options, Outcome, Request, Result};
use std::io::Write;
use std::sync::mpsc::channel;
use std::time::Duration;

fn options() -> Options {
    Options::new().http2_prior_knowledge(true)
}

async fn handler(con: &mut Connection, req: &mut Request) -> Result<()> {
    match req.path() {
        "/hello" => {
            con.add_header("Content-Type", "text/plain")?;
            con.add_header("X-Own", "yes")?;
            con.send("hello").await
        }
        "/what" => {
            let text = format!(
                "{} {} {} {}.{} {:?} {:?} {}",
                req.method(),
                req.target(),
                req.version(),
                req.major_version(),
                req.minor_version(),
                req.host(),
                req.header("cookie"),
                req.wants_upgrade(),
            );
            con.send(text).await
        }
        "/echo" => loop {
            let piece = con.read_body(1000, None).await?;
            if piece.is_empty() {
                return Ok(());
            }
            con.send(&piece).await?;
        },
        "/whole" => {
            let body = con.read_body(None, None).await?;
            con.send(format!("{} bytes", body.len())).await
        }
        "/big" => {
            for piece in pattern(200_000).chunks(5000) {
                con.send(piece).await?;
            }
            Ok(())
        }
        "/short" => {
            con.add_header("Content-Length", 10)?;
            con.send("abc").await
        }
        "/fails" => Err(Error::BodyTooLarge),
        "/panics" => panic!("as the test wants it"),
        "/upgrade" => con.upgrade().await.map(|_| ()),
        "/hangs" => std::future::pending().await,
        "/slow" => {
            con.send("begun").await?;
            ecohttpd::sleep(MOMENT).await;
            con.send(", and done").await
        }
        "/left" => {
            con.send("begun").await?;
            con.closed().await;
            con.send(", and left").await
        }
        _ => con.serve_file(req).await,
    }
}

fn server() -> Running {
    serve(options, handler)
}

#[test]
fn requests_and_responses() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    let reply = client.ask(1, "/hello");
    assert_eq!((reply.status, reply.text()), (200, "hello"));
    assert_eq!(reply.field(CONTENT_TYPE), Some("text/plain"));
    assert_eq!(reply.field("x-own"), Some("yes"), "names are in lower case");
    client.request(3, "GET", "/what?a=b", &[("cookie", "a=1"), ("cookie", "b=2")], true);
    let want = "GET /what?a=b HTTP/2.0 2.0 Some(\"localhost\") Some(\"a=1; b=2\") false";
    assert_eq!(client.reply(3).text(), want);
    client.request(5, "HEAD", "/hello", &[], true);
    let reply = client.reply(5);
    assert_eq!((reply.status, reply.body.len(), reply.frames.len()), (200, 0, 0));
    let reply = client.ask(7, "/fails");
    assert_eq!(reply.status, 413);
    assert_eq!(client.ask(9, "/hello").text(), "hello", "an error of a stream is no error of others");
}

#[test]
fn streams_at_once() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    for nth in 0..64 {
        client.get(nth * 2 + 1, if nth % 3 == 0 { "/big" } else { "/hello" });
    }
    for nth in (0..64).rev() {
        let reply = client.reply(nth * 2 + 1);
        assert_eq!(reply.body, if nth % 3 == 0 { pattern(200_000) } else { b"hello".to_vec() });
    }
}

#[test]
fn bodies_of_requests() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    client.request(1, "POST", "/echo", &[], false);
    for piece in [&b"one "[..], b"", b"two"] {
        client.data(1, piece, false);
    }
    client.data(1, b"", true);
    assert_eq!(client.reply(1).text(), "one two");
    let body = pattern(40_000);
    client.request(3, "POST", "/whole", &[("content-length", "40000")], false);
    for piece in body.chunks(10_000) {
        client.data(3, piece, false);
        client.ping();
    }
    client.send(HEADERS, END_HEADERS | END_STREAM, 3, &field("x-trailer", "y"));
    assert_eq!(client.reply(3).text(), "40000 bytes");
    client.request(5, "POST", "/whole", &[("content-length", "2000000")], false);
    let reply = client.reply(5);
    assert_eq!(reply.status, 413);
    // The rest of the body is not wanted (RFC 9113 §8.1).
    let frame = loop {
        let frame = client.next().unwrap();
        if frame.stream == 5 {
            break frame;
        }
    };
    assert_eq!((frame.kind, frame.code()), (RST_STREAM, 0));
    client.data(5, b"under way", false);
    assert_eq!(client.ask(7, "/hello").text(), "hello");
}

#[test]
fn an_upload_gets_windows_as_it_is_read() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    client.request(1, "POST", "/whole", &[("content-length", "1000000")], false);
    let (mut stream, mut connection, mut sent) = (32_768_usize, 65_535_usize, 0);
    while sent < 1_000_000 {
        let n = stream.min(connection).min(16_384).min(1_000_000 - sent);
        if n == 0 {
            let frame = client.next().unwrap();
            assert_eq!(frame.kind, WINDOW_UPDATE);
            let more = usize::try_from(frame.code()).unwrap();
            *if frame.stream == 0 { &mut connection } else { &mut stream } += more;
            assert!(stream <= 32_768 && connection <= 65_535, "{stream} {connection}");
            continue;
        }
        client.data(1, &vec![b'x'; n], sent + n == 1_000_000);
        (stream, connection, sent) = (stream - n, connection - n, sent + n);
    }
    assert_eq!(client.reply(1).text(), "1000000 bytes");
}

#[test]
fn a_client_that_waits_for_100_is_invited() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    client.request(1, "POST", "/whole", &[("expect", "100-continue"), ("content-length", "3")], false);
    let frame = client.next().unwrap();
    assert_eq!((frame.kind, frame.flags, frame.stream), (HEADERS, END_HEADERS, 1));
    client.data(1, b"abc", true);
    assert_eq!(client.reply(1).text(), "3 bytes");
}

#[test]
fn windows_are_kept() {
    let server = server();
    let mut client = Frames::connect_with(server.addr, &[(4, 1)]);
    client.reads = false;
    client.get(1, "/hello");
    client.ping();
    let frames: Vec<Frame> = (0..2).map(|_| client.next().unwrap()).collect();
    assert_eq!((frames[0].kind, frames[1].payload.as_slice()), (HEADERS, &b"h"[..]), "{frames:?}");
    client.settings(&[(4, 3)]);
    client.ping();
    assert_eq!(client.next().unwrap().flags, ACK);
    assert_eq!(client.next().unwrap().payload, b"el");
    client.widen(1, 100);
    let frame = client.next().unwrap();
    assert_eq!((frame.payload.as_slice(), frame.ends()), (&b"lo"[..], true));
    // The connection's own window, of 64 KiB.
    client.settings(&[(4, 1 << 20)]);
    client.get(3, "/big");
    client.ping();
    let mut got = 0;
    while got < 65_535 - 5 {
        let frame = client.next().unwrap();
        got += if frame.kind == DATA { frame.payload.len() } else { 0 };
    }
    assert_eq!(got, 65_535 - 5);
    client.get(5, "/hello");
    client.ping();
    let frame = client.next().unwrap();
    assert_eq!((frame.kind, frame.stream), (HEADERS, 5), "a head needs no window");
    client.widen(0, 1 << 20);
    assert_eq!(client.reply(5).status, 0, "its head came before");
    assert_eq!(client.reply(3).body.len(), 200_000 - got);
}

#[test]
fn urgent_streams_come_first() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("file"), pattern(200_000)).unwrap();
    let root = temp.path().to_owned();
    let server = serve(move || options().docroot(root), handler);
    let mut client = Frames::connect(server.addr);
    client.reads = false;
    client.request(1, "GET", "/file", &[("priority", "u=6")], true);
    client.ping();
    client.request(3, "GET", "/file", &[("priority", "u=0")], true);
    client.ping();
    client.reads = true;
    client.widen(1, 1 << 20);
    client.widen(3, 1 << 20);
    client.widen(0, 1 << 20);
    let mut ended = Vec::new();
    while ended.len() < 2 {
        let frame = client.next().unwrap();
        if frame.ends() {
            ended.push(frame.stream);
        }
    }
    assert_eq!(ended, [3, 1]);
}

#[test]
fn what_can_not_be_completed_is_reset() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    let reply = client.ask(1, "/short");
    assert_eq!((reply.status, reply.text(), reply.reset), (200, "abc", Some(2)));
    assert_eq!(client.ask(3, "/panics").status, 500);
    assert_eq!(client.ask(5, "/upgrade").status, 500, "there is no upgrade");
    assert_eq!(client.ask(7, "/hello").text(), "hello");
}

#[test]
fn refused_requests() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    #[rustfmt::skip]
    let rows = [
        ("GET", "/%00", 400), ("GET", "/%zz", 400), ("CONNECT", "", 501), ("GET", "/a#b", 400),
    ];
    for (nth, (method, path, status)) in (0..).zip(rows) {
        let id = nth * 2 + 1;
        if method == "CONNECT" {
            let block = [field(":method", "CONNECT"), field(":authority", "h:1")].concat();
            client.send(HEADERS, END_HEADERS | END_STREAM, id, &block);
        } else {
            client.request(id, method, path, &[], true);
        }
        let reply = client.reply(id);
        assert_eq!((reply.status, reply.reset), (status, None), "{method} {path}");
    }
    let long = "x".repeat(17_000);
    let block = block("GET", "/hello", &[("x", &long)]);
    client.send(HEADERS, END_STREAM, 21, &block[..16_000]);
    client.send(CONTINUATION, END_HEADERS, 21, &block[16_000..]);
    assert_eq!(client.reply(21).status, 431);
    client.request(23, "GET", "/hello", &[("Upper", "case")], true);
    assert_eq!(client.reply(23).reset, Some(1));
    assert_eq!(client.ask(25, "/hello").text(), "hello");
}

#[test]
fn files_ranges_and_conditions() {
    let temp = tempfile::tempdir().unwrap();
    let big = pattern(300_000);
    std::fs::write(temp.path().join("large"), &big).unwrap();
    std::fs::write(temp.path().join("small.txt"), "small").unwrap();
    std::fs::write(temp.path().join("empty"), "").unwrap();
    let root = temp.path().to_owned();
    let server = serve(move || options().docroot(root), handler);
    let mut client = Frames::connect(server.addr);
    let reply = client.ask(1, "/small.txt");
    assert_eq!((reply.status, reply.text(), reply.field(CONTENT_LENGTH)), (200, "small", Some("5")));
    let etag = reply.field("#34").unwrap().to_owned();
    let reply = client.ask(3, "/large");
    assert!(reply.body == big, "{:?} {} {}", reply.reset, reply.status, reply.body.len());
    client.request(5, "GET", "/large", &[("range", "bytes=100000-249999")], true);
    let reply = client.reply(5);
    assert_eq!((reply.status, &reply.body[..]), (206, &big[100_000..250_000]));
    client.request(7, "GET", "/large", &[("range", "bytes=0-1,5-6")], true);
    let reply = client.reply(7);
    assert_eq!((reply.status, reply.text().matches("Content-Range").count()), (206, 2));
    client.request(9, "GET", "/small.txt", &[("if-none-match", &etag)], true);
    let reply = client.reply(9);
    assert_eq!((reply.status, reply.body.len(), reply.frames.len()), (304, 0, 0));
    let reply = client.ask(11, "/empty");
    assert_eq!((reply.status, reply.body.len(), reply.field(CONTENT_LENGTH)), (200, 0, Some("0")));
    assert_eq!(client.ask(13, "/none").status, 404);
    // A file that shrinks while it is sent.
    client.reads = false;
    client.get(15, "/large");
    client.ping();
    std::fs::write(temp.path().join("large"), "").unwrap();
    client.reads = true;
    client.widen(15, 1 << 20);
    client.widen(0, 1 << 20);
    assert_eq!(client.reply(15).reset, Some(2));
}

#[test]
fn the_access_log_and_dropped_handlers() {
    let (tell, told) = channel();
    let make = move || {
        options().access_log(move |access: &Access<'_>| {
            let line = (access.version.to_owned(), access.target.to_owned(), access.status, access.bytes);
            tell.send((line, access.close.map(str::to_owned))).unwrap();
        })
    };
    let server = serve(make, handler);
    let mut client = Frames::connect(server.addr);
    client.ask(1, "/hello");
    client.get(3, "/hangs");
    client.ping();
    client.reset(3);
    client.ask(5, "/short");
    let next = || common::next(&told);
    assert_eq!(next(), (("HTTP/2.0".to_owned(), "/hello".to_owned(), 200, 5), None));
    assert_eq!(next(), (("HTTP/2.0".to_owned(), "/hangs".to_owned(), 499, 0), None));
    assert_eq!(next().0, ("HTTP/2.0".to_owned(), "/short".to_owned(), 200, 3));
}

#[test]
fn a_client_that_half_closes_is_served_to_the_end() {
    let server = server();
    let socket = tcp(server.addr);
    let mut client = Frames::over(socket.try_clone().unwrap()).settle(&[]);
    client.get(1, "/slow");
    client.get(3, "/left");
    client.request(5, "POST", "/whole", &[], false);
    client.ping();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    client.reads = false;
    assert_eq!(client.reply(3).text(), "begun, and left", "it sees that the client has left");
    assert_eq!(client.reply(1).text(), "begun, and done");
    client.expect_end();
}

#[test]
fn deadlines() {
    let brief = Duration::from_millis(300);
    let server = serve(
        move || options().header_timeout(brief).body_timeout(brief).write_timeout(brief).http_keepalive(brief),
        handler,
    );
    // Requests that come in time, of which each is over at once.
    let mut client = Frames::connect(server.addr);
    for nth in 0..4 {
        assert_eq!(client.ask(nth * 2 + 1, "/hello").text(), "hello");
        std::thread::sleep(MOMENT);
    }
    // Idle.
    let mut client = Frames::connect(server.addr);
    assert_eq!(client.ask(1, "/hello").text(), "hello");
    assert_eq!(client.goaway(), (0, 1));
    client.expect_end();
    // In the middle of a frame, of a field block, of the preface.
    for bytes in [&b"\0\0\x08\x06"[..], &frame(HEADERS, END_STREAM, 1, b"\x82")] {
        let mut client = Frames::connect(server.addr);
        client.send_bytes(bytes);
        assert_eq!(client.goaway().0, 0);
        client.expect_end();
    }
    let mut client = Frames::over(tcp(server.addr));
    client.send_bytes(&PREFACE[..10]);
    client.expect_end();
    // A body that stalls: the stream alone is refused.
    let mut client = Frames::connect(server.addr);
    client.request(1, "POST", "/whole", &[], false);
    client.data(1, b"x", false);
    assert_eq!(client.reply(1).status, 408);
    // A window that stays shut: the stream alone is reset.
    let mut client = Frames::connect_with(server.addr, &[(4, 0)]);
    client.get(1, "/hello");
    client.ping();
    let reply = client.reply(1);
    assert_eq!((reply.status, reply.reset), (200, Some(8)));
}

#[test]
fn a_stopping_server_lets_streams_end() {
    let server = server();
    let mut busy = Frames::connect(server.addr);
    busy.get(1, "/slow");
    let mut idle = Frames::connect(server.addr);
    idle.ping();
    busy.ping();
    server.handle.stop(Duration::from_secs(20));
    assert_eq!(idle.goaway(), (0, 0));
    idle.expect_end();
    assert_eq!(busy.goaway(), (0, 1));
    busy.get(3, "/hello");
    assert_eq!(busy.reply(1).text(), "begun, and done");
    busy.expect_end();
    server.join().unwrap();
}

#[test]
fn without_keep_alive_it_ends_after_the_responses() {
    let server = serve(|| options().http_keepalive(Duration::ZERO), handler);
    let mut client = Frames::connect(server.addr);
    client.send_bytes(
        &[frame(HEADERS, 5, 1, &block("GET", "/hello", &[])), frame(HEADERS, 5, 3, &block("GET", "/big", &[]))]
            .concat(),
    );
    assert_eq!(client.reply(1).text(), "hello");
    assert_eq!(client.reply(3).body.len(), 200_000);
    client.goaway();
    client.expect_end();
}

// --- TLS -------------------------------------------------------------------------------------------

#[test]
fn alpn_chooses() {
    let identity = Identity::new();
    let server = serve_tls(identity.options(), handler);
    let config = h2_config(&identity, &["h2", "http/1.1"]);
    let stream = open(&config, server.addr);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Frames::over(stream).settle(&[]);
    assert_eq!(client.ask(1, "/hello").text(), "hello");
    let reply = client.ask(3, "/big");
    assert!(reply.body == pattern(200_000), "{:?} {}", reply.reset, reply.body.len());
    client.request(5, "POST", "/echo", &[], false);
    client.data(5, &pattern(16_384), true);
    assert!(client.reply(5).body == pattern(16_384));

    let old = open(&h2_config(&identity, &["http/1.1"]), server.addr);
    assert_eq!(old.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let none = open(&h2_config(&identity, &[]), server.addr);
    assert_eq!(none.conn.alpn_protocol(), None);
    for stream in [old, none] {
        let (reply, _) = common_tls::exchange(stream).unwrap();
        assert!(reply.starts_with("HTTP/1.1 403 "), "{reply}");
    }
}

#[test]
fn it_can_be_turned_off() {
    let identity = Identity::new();
    let options = identity.options();
    let server = serve_tls(move || options().http2(false), handler);
    let stream = open(&h2_config(&identity, &["h2", "http/1.1"]), server.addr);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(handshake(&h2_config(&identity, &["h2"]), common_tls::connect(server.addr), "localhost").is_err());
}

/// Without the option, the preface is a request of HTTP/1 that is refused.
#[test]
fn prior_knowledge_is_an_option() {
    let server = serve(Options::new, handler);
    let mut socket = tcp(server.addr);
    socket.write_all(PREFACE).unwrap();
    let mut client = common::Client::new(socket);
    assert_eq!(client.read_response().status, 505);
    let server = self::server();
    assert_eq!(server.get("/hello").text(), "hello", "HTTP/1 goes on beside it");
}

#[test]
fn a_handler_that_closes_closes_nothing() {
    let server = serve(options, async |con: &mut Connection, _: &mut Request| -> Result<Outcome> {
        con.send("bye").await?;
        Ok(Outcome::Close)
    });
    let mut client = Frames::connect(server.addr);
    assert_eq!(client.ask(1, "/").text(), "bye");
    assert_eq!(client.ask(3, "/").text(), "bye");
}
