//! What kind of key a certificate has, as text.

use super::der::{BIT_STRING, INTEGER, OBJECT_ID, Reader, SEQUENCE};
use super::facts::public_key;

/// Public keys by the encoded identifiers of their algorithm, and of their curve (RFC 5480 §2, RFC 8410 §3).
const KINDS: &[(&[u8], &[u8], &str)] = &[
    (EC, b"\x2a\x86\x48\xce\x3d\x03\x01\x07", "P-256"),
    (EC, b"\x2b\x81\x04\x00\x22", "P-384"),
    (EC, b"\x2b\x81\x04\x00\x23", "P-521"),
    (b"\x2b\x65\x70", b"", "Ed25519"),
];
const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x02\x01";
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

/// The kind of a certificate's (DER) public key: `P-256`, `Ed25519`, `RSA 2048`. `None` if it is another one.
pub fn key_kind(cert: &[u8]) -> Option<String> {
    let mut key = Reader(public_key(cert)?).enter(SEQUENCE)?;
    let mut algorithm = key.enter(SEQUENCE)?;
    let kind = algorithm.enter(OBJECT_ID)?.0;
    if kind == RSA {
        // Its first byte says how many bits of the last are unused: none.
        let bits = key.enter(BIT_STRING)?.0.strip_prefix(b"\0")?;
        let modulus = Reader(bits).enter(SEQUENCE)?.enter(INTEGER)?.0;
        let modulus = modulus.strip_prefix(b"\0").unwrap_or(modulus);
        return Some(["RSA ", &(modulus.len() * 8).to_string()].concat());
    }
    let curve = algorithm.enter(OBJECT_ID).map_or(&b""[..], |curve| curve.0);
    let known = KINDS.iter().find(|(known, of, _)| *known == kind && *of == curve);
    known.map(|(_, _, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::create::self_signed;
    use super::super::der::der;
    use super::*;

    #[test]
    fn kinds() {
        let made = self_signed(&[], 0, 1).unwrap().cert;
        assert_eq!(key_kind(&made).as_deref(), Some("P-256"));
        for (algorithm, name) in [(&rcgen::PKCS_ECDSA_P384_SHA384, "P-384"), (&rcgen::PKCS_ED25519, "Ed25519")] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let cert = rcgen::CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
            assert_eq!(key_kind(cert.der()).as_deref(), Some(name));
            for end in 0..cert.der().len() {
                assert_eq!(key_kind(&cert.der()[..end]), None);
            }
        }
    }

    /// A certificate with no more than a key of RSA in it: making such keys takes long.
    #[test]
    fn keys_of_rsa_have_a_length() {
        let sequence = |parts: &[&[u8]]| der(SEQUENCE, parts);
        let modulus = [&[0, 0x80][..], &[1; 255]].concat();
        let key = sequence(&[&der(INTEGER, &[&modulus]), &der(INTEGER, &[&[3]])]);
        let algorithm = sequence(&[&der(OBJECT_ID, &[RSA]), b"\x05\0"]);
        let info = sequence(&[&algorithm, &der(BIT_STRING, &[b"\0", &key])]);
        let (empty, number) = (sequence(&[]), der(INTEGER, &[&[1]]));
        let cert = sequence(&[&sequence(&[&number, &empty, &empty, &empty, &empty, &info])]);
        assert_eq!(key_kind(&cert).as_deref(), Some("RSA 2048"));
    }
}
