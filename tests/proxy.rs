//! The reverse proxy: what the server behind sees, and what of its answer the client gets.
#![cfg(feature = "proxy")]

mod common;
mod common_config;
mod common_files;
mod common_proxy;
mod common_upstream;

use common::{End, Framing, MOMENT};
use common_config::{Router, ask, until};
use common_files::request;
use common_proxy::{HELLO, site, site_at};
use common_upstream::{Backend, closed_port};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_request_and_its_response_are_passed_on() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send("GET /app/x?a=b HTTP/1.1\r\nHost: router.lan:81\r\nX-A: 1\r\nx-a: 2\r\nCookie: c=d\r\n\r\n");
    let (received, mut peer) = backend.answer(
        "HTTP/1.1 201 Made it\r\nContent-Length: 5\r\nX-B: 1\r\nX-B: 2\r\nServer: them\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nhello",
    );
    assert_eq!(received.line, "GET /app/x?a=b HTTP/1.1");
    let fields: Vec<String> = received.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    #[rustfmt::skip]
    assert_eq!(fields, [
        "Host: router.lan:81", "x-a: 1", "x-a: 2", "cookie: c=d", "Via: 1.1 ecohttpd", "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=\"router.lan:81\";proto=http", "X-Forwarded-Proto: http",
        "X-Forwarded-Host: router.lan:81",
    ]);
    let reply = client.read_response();
    assert_eq!((reply.status, reply.reason.as_str(), reply.text()), (201, "Made it", "hello"));
    assert_eq!(reply.all("x-b").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(
        (reply.header("server"), reply.header("date")),
        (Some("ecohttpd"), Some("Thu, 01 Jan 1970 00:00:00 GMT"))
    );
    assert_eq!(reply.framing, Framing::Length);
    // Both connections are used again.
    client.send(request("GET", "/app", &[], false));
    assert_eq!(peer.request().line, "GET /app HTTP/1.1");
    peer.send(HELLO);
    assert_eq!(client.read_response().text(), "hello");
    // What is not below the path is not forwarded.
    client.send(request("GET", "/application", &[], false));
    assert_eq!(client.read_response().status, 404);
    client.send(request("GET", "/file.txt", &[], false));
    assert_eq!(client.read_response().text(), "content");
    assert!(backend.try_accept().is_none());
}

#[test]
fn paths() {
    #[rustfmt::skip]
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("/app=@", &[
            ("/app", "/app"), ("/app/", "/app/"), ("/app/a%2Fb/%41", "/app/a%2Fb/%41"), ("/app//x", "/app//x"),
            ("/app/x/../y", "/app/y"), ("/app/./", "/app/"), ("/app/%2e%2E/app/x%20y", "/app/x%20y"),
            ("/x/../app/y", "/app/y"), ("//app/y", "/app/y"), ("/%61pp/y", "/app/y"), ("/app/x%2f..%2fy", "/app/y"),
            ("/app/..%5cx", "/app/..%5Cx"), ("http://x/app/y?z", "/app/y?z"), ("/app/?a=b?c&/../d", "/app/?a=b?c&/../d"),
        ]),
        ("/app=@/", &[
            ("/app/", "/"), ("/app/a/b?c", "/a/b?c"), ("/app/x/../y", "/y"), ("/%61pp/y/", "/y/"), ("/app/..%2fapp/", "/"),
        ]),
        ("/app=@/base/", &[("/app/", "/base/"), ("/app/x", "/base/x"), ("/app/./x", "/base/x")]),
        ("/=@", &[("/", "/"), ("/x/y", "/x/y"), ("/x/../", "/"), ("/x/../y", "/y"), ("/%2e/%E4", "/%E4")]),
        ("/=@/base", &[("/", "/base/"), ("/x", "/base/x"), ("/./x", "/base/x")]),
    ];
    for (value, targets) in rows {
        let (_router, daemon, backend) = site_at(value, &[]);
        let mut client = daemon.connect();
        let mut peer = None;
        for (target, wanted) in *targets {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let peer = peer.get_or_insert_with(|| backend.accept());
            assert_eq!(peer.request().line, format!("GET {wanted} HTTP/1.1"), "{value} {target}");
            peer.send(HELLO);
            assert_eq!(client.read_response().text(), "hello", "{value} {target}");
        }
    }
}

