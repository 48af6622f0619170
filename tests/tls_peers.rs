//! TLS with peers as they are: openssl and curl where they are installed, and those that stall, lie or vanish.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;
mod common_files;
mod common_tls;

use common::{PATIENCE, pattern, post, skip};
use common_files::{Daemon, program};
use common_tls::{
    BOTH, GET, GET_CLOSE, Identity, TLS12, TLS13, anonymous, client, exchange, has, hi, leaf, open, run, s_client,
    serve_tls, trusting,
};
use ecohttpd::{Connection, Options, Request, Server};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

// --- certificates and keys as openssl makes them ----------------------------------------------------

/// What makes `k`, a key, in each form; `c` is made of it.
const KEYS: &[(&str, &str)] = &[
    ("p256", "openssl ecparam -name prime256v1 -genkey -noout -out k"),
    ("p256 after its parameters", "openssl ecparam -name prime256v1 -genkey -out k"),
    ("p384", "openssl ecparam -name secp384r1 -genkey -noout -out k"),
    ("ed25519", "openssl genpkey -algorithm ed25519 -out k"),
    ("rsa", "openssl genrsa -traditional -out k 2048"),
    ("rsa 4096", "openssl genrsa -traditional -out k 4096"),
];

/// Makes key `k` and certificate `c`, both PEM.
fn make(folder: &Path, key: &str) {
    run(folder, key);
    let subject = "-subj /CN=localhost -days 30 -addext basicConstraints=critical,CA:FALSE";
    run(folder, &format!("openssl req -x509 -new -key k -out c {subject} -addext subjectAltName=DNS:localhost"));
    run(folder, "openssl x509 -in c -outform DER -out c.der");
}

#[test]
fn every_form_of_key_and_certificate() {
    if !has("openssl", "version") {
        return;
    }
    for (name, command) in KEYS {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path();
        make(folder, command);
        run(folder, "openssl pkcs8 -topk8 -nocrypt -in k -out p8");
        run(folder, "openssl pkcs8 -topk8 -nocrypt -in k -outform DER -out p8.der");
        let mut keys = vec!["k", "p8", "p8.der", "all"];
        if *name != "ed25519" {
            // As px5g writes them: SEC1 or PKCS#1.
            let kind = if name.starts_with("rsa") { "rsa -traditional" } else { "ec" };
            run(folder, &format!("openssl {kind} -in k -outform DER -out k.der"));
            keys.push("k.der");
        }
        let (cert, key) =
            (fs::read_to_string(folder.join("c")).unwrap(), fs::read_to_string(folder.join("k")).unwrap());
        fs::write(folder.join("all"), format!("About it:\n{key}\n{cert}")).unwrap();
        fs::write(folder.join("crlf"), cert.replace('\n', "\r\n")).unwrap();
        let shown = fs::read(folder.join("c.der")).unwrap();
        for (key, cert) in keys.into_iter().zip(["c", "c.der", "crlf", "all", "c.der"]) {
            let (cert, key) = (folder.join(cert), folder.join(key));
            let about = format!("{name}: {} {}", cert.display(), key.display());
            let server = serve_tls(move || Options::new().cert(cert).key(key), hi);
            for versions in [TLS12, TLS13] {
                let stream = open(&trusting(versions), server.addr);
                assert!(*leaf(&stream) == shown, "{about}");
                assert!(exchange(stream).unwrap().0.ends_with("hi"), "{about}");
            }
        }
    }
}

