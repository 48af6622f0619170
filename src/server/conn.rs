//! The state of one connection, and its steps: reading heads, delimiting exchanges, sending, ending.
//!
//! ```text
//!            a whole head                handler done             body read, reuse
//!  Recv::Head ───────────► Recv::Body|Done ─────────► Recv::Drain ───────────────► Recv::Head
//!  Send::Idle ───────────► Send::Body ──────────────► Send::Done ────────────────► Send::Idle
//!                                                          │ else
//!                                                          ▼
//!                             Link::Open ──► Link::Closing ──► Link::Linger ──► gone
//!
//!            can't be completed                reset needed to tell
//!  Send::Body ───────────► Send::Cut, Link::Closing ──────────► Link::Delivering ──► gone
//! ```

use super::core::Core;
use super::deadlines::{Deadlines, NEVER, Timer};
use super::limits;
use super::pace::Pace;
use super::room::Doing;
use super::site::Place;
use crate::buf::{Drained, Input, Output, Sink};
use crate::http::{self, Asked, Decoder, Encoder, Framing, Head, Reject, ResponseHead, Scanner, TargetForm};
use crate::net::{PeerAddr, Transport};
use crate::rt::{deadline, millis};
use log::Level;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// What the slot that holds a connection is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A request's head is in `work`: start its handler.
    Start,
    /// Something changed; step again.
    Again,
    /// Nothing to do before the next event, wake or deadline.
    Park,
    /// The connection is over.
    Close,
}

/// The life of the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Exchanges may follow.
    Open,
    /// The stream belongs to an [`Upgraded`](super::upgrade::Upgraded).
    Upgraded,
    /// Nothing more is read as a request. What waits is still sent, then the stream is closed; before that, up to
    /// `discard` bytes that the client still sends are thrown away.
    Closing { discard: u64 },
    /// All there is of a cut reply was sent; once the client has it, the stream is reset.
    Delivering,
    /// Our direction is shut; what arrives is discarded, so that no reset overtakes the answer (RFC 9112 §9.6).
    Linger { left: u64 },
    /// To be closed at once.
    Dead,
}

/// The read half.
pub(super) enum Recv {
    Head,
    Body(Decoder),
    /// The body that nobody read is being discarded.
    Drain {
        decoder: Decoder,
        left: u64,
    },
    Done,
    /// The client ended its direction, or broke its body's framing.
    Closed,
}

/// The write half.
pub(super) enum Send {
    /// The head is not out.
    Idle,
    Body(Encoder),
    Done,
    /// What was begun can't be completed.
    Cut,
}

/// What looking for a head came to; `used` bytes of the input are dealt with.
enum Scanned {
    More,
    Head {
        used: usize,
    },
    Refused {
        reject: Reject,
        used: usize,
    },
    /// The client speaks TLS where nobody does.
    Tls,
}

/// The first byte of every TLS connection: the type of its first record (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

impl Scanned {
    fn used(&self) -> usize {
        match self {
            Scanned::More | Scanned::Tls => 0,
            Scanned::Head { used } | Scanned::Refused { used, .. } => *used,
        }
    }
}

/// What the access log is still to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Logging {
    Nothing,
    /// Of an exchange whose head could not be read.
    NoHead,
    /// Of the exchange in `work`.
    Head,
}

/// Whether the deadline of a read has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    No,
    /// It has, and what had come by then is being read first.
    LastLook,
    /// It has, and the handler that waits is to be told.
    TimedOut,
}

/// What a waiting handler waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Bytes from the client.
    Read = 1,
    /// Room below the low-water mark, and for a file.
    Room = 2,
    /// All output gone to the kernel.
    Flushed = 4,
}

/// All that it waits for: one that relays waits for both directions at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants(u8);

impl Wants {
    pub(super) fn add(&mut self, want: Want) {
        self.0 |= want as u8;
    }

    fn has(self, want: Want) -> bool {
        self.0 & want as u8 != 0
    }
}

