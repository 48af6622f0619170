//! Everything at once: files, ranges, scripts, uploads, logins, handshakes, clients that leave, and a reload every 5 s.
//!
//! Every body is compared by its hash, and nobody who behaves may be reset. In the end the daemon has the descriptors,
//! the memory and the children that it had before. 20 s; `ECOHTTPD_SOAK=120` makes it two minutes.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "tls")]

mod common;
mod common_cgi;
mod common_config;
mod common_files;
mod common_tls;

use common::{Client, PATIENCE, Response, pattern, post, post_chunked, reset, skip};
use common_cgi::install;
use common_config::{Router, until};
use common_files::{Daemon, request};
use common_tls::{BOTH, Identity, config, hello, over, try_open};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Seconds of it all.
const USUAL: u64 = 20;
/// Between two reloads.
const RELOAD: Duration = Duration::from_secs(5);
/// Bytes of the file that ranges and scripts take their pieces of.
const LARGE: usize = 3_000_000;
/// What memory may have grown by: the allocator's pages that are half used. A leak of a request's 100 bytes is more.
const GROWTH: u64 = 768;

/// me:secret
const RIGHT: &str = "Authorization: Basic bWU6c2VjcmV0";
/// me:wrong
const WRONG: &str = "Authorization: Basic bWU6d3Jvbmc=";

#[test]
fn a_soak() {
    let seconds = std::env::var("ECOHTTPD_SOAK").map_or(USUAL, |seconds| seconds.parse().unwrap());
    if std::env::var_os("ECOHTTPD_RUNNER").is_some() {
        return skip("the memory and the descriptors would be the emulator's");
    }
    let (place, daemon) = Place::new();
    // Every kind once, so that what is kept for later (caches, pools) is there before it is measured.
    place.run(Duration::from_secs(2));
    let before = place.rest();
    let start = Instant::now();
    let reloads = thread::scope(|scope| {
        let work = scope.spawn(|| place.run(Duration::from_secs(seconds)));
        let mut reloads = 0;
        while !work.is_finished() {
            thread::sleep(Duration::from_millis(20));
            if start.elapsed() > RELOAD * (reloads + 1) {
                reloads += 1;
                place.configure(reloads);
                let line = place.router.reload(&daemon);
                assert!(line.contains("configuration reloaded"), "{line}");
            }
        }
        work.join().unwrap();
        reloads
    });
    assert!(seconds < 10 || reloads > 0);
    eprintln!("{reloads} reloads, requests: {:?}", place.tally());
    assert!(place.done.iter().all(|done| done.load(Relaxed) > 0), "{:?}", place.tally());
    // Files that were served stay open for some idle seconds.
    let mut after = place.rest();
    until(&format!("it is as before: {before:?}, then {after:?}"), || {
        after = place.rest();
        after.descriptors <= before.descriptors && after.memory <= before.memory + GROWTH
    });
    // And it serves, and ends as it should.
    assert_eq!(hash(&place.ask(request("GET", "/large", &[], true)).body), place.large_hash);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}

/// What a process holds.
#[derive(Debug)]
struct Rest {
    descriptors: usize,
    /// KiB.
    memory: u64,
}

/// One thing that a client does, and whether its answers are right.
type Act = fn(&Place, &mut Dice);

const KINDS: [(&str, Act); 9] = [
    ("files", Place::files),
    ("ranges", Place::ranges),
    ("scripts", Place::scripts),
    ("uploads", Place::uploads),
    ("right logins", Place::right_login),
    ("wrong logins", Place::wrong_login),
    ("handshakes", Place::handshake),
    ("aborts", Place::abort),
    ("half handshakes", Place::half_handshake),
];

struct Place {
    router: Router,
    pid: u32,
    addr: SocketAddr,
    tls: SocketAddr,
    client: Arc<ClientConfig>,
    hello: Vec<u8>,
    large: Vec<u8>,
    large_hash: u64,
    /// Times each kind was done.
    done: [AtomicUsize; KINDS.len()],
    /// Statuses of logins that were wrong.
    refused: [AtomicU64; 2],
    _identity: Identity,
}

