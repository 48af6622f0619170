//! One request and its response as a value: no socket, no clock, no I/O.
//!
//! ```text
//!              begin                     read to its end             next is Reuse
//!  Receiving:  Head ──► Body | Done ──────────────► Done ─► (Drain) ──► Head
//!  Sending:    Head ──► Body ────────────────────► Done ──────────────► Head
//!                         └─ can't be completed ─► Cut
//! ```
//!
//! The owner of the connection moves the bytes. The exchange knows what they mean: which body may still be read, what
//! was promised to the client, and what may follow. It does not know how a body looks on the wire: [`Carry`] tells the
//! owner, which for HTTP/1.1 writes chunks.

#[cfg(feature = "http2")]
mod of_stream;

use super::encoder::{Encoder, Frame, Persistence, ReplyTo, frame};
use super::framing::{Decoder, Framing};
use super::head::Head;
use super::keep_alive::{CloseReason, Next, Situation, Unread, next};
use super::limits::{DRAIN_MAX, HeadLimits};
use super::reject::Reject;
use super::response::ResponseHead;
use super::target::TargetForm;
use std::rc::Rc;

/// The read half.
#[derive(Clone, Copy, Debug)]
pub enum Receiving {
    /// The request's head has not arrived.
    Head,
    /// The handler may read the body.
    Body(Decoder),
    /// The rest of the body is being discarded.
    Drain {
        /// Finds the end of the body.
        decoder: Decoder,
        /// Bytes that may still be discarded.
        left: u64,
    },
    /// The request was read to its end.
    Done,
    /// Nothing more can be read: the client half-closed, or the body is malformed.
    Closed,
}

/// The write half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// The response's head was not sent.
    Head,
    /// The head was sent, and the body follows.
    Body(Encoder),
    /// The response is complete.
    Done,
    /// It was started and can't be completed.
    Cut,
}

/// How a piece of a response's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// Unchanged.
    Plain,
    /// As a chunk.
    Chunk,
    /// Not at all: the response has no body.
    Drop,
}

/// Why a piece of body can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The head was not sent yet, or the body has ended.
    NotNow,
    /// It is more than `Content-Length` promised; or the body ends with less.
    LengthMismatch,
    /// The response was cut short before.
    Cut,
}

/// Whether more of a request's body can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyState {
    /// More is to come.
    Open,
    /// It was read to its end.
    Ended,
    /// The rest will never arrive, or is malformed.
    Lost,
}

/// One request and its response. Reusable for the next pair, which saves allocations.
pub struct Exchange {
    head: Rc<Head>,
    response: ResponseHead,
    receiving: Receiving,
    sending: Sending,
    to: ReplyTo,
    /// The client waits for `100 Continue` before it sends the body.
    expecting: bool,
    /// The end of the connection is the end of the response.
    until_close: bool,
    client_keeps: bool,
    server_keeps: bool,
    /// The first event that prevents keep-alive.
    event: Option<CloseReason>,
    /// When the request's head was complete.
    started: u64,
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange {
            head: Rc::default(),
            response: ResponseHead::default(),
            receiving: Receiving::Head,
            sending: Sending::Head,
            to: ReplyTo::default(),
            expecting: false,
            until_close: false,
            client_keeps: false,
            server_keeps: false,
            event: None,
            started: 0,
        }
    }
}

impl Exchange {
    /// Starts with the request head in `bytes`, which hold nothing else, at the time `now`.
    ///
    /// `server_keeps`: whether the server is configured to keep connections.
    ///
    /// # Errors
    /// The request must be refused. If that closes the connection, the exchange has not started.
    pub fn begin(&mut self, bytes: &[u8], limits: &HeadLimits, server_keeps: bool, now: u64) -> Result<(), Reject> {
        let head = Rc::make_mut(&mut self.head);
        let parsed = match head.parse(bytes, limits) {
            // What follows a CONNECT is not HTTP. Parsed as requests, the tunnel's data could smuggle some in.
            Ok(()) if head.form() == TargetForm::Authority => Err(Reject::close(501, "no tunnels here")),
            parsed => parsed,
        };
        self.begin_parsed(parsed, server_keeps, now)
    }

    /// Starts with a head that [`Head::parse_usual`] has parsed. The head before takes its place.
    pub fn begin_usual(&mut self, head: &mut Rc<Head>, server_keeps: bool, now: u64) {
        std::mem::swap(&mut self.head, head);
        // It has no errors.
        let _ = self.begin_parsed(Ok(()), server_keeps, now);
    }

