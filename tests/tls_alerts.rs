//! What a TLS peer that does wrong is told: the alert of its fault, and nothing more (RFC 8446 §6.2).

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

mod common;
mod common_tls;

use common_tls::{GET, Identity, Stream, TLS12, TLS13, connect, drain, hi, open, serve_tls, trusting, trusting_by};
use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundOpaqueMessage, OutboundPlainMessage,
    Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::crypto::ring;
use rustls::{
    AlertDescription, CipherSuiteCommon, ClientConfig, ConnectionTrafficSecrets, ContentType, Error,
    SupportedCipherSuite, Tls13CipherSuite,
};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::sync::Arc;

thread_local! {
    /// The type and content of the records that are sent in the place of the next one.
    static FORGED: RefCell<Option<(ContentType, Vec<u8>)>> = const { RefCell::new(None) };
}

/// A suite whose records can be forged.
struct Forging(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Forging {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Forger(self.0.encrypter(key, iv)))
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

struct Forger(Box<dyn MessageEncrypter>);

impl MessageEncrypter for Forger {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        let Some((typ, content)) = FORGED.take() else { return self.0.encrypt(message, seq) };
        let payload = OutboundChunks::Single(&content);
        self.0.encrypt(OutboundPlainMessage { typ, version: message.version, payload }, seq)
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        self.0.encrypted_payload_len(payload_len)
    }
}

/// A client of TLS 1.3 whose records can be forged.
fn forging() -> Arc<ClientConfig> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    for suite in &mut provider.cipher_suites {
        let inner = suite.tls13().unwrap();
        *suite = SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
            common: CipherSuiteCommon { ..inner.common },
            hkdf_provider: inner.hkdf_provider,
            aead_alg: Box::leak(Box::new(Forging(inner.aead_alg))),
            quic: None,
        })));
    }
    trusting_by(provider, TLS13)
}

/// Puts a record with this content on its way.
fn forge(stream: &mut Stream, typ: ContentType, content: &[u8]) {
    FORGED.set(Some((typ, content.to_vec())));
    stream.conn.writer().write_all(b"x").unwrap();
    assert!(FORGED.take().is_none());
}

/// Sends what waits, ends our direction, and reads the rest: how many records came, and what was made of them.
fn rest(stream: &mut Stream) -> (usize, Result<(), Error>) {
    let mut out = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut out).unwrap();
    }
    send_and_drain(stream, &out)
}

fn send_and_drain(stream: &mut Stream, out: &[u8]) -> (usize, Result<(), Error>) {
    // It may be refused before its end.
    let _ = stream.sock.write_all(out);
    let got = drain(&mut stream.sock);
    let (mut records, mut at) = (0, 0);
    while let Some(&[_, _, _, high, low]) = got.get(at..at + 5) {
        at += 5 + usize::from(u16::from_be_bytes([high, low]));
        records += 1;
    }
    assert_eq!(at, got.len(), "whole records: {}", got.escape_ascii());
    let mut left = &got[..];
    while !left.is_empty() {
        stream.conn.read_tls(&mut left).unwrap();
        if let Err(error) = stream.conn.process_new_packets() {
            return (records, Err(error));
        }
    }
    (records, Ok(()))
}

/// A connection on which a request was answered; the tickets came with that.
fn answered(config: &Arc<ClientConfig>, addr: std::net::SocketAddr) -> Stream {
    let mut stream = open(config, addr);
    stream.write_all(GET.as_bytes()).unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(b"hi") {
        let mut piece = [0; 1000];
        let n = stream.read(&mut piece).unwrap();
        assert_ne!(n, 0);
        reply.extend_from_slice(&piece[..n]);
    }
    stream
}

fn alert(kind: AlertDescription) -> (usize, Result<(), Error>) {
    (1, Err(Error::AlertReceived(kind)))
}

/// What is sent, records of these types and contents, which alert answers it, and the fault's name.
type Fault = (&'static [(ContentType, &'static [u8])], AlertDescription, &'static str);

const KEY_UPDATE_BEGUN: (ContentType, &[u8]) = (ContentType::Handshake, &[24, 0]);
const DATA: (ContentType, &[u8]) = (ContentType::ApplicationData, b"GET");
const NO_DATA: (ContentType, &[u8]) = (ContentType::ApplicationData, b"");