#[test]
fn what_cannot_be_used_is_named_in_one_line() {
    if !has("openssl", "version") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    for (folder, command) in [
        ("good", KEYS[0].1),
        ("other", KEYS[0].1),
        ("rsa1024", "openssl genrsa -out k 1024"),
        ("p521", "openssl ecparam -name secp521r1 -genkey -noout -out k"),
        ("ed448", "openssl genpkey -algorithm ed448 -out k"),
        ("v1", KEYS[0].1),
    ] {
        fs::create_dir(path(folder)).unwrap();
        make(&path(folder), command);
    }
    run(&path("v1"), "openssl req -new -key k -subj /CN=localhost -out csr");
    run(&path("v1"), "openssl x509 -req -in csr -signkey k -days 30 -out c");
    assert!(run(&path("v1"), "openssl x509 -in c -noout -text").contains("Version: 1 "));
    run(&path("good"), "openssl ec -in k -outform DER -out k.der");
    run(&path("good"), "openssl pkcs8 -topk8 -in k -passout pass:secret -out encrypted");
    let der = fs::read(path("good/c.der")).unwrap();
    fs::write(path("cut.der"), &der[..der.len() / 2]).unwrap();
    let pem = fs::read_to_string(path("good/c")).unwrap();
    fs::write(path("cut"), &pem[..pem.len() / 2]).unwrap();
    fs::write(path("bad64"), pem.replace("MII", "M*I")).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("text"), "no certificate\n").unwrap();
    // Certificate, key, the file to blame; empty where it may be either.
    let rows = [
        ("none", "good/k", "none"),
        ("good/c", "none", "none"),
        ("good", "good/k", "good"),
        ("empty", "good/k", "empty"),
        ("good/c", "empty", "empty"),
        ("text", "good/k", "text"),
        ("good/c", "text", "text"),
        ("good/k", "good/c", ""),
        ("good/k.der", "good/c.der", ""),
        ("good/c", "good/c", "good/c"),
        ("good/c", "other/k", "other/k"),
        ("good/c.der", "other/k", "other/k"),
        ("good/c", "good/encrypted", "good/encrypted"),
        ("cut", "good/k", "cut"),
        ("cut.der", "good/k", "cut.der"),
        ("bad64", "good/k", "bad64"),
        ("rsa1024/c", "rsa1024/k", "rsa1024/k"),
        ("p521/c", "p521/k", "p521/k"),
        ("ed448/c", "ed448/k", "ed448/k"),
        ("v1/c", "good/k", "good/k"),
    ];
    for (cert, key, blamed) in rows {
        let options = Options::new().cert(path(cert)).key(path(key));
        let line = Server::new(options, hi).unwrap().bind_tls("127.0.0.1", 0).expect_err(cert).to_string();
        assert!(!line.contains('\n') && line.len() < 300, "{cert} {key}: {line:?}");
        let name = |name: &str| line.contains(path(name).to_str().unwrap());
        assert!(if blamed.is_empty() { name(cert) || name(key) } else { name(blamed) }, "{cert} {key}: {line}");
        assert!(line.len() > path(blamed).as_os_str().len() + 5, "no reason: {line}");
    }
    // What a client may refuse can be used: as `openssl x509 -req` makes it, of X.509 v1.
    let old = Options::new().cert(path("v1/c")).key(path("v1/k"));
    assert!(Server::new(old, hi).unwrap().bind_tls("127.0.0.1", 0).is_ok());
    let good = || Options::new().cert(path("good/c")).key(path("good/k"));
    for ca in ["none", "empty", "text", "cut.der"] {
        let line = Server::new(good().ca(path(ca)), hi).unwrap().bind_tls("127.0.0.1", 0).expect_err(ca).to_string();
        assert!(line.contains(path(ca).to_str().unwrap()) && !line.contains('\n'), "{ca}: {line}");
    }
    assert!(Server::new(Options::new(), hi).unwrap().bind_tls("127.0.0.1", 0).is_err(), "no certificate at all");
    assert!(Server::new(good(), hi).unwrap().bind_tls("127.0.0.1", 0).is_ok());
}

// --- openssl s_client and curl ----------------------------------------------------------------------

