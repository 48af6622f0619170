//! The state of one HTTP/1 connection, and what every part of its life does with it: read, flush, log, give up.
//!
//! ```text
//!   requests::step                        ending::step
//!  ┌──────────────┐                      ┌──────────────────────────────┐
//!  │  Phase::Open │ ── no more requests ─► Closing ──► Linger ──► Dead  │
//!  └──────┬───────┘                      │    └─ cut ─► Delivering ──┘  │
//!         │ 101                          └──────────────────────────────┘
//!         └─────────► Upgraded ── dropped ─────► Closing
//!                        └─ ended ─► Ended ────────┘
//! ```
//!
//! What of a request and its response needs no stream is in [`Exchange`](crate::http::Exchange).

use super::access::Access;
use super::deadline_table::{Deadlines, NEVER, Timer};
use super::error::{Error, Result};
use super::eviction::Doing;
use super::limits;
use super::link::Link;
#[cfg(feature = "http2")]
use super::mux::Busyness;
use super::options::Options;
use super::request_memory::InFlight;
use super::shared::Shared;
use super::site_options::CurrentOptions;
use super::waiter::{Waiter, Want};
use crate::buf::{Drained, Input};
use crate::http::{CloseReason, Exchange, Next, Receiving, Scanner, Sending};
use crate::net::{PeerAddr, Transport};
use crate::rt::{Key, deadline, millis};
use log::Level;
use std::cell::Ref;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// What to do next for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A request head was read: start the handler.
    Start,
    /// Something changed; step again.
    Again,
    /// Nothing to do until the next event, wake or deadline.
    Park,
    /// The connection is over.
    Close,
    /// Streams of HTTP/2 were opened or have ended.
    #[cfg(feature = "http2")]
    Streams,
}

/// The life of the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Requests may follow.
    Open,
    /// The stream belongs to an [`Upgraded`](super::upgrade::Upgraded).
    Upgraded,
    /// The other protocol has ended, but a handler may still run, or somebody may own a half of the stream. `lost`: the
    /// peer is gone, and queued output is pointless.
    #[cfg(feature = "websocket")]
    Ended { lost: bool },
    /// No more requests are read. Queued output is still sent, and up to `discard` bytes of input are thrown away; then
    /// the stream is closed.
    Closing { discard: u64 },
    /// What there is was sent. Once the client has received it, the stream is reset, if a response was cut short, or
    /// half-closed.
    Delivering { discard: u64 },
    /// We have half-closed. Input is discarded, so that no reset overtakes the response (RFC 9112 §9.6).
    Linger { left: u64, request_read: bool },
    /// To be closed at once.
    Dead,
    /// The stream carries HTTP/2, and requests are streams of their own.
    #[cfg(feature = "http2")]
    Http2,
    /// It is not a byte stream, but one request of HTTP/2.
    #[cfg(feature = "http2")]
    Stream,
}

impl Phase {
    /// Whether a handler may answer.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Phase::Open) || self.is_stream()
    }

    /// Whether it is one request of HTTP/2.
    pub(super) fn is_stream(self) -> bool {
        #[cfg(feature = "http2")]
        return matches!(self, Phase::Stream);
        #[cfg(not(feature = "http2"))]
        false
    }
}

/// What still has to go to the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlogged {
    Nothing,
    /// An exchange whose head could not be read.
    NoHead,
    /// The exchange in flight.
    Exchange,
}

/// Whether the deadline of a read has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    No,
    /// It has, but what arrived before it is read first.
    LastLook,
    /// It has, and the waiting handler gets the error.
    TimedOut,
}

