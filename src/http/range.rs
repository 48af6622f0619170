//! The `Range` field (RFC 9110 §14).

use std::ops::Range;

use crate::http::limits::MAX_RANGES;

/// What a `Range` field requests of a representation of known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// Ignore the field: send everything.
    Whole,
    /// These bytes, in the requested order: at least one range; no range is empty or touches another.
    Parts(Vec<Range<u64>>),
    /// None of the requested bytes exist: answer 416.
    Unsatisfiable,
}

/// Parses a `Range` value for a representation of `size` bytes.
///
/// Malformed values, units other than `bytes` and more than [`MAX_RANGES`] specs are ignored (RFC 9110 §14.2).
/// Ranges that overlap or adjoin become one, as §15.3.7.2 recommends; positions past the end of u64 mean the end.
pub fn parse(value: &[u8], size: u64) -> Ranges {
    match read(value, size) {
        None => Ranges::Whole,
        Some(parts) if parts.is_empty() => Ranges::Unsatisfiable,
        Some(parts) => Ranges::Parts(parts),
    }
}

/// Collects the satisfiable ranges; `None` if the field must be ignored.
fn read(value: &[u8], size: u64) -> Option<Vec<Range<u64>>> {
    let (unit, set) = value.split_at_checked(b"bytes=".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut parts = Vec::new();
    let mut specs = 0;
    for spec in set.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        // Empty list elements are ignored (RFC 9110 §5.6.1.2).
        if spec.is_empty() {
            continue;
        }
        specs += 1;
        if specs > MAX_RANGES {
            return None;
        }
        let range = resolve(spec, size)?;
        if !range.is_empty() {
            add(&mut parts, range);
        }
    }
    (specs > 0).then_some(parts)
}

/// Converts one spec into a range within `size`, empty if it is unsatisfiable; `None` if it is malformed.
fn resolve(spec: &[u8], size: u64) -> Option<Range<u64>> {
    let dash = spec.iter().position(|&b| b == b'-')?;
    let (first, last) = (spec.get(..dash)?, spec.get(dash + 1..)?);
    if first.is_empty() {
        return Some(size.saturating_sub(number(last)?)..size);
    }
    let first = number(first)?;
    if last.is_empty() {
        return Some(first..size);
    }
    let last = number(last)?;
    (first <= last).then(|| first..last.saturating_add(1).min(size))
}

/// Parses `1*DIGIT`. A number too large for u64 is past the end of any file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        Some(n.saturating_mul(10).saturating_add(digit))
    })
}

