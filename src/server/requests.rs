//! Requests one after another: reading heads, starting handlers, and what follows each response.

use super::deadline_table::{NEVER, Timer};
use super::http1::{Http1, Phase, Step, Unlogged};
use super::limits;
use super::respond;
use super::shared::Shared;
use super::waiter::{Waiter, Want};
use crate::http::{self, CloseReason, Next, Receiving, Reject, Sending};
use log::Level;
use std::rc::Rc;
use std::time::Duration;

/// One step of a connection that requests may follow on. `busy`: a handler is running.
pub(super) fn step(http1: &mut Http1, shared: &Shared, busy: bool) -> Step {
    let is_answered = !busy && http1.sending() == Sending::Done;
    if is_answered && !(http1.options().access_log.is_some() && http1.has_output()) {
        return after_exchange(http1, shared);
    }
    let between = !busy && matches!(http1.receiving(), Receiving::Head);
    if between && http1.unscanned && may_pipeline(http1) {
        return scan(http1, shared);
    }
    if http1.probe && http1.link.peer_closed && http1.deadlines.get(Timer::End) == NEVER {
        let after = if shared.filling_up.get() { Duration::ZERO } else { limits::PROBE_AFTER };
        http1.deadlines.set(Timer::End, shared.deadline(after));
    }
    let flushed = match http1.flush(shared) {
        Ok(flushed) => flushed,
        Err(step) => return step,
    };
    // Even while the response is blocked: a client may send its whole body before it reads.
    if matches!(http1.receiving(), Receiving::Drain { .. }) {
        if flushed && http1.deadlines.get(Timer::End) == NEVER {
            http1.deadlines.set(Timer::End, shared.deadline(limits::DRAIN_TIMEOUT));
        }
        if http1.link.readable || !http1.input.is_empty() {
            return drain(http1, shared);
        }
    }
    // A handler may keep reading while its response is blocked.
    if busy && http1.link.readable && http1.waiter.wants(Want::Read) {
        http1.wake();
    }
    if !flushed {
        return if http1.link.writable { Step::Again } else { Step::Park };
    }
    if busy {
        return Step::Park;
    }
    if http1.sending() == Sending::Done {
        return Step::Again;
    }
    match http1.receiving() {
        Receiving::Head if http1.unscanned => Step::Again,
        Receiving::Head if http1.link.readable => read_head(http1, shared),
        Receiving::Head => rest(http1, shared),
        _ => Step::Park,
    }
}

// --- reading heads -------------------------------------------------------------------------------

/// The result of looking for a head; `used` bytes of the input were consumed.
enum Scanned {
    More,
    Head {
        used: usize,
    },
    Refused {
        reject: Reject,
        used: usize,
    },
    /// The client speaks TLS on a plain connection.
    Tls,
}

impl Scanned {
    fn used(&self) -> usize {
        match self {
            Scanned::More | Scanned::Tls => 0,
            Scanned::Head { used } | Scanned::Refused { used, .. } => *used,
        }
    }
}

/// The first byte of every TLS connection: the type of its first record (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;

/// Whether a pipelined request may be handled before the previous response was sent: yes, while little output is
/// queued.
fn may_pipeline(http1: &Http1) -> bool {
    http1.in_flight.as_ref().is_none_or(|in_flight| {
        let output = &in_flight.output;
        output.is_empty() || http1.link.writable && output.mem() < limits::PIPELINE_BATCH && output.files() == 0
    })
}

fn read_head(http1: &mut Http1, shared: &Shared) -> Step {
    let mut scratch = shared.scratch();
    let n = match http1.read(shared, &mut scratch) {
        Ok(0) => return at_end_of_input(http1),
        Ok(n) => n,
        Err(step) => return step,
    };
    #[cfg(feature = "http2")]
    if http1.served == 0 && super::http2::is_spoken(http1, &scratch[..n]) {
        super::http2::begin(http1, shared, &scratch[..n]);
        return Step::Again;
    }
    head_has_begun(http1, shared);
    if !http1.input.is_empty() {
        http1.input.push(&scratch[..n]);
        drop(scratch);
        return scan(http1, shared);
    }
    // The usual case: the whole head came in one read, and is parsed in place.
    let scanned = find_head(http1, shared, &scratch[..n]);
    http1.input.push(scratch.get(scanned.used()..n).unwrap_or_default());
    drop(scratch);
    act_on(http1, shared, scanned)
}

