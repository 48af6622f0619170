//! A range: what is chosen lies in the file, is apart from one another, and holds just the bytes that were asked for.
#![no_main]

use ecohttpd_fuzz::http::range::{Ranges, parse};
use ecohttpd_fuzz::parameter;

/// Whether one of the specs asks for a byte: each by itself, read in the simplest way.
fn asked(value: &str, size: u64, byte: u64) -> bool {
    let mut specs = value["bytes=".len()..].split(',').map(|spec| spec.trim_ascii()).filter(|spec| !spec.is_empty());
    // All digits that overflow are past any file's end.
    let number = |digits: &str| digits.parse::<u128>().unwrap_or(u128::MAX);
    let (byte, size) = (u128::from(byte), u128::from(size));
    specs.any(|spec| match spec.split_once('-').expect("a dash") {
        ("", last) => byte >= size.saturating_sub(number(last)),
        (first, "") => byte >= number(first),
        (first, last) => byte >= number(first) && byte <= number(last),
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((size, value)) = parameter(data) else { return };
    let Ok(size) = size.parse::<u64>() else { return };
    let verdict = parse(value, size);
    let parts = match &verdict {
        Ranges::Whole => return,
        Ranges::Unsatisfiable => &vec![],
        Ranges::Parts(parts) => {
            assert!(!parts.is_empty());
            parts
        }
    };
    let value = str::from_utf8(value).expect("what is understood is ASCII");
    for (index, part) in parts.iter().enumerate() {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
        assert!(parts[..index].iter().all(|other| other.end < part.start || part.end < other.start), "{parts:?}");
    }
    let edges = parts.iter().flat_map(|part| [part.start, part.end]).chain([0, size]);
    let bytes = edges.flat_map(|edge| [edge.wrapping_sub(1), edge, edge.saturating_add(1)]).chain(0..64);
    for byte in bytes.filter(|byte| *byte < size) {
        let chosen = parts.iter().any(|part| part.contains(&byte));
        assert_eq!(chosen, asked(value, size, byte), "byte {byte} of {size}: {value:?} is {parts:?}");
    }
    if let Ranges::Parts(parts) = &verdict {
        let specs: Vec<String> = parts.iter().map(|part| format!("{}-{}", part.start, part.end - 1)).collect();
        assert_eq!(parse(format!("bytes={}", specs.join(",")).as_bytes(), size), verdict);
    }
});
