//! The subject and the issuer of a certificate, as text.

use super::der::{
    BMP_STRING, IA5_STRING, INTEGER, NUMERIC_STRING, OBJECT_ID, PRINTABLE_STRING, Reader, SEQUENCE, SET,
    TELETEX_STRING, UTF8_STRING, VERSION,
};
use std::fmt::Write;

/// Maximum bytes of an encoded subject. Real ones take about 200; the text may be four times as long.
const SUBJECT_MAX: usize = 4096;

/// Attribute types with a short name in RFC 4514 §3, by their encoding.
const SHORT_NAMES: &[(&[u8], &str)] = &[
    (b"\x55\x04\x03", "CN"),
    (b"\x55\x04\x06", "C"),
    (b"\x55\x04\x07", "L"),
    (b"\x55\x04\x08", "ST"),
    (b"\x55\x04\x09", "STREET"),
    (b"\x55\x04\x0a", "O"),
    (b"\x55\x04\x0b", "OU"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"),
    (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"),
];

/// The subject of a certificate (DER) as RFC 4514 writes it: `CN=alice,O=Example`.
///
/// `None` if it is malformed or extraordinarily long. Control characters are escaped, so it is safe in a log.
pub fn subject(cert: &[u8]) -> Option<String> {
    // Serial number, signature algorithm, issuer, validity.
    name_after(cert, &[INTEGER, SEQUENCE, SEQUENCE, SEQUENCE])
}

/// The issuer of a certificate (DER), written like its [`subject`].
pub fn issuer(cert: &[u8]) -> Option<String> {
    // Serial number, signature algorithm.
    name_after(cert, &[INTEGER, SEQUENCE])
}

/// The name behind these elements of a certificate's body.
fn name_after(cert: &[u8], elements: &[u8]) -> Option<String> {
    let mut input = Reader(cert);
    let mut certificate = input.enter(SEQUENCE)?;
    let mut body = certificate.enter(SEQUENCE)?;
    if !input.is_empty() {
        return None;
    }
    if body.0.first() == Some(&VERSION) {
        body.enter(VERSION)?;
    }
    for tag in elements {
        body.enter(*tag)?;
    }
    let mut name = body.enter(SEQUENCE)?;
    if name.0.len() > SUBJECT_MAX {
        return None;
    }

    let mut parts = Vec::new();
    while !name.is_empty() {
        parts.push(name.enter(SET)?);
    }
    let mut out = String::new();
    // RFC 4514 §2.1: in reverse order, which puts the most specific first.
    for mut part in parts.into_iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        push_attribute(&mut out, part.enter(SEQUENCE)?)?;
        while !part.is_empty() {
            out.push('+');
            push_attribute(&mut out, part.enter(SEQUENCE)?)?;
        }
    }
    Some(out)
}

/// Writes one `AttributeTypeAndValue` (RFC 4514 §2.3 and §2.4); `None` if it is malformed.
fn push_attribute(out: &mut String, mut attribute: Reader<'_>) -> Option<()> {
    let id = attribute.enter(OBJECT_ID)?.0;
    let encoded = attribute.0;
    let (tag, value) = attribute.next()?;
    if !attribute.is_empty() {
        return None;
    }
    let name = SHORT_NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name);
    match name {
        Some(name) => out.push_str(name),
        None => push_dotted(out, id)?,
    }
    out.push('=');
    match name.and_then(|_| text(tag, value)) {
        Some(text) => push_escaped(out, &text),
        None => {
            out.push('#');
            push_hex(out, encoded);
        }
    }
    Some(())
}

/// Writes an object identifier in dotted decimal; `None` if it is malformed or a number passes 64 bits.
fn push_dotted(out: &mut String, id: &[u8]) -> Option<()> {
    let mut first = true;
    let mut number = 0_u64;
    let mut begun = false;
    for byte in id {
        // A number does not begin with a zero digit (X.690 §8.19.2).
        if !begun && *byte == 0x80 {
            return None;
        }
        number = number.checked_mul(0x80)? | u64::from(byte & 0x7f);
        begun = byte & 0x80 != 0;
        if begun {
            continue;
        }
        let _ = if first {
            // The first number holds two: 0 and 1 have at most 39 below them (X.690 §8.19.4).
            let top = (number / 40).min(2);
            write!(out, "{top}.{}", number - top * 40)
        } else {
            write!(out, ".{number}")
        };
        first = false;
        number = 0;
    }
    (!begun && !first).then_some(())
}

