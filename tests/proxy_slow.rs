//! Slow clients of servers behind this one, and servers with few processes: none keeps the others waiting.
#![cfg(feature = "proxy")]

mod common;
mod common_config;
mod common_files;
mod common_upstream;

use common::Client;
use common_config::{Router, until};
use common_files::{Daemon, request};
use common_upstream::{Backend, Peer};
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The end of a request's body, in FastCGI.
const END_OF_STDIN: [u8; 8] = [1, 5, 0, 1, 0, 0, 0, 0];

/// An answer in FastCGI: STDOUT, and END_REQUEST.
const HELLO: &[u8] =
    b"\x01\x06\x00\x01\x00\x07\x00\x00A: b\n\nx\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

/// What a client sends of a body at once, which is more than is read before a server is asked.
const BEGINNING: usize = 100_000;

fn site(option: &str, value: &str, more: &[&str]) -> (Router, Daemon, Backend) {
    let (router, backend) = (Router::new(), Backend::tcp());
    router.write("root/x.php", "source");
    let value = value.replace('@', &format!("127.0.0.1:{}", backend.port));
    let daemon = router.start_by(&[&[option, &value], more].concat());
    (router, daemon, backend)
}

/// Reads a request in FastCGI.
fn read_request(peer: &mut Peer) -> Vec<u8> {
    let mut seen = Vec::new();
    while !seen.ends_with(&END_OF_STDIN) {
        seen.extend(peer.read_exact(1));
    }
    seen
}

#[test]
fn few_processes_serve_many_clients() {
    const PROCESSES: usize = 2;
    let (_router, daemon, backend) = site("--fastcgi", ".php=@", &["--proxy-timeout", "10"]);
    let backend = Arc::new(Mutex::new(backend));
    for _ in 0..PROCESSES {
        let backend = Arc::clone(&backend);
        // Each has one connection until that ends, as with php-fpm.
        thread::spawn(move || {
            loop {
                let Some(mut peer) = backend.lock().unwrap().next() else { return };
                while peer.goes_on() {
                    read_request(&mut peer);
                    peer.send(HELLO);
                }
            }
        });
    }
    let mut clients: Vec<Client> = (0..8).map(|_| daemon.connect()).collect();
    for _ in 0..3 {
        clients.iter_mut().for_each(|client| client.send(request("GET", "/x.php", &[], false)));
        for client in &mut clients {
            let reply = client.read_response();
            assert_eq!((reply.status, reply.text()), (200, "x"));
        }
    }
}

#[test]
fn a_body_is_read_before_a_process_is_taken() {
    let (_router, daemon, backend) = site("--fastcgi", ".php=@", &[]);
    let mut slow = daemon.connect();
    slow.send("POST /x.php HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
    slow.send(vec![b'a'; 19_999]);
    let mut quick = daemon.connect();
    quick.send(request("GET", "/x.php", &[], false));
    let mut peer = backend.accept();
    assert!(read_request(&mut peer).windows(3).any(|text| text == b"GET"), "not the one that is not complete");
    peer.send(HELLO);
    assert_eq!(quick.read_response().text(), "x");
    slow.send("a");
    assert!(read_request(&mut peer).windows(4).any(|text| text == b"POST"));
    peer.send(HELLO);
    assert_eq!(slow.read_response().text(), "x");
}

/// Sends the beginning of a body, and then a byte now and then.
fn drip(daemon: &Daemon, path: &str) -> Client {
    let stream = TcpStream::connect(daemon.addr).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let client = Client::new(stream);
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    thread::spawn(move || {
        let _ = sending.write_all(head.as_bytes()).and_then(|()| sending.write_all(&[b'a'; BEGINNING]));
        for _ in 0..400 {
            thread::sleep(Duration::from_millis(25));
            if sending.write_all(b"a").is_err() {
                return;
            }
        }
    });
    client
}

#[test]
fn a_client_that_sends_too_slowly_is_sent_away() {
    for (option, value, path) in [("--fastcgi", ".php=@", "/x.php"), ("--proxy", "/app=http://@", "/app")] {
        let (router, daemon, backend) = site(option, value, &["--proxy-timeout", "1"]);
        let mut client = drip(&daemon, path);
        let mut peer = backend.accept();
        let reading = thread::spawn(move || peer.rest());
        assert_eq!(client.read_response().status, 408, "{option}");
        until("the server is let go", || reading.is_finished());
        until("it is logged", || {
            router.log().contains("408: 127.0.0.1:") && router.log().contains("1 KiB/s of the body")
        });
    }
}

#[test]
fn a_client_that_reads_too_slowly_is_sent_away() {
    let (router, daemon, backend) = site("--proxy", "/app=http://@", &["--proxy-timeout", "1"]);
    let mut client = daemon.connect();
    client.send(request("GET", "/app", &[], false));
    let (_, mut peer) = backend.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    while peer.try_send([b'd'; 1 << 16]).is_ok() {}
    until("it is logged", || router.log().contains("client read less than 1 KiB/s of the response"));
}

/// Of many that are slow, the slowest is ended.
#[test]
fn slow_clients_leave_room_for_others() {
    let (router, daemon, backend) = site("--fastcgi", ".php=@", &[]);
    let clients: Vec<Client> = (0..5).map(|_| drip(&daemon, "/x.php")).collect();
    let peers: Vec<Peer> = clients.iter().map(|_| backend.accept()).collect();
    for mut peer in peers {
        thread::spawn(move || peer.rest());
    }
    until("one is ended", || router.log().contains("too many exchanges wait for slow clients"));
}
