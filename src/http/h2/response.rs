//! A response's head as a field block: RFC 9113 §8.3.2, RFC 7541 §6.2.2.
//!
//! Fields are literals with names of the static table, without Huffman coding and without a table of our own. That costs some
//! bytes on the wire, and no memory and hardly any time.

use super::super::encoder::Frame;
use super::super::headers::{find_lf, push_decimal};
use super::super::response::ResponseHead;
use super::static_table::name_index;

/// A table of no bytes, for the first block: the default is larger (RFC 7541 §6.3).
pub const NO_TABLE: u8 = 0x20;

/// The static table's index of `:status`.
const STATUS: usize = 8;

/// Its index of `content-length`.
const CONTENT_LENGTH: usize = 28;

/// Statuses that the static table has, from [`STATUS`] on.
const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// Fields that belong to a connection of HTTP/1 (RFC 9113 §8.2.2).
const OF_CONNECTION: [&[u8]; 4] = [b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

/// Our own fields as a part of a block, which is the same for all responses of a second.
#[derive(Debug, Default)]
pub struct OwnFields {
    lines: Vec<u8>,
    block: Vec<u8>,
}

impl OwnFields {
    fn push(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        if self.lines != text {
            *self = OwnFields { lines: text.to_owned(), block: Vec::with_capacity(text.len()) };
            lines(text).for_each(|(name, value)| push_field(&mut self.block, name, value));
        }
        out.extend_from_slice(&self.block);
    }
}

/// Appends the block of a response. `date_server` holds our `Date` and `Server` as complete lines. Those that the handler set
/// itself are left out.
pub fn push(out: &mut Vec<u8>, response: &ResponseHead, frame: &Frame, date_server: &[u8], own: &mut OwnFields) {
    push_status(out, response.status());
    let overrides = response.has_date || response.has_server;
    if !overrides {
        own.push(out, date_server);
    }
    for (name, value) in lines(date_server).filter(|_| overrides) {
        let overridden = response.has_date && name.eq_ignore_ascii_case(b"date")
            || response.has_server && name.eq_ignore_ascii_case(b"server");
        if !overridden {
            push_field(out, name, value);
        }
    }
    if let Some(length) = frame.content_length {
        push_integer(out, 4, 0, CONTENT_LENGTH);
        let at = out.len();
        out.push(0);
        push_decimal(out, length);
        // At most 20 digits.
        out[at] = (out.len() - at - 1) as u8;
    }
    for (name, value) in lines(response.text()) {
        push_field(out, name, value);
    }
}

/// Appends the block of `100 Continue`.
pub fn push_continue(out: &mut Vec<u8>) {
    push_status(out, 100);
}

fn push_status(out: &mut Vec<u8>, status: u16) {
    match STATUSES.iter().position(|known| *known == status) {
        Some(at) => push_integer(out, 7, 0x80, STATUS + at),
        None => {
            push_integer(out, 4, 0, STATUS);
            out.push(3);
            push_decimal(out, status.into());
        }
    }
}

fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    const LONGEST: usize = 32;
    let mut lower = [0; LONGEST];
    let index = match lower.get_mut(..name.len()) {
        Some(lower) => {
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            if OF_CONNECTION.contains(&&*lower) {
                return;
            }
            name_index(lower)
        }
        None => 0,
    };
    push_integer(out, 4, 0, index);
    if index == 0 {
        push_integer(out, 7, 0, name.len());
        let at = out.len();
        out.extend_from_slice(name);
        out[at..].make_ascii_lowercase();
    }
    push_integer(out, 7, 0, value.len());
    out.extend_from_slice(value);
}

/// Names and values of lines `Name: value\r\n`.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = find_lf(rest)?;
        let line = rest.get(..end)?.strip_suffix(b"\r")?;
        rest = rest.get(end + 1..)?;
        let colon = line.iter().position(|&byte| byte == b':')?;
        // RFC 9113 §8.2.1: no space around a value.
        Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
    })
}

/// Appends an integer behind a prefix of `bits` bits, whose other bits are those of `first` (RFC 7541 §5.1).
fn push_integer(out: &mut Vec<u8>, bits: u32, first: u8, value: usize) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        out.push(first | value as u8);
        return;
    }
    out.push(first | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::super::super::encoder::Encoder;
    use super::super::hpack::Decoder;
    use super::*;
    use proptest::prelude::*;

    fn decoded(block: &[u8]) -> String {
        let mut fields = String::new();
        let decode = Decoder::default().decode(block, &mut |name, value| {
            fields.push_str(&format!("{}: {}\n", name.escape_ascii(), value.escape_ascii()));
        });
        decode.expect("a block that decodes");
        fields
    }

    fn pushed(response: &ResponseHead, content_length: Option<u64>) -> String {
        let frame = Frame { encoder: Encoder::UntilClose, content_length, chunked: false };
        let mut block = Vec::new();
        push(&mut block, response, &frame, b"Date: d\r\nServer: s\r\n", &mut OwnFields::default());
        decoded(&block)
    }

    #[test]
    fn heads() {
        let mut response = ResponseHead::default();
        assert_eq!(pushed(&response, Some(7)), ":status: 200\ndate: d\nserver: s\ncontent-length: 7\n");
        response.set_status(418, Some("teapot")).unwrap();
        response.set("Content-Type", "a/b").unwrap();
        response.set("X-Long-Name-That-No-Table-Has-At-All", "  y ").unwrap();
        response.set("Connection", "close, x").unwrap();
        response.set("Keep-Alive", "1").unwrap();
        response.set("Upgrade", "h2c").unwrap();
        response.set("Date", "mine").unwrap();
        let want = ":status: 418\nserver: s\ncontent-type: a/b\nx-long-name-that-no-table-has-at-all: y\ndate: mine\n";
        assert_eq!(pushed(&response, None), want);
        let mut block = Vec::new();
        push_continue(&mut block);
        assert_eq!(decoded(&block), ":status: 100\n");
    }

    proptest! {
        #[test]
        fn any_value(value in "[ -~]{0,300}", length: u64) {
            let mut response = ResponseHead::default();
            response.set("X", &value).unwrap();
            let want = format!(":status: 200\ndate: d\nserver: s\ncontent-length: {length}\nx: {}\n", value.trim().escape_default());
            prop_assert_eq!(pushed(&response, Some(length)).replace("\\\\", "\\"), want.replace("\\\\", "\\"));
        }
    }
}
