//! Faults that were found by reading, each kept from coming back.

mod common;

use common::{Client, Gate, MOMENT, PATIENCE, next, reset, serve, telling};
use ecohttpd::{Connection, Options, Request, Server, sleep, spawn};
use std::future::pending;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const UPGRADE: &str = "GET /up HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n";

/// A tick may be long over when a handler that worked through it goes to sleep.
#[test]
fn sleep_counts_from_its_call() {
    let (server, seen) = telling(Options::new, async |_: &mut Connection, req: &mut Request, tell| {
        if req.path() == "/work" {
            std::thread::sleep(MOMENT * 2);
            let begun = Instant::now();
            sleep(MOMENT).await;
            tell.send(begun.elapsed()).unwrap();
        }
        Ok(())
    });
    let mut working = server.connect();
    working.send("GET /work HTTP/1.1\r\nHost: x\r\n\r\n");
    // Whose request is an event of the next tick, in which a deadline that lay too early would be due.
    server.get("/");
    let slept = next(&seen);
    assert!(slept >= MOMENT, "slept {slept:?}");
}

/// A Unix peer that writes and closes hangs up in both directions at once; its last bytes are still to be read.
#[test]
fn the_last_bytes_of_a_unix_peer_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("socket");
    let bound = path.clone();
    let (tell, told) = channel();
    let (address, addresses) = channel();
    let server = std::thread::spawn(move || {
        let handler = async move |con: &mut Connection, _: &mut Request| {
            let mut stream = con.upgrade().await?;
            let mut read = Vec::new();
            let mut buffer = [0; 16];
            // The end stays the end, however often it is asked for.
            for _ in 0..4 {
                let n = stream.read(&mut buffer).await?;
                read.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
            }
            tell.send(read.concat()).unwrap();
            ecohttpd::Result::Ok(())
        };
        let mut server = Server::new(Options::new(), handler).unwrap();
        server.bind_unix(&bound).unwrap();
        address.send(server.handle()).unwrap();
        server.run()
    });
    let handle = next(&addresses);
    let mut client = Client::connect_unix(&path);
    client.send(UPGRADE);
    assert_eq!(client.read_head_response().status, 101);
    client.send("bye");
    drop(client);
    assert_eq!(next(&told), "bye");
    handle.stop(Duration::ZERO);
    server.join().unwrap().unwrap();
}

/// The place of a connection that is over is another's, even while a task still holds its stream.
#[test]
fn a_dead_upgraded_stream_leaves_its_successor_alone() {
    let (failed, failures) = channel();
    let (begun, starts) = channel();
    let gate = Gate::default();
    let opened = gate.clone();
    let options = || Options::new().write_timeout(MOMENT);
    let server = serve(options, async move |con: &mut Connection, req: &mut Request| {
        if req.path() != "/up" {
            begun.send(()).unwrap();
            gate.wait().await;
            return con.send("answered").await;
        }
        let mut stream = con.upgrade().await?;
        let failed = failed.clone();
        spawn(async move {
            while stream.write_all(&[0; 60_000]).await.is_ok() {}
            failed.send(()).unwrap();
            pending::<()>().await;
        })
        .detach();
        Ok(())
    });
    let mut stuck = TcpStream::connect(server.addr).unwrap();
    stuck.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::Write::write_all(&mut stuck, UPGRADE.as_bytes()).unwrap();
    next(&failures);
    let mut successor = server.connect();
    successor.send(GET);
    next(&starts);
    reset(stuck);
    // By the time that another is answered, the reset was noticed.
    let mut other = server.connect();
    other.send(GET);
    next(&starts);
    opened.open();
    assert_eq!(successor.read_response().text(), "answered");
    assert_eq!(other.read_response().text(), "answered");
}

/// A task that reads an upgraded stream as fast as it comes, and writes it back, must still let others have their turn.
#[test]
fn a_busy_upgraded_stream_lets_others_have_their_turn() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        if req.path() != "/up" {
            return con.send("served").await;
        }
        let mut stream = con.upgrade().await?;
        spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
        })
        .detach();
        Ok(())
    });
    let mut busy = TcpStream::connect(server.addr).unwrap();
    std::io::Write::write_all(&mut busy, UPGRADE.as_bytes()).unwrap();
    let mut sending = busy.try_clone().unwrap();
    let sender = std::thread::spawn(move || while std::io::Write::write_all(&mut sending, &[7; 256 << 10]).is_ok() {});
    for _ in 0..20 {
        assert_eq!(server.get("/").text(), "served");
    }
    busy.shutdown(std::net::Shutdown::Both).unwrap();
    sender.join().unwrap();
}
