//! Kernel TLS: once a connection sends a file, the kernel encrypts what it sends (Documentation/networking/tls.rst).
//!
//! rustls stays in charge. It receives, and it decides on alerts and on `close_notify`: only the encryption changes hands.
//! The encrypters of all suites are wrapped here. Once the kernel has their key they leave records as they are, and
//! [`Records`] hands these to the kernel with their type. Data passes rustls by.
//!
//! Receiving stays with rustls, which bounds what a client may send: the kernel goes on, inside of one call, for as long
//! as empty records come.

use crate::sys;
use mio::net::TcpStream;
use rustls::crypto::cipher::{
    AeadKey, Iv, KeyBlockShape, MessageDecrypter, MessageEncrypter, OutboundOpaqueMessage, OutboundPlainMessage,
    PrefixedPayload, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    AlertDescription, CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, SupportedCipherSuite,
    Tls12CipherSuite, Tls13CipherSuite,
};
use socket2::SockRef;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Bytes before a record's payload: type, version, length (RFC 8446 §5.1).
const HEAD: usize = 5;

/// Bytes of data in a full record (RFC 8446 §5.1).
const RECORD: u64 = 16 << 10;

/// Bytes of an AES-GCM nonce that the kernel calls salt; the other eight it calls `iv`.
const SALT: usize = 4;

/// The level of a fatal alert (RFC 8446 §6).
const FATAL: u8 = 2;

/// What the encrypters do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Encrypt,
    /// Encrypt, and note the key.
    Note,
    /// Leave records as they are.
    Plain,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Encrypt) };
    /// The key of the last record, if it was noted and is still in use.
    static NOTED: Cell<Option<Keys>> = const { Cell::new(None) };
    /// A session has changed the key that the kernel has.
    static CHANGED: Cell<bool> = const { Cell::new(false) };
}

/// What this kernel was found not to have: [`Cipher::bit`], or [`NOTHING`].
static MISSING: AtomicU8 = AtomicU8::new(0);
const NOTHING: u8 = 1;

/// Calls what may encrypt. What has no part in this, such as a connection to another server, finds encrypters that encrypt.
pub(super) fn in_mode<T>(mode: Mode, call: impl FnOnce() -> T) -> T {
    struct Reset;

    impl Drop for Reset {
        fn drop(&mut self) {
            MODE.set(Mode::Encrypt);
        }
    }

    MODE.set(mode);
    // They may be of another connection: one whose session failed is not asked.
    NOTED.set(None);
    CHANGED.set(false);
    // After a panic as well.
    let _reset = Reset;
    call()
}

/// Whether the kernel may take a key, as far as is known.
pub(super) fn is_there() -> bool {
    MISSING.load(Relaxed) & NOTHING == 0
}

/// Forgets the key that was noted.
pub(super) fn forget() {
    NOTED.set(None);
}

/// Sends what the kernel encrypts.
pub(super) struct Sender {
    /// Records that may still be sent under the key.
    left: u64,
}

impl Sender {
    /// Gives the kernel the key that was noted, if it takes it. Everything encrypted so far must have been sent.
    pub(super) fn new(socket: &TcpStream) -> Option<Sender> {
        let keys = NOTED.take()?;
        if MISSING.load(Relaxed) & (NOTHING | keys.cipher.bit()) != 0 {
            return None;
        }
        let socket = socket.as_fd();
        let mut lacks = NOTHING;
        let done = sys::set_tcp_tls(socket).and_then(|()| {
            lacks = keys.cipher.bit();
            let mut room = [0; Keys::MAX];
            sys::set_tls_keys(socket, keys.write(&mut room))
        });
        match done {
            Ok(()) => Some(Sender { left: keys.cipher.limit.saturating_sub(keys.seq) }),
            // The socket works as before.
            Err(error) => {
                log::debug!("the kernel does not encrypt, files over HTTPS take more time: {error}");
                if is_lasting(&error) {
                    MISSING.fetch_or(lacks, Relaxed);
                }
                None
            }
        }
    }

