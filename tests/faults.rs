//! One test for each fault of the peers (uhttpd, lua-eco, h2o) that could be ours, through real sockets.

mod common;
mod common_files;

use common::{Client, End, Response, Running, chunk, next, pattern, serve};
use common_files::{Daemon, Site, request, set_mtime};
use ecohttpd::{Connection, Error, Options, Request};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// A server whose handlers misbehave, or are treated badly, in the ways that the peers' do.
fn handlers(options: impl FnOnce() -> Options + Send + 'static, told: Sender<String>) -> Running {
    serve(options, async move |con: &mut Connection, req: &mut Request| {
        match req.path() {
            "/hello" => con.send("hello\n").await,
            "/body" => {
                let body = con.read_body(None, None).await;
                // The test may not listen.
                let _ = told.send(format!("{:?}", body.as_ref().map(Vec::len)));
                con.send(body?).await
            }
            "/error" => Err(Error::BadHeader),
            "/late-error" => {
                con.add_header("content-length", 100)?;
                con.send("so far, so good").await?;
                con.flush().await?;
                Err(Error::BadHeader)
            }
            "/panic" => panic!("a handler's panic, which the test wants"),
            "/late-panic" => {
                con.send("so far, so good").await?;
                con.flush().await?;
                panic!("a handler's panic, which the test wants")
            }
            _ => con.serve_file(req).await,
        }
    })
}

fn quiet_handlers(options: impl FnOnce() -> Options + Send + 'static) -> Running {
    handlers(options, channel().0)
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";

/// The server still answers, on a new connection.
#[track_caller]
fn assert_lives(server: &Running) {
    assert_eq!(server.get("/hello").text(), "hello\n");
}

/// uhttpd 1: each POST that ends before its body does takes a connection for ever.
#[test]
fn aborted_posts_leak_no_slots() {
    let (told, tells) = channel();
    let server = handlers(|| Options::new().max_connections(10), told);
    for path in ["/body", "/hello", "/file"] {
        for n in 0..30 {
            let mut client = server.connect();
            client.send(format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(n)));
            match n % 3 {
                0 => drop(client),
                1 => client.half_close(),
                _ => {
                    client.half_close();
                    let _ = client.try_response(false);
                }
            }
        }
    }
    for _ in 0..20 {
        assert_lives(&server);
    }
    // lua-eco 11: what the handler is told of an aborted body can't be mistaken for a body.
    let results: Vec<String> = tells.try_iter().collect();
    assert!(!results.is_empty() && results.iter().all(|result| result == "Err(Closed)"), "{results:?}");
}

/// uhttpd 2, lua-eco 4: a write for each header line, and Nagle, made each reply wait 44 ms for an acknowledgement.
#[test]
fn a_reply_leaves_in_one_segment() {
    let site = Site::new(|options| options.dir_listing(true));
    site.write("1k", pattern(1024));
    site.write("10k", pattern(10 << 10));
    site.write("100k", pattern(100 << 10));
    site.write("folder/x", "");
    let docroot = site.root.clone();
    let server = quiet_handlers(move || Options::new().docroot(docroot).dir_listing(true));
    #[rustfmt::skip]
    let rows = [
        ("/hello", ""), ("/1k", ""), ("/10k", ""), ("/missing", ""), ("/folder", ""), ("/folder/", ""), ("/error", ""),
        ("/1k", "Range: bytes=0-9,20-29\r\n"), ("/1k", "If-None-Match: *\r\n"),
    ];
    for (path, fields) in rows {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\n{fields}\r\n");
        let length = server.ask(&request).raw.len();
        // The error ends its connection.
        for _ in 0..if path == "/error" { 1 } else { 10 } {
            stream.write_all(request.as_bytes()).unwrap();
            let mut reply = vec![0; 64 << 10];
            let n = stream.read(&mut reply).unwrap();
            assert_eq!(n, length, "{path}: {:?}", reply[..n.min(300)].escape_ascii().to_string());
        }
    }
    // A file that goes by sendfile does not leave its head to travel alone.
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream.write_all(request("GET", "/100k", &[], true).as_bytes()).unwrap();
    let mut reply = vec![0; 128 << 10];
    let n = stream.read(&mut reply).unwrap();
    let head = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(n > head, "the head of {head} bytes came alone");
}