#[test]
fn places_are_named_as_the_client_sees_them() {
    let (_router, daemon, backend) = site_at("/app=@/", &[]);
    let reply = ask(daemon.addr, "GET", "/app?a=b", &[]);
    assert_eq!((reply.status, reply.header("location")), (301, Some("/app/?a=b")));
    let mut client = daemon.connect();
    client.send(request("GET", "/app/", &[], false));
    backend.answer(format!(
        "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {}/login\r\nContent-Location: /x\r\nRefresh: 1; url=/y\r\n\
         Set-Cookie: a=b; Path=/; Secure\r\nSet-Cookie: c=d; Path=/z\r\n\r\n",
        backend.url()
    ));
    let reply = client.read_response();
    assert_eq!((reply.status, reply.header("location")), (302, Some("/app/login")));
    assert_eq!((reply.header("content-location"), reply.header("refresh")), (Some("/app/x"), Some("1; url=/app/y")));
    assert_eq!(reply.all("set-cookie").collect::<Vec<_>>(), ["a=b; Path=/app/; Secure", "c=d; Path=/app/z"]);
}

#[test]
fn the_host_is_kept_or_set() {
    let (_router, daemon, backend) = site_at("/app=@ host=other.lan", &[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/app", &["X: y"], false));
    let (received, _peer) = backend.answer(HELLO);
    assert_eq!((received.field("host"), received.field("x-forwarded-host")), (Some("other.lan"), Some("t")));
    client.read_response();
    // Who does not say it gets the server's address.
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send("GET /app HTTP/1.0\r\n\r\n");
    let (received, _peer) = backend.answer(HELLO);
    let address = format!("127.0.0.1:{}", backend.port);
    assert_eq!((received.field("host"), received.field("via")), (Some(address.as_str()), Some("1.0 ecohttpd")));
}

#[test]
fn fields_for_one_hop_are_not_passed_on() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send(
        "POST /app HTTP/1.1\r\nHost: x\r\nConnection: X-Secret, keep-alive\r\nConnection: x-two\r\nX-Secret: 1\r\nX-Two: 2\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X-T\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\n\
         Upgrade: websocket\r\nX-Kept: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: secret\r\n\r\n",
    );
    let (received, _peer) = backend.answer(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTrailer: X-T\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Kept: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;ext=1\r\nhi\r\n0\r\nX-T: secret\r\n\r\n",
    );
    let names: Vec<&str> = received.fields.iter().map(|(name, _)| name.as_str()).collect();
    #[rustfmt::skip]
    assert_eq!(names, [
        "Host", "x-kept", "Via", "X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "Transfer-Encoding",
    ]);
    assert_eq!(received.body, b"ab");
    let reply = client.read_response();
    assert_eq!((reply.text(), reply.framing), ("hi", Framing::Chunked));
    let mut names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["date", "server", "transfer-encoding", "x-kept"]);
    assert_eq!(reply.raw.windows(2).filter(|two| two == b"X-").count(), 1, "no trailers");
}

#[test]
fn what_a_client_says_of_itself_is_replaced() {
    #[rustfmt::skip]
    let claims = [
        "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "Forwarded: for=192.0.2.1",
        "X-Forwarded-Port: 1", "X-Real-IP: 192.0.2.1", "X_Forwarded_For: 192.0.2.1", "X_Real-IP: 192.0.2.1",
        "X.Forwarded.For: 192.0.2.1", "X!Real!IP: 192.0.2.1",
    ];
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/app", &claims, false));
    let (received, _peer) = backend.answer(HELLO);
    let text = format!("{received:?}");
    assert!(!text.contains("192.0.2.1") && !text.contains("evil") && !text.contains("https"), "{text}");
    assert_eq!(received.field("x-forwarded-for"), Some("127.0.0.1"));
    client.read_response();
    // A trusted proxy is believed about whom it speaks for.
    let (_router, daemon, backend) = site(&["--trusted-proxy", "127.0.0.1"]);
    let mut client = daemon.connect();
    client.send(request(
        "GET",
        "/app",
        &["X-Forwarded-For: 2001:db8::1", "X-Forwarded-Proto: https", "Via: 1.1 front"],
        false,
    ));
    let (received, _peer) = backend.answer(HELLO);
    assert_eq!(received.field("x-forwarded-for"), Some("2001:db8::1"));
    assert_eq!(received.field("x-forwarded-proto"), Some("https"));
    assert_eq!(received.field("forwarded"), Some("for=\"[2001:db8::1]\";host=\"t\";proto=https"));
    assert_eq!(received.field("via"), Some("1.1 front, 1.1 ecohttpd"));
}

