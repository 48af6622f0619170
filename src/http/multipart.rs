//! A parser for `multipart/form-data` that arrives in pieces (RFC 7578, RFC 2046 §5.1).
//!
//! Memory does not grow with the parts: data is passed on at once, and only an unfinished line is kept.

use crate::http::limits::{HOLD, MAX_BOUNDARY, MAX_BOUNDARY_PADDING, MAX_PART_HEADERS, MAX_PART_LINE};
use crate::http::parameters::Parameters;
use crate::http::query::into_text;

/// A parser of one form.
#[derive(Debug)]
pub struct Multipart {
    /// CRLF, two dashes and the boundary: what ends a part.
    delimiter: Vec<u8>,
    /// The input: consumed up to `at`, and searched for a delimiter up to `searched`.
    held: Vec<u8>,
    at: usize,
    searched: usize,
    state: State,
    /// The body has ended: nothing more will be fed.
    ended: bool,
}

/// An event of a form. Each part has headers, then data; its last piece of data is marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A header line of a part.
    Header {
        /// In lower case.
        name: String,
        /// Without the space around it; what is not UTF-8 has become U+FFFD.
        value: String,
    },
    /// Data of a part.
    Body {
        /// The bytes; empty only when `done`.
        data: Vec<u8>,
        /// Says that the part ends here.
        done: bool,
    },
    /// The form is complete.
    End,
}

/// Why a body is not a form; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadForm(pub &'static str);

/// The parser's position in the form.
#[derive(Debug, Clone, Copy)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// At the start of a header line, after so many of them.
    Head { lines: usize },
    /// In the data of a part, `lead` bytes before it.
    ///
    /// The CRLF of the empty line after the headers may also start the delimiter, if the part has no data at all. It is
    /// kept until that is known.
    Data { lead: usize },
    /// After the last delimiter.
    End,
    /// The form was malformed.
    Bad(BadForm),
}

/// What a CR starts.
enum Mark {
    /// No delimiter.
    Data,
    /// Perhaps a delimiter: more bytes are needed.
    Short,
    /// A delimiter line of this many bytes, followed by another part.
    Next(usize),
    /// The last delimiter.
    Last,
}

