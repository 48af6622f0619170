//! The connection as its handler sees it: the methods of the reference's class of that name.

use super::deadlines::Timer;
use super::error::{Error, Outcome, Result};
use super::form::FormEvent;
use super::http1::Http1;
use super::limits;
use super::request::Request;
use super::shared::Shared;
use super::site_options::SiteOptions;
use super::upgrade::{self, Upgraded};
use super::{request_body, respond};
use crate::http::{Encoder, Multipart, Receiving, ResponseHead, Sending};
use crate::net::PeerAddr;
use crate::rt::Key;
use crate::sys;
use std::cell::{RefCell, RefMut};
use std::fmt::Display;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// One client's connection, in the hands of the handler of one request.
///
/// Its asynchronous methods wait for the client; while they do, the loop serves others. When the connection is reset or
/// breaks, the handler is dropped where it waits. A client that merely ends its own direction may still want its answer;
/// that it is gone altogether shows with the first bytes sent to it.
pub struct Connection {
    pub(crate) core: Rc<Shared>,
    pub(crate) site: Rc<SiteOptions>,
    http1: Rc<RefCell<Http1>>,
    key: Key,
    peer: PeerAddr,
    /// Whether the client's own connection is encrypted, if it is another one.
    encrypted: Option<bool>,
}

impl Connection {
    pub(super) fn new(core: Rc<Shared>, site: Rc<SiteOptions>, http1: Rc<RefCell<Http1>>, key: Key) -> Connection {
        let peer = http1.borrow().link.peer;
        Connection { core, site, http1, key, peer, encrypted: None }
    }

    /// The client's address; for a request that [is another's](Connection::set_client), that one's.
    pub fn remote_addr(&self) -> &PeerAddr {
        &self.peer
    }

    /// Has this request count as that of another client: a trusted proxy's fields name whom it asks for.
    ///
    /// From here on [`remote_addr`](Connection::remote_addr) and the access log tell this address, and
    /// [`is_tls`](Connection::is_tls) whether that client's connection is encrypted, where that is known. The next request
    /// of the connection is the peer's again. Whom the server makes room for, at its limit of connections, stays the peer.
    pub fn set_client(&mut self, addr: PeerAddr, encrypted: Option<bool>) {
        self.peer = addr;
        self.encrypted = encrypted;
        if let Some(in_flight) = &mut self.http1.borrow_mut().in_flight {
            in_flight.client = Some(addr);
        }
    }

    /// Our address on this connection.
    ///
    /// # Errors
    /// [`Error::Io`] when the system can't tell.
    pub fn local_addr(&self) -> Result<PeerAddr> {
        Ok(self.http1.borrow_mut().link.local_addr()?)
    }

    /// Whether the connection is encrypted; for a request that [is another's](Connection::set_client), that one's.
    pub fn is_tls(&self) -> bool {
        self.encrypted.unwrap_or_else(|| self.http1.borrow().link.transport.is_tls())
    }

    /// The subject of the certificate that the client showed and [`Options::ca`](crate::Options::ca) verified, as text
    /// (RFC 4514: `CN=router,O=home`); `None` without one.
    #[cfg(feature = "tls")]
    pub fn peer_subject(&self) -> Option<String> {
        crate::net::x509::subject(self.http1.borrow().link.transport.peer_certificate()?)
    }

    /// Sets a header field of the response, in the place of those of the same name in any case.
    ///
    /// `content-length` fixes the length of the body; `connection: close` closes after the reply;
    /// `date` and `server` replace the library's own.
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head is out. [`Error::BadHeader`] for a name that is no token, a value with CR, LF,
    /// NUL or another control (RFC 9110 §5.5), and `transfer-encoding`, which is not the handler's to set.
    pub fn add_header(&mut self, name: &str, value: impl Display) -> Result<()> {
        Ok(self.response()?.set(name, value)?)
    }

