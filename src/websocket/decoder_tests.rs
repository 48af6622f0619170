//! Frames by rule, cut at every byte, and beside another's implementation.

use super::*;
use proptest::prelude::*;
use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const LIMITS: Limits = Limits { frame: 70_000, message: 100_000 };

/// A client's frame; the first byte is that of the header.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ ..126 => out.push(0x80 | u8::try_from(len).unwrap()),
        len @ ..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    unmask(&mut out[start..], MASK);
    out
}

/// All that comes of pieces: events, and the code that the connection fails with.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Option<u16>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(piece) {
                Err(violation) => return (events, Some(violation.code)),
                Ok((used, event)) => {
                    piece = &piece[used..];
                    let Some(event) = event else {
                        assert!(piece.is_empty(), "something was left without an event");
                        break;
                    };
                    let is_close = matches!(event, Event::Close(_));
                    events.push(event);
                    if is_close {
                        return (events, None);
                    }
                }
            }
        }
    }
    assert!(decoder.kind.is_some() || decoder.frame.is_some() || decoder.message.capacity() == 0, "memory is kept");
    (events, None)
}

/// The same in one piece, a byte at a time, and cut at each byte.
fn judge(frames: &[Vec<u8>]) -> (Vec<Event>, Option<u16>) {
    let bytes = frames.concat();
    let whole = feed([&bytes[..]]);
    assert_eq!(feed(bytes.chunks(1)), whole, "a byte at a time");
    for cut in 0..bytes.len().min(300) {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(feed([one, two]), whole, "cut at {cut}");
    }
    whole
}

fn text(text: &str) -> Event {
    Event::Text(text.into())
}

fn close(code: u16, reason: &str) -> Event {
    Event::Close(Close::parse(&crate::websocket::close::payload(code, reason)).unwrap())
}

/// A name, frames, and what comes of them.
type Rule<'a, T> = (&'a str, &'a [Vec<u8>], T);

