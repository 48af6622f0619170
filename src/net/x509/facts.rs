//! What a server needs to know about its own certificate.

use super::create::{ALT_NAME, FIXED_EXTENSIONS};
use super::der::{
    DNS_NAME, EXTENSIONS, GENERALIZED_TIME, INTEGER, IP_ADDRESS, OCTET_STRING, Reader, SEQUENCE, UTC_TIME, VERSION,
};
use super::names::SanName;
use crate::http::date;
use std::net::IpAddr;

/// What [`facts`] finds in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The first second of its validity, in Unix seconds.
    pub not_before: u64,
    /// The last one.
    pub not_after: u64,
    /// The hosts and addresses that it is valid for. Other kinds of names are left out.
    pub names: Vec<SanName>,
    /// It is X.509 v3, which today's clients require.
    pub is_v3: bool,
    /// It was made by [`self_signed`](super::self_signed) or [`self_signed_by`](super::self_signed_by).
    pub is_own: bool,
}

/// Reads a certificate (DER); `None` if it is malformed or dates from before 1970.
pub fn facts(cert: &[u8]) -> Option<Facts> {
    let mut parts = Parts::read(cert)?;
    let (not_before, not_after) = (time(&mut parts.validity)?, time(&mut parts.validity)?);
    let is_own = parts.issuer == parts.subject && parts.extensions.0.starts_with(FIXED_EXTENSIONS);
    Some(Facts { not_before, not_after, names: names(parts.extensions)?, is_v3: parts.is_v3, is_own })
}

/// The public key of a certificate, as `SubjectPublicKeyInfo` (DER).
pub(crate) fn public_key(cert: &[u8]) -> Option<&[u8]> {
    Some(Parts::read(cert)?.public_key)
}

/// A certificate's parts (RFC 5280 §4.1): contents only, except for the key, which is a whole element.
struct Parts<'a> {
    is_v3: bool,
    issuer: &'a [u8],
    validity: Reader<'a>,
    subject: &'a [u8],
    public_key: &'a [u8],
    /// Empty if there are none.
    extensions: Reader<'a>,
}

