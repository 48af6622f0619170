//! The rules of a connection: what a client sends, and what comes of it.

use super::connection::{Connection, Event, PREFACE};
use super::fault::{Code, Fault};
use super::frame::{FrameHead, HEAD, flag, kind, push, push_reset, push_settings, push_window, setting};
use super::limits::{BUDGET, STREAM_WINDOW, STREAMS};
use proptest::prelude::*;

/// `GET`, `https`, `/` of the static table, and the authority `h`.
const GET: &[u8] = b"\x82\x87\x84\x41\x01h";
/// `POST`.
const POST: &[u8] = b"\x83\x87\x84\x41\x01h";
const END: u8 = flag::END_STREAM | flag::END_HEADERS;

/// A connection, and what came of what its client sent.
struct World {
    connection: Connection<u32>,
    /// Events, then the frames that were sent, then the error.
    log: Vec<String>,
    input: Vec<u8>,
    now: u64,
    fault: Option<Fault>,
}

impl World {
    fn new() -> World {
        let mut world =
            World { connection: Connection::new(1000, 0), log: Vec::new(), input: Vec::new(), now: 0, fault: None };
        world.sent();
        world
    }

    /// With the preface and SETTINGS read, and the acknowledgement sent.
    fn open() -> World {
        let mut world = World::new();
        world.receive(PREFACE);
        world.frame(kind::SETTINGS, 0, 0, &[]);
        assert_eq!(world.sent(), "SETTINGS+1/0 ");
        world
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut bytes = Vec::new();
        push(&mut bytes, kind, flags, stream, payload);
        self.receive(&bytes);
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while self.fault.is_none() {
            match self.connection.receive(&self.input, self.now) {
                Ok((used, event)) => {
                    let line = match &event {
                        None => None,
                        Some(Event::Request { stream, text, ends }) => {
                            let line = text.split(|&byte| byte == b'\r').next().unwrap_or_default();
                            self.connection.stream(*stream).unwrap().tenant = *stream;
                            Some(format!("request {stream} {} {ends}", line.escape_ascii()))
                        }
                        Some(Event::Body { stream, at, ends }) => {
                            Some(format!("body {stream} {} {ends}", self.input[at.clone()].escape_ascii()))
                        }
                        Some(Event::Gone(tenant)) => Some(format!("gone {tenant}")),
                    };
                    self.input.drain(..used);
                    self.log.extend(line);
                    if event.is_none() {
                        return;
                    }
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    /// The frames that were sent since the last call: `TYPE+flags/stream`, and the code of an error.
    fn sent(&mut self) -> String {
        let out = std::mem::take(&mut self.connection.out);
        let mut text = String::new();
        let mut rest = &out[..];
        while let Some(head) = FrameHead::read(rest) {
            let payload = &rest[HEAD..HEAD + head.len];
            rest = &rest[HEAD + head.len..];
            let names = ["DATA", "HEADERS", "PRIORITY", "RST", "SETTINGS", "PUSH", "PING", "GOAWAY", "WINDOW", "MORE"];
            let name = names[usize::from(head.kind)];
            let detail = match head.kind {
                kind::RST_STREAM | kind::GOAWAY => format!("={}", payload[payload.len() - 1]),
                kind::WINDOW_UPDATE => format!("={}", u32::from_be_bytes(payload.try_into().unwrap())),
                _ => String::new(),
            };
            text.push_str(&format!("{name}+{}/{}{detail} ", head.flags, head.stream));
        }
        text
    }

    /// All that came of it, in one line.
    fn summary(&mut self) -> String {
        let mut text = std::mem::take(&mut self.log).join("; ");
        let sent = self.sent();
        for part in [sent.trim_end(), &self.fault.map_or(String::new(), |fault| format!("fault {}", fault.code as u8))]
        {
            if !part.is_empty() {
                text.push_str(if text.is_empty() { "" } else { " | " });
                text.push_str(part);
            }
        }
        text
    }
}

/// Frames: type, flags, stream, payload.
type Sent<'a> = (u8, u8, u32, &'a [u8]);

/// What a client sends on an open connection, what comes of it, and the rule's name.
type Rule = (&'static [Sent<'static>], &'static str, &'static str);

#[rustfmt::skip]
const RULES: &[Rule] = &[
    // RFC 9113 §4, §5.1, §5.5
    (&[(kind::HEADERS, END, 1, GET)], "request 1 GET / HTTP/1.1 true", "a request"),
    (&[(kind::HEADERS, END, 1, GET), (kind::HEADERS, END, 3, GET)], "request 1 GET / HTTP/1.1 true; request 3 GET / HTTP/1.1 true", "two"),
    (&[(kind::HEADERS, END, 3, GET), (kind::HEADERS, END, 1, GET)], "request 3 GET / HTTP/1.1 true | fault 5", "a number that went down"),
    (&[(kind::HEADERS, END, 2, GET)], "fault 1", "an even number"),
    (&[(kind::HEADERS, END, 0, GET)], "fault 1", "HEADERS of the connection"),
    (&[(20, 0xff, 7, b"x")], "", "an unknown frame"),
    (&[(kind::DATA, 0, 1, b"x")], "fault 1", "DATA on an idle stream"),
    (&[(kind::DATA, 0, 0, b"x")], "fault 1", "DATA of the connection"),
    (&[(kind::RST_STREAM, 0, 1, &[0; 4])], "fault 1", "RST_STREAM on an idle stream"),
    (&[(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])], "fault 1", "WINDOW_UPDATE on an idle stream"),
    (&[(kind::PUSH_PROMISE, 4, 1, GET)], "fault 1", "PUSH_PROMISE"),
    // half-closed and closed
    (&[(kind::HEADERS, END, 1, GET), (kind::DATA, 0, 1, b"x")], "request 1 GET / HTTP/1.1 true; gone 1 | RST+0/1=5", "DATA behind the end"),
    (&[(kind::HEADERS, END, 1, GET), (kind::HEADERS, END, 1, GET)], "request 1 GET / HTTP/1.1 true; gone 1 | RST+0/1=5", "HEADERS behind the end"),
    (&[(kind::HEADERS, END, 1, GET), (kind::RST_STREAM, 0, 1, &[0; 4]), (kind::DATA, 0, 1, b"x")], "request 1 GET / HTTP/1.1 true; gone 1 | RST+0/1=5", "DATA behind RST_STREAM"),
    (&[(kind::HEADERS, END, 1, GET), (kind::RST_STREAM, 0, 1, &[0; 4]), (kind::HEADERS, END, 1, GET)], "request 1 GET / HTTP/1.1 true; gone 1 | fault 5", "HEADERS behind RST_STREAM"),
    (&[(kind::HEADERS, END, 1, GET), (kind::RST_STREAM, 0, 1, &[0; 4]), (kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])], "request 1 GET / HTTP/1.1 true; gone 1", "WINDOW_UPDATE behind RST_STREAM"),
    // §6.1 and §8.1.1: bodies
    (&[(kind::HEADERS, 4, 1, POST), (kind::DATA, 0, 1, b"ab"), (kind::DATA, 1, 1, b"c")], "request 1 POST / HTTP/1.1 false; body 1 ab false; body 1 c true", "a body"),
    (&[(kind::HEADERS, 4, 1, POST), (kind::DATA, 9, 1, b"\x02ab\0\0")], "request 1 POST / HTTP/1.1 false; body 1 ab true", "a padded body"),
    (&[(kind::HEADERS, 4, 1, POST), (kind::DATA, 8, 1, b"\x03ab")], "request 1 POST / HTTP/1.1 false | fault 1", "more padding than payload"),
    (&[(kind::HEADERS, 4, 1, POST), (kind::DATA, 8, 1, b"")], "request 1 POST / HTTP/1.1 false | fault 6", "no room for the padding's length"),
    (&[(kind::HEADERS, 4, 1, POST), (kind::DATA, 1, 1, b"")], "request 1 POST / HTTP/1.1 false; body 1  true", "an empty body"),
    (&[(kind::HEADERS, 4, 1, b"\x83\x87\x84\x0f\x0d\x013"), (kind::DATA, 1, 1, b"abc")], "request 1 POST / HTTP/1.1 false; body 1 abc true", "a length that fits"),
    (&[(kind::HEADERS, 4, 1, b"\x83\x87\x84\x0f\x0d\x013"), (kind::DATA, 0, 1, b"abcd")], "request 1 POST / HTTP/1.1 false; gone 1 | RST+0/1=1", "more than the length"),
    (&[(kind::HEADERS, 4, 1, b"\x83\x87\x84\x0f\x0d\x013"), (kind::DATA, 1, 1, b"ab")], "request 1 POST / HTTP/1.1 false; gone 1 | RST+0/1=1", "less than the length"),
    (&[(kind::HEADERS, END, 1, b"\x83\x87\x84\x0f\x0d\x013")], "RST+0/1=1", "a length without a body"),
    // §8.1: trailers
    (&[(kind::HEADERS, 4, 1, POST), (kind::DATA, 0, 1, b"a"), (kind::HEADERS, END, 1, b"\0\x01x\x01y")], "request 1 POST / HTTP/1.1 false; body 1 a false; body 1  true", "trailers"),
    (&[(kind::HEADERS, 4, 1, POST), (kind::HEADERS, 4, 1, b"\0\x01x\x01y")], "request 1 POST / HTTP/1.1 false; gone 1 | RST+0/1=1", "trailers without an end"),
    (&[(kind::HEADERS, 4, 1, POST), (kind::HEADERS, END, 1, b"\x82")], "request 1 POST / HTTP/1.1 false; gone 1 | RST+0/1=1", "a pseudo-field among trailers"),
    (&[(kind::HEADERS, 4, 1, b"\x83\x87\x84\x0f\x0d\x013"), (kind::HEADERS, END, 1, b"\0\x01x\x01y")], "request 1 POST / HTTP/1.1 false; gone 1 | RST+0/1=1", "trailers before the length"),
    // §6.2, §6.10: field blocks
    (&[(kind::HEADERS, 1, 1, b"\x82\x87"), (kind::CONTINUATION, 0, 1, b"\x84"), (kind::CONTINUATION, 4, 1, b"\x41\x01h")], "request 1 GET / HTTP/1.1 true", "CONTINUATION"),
    (&[(kind::HEADERS, END | 8, 1, b"\x01\x82\x87\x84\0")], "request 1 GET / HTTP/1.1 true", "padded HEADERS"),
    (&[(kind::HEADERS, END | 8, 1, b"\x04\x82\x87\x84")], "fault 1", "more padding than HEADERS"),
    (&[(kind::HEADERS, END | 0x20, 1, b"\0\0\0\0\x10\x82\x87\x84")], "request 1 GET / HTTP/1.1 true", "HEADERS with a priority"),
    (&[(kind::HEADERS, END | 0x20, 1, b"\0\0\0\x01\x10\x82\x87\x84")], "RST+0/1=1", "a stream that depends on itself"),
    (&[(kind::HEADERS, END | 0x20, 1, b"\0\0")], "fault 6", "a cut priority"),
    (&[(kind::HEADERS, 1, 1, b"\x82"), (kind::PING, 0, 0, &[0; 8])], "fault 1", "a field block interrupted"),
    (&[(kind::HEADERS, 1, 1, b"\x82"), (kind::CONTINUATION, 4, 3, b"")], "fault 1", "CONTINUATION of another stream"),
    (&[(kind::CONTINUATION, 4, 1, b"")], "fault 1", "CONTINUATION of nothing"),
    (&[(kind::HEADERS, END, 1, b"\xbf")], "fault 9", "a block that does not decode"),
    (&[(kind::HEADERS, END, 1, b"\x82\x84")], "RST+0/1=1", "a malformed request"),
    // §6.3, §6.4
    (&[(kind::PRIORITY, 0, 3, &[0; 5])], "", "PRIORITY"),
    (&[(kind::PRIORITY, 0, 0, &[0; 5])], "fault 1", "PRIORITY of the connection"),
    (&[(kind::HEADERS, END, 1, GET), (kind::PRIORITY, 0, 1, &[0; 4])], "request 1 GET / HTTP/1.1 true; gone 1 | RST+0/1=6", "PRIORITY of a wrong length"),
    (&[(kind::HEADERS, END, 1, GET), (kind::RST_STREAM, 0, 1, &[0; 3])], "request 1 GET / HTTP/1.1 true | fault 6", "RST_STREAM of a wrong length"),
    (&[(kind::RST_STREAM, 0, 0, &[0; 4])], "fault 1", "RST_STREAM of the connection"),
    // §6.5
    (&[(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])], "SETTINGS+1/0", "a setting"),
    (&[(kind::SETTINGS, 0, 1, &[])], "fault 1", "SETTINGS of a stream"),
    (&[(kind::SETTINGS, 1, 0, &[0])], "fault 6", "an acknowledgement with more"),
    (&[(kind::SETTINGS, 0, 0, &[0; 5])], "fault 6", "SETTINGS of a wrong length"),
    (&[(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2])], "fault 1", "ENABLE_PUSH of 2"),
    (&[(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])], "fault 3", "a first window that is too large"),
    (&[(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff])], "fault 1", "frames that are too small"),
    (&[(kind::SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0])], "fault 1", "frames that are too large"),
    (&[(kind::SETTINGS, 0, 0, &[0xff, 0xff, 1, 0, 0, 0])], "SETTINGS+1/0", "an unknown setting"),
    // §6.7, §6.8, §6.9
    (&[(kind::PING, 0, 0, b"abcdefgh")], "PING+1/0", "PING"),
    (&[(kind::PING, 1, 0, b"abcdefgh")], "", "an answer to a PING"),
    (&[(kind::PING, 0, 1, b"abcdefgh")], "fault 1", "PING of a stream"),
    (&[(kind::PING, 0, 0, b"abcdefg")], "fault 6", "PING of a wrong length"),
    (&[(kind::GOAWAY, 0, 0, &[0; 8]), (kind::HEADERS, END, 1, GET)], "request 1 GET / HTTP/1.1 true", "GOAWAY, which concerns our streams"),
    (&[(kind::GOAWAY, 0, 1, &[0; 8])], "fault 1", "GOAWAY of a stream"),
    (&[(kind::GOAWAY, 0, 0, &[0; 7])], "fault 6", "GOAWAY of a wrong length"),
    (&[(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0])], "fault 1", "a window update of nothing"),
    (&[(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])], "fault 3", "a window that is too large"),
    (&[(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1])], "fault 6", "WINDOW_UPDATE of a wrong length"),
    (&[(kind::HEADERS, END, 1, GET), (kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 0])], "request 1 GET / HTTP/1.1 true; gone 1 | RST+0/1=1", "a stream's of nothing"),
    (&[(kind::HEADERS, END, 1, GET), (kind::WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])], "request 1 GET / HTTP/1.1 true; gone 1 | RST+0/1=3", "a stream's that is too large"),
];

