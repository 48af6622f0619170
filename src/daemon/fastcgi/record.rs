//! The records of FastCGI 1.0, as its client reads and writes them: pure, whatever way the bytes are cut.

/// The only version there is.
const VERSION: u8 = 1;

/// The id of the one request that a connection has at a time.
const ID: u16 = 1;

/// Bytes of a record's head.
pub const HEAD: usize = 8;

/// Most bytes of a record's content that are written at a time, so that no record needs padding.
const CONTENT: usize = 0xfff8;

/// Kinds of records.
pub mod kind {
    pub const BEGIN_REQUEST: u8 = 1;
    pub const END_REQUEST: u8 = 3;
    pub const PARAMS: u8 = 4;
    pub const STDIN: u8 = 5;
    pub const STDOUT: u8 = 6;
    pub const STDERR: u8 = 7;
}

/// The head of a record of at most 65,535 bytes.
pub fn head(kind: u8, length: usize) -> [u8; HEAD] {
    debug_assert!(length <= usize::from(u16::MAX));
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let [id_high, id_low] = ID.to_be_bytes();
    [VERSION, kind, id_high, id_low, high, low, 0, 0]
}

/// Begins a request to a responder that keeps the connection. Its parameters follow, and then [`end_params`].
pub fn begin(out: &mut Vec<u8>) {
    const RESPONDER_THAT_KEEPS: [u8; 8] = [0, 1, 1, 0, 0, 0, 0, 0];
    out.extend_from_slice(&head(kind::BEGIN_REQUEST, RESPONDER_THAT_KEEPS.len()));
    out.extend_from_slice(&RESPONDER_THAT_KEEPS);
    // Filled in later.
    out.extend_from_slice(&[0; HEAD]);
}

/// Completes the parameters, which begin at `start`.
pub fn end_params(out: &mut Vec<u8>, start: usize) {
    let rest = out.split_off(out.len().min(start + CONTENT));
    let first = head(kind::PARAMS, out.len().saturating_sub(start));
    if let Some(before) = out.get_mut(start.saturating_sub(HEAD)..start) {
        before.copy_from_slice(&first);
    }
    push(out, kind::PARAMS, &rest);
    out.extend_from_slice(&head(kind::PARAMS, 0));
}

/// Appends content in records of STDIN; without any, its end.
pub fn push_stdin(out: &mut Vec<u8>, content: &[u8]) {
    push(out, kind::STDIN, content);
    if content.is_empty() {
        out.extend_from_slice(&head(kind::STDIN, 0));
    }
}

fn push(out: &mut Vec<u8>, kind: u8, content: &[u8]) {
    for content in content.chunks(CONTENT) {
        out.extend_from_slice(&head(kind, content.len()));
        out.extend_from_slice(content);
    }
}

/// What a server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Nothing yet; all of the input is taken.
    More,
    /// A part of the response.
    Output(&'a [u8]),
    /// A part of what the program says about itself.
    Error(&'a [u8]),
    /// The end of the request.
    End {
        /// What the program exited with.
        status: u32,
        /// Why the server did not run it; 0: it did.
        refusal: u8,
    },
}

/// Takes records apart, as their bytes come.
#[derive(Default)]
pub struct Records {
    head: [u8; HEAD],
    /// Bytes of the head that are known.
    known: usize,
    /// Bytes of content and of padding that are to come.
    content: usize,
    padding: usize,
    /// What is known of an END_REQUEST.
    end: [u8; 8],
}

impl Records {
    /// Takes bytes off the front of `input` up to and with the next piece.
    ///
    /// # Errors
    /// What is wrong. The rest can't be read.
    pub fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, &'static str> {
        while !input.is_empty() {
            if self.known < HEAD {
                self.known += fill(&mut self.head[self.known..], input);
                if self.known == HEAD {
                    self.begin()?;
                }
            } else if self.content > 0 {
                let at = self.content;
                let (content, rest) = input.split_at(at.min(input.len()));
                self.content -= content.len();
                *input = rest;
                match self.kind() {
                    kind::STDOUT => return Ok(Piece::Output(content)),
                    kind::STDERR => return Ok(Piece::Error(content)),
                    kind::END_REQUEST => {
                        let mut content = content;
                        let from = self.end.len() - at;
                        fill(self.end.get_mut(from..).unwrap_or_default(), &mut content);
                    }
                    _ => {}
                }
            } else {
                let skipped = self.padding.min(input.len());
                *input = &input[skipped..];
                self.padding -= skipped;
            }
            if self.known == HEAD && self.content == 0 && self.padding == 0 {
                self.known = 0;
                if self.kind() == kind::END_REQUEST {
                    let [a, b, c, d, refusal, ..] = self.end;
                    return Ok(Piece::End { status: u32::from_be_bytes([a, b, c, d]), refusal });
                }
            }
        }
        Ok(Piece::More)
    }

    fn kind(&self) -> u8 {
        self.head[1]
    }

    /// The head is known.
    fn begin(&mut self) -> Result<(), &'static str> {
        let [version, kind, id_high, id_low, high, low, padding, _] = self.head;
        if version != VERSION {
            return Err("it does not speak FastCGI 1.0");
        }
        // What concerns the connection, which nobody asked for, has the id 0.
        if !matches!(u16::from_be_bytes([id_high, id_low]), 0 | ID) {
            return Err("a record of another request");
        }
        self.content = u16::from_be_bytes([high, low]).into();
        self.padding = padding.into();
        if kind == kind::END_REQUEST && self.content != self.end.len() {
            return Err("malformed END_REQUEST");
        }
        Ok(())
    }
}