/// One connection. Idle, it owns no memory outside of itself.
pub(super) struct Conn {
    pub(super) transport: Transport,
    pub(super) peer: PeerAddr,
    /// Our address, once somebody asked for it; few do, so it is not in every connection.
    local: Option<Box<PeerAddr>>,
    /// What serves its requests, as of now.
    pub(super) place: Place,
    /// Sticky hints: cleared only by `WouldBlock` or a short read or write.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has shut its direction: the next reads lead to the end, however short they are.
    pub(super) peer_closed: bool,
    /// Should the peer shut its direction, it is to be asked whether it is there; [`Timer::End`] tells when.
    pub(super) probe: bool,
    pub(super) link: Link,
    pub(super) recv: Recv,
    pub(super) send: Send,
    pub(super) asked: Asked,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expecting: bool,
    /// The input holds bytes that the scanner has not seen.
    pub(super) unscanned: bool,
    logging: Logging,
    pub(super) late: Late,
    scanner: Scanner,
    /// Bytes that may pass in this turn without the handler having to wait.
    pub(super) credit: usize,
    pub(super) input: Input,
    /// Present while a request is in flight or output waits.
    pub(super) work: Option<Box<Work>>,
    pub(super) deadlines: Deadlines,
    pub(super) wants: Wants,
    pub(super) waiter: Option<Waker>,
    /// Requests read so far.
    pub(super) served: u32,
}

/// The memory of a request in flight: kept in a small pool, so that none is allocated for each request.
#[derive(Default)]
pub(super) struct Work {
    pub(super) head: Rc<Head>,
    pub(super) response: ResponseHead,
    pub(super) output: Output,
    /// Whom the request is of, if not of the peer.
    pub(super) client: Option<PeerAddr>,
    /// When the request's head was complete.
    started: u64,
    /// Bytes that came in since.
    received: u64,
    pace: Pace,
    /// The stream's end is the body's.
    pub(super) until_close: bool,
    /// Bytes of output that were not body: heads.
    pub(super) head_bytes: u64,
    /// The fewest bytes that the kernel was seen to hold for the client since it last took any of us; at first as many as
    /// ever.
    queued: u32,
    /// Since when the client was not seen to take anything; meaningful while [`Timer::Write`] runs.
    still_since: u64,
}

impl Work {
    /// A request's head is complete.
    fn begin(&mut self, now: u64) {
        self.response.clear();
        self.client = None;
        self.started = now;
        self.received = 0;
        self.until_close = false;
        self.pace = Pace::new(now, self.output.sent());
    }

    /// Makes it as new, keeping what memory is worth keeping.
    pub(super) fn clear(&mut self) {
        self.response.clear();
        self.output.clear();
        self.output.restart_count();
        self.head_bytes = 0;
    }
}

impl Conn {
    pub(super) fn new(transport: Transport, peer: PeerAddr, now: u64, place: Place) -> Conn {
        let header_timeout = place.borrow().options.header_timeout;
        let mut conn = Conn {
            transport,
            peer,
            local: None,
            place,
            readable: false,
            // A fresh socket's buffer is empty; should that be wrong, the first write says so.
            writable: true,
            peer_closed: false,
            probe: false,
            link: Link::Open,
            recv: Recv::Head,
            send: Send::Idle,
            asked: Asked { head: false, http10: false, keep_alive: false },
            expecting: false,
            unscanned: false,
            logging: Logging::Nothing,
            late: Late::No,
            scanner: Scanner::default(),
            credit: limits::TURN,
            input: Input::default(),
            work: None,
            deadlines: Deadlines::default(),
            wants: Wants::default(),
            waiter: None,
            served: 0,
        };
        conn.deadlines.set(Timer::Head, deadline(now, header_timeout));
        conn
    }

    /// Our address; the system is asked once a connection.
    pub(super) fn local_addr(&mut self) -> io::Result<PeerAddr> {
        if let Some(local) = &self.local {
            return Ok(**local);
        }
        let local = self.transport.local_addr()?;
        self.local = Some(Box::new(local));
        Ok(local)
    }