#[test]
fn rules() {
    for (frames, want, name) in RULES {
        let mut world = World::open();
        for &(kind, flags, stream, payload) in *frames {
            world.frame(kind, flags, stream, payload);
        }
        assert_eq!(world.summary(), *want, "{name}");
    }
}

/// The same, however the bytes are cut: a body may come in more pieces, but it is the same body.
#[test]
fn any_cut_gives_the_same() {
    for (frames, want, name) in RULES {
        let mut bytes = Vec::new();
        for &(kind, flags, stream, payload) in *frames {
            push(&mut bytes, kind, flags, stream, payload);
        }
        for cut in 0..bytes.len() {
            let mut world = World::open();
            world.receive(&bytes[..cut]);
            world.receive(&bytes[cut..]);
            let got = world.summary().replace("body 1 a false; body 1 b ", "body 1 ab ");
            let got = got.replace("body 1 a false; body 1 bc ", "body 1 abc ");
            let got = got.replace("body 1 ab false; body 1 c true", "body 1 abc true");
            assert_eq!(got, want.replace("body 1 ab false; body 1 c true", "body 1 abc true"), "{name}, cut at {cut}");
        }
    }
}

#[test]
fn prefaces() {
    let mut world = World::new();
    for byte in PREFACE {
        assert!(world.connection.is_in_the_middle());
        world.receive(&[*byte]);
    }
    world.frame(kind::SETTINGS, 0, 0, &[]);
    assert!(!world.connection.is_in_the_middle());
    assert_eq!(world.summary(), "SETTINGS+1/0");
    for (bytes, name) in [(&b"GET / HTTP/1.1\r\n"[..], "HTTP/1"), (b"PRI * HTTP/2.0\r\n\r\nXX", "cut in the middle")] {
        let mut world = World::new();
        world.receive(bytes);
        assert_eq!(world.summary(), "fault 1", "{name}");
    }
    for (kind, flags, name) in [(kind::PING, 0, "PING first"), (kind::SETTINGS, 1, "an acknowledgement first")] {
        let mut world = World::new();
        world.receive(PREFACE);
        world.frame(kind, flags, 0, &[]);
        assert_eq!(world.summary(), "fault 1", "{name}");
    }
    let mut world = World::open();
    world.receive(&[0, 0x40, 1, 0, 0, 0, 0, 0, 1]);
    assert_eq!(world.summary(), "fault 6", "a frame that is too long");
}