/// uhttpd 3: as many idle connections as are allowed locked everyone out for 28.7 s.
#[test]
fn idle_connections_do_not_lock_others_out() {
    let server = quiet_handlers(|| Options::new().max_connections(100));
    let mut idle: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for client in idle.iter_mut().step_by(2) {
        client.send(HELLO);
        assert_eq!(client.read_response().text(), "hello\n");
    }
    for _ in 0..120 {
        let mut late = server.connect();
        late.send(HELLO);
        assert_eq!(late.read_response().text(), "hello\n");
        idle.push(late);
    }
    // Those that had to go were the longest idle ones, and went in order.
    idle[0].expect_close();
    idle.last_mut().unwrap().send(HELLO);
    assert_eq!(idle.last_mut().unwrap().read_response().text(), "hello\n", "the youngest stays");
}

/// uhttpd 3, the busy kind: of heads that never end the oldest makes room, and the others have the head's timeout.
#[test]
fn unfinished_heads_do_not_lock_others_out() {
    let server = quiet_handlers(|| Options::new().max_connections(10).header_timeout(Duration::from_secs(2)));
    let mut slow: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send("GET /hello HTTP/1.1\r\nHost: t\r\nX-");
    }
    let mut late = server.connect();
    late.send(HELLO);
    assert_eq!(late.read_response().text(), "hello\n");
    assert_eq!(slow.remove(0).rest(), (Vec::new(), End::Reset));
    for client in &mut slow {
        let reply = client.read_response();
        assert_eq!((reply.status, reply.closes()), (408, true));
    }
}

/// uhttpd 4 and 5, lua-eco 7 and 8: replies after which the client waits, or reads a body as the next reply.
#[test]
fn every_reply_leaves_the_stream_in_step() {
    let site = Site::new(|options| options);
    let docroot = site.root.clone();
    let server = quiet_handlers(move || Options::new().docroot(docroot).dir_listing(true));
    site.write("file", "content");
    site.write("folder/x", "");
    #[rustfmt::skip]
    let rows: &[(&str, &str, &[&str], u16)] = &[
        ("GET", "/file", &["If-Match: \"x\""], 412), ("GET", "/file", &["If-Range: \"x\""], 200), ("GET", "/file", &["If-Range: \"x\"", "Range: bytes=0-1"], 200),
        ("GET", "/file", &["If-None-Match: *"], 304), ("GET", "/file", &["Range: bytes=99-"], 416), ("HEAD", "/file", &["Range: bytes=0-1"], 200),
        ("OPTIONS", "*", &[], 204), ("OPTIONS", "/missing", &[], 204), ("OPTIONS", "/file", &[], 204), ("BREW", "/file", &[], 501), ("HEAD", "/file", &[], 200),
        ("HEAD", "/missing", &[], 404), ("HEAD", "/folder/", &[], 200), ("HEAD", "/folder", &[], 301), ("HEAD", "/hello", &[], 200),
        ("HEAD", "/file", &["If-Match: \"x\""], 412), ("HEAD", "/file", &["If-None-Match: *"], 304), ("HEAD", "/%2e%2e/x", &[], 403),
        ("POST", "/file", &[], 405), ("DELETE", "/folder/", &[], 405), ("GET", "/missing", &[], 404), ("GET", "/../x", &[], 403),
        ("GET", "/file", &["Expect: the-unexpected"], 417), ("HEAD", "/file", &["Expect: the-unexpected"], 417), ("GET", "/folder/", &[], 200),
    ];
    let mut client = server.connect();
    for &(method, target, fields, status) in rows {
        client.send(request(method, target, fields, false) + HELLO);
        let reply = if method == "HEAD" { client.read_head_response() } else { client.read_response() };
        assert_eq!(reply.status, status, "{method} {target} {fields:?}");
        assert!(!reply.closes(), "{method} {target}: {reply:?}");
        assert!(status != 304 || reply.header("content-length") != Some("0"), "a 304 has the file's length or none");
        assert!(method != "OPTIONS" || !reply.text().contains("content"), "OPTIONS is no GET");
        assert_eq!(client.read_response().text(), "hello\n", "after {method} {target} {fields:?}");
    }
}