    /// One step. `busy`: a handler is running.
    pub(super) fn step(&mut self, core: &Core, busy: bool) -> Step {
        self.check_deadlines(core);
        match self.link {
            Link::Open => self.step_open(core, busy),
            Link::Upgraded => self.step_upgraded(core),
            Link::Closing { discard } => self.step_closing(core, discard),
            Link::Delivering => self.step_delivering(core),
            Link::Linger { left } => self.step_linger(core, left),
            Link::Dead => Step::Close,
        }
    }

    fn step_open(&mut self, core: &Core, busy: bool) -> Step {
        if !busy
            && matches!(self.send, Send::Done)
            && !(self.place.borrow().options.access_log.is_some() && self.has_output())
        {
            return self.after_exchange(core);
        }
        let between = !busy && matches!(self.recv, Recv::Head);
        if between && self.unscanned && self.may_pipeline() {
            return self.scan(core);
        }
        if self.probe && self.peer_closed && self.deadlines.get(Timer::End) == NEVER {
            let after = if core.is_filling_up() { Duration::ZERO } else { limits::PROBE_AFTER };
            self.deadlines.set(Timer::End, core.runtime.deadline(after));
        }
        let flushed = match self.flush(core) {
            Ok(flushed) => flushed,
            Err(step) => return step,
        };
        // Even while the answer is stuck: a client may send its whole body before it reads.
        if matches!(self.recv, Recv::Drain { .. }) {
            if flushed && self.deadlines.get(Timer::End) == NEVER {
                self.deadlines.set(Timer::End, core.runtime.deadline(limits::DRAIN_TIMEOUT));
            }
            if self.readable || !self.input.is_empty() {
                return self.drain(core);
            }
        }
        // A handler may read on while its answer is stuck.
        if busy && self.readable && self.wants.has(Want::Read) {
            self.wake();
        }
        if !flushed {
            return if self.writable { Step::Again } else { Step::Park };
        }
        if !busy && matches!(self.send, Send::Done) {
            return Step::Again;
        }
        if busy {
            return Step::Park;
        }
        match self.recv {
            Recv::Head if self.unscanned => Step::Again,
            Recv::Head if self.readable => self.read_head(core),
            Recv::Head => self.rest(core),
            _ => Step::Park,
        }
    }

    /// Has a peer that is gone answer with a reset: to one that is there, an interim response says nothing.
    fn ask_peer(&mut self) {
        self.stop_probing();
        if let Some(work) = &mut self.work
            && matches!(self.send, Send::Idle)
            && !self.asked.http10
        {
            work.output.push(http::CONTINUE);
            work.head_bytes += http::CONTINUE.len() as u64;
        }
    }

    /// The peer is not to be asked, or not any more.
    pub(super) fn stop_probing(&mut self) {
        if std::mem::take(&mut self.probe) {
            self.deadlines.set(Timer::End, NEVER);
        }
    }

    // --- reading heads -------------------------------------------------------------------------

    /// A pipelined request may be answered before the previous answer left, as long as little waits.
    fn may_pipeline(&self) -> bool {
        self.work.as_ref().is_none_or(|work| {
            work.output.is_empty()
                || self.writable && work.output.mem() < limits::PIPELINE_BATCH && work.output.files() == 0
        })
    }

    fn read_head(&mut self, core: &Core) -> Step {
        let mut scratch = core.scratch();
        let n = match self.read(core, &mut scratch) {
            Ok(0) => return self.at_end_of_input(),
            Ok(n) => n,
            Err(step) => return step,
        };
        self.head_has_begun(core);
        if !self.input.is_empty() {
            self.input.push(&scratch[..n]);
            drop(scratch);
            return self.scan(core);
        }
        // The usual case: a whole head in one read is parsed where it lies.
        let scanned = self.scan_bytes(core, &scratch[..n]);
        self.input.push(scratch.get(scanned.used()..n).unwrap_or_default());
        drop(scratch);
        self.scanned(core, scanned)
    }

    /// Looks for a head in the input.
    fn scan(&mut self, core: &Core) -> Step {
        self.head_has_begun(core);
        let input = std::mem::take(&mut self.input);
        let scanned = self.scan_bytes(core, input.bytes());
        self.input = input;
        self.input.consume(scanned.used());
        self.scanned(core, scanned)
    }

