//! Reading JSON text where it lies, and writing it into blobs.

use super::number::{parse_double, parse_whole};
use crate::daemon::ubus::blob::{Writer, kind};
use std::borrow::Cow;

/// Deepest nesting that is read: as deep as the reference's parser goes.
const MAX_READ_DEPTH: u32 = 32;

/// Longest name of a member, in bytes: a blob has two bytes for its length.
const MAX_NAME: usize = u16::MAX as usize;

/// The value that a text consists of, without the space around it; `None` if it is not JSON. The content of strings is
/// checked by [`is_sound`].
pub fn check(text: &[u8]) -> Option<&[u8]> {
    let mut reader = JsonReader::new(text);
    let value = reader.skip(0)?;
    reader.space();
    reader.rest.is_empty().then_some(value)
}

/// Whether the strings in a value that [`check`] has accepted are UTF-8 (RFC 8259 §8.1) without U+0000.
pub fn is_sound(value: &[u8]) -> bool {
    let mut reader = JsonReader::new(value);
    str::from_utf8(value).is_ok() && reader.skip(0).is_some() && !reader.nul
}

/// The elements of an array that [`check`] has accepted; `None` if it is not an array.
pub fn elements(array: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut reader = JsonReader::new(array.strip_prefix(b"[")?);
    Some(std::iter::from_fn(move || {
        reader.comma();
        reader.skip(0)
    }))
}

/// The members of an object that [`check`] has accepted; `None` if it is not an object.
pub fn members(object: &[u8]) -> Option<impl Iterator<Item = (Cow<'_, [u8]>, &[u8])>> {
    let mut reader = JsonReader::new(object.strip_prefix(b"{")?);
    Some(std::iter::from_fn(move || {
        reader.comma();
        let name = reader.name()?;
        Some((name, reader.skip(0)?))
    }))
}

/// The content of a string; `None` if it is not a string.
pub fn string(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    JsonReader::new(value).string()
}

/// Writes a value that [`check`] has accepted as a field of a blob: whole numbers in 32 or 64 bits (the nearest if they do
/// not fit), other numbers as doubles, null without a value.
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
        Some(_) => match parse_whole(value) {
            Some(number) => out.int(name, number),
            None => {
                out.value(kind::DOUBLE, name, &parse_double(value).to_be_bytes());
            }
        },
    }
}

/// The text that is left to read. Its methods return `None` if it is not JSON.
struct JsonReader<'a> {
    rest: &'a [u8],
    /// A string with an escape of U+0000 was read.
    nul: bool,
}

impl<'a> JsonReader<'a> {
    fn new(text: &'a [u8]) -> JsonReader<'a> {
        JsonReader { rest: text, nul: false }
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Skips a byte, and space before it.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// Skips the comma between elements whose syntax has been checked.
    fn comma(&mut self) {
        let _ = self.take(b',');
    }

    /// Reads a member's name and its colon.
    fn name(&mut self) -> Option<Cow<'a, [u8]>> {
        self.space();
        let name = self.string()?;
        self.take(b':')?;
        (name.len() <= MAX_NAME).then_some(name)
    }

    /// Skips a value, and space before it, and returns it.
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

    /// Skips an object or an array; `item` skips one of its items.
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

    /// Skips a string. Returns what is between its quotes, and whether it contains escapes.
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

/// The character of an escape, and the length of the escape.
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
