//! A client of HTTP/2 that sends and receives raw frames.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::PATIENCE;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        u32::from_be_bytes(self.payload[self.payload.len() - 4..].try_into().unwrap())
    }

    pub fn ends(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// What came of a request.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    /// Names and values; a name of the static table is `#` and its index.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Statuses of interim responses.
    pub interim: Vec<u16>,
    /// The code with which the stream was reset.
    pub reset: Option<u32>,
    /// Sizes of its DATA frames.
    pub frames: Vec<usize>,
}

impl Reply {
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub const CONTENT_LENGTH: &str = "#28";
pub const CONTENT_TYPE: &str = "#31";

pub trait Bytes: Read + Write + Send {}
impl<T: Read + Write + Send> Bytes for T {}

/// A connection.
pub struct Frames {
    wire: Box<dyn Bytes>,
    got: Vec<u8>,
    /// Frames that were read while another was waited for.
    kept: Vec<Frame>,
    /// Give windows back for what is received.
    pub reads: bool,
}

impl Frames {
    /// Connects in the clear, by prior knowledge, and exchanges SETTINGS.
    pub fn connect(addr: SocketAddr) -> Frames {
        Frames::over(tcp(addr)).settle(&[])
    }

    /// The same with settings.
    pub fn connect_with(addr: SocketAddr, settings: &[(u16, u32)]) -> Frames {
        Frames::over(tcp(addr)).settle(settings)
    }

    /// Nothing was sent yet.
    pub fn over(wire: impl Bytes + 'static) -> Frames {
        Frames { wire: Box::new(wire), got: Vec::new(), kept: Vec::new(), reads: true }
    }

    /// Sends the preface and settings, and reads those of the server and the acknowledgement.
    pub fn settle(mut self, settings: &[(u16, u32)]) -> Frames {
        self.send_bytes(PREFACE);
        self.settings(settings);
        let theirs = self.next().expect("SETTINGS");
        assert_eq!((theirs.kind, theirs.flags), (SETTINGS, 0));
        let ack = self.next().expect("an acknowledgement");
        assert_eq!((ack.kind, ack.flags), (SETTINGS, ACK));
        self.send(SETTINGS, ACK, 0, &[]);
        self
    }

