//! Certificates and keys: loading them, and choosing one for a client.

use crate::net::{said, x509};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a certificate, key or CA file. The CA bundle of a whole system has about 200 KiB.
const MAX_FILE: u64 = 1 << 20;

/// Certificates, chosen by the name that the client asks for.
#[derive(Debug)]
pub(super) struct Certificates {
    /// Never empty.
    all: Vec<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    cert: CertificateDer<'static>,
    key: Arc<CertifiedKey>,
}

impl Certificates {
    pub(super) fn load(pairs: &[(PathBuf, PathBuf)], provider: &CryptoProvider) -> io::Result<Certificates> {
        if pairs.is_empty() {
            return Err(said(io::ErrorKind::InvalidInput, "TLS needs a certificate and a key".into()));
        }
        let load = |(cert, key): &(PathBuf, PathBuf)| certificate(cert, key, provider);
        Ok(Certificates { all: pairs.iter().map(load).collect::<io::Result<_>>()? })
    }
}

impl Certificates {
    /// The certificate that names the host, or else one with a matching wildcard.
    fn find(&self, host: &str) -> Option<&Certificate> {
        // A certificate that also matches an arbitrary sibling matches by a wildcard.
        let sibling = host.split_once('.').map(|(_, domain)| format!("any-other-name.{domain}"));
        let exact = |found: &&&Certificate| !sibling.as_deref().is_some_and(|sibling| found.is_for(sibling));
        let fitting = || self.all.iter().filter(|certificate| certificate.is_for(host));
        fitting().find(|found| exact(&found)).or_else(|| fitting().next())
    }
}

impl Certificate {
    fn is_for(&self, host: &str) -> bool {
        let (Ok(cert), Ok(host)) = (ParsedCertificate::try_from(&self.cert), ServerName::try_from(host)) else {
            return false;
        };
        verify_server_name(&cert, &host).is_ok()
    }
}

impl ResolvesServerCert for Certificates {
    /// Chooses by the names in the certificates, wildcards included (RFC 6125 §6.4.3). The first is the default.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = match hello.server_name() {
            Some(name) if self.all.len() > 1 => self.find(name),
            _ => None,
        };
        chosen.or(self.all.first()).map(|certificate| Arc::clone(&certificate.key))
    }
}

/// Loads a chain and its key, and checks that they match.
fn certificate(cert_path: &Path, key_path: &Path, provider: &CryptoProvider) -> io::Result<Certificate> {
    let chain = certificates(cert_path)?;
    let Some(cert) = chain.first().cloned() else {
        return Err(wrong(cert_path, "no certificate in it"));
    };
    let signing = provider
        .key_provider
        .load_private_key(private_key(key_path)?)
        .map_err(|_| wrong(key_path, "expected ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"))?;
    // Not compared by rustls: it parses the certificate as a verifying client does, and would refuse X.509 v1 and
    // others. That is for clients to decide.
    let public = x509::public_key(&cert).ok_or_else(|| wrong(cert_path, "malformed certificate"))?;
    if signing.public_key().is_none_or(|key| key.as_ref() != public) {
        return Err(wrong(key_path, format_args!("not the key of {}", cert_path.display())));
    }
    Ok(Certificate { cert, key: Arc::new(CertifiedKey::new(chain, signing)) })
}

/// Reads a private key, PEM or DER.
fn private_key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    let der = read(path)?;
    if is_pem(&der) {
        return PrivateKeyDer::from_pem_slice(&der).map_err(|_| wrong(path, "no unencrypted private key in it"));
    }
    PrivateKeyDer::try_from(der).map_err(|_| wrong(path, "neither PEM nor a DER key (PKCS#8, PKCS#1, SEC1)"))
}

/// Reads a certificate file, PEM or DER, and returns DER. Of a chain it returns the first, which is the server's.
///
/// # Errors
/// One line that names the file and what is wrong with it.
pub fn read_cert(path: &Path) -> io::Result<Vec<u8>> {
    Ok(certificates(path)?.swap_remove(0).to_vec())
}

/// Reads a private key file, PEM or DER, and returns DER.
///
/// # Errors
/// As [`read_cert`].
pub fn read_key(path: &Path) -> io::Result<Vec<u8>> {
    Ok(private_key(path)?.secret_der().to_vec())
}

/// Reads a PEM chain, or one certificate in DER.
pub(super) fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bytes = read(path)?;
    if !is_pem(&bytes) {
        return Ok(vec![CertificateDer::from(bytes)]);
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|_| wrong(path, "malformed PEM"))?;
    if chain.is_empty() { Err(wrong(path, "no certificate in it")) } else { Ok(chain) }
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|window| window == b"-----BEGIN")
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let named = |error: io::Error| said(error.kind(), format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(named)?;
    if bytes.len() as u64 > MAX_FILE {
        Err(wrong(path, format_args!("larger than {MAX_FILE} bytes")))
    } else {
        Ok(bytes)
    }
}

pub(super) fn wrong(path: &Path, what: impl fmt::Display) -> io::Error {
    said(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
}