#[test]
fn a_loop_ends() {
    let router = Router::new();
    let port = closed_port();
    let addr = format!("127.0.0.1:{port}");
    let daemon = router.start_by(&["-p", &addr, "--proxy", &format!("/=http://{addr}")]);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).status, 508);
    until("it is logged", || router.log().contains("508: the request came through here too often"));
}

#[test]
fn bodies_of_responses() {
    let (_router, daemon, backend) = site(&[]);
    let rows: &[(&str, &str, &str, Framing)] = &[
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", Framing::Length),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            "ab",
            Framing::Chunked,
        ),
        ("GET", "HTTP/1.1 200 OK\r\n\r\nab", "ab", Framing::Chunked),
        ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", Framing::Length),
        (
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
            "ab",
            Framing::Length,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "", Framing::Nothing),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "", Framing::Nothing),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "", Framing::Nothing),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", Framing::Nothing),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", Framing::Length),
    ];
    // However the server's bytes are cut.
    for piece in [usize::MAX, 1] {
        for (method, sent, body, framing) in rows {
            let mut client = daemon.connect();
            client.send(request(method, "/app", &[], false));
            let mut peer = backend.accept();
            peer.request();
            for piece in sent.as_bytes().chunks(piece) {
                peer.send(piece);
            }
            drop(peer);
            let reply = if *method == "HEAD" { client.read_head_response() } else { client.read_response() };
            assert_eq!((reply.text(), reply.framing), (*body, *framing), "{sent:?}");
        }
    }
    // A client of HTTP/1.0 has the end of the connection.
    let mut client = daemon.connect();
    client.send("GET /app HTTP/1.0\r\nHost: x\r\n\r\n");
    backend.answer(rows[1].1);
    let reply = client.read_response();
    assert_eq!((reply.text(), reply.framing), ("ab", Framing::Close));
}

