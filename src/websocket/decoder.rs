//! A client's frames put together to messages: RFC 6455 §5.4 and §8.1.
//!
//! Text is checked as it comes, so a message fails with the first byte that makes it wrong, not with its end.

use super::close::Close;
use super::frame::{Header, MAX_HEADER, Opcode, unmask};
use super::violation::Violation;

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one frame.
    pub frame: usize,
    /// Bytes of one message.
    pub message: usize,
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(Vec<u8>),
    /// A question, to be answered with the same bytes.
    Ping(Vec<u8>),
    /// An answer.
    Pong(Vec<u8>),
    /// The end; nothing after it is of interest.
    Close(Option<Close>),
}

/// Takes frames apart. Between messages it owns no memory outside of itself.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// What has come of a header.
    header: [u8; MAX_HEADER],
    header_len: usize,
    /// The frame whose payload comes.
    frame: Option<Frame>,
    /// Text or Binary, while a message is under way.
    kind: Option<Opcode>,
    message: Vec<u8>,
    /// Bytes of the message that are known to be whole characters.
    checked: usize,
    control: Vec<u8>,
}

/// A frame under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    /// Bytes of payload to come.
    left: usize,
    /// Turned, so that its first byte belongs to the next one of the payload.
    mask: [u8; 4],
}

impl Decoder {
    /// One that has seen nothing.
    pub fn new(limits: Limits) -> Decoder {
        Decoder {
            limits,
            header: [0; MAX_HEADER],
            header_len: 0,
            frame: None,
            kind: None,
            message: Vec::new(),
            checked: 0,
            control: Vec::new(),
        }
    }

    /// Reads until something is complete; returns how many bytes it used, which are all if nothing is.
    ///
    /// # Errors
    /// What is wrong. The connection fails then, and nothing more can be read.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Violation> {
        let mut rest = input;
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header(&mut rest)? {
                    Some(frame) => frame,
                    None => return Ok((input.len(), None)),
                },
            };
            self.read_payload(&mut frame, &mut rest)?;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok((input.len(), None));
            }
            if let Some(event) = self.end_frame(frame)? {
                return Ok((input.len() - rest.len(), Some(event)));
            }
        }
    }

    /// Reads more of a header; the frame, once all of it is there.
    fn read_header(&mut self, rest: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        loop {
            // Two bytes tell how many there are.
            let begins = self.header_len < 2;
            let needed = if begins { 2 } else { Header::len_of(self.header[0], self.header[1])? };
            let missing = needed - self.header_len;
            let (more, after) = rest.split_at(missing.min(rest.len()));
            self.header[self.header_len..][..more.len()].copy_from_slice(more);
            self.header_len += more.len();
            *rest = after;
            if more.len() < missing {
                return Ok(None);
            }
            if !begins {
                self.header_len = 0;
                let header = Header::parse(&self.header[..needed])?;
                return self.begin_frame(header).map(Some);
            }
        }
    }

    fn begin_frame(&mut self, header: Header) -> Result<Frame, Violation> {
        let Header { fin, opcode, length, mask } = header;
        match (opcode, self.kind) {
            (Opcode::Continuation, None) => return Err(Violation::protocol("a continuation of nothing")),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::protocol("a message within another"));
            }
            (Opcode::Text | Opcode::Binary, None) => self.kind = Some(opcode),
            _ => {}
        }
        let left = usize::try_from(length).unwrap_or(usize::MAX);
        if left > self.limits.frame && !opcode.is_control() {
            return Err(Violation::too_big("the frame is too long"));
        }
        if !opcode.is_control() && left > self.limits.message.saturating_sub(self.message.len()) {
            return Err(Violation::too_big("the message is too long"));
        }
        Ok(Frame { opcode, fin, left, mask })
    }

    fn read_payload(&mut self, frame: &mut Frame, rest: &mut &[u8]) -> Result<(), Violation> {
        let (piece, after) = rest.split_at(frame.left.min(rest.len()));
        *rest = after;
        let into = if frame.opcode.is_control() { &mut self.control } else { &mut self.message };
        // As much again as there is, but no more than the frame says: who only announces much costs little.
        if into.capacity() - into.len() < piece.len() {
            into.reserve_exact(into.len().max(piece.len()).min(frame.left));
        }
        let start = into.len();
        into.extend_from_slice(piece);
        unmask(&mut into[start..], frame.mask);
        frame.left -= piece.len();
        frame.mask.rotate_left(piece.len() % 4);
        // Its end is checked with the whole of it.
        let ends = frame.left == 0 && frame.fin;
        if frame.opcode.is_control() || ends || self.kind != Some(Opcode::Text) { Ok(()) } else { self.check_text() }
    }

    /// Checks what came of a text. Half a character at its end may still become one.
    fn check_text(&mut self) -> Result<(), Violation> {
        match str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::not_text()),
        }
        Ok(())
    }

    /// The payload of a frame is there.
    fn end_frame(&mut self, frame: Frame) -> Result<Option<Event>, Violation> {
        Ok(Some(match frame.opcode {
            Opcode::Ping => Event::Ping(std::mem::take(&mut self.control)),
            Opcode::Pong => Event::Pong(std::mem::take(&mut self.control)),
            Opcode::Close => Event::Close(Close::parse(&std::mem::take(&mut self.control))?),
            _ if !frame.fin => return Ok(None),
            _ => {
                let message = std::mem::take(&mut self.message);
                self.checked = 0;
                if self.kind.take() == Some(Opcode::Text) {
                    Event::Text(String::from_utf8(message).map_err(|_| Violation::not_text())?)
                } else {
                    Event::Binary(message)
                }
            }
        }))
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
