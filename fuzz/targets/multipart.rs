//! A form: the same however it is cut, and what it holds survives being printed again.
#![no_main]

use ecohttpd_fuzz::http::multipart::Event;
use ecohttpd_fuzz::http::{BadForm, Disposition, Multipart};
use ecohttpd_fuzz::parameter;

/// Header lines and data.
type Part = (Vec<(String, String)>, Vec<u8>);

fn read<'a>(kind: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Part>, BadForm> {
    let mut form = Multipart::new(kind.as_bytes())?;
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut pieces = pieces.into_iter();
    let mut in_data = false;
    loop {
        match form.next()? {
            Some(Event::Header { name, value }) => {
                assert!(!in_data, "a header after data");
                let _ = Disposition::parse(&value);
                part.0.push((name, value));
            }
            Some(Event::Body { data, done }) => {
                assert!(done || !data.is_empty(), "no data");
                part.1.extend(data);
                in_data = !done;
                if done {
                    parts.push(std::mem::take(&mut part));
                }
            }
            Some(Event::End) => {
                assert!(!in_data && part.0.is_empty(), "an end within a part");
                return Ok(parts);
            }
            None => match pieces.next() {
                Some(piece) => form.feed(piece),
                None => form.finish(),
            },
        }
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = parameter(data) else { return };
    let whole = read(kind, [body]);
    assert_eq!(whole, read(kind, body.chunks(1)), "byte by byte");
    assert_eq!(whole, read(kind, body.chunks(body.len() / 2 + 1)), "in halves");
    let Ok(parts) = whole else { return };
    // Any boundary that is in no part will do.
    let boundary =
        (0..).map(|n| format!("b{n}")).find(|boundary| !body.windows(boundary.len()).any(|w| w == boundary.as_bytes()));
    let boundary = boundary.expect("one of many");
    let mut printed = Vec::new();
    for (headers, data) in &parts {
        printed.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        for (name, value) in headers {
            printed.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        printed.extend_from_slice(b"\r\n");
        printed.extend_from_slice(data);
        printed.extend_from_slice(b"\r\n");
    }
    printed.extend_from_slice(format!("--{boundary}--").as_bytes());
    let again = read(&format!("multipart/form-data; boundary={boundary}"), [&printed[..]]);
    // A value that was no UTF-8 is longer now, and a form without parts is none.
    let longer = parts.iter().flat_map(|part| &part.0).any(|(_, value)| value.contains('\u{fffd}'));
    assert!(longer || parts.is_empty() || again.as_ref() == Ok(&parts), "{again:?} instead of {parts:?}");
});