/// Moves as many bytes from the front of `from` as fit; returns how many.
fn fill(into: &mut [u8], from: &mut &[u8]) -> usize {
    let n = into.len().min(from.len());
    let (taken, rest) = from.split_at(n);
    into[..n].copy_from_slice(taken);
    *from = rest;
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let mut head = head(kind, content.len());
        head[6] = padding;
        [&head[..], content, &vec![b'p'; padding.into()]].concat()
    }

    /// Output, errors, and the end.
    type Read = (Vec<u8>, Vec<u8>, Option<(u32, u8)>);

    fn read(bytes: &[u8], piece: usize) -> Result<Read, &'static str> {
        let mut records = Records::default();
        let mut read = Read::default();
        for mut input in bytes.chunks(piece) {
            loop {
                match records.take(&mut input)? {
                    Piece::More => break,
                    Piece::Output(bytes) => read.0.extend_from_slice(bytes),
                    Piece::Error(bytes) => read.1.extend_from_slice(bytes),
                    Piece::End { status, refusal } => {
                        assert_eq!(read.2, None, "one end");
                        read.2 = Some((status, refusal));
                    }
                }
            }
        }
        Ok(read)
    }

    #[test]
    fn rules() {
        let end = |status: u32, refusal| {
            record(kind::END_REQUEST, &[&status.to_be_bytes()[..], &[refusal, 1, 2, 3]].concat(), 0)
        };
        let mut foreign = record(kind::STDOUT, b"x", 0);
        foreign[3] = 2;
        let mut of_connection = record(10, b"xyz", 5);
        of_connection[3] = 0;
        let mut version = record(kind::STDOUT, b"x", 0);
        version[0] = 2;
        let all = |parts: &[Vec<u8>]| parts.concat();
        let output = |text: &[u8]| record(kind::STDOUT, text, 0);
        #[rustfmt::skip]
        let rows: Vec<(Vec<u8>, Result<Read, &str>, &str)> = vec![
            (Vec::new(), Ok(Read::default()), "nothing"),
            (all(&[output(b"ab"), output(b"c"), end(0, 0)]), Ok((b"abc".to_vec(), vec![], Some((0, 0)))), "output"),
            (all(&[record(kind::STDOUT, b"ab", 7), record(kind::STDERR, b"oh", 255), output(b""), end(7, 0)]), Ok((b"ab".to_vec(), b"oh".to_vec(), Some((7, 0)))), "padding"),
            (all(&[record(kind::STDOUT, b"", 3), end(0x0102_0304, 2)]), Ok((vec![], vec![], Some((0x0102_0304, 2)))), "a refusal"),
            (all(&[of_connection, output(b"x")]), Ok((b"x".to_vec(), vec![], None)), "a record of the connection is passed over"),
            (all(&[record(99, b"abc", 1), output(b"x")]), Ok((b"x".to_vec(), vec![], None)), "an unknown one, too"),
            (output(b"ab")[..9].to_vec(), Ok((b"a".to_vec(), vec![], None)), "half of one"),
            (foreign, Err("a record of another request"), "another request"),
            (version, Err("it does not speak FastCGI 1.0"), "another version"),
            (b"HTTP/1.1 400 Bad Request".to_vec(), Err("it does not speak FastCGI 1.0"), "another protocol"),
            (record(kind::END_REQUEST, b"1234567", 1), Err("malformed END_REQUEST"), "a short end"),
            (record(kind::END_REQUEST, b"123456789", 0), Err("malformed END_REQUEST"), "a long end"),
            (output(&[b'x'; 65535]), Ok((vec![b'x'; 65535], vec![], None)), "the longest"),
        ];
        for (bytes, wanted, name) in rows {
            for piece in [1, 2, 3, 7, 8, 9, bytes.len().max(1)] {
                assert_eq!(read(&bytes, piece), wanted, "{name}, in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_request() {
        let mut out = Vec::new();
        begin(&mut out);
        let start = out.len();
        let params = b"\x01\x01A1";
        out.extend_from_slice(params);
        end_params(&mut out, start);
        push_stdin(&mut out, b"body");
        push_stdin(&mut out, b"");
        let wanted = [
            record(kind::BEGIN_REQUEST, b"\0\x01\x01\0\0\0\0\0", 0),
            record(kind::PARAMS, params, 0),
            record(kind::PARAMS, b"", 0),
            record(kind::STDIN, b"body", 0),
            record(kind::STDIN, b"", 0),
        ]
        .concat();
        assert_eq!(out.escape_ascii().to_string(), wanted.escape_ascii().to_string());
    }

    #[test]
    fn long_streams_are_several_records() {
        let mut out = Vec::new();
        push_stdin(&mut out, &vec![b'x'; 100_000]);
        let lengths = [&out[4..6], &out[HEAD + CONTENT + 4..][..2]].map(|two| u16::from_be_bytes([two[0], two[1]]));
        assert_eq!(lengths.map(usize::from), [CONTENT, 100_000 - CONTENT]);
        assert_eq!(out.len(), 100_000 + 2 * HEAD);
        out.clear();
        begin(&mut out);
        let start = out.len();
        out.resize(start + 70_000, b'y');
        end_params(&mut out, start);
        let lengths = [&out[start - 4..start - 2], &out[start + CONTENT + 4..][..2]];
        assert_eq!(lengths.map(|two| usize::from(u16::from_be_bytes([two[0], two[1]]))), [CONTENT, 70_000 - CONTENT]);
        assert_eq!(out.len(), 16 + 70_000 + 3 * HEAD);
    }
}
