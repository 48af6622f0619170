//! The connection as a handler sees it: the methods of lua-eco's class of the same name.

use super::counters::Count;
use super::deadline_table::Timer;
use super::error::{Error, Outcome, Result};
use super::form::FormEvent;
use super::http1::Http1;
use super::limits;
use super::options::Options;
use super::request::Request;
use super::shared::Shared;
use super::site_options::SiteOptions;
#[cfg(feature = "stats")]
use super::tally::Tally;
use super::upgrade::{self, Upgraded};
use super::{request_body, respond};
#[cfg(feature = "websocket")]
use crate::http::Head;
use crate::http::{Encoder, Multipart, Receiving, ResponseHead, Sending};
use crate::net::{PeerAddr, said};
use crate::rt::Key;
use crate::sys;
use std::cell::{RefCell, RefMut};
use std::fmt::{self, Display};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A client's connection, as passed to the handler of one request.
///
/// Its asynchronous methods wait for the client. Meanwhile the loop serves others. When the connection breaks, the handler is
/// dropped where it waits. A client that has half-closed the connection may still want its answer. If it is gone, the first
/// bytes sent to it show that.
pub struct Connection {
    shared: Rc<Shared>,
    site: Rc<SiteOptions>,
    http1: Rc<RefCell<Http1>>,
    key: Key,
    peer: PeerAddr,
    /// Whether the client's connection to a proxy is encrypted, if that is known.
    encrypted: Option<bool>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(shared: Rc<Shared>, site: Rc<SiteOptions>, http1: Rc<RefCell<Http1>>, key: Key) -> Connection {
        let peer = http1.borrow().link.peer;
        Connection { shared, site, http1, key, peer, encrypted: None }
    }

    /// The client's address. Behind a proxy, [`set_client`](Connection::set_client) sets that of the proxy's client.
    pub fn remote_addr(&self) -> &PeerAddr {
        &self.peer
    }

    /// Sets the client that a trusted proxy forwards this request for.
    ///
    /// Afterwards, [`remote_addr`](Connection::remote_addr) and the access log have this address, and
    /// [`is_tls`](Connection::is_tls) says whether that client's connection is encrypted, if that is known. It holds for this
    /// request only. The limits on connections still count the peer.
    pub fn set_client(&mut self, addr: PeerAddr, encrypted: Option<bool>) {
        self.peer = addr;
        self.encrypted = encrypted;
        if let Some(in_flight) = &mut self.http1.borrow_mut().in_flight {
            in_flight.client = Some(addr);
        }
    }

    /// Counts this request in another tally than that of its site: see [`Options::tally`](crate::Options::tally).
    #[cfg(feature = "stats")]
    pub fn count_in(&mut self, tally: &Rc<Tally>) {
        if let Some(in_flight) = &mut self.http1.borrow_mut().in_flight {
            in_flight.tally = Some(Rc::clone(tally));
        }
    }

    /// Our address on this connection.
    ///
    /// # Errors
    /// [`Error::Io`] if the system does not know it.
    pub fn local_addr(&self) -> Result<PeerAddr> {
        Ok(self.http1.borrow_mut().link.local_addr()?)
    }

    /// Whether the client's connection is encrypted; behind a proxy, that of [`set_client`](Connection::set_client).
    pub fn is_tls(&self) -> bool {
        self.encrypted.unwrap_or_else(|| self.http1.borrow().link.transport.is_tls())
    }

    /// The subject of the client's certificate, if [`Options::ca`](crate::Options::ca) verified one. It is text of RFC 4514:
    /// `CN=router,O=home`.
    #[cfg(feature = "tls")]
    pub fn peer_subject(&self) -> Option<String> {
        crate::net::x509::subject(self.http1.borrow().link.transport.peer_certificate()?)
    }

