//! `/ubus` against a stand-in for ubusd: what is asked for as in the reference's transcripts, and what goes wrong.

#![cfg(feature = "ubus")]

mod common;
mod common_files;
mod common_ubus;
#[path = "common_ubus/site.rs"]
mod site;

use common::{Client, post, reset, skip};
use common_files::{Daemon, folder, program, request};
use common_ubus::{Bus, NONE, SID, field};
use site::{Events, Site, call, error, settled, site, unreachable_error};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};

const TOBJ: &str = r#"{"echo":{"str":"string","num":"number"},"nodata":{}}"#;

#[test]
fn the_reference_transcripts() {
    let site = site(&[]);
    let rules = [
        (
            call(1, SID, "tobj", "echo", r#"{"str":"x", "num":1}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":[0,{{"str":"x","num":1,"ubus_rpc_session":"{SID}"}}]}}"#),
        ),
        (call(2, SID, "tobj", "nodata", "{}"), r#"{"jsonrpc":"2.0","id":2,"result":[0]}"#.into()),
        (call(3, SID, "tobj", "empty", "{}"), r#"{"jsonrpc":"2.0","id":3,"result":[0]}"#.into()),
        (call(4, SID, "tobj", "twice", "{}"), r#"{"jsonrpc":"2.0","id":4,"result":[0,{"n":1,"n":2}]}"#.into()),
        (call(5, SID, "tobj", "fail", r#"{"status":8}"#), r#"{"jsonrpc":"2.0","id":5,"result":[8]}"#.into()),
        (call(6, SID, "tobj", "nonsense", "{}"), r#"{"jsonrpc":"2.0","id":6,"result":[3]}"#.into()),
        (call(7, SID, "tobj", "fail", r#"{"status":4}"#), r#"{"jsonrpc":"2.0","id":7,"result":[4]}"#.into()),
        (call(8, SID, "nobody", "echo", "{}"), error("8", -32000, "Object not found")),
        (call(9, SID, "to*", "echo", "{}"), error("9", -32000, "Object not found")),
        (call(10, SID, "tobj", "secret", "{}"), error("10", -32002, "Access denied")),
        (call(11, NONE, "tobj", "echo", "{}"), error("11", -32002, "Access denied")),
        (call(12, "expired", "tobj", "echo", "{}"), error("12", -32002, "Access denied")),
        (call(13, "expired", "nobody", "echo", "{}"), error("13", -32000, "Object not found")),
        (call(14, SID, "tobj", "echo", r#"{"ubus_rpc_session":"x"}"#), error("14", -32602, "Invalid parameters")),
        (call(15, SID, "tobj", "echo", r#"{"ubus_rpc\u005fsession":"x"}"#), error("15", -32602, "Invalid parameters")),
        (call(16, SID, "tobj", "echo", "[]"), error("16", -32700, "Parse error")),
        (
            r#"{"jsonrpc":"2.0","id":17,"method":"call","params":["a","b","c"]}"#.into(),
            error("17", -32700, "Parse error"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":18,"method":"call","params":["a",7,"c",{}]}"#.into(),
            error("18", -32700, "Parse error"),
        ),
        (r#"{"jsonrpc":"2.0","id":19,"method":"call"}"#.into(), error("19", -32700, "Parse error")),
        (r#"{"jsonrpc":"2.0","id":20,"method":"other"}"#.into(), error("20", -32601, "Method not found")),
        (r#"{"jsonrpc":"1.0","id":21,"method":"list"}"#.into(), error("21", -32700, "Parse error")),
        (r#"{"id":22,"method":"list"}"#.into(), error("22", -32700, "Parse error")),
        (r#"{"jsonrpc":"2.0","id":23}"#.into(), error("23", -32700, "Parse error")),
        (r#"{"jsonrpc":"2.0","method":"x"}"#.into(), error("null", -32601, "Method not found")),
        (r#"{"method":"x","id":["a", 1],"jsonrpc":"2.0"}"#.into(), error(r#"["a", 1]"#, -32601, "Method not found")),
        (
            r#"{"jsonrpc":"2.0","id":"init","method":"list"}"#.into(),
            r#"{"jsonrpc":"2.0","id":"init","result":["session","tobj","other"]}"#.into(),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"list","params":["tobj","s*","no"]}"#.into(),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tobj":{TOBJ},"session":{{"access":{{}}}}}}}}"#),
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"list","params":[7]}"#.into(), error("1", -32700, "Parse error")),
        ("[]".into(), "[]".into()),
        (
            "[7,{}]".into(),
            format!("[{},{}]", error("null", -32700, "Parse error"), error("null", -32700, "Parse error")),
        ),
        ("7".into(), error("null", -32700, "Parse error")),
        ("{".into(), error("null", -32700, "Parse error")),
        (String::new(), error("null", -32700, "Parse error")),
    ];
    for (body, expected) in rules {
        assert_eq!(site.rpc(&body), expected, "{body}");
        for path in ["/ubus/", "/ubus/?1234", "/ubus//tobj.echo?1234", "/ubus/call"] {
            assert_eq!(site.ask(post(path, body.as_bytes())).text(), expected, "{path} {body}");
        }
    }
    assert_eq!(site.ask(post("/ubus", b"\"\xff\"")).text(), error("null", -32700, "Parse error"), "not UTF-8");
    for value in [&b"\"\xff\""[..], b"\"\\u0000\""] {
        let good = call(1, SID, "tobj", "nodata", "{}");
        let body = [b"[", good.as_bytes(), b",{\"id\":", value, b"},", good.as_bytes(), b"]"].concat();
        let (good, bad) = (r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#, error("null", -32700, "Parse error"));
        assert_eq!(site.ask(post("/ubus", &body)).text(), format!("[{good},{bad},{good}]"), "{value:?}");
    }
    assert_eq!(site.ask(post("/ubusx", b"{}")).status, 405, "another path");
    assert_eq!(site.bus.seen().connections, 1, "one connection for all");
}

#[test]
fn values_go_there_and_back() {
    let site = site(&[]);
    let args = r#"{"i":-1,"l":4294967296,"d":1.5,"t":true,"f":false,"n":null,"a":[1,"x",[],{}],"o":{"k":{"ä":"€"}},"s":"\"\\\n\u0001"}"#;
    let expected = args.replace("1.5", "1.500000");
    let expected = format!(r#""result":[0,{},"ubus_rpc_session":"{SID}"}}]"#, expected.strip_suffix('}').unwrap());
    assert_eq!(site.call("echo", args), expected);
    assert_eq!(site.call("bytes", "{}"), "\"result\":[0,{\"b\":\"a\u{fffd}\\\"\u{fffd}\"}]", "bytes that are no text");
    assert_eq!(site.call("malformed", "{}"), "\"result\":[0,{\"n\":1}]", "what is malformed ends a table");
    for size in [0, 5000, 8192, 900_000] {
        let reply = site.call("big", &format!("{{\"size\":{size}}}"));
        assert!(reply == format!("\"result\":[0,{{\"big\":\"{}\"}}]", "x".repeat(size)), "{size}");
    }
    // Old clients get it too, and whole connections stay in use.
    let body = call(1, SID, "tobj", "big", "{\"size\":100000}");
    let mut client = site.daemon.connect();
    let head = format!("POST /ubus HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send([head, body].concat());
    assert!(client.read_response().body.len() > 100_000);
    let mut client = site.daemon.connect();
    for id in 0..50 {
        client.send(post("/ubus", call(id, SID, "tobj", "nodata", "{}").as_bytes()));
        assert_eq!(client.read_response().text(), format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[0]}}"#));
    }
}

#[test]
fn the_other_paths() {
    let site = site(&[]);
    let get = |path: &str| site.ask(request("GET", path, &[], false));
    let all = format!(r#"{{"session":{{"access":{{}}}},"tobj":{TOBJ},"other":{TOBJ}}}"#);
    let protocol = |code: i32, message: &str| format!(r#"{{"code":{code},"message":"{message}"}}"#);
    for (path, status, expected) in [
        ("/ubus/list", 200, all),
        ("/ubus/list/tobj", 200, TOBJ.into()),
        ("/ubus/list/nobody", 500, protocol(4, "Not found")),
        ("/ubus/list/t*", 200, TOBJ.into()),
        ("/ubus/list/x*", 500, protocol(4, "Not found")),
        ("/ubus/subscribe/nobody", 200, protocol(-13, "Permission denied")),
        ("/ubus/subscribe/tobj", 200, protocol(-13, "Permission denied")),
        ("/ubus", 404, String::new()),
        ("/ubus/", 404, String::new()),
        ("/ubus/other", 404, String::new()),
    ] {
        let reply = get(path);
        assert_eq!((reply.status, reply.text()), (status, &*expected), "{path}");
        assert!(reply.status != 500 || reply.reason == "Ubus Protocol Error");
    }
    let bearer = format!("Authorization: Bearer {SID}");
    let reply = site.ask(request("GET", "/ubus/subscribe/nobody", &[&bearer], false));
    assert_eq!((reply.status, reply.text()), (200, &*protocol(4, "Not found")));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let named = |method: &str, params: &str, sid: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"{params}}}"#);
        let head = format!("POST /ubus/call/tobj HTTP/1.1\r\nHost: x\r\n{sid}Content-Length: {}\r\n\r\n", body.len());
        site.ask([head, body].concat()).text().to_owned()
    };
    let bearer = format!("Authorization: bearer {SID}\r\n");
    let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"num":1,"ubus_rpc_session":"{SID}"}}}}"#);
    assert_eq!(named("echo", r#","params":{"num":1}"#, &bearer), expected);
    for method in ["nodata", "empty"] {
        assert_eq!(named(method, "", &bearer), r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    }
    assert_eq!(named("twice", "", &bearer), r#"{"jsonrpc":"2.0","id":1,"result":{"n":1,"n":2}}"#);
    assert_eq!(named("fail", r#","params":{"status":8}"#, &bearer), error("1", 8, "Operation not supported"));
    assert_eq!(named("nodata", "", ""), error("1", -32002, "Access denied"));
    assert_eq!(named("nodata", "", "Authorization: Basic x\r\n"), error("1", -32002, "Access denied"));
    assert_eq!(named("nodata", r#","params":[]"#, &bearer), error("1", -32700, "Parse error"));
    assert_eq!(site.ask(post("/ubus/call/tobj", b"7")).text(), error("null", -32700, "Parse error"));
    assert_eq!(site.ask(request("OPTIONS", "/ubus", &[], false)).status, 200);
    let put = site.ask(request("PUT", "/ubus", &[], false));
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, POST, OPTIONS")));
    assert_eq!(site.ask(request("BREW", "/ubus", &[], false)).status, 501);
}

#[test]
fn bodies_are_bounded() {
    let site = site(&[]);
    let padded = |length: usize| {
        let body = call(1, SID, "tobj", "nodata", "{}");
        let space = " ".repeat(length - body.len());
        body + &space
    };
    assert_eq!(site.rpc(&padded(64 << 10)), r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#);
    let mut client = site.daemon.connect();
    client.send(post("/ubus", padded((64 << 10) + 1).as_bytes()));
    assert_eq!(client.read_response().status, 413);
    // The largest blob that such a body can become.
    let args = format!("{{\"a\":[{}0]}}", "0,".repeat(32_000));
    let reply = site.call("echo", &args);
    assert_eq!(reply.matches("0,").count(), 32_001);
}

#[test]
fn other_origins() {
    let cross = ["Origin: http://x", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: a, b"];
    let site_of = |args: &[&str]| site(args);
    let site = site_of(&["-X"]);
    let reply = site.ask(request("OPTIONS", "/ubus", &cross, false));
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://x"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("a, b"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
    assert_eq!(reply.header("access-control-allow-credentials"), None, "a page must name its session");
    let put = ["Origin: http://x", "Access-Control-Request-Method: PUT"];
    for fields in [&put[..], &cross[1..]] {
        let reply = site.ask(request("OPTIONS", "/ubus", fields, false));
        assert_eq!(reply.header("access-control-allow-origin"), None, "{fields:?}");
    }
    let silent = site_of(&[]).ask(request("OPTIONS", "/ubus", &cross, false));
    assert_eq!(silent.header("access-control-allow-origin"), None);
}

/// A page of another site may post text without a preflight. It must be refused.
#[test]
fn pages_of_other_sites_do_not_call() {
    let site = site(&["-a"]);
    let body = call(1, "", "tobj", "echo", "{}");
    let post = |fields: &str| {
        let head = format!("POST /ubus HTTP/1.1\r\nHost: router:8080\r\nContent-Type: text/plain\r\n{fields}");
        site.ask(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
    };
    for origin in ["http://evil.example", "null", "http://router", "http://router:80801", "http://evil/router:8080", ""]
    {
        let reply = post(&format!("Origin: {origin}\r\n"));
        assert_eq!((reply.status, site.bus.seen().calls), (403, 0), "{origin}");
    }
    for fields in ["", "Origin: http://router:8080\r\n", "Origin: https://ROUTER:8080\r\n"] {
        assert_eq!(post(fields).status, 200, "{fields}");
    }
    assert_eq!(site.bus.seen().calls, 3);
}

#[test]
fn without_authentication() {
    let site = site(&["-a"]);
    let reply = site.rpc(&call(1, "", "tobj", "echo", "{}"));
    assert_eq!(reply, format!(r#"{{"jsonrpc":"2.0","id":1,"result":[0,{{"ubus_rpc_session":"{NONE}"}}]}}"#));
    assert_eq!(site.rpc(&call(1, "x", "tobj", "fail", "{\"status\":0}")), r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#);
    assert_eq!(site.bus.seen().access, 0);
}

/// Every call is asked about, and nothing else is asked twice.
#[test]
fn access_is_never_remembered_and_objects_are() {
    let site = site(&[]);
    for _ in 0..10 {
        site.call("nodata", "{}");
    }
    let seen = site.bus.seen();
    assert_eq!((seen.calls, seen.access, seen.lookups, seen.connections), (10, 10, 2, 1), "{seen:?}");
    // An object under a new id is found again, and so is `session`.
    for name in ["tobj", "session"] {
        site.bus.remove(name);
        site.bus.add(name);
        assert_eq!(site.call("nodata", "{}"), "\"result\":[0]", "{name}");
    }
    let after = site.bus.seen();
    assert_eq!((after.calls, after.lookups), (12, 4), "{after:?}");
    site.bus.remove("tobj");
    assert_eq!(site.rpc(&call(1, SID, "tobj", "nodata", "{}")), error("1", -32000, "Object not found"));
    // However many objects there are, `session` is among those whose ids are kept.
    let before = site.bus.seen().lookups;
    for name in (0..100).map(|number| format!("object.{number}")) {
        site.bus.add(&name);
        assert_eq!(site.rpc(&call(1, SID, &name, "nodata", "{}")), r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#);
    }
    assert_eq!(site.bus.seen().lookups, before + 100);
    site.bus.remove("session");
    assert_eq!(site.rpc(&call(1, SID, "other", "nodata", "{}")), error("1", -32002, "Access denied"), "nobody to ask");
}

/// The bus answers none of them before it has them all, and the last one first.
#[test]
fn a_batch_runs_at_once_and_is_answered_in_order() {
    let site = site(&[]);
    for round in 0..3 {
        let calls: Vec<_> =
            (0..20).map(|id| call(id, SID, "tobj", "gather", &format!("{{\"count\":20,\"id\":{id}}}"))).collect();
        let expected: Vec<_> = (0..20)
            .map(|id| {
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"result":[0,{{"count":20,"id":{id},"ubus_rpc_session":"{SID}"}}]}}"#
                )
            })
            .collect();
        assert_eq!(site.rpc(&format!("[{}]", calls.join(","))), format!("[{}]", expected.join(",")), "{round}");
    }
    // More than are in flight together, and some that fail.
    let calls: Vec<_> = (0..300).map(|id| call(id, SID, "tobj", ["nodata", "secret"][id % 2], "{}")).collect();
    let expected: Vec<_> = (0..300)
        .map(|id| match id % 2 {
            0 => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[0]}}"#),
            _ => error(&id.to_string(), -32002, "Access denied"),
        })
        .collect();
    assert_eq!(site.rpc(&format!("[{}]", calls.join(" , "))), format!("[{}]", expected.join(",")));
}

#[test]
fn calls_that_get_no_answer_time_out() {
    let site = site(&["-t", "1"]);
    let timeout = error("1", -32003, "ubus request timed out");
    assert_eq!(site.rpc(&call(1, SID, "tobj", "never", "{}")), timeout);
    assert_eq!(site.rpc(&call(1, SID, "tobj", "vanish", "{}")), timeout, "its object has gone");
    assert_eq!(site.rpc(&call(1, SID, "other", "nodata", "{}")), r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#);
}

#[test]
fn ubusd_may_come_and_go() {
    let site = site(&[]);
    assert_eq!(site.call("nodata", "{}"), "\"result\":[0]");
    // It hangs up, or talks nonsense: the call fails, the next one reconnects.
    for (at, method) in ["hangup", "garbage"].iter().enumerate() {
        assert_eq!(site.rpc(&call(1, SID, "tobj", method, "{}")), unreachable_error(), "{method}");
        assert_eq!(site.call("nodata", "{}"), "\"result\":[0]");
        assert_eq!(site.bus.seen().connections, at + 2);
    }
    let Site { bus, daemon, socket, _temp } = site;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let mut client = daemon.connect();
            client.send(post("/ubus", call(1, SID, "tobj", "never", "{}").as_bytes()));
            client
        })
        .collect();
    bus.wait("five calls", |seen| seen.held == 5);
    drop(bus);
    for mut client in waiting {
        assert_eq!(client.read_response().text(), unreachable_error());
    }
    let ask = |body: &str| {
        let mut client = daemon.connect();
        client.send(post("/ubus", body.as_bytes()));
        client.read_response().text().to_owned()
    };
    for _ in 0..3 {
        assert_eq!(ask(&call(1, SID, "tobj", "nodata", "{}")), unreachable_error());
        assert_eq!(ask(r#"{"jsonrpc":"2.0","id":1,"method":"list"}"#), unreachable_error());
    }
    assert_eq!(daemon.get("/ubus/list").text(), r#"{"code":10,"message":"Connection failed"}"#);
    assert_eq!(daemon.get("/file.txt").text(), "content", "the rest goes on");
    let _bus = Bus::start(&socket);
    assert_eq!(ask(&call(1, SID, "tobj", "nodata", "{}")), r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#);
}

#[test]
fn an_outage_is_logged_once() {
    let (temp, root) = folder();
    let socket = temp.path().join("ubus.sock");
    let args = ["-f", "-p", "127.0.0.1:0", "-h", root.to_str().unwrap(), "-u", "/ubus", "-U", socket.to_str().unwrap()];
    let mut daemon = Daemon::run(program().args(args).stderr(Stdio::piped()), 1);
    let ask = || {
        let mut client = daemon.connect();
        client.send(post("/ubus", call(1, SID, "tobj", "nodata", "{}").as_bytes()));
        client.read_response().text().to_owned()
    };
    for _ in 0..2 {
        (0..5).for_each(|_| assert_eq!(ask(), unreachable_error()));
        let _bus = Bus::start(&socket);
        (0..5).for_each(|_| assert_eq!(ask(), r#"{"jsonrpc":"2.0","id":1,"result":[0]}"#));
    }
    daemon.signal("TERM");
    let mut text = String::new();
    daemon.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    // Two outages, and the end of the second bus.
    assert_eq!(text.matches("cannot reach ubusd at ").count(), 3, "{text}");
    assert_eq!(text.matches("connected to ubusd again").count(), 2, "{text}");
}

#[test]
fn events_are_streamed() {
    let site = site(&["-e", "3000"]);
    let (mut one, mut two) = (Events::open(&site.daemon, "tobj"), Events::open(&site.daemon, "tobj"));
    one.expect("text/event-stream");
    one.expect("retry: 3000\n");
    two.expect("retry: 3000\n");
    site.bus.wait("two subscriptions", |seen| seen.subscribed == 2);
    let data = [field(3, "text", b"a\nb\0"), field(5, "n", &[0, 0, 0, 7])].concat();
    for (name, quiet) in [("up", false), ("down", true)] {
        assert_eq!(site.bus.notify("tobj", name, &data, quiet), 2);
        for events in [&mut one, &mut two] {
            events.expect(&format!("event: {name}\ndata: {{\"text\":\"a\\nb\",\"n\":7}}\n\n"));
        }
    }
    site.bus.wait("answers to the event that wants them", |seen| seen.answered_events == 2);
    // One leaves: at once its subscription ends, and the other goes on.
    drop(one);
    site.bus.wait("an object less", |seen| seen.removed == 1);
    assert_eq!(site.bus.notify("tobj", "alone", &[], true), 1);
    two.expect("event: alone\ndata: {}\n\n");
    // The object goes: the stream ends, whole.
    site.bus.remove("tobj");
    two.expect("0\r\n\r\n");
    site.bus.wait("no object left", |seen| seen.removed == 2);
    assert_eq!(site.bus.seen().added, 2);
}

#[test]
fn a_stream_ends_with_its_bus() {
    let Site { bus, daemon, socket, _temp } = site(&[]);
    let mut events = Events::open(&daemon, "tobj");
    events.expect("text/event-stream");
    drop(bus);
    events.expect("0\r\n\r\n");
    let bus = Bus::start(&socket);
    let mut events = Events::open(&daemon, "tobj");
    bus.wait("a subscription", |seen| seen.subscribed == 1);
    bus.notify("tobj", "again", &[], true);
    events.expect("event: again\n");
}

#[test]
fn subscriptions_come_and_go() {
    let site = site(&["-N", "20"]);
    for round in 0..25 {
        let streams: Vec<_> = (0..8).map(|_| Events::open(&site.daemon, "tobj")).collect();
        if round % 2 == 0 {
            site.bus.wait("subscriptions", |seen| seen.subscribed >= round / 2 * 8 + 8);
        }
        // Some leave before they are subscribed.
        drop(streams);
        if round % 2 == 1 {
            site.bus.wait("ends", |seen| seen.added == seen.removed);
        }
    }
    site.bus.wait("the ends of all", |seen| seen.added == seen.removed);
    assert_eq!(site.call("nodata", "{}"), "\"result\":[0]");
}

/// Clients that leave in every way hold nothing: ten connections are enough for all of them.
#[test]
fn aborted_requests_leave_nothing_behind() {
    let site = site(&["-N", "10", "-T", "20"]);
    site.call("nodata", "{}");
    let before = site.descriptors();
    let whole = post("/ubus", call(1, SID, "tobj", "never", "{}").as_bytes());
    let batch: Vec<_> = (0..40).map(|id| call(id, SID, "tobj", "never", "{}")).collect();
    let batch = post("/ubus", format!("[{}]", batch.join(",")).as_bytes());
    let events = request("GET", "/ubus/subscribe/tobj", &[&format!("Authorization: Bearer {SID}")], false).into_bytes();
    for round in 0..1000 {
        let bytes = match round % 4 {
            0 => &whole[..],
            1 => &whole[..whole.len() * (round % 100) / 100],
            2 => &batch,
            _ => &events,
        };
        let mut stream = TcpStream::connect(site.daemon.addr).unwrap();
        stream.write_all(bytes).unwrap();
        match round % 3 {
            0 => reset(stream),
            1 => drop(stream),
            _ => {
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
        // So that the queue of connections does not overflow, whose clients would try again after a second.
        if round % 50 == 49 {
            assert_eq!(site.call("nodata", "{}"), "\"result\":[0]");
        }
    }
    assert_eq!(site.call("nodata", "{}"), "\"result\":[0]");
    site.bus.wait("the ends of subscriptions", |seen| seen.added == seen.removed);
    assert_eq!(site.bus.seen().connections, 1, "the bus is still the same");
    assert_eq!(settled(|| site.descriptors() <= before), Ok(()), "{} descriptors, before {before}", site.descriptors());
    let clients: Vec<Client> = (0..10)
        .map(|_| {
            let mut client = site.daemon.connect();
            client.send(request("GET", "/file.txt", &[], false));
            assert_eq!(client.read_response().text(), "content");
            client
        })
        .collect();
    drop(clients);
}

/// A client that has only ended its direction gets its answer.
#[test]
fn half_closed_clients_are_answered() {
    let site = site(&[]);
    let calls = (0..2).map(|id| call(id, SID, "tobj", "gather", "{\"count\":3}"));
    let body = format!("[{}]", calls.collect::<Vec<_>>().join(","));
    let mut client = site.daemon.connect();
    client.send(post("/ubus", body.as_bytes()));
    client.half_close();
    site.bus.wait("two calls", |seen| seen.calls == 2);
    site.call("gather", "{\"count\":3}");
    let reply = client.read_response();
    assert_eq!(reply.text().matches("\"result\":[0,").count(), 2, "{}", reply.text());
}

/// 200 batches of 20 calls are answered right, while files are served between.
#[test]
fn many_batches_and_files_at_once() {
    let site = site(&["-N", "250"]);
    let mut clients: Vec<_> = (0..200)
        .map(|number| {
            let mut client = site.daemon.connect();
            let calls: Vec<_> =
                (0..20).map(|id| call(id, SID, "tobj", "echo", &format!("{{\"n\":{}}}", number * 20 + id))).collect();
            client.send(post("/ubus", format!("[{}]", calls.join(",")).as_bytes()));
            client
        })
        .collect();
    let mut files = site.daemon.connect();
    for (number, client) in clients.iter_mut().enumerate() {
        files.send(request("GET", "/file.txt", &[], false));
        assert_eq!(files.read_response().text(), "content");
        let reply = client.read_response();
        for id in 0..20 {
            let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[0,{{"n":{},"#, number * 20 + id);
            assert!(reply.text().contains(&expected), "{expected} is not in {}", reply.text());
        }
    }
    assert_eq!(site.bus.seen().connections, 1);
    assert_eq!(site.bus.seen().calls, 4000);
}

/// The program ubusd of OpenWrt, where there is one.
#[test]
fn the_real_ubusd() {
    let (temp, root) = folder();
    let socket = temp.path().join("real.sock");
    let Ok(mut ubusd) = Command::new("ubusd").arg("-s").arg(&socket).stderr(Stdio::null()).spawn() else {
        skip("no ubusd here");
        return;
    };
    while !socket.exists() {
        assert!(ubusd.try_wait().unwrap().is_none(), "ubusd does not start");
        std::thread::yield_now();
    }
    let args =
        ["-f", "-p", "127.0.0.1:0", "-h", root.to_str().unwrap(), "-u", "/ubus", "-a", "-U", socket.to_str().unwrap()];
    let daemon = Daemon::run(program().args(args), 1);
    let ask = |body: &str| {
        let mut client = daemon.connect();
        client.send(post("/ubus", body.as_bytes()));
        client.read_response().text().to_owned()
    };
    assert_eq!(ask(r#"{"jsonrpc":"2.0","id":1,"method":"list"}"#), r#"{"jsonrpc":"2.0","id":1,"result":[]}"#);
    assert_eq!(ask(&call(1, SID, "nobody", "x", "{}")), error("1", -32000, "Object not found"));
    ubusd.kill().unwrap();
    ubusd.wait().unwrap();
}
