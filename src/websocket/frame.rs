//! Frames: RFC 6455 §5.2.

use super::violation::Violation;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message.
    Continuation = 0,
    /// Text, or its beginning.
    Text = 1,
    /// Bytes, or their beginning.
    Binary = 2,
    /// The end.
    Close = 8,
    /// A ping.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    fn of(byte: u8) -> Option<Opcode> {
        const ALL: [Opcode; 6] =
            [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
        ALL.into_iter().find(|opcode| *opcode as u8 == byte)
    }

    /// Whether it belongs to the connection, not to a message.
    pub fn is_control(self) -> bool {
        self as u8 >= Opcode::Close as u8
    }
}

/// Bytes of the longest header: two, eight of length, four of mask.
pub const MAX_HEADER: usize = 14;

/// Bytes of payload that a control frame may have.
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// Values of the length field that mean: the length follows, in two bytes or in eight.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is the last frame of its message.
    pub fin: bool,
    /// What it carries.
    pub opcode: Opcode,
    /// Bytes of payload.
    pub length: u64,
    /// The mask of the payload.
    pub mask: [u8; 4],
}

impl Header {
    /// The length of a header that begins with these two bytes.
    ///
    /// # Errors
    /// What is wrong with them. A server accepts only masked frames (§5.1).
    pub fn len_of(first: u8, second: u8) -> Result<usize, Violation> {
        let opcode = Opcode::of(first & OPCODE).ok_or_else(|| Violation::protocol("an unknown opcode"))?;
        if first & RSV != 0 {
            return Err(Violation::protocol("a reserved bit is set"));
        }
        if second & MASKED == 0 {
            return Err(Violation::protocol("a frame without a mask"));
        }
        let length = second & LENGTH;
        if opcode.is_control() && (first & FIN == 0 || usize::from(length) > MAX_CONTROL) {
            return Err(Violation::protocol("a control frame in pieces, or longer than 125 bytes"));
        }
        Ok(match length {
            EIGHT_BYTES => MAX_HEADER,
            TWO_BYTES => 8,
            _ => 6,
        })
    }

    /// Parses a complete header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Header, Violation> {
        let [first, second, rest @ ..] = bytes else { return Err(Violation::protocol("no header")) };
        let (length, least, mask) = match rest {
            [_, _, _, _] => (u64::from(second & LENGTH), 0, rest),
            [high, low, mask @ ..] if mask.len() == 4 => (u64::from(u16::from_be_bytes([*high, *low])), 126, mask),
            [a, b, c, d, e, f, g, h, mask @ ..] => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 0x1_0000, mask)
            }
            _ => return Err(Violation::protocol("no header")),
        };
        // The shortest form must be used, and the highest bit must not be set: §5.2.
        if length < least || length > u64::MAX / 2 {
            return Err(Violation::protocol("a length in another form than the shortest"));
        }
        let opcode = Opcode::of(first & OPCODE).ok_or_else(|| Violation::protocol("an unknown opcode"))?;
        let mask = mask.try_into().map_err(|_| Violation::protocol("no header"))?;
        Ok(Header { fin: first & FIN != 0, opcode, length, mask })
    }
}

/// Appends a server's frame: a whole message, without a mask.
pub fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let length = payload.len() as u64;
    out.reserve(MAX_HEADER + payload.len());
    out.push(FIN | opcode as u8);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < TWO_BYTES => out.push(short),
        (_, Ok(medium)) => {
            out.push(TWO_BYTES);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(EIGHT_BYTES);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Applies or removes the mask: §5.3.
pub fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let eight = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ eight).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let mask = [1, 2, 3, 4];
        let of = |first: u8, length: &[u8]| {
            let bytes = [&[first], length, &mask].concat();
            let len = Header::len_of(bytes[0], bytes[1])?;
            assert_eq!(len, bytes.len());
            Header::parse(&bytes)
        };
        let good = |fin, opcode, length| Ok(Header { fin, opcode, length, mask });
        let code = |result: Result<Header, Violation>| result.map_err(|violation| violation.code);
        assert_eq!(of(0x81, &[0x80]), good(true, Opcode::Text, 0));
        assert_eq!(of(0x02, &[0xfd]), good(false, Opcode::Binary, 125));
        assert_eq!(of(0x80, &[0xfe, 0, 126]), good(true, Opcode::Continuation, 126));
        assert_eq!(of(0x82, &[0xfe, 0xff, 0xff]), good(true, Opcode::Binary, 0xffff));
        assert_eq!(of(0x82, &[0xff, 0, 0, 0, 0, 0, 1, 0, 0]), good(true, Opcode::Binary, 0x1_0000));
        assert_eq!(of(0x88, &[0xfd]), good(true, Opcode::Close, 125));
        for (first, length) in [
            (0x81, &[0x00][..]),                           // no mask
            (0xc1, &[0x80]),                               // RSV1
            (0xa1, &[0x80]),                               // RSV2
            (0x91, &[0x80]),                               // RSV3
            (0x83, &[0x80]),                               // opcode 3
            (0x87, &[0x80]),                               // opcode 7
            (0x8b, &[0x80]),                               // opcode 11
            (0x8f, &[0x80]),                               // opcode 15
            (0x09, &[0x80]),                               // a ping in pieces
            (0x89, &[0xfe, 0, 126]),                       // a long ping
            (0x81, &[0xfe, 0, 125]),                       // not the shortest form
            (0x81, &[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), // likewise
            (0x82, &[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),    // the highest bit
        ] {
            assert_eq!(code(of(first, length)), Err(1002), "{first:x} {length:x?}");
        }
    }

    #[test]
    fn written_lengths() {
        for (len, head) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (0xffff, &[0x82, 126, 0xff, 0xff]),
            (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write(&mut out, Opcode::Binary, &vec![7; len]);
            assert_eq!((&out[..head.len()], out.len()), (head, head.len() + len));
        }
    }

    #[test]
    fn a_mask_is_taken_off_at_every_length() {
        for len in 0..40_usize {
            let mut bytes: Vec<u8> = (0..len).map(|n| u8::try_from(n).unwrap() ^ [9, 8, 7, 6][n % 4]).collect();
            unmask(&mut bytes, [9, 8, 7, 6]);
            assert!(bytes.iter().enumerate().all(|(n, &byte)| usize::from(byte) == n), "{bytes:?}");
        }
    }
}