    fn begin_parsed(&mut self, parsed: Result<(), Reject>, server_keeps: bool, now: u64) -> Result<(), Reject> {
        self.restart(now);
        let head = &self.head;
        self.to = ReplyTo { head: head.is_head(), http10: head.minor_version() == 0, stream: false };
        self.client_keeps = head.keep_alive();
        self.server_keeps = server_keeps;
        self.event = None;
        if let Err(reject) = parsed
            && reject.close
        {
            return Err(reject);
        }
        self.expecting = head.expects_continue();
        self.receiving = match head.framing() {
            Framing::None | Framing::Length(0) => Receiving::Done,
            framing => Receiving::Body(Decoder::new(framing)),
        };
        self.sending = Sending::Head;
        parsed
    }

    /// Prepares for an answer to something that is not a request: no method, no version.
    pub fn begin_without_request(&mut self) {
        self.to = ReplyTo::default();
        self.event = None;
    }

    /// Starts over with an empty response.
    pub fn restart(&mut self, now: u64) {
        self.response.clear();
        self.started = now;
        self.until_close = false;
    }

    /// The request's head.
    pub fn head(&self) -> &Rc<Head> {
        &self.head
    }

    /// When the request's head was complete.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Whether the request came by a stream of HTTP/2.
    pub fn is_of_stream(&self) -> bool {
        self.to.stream
    }

    /// Whether the request is HTTP/1.0.
    pub fn is_http10(&self) -> bool {
        self.to.http10
    }

    /// The read half.
    pub fn receiving(&self) -> &Receiving {
        &self.receiving
    }

    /// The write half.
    pub fn sending(&self) -> Sending {
        self.sending
    }

    // --- the request's body -----------------------------------------------------------------------

    /// Whether more of the body can be read.
    pub fn body(&mut self) -> BodyState {
        match &self.receiving {
            Receiving::Closed => BodyState::Lost,
            Receiving::Body(decoder) if !decoder.is_done() => BodyState::Open,
            Receiving::Body(_) => {
                self.receiving = Receiving::Done;
                BodyState::Ended
            }
            Receiving::Head | Receiving::Drain { .. } | Receiving::Done => BodyState::Ended,
        }
    }

    /// The number of bytes of body to come, if known.
    pub fn body_left(&self) -> Option<u64> {
        match &self.receiving {
            Receiving::Body(decoder) => decoder.left(),
            _ => Some(0),
        }
    }

    /// Appends the next run of payload to `into`; returns how many bytes of `input` were consumed.
    ///
    /// Never finds more payload than there is input, so the length of `input` limits it.
    ///
    /// # Errors
    /// The body is malformed. No more of it can be read.
    pub fn read_body(&mut self, input: &[u8], into: &mut Vec<u8>) -> Result<usize, Reject> {
        let Receiving::Body(decoder) = &mut self.receiving else { return Ok(0) };
        match decoder.decode(input) {
            Ok(piece) => {
                into.extend_from_slice(input.get(piece.start..piece.end).unwrap_or_default());
                Ok(piece.used)
            }
            Err(reject) => {
                self.receiving = Receiving::Closed;
                self.must_close(CloseReason::BodyMalformed);
                Err(reject)
            }
        }
    }

    /// Records that the handler wants the body; returns whether `100 Continue` must be sent.
    pub fn invite_body(&mut self) -> bool {
        // Not after the final head, which interim responses must precede.
        std::mem::take(&mut self.expecting) && self.sending == Sending::Head
    }

    /// Records that the client half-closed before the end of the request.
    pub fn client_left(&mut self) {
        self.receiving = Receiving::Closed;
        self.must_close(CloseReason::ClientLeft);
    }

    // --- the response -----------------------------------------------------------------------------

    /// The response's head, while it can still be changed.
    pub fn response_mut(&mut self) -> Option<&mut ResponseHead> {
        (self.sending == Sending::Head).then_some(&mut self.response)
    }

    /// The response's head.
    pub fn response(&self) -> &ResponseHead {
        &self.response
    }

    /// Decides how the response is delimited, and starts its body; `None` if that was done before.
    ///
    /// `length` is the body's, if known. The caller must write the head with the returned values.
    pub fn commit(&mut self, length: Option<u64>, stopping: bool) -> Option<(Frame, Persistence)> {
        if self.sending != Sending::Head {
            return None;
        }
        let frame = frame(&self.response, self.to, length);
        self.until_close = frame.encoder == Encoder::UntilClose && !self.to.stream;
        self.sending = Sending::Body(frame.encoder);
        let next = self.next(stopping);
        if let Next::Close(reason) = next {
            // The head announces it, so it holds whatever happens later.
            self.must_close(reason);
        }
        Some((frame, Persistence { http10: self.to.http10, keep_alive: self.event.is_none() }))
    }

