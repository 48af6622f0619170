//! JSON text: requests read where they lie and written straight into blobs, replies printed straight from blobs.
//!
//! No tree is made of either. The reader is strict (RFC 8259) and bounded in depth. What no text of a blob can hold, U+0000
//! and bytes that are not UTF-8, spoils the request of a batch that it is in, and no other. A lone surrogate becomes
//! U+FFFD, as do bytes of a reply that are not UTF-8.

use super::blob::{Attr, Attrs, Field, Value, Writer, kind};
use crate::daemon::sys::float;
use std::borrow::Cow;
use std::ffi::CString;
use std::io::Write as _;

/// Deepest nesting that is read: as deep as the reference's parser goes.
const MAX_READ_DEPTH: u32 = 32;

/// Deepest nesting that is printed; what lies deeper appears as null.
const MAX_PRINT_DEPTH: usize = 64;

/// Longest name of a member, in bytes: a blob has two bytes for its length.
const MAX_NAME: usize = u16::MAX as usize;

/// Bytes printed before the printer pauses for them to be sent: a few packets.
pub const PIECE: usize = 8 << 10;

/// Bytes of a text that are escaped at once.
const TEXT_PIECE: usize = 2 << 10;

/// The one value that a text consists of, without the space around it; `None` if it is no JSON. What is in its strings
/// is [`is_sound`]'s to say.
pub fn check(text: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(text);
    let value = reader.skip(0)?;
    reader.space();
    reader.rest.is_empty().then_some(value)
}

/// Whether the strings in a value that [`check`] has seen are UTF-8 (RFC 8259 §8.1), and free of U+0000.
pub fn is_sound(value: &[u8]) -> bool {
    let mut reader = Reader::new(value);
    str::from_utf8(value).is_ok() && reader.skip(0).is_some() && !reader.nul
}

/// The elements of an array that [`check`] has seen; `None` if it is none.
pub fn elements(array: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut reader = Reader::new(array.strip_prefix(b"[")?);
    Some(std::iter::from_fn(move || {
        reader.comma();
        reader.skip(0)
    }))
}

/// The members of an object that [`check`] has seen; `None` if it is none.
pub fn members(object: &[u8]) -> Option<impl Iterator<Item = (Cow<'_, [u8]>, &[u8])>> {
    let mut reader = Reader::new(object.strip_prefix(b"{")?);
    Some(std::iter::from_fn(move || {
        reader.comma();
        let name = reader.name()?;
        Some((name, reader.skip(0)?))
    }))
}

/// The content of a string; `None` if it is none.
pub fn string(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    Reader::new(value).string()
}

/// Writes a value that [`check`] has seen as a field of a blob: whole numbers in 32 bits or else in 64 (beyond those the
/// nearest), other numbers as doubles, null without a value.
pub fn write(value: &[u8], name: &[u8], out: &mut Writer<'_>) {
    match value.first() {
        Some(b'{') => {
            let open = out.open_field(kind::TABLE, name);
            members(value).into_iter().flatten().for_each(|(name, value)| write(value, &name, out));
            out.close(open);
        }
        Some(b'[') => {
            let open = out.open_field(kind::ARRAY, name);
            elements(value).into_iter().flatten().for_each(|value| write(value, b"", out));
            out.close(open);
        }
        Some(b'"') => out.text(name, &string(value).unwrap_or_default()),
        Some(b't') => out.value(kind::BOOL, name, &[1]),
        Some(b'f') => out.value(kind::BOOL, name, &[0]),
        Some(b'n') | None => out.value(kind::NULL, name, &[]),
        Some(_) => match whole(value) {
            Some(number) => out.int(name, number),
            None => {
                let text = CString::new(value).unwrap_or_default();
                out.value(kind::DOUBLE, name, &float::parse(&text).to_be_bytes());
            }
        },
    }
}

/// A number without fraction and exponent; beyond 64 bits the nearest.
fn whole(number: &[u8]) -> Option<i64> {
    let (negative, digits) = number.strip_prefix(b"-").map_or((false, number), |digits| (true, digits));
    digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(if negative { -digit } else { digit }))
    })
}

