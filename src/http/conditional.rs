//! Conditional requests: whether the client's copy is still current (RFC 9110 §13).

use crate::http::fields::Fields;

/// The validators of the selected representation.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// The entity tag: strong, with its quotes.
    pub etag: &'a str,
    /// The modification time in Unix seconds, as in `Last-Modified`.
    pub modified: u64,
}

/// The result of a request's preconditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Perform the method; `Range` is next.
    Go,
    /// Answer 304: the client's copy is current.
    NotModified,
    /// Answer 412: the client expects another version.
    Failed,
}

/// Evaluates the preconditions in the order of RFC 9110 §13.2.2.
///
/// 1. `If-Match` is present: none of its tags is ours (strong comparison) → 412.
/// 2. Otherwise `If-Unmodified-Since`: modified later → 412.
/// 3. `If-None-Match` is present: one of its tags is ours (weak comparison) → 304 for GET and HEAD, 412 for others.
/// 4. Otherwise, for GET and HEAD, `If-Modified-Since`: not modified later → 304.
/// 5. Go on; [`range_applies`] says whether `Range` counts.
///
/// An invalid date, or a repeated date field, is ignored (§13.1.3, §13.1.4). A malformed list contains no tag, which is
/// the safe interpretation for both list fields.
pub fn evaluate(fields: &impl Fields, get_or_head: bool, v: &Validators<'_>) -> Precondition {
    match lists_tag(fields, "if-match", v.etag, Compare::Strong) {
        Some(true) => {}
        Some(false) => return Precondition::Failed,
        None => {
            if date(fields, "if-unmodified-since").is_some_and(|since| v.modified > since) {
                return Precondition::Failed;
            }
        }
    }
    match lists_tag(fields, "if-none-match", v.etag, Compare::Weak) {
        Some(true) if get_or_head => Precondition::NotModified,
        Some(true) => Precondition::Failed,
        Some(false) => Precondition::Go,
        None => {
            let current = get_or_head && date(fields, "if-modified-since").is_some_and(|since| v.modified <= since);
            if current { Precondition::NotModified } else { Precondition::Go }
        }
    }
}

/// Whether `If-Range` lets a `Range` field count (RFC 9110 §13.1.5). Always, if it is absent.
///
/// Tags are compared strongly, and a date must be exactly ours. Anything else, or a repeated field, means another
/// version: the whole representation is sent.
pub fn range_applies(fields: &impl Fields, v: &Validators<'_>) -> bool {
    let mut values = fields.values("if-range");
    let Some(value) = values.next() else {
        return true;
    };
    let ours = value == v.etag.as_bytes() || super::date::parse(value) == Some(v.modified);
    ours && values.next().is_none()
}

/// How two entity tags are compared (RFC 9110 §8.8.3.2).
#[derive(Clone, Copy, PartialEq)]
enum Compare {
    /// Neither may be weak.
    Strong,
    /// `W/` is ignored.
    Weak,
}

/// Whether a list of entity tags, or `*`, contains ours; `None` if the field is absent.
fn lists_tag(fields: &impl Fields, name: &str, etag: &str, compare: Compare) -> Option<bool> {
    let mut values = fields.values(name);
    let first = values.next()?;
    if first == b"*" {
        return Some(values.next().is_none());
    }
    let mut found = false;
    for value in std::iter::once(first).chain(values) {
        match line_holds(value, etag.as_bytes(), compare) {
            Some(hit) => found |= hit,
            None => return Some(false),
        }
    }
    Some(found)
}

/// Whether one field line contains the tag; `None` if it is not a list of entity tags.
fn line_holds(line: &[u8], etag: &[u8], compare: Compare) -> Option<bool> {
    let mut rest = line;
    let mut found = false;
    loop {
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            None => return Some(found),
            // Empty list elements are ignored (RFC 9110 §5.6.1.2).
            Some((b',', tail)) => rest = tail,
            Some(_) => {
                let strong = rest.strip_prefix(b"W/");
                let (tag, tail) = opaque_tag(strong.unwrap_or(rest))?;
                found |= tag == etag && (strong.is_none() || compare == Compare::Weak);
                rest = tail.trim_ascii_start();
                if !matches!(rest.first(), None | Some(b',')) {
                    return None;
                }
            }
        }
    }
}

/// Splits a quoted opaque tag off the front: `DQUOTE *etagc DQUOTE` (RFC 9110 §8.8.3).
fn opaque_tag(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = bytes.strip_prefix(b"\"")?;
    let len = inside.iter().position(|&b| matches!(b, b'"' | ..=b' ' | 0x7f))?;
    let (tag, tail) = bytes.split_at_checked(len + 2)?;
    tag.ends_with(b"\"").then_some((tag, tail))
}