impl Place {
    fn new() -> (Place, Daemon) {
        let router = Router::new();
        let identity = Identity::new();
        for (name, file) in [("server.crt", &identity.cert), ("server.key", &identity.key)] {
            router.write(name, fs::read(file).unwrap());
        }
        for size in SIZES {
            router.write(&format!("root/{size}"), pattern(size));
        }
        let large = pattern(LARGE);
        router.write("root/large", &large);
        router.write("root/secret/file", "HIDDEN");
        router.write("httpd.conf", "/secret:me:secret\n");
        fs::create_dir(router.root.join("cgi-bin")).unwrap();
        for (name, text) in SCRIPTS {
            install(&router.root.join("cgi-bin").join(name), text);
        }
        write_configuration(&router, 0);
        let daemon = router.start(1);
        let tls = daemon.line().split("https://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        let client = Arc::new(config(&identity.ca, BOTH, None));
        let (hello, large_hash) = (hello(&client), hash(&large));
        let (done, refused) = Default::default();
        let (pid, addr) = (daemon.child.id(), daemon.addr);
        let place =
            Place { router, pid, addr, tls, client, hello, large, large_hash, done, refused, _identity: identity };
        (place, daemon)
    }

    fn configure(&self, round: u32) {
        write_configuration(&self.router, round);
    }

    /// A thread for each kind, until the time is over.
    fn run(&self, time: Duration) {
        let end = Instant::now() + time;
        thread::scope(|scope| {
            for (number, (name, act)) in KINDS.iter().enumerate() {
                let work = move || {
                    let mut dice = Dice(number as u64 + 1);
                    while Instant::now() < end {
                        act(self, &mut dice);
                        self.done[number].fetch_add(1, Relaxed);
                    }
                };
                thread::Builder::new().name((*name).into()).spawn_scoped(scope, work).unwrap();
            }
        });
    }

    fn tally(&self) -> BTreeMap<&str, usize> {
        KINDS.iter().zip(&self.done).map(|((name, _), done)| (*name, done.load(Relaxed))).collect()
    }

    /// What the daemon holds when nobody asks it for anything: no children among it.
    fn rest(&self) -> Rest {
        let pid = self.pid;
        let proc = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
        until("no child is left", || proc(&format!("task/{pid}/children")).is_empty());
        let descriptors = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        // Connections that the clients have closed are closed here a moment later.
        let (mut now, mut since) = (descriptors(), Instant::now());
        while since.elapsed() < Duration::from_millis(300) {
            thread::sleep(Duration::from_millis(20));
            if descriptors() != now {
                (now, since) = (descriptors(), Instant::now());
            }
        }
        let rollup = proc("smaps_rollup");
        let line = rollup.lines().find(|line| line.starts_with("Pss_Anon:")).unwrap();
        Rest { descriptors: now, memory: line.split_whitespace().nth(1).unwrap().parse().unwrap() }
    }

    fn ask(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut client = Client::connect(self.addr);
        client.send(bytes);
        client.read_response()
    }

    fn files(&self, dice: &mut Dice) {
        let mut client = Client::connect(self.addr);
        for last in [false, false, false, true] {
            let size = SIZES[dice.below(SIZES.len())];
            client.send(request("GET", &format!("/{size}"), &[], last));
            let reply = client.read_response();
            assert_eq!((reply.status, hash(&reply.body)), (200, hash(&self.large[..size])), "{size} bytes");
            if !last {
                let tag = format!("If-None-Match: {}", reply.header("etag").unwrap());
                client.send(request("GET", &format!("/{size}"), &[&tag], false));
                assert_eq!(client.read_response().status, 304);
            }
        }
        client.expect_close();
    }

    fn ranges(&self, dice: &mut Dice) {
        let (from, length) = (dice.below(LARGE - 1), 1 + dice.below(100_000));
        let to = (from + length).min(LARGE);
        let field = format!("Range: bytes={from}-{}", to - 1);
        let reply = self.ask(request("GET", "/large", &[&field], true));
        assert_eq!((reply.status, hash(&reply.body)), (206, hash(&self.large[from..to])), "{from}..{to}");
        // Two parts, each behind a head of its own.
        let reply = self.ask(request("GET", "/large", &[&format!("Range: bytes=0-99,{from}-{}", to - 1)], true));
        if from > 100 {
            assert_eq!(reply.status, 206);
            let kind = reply.header("content-type").unwrap();
            let boundary = format!("--{}", kind.split("boundary=").nth(1).unwrap());
            let parts: Vec<u64> = parts(&reply.body, boundary.as_bytes()).into_iter().map(hash).collect();
            assert_eq!(parts, [hash(&self.large[..100]), hash(&self.large[from..to])], "{from}..{to}");
        }
    }

    fn scripts(&self, dice: &mut Dice) {
        let size = dice.below(300_000);
        let reply = self.ask(request("GET", &format!("/cgi-bin/head?{size}"), &[], true));
        assert_eq!((reply.status, hash(&reply.body)), (200, hash(&self.large[..size])), "{size} bytes");
    }

    fn uploads(&self, dice: &mut Dice) {
        let size = dice.below(400_000);
        let body = &self.large[..size];
        let reply = self.ask(post("/cgi-bin/echo", body));
        assert_eq!((reply.status, hash(&reply.body)), (200, hash(body)), "{size} bytes");
        let reply = self.ask(post_chunked("/cgi-bin/echo", body, 1 + dice.below(9000)));
        assert_eq!((reply.status, hash(&reply.body)), (200, hash(body)), "{size} bytes, chunked");
    }

    fn right_login(&self, _: &mut Dice) {
        let reply = self.ask(request("GET", "/secret/file", &[RIGHT], true));
        assert_eq!((reply.status, reply.text()), (200, "HIDDEN"));
        assert_eq!(self.ask(request("GET", "/secret/file", &[], true)).status, 401);
        thread::sleep(Duration::from_millis(10));
    }

    /// From another address, which may be told to wait; it is never let in.
    fn wrong_login(&self, _: &mut Dice) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 9], 0)).into()).unwrap();
        socket.connect(&self.addr.into()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client::new(TcpStream::from(socket));
        client.send(request("GET", "/secret/file", &[WRONG], true));
        let reply = client.read_response();
        assert!([401, 429].contains(&reply.status) && !reply.text().contains("HIDDEN"), "{reply:?}");
        self.refused[usize::from(reply.status == 429)].fetch_add(1, Relaxed);
        thread::sleep(Duration::from_millis(10));
    }

    fn handshake(&self, dice: &mut Dice) {
        let size = SIZES[dice.below(SIZES.len())];
        let mut client = over(try_open(&self.client, self.tls, "localhost").unwrap());
        client.send(request("GET", &format!("/{size}"), &[], true));
        let reply = client.read_response();
        assert_eq!((reply.status, hash(&reply.body)), (200, hash(&self.large[..size])), "{size} bytes");
        client.expect_close();
    }

    /// Clients that leave in the middle of everything, half of them by a reset.
    fn abort(&self, dice: &mut Dice) {
        let upload = post("/cgi-bin/echo", &self.large[..50_000]);
        let whole = match dice.below(5) {
            0 => request("GET", "/large", &[], false).into_bytes(),
            1 => request("GET", "/cgi-bin/head?250000", &[], false).into_bytes(),
            2 => upload[..upload.len() - 1 - dice.below(50_000)].to_vec(),
            3 => b"GET / HTTP/1.1\r\nHost: x\r\nA: ".to_vec(),
            _ => b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n".to_vec(),
        };
        let mut stream = TcpStream::connect_timeout(&self.addr, PATIENCE).unwrap();
        stream.write_all(&whole).unwrap();
        if dice.below(2) == 0 {
            stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            let _ = stream.read(&mut [0; 1000]);
        }
        if dice.below(2) == 0 {
            reset(stream);
        }
    }

    fn half_handshake(&self, dice: &mut Dice) {
        let mut stream = TcpStream::connect_timeout(&self.tls, PATIENCE).unwrap();
        let bytes = if dice.below(8) == 0 { b"GET / HTTP/1.1\r\n\r\n" } else { &self.hello[..] };
        stream.write_all(&bytes[..1 + dice.below(bytes.len())]).unwrap();
        thread::sleep(Duration::from_millis(5));
        if dice.below(2) == 0 {
            reset(stream);
        }
    }
}

