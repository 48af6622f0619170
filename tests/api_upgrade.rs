//! Upgraded streams in two halves.

#![allow(clippy::unwrap_used)]

mod common;

use common::{PATIENCE, serve};
use ecohttpd::{Connection, Options, Request, Task, spawn};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

const UPGRADE: &str = "GET /PATH HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n";

/// More than sockets and the server together hold of a direction that nobody reads.
const MUCH: usize = 8 << 20;

fn upgraded(addr: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(UPGRADE.replace("PATH", path).as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    stream
}

/// Neither direction waits for the other: the client sends all before it reads anything, while the server sends.
#[test]
fn halves_read_and_write_at_once() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        let (mut reader, mut writer) = con.upgrade().await?.split();
        let writing: Task<_> = spawn(async move {
            for _ in 0..MUCH / 4096 {
                writer.write_all(&[b'w'; 4096]).await?;
            }
            writer.flush().await?;
            Ok::<_, ecohttpd::Error>(writer)
        });
        let reading = async move {
            let (mut buffer, mut total) = (vec![0; 16 << 10], 0);
            while total < MUCH {
                match reader.read(&mut buffer).await? {
                    0 => break,
                    n => total += n,
                }
            }
            Ok::<_, ecohttpd::Error>(total)
        };
        let total = if req.path() == "/tasks" { spawn(reading).await? } else { reading.await? };
        writing.await?.write_all(format!("read {total}").as_bytes()).await
    });
    for path in ["tasks", "handler"] {
        let mut stream = upgraded(server.addr, path);
        let mut sending = stream.try_clone().unwrap();
        sending.write_all(&vec![b'r'; MUCH]).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        let (written, end) = got.split_at(MUCH);
        assert!(written.iter().all(|&byte| byte == b'w'));
        assert_eq!(end, format!("read {MUCH}").as_bytes(), "{path}");
    }
}

#[test]
fn the_connection_closes_with_the_second_half() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| {
        let (reader, mut writer) = con.upgrade().await?.split();
        drop(reader);
        writer.write_all(b"still open").await
    });
    let mut stream = upgraded(server.addr, "");
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    assert_eq!(got, "still open");
}

/// A half that waits long must be woken whatever the other one did meanwhile.
#[test]
fn a_waiting_half_is_woken_beside_a_busy_one() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| {
        let (mut reader, mut writer) = con.upgrade().await?.split();
        let busy = spawn(async move {
            loop {
                if writer.write_all(&[0; 1000]).await.is_err() {
                    return;
                }
                ecohttpd::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
        let mut byte = [0];
        let read = reader.read(&mut byte).await?;
        assert_eq!((read, byte), (1, *b"x"));
        drop(busy);
        Ok::<(), ecohttpd::Error>(())
    });
    let mut stream = upgraded(server.addr, "");
    let mut reading = stream.try_clone().unwrap();
    let drain = thread::spawn(move || std::io::copy(&mut reading, &mut std::io::sink()).is_ok());
    thread::sleep(common::MOMENT);
    stream.write_all(b"x").unwrap();
    assert!(drain.join().unwrap(), "the stream ends well");
}