    /// Sets a header field of the response. It replaces fields of the same name, in any case.
    ///
    /// `Content-Length` fixes the length of the body; `Connection: close` closes after the response;
    /// `Date` and `Server` replace the library's own.
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head is out. [`Error::BadHeader`] for a name that is not a token, for a value with
    /// control characters (RFC 9110 §5.5), and for `transfer-encoding`, which only the library sets.
    pub fn add_header(&mut self, name: &str, value: impl Display) -> Result<()> {
        Ok(self.response()?.set(name, value)?)
    }

    /// Adds a header field of the response and keeps those of the same name, as `set-cookie` needs it.
    ///
    /// # Errors
    /// As [`add_header`](Connection::add_header).
    pub fn append_header(&mut self, name: &str, value: impl Display) -> Result<()> {
        Ok(self.response()?.append(name, value)?)
    }

    /// Like [`append_header`](Connection::append_header), for a value that need not be UTF-8.
    ///
    /// For values from other sources: RFC 9110 §5.5 allows any byte from 0x80 on.
    ///
    /// # Errors
    /// As [`add_header`](Connection::add_header).
    pub fn append_header_bytes(&mut self, name: &str, value: &[u8]) -> Result<()> {
        Ok(self.response()?.append_bytes(name, value)?)
    }

    /// Removes the response's header fields of that name, in any case.
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head was sent.
    pub fn remove_header(&mut self, name: &str) -> Result<()> {
        self.response()?.remove(name);
        Ok(())
    }

    /// Sets the response's status, with its standard reason phrase. Without a call it is 200.
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head is out. [`Error::BadStatus`] outside 200..=999: a 1xx is not a final response, and
    /// [`upgrade`](Connection::upgrade) sends 101.
    pub fn set_status(&mut self, code: u16) -> Result<()> {
        self.status(code, None)
    }

    /// Sets the response's status and reason phrase.
    ///
    /// # Errors
    /// As [`set_status`](Connection::set_status); [`Error::BadHeader`] for a reason with control characters.
    pub fn set_status_reason(&mut self, code: u16, reason: &str) -> Result<()> {
        self.status(code, Some(reason))
    }

    /// Answers with `code`, with a reason phrase and a body if they are given, and closes the connection.
    ///
    /// Headers set before are kept. The content is `text/plain` unless they say otherwise.
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

    /// Responds with a redirection and an empty body. `code` is 3xx.
    ///
    /// # Errors
    /// [`Error::BadStatus`] for another code, [`Error::BadHeader`] for a location that is not a valid header value,
    /// [`Error::HeadSent`] once the head was sent.
    pub async fn redirect(&mut self, code: u16, location: &str) -> Result<()> {
        self.answer_redirect(code, location)
    }

    /// Sends a piece of the body. Waits only while more than the high-water mark is queued already.
    ///
    /// The first call sends the head. Without a `Content-Length` from the handler, the body is chunked on HTTP/1.1, and
    /// on 1.0 it ends with the connection (RFC 9112 §6). An empty piece sends only the head. For HEAD, 204 and 304 the
    /// bytes are dropped.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] for more than `Content-Length` promised; the response is cut short.
    pub async fn send(&mut self, data: impl AsRef<[u8]>) -> Result<()> {
        let mut data = data.as_ref();
        respond::commit(&mut self.http1.borrow_mut(), &self.shared, None)?;
        while !data.is_empty() {
            self.room().await?;
            let mut http1 = self.http1.borrow_mut();
            let (piece, rest) = data.split_at(data.len().min(respond::room(&http1)));
            respond::push_body(&mut http1, &self.shared, piece)?;
            data = rest;
        }
        Ok(())
    }

