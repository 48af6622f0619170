//! Reading the heads that nearly all clients send, in one pass that finds their end on the way.
//!
//! Only what is right beyond doubt is read here: a path without percent-encoding, HTTP/1.1, no folded line. Everything else
//! is left to the scanner and the parser, which say what is wrong. `head` tests that they agree.

use super::headers::{is_target_byte, is_tchar, is_value_byte, lowest};
use super::span::Span;

/// Bytes of a head that are read this way at the most. They are copied before it is known where the head ends.
pub const USUAL_MAX: usize = 4096;

/// What ends the request line.
const VERSION: &[u8] = b" HTTP/1.1\r\n";

/// A request line.
pub struct Line {
    pub method: Span,
    pub target: Span,
    pub path: Span,
    pub query: Span,
    /// Where the fields start.
    pub end: usize,
}

/// Reads a request line with a plain target of origin form; `None` if it is another one, or unfinished.
pub fn request_line(bytes: &[u8]) -> Option<Line> {
    let method = match bytes {
        [b'G', b'E', b'T', b' ', b'/', ..] => 3,
        [b'H', b'E', b'A', b'D', b' ', b'/', ..] | [b'P', b'O', b'S', b'T', b' ', b'/', ..] => 4,
        _ => return None,
    };
    let start = method + 1;
    let mut path_end = None;
    let mut end = start;
    loop {
        match *bytes.get(end)? {
            byte if is_target_byte(byte) => {}
            b'?' => path_end = path_end.or(Some(end)),
            b' ' => break,
            _ => return None,
        }
        end += 1;
    }
    if !bytes.get(end..)?.starts_with(VERSION) {
        return None;
    }
    let path_end = path_end.unwrap_or(end);
    Some(Line {
        method: Span::between(0, method),
        target: Span::between(start, end),
        path: Span::between(start, path_end),
        query: Span::between((path_end + 1).min(end), end),
        end: end + VERSION.len(),
    })
}

/// What stands at the beginning of a line.
pub enum Next {
    Field {
        name: Span,
        value: Span,
        end: usize,
    },
    /// The empty line, and where it ends.
    End(usize),
}

/// Reads the field line at `start`, and changes its name to lower case; `None` if it is unusual, or unfinished.
pub fn field_line(bytes: &mut [u8], start: usize) -> Option<Next> {
    let mut at = start;
    for byte in bytes.get_mut(start..)? {
        let lower = LOWER[usize::from(*byte)];
        if lower == 0 {
            break;
        }
        *byte = lower;
        at += 1;
    }
    let colon = *bytes.get(at)?;
    if at == start {
        return (colon == b'\r' && *bytes.get(at + 1)? == b'\n').then_some(Next::End(at + 2));
    }
    if colon != b':' {
        return None;
    }
    let name = Span::between(start, at);
    at += 1;
    while matches!(bytes.get(at)?, b' ' | b'\t') {
        at += 1;
    }
    let end = value_end(bytes, at)?;
    let value = bytes.get(at..end)?;
    let blanks = value.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    Some(Next::Field { name, value: Span::between(at, end - blanks), end: end + 2 })
}

/// Where the value at `at` ends, at a CR with an LF behind it.
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let hits = controls(*word);
            if hits != 0 {
                at += lowest(hits);
                break;
            }
            at += 8;
        }
        match *bytes.get(at)? {
            b'\r' => return (*bytes.get(at + 1)? == b'\n').then_some(at),
            byte if is_value_byte(byte) => at += 1,
            _ => return None,
        }
    }
}

/// A word in which the high bit is set in the first byte that is a control character. Bytes behind it may be marked, too.
const fn controls(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let word = u64::from_le_bytes(word);
    let delete = word ^ (ONES * 0x7f);
    (word.wrapping_sub(ONES * 0x20) & !word | delete.wrapping_sub(ONES) & !delete) & HIGH
}

/// The lower case of each byte that a field name may have; 0 for the others.
static LOWER: [u8; 256] = {
    let mut lower = [0; 256];
    let mut byte = u8::MAX;
    while byte > 0 {
        if is_tchar(byte) {
            lower[byte as usize] = byte.to_ascii_lowercase();
        }
        byte -= 1;
    }
    lower
};
