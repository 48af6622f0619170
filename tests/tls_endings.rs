//! How TLS connections end.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;
mod common_tls;

use common::{Gate, PATIENCE, next, pattern, post, post_chunked, told};
use common_tls::{BOTH, GET, Identity, TLS12, TLS13, client, exchange, hi, open, open_with, serve_tls, trusting};
use ecohttpd::{Connection, Error, Request};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

#[test]
fn a_truncated_body_is_never_whole() {
    let id = Identity::new();
    let (tell, seen) = channel();
    let server = serve_tls(id.options(), async move |con: &mut Connection, _: &mut Request| {
        let body = con.read_body(None, None).await;
        tell.send(told(body.map(|body| body.len()))).unwrap();
        Ok::<(), Error>(())
    });
    let (whole, closed) = (Ok(1000), common::failed("Closed").map(|()| 0));
    let counted = post("/", &pattern(1000));
    let chunked = post_chunked("/", &pattern(1000), 100);
    let rows = [
        // RFC 9112 §9.8: a server should be prepared for an incomplete close of what is complete.
        ("counted, complete", &counted[..], &whole),
        ("chunked, complete", &chunked[..], &whole),
        ("counted", &counted[..counted.len() - 1], &closed),
        ("counted, none of it", &counted[..counted.len() - 1000], &closed),
        ("chunked, at a chunk's end", &chunked[..chunked.len() - 5], &closed),
        ("chunked, in the last one", &chunked[..chunked.len() - 1], &closed),
    ];
    for versions in [TLS12, TLS13] {
        for (name, bytes, expected) in rows {
            for (notify, end, wait) in
                [(true, true, false), (true, false, false), (false, true, false), (false, true, true)]
            {
                let mut stream = open(&trusting(versions), server.addr);
                stream.write_all(bytes).unwrap();
                stream.flush().unwrap();
                if wait {
                    thread::sleep(Duration::from_millis(20));
                }
                if notify {
                    stream.conn.send_close_notify();
                    stream.flush().unwrap();
                }
                if end {
                    stream.sock.shutdown(Shutdown::Write).unwrap();
                }
                let got = seen.recv_timeout(PATIENCE);
                assert_eq!(got.as_ref(), Ok(expected), "{name}; close_notify: {notify}, FIN: {end}, apart: {wait}");
            }
        }
    }
}

#[test]
fn close_notify_is_honoured_and_answered() {
    let id = Identity::new();
    let server = serve_tls(id.options(), hi);
    for versions in [TLS12, TLS13] {
        for before in ["", GET] {
            let mut stream = open(&trusting(versions), server.addr);
            stream.write_all(before.as_bytes()).unwrap();
            // The socket stays open: the alert alone must do.
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            let mut got = String::new();
            stream.read_to_string(&mut got).expect("an end with close_notify");
            assert_eq!(got.matches("HTTP/1.1 200 OK").count(), before.len().min(1), "{got}");
        }
    }
}

/// The last record and the alert behind it wait for room like everything else; what the client ended does not end ours.
#[test]
fn slow_readers_get_the_end() {
    let id = Identity::new();
    let data = Arc::new(pattern(4_000_000));
    let sent = Arc::clone(&data);
    let server = serve_tls(id.options(), async move |con: &mut Connection, req: &mut Request| {
        let len: usize = req.query_string().parse().unwrap();
        con.send(&sent[..len]).await
    });
    let config = trusting(BOTH);
    // Around what the sockets' buffers take.
    for len in (2_000_000..4_000_000).step_by(50_000) {
        let mut stream = open_with(&config, server.addr, |socket| socket.set_recv_buffer_size(4096).unwrap());
        write!(stream, "GET /?{len} HTTP/1.0\r\n\r\n").unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        thread::sleep(Duration::from_millis(10));
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got);
        assert!(end.is_ok() && got.ends_with(&data[..len]), "{len}: {end:?} after {}", got.len());
    }
}

#[test]
fn timeouts_and_stops_end_in_order() {
    let id = Identity::new();
    let options = id.options();
    let short = Duration::from_secs(1);
    let server = serve_tls(move || options().http_keepalive(short).header_timeout(short), hi);
    let config = trusting(BOTH);
    let mut idle = client(&config, server.addr);
    idle.send(GET);
    assert_eq!(idle.read_response().text(), "hi");
    idle.expect_close();
    let mut slow = client(&config, server.addr);
    slow.send("GET / HTTP/1.1\r\n");
    assert_eq!(slow.read_response().status, 408);
    slow.expect_close();
    client(&config, server.addr).expect_close();

    // Beyond the limit, the one that idles longest makes room.
    let options = id.options();
    let server = serve_tls(move || options().max_connections(2), hi);
    let mut clients = [0, 1].map(|_| client(&config, server.addr));
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.read_response().text(), "hi");
    }
    assert!(exchange(open(&config, server.addr)).unwrap().0.ends_with("hi"));
    clients[1].send(GET);
    assert_eq!(clients[1].read_response().text(), "hi");
    clients[0].expect_close();

    let gate = Gate::default();
    let (opened, (tell, begun)) = (gate.clone(), channel());
    let server = serve_tls(id.options(), async move |con: &mut Connection, _: &mut Request| {
        tell.send(()).unwrap();
        gate.wait().await;
        con.send("late").await
    });
    let mut running = client(&config, server.addr);
    running.send(GET);
    next(&begun);
    server.handle.stop(PATIENCE);
    opened.open();
    assert_eq!(running.read_response().text(), "late");
    running.expect_close();
    server.join().unwrap();
}

#[test]
fn idle_connections_end_in_order_at_a_stop() {
    let id = Identity::new();
    let server = serve_tls(id.options(), hi);
    let mut idle = client(&trusting(BOTH), server.addr);
    idle.send(GET);
    assert_eq!(idle.read_response().text(), "hi");
    server.handle.stop(PATIENCE);
    idle.expect_close();
    server.join().unwrap();
}

/// A reply that the server breaks off must not end as if it were whole.
#[test]
fn a_cut_reply_ends_without_close_notify() {
    const SENT: usize = 200_000;
    let id = Identity::new();
    let server = serve_tls(id.options(), async |con: &mut Connection, req: &mut Request| {
        if req.minor_version() == 1 {
            con.add_header("content-length", 2 * SENT)?;
        }
        con.send(pattern(SENT)).await?;
        Err::<(), _>(if req.path() == "/slow" { Error::Timeout } else { Error::BadStatus })
    });
    // To 1.0 the end of the stream is all that says where the body ends.
    for (path, version) in [("/", "1.1"), ("/", "1.0"), ("/slow", "1.1"), ("/slow", "1.0")] {
        let mut stream = open(&trusting(BOTH), server.addr);
        stream.write_all(format!("GET {path} HTTP/{version}\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        stream.flush().unwrap();
        let mut got = Vec::new();
        let end = stream.read_to_end(&mut got);
        assert!(end.is_err(), "{path} {version} ends as if it were whole, after {} bytes", got.len());
        // What was sent is there, but for a client that is let go.
        assert!(path == "/slow" || got.ends_with(&pattern(SENT)), "{path} {version}: {} bytes", got.len());
    }
}