/// The text that is still to be read. `None` of its methods means: not JSON.
struct Reader<'a> {
    rest: &'a [u8],
    /// A string with an escape of U+0000 has been passed.
    nul: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Reader<'a> {
        Reader { rest: text, nul: false }
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Passes over a byte, with space before it.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// What stands between elements whose syntax has been checked.
    fn comma(&mut self) {
        let _ = self.take(b',');
    }

    /// A member's name and its colon.
    fn name(&mut self) -> Option<Cow<'a, [u8]>> {
        self.space();
        let name = self.string()?;
        self.take(b':')?;
        (name.len() <= MAX_NAME).then_some(name)
    }

    /// Passes over a value, with space before it, and returns it.
    fn skip(&mut self, depth: u32) -> Option<&'a [u8]> {
        self.space();
        let before = self.rest;
        match before.first()? {
            b'{' => self.skip_all(b'}', depth, |reader, depth| {
                reader.name()?;
                reader.skip(depth).map(|_| ())
            })?,
            b'[' => self.skip_all(b']', depth, |reader, depth| reader.skip(depth).map(|_| ()))?,
            b'"' => self.pass_string().map(|_| ())?,
            b't' => self.rest = self.rest.strip_prefix(b"true")?,
            b'f' => self.rest = self.rest.strip_prefix(b"false")?,
            b'n' => self.rest = self.rest.strip_prefix(b"null")?,
            _ => self.pass_number()?,
        }
        before.get(..before.len() - self.rest.len())
    }

    /// Passes over an object or an array, each of whose items `item` passes over.
    fn skip_all(&mut self, end: u8, depth: u32, item: fn(&mut Self, u32) -> Option<()>) -> Option<()> {
        if depth == MAX_READ_DEPTH {
            return None;
        }
        self.rest = self.rest.get(1..)?;
        if self.take(end).is_some() {
            return Some(());
        }
        loop {
            item(self, depth + 1)?;
            if self.take(end).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = self.rest.get(count..).unwrap_or_default();
        count
    }

    fn pass_number(&mut self) -> Option<()> {
        self.rest = self.rest.strip_prefix(b"-").unwrap_or(self.rest);
        let zero = self.rest.starts_with(b"0");
        let digits = self.digits();
        if digits == 0 || zero && digits > 1 {
            return None;
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            (self.digits() > 0).then_some(())?;
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            (self.digits() > 0).then_some(())?;
        }
        Some(())
    }

    /// Passes over a string; returns what is between its quotes, and whether there are escapes in it.
    fn pass_string(&mut self) -> Option<(&'a [u8], bool)> {
        let content = self.rest.strip_prefix(b"\"")?;
        let mut escaped = false;
        let mut at = 0;
        loop {
            match content.get(at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    let (character, length) = escape(content.get(at..)?)?;
                    self.nul |= character == '\0';
                    at += length;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.rest = content.get(at + 1..)?;
        Some((content.get(..at)?, escaped))
    }

    fn string(&mut self) -> Option<Cow<'a, [u8]>> {
        let (mut rest, escaped) = self.pass_string()?;
        if !escaped {
            return Some(Cow::Borrowed(rest));
        }
        let mut text = Vec::with_capacity(rest.len());
        while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
            let (plain, tail) = rest.split_at(at);
            let (character, length) = escape(tail)?;
            text.extend_from_slice(plain);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = tail.get(length..)?;
        }
        text.extend_from_slice(rest);
        Some(Cow::Owned(text))
    }
}

/// The character that an escape means, and its length in the text.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((character, 2))
}

fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let high = hex4(text)?;
    if let 0xd800..0xdc00 = high
        && let Some(low @ 0xdc00..0xe000) = text.get(6..).and_then(hex4)
    {
        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return Some((char::from_u32(code)?, 12));
    }
    Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

/// The number of `\uXXXX`.
fn hex4(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | char::from(digit).to_digit(16)?))
}

