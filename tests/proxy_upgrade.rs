//! Connections that go over to another protocol, through the proxy.
#![cfg(feature = "proxy")]

mod common;
mod common_config;
mod common_files;
mod common_upstream;

use common::{Client, End, MOMENT};
use common_config::{Router, until};
use common_files::Daemon;
use common_upstream::{Backend, Peer};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;

const OFFER: &str = "GET /app/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// More than sockets and the server together hold of a direction that nobody reads.
const MUCH: usize = 16 << 20;

fn site(more: &[&str]) -> (Router, Daemon, Backend) {
    let (router, backend) = (Router::new(), Backend::tcp());
    let daemon = router.start_by(&[&["--proxy", &format!("/app={}", backend.url())], more].concat());
    (router, daemon, backend)
}

/// Both ends of a tunnel.
#[track_caller]
fn tunnel(daemon: &Daemon, backend: &Backend) -> (Client, Peer) {
    let mut client = daemon.connect();
    client.send(OFFER);
    let (received, peer) = backend.answer(SWITCH);
    assert_eq!(received.line, "GET /app/ws HTTP/1.1");
    assert_eq!((received.field("connection"), received.field("upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!(received.field("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    let reply = client.read_response();
    assert_eq!((reply.status, reply.header("upgrade")), (101, Some("websocket")));
    assert!(reply.has_token("connection", "upgrade"));
    assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    (client, peer)
}

#[test]
fn bytes_pass_both_ways_and_each_side_ends_by_itself() {
    let (_router, daemon, backend) = site(&[]);
    for client_first in [true, false] {
        let (mut client, mut peer) = tunnel(&daemon, &backend);
        for number in 0..3 {
            client.send(format!("ping {number}"));
            assert_eq!(peer.read_exact(6), format!("ping {number}").as_bytes());
            peer.send(format!("pong {number}"));
            assert_eq!(client.read_exact(6), format!("pong {number}").as_bytes());
        }
        if client_first {
            client.half_close();
            peer.expect_end();
            peer.send("last words");
            assert_eq!(client.read_exact(10), b"last words");
            drop(peer);
            client.expect_close();
        } else {
            peer.half_close();
            client.expect_close();
            client.send("last words");
            assert_eq!(peer.read_exact(10), b"last words");
            drop(client);
            peer.expect_end();
        }
    }
}

#[test]
fn what_comes_with_the_heads_is_passed_on() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send(format!("{OFFER}early"));
    let (_, mut peer) = backend.answer(format!("{SWITCH}first"));
    assert_eq!(client.read_response().status, 101);
    assert_eq!(client.read_exact(5), b"first");
    assert_eq!(peer.read_exact(5), b"early");
}

#[test]
fn neither_direction_waits_for_the_other() {
    let (_router, daemon, backend) = site(&[]);
    let stream = TcpStream::connect(daemon.addr).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let mut client = Client::new(stream);
    client.send(OFFER);
    let (_, mut peer) = backend.answer(SWITCH);
    client.read_response();
    // The server reads nothing before it has sent all, and the client sends all whether or not it is read.
    let client_sends = thread::spawn(move || sending.write_all(&vec![b'u'; MUCH]).unwrap());
    let server = thread::spawn(move || {
        peer.send(vec![b'd'; MUCH]);
        peer.read_exact(MUCH).iter().all(|&byte| byte == b'u')
    });
    assert!(client.read_exact(MUCH).iter().all(|&byte| byte == b'd'));
    assert!(server.join().unwrap());
    client_sends.join().unwrap();
}

#[test]
fn one_side_that_leaves_takes_the_other_along() {
    let (_router, daemon, backend) = site(&[]);
    let (client, mut peer) = tunnel(&daemon, &backend);
    drop(client);
    peer.expect_end();
    until("it is noticed", || peer.try_send("x").is_err());
    let (mut client, peer) = tunnel(&daemon, &backend);
    drop(peer);
    client.expect_close();
}

/// Also while it waits for the other one alone.
#[test]
fn a_client_that_breaks_is_noticed_while_the_server_does_not_read() {
    let (_router, daemon, backend) = site(&[]);
    let stream = TcpStream::connect(daemon.addr).unwrap();
    let mut client = Client::new(stream.try_clone().unwrap());
    client.send(OFFER);
    let (_, mut peer) = backend.answer(SWITCH);
    client.read_response();
    drop(client);
    stream.set_write_timeout(Some(MOMENT)).unwrap();
    while (&stream).write_all(&[b'u'; 1 << 16]).is_ok() {}
    common::reset(stream);
    until("the server sees it", || peer.try_send("x").is_err());
    peer.rest();
}

#[test]
fn silence_ends_it() {
    let (_router, daemon, backend) = site(&["--proxy-idle-timeout", "1", "--proxy-timeout", "1", "-T", "1"]);
    let (mut client, mut peer) = tunnel(&daemon, &backend);
    // Not as long as either side speaks.
    for _ in 0..4 {
        thread::sleep(4 * MOMENT);
        peer.send("x");
        assert_eq!(client.read_exact(1), b"x");
    }
    assert_eq!(client.rest().1, End::Eof);
    peer.expect_end();
}

#[test]
fn a_server_need_not_accept() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send(OFFER);
    let (_, mut peer) = backend.answer("HTTP/1.1 400 No\r\nContent-Length: 2\r\nUpgrade: websocket\r\n\r\nno");
    let reply = client.read_response();
    assert_eq!((reply.status, reply.header("upgrade"), reply.text()), (400, None, "no"));
    client.send("GET /app HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(peer.request().line, "GET /app HTTP/1.1");
}

/// A tunnel of requests would go around logins and rules.
#[test]
fn protocols_that_carry_requests_are_not_offered() {
    let (_router, daemon, backend) = site(&[]);
    #[rustfmt::skip]
    let heads = [
        "GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
        "GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
        "GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: HTTP/2.0\r\n\r\n",
        "GET /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
        "GET /app HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        "POST /app HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    ];
    for head in heads {
        let mut client = daemon.connect();
        client.send(head);
        let mut peer = backend.accept();
        let received = peer.request();
        assert_eq!(
            (received.field("upgrade"), received.field("connection"), received.field("http2-settings")),
            (None, None, None)
        );
        // A server that switches all the same is not followed.
        peer.send(SWITCH);
        assert_eq!(client.read_response().status, 502, "{head:?}");
    }
}

#[test]
fn it_outlives_a_reload() {
    let (router, backend) = (Router::new(), Backend::tcp());
    router.section(&format!("list proxy '/app={}'", backend.url()));
    let daemon = router.start(1);
    let (mut client, mut peer) = tunnel(&daemon, &backend);
    for number in 0..20 {
        assert!(router.reload(&daemon).contains("reloaded"));
        client.send([number]);
        assert_eq!(peer.read_exact(1), [number]);
        peer.send([number]);
        assert_eq!(client.read_exact(1), [number]);
    }
}

#[test]
fn idle_ones_take_little_memory() {
    const TUNNELS: usize = 100;
    if std::env::var_os("ECOHTTPD_RUNNER").is_some() {
        return common::skip("the memory would be the emulator's");
    }
    let (_router, daemon, backend) = site(&[]);
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let mut open = vec![tunnel(&daemon, &backend)];
    let before = memory();
    for _ in 0..TUNNELS {
        let (mut client, mut peer) = tunnel(&daemon, &backend);
        client.send("ping");
        peer.read_exact(4);
        peer.send("pong");
        client.read_exact(4);
        open.push((client, peer));
    }
    let each = (memory() - before) * 1024 / TUNNELS;
    assert!(each < 8 << 10, "{each} bytes each");
}