/// Whose last bytes wait for the client, while the server says nothing more.
#[test]
fn a_long_response_ends_with_its_length() {
    let (_router, daemon, backend) = site(&[]);
    let body = vec![b'x'; 12 << 20];
    let chunked = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let heads = ["Content-Length: 12582912", "Transfer-Encoding: chunked"];
    for (head, sent) in heads.into_iter().zip([&body, &chunked]) {
        let mut client = daemon.connect();
        client.send(request("GET", "/app", &[], false));
        let mut peer = backend.accept();
        peer.request();
        let sent = [format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes(), sent].concat();
        let sending = thread::spawn(move || {
            peer.send(sent);
            peer
        });
        // The client begins to read when nobody has room any more.
        thread::sleep(2 * MOMENT);
        assert!(client.read_response().body == body, "{head}");
        let mut peer = sending.join().unwrap();
        client.send("POST /app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(peer.request().line, "POST /app HTTP/1.1", "the connection is used again");
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    }
}

#[test]
fn bodies_of_requests() {
    let (_router, daemon, backend) = site(&[]);
    let large = vec![b'x'; 3_000_000];
    let chunk = |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat();
    let chunked = [chunk(b"a"), chunk(&large), b"0\r\n\r\n".to_vec()].concat();
    let rows: &[(&str, Vec<u8>, Vec<u8>)] = &[
        ("Content-Length: 2", b"ab".to_vec(), b"ab".to_vec()),
        ("Content-Length: 0", Vec::new(), Vec::new()),
        ("Content-Length: 3000000", large.clone(), large.clone()),
        ("Transfer-Encoding: chunked", b"0\r\n\r\n".to_vec(), Vec::new()),
        ("Transfer-Encoding: chunked", chunked, [b"a", &large[..]].concat()),
    ];
    let mut client = daemon.connect();
    let mut peer = None;
    for (field, sent, wanted) in rows {
        client.send(format!("POST /app HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n"));
        let mut wire = std::mem::replace(&mut client, daemon.connect());
        let sent = sent.clone();
        let sending = thread::spawn(move || {
            wire.send(sent);
            wire
        });
        let mut at = peer.take().unwrap_or_else(|| backend.accept());
        let received = at.request();
        let same = received.body == *wanted;
        assert!(same, "{field}: {} bytes", received.body.len());
        at.send(HELLO);
        client = sending.join().unwrap();
        assert_eq!(client.read_response().text(), "hello", "{field}");
        peer = Some(at);
    }
}

#[test]
fn a_body_is_invited_when_the_server_is_there() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send("PUT /app HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    let mut peer = backend.accept();
    let head = peer.head();
    assert_eq!((head.field("expect"), head.field("content-length")), (None, Some("2")));
    assert_eq!(client.read_response().status, 100);
    client.send("ab");
    assert_eq!(peer.read_exact(2), b"ab");
    peer.send(HELLO);
    assert_eq!(client.read_response().text(), "hello");
    // And not where there is none.
    let router = Router::new();
    let daemon = router.start_by(&["--proxy", &format!("/app=http://127.0.0.1:{}", closed_port())]);
    let mut client = daemon.connect();
    client.send("PUT /app HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read_response().status, 502);
}

/// Which need not wait for the whole request.
#[test]
fn an_early_answer_is_passed_on() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nab");
    let mut peer = backend.accept();
    peer.head();
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    let reply = client.read_response();
    assert_eq!((reply.status, reply.text()), (413, "no"));
    // The rest would not be of use, so that connection is.
    assert_eq!(peer.rest(), b"ab");
}

/// Server-sent events.
#[test]
fn pieces_are_passed_on_as_they_come() {
    let (_router, daemon, backend) = site(&[]);
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"] {
        let mut client = daemon.connect();
        client.send(request("GET", "/app", &[], false));
        let (_, mut peer) = backend.answer(head);
        for number in 0..5 {
            let event = format!("data: {number}\n\n");
            peer.send(&event);
            let mut seen = Vec::new();
            while !seen.ends_with(event.as_bytes()) && !seen.ends_with(format!("{event}\r\n").as_bytes()) {
                seen.extend(client.read_exact(1));
            }
        }
        // The client leaves, and the server is left.
        drop(client);
        until("the server sees the end", || peer.try_send("data: x\n\n").is_err());
    }
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/app", &[], false));
    let mut peer = backend.accept();
    peer.request();
    drop(client);
    peer.expect_end();
}

#[test]
fn failures_have_a_status() {
    let (router, daemon, backend) = site(&["--proxy-timeout", "1"]);
    let rows: &[(&str, &str)] = &[
        ("", "closed the connection before its response"),
        ("HTTP/1.1 200 OK\r\nConte", "closed the connection within its response"),
        ("SSH-2.0-x\r\n", "it does not begin with HTTP/1."),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "a field over several lines"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "more than one Content-Length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both Transfer-Encoding and"),
        ("HTTP/1.1 200 OK\nA: b\n\n", "bare LF"),
        ("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "101 without an offer"),
    ];
    for (sent, why) in rows {
        let mut client = daemon.connect();
        client.send(request("GET", "/app", &[], true));
        backend.answer(sent);
        assert_eq!(client.read_response().status, 502, "{sent:?}");
        until(why, || router.log().contains(&format!("/app: 502: 127.0.0.1:{}: {why}", backend.port)));
    }
    let start = Instant::now();
    let mut client = daemon.connect();
    client.send(request("GET", "/app", &[], true));
    let mut peer = backend.accept();
    assert_eq!(client.read_response().status, 504);
    assert!(start.elapsed() >= Duration::from_secs(1));
    peer.request();
    peer.expect_end();
    until("it is logged", || router.log().contains("504") && router.log().contains("no progress"));
    // Nobody there, by name and by Unix socket, too.
    let port = closed_port();
    let router = Router::new();
    let urls = [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}"), "unix:/nowhere/x".into()];
    let values = [0, 1, 2].map(|n| format!("/{n}={}", urls[n]));
    let daemon = router.start_by(&["--proxy", &values[0], "--proxy", &values[1], "--proxy", &values[2]]);
    for (n, url) in urls.iter().enumerate() {
        assert_eq!(ask(daemon.addr, "GET", &format!("/{n}"), &[]).status, 502, "{url}");
    }
    let log = router.log();
    assert!(log.contains("Connection refused") && log.contains("unix:/nowhere/x: No such file"), "{log}");
}

