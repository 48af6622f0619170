//! `/ubus` under strain: clients that leave or do not read, objects that are slow, a ubusd that is deaf.

#![cfg(feature = "ubus")]

mod common;
mod common_files;
mod common_ubus;
#[path = "common_ubus/site.rs"]
mod site;

use common::post;
use common_ubus::{Manners, SID};
use site::{Events, Site, call, error, settled, site};
use socket2::{Domain, Socket, Type};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

const DONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#;

/// A client whose socket takes little.
fn slow(site: &Site, bytes: &[u8]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&site.daemon.addr.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(bytes).unwrap();
    stream
}

fn batch(count: usize, request: &str) -> Vec<u8> {
    post("/ubus", format!("[{}]", vec![request; count].join(",")).as_bytes())
}

/// Waits until no more is asked of the bus.
fn stalled(site: &Site) {
    let mut before = 0;
    while before != site.bus.seen().lookups {
        before = site.bus.seen().lookups;
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Answers that come late, to questions that nobody waits for any more, are never taken for those to others.
#[test]
fn a_late_answer_is_nobody_elses() {
    const GIVEN_UP: usize = 12 * 32;
    let site = site(&["-N", "40"]);
    assert_eq!(site.rpc(&call(1, SID, "tobj", "nodata", "{}")), DONE);
    let descriptors = site.descriptors();
    site.bus.behave(Manners { keep_access: true, ..Manners::default() });
    // Not more than an object may have in flight at once.
    for round in 1..=4 {
        let leaving: Vec<_> = (0..3).map(|_| slow(&site, &batch(32, &call(1, SID, "tobj", "nodata", "{}")))).collect();
        site.bus.wait("questions", |seen| seen.access == 1 + round * GIVEN_UP / 4);
        drop(leaving);
        assert_eq!(settled(|| site.descriptors() <= descriptors), Ok(()));
    }
    // The numbers go round, to where the questions were.
    let mut left = 65536 - GIVEN_UP;
    while left > 0 {
        let lists: Vec<_> = (0..100)
            .map_while(|_| {
                let count = left.min(64);
                left -= count;
                (count > 0).then(|| {
                    format!(r#"{{"jsonrpc":"2.0","method":"list","params":[{}]}}"#, vec![r#""q""#; count].join(","))
                })
            })
            .collect();
        site.rpc(&format!("[{}]", lists.join(",")));
    }
    let denied: Vec<_> = (0..4)
        .map(|_| {
            let mut client = site.daemon.connect();
            client.send(batch(32, &call(1, SID, "tobj", "secret", "{}")));
            client
        })
        .collect();
    site.bus.wait("more questions", |seen| seen.access == 1 + GIVEN_UP + 128);
    site.bus.behave(Manners::default());
    for mut client in denied {
        assert_eq!(client.read_response().text().matches("Access denied").count(), 32);
    }
    let seen = site.bus.seen();
    assert_eq!((seen.calls, seen.connections), (1, 1), "none has reached the object");
}

/// Clients that do not read their listings take nothing from others.
#[test]
fn slow_readers_hold_up_nobody() {
    let site = site(&["-N", "100"]);
    (0..100).for_each(|number| site.bus.add(&format!("an.object.with.a.long.name.{number:04}")));
    let all = batch(1500, r#"{"jsonrpc":"2.0","method":"list"}"#);
    let long = "x".repeat(400);
    let one = batch(130, &format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"list","params":["q"]}}"#));
    let calls = batch(400, &call(1, SID, "tobj", "big", "{\"size\":60000}"));
    let slow: Vec<_> = [all, one, calls].iter().flat_map(|bytes| (0..20).map(|_| slow(&site, bytes))).collect();
    stalled(&site);
    for _ in 0..5 {
        assert_eq!(site.rpc(&call(1, SID, "tobj", "nodata", "{}")), DONE);
        assert_eq!(site.call("big", "{\"size\":30000}").len(), 30_000 + r#""result":[0,{"big":""}]"#.len());
        let names = site.rpc(r#"{"jsonrpc":"2.0","id":1,"method":"list"}"#);
        assert_eq!(names.matches("an.object").count(), 100);
        assert_eq!(site.daemon.get("/file.txt").text(), "content");
    }
    drop(slow);
}

/// Calls that are in flight while their client does not read run out of time all the same, and then hold no slot.
#[test]
fn time_runs_while_an_answer_is_not_read() {
    let site = site(&["-t", "4"]);
    (0..100).for_each(|number| site.bus.add(&format!("an.object.with.a.long.name.{number:04}")));
    let all = vec!["\"*\""; 64].join(",");
    let lists = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"list","params":[{all}]}}"#);
    let slow: Vec<_> = (0..20)
        .map(|number| {
            let object = format!("slow.{}", number / 4);
            if number % 4 == 0 {
                site.bus.add(&object);
            }
            let never = call(2, SID, &object, "never", "{}");
            let batch = [vec![&*lists; 7], vec![&*never; 25]].concat().join(",");
            slow(&site, &post("/ubus", format!("[{batch}]").as_bytes()))
        })
        .collect();
    site.bus.wait("calls without answer", |seen| seen.held >= 400);
    assert_eq!(settled(|| site.rpc(&call(1, SID, "other", "nodata", "{}")) == DONE), Ok(()));
    drop(slow);
}

/// A client may leave when it has read the beginning of its answer.
#[test]
fn who_leaves_between_two_pieces_is_noticed() {
    let site = site(&["-N", "10"]);
    site.call("nodata", "{}");
    let before = site.descriptors();
    let parts = [call(1, SID, "tobj", "big", "{\"size\":20000}"), call(2, SID, "tobj", "never", "{}")];
    let clients: Vec<_> = (1..=8)
        .map(|count| {
            let mut client = site.daemon.connect();
            client.send(post("/ubus", format!("[{}]", parts.join(",")).as_bytes()));
            client.read_exact(8_000);
            site.bus.wait("the second call", |seen| seen.held == count);
            client
        })
        .collect();
    drop(clients);
    assert_eq!(settled(|| site.descriptors() <= before), Ok(()), "{} descriptors, not {before}", site.descriptors());
}

/// Objects that are made when their subscribers have long left are removed, however many calls were given up since.
#[test]
fn objects_that_are_made_late_are_removed() {
    let site = site(&["-N", "50"]);
    site.call("nodata", "{}");
    let descriptors = site.descriptors();
    site.bus.behave(Manners { keep_added: true, ..Manners::default() });
    for round in 1..=8 {
        let streams: Vec<_> = (0..40).map(|_| Events::open(&site.daemon, "tobj")).collect();
        site.bus.wait("objects", |seen| seen.added == round * 40);
        drop(streams);
        assert_eq!(settled(|| site.descriptors() <= descriptors), Ok(()));
    }
    site.bus.behave(Manners::default());
    site.bus.wait("their ends", |seen| seen.removed == 320);
    assert_eq!(site.bus.seen().connections, 1);
}

/// A ubusd that reads nothing is left, and what it has not begun to read is not sent to it any more.
#[test]
fn a_deaf_ubusd_is_left() {
    const CALLS: usize = 90;
    let site = site(&["-t", "2", "-a", "-N", "100"]);
    site.call("nodata", "{}");
    site.bus.behave(Manners { deaf: Some(0), ..Manners::default() });
    // The one that is read before it is deaf.
    site.call("nodata", "{}");
    let bulky = call(1, SID, "tobj", "nodata", &format!("{{\"x\":\"{}\"}}", "x".repeat(60_000)));
    let clients: Vec<_> = (0..CALLS)
        .map(|_| {
            let mut client = site.daemon.connect();
            client.send(post("/ubus", bulky.as_bytes()));
            client
        })
        .collect();
    let late = [error("1", -32003, "ubus request timed out"), error("1", -32603, "Internal error")];
    let answers: Vec<_> = clients.into_iter().map(|mut client| client.read_response().text().to_owned()).collect();
    assert!(answers.iter().any(|answer| late.contains(answer)), "{answers:?}");
    assert!(answers.iter().all(|answer| late.contains(answer) || answer == DONE), "{answers:?}");
    let answered = answers.iter().filter(|answer| *answer == DONE).count();
    assert_eq!(site.rpc(&call(1, SID, "tobj", "nodata", "{}")), DONE);
    site.bus.behave(Manners::default());
    let seen = site.bus.wait("the end of the first connection", |seen| seen.ended == 1);
    assert_eq!(seen.connections, 2);
    let late = seen.calls - 3 - answered;
    assert!(late <= 10, "{late} of {CALLS} calls were made after they had failed");
}

/// A silent stream shows that it lives; and it ends when its session is allowed it no longer.
#[test]
fn a_stream_outlives_neither_its_silence_nor_its_session() {
    let site = site(&["-t", "1"]);
    let mut events = Events::open(&site.daemon, "tobj");
    events.expect("text/event-stream");
    events.expect("3\r\n:\n\n\r\n");
    site.bus.wait("a second question", |seen| seen.access == 2);
    events.expect("3\r\n:\n\n\r\n");
    site.bus.behave(Manners { deny: true, ..Manners::default() });
    events.expect("0\r\n\r\n");
    site.bus.wait("its object's end", |seen| seen.removed == 1);
    assert_eq!(site.bus.seen().access, 3);
}
