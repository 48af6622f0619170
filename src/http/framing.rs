//! How a request's body is delimited, and reading it from the stream.

use super::chunked::{Chunked, Piece};
use super::headers::{decimal, list};
use super::reject::Reject;

/// How a request's body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// A fixed number of bytes.
    Length(u64),
    /// Chunks up to an empty one: RFC 9112 §7.1.
    Chunked,
    /// Up to the end of the stream of HTTP/2, which the decoder does not see.
    #[cfg(feature = "http2")]
    Stream,
}

/// What the fields of a request say about its body, gathered field by field.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyFields {
    length: Option<u64>,
    coding: TransferCoding,
}

impl BodyFields {
    /// Adds a `Content-Length`.
    ///
    /// RFC 9110 §8.6 would allow equal repetitions. No client sends them, and accepting them helps request smuggling.
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        let Some(length) = decimal(value) else {
            return Err(Reject::bad("malformed Content-Length"));
        };
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Reject::bad("more than one Content-Length")),
        }
    }

    /// Adds a `Transfer-Encoding`.
    pub fn transfer_encoding(&mut self, value: &[u8]) {
        let alone = value.eq_ignore_ascii_case(b"chunked");
        for coding in list(value) {
            self.coding = match (self.coding, coding.eq_ignore_ascii_case(b"chunked")) {
                (TransferCoding::None, true) if alone => TransferCoding::Chunked,
                (TransferCoding::None | TransferCoding::Other, false) => TransferCoding::Other,
                (TransferCoding::Other, true) => TransferCoding::OtherChunked,
                // RFC 9112 §6.1: chunked comes last, and once. Other recipients may parse a list with commas
                // differently.
                _ => TransferCoding::Faulty,
            };
        }
        if list(value).next().is_none() {
            self.coding = TransferCoding::Faulty;
        }
    }

    /// Decides, in the order of RFC 9112 §6.3 and with the numbers of its list.
    pub fn framing(self, minor_version: u8) -> Result<Framing, Reject> {
        match (self.coding, self.length) {
            // 1., 2. are about responses.
            // 5. was refused in `content_length`.
            // 6. a valid Content-Length.
            (TransferCoding::None, Some(length)) => Ok(Framing::Length(length)),
            // 7. a request without either has no body; 8. is about responses.
            (TransferCoding::None, None) => Ok(Framing::None),
            // 3. Both: a smuggling attempt, or a broken sender.
            (_, Some(_)) => Err(Reject::bad("both Transfer-Encoding and Content-Length")),
            // RFC 9112 §6.1: from HTTP/1.0 the framing is faulty.
            (_, None) if minor_version == 0 => Err(Reject::bad("Transfer-Encoding in HTTP/1.0")),
            // 4. chunked, and alone. With another last coding, the end of the body can't be determined.
            (TransferCoding::Chunked, None) => Ok(Framing::Chunked),
            (TransferCoding::Other | TransferCoding::Faulty, None) => {
                Err(Reject::bad("chunked is not the last transfer coding"))
            }
            // RFC 9112 §6.1: a coding that is not implemented.
            (TransferCoding::OtherChunked, None) => Err(Reject::close(501, "unknown transfer coding")),
        }
    }
}

/// Reads one body from the stream, however its bytes are split.
#[derive(Clone, Copy, Debug)]
pub struct Decoder(Progress);

impl Decoder {
    /// A decoder for a body that starts with the next byte.
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None => Progress::Length(0),
            Framing::Length(length) => Progress::Length(length),
            Framing::Chunked => Progress::Chunked(Chunked::default()),
            #[cfg(feature = "http2")]
            Framing::Stream => Progress::Stream,
        })
    }

    /// Whether the whole body was read.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Progress::Length(left) => *left == 0,
            Progress::Chunked(chunked) => chunked.is_done(),
            #[cfg(feature = "http2")]
            Progress::Stream => false,
        }
    }

    /// The number of bytes to come, if known.
    pub fn left(&self) -> Option<u64> {
        match &self.0 {
            Progress::Length(left) => Some(*left),
            Progress::Chunked(chunked) => chunked.is_done().then_some(0),
            #[cfg(feature = "http2")]
            Progress::Stream => None,
        }
    }

    /// Consumes bytes up to the end of the next run of payload, never past the end of the body.
    ///
    /// The caller drops `used` bytes and calls again until there is no input or [`is_done`](Self::is_done). After an
    /// error the decoder must not be used again.
    pub fn decode(&mut self, input: &[u8]) -> Result<Piece, Reject> {
        match &mut self.0 {
            Progress::Length(left) => {
                let end = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= end as u64;
                Ok(Piece { start: 0, end, used: end })
            }
            Progress::Chunked(chunked) => chunked.decode(input),
            #[cfg(feature = "http2")]
            Progress::Stream => Ok(Piece { start: 0, end: input.len(), used: input.len() }),
        }
    }
}

