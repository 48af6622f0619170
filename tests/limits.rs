//! Every limit: what it allows, what comes beyond it, and that nobody can hold the server by staying below.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, End, Gate, MOMENT, OnDrop, PATIENCE, chunk, next, pattern, serve, settled, start, telling};
use ecohttpd::{Connection, Options, Request, Result, Server};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Answers with the path, and reads no body unless the path is `/read`.
async fn app(con: &mut Connection, req: &mut Request) -> Result<()> {
    if req.path() == "/read" {
        while !con.read_body(10_000, None).await?.is_empty() {}
    }
    con.add_header("content-length", req.path().len())?;
    con.send(req.path()).await
}

// --- heads ------------------------------------------------------------------------------------------

/// A request whose head is `len` bytes long.
fn head_of(len: usize) -> String {
    let frame = "GET / HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n".len();
    format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(len - frame))
}

fn target_of(len: usize) -> String {
    format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "t".repeat(len - 1))
}

fn fields_of(count: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1))
}

#[test]
fn heads_targets_and_fields() {
    let small = || Options::new().max_head(1000).max_target(100).max_headers(10);
    let rows: Vec<(bool, String, u16, &str)> = vec![
        (false, head_of(16 << 10), 200, "a head of 16 KiB"),
        (false, head_of((16 << 10) + 1), 431, "a byte more"),
        (false, head_of(100_000), 431, "much more"),
        (false, target_of(8 << 10), 200, "a target of 8 KiB"),
        (false, target_of((8 << 10) + 1), 414, "a byte more"),
        (false, fields_of(100), 200, "100 fields"),
        (false, fields_of(101), 431, "101 fields"),
        (true, head_of(1000), 200, "a small head"),
        (true, head_of(1001), 431, "a small head and a byte"),
        (true, target_of(100), 200, "a small target"),
        (true, target_of(101), 414, "a small target and a byte"),
        (true, fields_of(10), 200, "few fields"),
        (true, fields_of(11), 431, "few fields and one"),
        (true, format!("GET /{}", "t".repeat(1000)), 414, "a target that does not end"),
        (true, format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(1000)), 431, "a field that does not end"),
        (true, "G".repeat(1001), 414, "a method that does not end"),
    ];
    let (default, small) = (serve(Options::new, app), serve(small, app));
    for (is_small, request, status, name) in rows {
        for piece in [request.len(), 300] {
            let mut client = if is_small { &small } else { &default }.connect();
            // The verdict may come before the end.
            let _ = request.as_bytes().chunks(piece).try_for_each(|piece| client.try_send(piece));
            let reply = client.read_response();
            assert_eq!((reply.status, reply.closes()), (status, status != 200), "{name} in pieces of {piece}");
            if status != 200 {
                client.expect_close();
            }
        }
    }
}

#[test]
fn chunk_framing_is_bounded() {
    let server = serve(Options::new, app);
    let tiny: Vec<u8> = chunk("a").repeat(100_000);
    let rows: [(Vec<u8>, u16, &str); 6] = [
        ([&tiny[..], b"0\r\n\r\n"].concat(), 200, "a byte a chunk"),
        (format!("0;{}\r\n\r\n", "e".repeat(1000)).into_bytes(), 200, "a long extension"),
        (format!("0;{}\r\n\r\n", "e".repeat(2000)).into_bytes(), 400, "a longer one"),
        (format!("1;{}\r\na\r\n", "e".repeat(900)).repeat(100).into_bytes(), 400, "extensions all the time"),
        (format!("0\r\n{}\r\n", "A: b\r\n".repeat(40)).into_bytes(), 400, "many trailers"),
        (format!("0\r\nA: {}\r\n\r\n", "b".repeat(5000)).into_bytes(), 400, "a long trailer"),
    ];
    for (body, status, name) in rows {
        let mut client = server.connect();
        client.send("POST /read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        let _ = client.try_send(body);
        assert_eq!(client.read_response().status, status, "{name}");
    }
}

// --- what a client may leave lying ------------------------------------------------------------------

/// Requests are not answered faster than the answers are taken.
#[test]
fn pipelined_requests_wait_for_their_reader() {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        count.fetch_add(1, Ordering::SeqCst);
        con.add_header("content-length", 20_000)?;
        con.send([b'x'; 20_000]).await
    });
    let stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        sending.write_all(GET.repeat(100_000).as_bytes()).unwrap();
    });
    let answered = settled(&handled);
    // 20 MB of answers: more than the kernel's socket buffers and ours hold by far.
    assert!(answered < 1000, "{answered} requests answered for a client that reads nothing");
    let mut client = Client::new(stream);
    for _ in 0..3000 {
        assert_eq!(client.read_response().body.len(), 20_000);
    }
    assert!(handled.load(Ordering::SeqCst) < 3000 + 1000);
    drop(client);
    drop(server);
    let _ = sender.join();
}

