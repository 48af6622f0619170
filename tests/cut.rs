//! Replies that can't be completed: all that there is of them arrives, and their end tells that it is not all.

mod common;

use common::{Client, End, MOMENT, Running, next, pattern, serve};
use ecohttpd::{Connection, Error, Options, Request, Result};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Bytes that are sent before a reply is cut: the kernel holds most of them, and our queue the rest.
const SENT: usize = 1_000_000;

/// How a handler breaks its promise, and what of the body the client gets.
const CUTS: &[(&str, usize)] = &[
    ("/error", SENT),
    ("/panic", SENT),
    ("/short", SENT),
    ("/long", SENT),
    ("/short-error", SENT),
    ("/nothing", 0),
    ("/shrunk", 10_000),
];

async fn app(con: &mut Connection, req: &mut Request, told: &Sender<()>) -> Result<()> {
    let promised = match req.path() {
        "/short" | "/short-error" => Some(2 * SENT),
        "/long" => Some(SENT + 1),
        "/nothing" => Some(1),
        "/shrunk" => Some(20_000),
        _ => None,
    };
    if let Some(length) = promised {
        con.add_header("content-length", length)?;
    }
    match req.path() {
        "/nothing" => {}
        "/shrunk" => {
            con.send(pattern(10_000)).await?;
            let file = tempfile::NamedTempFile::new()?;
            file.as_file().set_len(10_000)?;
            con.send_file(file.path(), None, None).await?;
            File::options().write(true).open(file.path())?.set_len(0)?;
        }
        _ => con.send(pattern(SENT)).await?,
    }
    // By now the client has read nothing: what it gets is what waits for it.
    let _ = told.send(());
    match req.path() {
        "/error" | "/short-error" => Err(Error::BadStatus),
        "/panic" => panic!("as the test wants it"),
        "/long" => con.send("more").await,
        _ => Ok(()),
    }
}

/// A server whose connections hold all of a reply at once, so that it is cut before the client reads.
fn server() -> (Running, Receiver<()>) {
    let (tell, told) = channel();
    let options = || Options::new().high_water(4 * SENT);
    (serve(options, async move |con: &mut Connection, req: &mut Request| app(con, req, &tell).await), told)
}

fn ask(server: &Running, path: &str, version: &str) -> Client {
    let mut client = server.connect();
    client.send(format!("GET {path} HTTP/{version}\r\nHost: x\r\n\r\n"));
    client
}

/// The payload of chunks that have no end.
fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        assert!(size > 0, "the last chunk was sent");
        payload.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
    assert!(bytes.is_empty());
    payload
}

#[test]
fn what_was_sent_arrives_and_the_end_tells() {
    let (server, told) = server();
    for version in ["1.1", "1.0"] {
        for (path, sent) in CUTS {
            let mut client = ask(&server, path, version);
            next(&told);
            let seen = client.try_response(false);
            let (rest, end) = client.rest();
            assert!(seen.is_err(), "{path} {version} looks whole: {end:?} after {} bytes", rest.len());
            let head = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
            let text = String::from_utf8_lossy(&rest[..head]);
            let (length, chunked) = (text.contains("Content-Length"), text.contains("chunked"));
            let body = if chunked { unchunk(&rest[head..]) } else { rest[head..].to_vec() };
            assert!(body == pattern(*sent), "{path} {version}: {} of {sent} bytes", body.len());
            // A reset may cost a client what it has not read yet: only where nothing else tells.
            assert_eq!(end, if length || chunked { End::Eof } else { End::Reset }, "{path} {version}");
        }
    }
    assert_eq!(ask(&server, "/none", "1.1").read_response().body.len(), SENT, "the server lives on");
}

/// Nobody is closed with something unread, which would send a reset: neither a client that sends on, nor one whose body
/// was not read.
#[test]
fn a_client_that_sends_on_gets_what_there_is() {
    let (server, told) = server();
    for path in ["/error", "/short"] {
        let mut client = server.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"));
        client.send([b'x'; 100_000]);
        next(&told);
        client.send([b'x'; 100_000]);
        let (rest, end) = client.rest();
        assert!(end == End::Eof && rest.len() > SENT, "{path}: {end:?} after {} bytes", rest.len());
    }
}

/// To HEAD nothing was promised.
#[test]
fn a_reply_without_a_body_is_whole() {
    let (server, _told) = server();
    for (path, _) in CUTS.iter().filter(|(path, _)| *path != "/shrunk") {
        let mut client = server.connect();
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.read_head_response().status, 200, "{path}");
    }
}

/// A client that takes nothing does not hold its connection until it does.
#[test]
fn a_cut_reply_is_not_waited_for_for_ever() {
    for version in ["1.1", "1.0"] {
        let (tell, told) = channel();
        let options = || Options::new().high_water(4 * SENT).write_timeout(MOMENT);
        let server = serve(options, async move |con: &mut Connection, req: &mut Request| app(con, req, &tell).await);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&server.addr.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(format!("GET /error HTTP/{version}\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        next(&told);
        // It ends with its last connection.
        server.handle.stop(Duration::from_secs(3600));
        server.join().unwrap();
    }
}
