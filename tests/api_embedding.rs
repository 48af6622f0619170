//! The server's loop inside of another program's.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, PATIENCE, next};
use ecohttpd::{Connection, Handle, Options, Request, Server, sleep};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A loop as a program may have one: it sleeps until the server's descriptor is readable or the server's time has come.
/// Returns how often it woke.
fn host(mut server: Server) -> usize {
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
    let raw = server.as_fd().unwrap().as_raw_fd();
    assert_eq!(server.as_fd().unwrap().as_raw_fd(), raw, "it stays the same");
    // Edge-triggered as mio has it: the hardest kind for who is waited for.
    poll.registry().register(&mut SourceFd(&raw), Token(0), Interest::READABLE).unwrap();
    let begun = Instant::now();
    for turns in 1.. {
        poll.poll(&mut events, server.next_turn()).unwrap();
        if server.turn(Duration::ZERO).unwrap().is_break() {
            return turns;
        }
        assert!(begun.elapsed() < PATIENCE, "it never stopped");
    }
    unreachable!()
}

/// Starts such a program; its server answers `/`, and `/slow` by way of a timer.
fn start(done: Sender<usize>) -> (SocketAddr, Handle) {
    let (ready, made) = channel();
    thread::spawn(move || {
        let handler = async |con: &mut Connection, req: &mut Request| {
            if req.path() == "/slow" {
                sleep(Duration::from_millis(30)).await;
            }
            con.send(req.path().to_owned()).await
        };
        let mut server = Server::new(Options::new(), handler).unwrap();
        let addr = server.bind("127.0.0.1", 0).unwrap();
        ready.send((addr, server.handle())).unwrap();
        done.send(host(server)).unwrap();
    });
    made.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn another_loop_serves_requests_timers_and_wakes() {
    let (done, ended) = channel();
    let (addr, handle) = start(done);
    let mut client = Client::connect(addr);
    for path in ["/", "/slow", "/again"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.read_response().text(), path);
    }
    // From another thread, while the loop sleeps.
    handle.stop(Duration::ZERO);
    let turns = next(&ended);
    assert!(turns < 1000, "{turns} turns: it does not sleep");
}

#[test]
fn a_turn_waits_no_longer_than_it_may() {
    let handler = async |con: &mut Connection, _: &mut Request| con.send("").await;
    let mut server = Server::new(Options::new(), handler).unwrap();
    server.bind("127.0.0.1", 0).unwrap();
    assert!(server.turn(Duration::ZERO).unwrap().is_continue());
    assert!(server.turn(Duration::from_millis(10)).unwrap().is_continue());
    let (tell, told) = channel();
    server.spawn(async move { tell.send(()).unwrap() }).detach();
    assert_eq!(server.next_turn(), Some(Duration::ZERO), "a task is to be run");
    assert!(server.turn(Duration::ZERO).unwrap().is_continue());
    next(&told);
    server.handle().stop(Duration::ZERO);
    assert!(server.turn(Duration::from_secs(3600)).unwrap().is_break(), "the stop is an event");
}

/// What is in flight ends with the server, though nobody stopped it.
#[test]
fn a_dropped_server_drops_its_tasks_and_listeners() {
    let (tell, told) = channel();
    let handler = async |con: &mut Connection, _: &mut Request| con.send("").await;
    let mut server = Server::new(Options::new(), handler).unwrap();
    let addr = server.bind("127.0.0.1", 0).unwrap();
    let guard = common::OnDrop::new(&tell, "task");
    server
        .spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        })
        .detach();
    assert!(server.turn(Duration::ZERO).unwrap().is_continue());
    drop(server);
    assert_eq!(next(&told), "task");
    assert!(std::net::TcpStream::connect(addr).is_err(), "nobody listens any more");
}
