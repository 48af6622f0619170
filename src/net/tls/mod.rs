//! TLS: the one place that knows rustls.
//!
//! [`TlsContext`] is a listener's certificates and what its connections share; [`Tls`] is one connection. Its `read`
//! and `write` drive the handshake as they go, so the server above sees a stream like any other.

mod alerts;

use crate::buf::Sink;
use crate::http::date;
use mio::net::TcpStream;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite};
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// Bytes that rustls may hold of what is to be sent: a record. More would only wait there instead of in our queue.
const BUFFER: usize = 16 << 10;

/// Bytes of a file encrypted at a time: a record's worth.
const FILE_STEP: usize = 16 << 10;

/// Full handshakes begun in one tick: their public-key work is the longest thing that the loop ever does.
const HANDSHAKES_A_TICK: u32 = 2;

/// Reads from the socket for one read of the server; records may carry nothing, so these are to be bounded.
const RECORDS_A_READ: u32 = 64;

/// Bytes of a certificate, key or CA file; a CA bundle of a whole system has some 200 KiB.
const MAX_FILE: u64 = 1 << 20;

/// Where certificates are and who must show one.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// Certificate chains and their keys; the first is for clients that name no host, or an unknown one.
    pub(crate) pairs: Vec<(PathBuf, PathBuf)>,
    /// The authorities that sign clients' certificates.
    pub(crate) ca: Option<PathBuf>,
    /// Clients may come without a certificate.
    pub(crate) insecure: bool,
    /// OpenSSL's names of the TLS 1.2 suites to offer; none: all.
    pub(crate) ciphers: Vec<String>,
}

/// What the TLS connections of a server share.
pub(crate) struct TlsContext {
    files: TlsFiles,
    config: RefCell<Arc<ServerConfig>>,
    shared: Rc<Shared>,
}

/// What all contexts of a thread share.
struct Shared {
    /// One buffer for all: a piece of a file on its way into a record.
    scratch: RefCell<Box<[u8]>>,
    handshakes_left: Cell<u32>,
}

impl Shared {
    fn new() -> Rc<Shared> {
        let scratch = RefCell::new(vec![0; FILE_STEP].into_boxed_slice());
        Rc::new(Shared { scratch, handshakes_left: Cell::new(HANDSHAKES_A_TICK) })
    }
}

thread_local! {
    static SHARED: OnceCell<Rc<Shared>> = const { OnceCell::new() };
}

impl TlsContext {
    /// Loads the certificates.
    ///
    /// # Errors
    /// One line naming the file and what is wrong with it.
    pub(crate) fn new(files: TlsFiles) -> io::Result<TlsContext> {
        let config = RefCell::new(load(&files)?);
        let shared = SHARED.with(|shared| Rc::clone(shared.get_or_init(Shared::new)));
        Ok(TlsContext { files, config, shared })
    }

    /// Loads the certificates anew for the connections to come; after an error the old ones stay.
    ///
    /// # Errors
    /// As [`new`](TlsContext::new).
    pub(crate) fn reload(&self) -> io::Result<()> {
        self.config.replace(load(&self.files)?);
        Ok(())
    }

    /// The thread's loop turns once more.
    pub(crate) fn new_tick() {
        SHARED.with(|shared| {
            if let Some(shared) = shared.get() {
                shared.handshakes_left.set(HANDSHAKES_A_TICK);
            }
        });
    }

    pub(crate) fn accept(self: &Rc<Self>, stream: TcpStream) -> io::Result<Tls> {
        let config = Arc::clone(&self.config.borrow());
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(BUFFER));
        Ok(Tls {
            stream,
            session: Box::new(session),
            context: Rc::clone(self),
            state: State::Fresh,
            drained: false,
            unasked: false,
        })
    }
}

/// One TLS connection.
pub(crate) struct Tls {
    stream: TcpStream,
    session: Box<ServerConnection>,
    context: Rc<TlsContext>,
    state: State,
    /// The last read from the socket was short.
    drained: bool,
    /// The last read ended before the socket was empty.
    unasked: bool,
}

