//! What the black-box tests share: a server on a thread of its own, and a client that sees bytes.
//!
//! The client checks every reply it reads: a status line, `Date` and `Server` on final replies, exactly one way of
//! delimiting the body, no body where none belongs. Whatever waits has a generous timeout, so no test hangs.

#![allow(dead_code, clippy::unwrap_used)]

mod skip;
pub mod system;

// Not every test has what may be missing.
#[allow(unused_imports)]
pub use skip::skip;

use ecohttpd::{Connection, Handle, IntoOutcome, Options, Request, Result, Server};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// How long anything may take before its test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A time that tests let pass: a server's timeout, or what shows that nothing happens.
pub const MOMENT: Duration = Duration::from_millis(150);

/// A server that runs on its own thread; stopped and joined when dropped.
pub struct Running {
    /// Where its TCP listener, if it has one, is bound.
    pub addr: SocketAddr,
    pub handle: Handle,
    ended: Receiver<io::Result<()>>,
}

/// Serves on a free port of 127.0.0.1.
pub fn serve<H, R>(options: impl FnOnce() -> Options + Send + 'static, handler: H) -> Running
where
    H: AsyncFn(&mut Connection, &mut Request) -> R + Send + 'static,
    R: IntoOutcome,
{
    start(move || {
        let mut server = Server::new(options(), handler).unwrap();
        let addr = server.bind("127.0.0.1", 0).unwrap();
        (server, addr)
    })
}

/// Runs the server that `make` makes, on the thread where it makes it.
pub fn start(make: impl FnOnce() -> (Server, SocketAddr) + Send + 'static) -> Running {
    let (ready, made) = channel();
    let (done, ended) = channel();
    thread::spawn(move || {
        let (server, addr) = make();
        ready.send((addr, server.handle())).unwrap();
        let result = server.run();
        // Nobody listens when the test has given up.
        let _ = done.send(result);
    });
    let (addr, handle) = made.recv_timeout(PATIENCE).expect("the server did not start");
    Running { addr, handle, ended }
}

impl Running {
    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Sends `bytes` on a new connection and reads the reply.
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(bytes);
        client.read_response()
    }

    /// A GET that asks to close; reads the reply.
    pub fn get(&self, path: &str) -> Response {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    /// Waits until the server has ended by itself or by an earlier stop.
    pub fn join(self) -> io::Result<()> {
        self.ended.recv_timeout(PATIENCE).expect("the server did not end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop(Duration::ZERO);
        // Also an error when `join` took the result, or the thread panicked: the test has seen that already.
        if matches!(self.ended.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Timeout)) {
            eprintln!("the server hangs, left behind");
        }
    }
}

/// What a method answered, as text that can leave the server's thread.
pub type Told<T> = std::result::Result<T, String>;

pub fn told<T>(result: Result<T>) -> Told<T> {
    result.map_err(|error| format!("{error:?}"))
}

pub fn failed(error: &str) -> Told<()> {
    Err(error.to_owned())
}

/// A server whose handler tells what its calls answered.
pub fn telling<T: Send + 'static, H>(
    options: impl FnOnce() -> Options + Send + 'static,
    handler: H,
) -> (Running, Receiver<T>)
where
    H: AsyncFn(&mut Connection, &mut Request, &Sender<T>) -> Result<()> + Send + 'static,
{
    let (tell, told) = channel();
    let server = serve(options, async move |con: &mut Connection, req: &mut Request| handler(con, req, &tell).await);
    (server, told)
}

pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub fn post_chunked(path: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut out = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    body.chunks(size).for_each(|piece| out.extend(chunk(piece)));
    out.extend(chunk(""));
    out
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Eof,
    Reset,
}

/// How a reply's body was delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Nothing,
    Length,
    Chunked,
    Close,
}

/// One reply, whole.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub framing: Framing,
    /// As it came, chunk framing included.
    pub raw: Vec<u8>,
}

impl Response {
    /// The one field of that name; panics when there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let first = values.next();
        assert_eq!(values.next(), None, "{name} more than once: {self:?}");
        first
    }

    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// Whether it announces that the connection ends.
    pub fn closes(&self) -> bool {
        self.has_token("connection", "close")
    }

    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
    }
}