/// Sizes of the files, that are their names.
const SIZES: [usize; 7] = [0, 1, 1000, 16_384, 65_537, 200_000, 1_000_000];

/// Programs of coreutils, that every system has: head, cat.
const SCRIPTS: [(&str, &str); 2] = [
    ("head", "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\nexec head -c $QUERY_STRING large\n"),
    ("echo", "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'\nexec cat\n"),
];

/// Each reload finds another configuration.
fn write_configuration(router: &Router, round: u32) {
    router.configure(&format!(
        "config uhttpd main\n list listen_http 127.0.0.1:0\n list listen_https 127.0.0.1:0\n option home @root\n\
         option cert @server.crt\n option key @server.key\n option config @httpd.conf\n option realm R{round}\n\
         option max_requests 8\n list header 'X-Round: {round}'\n"
    ));
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// The bodies of a multipart/byteranges reply.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let find = |from: usize, what: &[u8]| {
        body[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    let mut parts = Vec::new();
    let mut at = find(0, boundary).unwrap() + boundary.len();
    while !body[at..].starts_with(b"--") {
        let start = find(at, b"\r\n\r\n").unwrap() + 4;
        let end = find(start, boundary).unwrap();
        parts.push(&body[start..end - 2]);
        at = end + boundary.len();
    }
    parts
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}
