//! Several sites in one server, listeners that change while it runs, and folders served by hand.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Response, serve, start};
use ecohttpd::{CleanPath, Connection, Error, Files, Listeners, Listening, Options, Request, Result, Server, Site};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::time::Duration;

fn saying(options: Options, what: &'static str) -> Site {
    Site::new(options, async move |con: &mut Connection, _: &mut Request| con.send(what).await)
}

/// A server whose listener at the returned address takes commands: `/swap`, `/close`, `/open`.
fn obedient() -> common::Running {
    start(|| {
        let held: Rc<RefCell<Vec<Listening>>> = Rc::default();
        let listeners: Rc<RefCell<Option<Listeners>>> = Rc::default();
        let (hold, change) = (Rc::clone(&held), Rc::clone(&listeners));
        let mut server = Server::new(Options::new(), async move |con: &mut Connection, req: &mut Request| {
            let listeners = change.borrow().clone().unwrap();
            let said = match req.path() {
                "/open" => {
                    let listening = listeners.bind(&saying(Options::new(), "first"), "127.0.0.1", 0).unwrap();
                    let addr = listening.addr().to_string();
                    hold.borrow_mut().push(listening);
                    addr
                }
                "/swap" => {
                    let next = saying(Options::new().http_keepalive(Duration::ZERO), "second");
                    listeners.serve(&hold.borrow()[0], &next).unwrap();
                    String::new()
                }
                _ => {
                    listeners.close(hold.borrow_mut().pop().unwrap());
                    String::new()
                }
            };
            con.send(said).await
        })
        .unwrap();
        *listeners.borrow_mut() = Some(server.listeners());
        let addr = server.bind("127.0.0.1", 0).unwrap();
        (server, addr)
    })
}

fn ask(client: &mut Client) -> Response {
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_response()
}

#[test]
fn another_site_takes_a_listener_over_with_its_connections() {
    let server = obedient();
    let addr: SocketAddr = server.get("/open").text().parse().unwrap();
    let mut kept = Client::connect(addr);
    let first = ask(&mut kept);
    assert_eq!(first.text(), "first");
    server.get("/swap");
    let second = ask(&mut kept);
    // The new options hold for what is left of the old connection, too.
    assert_eq!((second.text(), second.header("connection")), ("second", Some("close")));
    assert_eq!(ask(&mut Client::connect(addr)).text(), "second");
}

#[test]
fn a_closed_listener_refuses_and_its_connections_go_on() {
    let server = obedient();
    let addr: SocketAddr = server.get("/open").text().parse().unwrap();
    let mut kept = Client::connect(addr);
    assert_eq!(ask(&mut kept).text(), "first");
    server.get("/close");
    // Without a timeout: with one the error comes by SO_ERROR, whose number qemu does not translate.
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(ask(&mut kept).text(), "first");
}

/// What a handler owns may do as it likes when it goes.
#[test]
fn a_handler_may_change_listeners_as_it_goes() {
    struct Binds(Listeners);
    impl Drop for Binds {
        fn drop(&mut self) {
            drop(self.0.bind(&saying(Options::new(), "late"), "127.0.0.1", 0));
        }
    }
    let server = start(|| {
        let held: Rc<RefCell<Option<Listeners>>> = Rc::default();
        let listeners = Rc::clone(&held);
        let mut server = Server::new(Options::new(), async move |con: &mut Connection, _: &mut Request| {
            let listeners = listeners.borrow().clone().unwrap();
            let owning = || {
                let binds = Binds(listeners.clone());
                Site::new(Options::new(), async move |con: &mut Connection, _: &mut Request| {
                    let _ = &binds;
                    con.send("").await
                })
            };
            let listening = listeners.bind(&owning(), "127.0.0.1", 0).unwrap();
            listeners.serve(&listening, &owning()).unwrap();
            listeners.close(listening);
            con.send("done").await
        })
        .unwrap();
        *held.borrow_mut() = Some(server.listeners());
        let addr = server.bind("127.0.0.1", 0).unwrap();
        (server, addr)
    });
    assert_eq!(server.get("/").text(), "done");
    assert_eq!(server.get("/").text(), "done");
}

#[test]
fn without_a_server_there_are_no_listeners() {
    let server = Server::new(Options::new(), async |con: &mut Connection, _: &mut Request| con.send("").await).unwrap();
    let listeners = server.listeners();
    drop(server);
    let error = listeners.bind(&saying(Options::new(), ""), "127.0.0.1", 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
}

#[test]
fn the_server_field_can_be_left_out() {
    let server = serve(
        || Options::new().server_header(false),
        async |con: &mut Connection, _: &mut Request| con.send("hello").await,
    );
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let raw = String::from_utf8(client.rest().0).unwrap();
    assert!(raw.contains("\r\nDate: ") && !raw.to_ascii_lowercase().contains("server:"), "{raw}");
}

/// A handler that answers what a folder does not have by itself.
#[test]
fn folders_can_be_served_by_hand() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().to_owned();
    std::fs::create_dir(root.join("sub")).unwrap();
    std::fs::write(root.join("sub/a.txt"), "here").unwrap();
    std::fs::write(root.join("sub/secret"), "mine").unwrap();
    std::fs::set_permissions(root.join("sub/secret"), PermissionsExt::from_mode(0o640)).unwrap();
    let server = serve(Options::new, async move |con: &mut Connection, req: &mut Request| {
        let options = Options::new().docroot(&root).dir_listing(true).world_readable(true).listing_charset("koi8-r");
        let files = Files::new(&options);
        let path = match CleanPath::new(req.path_bytes()) {
            Ok(path) => path,
            Err(refusal) => return con.send(format!("refused {}", refusal.status())).await,
        };
        if req.query_string() == "inspect" {
            let told = match files.inspect(con, path.relative()) {
                Ok(told) => format!("{} {} {:o}", told.is_file, told.is_folder, told.mode),
                Err(error) => format!("{:?}", error.kind()),
            };
            return con.send(told).await;
        }
        match files.try_serve(con, req, &path).await {
            Err(Error::Refused(refusal)) => {
                con.set_status(refusal.status())?;
                con.send(format!("no {}", req.path())).await
            }
            served => served,
        }
    });
    for (target, status, text) in [
        ("/sub/./x/../a.txt", 200, "here"),
        ("/sub/secret", 403, "no /sub/secret"),
        ("/nothing", 404, "no /nothing"),
        ("/../x", 200, "refused 403"),
        ("/sub/a.txt?inspect", 200, "true false 644"),
        ("/sub?inspect", 200, "false true 755"),
        ("/gone?inspect", 200, "NotFound"),
    ] {
        let response = server.get(target);
        assert_eq!((response.status, response.text()), (status, text), "{target}");
    }
    let listing = server.get("/sub/");
    assert_eq!(listing.header("content-type"), Some("text/html; charset=koi8-r"));
    assert!(listing.text().contains("a.txt") && !listing.text().contains("secret"), "{}", listing.text());
    let post = server.ask("POST /sub/a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(post.status, 405);
}

#[test]
fn a_header_can_be_taken_back() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| -> Result<()> {
        con.add_header("cache-control", "max-age=60")?;
        con.remove_header("Cache-Control")?;
        con.send("hello").await?;
        con.remove_header("date").unwrap_err();
        Ok(())
    });
    assert_eq!(server.get("/").header("cache-control"), None);
}
