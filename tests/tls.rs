//! TLS through a client of another making than the server's wire: rustls' own, over real sockets.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;
mod common_tls;

use common::{Client, Gate, MOMENT, PATIENCE, Response, next, pattern, post, post_chunked, told};
use common_tls::{
    BOTH, Ca, Dribble, GET, GET_CLOSE, Identity, TLS12, TLS13, client, config, connect, exchange, hi, leaf, open, over,
    serve_both, serve_tls, trusting, try_open,
};
use ecohttpd::{Connection, Error, FormEvent, Options, Request, Result};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned};
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const LARGE: usize = 20_000_003;

/// Something of everything that a handler can do.
async fn app(con: &mut Connection, req: &mut Request) -> Result<()> {
    match req.path() {
        "/hello" => {
            con.add_header("content-length", 6)?;
            con.send("hello\n").await
        }
        "/chunked" => {
            for piece in [&b"one"[..], b"", &pattern(40_000), b"end"] {
                con.send(piece).await?;
                con.flush().await?;
            }
            Ok(())
        }
        "/echo" => {
            let body = con.read_body(None, None).await?;
            con.send(body).await
        }
        "/pieces" => {
            let mut total = 0;
            loop {
                match con.read_body(777, None).await?.len() {
                    0 => return con.send(total.to_string()).await,
                    n => total += n,
                }
            }
        }
        "/form" => loop {
            match con.read_formdata(req, None).await? {
                FormEvent::Header { name, value } => con.send(format!("{name}: {value}\n")).await?,
                FormEvent::Body { data, .. } => con.send(data).await?,
                _ => return Ok(()),
            }
        },
        "/teapot" => con.send_error(418, "Teapot", "short and stout").await,
        "/away" => con.redirect(302, "/hello").await,
        "/fails" => Err(Error::Timeout),
        "/tls" => con.send(format!("{} {:?}", con.is_tls(), subject(con))).await,
        _ => con.serve_file(req).await,
    }
}

fn subject(con: &Connection) -> Option<String> {
    con.peer_subject().map(|subject| subject.to_string())
}

/// A reply without what may differ from one second to the next.
fn essence(reply: &Response) -> (u16, String, Vec<(String, String)>, &[u8]) {
    let headers = reply.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (reply.status, reply.reason.clone(), headers, &reply.body)
}

// --- the same as over TCP ---------------------------------------------------------------------------