    /// Counts `n` bytes of body against the promised length, and returns how to send them.
    ///
    /// # Errors
    /// See [`SendError`]. After `LengthMismatch` the response must be [cut](Exchange::cut).
    pub fn carry(&mut self, n: u64) -> Result<Carry, SendError> {
        match &mut self.sending {
            _ if n == 0 => Ok(Carry::Drop),
            Sending::Body(Encoder::Length { left }) => {
                *left = left.checked_sub(n).ok_or(SendError::LengthMismatch)?;
                Ok(Carry::Plain)
            }
            Sending::Body(Encoder::Chunked) => Ok(Carry::Chunk),
            Sending::Body(Encoder::UntilClose) => Ok(Carry::Plain),
            Sending::Body(Encoder::Nothing) => Ok(Carry::Drop),
            Sending::Head | Sending::Done => Err(SendError::NotNow),
            Sending::Cut => Err(SendError::Cut),
        }
    }

    /// Ends the body; returns whether the last chunk must be written.
    ///
    /// # Errors
    /// `LengthMismatch` if less was sent than promised: the response must be [cut](Exchange::cut).
    pub fn end(&mut self) -> Result<bool, SendError> {
        let chunked = match self.sending {
            Sending::Body(Encoder::Length { left }) if left > 0 => return Err(SendError::LengthMismatch),
            Sending::Cut => return Err(SendError::Cut),
            Sending::Body(encoder) => encoder == Encoder::Chunked,
            Sending::Head | Sending::Done => false,
        };
        self.sending = Sending::Done;
        Ok(chunked)
    }

    /// Records that the response can't be completed.
    pub fn cut(&mut self) {
        self.sending = Sending::Cut;
        self.must_close(CloseReason::Cut);
    }

    /// Makes room for another response, whatever the state of this one.
    pub fn replace_response(&mut self) {
        self.sending = Sending::Head;
    }

    /// Whether the response ends with the connection.
    pub fn ends_with_connection(&self) -> bool {
        self.until_close
    }

    /// Ends the exchange because the connection switches to another protocol.
    pub fn hand_over(&mut self) {
        self.receiving = Receiving::Closed;
        self.sending = Sending::Done;
    }

    // --- what follows -----------------------------------------------------------------------------

    /// Records an event after which no request may follow. The first one counts.
    pub fn must_close(&mut self, reason: CloseReason) {
        self.event.get_or_insert(reason);
    }

    /// Decides what follows this exchange, from what is known so far.
    pub fn next(&self, stopping: bool) -> Next {
        if self.to.stream {
            // The connection outlives its streams, and decides by itself.
            return Next::Reuse;
        }
        next(&Situation {
            event: self.event,
            stopping,
            client_keeps: self.client_keeps,
            server_keeps: self.server_keeps,
            response_closes: self.response.closes(),
            until_close: self.until_close,
            unread: self.unread(),
        })
    }

    fn unread(&self) -> Unread {
        match &self.receiving {
            Receiving::Body(_) if self.expecting => Unread::NotInvited,
            Receiving::Body(decoder) => match decoder.left() {
                Some(0) => Unread::Nothing,
                Some(left) => Unread::Bytes(left),
                None => Unread::Unknown,
            },
            Receiving::Closed => Unread::Lost,
            Receiving::Head | Receiving::Drain { .. } | Receiving::Done => Unread::Nothing,
        }
    }

    /// Prepares for the next request, which follows at once or after the rest of this one's body.
    pub fn recycle(&mut self) {
        self.sending = Sending::Head;
        self.receiving = match self.receiving {
            Receiving::Body(decoder) if !decoder.is_done() => Receiving::Drain { decoder, left: DRAIN_MAX },
            _ => Receiving::Head,
        };
    }