/// Prints a table as it lies in a blob, in pieces, whatever its size and depth.
pub struct Printer<'a> {
    /// The tables and arrays that are begun.
    levels: Vec<Level<'a>>,
    /// The rest of a string or of a name that is begun.
    text: Option<&'a [u8]>,
    /// The value that follows the name.
    named: Option<Value<'a>>,
}

struct Level<'a> {
    rest: Attrs<'a>,
    array: bool,
    first: bool,
}

impl<'a> Printer<'a> {
    /// Begins a table, whose fields these are.
    pub fn new(fields: &'a [u8], out: &mut Vec<u8>) -> Printer<'a> {
        let mut printer = Printer { levels: Vec::new(), text: None, named: None };
        printer.begin(fields, false, out);
        printer
    }

    /// Goes on until `out` holds a piece; false at the end.
    pub fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        while out.len() < PIECE {
            if let Some(text) = self.text {
                self.text = push_piece(out, text);
                continue;
            }
            if let Some(value) = self.named.take() {
                out.push(b':');
                self.value(value, out);
                continue;
            }
            let Some(level) = self.levels.last_mut() else { return false };
            match level.rest.next().as_ref().and_then(Attr::field) {
                Some(field) => self.field(field, out),
                None => {
                    out.push(if level.array { b']' } else { b'}' });
                    self.levels.pop();
                }
            }
        }
        true
    }

    fn field(&mut self, field: Field<'a>, out: &mut Vec<u8>) {
        if let Some(level) = self.levels.last_mut() {
            if !level.first {
                out.push(b',');
            }
            level.first = false;
            if !level.array {
                out.push(b'"');
                self.text = Some(field.name);
                self.named = Some(field.value);
                return;
            }
        }
        self.value(field.value, out);
    }

    fn value(&mut self, value: Value<'a>, out: &mut Vec<u8>) {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            Value::Int(value) => push_int(out, value),
            Value::Double(value) => push_double(out, value),
            Value::Text(text) => {
                out.push(b'"');
                self.text = Some(text);
            }
            Value::Table(fields) => self.begin(fields, false, out),
            Value::Array(fields) => self.begin(fields, true, out),
        }
    }

    fn begin(&mut self, fields: &'a [u8], array: bool, out: &mut Vec<u8>) {
        if self.levels.len() == MAX_PRINT_DEPTH {
            out.extend_from_slice(b"null");
            return;
        }
        out.push(if array { b'[' } else { b'{' });
        self.levels.push(Level { rest: Attrs::new(fields), array, first: true });
    }
}

pub fn push_int(out: &mut Vec<u8>, value: i64) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "{value}");
}

/// Six digits behind the point, as the reference has it; what JSON cannot say is null.
fn push_double(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    let mut text = [0; float::MAX_TEXT];
    let length = float::print(value, &mut text);
    out.extend_from_slice(text.get(..length).unwrap_or_default());
}

/// Appends a whole string.
pub fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = Some(text);
    while let Some(text) = rest {
        rest = push_piece(out, text);
    }
}

/// Appends the first piece of a string's content, and the closing quote after the last; returns what is left.
fn push_piece<'a>(out: &mut Vec<u8>, text: &'a [u8]) -> Option<&'a [u8]> {
    let piece = text.get(..TEXT_PIECE).unwrap_or(text);
    let is_last = piece.len() == text.len();
    let mut done = 0;
    for chunk in piece.utf8_chunks() {
        let (valid, invalid) = (chunk.valid(), chunk.invalid());
        push_escaped(out, valid.as_bytes());
        done += valid.len();
        // A character that the piece's end may have cut is the next piece's.
        if !invalid.is_empty() && (is_last || done + invalid.len() < piece.len()) {
            out.extend_from_slice("\u{fffd}".as_bytes());
            done += invalid.len();
        }
    }
    if is_last {
        out.push(b'"');
        return None;
    }
    text.get(done..)
}

fn push_escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, rest) = text.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, rest)) = rest.split_first() else { return };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            8 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => {
                let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        }
        text = rest;
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::ubus::blob::{self, tests as trees};
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

    /// However long, and whatever is to be escaped in them.
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
