//! Makes a self-signed certificate.

use super::der::{
    BIT_STRING, DNS_NAME, EXTENSIONS, GENERALIZED_TIME, INTEGER, IP_ADDRESS, OCTET_STRING, SEQUENCE, SET, UTC_TIME,
    UTF8_STRING, VERSION, der,
};
use super::names::SanName;
use crate::http::date::civil;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// Bytes of a common name, at most (RFC 5280 appendix A, `ub-common-name`).
const COMMON_NAME_MAX: usize = 64;
/// Bytes of a DNS name and of one of its labels, at most (RFC 1035 §2.3.4; the dot at its end is not written).
const DNS_NAME_MAX: usize = 253;
const DNS_LABEL_MAX: usize = 63;
/// Bytes of a random serial number: RFC 5280 §4.1.2.2 allows 20.
const SERIAL_LEN: usize = 16;
/// Bytes of a key identifier: what RFC 7093 §2 takes of the SHA-256 digest.
const KEY_ID_LEN: usize = 20;

/// Why there is no key, or no signature.
const NO_RANDOM: CannotSign = CannotSign("the system gives no random numbers");

/// The name of a server without one.
const DEFAULT_NAME: &str = "OpenWrt";

/// Why no certificate was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotSign(&'static str);

impl fmt::Display for CannotSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for CannotSign {}

/// A certificate and its private key.
pub struct SelfSigned {
    /// The certificate, in DER.
    pub cert: Vec<u8>,
    /// The key, in DER (PKCS#8).
    pub key: Vec<u8>,
}

/// Shows the certificate's length: the key is secret.
impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned").field("cert_bytes", &self.cert.len()).finish_non_exhaustive()
    }
}

/// Makes a key (ECDSA P-256) and a server's certificate for it, valid between two times in Unix seconds.
///
/// The common name is the first host name that fits, else `OpenWrt`. If `names` is empty, that is the only name.
///
/// # Errors
/// For a host name that [`is_dns_name`] refuses, times out of order or after the year 9999, and if the system gives no
/// random numbers.
pub fn self_signed(names: &[SanName], not_before: u64, not_after: u64) -> Result<SelfSigned, CannotSign> {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(|_| NO_RANDOM)?;
    let cert = self_signed_by(key.as_ref(), names, not_before, not_after)?;
    Ok(SelfSigned { cert, key: key.as_ref().to_vec() })
}

/// Makes a certificate (DER) as [`self_signed`] does, for an existing key: ECDSA P-256, in DER (PKCS#8).
///
/// # Errors
/// Those of [`self_signed`], and for another kind of key.
pub fn self_signed_by(key: &[u8], names: &[SanName], not_before: u64, not_after: u64) -> Result<Vec<u8>, CannotSign> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key, &random)
        .map_err(|_| CannotSign("the key is not an ECDSA P-256 key in PKCS#8"))?;
    let mut serial = [0; SERIAL_LEN];
    random.fill(&mut serial).map_err(|_| NO_RANDOM)?;

    let body = to_be_signed(names, not_before, not_after, serial, pair.public_key().as_ref())?;
    let signature = pair.sign(&random, &body).map_err(|_| NO_RANDOM)?;
    Ok(der(SEQUENCE, &[&body, ECDSA_WITH_SHA256, &der(BIT_STRING, &[&[0], signature.as_ref()])]))
}

/// Whether a certificate can hold the name: letters, digits, `-` and `_`, and not the form of an IPv4 address.
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

/// `AlgorithmIdentifier` ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
/// `AlgorithmIdentifier` id-ecPublicKey with secp256r1 (RFC 5480 §2.1.1).
const P256_KEY: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
/// `Version` v3.
const V3: &[u8] = b"\x02\x01\x02";
/// `OBJECT IDENTIFIER`s: common name, subjectAltName and subjectKeyIdentifier.
const COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03";
pub(super) const ALT_NAME: &[u8] = b"\x06\x03\x55\x1d\x11";
const KEY_ID: &[u8] = b"\x06\x03\x55\x1d\x0e";
/// The extensions that are always the same: basicConstraints critical, not a CA; keyUsage critical,
/// digitalSignature; extendedKeyUsage serverAuth.
pub(super) const FIXED_EXTENSIONS: &[u8] = b"\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00\
    \x30\x0e\x06\x03\x55\x1d\x0f\x01\x01\xff\x04\x04\x03\x02\x07\x80\
    \x30\x13\x06\x03\x55\x1d\x25\x04\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";

/// The certificate without its signature: `TBSCertificate` (RFC 5280 §4.1).
fn to_be_signed(
    names: &[SanName],
    not_before: u64,
    not_after: u64,
    mut serial: [u8; SERIAL_LEN],
    public_key: &[u8],
) -> Result<Vec<u8>, CannotSign> {
    if not_before > not_after {
        return Err(CannotSign("the certificate would end before it begins"));
    }
    // Not negative, and no leading zero, which DER would omit.
    serial[0] = serial[0] & 0x7f | 0x40;

    let (common_name, alt_names) = subject_names(names)?;
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

/// The common name, and the elements of the alternative names.
fn subject_names(names: &[SanName]) -> Result<(&str, Vec<u8>), CannotSign> {
    let mut alt_names = Vec::new();
    let mut common_name = None;
    for name in names {
        match name {
            SanName::Dns(name) if is_dns_name(name) => {
                common_name = common_name.or(Some(name.as_str()).filter(|name| name.len() <= COMMON_NAME_MAX));
                alt_names.extend(der(DNS_NAME, &[name.as_bytes()]));
            }
            SanName::Dns(_) => return Err(CannotSign("a host name is not valid in a certificate")),
            SanName::Ip(IpAddr::V4(ip)) => alt_names.extend(der(IP_ADDRESS, &[&ip.octets()])),
            SanName::Ip(IpAddr::V6(ip)) => alt_names.extend(der(IP_ADDRESS, &[&ip.octets()])),
        }
    }
    let common_name = common_name.unwrap_or(DEFAULT_NAME);
    if names.is_empty() {
        alt_names = der(DNS_NAME, &[common_name.as_bytes()]);
    }
    Ok((common_name, alt_names))
}

/// An extension that is not critical.
fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[id, &der(OCTET_STRING, &[value])])
}

/// A time in Unix seconds: with two digits of the year to 2049, with four from 2050 (RFC 5280 §4.1.2.5).
fn time(seconds: u64) -> Result<Vec<u8>, CannotSign> {
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (tag, year) = if year < 2050 {
        (UTC_TIME, format!("{:02}", year % 100))
    } else if year < 10_000 {
        (GENERALIZED_TIME, format!("{year}"))
    } else {
        return Err(CannotSign("a year has more than four digits"));
    };
    Ok(der(tag, &[format!("{year}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z").as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::super::der::Reader;
    use super::super::subject;
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 86_400;
    const NOT_BEFORE: u64 = 1_767_225_600;

    fn dns(name: &str) -> SanName {
        SanName::Dns(name.to_owned())
    }

    fn make(names: &[SanName]) -> Vec<u8> {
        self_signed(names, NOT_BEFORE, NOT_BEFORE + 397 * DAY).unwrap().cert
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

    proptest! {
        #[test]
        fn days_follow_each_other(days in 0..3_000_000_u64) {
            let ((year, month, day), next) = (civil(days), civil(days + 1));
            prop_assert!(next == (year, month, day + 1) || next == (year, month + 1, 1) || next == (year + 1, 1, 1));
        }
    }
}
