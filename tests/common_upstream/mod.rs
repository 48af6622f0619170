//! Servers behind the one that is tested: raw bytes in the hands of the test.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::{PATIENCE, Wire};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A listening socket whose connections the test takes one by one.
pub struct Backend {
    pub port: u16,
    accepted: Receiver<Peer>,
}

impl Backend {
    /// At a free port of 127.0.0.1.
    pub fn tcp() -> Backend {
        Backend::at(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn at(listener: TcpListener) -> Backend {
        let port = listener.local_addr().unwrap().port();
        let (sender, accepted) = channel();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                if sender.send(Peer::new(stream)).is_err() {
                    return;
                }
            }
        });
        Backend { port, accepted }
    }

    pub fn unix(path: &Path) -> Backend {
        let listener = UnixListener::bind(path).unwrap();
        let (sender, accepted) = channel();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                UnixStream::set_read_timeout(&stream, Some(PATIENCE)).unwrap();
                if sender.send(Peer::new(stream)).is_err() {
                    return;
                }
            }
        });
        Backend { port: 0, accepted }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next connection.
    #[track_caller]
    pub fn accept(&self) -> Peer {
        self.accepted.recv_timeout(PATIENCE).expect("nobody connected")
    }

    /// The next connection, however long it takes.
    pub fn next(&self) -> Option<Peer> {
        self.accepted.recv().ok()
    }

    /// Whether another connection has come.
    pub fn try_accept(&self) -> Option<Peer> {
        self.accepted.try_recv().ok()
    }

    /// Answers the next request of a new connection.
    #[track_caller]
    pub fn answer(&self, reply: impl AsRef<[u8]>) -> (Received, Peer) {
        let mut peer = self.accept();
        let received = peer.request();
        peer.send(reply);
        (received, peer)
    }
}

/// One connection, seen from the server behind.
pub struct Peer {
    wire: Box<dyn Wire>,
    pending: Vec<u8>,
}

/// A request as it came.
#[derive(Debug)]
pub struct Received {
    pub line: String,
    /// In order, names as they came.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    /// The one field of that name.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let first = values.next();
        assert!(values.next().is_none(), "{name} more than once: {self:?}");
        first.map(|(_, value)| value.as_str())
    }
}

impl Peer {
    fn new(wire: impl Wire + 'static) -> Peer {
        Peer { wire: Box::new(wire), pending: Vec::new() }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write_all(bytes.as_ref()).expect("cannot send");
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write_all(bytes.as_ref())
    }

    pub fn half_close(&self) {
        self.wire.shut(Shutdown::Write).unwrap();
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> bool {
        let mut scratch = [0; 65536];
        loop {
            match self.wire.read(&mut scratch) {
                Ok(0) => return false,
                Ok(n) => self.pending.extend_from_slice(&scratch[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("{error} after {}", self.pending.escape_ascii()),
            }
            return true;
        }
    }

    /// Waits for more; false at the end.
    pub fn goes_on(&mut self) -> bool {
        !self.pending.is_empty() || self.more()
    }

    #[track_caller]
    pub fn read_exact(&mut self, n: usize) -> Vec<u8> {
        while self.pending.len() < n {
            assert!(self.more(), "the end after {}", self.pending.escape_ascii());
        }
        self.pending.drain(..n).collect()
    }

    /// The head of a request.
    #[track_caller]
    pub fn head(&mut self) -> Received {
        let end = loop {
            match self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(self.more(), "the end after {}", self.pending.escape_ascii()),
            }
        };
        let text = String::from_utf8(self.pending.drain(..end).collect()).unwrap();
        let mut lines = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let fields = lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("field {line:?}"));
                assert!(!value.contains(['\r', '\n']));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Received { line, fields, body: Vec::new() }
    }

    /// Answers each request until the end of the stream.
    pub fn answer_all(mut self, reply: &str) {
        loop {
            while !self.pending.windows(4).any(|four| four == b"\r\n\r\n") {
                if !self.more() {
                    return;
                }
            }
            self.request();
            self.send(reply);
        }
    }

    /// A whole request, whose body is as its head says.
    #[track_caller]
    pub fn request(&mut self) -> Received {
        let mut received = self.head();
        if let Some(length) = received.field("content-length") {
            assert_eq!(received.field("transfer-encoding"), None);
            let length = length.parse().unwrap();
            received.body = self.read_exact(length);
        } else if let Some(coding) = received.field("transfer-encoding") {
            assert_eq!(coding, "chunked");
            received.body = self.chunks();
        }
        received
    }

    /// A chunked body.
    #[track_caller]
    pub fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.extend(self.read_exact(1));
            }
            let size = str::from_utf8(&line[..line.len() - 2]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            body.extend(self.read_exact(size));
            assert_eq!(self.read_exact(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// All up to the end of the stream.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.pending)
    }

    /// Asserts that nothing more comes.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let rest = self.rest();
        assert_eq!(rest.escape_ascii().to_string(), "");
    }
}

/// A connection to a port that nobody listens at any more.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether a connection can be made: what is started takes a moment.
pub fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
