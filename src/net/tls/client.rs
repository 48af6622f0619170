//! TLS as a client, for connections to other servers.

use super::certificates::{certificates, wrong};
use super::config::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes of output that rustls may buffer: one record.
const BUFFER: usize = 16 << 10;

/// How servers that speak TLS are verified. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTrust(Arc<ClientConfig>);

impl ServerTrust {
    /// Trusts servers whose certificate is for their name and signed by an authority in the file `ca` (PEM or DER).
    ///
    /// # Errors
    /// One line naming the file and what is wrong with it.
    pub fn authorities(ca: impl AsRef<Path>) -> io::Result<ServerTrust> {
        let ca = ca.as_ref();
        let mut roots = RootCertStore::empty();
        for cert in certificates(ca)? {
            // A bundle may have some that nothing can be made of.
            let _ = roots.add(cert);
        }
        let provider = Arc::new(provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        Self::new(provider, verifier.build().map_err(|error| wrong(ca, error))?)
    }

    /// Trusts every server: anyone who can intercept the connection can read and change it.
    ///
    /// # Errors
    /// If TLS can't be set up, which should not happen.
    pub fn anyone() -> io::Result<ServerTrust> {
        let provider = Arc::new(provider());
        let verifier = Arc::new(Anyone(Arc::clone(&provider)));
        Self::new(provider, verifier)
    }

    fn new(provider: Arc<CryptoProvider>, verifier: Arc<dyn ServerCertVerifier>) -> io::Result<ServerTrust> {
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = builder.with_no_client_auth();
        // Connections are kept, so there are few handshakes.
        config.resumption = Resumption::disabled();
        Ok(ServerTrust(Arc::new(config)))
    }
}

/// One session.
pub(crate) struct TlsClient {
    session: Box<ClientConnection>,
    /// The server is told that nothing more comes.
    closes: bool,
}

impl TlsClient {
    /// `name`: the server's, or its address.
    pub(crate) fn new(trust: &ServerTrust, name: &str) -> io::Result<TlsClient> {
        let name =
            ServerName::try_from(name.to_owned()).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let mut session = ClientConnection::new(Arc::clone(&trust.0), name).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(BUFFER));
        Ok(TlsClient { session: Box::new(session), closes: false })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Takes decrypted bytes; `WouldBlock` if there are none. Without `close_notify` the end is an error.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.session.reader().read(buffer)
    }

    /// Takes ciphertext from the socket.
    pub(crate) fn receive(&mut self, mut socket: &mut dyn Read) -> io::Result<usize> {
        let count = self.session.read_tls(&mut socket)?;
        self.session.process_new_packets().map(|_| count).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Takes bytes to be sent; none while others wait.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.session.writer().write(bytes)
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Sends some of what waits.
    pub(crate) fn send(&mut self, mut socket: &mut dyn Write) -> io::Result<usize> {
        self.session.write_tls(&mut socket)
    }

    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    pub(crate) fn close(&mut self) {
        self.closes = true;
        self.session.send_close_notify();
    }
}

/// Accepts any certificate whose key the server has.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