    /// Discards the rest of the body. Returns how many bytes of `input` were consumed, and what follows once that is
    /// known.
    pub fn drain(&mut self, input: &[u8]) -> (usize, Option<Next>) {
        let Receiving::Drain { decoder, left } = &mut self.receiving else { return (0, Some(Next::Reuse)) };
        let Ok(piece) = decoder.decode(input) else { return (0, Some(Next::Close(CloseReason::BodyMalformed))) };
        *left = left.saturating_sub(piece.used as u64);
        let next = if decoder.is_done() {
            self.receiving = Receiving::Head;
            Some(Next::Reuse)
        } else {
            (*left == 0).then_some(Next::Close(CloseReason::BodyUnread))
        };
        (piece.used, next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::encoder::write_head;
    use super::*;

    fn begin(request: &str) -> Exchange {
        let mut exchange = Exchange::default();
        exchange.begin(request.as_bytes(), &HeadLimits::default(), true, 0).unwrap();
        exchange
    }

    fn get(version: &str, fields: &str) -> Exchange {
        begin(&format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n"))
    }

    fn post(fields: &str) -> Exchange {
        begin(&format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
    }

    /// Answers with `body` in pieces of 2 bytes; the response as HTTP/1 has it, without `Date`.
    fn answer(exchange: &mut Exchange, body: &[u8], stopping: bool) -> String {
        let mut out = Vec::new();
        let (frame, persistence) = exchange.commit(None, stopping).unwrap();
        write_head(&mut out, exchange.response(), &frame, persistence, b"");
        assert!(exchange.commit(None, stopping).is_none() && exchange.response_mut().is_none());
        for piece in body.chunks(2) {
            match exchange.carry(piece.len() as u64).unwrap() {
                Carry::Plain => out.extend_from_slice(piece),
                Carry::Chunk => out.extend_from_slice(&[b"<", piece, b">"].concat()),
                Carry::Drop => {}
            }
        }
        if exchange.end().unwrap() {
            out.extend_from_slice(b"<>");
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn responses_and_what_follows() {
        let closes = |reason| Next::Close(reason);
        let long = format!("Content-Length: {}\r\n", DRAIN_MAX + 1);
        #[rustfmt::skip]
        let rows = [
            (get("1.1", ""), "Transfer-Encoding: chunked\r\n\r\n<ab><c><>", Next::Reuse, "chunks"),
            (get("1.0", ""), "Connection: close\r\n\r\nabc", closes(CloseReason::Client), "HTTP/1.0"),
            (get("1.0", "Connection: keep-alive\r\n"), "Connection: close\r\n\r\nabc", closes(CloseReason::NoLength), "no length in HTTP/1.0"),
            (get("1.1", "Connection: close\r\n"), "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n<ab><c><>", closes(CloseReason::Client), "the client closes"),
            (begin("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"), "\r\n", Next::Reuse, "HEAD"),
            (post("Content-Length: 9\r\n"), "Transfer-Encoding: chunked\r\n\r\n<ab><c><>", Next::Drain, "a short body unread"),
            (post("Transfer-Encoding: chunked\r\n"), "Transfer-Encoding: chunked\r\n\r\n<ab><c><>", Next::Drain, "chunks unread"),
            (post(&long), "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n<ab><c><>", closes(CloseReason::BodyUnread), "a long body unread"),
            (post("Content-Length: 9\r\nExpect: 100-continue\r\n"), "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n<ab><c><>", closes(CloseReason::BodyNotInvited), "not invited"),
        ];
        for (mut exchange, response, next, name) in rows {
            assert_eq!(answer(&mut exchange, b"abc", false), format!("HTTP/1.1 200 OK\r\n{response}"), "{name}");
            assert_eq!(exchange.next(false), next, "{name}");
            assert_eq!(exchange.sending(), Sending::Done, "{name}");
        }
    }

    #[test]
    fn a_close_that_was_announced_holds() {
        let mut exchange = post(&format!("Content-Length: {}\r\n", DRAIN_MAX + 1));
        assert!(!exchange.commit(None, false).unwrap().1.keep_alive);
        let body = vec![0; usize::try_from(DRAIN_MAX).unwrap() + 1];
        assert_eq!(exchange.read_body(&body, &mut Vec::new()), Ok(body.len()));
        assert_eq!(exchange.body(), BodyState::Ended);
        assert_eq!(exchange.next(false), Next::Close(CloseReason::BodyUnread));
    }

    #[test]
    fn a_body_is_read_and_no_byte_more() {
        let mut exchange = post("Content-Length: 3\r\nExpect: 100-continue\r\n");
        assert_eq!((exchange.body(), exchange.body_left()), (BodyState::Open, Some(3)));
        assert!(exchange.invite_body() && !exchange.invite_body(), "once");
        let mut body = Vec::new();
        assert_eq!(exchange.read_body(b"abcGET", &mut body), Ok(3));
        assert_eq!((exchange.body(), exchange.body_left()), (BodyState::Ended, Some(0)));
        assert_eq!((body.as_slice(), exchange.next(false)), (b"abc".as_slice(), Next::Reuse));
        assert_eq!(exchange.next(true), Next::Close(CloseReason::Stopping));
    }

    #[test]
    fn a_body_after_the_head_is_not_invited() {
        let mut exchange = post("Content-Length: 3\r\nExpect: 100-continue\r\n");
        exchange.commit(None, false).unwrap();
        assert!(!exchange.invite_body());
    }

    #[test]
    fn what_ends_the_connection_is_told_by_the_first_reason() {
        type Happening = fn(&mut Exchange);
        let events: [(Happening, CloseReason); 5] = [
            (|exchange| exchange.must_close(CloseReason::Handler), CloseReason::Handler),
            (|exchange| exchange.cut(), CloseReason::Cut),
            (|exchange| exchange.client_left(), CloseReason::ClientLeft),
            (|exchange| _ = exchange.read_body(b"x", &mut Vec::new()), CloseReason::BodyMalformed),
            (|exchange| _ = exchange.response_mut().unwrap().set("Connection", "close"), CloseReason::Handler),
        ];
        for (event, reason) in events {
            let mut exchange = post("Transfer-Encoding: chunked\r\n");
            event(&mut exchange);
            assert_eq!(exchange.next(false), Next::Close(reason));
            exchange.must_close(CloseReason::HandlerFailed);
            let kept = if exchange.response().closes() { CloseReason::HandlerFailed } else { reason };
            assert_eq!(exchange.next(true), Next::Close(kept));
        }
    }

    #[test]
    fn a_promised_length_is_kept_to() {
        let promise = || {
            let mut exchange = get("1.1", "");
            exchange.response_mut().unwrap().set("Content-Length", 3).unwrap();
            assert_eq!(exchange.carry(1), Err(SendError::NotNow));
            exchange.commit(None, false).unwrap();
            assert_eq!(exchange.carry(2), Ok(Carry::Plain));
            exchange
        };
        let mut exchange = promise();
        assert_eq!(exchange.end(), Err(SendError::LengthMismatch));
        exchange.cut();
        assert_eq!((exchange.carry(1), exchange.end()), (Err(SendError::Cut), Err(SendError::Cut)));
        assert_eq!(promise().carry(2), Err(SendError::LengthMismatch));
        let mut exchange = promise();
        assert_eq!((exchange.carry(1), exchange.end()), (Ok(Carry::Plain), Ok(false)));
        assert_eq!((exchange.carry(0), exchange.carry(1)), (Ok(Carry::Drop), Err(SendError::NotNow)));
    }

    #[test]
    fn an_unread_body_is_drained() {
        let mut exchange = post("Content-Length: 5\r\n");
        answer(&mut exchange, b"", false);
        exchange.recycle();
        assert_eq!(exchange.drain(b"abc"), (3, None));
        assert_eq!(exchange.drain(b"deGET"), (2, Some(Next::Reuse)));
        assert!(matches!(exchange.receiving(), Receiving::Head));

        let mut exchange = post("Transfer-Encoding: chunked\r\n");
        exchange.recycle();
        assert_eq!(exchange.drain(b"x"), (0, Some(Next::Close(CloseReason::BodyMalformed))));

        let mut exchange = post("Transfer-Encoding: chunked\r\n");
        exchange.recycle();
        let size = usize::try_from(DRAIN_MAX).unwrap();
        let chunk = [format!("{size:x}\r\n").as_bytes(), &vec![0; size]].concat();
        let (mut at, mut next) = (0, None);
        while next.is_none() {
            let used;
            (used, next) = exchange.drain(&chunk[at..]);
            at += used;
        }
        assert_eq!(next, Some(Next::Close(CloseReason::BodyUnread)));
    }

    #[test]
    fn refused_heads() {
        let limits = HeadLimits::default();
        let mut exchange = Exchange::default();
        #[rustfmt::skip]
        let rows = [
            ("GET / HTTP/1.1\r\n\r\n", 400, true),
            ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 501, true),
            ("GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417, false),
        ];
        for (head, status, close) in rows {
            let reject = exchange.begin(head.as_bytes(), &limits, true, 7).unwrap_err();
            assert_eq!((reject.status, reject.close, exchange.started()), (status, close, 7));
            assert_eq!(matches!(exchange.receiving(), Receiving::Head), close, "{status}");
        }
    }
}
