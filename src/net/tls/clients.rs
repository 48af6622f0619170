//! Client certificates: which authorities count, and when signatures are checked.

use super::certificates::{certificates, wrong};
use super::tls_files::TlsFiles;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};

/// Makes what verifies client certificates; `None` if no certificates are requested.
pub(super) fn authorities(files: &TlsFiles, provider: &CryptoProvider) -> io::Result<Option<Arc<Authorities>>> {
    let Some(ca) = &files.ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for cert in certificates(ca)? {
        roots.add(cert).map_err(|error| wrong(ca, error))?;
    }
    let algorithms = provider.signature_verification_algorithms;
    Ok(Some(Arc::new(Authorities { names: roots.subjects(), roots, algorithms, later: files.insecure })))
}

/// Accepts clients whose certificate one of these has signed. rustls has the same as `WebPkiClientVerifier`, which can
/// also read lists of revoked certificates: 13 KB more on MIPS, and nothing here gives it any.
#[derive(Debug)]
pub(super) struct Authorities {
    roots: RootCertStore,
    /// Clients choose by them which certificate to send.
    names: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    /// The handshake accepts any certificate whose key the client owns, and none; the server verifies it when it asks.
    /// Clients without a valid certificate can thus be told so by HTTP, and can use public resources.
    pub(super) later: bool,
}

impl Authorities {
    /// Checks that one of these has signed a certificate, which is in force and for clients.
    pub(super) fn verify(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let usage = KeyUsage::client_auth();
        EndEntityCert::try_from(cert)
            .and_then(|cert| {
                cert.verify_for_usage(self.algorithms.all, &self.roots.roots, between, now, usage, None, None).map(drop)
            })
            .map_err(|error| refusal(error).into())
    }
}

impl ClientCertVerifier for Authorities {
    fn client_auth_mandatory(&self) -> bool {
        !self.later
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        cert: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.later {
            self.verify(cert, between, now)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What rustls calls an error of webpki: it chooses the alert that clients get (RFC 8446 §6.2).
fn refusal(error: webpki::Error) -> CertificateError {
    match error {
        webpki::Error::BadDer | webpki::Error::BadDerTime | webpki::Error::TrailingData(_) => {
            CertificateError::BadEncoding
        }
        webpki::Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::InvalidCertValidity => CertificateError::Expired,
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
}

/// What the log calls a refusal: what rustls has no name for, by webpki's.
pub(super) fn reason(error: &Error) -> &dyn Display {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;
    use std::time::Duration;

    /// An error of webpki, the alert that clients get, and what the log says.
    #[test]
    fn refusals_have_alerts_and_names() {
        let (early, late) = (UnixTime::since_unix_epoch(Duration::ZERO), UnixTime::since_unix_epoch(Duration::MAX));
        let rows = [
            (webpki::Error::BadDer, AlertDescription::BadCertificate, "BadEncoding"),
            (
                webpki::Error::CertExpired { time: late, not_after: early },
                AlertDescription::CertificateExpired,
                "certificate expired",
            ),
            (
                webpki::Error::CertNotValidYet { time: early, not_before: late },
                AlertDescription::CertificateExpired,
                "not valid yet",
            ),
            (webpki::Error::InvalidSignatureForPublicKey, AlertDescription::DecryptError, "BadSignature"),
            (webpki::Error::UnknownIssuer, AlertDescription::UnknownCA, "UnknownIssuer"),
            (webpki::Error::CaUsedAsEndEntity, AlertDescription::CertificateUnknown, "CaUsedAsEndEntity"),
        ];
        for (error, alert, name) in rows {
            let error = refusal(error);
            assert_eq!(AlertDescription::from(error.clone()), alert, "{name}");
            let text = reason(&error.into()).to_string();
            assert!(text.contains(name), "{text}: {name}");
        }
    }
}
