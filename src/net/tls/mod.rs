//! TLS: the one folder that knows rustls.
//!
//! [`TlsContext`] is a listener's certificates and what its connections share; [`Tls`] is one connection. Its `read`
//! and `write` drive the handshake as they go, so the server above sees a stream like any other.

mod alerts;
mod certificates;
mod clients;
mod config;
mod tls_files;

pub use certificates::{read_cert, read_key};
pub(crate) use tls_files::TlsFiles;

use crate::buf::Sink;
use crate::http::date;
use config::{Loaded, load};
use mio::net::TcpStream;
use rustls::ServerConnection;
use rustls::pki_types::UnixTime;
use std::cell::{Cell, OnceCell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes that rustls may hold of what is to be sent: a record. More would only wait there instead of in our queue.
const BUFFER: usize = 16 << 10;

/// Bytes of a file encrypted at a time: a record's worth.
const FILE_STEP: usize = 16 << 10;

/// Full handshakes begun in one tick: their public-key work is the longest thing that the loop ever does.
const HANDSHAKES_A_TICK: u32 = 2;

/// Reads from the socket for one read of the server; records may carry nothing, so these are to be bounded.
const RECORDS_A_READ: u32 = 64;

/// The kind of error of a handshake that a client's certificate ended, which an operator wants to know.
const REFUSED: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// What the TLS connections of a server share.
pub(crate) struct TlsContext {
    files: TlsFiles,
    loaded: RefCell<Loaded>,
    per_thread: Rc<PerThread>,
}

/// What all contexts of a thread share.
struct PerThread {
    /// One buffer for all: a piece of a file on its way into a record.
    scratch: RefCell<Box<[u8]>>,
    handshakes_left: Cell<u32>,
}

impl PerThread {
    fn new() -> Rc<PerThread> {
        let scratch = RefCell::new(vec![0; FILE_STEP].into_boxed_slice());
        Rc::new(PerThread { scratch, handshakes_left: Cell::new(HANDSHAKES_A_TICK) })
    }
}

thread_local! {
    static PER_THREAD: OnceCell<Rc<PerThread>> = const { OnceCell::new() };
}

impl TlsContext {
    /// Loads the certificates.
    ///
    /// # Errors
    /// One line naming the file and what is wrong with it.
    pub(crate) fn new(files: TlsFiles) -> io::Result<TlsContext> {
        let loaded = RefCell::new(load(&files)?);
        let per_thread = PER_THREAD.with(|per_thread| Rc::clone(per_thread.get_or_init(PerThread::new)));
        Ok(TlsContext { files, loaded, per_thread })
    }

    /// Loads the certificates anew for the connections to come; after an error the old ones stay.
    ///
    /// # Errors
    /// As [`new`](TlsContext::new).
    pub(crate) fn reload(&self) -> io::Result<()> {
        self.loaded.replace(load(&self.files)?);
        Ok(())
    }

    /// The thread's loop turns once more.
    pub(crate) fn new_tick() {
        PER_THREAD.with(|shared| {
            if let Some(shared) = shared.get() {
                shared.handshakes_left.set(HANDSHAKES_A_TICK);
            }
        });
    }

    pub(crate) fn accept(self: &Rc<Self>, stream: TcpStream) -> io::Result<Tls> {
        let config = Arc::clone(&self.loaded.borrow().server);
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(BUFFER));
        Ok(Tls {
            stream,
            session: Box::new(session),
            context: Rc::clone(self),
            state: Stage::Fresh,
            drained: false,
            unasked: false,
            verified: Cell::new(None),
        })
    }
}

