//! What a server says of itself: connections, requests, bytes.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "stats")]

mod common;

use common::{Client, End, Gate, PATIENCE, Running, next, start};
use ecohttpd::{Connection, ConnectionState, Monitor, Options, Request, Server, Site, Stats, Tally};
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// A connection as the server tells it.
#[derive(Clone, Debug)]
struct Row {
    id: u64,
    port: Option<u16>,
    site: String,
    state: ConnectionState,
    request: String,
    received: u64,
    sent: u64,
}

type Seen = (Stats, Vec<Row>, [u64; 5]);

/// A server whose handler answers `/look` with what its monitor sees, by way of a channel; `/close/ID` closes a connection.
fn watched(gate: Gate) -> (Running, Receiver<Seen>, Receiver<bool>) {
    let (tell, seen) = channel();
    let (tell_closed, closed) = channel();
    (start(move || make(gate, tell, tell_closed)), seen, closed)
}

fn make(gate: Gate, tell: Sender<Seen>, tell_closed: Sender<bool>) -> (Server, SocketAddr) {
    let monitor: Rc<OnceCell<Monitor>> = Rc::default();
    let (tally, other) = (Rc::new(Tally::new("main")), Rc::new(Tally::new("other")));
    let (watching, counted) = (Rc::clone(&monitor), Rc::clone(&other));
    let handler = async move |con: &mut Connection, req: &mut Request| {
        let monitor = watching.get().unwrap();
        match req.path() {
            "/look" => tell.send((monitor.stats(), rows(monitor), counted.classes())).unwrap(),
            "/wait" => gate.wait().await,
            "/other" => {
                con.count_in(&counted);
                con.set_status(404)?;
            }
            path => {
                if let Some(id) = path.strip_prefix("/close/") {
                    tell_closed.send(monitor.close(id.parse().unwrap())).unwrap();
                }
            }
        }
        con.send("seen").await
    };
    let server = Server::new(Options::new(), async |_: &mut Connection, _: &mut Request| Ok(())).unwrap();
    assert!(monitor.set(server.monitor()).is_ok());
    let site = Site::new(Options::new().max_connections(7).tally(tally), handler);
    let addr = server.listeners().bind(&site, "127.0.0.1", 0).unwrap().addr();
    (server, addr)
}

fn rows(monitor: &Monitor) -> Vec<Row> {
    let row = |connection: ecohttpd::ConnectionInfo| Row {
        id: connection.id,
        port: connection.peer.port(),
        site: connection.tally.map_or(String::new(), |tally| tally.name().to_owned()),
        state: connection.state,
        request: connection.request,
        received: connection.received,
        sent: connection.sent,
    };
    monitor.connections().into_iter().map(row).collect()
}

fn get(client: &mut Client, path: &str) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
}

fn look(client: &mut Client, seen: &Receiver<Seen>) -> Seen {
    get(client, "/look");
    client.read_response();
    next(seen)
}

/// Looks until it is so: what the server does meanwhile takes its time.
fn look_until(client: &mut Client, seen: &Receiver<Seen>, is_so: impl Fn(&Seen) -> bool) -> Seen {
    let begun = Instant::now();
    loop {
        let found = look(client, seen);
        if is_so(&found) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{found:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn count(stats: &Stats, state: ConnectionState) -> usize {
    stats.states[state as usize]
}

#[test]
fn each_connection_is_seen_with_what_it_does() {
    let gate = Gate::default();
    let (server, seen, _) = watched(gate.clone());
    let (mut watcher, mut idle, mut waiting, mut slow) =
        (server.connect(), server.connect(), server.connect(), server.connect());
    get(&mut idle, "/");
    idle.read_response();
    get(&mut waiting, "/wait");
    slow.send("GET /slow HT");
    let (stats, rows, _) = look_until(&mut watcher, &seen, |(stats, ..)| {
        stats.open() == 4
            && count(stats, ConnectionState::Reading) == 1
            && count(stats, ConnectionState::Handling) == 2
            && count(stats, ConnectionState::Idle) == 1
    });
    assert_eq!((stats.accepted, stats.refused, stats.tls, stats.http2), (4, 0, 0, 0));
    let mut states: Vec<_> = rows.iter().map(|row| (format!("{:?}", row.state), row.request.as_str())).collect();
    states.sort();
    let expected = [("Handling", "GET /look"), ("Handling", "GET /wait"), ("Idle", ""), ("Reading", "")];
    assert_eq!(states, expected.map(|(state, request)| (state.to_owned(), request)));
    assert!(rows.iter().all(|row| row.site == "main" && row.port.is_some()));
    let idle_row = rows.iter().find(|row| row.state == ConnectionState::Idle).unwrap();
    assert_eq!(idle_row.received, "GET / HTTP/1.1\r\nHost: x\r\n\r\n".len() as u64);
    assert!(idle_row.sent > 50, "{}", idle_row.sent);
    assert_eq!(rows.iter().map(|row| row.received).sum::<u64>(), stats.received);

    gate.open();
    waiting.read_response();
    look_until(&mut watcher, &seen, |(stats, ..)| count(stats, ConnectionState::Idle) == 2);
    drop((idle, waiting, slow));
    let (after, ..) = look_until(&mut watcher, &seen, |(stats, ..)| stats.open() == 1);
    assert!(after.received > stats.received && after.sent > stats.sent, "what is closed stays counted");
}

#[test]
fn requests_are_counted_by_status_and_tally() {
    let (server, seen, _) = watched(Gate::default());
    let mut client = server.connect();
    for (path, status) in [("/", 200), ("/other", 404), ("/other", 404), ("/", 200)] {
        get(&mut client, path);
        assert_eq!(client.read_response().status, status);
    }
    let mut bad = server.connect();
    bad.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(bad.read_response().status, 400);
    let (stats, _, other) = look_until(&mut client, &seen, |(stats, ..)| stats.requests[3] == 3);
    assert_eq!(other, [0, 0, 0, 2, 0]);
    assert!(stats.requests[1] >= 2 && stats.requests[4] == 0, "{:?}", stats.requests);
    assert!(stats.turns.iter().sum::<u64>() >= 5, "{:?}", stats.turns);
}

#[test]
fn a_connection_is_closed_by_its_number() {
    let gate = Gate::default();
    let (server, seen, closed) = watched(gate);
    let (mut watcher, mut idle, mut waiting) = (server.connect(), server.connect(), server.connect());
    get(&mut idle, "/");
    idle.read_response();
    get(&mut waiting, "/wait");
    let (_, rows, _) = look_until(&mut watcher, &seen, |(stats, ..)| {
        count(stats, ConnectionState::Handling) == 2 && count(stats, ConnectionState::Idle) == 1
    });
    let id = |request: &str| rows.iter().find(|row| row.request == request).unwrap().id;
    let mut close = |id: u64| {
        get(&mut watcher, &format!("/close/{id}"));
        watcher.read_response();
        next(&closed)
    };
    assert!(close(id("")));
    idle.expect_close();
    assert!(close(id("GET /wait")));
    assert_eq!(waiting.rest().1, End::Reset);
    assert!(!close(id("GET /wait")), "it is gone");
    assert!(!close(1 << 52), "there was none");
    let own = id("GET /look");
    look_until(&mut watcher, &seen, |(stats, ..)| stats.open() == 1);
    get(&mut watcher, &format!("/close/{own}"));
    assert!(next(&closed));
    assert_eq!(watcher.rest().1, End::Reset);
}
