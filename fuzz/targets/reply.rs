//! The head of another server's response: the same however its bytes are cut, and fit to be passed on.
#![no_main]

use ecohttpd_fuzz::http::{ReplyBody, ReplyHead, ReplyScanner};

/// Where the head ends, unless it is refused or not whole.
fn end(data: &[u8], piece: usize) -> Option<usize> {
    let mut scanner = ReplyScanner::default();
    let mut known = 0;
    loop {
        if let Some(end) = scanner.find(&data[..known]).ok()? {
            return Some(end);
        }
        if known == data.len() {
            return None;
        }
        known = (known + piece).min(data.len());
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = end(data, data.len().max(1));
    assert_eq!(whole, end(data, 1), "byte by byte");
    assert_eq!(whole, end(data, data.len() / 2 + 1), "in halves");
    let Some(end) = whole else { return };
    assert!(data[..end].ends_with(b"\r\n\r\n"));
    let Ok(head) = ReplyHead::parse(&data[..end], false) else { return };
    assert!((100..=999).contains(&head.status()) && !head.reason().contains(['\r', '\n', '\0']));
    let mut lengths = Vec::new();
    let mut coded = false;
    for (name, value) in head.fields() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name:?}");
        assert!(value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t'), "{}", value.escape_ascii());
        if name.eq_ignore_ascii_case("content-length") {
            lengths.push(str::from_utf8(value).unwrap().parse::<u64>().unwrap());
        }
        coded |= name.eq_ignore_ascii_case("transfer-encoding");
    }
    assert!(lengths.len() <= 1 && !(coded && !lengths.is_empty()));
    match head.body() {
        ReplyBody::None => assert!(matches!(head.status(), 100..=199 | 204 | 304)),
        ReplyBody::Length(length) => assert_eq!(lengths, [length]),
        ReplyBody::Chunked => assert!(coded && lengths.is_empty()),
        ReplyBody::UntilClose => assert!(!coded && lengths.is_empty() && !head.keep_alive()),
    }
    // To HEAD there is no body, whatever it says.
    assert_eq!(ReplyHead::parse(&data[..end], true).unwrap().body(), ReplyBody::None);
});