/// One HTTP/1 connection. While idle it owns no memory outside of itself.
pub(super) struct Http1 {
    pub(super) link: Link,
    /// The current options of its listener.
    pub(super) site: CurrentOptions,
    pub(super) phase: Phase,
    /// If the peer half-closes, probe whether it is still there; [`Timer::End`] says when.
    pub(super) probe: bool,
    /// The input holds bytes that the scanner has not seen.
    pub(super) unscanned: bool,
    /// It is in the queue of connections to drive.
    pub(super) is_queued: bool,
    pub(super) unlogged: Unlogged,
    pub(super) late: Late,
    pub(super) scanner: Scanner,
    pub(super) input: Input,
    /// Present while a request is in flight or output waits.
    pub(super) in_flight: Option<Box<InFlight>>,
    pub(super) deadlines: Deadlines,
    pub(super) waiter: Waiter,
    /// Requests read so far.
    pub(super) served: u32,
    /// When it was accepted, in seconds of the loop's clock.
    #[cfg(feature = "stats")]
    pub(super) opened: u32,
    /// How many were accepted so far, with this one; 0 for a stream. It may wrap.
    #[cfg(feature = "stats")]
    pub(super) number: u32,
}

impl Http1 {
    pub(super) fn new(transport: Transport, peer: PeerAddr, now: u64, site: CurrentOptions) -> Http1 {
        let header_timeout = site.borrow().options.header_timeout;
        let mut http1 = Http1 {
            link: Link::new(transport, peer),
            site,
            phase: Phase::Open,
            probe: false,
            unscanned: false,
            is_queued: false,
            unlogged: Unlogged::Nothing,
            late: Late::No,
            scanner: Scanner::default(),
            input: Input::default(),
            in_flight: None,
            deadlines: Deadlines::default(),
            waiter: Waiter::default(),
            served: 0,
            #[cfg(feature = "stats")]
            opened: u32::try_from(now / 1000).unwrap_or(u32::MAX),
            #[cfg(feature = "stats")]
            number: 0,
        };
        http1.deadlines.set(Timer::Head, deadline(now, header_timeout));
        http1
    }