/// uhttpd leaks such a connection for ever; a hundred of them, and it never answers again.
#[test]
fn a_body_that_never_comes_does_not_hold_the_connection() {
    let server = serve(Options::new, app);
    let rows = [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n12345",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n12345",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n12345",
        "POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n",
    ];
    let waiting = rows.map(|request| {
        let mut client = server.connect();
        client.send(request);
        assert!([200, 400].contains(&client.read_response().status));
        (client, request)
    });
    for (mut client, request) in waiting {
        // The client does nothing more: the server must.
        let gone = thread::spawn(move || client.rest()).join();
        let (rest, _) = gone.unwrap_or_else(|_| panic!("never closed: {request:?}"));
        assert_eq!(rest, b"", "{request:?}");
    }
}

#[test]
fn a_slow_head_cannot_hold_the_connection() {
    let server = serve(|| Options::new().header_timeout(Duration::from_millis(500)), app);
    let endless = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(10_000));
    for before in ["", GET] {
        let mut client = server.connect();
        if !before.is_empty() {
            client.send(before);
            client.read_response();
        }
        let mut cut = false;
        let mut reading = client;
        // One byte at a time, each well within any time that stands still.
        for byte in endless.as_bytes().chunks(1) {
            thread::sleep(Duration::from_millis(20));
            cut = reading.try_send(byte).is_err();
            if cut {
                break;
            }
        }
        assert!(cut, "a byte at a time held the connection for {} bytes", endless.len());
        // The 408 was sent; it may have been overtaken by the reset that answers what came after it.
        match reading.try_response(false) {
            Ok(reply) => assert_eq!(reply.status, 408),
            Err(end) => assert_eq!(end, End::Reset),
        }
    }
}

/// The farewell has a time of its own: not less than that because the head's was shorter, and not for ever.
#[test]
fn what_follows_a_last_answer_is_discarded_for_a_while() {
    let server = serve(|| Options::new().header_timeout(MOMENT * 4), app);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n12345");
    assert_eq!(client.read_response().status, 400);
    thread::sleep(MOMENT * 6);
    for byte in [b"6", b"7"] {
        client.try_send(byte).expect("the server is gone before its farewell is over");
        thread::sleep(MOMENT / 3);
    }
    let held = (0..PATIENCE.as_millis() / 20).all(|_| {
        thread::sleep(Duration::from_millis(20));
        client.try_send("8").is_ok()
    });
    assert!(!held, "a byte at a time held the connection after its last answer");
}

#[test]
fn a_client_that_takes_nothing_is_reset() {
    let (gone, drops) = channel();
    let options = || Options::new().write_timeout(MOMENT);
    let (server, _seen) = telling::<(), _>(options, async move |con: &mut Connection, _: &mut Request, _| {
        let _guard = OnDrop::new(&gone, ());
        loop {
            con.send([7; 60_000]).await?;
        }
    });
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(GET.as_bytes()).unwrap();
    next(&drops);
    let mut client = Client::new(stream);
    assert_eq!(client.try_response(false).map(|reply| reply.status), Err(End::Reset));
}

