//! How a connection ends: queued output is sent, and the stream is closed so that the client receives all of it.
//!
//! A response that was cut short must not look complete:
//!
//! | where a complete body ends | how the client notices that this one is incomplete |
//! | --- | --- |
//! | after its length, or with its last chunk | the stream ends before that (RFC 9112 §8) |
//! | with the stream, over TLS | the stream ends without `close_notify` |
//! | with the stream, over TCP | a reset, sent once the client has received the rest |
//!
//! A half-close may also have to wait, see [`Transport::lags`](crate::net::transport::Transport::lags).

use super::deadline_table::{Deadlines, NEVER, Timer};
use super::http1::{Http1, Phase, Step};
use super::limits;
use super::shared::Shared;
use crate::buf::Input;
use crate::http::Sending;

/// One step of a connection that no more requests follow on.
pub(super) fn step(http1: &mut Http1, shared: &Shared) -> Step {
    match http1.phase {
        Phase::Closing { discard } => send_rest(http1, shared, discard),
        Phase::Delivering { discard } => step_delivering(http1, shared, discard),
        Phase::Linger { left, request_read } => linger(http1, shared, left, request_read),
        _ => Step::Close,
    }
}

/// Sends queued output, then half-closes.
fn send_rest(http1: &mut Http1, shared: &Shared, discard: u64) -> Step {
    match http1.flush(shared) {
        Ok(true) => {}
        Ok(false) if http1.link.writable => return Step::Again,
        Ok(false) if http1.link.readable && discard > 0 => return discard_meanwhile(http1, shared, discard),
        Ok(false) => return Step::Park,
        Err(step) => return step,
    }
    http1.log_access(shared);
    if is_reset(http1) || http1.link.transport.lags() {
        return deliver(http1, shared, discard);
    }
    half_close(http1, shared, discard)
}

/// Whether the response was cut short, and only a reset can tell.
fn is_reset(http1: &Http1) -> bool {
    http1.sending() == Sending::Cut && http1.ends_by_reset()
}

fn half_close(http1: &mut Http1, shared: &Shared, discard: u64) -> Step {
    let whole = http1.sending() != Sending::Cut;
    if discard == 0 || http1.link.transport.shutdown_write(whole).is_err() {
        http1.phase = Phase::Dead;
        return Step::Close;
    }
    http1.phase = Phase::Linger { left: discard, request_read: http1.has_read_all() };
    http1.give_back(shared);
    http1.input = Input::default();
    http1.deadlines = Deadlines::default();
    http1.deadlines.set(Timer::End, shared.deadline(limits::LINGER_TIMEOUT));
    Step::Again
}

/// Discards input while the client does not read.
fn discard_meanwhile(http1: &mut Http1, shared: &Shared, discard: u64) -> Step {
    let n = match http1.discard(shared) {
        Ok(n) => n,
        // A client that sends no more may still read. If it does not, the next write fails.
        Err(Step::Close) => {
            http1.link.readable = false;
            0
        }
        Err(step) => return step,
    };
    http1.phase = Phase::Closing { discard: if n == 0 { 0 } else { discard.saturating_sub(n) } };
    Step::Again
}

/// Discards input until the client half-closes, too.
fn linger(http1: &mut Http1, shared: &Shared, left: u64, request_read: bool) -> Step {
    if !http1.link.readable {
        return Step::Park;
    }
    match http1.discard(shared) {
        Ok(n) if n > 0 && n < left => http1.phase = Phase::Linger { left: left - n, request_read },
        Ok(_) => http1.phase = Phase::Dead,
        Err(step) => return step,
    }
    Step::Again
}

/// Waits until the client has received what the kernel holds for it.
fn deliver(http1: &mut Http1, shared: &Shared, discard: u64) -> Step {
    http1.phase = Phase::Delivering { discard };
    http1.deadlines = Deadlines::default();
    http1.wait_for_reader(shared);
    Step::Again
}

fn step_delivering(http1: &mut Http1, shared: &Shared, discard: u64) -> Step {
    if !is_reset(http1) {
        if !http1.link.transport.lags() {
            return half_close(http1, shared, discard);
        }
    } else if matches!(http1.link.transport.queued(), 0 | u32::MAX) {
        http1.phase = Phase::Dead;
        return Step::Close;
    }
    if http1.deadlines.get(Timer::End) == NEVER {
        http1.deadlines.set(Timer::End, shared.deadline(limits::DELIVERY_GLANCE));
    }
    Step::Park
}