    /// Adds a header field of the response beside those of the same name, as `set-cookie` needs it.
    ///
    /// # Errors
    /// As [`add_header`](Connection::add_header).
    pub fn append_header(&mut self, name: &str, value: impl Display) -> Result<()> {
        Ok(self.response()?.append(name, value)?)
    }

    /// Adds a header field whose value need not be UTF-8, as [`append_header`](Connection::append_header) does.
    ///
    /// For values that come from elsewhere: RFC 9110 §5.5 lets them hold any byte from 0x80 on.
    ///
    /// # Errors
    /// As [`add_header`](Connection::add_header).
    pub fn append_header_bytes(&mut self, name: &str, value: &[u8]) -> Result<()> {
        Ok(self.response()?.append_bytes(name, value)?)
    }

    /// Takes the response's header fields of that name, in any case, back.
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head is out.
    pub fn remove_header(&mut self, name: &str) -> Result<()> {
        self.response()?.remove(name);
        Ok(())
    }

    /// Sets the response's status, with the standard's reason phrase; 200 when never called.
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head is out, [`Error::BadStatus`] outside 100..=999 and for 1xx, which
    /// end no exchange ([`upgrade`](Connection::upgrade) sends 101).
    pub fn set_status(&mut self, code: u16) -> Result<()> {
        self.status(code, None)
    }

    /// Sets the response's status and reason phrase.
    ///
    /// # Errors
    /// As [`set_status`](Connection::set_status); [`Error::BadHeader`] for a reason with controls.
    pub fn set_status_reason(&mut self, code: u16, reason: &str) -> Result<()> {
        self.status(code, Some(reason))
    }