/// What a client needs of a socket.
pub trait Wire: Read + Write + Send {
    fn shut(&self, how: Shutdown) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl Wire for UnixStream {
    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

/// A client of raw bytes.
pub struct Client {
    wire: Box<dyn Wire>,
    /// Received, not yet looked at.
    pending: Vec<u8>,
    ended: Option<End>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("cannot connect");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }

    pub fn connect_unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path).expect("cannot connect");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }

    /// A client on a stream that has its timeouts already.
    pub fn new(wire: impl Wire + 'static) -> Client {
        Client { wire: Box::new(wire), pending: Vec::new(), ended: None }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("cannot send");
    }

    /// As `send`, where the server may have closed already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write_all(bytes.as_ref())
    }

    /// Ends our direction.
    pub fn half_close(&self) {
        self.wire.shut(Shutdown::Write).expect("cannot shut down");
    }

    /// The reply to anything but HEAD; interim replies are not skipped.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.try_response(false).unwrap_or_else(|end| panic!("{end:?} before the reply's end: {:?}", self.seen()))
    }

    /// The reply to HEAD.
    #[track_caller]
    pub fn read_head_response(&mut self) -> Response {
        self.try_response(true).unwrap_or_else(|end| panic!("{end:?} before the head's end: {:?}", self.seen()))
    }

    /// A reply, or how the stream ended before it was whole; what came of it can be had by `rest`.
    pub fn try_response(&mut self, to_head: bool) -> std::result::Result<Response, End> {
        let head_len = loop {
            match self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.more()?,
            }
        };
        let mut response = parse_head(&self.pending[..head_len]);
        let mut at = head_len;
        response.framing = framing(&response, to_head);
        match response.framing {
            Framing::Nothing => {}
            Framing::Length => {
                let length: usize = response.header("content-length").unwrap().parse().unwrap();
                at += length;
                self.at_least(at)?;
                response.body = self.pending[head_len..at].to_vec();
            }
            Framing::Close => {
                let end = loop {
                    if let Err(end) = self.more() {
                        break end;
                    }
                };
                if end == End::Reset {
                    return Err(end);
                }
                at = self.pending.len();
                response.body = self.pending[head_len..].to_vec();
            }
            Framing::Chunked => loop {
                let line = self.line_at(at)?;
                let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap(), 16).expect("a chunk size");
                at += line.len() + 2;
                self.at_least(at + size + 2)?;
                response.body.extend_from_slice(&self.pending[at..at + size]);
                assert_eq!(self.pending[at + size..at + size + 2], *b"\r\n", "a chunk's end");
                at += size + 2;
                if size == 0 {
                    break;
                }
            },
        }
        response.raw = self.pending.drain(..at).collect();
        Ok(response)
    }

    /// Everything up to the stream's end, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        loop {
            if let Err(end) = self.more() {
                return (std::mem::take(&mut self.pending), end);
            }
        }
    }

    /// Asserts that the stream ends in order, with nothing more to come.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let (rest, end) = self.rest();
        assert_eq!((String::from_utf8_lossy(&rest).as_ref(), end), ("", End::Eof));
    }

    /// Reads until `n` bytes are there, and takes them.
    #[track_caller]
    pub fn read_exact(&mut self, n: usize) -> Vec<u8> {
        self.at_least(n).unwrap_or_else(|end| panic!("{end:?} after {:?}", self.seen()));
        self.pending.drain(..n).collect()
    }

    /// Reads and drops up to `n` bytes, at least one; 0 at the end.
    pub fn skim(&mut self, n: usize) -> usize {
        if !self.pending.is_empty() {
            let n = n.min(self.pending.len());
            self.pending.drain(..n);
            return n;
        }
        let mut scratch = vec![0; n];
        self.wire.read(&mut scratch).expect("cannot read")
    }

    fn seen(&self) -> String {
        self.pending.escape_ascii().to_string()
    }

    fn at_least(&mut self, n: usize) -> std::result::Result<(), End> {
        while self.pending.len() < n {
            self.more()?;
        }
        Ok(())
    }

    fn line_at(&mut self, at: usize) -> std::result::Result<Vec<u8>, End> {
        loop {
            let rest = self.pending.get(at..).unwrap_or_default();
            match rest.windows(2).position(|two| two == b"\r\n") {
                Some(len) => return Ok(rest[..len].to_vec()),
                None => self.more()?,
            }
        }
    }

    fn more(&mut self) -> std::result::Result<(), End> {
        if let Some(end) = self.ended {
            return Err(end);
        }
        let mut scratch = [0; 65536];
        let end = match self.wire.read(&mut scratch) {
            Ok(0) => End::Eof,
            Ok(n) => {
                self.pending.extend_from_slice(&scratch[..n]);
                return Ok(());
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => End::Reset,
            // A debugger's signals, or those of a machine that was suspended.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => panic!("{error} after {:?}", self.seen()),
        };
        self.ended = Some(end);
        Err(end)
    }
}