/// The text of a string type; `None` for other types and for invalid text.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING => str::from_utf8(value).ok().map(str::to_owned),
        NUMERIC_STRING | PRINTABLE_STRING | TELETEX_STRING | IA5_STRING if value.is_ascii() => {
            str::from_utf8(value).ok().map(str::to_owned)
        }
        BMP_STRING => match value.as_chunks() {
            (pairs, []) => pairs.iter().map(|pair| char::from_u32(u16::from_be_bytes(*pair).into())).collect(),
            _ => None,
        },
        _ => None,
    }
}

/// Writes a value with the escapes of RFC 4514 §2.4, and with those that it allows for control characters.
fn push_escaped(out: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (at, char) in value.char_indices() {
        match char {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', char]),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            '#' if at == 0 => out.push_str("\\#"),
            _ if char.is_control() => {
                for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                    out.push('\\');
                    push_hex(out, &[byte]);
                }
            }
            _ => out.push(char),
        }
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::der::der;
    use super::*;
    use proptest::prelude::*;

    /// A certificate as far as its subject, whose encoding is `name`.
    fn with_subject(name: &[u8]) -> Vec<u8> {
        let empty = der(SEQUENCE, &[]);
        let body = der(SEQUENCE, &[&der(INTEGER, &[&[1]]), &empty, &empty, &empty, name]);
        der(SEQUENCE, &[&body])
    }

    fn attribute(id: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        der(SEQUENCE, &[&der(OBJECT_ID, &[id]), &der(tag, &[value])])
    }

    /// A certificate with one relative name of one attribute.
    fn with_attribute(id: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        with_subject(&der(SEQUENCE, &[&der(SET, &[&attribute(id, tag, value)])]))
    }

    #[test]
    fn the_issuer_is_who_signed() {
        let name = |name: &str| {
            let mut params = rcgen::CertificateParams::new([]).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params
        };
        let key = || rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertifiedIssuer::self_signed(name("authority"), key()).unwrap();
        let cert = name("server").signed_by(&key(), &authority).unwrap();
        let read = |read: fn(&[u8]) -> Option<String>| read(cert.der());
        assert_eq!((read(subject).as_deref(), read(issuer).as_deref()), (Some("CN=server"), Some("CN=authority")));
    }

    #[test]
    fn subjects_read_as_rfc_4514_writes_them() {
        const CN: &[u8] = b"\x55\x04\x03";
        for (id, tag, value, expected, name) in [
            (CN, UTF8_STRING, &b"alice"[..], "CN=alice", "plain"),
            (CN, UTF8_STRING, b"", "CN=", "empty"),
            (CN, UTF8_STRING, b"a,b+c\"d;e<f>g\\h=i", "CN=a\\,b\\+c\\\"d\\;e\\<f\\>g\\\\h=i", "specials"),
            (CN, UTF8_STRING, b" #a ", "CN=\\ #a\\ ", "spaces at the ends"),
            (CN, UTF8_STRING, b" ", "CN=\\ ", "one space"),
            (CN, UTF8_STRING, b"#0403", "CN=\\#0403", "a number sign in front"),
            (CN, UTF8_STRING, b"#", "CN=\\#", "a number sign alone"),
            (CN, UTF8_STRING, b"a\0b\r\nc", "CN=a\\00b\\0d\\0ac", "controls"),
            (CN, UTF8_STRING, b"\xc2\x85", "CN=\\c2\\85", "a control of two bytes"),
            (CN, UTF8_STRING, "Lučić".as_bytes(), "CN=Lučić", "the example of RFC 4514"),
            (CN, UTF8_STRING, b"\xff", "CN=#0c01ff", "no UTF-8"),
            (CN, PRINTABLE_STRING, b"alice", "CN=alice", "PrintableString"),
            (CN, PRINTABLE_STRING, b"\xc3\xa9", "CN=#1302c3a9", "no ASCII"),
            (CN, TELETEX_STRING, b"alice", "CN=alice", "TeletexString"),
            (CN, TELETEX_STRING, b"\xe9", "CN=#1401e9", "an unknown character set"),
            (CN, BMP_STRING, b"\x00a\x01\x0d", "CN=a\u{10d}", "BMPString"),
            (CN, BMP_STRING, b"\xd8\x00", "CN=#1e02d800", "a surrogate"),
            (CN, BMP_STRING, b"\x00a\x00", "CN=#1e03006100", "half a character"),
            (CN, INTEGER, b"\x05", "CN=#020105", "no string"),
            (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", IA5_STRING, b"net", "DC=net", "a long type"),
            (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", IA5_STRING, b"a@b", "1.2.840.113549.1.9.1=#1603614062", "e-mail"),
            (b"\x88\x37\x03", UTF8_STRING, b"x", "2.999.3=#0c0178", "two in the first number"),
            (b"\x27", UTF8_STRING, b"x", "0.39=#0c0178", "one number"),
        ] {
            assert_eq!(subject(&with_attribute(id, tag, value)).as_deref(), Some(expected), "{name}");
        }
        for (id, name) in [
            (&b""[..], "no number"),
            (b"\x2a\x86", "an unfinished number"),
            (b"\x2a\x80\x01", "a leading zero"),
            (b"\x2a\x82\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "more than 64 bits"),
        ] {
            assert_eq!(subject(&with_attribute(id, UTF8_STRING, b"x")), None, "{name}");
        }
    }

    #[test]
    fn the_last_name_comes_first() {
        let attribute = |id: u8, value: &str| attribute(&[0x55, 4, id], UTF8_STRING, value.as_bytes());
        let name = der(
            SEQUENCE,
            &[
                &der(SET, &[&attribute(6, "DE")]),
                &der(SET, &[&attribute(10, "Example, Inc.")]),
                &der(SET, &[&attribute(11, "Sales"), &attribute(3, "J. Smith")]),
            ],
        );
        let cert = with_subject(&name);
        assert_eq!(subject(&cert).unwrap(), "OU=Sales+CN=J. Smith,O=Example\\, Inc.,C=DE");
        for end in 0..cert.len() {
            assert_eq!(subject(&cert[..end]), None, "cut at {end}");
        }
        assert_eq!(subject(&[&cert[..], b"\0"].concat()), None, "something behind it");
        assert_eq!(subject(&with_subject(&der(SEQUENCE, &[]))).unwrap(), "", "no subject");
        assert_eq!(subject(&with_subject(&der(SEQUENCE, &[&der(SET, &[])]))), None, "no attribute");
        assert_eq!(subject(&with_attribute(b"\x55\x04\x03", UTF8_STRING, &[b'a'; SUBJECT_MAX])), None, "too long");
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let _ = subject(&bytes);
            let _ = subject(&with_subject(&bytes));
            let mut cert = with_attribute(b"\x55\x04\x03", BMP_STRING, &bytes);
            let at = at.index(cert.len());
            cert[at] = byte;
            let _ = subject(&cert);
        }

        #[test]
        fn escapes_lose_nothing(value: String) {
            let written = subject(&with_attribute(b"\x55\x04\x03", UTF8_STRING, value.as_bytes())).unwrap();
            prop_assert!(!written.chars().any(char::is_control));
            let mut read = Vec::new();
            let mut rest = written.strip_prefix("CN=").unwrap().as_bytes();
            while let [byte, after @ ..] = rest {
                rest = after;
                match (byte, after) {
                    (b'\\', [high, low, ..]) if high.is_ascii_hexdigit() => {
                        let pair = [*high, *low];
                        read.push(u8::from_str_radix(str::from_utf8(&pair).unwrap(), 16).unwrap());
                        rest = &after[2..];
                    }
                    (b'\\', [char, ..]) => {
                        read.push(*char);
                        rest = &after[1..];
                    }
                    _ => read.push(*byte),
                }
            }
            prop_assert_eq!(read, value.as_bytes());
        }
    }
}