impl Multipart {
    /// Makes a parser for a form with this `Content-Type`.
    pub fn new(content_type: &[u8]) -> Result<Multipart, BadForm> {
        let (media_type, mut parameters) = Parameters::split(content_type);
        if !media_type.eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(BadForm("not multipart/form-data"));
        }
        let boundary = parameters
            .find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))
            .map(|(_, value)| value)
            .ok_or(BadForm("no boundary"))?;
        // RFC 2046 §5.1.1 allows fewer characters, but clients of Android and Dart send `*****` and `a&b`.
        let legal = |b: &u8| b.is_ascii_graphic() || *b == b' ';
        if !(1..=MAX_BOUNDARY).contains(&boundary.len()) || !boundary.iter().all(legal) || boundary.ends_with(b" ") {
            return Err(BadForm("bad boundary"));
        }
        Ok(Multipart {
            delimiter: [b"\r\n--", &boundary[..]].concat(),
            // The first delimiter may be at the very start. This CRLF makes it like the others.
            held: b"\r\n".to_vec(),
            at: 0,
            searched: 0,
            state: State::Preamble,
            ended: false,
        })
    }

    /// Feeds the next bytes of the body.
    ///
    /// Memory is bounded by these bytes and [`HOLD`], if [`next`](Self::next) returned `None` since the last call.
    pub fn feed(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::End | State::Bad(_)) {
            return;
        }
        debug_assert!(self.held.len() - self.at <= HOLD, "feed before None");
        self.held.drain(..self.at);
        self.searched -= self.at;
        self.at = 0;
        self.held.extend_from_slice(bytes);
    }

    /// Declares the end of the body.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next event; `None` if more bytes are needed.
    ///
    /// After the end it stays [`Event::End`], and after an error that error.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Event>, BadForm> {
        let result = self.step();
        if let Err(error) = result {
            self.stop(State::Bad(error));
        }
        result
    }

    fn step(&mut self) -> Result<Option<Event>, BadForm> {
        loop {
            let event = match self.state {
                State::Preamble => match self.data(0) {
                    // What comes before the first delimiter belongs to no part.
                    Some((_, true)) => continue,
                    _ => None,
                },
                State::Head { lines } => match self.line()? {
                    Some([]) => {
                        self.searched = self.at;
                        self.state = State::Data { lead: 2 };
                        continue;
                    }
                    Some(_) if lines == MAX_PART_HEADERS => {
                        return Err(BadForm("too many header lines"));
                    }
                    Some(line) => {
                        let event = header(line)?;
                        self.at = self.searched + 2;
                        self.searched = self.at;
                        self.state = State::Head { lines: lines + 1 };
                        Some(event)
                    }
                    None => None,
                },
                State::Data { lead } => {
                    let found = self.data(lead);
                    if let Some((_, false)) = found {
                        self.state = State::Data { lead: 0 };
                    }
                    found.map(|(data, done)| Event::Body { data, done })
                }
                State::End => Some(Event::End),
                State::Bad(error) => return Err(error),
            };
            if event.is_none() && self.ended {
                return Err(BadForm("the body ended before the form"));
            }
            return Ok(event);
        }
    }

    /// The header line at `at`, which then ends at `searched`; `None` if its end has not arrived.
    ///
    /// Lines that start with white space continue the line before them (RFC 5322 §2.2.3).
    fn line(&mut self) -> Result<Option<&[u8]>, BadForm> {
        loop {
            let found = find_cr(self.held.get(self.searched..).unwrap_or_default());
            self.searched = found.map_or(self.held.len(), |skip| self.searched + skip);
            let length = self.searched - self.at;
            if length > MAX_PART_LINE {
                return Err(BadForm("header line too long"));
            }
            match self.held.get(self.searched + 1..) {
                Some([b'\n', b' ' | b'\t', ..]) if length > 0 => self.searched += 2,
                // The next byte tells whether the line is continued.
                Some([b'\n']) if length > 0 && !self.ended => return Ok(None),
                Some([b'\n', ..]) => return Ok(self.held.get(self.at..self.searched)),
                Some([_, ..]) => return Err(BadForm("CR without LF in a header")),
                Some([]) | None => return Ok(None),
            }
        }
    }

    /// Takes bytes that are certainly data, without the `lead` before them, and the delimiter that ends them, if any.
    ///
    /// `None` if there are no such bytes.
    fn data(&mut self, lead: usize) -> Option<(Vec<u8>, bool)> {
        let (end, mark) = self.search();
        let start = end.min(self.at + lead);
        let data = self.held.get(start..end).unwrap_or_default().to_vec();
        match mark {
            Mark::Next(len) => {
                self.at = end + len;
                self.searched = self.at;
                self.state = State::Head { lines: 0 };
                Some((data, true))
            }
            Mark::Last => {
                self.stop(State::End);
                Some((data, true))
            }
            Mark::Data | Mark::Short => {
                self.searched = end;
                if data.is_empty() {
                    return None;
                }
                self.at = end;
                Some((data, false))
            }
        }
    }

    /// Finds the first delimiter, or what may become one, or the end of the input.
    ///
    /// A delimiter has a CR only at its start. So the search continues right after a CR that starts none, and matches
    /// no byte twice.
    fn search(&self) -> (usize, Mark) {
        let mut from = self.searched;
        while let Some(rest) = self.held.get(from..)
            && let Some(skip) = find_cr(rest)
        {
            match self.mark(rest.get(skip..).unwrap_or_default()) {
                Mark::Data => from += skip + 1,
                mark => return (from + skip, mark),
            }
        }
        (self.held.len(), Mark::Data)
    }

    /// Tells what a CR starts.
    ///
    /// A boundary followed by anything but the end of the line, or the two dashes of the last one, is data: it may be
    /// the start of a longer boundary, of a nested form.
    fn mark(&self, bytes: &[u8]) -> Mark {
        let Some(rest) = bytes.strip_prefix(self.delimiter.as_slice()) else {
            return match self.delimiter.starts_with(bytes) {
                true => Mark::Short,
                false => Mark::Data,
            };
        };
        if rest.starts_with(b"--") {
            return Mark::Last;
        }
        let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        if padding > MAX_BOUNDARY_PADDING {
            return Mark::Data;
        }
        match rest.get(padding..).unwrap_or_default() {
            [b'\r', b'\n', ..] => Mark::Next(self.delimiter.len() + padding + 2),
            [] | [b'\r'] => Mark::Short,
            [b'-'] if padding == 0 => Mark::Short,
            _ => Mark::Data,
        }
    }

    /// Goes into a state that needs no bytes.
    fn stop(&mut self, state: State) {
        self.held = Vec::new();
        self.at = 0;
        self.searched = 0;
        self.state = state;
    }
}

