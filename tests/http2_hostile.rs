//! Clients of HTTP/2 that mean it badly: each is told to calm down, or costs a bounded amount, and others are served.

#![cfg(feature = "http2")]
#![allow(clippy::unwrap_used)]

mod common;
mod common_h2;

use common::{Running, resident, serve};
use common_h2::*;
use ecohttpd::{Connection, Options, Request, Result};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CALM: u32 = 11;

/// Handlers of `/counted` that run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

const PIECE: &[u8] = &[b'x'; 10_000];

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn handler(con: &mut Connection, req: &mut Request) -> Result<()> {
    match req.path() {
        "/counted" => {
            RUNNING.fetch_add(1, Ordering::SeqCst);
            let _counted = Counted;
            std::future::pending().await
        }
        "/hangs" => std::future::pending().await,
        "/big" => {
            for _ in 0..100 {
                con.send(PIECE).await?;
            }
            Ok(())
        }
        _ => con.send("hello").await,
    }
}

fn server() -> Running {
    serve(|| Options::new().http2_prior_knowledge(true), handler)
}

/// Sends bytes for as long as the server takes them, then reads what it said; the code of its GOAWAY.
fn flood(server: &Running, opening: &[u8], repeated: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut socket = tcp(server.addr);
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), opening].concat();
    for nth in 0..20_000 {
        bytes.extend(repeated(nth));
        if bytes.len() > 8192 {
            if socket.write_all(&bytes).is_err() {
                break;
            }
            bytes.clear();
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
    let mut got = Vec::new();
    // A reset may end it.
    let _ = socket.read_to_end(&mut got);
    let mut rest = &got[..];
    let mut code = None;
    while let [a, b, c, kind, _, _, _, _, _, tail @ ..] = rest {
        let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some((payload, tail)) = tail.split_at_checked(len) else { break };
        if *kind == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        rest = tail;
    }
    let mut other = Frames::connect(server.addr);
    assert_eq!(other.ask(1, "/").text(), "hello", "others are served");
    code.expect("GOAWAY")
}

fn get(nth: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, nth * 2 + 1, &block("GET", path, &[]))
}

#[test]
fn rapid_reset() {
    let server = server();
    let code =
        flood(&server, &[], |nth| [get(nth, "/counted"), frame(RST_STREAM, 0, nth * 2 + 1, &[0, 0, 0, 8])].concat());
    assert_eq!(code, CALM);
    assert_eq!(RUNNING.load(Ordering::SeqCst), 0, "handlers are dropped");
}

#[test]
fn made_resets() {
    let code =
        flood(&server(), &[], |nth| [get(nth, "/hangs"), frame(WINDOW_UPDATE, 0, nth * 2 + 1, &[0; 4])].concat());
    assert_eq!(code, CALM);
}

#[test]
fn continuation_flood() {
    let open = frame(HEADERS, END_STREAM, 1, b"");
    assert_eq!(flood(&server(), &open, |_| frame(CONTINUATION, 0, 1, b"")), CALM);
    assert_eq!(flood(&server(), &open, |_| frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(9000)))), CALM);
}

#[test]
fn floods_of_control_frames() {
    let server = server();
    #[rustfmt::skip]
    let rows = [
        (frame(PING, 0, 0, &[0; 8]), "PING"), (frame(SETTINGS, 0, 0, &[]), "SETTINGS"),
        (frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1].repeat(1000)), "many settings"),
        (frame(PRIORITY, 0, 1, &[0; 5]), "PRIORITY"), (frame(16, 0, 0, b"\0\0\0\x01u=1"), "PRIORITY_UPDATE"),
        (frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), "WINDOW_UPDATE"), (frame(200, 0, 0, &[0; 5000]), "unknown frames"),
    ];
    for (bytes, name) in rows {
        assert_eq!(flood(&server, &[], |_| bytes.clone()), CALM, "{name}");
    }
}

