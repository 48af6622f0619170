//! CGI: what a script sends in chunks of its own, and what it announces and does not send.

mod common;
mod common_cgi;
mod common_files;

use common::{End, Framing, chunk, pattern};
use common_cgi::Scripts;
use std::fs;
use std::thread;

/// Sends the files that the query names, one after the other, with a pause between them.
const RAW: &str = "#!/bin/sh\nIFS=+\nfor file in $QUERY_STRING; do cat \"../$file\"; sleep 0.05; done\n";

const HEAD: &str = "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn site() -> Scripts {
    let site = Scripts::new(&[], &[("raw", RAW)]);
    fs::write(site.note("head"), HEAD).unwrap();
    site
}

/// A request of 1.0 or 1.1 that asks for these files.
fn get(files: &str, version: &str) -> String {
    format!("GET /cgi-bin/raw?{files} HTTP/{version}\r\nHost: x\r\n\r\n")
}

/// However they arrive, and whichever client asks, it gets what is in the chunks.
#[test]
fn chunks_of_a_script_are_taken_off() {
    let site = site();
    let body = pattern(300_000);
    let chunks: Vec<u8> = body.chunks(4096).flat_map(chunk).chain(chunk("")).collect();
    let (first, second) = chunks.split_at(100_003);
    for (name, text) in [("all", &chunks[..]), ("first", first), ("second", second)] {
        fs::write(site.note(name), text).unwrap();
    }
    fs::write(site.note("whole"), [HEAD.as_bytes(), &chunks].concat()).unwrap();
    for files in ["whole", "head+all", "head+first+second"] {
        for (version, framing) in [("1.1", Framing::Chunked), ("1.0", Framing::Close)] {
            let reply = site.begin(get(files, version)).read_response();
            assert_eq!((reply.status, reply.framing), (200, framing), "{files} {version}");
            assert!(reply.body == body, "{files} {version}: {} bytes", reply.body.len());
        }
    }
    // The last chunk ends the reply, and the connection goes on.
    let mut client = site.begin(get("head+all+all", "1.1"));
    assert!(client.read_response().body == body);
    client.send(get("whole", "1.1").replace("GET", "HEAD"));
    assert_eq!(client.read_head_response().status, 200);
    client.send(get("whole", "1.1"));
    assert!(client.read_response().body == body);
}

#[test]
fn broken_chunks_cut_the_reply() {
    let site = site();
    let good = chunk("good");
    for (name, text, what) in [
        ("nothing", &b""[..], "last chunk missing"),
        ("unfinished", b"5\r\nabc", "last chunk missing"),
        ("no-last", b"3\r\nabc\r\n", "last chunk missing"),
        ("no-end", b"0\r\n", "last chunk missing"),
        ("text", b"some text", "chunk without a size"),
        ("bare", b"3\nabc\n0\n\n", "malformed chunk size"),
        ("long", b"3\r\nabcd\r\n", "chunk longer than its size"),
        ("huge", b"00000000000000001\r\na", "chunk size too long"),
    ] {
        fs::write(site.note("broken"), [&good, text].concat()).unwrap();
        for version in ["1.1", "1.0"] {
            let reply = site.begin(get("head+broken", version)).try_response(false);
            assert!(reply.is_err(), "{name} {version} looks whole: {reply:?}");
            site.log(&["error", "127.0.0.1:", "/cgi-bin/raw", what, "cut"]);
        }
    }
    // Nobody reads them.
    let mut client = site.begin(get("head+broken", "1.1").replace("GET", "HEAD"));
    assert_eq!(client.read_head_response().status, 200);
}

/// What a script breaks off arrives as far as it came, though the client reads only when all is over; and looks broken off.
#[test]
fn what_a_script_sent_arrives() {
    let site = Scripts::new(&[], &[("raw", RAW), ("killed", "#!/bin/sh\ncat ../out\nkill -9 $$\n")]);
    let long = pattern(1 << 20);
    let chunked: Vec<u8> = long.chunks(5000).flat_map(chunk).chain(*b"nonsense").collect();
    for (name, head, body, sent, what) in [
        ("raw", "Content-Length: 50\n\n", &b"hello"[..], &b"hello"[..], "less than its Content-Length"),
        ("raw", "Content-Length: 2097152\n\n", &long, &long, "less than its Content-Length"),
        ("raw", "Transfer-Encoding: chunked\n\n", &chunked, &long, "chunk without a size"),
        ("killed", "A: b\n\n", &long, &long, "signal 9"),
    ] {
        fs::write(site.note("out"), [head.as_bytes(), body].concat()).unwrap();
        let length = head.contains("Content-Length");
        for version in ["1.1", "1.0"] {
            let mut client = site.begin(get("out", version).replace("raw", name));
            thread::sleep(common::MOMENT);
            assert!(client.try_response(false).is_err(), "{what} {version} looks whole");
            let (rest, end) = client.rest();
            let tells = version == "1.1" || length;
            assert_eq!(end, if tells { End::Eof } else { End::Reset }, "{what} {version}");
            if version == "1.0" || length {
                assert!(rest.ends_with(sent), "{what} {version}: {} of {} bytes", rest.len(), sent.len());
            } else {
                assert!(rest.len() > sent.len() && !rest.ends_with(b"0\r\n\r\n"), "{what}: {} bytes", rest.len());
            }
            site.log(&["error", "/cgi-bin/", what, "cut"]);
        }
    }
    // To HEAD it owes nothing.
    let mut client = site.begin(get("out", "1.1").replace("GET", "HEAD"));
    assert_eq!(client.read_head_response().status, 200);
}
