//! Listeners: several of one server, and Unix sockets.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, End, Gate, PATIENCE, next, start};
use ecohttpd::{Connection, Error, Listeners, Options, Request, Server, Site};
use std::cell::OnceCell;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn several_listeners() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let (tell, told) = channel();
    let bound = path.clone();
    let server = start(move || {
        let handler = async |con: &mut Connection, _: &mut Request| {
            let local = con.local_addr()?;
            con.send(format!("{} {:?} {:?}", con.remote_addr(), local.port(), con.remote_addr().ip().is_some())).await
        };
        let mut server = Server::new(Options::new(), handler).unwrap();
        let first = server.bind("127.0.0.1", 0).unwrap();
        let second = server.bind("127.0.0.1", 0).unwrap();
        let any = server.bind(None, 0).unwrap();
        server.bind_unix(&bound).unwrap();
        tell.send([second, any]).unwrap();
        assert_eq!(server.bind("127.0.0.1", first.port()).unwrap_err().kind(), ErrorKind::AddrInUse);
        for bad in ["localhost", "", "[::1]", "1.2.3.4%lo", "::1%no-such-interface"] {
            assert_eq!(server.bind(bad, 0).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
        (server, first)
    });
    let [second, any] = next(&told);
    let mut addrs = vec![server.addr, second, SocketAddr::from(([127, 0, 0, 1], any.port()))];
    if any.is_ipv6() {
        addrs.push(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, any.port())));
    }
    for addr in addrs {
        let stream = TcpStream::connect(addr).unwrap();
        let ours = stream.local_addr().unwrap();
        let mut client = Client::new(stream);
        client.send(GET);
        assert_eq!(client.read_response().text(), format!("{ours} Some({}) true", addr.port()));
    }
    let mut client = Client::connect_unix(&path);
    client.send(GET);
    assert_eq!(client.read_response().text(), "unix None false");
    client.half_close();
    client.expect_close();

    let port = server.addr.port();
    let busy = thread::spawn(move || ecohttpd::listen("127.0.0.1", port, Options::new(), async |_, _| ()));
    assert_eq!(busy.join().unwrap().unwrap_err().kind(), ErrorKind::AddrInUse);
    let bad = ecohttpd::listen("localhost", 0, Options::new(), async |_, _| ());
    assert_eq!(bad.unwrap_err().kind(), ErrorKind::InvalidInput);

    server.handle.stop(Duration::ZERO);
    server.join().unwrap();
    assert!(!path.exists(), "the socket's file goes with the server");
}

#[test]
fn unix_sockets_replace_only_dead_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let bind = |name: &str| {
        let path = path(name);
        let mut server = Server::new(Options::new(), async |_: &mut Connection, _: &mut Request| ()).unwrap();
        server.bind_unix(path).map(|()| server)
    };
    drop(UnixListener::bind(path("stale")).unwrap());
    assert!(path("stale").exists());
    drop(bind("stale").unwrap());
    let alive = UnixListener::bind(path("alive")).unwrap();
    assert_eq!(bind("alive").err().unwrap().kind(), ErrorKind::AddrInUse);
    UnixStream::connect(path("alive")).unwrap();
    drop(alive);
    std::fs::write(path("file"), "precious").unwrap();
    assert_eq!(bind("file").err().unwrap().kind(), ErrorKind::AddrInUse);
    assert_eq!(std::fs::read(path("file")).unwrap(), b"precious");
    assert!(bind("none/sock").is_err());
}

#[test]
fn unix_clients_get_what_others_get() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let file = dir.path().join("file");
    std::fs::write(&file, common::pattern(1_000_000)).unwrap();
    let bound = path.clone();
    let _server = start(move || {
        let handler = async move |con: &mut Connection, req: &mut Request| match req.path() {
            "/file" => con.send_file(&file, None, None).await,
            "/cut" => {
                con.send("part").await?;
                Err(Error::BadStatus)
            }
            _ => {
                let body = con.read_body(None, None).await?;
                con.send(body).await
            }
        };
        let mut server = Server::new(Options::new(), handler).unwrap();
        server.bind_unix(&bound).unwrap();
        (server, SocketAddr::from(([0; 4], 0)))
    });
    let mut client = Client::connect_unix(&path);
    client.send("GET /file HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    assert!(client.read_response().body == common::pattern(1_000_000));
    client.half_close();
    assert_eq!(client.read_response().text(), "hello");
    client.expect_close();
    let mut client = Client::connect_unix(&path);
    client.send("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(matches!(client.try_response(false), Err(End::Eof | End::Reset)));
}

#[test]
fn nothing_is_accepted_during_the_grace_of_a_stop() {
    let gate = Gate::default();
    let opened = gate.clone();
    let (tell, told) = channel();
    let server = start(move || {
        let listeners = Rc::new(OnceCell::<Listeners>::new());
        let shared = Rc::clone(&listeners);
        let mut server = Server::new(Options::new(), async move |con: &mut Connection, _: &mut Request| {
            tell.send(None).unwrap();
            gate.wait().await;
            let site = Site::new(Options::new(), async |_: &mut Connection, _: &mut Request| {});
            let bound = shared.get().unwrap().bind(&site, "127.0.0.1", 0);
            tell.send(Some(bound.map_err(|error| error.kind()).err())).unwrap();
            con.send("late").await
        })
        .unwrap();
        assert!(listeners.set(server.listeners()).is_ok());
        let addr = server.bind("127.0.0.1", 0).unwrap();
        (server, addr)
    });
    let (mut silent, mut client) = (server.connect(), server.connect());
    client.send(GET);
    assert_eq!(next(&told), None);
    server.handle.stop(PATIENCE);
    // It has understood once this one goes.
    silent.expect_close();
    opened.open();
    assert_eq!(next(&told), Some(Some(ErrorKind::NotConnected)));
    assert_eq!(client.read_response().text(), "late");
    server.join().unwrap();
}