#[test]
fn openssl_s_client() {
    if !has("openssl", "version") {
        return;
    }
    let id = Identity::new();
    let (cert, key) = id.ca.issue(&["exact.test"]).write(id.temp.path(), "exact");
    let options = id.options();
    let server = serve_tls(move || options().cert_key(cert, key), hi);
    let ask = |args: &str| s_client(id.temp.path(), server.addr, args);
    for (version, name, tickets) in [("-tls1_2", "TLSv1.2", 0), ("-tls1_3", "TLSv1.3", 2)] {
        let verify = "-CAfile ca.crt -verify_return_error -verify_hostname localhost -servername localhost";
        let (first, ok) = ask(&format!("{version} {verify} -alpn http/1.1 -sess_out session"));
        assert!(ok && first.contains("HTTP/1.1 200 OK") && first.contains("\r\n\r\nhi"), "{first}");
        assert!(first.contains(&format!("New, {name}")) && first.contains("Verify return code: 0 (ok)"), "{first}");
        assert!(first.contains("ALPN protocol: http/1.1"), "{first}");
        assert_eq!(first.matches("New Session Ticket arrived").count(), tickets, "{first}");
        assert!(!first.contains("unexpected eof") && !first.contains("Max Early Data: 1"), "{first}");
        let (second, ok) = ask(&format!("{version} {verify} -alpn http/1.1 -sess_in session"));
        assert!(ok && second.contains(&format!("Reused, {name}")) && second.contains("\r\n\r\nhi"), "{second}");
        // A ticket is bound to its name (RFC 6066 §3).
        let (other, _) = ask(&format!("{version} -servername exact.test -sess_in session"));
        assert!(other.contains("subject=CN = exact.test") || other.contains(&format!("New, {name}")), "{other}");
        // Names are matched in any case.
        let (upper, ok) = ask(&format!("{version} -servername EXACT.Test"));
        assert!(ok && upper.contains("CN = exact.test"), "{upper}");
        let (none, ok) = ask(&format!("{version} -noservername"));
        assert!(ok && none.contains("CN = localhost"), "{none}");
    }
    let (again, ok) = ask("-tls1_2 -reconnect");
    assert!(ok, "{again}");
    assert_eq!(again.matches("Reused, TLSv1.2").count(), 5, "{again}");
    for old in ["-tls1", "-tls1_1"] {
        let (refused, ok) = ask(&format!("{old} -cipher DEFAULT@SECLEVEL=0"));
        assert!(!ok && !refused.contains("HTTP/1.1"), "{old}: {refused}");
    }
}

#[test]
fn ten_megabytes_both_ways() {
    const SIZE: usize = 10 << 20;
    let id = Identity::new();
    let options = id.options();
    let echo = async |con: &mut Connection, _: &mut Request| {
        let body = con.read_body(None, None).await?;
        con.send(body).await
    };
    let server = serve_tls(move || options().max_body(SIZE as u64), echo);
    let data = pattern(SIZE);
    for version in [TLS12, TLS13] {
        let mut client = client(&trusting(version), server.addr);
        client.send(post("/", &data));
        assert!(client.read_response().body == data);
    }
}

/// The daemon with a plain and a TLS listener, and where the latter is.
fn daemon(id: &Identity, args: &[&str]) -> (Daemon, SocketAddr) {
    let errors = File::options().create(true).append(true).open(id.path("stderr")).unwrap();
    let root = id.path("root");
    fs::create_dir_all(&root).unwrap();
    let mut command = program();
    command.args(["-f", "-p", "127.0.0.1:0", "-s", "127.0.0.1:0", "-h"]).arg(root).arg("-C").arg(&id.cert);
    let mut daemon = Daemon::run(command.arg("-K").arg(&id.key).args(args).stderr(errors), 1);
    loop {
        if let Some(url) = daemon.greeting.iter().find_map(|line| line.split("https://").nth(1)) {
            let addr = url.split('/').next().unwrap().parse().expect("an address to open");
            return (daemon, addr);
        }
        let line = daemon.line();
        daemon.greeting.push(line);
    }
}