#[test]
fn streams_are_bounded() {
    let mut world = World::open();
    let ids = (0..).map(|nth| nth * 2 + 1);
    for id in ids.take(STREAMS) {
        world.frame(kind::HEADERS, END, id, GET);
    }
    assert_eq!(world.connection.streams().len(), STREAMS);
    world.summary();
    let next = STREAMS as u32 * 2 + 1;
    world.frame(kind::HEADERS, END, next, GET);
    assert_eq!(world.summary(), format!("RST+0/{next}=7"));
    world.connection.finish(1);
    world.connection.leave();
    world.frame(kind::HEADERS, END, next + 2, GET);
    assert_eq!(world.summary(), "RST+0/1=2 GOAWAY+0/0=0", "none is opened behind GOAWAY");
}

#[test]
fn windows_of_the_client() {
    let mut world = World::open();
    // It does not know our settings yet.
    world.frame(kind::HEADERS, flag::END_HEADERS, 1, POST);
    for _ in 0..3 {
        world.frame(kind::DATA, 0, 1, &[0; 16384]);
    }
    world.log.clear();
    world.frame(kind::SETTINGS, flag::ACK, 0, &[]);
    world.frame(kind::DATA, 0, 1, b"x");
    assert_eq!(world.summary(), "gone 1 | RST+0/1=3", "48 KiB are more than the window now");

    let mut world = World::open();
    world.frame(kind::SETTINGS, flag::ACK, 0, &[]);
    world.frame(kind::HEADERS, flag::END_HEADERS, 1, POST);
    world.frame(kind::DATA, 0, 1, &[0; 16384]);
    world.log.clear();
    world.connection.handler_has_read(1, 16384);
    assert_eq!(world.sent(), "", "nothing was read");
    world.connection.handler_has_read(1, 1);
    assert_eq!(world.sent(), "", "less than half a window");
    world.connection.handler_has_read(1, 0);
    world.connection.widen();
    assert_eq!(world.sent(), "WINDOW+0/1=16384 ");
    world.frame(kind::DATA, 0, 1, &[0; 16384]);
    world.frame(kind::DATA, 0, 1, &[0; 16384]);
    world.log.clear();
    world.connection.handler_has_read(1, 0);
    world.connection.widen();
    assert_eq!(world.sent(), format!("WINDOW+0/1={STREAM_WINDOW} WINDOW+0/0=49152 "));
    // What nobody reads counts for the connection alone.
    world.connection.reset(1, Code::Cancel);
    world.frame(kind::DATA, 0, 1, &[0; 16384]);
    world.frame(kind::DATA, flag::PADDED, 1, &[200; 16384]);
    world.connection.widen();
    assert_eq!(world.summary(), "RST+0/1=8 WINDOW+0/0=32768");

    let mut world = World::open();
    for id in [1, 3] {
        world.frame(kind::HEADERS, flag::END_HEADERS, id, POST);
    }
    for nth in 0..4_u32 {
        world.frame(kind::DATA, 0, nth % 2 * 2 + 1, &[0; 16384]);
    }
    assert!(world.summary().ends_with("fault 3"), "more than the window of the connection");
}

