//! X.509 as far as a server needs it: makes a self-signed certificate, reads the subject of a client's.
//!
//! DER (X.690) is written and read here rather than by a crate: these few functions are a fraction of one's size.

use crate::http::date::civil;
use std::fmt::Write;
use std::net::IpAddr;

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// Bytes of an encoded subject, at most: real ones take some 200, and the string takes up to four times as many.
const SUBJECT_MAX: usize = 4096;
/// Bytes of a common name, at most (RFC 5280 appendix A, `ub-common-name`).
const COMMON_NAME_MAX: usize = 64;
/// Bytes of a DNS name and of one of its labels, at most (RFC 1035 §2.3.4; the dot at its end is not written).
const DNS_NAME_MAX: usize = 253;
const DNS_LABEL_MAX: usize = 63;
/// Bytes of a random serial number: RFC 5280 §4.1.2.2 allows 20.
const SERIAL_LEN: usize = 16;
/// Bytes of a key identifier: RFC 7093 §2 takes as many of the SHA-256 digest.
const KEY_ID_LEN: usize = 20;

/// The name of a server that has none, as OpenWrt calls itself.
const DEFAULT_NAME: &str = "OpenWrt";

/// A name that a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SanName {
    /// A host name: letters, digits, `-` and `_` in labels.
    Dns(String),
    /// An address that clients type.
    Ip(IpAddr),
}

/// A certificate and its private key.
pub struct SelfSigned {
    /// The certificate, in DER.
    pub cert: Vec<u8>,
    /// The key, in DER (PKCS#8).
    pub key: Vec<u8>,
}

/// Makes a key (ECDSA P-256) and a server's certificate for it, valid between two times in Unix seconds.
///
/// The common name is the first host name that fits, or `OpenWrt`; without names that is what the certificate names.
pub fn self_signed(names: &[SanName], not_before: u64, not_after: u64) -> Result<SelfSigned, &'static str> {
    const NO_RANDOM: &str = "the system gives no random numbers";
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(|_| NO_RANDOM)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random)
        .map_err(|_| "the new key is not accepted")?;
    let mut serial = [0; SERIAL_LEN];
    random.fill(&mut serial).map_err(|_| NO_RANDOM)?;

    let body = to_be_signed(names, not_before, not_after, serial, pair.public_key().as_ref())?;
    let signature = pair.sign(&random, &body).map_err(|_| NO_RANDOM)?;
    let cert = der(SEQUENCE, &[&body, ECDSA_WITH_SHA256, &der(BIT_STRING, &[&[0], signature.as_ref()])]);
    Ok(SelfSigned { cert, key: key.as_ref().to_vec() })
}

/// Whether a certificate can hold the name: letters, digits, `-` and `_`, and not what reads as an IPv4 address.
pub fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=DNS_LABEL_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= DNS_NAME_MAX
        && name.split('.').all(label)
        && name.rsplit('.').next().is_some_and(|last| !numeric(last))
}

