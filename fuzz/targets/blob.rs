//! A blob of ubus: whatever it holds is printed as JSON, and its messages and fields stay within it.
#![no_main]

use ecohttpd_fuzz::blob::{Attrs, Value, fields};
use ecohttpd_fuzz::json::{PIECE, Printer, check};

/// The fields in a blob, those of tables and arrays included.
fn count(blob: &[u8], depth: usize) -> usize {
    assert!(depth < 1 << 12, "deeper than it is long");
    let inner = |value| match value {
        Value::Table(inner) | Value::Array(inner) => count(inner, depth + 1),
        _ => 0,
    };
    fields(blob).map(|field| 1 + inner(field.value)).sum()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let content: usize = Attrs::new(data).map(|attr| attr.content.len()).sum();
    assert!(content <= data.len());
    for attr in Attrs::new(data) {
        let _ = (attr.u32(), attr.field());
        assert!(attr.text().is_none_or(|text| !text.contains(&0)));
    }
    assert!(count(data, 0) * 4 <= data.len(), "a header each");

    let mut text = Vec::new();
    let mut printer = Printer::new(data, &mut text);
    let mut piece = Vec::new();
    while printer.fill(&mut piece) {
        // A piece, and what an escape and a level may add.
        assert!(piece.len() < 4 * PIECE, "{}", piece.len());
        text.append(&mut piece);
    }
    text.append(&mut piece);
    let text = str::from_utf8(&text).expect("JSON is UTF-8");
    // It is printed deeper than it is read, and a name that is too long to be read.
    let readable = text.matches(['[', '{']).count() <= 32 && data.len() < 10_000;
    assert!(!readable || check(text.as_bytes()).is_some(), "{text}");
});
