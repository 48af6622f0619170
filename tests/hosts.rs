//! Several sites behind one address, told apart by the host that a request is for.

mod common;
mod common_config;
mod common_files;
#[cfg(feature = "tls")]
mod common_tls;

use common::Client;
use common_config::{Router, ask_host, free_addr};
use std::net::SocketAddr;

/// Sites whose index says which they are, behind one address; the lines are those of their sections.
fn configure(sites: &[(&str, &str)]) -> (Router, SocketAddr) {
    let router = Router::new();
    let addr = free_addr();
    let mut text = String::new();
    for (name, lines) in sites {
        router.write(&format!("{name}/index.html"), name);
        text += &format!(
            "config uhttpd {name}\n list listen_http {addr}\n option home @{name}\n option realm {name}\n{lines}\n\n"
        );
    }
    router.configure(&text);
    assert_eq!(router.check(), (Some(0), String::new()));
    (router, addr)
}

const SITES: &[(&str, &str)] = &[
    ("one", " list server_name one.lan\n list server_name ONE.example."),
    ("wild", " option server_name '*.lan *.deep.lan'"),
    ("rest", " option no_dirlists 1"),
    ("deep", " list server_name *.very.deep.lan\n list server_name [::1]"),
];

#[test]
fn the_host_chooses() {
    let (router, addr) = configure(SITES);
    let daemon = router.start(1);
    for (host, expected) in [
        ("one.lan", "one"),
        ("ONE.Lan:8080", "one"),
        ("one.lan.", "one"),
        ("one.example", "one"),
        ("two.lan", "wild"),
        ("a.b.lan", "wild"),
        ("x.deep.lan", "wild"),
        ("x.very.deep.lan", "deep"),
        ("very.deep.lan", "wild"),
        ("lan", "rest"),
        (".lan", "rest"),
        ("evil-one.lan", "wild"),
        ("one.lan.evil", "rest"),
        ("one.lanx", "rest"),
        ("192.168.1.1", "rest"),
        ("[::1]:80", "deep"),
        ("[::2]", "rest"),
    ] {
        let reply = ask_host(addr, host, "/");
        // An invalid name may be refused, too.
        assert!(reply.text() == expected || host.starts_with('.') && reply.status == 400, "{host}: {}", reply.text());
    }
    let raw = |text: &str| {
        let mut client = Client::connect(addr);
        client.send(text);
        client.read_response()
    };
    assert_eq!(raw("GET / HTTP/1.0\r\n\r\n").text(), "rest", "no host");
    assert_eq!(raw("GET / HTTP/1.1\r\nHost:\r\n\r\n").text(), "rest", "an empty one");
    // RFC 9112 §3.2.2: that of the target counts.
    assert_eq!(raw("GET http://one.lan/ HTTP/1.1\r\nHost: two.lan\r\n\r\n").text(), "one");
    assert_eq!(raw("GET / HTTP/1.1\r\nHost: one.lan\r\nHost: two.lan\r\n\r\n").status, 400);
    // Each request of a connection has its own.
    let mut client = daemon.connect();
    for (host, expected) in [("one.lan", "one"), ("two.lan", "wild"), ("x", "rest"), ("one.lan", "one")] {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.read_response().text(), expected);
    }
}

/// Without one that is for all, the first is.
#[test]
fn the_first_is_for_strangers() {
    let (router, addr) = configure(&[("one", " list server_name one.lan"), ("two", " list server_name two.lan")]);
    let _daemon = router.start(1);
    for (host, expected) in [("two.lan", "two"), ("one.lan", "one"), ("three.lan", "one")] {
        assert_eq!(ask_host(addr, host, "/").text(), expected, "{host}");
    }
}

/// What one site protects, no other name shows; what one adds, no other has.
#[test]
fn sites_keep_to_themselves() {
    let (router, addr) = configure(&[
        (
            "one",
            " list server_name one.lan\n list httpauth a\n option error_page /e.html\n list alias /old=/new\n list header 'X-One: 1'\n\
             config httpauth a\n option prefix /secret\n option username u\n option password p",
        ),
        ("two", ""),
    ]);
    router.write("one/secret/x", "HIDDEN");
    router.write("one/new/old/x", "moved");
    router.write("one/e.html", "one's page");
    router.write("two/secret/x", "open");
    let _daemon = router.start(1);
    let get = |host: &str, target: &str| {
        let reply = ask_host(addr, host, target);
        (reply.status, reply.header("x-one").is_some(), reply.text().to_owned())
    };
    assert_eq!(get("one.lan", "/secret/x").0, 401);
    assert_eq!(get("two.lan", "/secret/x"), (200, false, "open".into()));
    for (host, target) in [("ONE.LAN.", "/secret/x"), ("one.lan:1", "/%73ecret/x"), ("x", "http://one.lan/secret/x")] {
        assert_eq!(get(host, target).0, 401, "{host} {target}");
    }
    assert_eq!(get("one.lan", "/old/x"), (200, true, "moved".into()));
    assert_eq!(get("two.lan", "/old/x").0, 404);
    assert_eq!(get("one.lan", "/none"), (404, false, "one's page".into()));
    assert!(get("two.lan", "/none").2.contains("/none"));
    assert_eq!(get("two.lan", "/../one/secret/x").0, 403);
}

/// Certificates are chosen by the names that they hold themselves.
#[cfg(feature = "tls")]
#[test]
fn each_name_has_its_certificate() {
    use common_tls::{Ca, leaf, over, trusting, try_open};
    use rustls::version::{TLS12, TLS13};
    let router = Router::new();
    let ca = Ca::new("authority");
    let (plain, secure) = (free_addr(), free_addr());
    let mut text = String::new();
    let mut certs = Vec::new();
    for (site, names) in [("one", "one.home.lan"), ("wild", "*.home.lan"), ("rest", "")] {
        router.write(&format!("{site}/index.html"), site);
        let pair = ca.issue(&[if names.is_empty() { "router" } else { names }]);
        let (cert, key) = pair.write(router.temp.path(), site);
        text += &format!(
            "config uhttpd {site}\n list listen_http {plain}\n list listen_https {secure}\n option home @{site}\n option cert {}\n option key {}\n",
            cert.display(),
            key.display()
        );
        if !names.is_empty() {
            text += &format!(" list server_name {names}\n");
        }
        certs.push(pair.cert);
    }
    router.configure(&text);
    assert_eq!(router.check(), (Some(0), String::new()));
    let _daemon = router.start(1);
    for version in [&TLS12, &TLS13] {
        let config = trusting(&[version]);
        for (name, cert, site) in [
            ("one.home.lan", 0, "one"),
            ("ONE.home.lan", 0, "one"),
            ("two.home.lan", 1, "wild"),
            ("router", 2, "rest"),
            ("127.0.0.1", 2, "rest"),
            ("elsewhere", 2, "rest"),
        ] {
            let stream = try_open(&config, secure, name).unwrap();
            assert_eq!(leaf(&stream), certs[cert], "{name}");
            let mut client = over(stream);
            client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"));
            assert_eq!(client.read_response().text(), site, "{name}");
        }
    }
    assert_eq!(ask_host(plain, "two.home.lan", "/").text(), "wild");
}
