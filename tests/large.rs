//! Numbers beyond 32 bits, at the program itself: file sizes, offsets, body lengths and times.

#![allow(clippy::unwrap_used)]

mod common;
mod common_files;

use common::{Client, PATIENCE, next, skip, telling};
use common_files::{Daemon, folder, mtime, request, set_mtime};
use ecohttpd::{Connection, Options, Request};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

const GIB: u64 = 1 << 30;
const SIZE: u64 = 6 * GIB;

/// A sparse file of 6 GiB with a mark at 4 and at 5 GiB and at its end, and the daemon that serves it.
fn daemon() -> (tempfile::TempDir, Daemon) {
    let (temp, root) = folder();
    let file = File::create(root.join("sparse")).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(b"four", 4 * GIB).unwrap();
    file.write_all_at(b"five", 5 * GIB).unwrap();
    file.write_all_at(b"end!", SIZE - 4).unwrap();
    let daemon = Daemon::start(&["-h", root.to_str().unwrap()]);
    (temp, daemon)
}

#[test]
fn ranges_beyond_four_gigabytes() {
    let (_temp, daemon) = daemon();
    let ask = |range: &str| {
        let mut client = daemon.connect();
        client.send(request("GET", "/sparse", &[&format!("Range: bytes={range}")], true));
        let reply = client.read_response();
        client.expect_close();
        reply
    };
    let (four, five) = (4 * GIB, 5 * GIB);
    #[rustfmt::skip]
    let rows = [
        (format!("{five}-{}", five + 3), five, "five"), (format!("{}-", SIZE - 4), SIZE - 4, "end!"), ("-4".into(), SIZE - 4, "end!"),
        (format!("{four}-{}", four + 3), four, "four"), (format!("{}-{}", four - 2, four + 1), four - 2, "\0\0fo"),
        (format!("{}-{}", SIZE - 4, u64::MAX), SIZE - 4, "end!"),
    ];
    for (range, from, body) in rows {
        let reply = ask(&range);
        assert_eq!((reply.status, reply.text()), (206, body), "{range}");
        let to = from + body.len() as u64 - 1;
        assert_eq!(reply.header("content-range"), Some(&*format!("bytes {from}-{to}/{SIZE}")), "{range}");
        assert_eq!(reply.header("content-length"), Some(&*body.len().to_string()), "{range}");
    }
    // Its first offset modulo 2^32 would be in the file.
    for range in [format!("{SIZE}-"), format!("{}-", (1_u64 << 32) + SIZE)] {
        let reply = ask(&range);
        assert_eq!(reply.status, 416, "{range}");
        assert_eq!(reply.header("content-range"), Some(&*format!("bytes */{SIZE}")), "{range}");
    }
    // Enough for many calls of sendfile, across the mark.
    let reply = ask(&format!("{}-{}", four - 20_000_000, four + 3));
    assert!(reply.body.len() == 20_000_004 && reply.body.ends_with(b"\0four"), "{} bytes", reply.body.len());
}

#[test]
fn lengths_beyond_four_gigabytes() {
    let (_temp, daemon) = daemon();
    let length = Some("6442450944");
    let mut client = daemon.connect();
    client.send(request("HEAD", "/sparse", &[], false));
    let head = client.read_head_response();
    assert_eq!((head.status, head.header("content-length")), (200, length));
    client.send(request("GET", "/sparse", &[], true));
    let head = head_of(&mut client);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nContent-Length: 6442450944\r\n"), "{head}");
    assert!(daemon.get("/").text().contains("6.0 GiB"), "in the listing");
}

/// Past what 32 bits count, in one reply.
#[test]
fn a_download_of_four_gigabytes() {
    let (_temp, daemon) = daemon();
    let length = 4 * GIB + 1;
    let mut stream = TcpStream::connect(daemon.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let range = format!("Range: bytes={}-", SIZE - length);
    stream.write_all(request("GET", "/sparse", &[&range], true).as_bytes()).unwrap();
    let (mut buffer, mut total, mut last) = (vec![0; 1 << 20], 0, [0; 4]);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            n => {
                total += n as u64;
                last = *buffer[..n].last_chunk().unwrap_or(&last);
            }
        }
    }
    let head = total.checked_sub(length).expect("cut");
    assert!(head < 1000 && last[3] == b'!', "{head} bytes too many");
}