    pub(super) fn write(&mut self, socket: &TcpStream, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        let more = if more { sys::MSG_MORE } else { 0 };
        let sent = SockRef::from(socket).send_vectored_with_flags(slices, sys::MSG_NOSIGNAL | more)?;
        self.count(socket, sent as u64)?;
        Ok(sent)
    }

    pub(super) fn send_file(&mut self, socket: &TcpStream, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let sent = sys::send_file(socket.as_fd(), file.as_fd(), offset, count)? as u64;
        self.count(socket, sent)?;
        Ok(sent)
    }

    /// Counts the records that the kernel has made of some bytes: at most so many.
    ///
    /// # Errors
    /// When no more may be encrypted under the key: before Linux 6.14 the kernel takes no other.
    fn count(&mut self, socket: &TcpStream, bytes: u64) -> io::Result<()> {
        let Some(left) = self.left.checked_sub(bytes / RECORD + 1) else {
            return Err(end_of_key(socket, "it has been used as often as is safe"));
        };
        self.left = left;
        Ok(())
    }
}

/// Whether the kernel lacks what was asked for. Other errors are of the connection, which the client may have half-closed,
/// or of the moment, as for want of memory.
fn is_lasting(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
        || error.raw_os_error() == Some(sys::ENOPROTOOPT)
}

/// Whether the session that was called last has changed a key that the kernel has.
pub(super) fn key_changed() -> bool {
    CHANGED.take()
}

/// Tells the client, under the old key, that the connection ends. If that can't be sent, the reset has to do.
pub(super) fn end_of_key(socket: &TcpStream, why: &str) -> io::Error {
    let alert = [FATAL, AlertDescription::InternalError.into()];
    let _ = sys::send_tls_record(socket.as_fd(), ContentType::Alert.into(), &alert);
    io::Error::other(format!("the key for sending can't be replaced, as the kernel has it: {why}"))
}

/// Sends records that the encrypters have left as they are.
pub(super) struct Records<'a>(pub(super) &'a TcpStream);

impl Write for Records<'_> {
    /// Takes one record, as rustls gives each in a slice of its own.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let (Some(kind), Some(payload)) = (record.first(), record.get(HEAD..)) else { return Ok(record.len()) };
        sys::send_tls_record(self.0.as_fd(), *kind, payload)?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the kernel calls version and cipher (linux/tls.h).
#[derive(Clone, Copy)]
struct Cipher {
    version: u16,
    number: u16,
    /// Records that may be encrypted under one key.
    limit: u64,
}

impl Cipher {
    const TLS12: u16 = 0x303;
    const TLS13: u16 = 0x304;
    const AES_GCM_128: u16 = 51;
    const AES_GCM_256: u16 = 52;
    const CHACHA20_POLY1305: u16 = 54;

    /// `key_len`: bytes of its key.
    fn new(version: u16, key_len: usize, common: &CipherSuiteCommon) -> Cipher {
        let number = match key_len {
            16 => Self::AES_GCM_128,
            // AES-GCM has a limit, and no need for another key has ChaCha20-Poly1305 (RFC 8446 §5.5).
            _ if common.confidentiality_limit < u64::MAX => Self::AES_GCM_256,
            _ => Self::CHACHA20_POLY1305,
        };
        Cipher { version, number, limit: common.confidentiality_limit }
    }

    fn bit(self) -> u8 {
        2 << (self.number - Self::AES_GCM_128)
    }

    /// Bytes of the nonce that are salt.
    fn salt(self) -> usize {
        if self.number == Self::CHACHA20_POLY1305 { 0 } else { SALT }
    }
}

/// A key for sending, as an encrypter has it.
struct Keys {
    cipher: Cipher,
    /// Wiped when dropped. The first bytes, as many as the cipher takes.
    key: AeadKey,
    key_len: usize,
    iv: [u8; 12],
    /// Records sent under it.
    seq: u64,
}