/// The kernel may hold megabytes for a client: as long as it takes of those, it is not one that takes nothing.
#[test]
fn a_client_that_reads_slowly_and_steadily_is_waited_for() {
    const TIMEOUT: Duration = Duration::from_secs(2);
    const SIZE: usize = 12 << 20;
    let server = serve(
        || Options::new().write_timeout(TIMEOUT),
        async |con: &mut Connection, _: &mut Request| con.send(vec![7; SIZE]).await,
    );
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (mut piece, mut taken) = (vec![0; 16 << 10], 0);
    // 320 KB a second: it takes the kernel longer than the timeout until it has room for more.
    for _ in 0..80 {
        taken += stream.read(&mut piece).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    assert!(taken < SIZE / 4, "so slow that most of it has waited");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(taken + rest.len() > SIZE, "{taken} {}", rest.len());
}

/// What runs is the time to send, not the time between requests: that begins when the answer is out.
#[test]
fn a_slow_download_outlasts_the_keep_alive_time() {
    let dir = tempfile::tempdir().unwrap();
    let content = pattern(20_000_000);
    std::fs::write(dir.path().join("large"), &content).unwrap();
    for logs in [false, true] {
        let root = dir.path().to_owned();
        let options = move || {
            let options = Options::new().docroot(root).http_keepalive(MOMENT);
            if logs { options.access_log(|_| ()) } else { options }
        };
        let server = serve(options, async |con: &mut Connection, req: &mut Request| con.serve_file(req).await);
        let mut client = server.connect();
        client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
        thread::sleep(MOMENT * 3);
        let reply = client.try_response(false).unwrap_or_else(|end| panic!("{end:?} in a download, logs: {logs}"));
        assert!(reply.body == content);
        client.expect_close();
    }
}

#[test]
fn no_keep_alive_at_all() {
    let server = serve(|| Options::new().http_keepalive(Duration::ZERO), app);
    let mut client = server.connect();
    client.send(GET);
    assert!(client.read_response().closes());
    client.expect_close();
}

// --- connections ------------------------------------------------------------------------------------

#[test]
fn idle_connections_make_room_the_oldest_first() {
    const MAX: usize = 100;
    let server = serve(|| Options::new().max_connections(MAX), app);
    let mut idle: Vec<Client> = Vec::new();
    for _ in 0..MAX {
        let mut client = server.connect();
        client.send(GET);
        client.read_response();
        idle.push(client);
        // So that their ages differ by the server's clock, which counts milliseconds.
        thread::sleep(Duration::from_millis(2));
    }
    // The first is not the one that idles longest any more.
    idle[0].send(GET);
    idle[0].read_response();
    let mut newer: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut newer {
        client.send("GET /new HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.read_response().text(), "/new");
    }
    idle.drain(1..4).for_each(|mut client| client.expect_close());
    for client in idle.iter_mut().chain(&mut newer) {
        client.send(GET);
        assert_eq!(client.read_response().text(), "/", "still there");
    }
}

#[test]
fn silent_connections_make_room_too() {
    let server = serve(|| Options::new().max_connections(10), app);
    let _silent: Vec<Client> = (0..30).map(|_| server.connect()).collect();
    assert_eq!(server.get("/heard").text(), "/heard");
}

#[test]
fn with_none_idle_the_next_wait_and_nothing_is_lost() {
    let gate = Gate::default();
    let opened = gate.clone();
    let options = || Options::new().max_connections(4);
    let (server, seen) = telling(options, async move |con: &mut Connection, req: &mut Request, tell| {
        tell.send(req.path().to_owned()).unwrap();
        if req.path() == "/busy" {
            gate.wait().await;
        }
        con.send(req.path()).await
    });
    let ask = |path: &str| {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client
    };
    let mut busy: Vec<Client> = (0..4).map(|_| ask("/busy")).collect();
    busy.iter().for_each(|_| assert_eq!(next(&seen), "/busy"));
    let mut waiting: Vec<Client> = (0..20).map(|_| ask("/waiting")).collect();
    assert!(seen.recv_timeout(MOMENT * 2).is_err(), "more handlers than connections");
    opened.open();
    for (client, text) in
        busy.iter_mut().map(|client| (client, "/busy")).chain(waiting.iter_mut().map(|client| (client, "/waiting")))
    {
        assert_eq!(client.read_response().text(), text);
    }
}

/// Out of descriptors, accepting rests and what was accepted is served; then it goes on.
#[test]
fn running_out_of_descriptors() {
    let exe = std::env::current_exe().unwrap();
    // A shell, for its ulimit.
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 100 && exec \"$0\" --exact descriptors_child --ignored --nocapture"])
        .arg(exe)
        .env("ECOHTTPD_TEST_CHILD", "descriptors")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(|line| line.ok());
    let addr: SocketAddr =
        lines.find_map(|line| line.strip_prefix("ADDR ")?.parse().ok()).expect("a child that listens");
    let ask = |client: &mut Client, path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.read_response()
    };

    let mut first = Client::connect(addr);
    assert_eq!(ask(&mut first, "/hog").text(), "hogged");
    let stream = TcpStream::connect(addr).unwrap();
    let mut second = Client::new(stream.try_clone().unwrap());
    second.send(GET);
    stream.set_read_timeout(Some(MOMENT * 4)).unwrap();
    let kind = stream.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::WouldBlock), "there were descriptors left");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask(&mut first, "/").text(), "/", "the connection that there is");
    assert_eq!(ask(&mut first, "/release").text(), "released");
    assert_eq!(second.read_response().text(), "/", "the one that waited");

    assert_eq!(ask(&mut first, "/hog").text(), "hogged");
    let reply = ask(&mut second, "/file");
    assert_eq!(reply.status, 503);
    assert_eq!(ask(&mut first, "/release").text(), "released");
    let mut third = Client::connect(addr);
    assert_eq!(ask(&mut third, "/file").status, 200);

    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "the child process of running_out_of_descriptors"]
fn descriptors_child() {
    if std::env::var_os("ECOHTTPD_TEST_CHILD").is_none_or(|name| name != "descriptors") {
        return;
    }
    let hogged = Arc::new(Mutex::new(Vec::new()));
    let server = start(move || {
        let handler = async move |con: &mut Connection, req: &mut Request| match req.path() {
            "/hog" => {
                hogged.lock().unwrap().extend(std::iter::from_fn(|| File::open("/dev/null").ok()));
                con.send("hogged").await
            }
            "/release" => {
                hogged.lock().unwrap().clear();
                con.send("released").await
            }
            "/file" => con.send_file("/etc/passwd", None, None).await,
            path => con.send(path).await,
        };
        let mut server = Server::new(Options::new(), handler).unwrap();
        let addr = server.bind("127.0.0.1", 0).unwrap();
        (server, addr)
    });
    println!("\nADDR {}", server.addr);
    // Until the parent has seen enough.
    let _ = std::io::stdin().read(&mut [0]);
}