/// Both ways at a server behind the proxy.
#[cfg(feature = "proxy")]
#[test]
#[ignore = "it moves 8 GiB"]
fn bodies_of_four_gigabytes_through_the_proxy() {
    const LENGTH: u64 = 4 * GIB + 1;
    fn send(mut stream: &TcpStream, head: &str) {
        stream.write_all(format!("{head}\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes()).unwrap();
        let piece = vec![b'x'; 1 << 20];
        let mut left = LENGTH;
        while left > 0 {
            let n = usize::try_from(left.min(1 << 20)).unwrap();
            stream.write_all(&piece[..n]).unwrap();
            left -= n as u64;
        }
    }
    fn count(mut stream: &TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(String::from_utf8(head).unwrap().contains("Content-Length: 4294967297\r\n"));
        let (mut buffer, mut left) = (vec![0; 1 << 20], LENGTH);
        while left > 0 {
            left -= stream.read(&mut buffer).unwrap() as u64;
        }
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (temp, root) = folder();
    let value = format!("/app=http://{}", listener.local_addr().unwrap());
    let daemon = Daemon::start(&["-h", root.to_str().unwrap(), "--proxy", &value]);
    let server = std::thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        count(&stream);
        send(&stream, "HTTP/1.1 200 OK");
    });
    let stream = TcpStream::connect(daemon.addr).unwrap();
    send(&stream, "POST /app HTTP/1.1\r\nHost: x");
    count(&stream);
    server.join().unwrap();
    drop(temp);
}

/// Reads a head, and nothing behind it.
fn head_of(client: &mut Client) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.read_exact(1));
    }
    String::from_utf8(head).unwrap()
}

/// No file takes uploads here: a length beyond 32 bits must be refused without waiting for the body.
#[test]
fn the_program_refuses_a_body_beyond_four_gigabytes() {
    let (_temp, daemon) = daemon();
    // The second is 4 GiB, whose lower half is an empty body: what follows would be a request smuggled.
    for length in [6 * GIB, 4 * GIB, (4 * GIB) + 1] {
        let mut client = daemon.connect();
        client.send(format!("POST /sparse HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n"));
        client.send(request("GET", "/", &[], false));
        let reply = client.read_response();
        assert!(reply.status == 405 && reply.closes(), "{length}: {reply:?}");
        client.expect_close();
    }
    let mut client = daemon.connect();
    client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551616\r\n\r\n");
    assert_eq!(client.read_response().status, 400, "2^64");
}

/// A handler reads a long body in pieces; one that wants it whole has a limit, which 32 bits would miss.
#[test]
fn the_library_counts_a_body_in_64_bits() {
    let (server, told) = telling(
        || Options::new().max_body(1024),
        async |con: &mut Connection, req: &mut Request, tell| {
            let count = (req.path() == "/piece").then_some(3);
            tell.send(common::told(con.read_body(count, None).await)).unwrap();
            con.send("read").await
        },
    );
    for (path, verdict) in [("/piece", Ok(b"abc".to_vec())), ("/whole", Err("BodyTooLarge".to_owned()))] {
        for length in [6 * GIB, 4 * GIB, 4 * GIB + 3] {
            let mut client = server.connect();
            client.send(format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\nabc"));
            assert_eq!(next(&told), verdict, "{path} {length}");
            assert!(client.read_response().closes(), "{path} {length}: what follows would be taken for a request");
            client.expect_close();
        }
    }
}

#[test]
fn times_after_2038() {
    let (temp, root) = folder();
    // A second after 31 bits end, after 32 do, and far from both: from the future, so what clients are told is `Date`.
    let rows: [(u64, &str, &str); 3] = [
        (1 << 31, "Tue, 19 Jan 2038 03:14:08 GMT", "Tue, 19 Jan 2038 03:14:07 GMT"),
        (1 << 32, "Sun, 07 Feb 2106 06:28:16 GMT", "Sun, 07 Feb 2106 06:28:15 GMT"),
        (9_000_000_000, "Wed, 14 Mar 2255 16:00:00 GMT", "Wed, 14 Mar 2255 15:59:59 GMT"),
    ];
    let daemon = Daemon::start(&["-h", root.to_str().unwrap()]);
    for (seconds, date, before) in rows {
        let name = format!("f{seconds}");
        fs::write(root.join(&name), "content").unwrap();
        if !keeps(&root.join(&name), seconds) {
            skip(&format!("in part: the file system of {} has no times like {date}", temp.path().display()));
            continue;
        }
        let ask = |fields: &[&str]| {
            let mut client = daemon.connect();
            client.send(request("GET", &format!("/{name}"), fields, true));
            client.read_response()
        };
        let whole = ask(&[]);
        assert_eq!((whole.status, whole.header("last-modified")), (200, whole.header("date")));
        let etag = whole.header("etag").unwrap();
        for (field, value, status) in [
            ("If-Modified-Since", date, 304),
            ("If-Modified-Since", before, 304),
            ("If-Modified-Since", "Sun, 09 Sep 2001 01:46:40 GMT", 200),
            ("If-Unmodified-Since", date, 200),
            ("If-Unmodified-Since", "Sun, 09 Sep 2001 01:46:40 GMT", 412),
            ("If-None-Match", etag, 304),
        ] {
            assert_eq!(ask(&[&format!("{field}: {value}")]).status, status, "{field}: {value}");
        }
    }
}

/// Sets a file's time, and tells whether it stays.
fn keeps(path: &Path, seconds: u64) -> bool {
    set_mtime(path, seconds);
    mtime(path) == UNIX_EPOCH + Duration::from_secs(seconds)
}
