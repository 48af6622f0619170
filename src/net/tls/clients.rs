//! Client certificates: which authorities count, and when signatures are checked.

use super::certificates::{certificates, wrong};
use super::tls_files::TlsFiles;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use std::io;
use std::sync::Arc;

/// Verifies client certificates.
pub(super) type Verifier = Arc<dyn ClientCertVerifier>;

/// Makes the verifier for client certificates; `None` if none are requested.
pub(super) fn verifier(files: &TlsFiles, provider: &Arc<CryptoProvider>) -> io::Result<Option<Verifier>> {
    let Some(ca) = &files.ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for cert in certificates(ca)? {
        roots.add(cert).map_err(|error| wrong(ca, error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    Ok(Some(builder.build().map_err(|error| wrong(ca, error))?))
}

/// Accepts clients with any certificate whose key they own, or with none. Whether an authority signed it is checked
/// when the server asks. Clients without a valid certificate can thus be told so by HTTP, and can use public resources.
#[derive(Debug)]
pub(super) struct Lenient(pub(super) Verifier);

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
