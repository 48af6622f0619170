//! What becomes of a connection: by what its handler returns, and when its client leaves.

#![allow(clippy::unwrap_used)]

mod common;

use common::{End, Gate, MOMENT, OnDrop, next, serve, telling};
use ecohttpd::{Connection, Error, Options, Outcome, Request};
use std::io::Write;
use std::sync::mpsc::channel;

#[test]
fn outcomes() {
    fn check<R: ecohttpd::IntoOutcome + 'static>(value: impl Fn() -> R + Send + 'static, keeps: bool, name: &str) {
        let server = serve(Options::new, async move |con: &mut Connection, req: &mut Request| {
            if req.path() == "/says" {
                con.send("something").await.unwrap();
            }
            value()
        });
        for (path, text) in [("/says", "something"), ("/silent", "")] {
            let mut client = server.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            let reply = client.read_response();
            assert_eq!((reply.status, reply.text()), (200, text), "{name}");
            if keeps {
                client.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
                assert_eq!(client.read_response().status, 200, "{name}");
            } else {
                client.expect_close();
            }
        }
    }
    check(|| (), true, "()");
    check(|| true, true, "true");
    check(|| false, false, "false");
    check(|| Outcome::KeepAlive, true, "KeepAlive");
    check(|| Outcome::Close, false, "Close");
    check(|| Ok::<(), Error>(()), true, "Ok(())");
    check(|| Ok::<bool, Error>(false), false, "Ok(false)");
    check(|| Ok::<Outcome, Error>(Outcome::KeepAlive), true, "Ok(KeepAlive)");
}

