//! A chunked body: the same however it is cut, as the RFC's grammar has it, and what it holds survives being coded again.
#![no_main]

use ecohttpd_fuzz::http::framing::{Decoder, Framing};
use ecohttpd_fuzz::http::{CHUNK_END, LAST_CHUNK, chunk_head};

/// The payload, how many bytes of the input were the body, and whether it was whole; or why it is refused.
type Verdict = Result<(Vec<u8>, usize, bool), &'static str>;

/// Refusals that the grammar does not know.
const LIMITS: [&str; 4] = [
    "chunk size too long",
    "chunk extension or trailers too long",
    "too many trailers",
    "too much chunk framing for too little payload",
];

fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut payload, mut used) = (Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() && !decoder.is_done() {
            let step = decoder.decode(piece).map_err(|reject| reject.reason)?;
            assert!(step.used > 0 && step.start <= step.end && step.end <= step.used && step.used <= piece.len());
            payload.extend_from_slice(&piece[step.start..step.end]);
            used += step.used;
            piece = &piece[step.used..];
        }
    }
    Ok((payload, used, decoder.is_done()))
}

/// What the grammar of RFC 9112 §7.1, read a line at a time, makes of a body.
#[derive(Debug, PartialEq)]
enum Read {
    Whole(Vec<u8>, usize),
    /// It may go on, if what there is of its last line may.
    Cut,
    Broken,
}

fn read(input: &[u8]) -> Read {
    let (mut payload, mut rest) = (Vec::new(), input);
    loop {
        let (size, after) = match line(rest, size_line) {
            Ok(read) => read,
            Err(read) => return read,
        };
        rest = after;
        if size == 0 {
            break;
        }
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        payload.extend_from_slice(&rest[..there]);
        rest = &rest[there..];
        match rest {
            [b'\r', b'\n', after @ ..] => rest = after,
            [] | [b'\r'] => return Read::Cut,
            _ => return Read::Broken,
        }
    }
    loop {
        match line(rest, trailer) {
            Ok((is_last, after)) if is_last => return Read::Whole(payload, input.len() - after.len()),
            Ok((_, after)) => rest = after,
            Err(read) => return read,
        }
    }
}

fn line<T>(input: &[u8], read: fn(&[u8]) -> Option<T>) -> Result<(T, &[u8]), Read> {
    let end = input.iter().position(|&byte| byte == b'\n').ok_or(Read::Cut)?;
    let text = input[..end].strip_suffix(b"\r").ok_or(Read::Broken)?;
    Ok((read(text).ok_or(Read::Broken)?, &input[end + 1..]))
}

/// `chunk-size [ chunk-ext ]`
fn size_line(text: &[u8]) -> Option<u64> {
    let (digits, mut rest) = span(text, |byte| byte.is_ascii_hexdigit());
    let size = u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    while !rest.is_empty() {
        rest = token(blank(blank(rest).strip_prefix(b";")?))?;
        if let Some(value) = blank(rest).strip_prefix(b"=") {
            rest = blank(value).strip_prefix(b"\"").map_or_else(|| token(blank(value)), quoted)?;
        }
    }
    Some(size)
}

/// The line of a field, or the empty one that ends them.
fn trailer(text: &[u8]) -> Option<bool> {
    if text.is_empty() {
        return Some(true);
    }
    let value = token(text)?.strip_prefix(b":")?;
    value.iter().all(|&byte| is_text(byte)).then_some(false)
}

/// What follows a token (RFC 9110 §5.6.2).
fn token(text: &[u8]) -> Option<&[u8]> {
    let (token, rest) = span(text, |byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    (!token.is_empty()).then_some(rest)
}

/// What follows a string whose first quote was taken (RFC 9110 §5.6.4).
fn quoted(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b'"', rest @ ..] => Some(rest),
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] if is_text(*byte) => quoted(rest),
        _ => None,
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// What follows `BWS`.
fn blank(text: &[u8]) -> &[u8] {
    span(text, |byte| matches!(byte, b' ' | b'\t')).1
}

fn span(text: &[u8], is_in: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&byte| !is_in(byte)).unwrap_or(text.len()))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let whole = feed([data]);
    assert_eq!(whole, feed(data.chunks(1)), "byte by byte");
    assert_eq!(whole, feed(data.chunks(data.len() / 2 + 1)), "in halves");
    match (&whole, read(data)) {
        (Err(reason), _) if LIMITS.contains(reason) => {}
        (Ok((payload, used, true)), by_grammar) => assert_eq!(by_grammar, Read::Whole(payload.clone(), *used)),
        (Ok(_), by_grammar) => assert_eq!(by_grammar, Read::Cut),
        // What begins to be wrong in the last line is seen before that ends.
        (Err(reason), by_grammar) => assert!(!matches!(by_grammar, Read::Whole(..)), "{reason}: {by_grammar:?}"),
    }
    let Ok((payload, _, _)) = whole else { return };
    let mut coded = Vec::new();
    for piece in payload.chunks(7) {
        chunk_head(&mut coded, piece.len() as u64);
        coded.extend_from_slice(piece);
        coded.extend_from_slice(CHUNK_END);
    }
    coded.extend_from_slice(LAST_CHUNK);
    let length = coded.len();
    coded.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert_eq!(feed([&coded[..]]), Ok((payload, length, true)));
});
