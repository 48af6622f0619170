//! What handshakes may cost in one turn of the loop.

use super::*;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream as StdStream};

/// Handshakes that compete.
const MANY: usize = 6;

fn context() -> Rc<TlsContext> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let (cert, key) = (temp.path().join("cert"), temp.path().join("key"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Rc::new(TlsContext::new(TlsFiles { pairs: vec![(cert, key)], ..TlsFiles::default() }).unwrap())
}

fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// A client, and its connection at the server.
struct Peer {
    client: StdStream,
    server: Tls,
}

impl Peer {
    fn new(context: &Rc<TlsContext>) -> Peer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        Peer { client, server: context.accept(TcpStream::from_std(stream)).unwrap() }
    }

    /// Sends bytes, and waits until they have arrived.
    fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).unwrap();
        while self.server.stream.peek(&mut vec![0; bytes.len()]).unwrap_or(0) < bytes.len() {
            std::thread::yield_now();
        }
    }

    /// Lets the server do what it may in this turn; whether it has done all.
    fn turn(&mut self) -> bool {
        let read = self.server.read(&mut [0; 100]).unwrap_err().kind();
        assert!(matches!(read, ErrorKind::WouldBlock | ErrorKind::ResourceBusy), "{read}");
        read == ErrorKind::WouldBlock
    }

    fn is_answered(&self) -> bool {
        self.server.session.protocol_version().is_some()
    }
}

/// However the hellos come, few are answered in one turn.
#[test]
fn a_turn_answers_few_hellos() {
    let (context, hello) = (context(), hello());
    for first in [0, 1, 10, hello.len() - 1] {
        let mut peers: Vec<Peer> = (0..MANY).map(|_| Peer::new(&context)).collect();
        for peer in &mut peers {
            TlsContext::new_tick();
            peer.send(&hello[..first]);
            assert!(peer.turn());
        }
        peers.iter_mut().for_each(|peer| peer.send(&hello[first..]));
        let mut answered = 0;
        for _ in 0..MANY {
            TlsContext::new_tick();
            for peer in &mut peers {
                peer.turn();
            }
            let before = std::mem::replace(&mut answered, peers.iter().filter(|peer| peer.is_answered()).count());
            assert!(answered - before <= STEPS_A_TICK as usize, "{first}: {before}, then {answered}");
        }
        assert_eq!(answered, MANY, "{first}");
    }
}

/// Bytes that complete nothing take nothing away from others.
#[test]
fn pieces_of_hellos_are_free() {
    let (context, hello) = (context(), hello());
    let mut peers: Vec<Peer> = (0..MANY).map(|_| Peer::new(&context)).collect();
    TlsContext::new_tick();
    for peer in &mut peers {
        for byte in &hello[..20] {
            peer.send(&[*byte]);
            assert!(peer.turn(), "a byte had to wait");
        }
    }
    let whole = &mut peers[MANY - 1];
    whole.send(&hello[20..]);
    assert!(whole.turn() && whole.is_answered());
}
