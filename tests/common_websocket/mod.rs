//! A WebSocket client that sees frames.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::Client;
use std::net::SocketAddr;

/// The key of RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to it.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A request for a WebSocket, with these fields besides.
pub fn request(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
}

/// A masked frame that begins with this byte.
pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut out = vec![first];
    match payload.len() {
        len @ ..126 => out.push(0x80 | u8::try_from(len).unwrap()),
        len @ ..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// The frame that closes.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, close_payload(code, reason))
}

pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// Connects and opens a WebSocket.
#[track_caller]
pub fn open(addr: SocketAddr, path: &str) -> Client {
    let mut client = Client::connect(addr);
    client.send(request(path, ""));
    expect_open(&mut client);
    client
}

#[track_caller]
pub fn expect_open(client: &mut Client) {
    let response = client.read_response();
    assert_eq!(response.status, 101, "{response:?}");
    assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert!(response.has_token("connection", "upgrade"));
}

/// The first byte of the next frame, and its payload.
#[track_caller]
pub fn read_frame(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.read_exact(2);
    assert_eq!(head[1] & 0x80, 0, "a server does not mask");
    let len = match head[1] {
        126 => u64::from(u16::from_be_bytes(client.read_exact(2).try_into().unwrap())),
        127 => u64::from_be_bytes(client.read_exact(8).try_into().unwrap()),
        short => u64::from(short),
    };
    (head[0], client.read_exact(usize::try_from(len).unwrap()))
}

/// The next frame is this one.
#[track_caller]
pub fn expect(client: &mut Client, first: u8, payload: impl AsRef<[u8]>) {
    let (got, bytes) = read_frame(client);
    assert_eq!((got, bytes.escape_ascii().to_string()), (first, payload.as_ref().escape_ascii().to_string()));
}

/// The next frame closes with this code, and then the stream ends.
#[track_caller]
pub fn expect_close(client: &mut Client, code: u16) {
    let (first, payload) = read_frame(client);
    assert_eq!((first, payload.get(..2)), (CLOSE, Some(&code.to_be_bytes()[..])), "{}", payload.escape_ascii());
    client.expect_close();
}
