//! Requests take no memory once the first ones were served: counted by an allocator of this test's own.
#![allow(unsafe_code)]

use ecohttpd::{Connection, Options, Request, Server};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: each call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: likewise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: likewise.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many times the server took memory for one request.
fn allocations(server: &mut Server, client: &mut TcpStream, target: &str, end: &str) -> u32 {
    let fields = "Host: localhost\r\nUser-Agent: test\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept: */*\r\n";
    client.write_all(format!("GET {target} HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap();
    let (mut reply, mut piece, mut taken) = (Vec::new(), [0; 4096], 0);
    while !reply.ends_with(end.as_bytes()) {
        let before = COUNT.get();
        let _ = server.turn(Duration::from_millis(10)).unwrap();
        taken += COUNT.get() - before;
        match client.read(&mut piece) {
            Ok(n) => reply.extend_from_slice(&piece[..n]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(reply.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&reply));
    taken
}

#[test]
fn a_request_takes_no_memory() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("file.txt"), "content of the file").unwrap();
    std::fs::write(temp.path().join("page.html"), "plain").unwrap();
    std::fs::write(temp.path().join("page.html.gz"), "content of the precompressed").unwrap();
    // Until then the files are not kept, as a further change might not show.
    let written = SystemTime::now();
    while written.elapsed().unwrap() < Duration::from_millis(4100) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let options = Options::new().docroot(temp.path()).gzip(true);
    let handler = async |con: &mut Connection, req: &mut Request| match req.path() {
        "/hello" => con.send("hello").await,
        _ => con.serve_file(req).await,
    };
    let mut server = Server::new(options, handler).unwrap();
    let mut client = TcpStream::connect(server.bind("127.0.0.1", 0).unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    for (target, end) in [("/file.txt", "file"), ("/hello", "0\r\n\r\n"), ("/page.html", "precompressed")] {
        let counts: Vec<u32> = (0..200).map(|_| allocations(&mut server, &mut client, target, end)).collect();
        let none = counts.iter().filter(|count| **count == 0).count();
        // Once a second the date is made, the folder looked at, and unused files are dropped.
        assert!(none >= 150, "{target}: {counts:?}");
    }
}
