//! JSON text: requests read where they lie and written straight into blobs, replies printed straight from blobs.
//!
//! Neither becomes a tree. The reader is strict (RFC 8259) and bounded in depth. Text that a blob can't hold, U+0000 and
//! bytes that are not UTF-8, spoils only its own request of a batch. A lone surrogate becomes U+FFFD, as do bytes of a
//! reply that are not UTF-8.

mod number;
#[cfg(test)]
mod oracle;
mod print;
mod read;

pub use print::{PIECE, Printer, push_int, push_text};
pub use read::{check, elements, is_sound, members, string, write};

#[cfg(test)]
mod tests {
    use super::print::TEXT_PIECE;
    use super::*;
    use crate::daemon::ubus::blob::{self, Attrs, Writer, kind, tests as trees};
    use proptest::prelude::*;

    fn to_blob(text: &str) -> Option<Vec<u8>> {
        let value = check(text.as_bytes()).filter(|value| is_sound(value))?;
        let mut out = Vec::new();
        write(value, b"v", &mut Writer::new(&mut out));
        Some(out)
    }

    fn print(fields: &[u8]) -> String {
        let (mut text, mut out) = (Vec::new(), Vec::new());
        let mut printer = Printer::new(fields, &mut out);
        while printer.fill(&mut out) {
            assert!(out.len() < PIECE + 6 * TEXT_PIECE + 400, "{}", out.len());
            text.append(&mut out);
        }
        text.append(&mut out);
        String::from_utf8(text).unwrap()
    }