impl Keys {
    /// Bytes of the largest `struct tls12_crypto_info_…`.
    const MAX: usize = 56;

    fn new(cipher: Cipher, key: &[u8], iv: &[u8], explicit: &[u8]) -> Keys {
        let (mut padded, mut nonce) = ([0; 32], [0; 12]);
        padded[..key.len()].copy_from_slice(key);
        nonce[..iv.len()].copy_from_slice(iv);
        nonce[iv.len()..].copy_from_slice(explicit);
        Keys { cipher, key: padded.into(), key_len: key.len(), iv: nonce, seq: 0 }
    }

    /// The same, once `seq` has been sent.
    fn after(&self, seq: u64) -> Keys {
        let key = self.key.as_ref().try_into().unwrap_or([0; 32]).into();
        Keys { cipher: self.cipher, key, key_len: self.key_len, iv: self.iv, seq: seq + 1 }
    }

    /// Writes the `struct tls12_crypto_info_…` for the next record.
    fn write<'a>(&self, room: &'a mut [u8; Self::MAX]) -> &'a [u8] {
        let (salt, mut iv) = self.iv.split_at(self.cipher.salt());
        let explicit;
        if self.cipher.version == Cipher::TLS12 && !salt.is_empty() {
            explicit = fresh_nonces(iv.try_into().unwrap_or_default());
            iv = &explicit;
        }
        let key = &self.key.as_ref()[..self.key_len];
        let (version, number) = (self.cipher.version.to_ne_bytes(), self.cipher.number.to_ne_bytes());
        let mut len = 0;
        for part in [&version[..], &number, iv, key, salt, &self.seq.to_be_bytes()] {
            room[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        &room[..len]
    }
}

/// Where the kernel begins to count nonces. TLS 1.2 sends half of each nonce of AES-GCM (RFC 5288 §3). rustls makes it of
/// its first one and the record's number by XOR, the kernel adds one for each record: from rustls' first one, or from what
/// it would take next, nonces would come a second time, which reveals the key. Those of rustls have the upper half of its
/// first one: there are far less than 2³² records.
fn fresh_nonces(first: [u8; 8]) -> [u8; 8] {
    (u64::from_be_bytes(first) | 0xffff_ffff).wrapping_add(1).to_be_bytes()
}

/// Wraps the encrypters of a suite. The result is leaked, once per process.
pub(super) fn wrap(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    match suite {
        SupportedCipherSuite::Tls13(inner) => {
            let cipher = Cipher::new(Cipher::TLS13, inner.aead_alg.key_len(), &inner.common);
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: CipherSuiteCommon { ..inner.common },
                hkdf_provider: inner.hkdf_provider,
                aead_alg: Box::leak(Box::new(Wrapping13(inner.aead_alg, cipher))),
                quic: None,
            })))
        }
        SupportedCipherSuite::Tls12(inner) => {
            let cipher = Cipher::new(Cipher::TLS12, inner.aead_alg.key_block_shape().enc_key_len, &inner.common);
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: CipherSuiteCommon { ..inner.common },
                prf_provider: inner.prf_provider,
                kx: inner.kx,
                sign: inner.sign,
                aead_alg: Box::leak(Box::new(Wrapping12(inner.aead_alg, cipher))),
            })))
        }
    }
}