/// Sends as the owner does, and returns how many bytes went.
fn send(world: &mut World, id: u32, len: usize, ends: bool) -> usize {
    let n = world.connection.room(id).min(len);
    let start = world.connection.begin_data();
    world.connection.out.resize(start + HEAD + n, 0);
    if let Err(fault) = world.connection.end_data(start, id, ends && n == len, n < len) {
        world.fault = Some(fault);
    }
    n
}

#[test]
fn windows_of_the_server() {
    let mut world = World::open();
    world.frame(kind::HEADERS, END, 1, GET);
    world.log.clear();
    assert_eq!(send(&mut world, 1, 100_000, true), 16384, "a frame");
    let mut bytes = Vec::new();
    push_settings(&mut bytes, &[(setting::INITIAL_WINDOW_SIZE, 10_000)]);
    world.receive(&bytes);
    assert_eq!(world.connection.room(1), 0, "negative: 10,000 less than was sent");
    world.frame(kind::HEADERS, END, 3, GET);
    assert_eq!(world.connection.room(3), 10_000, "a new stream");
    bytes.clear();
    push_window(&mut bytes, 1, 6385);
    world.receive(&bytes);
    assert_eq!(send(&mut world, 1, 1, true), 1);
    assert!(world.connection.stream(1).unwrap().ended);
    world.connection.finish(1);
    assert!(world.connection.stream(1).is_none());
    assert!(world.sent().ends_with("DATA+1/1 "), "no reset behind a whole exchange");
}

