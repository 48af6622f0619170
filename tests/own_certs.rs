//! The daemon's own certificates: those that clients may refuse, and what is left where there is none.
#![cfg(feature = "tls")]

mod common;
mod common_config;
mod common_files;
mod common_tls;

use common_config::{Router, ask, free_addr, one_line};
use common_files::Daemon;
use common_tls::{Ca, has, run};
use std::fs;
use std::net::SocketAddr;

/// A section with HTTPS at this address by `server.crt` and `server.key`, and with these lines.
fn section(router: &Router, secure: SocketAddr, lines: &str) {
    let (cert, key) = (router.path("server.crt"), router.path("server.key"));
    router.section(&format!(" list listen_https {secure}\n option cert {cert}\n option key {key}\n{lines}"));
}

/// As an administrator makes them by openssl, with an authority of their own and without extensions.
#[test]
fn certificates_of_x509_v1_are_served() {
    if !has("openssl", "version") || !has("curl", "--version") {
        return;
    }
    let router = Router::new();
    let folder = router.temp.path();
    let secure = free_addr();
    for key in ["ec -pkeyopt ec_paramgen_curve:P-256", "rsa:2048"] {
        run(folder, &format!("openssl req -x509 -newkey {key} -nodes -keyout ca.key -out ca.crt -subj /CN=Home"));
        run(
            folder,
            &format!("openssl req -newkey {key} -nodes -keyout server.key -out server.csr -subj /CN=localhost"),
        );
        let sign = "openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 -out server.crt";
        run(folder, sign);
        section(&router, secure, "");
        assert_eq!(router.check(), (Some(0), String::new()), "{key}");
        let daemon = router.start(1);
        let resolve = format!("--resolve localhost:{}:{}", secure.port(), secure.ip());
        let url = format!("https://localhost:{}/file.txt", secure.port());
        assert_eq!(run(folder, &format!("curl -sS --cacert ca.crt {resolve} {url}")), "content", "{key}");
        drop(daemon);
        // The key must fit all the same.
        fs::copy(folder.join("ca.key"), folder.join("server.key")).unwrap();
        let (status, said) = router.check();
        assert_eq!(status, Some(1), "{key}");
        one_line(&said, &["server.key: not the key of", "server.crt"]);
    }
}

/// What is no certificate is none, however much it looks like one.
#[test]
fn malformed_certificates_are_named() {
    let router = Router::new();
    let pair = Ca::new("authority").issue(&["localhost"]);
    pair.write(router.temp.path(), "server");
    for cut in [1, 2, 40, 100, pair.cert.len() - 1] {
        router.write("server.crt", &pair.cert[..cut]);
        section(&router, free_addr(), "");
        let (status, said) = router.check();
        assert_eq!(status, Some(1), "{cut}");
        one_line(&said, &["server.crt"]);
    }
}

/// Nothing is served in the clear that was to be served by HTTPS alone.
#[test]
fn without_https_a_redirect_serves_nothing() {
    let router = Router::new();
    router.write("junk", "junk");
    router.write("root/.well-known/acme-challenge/token", "proof");
    let junk = router.path("junk");
    let wrong: [(String, &str); 3] = [
        (
            format!(" list listen_https {}\n option cert {junk}\n option key {junk}", free_addr()),
            "redirect_https is on",
        ),
        (" list listen_https nowhere".into(), "listen_https"),
        (format!(" list listen_https 192.0.2.300:443\n option cert {junk}"), "listen_https"),
    ];
    for (lines, said) in wrong {
        router.section(&format!("{lines}\n option redirect_https 1"));
        let daemon = router.start(1);
        for (method, path) in [("GET", "/file.txt"), ("POST", "/"), ("GET", "/missing"), ("HEAD", "/")] {
            let reply = ask(daemon.addr, method, path, &[]);
            assert_eq!((reply.status, reply.header("location")), (503, None), "{lines}: {method} {path}");
            assert!(method == "HEAD" || reply.text().contains("HTTPS") && reply.text().contains("log"), "{reply:?}");
        }
        for path in ["/.well-known/acme-challenge/../x", "/.well-known/", "/.well-known/acme-challenge"] {
            assert_eq!(ask(daemon.addr, "GET", path, &[]).status, 503, "{lines}: {path}");
        }
        // A certificate may come by ACME, and who mends it comes through a tunnel.
        assert_eq!(ask(daemon.addr, "GET", "/.well-known/acme-challenge/token", &[]).text(), "proof", "{lines}");
        let mut tunnel = daemon.connect();
        tunnel.send("GET /file.txt HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n\r\n");
        assert_eq!(tunnel.read_response().text(), "content", "{lines}");
        assert!(router.log().contains(said), "{said}: {}", router.log());
    }
    // Once it can be served, it is.
    let secure = free_addr();
    section(&router, secure, " option redirect_https 1");
    router.write("server.crt", "junk");
    router.write("server.key", "junk");
    let daemon: Daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).status, 503);
    Ca::new("authority").issue(&["localhost"]).write(router.temp.path(), "server");
    assert!(router.reload(&daemon).contains("read anew"));
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).status, 307);
    // As uhttpd's init script has it: where no HTTPS is asked for there is nothing to be redirected to.
    router.section(" option redirect_https 1");
    assert!(router.reload(&daemon).contains("read anew"));
    let daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).text(), "home");
}