#[test]
fn everything_is_as_on_a_plain_connection() {
    let id = Identity::new();
    let root = id.path("root");
    fs::create_dir(&root).unwrap();
    for (name, len) in [("1k", 1024), ("100k", 100 << 10), ("empty", 0), ("record", 16 << 10)] {
        fs::write(root.join(name), pattern(len)).unwrap();
    }
    let options = id.options();
    let (server, plain) = serve_both(move || options().docroot(root).max_body(4 << 20), app);
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n").into_bytes();
    let body = pattern(300_001);
    let form = b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n".as_slice();
    let form = [form, &body, b"\r\n--b--\r\n"].concat();
    let form_head = format!(
        "POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    let rows: Vec<(&str, Vec<u8>, u16, usize)> = vec![
        ("hello", get("/hello", ""), 200, 6),
        ("chunked", get("/chunked", ""), 200, 40_006),
        ("to 1.0, delimited by the end", b"GET /chunked HTTP/1.0\r\n\r\n".to_vec(), 200, 40_006),
        ("1 KiB", get("/1k", ""), 200, 1024),
        ("100 KiB", get("/100k", ""), 200, 100 << 10),
        ("an empty file", get("/empty", ""), 200, 0),
        ("as long as a record", get("/record", ""), 200, 16 << 10),
        ("a range", get("/100k", "Range: bytes=1000-50999\r\n"), 206, 50_000),
        ("a range beyond", get("/100k", "Range: bytes=200000-\r\n"), 416, usize::MAX),
        ("missing", get("/none", ""), 404, usize::MAX),
        ("a body", post("/echo", &body), 200, body.len()),
        ("a chunked body", post_chunked("/echo", &body, 7000), 200, body.len()),
        ("a body in pieces", post("/pieces", &body), 200, 6),
        ("tiny chunks in pieces", post_chunked("/pieces", &body[..20_000], 3), 200, 5),
        ("a form", [form_head.as_bytes(), &form].concat(), 200, usize::MAX),
        ("too large a body", post("/echo", &pattern((4 << 20) + 1)), 413, usize::MAX),
        ("an error", get("/teapot", ""), 418, 15),
        ("a redirection", get("/away", ""), 302, 0),
        ("a handler that fails", get("/fails", ""), 408, usize::MAX),
        ("a bad head", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_vec(), 400, usize::MAX),
        ("too long a head", get("/hello", &format!("A: {}\r\n", "a".repeat(20_000))), 431, usize::MAX),
    ];
    let configs = [TLS12, TLS13].map(|versions| Arc::new(config(&id.ca, versions, None)));
    for (name, request, status, len) in &rows {
        let mut bare = Client::connect(plain);
        // Refused bodies may not be taken whole.
        let _ = bare.try_send(request);
        let expected = bare.read_response();
        assert_eq!(expected.status, *status, "{name}");
        assert!(*len == usize::MAX || expected.body.len() == *len, "{name}: {}", expected.body.len());
        for config in &configs {
            let mut client = client(config, server.addr);
            let _ = client.try_send(request);
            let reply = client.read_response();
            assert!(essence(&reply) == essence(&expected), "{name}: {:?} {:?}", reply.headers, expected.headers);
            if reply.closes() {
                client.expect_close();
            } else {
                client.send("HEAD /100k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                assert_eq!(client.read_head_response().header("content-length"), Some("102400"), "in step: {name}");
                client.expect_close();
            }
        }
    }
}

#[test]
fn large_files_with_every_cipher() {
    let id = Identity::new();
    fs::write(id.path("large"), pattern(LARGE)).unwrap();
    let (options, root) = (id.options(), id.temp.path().to_owned());
    let server = serve_tls(move || options().docroot(root), app);
    let data = pattern(LARGE);
    for suite in rustls::crypto::ring::ALL_CIPHER_SUITES {
        // The server's key is ECDSA.
        if format!("{:?}", suite.suite()).contains("RSA") {
            continue;
        }
        let mut provider = rustls::crypto::ring::default_provider();
        provider.cipher_suites = vec![*suite];
        let mut roots = rustls::RootCertStore::empty();
        roots.add(id.ca.der()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[suite.version()])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = client(&Arc::new(config), server.addr);
        client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(client.read_response().body == data, "{suite:?}");
        client.send("GET /large HTTP/1.1\r\nHost: x\r\nRange: bytes=-70000\r\nConnection: close\r\n\r\n");
        assert!(client.read_response().body == data[LARGE - 70_000..], "{suite:?}");
        client.expect_close();
    }
}

#[test]
fn pipelines_and_records_of_any_size() {
    let id = Identity::new();
    let server = serve_tls(id.options(), app);
    let config = Arc::new(config(&id.ca, BOTH, None));
    // Many requests in one record: nothing of the socket announces the later ones.
    let mut pipelined = client(&config, server.addr);
    pipelined.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n".repeat(300));
    for _ in 0..300 {
        assert_eq!(pipelined.read_response().text(), "hello\n");
    }
    // A record for each byte.
    let mut client = client(&config, server.addr);
    for byte in post("/echo", b"a body") {
        client.send([byte]);
    }
    assert_eq!(client.read_response().text(), "a body");
    // A packet for each byte of the handshake and of the records.
    let name = "localhost".try_into().unwrap();
    let conn = ClientConnection::new(Arc::clone(&config), name).unwrap();
    let mut stream = StreamOwned::new(conn, Dribble(connect(server.addr)));
    stream.write_all(GET_CLOSE.replace(" / ", " /hello ").as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.ends_with("\r\n\r\nhello\n"), "{reply}");
}

/// What rustls decrypted before the handler asked must not be forgotten: the socket will never tell of it.
#[test]
fn decrypted_bytes_wait_for_the_handler() {
    let id = Identity::new();
    let gate = Gate::default();
    let opened = gate.clone();
    let server = serve_tls(id.options(), async move |con: &mut Connection, _: &mut Request| {
        let mut body = con.read_body(10, None).await?;
        gate.wait().await;
        body.extend(con.read_body(None, None).await?);
        con.send(body).await
    });
    let body = pattern(200_000);
    let mut client = client(&trusting(BOTH), server.addr);
    let requests = post("/", &body).repeat(2);
    let sender = thread::spawn(move || {
        client.send(requests);
        client
    });
    thread::sleep(MOMENT);
    opened.open();
    let mut client = sender.join().unwrap();
    for _ in 0..2 {
        assert!(client.read_response().body == body);
    }
}

/// What is left decrypted from an earlier read must not make the next one believe that the socket is empty.
#[test]
fn what_comes_between_two_reads_is_not_overlooked() {
    let id = Identity::new();
    let gates = [Gate::default(), Gate::default()];
    let opened = gates.clone();
    let server = serve_tls(id.options(), async move |con: &mut Connection, _: &mut Request| {
        gates[0].wait().await;
        // As much of two records as the loop's buffer holds; the rest of the second stays with the session.
        let mut body = con.read_body(1, None).await?;
        gates[1].wait().await;
        body.extend(con.read_body(None, None).await?);
        con.send(body).await
    });
    let body = pattern(20_100);
    let mut client = client(&trusting(BOTH), server.addr);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20100\r\n\r\n");
    for (record, gate) in [(0..10_000, None), (10_000..20_000, Some(&opened[0])), (20_000..20_100, Some(&opened[1]))] {
        client.send(&body[record]);
        if let Some(gate) = gate {
            // The event of what was sent must be over before the handler reads on.
            thread::sleep(MOMENT);
            gate.open();
            thread::sleep(MOMENT);
        }
    }
    assert!(client.read_response().body == body);
}

#[test]
fn expect_continue_and_upgrade() {
    let id = Identity::new();
    let (tell, ends) = channel();
    let server = serve_tls(id.options(), async move |con: &mut Connection, req: &mut Request| {
        if req.method() == "POST" {
            let body = con.read_body(None, None).await?;
            return con.send(body).await;
        }
        con.add_header("upgrade", "echo")?;
        let mut stream = con.upgrade().await?;
        let mut buffer = [0; 1000];
        loop {
            let read = stream.read(&mut buffer).await;
            match read {
                Ok(n) if n > 0 => stream.write_all(&buffer[..n]).await?,
                end => {
                    tell.send(told(end)).unwrap();
                    return stream.close().await;
                }
            }
        }
    });
    let config = trusting(BOTH);
    let mut waiting = client(&config, server.addr);
    waiting.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(waiting.read_response().status, 100);
    waiting.send("body");
    assert_eq!(waiting.read_response().text(), "body");

    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly";
    let data = pattern(1_000_000);
    let mut client = client(&config, server.addr);
    client.send(request);
    assert_eq!(client.read_response().status, 101);
    assert_eq!(client.read_exact(5), b"early");
    for piece in data.chunks(100_000) {
        client.send(piece);
        assert!(client.read_exact(piece.len()) == piece);
    }
    client.half_close();
    client.expect_close();
    assert_eq!(next(&ends), Ok(0), "an end with close_notify is an end");
    // Without it, somebody else may have ended it.
    let mut stream = open(&config, server.addr);
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
    assert_ne!(stream.read(&mut [0; 9]).unwrap(), 0);
    stream.sock.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(&ends), Err("Closed".to_owned()), "an end without is none");
}