/// h2o, uhttpd: a request body that nobody read was taken for the next request.
#[test]
fn an_unread_body_is_never_a_request() {
    let site = Site::new(|options| options);
    site.write("file", "content");
    site.write("folder/index.html", "index");
    let docroot = site.root.clone();
    let server = quiet_handlers(move || Options::new().docroot(docroot));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
    for (method, target, status) in [
        ("POST", "/file", 405),
        ("GET", "/file", 200),
        ("HEAD", "/file", 200),
        ("GET", "/folder", 301),
        ("PUT", "/missing", 405),
        ("OPTIONS", "*", 204),
        ("POST", "/hello", 200),
        ("GET", "/file", 304),
        ("GET", "/file", 417),
    ] {
        let extra = match status {
            304 => "If-None-Match: *\r\n",
            417 => "Expect: x\r\n",
            _ => "",
        };
        let long = smuggled.repeat(10_000);
        for body in [smuggled, &long] {
            for chunked in [false, true] {
                let (field, body) = match chunked {
                    true => ("Transfer-Encoding: chunked".into(), [chunk(body), chunk("")].concat()),
                    false => (format!("Content-Length: {}", body.len()), body.into()),
                };
                let mut client = server.connect();
                client.send(format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{extra}{field}\r\n\r\n"));
                // Once too much went unread, the server may have closed.
                let _ = client.try_send(body).and_then(|()| client.try_send(HELLO));
                let reply = client.try_response(method == "HEAD").expect("an answer");
                assert_eq!(reply.status, status, "{method} {target}");
                if let Ok(reply) = client.try_response(false) {
                    assert_eq!(reply.text(), "hello\n", "{method} {target}, chunked {chunked}: the body was a request");
                }
            }
        }
    }
}

/// uhttpd 6, lua-eco 9: no ranges, no `Date` on errors.
#[test]
fn ranges_are_known_and_errors_dated() {
    let site = Site::new(|options| options);
    site.write("file", "0123456789");
    let part = site.ask("GET", "/file", &["Range: bytes=2-4"]);
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "234", Some("bytes 2-4/10")));
    for target in ["/missing", "/../x", "bad"] {
        let reply = site.get(target);
        assert!(reply.status >= 400 && httpdate::parse_http_date(reply.header("date").unwrap()).is_ok(), "{target}");
    }
}

/// uhttpd 7: an entity tag that differs was overruled by a date; two of the three date formats were unknown.
#[test]
fn if_none_match_beats_if_modified_since() {
    let site = Site::new(|options| options);
    site.write("file", "content");
    set_mtime(&site.path("file"), 784_111_777);
    let rows = [
        ("If-None-Match: \"other\"\r\nIf-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT", 200),
        ("If-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT\r\nIf-None-Match: \"other\"", 200),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
        ("If-Modified-Since: Sun Nov  6 08:49:37 1994", 304),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:36 GMT", 200),
        ("If-Modified-Since: Sun Nov  6 08:49:36 1994", 200),
        ("If-Unmodified-Since: Sunday, 06-Nov-94 08:49:36 GMT", 412),
        ("If-Unmodified-Since: Sun Nov  6 08:49:37 1994", 200),
    ];
    for (fields, status) in rows {
        assert_eq!(site.ask("GET", "/file", &[fields]).status, status, "{fields}");
    }
}

