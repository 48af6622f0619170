//! TLS. The only folder that knows rustls.
//!
//! [`TlsContext`] is what a listener's connections share, its certificates above all; [`Tls`] is one connection. Its
//! `read` and `write` also drive the handshake, so the server above sees an ordinary stream.

mod alerts;
mod certificates;
#[cfg(feature = "client-tls")]
mod client;
mod clients;
mod config;
mod handshakes;
#[cfg(feature = "ktls")]
mod kernel;
mod tls_files;

pub use certificates::{read_cert, read_key};
#[cfg(feature = "client-tls")]
pub use client::ServerTrust;
#[cfg(feature = "client-tls")]
pub(crate) use client::TlsClient;
pub(crate) use tls_files::TlsFiles;

use crate::buf::Sink;
use crate::http::date;
use config::{Loaded, load};
use handshakes::{HandshakeEnd, Handshakes};
use mio::net::TcpStream;
use rustls::pki_types::UnixTime;
use rustls::{HandshakeKind, ServerConnection};
use std::cell::{Cell, OnceCell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

/// Bytes of output that rustls may buffer: one record. More would only be queued there instead of in our own queue.
const BUFFER: usize = 16 << 10;

/// Bytes of a file encrypted at a time: one record.
const FILE_STEP: usize = 16 << 10;

/// Steps of handshakes in one tick: their public-key operations block the loop longer than anything else. A handshake
/// takes two, one for the ClientHello and one for what the client sends last.
const STEPS_A_TICK: u32 = 2;

/// Socket reads for one read of the server. Bounded, as records may carry no payload.
const RECORDS_A_READ: u32 = 64;

/// The error kind of a handshake that failed because of the client's certificate, which operators want to know.
const REFUSED: io::ErrorKind = io::ErrorKind::PermissionDenied;

/// What the TLS connections of a server share.
pub(crate) struct TlsContext {
    files: TlsFiles,
    loaded: RefCell<Loaded>,
    per_thread: Rc<PerThread>,
}

/// What all contexts of a thread share.
struct PerThread {
    /// A piece of a file on its way into a record.
    scratch: RefCell<Box<[u8]>>,
    steps_left: Cell<u32>,
    handshakes: Handshakes,
}

impl PerThread {
    fn new() -> Rc<PerThread> {
        let scratch = RefCell::new(vec![0; FILE_STEP].into_boxed_slice());
        Rc::new(PerThread { scratch, steps_left: Cell::new(STEPS_A_TICK), handshakes: Handshakes::default() })
    }
}

thread_local! {
    static PER_THREAD: OnceCell<Rc<PerThread>> = const { OnceCell::new() };
}

impl TlsContext {
    /// Loads the certificates.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    pub(crate) fn new(files: TlsFiles) -> io::Result<TlsContext> {
        let loaded = RefCell::new(load(&files)?);
        let per_thread = PER_THREAD.with(|per_thread| Rc::clone(per_thread.get_or_init(PerThread::new)));
        Ok(TlsContext { files, loaded, per_thread })
    }

    /// Reloads the certificates for new connections. After an error the old ones stay in use.
    ///
    /// # Errors
    /// As [`new`](TlsContext::new).
    pub(crate) fn reload(&self) -> io::Result<()> {
        self.loaded.replace(load(&self.files)?);
        Ok(())
    }

    /// Starts a new tick of the thread's loop.
    pub(crate) fn new_tick() {
        PER_THREAD.with(|shared| {
            if let Some(shared) = shared.get() {
                shared.steps_left.set(STEPS_A_TICK);
            }
        });
    }

    /// The handshakes of the thread's servers so far: full ones, resumed ones, and those that failed.
    #[cfg(feature = "stats")]
    pub(crate) fn handshakes() -> [u64; 3] {
        PER_THREAD.with(|shared| shared.get().map_or([0; 3], |shared| shared.handshakes.counts()))
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
            #[cfg(feature = "ktls")]
            sender: None,
        })
    }
}

/// One TLS connection.
pub(crate) struct Tls {
    stream: TcpStream,
    session: Box<ServerConnection>,
    context: Rc<TlsContext>,
    state: Stage,
    /// The last read from the socket was short: it is empty.
    drained: bool,
    /// The last read stopped before the socket was empty.
    unasked: bool,
    /// Whether an authority signed the client's certificate, once that was checked.
    verified: Cell<Option<bool>>,
    /// Set if the kernel encrypts.
    #[cfg(feature = "ktls")]
    sender: Option<kernel::Sender>,
}

impl Drop for Tls {
    /// However it ended: by an alert, the end of the stream, a reset, or because the client took too long.
    fn drop(&mut self) {
        if self.session.is_handshaking() {
            self.context.per_thread.handshakes.add(HandshakeEnd::Failed);
        }
    }
}

