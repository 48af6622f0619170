//! The daemon's own certificates: those that clients may refuse, those that end, and what is left where there is none.
#![cfg(feature = "tls")]

mod common;
mod common_config;
mod common_files;
mod common_tls;

use common_config::{Router, ask, free_addr, one_line, until};
use common_files::{Daemon, request};
use common_tls::{Ca, Stream, has, leaf, over, run, trusting, try_open};
use ecohttpd::x509::{self, SanName};
use rustls::version::TLS13;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

const DAY: u64 = 86_400;

/// A section with HTTPS at this address by `server.crt` and `server.key`, and with these lines.
fn section(router: &Router, secure: SocketAddr, lines: &str) {
    let (cert, key) = (router.path("server.crt"), router.path("server.key"));
    router.section(&format!(" list listen_https {secure}\n option cert {cert}\n option key {key}\n{lines}"));
}

fn open(addr: SocketAddr) -> Stream {
    try_open(&trusting(&[&TLS13]), addr, "localhost").unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
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
        let is_v1 = run(folder, "openssl x509 -in server.crt -noout -text").contains("Version: 1");
        section(&router, secure, "");
        assert_eq!(router.check(), (Some(0), String::new()), "{key}");
        let daemon = router.start(1);
        let resolve = format!("--resolve localhost:{}:{}", secure.port(), secure.ip());
        let url = format!("https://localhost:{}/file.txt", secure.port());
        assert_eq!(run(folder, &format!("curl -sS --cacert ca.crt {resolve} {url}")), "content", "{key}");
        assert!(!is_v1 || router.log().contains("server.crt: certificate is X.509 v1"), "{}", router.log());
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

/// Writes a certificate of ours that is valid so many days from now to so many.
fn write_own(router: &Router, names: &[SanName], from: i64, to: i64) -> Vec<u8> {
    let at = |days: i64| now().checked_add_signed(days * DAY.cast_signed()).unwrap();
    let key = ecohttpd::x509::read_key(router.path("server.key").as_ref()).unwrap();
    let cert = x509::self_signed_by(&key, names, at(from), at(to)).unwrap();
    router.write("server.crt", &cert);
    cert
}

fn names(secure: SocketAddr) -> Vec<SanName> {
    vec![SanName::Ip(secure.ip())]
}

#[test]
fn ours_are_renewed_without_a_restart() {
    let router = Router::new();
    let secure = free_addr();
    section(&router, secure, "");
    // The first is made.
    drop(router.start(1));
    let key = fs::read(router.path("server.key")).unwrap();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut good = names(secure);
    if x509::is_dns_name(host.trim()) {
        good.push(SanName::Dns(host.trim().to_owned()));
    }
    let other = vec![SanName::Ip(IpAddr::from([10, 9, 8, 7]))];
    let facts = |stream: &Stream| x509::facts(&leaf(stream)).unwrap();

    let old = write_own(&router, &good, -380, 17);
    let daemon = router.start(1);
    let first = leaf(&open(secure));
    assert!(*first != old[..] && facts(&open(secure)).not_after > now() + 300 * DAY, "renewed before it was served");
    let mut client = over(open(secure));
    let mut get = || {
        client.send(request("GET", "/file.txt", &[], false));
        client.read_response().text().to_owned()
    };
    assert_eq!(get(), "content");
    for (names, from, to, renewed, name) in [
        (&good, -360, 37, false, "37 days before its end"),
        (&good, -390, -5, true, "ended"),
        (&good, 5, 400, true, "not begun"),
        (&other, -1, 390, true, "another address"),
    ] {
        let old = write_own(&router, names, from, to);
        assert!(router.reload(&daemon).contains("configuration reloaded"));
        let stream = open(secure);
        assert_eq!(*leaf(&stream) != old[..], renewed, "{name}");
        assert!(facts(&stream).names.contains(&good[0]) && get() == "content", "{name}");
    }
    assert_eq!(fs::read(router.path("server.key")).unwrap(), key, "the key stays");
    let log = router.log();
    assert_eq!(log.matches("renewed the self-signed certificate").count(), 4, "{log}");
    assert!(!log.contains("refuse"), "{log}");
}

/// Those of others are not ours to renew: that they are of no use is said.
#[test]
fn those_that_clients_refuse_are_said() {
    let router = Router::new();
    let secure = free_addr();
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(router.path("server.key"), key.serialize_pem()).unwrap();
    let write = |from, to| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        let cert = params.self_signed(&key).unwrap();
        router.write("server.crt", cert.der());
        cert.der().clone()
    };
    let ended = write(2020, 2021);
    section(&router, secure, "");
    let daemon = router.start(1);
    assert_eq!(leaf(&open(secure)), ended, "served all the same");
    until("it is said", || router.log().contains("server.crt: certificate expired"));
    let early = write(2199, 2200);
    router.reload(&daemon);
    assert_eq!(leaf(&open(secure)), early);
    until("it is said", || router.log().contains("server.crt: certificate not valid for another"));
    let lines = router.log().lines().count();
    write(2020, 2199);
    router.reload(&daemon);
    // Of the last there is nothing to say but that it was read.
    assert_eq!(router.log().lines().count(), lines + 1, "{}", router.log());
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
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).status, 307);
    // As uhttpd's init script has it: where no HTTPS is asked for there is nothing to be redirected to.
    router.section(" option redirect_https 1");
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    let daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).text(), "home");
}