    fn scanned(&mut self, core: &Core, scanned: Scanned) -> Step {
        self.unscanned = scanned.used() > 0 && !self.input.is_empty();
        match scanned {
            Scanned::More => Step::Again,
            Scanned::Head { .. } => Step::Start,
            Scanned::Refused { reject, .. } => self.reject(core, reject),
            Scanned::Tls => {
                // Whoever speaks TLS could not read an answer.
                self.note(core, Level::Info, format_args!("a TLS handshake on a plain connection"));
                self.link = Link::Closing { discard: limits::LINGER_MAX };
                Step::Again
            }
        }
    }

    /// The time for the head counts from its first byte.
    fn head_has_begun(&mut self, core: &Core) {
        if self.deadlines.get(Timer::Head) == NEVER {
            self.deadlines.set(Timer::Head, core.runtime.deadline(self.place.borrow().options.header_timeout));
            self.deadlines.set(Timer::End, NEVER);
        }
    }

    /// Finds a head and parses it into `work`.
    fn scan_bytes(&mut self, core: &Core, bytes: &[u8]) -> Scanned {
        let length = match self.scanner.find(bytes, &self.place.borrow().options.head) {
            Ok(Some(length)) => length,
            Ok(None) => return Scanned::More,
            Err(_) if bytes.first() == Some(&TLS_HANDSHAKE) => return Scanned::Tls,
            Err(reject) => {
                self.asked = Asked { head: false, http10: false, keep_alive: false };
                return Scanned::Refused { reject, used: 0 };
            }
        };
        let work = self.work.get_or_insert_with(|| core.take_work());
        work.begin(core.runtime.now());
        let head = Rc::make_mut(&mut work.head);
        let parsed = head.parse(bytes.get(..length).unwrap_or_default(), &self.place.borrow().options.head);
        // What follows a CONNECT is not HTTP; taken for requests, it would be the tunnel's client speaking for us.
        let parsed = match parsed {
            Ok(()) if head.form() == TargetForm::Authority => Err(Reject::close(501, "no tunnels here")),
            parsed => parsed,
        };
        let keep_alive = head.keep_alive() && !self.place.borrow().options.keep_alive.is_zero() && !core.stopping();
        self.asked = Asked { head: head.is_head(), http10: head.minor_version() == 0, keep_alive };
        if let Err(reject) = parsed
            && reject.close
        {
            return Scanned::Refused { reject, used: 0 };
        }
        self.expecting = head.expects_continue();
        self.recv = match head.framing() {
            Framing::None | Framing::Length(0) => Recv::Done,
            framing => Recv::Body(Decoder::new(framing)),
        };
        self.send = Send::Idle;
        self.logging = Logging::Head;
        self.scanner = Scanner::default();
        self.served = self.served.saturating_add(1);
        self.deadlines.set(Timer::Head, NEVER);
        match parsed {
            Ok(()) => Scanned::Head { used: length },
            Err(reject) => Scanned::Refused { reject, used: length },
        }
    }

    /// The client ended its direction between requests, or in the middle of a head: nobody waits for an answer.
    fn at_end_of_input(&mut self) -> Step {
        self.recv = Recv::Closed;
        self.link = Link::Closing { discard: 0 };
        Step::Again
    }

    /// Answers a request that no handler sees.
    fn reject(&mut self, core: &Core, reject: Reject) -> Step {
        self.note(core, Level::Info, format_args!("{} {}", reject.status, reject.reason));
        self.deadlines.set(Timer::Head, NEVER);
        if reject.close {
            self.asked.keep_alive = false;
            self.logging = Logging::NoHead;
        }
        let text = format!("{} {}: {}\n", reject.status, http::status_reason(reject.status), reject.reason);
        let work = self.work.get_or_insert_with(|| core.take_work());
        work.begin(core.runtime.now());
        if let Err(error) = self.answer_text(core, reject.status, &text) {
            self.debug(format_args!("cannot answer: {error}"));
            self.link = Link::Dead;
            return Step::Close;
        }
        if reject.close {
            self.link = Link::Closing { discard: limits::LINGER_MAX };
        }
        Step::Again
    }