    /// Sends as much of `data` as there is room for, and returns how much; pending while there is no room.
    ///
    /// For a relay, which waits for both directions at once. Like [`send`](Connection::send), it sends the head first, and
    /// only the head for an empty piece.
    ///
    /// # Errors
    /// As [`send`](Connection::send); [`Error::Closed`] if the connection is closed.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let mut http1 = self.http1.borrow_mut();
        respond::commit(&mut http1, &self.shared, None)?;
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        std::task::ready!(respond::poll_room(&mut http1, cx))?;
        let piece = data.get(..respond::room(&http1)).unwrap_or(data);
        Poll::Ready(respond::push_body(&mut http1, &self.shared, piece).map(|()| piece.len()))
    }

    /// Sends `count` bytes (default: all) of a file from `offset` (default 0) as a piece of the body.
    ///
    /// On a plain connection sendfile(2) sends the bytes without copying them. A `count` past the end of the file is
    /// clamped. Waits while other files are queued. If the file shrinks meanwhile, the response is cut short.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is missing, unreadable, or not a regular file. Nothing was sent then.
    pub async fn send_file(
        &mut self,
        path: impl AsRef<Path>,
        count: impl Into<Option<u64>>,
        offset: impl Into<Option<u64>>,
    ) -> Result<()> {
        let (file, size) = open_regular(path.as_ref())?;
        let offset = offset.into().unwrap_or(0).min(size);
        let count = count.into().unwrap_or(u64::MAX).min(size - offset);
        respond::commit(&mut self.http1.borrow_mut(), &self.shared, None)?;
        self.room().await?;
        respond::push_file(&mut self.http1.borrow_mut(), &self.shared, Rc::new(file), offset, count)
    }

    /// Waits until everything queued has been passed to the kernel.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection is closed.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| respond::poll_flushed(&mut self.http1.borrow_mut(), cx)).await
    }

    /// Bytes of answers that the client has not received: those queued here and those that the kernel holds.
    ///
    /// A handler can see from it whether a slow client reads at all.
    pub fn undelivered(&self) -> u64 {
        let http1 = self.http1.borrow();
        let waiting = http1.in_flight.as_ref().map_or(0, |in_flight| in_flight.output.mem());
        u64::from(http1.link.transport.queued()).saturating_add(waiting as u64)
    }

    /// Waits until the client has half-closed the connection. Usually it has left then, but it may still read.
    ///
    /// For answers that wait long for their next piece. It may be awaited together with the other methods, in the same task.
    /// A client that has left resets the connection when bytes are sent to it, and the handler is dropped.
    pub async fn closed(&self) {
        poll_fn(|cx| respond::poll_closed(&mut self.http1.borrow_mut(), cx)).await;
    }

    /// Whether a line about this client should go to the log: false if there were too many. For lines that a client can cause
    /// at will.
    ///
    /// Each client ([`PeerAddr::network`]) has ten lines a minute, the server's own included. Further lines are counted, and
    /// one line says how many there were.
    pub fn takes_log_line(&self) -> bool {
        self.shared.takes_log_line(&self.peer)
    }

    /// Drops this handler soon if the client leaves while it works: for one that takes long before it sends the head.
    ///
    /// A second after the client has half-closed the connection, it is sent an interim `100 Continue`, which a client of
    /// HTTP/1.1 discards (RFC 9110 §15.2.1). A client that has left answers with a reset. Holds for this request only.
    pub fn notice_departure(&mut self) {
        self.http1.borrow_mut().probe = true;
    }

    /// Reads exactly `count` bytes of the request body, or less at its end; `None` reads the whole body.
    ///
    /// Returns an empty vector at the end of the body. `timeout` bounds this call; the server's `body_timeout` bounds
    /// how long the body may stall. The first call answers `Expect: 100-continue` (RFC 9110 §10.1.1).
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Closed`] if the client left before the end of the body; [`Error::BadBody`] if the
    /// chunked coding is malformed; [`Error::BodyTooLarge`] if `count` is `None` and the rest is longer than
    /// `max_body`. After any error but a timeout the body can't be read further. A call that is dropped before it is
    /// ready loses what it has read.
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
        // One byte too many tells that the body is too large.
        let upto = count.unwrap_or(max.saturating_add(1));
        let body = self.read_upto(upto, upto, timeout.into()).await?;
        if count.is_none() && body.len() > max {
            return Err(Error::BodyTooLarge);
        }
        Ok(body)
    }

    /// Appends what has arrived of the request body to `into`, until that holds `upto` bytes.
    ///
    /// For a relay, which waits for both directions at once. It is pending while there is nothing, and ready with nothing
    /// added at the body's end. After `Pending`, call it again until it is ready: the server's `body_timeout` runs.
    ///
    /// # Errors
    /// Those of [`read_body`](Connection::read_body).
    pub fn poll_read_body(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>, upto: usize) -> Poll<Result<()>> {
        let least = into.len().saturating_add(1);
        request_body::poll_read(&mut self.http1.borrow_mut(), &self.shared, cx, into, least, upto.max(least))
    }

    /// Reads the next event of a `multipart/form-data` body (RFC 7578). Memory is bounded, whatever the size of a part.
    ///
    /// For each part: [`FormEvent::Header`] for each header, then [`FormEvent::Body`] until its `done` is true. After
    /// the last part: [`FormEvent::End`]. `timeout` bounds this call.
    ///
    /// # Errors
    /// Those of [`read_body`](Connection::read_body); [`Error::BadBody`] if the body is not valid form data.
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

    /// Reads the rest of the request body and discards it.
    ///
    /// # Errors
    /// Those of [`read_body`](Connection::read_body).
    pub async fn discard_body(&mut self) -> Result<()> {
        while !self.read_upto(1, limits::SCRATCH, None).await?.is_empty() {}
        Ok(())
    }

    /// Responds with `101 Switching Protocols` and the headers set before, and hands over the raw stream.
    ///
    /// The handler sets `Upgrade` itself, and for example `Sec-WebSocket-Accept`. The stream lives as long as the
    /// [`Upgraded`], which may be moved to a task.
    ///
    /// # Errors
    /// [`Error::HeadSent`] once the head was sent; [`Error::BadStatus`] for HTTP/1.0 and HTTP/2, which have no
    /// upgrade, or while the request's body is unread.
    pub async fn upgrade(&mut self) -> Result<Upgraded> {
        {
            let mut http1 = self.http1.borrow_mut();
            let exchange = &http1.in_flight()?.exchange;
            if exchange.is_http10() || exchange.is_of_stream() || !matches!(exchange.receiving(), Receiving::Done) {
                return Err(Error::BadStatus);
            }
            respond::head(&mut http1)?.set_status(101, None)?;
            respond::commit(&mut http1, &self.shared, None)?;
            upgrade::begin(&mut http1)?;
        }
        // Before the wait: if this call is dropped there, the stream is, too.
        let upgraded = Upgraded::new(Rc::clone(&self.shared), Rc::clone(&self.http1), self.key);
        self.flush().await?;
        Ok(upgraded)
    }

    // --- for the layers above ---------------------------------------------------------------------

    /// The request's head.
    #[cfg(feature = "websocket")]
    pub(super) fn head(&self) -> Result<Rc<Head>> {
        Ok(Rc::clone(self.http1.borrow_mut().in_flight()?.exchange.head()))
    }

    /// Whether the request was read to its end.
    #[cfg(feature = "websocket")]
    pub(super) fn has_read_request(&self) -> bool {
        matches!(self.http1.borrow().receiving(), Receiving::Done)
    }

    /// Answers with a text in place of what the handler had prepared, and ends the response.
    #[cfg(feature = "websocket")]
    pub(super) fn refuse(&mut self, status: u16, fields: &[(&str, &str)], text: &str) -> Result<()> {
        let http1 = &mut self.http1.borrow_mut();
        let response = respond::head(http1)?;
        response.clear();
        response.set_status(status, None)?;
        response.set("Content-Type", "text/plain; charset=utf-8")?;
        for (name, value) in fields {
            response.set(name, value)?;
        }
        respond::commit(http1, &self.shared, Some(text.len() as u64))?;
        respond::push_body(http1, &self.shared, text.as_bytes())?;
        respond::end(http1, &self.shared)
    }

    /// The loop's clock in milliseconds, read once a tick.
    pub(crate) fn now(&self) -> u64 {
        self.shared.runtime.now()
    }

    /// Counts an event of the layer above.
    #[inline]
    pub(crate) fn count(&self, what: Count) {
        self.shared.counters.add(what);
    }

    /// The number of the loop's current turn. Files are assumed not to change within a turn.
    pub(crate) fn moment(&self) -> u32 {
        self.shared.runtime.moment()
    }

    /// Runs a task on the loop, beside the connections.
    pub(crate) fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        self.shared.runtime.spawn(task);
    }

    /// What the layer above keeps for all connections of this site; made from its options when it is first needed.
    pub(crate) fn extension<T: 'static>(&self, make: impl FnOnce(&Options) -> T) -> Rc<T> {
        self.site.extension(make)
    }

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

    /// Responds with a body that is in memory already. Queued at once, even above the high-water mark.
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

    /// Sends the head of a response with a body of `length` bytes; returns whether that body must follow.
    pub(crate) fn start(&mut self, length: u64) -> Result<bool> {
        let mut http1 = self.http1.borrow_mut();
        respond::head(&mut http1)?;
        respond::commit(&mut http1, &self.shared, Some(length))?;
        Ok(http1.sending() != Sending::Body(Encoder::Nothing))
    }

    /// Queues a small piece of body, even above the high-water mark.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        respond::push_body(&mut self.http1.borrow_mut(), &self.shared, bytes)
    }

    /// Queues shared bytes without copying them.
    pub(crate) fn push_shared(&mut self, bytes: Rc<[u8]>) -> Result<()> {
        respond::push_shared(&mut self.http1.borrow_mut(), &self.shared, bytes)
    }

    /// Queues a piece of a file, which costs no memory.
    pub(crate) fn push_file(&mut self, file: Rc<File>, offset: u64, count: u64) -> Result<()> {
        respond::push_file(&mut self.http1.borrow_mut(), &self.shared, file, offset, count)
    }

    /// Waits until less than the high-water mark is queued, and another file may be.
    pub(crate) async fn room(&self) -> Result<()> {
        poll_fn(|cx| respond::poll_room(&mut self.http1.borrow_mut(), cx)).await
    }

    /// The rest of the body, if its length is known.
    fn body_left(&self) -> Option<u64> {
        self.http1.borrow().in_flight.as_ref().map_or(Some(0), |in_flight| in_flight.exchange.body_left())
    }

    /// Reads up to `upto` bytes, and waits only for the first `least`; fewer at the end of the body.
    pub(super) async fn read_upto(&mut self, least: usize, upto: usize, timeout: Option<Duration>) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        // A call that was dropped may have left its deadlines.
        self.http1.borrow_mut().end_read();
        if let Some(timeout) = timeout {
            self.http1.borrow_mut().deadlines.set(Timer::Call, self.shared.deadline(timeout));
        }
        let read = poll_fn(|cx| {
            request_body::poll_read(&mut self.http1.borrow_mut(), &self.shared, cx, &mut body, least, upto)
        })
        .await;
        self.http1.borrow_mut().end_read();
        read.map(|()| body)
    }

    /// Ends the response with what the handler returned.
    pub(super) fn finish(self, outcome: Result<Outcome>) {
        respond::finish(&mut self.http1.borrow_mut(), &self.shared, outcome);
    }
}

/// Opens a regular file for reading. Never blocks on a FIFO.
fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let not_regular = || said(io::ErrorKind::InvalidInput, format!("{}: not a regular file", path.display()));
    // Checked before opening, as opening a device can have side effects.
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() || kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket() {
        return Err(not_regular());
    }
    let file = File::options().read(true).custom_flags(sys::O_NONBLOCK | sys::O_NOCTTY).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta.len())) } else { Err(not_regular()) }
}