#[test]
fn empty_data() {
    let open = frame(HEADERS, END_HEADERS, 1, &block("POST", "/hangs", &[]));
    assert_eq!(flood(&server(), &open, |_| frame(DATA, 0, 1, b"")), CALM);
    assert_eq!(flood(&server(), &open, |_| frame(DATA, 8, 1, b"\x02\0\0")), CALM);
}

#[test]
fn malformed_requests() {
    assert_eq!(flood(&server(), &[], |nth| frame(HEADERS, 5, nth * 2 + 1, b"\x82")), CALM);
}

#[test]
fn windows_of_a_byte() {
    let open = [frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]), get(0, "/big")].concat();
    assert_eq!(flood(&server(), &open, |_| frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])), CALM);
}

/// A field of 4,000 bytes in the table, and then 16,000 bytes that each mean it.
#[test]
fn hpack_bombs() {
    let server = server();
    let mut client = Frames::connect(server.addr);
    let before = resident();
    for nth in 0..10_u32 {
        let mut bomb = block("GET", "/", &[]);
        if nth == 0 {
            bomb.extend(b"\x40\x01x\x7f\xa1\x1e");
            bomb.extend([b'y'; 4000]);
        }
        bomb.extend([0xbe; 10_000]);
        client.send(HEADERS, END_HEADERS | END_STREAM, nth * 2 + 1, &bomb);
        assert_eq!(client.reply(nth * 2 + 1).status, 431);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes");
}

/// Connections whose streams all stall, the client reading nothing or giving no window.
#[test]
fn stalled_streams() {
    let server = server();
    let calm = resident();
    let mut clients: Vec<Frames> = (0..20).map(|_| Frames::connect_with(server.addr, &[(4, 0)])).collect();
    for client in &mut clients {
        client.reads = false;
        let bytes: Vec<u8> = (0..64).flat_map(|nth| get(nth, "/big")).collect();
        client.send_bytes(&bytes);
        client.ping();
    }
    let cost = resident().saturating_sub(calm) / (20 * 64);
    assert!(cost < 16 << 10, "{cost} bytes a stream");
    let mut other = Frames::connect(server.addr);
    assert_eq!(other.ask(1, "/").text(), "hello");
}

/// No more streams than 16 for each connection that there may be, on all together; the rest may be sent again.
#[test]
fn streams_of_all_connections_are_bounded() {
    let server = serve(|| Options::new().http2_prior_knowledge(true).max_connections(4), handler);
    let mut first = Frames::connect(server.addr);
    for nth in 0..64 {
        first.get(nth * 2 + 1, "/hangs");
    }
    first.ping();
    let mut second = Frames::connect(server.addr);
    second.get(1, "/hangs");
    second.get(3, "/hangs");
    assert_eq!(second.reply(3).reset, Some(7), "one is always let in, no more");
    first.reset(1);
    first.reset(3);
    first.ping();
    assert_eq!(second.ask(5, "/").text(), "hello");
}

/// At the limit of connections, an idle one makes room, and then one whose streams all wait for their client.
#[test]
fn idle_and_stalled_connections_make_room() {
    let server = serve(
        || Options::new().http2_prior_knowledge(true).max_connections(2).http_keepalive(Duration::from_secs(60)),
        handler,
    );
    let mut idle = Frames::connect(server.addr);
    idle.ask(1, "/");
    let mut busy = Frames::connect(server.addr);
    busy.get(1, "/hangs");
    busy.ping();
    let mut third = Frames::connect(server.addr);
    assert_eq!(third.ask(1, "/").text(), "hello", "the idle one went");
    idle.expect_end();
    busy.ping();
    drop(third);
    let mut stalled = Frames::connect_with(server.addr, &[(4, 0)]);
    stalled.send_bytes(&(0..64).flat_map(|nth| get(nth, "/big")).collect::<Vec<u8>>());
    stalled.ping();
    let mut last = Frames::connect(server.addr);
    assert_eq!(last.ask(1, "/").text(), "hello", "the stalled one went");
    stalled.expect_end();
    busy.ping();
}
