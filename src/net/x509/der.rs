//! DER (X.690), as far as certificates use it.

// Tags of DER.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const NUMERIC_STRING: u8 = 0x12;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const TELETEX_STRING: u8 = 0x14;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const BMP_STRING: u8 = 0x1e;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
// Context-specific tags (RFC 5280 §4.1 and §4.2.1.6).
pub(super) const VERSION: u8 = 0xa0;
pub(super) const EXTENSIONS: u8 = 0xa3;
pub(super) const DNS_NAME: u8 = 0x82;
pub(super) const IP_ADDRESS: u8 = 0x87;

/// Writes one DER element that contains `parts` in order.
pub(super) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(len @ ..0x80) => out.push(len),
        _ => {
            let length = contents.len().to_be_bytes();
            let digits = length.iter().skip_while(|digit| **digit == 0);
            out.push(digits.clone().fold(0x80, |mark, _| mark + 1));
            out.extend(digits);
        }
    }
    out.extend(contents);
    out
}

/// Reads DER elements from the front of some bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next element if it has this tag, and returns a reader of its contents.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Reader<'a>> {
        let (found, contents) = self.next()?;
        (found == tag).then_some(Reader(contents))
    }

    /// Takes the next element: its tag and its contents.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], mut rest) = self.0.split_first_chunk()?;
        // Certificates have no tags of several bytes.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let mut len = usize::from(length);
        if length >= 0x80 {
            // Two bytes of length are more than a TLS peer's certificate needs; none is BER, not DER.
            let digits = rest.split_off(..usize::from(length & 0x7f)).filter(|digits| matches!(digits.len(), 1 | 2))?;
            len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
            let shortest = if len < 0x80 { 0 } else { 1 + usize::from(len > 0xff) };
            if shortest != digits.len() {
                return None;
            }
        }
        let contents = rest.split_off(..len)?;
        self.0 = rest;
        Some((tag, contents))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_shortest() {
        for (len, head) in [
            (0, &b"\x04\x00"[..]),
            (0x7f, b"\x04\x7f"),
            (0x80, b"\x04\x81\x80"),
            (0xff, b"\x04\x81\xff"),
            (0x100, b"\x04\x82\x01\x00"),
            (0xffff, b"\x04\x82\xff\xff"),
        ] {
            let element = der(OCTET_STRING, &[&vec![7; len]]);
            assert_eq!(element[..head.len()], *head, "{len}");
            let mut reader = Reader(&element);
            assert_eq!(reader.next().unwrap(), (OCTET_STRING, &vec![7; len][..]));
            assert!(reader.is_empty());
        }
        for (input, name) in [
            (&b"\x04\x80\x00\x00"[..], "indefinite"),
            (b"\x04\x81\x01\x00", "a long form of one"),
            (b"\x04\x82\x00\x80", "a leading zero"),
            (b"\x04\x83\x01\x00\x00", "three bytes"),
            (b"\x1f\x01\x00", "a long tag"),
            (b"\x04\x02\x00", "contents missing"),
            (b"\x04", "length missing"),
        ] {
            assert!(Reader(input).next().is_none(), "{name}");
        }
    }
}