/// Requests that can't be answered, and what answers them; the connection ends after each.
///
/// uhttpd 8, 9 and 10, lua-eco 5, 7 and 9.
#[rustfmt::skip]
const REFUSED: &[(&str, u16, &str)] = &[
    ("garbage\r\n\r\n", 400, "no request line"),
    ("GET /hello HTTP/1.1\r\nHost: t\r\nno colon\r\n\r\n", 400, "a line without a colon"),
    ("GET /hello HTTP/1.1\r\nHost: t\r\nA: b\r\n c\r\n\r\n", 400, "obs-fold"),
    ("GET /hello HTTP/1.1\nHost: t\n\n", 400, "bare LF"),
    ("GET /hello HTTP/1.1\r\nHost: t\nA: b\r\n\r\n", 400, "one bare LF"),
    ("GET /hello HTTP/1.1\r\nHost : t\r\n\r\n", 400, "a space before the colon"),
    ("GET /hello HTTP/1.1\r\nHost: t\r\nA\t: b\r\n\r\n", 400, "a tab before the colon"),
    ("GET /hello HTTP/1.1\r\nHost: t\r\n: b\r\n\r\n", 400, "no name"),
    ("GET /hello HTTP/1.1\r\n\r\n", 400, "no Host"),
    ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "two Hosts"),
    ("GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed Host"),
    ("GET /hello HTTP/1.1\r\nHost: user@a\r\n\r\n", 400, "userinfo in Host"),
    ("GET /hello%00.html HTTP/1.1\r\nHost: t\r\n\r\n", 400, "%00"),
    ("GET /hello%zz HTTP/1.1\r\nHost: t\r\n\r\n", 400, "a bad escape"),
    ("GET hello HTTP/1.1\r\nHost: t\r\n\r\n", 400, "no slash"),
    ("GET /hello#x HTTP/1.1\r\nHost: t\r\n\r\n", 400, "a fragment"),
    ("GET  /hello HTTP/1.1\r\nHost: t\r\n\r\n", 400, "two spaces"),
    ("GET /hello\r\n\r\n", 400, "HTTP/0.9"),
    ("GET /hello HTTP/2.0\r\nHost: t\r\n\r\n", 505, "HTTP/2.0"),
    ("GET /hello HTTP/3.1\r\nHost: t\r\n\r\n", 505, "HTTP/3.1"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/2's preface"),
    ("GET /hello http/1.1\r\nHost: t\r\n\r\n", 400, "a version in lower case"),
    ("GET /hello HTTP/1.10\r\nHost: t\r\n\r\n", 400, "two digits"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc", 400, "+3"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400, "-1"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 0x3\r\n\r\nabc", 400, "0x3"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 3 \t4\r\n\r\nabc", 400, "two numbers"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\n", 400, "no number"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "the same length twice"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "two lengths"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc", 400, "a list of lengths"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "a length past 2^64"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "length and coding"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "gzip, chunked"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\n", 400, "identity"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400, "chunked, gzip"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\nx\r\n", 400, "a lone semicolon"),
    ("GET /hello HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "two hosts joined"),
    ("POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "a coding in HTTP/1.0"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "no chunk size"),
    ("POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400, "a chunk of -1"),
];

#[test]
fn what_is_malformed_is_refused_at_once_and_ends_the_connection() {
    let server = quiet_handlers(Options::new);
    for &(bytes, status, name) in REFUSED {
        // Whatever follows must not be taken for a request.
        for more in ["", HELLO] {
            let mut client = server.connect();
            let bytes: Vec<u8> = bytes.chars().map(|c| u8::try_from(c).unwrap()).collect();
            client.send([&bytes, more.as_bytes()].concat());
            let reply = client.read_response();
            assert_eq!(reply.status, status, "{name}");
            assert_closing(&reply, name);
            client.expect_close();
        }
    }
    assert_lives(&server);
}

/// uhttpd 8: errors that close said keep-alive, were chunked without an end, or lost to a reset.
fn assert_closing(reply: &Response, name: &str) {
    assert!(reply.closes() && !reply.has_token("connection", "keep-alive"), "{name}: {reply:?}");
    assert!(reply.header("content-length").is_some() && reply.header("keep-alive").is_none(), "{name}: {reply:?}");
}

/// uhttpd 8 and lua-eco 5: what is too long is refused in bounded memory, and the answer arrives.
#[test]
fn what_is_too_long_is_refused() {
    let server = quiet_handlers(|| Options::new().max_body(1000));
    let long = "x".repeat(1 << 20);
    let many: String = (0..200_000).map(|n| format!("A{n}: b\r\n")).collect();
    #[rustfmt::skip]
    let rows = [
        (format!("GET /{long}"), 414, "a request line without an end"),
        (long.clone(), 400, "a method without an end"),
        (format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", &long[..9000]), 414, "a long target"),
        (format!("GET /?{} HTTP/1.1\r\nHost: t\r\n\r\n", &long[..9000]), 414, "a long query"),
        (format!("GET / HTTP/1.1\r\nHost: t\r\nA: {long}"), 431, "a field without an end"),
        (format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n"), 431, "200,000 fields"),
        (format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "A: b\r\n".repeat(101)), 431, "101 short fields"),
        (format!("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n{}", &long[..1001]), 413, "a long body"),
    ];
    for (bytes, status, name) in rows {
        let mut client = server.connect();
        // The server need not take it all.
        let _ = client.try_send(&bytes);
        let reply = client.try_response(false).unwrap_or_else(|end| panic!("{name}: {end:?} before the answer"));
        assert!(reply.status == status || (name.contains("method") && reply.status == 414), "{name}: {reply:?}");
        assert_closing(&reply, name);
    }
    // Sixty-four times as much is not even read.
    let mut client = server.connect();
    let taken = (0..64).take_while(|_| client.try_send(&long).is_ok()).count();
    assert!(taken < 64, "the server read 64 MiB of a request line");
    assert_lives(&server);
}

/// uhttpd 9, lua-eco 1: a TLS client on the plain port was left waiting, or ended the listener.
#[test]
fn tls_on_the_plain_port_ends_quickly() {
    let server = quiet_handlers(|| Options::new().max_connections(4).header_timeout(Duration::from_secs(3600)));
    // A ClientHello as OpenSSL begins it: record, handshake, version, random.
    let hello = [b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03".to_vec(), pattern(189)].concat();
    for length in [1, 5, 11, hello.len()] {
        let mut client = server.connect();
        client.send(&hello[..length]);
        client.expect_close();
        assert_lives(&server);
    }
}

/// lua-eco 1: one connection that was gone before it was accepted ended the listener for ever.
#[test]
fn aborted_connections_do_not_end_the_listener() {
    let server = quiet_handlers(|| Options::new().max_connections(8));
    for bytes in [
        "",
        "G",
        "GET /hello HTTP/1.1\r\nHost: t\r\n",
        HELLO,
        "POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nx",
    ] {
        for _ in 0..50 {
            let mut stream = TcpStream::connect(server.addr).unwrap();
            // Closing sends a reset.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
        }
        assert_lives(&server);
    }
}

/// lua-eco 3 and 11: an error in one handler ended every connection.
#[test]
fn a_handler_that_fails_ends_its_own_connection_only() {
    let server = quiet_handlers(Options::new);
    let mut other = server.connect();
    let mut waiting = server.connect();
    waiting.send("POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\na");
    for path in ["/error", "/panic"] {
        let mut client = server.connect();
        client.send(request("GET", path, &[], false) + HELLO);
        let reply = client.read_response();
        assert_eq!(reply.status, 500, "{path}");
        assert_closing(&reply, path);
        client.expect_close();
    }
    for path in ["/late-error", "/late-panic"] {
        let mut client = server.connect();
        client.send(request("GET", path, &[], false));
        let end = client.try_response(false).expect_err("a reply that looks whole");
        assert_eq!(end, End::Eof, "{path}");
    }
    other.send(HELLO);
    assert_eq!(other.read_response().text(), "hello\n", "another connection");
    waiting.send("b");
    assert_eq!(waiting.read_response().text(), "ab", "another handler at work");
}

/// lua-eco 6: `.gz` was sent to clients that never said they take it; no `Vary`.
#[test]
fn coded_files_go_to_those_who_accept_them() {
    let site = Site::new(|options| options.gzip(true));
    site.write("file", "plain");
    site.write("file.gz", "coded");
    for (fields, body) in [
        (&[][..], "plain"),
        (&["Accept-Encoding: identity"], "plain"),
        (&["Accept-Encoding: gzip;q=0"], "plain"),
        (&["Accept-Encoding:"], "plain"),
        (&["Accept-Encoding: gzip"], "coded"),
    ] {
        let reply = site.ask("GET", "/file", fields);
        assert_eq!((reply.text(), reply.header("vary")), (body, Some("Accept-Encoding")), "{fields:?}");
        assert_eq!(reply.header("content-encoding").is_some(), body == "coded", "{fields:?}");
    }
}

/// lua-eco 8: local time was called GMT. And the tag had no quotes.
#[test]
fn last_modified_is_gmt_in_any_time_zone() {
    for zone in ["UTC", "Asia/Shanghai", "XST-8", "America/New_York"] {
        let site = common_files::folder();
        let file = site.1.join("file");
        std::fs::write(&file, "x").unwrap();
        set_mtime(&file, 784_111_777);
        let daemon = Daemon::start_with(&["-h", site.1.to_str().unwrap()], &[("TZ", zone)]);
        let reply = daemon.get("/file");
        assert_eq!(reply.header("last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"), "{zone}");
        assert!(reply.header("etag").unwrap().starts_with('"'));
        let date = httpdate::parse_http_date(reply.header("date").unwrap()).unwrap();
        let off = std::time::SystemTime::now().duration_since(date).unwrap();
        assert!(off < Duration::from_secs(600), "{zone}: Date is {off:?} off");
        let listed = daemon.get("/");
        assert!(listed.text().contains("1994-11-06T08:49:37Z"), "{zone}: {}", listed.text());
    }
}

/// uhttpd 10, lua-eco 7 and 8: `Connection` is a list; HTTP/1.0 may keep alive, and knows no chunks.
#[test]
fn connections_last_as_long_as_was_said() {
    let site = Site::new(|options| options.dir_listing(true));
    site.write("file", "content");
    let docroot = site.root.clone();
    let server = quiet_handlers(move || Options::new().docroot(docroot).dir_listing(true));
    #[rustfmt::skip]
    let rows = [
        ("1.1", "", true), ("1.1", "Connection: keep-alive", true), ("1.1", "Connection: close", false), ("1.1", "Connection: keep-alive, close", false),
        ("1.1", "Connection: Close", false), ("1.1", "connection:\tx ,CLOSE", false), ("1.1", "Connection: keep-alive\r\nConnection: close", false),
        ("1.1", "Connection: closed", true), ("1.0", "", false), ("1.0", "Connection: keep-alive", true), ("1.0", "Connection: Keep-Alive, x", true),
        ("1.0", "Connection: keep-alive, close", false), ("1.0", "Connection: close", false),
    ];
    for (version, field, stays) in rows {
        // Length known, length known to nobody.
        for (path, status) in [("/file", 200), ("/hello", 200), ("/", 200), ("/missing", 404)] {
            let mut client = server.connect();
            let field = if field.is_empty() { String::new() } else { format!("{field}\r\n") };
            client.send(format!("GET {path} HTTP/{version}\r\nHost: t\r\n{field}\r\n"));
            let reply = client.read_response();
            let name = format!("{path} HTTP/{version} {field:?}");
            assert_eq!(reply.status, status, "{name}");
            assert!(version == "1.1" || reply.header("transfer-encoding").is_none(), "{name}: {reply:?}");
            let stays = stays && (version == "1.1" || reply.header("content-length").is_some());
            assert_eq!(!reply.closes(), stays, "{name}: {reply:?}");
            if stays {
                assert!(version == "1.1" || reply.has_token("connection", "keep-alive"), "{name}: {reply:?}");
                client.send(HELLO);
                assert_eq!(client.read_response().text(), "hello\n", "{name}");
            } else {
                client.expect_close();
            }
        }
    }
}

/// uhttpd 10: targets in absolute form were not found. Methods a file does not have were GETs.
#[test]
fn absolute_targets_and_allowed_methods() {
    let site = Site::new(|options| options);
    site.write("file", "content");
    site.write("index.html", "index");
    for (target, body) in [
        ("http://t/file", "content"),
        ("HTTP://elsewhere:8080/file?x", "content"),
        ("http://[::1]/file", "content"),
        ("http://t", "index"),
        ("http://t/", "index"),
        ("http://t?x", "index"),
    ] {
        assert_eq!(site.get(target).text(), body, "{target}");
    }
    for (method, status) in [("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 204)] {
        let reply = site.ask(method, "/file", &[]);
        assert_eq!((reply.status, reply.header("allow")), (status, Some("GET, HEAD, OPTIONS")), "{method}");
    }
}

/// uhttpd 9 and lua-eco 9: `Expect` went unanswered, chunked bodies unread, folders' index was for `/` only, and a client
/// that half-closed got nothing.
#[test]
fn what_others_leave_unanswered() {
    let (told, tells) = channel();
    let site = Site::new(|options| options);
    site.write("deep/er/index.html", "index");
    assert_eq!(site.get("/deep/er/").text(), "index");
    let server = handlers(Options::new, told);
    let mut client = server.connect();
    client.send("POST /body HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.read_response().status, 100);
    client.send("abc");
    assert_eq!(client.read_response().text(), "abc");
    client.send("POST /body HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send([chunk("one,"), chunk("two"), chunk("")].concat());
    assert_eq!(client.read_response().text(), "one,two");
    client.send(HELLO);
    client.half_close();
    assert_eq!(client.read_response().text(), "hello\n", "a half-closed client");
    client.expect_close();
    assert_eq!((next(&tells).as_str(), next(&tells).as_str()), ("Ok(3)", "Ok(7)"));
}