#[test]
fn is_tls() {
    let id = Identity::new();
    let (server, plain) = serve_both(id.options(), app);
    let request = "GET /tls HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = client(&trusting(BOTH), server.addr);
    client.send(request);
    assert_eq!(client.read_response().text(), "true None");
    let mut client = Client::connect(plain);
    client.send(request);
    assert_eq!(client.read_response().text(), "false None");
}

// --- certificates -----------------------------------------------------------------------------------

#[test]
fn the_name_chooses_the_certificate() {
    let id = Identity::new();
    let names: [&[&str]; 4] = [&["exact.test", "also.test"], &["*.wild.test"], &["b.wild.test"], &["*.late.test"]];
    let pairs = names.map(|names| id.ca.issue(names));
    // The wildcard stands before an exact name that it covers: the order is not to matter.
    let files: Vec<_> = (0..).zip(&pairs).map(|(i, pair)| pair.write(id.temp.path(), &format!("{i}"))).collect();
    let options = id.options();
    let server =
        serve_tls(move || files.into_iter().fold(options(), |options, (cert, key)| options.cert_key(cert, key)), hi);
    let default = &id.pair.cert;
    let rows = [
        ("localhost", default),
        ("127.0.0.1", default),
        ("exact.test", &pairs[0].cert),
        ("also.test", &pairs[0].cert),
        ("a.exact.test", default),
        ("a.wild.test", &pairs[1].cert),
        ("b.wild.test", &pairs[2].cert),
        ("a.b.wild.test", default),
        ("wild.test", default),
        ("x.late.test", &pairs[3].cert),
        ("test", default),
        ("unknown.example", default),
    ];
    for (name, cert) in rows {
        let stream = try_open(&trusting(BOTH), server.addr, name).unwrap();
        assert!(leaf(&stream) == *cert, "{name}");
    }
}