    // --- between exchanges ------------------------------------------------------------------------

    /// Decides what follows an exchange: the one place where keep-alive is decided.
    fn after_exchange(&mut self, core: &Core) -> Step {
        self.log(core);
        self.stop_probing();
        if core.stopping() || self.would_close_after() {
            self.asked.keep_alive = false;
        }
        if !self.asked.keep_alive {
            // To close with something unread would send a reset, which may overtake the answer.
            let linger = !matches!(self.recv, Recv::Done | Recv::Closed) || !self.input.is_empty() || self.readable;
            self.link = Link::Closing { discard: if linger { limits::LINGER_MAX } else { 0 } };
            return Step::Again;
        }
        match std::mem::replace(&mut self.recv, Recv::Head) {
            Recv::Body(decoder) => self.recv = Recv::Drain { decoder, left: limits::DRAIN_MAX },
            Recv::Head | Recv::Drain { .. } | Recv::Done | Recv::Closed => {}
        }
        self.unbound_read();
        self.wants = Wants::default();
        self.waiter = None;
        self.send = Send::Idle;
        Step::Again
    }

    /// All was answered and sent: gives the memory back, and has the time between requests begin.
    fn rest(&mut self, core: &Core) -> Step {
        if let Some(work) = self.work.take() {
            core.give_back(work);
        }
        if core.stopping() && self.is_silent() {
            self.link = Link::Dead;
            return Step::Close;
        }
        if self.deadlines.get(Timer::Head) == NEVER && self.deadlines.get(Timer::End) == NEVER {
            self.deadlines.set(Timer::End, core.runtime.deadline(self.place.borrow().options.keep_alive));
        }
        Step::Park
    }

    /// Discards body that nobody read.
    fn drain(&mut self, core: &Core) -> Step {
        let Recv::Drain { decoder, left } = &mut self.recv else {
            return Step::Again;
        };
        if self.input.is_empty() {
            let mut scratch = core.scratch();
            match self.read(core, &mut scratch) {
                Ok(0) => self.link = Link::Closing { discard: 0 },
                Ok(n) => self.input.push(&scratch[..n]),
                Err(step) => return step,
            }
            return Step::Again;
        }
        match decoder.decode(self.input.bytes()) {
            Ok(piece) => {
                self.input.consume(piece.used);
                *left = left.saturating_sub(piece.used as u64);
                if decoder.is_done() {
                    self.deadlines.set(Timer::End, NEVER);
                    self.unscanned = !self.input.is_empty();
                    self.recv = Recv::Head;
                } else if *left == 0 {
                    self.link = Link::Closing { discard: limits::LINGER_MAX };
                }
            }
            Err(_) => self.link = Link::Closing { discard: limits::LINGER_MAX },
        }
        Step::Again
    }

    /// Whether no request is being read or answered: between requests, or before the first.
    pub(super) fn waits_for_request(&self) -> bool {
        matches!(self.link, Link::Open)
            && matches!(self.recv, Recv::Head)
            && self.work.is_none()
            && self.has_blank_input()
    }

    /// Whether all that was begun was sent, so that the peer may be told that this is the end.
    pub(super) fn is_whole(&self) -> bool {
        !matches!(self.send, Send::Body(_) | Send::Cut) && !self.has_output()
    }

    /// Whether nothing that the client sent is of use any more: its request is read, and an answer would not arrive.
    pub(super) fn has_read_all(&self) -> bool {
        !matches!(self.link, Link::Upgraded) && !matches!(self.recv, Recv::Head | Recv::Body(_))
    }

    /// Whether nothing came, or only the empty line that old clients send after a body (RFC 9112 §2.2).
    fn has_blank_input(&self) -> bool {
        matches!(self.input.bytes(), b"" | b"\r" | b"\r\n")
    }

    /// Whether nothing of a next request has come either, as far as the kernel told.
    pub(super) fn is_silent(&self) -> bool {
        self.waits_for_request() && !self.readable
    }