#[test]
fn a_cut_response_is_seen_to_be_cut() {
    let (router, daemon, backend) = site(&[]);
    let rows = [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ];
    for sent in rows {
        let mut client = daemon.connect();
        client.send(request("GET", "/app", &[], false));
        backend.answer(sent);
        assert!(client.try_response(false).is_err(), "{sent:?}");
    }
    // By a reset, where nothing else can tell.
    let mut client = daemon.connect();
    client.send("GET /app HTTP/1.0\r\nHost: x\r\n\r\n");
    backend.answer(rows[1]);
    let (seen, end) = client.rest();
    assert!(seen.ends_with(b"ab") && end == End::Reset, "{end:?}");
    until("it is logged", || router.log().contains("response cut short"));
}

/// Rules ask who the client is that a trusted proxy speaks for.
#[test]
fn a_trusted_proxy_names_the_client_that_rules_ask_for() {
    let (_router, daemon, backend) = site(&["--trusted-proxy", "127.0.0.1", "--allow", "/app 192.0.2.0/24"]);
    for (field, status) in
        [("X: y", 403), ("X-Forwarded-For: 192.0.3.1", 403), ("X-Forwarded-For: 192.0.2.1, 1.2.3.4", 403)]
    {
        assert_eq!(ask(daemon.addr, "GET", "/app", &[field]).status, status, "{field}");
    }
    assert!(backend.try_accept().is_none());
    let mut client = daemon.connect();
    client.send(request("GET", "/app", &["X-Forwarded-For: 192.0.2.1"], false));
    let (received, _peer) = backend.answer(HELLO);
    assert_eq!(received.field("x-forwarded-for"), Some("192.0.2.1"));
    assert_eq!(client.read_response().status, 200);
}

#[test]
fn logins_rules_and_fields_of_the_site_come_first() {
    let router = Router::new();
    router.write("conf", "/app/private:u:p\n");
    let backend = Backend::tcp();
    let value = format!("/app={}/", backend.url());
    #[rustfmt::skip]
    let daemon = router.start_by(&[
        "--proxy", &value, "-c", &router.path("conf"), "--deny", "/app/closed *", "--header", "/app X-Frame-Options: DENY",
        "--header", "/app X-B: ours",
    ]);
    for (target, status) in
        [("/app/private", 401), ("/app/x/../private/y", 401), ("/app/closed/x", 403), ("/app/%63losed", 403)]
    {
        assert_eq!(ask(daemon.addr, "GET", target, &[]).status, status, "{target}");
    }
    assert!(backend.try_accept().is_none());
    let mut client = daemon.connect();
    client.send(request("GET", "/app/private", &["Authorization: Basic dTpw", "X: y"], false));
    let (received, mut peer) = backend.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-B: theirs\r\n\r\n");
    assert_eq!((received.field("authorization"), received.field("x")), (None, Some("y")), "it was for us");
    let reply = client.read_response();
    assert_eq!((reply.header("x-frame-options"), reply.header("x-b")), (Some("DENY"), Some("theirs")));
    client.send(request("GET", "/app/public", &["Authorization: Basic dTpw"], false));
    assert_eq!(peer.request().field("authorization"), Some("Basic dTpw"), "it is for the server");
    peer.send(HELLO);
}