#[test]
fn chains_are_sent_whole() {
    let id = Identity::new();
    let between = id.ca.intermediate("Between");
    let mut pair = between.issue(&["localhost"]);
    pair.chain_pem.push_str(&between.pem());
    let (cert, key) = pair.write(id.temp.path(), "chain");
    let server = serve_tls(move || Options::new().cert(cert).key(key), hi);
    for versions in [TLS12, TLS13] {
        let stream = open(&Arc::new(config(&id.ca, versions, None)), server.addr);
        assert_eq!(stream.conn.peer_certificates().unwrap(), [pair.cert.clone(), between.der()]);
    }
}

#[test]
fn client_certificates() {
    let id = Identity::new();
    let (clients, others) = (Ca::new("Clients"), Ca::new("Others"));
    let (alice, eve) = (clients.issue(&["alice"]), others.issue(&["alice"]));
    let ca = id.path("clients.crt");
    fs::write(&ca, clients.pem()).unwrap();
    let serve = |insecure| {
        let (options, ca) = (id.options(), ca.clone());
        serve_tls(
            move || options().ca(ca).insecure(insecure),
            async |con: &mut Connection, _: &mut Request| {
                let subject = subject(con);
                con.send(format!("{subject:?}")).await
            },
        )
    };
    let (required, optional) = (serve(false), serve(true));
    for versions in [TLS12, TLS13] {
        let ask = |addr, auth| {
            // The second handshake resumes, and must know no less.
            let config = Arc::new(config(&id.ca, versions, auth));
            let first = try_open(&config, addr, "localhost").and_then(exchange)?.0;
            let (second, stream) = try_open(&config, addr, "localhost").and_then(exchange)?;
            assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Resumed));
            let body = |reply: &str| reply.split_once("\r\n\r\n").unwrap().1.to_owned();
            assert_eq!(body(&first), body(&second), "resumed");
            Ok::<_, io::Error>(body(&first))
        };
        for server in [&required, &optional] {
            let subject = ask(server.addr, Some(&alice)).unwrap();
            assert!(subject.contains("CN=alice") && subject.contains("O=Tests"), "{subject}");
        }
        let error = ask(required.addr, Some(&eve)).unwrap_err();
        assert!(error.to_string().contains("nknown"), "an alert that says why: {error}");
        assert!(ask(optional.addr, Some(&eve)).unwrap().contains("None"), "of another authority: as good as none");
        let error = ask(required.addr, None).unwrap_err();
        assert!(error.to_string().contains("ertificate"), "an alert that says why: {error}");
        assert!(ask(optional.addr, None).unwrap().contains("None"), "asked, not insisted on");
    }
}

