//! Servers behind the proxy that speak TLS: this program itself.
#![cfg(feature = "proxy-tls")]

mod common;
mod common_config;
mod common_files;
mod common_upstream;

use common_config::{Router, ask, until};
use common_files::{Daemon, request};
use common_upstream::Backend;
use std::fs;
use std::net::{Shutdown, TcpListener, TcpStream};

/// A server with a certificate of its own that forwards `/app`, and the port of its HTTPS.
fn server(router: &Router, backend: &Backend) -> (Daemon, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (cert, key) = (router.path("cert"), router.path("key"));
    let (listen, value) = (format!("127.0.0.1:{port}"), format!("/app={}", backend.url()));
    #[rustfmt::skip]
    let daemon = router.start_by(&["-s", &listen, "--self-signed", "-C", &cert, "-K", &key, "--proxy", &value]);
    (daemon, port)
}

#[test]
fn a_server_is_verified_unless_that_is_not_wanted() {
    let (router, backend) = (Router::new(), Backend::tcp());
    let (_server, port) = server(&router, &backend);
    let large = "x".repeat(3_000_000);
    router.write("root/large", &large);
    let cert = router.path("cert");
    let other = Router::new();
    // Another one's certificate, which did not sign this one's.
    let (_other, _) = server(&other, &backend);
    let values = [
        format!("/anyone=https://127.0.0.1:{port}/ insecure"),
        format!("/known=https://127.0.0.1:{port}/ ca={cert}"),
        format!("/stranger=https://127.0.0.1:{port}/ ca={}", other.path("cert")),
        format!("/name=https://localhost.localdomain:{port}/ ca={cert}"),
        format!("/plain=https://127.0.0.1:{}/ insecure", backend.port),
        format!("/none=https://127.0.0.1:{port}/ ca=/missing"),
    ];
    let mut args = Vec::new();
    values.iter().for_each(|value| args.extend(["--proxy", value]));
    router.section(&values[..5].iter().map(|value| format!("list proxy '{value}'\n")).collect::<String>());
    let front = router.start(1);
    for name in ["anyone", "known"] {
        let mut client = front.connect();
        for _ in 0..2 {
            client.send(request("GET", &format!("/{name}/file.txt"), &[], false));
            assert_eq!(client.read_response().text(), "content", "{name}");
        }
        client.send(request("GET", &format!("/{name}/large"), &[], false));
        assert!(client.read_response().text() == large, "{name}");
    }
    for name in ["stranger", "name"] {
        assert_eq!(ask(front.addr, "GET", &format!("/{name}/file.txt"), &[]).status, 502, "{name}");
    }
    until("it is logged", || router.log().contains("invalid peer certificate"));
    // A server that does not speak TLS.
    let mut client = front.connect();
    client.send(request("GET", "/plain/", &[], true));
    let mut peer = backend.accept();
    peer.send("HTTP/1.1 400 This is HTTP\r\n\r\n");
    assert_eq!(client.read_response().status, 502);
    // A file of authorities that is missing is said.
    router.section(&format!("list proxy '{}'", values[5]));
    let (_, said) = router.check();
    assert!(said.contains("uhttpd.main.proxy: \"/missing\" is wrong: expected a file of authorities"), "{said}");
    assert!(fs::exists(cert).unwrap());
}

/// A WebSocket by way of two proxies, with TLS between them.
#[test]
fn a_tunnel_goes_through_tls() {
    const MUCH: usize = 3 << 20;
    let (router, backend) = (Router::new(), Backend::tcp());
    let (_server, port) = server(&router, &backend);
    let front = router.start_by(&["--proxy", &format!("/app=https://127.0.0.1:{port} insecure")]);
    let mut client = front.connect();
    client.send("GET /app/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let (received, mut peer) =
        backend.answer("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
    assert_eq!(
        (received.field("via"), received.field("x-forwarded-proto")),
        (Some("1.1 ecohttpd, 1.1 ecohttpd"), Some("https"))
    );
    assert_eq!(client.read_response().status, 101);
    assert_eq!(client.read_exact(5), b"first");
    client.send("ping");
    assert_eq!(peer.read_exact(4), b"ping");
    let sending = std::thread::spawn(move || {
        peer.send(vec![b'd'; MUCH]);
        peer
    });
    assert!(client.read_exact(MUCH).iter().all(|&byte| byte == b'd'));
    let mut peer = sending.join().unwrap();
    // The end comes behind all that was sent, however slowly that is read.
    client.send(vec![b'u'; MUCH]);
    client.half_close();
    assert_eq!(peer.rest().len(), MUCH);
    peer.send("last words");
    assert_eq!(client.read_exact(10), b"last words");
    drop(peer);
    client.expect_close();
}

#[test]
fn bodies_pass_through_tls() {
    let (router, backend) = (Router::new(), Backend::tcp());
    let (_server, port) = server(&router, &backend);
    let front = router.start_by(&["--proxy", &format!("/app=https://127.0.0.1:{port} insecure")]);
    let mut client = front.connect();
    let body = vec![b'u'; 2_000_000];
    let sending = std::thread::spawn(move || {
        client.send("POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
        client.send(body);
        client
    });
    let (received, _peer) = backend.answer("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    assert_eq!(received.body.len(), 2_000_000);
    drop(_peer);
    assert_eq!(sending.join().unwrap().read_response().text(), "until the end");
}

/// What a handshake costs is spent once.
#[test]
fn a_connection_is_used_again() {
    let (router, backend) = (Router::new(), Backend::tcp());
    let (_server, port) = server(&router, &backend);
    let splice = TcpListener::bind("127.0.0.1:0").unwrap();
    let value = format!("/app=https://127.0.0.1:{}/ ca={}", splice.local_addr().unwrap().port(), router.path("late"));
    let (sender, accepted) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((client, _)) = splice.accept() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
            let _ = sender.send(());
        }
    });
    router.section(&format!("list proxy '{value}'"));
    let front = router.start(1);
    // The authorities may come later.
    assert_eq!(ask(front.addr, "GET", "/app/file.txt", &[]).status, 502);
    fs::copy(router.path("cert"), router.path("late")).unwrap();
    let mut client = front.connect();
    for _ in 0..3 {
        client.send(request("GET", "/app/file.txt", &[], false));
        assert_eq!(client.read_response().text(), "content");
    }
    assert_eq!(accepted.try_iter().count(), 2, "that without authorities, and one");
}
