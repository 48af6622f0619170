//! What the tests of TLS share: certificates, a rustls client under the client of raw bytes, servers with both listeners.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::{Client, PATIENCE, Running, Wire, skip, start};
use ecohttpd::{Connection, IntoOutcome, Options, Request, Result as HttpResult, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};
use std::cell::RefCell;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// A TLS connection of ours, handshake done.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

pub const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];
pub const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

pub const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
pub const GET_CLOSE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

// --- certificates -----------------------------------------------------------------------------------

/// An authority that signs what a test needs.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Pair {
    pub cert: CertificateDer<'static>,
    /// The certificate and what leads to the authority, in PEM.
    pub chain_pem: String,
    pub key: KeyPair,
}

impl Ca {
    pub fn new(name: &str) -> Ca {
        let key = KeyPair::generate().unwrap();
        Ca(CertifiedIssuer::self_signed(authority(name), key).unwrap())
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str) -> Ca {
        let key = KeyPair::generate().unwrap();
        Ca(CertifiedIssuer::signed_by(authority(name), key, &self.0).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A P-256 certificate for `names`, the first of which is its CN.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_for(names, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub fn issue_for(&self, names: &[&str], key: KeyPair) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0].as_str());
        params.distinguished_name.push(DnType::OrganizationName, "Tests");
        let cert = params.signed_by(&key, &self.0).unwrap();
        Pair { cert: cert.der().clone(), chain_pem: cert.pem(), key }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key`, PEM, into a folder; their paths.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        fs::write(&cert, &self.chain_pem).unwrap();
        fs::write(&key, self.key.serialize_pem()).unwrap();
        (cert, key)
    }
}

/// An authority, a certificate of it for `localhost` and 127.0.0.1, and their files.
pub struct Identity {
    pub temp: TempDir,
    pub ca: Ca,
    pub pair: Pair,
    pub ca_file: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Identity {
    pub fn new() -> Identity {
        let temp = tempfile::tempdir().unwrap();
        let ca = Ca::new("Test authority");
        let pair = ca.issue(&["localhost", "127.0.0.1"]);
        let (cert, key) = pair.write(temp.path(), "server");
        let ca_file = temp.path().join("ca.crt");
        fs::write(&ca_file, ca.pem()).unwrap();
        Identity { temp, ca, pair, ca_file, cert, key }
    }

    /// Options with this identity; a function that can be sent to the server's thread.
    pub fn options(&self) -> impl FnOnce() -> Options + Send + 'static {
        let (cert, key) = (self.cert.clone(), self.key.clone());
        move || Options::new().cert(cert).key(key)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }
}

// --- the server's side ------------------------------------------------------------------------------

/// Serves over TLS on a free port of 127.0.0.1.
pub fn serve_tls<H, R>(options: impl FnOnce() -> Options + Send + 'static, handler: H) -> Running
where
    H: AsyncFn(&mut Connection, &mut Request) -> R + Send + 'static,
    R: IntoOutcome,
{
    start(move || {
        let mut server = Server::new(options(), handler).unwrap();
        let addr = server.bind_tls("127.0.0.1", 0).unwrap();
        (server, addr)
    })
}

/// Serves over TLS, and plainly at the address that is returned besides.
pub fn serve_both<H, R>(options: impl FnOnce() -> Options + Send + 'static, handler: H) -> (Running, SocketAddr)
where
    H: AsyncFn(&mut Connection, &mut Request) -> R + Send + 'static,
    R: IntoOutcome,
{
    let (tell, told) = channel();
    let running = start(move || {
        let mut server = Server::new(options(), handler).unwrap();
        tell.send(server.bind("127.0.0.1", 0).unwrap()).unwrap();
        let addr = server.bind_tls("127.0.0.1", 0).unwrap();
        (server, addr)
    });
    let plain = told.recv_timeout(PATIENCE).unwrap();
    (running, plain)
}

/// A handler.
pub async fn hi(con: &mut Connection, _: &mut Request) -> HttpResult<()> {
    con.add_header("content-length", 2)?;
    con.send("hi").await
}

// --- the client's side ------------------------------------------------------------------------------

/// A client that offers these protocols.
pub fn h2_config(identity: &Identity, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = config(&identity.ca, TLS13, None);
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A client's configuration that trusts `ca` and shows `auth`, if any.
pub fn config(ca: &Ca, versions: &[&'static SupportedProtocolVersion], auth: Option<&Pair>) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match auth {
        Some(pair) => {
            let key = PrivateKeyDer::try_from(pair.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![pair.cert.clone()], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    }
}

/// A client's configuration that takes any certificate whose key signs the handshake; see `leaf`.
pub fn trusting(versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    trusting_by(ring::default_provider(), versions)
}

/// As `trusting`, with another provider's cipher suites.
pub fn trusting_by(provider: CryptoProvider, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let provider = Arc::new(provider);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

/// Connects and finishes the handshake, or tells why not.
pub fn try_open(config: &Arc<ClientConfig>, addr: SocketAddr, name: &str) -> io::Result<Stream> {
    handshake(config, connect(addr), name)
}

/// As `open`, with a socket that is prepared before it connects.
#[track_caller]
pub fn open_with(config: &Arc<ClientConfig>, addr: SocketAddr, prepare: impl FnOnce(&socket2::Socket)) -> Stream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    prepare(&socket);
    socket.connect(&addr.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    handshake(config, socket.into(), "localhost").unwrap()
}

pub fn handshake(config: &Arc<ClientConfig>, socket: TcpStream, name: &str) -> io::Result<Stream> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let conn = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(conn, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

#[track_caller]
pub fn open(config: &Arc<ClientConfig>, addr: SocketAddr) -> Stream {
    try_open(config, addr, "localhost").unwrap_or_else(|error| panic!("no handshake: {error}"))
}

/// A client of raw bytes over TLS; an end without close_notify panics.
#[track_caller]
pub fn client(config: &Arc<ClientConfig>, addr: SocketAddr) -> Client {
    over(open(config, addr))
}

/// The client of raw bytes over a connection that stands.
pub fn over(stream: Stream) -> Client {
    Client::new(TlsWire(RefCell::new(stream)))
}

/// A TCP connection with the tests' timeouts.
pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE).expect("cannot connect");
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// One exchange, which must end with close_notify; what came of the reply.
pub fn exchange(mut stream: Stream) -> io::Result<(String, Stream)> {
    stream.write_all(GET_CLOSE.as_bytes())?;
    stream.flush()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok((reply, stream))
}

/// The certificate that the server showed.
pub fn leaf(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The bytes of a ClientHello.
pub fn hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut conn = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut bytes = Vec::new();
    while conn.wants_write() {
        conn.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Reads a plain socket to its end, which may be a reset; what came.
pub fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    if let Err(error) = stream.read_to_end(&mut got) {
        assert!(matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
    }
    got
}

/// Writes a byte at a time.
pub struct Dribble(pub TcpStream);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Dribble {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(&data[..data.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A TLS connection as the client of raw bytes wants it.
struct TlsWire(RefCell<Stream>);

impl Read for TlsWire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.get_mut().read(buffer)
    }
}

impl Write for TlsWire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let stream = self.0.get_mut();
        let n = stream.write(data)?;
        // A write alone keeps the socket's errors to itself.
        stream.flush()?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

impl Wire for TlsWire {
    /// As TLS ends a direction: close_notify, then the socket's end.
    fn shut(&self, how: Shutdown) -> io::Result<()> {
        let mut stream = self.0.borrow_mut();
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.sock.shutdown(how)
    }
}

/// Takes every certificate, but checks that the handshake was signed by its key.
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

// --- programs ---------------------------------------------------------------------------------------

/// Whether there is such a client (openssl, curl): its test is skipped where it is missing.
pub fn has(program: &str, arg: &str) -> bool {
    let there = Command::new(program).arg(arg).output().is_ok_and(|output| output.status.success());
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

/// Runs a line of words in a folder.
#[track_caller]
pub fn run(folder: &Path, line: &str) -> String {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).current_dir(folder).env("HOME", folder).output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    assert!(output.status.success(), "{line}: {text}");
    text
}

/// What s_client prints, and whether it succeeded.
pub fn s_client(folder: &Path, addr: SocketAddr, args: &str) -> (String, bool) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-ign_eof", "-connect", &addr.to_string()]).args(args.split_whitespace());
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended.
    let _ = child.stdin.take().unwrap().write_all(GET_CLOSE.as_bytes());
    let output = child.wait_with_output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&both).into_owned(), output.status.success())
}

/// Bytes on the heap and stack of a process, when they no longer change.
pub fn anonymous(pid: u32) -> usize {
    let now = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap().to_owned();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    let (mut before, mut still) = (now(), 0);
    while still < 10 {
        thread::sleep(Duration::from_millis(30));
        let after = now();
        still = if after == before { still + 1 } else { 0 };
        before = after;
    }
    before
}