struct Wrapping13(&'static dyn Tls13AeadAlgorithm, Cipher);

impl Tls13AeadAlgorithm for Wrapping13 {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        let keys = Keys::new(self.1, key.as_ref(), iv.as_ref(), &[]);
        wrapped(keys, self.0.encrypter(key, iv))
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

struct Wrapping12(&'static dyn Tls12AeadAlgorithm, Cipher);

impl Tls12AeadAlgorithm for Wrapping12 {
    fn encrypter(&self, key: AeadKey, iv: &[u8], explicit: &[u8]) -> Box<dyn MessageEncrypter> {
        let keys = Keys::new(self.1, key.as_ref(), iv, explicit);
        wrapped(keys, self.0.encrypter(key, iv, explicit))
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        self.0.decrypter(key, iv)
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        self.0.key_block_shape()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: &[u8],
        explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv, explicit)
    }
}

/// An encrypter that may leave its work to the kernel.
struct Wrapped {
    keys: Keys,
    inner: Box<dyn MessageEncrypter>,
}

fn wrapped(keys: Keys, inner: Box<dyn MessageEncrypter>) -> Box<dyn MessageEncrypter> {
    // A key update, if the handshake is over: what was noted is of the old key.
    NOTED.set(None);
    CHANGED.set(MODE.get() == Mode::Plain);
    Box::new(Wrapped { keys, inner })
}

impl MessageEncrypter for Wrapped {
    fn encrypt(&mut self, message: OutboundPlainMessage<'_>, seq: u64) -> Result<OutboundOpaqueMessage, Error> {
        match MODE.get() {
            Mode::Plain => {
                let mut payload = PrefixedPayload::with_capacity(message.payload.len());
                payload.extend_from_chunks(&message.payload);
                return Ok(OutboundOpaqueMessage::new(message.typ, message.version, payload));
            }
            Mode::Note => NOTED.set(Some(self.keys.after(seq))),
            Mode::Encrypt => {}
        }
        self.inner.encrypt(message, seq)
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        self.inner.encrypted_payload_len(payload_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// A client may ask for another key, and send a record that ends its session in the same breath.
    #[test]
    fn a_changed_key_is_its_own_sessions() {
        in_mode(Mode::Plain, || CHANGED.set(true));
        in_mode(Mode::Encrypt, || ());
        assert!(!key_changed(), "of the session before");
        in_mode(Mode::Plain, || CHANGED.set(true));
        assert!(key_changed());
        assert!(!key_changed(), "told once");
    }

    /// The records that rustls encrypts before, and a million of the kernel: no nonce of AES-GCM comes twice.
    #[test]
    fn no_nonce_comes_twice() {
        const RUSTLS: u64 = 1000;
        for first in [0, 1, 0x1234_5678_9abc_def0, 0xffff_ffff, u64::MAX - 500, u64::MAX] {
            let mut used: HashSet<u64> = (0..RUSTLS).map(|seq| first ^ seq).collect();
            let begin = u64::from_be_bytes(fresh_nonces(first.to_be_bytes()));
            assert!((0..1_000_000).all(|record| used.insert(begin.wrapping_add(record))), "{first:x}");
        }
    }

    /// As linux/tls.h lays it out.
    #[test]
    fn what_the_kernel_is_given() {
        let (key, iv): (Vec<u8>, Vec<u8>) = ((1..=32).collect(), (101..=112).collect());
        let bytes = |version, number, key: &[u8], iv: &[u8], explicit: &[u8]| {
            let cipher = Cipher { version, number, limit: u64::MAX };
            Keys::new(cipher, key, iv, explicit).after(6).write(&mut [0; Keys::MAX]).to_vec()
        };
        let seq = [0, 0, 0, 0, 0, 0, 0, 7];
        let begin = |version: u16, number: u16| [version.to_ne_bytes(), number.to_ne_bytes()].concat();
        let aes = bytes(Cipher::TLS13, Cipher::AES_GCM_128, &key[..16], &iv, &[]);
        assert_eq!(aes, [&begin(0x304, 51)[..], &iv[4..], &key[..16], &iv[..4], &seq].concat());
        let aes = bytes(Cipher::TLS12, Cipher::AES_GCM_256, &key, &iv[..4], &iv[4..]);
        let explicit = [105, 106, 107, 109, 0, 0, 0, 0];
        assert_eq!(aes, [&begin(0x303, 52)[..], &explicit, &key, &iv[..4], &seq].concat());
        for version in [Cipher::TLS12, Cipher::TLS13] {
            let chacha = bytes(version, Cipher::CHACHA20_POLY1305, &key, &iv, &[]);
            assert_eq!(chacha, [&begin(version, 54)[..], &iv, &key, &seq].concat());
        }
    }
}
