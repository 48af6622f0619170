//! The program over HTTP/2, on its TLS port: bodies of requests with and without a length, logins, reloads.

#![cfg(all(feature = "http2", feature = "daemon", feature = "proxy", feature = "ubus"))]
#![allow(clippy::unwrap_used)]

mod common;
mod common_config;
mod common_files;
mod common_h2;
mod common_tls;
mod common_ubus;
mod common_upstream;

use common_config::Router;
use common_files::Daemon;
use common_h2::*;
use common_tls::{Identity, h2_config, open};
use common_ubus::{Bus, SID};
use common_upstream::{Backend, Peer};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

/// A site with HTTPS.
struct Site {
    /// Its folder, as long as it runs.
    _router: Router,
    identity: Identity,
    daemon: Daemon,
}

impl Site {
    fn new(router: Router, more: &[&str]) -> Site {
        let identity = Identity::new();
        let tls = ["-s", "127.0.0.1:0", "-C", identity.cert.to_str().unwrap(), "-K", identity.key.to_str().unwrap()];
        let daemon = router.start_by(&[&tls[..], more].concat());
        Site { _router: router, identity, daemon }
    }

    fn client(&self) -> Frames {
        client(&self.identity, secure(&self.daemon))
    }
}

/// The address of its HTTPS.
fn secure(daemon: &Daemon) -> SocketAddr {
    let mut lines = daemon.greeting.iter().cloned().chain(std::iter::from_fn(|| Some(daemon.line())));
    let url = lines.find_map(|line| line.split("https://").nth(1).map(str::to_owned)).unwrap();
    url.split('/').next().unwrap().parse().unwrap()
}

fn client(identity: &Identity, addr: SocketAddr) -> Frames {
    Frames::over(open(&h2_config(identity, &["h2"]), addr)).settle(&[])
}

/// How a body comes: whether its length is said, its pieces, and whether the last of them ends the stream or an empty one.
const BODIES: [(bool, &[&str], bool); 7] = [
    (true, &["a=b"], true),
    (true, &["a", "=b"], false),
    (false, &["a=b"], true),
    (false, &["a", "", "=b"], false),
    (true, &[], false),
    (false, &[], false),
    (false, &[""], true),
];

/// Sends a request with a body; what it is in whole.
fn send(client: &mut Frames, stream: u32, path: &str, body: (bool, &[&str], bool), fields: &[(&str, &str)]) -> String {
    let (says_length, pieces, at_once) = body;
    let whole = pieces.concat();
    let length = whole.len().to_string();
    let mut fields = fields.to_vec();
    if says_length {
        fields.push(("content-length", &length));
    }
    client.request(stream, "POST", path, &fields, false);
    for (at, piece) in pieces.iter().enumerate() {
        client.data(stream, piece.as_bytes(), at_once && at + 1 == pieces.len());
    }
    if !at_once {
        client.data(stream, b"", true);
    }
    whole
}

/// Numbers of streams.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

#[test]
fn bodies_through_the_proxy() {
    let backend = Backend::tcp();
    let site = Site::new(Router::new(), &["--proxy", &format!("/app={}", backend.url())]);
    let mut client = site.client();
    let mut peer = None;
    for (body, stream) in BODIES.into_iter().zip(streams()) {
        let whole = send(&mut client, stream, "/app/x", body, &[]);
        let peer = peer.get_or_insert_with(|| backend.accept());
        let received = peer.request();
        assert_eq!(received.line, "POST /app/x HTTP/1.1");
        assert_eq!(received.body, whole.as_bytes(), "{body:?}");
        let length = whole.len().to_string();
        let (said, chunked) = if body.0 { (Some(length.as_str()), None) } else { (None, Some("chunked")) };
        assert_eq!(
            (received.field("content-length"), received.field("transfer-encoding")),
            (said, chunked),
            "{body:?}"
        );
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.reply(stream).text(), "hello", "{body:?}");
    }
    // And a request without a body.
    client.get(101, "/app/y");
    let peer = peer.as_mut().unwrap();
    let received = peer.request();
    assert_eq!((received.field("content-length"), received.field("transfer-encoding")), (None, None));
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.reply(101).status, 204);
}

/// Reads a record of FastCGI: its kind and content.
fn record(peer: &mut Peer) -> (u8, Vec<u8>) {
    let head = peer.read_exact(8);
    let content = peer.read_exact(usize::from(u16::from_be_bytes([head[4], head[5]])));
    (head[1], content)
}

