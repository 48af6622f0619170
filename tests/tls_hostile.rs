//! TLS peers that stall, lie or vanish.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;
mod common_files;
mod common_tls;

use common::{Client, End, Gate, MOMENT, OnDrop, next, pattern, post, reset, settled};
use common_tls::{
    BOTH, GET, Identity, TLS12, TLS13, client, connect, drain, exchange, hello, hi, open, over, serve_both, serve_tls,
    trusting, try_open,
};
use ecohttpd::{Connection, Request, sleep};
use rustls::client::Resumption;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

#[test]
fn a_stalled_handshake_is_dropped() {
    let id = Identity::new();
    let options = id.options();
    let server = serve_tls(move || options().header_timeout(Duration::from_secs(2)), hi);
    let config = trusting(BOTH);
    let hello = hello(&config);
    let silent: Vec<_> = [0, 1, 5, hello.len() / 2, hello.len()]
        .into_iter()
        .map(|len| {
            let mut stream = connect(server.addr);
            stream.write_all(&hello[..len]).unwrap();
            (len, stream)
        })
        .collect();
    assert!(exchange(open(&config, server.addr)).unwrap().0.ends_with("hi"), "others are served meanwhile");
    for (len, mut stream) in silent {
        let got = drain(&mut stream);
        // At most an alert, where the hello was not whole.
        let early = got.is_empty() || got.starts_with(b"\x15\x03");
        assert_eq!(early, len < hello.len(), "{len} bytes of the hello: {}", got.escape_ascii());
    }
    // Nor does trickling help: the hello takes five times as long as it may.
    let mut stream = connect(server.addr);
    stream
        .set_read_timeout(Some(Duration::from_secs(10).div_f64(f64::from(u32::try_from(hello.len()).unwrap()))))
        .unwrap();
    let dropped = hello.iter().any(|byte| {
        let sent = stream.write_all(&[*byte]);
        let got = stream.read(&mut [0]).map_err(|error| error.kind());
        sent.is_err() || !matches!(got, Ok(1) | Err(ErrorKind::WouldBlock | ErrorKind::TimedOut))
    });
    assert!(dropped, "a byte at a time holds it");
}