/// The date in a field, in Unix seconds; `None` unless there is exactly one valid date.
fn date(fields: &impl Fields, name: &str) -> Option<u64> {
    super::date::parse(fields.only(name)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Precondition::{Failed, Go, NotModified};
    use super::*;
    use crate::http::fields::{List, Listed};

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
    const MODIFIED: u64 = 784_111_777;
    const OURS: Validators<'_> = Validators { etag: "\"a,b\"", modified: MODIFIED };
    const SAME: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &[u8] = b"Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &[u8] = b"Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn order_and_verdicts() {
        #[rustfmt::skip]
        let rows: &[(List<'_>, Precondition, Precondition, &str)] = &[
            // fields, verdict for GET, verdict for other methods, name
            (&[], Go, Go, "no condition"),
            (&[("if-match", b"\"a,b\"")], Go, Go, "if-match"),
            (&[("if-match", b"W/\"a,b\"")], Failed, Failed, "if-match is strong"),
            (&[("if-match", b"*")], Go, Go, "if-match star"),
            (&[("if-match", b"\"x\"")], Failed, Failed, "if-match of another"),
            (&[("if-match", b"")], Failed, Failed, "if-match of nothing"),
            (&[("if-match", b"\"a,b\""), ("if-unmodified-since", EARLIER)], Go, Go, "if-match hides if-unmodified-since"),
            (&[("if-match", b"\"x\""), ("if-none-match", b"\"a,b\"")], Failed, Failed, "if-match comes first"),
            (&[("if-match", b"\"a,b\""), ("if-none-match", b"\"a,b\"")], NotModified, Failed, "both lists"),
            (&[("if-unmodified-since", SAME)], Go, Go, "unmodified"),
            (&[("if-unmodified-since", LATER)], Go, Go, "unmodified since later"),
            (&[("if-unmodified-since", EARLIER)], Failed, Failed, "modified since"),
            (&[("if-unmodified-since", b"yesterday")], Go, Go, "bad unmodified date"),
            (&[("if-none-match", b"\"a,b\"")], NotModified, Failed, "if-none-match"),
            (&[("if-none-match", b"W/\"a,b\"")], NotModified, Failed, "if-none-match is weak"),
            (&[("if-none-match", b"w/\"a,b\"")], Go, Go, "the W is a capital"),
            (&[("if-none-match", b"*")], NotModified, Failed, "if-none-match star"),
            (&[("if-none-match", b"*"), ("if-none-match", b"*")], Go, Go, "two stars"),
            (&[("if-none-match", b"*, \"a,b\"")], Go, Go, "a star in a list"),
            (&[("if-none-match", b"\"x\", W/\"y\" ,,\t\"a,b\"")], NotModified, Failed, "a list"),
            (&[("if-none-match", b"\"x\""), ("if-none-match", b"\"a,b\"")], NotModified, Failed, "two lines"),
            (&[("if-none-match", b"\"a\",\"b\"")], Go, Go, "a comma inside is no separator"),
            (&[("if-none-match", b"a,b")], Go, Go, "no quotes"),
            (&[("if-none-match", b"\"a,b")], Go, Go, "one quote"),
            (&[("if-none-match", b"\"a,b\" \"x\"")], Go, Go, "no comma between"),
            (&[("if-none-match", b"\"a,b\", junk")], Go, Go, "junk after a match"),
            (&[("if-none-match", b"\"a,b\""), ("if-none-match", b"junk")], Go, Go, "junk on another line"),
            (&[("if-none-match", b"\"a b\", \"a,b\"")], Go, Go, "a space is no etagc"),
            (&[("if-none-match", b"\"\xc3\xa9\", \"a,b\"")], NotModified, Failed, "obs-text is etagc"),
            (&[("if-none-match", b"\"x\""), ("if-modified-since", LATER)], Go, Go, "if-none-match hides if-modified-since"),
            (&[("if-modified-since", SAME)], NotModified, Go, "not modified"),
            (&[("if-modified-since", LATER)], NotModified, Go, "not modified since later"),
            (&[("if-modified-since", EARLIER)], Go, Go, "modified"),
            (&[("if-modified-since", b"Sunday, 06-Nov-94 08:49:37 GMT")], NotModified, Go, "RFC 850 date"),
            (&[("if-modified-since", b"Sun Nov  6 08:49:37 1994")], NotModified, Go, "asctime date"),
            (&[("if-modified-since", b"1994-11-06T08:49:37Z")], Go, Go, "ISO date"),
            (&[("if-modified-since", b"\xff")], Go, Go, "not text"),
            (&[("if-modified-since", SAME), ("if-modified-since", SAME)], Go, Go, "two dates"),
        ];
        for &(fields, get, other, name) in rows {
            assert_eq!(evaluate(&Listed(fields), true, &OURS), get, "{name}, for GET");
            assert_eq!(evaluate(&Listed(fields), false, &OURS), other, "{name}, for others");
        }
    }

    #[test]
    fn if_range() {
        #[rustfmt::skip]
        let rows: &[(List<'_>, bool, &str)] = &[
            (&[], true, "absent"),
            (&[("if-range", b"\"a,b\"")], true, "our tag"),
            (&[("if-range", b"W/\"a,b\"")], false, "weak"),
            (&[("if-range", b"\"x\"")], false, "another tag"),
            (&[("if-range", b"\"a,b\", \"x\"")], false, "no lists here"),
            (&[("if-range", b"*")], false, "no star here"),
            (&[("if-range", b"")], false, "empty"),
            (&[("if-range", SAME)], true, "our date"),
            (&[("if-range", b"Sunday, 06-Nov-94 08:49:37 GMT")], true, "our date in another form"),
            (&[("if-range", LATER)], false, "a later date"),
            (&[("if-range", EARLIER)], false, "an earlier date"),
            (&[("if-range", SAME), ("if-range", SAME)], false, "doubled"),
        ];
        for &(fields, applies, name) in rows {
            assert_eq!(range_applies(&Listed(fields), &OURS), applies, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_panic(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            for name in ["if-match", "if-none-match", "if-range", "if-modified-since", "if-unmodified-since"] {
                let fields = [(name, &value[..])];
                evaluate(&Listed(&fields), true, &OURS);
                range_applies(&Listed(&fields), &OURS);
            }
        }

        #[test]
        fn finds_ours_among_others(others in proptest::collection::vec("(W/)?\"[!#-~]{0,6}\"", 0..6), at in 0usize..6) {
            let mut list = others;
            list.insert(at.min(list.len()), OURS.etag.to_owned());
            let value = list.join(" , ");
            let fields = [("if-none-match", value.as_bytes())];
            prop_assert_eq!(evaluate(&Listed(&fields), true, &OURS), NotModified);
        }
    }
}
