//! The ceiling of the benchmarks: a loop that answers every `\r\n\r\n` with one canned write.
//!
//! It parses nothing, opens nothing and keeps no time, so no HTTP server of one thread, on the same
//! kernel, can cost less: what a server takes beyond it is what serving costs.
//!
//! ```sh
//! ceiling ADDR BODY_BYTES [close]     # close: end the connection after each reply
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (addr, body, close) = match args.as_slice() {
        [addr, body] => (addr, body, false),
        [addr, body, close] if close == "close" => (addr, body, true),
        _ => return Err("usage: ceiling ADDR BODY_BYTES [close]".into()),
    };
    let mut listener = TcpListener::bind(addr.parse::<SocketAddr>()?)?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(serve(&mut listener, &reply(body.parse()?, close), close)?)
}

/// A reply of the size that a server of files sends.
fn reply(body: usize, close: bool) -> Vec<u8> {
    let connection = if close { "connection: close\r\n" } else { "" };
    let mut reply = format!(
        "HTTP/1.1 200 OK\r\n\
         date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         content-type: application/octet-stream\r\n\
         content-length: {body}\r\n\
         last-modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
         etag: \"0123456789abcdef\"\r\n\
         accept-ranges: bytes\r\n\
         {connection}\r\n"
    )
    .into_bytes();
    reply.resize(reply.len() + body, 0);
    reply
}

fn serve(listener: &mut TcpListener, reply: &[u8], close: bool) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.registry().register(listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    // Indexed by descriptor: the kernel always hands out the lowest that is free.
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut scratch = [0; 16 * 1024];
    loop {
        match poll.poll(&mut events, None) {
            Err(err) if err.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(listener, &poll, &mut conns)?;
            } else if let Some(slot) = conns.get_mut(event.token().0)
                && let Some(conn) = slot
                && !conn.drive(&mut scratch, reply, close)
            {
                *slot = None;
            }
        }
    }
}

/// Accepts all who wait: the listener is edge-triggered.
fn accept(listener: &TcpListener, poll: &Poll, conns: &mut Vec<Option<Conn>>) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(err) if err.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(err) if err.kind() == ErrorKind::ConnectionAborted => continue,
            Err(err) => return Err(err),
        };
        stream.set_nodelay(true)?;
        let key = usize::try_from(stream.as_raw_fd()).map_err(io::Error::other)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(key), interest)?;
        if conns.len() <= key {
            conns.resize_with(key + 1, || None);
        }
        conns[key] = Some(Conn { stream, matched: 0, owed: 0 });
    }
}

struct Conn {
    stream: TcpStream,
    /// Bytes of `\r\n\r\n` at the end of what was read: it may be split between two reads.
    matched: u8,
    /// Bytes of replies not yet taken by the kernel.
    owed: usize,
}

impl Conn {
    /// Reads and answers until the kernel has no more; false when the connection is over.
    fn drive(&mut self, scratch: &mut [u8], reply: &[u8], close: bool) -> bool {
        let mut drained = false;
        loop {
            while self.owed > 0 {
                // What is owed of the reply under way; the rest, if any, is whole replies.
                let left = (self.owed - 1) % reply.len() + 1;
                match self.stream.write(&reply[reply.len() - left..]) {
                    Ok(n) => self.owed -= n,
                    Err(err) => return err.kind() == ErrorKind::WouldBlock,
                }
                if close && self.owed.is_multiple_of(reply.len()) {
                    return false;
                }
            }
            if drained {
                return true;
            }
            match self.stream.read(scratch) {
                Ok(0) => return false,
                Ok(n) => {
                    self.owed = self.heads(&scratch[..n]) * reply.len();
                    // A read that did not fill the buffer emptied the socket: more is a new edge.
                    drained = n < scratch.len();
                }
                Err(err) => return err.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// How many heads end in `bytes`.
    fn heads(&mut self, bytes: &[u8]) -> usize {
        let mut ends = 0;
        for &byte in bytes {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') | (1, b'\n') => self.matched + 1,
                (3, b'\n') => {
                    ends += 1;
                    0
                }
                (_, b'\r') => 1,
                _ => 0,
            };
        }
        ends
    }
}

/// No descriptor of a connection has this number.
const LISTENER: Token = Token(usize::MAX - 1);
