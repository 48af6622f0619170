//! The code of docs/library.md, which runs here. `tests/documents.rs` checks that the guide quotes this file.

#![allow(clippy::unwrap_used)]

mod common;
mod common_websocket;

use common::{Client, post, serve, start};
use ecohttpd::{
    AsyncFd, CleanPath, Connection, Error, Files, FormEvent, Message, Options, Outcome, Request, Result, Server,
    WebSocketOptions,
};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn the_first_server() {
    // `listen` never returns, so it is compiled only.
    fn main() -> std::io::Result<()> {
        let options = Options::new().docroot("/www").gzip(true);
        ecohttpd::listen(None, 8080, options, async |con: &mut Connection, req: &mut Request| match req.path() {
            "/hello" => {
                con.add_header("Content-Type", "text/plain")?;
                con.send("hello\n").await
            }
            _ => con.serve_file(req).await,
        })
    }
    let _compiled: fn() -> std::io::Result<()> = main;
}

#[test]
fn answers() {
    async fn handler(con: &mut Connection, req: &mut Request) -> Result<Outcome> {
        match (req.method(), req.path()) {
            ("GET", "/hello") => {
                let name = req.query_value("name");
                con.add_header("Content-Type", "text/plain; charset=utf-8")?;
                con.send(format!("hello, {}\n", name.as_deref().unwrap_or("world"))).await?;
                Ok(Outcome::KeepAlive)
            }
            ("GET", "/old") => {
                con.redirect(301, "/hello").await?;
                Ok(Outcome::KeepAlive)
            }
            ("GET", "/bye") => {
                con.send("bye\n").await?;
                Ok(Outcome::Close)
            }
            _ => {
                con.send_error(404, None, "not found\n").await?;
                Ok(Outcome::Close)
            }
        }
    }
    let server = serve(Options::new, handler);
    assert_eq!(server.get("/hello").text(), "hello, world\n");
    assert_eq!(server.get("/hello?name=you").text(), "hello, you\n");
    let moved = server.get("/old");
    assert_eq!((moved.status, moved.header("location")), (301, Some("/hello")));
    assert_eq!(server.get("/nothing").status, 404);
    let mut client = server.connect();
    client.send("GET /bye HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.read_response().text(), "bye\n");
    client.expect_close();
}

#[test]
fn pieces() {
    async fn count(con: &mut Connection, _: &mut Request) -> Result<()> {
        for number in 1..=3 {
            con.send(format!("{number}\n")).await?;
            con.flush().await?;
            ecohttpd::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
    let server = serve(Options::new, count);
    assert_eq!(server.get("/").text(), "1\n2\n3\n");
}

#[test]
fn bodies() {
    async fn body(con: &mut Connection, req: &mut Request) -> Result<()> {
        match req.path() {
            "/whole" => {
                // At most `Options::max_body`, 1 MiB by default; longer ones are 413.
                let body = con.read_body(None, Duration::from_secs(30)).await?;
                con.send(format!("{} bytes\n", body.len())).await
            }
            _ => {
                let mut sum = 0;
                loop {
                    let piece = con.read_body(16_384, None).await?;
                    if piece.is_empty() {
                        break;
                    }
                    sum += piece.len();
                }
                con.send(format!("{sum} bytes\n")).await
            }
        }
    }
    let server = serve(Options::new, body);
    assert_eq!(server.ask(post("/whole", b"four")).text(), "4 bytes\n");
    assert_eq!(server.ask(post("/pieces", &[b'x'; 100_000])).text(), "100000 bytes\n");
}

#[test]
fn forms() {
    async fn form(con: &mut Connection, req: &mut Request) -> Result<()> {
        let mut bytes = 0;
        loop {
            match con.read_formdata(req, None).await? {
                FormEvent::Header { .. } => {}
                FormEvent::Body { data, .. } => bytes += data.len(),
                FormEvent::End => break,
            }
        }
        con.send(format!("{bytes} bytes\n")).await
    }
    let server = serve(Options::new, form);
    let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n--b--\r\n";
    let reply = server.ask(format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(reply.text(), "5 bytes\n");
}

#[test]
fn files_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    std::fs::write(root.join("a.txt"), "content").unwrap();
    let server = start(move || {
        let files = Files::new(&Options::new().docroot(root).gzip(true));
        let handler = async move |con: &mut Connection, req: &mut Request| {
            let path = CleanPath::new(req.path_bytes())?;
            con.add_header("Cache-Control", "no-cache")?;
            match files.try_serve(con, req, &path).await {
                // Nothing was sent: the answer is ours.
                Err(Error::Refused(refusal)) => con.send_error(refusal.status(), None, "nothing here\n").await,
                served => served,
            }
        };
        let mut server = Server::new(Options::new(), handler).unwrap();
        let addr = server.bind("127.0.0.1", 0).unwrap();
        (server, addr)
    });
    let reply = server.get("/a.txt");
    assert_eq!((reply.text(), reply.header("cache-control")), ("content", Some("no-cache")));
    assert_eq!(server.get("/b.txt").text(), "nothing here\n");
}

#[test]
fn waiting() {
    async fn ask(con: &mut Connection, _: &mut Request) -> Result<()> {
        let (near, mut far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        std::thread::spawn(move || far.write_all(b"from a thread\n"));
        let near = AsyncFd::new(near)?;
        let mut text = [0; 64];
        let read = near.read_with(|mut stream| stream.read(&mut text));
        match ecohttpd::timeout(Duration::from_secs(5), read).await {
            Ok(n) => con.send(&text[..n?]).await,
            Err(_) => con.send_error(504, None, "the thread is late\n").await,
        }
    }
    let server = serve(Options::new, ask);
    assert_eq!(server.get("/").text(), "from a thread\n");
}

#[test]
fn several_listeners_and_a_stop() {
    fn run(ready: impl FnOnce(std::net::SocketAddr)) -> std::io::Result<()> {
        let hello = async |con: &mut Connection, _: &mut Request| con.send("hello\n").await;
        let mut server = Server::new(Options::new(), hello)?;
        let addr = server.bind("127.0.0.1", 0)?;
        server.bind("127.0.0.1", 0)?;
        let handle = server.handle();
        std::thread::spawn(move || {
            // Any thread may stop the server; requests in flight get five seconds.
            handle.stop(Duration::from_secs(5));
        });
        ready(addr);
        server.run()
    }
    let mut bound = None;
    run(|addr| bound = Some(addr)).unwrap();
    assert!(bound.unwrap().port() != 0);
}

#[test]
fn another_protocol() {
    async fn echo(con: &mut Connection, req: &mut Request) -> Result<()> {
        if !req.wants_upgrade() {
            return con.send_error(426, None, "this speaks echo alone\n").await;
        }
        con.add_header("Upgrade", "echo")?;
        let mut stream = con.upgrade().await?;
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return stream.close().await,
                n => stream.write_all(&buffer[..n]).await?,
            }
        }
    }
    let server = serve(Options::new, echo);
    let mut client = Client::connect(server.addr);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.read_response().status, 101);
    client.send("ping");
    assert_eq!(client.read_exact(4), b"ping");
}

#[test]
fn websockets() {
    async fn shout(con: &mut Connection, req: &mut Request) -> Result<()> {
        if !req.is_websocket() {
            return con.send("a page\n").await;
        }
        let mut socket = con.websocket(&WebSocketOptions::new().max_message(4096)).await?;
        while let Some(message) = socket.recv().await? {
            if let Message::Text(text) = message {
                socket.send_text(text.to_uppercase()).await?;
            }
        }
        Ok(())
    }
    let server = serve(Options::new, shout);
    assert_eq!(server.get("/").text(), "a page\n");
    let mut client = common_websocket::open(server.addr, "/");
    client.send(common_websocket::frame(common_websocket::TEXT, "hello"));
    common_websocket::expect(&mut client, common_websocket::TEXT, "HELLO");
    client.send(common_websocket::close(1000, ""));
    common_websocket::expect_close(&mut client, 1000);
}

#[test]
fn tasks() {
    async fn both(con: &mut Connection, _: &mut Request) -> Result<()> {
        let sum = ecohttpd::spawn(async { 40 + 2 });
        ecohttpd::spawn(async { log::info!("runs for itself") }).detach();
        // A task that is dropped before its end is cancelled.
        con.send(format!("{}\n", sum.await)).await
    }
    let server = serve(Options::new, both);
    assert_eq!(server.get("/").text(), "42\n");
}

#[test]
fn another_loop() {
    fn run(server: &mut Server, stop: &ecohttpd::Handle) -> std::io::Result<()> {
        // Of a loop of poll(2) or another kind: it waits until `server.as_fd()` is readable, at most `server.next_turn()`.
        while server.turn(Duration::from_millis(10))?.is_continue() {
            stop.stop(Duration::ZERO);
        }
        Ok(())
    }
    let hello = async |con: &mut Connection, _: &mut Request| con.send("hello\n").await;
    let mut server = Server::new(Options::new(), hello).unwrap();
    server.bind("127.0.0.1", 0).unwrap();
    let stop = server.handle();
    run(&mut server, &stop).unwrap();
}

#[test]
fn both_directions() {
    async fn tick(con: &mut Connection, _: &mut Request) -> Result<()> {
        con.add_header("Upgrade", "ticks")?;
        let (mut reader, mut writer) = con.upgrade().await?.split();
        let ticks = ecohttpd::spawn(async move {
            while writer.write_all(b"tick\n").await.is_ok() {
                ecohttpd::sleep(Duration::from_secs(1)).await;
            }
        });
        // Until the client ends.
        while reader.read(&mut [0; 512]).await? > 0 {}
        drop(ticks);
        Ok(())
    }
    let server = serve(Options::new, tick);
    let mut client = Client::connect(server.addr);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: ticks\r\n\r\n");
    assert_eq!(client.read_response().status, 101);
    assert_eq!(client.read_exact(5), b"tick\n");
    client.half_close();
    client.expect_close();
}

#[test]
#[cfg(feature = "tls")]
fn https() {
    let (cert, key) = (std::path::Path::new("cert.pem"), std::path::Path::new("key.pem"));
    let options = Options::new()
        .docroot("/www")
        .cert(cert)
        .key(key)
        // A client that asks for a name in this certificate gets it.
        .cert_key("photos.pem", "photos.key")
        // Clients may show a certificate of these authorities; without `insecure` they must.
        .ca("clients.pem")
        .insecure(true);
    let hello = async |con: &mut Connection, _: &mut Request| con.send("hello\n").await;
    let error = Server::new(options, hello).unwrap().bind_tls("127.0.0.1", 0).unwrap_err();
    assert!(error.to_string().contains("cert.pem"), "{error}");
}