fn parse_head(raw: &[u8]) -> Response {
    let text = std::str::from_utf8(raw).expect("a head of text");
    let mut lines = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    let line = lines.next().unwrap();
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("status line {line:?}"));
    let (code, reason) = rest.split_once(' ').unwrap_or_else(|| panic!("status line {line:?}"));
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("header line {line:?}"));
            assert!(!name.contains([' ', '\t']) && !line.contains(['\r', '\n']), "header line {line:?}");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    Response {
        status: code.parse().unwrap(),
        reason: reason.to_owned(),
        headers,
        body: Vec::new(),
        framing: Framing::Nothing,
        raw: Vec::new(),
    }
}

/// RFC 9112 §6.3 as a client reads it, and what every reply of ours must have.
fn framing(response: &Response, to_head: bool) -> Framing {
    let (length, coding) = (response.header("content-length"), response.header("transfer-encoding"));
    assert!(length.is_none() || coding.is_none(), "two ways to delimit: {response:?}");
    if response.status >= 200 {
        assert_eq!(response.all("date").count(), 1, "one Date: {response:?}");
        assert_eq!(response.all("server").count(), 1, "one Server: {response:?}");
    }
    if response.status < 200 || response.status == 204 {
        assert_eq!((length, coding), (None, None), "RFC 9110 §8.6: {response:?}");
        return Framing::Nothing;
    }
    match (length, coding) {
        _ if to_head || response.status == 304 => Framing::Nothing,
        (Some(_), _) => Framing::Length,
        (None, Some(coding)) => {
            assert_eq!(coding, "chunked");
            Framing::Chunked
        }
        (None, None) => {
            assert!(response.closes(), "delimited by nothing: {response:?}");
            Framing::Close
        }
    }
}

/// A chunk of a chunked body; an empty one ends the body.
pub fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    let mut out = format!("{:x}\r\n", data.len()).into_bytes();
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}

/// `len` bytes that repeat only after a prime number, so that a lost or doubled piece shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

/// An event that any thread fires and any handler awaits.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    pub fn open(&self) {
        let mut gate = self.0.lock().unwrap();
        gate.0 = true;
        gate.1.drain(..).for_each(Waker::wake);
    }

    pub async fn wait(&self) {
        poll_fn(|cx| {
            let mut gate = self.0.lock().unwrap();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Sends its value when it is dropped: tells that a future is gone.
pub struct OnDrop<T>(Option<(Sender<T>, T)>);

impl<T> OnDrop<T> {
    pub fn new(to: &Sender<T>, value: T) -> OnDrop<T> {
        OnDrop(Some((to.clone(), value)))
    }
}

impl<T> Drop for OnDrop<T> {
    fn drop(&mut self) {
        if let Some((to, value)) = self.0.take() {
            // The test may be over.
            let _ = to.send(value);
        }
    }
}

/// What comes next out of a channel.
#[track_caller]
pub fn next<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(PATIENCE).expect("nothing came")
}

/// What a counter stands at when it has stopped to grow.
pub fn settled(counter: &AtomicUsize) -> usize {
    let mut before = counter.load(Ordering::SeqCst);
    let mut still = 0;
    while still < 10 {
        thread::sleep(Duration::from_millis(30));
        let now = counter.load(Ordering::SeqCst);
        still = if now == before && now > 0 { still + 1 } else { 0 };
        before = now;
    }
    before
}

/// Memory of this process that is resident, in bytes.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Closes with a reset instead of an end.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}
