//! A client must not fill the log: whatever it does again and again is written a few times, then counted.

#![allow(clippy::unwrap_used)]

mod common;
mod common_cgi;
mod common_files;

use common::{Client, PATIENCE, Running, serve};
use common_cgi::{Scripts, until};
use ecohttpd::{Connection, Error, Options, Request, Result};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Mutex, Once};

/// Lines that are written of one client within a minute.
const LINES: usize = 10;

/// How often a client does something in these tests.
const FLOOD: usize = 50;

/// Keeps all lines.
struct Lines(Mutex<Vec<String>>);

static LOGGED: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// A server whose lines are kept.
fn logged<H>(handler: H) -> Running
where
    H: AsyncFn(&mut Connection, &mut Request) -> Result<()> + Send + 'static,
{
    static SET: Once = Once::new();
    SET.call_once(|| {
        log::set_logger(&LOGGED).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    serve(Options::new, handler)
}

/// Lines about the client at 127.0.0.N.
fn lines_of(client: u8) -> Vec<String> {
    let begin = format!("127.0.0.{client}:");
    LOGGED.0.lock().unwrap().iter().filter(|line| line.starts_with(&begin)).cloned().collect()
}

fn connect_from(client: u8, to: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, client), 0)).into()).unwrap();
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    Client::new(TcpStream::from(socket))
}

async fn app(con: &mut Connection, req: &mut Request) -> Result<()> {
    match req.path() {
        "/fails" => Err(Error::Io(std::io::ErrorKind::NotFound.into())),
        "/breaks" => {
            con.send("half").await?;
            Err(Error::Timeout)
        }
        "/long" => {
            con.add_header("content-length", 1)?;
            con.send("longer").await
        }
        "/short" => {
            con.add_header("content-length", 9)?;
            con.send("short").await
        }
        _ => {
            con.discard_body().await?;
            con.send("served").await
        }
    }
}

/// What a client sends, again and again; what the line says, if there is one.
const CAUSES: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\n\r\n", "400 no Host"),
    ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
    ("GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\nConnection: close\r\n\r\n", "417"),
    ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "501"),
    ("\x16\x03\x01\x02\0\x01\0\x01\n", "TLS"),
    ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx", "400 chunk without a size"),
    ("GET /fails HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
    ("GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n", "response cut short"),
    ("GET /long HTTP/1.1\r\nHost: x\r\n\r\n", "response cut short"),
    ("GET /short HTTP/1.1\r\nHost: x\r\n\r\n", "response cut short"),
];

#[test]
fn each_cause_of_a_line_is_bounded() {
    let server = logged(app);
    for (client, (request, said)) in (10..).zip(CAUSES) {
        for _ in 0..FLOOD {
            let mut stream = connect_from(client, server.addr);
            stream.send(request);
            stream.rest();
        }
        let lines = lines_of(client);
        assert_eq!(lines.len(), LINES, "{request:?}: {lines:?}");
        assert!(lines.iter().all(|line| line.contains(said)), "{said}: {lines:?}");
    }
    // One that floods leaves the lines of others alone.
    let mut other = connect_from(9, server.addr);
    other.send(CAUSES[0].0);
    other.rest();
    assert_eq!(lines_of(9).len(), 1);
}

#[test]
fn a_fault_is_one_line() {
    let server = logged(app);
    for (client, (request, _)) in (40..).zip(CAUSES) {
        let mut stream = connect_from(client, server.addr);
        stream.send(request);
        stream.rest();
        // The line is written before the connection ends, but for what follows it.
        until("there is no line", || !lines_of(client).is_empty());
    }
    drop(server);
    for (client, (request, _)) in (40..).zip(CAUSES) {
        assert_eq!(lines_of(client).len(), 1, "{request:?}: {:?}", lines_of(client));
    }
}

#[test]
fn scripts_that_redirect_in_a_circle() {
    let site = Scripts::new(
        &[],
        &[("circle", "#!/bin/sh\nprintf 'Location: /cgi-bin/circle\\n\\n'\n"), ("last", "#!/bin/sh\necho last >&2\n")],
    );
    for _ in 0..LINES + 5 {
        assert_eq!(site.get("/cgi-bin/circle").status, 500);
    }
    site.get("/cgi-bin/last");
    let mut lines = 0;
    loop {
        let line = site.log(&[]);
        lines += usize::from(line.contains("circle"));
        if line.contains("last") {
            break;
        }
    }
    assert_eq!(lines, LINES);
}