/// Looks for a head in the input.
fn scan(http1: &mut Http1, shared: &Shared) -> Step {
    head_has_begun(http1, shared);
    let input = std::mem::take(&mut http1.input);
    let scanned = find_head(http1, shared, input.bytes());
    http1.input = input;
    http1.input.consume(scanned.used());
    act_on(http1, shared, scanned)
}

fn act_on(http1: &mut Http1, shared: &Shared, scanned: Scanned) -> Step {
    http1.unscanned = scanned.used() > 0 && !http1.input.is_empty();
    match scanned {
        Scanned::More => Step::Again,
        Scanned::Head { .. } => Step::Start,
        Scanned::Refused { reject, .. } => refuse(http1, shared, reject),
        Scanned::Tls => {
            // A TLS client could not read a response.
            http1.note(shared, Level::Info, format_args!("TLS handshake on a plain HTTP port"));
            http1.phase = Phase::Closing { discard: limits::LINGER_MAX };
            Step::Again
        }
    }
}

/// Starts the timeout of a head at its first byte.
fn head_has_begun(http1: &mut Http1, shared: &Shared) {
    if http1.deadlines.get(Timer::Head) == NEVER {
        let deadline = shared.deadline(http1.options().header_timeout);
        http1.deadlines.set(Timer::Head, deadline);
        http1.deadlines.set(Timer::End, NEVER);
    }
}

/// Finds a head, and starts an exchange with it.
fn find_head(http1: &mut Http1, shared: &Shared, bytes: &[u8]) -> Scanned {
    let site = http1.site.borrow();
    let options = &site.options;
    if http1.scanner.is_fresh() {
        let mut head = shared.head.borrow_mut();
        if Rc::get_mut(&mut head).is_none() {
            // A handler has kept it.
            *head = Rc::default();
        }
        if let Some(length) = Rc::get_mut(&mut head).and_then(|head| head.parse_usual(bytes, &options.head)) {
            let now = shared.now();
            let in_flight = http1.in_flight.get_or_insert_with(|| shared.take_spare());
            in_flight.begin(now);
            in_flight.exchange.begin_usual(&mut head, !options.keep_alive.is_zero(), now);
            drop(site);
            has_begun(http1);
            return Scanned::Head { used: length };
        }
    }
    // On the stack while it runs, which saves loads and stores.
    let mut scanner = http1.scanner;
    let found = scanner.find(bytes, &options.head);
    http1.scanner = scanner;
    let length = match found {
        Ok(Some(length)) => length,
        Ok(None) => return Scanned::More,
        Err(_) if bytes.first() == Some(&TLS_HANDSHAKE) => return Scanned::Tls,
        Err(reject) => {
            drop(site);
            http1.in_flight_or_spare(shared).exchange.begin_without_request();
            return Scanned::Refused { reject, used: 0 };
        }
    };
    let in_flight = http1.in_flight.get_or_insert_with(|| shared.take_spare());
    let now = shared.now();
    in_flight.begin(now);
    let head = bytes.get(..length).unwrap_or_default();
    let begun = in_flight.exchange.begin(head, &options.head, !options.keep_alive.is_zero(), now);
    drop(site);
    if let Err(reject) = begun
        && reject.close
    {
        return Scanned::Refused { reject, used: 0 };
    }
    has_begun(http1);
    match begun {
        Ok(()) => Scanned::Head { used: length },
        Err(reject) => Scanned::Refused { reject, used: length },
    }
}

/// An exchange has begun.
fn has_begun(http1: &mut Http1) {
    http1.unlogged = Unlogged::Exchange;
    http1.served = http1.served.saturating_add(1);
    http1.deadlines.set(Timer::Head, NEVER);
}

/// The client half-closed between requests or within a head: it expects no response.
fn at_end_of_input(http1: &mut Http1) -> Step {
    if let Some(in_flight) = &mut http1.in_flight {
        in_flight.exchange.client_left();
    }
    http1.phase = Phase::Closing { discard: 0 };
    Step::Again
}