#[test]
fn garbage_ends_the_connection_only() {
    let id = Identity::new();
    let count = Arc::new(AtomicUsize::new(0));
    let handled = Arc::clone(&count);
    let server = serve_tls(id.options(), async move |con: &mut Connection, req: &mut Request| {
        handled.fetch_add(1, Ordering::SeqCst);
        hi(con, req).await
    });
    let config = trusting(BOTH);
    let hello = hello(&config);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("a pattern", pattern(100_000)),
        ("zeros", vec![0; 100_000]),
        ("ones", vec![0xff; 100_000]),
        ("a record too long", [&b"\x16\x03\x01\xff\xff"[..], &pattern(70_000)].concat()),
        ("empty records", b"\x16\x03\x01\x00\x00".repeat(10_000)),
        ("a fatal alert", b"\x15\x03\x03\x00\x02\x02\x28".to_vec()),
        ("warnings", b"\x15\x03\x03\x00\x02\x01\x5a".repeat(10_000)),
        ("data first", b"\x17\x03\x03\x00\x04abcd".to_vec()),
        ("a handshake message too long", [&b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"[..], &pattern(9)].concat()),
        ("SSLv2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".repeat(10)),
        ("a hello and garbage", [&hello[..], &pattern(1000)].concat()),
        ("two hellos", hello.repeat(2)),
        ("SSH", b"SSH-2.0-x\r\n".to_vec()),
    ];
    for (name, bytes) in &rows {
        let mut stream = connect(server.addr);
        // It may be refused before its end.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        drain(&mut stream);
        assert!(exchange(open(&config, server.addr)).unwrap().0.ends_with("hi"), "after {name}");
    }
    let sound = count.load(Ordering::SeqCst);
    assert_eq!(sound, rows.len());
    // A record that was changed on its way, and none.
    for versions in [TLS12, TLS13] {
        for change in [true, false] {
            let mut stream = open(&trusting(versions), server.addr);
            let mut record = pattern(50);
            if change {
                stream.conn.writer().write_all(GET.as_bytes()).unwrap();
                record.clear();
                while stream.conn.wants_write() {
                    stream.conn.write_tls(&mut record).unwrap();
                }
                *record.last_mut().unwrap() ^= 1;
            }
            stream.sock.write_all(&record).unwrap();
            let mut got = Vec::new();
            let error = stream.read_to_end(&mut got).expect_err("an alert, or a cut");
            assert!(got.is_empty() && !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), sound, "a forged request was handled");
}

#[test]
fn http_without_tls_and_tls_without_tls() {
    let id = Identity::new();
    let (server, plain) = serve_both(id.options(), hi);
    let rows: [&[&str]; 6] = [
        &[GET],
        &["GET / HTTP/1.0\r\n\r\n"],
        &["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"],
        &["OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"],
        &["G", "ET / HTTP/1.1\r\nHost: x\r\n\r\n"],
        &["GET / HTTP/1.1\r\nHost: x\r\n", "A: b\r\n\r\n"],
    ];
    for pieces in rows {
        let mut client = Client::connect(server.addr);
        for piece in pieces {
            // The verdict may come before the end.
            let _ = client.try_send(piece);
            thread::sleep(Duration::from_millis(20));
        }
        let reply = client.read_response();
        assert!(reply.status == 400 && reply.closes() && !reply.body.is_empty(), "{pieces:?}: {reply:?}");
        client.expect_close();
    }
    // Long before the header timeout of 30 s, which is beyond our patience.
    let error = try_open(&trusting(BOTH), plain, "localhost").expect_err("no TLS here");
    assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    let mut stream = connect(plain);
    stream.write_all(&hello(&trusting(TLS12))).unwrap();
    drain(&mut stream);
}

#[test]
fn two_hundred_handshakes_beside_a_connection() {
    const MANY: usize = 200;
    let id = Identity::new();
    let options = id.options();
    let server = serve_tls(move || options().backlog(512), hi);
    let addr = server.addr;
    let mut config = Arc::unwrap_or_clone(trusting(BOTH));
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let mut established = client(&config, addr);
    let start = Arc::new(Barrier::new(MANY + 1));
    let threads: Vec<_> = (0..MANY)
        .map(|_| {
            let (config, start) = (Arc::clone(&config), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                exchange(try_open(&config, addr, "localhost")?).map(|(reply, _)| reply.ends_with("\r\n\r\nhi"))
            })
        })
        .collect();
    let over_now = Arc::new(AtomicBool::new(false));
    let watched = Arc::clone(&over_now);
    let server_side = thread::spawn(move || {
        let mut served = 0;
        while !watched.load(Ordering::SeqCst) {
            established.send(GET);
            assert_eq!(established.read_response().text(), "hi");
            served += 1;
        }
        served
    });
    start.wait();
    for (number, thread) in threads.into_iter().enumerate() {
        assert!(thread.join().unwrap().unwrap_or_else(|error| panic!("{number}: {error}")), "{number}");
    }
    over_now.store(true, Ordering::SeqCst);
    let served = server_side.join().unwrap();
    assert!(served >= 10, "only {served} requests on the connection that stood");
}

#[test]
fn a_client_that_does_not_read_holds_the_handler() {
    const PIECE: usize = 64 << 10;
    let id = Identity::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let (count, (tell, dropped), options) = (Arc::clone(&sent), channel(), id.options());
    let server = serve_tls(
        move || options().write_timeout(Duration::from_secs(2)),
        async move |con: &mut Connection, _: &mut Request| {
            let _guard = OnDrop::new(&tell, ());
            let piece = pattern(PIECE);
            while con.send(&piece).await.is_ok() {
                count.fetch_add(PIECE, Ordering::SeqCst);
            }
        },
    );
    let mut stream = open(&trusting(BOTH), server.addr);
    stream.write_all(GET.as_bytes()).unwrap();
    stream.flush().unwrap();
    // What the kernel's socket buffers take, no more.
    let waiting = settled(&sent);
    assert!(waiting < 32 << 20, "{waiting} bytes accepted for a client that reads nothing");
    // And the write timeout ends it: visibly broken.
    next(&dropped);
    let error = stream.read_to_end(&mut Vec::new()).expect_err("no end in order");
    assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

#[test]
fn the_handler_is_dropped_when_the_client_resets() {
    let id = Identity::new();
    let (begin, begun) = channel();
    let (tell, dropped) = channel();
    let server = serve_tls(id.options(), async move |con: &mut Connection, req: &mut Request| {
        let _guard = OnDrop::new(&tell, req.path().to_owned());
        begin.send(()).unwrap();
        match req.path() {
            "/waits" => Gate::default().wait().await,
            "/reads" => drop(con.read_body(None, None).await),
            _ => loop {
                con.send(pattern(100_000)).await?;
                sleep(Duration::from_millis(1)).await;
            },
        }
        con.send("").await
    });
    for path in ["/waits", "/reads", "/sends"] {
        let mut stream = open(&trusting(BOTH), server.addr);
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n").unwrap();
        stream.flush().unwrap();
        next(&begun);
        thread::sleep(MOMENT / 3);
        reset(stream.sock);
        assert_eq!(next(&dropped), path);
    }
    // Its slot is free, the others go on.
    let mut client = over(open(&trusting(BOTH), server.addr));
    client.send(post("/reads", b"123456789"));
    assert_eq!(client.read_response().status, 200);
    assert_eq!(next(&dropped), "/reads");
    client.half_close();
    assert_eq!(client.rest(), (Vec::new(), End::Eof));
}
