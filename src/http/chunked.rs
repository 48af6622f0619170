//! A decoder for the chunked coding (RFC 9112 §7.1): strict and bounded.

use super::headers::{hex_digit, is_tchar, is_value_byte};
use super::limits::{CHUNK_EXTENSION, CHUNK_FREE, CHUNK_OVERHEAD, CHUNK_SIZE_DIGITS, TRAILER, TRAILER_FIELDS};
use super::reject::Reject;
use std::error::Error;
use std::fmt;

/// Decodes one chunked body as its bytes arrive (RFC 9112 §7.1). A default one starts before the first chunk.
///
/// Strict: anything outside the grammar is an error. Bounded: long extensions and trailers, and much framing around
/// little payload, are errors, too. Extensions and trailers are skipped. It keeps no bytes.
///
/// ```
/// let mut chunked = ecohttpd::Chunked::default();
/// let mut input = &b"5;x=y\r\nhello\r\n0\r\n\r\nnext"[..];
/// assert_eq!(chunked.take(&mut input), Ok(&b"hello"[..]));
/// assert_eq!(chunked.take(&mut input), Ok(&b""[..]));
/// assert!(chunked.is_done() && input == b"next");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunked {
    /// The size while it is being read, then the bytes of the chunk that are to come.
    left: u64,
    /// Bytes of framing beyond what payload and chunks allow for; at most [`CHUNK_OVERHEAD`].
    overhead: u32,
    /// Bytes of this chunk's extensions, or of all trailers.
    line: u16,
    /// Digits of this chunk's size, or fields among the trailers.
    count: u8,
    at: At,
}

/// The result of [`Decoder::decode`](super::framing::Decoder::decode): the payload is `input[start..end]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Where the payload starts.
    pub start: usize,
    /// Where the payload ends; `start` if it is empty.
    pub end: usize,
    /// How many bytes of the input were consumed.
    pub used: usize,
}

/// What is wrong with a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(&'static str);