#[test]
fn bodies_for_fastcgi() {
    const PARAMS: u8 = 4;
    const STDIN: u8 = 5;
    let backend = Backend::tcp();
    let site = Site::new(Router::new(), &["--fastcgi", &format!("/app=127.0.0.1:{}", backend.port)]);
    let mut client = site.client();
    let mut peer = None;
    for (body, stream) in BODIES.into_iter().zip(streams()) {
        let whole = send(&mut client, stream, "/app", body, &[]);
        let peer = peer.get_or_insert_with(|| backend.accept());
        let (mut params, mut input) = (Vec::new(), Vec::new());
        loop {
            match record(peer) {
                (PARAMS, content) => params.extend(content),
                (STDIN, content) if content.is_empty() => break,
                (STDIN, content) => input.extend(content),
                _ => {}
            }
        }
        assert_eq!(input, whole.as_bytes(), "{body:?}");
        // The length of a body that did not say it is that of what came.
        let length = [&[14, 1][..], format!("CONTENT_LENGTH{}", whole.len()).as_bytes()].concat();
        assert!(params.windows(length.len()).any(|found| found == length), "{body:?}: {}", params.escape_ascii());
        peer.send(b"\x01\x06\0\x01\0\x0b\0\0A: b\n\nhello");
        peer.send(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(client.reply(stream).text(), "hello", "{body:?}");
    }
}

#[test]
fn bodies_of_scripts() {
    let router = Router::new();
    router.write("root/cgi-bin/echo", "#!/bin/sh\nprintf 'A: b\\r\\n\\r\\n%s,' \"$CONTENT_LENGTH\"\ncat\n");
    fs::set_permissions(router.path("root/cgi-bin/echo"), Permissions::from_mode(0o755)).unwrap();
    let site = Site::new(router, &["-x", "/cgi-bin"]);
    let mut client = site.client();
    for (body, stream) in BODIES.into_iter().zip(streams()) {
        let whole = send(&mut client, stream, "/cgi-bin/echo", body, &[]);
        assert_eq!(client.reply(stream).text(), format!("{},{whole}", whole.len()), "{body:?}");
    }
}

#[test]
fn calls_and_events_of_ubus() {
    let temp = tempfile::tempdir().unwrap();
    let bus = Bus::start(&temp.path().join("ubus.sock"));
    let site = Site::new(Router::new(), &["-u", "/ubus", "-U", bus.path()]);
    let mut client = site.client();
    let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"call","params":["{SID}","tobj","nodata",{{}}]}}"#);
    let (start, end) = call.split_at(20);
    let bodies: [(bool, &[&str], bool); 4] = [
        (true, &[&call], true),
        (true, &[start, end], false),
        (false, &[&call], true),
        (false, &[start, "", end], false),
    ];
    for (body, stream) in bodies.into_iter().zip(streams()) {
        send(&mut client, stream, "/ubus", body, &[("content-type", "application/json")]);
        assert_eq!(client.reply(stream).text(), r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#, "{body:?}");
    }
    // A stream of events does not wait for its end, nor do others for it.
    let bearer = format!("Bearer {SID}");
    client.request(101, "GET", "/ubus/subscribe/tobj", &[("authorization", &bearer)], true);
    let head = client.next().unwrap();
    assert_eq!((head.kind, head.stream, head.flags), (HEADERS, 101, END_HEADERS));
    bus.wait("it is subscribed", |seen| seen.subscribed == 1);
    bus.notify("tobj", "moved", &[], true);
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("moved") {
        let frame = client.next().expect("an event");
        assert_eq!((frame.kind, frame.stream, frame.flags), (DATA, 101, 0));
        text.extend(frame.payload);
    }
    send(&mut client, 103, "/ubus", (false, &[&call], true), &[]);
    assert_eq!(client.reply(103).status, 200);
}

#[test]
fn logins() {
    let router = Router::new();
    router.write("root/secret/file.txt", "HIDDEN");
    router.write("httpd.conf", "/secret:me:secret\n");
    let site = Site::new(router, &["-c", "httpd.conf"]);
    let mut client = site.client();
    let right = ("authorization", "Basic bWU6c2VjcmV0");
    for (body, stream) in BODIES.into_iter().zip((1..).step_by(4)) {
        send(&mut client, stream, "/secret/file.txt", body, &[]);
        assert_eq!(client.reply(stream).status, 401, "{body:?}");
        client.request(stream + 2, "GET", "/secret/file.txt", &[right], true);
        assert_eq!(client.reply(stream + 2).text(), "HIDDEN", "each request has its own");
    }
}

/// A reload that turns HTTP/2 off ends its connections in order: what was begun is answered.
#[test]
fn a_reload_turns_it_off() {
    let (router, identity, backend) = (Router::new(), Identity::new(), Backend::tcp());
    let (cert, key) = (identity.cert.display(), identity.key.display());
    let section = |more: &str| {
        router.section(&format!(
            " list listen_https 127.0.0.1:0\n option cert {cert}\n option key {key}\n list proxy '/app={}'\n{more}",
            backend.url()
        ));
    };
    section("");
    let daemon = router.start(1);
    let addr = secure(&daemon);
    let mut client = client(&identity, addr);
    assert_eq!(client.ask(1, "/file.txt").text(), "content");
    client.get(3, "/app/x");
    let mut peer = backend.accept();
    peer.request();
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(client.ask(5, "/file.txt").text(), "content", "any other reload leaves it open");
    section(" option http2 '0'\n");
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(client.goaway(), (0, 5));
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.reply(3).text(), "hello");
    client.expect_end();
    let stream = open(&h2_config(&identity, &["h2", "http/1.1"]), addr);
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}
