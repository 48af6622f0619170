//! Assembles a client's frames into messages: RFC 6455 §5.4 and §8.1.
//!
//! Text is checked as it arrives, so a message fails at its first invalid byte, not at its end.

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

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message of text.
    Text(String),
    /// A message of bytes.
    Binary(Vec<u8>),
    /// A ping, which must be answered with the same bytes.
    Ping(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// The end. Anything after it is ignored.
    Close(Option<Close>),
}

/// Decodes frames. Between messages it owns no heap memory.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// The part of a header that has arrived.
    header: [u8; MAX_HEADER],
    header_len: usize,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// Text or Binary, while a message is incomplete.
    kind: Option<Opcode>,
    message: Vec<u8>,
    /// Bytes of the message that are known to be whole characters.
    checked: usize,
    control: Vec<u8>,
}

/// An incomplete frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    /// Bytes of payload to come.
    left: usize,
    /// The mask, rotated so that its first byte belongs to the next byte of payload.
    mask: [u8; 4],
}

impl Decoder {
    /// A decoder for a new connection.
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

    /// Reads until something is complete. Returns the number of bytes used: all of them if nothing is complete.
    ///
    /// # Errors
    /// What is wrong with the frames. Nothing more can be read then.
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
            // The first two bytes tell how long the header is.
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
        // Doubles the buffer, but not beyond the frame's length: a peer that only announces much costs little.
        if into.capacity() - into.len() < piece.len() {
            into.reserve_exact(into.len().max(piece.len()).min(frame.left));
        }
        let start = into.len();
        into.extend_from_slice(piece);
        unmask(&mut into[start..], frame.mask);
        frame.left -= piece.len();
        frame.mask.rotate_left(piece.len() % 4);
        // The end is checked when the message is complete.
        let ends = frame.left == 0 && frame.fin;
        if frame.opcode.is_control() || ends || self.kind != Some(Opcode::Text) { Ok(()) } else { self.check_text() }
    }

    /// Checks the received part of a text. An incomplete character at its end may still become valid.
    fn check_text(&mut self) -> Result<(), Violation> {
        match str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::not_text()),
        }
        Ok(())
    }

    /// The payload of a frame is complete.
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
