//! One client that takes all connections it can get, and another that still has to be answered.
//!
//! The one comes from 127.0.0.1 with 300 sockets, three times the daemon's limit, and opens each again that is closed;
//! the other comes from 127.0.0.2. `ECOHTTPD_CROWD=1` prints how long the slowest of its answers took.

#![allow(clippy::unwrap_used)]

mod common;
mod common_cgi;
mod common_files;
#[cfg(feature = "tls")]
mod common_tls;

use common::{Client, PATIENCE};
use common_cgi::Scripts;
use common_files::request;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sockets of the attacker, three times what the daemon takes.
const SOCKETS: usize = 300;

/// Reads its whole body, slowly or not.
const TAKE: &str = "#!/bin/sh\ncat >/dev/null\nprintf '\\ntaken'\n";

fn connect(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    // A small window, so that a download stands as soon as it is not read.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// How one of the attacker's sockets behaves: what it sends first, and then a little at a time.
struct Attack {
    port: SocketAddr,
    first: Vec<u8>,
    /// Sent and read with each round, of which there are ten a second.
    drip: &'static [u8],
    read: usize,
}

impl Attack {
    /// Until it is over; counts how often a socket was opened.
    fn run(&self, over: &AtomicBool, opened: &AtomicUsize) {
        let mut sockets: Vec<Option<TcpStream>> = (0..SOCKETS).map(|_| None).collect();
        while !over.load(Ordering::Relaxed) {
            for socket in &mut sockets {
                if !socket.as_mut().is_some_and(|stream| self.is_alive(stream)) {
                    *socket = self.open();
                    opened.fetch_add(1, Ordering::Relaxed);
                }
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn open(&self) -> Option<TcpStream> {
        let mut stream = connect(Ipv4Addr::LOCALHOST, self.port);
        stream.write_all(&self.first).ok()?;
        stream.set_nonblocking(true).unwrap();
        Some(stream)
    }

    fn is_alive(&self, stream: &mut TcpStream) -> bool {
        let waits = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
        let mut scratch = vec![0; self.read.max(1)];
        let open = match stream.peek(&mut scratch[..1]) {
            Ok(n) => n > 0,
            Err(error) => waits(error),
        };
        let read = self.read == 0 || stream.read(&mut scratch).map_or_else(waits, |n| n > 0);
        let written = self.drip.is_empty() || stream.write(self.drip).map_or_else(waits, |n| n > 0);
        open && read && written
    }
}

/// Runs the attack until all places were taken, and then `exchange` twenty times beside it.
fn beside(site: &Scripts, attack: &Attack, exchange: impl Fn(TcpStream)) {
    let (over, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| attack.run(&over, &opened));
        common_cgi::until("the attack does not begin", || opened.load(Ordering::Relaxed) >= SOCKETS);
        let started = site.descriptors();
        assert!(started > 90, "not all places are taken: {started} descriptors");
        let mut slowest = Duration::ZERO;
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..20 {
                let start = Instant::now();
                exchange(connect(Ipv4Addr::new(127, 0, 0, 2), attack.port));
                slowest = slowest.max(start.elapsed());
                thread::sleep(Duration::from_millis(50));
            }
        }));
        over.store(true, Ordering::Relaxed);
        if std::env::var_os("ECOHTTPD_CROWD").is_some() {
            eprintln!("slowest: {slowest:?}; sockets opened: {}", opened.load(Ordering::Relaxed));
        }
        result.unwrap();
    });
}

fn get_file(stream: TcpStream) {
    let mut client = Client::new(stream);
    client.send(request("GET", "/file", &[], true));
    assert_eq!(client.read_response().text(), "content");
}

fn site(args: &[&str]) -> Scripts {
    let site = Scripts::new(args, &[("take", TAKE)]);
    std::fs::write(site.root.join("file"), "content").unwrap();
    std::fs::write(site.root.join("large"), vec![b'x'; 16 << 20]).unwrap();
    site
}

#[test]
fn half_sent_heads() {
    let site = site(&[]);
    let first = b"GET /file HTTP/1.1\r\nHost: t\r\nX-".to_vec();
    beside(&site, &Attack { port: site.daemon.addr, first, drip: b"x", read: 0 }, get_file);
}

#[test]
fn dripped_bodies() {
    let site = site(&[]);
    let first = b"POST /cgi-bin/take HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    beside(&site, &Attack { port: site.daemon.addr, first, drip: b"x", read: 0 }, get_file);
}

#[test]
fn dripped_downloads() {
    let site = site(&[]);
    let first = request("GET", "/large", &[], false).into_bytes();
    beside(&site, &Attack { port: site.daemon.addr, first, drip: b"", read: 75 }, get_file);
}

/// What neither moves nor can be told from work: an answer that waits for its script.
#[test]
fn slow_scripts() {
    let site = Scripts::new(&["-n", "200"], &[("slow", "#!/bin/sh\nsleep 60\n")]);
    std::fs::write(site.root.join("file"), "content").unwrap();
    let first = request("GET", "/cgi-bin/slow", &[], false).into_bytes();
    beside(&site, &Attack { port: site.daemon.addr, first, drip: b"", read: 0 }, get_file);
}

#[cfg(feature = "tls")]
#[test]
fn tls_hellos_that_stop_half_way() {
    use common_tls::{Identity, TLS13, config, hello, over};
    let identity = Identity::new();
    let (cert, key) = (identity.cert.to_str().unwrap(), identity.key.to_str().unwrap());
    let site = site(&["-s", "127.0.0.1:0", "-C", cert, "-K", key]);
    let line = site.daemon.line();
    let port: SocketAddr = line.split("https://").nth(1).unwrap().trim_end_matches('/').parse().unwrap();
    let config = std::sync::Arc::new(config(&identity.ca, TLS13, None));
    let mut first = hello(&config);
    first.truncate(first.len() / 2);
    let exchange = |stream| {
        let mut client = over(common_tls::handshake(&config, stream, "localhost").unwrap());
        client.send(request("GET", "/file", &[], false));
        assert_eq!(client.read_response().text(), "content");
    };
    beside(&site, &Attack { port, first, drip: b"", read: 0 }, exchange);
}

/// At the limit a download that is slow, but no slower than a poor line, is not what makes room: another's share is.
#[test]
fn a_slow_line_goes_on_beside_an_attack() {
    let site = site(&[]);
    std::fs::write(site.root.join("slow"), common::pattern(64 << 10)).unwrap();
    let mut slow = Client::new(connect(Ipv4Addr::new(127, 0, 0, 3), site.daemon.addr));
    slow.send(request("GET", "/slow", &[], true));
    let first = b"GET /file HTTP/1.1\r\nHost: t\r\nX-".to_vec();
    let mut got = Vec::new();
    let attack = Attack { port: site.daemon.addr, first, drip: b"x", read: 0 };
    let slow = std::sync::Mutex::new((slow, &mut got));
    beside(&site, &attack, |stream| {
        get_file(stream);
        let (slow, got) = &mut *slow.lock().unwrap();
        got.extend(slow.read_exact(3000));
    });
    let (slow, got) = slow.into_inner().unwrap();
    let mut slow = slow;
    got.extend(slow.rest().0);
    assert!(got.ends_with(&common::pattern(64 << 10)), "{} bytes", got.len());
}