    /// The current options; they may change between requests.
    pub(super) fn options(&self) -> Ref<'_, Options> {
        Ref::map(self.site.borrow(), |site| &site.options)
    }

    pub(super) fn in_flight(&mut self) -> Result<&mut InFlight> {
        self.in_flight.as_deref_mut().ok_or(Error::Closed)
    }

    /// The memory for a request; taken from the spares if the connection has none.
    pub(super) fn in_flight_or_spare(&mut self, shared: &Shared) -> &mut InFlight {
        self.in_flight.get_or_insert_with(|| shared.take_spare())
    }

    pub(super) fn give_back(&mut self, shared: &Shared) {
        if let Some(in_flight) = self.in_flight.take() {
            shared.give_back(in_flight);
        }
    }

    // --- state ------------------------------------------------------------------------------------

    pub(super) fn sending(&self) -> Sending {
        self.in_flight.as_ref().map_or(Sending::Head, |in_flight| in_flight.exchange.sending())
    }

    pub(super) fn receiving(&self) -> &Receiving {
        self.in_flight.as_ref().map_or(&Receiving::Head, |in_flight| in_flight.exchange.receiving())
    }

    pub(super) fn has_output(&self) -> bool {
        self.in_flight.as_ref().is_some_and(|in_flight| !in_flight.output.is_empty())
            || self.link.transport.is_pending()
    }

    /// Whether there is no input but the empty line that old clients send after a body (RFC 9112 §2.2).
    pub(super) fn has_blank_input(&self) -> bool {
        matches!(self.input.bytes(), b"" | b"\r" | b"\r\n")
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_gone(&self) -> bool {
        #[cfg(feature = "websocket")]
        if self.phase == (Phase::Ended { lost: true }) {
            return true;
        }
        self.phase == Phase::Dead
    }

    /// Whether no request is being read or answered: between requests, or before the first.
    pub(super) fn waits_for_request(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.in_flight.is_none() && self.has_blank_input()
    }

    /// Whether, in addition, the kernel has announced no input.
    pub(super) fn is_silent(&self) -> bool {
        self.waits_for_request() && !self.link.readable
    }

    /// Whether every response that was started is complete and sent, so that the peer may be told that this is the end.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.sending(), Sending::Body(_) | Sending::Cut) && !self.has_output()
    }

    /// Whether nothing that the client sent matters any more: its request was read, and a response would not arrive.
    pub(super) fn has_read_all(&self) -> bool {
        match self.phase {
            Phase::Upgraded => false,
            #[cfg(feature = "websocket")]
            Phase::Ended { .. } => false,
            Phase::Linger { request_read, .. } => request_read,
            _ => !matches!(self.receiving(), Receiving::Head | Receiving::Body(_)),
        }
    }

    /// What the connection is doing, for [`eviction`](super::eviction). `busy`: a handler is running.
    pub(super) fn doing(&mut self, busy: bool, now: u64) -> Doing {
        let began = |deadline: u64, after: Duration| deadline.saturating_sub(millis(after)).min(now);
        match self.phase {
            Phase::Dead => return Doing::Idle { since: 0 },
            Phase::Linger { .. } | Phase::Delivering { .. } => {
                return Doing::Lingering { since: began(self.deadlines.get(Timer::End), limits::LINGER_TIMEOUT) };
            }
            #[cfg(feature = "http2")]
            Phase::Http2 => return self.doing_as_http2(now),
            #[cfg(feature = "http2")]
            Phase::Stream => return Doing::Served,
            #[cfg(feature = "websocket")]
            Phase::Ended { .. } => {}
            Phase::Open | Phase::Closing { .. } | Phase::Upgraded => {}
        }
        let site = Rc::clone(&self.site.borrow());
        if self.served > 0 && self.is_silent() {
            return Doing::Idle { since: began(self.deadlines.get(Timer::End), site.options.keep_alive) };
        }
        let reads_head = !busy && matches!(self.receiving(), Receiving::Head) && !self.has_output();
        if self.link.transport.is_handshaking() || reads_head {
            return Doing::Head { since: began(self.deadlines.get(Timer::Head), site.options.header_timeout) };
        }
        let still_since = if self.has_output() {
            let waits = self.deadlines.get(Timer::Write) != NEVER;
            self.in_flight.as_ref().filter(|_| waits).map_or(now, |in_flight| in_flight.still_since)
        } else if self.waiter.wants(Want::Read) {
            began(self.deadlines.get(Timer::Body), site.options.body_timeout)
        } else {
            return Doing::Served;
        };
        Doing::Moving { pace: self.pace(now), still_since }
    }

    /// The same for a connection of HTTP/2, whose streams have no part in it of their own.
    #[cfg(feature = "http2")]
    fn doing_as_http2(&mut self, now: u64) -> Doing {
        let keep_alive = self.options().keep_alive;
        let has_output = self.has_output();
        let Some(in_flight) = &self.in_flight else { return Doing::Idle { since: 0 } };
        let still_since = match in_flight.role.busyness() {
            Busyness::Idle if !has_output => {
                let end = self.deadlines.get(Timer::End);
                return Doing::Idle { since: end.saturating_sub(millis(keep_alive)).min(now) };
            }
            _ if has_output && self.deadlines.get(Timer::Write) != NEVER => in_flight.still_since,
            Busyness::Blocked { since } => since,
            Busyness::Idle | Busyness::Busy => return Doing::Served,
        };
        Doing::Moving { pace: self.pace(now), still_since }
    }

    /// Bytes a second that the client moves.
    fn pace(&mut self, now: u64) -> u32 {
        let Some(in_flight) = &mut self.in_flight else { return u32::MAX };
        let (output, received) = (&in_flight.output, in_flight.received);
        in_flight.pace.measure(now, || {
            let taken = output.sent().saturating_sub(self.link.transport.queued().into());
            taken.saturating_add(received)
        })
    }

    // --- scheduling -------------------------------------------------------------------------------

    /// Wakes the waiting handler.
    pub(super) fn wake(&mut self) {
        self.waiter.wake();
    }

    /// Queues the connection to be driven in this tick or the next.
    pub(super) fn make_ready(&mut self, shared: &Shared, key: Key) {
        if !std::mem::replace(&mut self.is_queued, true) {
            shared.ready.borrow_mut().push_back(key);
        }
    }

    // --- bytes ------------------------------------------------------------------------------------

    /// Reads from the stream.
    pub(super) fn read(&mut self, shared: &Shared, buffer: &mut [u8]) -> std::result::Result<usize, Step> {
        match self.link.read(buffer) {
            Ok(n) => {
                if let Some(in_flight) = &mut self.in_flight {
                    in_flight.received = in_flight.received.saturating_add(n as u64);
                }
                Ok(n)
            }
            Err(error) => Err(self.read_failed(shared, &error)),
        }
    }

    fn read_failed(&mut self, shared: &Shared, error: &io::Error) -> Step {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Step::Again,
            io::ErrorKind::ResourceBusy => Step::Park,
            kind => {
                if kind == io::ErrorKind::PermissionDenied {
                    // The client's certificate was refused; a socket itself never gives this error.
                    self.note(shared, Level::Info, format_args!("{error}"));
                } else {
                    self.debug(format_args!("{error}"));
                }
                self.phase = Phase::Dead;
                Step::Close
            }
        }
    }

    /// A handler's call to read has ended, whatever its result.
    pub(super) fn end_read(&mut self) {
        self.late = Late::No;
        self.deadlines.set(Timer::Body, NEVER);
        self.deadlines.set(Timer::Call, NEVER);
    }

    /// Reads and discards; 0 at the end of the stream.
    pub(super) fn discard(&mut self, shared: &Shared) -> std::result::Result<u64, Step> {
        let mut scratch = shared.scratch();
        self.read(shared, &mut scratch).map(|n| n as u64)
    }

    /// Sends queued output; true when nothing is left.
    pub(super) fn flush(&mut self, shared: &Shared) -> std::result::Result<bool, Step> {
        if !self.has_output() {
            return Ok(true);
        }
        if !self.link.writable {
            return Ok(false);
        }
        let flushed = match self.link.flush(self.in_flight.as_mut().map(|in_flight| &mut in_flight.output)) {
            Ok(flushed) => flushed,
            Err(error) => return Err(self.flush_failed(shared, &error)),
        };
        if flushed.drained == Drained::Empty {
            self.deadlines.set(Timer::Write, NEVER);
        } else if flushed.moved || self.deadlines.get(Timer::Write) == NEVER {
            self.wait_for_reader(shared);
        }
        let wants_room = self.waiter.wants(Want::Room) && self.is_below_low_water();
        if wants_room || self.waiter.wants(Want::Flushed) && flushed.drained == Drained::Empty {
            self.wake();
        }
        Ok(flushed.drained == Drained::Empty)
    }

    fn flush_failed(&mut self, shared: &Shared, error: &io::Error) -> Step {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            self.debug(format_args!("{error}"));
            self.phase = Phase::Dead;
            return Step::Close;
        }
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.output.clear();
        }
        self.cut(shared, "a file shrank while it was being sent");
        Step::Again
    }

    fn is_below_low_water(&self) -> bool {
        let Some(in_flight) = &self.in_flight else { return true };
        in_flight.output.mem() <= self.high_water() / limits::LOW_WATER_DIVISOR
            && in_flight.output.files() < limits::QUEUED_FILES
    }

    /// Bytes of memory that may be queued before a handler has to wait.
    pub(super) fn high_water(&self) -> usize {
        let all = self.options().high_water;
        if self.phase.is_stream() { all / limits::STREAM_SHARE } else { all }
    }

    /// Starts the write timeout.
    pub(super) fn wait_for_reader(&mut self, shared: &Shared) {
        let timeout = self.options().write_timeout;
        let first = match &mut self.in_flight {
            Some(in_flight) => {
                in_flight.queued = u32::MAX;
                in_flight.still_since = shared.now();
                limits::READER_LOOK.min(timeout / 2)
            }
            None => timeout,
        };
        self.deadlines.set(Timer::Write, shared.deadline(first));
    }

    // --- ending -----------------------------------------------------------------------------------

    /// Cuts the response short, and logs why.
    pub(super) fn cut(&mut self, shared: &Shared, why: &str) {
        self.note(shared, Level::Warn, format_args!("response cut short: {why}"));
        self.break_off();
    }

    /// Sends no more of the response than what is queued, then closes.
    pub(super) fn break_off(&mut self) {
        self.stop_probing();
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.exchange.cut();
        }
        if self.phase.is_stream() {
            return;
        }
        // Closing with unread input would send a reset, which destroys what the client has not received yet.
        self.phase = Phase::Closing { discard: limits::LINGER_MAX };
    }

    /// Records an event after which no request may follow.
    pub(super) fn must_close(&mut self, reason: CloseReason) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.exchange.must_close(reason);
        }
    }

    /// Gives up on the client: it sees a reset, and queued output is thrown away.
    pub(super) fn drop_client(&mut self) {
        self.must_close(CloseReason::Stalled);
        self.link.transport.reset_on_close();
        self.phase = Phase::Dead;
    }

    /// Whether only a reset can tell the client that the response is incomplete.
    pub(super) fn ends_by_reset(&self) -> bool {
        self.link.transport.is_plain_tcp()
            && self.in_flight.as_ref().is_some_and(|in_flight| in_flight.exchange.ends_with_connection())
    }

    /// Stops probing for the peer.
    pub(super) fn stop_probing(&mut self) {
        if std::mem::take(&mut self.probe) {
            self.deadlines.set(Timer::End, NEVER);
        }
    }

    // --- logs -------------------------------------------------------------------------------------

    /// Passes the exchange that ended to the access log.
    pub(super) fn log_access(&mut self, shared: &Shared) {
        let unlogged = std::mem::replace(&mut self.unlogged, Unlogged::Nothing);
        // Held during the call: the log may replace the site.
        let site = Rc::clone(&self.site.borrow());
        #[cfg(feature = "stats")]
        if unlogged != Unlogged::Nothing {
            self.count_request(shared, &site.options);
        }
        let (Some(log), Some(in_flight)) = (&site.options.access_log, &mut self.in_flight) else { return };
        let exchange = &in_flight.exchange;
        let known = match unlogged {
            Unlogged::Nothing => return,
            Unlogged::NoHead => None,
            Unlogged::Exchange => Some(exchange.head()),
        };
        let access = Access {
            date: &shared.http_date(),
            peer: in_flight.client.as_ref().unwrap_or(&self.link.peer),
            method: known.map_or("", |head| head.method()),
            target: known.map_or("", |head| head.target()),
            version: known.map_or("HTTP/1.1", |head| head.version()),
            minor_version: known.map_or(1, |head| head.minor_version()),
            status: status_of(exchange),
            bytes: in_flight.body_bytes(),
            duration: Duration::from_millis(shared.now().saturating_sub(exchange.started())),
            referer: known.and_then(|head| head.header("referer")),
            user_agent: known.and_then(|head| head.header("user-agent")),
            close: match exchange.next(shared.stopping()) {
                Next::Close(reason) => Some(reason.as_str()),
                Next::Reuse | Next::Drain => None,
            },
        };
        // If panics unwind, one in the log ends neither this connection nor the others.
        let panicked = catch_unwind(AssertUnwindSafe(|| log(&access))).is_err();
        in_flight.restart_count();
        if panicked {
            self.note(shared, Level::Error, format_args!("the access log panicked"));
        }
    }

    /// Counts the exchange that ended.
    #[cfg(feature = "stats")]
    fn count_request(&self, shared: &Shared, options: &Options) {
        let Some(in_flight) = &self.in_flight else { return };
        let status = status_of(&in_flight.exchange);
        shared.counters.requests.count(status);
        if let Some(tally) = in_flight.tally.as_ref().or(options.tally.as_ref()) {
            tally.count(status);
        }
    }

    /// Logs a line about this connection, unless there are too many. One function, to save code at each call.
    #[cold]
    pub(super) fn note(&self, shared: &Shared, level: Level, what: fmt::Arguments<'_>) {
        if level <= log::max_level() && shared.takes_log_line(&self.link.peer) {
            log::log!(level, "{}: {what}", self.link.peer);
        }
    }

    /// Logs a line for debugging.
    #[cold]
    pub(super) fn debug(&self, what: fmt::Arguments<'_>) {
        log::debug!("{}: {what}", self.link.peer);
    }
}

/// The status for the logs: 499 if the client left before there was one.
fn status_of(exchange: &Exchange) -> u16 {
    if exchange.sending() == Sending::Head { 499 } else { exchange.response().status() }
}