#[test]
fn reload_changes_new_connections_only() {
    let id = Identity::new();
    let server = serve_tls(id.options(), hi);
    // No resumption: a resumed connection shows the certificate that it began with.
    let fresh = || open(&trusting(BOTH), server.addr);
    let until = |cert: &rustls::pki_types::CertificateDer<'_>| {
        let start = Instant::now();
        while leaf(&fresh()) != *cert {
            assert!(start.elapsed() < PATIENCE, "the new certificate does not come");
            thread::sleep(Duration::from_millis(5));
        }
    };
    let mut old = client(&trusting(BOTH), server.addr);
    old.send(GET);
    assert_eq!(old.read_response().text(), "hi");
    let second = id.ca.issue(&["localhost"]);
    second.write(id.temp.path(), "server");
    assert!(leaf(&fresh()) == id.pair.cert, "not before it was asked for");
    server.handle.reload_tls();
    until(&second.cert);
    // A key that does not fit, no certificate, no file: the pair stays.
    let third = id.ca.issue(&["localhost"]);
    let broken: [&dyn Fn(); 3] = [
        &|| fs::write(&id.key, third.key.serialize_pem()).unwrap(),
        &|| fs::write(&id.cert, "nothing").unwrap(),
        &|| fs::remove_file(&id.cert).unwrap(),
    ];
    for break_it in broken {
        break_it();
        server.handle.reload_tls();
        thread::sleep(MOMENT);
        for _ in 0..3 {
            let stream = fresh();
            assert!(leaf(&stream) == second.cert);
            assert!(exchange(stream).unwrap().0.ends_with("hi"));
        }
    }
    third.write(id.temp.path(), "server");
    server.handle.reload_tls();
    until(&third.cert);
    old.send(GET_CLOSE);
    assert_eq!(old.read_response().text(), "hi", "one from before all that");
    old.expect_close();
}

// --- resumption, protocols --------------------------------------------------------------------------

#[test]
fn resumption() {
    let id = Identity::new();
    let (server, other) = (serve_tls(id.options(), hi), serve_tls(id.options(), hi));
    for (versions, version, tickets) in [(TLS12, ProtocolVersion::TLSv1_2, 0), (TLS13, ProtocolVersion::TLSv1_3, 2)] {
        let mut config = config(&id.ca, versions, None);
        config.enable_early_data = true;
        let config = Arc::new(config);
        for (round, kind) in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed].iter().enumerate() {
            let name = "localhost".try_into().unwrap();
            let mut conn = ClientConnection::new(Arc::clone(&config), name).unwrap();
            assert!(conn.early_data().is_none(), "a ticket that promises early data");
            let stream = StreamOwned::new(conn, connect(server.addr));
            let (reply, stream) = exchange(stream).unwrap();
            assert!(reply.ends_with("hi"), "{reply}");
            assert_eq!(stream.conn.handshake_kind(), Some(*kind), "{version:?}, round {round}");
            assert_eq!(stream.conn.protocol_version(), Some(version));
            assert_eq!(stream.conn.tls13_tickets_received(), tickets, "tickets of a handshake");
        }
        // What another server made is no ticket here, and no harm.
        let (reply, stream) = exchange(open(&config, other.addr)).unwrap();
        assert!(reply.ends_with("hi"));
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
    }
}

/// Without HTTP/2; tests/http2.rs has what is chosen with it.
#[test]
fn alpn() {
    let id = Identity::new();
    let options = id.options();
    #[cfg(feature = "http2")]
    let options = move || options().http2(false);
    let server = serve_tls(options, hi);
    let rows: [(&[&str], Option<Option<&str>>); 4] = [
        (&["h2", "http/1.1"], Some(Some("http/1.1"))),
        (&["http/1.1"], Some(Some("http/1.1"))),
        (&[], Some(None)),
        // RFC 7301 §3.2: no_application_protocol.
        (&["h2"], None),
    ];
    for versions in [TLS12, TLS13] {
        for (offered, chosen) in rows {
            let mut config = config(&id.ca, versions, None);
            config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            match (try_open(&Arc::new(config), server.addr, "localhost"), chosen) {
                (Ok(stream), Some(chosen)) => {
                    assert_eq!(stream.conn.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
                    assert!(exchange(stream).unwrap().0.ends_with("hi"));
                }
                (Err(error), None) => {
                    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
                }
                (result, _) => panic!("{offered:?}: {:?}", result.map(|_| ())),
            }
        }
    }
}

#[test]
fn keys_are_updated_in_the_midst() {
    let id = Identity::new();
    let server = serve_tls(id.options(), app);
    let mut stream = open(&trusting(TLS13), server.addr);
    let request = post("/echo", &pattern(50_000));
    for piece in request.chunks(10_000) {
        stream.write_all(piece).unwrap();
        stream.conn.refresh_traffic_keys().unwrap();
        stream.flush().unwrap();
    }
    let mut client = over(stream);
    assert!(client.read_response().body == pattern(50_000));
    client.send(GET_CLOSE.replace(" / ", " /hello "));
    assert_eq!(client.read_response().text(), "hello\n");
    client.expect_close();
}

// --- how connections end ----------------------------------------------------------------------------