/// A socket that notes whether it gave all that it had.
struct Noting<'a> {
    stream: &'a mut TcpStream,
    drained: &'a mut bool,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        *self.drained = n < buffer.len();
        Ok(n)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was received.
    Fresh,
    Running,
    /// The peer ended its direction by `close_notify`.
    Ended,
    /// The peer speaks no TLS, and was told.
    Refused,
    /// It ended without `close_notify`, which the next read tells.
    Broken,
    /// One side has raised a fatal alert: nothing more is said (RFC 8446 §6.2).
    Failed,
    /// We break the stream off.
    Cut,
}

impl Tls {
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads as much as there is: a short read means that no more has come.
    ///
    /// `ResourceBusy` asks to be called again in the next tick.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        match self.state {
            State::Refused => return self.discard(),
            State::Broken | State::Failed => return Err(io::ErrorKind::ConnectionAborted.into()),
            State::Fresh | State::Running | State::Ended | State::Cut => {}
        }
        let mut filled = 0;
        // What an earlier call noted is stale: an edge may have come since.
        self.drained = false;
        self.unasked = false;
        for _ in 0..RECORDS_A_READ {
            match self.session.reader().read(&mut buffer[filled..]) {
                // The peer's close_notify.
                Ok(0) => {
                    self.state = State::Ended;
                    return Ok(filled);
                }
                Ok(n) => filled += n,
                // The last read was short, so the socket is empty: epoll(7). Saves asking it once more for each request.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && filled > 0 && self.drained => {
                    return Ok(filled);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.receive() {
                    Ok(()) => {}
                    Err(error) if filled == 0 => return Err(error),
                    Err(error) => {
                        if error.kind() != io::ErrorKind::WouldBlock && self.state != State::Failed {
                            self.state = State::Broken;
                        }
                        return Ok(filled);
                    }
                },
                // Ended without close_notify: what was got may not be all.
                Err(error) if filled == 0 => return Err(error),
                Err(_) => {
                    self.state = State::Broken;
                    return Ok(filled);
                }
            }
            if self.state == State::Refused {
                return self.discard();
            }
            if filled == buffer.len() {
                return Ok(filled);
            }
        }
        // Many records with hardly a byte in them: the others' turn.
        self.unasked = true;
        if filled > 0 { Ok(filled) } else { Err(io::ErrorKind::ResourceBusy.into()) }
    }

    /// Whether `read` has more to tell though no event announces it.
    pub(crate) fn has_more(&self) -> bool {
        self.unasked || matches!(self.state, State::Ended | State::Broken | State::Failed)
    }

    /// Takes ciphertext from the socket and decrypts it, or goes on with the handshake.
    fn receive(&mut self) -> io::Result<()> {
        if self.state == State::Fresh {
            self.begin()?;
            if self.state == State::Refused {
                return Ok(());
            }
        }
        // A little at a time, as rustls wants it: what it decrypts is taken before more comes.
        let n = self.session.read_tls(&mut Noting { stream: &mut self.stream, drained: &mut self.drained })?;
        if let Err(error) = self.session.process_new_packets() {
            self.fail(&error);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if self.session.is_handshaking() {
            self.send_pending()?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        // What a finished handshake leaves, a ticket, goes with the first answer.
        Ok(())
    }

    /// Tells the peer what it did wrong. If that can't arrive, the reset says enough.
    fn fail(&mut self, error: &rustls::Error) {
        self.state = State::Failed;
        let plain = alerts::raise(&mut self.session, error);
        if let (Ok(true), Some(alert)) = (self.send_pending(), plain) {
            let _ = self.stream.write(&alert);
        }
    }

    /// Looks at the first byte, and starts a handshake if it is this tick's turn for one more.
    fn begin(&mut self) -> io::Result<()> {
        let Some(left) = self.context.shared.handshakes_left.get().checked_sub(1) else {
            return Err(io::ErrorKind::ResourceBusy.into());
        };
        let mut first = [0];
        if self.stream.peek(&mut first)? > 0 && first[0].is_ascii_alphabetic() {
            self.refuse_plain();
            return Ok(());
        }
        self.context.shared.handshakes_left.set(left);
        self.state = State::Running;
        Ok(())
    }

    /// Answers HTTP without TLS in a way that its client can read.
    fn refuse_plain(&mut self) {
        const REST: &[u8] = b"\r\nServer: ecohttpd\r\nContent-Length: 39\r\nConnection: close\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\r\n400 Bad Request: this port speaks TLS.\n";
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut reply = b"HTTP/1.1 400 Bad Request\r\nDate: ".to_vec();
        date::push(&mut reply, now.as_secs());
        reply.extend_from_slice(REST);
        // The buffer of a fresh socket has room for this.
        let _ = self.stream.write(&reply);
        let _ = self.stream.shutdown(Shutdown::Write);
        self.state = State::Refused;
    }

    /// Throws away what a refused client still sends: to close instead would send a reset, which may overtake the reply.
    fn discard(&mut self) -> io::Result<usize> {
        let mut scratch = self.context.shared.scratch.borrow_mut();
        for _ in 0..RECORDS_A_READ {
            if self.stream.read(&mut scratch)? == 0 {
                return Ok(0);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Sends what rustls has ready; true when nothing is left.
    pub(crate) fn send_pending(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Refuses what would follow a fatal alert.
    fn may_write(&self) -> io::Result<()> {
        if self.state == State::Failed { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.session.wants_write()
    }

    /// Says that nothing follows: the peer can then tell the end from a cut.
    pub(crate) fn send_close_notify(&mut self) {
        if !matches!(self.state, State::Cut | State::Refused | State::Failed) {
            self.session.send_close_notify();
            // Without room in the socket the peer is not told: it does not read.
            let _ = self.send_pending();
        }
    }

    /// What was sent is not all: the peer must not be told that it is.
    pub(crate) fn forget_close_notify(&mut self) {
        self.state = State::Cut;
    }

    /// The certificate that the client showed, verified, in DER.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        self.session.peer_certificates().and_then(<[_]>::first).map(|cert| cert.as_ref())
    }
}

impl Sink for Tls {
    fn write(&mut self, slices: &[IoSlice<'_>], _more: bool) -> io::Result<usize> {
        self.may_write()?;
        let mut n = self.session.writer().write_vectored(slices)?;
        if n == 0 {
            // The buffer is full of what was taken before.
            if !self.send_pending()? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            n = self.session.writer().write_vectored(slices)?;
        }
        self.send_pending()?;
        Ok(n)
    }

    fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        self.may_write()?;
        if !self.send_pending()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = usize::try_from(count).unwrap_or(FILE_STEP).min(FILE_STEP);
        let mut scratch = self.context.shared.scratch.borrow_mut();
        let n = file.read_at(&mut scratch[..count], offset)?;
        let n = self.session.writer().write(&scratch[..n])?;
        drop(scratch);
        self.send_pending()?;
        Ok(n as u64)
    }

    fn flush(&mut self) -> io::Result<bool> {
        self.send_pending()
    }
}

/// Makes a configuration of the files.
fn load(files: &TlsFiles) -> io::Result<Arc<ServerConfig>> {
    let mut provider = provider();
    restrict(&mut provider, &files.ciphers)?;
    let provider = Arc::new(provider);
    let resolver = Arc::new(Certificates::load(&files.pairs, &provider)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match &files.ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for cert in certificates(ca)? {
                roots.add(cert).map_err(|error| wrong(ca, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if files.insecure { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(ca, error))?)
        }
    };
    let mut config = builder.with_cert_resolver(resolver);
    // The suites' order is ours, not the client's: it is this machine that has little to spare.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Stateless resumption: tickets under keys that rotate; the memory of sessions would be the clients' to fill. Two,
    // as OpenSSL sends: a browser resumes each only once, and opens a second connection beside the first.
    config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 2;
    Ok(Arc::new(config))
}

/// ring, with the suites first that cost this machine least: those of AES-128 where the processor has instructions for
/// AES, else those of ChaCha20. AES-256, whose SHA-384 makes handshakes dearer, is for clients that insist.
fn provider() -> CryptoProvider {
    static SUITES: OnceLock<Vec<SupportedCipherSuite>> = OnceLock::new();
    let mut provider = ring::default_provider();
    let suites = SUITES.get_or_init(|| provider.cipher_suites.iter().map(|suite| alerts::wrap(*suite)).collect());
    provider.cipher_suites.clone_from(suites);
    let aes = has_aes();
    provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => u8::from(!aes),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => u8::from(aes),
        _ => 2,
    });
    provider
}

/// OpenSSL's names of the TLS 1.2 suites that there are.
const TLS12_NAMES: &[(&str, CipherSuite)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Leaves of the TLS 1.2 suites those that are named, if any are.
fn restrict(provider: &mut CryptoProvider, names: &[String]) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let named = |suite| TLS12_NAMES.iter().any(|(name, known)| *known == suite && names.iter().any(|n| n == name));
    if !TLS12_NAMES.iter().any(|(_, suite)| named(*suite)) {
        let known: Vec<&str> = TLS12_NAMES.iter().map(|(name, _)| *name).collect();
        let text = format!("ciphers: {:?} names none of {}", names.join(":"), known.join(" "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    provider.cipher_suites.retain(|suite| suite.tls13().is_some() || named(suite.suite()));
    Ok(())
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

/// MIPS and 32-bit ARM have none.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

/// The certificates to choose from by the name that the client asks for.
#[derive(Debug)]
struct Certificates {
    /// Never empty.
    all: Vec<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    cert: CertificateDer<'static>,
    key: Arc<CertifiedKey>,
}

impl Certificates {
    fn load(pairs: &[(PathBuf, PathBuf)], provider: &CryptoProvider) -> io::Result<Certificates> {
        if pairs.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS needs a certificate and a key"));
        }
        let load = |(cert, key): &(PathBuf, PathBuf)| certificate(cert, key, provider);
        Ok(Certificates { all: pairs.iter().map(load).collect::<io::Result<_>>()? })
    }
}

impl Certificates {
    /// The certificate that names the host, else the one that has a wildcard for it.
    fn find(&self, host: &str) -> Option<&Certificate> {
        // One that is for any sibling too is for this one by a wildcard.
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
    /// By the names in the certificates themselves, wildcards included (RFC 6125 §6.4.3); the first for all others.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = match hello.server_name() {
            Some(name) if self.all.len() > 1 => self.find(name),
            _ => None,
        };
        chosen.or(self.all.first()).map(|certificate| Arc::clone(&certificate.key))
    }
}

/// Loads one chain and its key, and sees that they fit.
fn certificate(cert_path: &Path, key_path: &Path, provider: &CryptoProvider) -> io::Result<Certificate> {
    let chain = certificates(cert_path)?;
    let Some(cert) = chain.first().cloned() else {
        return Err(wrong(cert_path, "no certificate in it"));
    };
    let der = read(key_path)?;
    let key = if is_pem(&der) {
        PrivateKeyDer::from_pem_slice(&der)
            .map_err(|_| wrong(key_path, "no private key in it that is not encrypted"))?
    } else {
        PrivateKeyDer::try_from(der).map_err(|_| wrong(key_path, "neither PEM nor a DER key (PKCS#8, PKCS#1, SEC1)"))?
    };
    let signing = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| wrong(key_path, "expected ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits"))?;
    let key = CertifiedKey::new(chain, signing);
    match key.keys_match() {
        Ok(()) => Ok(Certificate { cert, key: Arc::new(key) }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(wrong(key_path, format_args!("not the key of {}", cert_path.display())))
        }
        Err(error) => Err(wrong(cert_path, error)),
    }
}

/// The certificates in a file: a PEM chain, or one in DER.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
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
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(named)?;
    if bytes.len() as u64 > MAX_FILE {
        Err(wrong(path, format_args!("larger than {MAX_FILE} bytes")))
    } else {
        Ok(bytes)
    }
}

fn wrong(path: &Path, what: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
}