/// What all lines of `Transfer-Encoding` say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TransferCoding {
    #[default]
    None,
    /// Chunked alone.
    Chunked,
    /// Others, not chunked so far.
    Other,
    /// Others, then chunked.
    OtherChunked,
    /// An invalid order of codings.
    Faulty,
}

#[derive(Clone, Copy, Debug)]
enum Progress {
    /// The number of bytes to come.
    Length(u64),
    Chunked(Chunked),
    #[cfg(feature = "http2")]
    Stream,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on fields given as `c…` for Content-Length and `t…` for Transfer-Encoding.
    fn framing(minor: u8, fields: &[&str]) -> Result<Framing, u16> {
        let mut body = BodyFields::default();
        for field in fields {
            let value = &field.as_bytes()[1..];
            if field.starts_with('c') {
                body.content_length(value).map_err(|reject| reject.status)?;
            } else {
                body.transfer_encoding(value);
            }
        }
        body.framing(minor).map_err(|reject| reject.status)
    }

    #[test]
    fn request_bodies() {
        #[rustfmt::skip]
        let rows: [(&[&str], Result<Framing, u16>, &str); 28] = [
            (&[], Ok(Framing::None), "nothing"),
            (&["c0"], Ok(Framing::Length(0)), "zero"),
            (&["c18446744073709551615"], Ok(Framing::Length(u64::MAX)), "largest"),
            (&["c18446744073709551616"], Err(400), "overflow"),
            (&["c"], Err(400), "empty length"),
            (&["c+3"], Err(400), "sign"),
            (&["c3, 3"], Err(400), "list of lengths"),
            (&["c3", "c3"], Err(400), "equal lengths twice"),
            (&["c3", "c4"], Err(400), "different lengths"),
            (&["tchunked"], Ok(Framing::Chunked), "chunked"),
            (&["tCHUNKED"], Ok(Framing::Chunked), "chunked in capitals"),
            (&["tgzip, chunked"], Err(501), "gzip below"),
            (&["tgzip", "tchunked"], Err(501), "gzip below, in two lines"),
            (&["tgzip,, deflate ,Chunked"], Err(501), "two below"),
            (&["tchunked, gzip"], Err(400), "gzip above"),
            (&["tchunked", "tgzip"], Err(400), "gzip above, in two lines"),
            (&["tgzip"], Err(400), "gzip alone"),
            (&["tgzip, chunked", "tdeflate"], Err(400), "chunked in the middle"),
            (&["tidentity"], Err(400), "identity"),
            (&["t"], Err(400), "empty coding"),
            (&["tchunked", "t"], Err(400), "an empty line more"),
            (&["tchunked,"], Err(400), "chunked and a comma"),
            (&["tchunked;q=1"], Err(400), "a parameter of chunked"),
            (&["txchunked"], Err(400), "like chunked"),
            (&["tchunked", "tchunked"], Err(400), "chunked twice"),
            (&["tchunked, chunked"], Err(400), "chunked twice, in a line"),
            (&["tchunked", "c3"], Err(400), "both"),
            (&["c3", "tgzip"], Err(400), "both, unknown coding"),
        ];
        for (fields, verdict, name) in rows {
            assert_eq!(framing(1, fields), verdict, "{name}");
        }
        assert_eq!(framing(0, &["tchunked"]), Err(400), "chunked in HTTP/1.0");
        assert_eq!(framing(0, &["c3"]), Ok(Framing::Length(3)), "length in HTTP/1.0");
    }

    #[test]
    fn a_length_is_taken_and_no_byte_more() {
        for cut in 0..=5 {
            let mut decoder = Decoder::new(Framing::Length(5));
            let (first, second) = b"hello".split_at(cut);
            let piece = decoder.decode(first).unwrap();
            assert_eq!((piece.start, piece.end, piece.used), (0, cut, cut));
            assert_eq!(decoder.left(), Some(5 - cut as u64));
            let piece = decoder.decode(&[second, b"GET"].concat()).unwrap();
            assert_eq!(piece.used, 5 - cut);
            assert!(decoder.is_done());
            assert_eq!(decoder.decode(b"GET").unwrap(), Piece::default());
        }
        assert!(Decoder::new(Framing::None).is_done());
        assert!(Decoder::new(Framing::Length(0)).is_done());
        assert!(!Decoder::new(Framing::Chunked).is_done());
    }

    #[test]
    fn a_decoder_is_small() {
        assert!(size_of::<Decoder>() <= 24);
    }
}