/// Requests that two readers may read differently: the server sees none of them, or one that nobody can misread.
#[test]
fn nothing_is_smuggled() {
    let (_router, daemon, backend) = site(&[]);
    let smuggled = "GET /app/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = smuggled.len();
    #[rustfmt::skip]
    let refused: &[String] = &[
        format!("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 0, {length}\r\n\r\n{smuggled}"),
        format!("POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n{smuggled}"),
        format!("POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n{smuggled}"),
        format!("POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("POST /app HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("GET /app HTTP/1.1\r\nHost: x\r\nX: y\n\r\n{smuggled}"),
        format!("GET /app HTTP/1.1\r\nHost: x\r\nX: y\r\r\nZ: a\r\n\r\n{smuggled}"),
        format!("GET /app HTTP/1.1\r\nHost: x\r\n X: y\r\n\r\n{smuggled}"),
        format!("GET /app HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n{smuggled}"),
        format!("GET /app\thttp HTTP/1.1\r\nHost: x\r\n\r\n{smuggled}"),
        format!("GET /app HTTP/1.1 \r\nHost: x\r\n\r\n{smuggled}"),
        "GET /app%0d%0aX:y%00 HTTP/1.1\r\nHost: x\r\n\r\n".into(),
    ];
    for bytes in refused {
        let mut client = daemon.connect();
        client.send(bytes);
        let status = client.read_response().status;
        assert!((400..=501).contains(&status), "{status}: {bytes:?}");
        assert!(backend.try_accept().is_none(), "{bytes:?}");
    }
    // A chunk that says one thing and is another: the server is told of no end.
    let mut client = daemon.connect();
    client.send(format!(
        "POST /app HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n{smuggled}"
    ));
    let mut peer = backend.accept();
    let sent = peer.rest();
    assert!(
        !sent.ends_with(b"0\r\n\r\n") && !sent.windows(8).any(|text| text == b"smuggled"),
        "{}",
        sent.escape_ascii()
    );
    // What is sent behind a body is the next request, and goes through all the rules.
    let mut client = daemon.connect();
    client.send(format!("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{smuggled}{smuggled}"));
    let (received, mut peer) = backend.answer(HELLO);
    assert_eq!(received.body, smuggled.as_bytes());
    client.read_response();
    assert_eq!(peer.request().line, "GET /app/smuggled HTTP/1.1");
    peer.send(HELLO);
    client.read_response();
    // A length has one form.
    let mut client = daemon.connect();
    client.send("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 0010\r\n\r\n0123456789");
    let received = peer.request();
    assert_eq!((received.field("content-length"), received.body.as_slice()), (Some("10"), &b"0123456789"[..]));
    peer.send(HELLO);
    client.read_response();
    // What is decoded to be judged is encoded again.
    let mut client = daemon.connect();
    client.send("GET /app/x%20HTTP/../%c3%a4%22%3f HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(peer.request().line, "GET /app/%C3%A4%22%3F HTTP/1.1");
}

#[test]
fn what_waits_is_bounded() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/app", &[], false));
    let (_, mut peer) = backend.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    let piece = vec![b'x'; 1 << 20];
    let sending = thread::spawn(move || {
        for n in 0..1000 {
            if peer.try_send(&piece).is_err() {
                return n;
            }
        }
        1000
    });
    // The client reads nothing, so the server gets rid of no more than the kernel holds for both connections.
    thread::sleep(Duration::from_millis(500));
    drop(client);
    assert!(sending.join().unwrap() < 64);
}

#[test]
fn values_are_checked() {
    let router = Router::new();
    router.section("list proxy '/a=ftp://x'\nlist proxy '/b=http://127.0.0.1:1/ host=x'\nlist fastcgi '.php=x'");
    let (status, said) = router.check();
    assert_eq!(status, Some(1));
    assert!(said.contains("uhttpd.main.proxy: \"/a=ftp://x\" is wrong: expected /PREFIX=URL"), "{said}");
    router.section("list proxy '/a=http://h'\nlist proxy '/a/=http://g'\nlist fastcgi '/=h:1'\nlist fastcgi '/=h:2'");
    let (_, said) = router.check();
    assert!(said.contains("uhttpd.main.proxy: \"/a\" is given more than once: the last line counts\n"), "{said}");
    assert!(said.contains("uhttpd.main.fastcgi: \"/\" is given more than once: the first line counts\n"), "{said}");
    let output = router.output(&["-h", &router.path("root"), "--proxy", "/a=http://h:1/ http://g/ insecure", "--dump"]);
    let dump = String::from_utf8(output.stdout).unwrap();
    assert!(dump.contains("\tlist proxy '/a=http://h:1/ http://g/ insecure'\n"), "{dump}");
    assert!(dump.contains("\toption proxy_timeout '60'\n") && dump.contains("\toption proxy_idle_timeout '3600'\n"));
}