impl<'a> Parts<'a> {
    fn read(cert: &'a [u8]) -> Option<Parts<'a>> {
        let mut body = Reader(cert).enter(SEQUENCE)?.enter(SEQUENCE)?;
        let is_v3 = body.0.first() == Some(&VERSION) && body.enter(VERSION)?.enter(INTEGER)?.0 == [2];
        body.enter(INTEGER)?;
        body.enter(SEQUENCE)?;
        let (issuer, validity, subject) = (body.enter(SEQUENCE)?.0, body.enter(SEQUENCE)?, body.enter(SEQUENCE)?.0);
        let before = body.0;
        body.enter(SEQUENCE)?;
        let public_key = before.get(..before.len() - body.0.len())?;
        let mut extensions = Reader(&[]);
        while let Some((tag, contents)) = body.next() {
            if tag == EXTENSIONS {
                extensions = Reader(contents).enter(SEQUENCE)?;
            }
        }
        Some(Parts { is_v3, issuer, validity, subject, public_key, extensions })
    }
}

/// The hosts and addresses of subjectAltName (RFC 5280 §4.2.1.6).
fn names(mut extensions: Reader<'_>) -> Option<Vec<SanName>> {
    let mut found = Vec::new();
    while !extensions.is_empty() {
        let extension = extensions.enter(SEQUENCE)?;
        let Some(value) = extension.0.strip_prefix(ALT_NAME) else { continue };
        let mut value = Reader(value);
        let (tag, contents) = value.next()?;
        // The first may say that it is critical.
        let contents = if tag == OCTET_STRING { contents } else { value.enter(OCTET_STRING)?.0 };
        let mut list = Reader(contents).enter(SEQUENCE)?;
        while let Some((tag, name)) = list.next() {
            let ip = || match name.len() {
                4 => Some(IpAddr::from(<[u8; 4]>::try_from(name).ok()?)),
                _ => Some(IpAddr::from(<[u8; 16]>::try_from(name).ok()?)),
            };
            match tag {
                DNS_NAME => found.extend(str::from_utf8(name).ok().map(|name| SanName::Dns(name.to_owned()))),
                IP_ADDRESS => found.extend(ip().map(SanName::Ip)),
                _ => {}
            }
        }
    }
    Some(found)
}

/// A time in either form (RFC 5280 §4.1.2.5).
fn time(from: &mut Reader<'_>) -> Option<u64> {
    let (tag, text) = from.next()?;
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let mut pairs = pairs.iter().map(|[tens, ones]| u64::from(tens - b'0') * 10 + u64::from(ones - b'0'));
    let mut next = || pairs.next();
    let year = match (tag, digits.len()) {
        (UTC_TIME, 12) => next().map(|year| if year < 50 { 2000 + year } else { 1900 + year })?,
        (GENERALIZED_TIME, 14) => next()? * 100 + next()?,
        _ => return None,
    };
    date::unix((year, next()?, next()?), (next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::super::create::self_signed;
    use super::super::der::der;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_made_is_read() {
        let names = [
            SanName::Ip([192, 168, 1, 1].into()),
            SanName::Dns("a.lan".into()),
            SanName::Ip("fd00::1".parse().unwrap()),
        ];
        for (not_before, not_after) in [(0, 1), (1_767_225_600, 1_801_526_399), (2_524_607_999, 2_524_608_000)] {
            let cert = self_signed(&names, not_before, not_after).unwrap().cert;
            let expected = Facts { not_before, not_after, names: names.to_vec(), is_v3: true, is_own: true };
            assert_eq!(facts(&cert), Some(expected));
            for end in 0..cert.len() {
                let _ = facts(&cert[..end]);
                let _ = public_key(&cert[..end]);
            }
        }
    }

    /// As another program makes it: v3, of another order; and v1, which has neither version nor extensions.
    #[test]
    fn others_are_read() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["b.lan".to_owned(), "::1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        let cert = params.self_signed(&key).unwrap();
        let found = facts(cert.der()).unwrap();
        assert_eq!((found.not_before, found.not_after), (1_767_225_600, 2_840_140_800));
        assert_eq!(found.names, [SanName::Dns("b.lan".into()), SanName::Ip("::1".parse().unwrap())]);
        assert!(found.is_v3 && !found.is_own);
        use rcgen::PublicKeyData;
        assert_eq!(public_key(cert.der()).unwrap(), key.subject_public_key_info());

        let sequence = |parts: &[&[u8]]| der(SEQUENCE, parts);
        let validity = sequence(&[b"\x17\x0d260101000000Z", b"\x18\x0f20600101000000Z"]);
        let (empty, number) = (sequence(&[]), der(INTEGER, &[&[1]]));
        let old = sequence(&[&sequence(&[&number, &empty, &empty, &validity, &empty, &sequence(&[b"\x05\x00"])])]);
        let found = facts(&old).unwrap();
        assert!(!found.is_v3 && !found.is_own && found.names.is_empty());
        assert_eq!(found.not_after, 2_840_140_800);
        assert_eq!(public_key(&old), Some(&b"\x30\x02\x05\x00"[..]));
    }

    #[test]
    fn times() {
        let read = |tag, text: &[u8]| time(&mut Reader(&der(tag, &[text])));
        #[rustfmt::skip]
        let rows: [(u8, &[u8], Option<u64>); 11] = [
            (UTC_TIME, b"700101000000Z", Some(0)), (UTC_TIME, b"491231235959Z", Some(2_524_607_999)), (UTC_TIME, b"500101000000Z", None),
            (GENERALIZED_TIME, b"20500101000000Z", Some(2_524_608_000)), (GENERALIZED_TIME, b"99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, b"261301000000Z", None), (UTC_TIME, b"260230000000Z", None), (UTC_TIME, b"260101240000Z", None),
            (UTC_TIME, b"2601010000Z", None), (UTC_TIME, b"260101000000", None), (INTEGER, b"260101000000Z", None),
        ];
        for (tag, text, expected) in rows {
            assert_eq!(read(tag, text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let _ = facts(&bytes);
            let mut cert = self_signed(&[SanName::Dns("a".into())], 0, 1).unwrap().cert;
            let at = at.index(cert.len());
            cert[at] = byte;
            let _ = facts(&cert);
            let _ = public_key(&cert);
        }
    }
}
