//! A query, or an urlencoded form: its pairs survive being encoded again.
#![no_main]

use ecohttpd_fuzz::http::query::{decode_percent, pairs};

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let decoded = decode_percent(data);
    assert!(decoded.len() <= data.len() && (data.contains(&b'%') || *decoded == *data));
    let all: String = decoded.iter().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(decode_percent(all.as_bytes()), decoded);

    let Ok(query) = str::from_utf8(data) else { return };
    let got: Vec<_> = pairs(query).collect();
    assert!(got.len() <= query.split('&').count());
    let again: Vec<String> = got.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    assert!(pairs(&again.join("&")).eq(got.iter().cloned()), "{again:?}");
});
