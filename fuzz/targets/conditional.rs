//! Preconditions: what they come to, by the rules that hold for all of them; and dates, which survive printing.
#![no_main]

use ecohttpd_fuzz::http::conditional::{Precondition, Validators, evaluate, range_applies};
use ecohttpd_fuzz::http::date;
use ecohttpd_fuzz::http::fields::Fields;

/// Field lines, in order.
struct Lines<'a>(Vec<(&'a str, &'a [u8])>);

impl Fields for Lines<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let lines = data.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
    });
    let fields = Lines(lines.collect());
    let ours = Validators { etag: "\"a-1\"", modified: 784_111_777 };
    let (get, post) = (evaluate(&fields, true, &ours), evaluate(&fields, false, &ours));
    let has = |name: &str| fields.values(name).next().is_some();

    assert_ne!(post, Precondition::NotModified, "304 is for GET and HEAD");
    // They differ only by what If-None-Match and If-Modified-Since say.
    assert!(get == post || get == Precondition::NotModified, "{get:?} {post:?}");
    if !["if-match", "if-unmodified-since", "if-none-match", "if-modified-since"].into_iter().any(has) {
        assert_eq!((get, post), (Precondition::Go, Precondition::Go), "nothing was asked");
    }
    if get == Precondition::NotModified {
        assert!(has("if-none-match") || has("if-modified-since"));
    }
    let other = Validators { etag: "\"another that nobody names, we hope\"", modified: ours.modified };
    if has("if-match") && fields.values("if-match").all(|value| value != b"*" && !value.ends_with(b"hope\"")) {
        assert_eq!(evaluate(&fields, true, &other), Precondition::Failed, "If-Match of other tags");
    }
    let applies = range_applies(&fields, &ours);
    assert!(applies || has("if-range"));
    if fields.only("if-range") == Some(ours.etag.as_bytes()) {
        assert!(applies);
    }

    for (_, value) in &fields.0 {
        if let Some(seconds) = date::parse(value) {
            let mut printed = Vec::new();
            date::push(&mut printed, seconds);
            assert_eq!(date::parse(&printed), Some(seconds), "{}", printed.escape_ascii());
        }
    }
});
