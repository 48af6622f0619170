//! Percent-decoding, and `application/x-www-form-urlencoded` pairs.

use super::headers::hex_digit;
use std::borrow::Cow;

/// The decoded pairs of a query string or an urlencoded form.
///
/// `+` is a space; a malformed escape is left as it is; what is then not UTF-8 becomes U+FFFD. Empty pieces are
/// skipped, and a piece without `=` is a name with an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        (decode_text(name), decode_text(value))
    })
}

/// Decodes `%XX`; a malformed escape is left as it is.
pub fn decode_percent(input: &[u8]) -> Cow<'_, [u8]> {
    decode(input, false)
}

/// Decodes `%XX`, and `+` as a space, as forms are encoded; a malformed escape is left as it is.
pub fn decode_form(input: &[u8]) -> Cow<'_, [u8]> {
    decode(input, true)
}

/// Decodes the name or the value of a form's field.
fn decode_text(input: &str) -> Cow<'_, str> {
    match decode_form(input.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(input),
        Cow::Owned(bytes) => Cow::Owned(into_text(bytes)),
    }
}

/// Makes text of bytes; sequences that are not UTF-8 become U+FFFD.
pub fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Decodes, and copies only when there is something to decode.
fn decode(input: &[u8], plus_is_space: bool) -> Cow<'_, [u8]> {
    if !input.iter().any(|&b| b == b'%' || plus_is_space && b == b'+') {
        return Cow::Borrowed(input);
    }
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%'
            && let [high, low, after @ ..] = tail
            && let Some(decoded) = hex_pair(*high, *low)
        {
            out.push(decoded);
            rest = after;
        } else {
            out.push(if byte == b'+' && plus_is_space { b' ' } else { byte });
        }
    }
    Cow::Owned(out)
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    Some(hex_digit(high)? << 4 | hex_digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms() {
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        #[rustfmt::skip]
        let rows: &[(&str, Pairs<'_>, &str)] = &[
            ("", &[], "empty"),
            ("a=1&b=2", &[("a", "1"), ("b", "2")], "two pairs"),
            ("a=1&a=2", &[("a", "1"), ("a", "2")], "one name twice"),
            ("a", &[("a", "")], "name alone"),
            ("a=", &[("a", "")], "no value"),
            ("=1", &[("", "1")], "no name"),
            ("=", &[("", "")], "neither"),
            ("a=b=c", &[("a", "b=c")], "the first equals sign counts"),
            ("&&a=1&&", &[("a", "1")], "empty pieces"),
            ("a=1;b=2", &[("a", "1;b=2")], "a semicolon separates nothing"),
            ("a+b=c+d", &[("a b", "c d")], "plus"),
            ("a%20b=c%2Bd", &[("a b", "c+d")], "escapes"),
            ("a%3Db=c%26d", &[("a=b", "c&d")], "escaped separators"),
            ("a=%e4%BD%a0", &[("a", "你")], "UTF-8, any case"),
            ("a=你", &[("a", "你")], "UTF-8, raw"),
            ("a=%ff", &[("a", "\u{fffd}")], "not UTF-8"),
            ("a=%", &[("a", "%")], "percent alone"),
            ("a=%4", &[("a", "%4")], "half an escape"),
            ("a=%zz%41", &[("a", "%zzA")], "no escape, then one"),
            ("a=%%41", &[("a", "%A")], "percent before an escape"),
            ("a=%+1", &[("a", "% 1")], "a sign is no digit"),
            ("a=%2541", &[("a", "%41")], "decoded once"),
            ("a=%00", &[("a", "\0")], "NUL"),
        ];
        for &(query, want, name) in rows {
            let got: Vec<_> = pairs(query).collect();
            let got: Vec<_> = got.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn percent_leaves_plus_alone() {
        for (text, plain, form) in [
            ("a%20b+c", "a b+c", "a b c"),
            ("%zz%4%", "%zz%4%", "%zz%4%"),
            ("%+1%2F%2f", "%+1//", "% 1//"),
            ("%41%", "A%", "A%"),
        ] {
            assert_eq!(&*decode_percent(text.as_bytes()), plain.as_bytes());
            assert_eq!(&*decode_form(text.as_bytes()), form.as_bytes());
        }
        assert_eq!(&*decode_percent(b"a+b%2f%FF"), b"a+b/\xff");
    }

    proptest! {
        #[test]
        fn decodes_what_was_encoded(list in proptest::collection::vec((".{0,6}", ".{0,6}"), 0..5)) {
            let escape = |s: &str| s.bytes().map(|b| if b == b' ' { "+".to_owned() } else { format!("%{b:02x}") }).collect::<String>();
            let query: Vec<_> = list.iter().map(|(n, v)| format!("{}={}", escape(n), escape(v))).collect();
            let got: Vec<_> = pairs(&query.join("&")).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            prop_assert_eq!(got, list);
        }

        #[test]
        fn no_panic(query in "[%+=&0-9a-fx\u{e9}]{0,30}") {
            prop_assert!(pairs(&query).count() <= query.len());
            decode_percent(query.as_bytes());
        }
    }
}
