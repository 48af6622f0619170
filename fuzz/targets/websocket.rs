//! Frames of a WebSocket: the same however they are cut, and what comes out of them is what a client may say.
#![no_main]

use ecohttpd_fuzz::websocket::close::is_code;
use ecohttpd_fuzz::websocket::frame::MAX_CONTROL;
use ecohttpd_fuzz::websocket::{Decoder, Event, Limits};

const LIMITS: Limits = Limits { frame: 600, message: 1000 };

/// What came, and the code that the connection fails with.
type Verdict = (Vec<Event>, Option<u16>);

fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut decoder = Decoder::new(LIMITS);
    let mut events = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(piece) {
                Err(violation) => return (events, Some(violation.code)),
                Ok((used, event)) => {
                    piece = &piece[used..];
                    let Some(event) = event else {
                        assert!(piece.is_empty());
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
    (events, None)
}

fn check(event: &Event) {
    match event {
        Event::Text(text) => assert!(text.len() <= LIMITS.message),
        Event::Binary(bytes) => assert!(bytes.len() <= LIMITS.message),
        Event::Ping(payload) | Event::Pong(payload) => assert!(payload.len() <= MAX_CONTROL),
        Event::Close(close) => {
            assert!(close.as_ref().is_none_or(|close| is_code(close.code) && close.reason.len() <= MAX_CONTROL - 2));
        }
    }
}

// The first byte says where the rest is cut.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = feed([bytes]);
    assert_eq!(whole, feed(bytes.chunks(1)));
    assert_eq!(whole, feed(bytes.chunks(usize::from(*cut).max(1))));
    whole.0.iter().for_each(check);
    assert!(matches!(whole.1, None | Some(1002 | 1007 | 1009)));
});