/// A socket that records whether a read was short.
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
    /// Nothing was received yet.
    Fresh,
    Running,
    /// The peer half-closed with `close_notify`.
    Ended,
    /// The peer does not speak TLS, and was told so.
    Refused,
    /// The stream ended without `close_notify`. The next read reports it.
    Broken,
    /// Either side raised a fatal alert: nothing more may be sent (RFC 8446 §6.2).
    Failed,
    /// We abort the stream.
    Cut,
}

impl Tls {
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads what has arrived. A short read means that the socket is empty.
    ///
    /// `ResourceBusy` means: try again in the next tick.
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
        // The values of an earlier call are stale: an edge may have come since.
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
                // The last read was short, so the socket is empty (epoll(7)). Saves a system call per request.
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
                // Ended without close_notify: data may be missing.
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
        // Many records with hardly any payload: yield to other connections.
        self.unasked = true;
        if filled > 0 { Ok(filled) } else { Err(io::ErrorKind::ResourceBusy.into()) }
    }

    /// Whether `read` would return more without an event to announce it.
    pub(crate) fn has_more(&self) -> bool {
        self.unasked || matches!(self.state, Stage::Ended | Stage::Broken | Stage::Failed)
    }

    /// Reads and decrypts records, or continues the handshake if this tick may take another step of one.
    fn receive(&mut self) -> io::Result<()> {
        let handshakes = self.session.is_handshaking();
        if handshakes && self.context.per_thread.steps_left.get() == 0 {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if self.state == Stage::Fresh {
            self.begin()?;
            if self.state == Stage::Refused {
                return Ok(());
            }
        }
        // A little at a time, as rustls requires: decrypted bytes are taken before more are read.
        let n = self.session.read_tls(&mut Noting { stream: &mut self.stream, drained: &mut self.drained })?;
        let processed = self.call(false, |session| session.process_new_packets());
        if handshakes && (processed.is_err() || !self.waits_for_more()) {
            self.context.per_thread.steps_left.update(|left| left.saturating_sub(1));
        }
        if let Err(error) = processed {
            self.fail(&error);
            let kind = match error {
                rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => REFUSED,
                _ => io::ErrorKind::InvalidData,
            };
            return Err(io::Error::new(kind, error));
        }
        #[cfg(feature = "ktls")]
        if kernel::key_changed() {
            self.state = Stage::Failed;
            return Err(kernel::end_of_key(&self.stream, "the client wants another"));
        }
        if self.session.is_handshaking() {
            self.send_pending()?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        } else if handshakes {
            let is_resumed = self.session.handshake_kind() == Some(HandshakeKind::Resumed);
            let end = if is_resumed { HandshakeEnd::Resumed } else { HandshakeEnd::Full };
            self.context.per_thread.handshakes.add(end);
        }
        // The tickets of a finished handshake leave with the first response.
        Ok(())
    }

    /// Whether the handshake has not got enough for its next step. What comes in small pieces is counted once.
    fn waits_for_more(&self) -> bool {
        self.session.is_handshaking() && !self.session.wants_write()
    }

    /// Sends an alert. If it can't be sent, the reset has to do.
    fn fail(&mut self, error: &rustls::Error) {
        self.state = Stage::Failed;
        let plain = self.call(false, |session| alerts::raise(session, error));
        if let (Ok(true), Some(alert)) = (self.send_pending(), plain) {
            let _ = self.stream.write(&alert);
        }
    }

    /// Checks the first byte.
    fn begin(&mut self) -> io::Result<()> {
        let mut first = [0];
        if self.stream.peek(&mut first)? > 0 && first[0].is_ascii_alphabetic() {
            self.refuse_plain();
            return Ok(());
        }
        self.state = Stage::Running;
        Ok(())
    }

    /// Answers plain HTTP in plain HTTP.
    fn refuse_plain(&mut self) {
        const REST: &[u8] = b"\r\nServer: ecohttpd\r\nContent-Length: 39\r\nConnection: close\r\n\
            Content-Type: text/plain; charset=utf-8\r\n\r\n400 Bad Request: this port speaks TLS.\n";
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut reply = b"HTTP/1.1 400 Bad Request\r\nDate: ".to_vec();
        date::push(&mut reply, now.as_secs());
        reply.extend_from_slice(REST);
        // Fits into the buffer of a fresh socket.
        let _ = self.stream.write(&reply);
        let _ = self.stream.shutdown(Shutdown::Write);
        self.state = Stage::Refused;
    }

    /// Discards what a refused client still sends. Closing at once would send a reset, which may overtake the response.
    fn discard(&mut self) -> io::Result<usize> {
        let mut scratch = self.context.per_thread.scratch.borrow_mut();
        for _ in 0..RECORDS_A_READ {
            if self.stream.read(&mut scratch)? == 0 {
                return Ok(0);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// Sends what rustls has buffered; true if nothing is left.
    pub(crate) fn send_pending(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.send_records() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn send_records(&mut self) -> io::Result<usize> {
        #[cfg(feature = "ktls")]
        if self.sender.is_some() {
            return self.session.write_tls(&mut kernel::Records(&self.stream));
        }
        self.session.write_tls(&mut self.stream)
    }

    /// Calls what may encrypt. `note`: the kernel may be given the key afterwards.
    #[cfg(feature = "ktls")]
    fn call<T>(&mut self, note: bool, call: impl FnOnce(&mut ServerConnection) -> T) -> T {
        let mode = match self.sender {
            Some(_) => kernel::Mode::Plain,
            None if note && kernel::is_there() => kernel::Mode::Note,
            None => kernel::Mode::Encrypt,
        };
        kernel::in_mode(mode, || call(&mut self.session))
    }

    #[cfg(not(feature = "ktls"))]
    fn call<T>(&mut self, _note: bool, call: impl FnOnce(&mut ServerConnection) -> T) -> T {
        call(&mut self.session)
    }

    /// Whether the kernel encrypts.
    #[cfg(feature = "ktls")]
    pub(crate) fn is_in_kernel(&self) -> bool {
        self.sender.is_some()
    }

    /// Fails after a fatal alert.
    fn may_write(&self) -> io::Result<()> {
        if self.state == Stage::Failed { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Whether ALPN has chosen HTTP/2 (RFC 9113 §3.2).
    #[cfg(feature = "http2")]
    pub(crate) fn has_agreed_on_http2(&self) -> bool {
        self.session.alpn_protocol() == Some(config::H2)
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.session.wants_write()
    }

    /// Sends `close_notify`, by which the peer can tell a complete stream from a truncated one.
    pub(crate) fn send_close_notify(&mut self) {
        if !matches!(self.state, Stage::Cut | Stage::Refused | Stage::Failed) {
            self.call(false, |session| session.send_close_notify());
            // If the socket is full, the peer does not read and need not be told.
            let _ = self.send_pending();
        }
    }

    /// Suppresses `close_notify`: the stream is incomplete.
    pub(crate) fn forget_close_notify(&mut self) {
        self.state = Stage::Cut;
    }

    /// The client's verified certificate, in DER.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        let (cert, between) = self.session.peer_certificates()?.split_first()?;
        let loaded = self.context.loaded.borrow();
        let is_right = |authorities: &Arc<clients::Authorities>| {
            let verified = authorities.verify(cert, between, UnixTime::now());
            if let (Err(error), Ok(peer)) = (&verified, self.stream.peer_addr()) {
                log::info!("{peer}: client certificate not accepted: {}", clients::reason(error));
            }
            verified.is_ok()
        };
        let verified = self.verified.get().unwrap_or_else(|| loaded.authorities.as_ref().is_none_or(is_right));
        self.verified.set(Some(verified));
        verified.then_some(cert.as_ref())
    }
}

impl Sink for Tls {
    #[cfg_attr(not(feature = "ktls"), allow(unused_variables))]
    fn write(&mut self, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
        self.may_write()?;
        #[cfg(feature = "ktls")]
        if self.sender.is_some() && !self.send_pending()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        #[cfg(feature = "ktls")]
        if let Some(sender) = &mut self.sender {
            return sender.write(&self.stream, slices, more);
        }
        let mut n = self.call(false, |session| session.writer().write_vectored(slices))?;
        if n == 0 {
            // The buffer is full.
            if !self.send_pending()? {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            n = self.call(false, |session| session.writer().write_vectored(slices))?;
        }
        self.send_pending()?;
        Ok(n)
    }

    fn send_file(&mut self, file: &File, offset: u64, count: u64) -> io::Result<u64> {
        self.may_write()?;
        if !self.send_pending()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        #[cfg(feature = "ktls")]
        if let Some(sender) = &mut self.sender {
            return sender.send_file(&self.stream, file, offset, count);
        }
        let count = usize::try_from(count).unwrap_or(FILE_STEP).min(FILE_STEP);
        let per_thread = Rc::clone(&self.context.per_thread);
        let mut scratch = per_thread.scratch.borrow_mut();
        let n = file.read_at(&mut scratch[..count], offset)?;
        let n = self.call(true, |session| session.writer().write(&scratch[..n]))?;
        drop(scratch);
        #[cfg(feature = "ktls")]
        match self.send_pending() {
            Ok(true) => self.sender = kernel::Sender::new(&self.stream),
            // The key is noted again with the next record.
            other => {
                kernel::forget();
                other?;
            }
        }
        #[cfg(not(feature = "ktls"))]
        self.send_pending()?;
        Ok(n as u64)
    }

    fn flush(&mut self) -> io::Result<bool> {
        self.send_pending()
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