    /// What goes in, and what comes out again as the member of a table; `None` is refused.
    #[rustfmt::skip]
    const RULES: &[(&str, Option<&str>, &str)] = &[
        (" { } ", Some("{}"), "space"), ("{\"a\" : [ 1 , 2 ] }", Some("{\"a\":[1,2]}"), "space within"), ("[[],{}]", Some("[[],{}]"), "nesting"),
        ("0", Some("0"), "zero"), ("-0", Some("0"), "minus zero"), ("2147483647", Some("2147483647"), "32 bits"), ("2147483648", Some("2147483648"), "64 bits"),
        ("-9223372036854775808", Some("-9223372036854775808"), "least"), ("99999999999999999999", Some("9223372036854775807"), "beyond 64 bits"),
        ("-99999999999999999999", Some("-9223372036854775808"), "beyond 64 bits, below"), ("1.5", Some("1.500000"), "double"), ("1e2", Some("100.000000"), "exponent"),
        ("1E-1", Some("0.100000"), "negative exponent"), ("1e+1", Some("10.000000"), "signed exponent"), ("1e999", Some("null"), "infinite"),
        ("true", Some("true"), "true"), ("false", Some("false"), "false"), ("null", Some("null"), "null"), ("\"\"", Some("\"\""), "empty string"),
        (r#""\"\\\/\b\f\n\r\t""#, Some(r#""\"\\/\b\u000c\n\r\t""#), "escapes"), (r#""\u0041\u00e4\u20ac""#, Some("\"Aä€\""), "code points"), (r#""\ud83d\ude00""#, Some("\"😀\""), "a pair"),
        (r#""\ud83dx""#, Some("\"\u{fffd}x\""), "half a pair"), (r#""\ude00\ud83d\u0041""#, Some("\"\u{fffd}\u{fffd}A\""), "halves in the wrong order"), ("\"ä\u{7f}\"", Some("\"ä\u{7f}\""), "as it is"), (r#""\u001f""#, Some(r#""\u001f""#), "control"),
        ("{\"a\":1,\"a\":2}", Some("{\"a\":1,\"a\":2}"), "twice the same name"), ("{\"\":1}", Some("{\"\":1}"), "an empty name"),
        ("", None, "nothing"), (" ", None, "space alone"), ("{", None, "open"), ("}", None, "closed"), ("[1", None, "open array"), ("[1,]", None, "comma at the end"), ("[,1]", None, "comma first"),
        ("[1 2]", None, "no comma"), ("{\"a\"}", None, "no value"), ("{\"a\":}", None, "no value after the colon"), ("{a:1}", None, "a name without quotes"), ("{1:1}", None, "a number for a name"), ("{\"a\":1,}", None, "comma last"),
        ("1 2", None, "two values"), ("{}x", None, "more behind"), ("tru", None, "half a word"), ("True", None, "another word"), ("nullx", None, "more than a word"),
        ("01", None, "leading zero"), ("-", None, "a sign alone"), ("+1", None, "plus"), (".5", None, "no digit before the point"), ("1.", None, "none behind it"), ("1e", None, "no exponent"), ("0x1", None, "hexadecimal"),
        ("NaN", None, "no number"), ("\"", None, "open string"), ("\"\\\"", None, "an escaped quote is no end"), ("\"\\x\"", None, "unknown escape"), ("\"\\u12\"", None, "short escape"), ("\"\\u12g4\"", None, "no hexadecimal"), ("\"\\u+123\"", None, "a sign"),
        ("\"\\u0000\"", None, "U+0000"), ("\"a\nb\"", None, "raw control"), ("'a'", None, "single quotes"), ("/**/1", None, "comment"), ("\u{feff}1", None, "byte order mark"),
    ];

    #[test]
    fn strict_and_mapped_as_the_reference_does() {
        for (text, expected, name) in RULES {
            let blob = to_blob(text);
            let printed = blob.map(|blob| print(&blob));
            let expected = expected.map(|value| format!("{{\"v\":{value}}}"));
            assert_eq!(printed, expected, "{name}: {text}");
        }
    }

    #[test]
    fn what_no_text_can_hold_spoils_its_own_element() {
        let batch =
            check(b"[\"\xff\", \"a\", {\"\\u0000\":1}, [\"\\u0000\"], \"\\\\u0000\", {\"\xe2\x82\":1}, 7]").unwrap();
        let sound: Vec<_> = elements(batch).unwrap().map(is_sound).collect();
        assert_eq!(sound, [false, true, false, false, true, false, true]);
        assert!(!is_sound(batch) && check(b"[1]\xff").is_none() && check(b"[\xff]").is_none());
    }

    /// Of any length, with any characters to escape.
    #[test]
    fn names_are_printed_in_pieces() {
        let mut blob = Vec::new();
        let name = "\u{1}\"ä".repeat(10_000);
        let mut writer = Writer::new(&mut blob);
        writer.int(name.as_bytes(), 1);
        writer.text(b"", b"");
        writer.int(b"n", 2);
        let name = name.replace('\u{1}', "\\u0001").replace('"', "\\\"");
        assert_eq!(print(&blob), format!("{{\"{name}\":1,\"\":\"\",\"n\":2}}"));
    }

    #[test]
    fn types_of_the_blob() {
        for (text, kind) in [
            ("1", kind::INT32),
            ("-2147483649", kind::INT64),
            ("1.0", kind::DOUBLE),
            ("true", kind::BOOL),
            ("null", kind::NULL),
            ("[]", kind::ARRAY),
            ("{}", kind::TABLE),
            ("\"\"", kind::TEXT),
        ] {
            assert_eq!(Attrs::new(&to_blob(text).unwrap()).next().unwrap().id, kind, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(32).as_bytes()).is_some());
        assert!(check(nested(33).as_bytes()).is_none());
        assert!(check("[".repeat(60_000).as_bytes()).is_none());
        let mut inner = Vec::new();
        for _ in 0..100 {
            let mut outer = Vec::new();
            Writer::new(&mut outer).value(kind::ARRAY, b"", &inner);
            inner = outer;
        }
        let text = print(&inner);
        assert!(text.contains("[null]") && text.matches('[').count() == 63, "{text}");
    }

    #[test]
    fn items_are_found() {
        let array = check(b" [ 1, [2,3] ,{\"a\":\"]\"} ] ").unwrap();
        assert_eq!(elements(array).unwrap().collect::<Vec<_>>(), [&b"1"[..], b"[2,3]", b"{\"a\":\"]\"}"]);
        let object = check(b"{ \"\\u0061\" : 1 , \"b\":{} }").unwrap();
        let got: Vec<_> = members(object).unwrap().map(|(name, value)| (name.into_owned(), value)).collect();
        assert_eq!(got, [(b"a".to_vec(), &b"1"[..]), (b"b".to_vec(), b"{}")]);
        assert!(members(array).is_none() && elements(object).is_none() && string(array).is_none());
    }

    #[test]
    fn long_strings_and_bytes_that_are_no_text() {
        let mut blob = Vec::new();
        let text = "ä€😀\"\u{1}".repeat(9000);
        Writer::new(&mut blob).text(b"t", text.as_bytes());
        let printed = print(&blob);
        let back = check(printed.as_bytes()).unwrap();
        let (_, value) = members(back).unwrap().next().unwrap();
        assert_eq!(string(value).unwrap(), text.as_bytes());
        for length in [0, TEXT_PIECE - 1, TEXT_PIECE, TEXT_PIECE + 1] {
            let mut blob = Vec::new();
            let bytes = [&vec![b'x'; length][..], b"\xe2\x82", b"y\xff"].concat();
            Writer::new(&mut blob).text(b"t", &bytes);
            assert_eq!(print(&blob), format!("{{\"t\":\"{}\"}}", String::from_utf8_lossy(&bytes)), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Printed, read and printed again, a blob stays as it is.
        #[test]
        fn there_and_back(items in proptest::collection::vec(("[^\0]{0,6}", trees::tree()), 0..5)) {
            let mut blob = Vec::new();
            let mut writer = Writer::new(&mut blob);
            items.iter().for_each(|(name, item)| trees::write(&mut writer, name, item));
            let text = print(&blob);
            let again = to_blob(&text);
            prop_assert!(again.is_some(), "{}", text);
            let again = again.unwrap();
            let Some(blob::Value::Table(fields)) = blob::field(&again, "v") else { panic!("{text}") };
            prop_assert_eq!(fields, &blob[..]);
        }

        #[test]
        fn hostile_text(text in "[\\[\\]{}\",:0-9.eE+\\-tfnu\\\\dDaé \u{0}]{0,40}") {
            if let Some(blob) = to_blob(&text) {
                prop_assert!(check(print(&blob).as_bytes()).is_some());
            }
        }

        #[test]
        fn hostile_blobs(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(check(print(&bytes).as_bytes()).is_some());
        }
    }
}
