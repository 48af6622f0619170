//! A connection of HTTP/2: any bytes, cut where the first byte says, leave it in a state that keeps its bounds.

#![no_main]

use ecohttpd_fuzz::http::h2::limits::{BUDGET, STREAMS};
use ecohttpd_fuzz::http::h2::{Code, Connection, Event, PREFACE};
use ecohttpd_fuzz::http::{Exchange, HeadLimits};
use libfuzzer_sys::fuzz_target;

/// More than the answers to all frames that the budget pays for.
const MOST_OUTPUT: usize = 100 * BUDGET as usize;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, data)) = data.split_first() else { return };
    let limits = HeadLimits::default();
    let mut connection: Connection<u32> = Connection::new(limits.head, 0);
    let mut input = [PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat();
    for piece in data.chunks(usize::from(cut) + 1) {
        input.extend_from_slice(piece);
        loop {
            let Ok((used, event)) = connection.receive(&input, 0) else { return };
            assert!(used <= input.len());
            match event {
                Some(Event::Request { stream, text, ends }) => {
                    // What is accepted as a request is one head of HTTP/1.1, whether refused or not.
                    let lines = text.windows(4).filter(|bytes| *bytes == b"\r\n\r\n").count();
                    assert!(lines == 1 && text.ends_with(b"\r\n\r\n"), "{}", text.escape_ascii());
                    let _ = Exchange::default().begin_stream(&text, ends, &limits, 0);
                    connection.stream(stream).expect("an open stream").tenant = stream;
                }
                Some(Event::Body { stream, at, ends }) => {
                    assert!(at.end <= input.len());
                    if ends {
                        connection.handler_has_read(stream, 0);
                        connection.finish(stream);
                    }
                }
                Some(Event::Gone(_)) => {}
                None => {
                    input.drain(..used);
                    break;
                }
            }
            input.drain(..used);
        }
        connection.widen();
        assert!(connection.streams().len() <= STREAMS && connection.out.len() < MOST_OUTPUT);
        if let Some(id) = connection.next_active() {
            connection.reset(id, Code::Cancel);
        }
    }
});