/// Parses a header line of a part, and unfolds it.
fn header(line: &[u8]) -> Result<Event, BadForm> {
    let colon = line.iter().position(|&b| b == b':');
    let (name, value) =
        colon.and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?))).ok_or(BadForm("header without colon"))?;
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if name.is_empty() || !name.iter().all(token) {
        return Err(BadForm("bad header name"));
    }
    let mut joined = Vec::with_capacity(value.len());
    // A CR is there only where a line is folded.
    for (fold, piece) in value.split(|&b| b == b'\r').enumerate() {
        let piece = if fold > 0 { piece.strip_prefix(b"\n").unwrap_or_default() } else { piece };
        if piece.iter().any(|&b| b.is_ascii_control() && b != b'\t') {
            return Err(BadForm("control character in a header"));
        }
        if fold > 0 {
            joined.push(b' ');
        }
        joined.extend_from_slice(piece.trim_ascii());
    }
    Ok(Event::Header { name: into_text(name.to_ascii_lowercase()), value: into_text(joined.trim_ascii().to_vec()) })
}

/// Finds the first CR, eight bytes at a time: whole uploads pass through here.
fn find_cr(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    const CRS: u64 = u64::from_ne_bytes([b'\r'; 8]);
    let (words, _) = bytes.as_chunks::<8>();
    let clear = words.iter().position(|word| {
        // A byte that is zero after this was a CR; the subtraction carries into its top bit.
        let zeros = u64::from_ne_bytes(*word) ^ CRS;
        zeros.wrapping_sub(ONES) & !zeros & TOPS != 0
    });
    let start = clear.unwrap_or(words.len()) * 8;
    let found = bytes.get(start..)?.iter().position(|&b| b == b'\r')?;
    Some(start + found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Part = (Vec<(String, String)>, Vec<u8>);
    type Verdict = Result<Vec<Part>, BadForm>;

    const FORM: &[u8] = b"multipart/form-data; boundary=b";

    /// Reads a form fed in pieces; checks the order of events and the bound on memory.
    fn read<'a>(kind: &[u8], pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
        let mut form = Multipart::new(kind)?;
        let mut parts = Vec::new();
        let mut part = Part::default();
        let mut in_data = false;
        let mut pieces = pieces.into_iter();
        loop {
            match form.next() {
                Ok(Some(Event::Header { name, value })) => {
                    assert!(!in_data, "header after data");
                    part.0.push((name, value));
                }
                Ok(Some(Event::Body { data, done })) => {
                    assert!(done || !data.is_empty(), "empty data");
                    part.1.extend(data);
                    in_data = !done;
                    if done {
                        parts.push(std::mem::take(&mut part));
                    }
                }
                Ok(Some(Event::End)) => {
                    assert!(!in_data && part.0.is_empty(), "end within a part");
                    form.feed(b"epilogue\r\n--b\r\n");
                    assert_eq!(form.next(), Ok(Some(Event::End)));
                    assert_eq!(form.held.capacity(), 0);
                    return Ok(parts);
                }
                Ok(None) => {
                    assert!(form.held.len() - form.at <= HOLD, "holds too much");
                    match pieces.next() {
                        Some(piece) => form.feed(piece),
                        None => form.finish(),
                    }
                }
                Err(error) => {
                    form.feed(b"more");
                    assert_eq!(form.next(), Err(error), "an error stays");
                    return Err(error);
                }
            }
        }
    }

    fn part(headers: &[(&str, &str)], data: &[u8]) -> Part {
        let own = |(n, v): &(&str, &str)| (n.to_string(), v.to_string());
        (headers.iter().map(own).collect(), data.to_vec())
    }

    #[test]
    fn forms_cut_at_every_byte() {
        let a = &[("a", "1")][..];
        let early = BadForm("the body ended before the form");
        #[rustfmt::skip]
        let rows: &[(&[u8], Verdict, &str)] = &[
            (b"--b\r\nA: 1\r\n\r\nx\r\n--b--\r\n", Ok(vec![part(a, b"x")]), "one part"),
            (b"--b\r\nA: 1\r\n\r\nx\r\n--b--", Ok(vec![part(a, b"x")]), "no CRLF at the end"),
            (b"--b\r\nA: 1\r\n\r\nx\r\n--b\r\nB:2\r\nc:\t 3 \r\n\r\ny\r\n--b--", Ok(vec![part(a, b"x"), part(&[("b", "2"), ("c", "3")], b"y")]), "two parts"),
            (b"--b\r\nA: 1\r\n\r\n\r\n--b--", Ok(vec![part(a, b"")]), "empty data"),
            (b"--b\r\nA: 1\r\n\r\n--b--", Ok(vec![part(a, b"")]), "no data"),
            (b"--b\r\n\r\nx\r\n--b--", Ok(vec![part(&[], b"x")]), "no headers"),
            (b"--b\r\n\r\n--b--", Ok(vec![part(&[], b"")]), "no headers and no data"),
            (b"--b--", Ok(vec![]), "no parts"),
            (b"\r\n--b--\r\n", Ok(vec![]), "no parts, after CRLF"),
            (b"pre\r\namble\r\n--b\r\nA: 1\r\n\r\nx\r\n--b--epilogue", Ok(vec![part(a, b"x")]), "preamble and epilogue"),
            (b"--b \t \r\nA: 1\r\n\r\nx\r\n--b-- \r\n", Ok(vec![part(a, b"x")]), "padding"),
            (b"--b\r\nA: 1\r\n\r\n\r\n\r\r\n\r\n\r\n--b--", Ok(vec![part(a, b"\r\n\r\r\n\r\n")]), "line ends as data"),
            (b"--b\r\nA: 1\r\n\r\n\r\n--\r\n--c\r\n--b-\r\n--bb\r\n--b -\r\n--b--", Ok(vec![part(a, b"\r\n--\r\n--c\r\n--b-\r\n--bb\r\n--b -")]), "nearly delimiters"),
            (b"--b\r\nA: 1\r\n\r\n--b\n\r\n--b\r\r\n--b\r\n\r\n--b--", Ok(vec![part(a, b"--b\n\r\n--b\r"), part(&[], b"")]), "delimiters without CRLF"),
            (b"--b\r\nA: 1\r\n\r\nx--b--\n--b--\r\n--b--", Ok(vec![part(a, b"x--b--\n--b--")]), "a delimiter starts with CRLF"),
            (b"--b\r\nA: \xff\xc3\xa9\r\n\r\n\r\n--b--", Ok(vec![part(&[("a", "\u{fffd}\u{e9}")], b"")]), "not UTF-8"),
            (b"--b\r\nA:\r\n\r\n\r\n--b--", Ok(vec![part(&[("a", "")], b"")]), "empty value"),
            (b"", Err(early), "nothing"),
            (b"x", Err(early), "no form"),
            (b"--b\r\nA: 1\r\n\r\nx\r\n", Err(early), "no delimiter at the end"),
            (b"--b\r\nA: 1\r\n\r\nx\r\n--b\r\n", Err(early), "not the last delimiter"),
            (b"--b\r\nA: 1\r\n\r\nx\r\n--b-", Err(early), "cut in the last delimiter"),
            (b"--b\r\nA: 1\r", Err(early), "cut in a header"),
            (b"--b\r\nA 1\r\n\r\n\r\n--b--", Err(BadForm("header without colon")), "no colon"),
            (b"--b\r\n--b--\r\n", Err(BadForm("header without colon")), "a delimiter for a header"),
            (b"--b\r\nA : 1\r\n\r\n\r\n--b--", Err(BadForm("bad header name")), "space before the colon"),
            (b"--b\r\n: 1\r\n\r\n\r\n--b--", Err(BadForm("bad header name")), "no name"),
            (b"--b\r\nA: 1\r\n b: 2\r\n\r\n\r\n--b--", Ok(vec![part(&[("a", "1 b: 2")], b"")]), "folded"),
            (b"--b\r\nA:\r\n\t 1 \r\n  2\r\nB: 3\r\n\r\n x\r\n--b--", Ok(vec![part(&[("a", "1 2"), ("b", "3")], b" x")]), "folded twice"),
            (b"--b\r\nA: 1\r\n \r\n\r\nx\r\n--b--", Ok(vec![part(a, b"x")]), "folded, nothing in the fold"),
            (b"--b\r\n A: 1\r\n\r\n\r\n--b--", Err(BadForm("bad header name")), "a fold of nothing"),
            (b"--b\r\nA\r\n : 1\r\n\r\n\r\n--b--", Err(BadForm("bad header name")), "folded before the colon"),
            (b"--b\r\nA: 1\r\n 2\n3\r\n\r\n\r\n--b--", Err(BadForm("control character in a header")), "bare LF in a fold"),
            (b"--b\r\nA: 1\r\n 2\r3\r\n\r\n\r\n--b--", Err(BadForm("CR without LF in a header")), "bare CR in a fold"),
            (b"--b\r\nA: 1\r\n", Err(early), "cut before what may be a fold"),
            (b"--b\r\nA: 1\nB: 2\r\n\r\n\r\n--b--", Err(BadForm("control character in a header")), "bare LF"),
            (b"--b\r\nA: 1\0\r\n\r\n\r\n--b--", Err(BadForm("control character in a header")), "NUL"),
            (b"--b\r\nA: 1\rB: 2\r\n\r\n\r\n--b--", Err(BadForm("CR without LF in a header")), "bare CR"),
        ];
        for (body, want, name) in rows {
            assert_eq!(&read(FORM, [*body]), want, "{name}");
            assert_eq!(&read(FORM, body.chunks(1)), want, "{name}, byte by byte");
            for at in 0..body.len() {
                let (one, two) = body.split_at(at);
                assert_eq!(&read(FORM, [one, two]), want, "{name}, cut at {at}");
            }
        }
    }

    #[test]
    fn content_types() {
        let longest = [b"multipart/form-data; boundary=".to_vec(), vec![b'x'; MAX_BOUNDARY]].concat();
        let too_long = [&longest[..], b"x"].concat();
        let bad = |reason| Err(BadForm(reason));
        #[rustfmt::skip]
        let rows: &[(&[u8], Result<&str, BadForm>)] = &[
            (b"multipart/form-data; boundary=b", Ok("\r\n--b")),
            (b"Multipart/Form-Data;Boundary=\"b c\"", Ok("\r\n--b c")),
            (b"multipart/form-data ; charset=utf-8 ;; boundary = \"b\\\"\"; x", Ok("\r\n--b\"")),
            (b"multipart/form-data; boundary=*****", Ok("\r\n--*****")),
            (b"multipart/form-data; boundary=a&b", Ok("\r\n--a&b")),
            (b"multipart/form-data; boundary=--dart-http-boundary-~!#$%^|{}<>@[]", Ok("\r\n----dart-http-boundary-~!#$%^|{}<>@[]")),
            (b"multipart/form-data; a=\"; boundary=x\"; boundary=----WebKit'()+_,-./:=?", Ok("\r\n------WebKit'()+_,-./:=?")),
            (b"multipart/form-data; boundary=b ; x=y", Ok("\r\n--b")),
            (b"multipart/form-data; x; boundary=b", Ok("\r\n--b")),
            (b"multipart/form-data", bad("no boundary")),
            (b"multipart/form-data; boundary", bad("no boundary")),
            (b"multipart/form-data; boundary=\"b", bad("no boundary")),
            (b"multipart/form-data; boundary=", bad("bad boundary")),
            (b"multipart/form-data; boundary=\"\"", bad("bad boundary")),
            (b"multipart/form-data; boundary=\"b \"", bad("bad boundary")),
            (b"multipart/form-data; boundary=b\xff", bad("bad boundary")),
            (b"multipart/form-data; boundary=\"b\r\n\"", bad("bad boundary")),
            (&too_long, bad("bad boundary")),
            (b"multipart/mixed; boundary=b", bad("not multipart/form-data")),
            (b"multipart/form-datax; boundary=b", bad("not multipart/form-data")),
            (b"", bad("not multipart/form-data")),
        ];
        for (kind, want) in rows {
            let got = Multipart::new(kind).map(|form| into_text(form.delimiter));
            assert_eq!(got.as_deref().map_err(|e| *e), *want, "{}", kind.escape_ascii());
        }
        assert!(Multipart::new(&longest).is_ok());
    }

    #[test]
    fn limits() {
        let long = |n: usize| [b"--b\r\nA:", &vec![b'x'; n - 2][..], b"\r\n\r\n\r\n--b--"].concat();
        assert!(read(FORM, [&long(MAX_PART_LINE)[..]]).is_ok());
        let error = Err(BadForm("header line too long"));
        assert_eq!(read(FORM, [&long(MAX_PART_LINE + 1)[..]]), error);
        assert_eq!(read(FORM, long(MAX_PART_LINE + 1).chunks(100)), error);

        let folded = |n: usize| [b"--b\r\nA:", &b"\r\n x".repeat(n)[..], b"\r\n\r\n\r\n--b--"].concat();
        assert!(read(FORM, [&folded(MAX_PART_LINE / 4 - 1)[..]]).is_ok());
        let error = Err(BadForm("header line too long"));
        assert_eq!(read(FORM, folded(MAX_PART_LINE / 4 + 1).chunks(100)), error);

        let many = |n: usize| [b"--b\r\n", &b"A:\r\n".repeat(n)[..], b"\r\n\r\n--b--"].concat();
        assert!(read(FORM, [&many(MAX_PART_HEADERS)[..]]).is_ok());
        let error = Err(BadForm("too many header lines"));
        assert_eq!(read(FORM, [&many(MAX_PART_HEADERS + 1)[..]]), error);

        let padded = |n: usize| [b"--b", &vec![b' '; n][..], b"\r\n\r\n\r\n--b--"].concat();
        assert_eq!(read(FORM, [&padded(MAX_BOUNDARY_PADDING)[..]]).unwrap().len(), 1);
        assert_eq!(read(FORM, [&padded(MAX_BOUNDARY_PADDING + 1)[..]]).unwrap().len(), 0);
    }

    #[test]
    fn data_comes_in_large_pieces() {
        let mut form = Multipart::new(FORM).unwrap();
        form.feed(b"--b\r\n\r\n");
        assert_eq!(form.next(), Ok(None));
        let piece = b"x\r\n-".repeat(4000);
        form.feed(&piece);
        let Ok(Some(Event::Body { data, done: false })) = form.next() else {
            panic!("no data");
        };
        assert_eq!(data.len(), piece.len() - 3);
        assert_eq!(form.next(), Ok(None));
    }

    #[test]
    fn finds_cr_anywhere() {
        for len in 0..40 {
            assert_eq!(find_cr(&vec![0x0c; len]), None);
            for at in 0..len {
                let mut bytes = vec![0x8d; len];
                bytes[at..].fill(b'\r');
                assert_eq!(find_cr(&bytes), Some(at));
            }
        }
    }

    /// Data full of what looks like a delimiter, but is none.
    fn data() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(&b"\r\n--b"[..]),
            Just(&b"\r\n--"[..]),
            Just(&b"--b--"[..]),
            Just(&b"\r"[..]),
            Just(&b"\n"[..]),
            Just(&b" "[..]),
            Just(&b"-"[..]),
            Just(&b"data"[..]),
        ];
        let is_data = |d: &Vec<u8>| {
            let form = [b"--b\r\n\r\n", &d[..], b"\r\n--b--"].concat();
            read(FORM, [&form[..]]) == Ok(vec![part(&[], d)])
        };
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()).prop_filter("a delimiter", is_data)
    }

    proptest! {
        #[test]
        fn reads_what_was_written(
            parts in proptest::collection::vec((proptest::collection::vec(("[a-z-]{1,8}", "[!-~]{0,8}"), 0..3), data()), 0..4),
            cuts in proptest::collection::vec(1usize..20, 1..40),
        ) {
            let mut body = Vec::new();
            for (headers, data) in &parts {
                body.extend(b"--b\r\n");
                for (name, value) in headers {
                    body.extend(format!("{name}: {value}\r\n").bytes());
                }
                body.extend([b"\r\n", &data[..], b"\r\n"].concat());
            }
            body.extend(b"--b--\r\n");
            let mut cuts = cuts.iter().cycle();
            let mut rest = &body[..];
            let pieces = std::iter::from_fn(|| {
                let at = rest.len().min(*cuts.next()?);
                let (piece, tail) = rest.split_at(at);
                rest = tail;
                (at > 0).then_some(piece)
            });
            prop_assert_eq!(read(FORM, pieces), Ok(parts));
        }

        #[test]
        fn no_panic(body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'b'), Just(b':'), any::<u8>()], 0..80)) {
            let whole = read(FORM, [&body[..]]);
            prop_assert_eq!(read(FORM, body.chunks(1)), whole);
        }
    }
}