    pub fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        self.send(SETTINGS, 0, 0, &payload);
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).expect("cannot send");
    }

    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send_bytes(&frame(kind, flags, stream, payload));
    }

    /// A request without a body.
    pub fn get(&mut self, stream: u32, path: &str) {
        self.request(stream, "GET", path, &[], true);
    }

    pub fn request(&mut self, stream: u32, method: &str, path: &str, fields: &[(&str, &str)], ends: bool) {
        let flags = END_HEADERS | if ends { END_STREAM } else { 0 };
        self.send(HEADERS, flags, stream, &block(method, path, fields));
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        self.send(DATA, u8::from(ends), stream, bytes);
    }

    pub fn widen(&mut self, stream: u32, by: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    }

    pub fn reset(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }

    /// The next frame; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Frame> {
        if !self.kept.is_empty() {
            return Some(self.kept.remove(0));
        }
        self.next_received()
    }

    fn next_received(&mut self) -> Option<Frame> {
        loop {
            if let [a, b, c, kind, flags, d, e, f, g, rest @ ..] = &self.got[..] {
                let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                if rest.len() >= len {
                    let stream = u32::from_be_bytes([*d, *e, *f, *g]);
                    let frame = Frame { kind: *kind, flags: *flags, stream, payload: rest[..len].to_vec() };
                    self.got.drain(..9 + len);
                    if frame.kind == DATA && len > 0 && self.reads {
                        let by = u32::try_from(len).unwrap().to_be_bytes();
                        // The server may have closed already.
                        let _ = self.try_send_bytes(&super::common_h2::frame(WINDOW_UPDATE, 0, 0, &by));
                        let _ = self.try_send_bytes(&super::common_h2::frame(WINDOW_UPDATE, 0, stream, &by));
                    }
                    return Some(frame);
                }
            }
            let mut buffer = [0; 16384];
            match self.wire.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.got.extend_from_slice(&buffer[..n]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    panic!("nothing comes");
                }
                Err(_) => return None,
            }
        }
    }

    /// The response to a request; frames of other streams are kept.
    pub fn reply(&mut self, stream: u32) -> Reply {
        let mut reply = Reply::default();
        let mut others = Vec::new();
        loop {
            let frame = self.next().unwrap_or_else(|| panic!("the end of the connection within {reply:?}"));
            if frame.stream != stream || frame.kind == WINDOW_UPDATE {
                others.push(frame);
                continue;
            }
            let ends = frame.ends();
            match frame.kind {
                HEADERS => {
                    assert_eq!(frame.flags & END_HEADERS, END_HEADERS, "a short head");
                    if matches!(reply.status, 100..200) {
                        reply.interim.push(reply.status);
                    }
                    (reply.status, reply.fields) = decode(&frame.payload);
                }
                DATA => {
                    reply.frames.push(frame.payload.len());
                    reply.body.extend_from_slice(&frame.payload);
                }
                RST_STREAM => {
                    reply.reset = Some(frame.code());
                    break;
                }
                other => panic!("a frame of type {other}"),
            }
            if ends {
                break;
            }
        }
        self.kept.splice(0..0, others);
        reply
    }

    /// A request and its response.
    pub fn ask(&mut self, stream: u32, path: &str) -> Reply {
        self.get(stream, path);
        self.reply(stream)
    }

    /// Reads on to GOAWAY; its code and last stream. Other frames are kept.
    pub fn goaway(&mut self) -> (u32, u32) {
        let mut others = Vec::new();
        loop {
            let frame = self.next().expect("GOAWAY before the end of the connection");
            if frame.kind != GOAWAY {
                others.push(frame);
            } else {
                self.kept.splice(0..0, others);
                return (frame.code(), u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
            }
        }
    }

    /// Reads to the end of the connection.
    pub fn expect_end(&mut self) {
        while self.next().is_some() {}
    }

    /// Asks and waits for an answer to a PING: whatever was sent before has been dealt with.
    pub fn ping(&mut self) {
        self.send(PING, 0, 0, b"are you?");
        let mut others = Vec::new();
        loop {
            let frame = self.next_received().expect("an answer to a PING");
            if frame.kind == PING && frame.flags == ACK && frame.payload == b"are you?" {
                self.kept.append(&mut others);
                return;
            }
            others.push(frame);
        }
    }
}

pub fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("cannot connect");
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = payload.len().to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [&[a, b, c, kind, flags, d, e, f, g], payload].concat()
}

/// A field block of a request: literals without indexing.
pub fn block(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let pseudo = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "localhost")];
    for (name, value) in pseudo.iter().chain(fields) {
        block.extend(field(name, value));
    }
    block
}

pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        integer(&mut bytes, text.len());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn integer(out: &mut Vec<u8>, value: usize) {
    if value < 127 {
        out.push(u8::try_from(value).unwrap());
        return;
    }
    out.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        out.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// Status and fields of a response's block, which uses neither a table nor Huffman coding.
fn decode(mut block: &[u8]) -> (u16, Vec<(String, String)>) {
    const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut status = 0;
    let mut fields = Vec::new();
    while let [first, rest @ ..] = block {
        match first {
            0x20 => block = rest,
            0x88..=0x8e => {
                status = STATUSES[usize::from(first - 0x88)];
                block = rest;
            }
            _ => {
                let index = number(&mut block, 15);
                let name = if index == 0 { text(&mut block) } else { format!("#{index}") };
                let value = text(&mut block);
                if index == 8 {
                    status = value.parse().unwrap();
                } else {
                    fields.push((name, value));
                }
            }
        }
    }
    (status, fields)
}

fn number(block: &mut &[u8], mask: u8) -> usize {
    let first = block[0];
    assert_eq!(first & !mask, 0, "no prefix: {first:#x}");
    *block = &block[1..];
    let mut value = usize::from(first);
    if first == mask {
        let mut shift = 0;
        loop {
            let byte = block[0];
            *block = &block[1..];
            value += usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
    }
    value
}

fn text(block: &mut &[u8]) -> String {
    let len = number(block, 127);
    let (text, rest) = block.split_at(len);
    *block = rest;
    str::from_utf8(text).unwrap().to_owned()
}