#[test]
fn the_most_urgent_first() {
    let mut world = World::open();
    let priorities: [&[u8]; 5] = [b"u=5", b"u=1", b"u=1", b"u=1, i", b"u=1, i"];
    for (nth, priority) in priorities.iter().enumerate() {
        let mut block = GET.to_vec();
        block.extend_from_slice(b"\0\x08priority");
        block.push(priority.len() as u8);
        block.extend_from_slice(priority);
        world.frame(kind::HEADERS, END, nth as u32 * 2 + 1, &block);
    }
    let next = |world: &mut World| world.connection.next_active();
    assert_eq!(next(&mut world), None);
    for id in [1, 3, 5, 7, 9] {
        world.connection.stream(id).unwrap().active = true;
    }
    assert_eq!([next(&mut world), next(&mut world)], [Some(3), Some(3)], "one that is not incremental goes on");
    world.connection.stream(3).unwrap().active = false;
    assert_eq!(next(&mut world), Some(5));
    world.connection.stream(5).unwrap().active = false;
    assert_eq!([next(&mut world), next(&mut world), next(&mut world)], [Some(7), Some(9), Some(7)], "turns");
    for id in [7, 9] {
        world.connection.stream(id).unwrap().active = false;
    }
    assert_eq!(next(&mut world), Some(1));
}