/// One TLS connection.
pub(crate) struct Tls {
    stream: TcpStream,
    session: Box<ServerConnection>,
    context: Rc<TlsContext>,
    state: Stage,
    /// The last read from the socket was short.
    drained: bool,
    /// The last read ended before the socket was empty.
    unasked: bool,
    /// Whether an authority signed the client's certificate, once that was looked at.
    verified: Cell<Option<bool>>,
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
enum Stage {
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
            Stage::Refused => return self.discard(),
            Stage::Broken | Stage::Failed => return Err(io::ErrorKind::ConnectionAborted.into()),
            Stage::Fresh | Stage::Running | Stage::Ended | Stage::Cut => {}
        }
        let mut filled = 0;
        // What an earlier call noted is stale: an edge may have come since.
        self.drained = false;
        self.unasked = false;
        for _ in 0..RECORDS_A_READ {
            match self.session.reader().read(&mut buffer[filled..]) {
                // The peer's close_notify.
                Ok(0) => {
                    self.state = Stage::Ended;
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
                        if error.kind() != io::ErrorKind::WouldBlock && self.state != Stage::Failed {
                            self.state = Stage::Broken;
                        }
                        return Ok(filled);
                    }
                },
                // Ended without close_notify: what was got may not be all.
                Err(error) if filled == 0 => return Err(error),
                Err(_) => {
                    self.state = Stage::Broken;
                    return Ok(filled);
                }
            }
            if self.state == Stage::Refused {
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
        self.unasked || matches!(self.state, Stage::Ended | Stage::Broken | Stage::Failed)
    }

    /// Takes ciphertext from the socket and decrypts it, or goes on with the handshake.
    fn receive(&mut self) -> io::Result<()> {
        if self.state == Stage::Fresh {
            self.begin()?;
            if self.state == Stage::Refused {
                return Ok(());
            }
        }
        // A little at a time, as rustls wants it: what it decrypts is taken before more comes.
        let n = self.session.read_tls(&mut Noting { stream: &mut self.stream, drained: &mut self.drained })?;
        if let Err(error) = self.session.process_new_packets() {
            self.fail(&error);
            let kind = match error {
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => REFUSED,
                _ => io::ErrorKind::InvalidData,
            };
            return Err(io::Error::new(kind, error));
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
        self.state = Stage::Failed;
        let plain = alerts::raise(&mut self.session, error);
        if let (Ok(true), Some(alert)) = (self.send_pending(), plain) {
            let _ = self.stream.write(&alert);
        }
    }

    /// Looks at the first byte, and starts a handshake if it is this tick's turn for one more.
    fn begin(&mut self) -> io::Result<()> {
        let Some(left) = self.context.per_thread.handshakes_left.get().checked_sub(1) else {
            return Err(io::ErrorKind::ResourceBusy.into());
        };
        let mut first = [0];
        if self.stream.peek(&mut first)? > 0 && first[0].is_ascii_alphabetic() {
            self.refuse_plain();
            return Ok(());
        }
        self.context.per_thread.handshakes_left.set(left);
        self.state = Stage::Running;
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
        self.state = Stage::Refused;
    }

    /// Throws away what a refused client still sends: to close instead would send a reset, which may overtake the reply.
    fn discard(&mut self) -> io::Result<usize> {
        let mut scratch = self.context.per_thread.scratch.borrow_mut();
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
        if self.state == Stage::Failed { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.session.wants_write()
    }

    /// Says that nothing follows: the peer can then tell the end from a cut.
    pub(crate) fn send_close_notify(&mut self) {
        if !matches!(self.state, Stage::Cut | Stage::Refused | Stage::Failed) {
            self.session.send_close_notify();
            // Without room in the socket the peer is not told: it does not read.
            let _ = self.send_pending();
        }
    }

    /// What was sent is not all: the peer must not be told that it is.
    pub(crate) fn forget_close_notify(&mut self) {
        self.state = Stage::Cut;
    }

    /// The certificate that the client showed, verified, in DER.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        let (cert, between) = self.session.peer_certificates()?.split_first()?;
        let loaded = self.context.loaded.borrow();
        let is_right = |verifier: &clients::Verifier| {
            let verified = verifier.verify_client_cert(cert, between, UnixTime::now());
            if let (Err(error), Ok(peer)) = (&verified, self.stream.peer_addr()) {
                log::info!("{peer}: its certificate does not count: {error}");
            }
            verified.is_ok()
        };
        let verified = self.verified.get().unwrap_or_else(|| loaded.verifier.as_ref().is_none_or(is_right));
        self.verified.set(Some(verified));
        verified.then_some(cert.as_ref())
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
        let mut scratch = self.context.per_thread.scratch.borrow_mut();
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
