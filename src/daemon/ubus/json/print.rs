//! Printing blobs as JSON text, in pieces.

use crate::daemon::sys::float;
use crate::daemon::ubus::blob::{Attr, Attrs, Field, Value};
use std::io::Write;

/// Deepest nesting that is printed. Deeper values appear as null.
const MAX_PRINT_DEPTH: usize = 64;

/// Bytes printed before the printer pauses for them to be sent: a few packets.
pub const PIECE: usize = 8 << 10;

/// Most bytes of text that are escaped at once.
pub const TEXT_PIECE: usize = 2 << 10;

/// Prints a table of a blob in pieces, whatever its size and depth.
pub struct Printer<'a> {
    /// The open tables and arrays.
    levels: Vec<Level<'a>>,
    /// The rest of an unfinished string or name.
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
    /// Begins a table with these fields.
    pub fn new(fields: &'a [u8], out: &mut Vec<u8>) -> Printer<'a> {
        let mut printer = Printer { levels: Vec::new(), text: None, named: None };
        printer.begin(fields, false, out);
        printer
    }

    /// Prints until `out` holds a piece. Returns false at the end.
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

/// Six digits after the point, as in the reference. What JSON can't represent is null.
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

/// Appends the first piece of a string's content, and the closing quote after the last one. Returns the rest.
fn push_piece<'a>(out: &mut Vec<u8>, text: &'a [u8]) -> Option<&'a [u8]> {
    let piece = text.get(..TEXT_PIECE).unwrap_or(text);
    let is_last = piece.len() == text.len();
    let mut done = 0;
    for chunk in piece.utf8_chunks() {
        let (valid, invalid) = (chunk.valid(), chunk.invalid());
        push_escaped(out, valid.as_bytes());
        done += valid.len();
        // A character that may be cut by the end of the piece is left for the next one.
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