    /// Answers with `code`, a reason phrase if given, and `content` (else an empty body); then the connection closes.
    ///
    /// Headers set before are sent too; the content is `text/plain` unless they say otherwise.
    ///
    /// # Errors
    /// As [`set_status_reason`](Connection::set_status_reason).
    pub async fn send_error<'a>(
        &mut self,
        code: u16,
        status: impl Into<Option<&'a str>>,
        content: impl Into<Option<&'a str>>,
    ) -> Result<()> {
        self.status(code, status.into())?;
        let content = content.into();
        {
            let mut response = self.response()?;
            response.set("Connection", "close")?;
            response.remove("content-length");
            if content.is_some() && response.get("content-type").is_none() {
                response.push_raw(b"Content-Type: text/plain; charset=utf-8\r\n");
            }
        }
        self.answer(content.unwrap_or_default())
    }

    /// Answers with a redirection and an empty body. `code` is 3xx.
    ///
    /// # Errors
    /// [`Error::BadStatus`] for another code, [`Error::BadHeader`] for a location that is no header value,
    /// [`Error::HeadSent`] once the head is out.
    pub async fn redirect(&mut self, code: u16, location: &str) -> Result<()> {
        self.answer_redirect(code, location)
    }

    /// Sends a piece of the body; waits only while more than the high-water mark of it waits already.
    ///
    /// The first call sends the head: with `content-length` if the handler set it, else chunked on HTTP/1.1 and ended by
    /// closing on 1.0 (RFC 9112 §6). An empty piece sends just the head. For HEAD, 204 and 304 the bytes are dropped.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] for more than `content-length` promised, and the connection is cut.
    pub async fn send(&mut self, data: impl AsRef<[u8]>) -> Result<()> {
        let mut data = data.as_ref();
        respond::commit(&mut self.http1.borrow_mut(), &self.core, None)?;
        while !data.is_empty() {
            self.room().await?;
            let mut http1 = self.http1.borrow_mut();
            let (piece, rest) = data.split_at(data.len().min(respond::room(&http1)));
            respond::push_body(&mut http1, &self.core, piece)?;
            data = rest;
        }
        Ok(())
    }

    /// Sends as much of `data` as there is room for, and tells how much; pending while there is no room.
    ///
    /// For a relay, which waits for both directions at once. Like [`send`](Connection::send) it sends the head first, and
    /// of an empty piece only that.
    ///
    /// # Errors
    /// As [`send`](Connection::send); [`Error::Closed`] when the connection is over.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let mut http1 = self.http1.borrow_mut();
        respond::commit(&mut http1, &self.core, None)?;
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        std::task::ready!(respond::poll_room(&mut http1, cx))?;
        let piece = data.get(..respond::room(&http1)).unwrap_or(data);
        Poll::Ready(respond::push_body(&mut http1, &self.core, piece).map(|()| piece.len()))
    }

    /// Sends `count` bytes (default: all) of a file from `offset` (default 0) as a piece of the body.
    ///
    /// On a plain connection the bytes never pass through this process: sendfile(2). A `count` past the file's end is
    /// clamped. Waits while other files wait before it. A file that shrinks meanwhile cuts the connection.
    ///
    /// # Errors
    /// [`Error::Io`] when it is missing, unreadable, or not a regular file; nothing was sent then.
    pub async fn send_file(
        &mut self,
        path: impl AsRef<Path>,
        count: impl Into<Option<u64>>,
        offset: impl Into<Option<u64>>,
    ) -> Result<()> {
        let (file, size) = open_regular(path.as_ref())?;
        let offset = offset.into().unwrap_or(0).min(size);
        let count = count.into().unwrap_or(u64::MAX).min(size - offset);
        respond::commit(&mut self.http1.borrow_mut(), &self.core, None)?;
        self.room().await?;
        respond::push_file(&mut self.http1.borrow_mut(), &self.core, Rc::new(file), offset, count)
    }

    /// Waits until all that was queued is in the kernel's hands.
    ///
    /// # Errors
    /// [`Error::Closed`] when the connection is over.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| respond::poll_flushed(&mut self.http1.borrow_mut(), cx)).await
    }

    /// Bytes of answers that the client has not taken: those that wait here, and those that the kernel holds for it.
    ///
    /// For a handler that wants to know whether a slow client takes anything at all.
    pub fn undelivered(&self) -> u64 {
        let http1 = self.http1.borrow();
        let waiting = http1.in_flight.as_ref().map_or(0, |in_flight| in_flight.output.mem());
        u64::from(http1.link.transport.queued()).saturating_add(waiting as u64)
    }

    /// Waits until the client has ended its direction: mostly it has left, though it may still read what it is sent.
    ///
    /// For answers that wait long for their next piece. It may be awaited beside the other methods, in the same task. A
    /// client that has left altogether resets the connection at the first bytes it is sent, and the handler is dropped.
    pub async fn closed(&self) {
        poll_fn(|cx| respond::poll_closed(&mut self.http1.borrow_mut(), cx)).await;
    }

    /// Whether a line of the log about this client is to be written, or was counted only: for lines that clients can cause
    /// as they like.
    ///
    /// The server's own lines count, too: ten a minute are written for each client ([`PeerAddr::network`]), and then one
    /// that tells how many were not.
    pub fn takes_log_line(&self) -> bool {
        self.core.takes_log_line(&self.peer)
    }

    /// Has the client asked, a second after it ended its own direction and if no head was sent by then, whether it is there.
    ///
    /// For a handler that waits long and is not to wait for nobody. The question is an interim `100 Continue`, which a
    /// client of HTTP/1.1 discards (RFC 9110 §15.2.1); from one that has left comes a reset, and the handler is dropped.
    /// It holds for this one request.
    pub fn notice_departure(&mut self) {
        self.http1.borrow_mut().probe = true;
    }

    /// Reads exactly `count` bytes of the request body, or what is left of it if that is less; all of it when `None`.
    ///
    /// Empty at the body's end. `timeout` bounds this call, and the server's `body_timeout` the time that the body stands
    /// still. The first call answers `Expect: 100-continue` (RFC 9110 §10.1.1). Bodies may have a Content-Length or be
    /// chunked.
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Closed`] when the client left before the body's end; [`Error::BadBody`] when its
    /// framing is broken; [`Error::BodyTooLarge`] when `count` is `None` and the rest is longer than `max_body`.
    /// After any error but a timeout no more of the body can be read; a call that is dropped before its end loses what it had read.
    pub async fn read_body(
        &mut self,
        count: impl Into<Option<usize>>,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Vec<u8>> {
        let count = count.into();
        let max = usize::try_from(self.site.options.max_body).unwrap_or(usize::MAX - 1);
        if count.is_none() && self.body_left().is_some_and(|left| left > max as u64) {
            return Err(Error::BodyTooLarge);
        }
        // One byte more than allowed tells that there are more.
        let upto = count.unwrap_or(max.saturating_add(1));
        let body = self.read_upto(upto, upto, timeout.into()).await?;
        if count.is_none() && body.len() > max {
            return Err(Error::BodyTooLarge);
        }
        Ok(body)
    }

    /// Appends what has come of the request body to `into`, as long as that holds less than `upto` bytes.
    ///
    /// For a relay, which waits for both directions at once: pending when there is nothing, ready with nothing added at
    /// the body's end. After `Pending` it is to be called again until it is ready, for the server's `body_timeout` runs.
    ///
    /// # Errors
    /// Those of [`read_body`](Connection::read_body).
    pub fn poll_read_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, upto: usize) -> Poll<Result<()>> {
        let least = into.len().saturating_add(1);
        request_body::poll_read(&mut self.http1.borrow_mut(), &self.core, cx, into, least, upto.max(least))
    }

    /// Reads the next event of a `multipart/form-data` body (RFC 7578), in bounded memory whatever a part's size.
    ///
    /// For each part: [`FormEvent::Header`] once for each of its header fields, then [`FormEvent::Body`] until its
    /// `done` is true; after the last part [`FormEvent::End`]. `timeout` bounds this call.
    ///
    /// # Errors
    /// Those of [`read_body`](Connection::read_body); [`Error::BadBody`] when the body is no form data.
    pub async fn read_formdata(
        &mut self,
        req: &mut Request,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<FormEvent> {
        let timeout = timeout.into();
        if req.form.is_none() {
            let content_type = req.head.header_bytes("content-type").ok_or(Error::BadBody("no content-type"))?;
            req.form = Some(Box::new(Multipart::new(content_type)?));
        }
        let Some(form) = &mut req.form else { return Err(Error::Closed) };
        loop {
            if let Some(event) = form.next()? {
                return Ok(event.into());
            }
            let bytes = self.read_upto(1, limits::SCRATCH, timeout).await?;
            if bytes.is_empty() {
                form.finish();
            } else {
                form.feed(&bytes);
            }
        }
    }

    /// Reads the rest of the request body and forgets it.
    ///
    /// # Errors
    /// Those of [`read_body`](Connection::read_body).
    pub async fn discard_body(&mut self) -> Result<()> {
        while !self.read_upto(1, limits::SCRATCH, None).await?.is_empty() {}
        Ok(())
    }

    /// Answers `101 Switching Protocols`, with the headers set before, and hands over the raw stream.
    ///
    /// The handler sets `upgrade` itself (and, say, `sec-websocket-accept`). It may go on in a task of its own; the stream
    /// lives as long as the [`Upgraded`].
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head is out; [`Error::BadStatus`] for HTTP/1.0, which knows no upgrade, or while the
    /// request's body is unread.
    pub async fn upgrade(&mut self) -> Result<Upgraded> {
        {
            let mut http1 = self.http1.borrow_mut();
            let exchange = &http1.in_flight()?.exchange;
            if exchange.is_http10() || !matches!(exchange.receiving(), Receiving::Done) {
                return Err(Error::BadStatus);
            }
            respond::head(&mut http1)?.set_status(101, None)?;
            respond::commit(&mut http1, &self.core, None)?;
            upgrade::begin(&mut http1)?;
        }
        self.flush().await?;
        Ok(Upgraded::new(Rc::clone(&self.core), Rc::clone(&self.http1), self.key))
    }

    // --- for the layers above ---------------------------------------------------------------------

    /// The response's head, as long as it can be changed.
    pub(crate) fn response(&mut self) -> Result<RefMut<'_, ResponseHead>> {
        let mut http1 = self.http1.borrow_mut();
        respond::head(&mut http1)?;
        let filtered = RefMut::filter_map(http1, |http1| respond::head(http1).ok());
        filtered.map_err(|_| Error::HeadSent)
    }

    pub(crate) fn status(&mut self, code: u16, reason: Option<&str>) -> Result<()> {
        if code < 200 {
            return Err(Error::BadStatus);
        }
        Ok(self.response()?.set_status(code, reason)?)
    }

    /// Answers with a whole body that the caller has at hand anyway: queued at once, whatever waits.
    pub(crate) fn answer(&mut self, body: &str) -> Result<()> {
        self.start(body.len() as u64)?;
        self.push(body.as_bytes())
    }

    pub(crate) fn answer_redirect(&mut self, code: u16, location: &str) -> Result<()> {
        if !(300..400).contains(&code) {
            return Err(Error::BadStatus);
        }
        let mut response = self.response()?;
        response.set("Location", location)?;
        response.set_status(code, None)?;
        response.remove("content-length");
        drop(response);
        self.answer("")
    }

    /// Sends the head of a response whose body is `length` bytes long; tells whether a body is to follow.
    pub(crate) fn start(&mut self, length: u64) -> Result<bool> {
        let mut http1 = self.http1.borrow_mut();
        respond::head(&mut http1)?;
        respond::commit(&mut http1, &self.core, Some(length))?;
        Ok(http1.sending() != Sending::Body(Encoder::Nothing))
    }

    /// Queues a piece of body, whatever waits already: for small ones.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        respond::push_body(&mut self.http1.borrow_mut(), &self.core, bytes)
    }

    /// Queues bytes that others share, without copying them.
    pub(crate) fn push_shared(&mut self, bytes: Rc<[u8]>) -> Result<()> {
        respond::push_shared(&mut self.http1.borrow_mut(), &self.core, bytes)
    }

    /// Queues a piece of a file; it costs no memory.
    pub(crate) fn push_file(&mut self, file: Rc<File>, offset: u64, count: u64) -> Result<()> {
        respond::push_file(&mut self.http1.borrow_mut(), &self.core, file, offset, count)
    }

    /// Waits until less than the high-water mark waits, and a file more may.
    pub(crate) async fn room(&self) -> Result<()> {
        poll_fn(|cx| respond::poll_room(&mut self.http1.borrow_mut(), cx)).await
    }

    /// What is known to be left of the body.
    fn body_left(&self) -> Option<u64> {
        self.http1.borrow().in_flight.as_ref().map_or(Some(0), |in_flight| in_flight.exchange.body_left())
    }

    /// Reads `upto` bytes, fewer at the body's end, or `least` when there are no more at hand.
    pub(super) async fn read_upto(&mut self, least: usize, upto: usize, timeout: Option<Duration>) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        // A call that was given up may have left its deadlines.
        self.http1.borrow_mut().end_read();
        if let Some(timeout) = timeout {
            self.http1.borrow_mut().deadlines.set(Timer::Call, self.core.deadline(timeout));
        }
        let read =
            poll_fn(|cx| request_body::poll_read(&mut self.http1.borrow_mut(), &self.core, cx, &mut body, least, upto))
                .await;
        self.http1.borrow_mut().end_read();
        read.map(|()| body)
    }

    /// Ends the response with what the handler returned.
    pub(super) fn finish(self, outcome: Result<Outcome>) {
        respond::finish(&mut self.http1.borrow_mut(), &self.core, outcome);
    }
}

/// Opens a regular file for reading, without waiting for the other end of a FIFO.
fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let not_regular = || io::Error::new(io::ErrorKind::InvalidInput, format!("{}: not a regular file", path.display()));
    // Asked before opening: to open a device can have effects.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() || kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket() {
        return Err(not_regular());
    }
    let file = File::options().read(true).custom_flags(sys::O_NONBLOCK | sys::O_NOCTTY).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta.len())) } else { Err(not_regular()) }
}