#[test]
fn errors_before_and_after_the_head() {
    fn error(name: &str) -> Error {
        match name {
            "timeout" => Error::Timeout,
            "large" => Error::BodyTooLarge,
            "none" => std::fs::File::open("/does/not/exist").unwrap_err().into(),
            "denied" => std::io::Error::from(std::io::ErrorKind::PermissionDenied).into(),
            "descriptors" => std::io::Error::from_raw_os_error(libc::EMFILE).into(),
            _ => Error::BadStatus,
        }
    }
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        con.add_header("x-secret", "of the page that was not to be")?;
        match req.path() {
            "/before" => {}
            "/chunked" => con.send("part").await?,
            "/length" => {
                con.add_header("content-length", 10)?;
                con.send("part").await?;
            }
            "/flushed" => {
                con.send("part").await?;
                con.flush().await?;
            }
            "/panic" => panic!("as the test wants it"),
            _ => {
                con.send("part").await?;
                panic!("as the test wants it")
            }
        }
        Err::<(), Error>(error(req.query_string()))
    });
    let statuses = [("timeout", 408), ("large", 413), ("none", 404), ("denied", 403), ("descriptors", 503), ("x", 500)];
    for (name, status) in statuses {
        let mut client = server.connect();
        client.send(format!("GET /before?{name} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let reply = client.read_response();
        assert_eq!((reply.status, reply.header("x-secret"), reply.closes()), (status, None, true), "{name}");
        client.expect_close();
    }
    for version in ["1.1", "1.0"] {
        for path in ["/chunked", "/length", "/flushed", "/panic-later"] {
            let mut client = server.connect();
            client.send(format!("GET {path}?x HTTP/{version}\r\nHost: x\r\n\r\n"));
            let seen = client.try_response(false);
            // On 1.0 without a length a reset is all that tells.
            let end = if version == "1.0" && path != "/length" { End::Reset } else { End::Eof };
            assert_eq!(seen.err(), Some(end), "{path} {version}");
            assert!(
                String::from_utf8_lossy(&client.rest().0).contains("part"),
                "{path} {version}: what there is comes"
            );
        }
    }
    assert_eq!(server.get("/panic").status, 500);
    assert_eq!(server.get("/before?none").status, 404, "the server lives on");
}

#[test]
fn the_access_log_is_told_of_each_exchange() {
    let (tell, told) = channel();
    let (started, starts) = channel();
    let options = move || {
        Options::new().access_log(move |access| {
            let head = format!("{} {} 1.{}", access.method, access.target, access.minor_version);
            let agent = format!("{:?} {:?}", access.referer, access.user_agent);
            let close = access.close.map(str::to_owned);
            tell.send((head, access.status, access.bytes, agent, access.peer.ip().is_some(), close)).unwrap();
        })
    };
    let server = serve(options, async move |con: &mut Connection, req: &mut Request| {
        if req.path() == "/wait" {
            started.send(()).unwrap();
            con.read_body(None, None).await?;
        }
        con.add_header("content-length", 5)?;
        con.send("hello").await
    });
    let mut client = server.connect();
    client.send("GET /a%20b?c HTTP/1.1\r\nHost: x\r\nReferer: r\r\nUser-Agent: \"u\"\r\n\r\n");
    client.read_response();
    client.send("HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client.read_head_response();
    client.send("OPTIONS * HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n");
    let refused = client.read_response().body.len() as u64;
    client.send("nonsense\r\n\r\n");
    let nonsense = client.read_response().body.len() as u64;
    let mut gone = std::net::TcpStream::connect(server.addr).unwrap();
    gone.write_all(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").unwrap();
    let lines: Vec<_> = (0..4).map(|_| next(&told)).collect();
    next(&starts);
    common::reset(gone);
    let none = "None None".to_owned();
    let expected = [
        ("GET /a%20b?c 1.1".to_owned(), 200, 5, "Some(\"r\") Some(\"\\\"u\\\"\")".to_owned(), true, None),
        ("HEAD / 1.0".to_owned(), 200, 0, none.clone(), true, None),
        ("OPTIONS * 1.1".to_owned(), 417, refused, none.clone(), true, None),
        ("  1.1".to_owned(), 400, nonsense, none.clone(), true, Some("the request was refused".to_owned())),
    ];
    assert_eq!(lines, expected);
    assert_eq!(next(&told), ("POST /wait 1.1".to_owned(), 499, 0, none, true, Some("the connection broke".to_owned())));
}

#[test]
fn a_client_that_leaves_is_noticed_while_its_handler_waits() {
    let (server, told) = telling(Options::new, async |con, req, tell| {
        con.send("first").await?;
        con.flush().await?;
        tell.send("started").unwrap();
        con.closed().await;
        tell.send("closed").unwrap();
        if req.path() == "/answer" { con.send(" last").await } else { std::future::pending().await }
    });
    let mut half = server.connect();
    half.send("GET /answer HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(next(&told), "started");
    assert!(told.recv_timeout(common::MOMENT).is_err(), "it has not left");
    half.half_close();
    assert_eq!(next(&told), "closed");
    assert_eq!(half.read_response().text(), "first last", "it may still read");
    // One that left before its handler started is noticed too.
    let mut early = server.connect();
    early.send("GET /answer HTTP/1.1\r\nHost: x\r\n\r\n");
    early.half_close();
    assert_eq!((next(&told), next(&told)), ("started", "closed"));
    assert_eq!(early.read_response().text(), "first last");
}

/// An answer that comes soon comes alone: simple clients know no interim responses.
#[test]
fn a_half_closed_client_is_not_asked_at_once() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        con.notice_departure();
        con.closed().await;
        match req.path() {
            "/fail" => return Err(Error::BadStatus),
            "/cut" => con.add_header("content-length", 9)?,
            _ => {}
        }
        ecohttpd::sleep(MOMENT).await;
        con.send("there").await
    });
    for (path, status) in [("/", 200), ("/fail", 500), ("/cut", 200)] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.half_close();
        let (reply, end) = client.rest();
        let reply = String::from_utf8(reply).unwrap();
        assert!(end == End::Eof && reply.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {end:?} {reply}");
        assert_eq!(reply.matches("HTTP/1.1").count(), 1, "{path}: {reply}");
    }
}

/// A client that ends its sending is asked whether it is there, if the handler wants to know.
#[test]
fn a_departure_is_noticed() {
    for (probe, leaves) in [(true, true), (true, false), (false, false)] {
        let (gone, dropped) = channel();
        let gate = Gate::default();
        let opened = gate.clone();
        let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
            let _gone = OnDrop::new(&gone, ());
            if probe {
                con.notice_departure();
            }
            gate.wait().await;
            con.send("there").await
        });
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        if leaves {
            drop(client);
            next(&dropped);
            continue;
        }
        client.half_close();
        if probe {
            assert_eq!(client.read_response().status, 100);
        }
        opened.open();
        assert_eq!(client.read_response().text(), "there");
        client.expect_close();
    }
}