impl BadChunk {
    /// What is wrong, in a few words.
    pub fn reason(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for BadChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for BadChunk {}

impl Chunked {
    /// Whether the last chunk and the trailers were taken.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Takes bytes off the front of `input` up to and with the next run of payload, which is returned.
    ///
    /// It is empty when the body has ended, or when `input` is used up. Nothing after the end of the body is taken.
    ///
    /// # Errors
    /// If the body breaks the coding. The rest of it can't be read.
    pub fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<&'a [u8], BadChunk> {
        let piece = self.decode(input).map_err(|reject| BadChunk(reject.reason))?;
        let payload = input.get(piece.start..piece.end).unwrap_or_default();
        *input = input.get(piece.used..).unwrap_or_default();
        Ok(payload)
    }

    /// See [`Decoder::decode`](super::framing::Decoder::decode).
    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<Piece, Reject> {
        let mut used = 0;
        for &byte in input {
            match self.at {
                At::Done => break,
                At::Data => return Ok(self.payload(used, input.len())),
                _ => self.framing(byte)?,
            }
            used += 1;
        }
        Ok(Piece { start: used, end: used, used })
    }

    /// Takes the payload between `start` and `end`, as far as it belongs to this chunk.
    fn payload(&mut self, start: usize, end: usize) -> Piece {
        let there = end - start;
        let len = usize::try_from(self.left).map_or(there, |left| left.min(there));
        self.left -= len as u64;
        if self.left == 0 {
            self.at = At::DataCr;
        }
        Piece { start, end: start + len, used: start + len }
    }

    /// Takes one byte that is not payload.
    fn framing(&mut self, byte: u8) -> Result<(), Reject> {
        self.at = match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.count == CHUNK_SIZE_DIGITS {
                    return Err(Reject::bad("chunk size too long"));
                }
                self.count += 1;
                self.left = self.left << 4 | u64::from(hex_digit(byte).unwrap_or_default());
                At::Size
            }
            (At::Size, _) if self.count == 0 => {
                return Err(Reject::bad("chunk without a size"));
            }
            (At::Size | At::Name | At::Value | At::Quoted, b'\r') => At::SizeLf,
            // `BWS` is allowed around a semicolon or an equals sign, but not alone.
            (At::Size | At::Space, b' ' | b'\t') => self.spend(CHUNK_EXTENSION, At::Space)?,
            (At::Size | At::Space, b';') => self.spend(CHUNK_EXTENSION, At::Semicolon)?,
            (At::Size | At::Space, _) => return Err(Reject::bad("malformed chunk size")),
            (At::Semicolon, b' ' | b'\t') => self.spend(CHUNK_EXTENSION, At::Semicolon)?,
            (At::Semicolon | At::Name, _) if is_tchar(byte) => self.spend(CHUNK_EXTENSION, At::Name)?,
            (At::Name | At::NameSpace, b'=') => self.spend(CHUNK_EXTENSION, At::Equals)?,
            (At::Name | At::NameSpace, b' ' | b'\t') => self.spend(CHUNK_EXTENSION, At::NameSpace)?,
            (At::Equals, b' ' | b'\t') => self.spend(CHUNK_EXTENSION, At::Equals)?,
            (At::Equals, b'"') => self.spend(CHUNK_EXTENSION, At::Quote)?,
            (At::Equals | At::Value, _) if is_tchar(byte) => self.spend(CHUNK_EXTENSION, At::Value)?,
            (At::Quote, b'"') => self.spend(CHUNK_EXTENSION, At::Quoted)?,
            (At::Quote, b'\\') => self.spend(CHUNK_EXTENSION, At::Backslash)?,
            (At::Quote | At::Backslash, _) if is_value_byte(byte) => self.spend(CHUNK_EXTENSION, At::Quote)?,
            (At::Value | At::Quoted, b' ' | b'\t') => self.spend(CHUNK_EXTENSION, At::Space)?,
            (At::Name | At::NameSpace | At::Value | At::Quoted, b';') => self.spend(CHUNK_EXTENSION, At::Semicolon)?,
            (At::SizeLf, b'\n') => self.chunk()?,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::DataCr | At::DataLf, _) => return Err(Reject::bad("chunk longer than its size")),
            (At::Trailer, b'\r') => At::EndLf,
            (At::Trailer, _) if is_tchar(byte) => {
                if self.count == TRAILER_FIELDS {
                    return Err(Reject::bad("too many trailers"));
                }
                self.count += 1;
                self.spend(TRAILER, At::TrailerName)?
            }
            (At::TrailerName, _) if is_tchar(byte) => self.spend(TRAILER, At::TrailerName)?,
            (At::TrailerName, b':') => self.spend(TRAILER, At::TrailerValue)?,
            (At::TrailerValue, _) if is_value_byte(byte) => self.spend(TRAILER, At::TrailerValue)?,
            (At::TrailerValue, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::Trailer,
            (At::EndLf, b'\n') => At::Done,
            (At::Trailer | At::TrailerName | At::TrailerValue | At::TrailerLf | At::EndLf, _) => {
                return Err(Reject::bad("malformed trailer"));
            }
            _ => return Err(Reject::bad("malformed chunk line")),
        };
        Ok(())
    }

    /// Counts a byte of an extension or trailer.
    fn spend(&mut self, limit: u16, next: At) -> Result<At, Reject> {
        if self.line == limit {
            return Err(Reject::bad("chunk extension or trailers too long"));
        }
        self.line += 1;
        Ok(next)
    }

    /// Ends a size line. Its chunk follows, or the trailers after the last one.
    fn chunk(&mut self) -> Result<At, Reject> {
        const CRLFS: u32 = 4;
        let cost = u32::from(self.count) + u32::from(self.line) + CRLFS;
        let earned = u32::try_from(self.left.saturating_mul(2)).unwrap_or(u32::MAX);
        self.overhead = (self.overhead + cost).saturating_sub(earned.saturating_add(CHUNK_FREE));
        if self.overhead > CHUNK_OVERHEAD {
            return Err(Reject::bad("too much chunk framing for too little payload"));
        }
        self.line = 0;
        self.count = 0;
        Ok(if self.left == 0 { At::Trailer } else { At::Data })
    }
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// A digit of the size, or what ends it.
    #[default]
    Size,
    /// White space before a semicolon.
    Space,
    /// An extension (RFC 9112 §7.1.1): behind its semicolon, in its name, behind that, and behind the equals sign.
    Semicolon,
    Name,
    NameSpace,
    Equals,
    /// In a value that is a token.
    Value,
    /// In a value that is a string, behind a backslash in it, and behind the string.
    Quote,
    Backslash,
    Quoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer, or of the empty line that ends the body.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out when the pieces are fed one after the other: payload, bytes used, end seen.
    fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, usize, bool), u16> {
        let mut chunked = Chunked::default();
        let (mut payload, mut used) = (Vec::new(), 0);
        for mut piece in pieces {
            while !piece.is_empty() && !chunked.is_done() {
                let got = chunked.decode(piece).map_err(|reject| {
                    assert!(reject.close);
                    reject.status
                })?;
                assert!(got.used > 0, "no progress");
                payload.extend_from_slice(&piece[got.start..got.end]);
                piece = &piece[got.used..];
                used += got.used;
            }
        }
        Ok((payload, used, chunked.is_done()))
    }

    #[test]
    fn rules() {
        let ext = usize::from(CHUNK_EXTENSION);
        let trailer = usize::from(TRAILER);
        #[rustfmt::skip]
        let rows: Vec<(String, Result<&str, u16>, &str)> = vec![
            ("0\r\n\r\n".into(), Ok(""), "empty"),
            ("5\r\nhello\r\n0\r\n\r\n".into(), Ok("hello"), "one chunk"),
            ("5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n".into(), Ok("hello world"), "two chunks"),
            ("00A\r\n0123456789\r\n0\r\n\r\n".into(), Ok("0123456789"), "capital hex, zeros"),
            ("1;a=b\r\nx\r\n0;c=\"d e\"\r\n\r\n".into(), Ok("x"), "extensions"),
            ("1 \t;a\r\nx\r\n0\r\n\r\n".into(), Ok("x"), "white space before the semicolon"),
            ("1; a \t= \tb ; c = \"\" ;d\r\nx\r\n0\r\n\r\n".into(), Ok("x"), "white space wherever it may be"),
            ("1;a=\"\\\";\\x\t\u{e4}\";b\r\nx\r\n0\r\n\r\n".into(), Ok("x"), "a string with escapes"),
            ("1;\r\n".into(), Err(400), "a lone semicolon"),
            ("1; \r\n".into(), Err(400), "a lone semicolon, white space"),
            ("1;;a\r\n".into(), Err(400), "two semicolons"),
            ("1;a;\r\n".into(), Err(400), "a semicolon at the end"),
            ("1;=b\r\n".into(), Err(400), "no name"),
            ("1;a=\r\n".into(), Err(400), "no value"),
            ("1;a=;b\r\n".into(), Err(400), "no value, another extension"),
            ("1;a=b=c\r\n".into(), Err(400), "two equals signs"),
            ("1;a b\r\n".into(), Err(400), "white space in a name"),
            ("1;a \r\n".into(), Err(400), "white space behind a name"),
            ("1;a=b \r\n".into(), Err(400), "white space behind a value"),
            ("1;a=b c\r\n".into(), Err(400), "two values"),
            ("1;a=\"b\r\n".into(), Err(400), "a string without an end"),
            ("1;a=\"b\\\r\n".into(), Err(400), "a backslash at the end"),
            ("1;a=\"b\"c\r\n".into(), Err(400), "something behind a string"),
            ("1;a=b\"c\"\r\n".into(), Err(400), "a quote in a token"),
            ("1;\u{e4}\r\n".into(), Err(400), "no token"),
            ("1;a@b\r\n".into(), Err(400), "a character of no token"),
            ("0\r\nA: b\r\nC:\r\n\r\n".into(), Ok(""), "trailers"),
            (format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(ext - 1)), Ok("x"), "longest extension"),
            (format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(ext)), Err(400), "extension too long"),
            (format!("0\r\nA:{}\r\n\r\n", "a".repeat(trailer - 2)), Ok(""), "longest trailer"),
            (format!("0\r\nA:{}\r\n\r\n", "a".repeat(trailer - 1)), Err(400), "trailer too long"),
            (format!("0\r\n{}\r\n", "A:\r\n".repeat(32)), Ok(""), "most trailers"),
            (format!("0\r\n{}\r\n", "A:\r\n".repeat(33)), Err(400), "too many trailers"),
            ("\r\n".into(), Err(400), "empty size"),
            (";a\r\n".into(), Err(400), "extension without a size"),
            ("g\r\n".into(), Err(400), "not hex"),
            ("0x1\r\n".into(), Err(400), "hex prefix"),
            ("+1\r\n".into(), Err(400), "sign"),
            (" 1\r\n".into(), Err(400), "leading space"),
            ("1 \r\n".into(), Err(400), "trailing space"),
            ("1 2\r\n".into(), Err(400), "space inside"),
            ("00000000000000001\r\n".into(), Err(400), "17 digits"),
            ("1\nx".into(), Err(400), "bare LF after the size"),
            ("1\rx".into(), Err(400), "bare CR after the size"),
            ("1;a\nx".into(), Err(400), "bare LF in an extension"),
            ("1;a\rb".into(), Err(400), "bare CR in an extension"),
            ("1;\0".into(), Err(400), "NUL in an extension"),
            ("1\r\nxy".into(), Err(400), "chunk longer than its size"),
            ("1\r\nx\n".into(), Err(400), "bare LF after a chunk"),
            ("1\r\nx\ry".into(), Err(400), "bare CR after a chunk"),
            ("0\r\n\n".into(), Err(400), "bare LF as the end"),
            ("0\r\n\rx".into(), Err(400), "bare CR as the end"),
            ("0\r\nA : b\r\n".into(), Err(400), "space before the colon"),
            ("0\r\n b\r\n".into(), Err(400), "folded trailer"),
            ("0\r\nA\r\n".into(), Err(400), "trailer without a colon"),
            ("0\r\n:b\r\n".into(), Err(400), "trailer without a name"),
            ("0\r\nA:\0".into(), Err(400), "NUL in a trailer"),
            ("0\r\nA:b\n".into(), Err(400), "bare LF in a trailer"),
        ];
        for (input, verdict, name) in rows {
            let want = verdict.map(|payload| (payload.as_bytes().to_vec(), input.len(), true));
            assert_eq!(feed([input.as_bytes()]), want, "{name}");
            assert_eq!(feed(input.as_bytes().chunks(1)), want, "{name}, byte by byte");
            for cut in 0..input.len().min(80) {
                let (first, second) = input.as_bytes().split_at(cut);
                assert_eq!(feed([first, second]), want, "{name}, cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_taken_is_the_payload() {
        let wire = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\nA: b\r\n\r\nnext";
        for step in 1..wire.len() {
            let (mut chunked, mut payload) = (Chunked::default(), Vec::new());
            let mut left = Vec::new();
            for mut piece in wire.chunks(step) {
                loop {
                    let taken = chunked.take(&mut piece).unwrap();
                    payload.extend_from_slice(taken);
                    if taken.is_empty() {
                        break;
                    }
                }
                left.extend_from_slice(piece);
            }
            assert_eq!((&payload[..], &left[..]), (&b"abcde"[..], &b"next"[..]), "{step}");
        }
        assert_eq!(Chunked::default().take(&mut &b"x"[..]), Err(BadChunk("chunk without a size")));
    }

    #[test]
    fn the_next_request_is_left_alone() {
        let (_, used, done) = feed([b"0\r\n\r\nGET / HTTP/1.1".as_slice()]).unwrap();
        assert_eq!((used, done), (5, true));
    }

    #[test]
    fn the_largest_size_counts_without_overflow() {
        let (payload, _, done) = feed([b"ffffffffffffffff\r\nabc".as_slice()]).unwrap();
        assert_eq!((payload.as_slice(), done), (b"abc".as_slice(), false));
    }

    #[test]
    fn framing_without_payload_is_refused() {
        let greedy = format!("1;{}\r\nx\r\n", "a".repeat(500)).repeat(40);
        assert_eq!(feed([greedy.as_bytes()]), Err(400));
        let modest = "1\r\nx\r\n".repeat(20_000);
        assert!(feed([modest.as_bytes()]).is_ok(), "a byte a chunk is allowed");
        let signed = format!("400;{}\r\n{}\r\n", "s".repeat(800), "x".repeat(1024)).repeat(40);
        assert!(feed([signed.as_bytes()]).is_ok(), "long extensions on real chunks are allowed");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn decoding_undoes_encoding(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            step in 1_usize..50,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                super::super::encoder::chunk_head(&mut wire, chunk.len() as u64);
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(super::super::encoder::CHUNK_END);
            }
            wire.extend_from_slice(super::super::encoder::LAST_CHUNK);
            prop_assert_eq!(feed(wire.chunks(step)), Ok((chunks.concat(), wire.len(), true)));
        }

        #[test]
        fn any_bytes(text in "[0-9a-fx;: \r\n\t]{0,60}", bytes: Vec<u8>) {
            let whole = feed([text.as_bytes()]);
            prop_assert_eq!(feed(text.as_bytes().chunks(1)), whole);
            let _ = feed([bytes.as_slice()]);
        }
    }
}
