//! Reading the heads that nearly all clients send, in one pass that finds their end on the way.
//!
//! Only what is right beyond doubt is read here: a path without percent-encoding, HTTP/1.1, no folded line. Everything else
//! is left to the scanner and the parser, which say what is wrong. `head` tests that they agree.

use super::headers::{controls, is_target_byte, is_tchar, is_value_byte, lowest};
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
    let mut at = lower_words(bytes, start);
    for byte in bytes.get_mut(at..)? {
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

/// Changes letters to lower case, eight bytes at a time, up to the first byte that is neither a letter nor a hyphen, or near
/// the end of the input. Returns where it has stopped.
fn lower_words(bytes: &mut [u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        let text = u64::from_le_bytes(*word);
        let others = not_of_names(text);
        if others == 0 {
            *word = (text | CASE).to_le_bytes();
            at += 8;
            continue;
        }
        let (known, mask) = (lowest(others), (others & others.wrapping_neg()) - 1);
        // The mask ends within the byte of the mark, whose bit of case it must not reach.
        *word = (text | (CASE & (mask >> 7))).to_le_bytes();
        return at + known;
    }
    at
}

/// The bit in which letters of both cases differ. A hyphen has it.
const CASE: u64 = u64::from_le_bytes([0x20; 8]);

/// A word with the high bit set in each byte that is neither a letter nor a hyphen.
const fn not_of_names(word: u64) -> u64 {
    const fn each(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    // Without the high bits, sums do not carry into the next byte.
    let (low, lower) = (word & each(0x7f), (word | CASE) & each(0x7f));
    let letters = (lower + each(0x80 - b'a')) & !(lower + each(0x7f - b'z'));
    let hyphens = !((low ^ each(b'-')) + each(0x7f));
    (!(letters | hyphens) | word) & each(0x80)
}

/// Where the value at `at` ends, at a CR with an LF behind it.
pub fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_names() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut text = *b"Aa-zZ-Mn";
                text[at] = byte;
                let mut want = text;
                let plain = byte.is_ascii_alphabetic() || byte == b'-';
                let end = if plain { 8 } else { at };
                want[..end].make_ascii_lowercase();
                assert_eq!(lower_words(&mut text, 0), end, "{byte:#x} at {at}");
                assert_eq!(text, want, "{byte:#x} at {at}");
            }
        }
    }
}