/// The subject of a certificate (DER) as RFC 4514 writes it: `CN=alice,O=Example`.
///
/// `None` if it is malformed or extraordinarily long. Control characters are escaped, so it is safe in a log.
pub fn subject(cert: &[u8]) -> Option<String> {
    let mut input = Reader(cert);
    let mut certificate = input.enter(SEQUENCE)?;
    let mut body = certificate.enter(SEQUENCE)?;
    if !input.is_empty() {
        return None;
    }
    if body.0.first() == Some(&VERSION) {
        body.enter(VERSION)?;
    }
    // Serial number, signature algorithm, issuer, validity.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE] {
        body.enter(tag)?;
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
    // RFC 4514 §2.1: the last one first, that is the most specific one.
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

// Tags of DER.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
// Tags that mean something in their place alone (RFC 5280 §4.1 and §4.2.1.6).
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// `AlgorithmIdentifier` ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
/// `AlgorithmIdentifier` id-ecPublicKey with secp256r1 (RFC 5480 §2.1.1).
const P256_KEY: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// `Version` v3.
const V3: &[u8] = b"\x02\x01\x02";
/// `OBJECT IDENTIFIER`s: common name, subjectAltName and subjectKeyIdentifier.
const COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03";
const ALT_NAME: &[u8] = b"\x06\x03\x55\x1d\x11";
const KEY_ID: &[u8] = b"\x06\x03\x55\x1d\x0e";
/// The extensions that are always the same: basicConstraints critical, not a CA; keyUsage critical,
/// digitalSignature; extendedKeyUsage serverAuth.
const FIXED_EXTENSIONS: &[u8] = b"\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00\
    \x30\x0e\x06\x03\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x07\x80\
    \x30\x13\x06\x03\x55\x1d\x25\x04\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";

/// The types of RFC 4514 §3 that have a short name, by their encoding.
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

/// The certificate without its signature: `TBSCertificate` (RFC 5280 §4.1).
fn to_be_signed(
    names: &[SanName],
    not_before: u64,
    not_after: u64,
    mut serial: [u8; SERIAL_LEN],
    public_key: &[u8],
) -> Result<Vec<u8>, &'static str> {
    if not_before > not_after {
        return Err("the certificate would end before it begins");
    }
    // Neither negative nor with a zero in front, which DER would leave out.
    serial[0] = serial[0] & 0x7f | 0x40;

    let mut alt_names = Vec::new();
    let mut common_name = None;
    for name in names {
        match name {
            SanName::Dns(name) if is_dns_name(name) => {
                common_name = common_name.or(Some(name.as_str()).filter(|name| name.len() <= COMMON_NAME_MAX));
                alt_names.extend(der(DNS_NAME, &[name.as_bytes()]));
            }
            SanName::Dns(_) => return Err("a host name is not one that a certificate can hold"),
            SanName::Ip(IpAddr::V4(ip)) => alt_names.extend(der(IP_ADDRESS, &[&ip.octets()])),
            SanName::Ip(IpAddr::V6(ip)) => alt_names.extend(der(IP_ADDRESS, &[&ip.octets()])),
        }
    }
    let common_name = common_name.unwrap_or(DEFAULT_NAME);
    if names.is_empty() {
        alt_names = der(DNS_NAME, &[common_name.as_bytes()]);
    }

    let key_bits = der(BIT_STRING, &[&[0], public_key]);
    let digest = digest::digest(&digest::SHA256, public_key);
    let key_id = digest.as_ref().get(..KEY_ID_LEN).unwrap_or_default();
    let extensions = der(
        SEQUENCE,
        &[
            FIXED_EXTENSIONS,
            &extension(ALT_NAME, &der(SEQUENCE, &[&alt_names])),
            &extension(KEY_ID, &der(OCTET_STRING, &[key_id])),
        ],
    );
    let attribute = der(SEQUENCE, &[COMMON_NAME, &der(UTF8_STRING, &[common_name.as_bytes()])]);
    let name = der(SEQUENCE, &[&der(SET, &[&attribute])]);
    Ok(der(
        SEQUENCE,
        &[
            &der(VERSION, &[V3]),
            &der(INTEGER, &[&serial]),
            ECDSA_WITH_SHA256,
            &name,
            &der(SEQUENCE, &[&time(not_before)?, &time(not_after)?]),
            &name,
            &der(SEQUENCE, &[P256_KEY, &key_bits]),
            &der(EXTENSIONS, &[&extensions]),
        ],
    ))
}

/// An extension that is not critical.
fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[id, &der(OCTET_STRING, &[value])])
}

/// A time in Unix seconds: with two digits of the year to 2049, with four from 2050 (RFC 5280 §4.1.2.5).
fn time(seconds: u64) -> Result<Vec<u8>, &'static str> {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (tag, year) = if year < 2050 {
        (UTC_TIME, format!("{:02}", year % 100))
    } else if year < 10_000 {
        (GENERALIZED_TIME, format!("{year}"))
    } else {
        return Err("a year has more than four digits");
    };
    Ok(der(tag, &[format!("{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z").as_bytes()]))
}

/// Writes one DER element, whose contents are the parts in their order.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
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
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next element, if it has this tag, and gives its contents to read.
    fn enter(&mut self, tag: u8) -> Option<Reader<'a>> {
        let (found, contents) = self.next()?;
        (found == tag).then_some(Reader(contents))
    }

    /// Takes the next element: its tag and its contents.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], mut rest) = self.0.split_first_chunk()?;
        // Nothing in a certificate has a tag of several bytes.
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

