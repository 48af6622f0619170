//! What an idle WebSocket costs. A file of its own: nothing else may take memory meanwhile.

#![allow(clippy::unwrap_used)]

mod common;
mod common_websocket;

use common::{resident, serve};
use common_websocket::{BINARY, frame, request};
use ecohttpd::{Connection, Message, Options, Request, WebSocketOptions};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Bytes of an idle WebSocket: the connection, the future of its handler, the head of its request, and no buffer.
const IDLE: usize = 4096;

const COUNT: usize = 300;

/// Bytes of a message: more than an idle one may cost.
const LEN: usize = 20_000;

fn use_once(addr: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream.write_all(request("/", "").as_bytes()).unwrap();
    stream.write_all(&frame(BINARY, [7; LEN])).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.read_exact(&mut [0; LEN + 4]).unwrap();
    stream
}

#[test]
fn an_idle_one_owns_no_buffers() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| {
        let mut socket = con.websocket(&WebSocketOptions::new()).await?;
        while let Some(Message::Binary(bytes)) = socket.recv().await? {
            socket.send_binary(bytes).await?;
        }
        Ok::<(), ecohttpd::Error>(())
    });
    // The first fill what is shared.
    let first: Vec<TcpStream> = (0..COUNT / 3).map(|_| use_once(server.addr)).collect();
    let before = resident();
    let more: Vec<TcpStream> = (0..COUNT).map(|_| use_once(server.addr)).collect();
    let each = resident().saturating_sub(before) / COUNT;
    println!("{each} bytes for an idle WebSocket");
    assert!(each <= IDLE, "{each} bytes");
    drop((first, more));
}