    /// What it does, as far as it matters for who makes room. `busy`: a handler is running.
    pub(super) fn doing(&mut self, busy: bool, now: u64) -> Doing {
        let began = |deadline: u64, after: Duration| deadline.saturating_sub(millis(after)).min(now);
        match self.link {
            Link::Dead => return Doing::Idle { since: 0 },
            Link::Linger { .. } | Link::Delivering => {
                return Doing::Lingering { since: began(self.deadlines.get(Timer::End), limits::LINGER_TIMEOUT) };
            }
            Link::Open | Link::Closing { .. } | Link::Upgraded => {}
        }
        let place = Rc::clone(&self.place.borrow());
        if self.served > 0 && self.is_silent() {
            return Doing::Idle { since: began(self.deadlines.get(Timer::End), place.options.keep_alive) };
        }
        if self.transport.is_handshaking() || !busy && matches!(self.recv, Recv::Head) && !self.has_output() {
            return Doing::Head { since: began(self.deadlines.get(Timer::Head), place.options.header_timeout) };
        }
        let still_since = if self.has_output() {
            let waits = self.deadlines.get(Timer::Write) != NEVER;
            self.work.as_ref().filter(|_| waits).map_or(now, |work| work.still_since)
        } else if self.wants.has(Want::Read) {
            began(self.deadlines.get(Timer::Body), place.options.body_timeout)
        } else {
            return Doing::Served;
        };
        Doing::Moving { pace: self.pace(now), still_since }
    }

    /// The bytes a second that its client moves.
    fn pace(&mut self, now: u64) -> u32 {
        let Some(work) = &mut self.work else { return u32::MAX };
        let (output, received) = (&work.output, work.received);
        work.pace.measure(now, || {
            let taken = output.sent().saturating_sub(self.transport.queued().into());
            taken.saturating_add(received)
        })
    }

    /// Tells the access log of the exchange that ended.
    pub(super) fn log(&mut self, core: &Core) {
        let logging = std::mem::replace(&mut self.logging, Logging::Nothing);
        // Held, for it is called: what it does may put another in its place.
        let site = Rc::clone(&self.place.borrow());
        let (Some(log), Some(work)) = (&site.options.access_log, &mut self.work) else { return };
        let known = match logging {
            Logging::Nothing => return,
            Logging::NoHead => None,
            Logging::Head => Some(&work.head),
        };
        let status = if matches!(self.send, Send::Idle) { 499 } else { work.response.status() };
        let access = super::access::Access {
            date: &core.http_date(),
            peer: work.client.as_ref().unwrap_or(&self.peer),
            method: known.map_or("", |head| head.method()),
            target: known.map_or("", |head| head.target()),
            minor_version: known.map_or(1, |head| head.minor_version()),
            status,
            bytes: work.output.sent().saturating_sub(work.head_bytes),
            duration: Duration::from_millis(core.runtime.now().saturating_sub(work.started)),
            referer: known.and_then(|head| head.header("referer")),
            user_agent: known.and_then(|head| head.header("user-agent")),
        };
        // Where panics unwind, the log's ends neither this connection nor the others.
        let panicked = catch_unwind(AssertUnwindSafe(|| log(&access))).is_err();
        work.output.restart_count();
        work.head_bytes = 0;
        if panicked {
            self.note(core, Level::Error, format_args!("the access log panicked"));
        }
    }

    /// A line of the log about this connection, unless there are too many; one place, as each costs its bytes.
    #[cold]
    pub(super) fn note(&self, core: &Core, level: Level, what: fmt::Arguments<'_>) {
        if level <= log::max_level() && core.takes_log_line(&self.peer) {
            log::log!(level, "{}: {what}", self.peer);
        }
    }

    /// A line for those who look for a fault in this server.
    #[cold]
    pub(super) fn debug(&self, what: fmt::Arguments<'_>) {
        log::debug!("{}: {what}", self.peer);
    }

    // --- bytes ------------------------------------------------------------------------------------