/// What a client repeats until it is told to calm down, and the name of the attack.
type Flood = (fn(&mut World, u32), &'static str);

const FLOODS: &[Flood] = &[
    (|world, _| world.frame(kind::PING, 0, 0, &[0; 8]), "PING"),
    (|world, _| world.frame(kind::SETTINGS, 0, 0, &[]), "SETTINGS"),
    (|world, _| world.frame(kind::SETTINGS, 1, 0, &[]), "acknowledgements"),
    (|world, _| world.frame(kind::PRIORITY, 0, 1, &[0; 5]), "PRIORITY"),
    (|world, _| world.frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), "WINDOW_UPDATE"),
    (|world, _| world.frame(99, 0, 0, &[]), "unknown frames"),
    (
        |world, nth| {
            world.frame(kind::HEADERS, END, nth * 2 + 1, GET);
            world.frame(kind::RST_STREAM, 0, nth * 2 + 1, &[0, 0, 0, 8]);
        },
        "rapid reset (CVE-2023-44487)",
    ),
    (
        |world, nth| {
            // Each makes us reset the stream (CVE-2025-8671).
            world.frame(kind::HEADERS, END, nth * 2 + 1, GET);
            world.frame(kind::WINDOW_UPDATE, 0, nth * 2 + 1, &[0, 0, 0, 0]);
        },
        "made resets",
    ),
    (
        |world, nth| {
            if nth == 0 {
                world.frame(kind::HEADERS, flag::END_HEADERS, 1, POST);
            }
            world.frame(kind::DATA, 0, 1, &[]);
        },
        "empty DATA",
    ),
    (
        |world, nth| {
            if nth == 0 {
                world.frame(kind::HEADERS, 1, 1, b"");
            }
            world.frame(kind::CONTINUATION, 0, 1, b"");
        },
        "CONTINUATION (CVE-2024-27316)",
    ),
    (
        |world, nth| {
            if nth == 0 {
                world.frame(kind::HEADERS, END, 1, GET);
            }
            let mut bytes = Vec::new();
            push_settings(&mut bytes, &[(setting::INITIAL_WINDOW_SIZE, nth + 1)]);
            world.receive(&bytes);
            send(world, 1, 1000, false);
        },
        "windows of a byte",
    ),
    (|world, nth| world.frame(kind::HEADERS, END, nth * 2 + 1, b"\x82"), "malformed requests"),
];

