//! A script's head: the same however the output is cut, and fit to be sent.
#![no_main]

use ecohttpd_fuzz::cgi_head::Collector;

/// What is known of the head, and the body that came along.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<(String, Vec<u8>)> {
    let mut collector = Collector::default();
    let mut done = false;
    let mut after = Vec::new();
    for piece in pieces {
        if done {
            after.extend_from_slice(piece);
        } else {
            done = collector.push(piece).ok()?;
        }
    }
    if !done {
        collector.end().ok()?;
    }
    let (head, body) = collector.parse().ok()?;
    for (name, value) in &head.fields {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name:?}");
        assert!(value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t'), "{}", value.escape_ascii());
        for ours in ["connection", "transfer-encoding", "content-length", "status"] {
            assert!(!name.eq_ignore_ascii_case(ours), "{name}");
        }
    }
    assert!(head.status.is_none_or(|(code, reason)| (200..=999).contains(&code) && !reason.contains(['\r', '\n'])));
    assert!(head.local().is_none_or(|path| path.starts_with('/') && !path.starts_with("//")));
    Some((format!("{head:?}"), [body, &after].concat()))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = read([data]);
    assert_eq!(whole, read(data.chunks(1)), "byte by byte");
    assert_eq!(whole, read(data.chunks(data.len() / 2 + 1)), "in halves");
});