    /// Reads what there is; a short read means that there was no more.
    pub(super) fn read(&mut self, core: &Core, buffer: &mut [u8]) -> std::result::Result<usize, Step> {
        match self.transport.read(buffer) {
            Ok(n) => {
                // epoll(7): with edge triggering a short read tells as much as EAGAIN. But not of a peer's end.
                self.readable = n == buffer.len() || n > 0 && (self.peer_closed || self.transport.has_more());
                if let Some(work) = &mut self.work {
                    work.received = work.received.saturating_add(n as u64);
                }
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Err(Step::Again)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Step::Again),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                // A turn's handshakes are done: this one's comes with the next.
                self.credit = 0;
                Err(Step::Park)
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::PermissionDenied {
                    // Of a client whose certificate is no good; the system has no such error for a socket.
                    self.note(core, Level::Info, format_args!("{error}"));
                } else {
                    self.debug(format_args!("{error}"));
                }
                self.link = Link::Dead;
                Err(Step::Close)
            }
        }
    }

    pub(super) fn has_output(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.output.is_empty()) || self.transport.is_pending()
    }

    /// Sends what waits; true when nothing is left.
    fn flush(&mut self, core: &Core) -> std::result::Result<bool, Step> {
        if !self.has_output() {
            return Ok(true);
        }
        if !self.writable {
            return Ok(false);
        }
        let (drained, moved, left, files) = match &mut self.work {
            Some(work) => {
                let before = work.output.sent();
                let drained = work.output.drain(&mut self.transport, limits::FLUSH_BUDGET);
                (drained, work.output.sent() > before, work.output.mem(), work.output.files())
            }
            None => {
                let flushed = self.transport.flush();
                (flushed.map(|all| if all { Drained::Empty } else { Drained::Blocked }), false, 0, 0)
            }
        };
        let drained = match drained {
            Ok(drained) => drained,
            Err(error) => {
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    self.debug(format_args!("{error}"));
                    self.link = Link::Dead;
                    return Err(Step::Close);
                }
                if let Some(work) = &mut self.work {
                    work.output.clear();
                }
                self.cut(core, "a file shrank while it was being sent");
                return Err(Step::Again);
            }
        };
        match drained {
            Drained::Empty => self.deadlines.set(Timer::Write, NEVER),
            Drained::Blocked | Drained::Budget => {
                self.writable = drained == Drained::Budget;
                if self.writable {
                    self.credit = 0;
                }
                if moved || self.deadlines.get(Timer::Write) == NEVER {
                    self.wait_for_reader(core);
                }
            }
        }
        let low =
            left <= self.place.borrow().options.high_water / limits::LOW_WATER_DIVISOR && files < limits::QUEUED_FILES;
        if self.wants.has(Want::Room) && low || self.wants.has(Want::Flushed) && drained == Drained::Empty {
            self.wake();
        }
        Ok(drained == Drained::Empty)
    }

    fn step_upgraded(&mut self, core: &Core) -> Step {
        match self.flush(core) {
            Ok(false) if self.writable => return Step::Again,
            Ok(_) => {}
            Err(step) => return step,
        }
        if self.readable && self.wants.has(Want::Read) {
            self.wake();
        }
        Step::Park
    }

    fn step_closing(&mut self, core: &Core, discard: u64) -> Step {
        match self.flush(core) {
            Ok(true) => {}
            Ok(false) if self.writable => return Step::Again,
            Ok(false) if self.readable && discard > 0 => {
                let n = match self.discard(core) {
                    Ok(n) => n,
                    // The end of what a client sends is not the end of what it takes; if it is, the next write tells.
                    Err(Step::Close) => {
                        self.readable = false;
                        0
                    }
                    Err(step) => return step,
                };
                self.link = Link::Closing { discard: if n == 0 { 0 } else { discard.saturating_sub(n) } };
                return Step::Again;
            }
            Ok(false) => return Step::Park,
            Err(step) => return step,
        }
        self.log(core);
        let cut = matches!(self.send, Send::Cut);
        if cut && self.ends_by_reset() {
            return self.deliver(core);
        }
        if discard == 0 || self.transport.shutdown_write(!cut).is_err() {
            self.link = Link::Dead;
            return Step::Close;
        }
        if let Some(work) = self.work.take() {
            core.give_back(work);
        }
        self.input = Input::default();
        self.link = Link::Linger { left: discard };
        self.deadlines = Deadlines::default();
        self.deadlines.set(Timer::End, core.runtime.deadline(limits::LINGER_TIMEOUT));
        Step::Again
    }

    fn step_linger(&mut self, core: &Core, left: u64) -> Step {
        if !self.readable {
            return Step::Park;
        }
        match self.discard(core) {
            Ok(n) if n > 0 && n < left => self.link = Link::Linger { left: left - n },
            Ok(_) => self.link = Link::Dead,
            Err(step) => return step,
        }
        Step::Again
    }

    /// Reads and forgets; 0 at the end.
    fn discard(&mut self, core: &Core) -> std::result::Result<u64, Step> {
        let mut scratch = core.scratch();
        self.read(core, &mut scratch).map(|n| n as u64)
    }

    // --- deadlines --------------------------------------------------------------------------------

    /// Has the write timeout begin.
    pub(super) fn wait_for_reader(&mut self, core: &Core) {
        let timeout = self.place.borrow().options.write_timeout;
        let first = match &mut self.work {
            Some(work) => {
                work.queued = u32::MAX;
                work.still_since = core.runtime.now();
                limits::READER_LOOK.min(timeout / 2)
            }
            None => timeout,
        };
        self.deadlines.set(Timer::Write, core.runtime.deadline(first));
    }

    /// Whether there is time left for the client to take what waits; it begins again whenever the client has taken some of
    /// what the kernel holds for it, though not enough for the kernel to take more of us.
    fn may_stand_still(&mut self, core: &Core) -> bool {
        let Some(work) = &mut self.work else { return false };
        let (now, queued) = (core.runtime.now(), self.transport.queued());
        if queued < work.queued {
            work.queued = queued;
            work.still_since = now;
        }
        let timeout = self.place.borrow().options.write_timeout;
        let end = deadline(work.still_since, timeout);
        self.deadlines.set(Timer::Write, end.min(deadline(now, limits::READER_LOOK.min(timeout / 2))));
        now < end
    }

    /// Whether the deadline of a read has to wait until what came meanwhile was read.
    ///
    /// It may have come in time: others can have held up the loop, and with many events at once the kernel tells of some
    /// only in the next tick. `other`: that of a write is due, too.
    fn takes_last_look(&mut self, other: bool) -> bool {
        let reads = matches!(self.link, Link::Open) && (matches!(self.recv, Recv::Head) || self.wants.has(Want::Read));
        if !reads || other {
            return false;
        }
        self.readable |= self.late != Late::LastLook;
        self.late = Late::LastLook;
        self.readable
    }

    fn check_deadlines(&mut self, core: &Core) {
        let now = core.runtime.now();
        if self.deadlines.next() > now {
            if self.late == Late::LastLook {
                self.late = Late::No;
            }
            return;
        }
        let due = |timer: Timer, conn: &Conn| conn.deadlines.get(timer) <= now;
        if self.takes_last_look(due(Timer::Write, self)) {
            return;
        }
        if due(Timer::Write, self) {
            if self.may_stand_still(core) {
                return;
            }
            self.note(core, Level::Info, format_args!("does not take its answer"));
            self.drop_client();
        } else if matches!(self.link, Link::Delivering) {
            self.deadlines.set(Timer::End, NEVER);
        } else if self.probe && due(Timer::End, self) {
            self.ask_peer();
        } else if due(Timer::End, self) {
            self.link = Link::Dead;
        } else if due(Timer::Head, self) {
            self.deadlines.set(Timer::Head, NEVER);
            if self.has_blank_input() {
                self.link = Link::Dead;
            } else {
                // The request before may have been a HEAD, of HTTP/1.0.
                self.asked = Asked { head: false, http10: false, keep_alive: false };
                self.reject(core, Reject { status: 408, reason: "the request head took too long", close: true });
            }
        } else {
            self.unbound_read();
            self.late = Late::TimedOut;
            self.wake();
        }
    }
}