#[test]
fn floods_end_in_calm() {
    for (attack, name) in FLOODS {
        let mut world = World::open();
        let mut most = 0;
        for nth in 0..=BUDGET {
            attack(&mut world, nth);
            most = most.max(world.connection.out.len());
            if world.fault.is_some() {
                break;
            }
        }
        assert_eq!(world.fault.map(|fault| fault.code), Some(Code::Calm), "{name}");
        assert!(most < 64 << 10, "{name}: {most} bytes queued");
    }
}

#[test]
fn slow_repetition_is_no_flood() {
    let mut world = World::open();
    for _ in 0..10_000 {
        world.now += 1000;
        world.frame(kind::PING, 0, 0, &[0; 8]);
    }
    assert_eq!(world.fault, None);
}

/// A block of one-byte fields that each mean kilobytes.
#[test]
fn a_bomb_costs_its_bytes() {
    let mut world = World::open();
    let mut block = GET.to_vec();
    block.extend_from_slice(b"\x40\x01x\x7f\xa1\x1e");
    block.extend_from_slice(&[b'y'; 4000]);
    block.extend_from_slice(&[0xbe; 10_000]);
    world.frame(kind::HEADERS, END, 1, &block);
    let summary = world.summary();
    assert!(summary.starts_with("request 1 "), "{summary}");
    let mut bytes = Vec::new();
    push_reset(&mut bytes, 1, Code::Cancel);
    world.receive(&bytes);
    assert_eq!(world.fault, None);
}

proptest! {
    /// Nothing that a client sends breaks the rules that hold for ever.
    #[test]
    fn any_frames(
        frames in proptest::collection::vec(
            (0..12_u8, any::<u8>(), 0..9_u32, proptest::collection::vec(any::<u8>(), 0..40)),
            0..60,
        ),
        finished in 0..9_u32,
    ) {
        let mut world = World::open();
        for (kind, flags, stream, payload) in &frames {
            let payload = if *kind == kind::HEADERS && *flags & 0x28 == 0 { GET } else { payload };
            world.frame(*kind, *flags, *stream, payload);
            world.connection.finish(finished);
            prop_assert!(world.connection.streams().len() <= STREAMS);
            prop_assert!(world.connection.streams().is_sorted_by_key(|stream| stream.id));
        }
    }
}