#[test]
fn curl_and_the_daemon() {
    if !has("curl", "--version") {
        return;
    }
    let id = Identity::new();
    let (_daemon, addr) = daemon(&id, &[]);
    let data = pattern(20_000_003);
    fs::write(id.path("root/large"), &data).unwrap();
    fs::write(id.path("root/small"), "content").unwrap();
    let curl = |args: &str| run(id.temp.path(), &format!("curl -q -sS -f --noproxy * --cacert ca.crt {args}"));
    for version in [
        "--tlsv1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256",
        "--tlsv1.2 --tls-max 1.2 --ciphers ECDHE-ECDSA-CHACHA20-POLY1305",
        "--tlsv1.3 --tls13-ciphers TLS_AES_256_GCM_SHA384",
        "--tlsv1.3 --tls13-ciphers TLS_CHACHA20_POLY1305_SHA256",
        "--http1.1",
        "--http2",
    ] {
        let is_http2 = cfg!(feature = "http2") && version != "--http1.1";
        let said = curl(&format!("{version} -o got https://{addr}/large -w %{{http_version}}-%{{http_code}}"));
        assert_eq!(said, if is_http2 { "2-200" } else { "1.1-200" }, "{version}");
        assert!(fs::read(id.path("got")).unwrap() == data, "{version}");
        assert_eq!(curl(&format!("{version} https://{addr}/small")), "content");
        assert_eq!(curl(&format!("{version} -r 2-4 https://{addr}/small")), "nte");
        let urls = format!("https://{addr}/small ").repeat(3);
        let said = curl(&format!("{version} {urls} -w %{{num_connects}}"));
        assert_eq!(said, "content1content0content0", "one connection: {version}");
        assert!(
            curl(&format!("{version} -I https://{addr}/large")).to_lowercase().contains("content-length: 20000003")
        );
    }
    let said = run(id.temp.path(), &format!("curl -q -sS --noproxy * http://{addr}/small -w %{{http_code}}"));
    assert!(said.ends_with("400") && said.len() > 10, "plain HTTP: {said}");
}