/// Answers a request without a handler.
fn refuse(http1: &mut Http1, shared: &Shared, reject: Reject) -> Step {
    http1.note(shared, Level::Info, format_args!("{} {}", reject.status, reject.reason));
    http1.deadlines.set(Timer::Head, NEVER);
    if reject.close {
        http1.unlogged = Unlogged::NoHead;
    }
    let now = shared.now();
    let in_flight = http1.in_flight_or_spare(shared);
    in_flight.begin(now);
    in_flight.exchange.restart(now);
    if reject.close {
        in_flight.exchange.must_close(CloseReason::Refused);
    }
    if !answer_refusal(http1, shared, reject) {
        return Step::Close;
    }
    if reject.close {
        http1.phase = Phase::Closing { discard: limits::LINGER_MAX };
    }
    Step::Again
}

/// Answers with the text of a refusal; false if that is not possible.
fn answer_refusal(http1: &mut Http1, shared: &Shared, reject: Reject) -> bool {
    let text = format!("{} {}: {}\n", reject.status, http::status_reason(reject.status), reject.reason);
    let answered = respond::answer_text(http1, shared, reject.status, &text);
    if let Err(error) = &answered {
        http1.debug(format_args!("cannot answer: {error}"));
        http1.phase = Phase::Dead;
    }
    answered.is_ok()
}

/// Answers a request of HTTP/2 without a handler.
#[cfg(feature = "http2")]
pub(super) fn refuse_stream(http1: &mut Http1, shared: &Shared, reject: Reject) {
    http1.note(shared, Level::Info, format_args!("{} {}", reject.status, reject.reason));
    answer_refusal(http1, shared, reject);
}

/// Answers a head that did not arrive in time.
pub(super) fn refuse_slow_head(http1: &mut Http1, shared: &Shared) {
    // The request before may have been a HEAD, or of HTTP/1.0.
    http1.in_flight_or_spare(shared).exchange.begin_without_request();
    refuse(http1, shared, Reject { status: 408, reason: "the request head took too long", close: true });
}

// --- between exchanges ---------------------------------------------------------------------------

/// Does what [`Exchange::next`](crate::http::Exchange::next) decides.
fn after_exchange(http1: &mut Http1, shared: &Shared) -> Step {
    http1.log_access(shared);
    http1.stop_probing();
    let Some(in_flight) = &mut http1.in_flight else { return Step::Close };
    let next = in_flight.exchange.next(shared.stopping());
    if let Next::Close(reason) = next {
        close(http1, reason);
        return Step::Again;
    }
    in_flight.exchange.recycle();
    http1.end_read();
    http1.waiter = Waiter::default();
    Step::Again
}

/// Closes the connection once its output is sent.
fn close(http1: &mut Http1, reason: CloseReason) {
    http1.debug(format_args!("closing: {reason}"));
    // Closing with unread input would send a reset, which may overtake the response.
    let all_read = matches!(http1.receiving(), Receiving::Done | Receiving::Closed);
    let linger = !all_read || !http1.input.is_empty() || http1.link.readable;
    http1.phase = Phase::Closing { discard: if linger { limits::LINGER_MAX } else { 0 } };
}

/// All responses were sent: gives the memory back, and starts the keep-alive timeout.
fn rest(http1: &mut Http1, shared: &Shared) -> Step {
    http1.give_back(shared);
    if shared.stopping() && http1.is_silent() {
        http1.phase = Phase::Dead;
        return Step::Close;
    }
    if http1.deadlines.get(Timer::Head) == NEVER && http1.deadlines.get(Timer::End) == NEVER {
        let deadline = shared.deadline(http1.options().keep_alive);
        http1.deadlines.set(Timer::End, deadline);
    }
    Step::Park
}

/// Discards the rest of a request body.
fn drain(http1: &mut Http1, shared: &Shared) -> Step {
    if http1.input.is_empty() {
        let mut scratch = shared.scratch();
        match http1.read(shared, &mut scratch) {
            Ok(0) => http1.phase = Phase::Closing { discard: 0 },
            Ok(n) => http1.input.push(&scratch[..n]),
            Err(step) => return step,
        }
        return Step::Again;
    }
    let Some(in_flight) = &mut http1.in_flight else { return Step::Close };
    let (used, next) = in_flight.exchange.drain(http1.input.bytes());
    http1.input.consume(used);
    match next {
        None => {}
        Some(Next::Reuse | Next::Drain) => {
            http1.deadlines.set(Timer::End, NEVER);
            http1.unscanned = !http1.input.is_empty();
        }
        Some(Next::Close(reason)) => {
            http1.debug(format_args!("closing: {reason}"));
            http1.phase = Phase::Closing { discard: limits::LINGER_MAX };
        }
    }
    Step::Again
}