/// Adds a range. It absorbs the ranges that it touches, and takes the position of the first of them.
///
/// One pass is enough: existing ranges do not touch each other, so what touches the union touches the new range.
fn add(parts: &mut Vec<Range<u64>>, mut new: Range<u64>) {
    let mut place = None;
    let mut at = 0;
    parts.retain(|part| {
        let touches = part.start <= new.end && new.start <= part.end;
        if touches {
            new = part.start.min(new.start)..part.end.max(new.end);
            place.get_or_insert(at);
        }
        at += 1;
        !touches
    });
    parts.insert(place.unwrap_or(parts.len()), new);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Ranges::{Parts, Unsatisfiable, Whole};
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn values() {
        let parts = |list: &[Range<u64>]| Parts(list.to_vec());
        let many = |n: usize| format!("bytes={}", vec!["0-0"; n].join(",")).into_bytes();
        #[rustfmt::skip]
        let rows: &[(&[u8], u64, Ranges, &str)] = &[
            (b"bytes=0-4", 10, parts(&[0..5]), "first five"),
            (b"BYTES=0-4", 10, parts(&[0..5]), "unit in capitals"),
            (b"bytes=0-0", 10, parts(&[0..1]), "one byte"),
            (b"bytes=5-", 10, parts(&[5..10]), "open"),
            (b"bytes=0-", 10, parts(&[0..10]), "all"),
            (b"bytes=9-99", 10, parts(&[9..10]), "end clamped"),
            (b"bytes=-3", 10, parts(&[7..10]), "suffix"),
            (b"bytes=-99", 10, parts(&[0..10]), "suffix longer than the file"),
            (b"bytes=-0", 10, Unsatisfiable, "empty suffix"),
            (b"bytes=10-", 10, Unsatisfiable, "starts at the end"),
            (b"bytes=10-20,30-", 10, Unsatisfiable, "all past the end"),
            (b"bytes=0-", 0, Unsatisfiable, "empty file"),
            (b"bytes=-5", 0, Unsatisfiable, "suffix of an empty file"),
            (b"bytes=0-1,20-30", 10, parts(&[0..2]), "one of two satisfiable"),
            (b"bytes=0-1, 4-5 ,\t8-", 10, parts(&[0..2, 4..6, 8..10]), "three, with spaces"),
            (b"bytes=,0-1,,4-5,", 10, parts(&[0..2, 4..6]), "empty elements"),
            (b"bytes=8-9,0-1", 10, parts(&[8..10, 0..2]), "order kept"),
            (b"bytes=0-3,2-5", 10, parts(&[0..6]), "overlapping"),
            (b"bytes=0-3,4-5", 10, parts(&[0..6]), "adjacent"),
            (b"bytes=8-8,4-5,0-1,2-9", 10, parts(&[0..10]), "the last joins all"),
            (b"bytes=8-8,0-1,5-5,4-4", 10, parts(&[8..9, 0..2, 4..6]), "joined in place of the first"),
            (b"bytes=0-0,-1", 10, parts(&[0..1, 9..10]), "first and last"),
            (b"bytes=0-0,-1", 1, parts(&[0..1]), "first is last"),
            (b"bytes=18446744073709551615-", 10, Unsatisfiable, "u64::MAX"),
            (b"bytes=0-18446744073709551615", 10, parts(&[0..10]), "last is u64::MAX"),
            (b"bytes=0-99999999999999999999999999", 10, parts(&[0..10]), "last saturates"),
            (b"bytes=99999999999999999999999999-99999999999999999999999999", 10, Unsatisfiable, "both saturate"),
            (b"bytes=-99999999999999999999999999", 10, parts(&[0..10]), "suffix saturates"),
            (b"bytes=0-", u64::MAX, parts(&[0..u64::MAX]), "largest file"),
            (b"bytes=4-3", 10, Whole, "backwards"),
            (b"bytes=0-1,4-3", 10, Whole, "one of two backwards"),
            (b"bytes=", 10, Whole, "no spec"),
            (b"bytes=,", 10, Whole, "only empty elements"),
            (b"bytes=-", 10, Whole, "only a dash"),
            (b"bytes=5", 10, Whole, "no dash"),
            (b"bytes=1-2-3", 10, Whole, "two dashes"),
            (b"bytes=--3", 10, Whole, "negative suffix"),
            (b"bytes=+1-3", 10, Whole, "sign"),
            (b"bytes=a-b", 10, Whole, "letters"),
            (b"bytes=1 -3", 10, Whole, "space inside"),
            (b"bytes 0-4", 10, Whole, "no equals sign"),
            (b"bytes", 10, Whole, "unit alone"),
            (b"lines=0-4", 10, Whole, "other unit"),
            (b"", 10, Whole, "empty"),
            (&many(MAX_RANGES), 10, parts(&[0..1]), "as many as allowed"),
            (&many(MAX_RANGES + 1), 10, Whole, "one too many"),
        ];
        for (value, size, want, name) in rows {
            assert_eq!(&parse(value, *size), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_panic(value in proptest::collection::vec(any::<u8>(), 0..30), size: u64) {
            let mut whole = b"bytes=".to_vec();
            whole.extend(&value);
            parse(&value, size);
            parse(&whole, size);
        }

        #[test]
        fn covers_what_was_asked(specs in proptest::collection::vec((0u64..60, 0u64..20), 1..MAX_RANGES)) {
            const SIZE: u64 = 50;
            let text: Vec<_> = specs.iter().map(|(a, n)| format!("{a}-{}", a + n)).collect();
            let asked = |i: u64| specs.iter().any(|&(a, n)| (a..=a + n).contains(&i));
            let parts = match parse(format!("bytes={}", text.join(",")).as_bytes(), SIZE) {
                Parts(parts) => parts,
                other => {
                    prop_assert_eq!(other, Unsatisfiable);
                    Vec::new()
                }
            };
            for i in 0..SIZE {
                let times = parts.iter().filter(|part| part.contains(&i)).count();
                prop_assert_eq!(times, usize::from(asked(i)), "byte {}", i);
            }
            for (n, part) in parts.iter().enumerate() {
                prop_assert!(!part.is_empty() && part.end <= SIZE);
                prop_assert!(parts.iter().skip(n + 1).all(|p| p.end < part.start || part.end < p.start));
            }
        }
    }
}
