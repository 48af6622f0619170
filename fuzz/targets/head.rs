//! A request's head: its end is found wherever it is cut, and printed again it means the same.
#![no_main]

use ecohttpd_fuzz::http::framing::Framing;
use ecohttpd_fuzz::http::{Head, HeadLimits, Reject, Scanner};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let limits = HeadLimits { head: 2048, target: 512, fields: 20 };
    let end = Scanner::default().find(data, &limits);
    let mut scanner = Scanner::default();
    let trickled = (0..=data.len()).map(|len| scanner.find(&data[..len], &limits)).find(|verdict| *verdict != Ok(None));
    assert_eq!(trickled.unwrap_or(Ok(None)), end, "byte by byte");
    let Ok(Some(end)) = end else { return };
    let Ok(head) = parse(&data[..end], &limits) else { return };

    assert!(head.headers().count() <= limits.fields && head.target_bytes().len() <= limits.target);
    assert!(head.target_bytes().iter().all(|&byte| byte > b' ' && byte != 0x7f), "a control in the target");
    assert_eq!(head.target(), String::from_utf8_lossy(head.target_bytes()));
    assert_eq!(head.query_string(), String::from_utf8_lossy(head.query_bytes()));
    assert!(head.raw_path().is_ascii(), "a raw byte before the query");
    assert!(!head.path_bytes().contains(&0), "a NUL in the path");
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name:?}");
        assert!(value.iter().all(|&byte| byte == b'\t' || byte >= b' ' && byte != 0x7f), "{name}: {value:?}");
    }
    assert!(head.minor_version() == 0 || head.header_bytes("host").is_some(), "HTTP/1.1 without Host");
    if head.framing() == Framing::Chunked {
        assert!(head.header_bytes("content-length").is_none(), "two ways to delimit");
    }

    let mut printed = [head.method().as_bytes(), b" ", head.target_bytes()].concat();
    printed.extend_from_slice(format!(" HTTP/1.{}\r\n", head.minor_version()).as_bytes());
    for (name, value) in head.headers() {
        printed.extend_from_slice(name.as_bytes());
        printed.extend_from_slice(b":");
        printed.extend_from_slice(value);
        printed.extend_from_slice(b"\r\n");
    }
    printed.extend_from_slice(b"\r\n");
    let again = parse(&printed, &limits).expect("what was printed is a head");
    assert_eq!(facts(&head), facts(&again));
    assert!(head.headers().eq(again.headers()));
});

/// By a head that has seen another: nothing of that may stay.
fn parse(bytes: &[u8], limits: &HeadLimits) -> Result<Head, Reject> {
    let mut head = Head::default();
    let before =
        b"POST /a%20b?c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nRange: a\r\n\r\n";
    head.parse(before, limits).expect("a head");
    head.parse(bytes, limits).map(|()| head)
}

fn facts(head: &Head) -> impl PartialEq + std::fmt::Debug + use<'_> {
    (
        (head.method(), head.target_bytes(), head.form(), head.path_bytes(), head.raw_path(), head.query_bytes()),
        (head.host(), head.framing(), head.keep_alive(), head.is_selective(), head.names_codings()),
        (head.expects_continue(), head.wants_upgrade()),
    )
}