/// The text of a string type; `None` for any other type, and for what is not text.
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
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400;
    const NOT_BEFORE: u64 = 1_767_225_600;

    fn dns(name: &str) -> SanName {
        SanName::Dns(name.to_owned())
    }

    fn make(names: &[SanName]) -> Vec<u8> {
        self_signed(names, NOT_BEFORE, NOT_BEFORE + 397 * DAY).unwrap().cert
    }

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

    fn contains(cert: &[u8], part: &[u8]) -> bool {
        cert.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn a_certificate_names_what_it_is_for() {
        let cert = make(&[SanName::Ip([192, 168, 1, 1].into()), dns("router.lan"), dns("other")]);
        assert_eq!(subject(&cert).unwrap(), "CN=router.lan");
        assert!(contains(&cert, b"\x30\x19\x87\x04\xc0\xa8\x01\x01\x82\x0arouter.lan\x82\x05other"));
        assert!(contains(&cert, FIXED_EXTENSIONS));

        let unnamed = make(&[]);
        assert_eq!(subject(&unnamed).unwrap(), "CN=OpenWrt");
        assert!(contains(&unnamed, b"\x30\x09\x82\x07OpenWrt"));
        assert_eq!(subject(&make(&[SanName::Ip("::1".parse().unwrap())])).unwrap(), "CN=OpenWrt");

        let long = [&"a".repeat(60), "lan.example"].join(".");
        assert_eq!(subject(&make(&[dns(&long)])).unwrap(), "CN=OpenWrt", "longer than a common name may be");
        assert_eq!(subject(&make(&[dns(&long), dns("short")])).unwrap(), "CN=short");
    }

    #[test]
    fn no_two_certificates_are_alike() {
        let (one, two) = (self_signed(&[], 0, DAY).unwrap(), self_signed(&[], 0, DAY).unwrap());
        assert_ne!(one.cert[..40], two.cert[..40], "serial numbers");
        assert_ne!(one.key, two.key);
    }

    #[test]
    fn serial_numbers_are_positive_and_whole() {
        for byte in [0, 0x7f, 0x80, 0xff] {
            let body = to_be_signed(&[], 0, 1, [byte; SERIAL_LEN], &[4; 65]).unwrap();
            let mut reader = Reader(&body).enter(SEQUENCE).unwrap();
            reader.enter(VERSION).unwrap();
            let serial = reader.enter(INTEGER).unwrap().0;
            assert!(serial.len() == SERIAL_LEN && (0x40..0x80).contains(&serial[0]), "{serial:x?}");
        }
    }

    #[test]
    fn what_no_certificate_can_hold_is_refused() {
        for (name, verdict) in [
            ("OpenWrt", true),
            ("my_router.lan", true),
            ("a", true),
            ("1a.2b", true),
            ("", false),
            (".", false),
            ("router.", false),
            ("a..b", false),
            ("-a", false),
            ("a-.lan", false),
            ("*.lan", false),
            ("my router", false),
            ("r\u{fc}ter", false),
            ("192.168.1.1", false),
            ("router.1", false),
        ] {
            assert_eq!(is_dns_name(name), verdict, "{name:?}");
            assert_eq!(self_signed(&[dns(name)], 0, 1).is_ok(), verdict, "{name:?}");
        }
        assert!(is_dns_name(&"a".repeat(63)) && !is_dns_name(&"a".repeat(64)));
        assert!(!is_dns_name(&["a"; 128].join(".")));
        assert!(self_signed(&[], 2, 1).is_err());
        assert!(self_signed(&[], 0, u64::MAX).is_err());
    }

    #[test]
    fn times_have_two_forms() {
        for (seconds, encoded) in [
            (0, &b"\x17\x0d700101000000Z"[..]),
            (951_782_400, b"\x17\x0d000229000000Z"),
            (1_767_225_599, b"\x17\x0d251231235959Z"),
            (2_524_607_999, b"\x17\x0d491231235959Z"),
            (2_524_608_000, b"\x18\x0f20500101000000Z"),
            (253_402_300_799, b"\x18\x0f99991231235959Z"),
        ] {
            assert_eq!(time(seconds).unwrap(), encoded, "{seconds}");
        }
        assert!(time(253_402_300_800).is_err());
    }

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

        #[test]
        fn days_follow_each_other(days in 0..3_000_000_u64) {
            let ((year, month, day), next) = (civil(days), civil(days + 1));
            prop_assert!(next == (year, month, day + 1) || next == (year, month + 1, 1) || next == (year + 1, 1, 1));
        }
    }
}
