//! Fatal alerts that rustls does not send (RFC 8446 §6.2).
//!
//! Some faults of a peer, such as a record of nothing but padding, rustls reports only to us. All that it then offers
//! to send is `close_notify`, which would tell the peer that all is well. The encrypters of the TLS 1.3 suites see that
//! alert first: they are wrapped here, and replace it with the fatal one.

use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundOpaqueMessage, OutboundPlainMessage,
    Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    AlertDescription, CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion,
    ServerConnection, SupportedCipherSuite, Tls13CipherSuite,
};
use std::cell::Cell;

/// The level of a fatal alert (RFC 8446 §6).
const FATAL: u8 = 2;

thread_local! {
    /// The alert to send instead of `close_notify`.
    static INSTEAD: Cell<Option<u8>> = const { Cell::new(None) };
}

/// Makes the session send an alert for `error`, unless rustls did so or the peer raised one itself. An alert that is
/// returned must be sent in plain text.
pub(super) fn raise(session: &mut ServerConnection, error: &Error) -> Option<[u8; 7]> {
    let kind = u8::from(match error {
        Error::AlertReceived(_) => return None,
        Error::InvalidMessage(what) => AlertDescription::from(*what),
        _ => AlertDescription::UnexpectedMessage,
    });
    if session.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        INSTEAD.set(Some(kind));
        // Does nothing if rustls has raised an alert.
        session.send_close_notify();
        INSTEAD.set(None);
    } else if session.protocol_version().is_none() && !session.wants_write() {
        return Some([u8::from(ContentType::Alert), 3, 3, 0, 2, FATAL, kind]);
    }
    None
}

/// Wraps the encrypters of a suite. The result is leaked, once per process.
pub(super) fn wrap(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(inner) = suite else { return suite };
    let common = CipherSuiteCommon { ..inner.common };
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common,
        hkdf_provider: inner.hkdf_provider,
        aead_alg: Box::leak(Box::new(Wrapping(inner.aead_alg))),
        quic: None,
    })))
}

struct Wrapping(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Wrapping {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Wrapped(self.0.encrypter(key, iv)))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.0.decrypter(key, iv)
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(&self, key: AeadKey, iv: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }
}

struct Wrapped(Box<dyn MessageEncrypter>);

impl MessageEncrypter for Wrapped {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        match INSTEAD.get() {
            Some(kind) if message.typ == ContentType::Alert => {
                let alert = [FATAL, kind];
                let payload = OutboundChunks::Single(&alert);
                self.0.encrypt(OutboundPlainMessage { payload, ..message }, seq)
            }
            _ => self.0.encrypt(message, seq),
        }
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        self.0.encrypted_payload_len(payload_len)
    }
}