#[test]
fn the_daemon_redirects() {
    let id = Identity::new();
    let (daemon, addr) = daemon(&id, &["-q"]);
    fs::create_dir_all(id.path("root/.well-known/acme-challenge")).unwrap();
    fs::write(id.path("root/.well-known/acme-challenge/token"), "proof").unwrap();
    fs::write(id.path("root/file.txt"), "content").unwrap();
    let port = addr.port();
    let rows = [
        ("GET /file.txt?a=b%20c HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example", "/file.txt?a=b%20c"),
        ("GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", "a.example", "/"),
        ("GET /%C3%BC HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", "192.0.2.1", "/%C3%BC"),
        ("GET / HTTP/1.1\r\nHost: [fe80::1]:80\r\n\r\n", "[fe80::1]", "/"),
        ("GET /x HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", "[2001:db8::1]", "/x"),
        ("GET /x HTTP/1.1\r\nHost: localhost.example\r\n\r\n", "localhost.example", "/x"),
        // Without a host, to the address that was asked.
        ("GET /file.txt HTTP/1.0\r\n\r\n", "127.0.0.1", "/file.txt"),
        ("GET /file.txt HTTP/1.1\r\nHost:\r\n\r\n", "127.0.0.1", "/file.txt"),
        ("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", "a", "/x"),
        ("GET http://b.example:81/x HTTP/1.1\r\nHost: a\r\n\r\n", "b.example", "/x"),
        ("GET //evil.example/x HTTP/1.1\r\nHost: a\r\n\r\n", "a", "//evil.example/x"),
        ("GET /.well-known/acme-challenges HTTP/1.1\r\nHost: a\r\n\r\n", "a", "/.well-known/acme-challenges"),
    ];
    for (request, host, path) in rows {
        let mut client = daemon.connect();
        client.send(request);
        let reply = client.read_response();
        let location = format!("https://{host}:{port}{path}");
        assert_eq!((reply.status, reply.header("location")), (307, Some(location.as_str())), "{request:?}");
    }
    // Through a tunnel that ends at this machine: at its other end there is no port of HTTPS.
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
        let mut tunnel = daemon.connect();
        tunnel.send(format!("GET /file.txt HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(tunnel.read_response().text(), "content", "{host}");
    }
    assert_eq!(daemon.get("/.well-known/acme-challenge/token").text(), "proof");
    for around in ["..", "%2e%2e", ".%2E"] {
        let path = format!("/.well-known/acme-challenge/{around}/{around}/file.txt");
        assert_eq!(daemon.get(&path).status, 307, "{path} is no challenge");
    }
    let mut client = client(&trusting(BOTH), addr);
    client.send(GET_CLOSE.replace(" / ", " /file.txt "));
    assert_eq!(client.read_response().text(), "content");
    client.expect_close();
}

#[test]
fn sighup_loads_the_certificate_anew() {
    let id = Identity::new();
    let (daemon, addr) = daemon(&id, &[]);
    let shown = || leaf(&open(&trusting(BOTH), addr));
    let until = |done: &dyn Fn() -> bool, what: &str| {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < PATIENCE, "{what}");
            thread::sleep(Duration::from_millis(10));
        }
    };
    assert!(shown() == id.pair.cert);
    let second = id.ca.issue(&["localhost"]);
    second.write(id.temp.path(), "server");
    daemon.signal("HUP");
    until(&|| shown() == second.cert, "the new certificate does not come");
    fs::write(&id.key, id.pair.key.serialize_pem()).unwrap();
    daemon.signal("HUP");
    let key = id.key.to_str().unwrap();
    let said = || fs::read_to_string(id.path("stderr")).unwrap();
    until(&|| said().contains(key), "no word of the key that does not fit");
    assert_eq!(said().lines().filter(|line| line.contains(key)).count(), 1, "{}", said());
    assert!(shown() == second.cert);
    id.pair.write(id.temp.path(), "server");
    daemon.signal("HUP");
    until(&|| shown() == id.pair.cert, "the third does not come");

    let missing = id.path("missing");
    let args = ["-f", "-p", "127.0.0.1:0", "-s", "127.0.0.1:0", "-K", key, "-C"];
    let output = program().args(args).arg(&missing).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains(missing.to_str().unwrap()), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn idle_and_stalled_connections_are_small() {
    if std::env::var_os("ECOHTTPD_RUNNER").is_some() {
        skip("the runner's memory is not the program's");
        return;
    }
    // Of each connection's share of the pages: the system counts whole ones, 14 bytes each.
    const PAGES: usize = 64;
    // What one lot has freed the next would reuse: a daemon for each.
    for (count, name, path, bound) in [(300, "idle", "/small", (8 << 10) + PAGES), (50, "stalled", "/large", 48 << 10)]
    {
        let id = Identity::new();
        let (daemon, addr) = daemon(&id, &["-N", "500"]);
        fs::write(id.path("root/small"), "content").unwrap();
        File::create(id.path("root/large")).unwrap().set_len(100 << 20).unwrap();
        let config = trusting(BOTH);
        let connected = || {
            let mut stream = open(&config, addr);
            stream.write_all(GET.replace(" / ", &format!(" {path} ")).as_bytes()).unwrap();
            stream.flush().unwrap();
            // A reply's beginning: of the small one it is all.
            assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
            stream
        };
        drop(connected());
        let before = anonymous(daemon.child.id());
        let streams: Vec<_> = (0..count).map(|_| connected()).collect();
        let each = anonymous(daemon.child.id()).saturating_sub(before) / streams.len();
        println!("{each} bytes for a connection that is {name}");
        assert!(each > 0 && each <= bound, "{each} bytes for a connection that is {name}");
    }
}

// --- peers that stall, lie or vanish ----------------------------------------------------------------