const FAULTS: &[Fault] = &[
    // RFC 8446 §5.4.
    (&[(ContentType::Unknown(0), b"")], AlertDescription::UnexpectedMessage, "a record without a type"),
    (&[(ContentType::Unknown(0), &[0; 100])], AlertDescription::UnexpectedMessage, "a record of padding alone"),
    (&[(ContentType::Unknown(99), b"x")], AlertDescription::DecodeError, "a record of an unknown type"),
    (&[(ContentType::ChangeCipherSpec, &[1])], AlertDescription::UnexpectedMessage, "an encrypted change_cipher_spec"),
    (&[KEY_UPDATE_BEGUN, DATA], AlertDescription::UnexpectedMessage, "data within a handshake message"),
    (&[NO_DATA; 40], AlertDescription::UnexpectedMessage, "nothing, again and again"),
    (
        &[(ContentType::Handshake, &[0, 0, 0, 0])],
        AlertDescription::UnexpectedMessage,
        "a request for another handshake",
    ),
    (
        &[(ContentType::Handshake, &[24, 0, 0, 1, 7])],
        AlertDescription::IllegalParameter,
        "a key update of an unknown kind",
    ),
    (&[(ContentType::Handshake, &[24, 255, 255, 255])], AlertDescription::DecodeError, "a message of 16 MB"),
    (&[(ContentType::Alert, &[1, 90, 0])], AlertDescription::DecodeError, "an alert of three bytes"),
];

#[test]
fn each_fault_has_its_alert_and_no_close_notify() {
    let id = Identity::new();
    let server = serve_tls(id.options(), hi);
    let config = forging();
    for (records, kind, name) in FAULTS {
        let mut stream = answered(&config, server.addr);
        records.iter().for_each(|(typ, content)| forge(&mut stream, *typ, content));
        assert_eq!(rest(&mut stream), alert(*kind), "{name}");
    }
    for versions in [TLS12, TLS13] {
        let mut stream = answered(&trusting(versions), server.addr);
        stream.conn.writer().write_all(GET.as_bytes()).unwrap();
        let mut record = Vec::new();
        stream.conn.write_tls(&mut record).unwrap();
        *record.last_mut().unwrap() ^= 1;
        assert_eq!(send_and_drain(&mut stream, &record), alert(AlertDescription::BadRecordMac));
    }
}

/// Behind the alert comes nothing, though a request before the fault was sound.
#[test]
fn a_request_before_the_fault_is_not_answered_behind_the_alert() {
    let id = Identity::new();
    let server = serve_tls(id.options(), hi);
    let mut stream = answered(&forging(), server.addr);
    stream.conn.writer().write_all(GET.as_bytes()).unwrap();
    forge(&mut stream, ContentType::Unknown(0), b"");
    assert_eq!(rest(&mut stream), alert(AlertDescription::UnexpectedMessage));
}

/// A peer that raises a fatal alert gets none in return.
#[test]
fn a_fatal_alert_is_not_answered() {
    let id = Identity::new();
    let server = serve_tls(id.options(), hi);
    let mut stream = answered(&forging(), server.addr);
    forge(&mut stream, ContentType::Alert, &[2, 40]);
    assert_eq!(rest(&mut stream), (0, Ok(())));
}

#[test]
fn faults_of_a_handshake_have_their_alerts() {
    let id = Identity::new();
    let server = serve_tls(id.options(), hi);
    let rows: [(&[u8], u8, &str); 4] = [
        (b"\x16\x03\x01\x00\x00", 50, "a message of nothing"),
        (b"\x17\x03\x03\x00\x04abcd", 10, "data first"),
        (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 50, "a message of 16 MB"),
        (b"\x99\x03\x01\x00\x01x", 50, "a record of an unknown type"),
    ];
    for (bytes, kind, name) in rows {
        let mut stream = connect(server.addr);
        let _ = stream.write_all(bytes);
        let got = drain(&mut stream);
        assert_eq!(got, [21, 3, 3, 0, 2, 2, kind], "{name}: {}", got.escape_ascii());
    }
}