/// What may be said.
#[test]
fn good_frames() {
    let ping = || Event::Ping(b"p".to_vec());
    let rules: [Rule<'_, Vec<Event>>; 12] = [
        ("empty", &[frame(0x81, b""), frame(0x82, b"")], vec![text(""), Event::Binary(Vec::new())]),
        ("text", &[frame(0x81, "grün".as_bytes())], vec![text("grün")]),
        ("125 bytes", &[frame(0x82, &[7; 125])], vec![Event::Binary(vec![7; 125])]),
        ("126 bytes", &[frame(0x82, &[7; 126])], vec![Event::Binary(vec![7; 126])]),
        ("control", &[frame(0x89, b"p"), frame(0x8a, b"")], vec![ping(), Event::Pong(Vec::new())]),
        ("125 bytes of control", &[frame(0x89, &[1; 125])], vec![Event::Ping(vec![1; 125])]),
        ("pieces", &[frame(0x01, b"a"), frame(0x00, b""), frame(0x80, b"b")], vec![text("ab")]),
        ("pieces of nothing", &[frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")], vec![text("")]),
        ("control within", &[frame(0x01, b"a"), frame(0x89, b"p"), frame(0x80, b"b")], vec![ping(), text("ab")]),
        (
            "a character cut",
            &[frame(0x01, b"\xf0\x9f"), frame(0x89, b"p"), frame(0x80, b"\x98\x80")],
            vec![ping(), text("😀")],
        ),
        ("bytes need not be text", &[frame(0x02, b"\xff"), frame(0x80, b"\xfe")], vec![Event::Binary(vec![255, 254])]),
        ("nothing after Close", &[frame(0x88, b"\x03\xe8bye"), frame(0xff, b"x")], vec![close(1000, "bye")]),
    ];
    for (name, frames, events) in rules {
        assert_eq!(judge(frames), (events, None), "{name}");
    }
    assert_eq!(judge(&[frame(0x88, b"")]), (vec![Event::Close(None)], None));
}

/// What may not.
#[test]
fn bad_frames() {
    let unmasked = vec![0x81, 0x01, b'a'];
    let mut long_form = frame(0x81, &[b'x'; 126]);
    long_form[3] = 1;
    let rules: [Rule<'_, u16>; 17] = [
        ("no mask", &[unmasked], 1002),
        ("RSV1", &[frame(0xc1, b"")], 1002),
        ("an opcode of data", &[frame(0x83, b"")], 1002),
        ("an opcode of control", &[frame(0x8b, b"")], 1002),
        ("control in pieces", &[frame(0x09, b"")], 1002),
        ("long control", &[frame(0x89, &[0; 126])], 1002),
        ("a length in a longer form", &[long_form], 1002),
        ("a continuation of nothing", &[frame(0x80, b"")], 1002),
        ("a continuation of what has ended", &[frame(0x81, b""), frame(0x00, b"")], 1002),
        ("text within bytes", &[frame(0x02, b""), frame(0x81, b"")], 1002),
        ("half a close code", &[frame(0x88, b"\x03")], 1002),
        ("no close code", &[frame(0x88, b"\x03\xee")], 1002),
        ("a reason that is not text", &[frame(0x88, b"\x03\xe8\xff")], 1007),
        ("not text", &[frame(0x81, b"a\xffb")], 1007),
        ("half a character", &[frame(0x81, b"a\xc3")], 1007),
        ("half a character, then control", &[frame(0x01, b"\xc3"), frame(0x80, b"")], 1007),
        ("a surrogate", &[frame(0x01, b"\xed\xa0\x80"), frame(0x80, b"")], 1007),
    ];
    for (name, frames, code) in rules {
        let (events, failed) = judge(frames);
        assert_eq!(failed, Some(code), "{name}");
        assert!(events.iter().all(|event| *event == text("")), "{name}: {events:?}");
    }
}

/// Text fails with the byte that can't become a character any more, not later: sections 6.4 of Autobahn's tests.
#[test]
fn text_fails_early() {
    let whole = frame(0x81, "κόσμε\u{fffd}".as_bytes());
    for (bad, at) in [
        (&b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited"[..], 12),
        (b"\xce\xba\xed\xa0\x80x", 3),
        (b"\xc0\xaf", 0),
        (b"abc\x80", 3),
        (b"\xe0\x80x", 1),
        (b"\xf8", 0),
    ] {
        for first in [0x81, 0x01] {
            let bytes = frame(first, bad);
            let payload_at = bytes.len() - bad.len();
            let before = &bytes[..payload_at + at];
            assert_eq!(feed([before]), (Vec::new(), None), "{bad:x?} is good up to {at}");
            let with = &bytes[..=payload_at + at];
            // With the last byte of the last frame it is the whole that is wrong.
            assert_eq!(feed([with]).1, Some(1007), "{bad:x?}");
            assert_eq!(feed(with.chunks(1)).1, Some(1007), "{bad:x?}");
        }
    }
    assert_eq!(judge(&[whole]), (vec![text("κόσμε\u{fffd}")], None));
}

/// A length that is too large is refused with the header, before any payload.
#[test]
fn limits() {
    let header = |first: u8, len: usize| {
        let bytes = frame(first, &vec![b'x'; len]);
        bytes[..bytes.len() - len].to_vec()
    };
    assert_eq!(judge(&[header(0x82, 70_000)]), (vec![], None));
    assert_eq!(judge(&[header(0x82, 70_001)]), (vec![], Some(1009)));
    let half = frame(0x02, &[0; 50_000]);
    assert_eq!(feed([&half[..], &header(0x80, 50_000)]), (vec![], None));
    assert_eq!(feed([&half[..], &header(0x80, 50_001)]), (vec![], Some(1009)));
    let mut huge = vec![0x82, 0xff, 0x7f];
    huge.extend([0xff; 7]);
    huge.extend(MASK);
    assert_eq!(judge(&[huge]), (vec![], Some(1009)));
}

/// What is announced costs nothing before it comes, and what comes no more than twice that.
#[test]
fn memory_follows_what_came() {
    let bytes = frame(0x82, &[0; 65_536]);
    let mut decoder = Decoder::new(LIMITS);
    for piece in bytes.chunks(1000) {
        if decoder.decode(piece).unwrap().1.is_none() {
            let (len, capacity) = (decoder.message.len(), decoder.message.capacity());
            assert!(capacity <= 65_536 && capacity <= 2 * len.max(1000), "{capacity} for {len}");
        }
    }
    // In one piece it takes what it needs.
    let Ok((_, Some(Event::Binary(message)))) = decoder.decode(&bytes) else { panic!("no message") };
    assert_eq!((message.len(), message.capacity()), (65_536, 65_536));
}

/// Reads from memory, and forgets what is written.
struct Wire<'a>(&'a [u8]);

impl std::io::Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl std::io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the same bytes.
fn tungstenites(bytes: &[u8]) -> (Vec<Event>, bool) {
    let config = WebSocketConfig::default().max_message_size(Some(100_000)).max_frame_size(Some(70_000));
    let mut other = WebSocketContext::new(Role::Server, Some(config));
    let mut wire = Wire(bytes);
    let mut events = Vec::new();
    loop {
        events.push(match other.read(&mut wire) {
            Ok(Message::Text(text)) => Event::Text(text.as_str().to_owned()),
            Ok(Message::Binary(bytes)) => Event::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Event::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Event::Pong(bytes.to_vec()),
            Ok(Message::Close(frame)) => {
                let said = frame.map(|frame| Close { code: frame.code.into(), reason: frame.reason.as_str().into() });
                events.push(Event::Close(said));
                return (events, false);
            }
            Ok(Message::Frame(_)) => unreachable!("it is never read"),
            // The end of the bytes, without a Close.
            Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                return (events, false);
            }
            Err(_) => return (events, true),
        });
    }
}

/// A frame that is mostly a good one.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => proptest::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => proptest::sample::select(vec![0x88_u8, 0x83, 0xc1, 0x09]),
    ];
    let payload = prop_oneof![
        6 => "[a-zäß€😀]{0,40}".prop_map(String::into_bytes),
        2 => proptest::collection::vec(any::<u8>(), 0..140),
        1 => (100_usize..200).prop_map(|len| vec![b'x'; len]),
        1 => Just([0x03, 0xe8].to_vec()),
    ];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #[test]
    fn another_implementation_sees_the_same(
        frames in proptest::collection::vec(any_frame(), 0..12),
        cuts in proptest::collection::vec(1..60_usize, 1..20),
    ) {
        let bytes = frames.concat();
        let (mut theirs, they_fail) = tungstenites(&bytes);
        let (ours, we_fail) = feed([&bytes[..]]);
        // Theirs answers a Close with a code of its own choice in the place of one that may not be sent.
        if let (true, Some(Event::Close(_))) = (we_fail.is_some(), theirs.last()) {
            theirs.pop();
        } else {
            prop_assert_eq!(they_fail, we_fail.is_some(), "{:?}", bytes);
        }
        prop_assert_eq!(&theirs, &ours);
        // However it is cut.
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(feed(pieces), (ours, we_fail));
    }

    #[test]
    fn another_implementation_reads_what_is_written(
        len in prop_oneof![0..300_usize, 65_000..66_000_usize], byte in any::<u8>(), text in ".{0,300}",
    ) {
        let payload = vec![byte; len];
        let mut out = Vec::new();
        crate::websocket::frame::write(&mut out, Opcode::Binary, &payload);
        crate::websocket::frame::write(&mut out, Opcode::Text, text.as_bytes());
        crate::websocket::frame::write(&mut out, Opcode::Close, &crate::websocket::close::payload(3000, "end"));
        let mut other = WebSocketContext::new(Role::Client, None);
        let mut wire = Wire(&out);
        prop_assert_eq!(other.read(&mut wire).unwrap().into_data(), payload);
        prop_assert_eq!(other.read(&mut wire).unwrap().into_data(), text.into_bytes());
        prop_assert!(other.read(&mut wire).unwrap().is_close());
    }
}
