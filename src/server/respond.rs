//! What a handler does to its response: the head, pieces of body, the end, and its errors.

use super::error::{Error, Outcome, Result};
use super::http1::{Http1, Phase};
use super::limits;
use super::request_memory::InFlight;
use super::shared::Shared;
use super::waiter::Want;
use crate::http::{self, CloseReason, Receiving, ResponseHead, SendError, Sending};
use log::Level;
use std::fs::File;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The response's head, while it can still be changed.
pub(super) fn head(http1: &mut Http1) -> Result<&mut ResponseHead> {
    if http1.sending() != Sending::Head {
        return Err(Error::HeadSent);
    }
    http1.in_flight()?.exchange.response_mut().ok_or(Error::HeadSent)
}

/// Queues the response's head unless that was done; `length` is the body's, if known.
pub(super) fn commit(http1: &mut Http1, shared: &Shared, length: Option<u64>) -> Result<()> {
    if http1.sending() != Sending::Head {
        return Ok(());
    }
    let server = http1.options().server_header;
    let in_flight = http1.in_flight()?;
    if let Some((frame, persistence)) = in_flight.exchange.commit(length, shared.stopping()) {
        in_flight.push_head(&frame, persistence, &shared.date_lines(server));
    }
    Ok(())
}

/// Bytes of body that fit below the high-water mark.
pub(super) fn room(http1: &Http1) -> usize {
    let waiting = |in_flight: &InFlight| http1.high_water().saturating_sub(in_flight.output.mem());
    http1.in_flight.as_deref().map_or(0, waiting)
}

/// Queues a piece of body.
pub(super) fn push_body(http1: &mut Http1, shared: &Shared, bytes: &[u8]) -> Result<()> {
    let pushed = http1.in_flight()?.push_body(bytes);
    account(http1, shared, pushed)
}

/// Queues a piece of a file as body.
pub(super) fn push_file(http1: &mut Http1, shared: &Shared, file: Rc<File>, offset: u64, count: u64) -> Result<()> {
    let pushed = http1.in_flight()?.push_file(file, offset, count);
    account(http1, shared, pushed)
}

/// Queues shared bytes as body.
pub(super) fn push_shared(http1: &mut Http1, shared: &Shared, bytes: Rc<[u8]>) -> Result<()> {
    let pushed = http1.in_flight()?.push_shared(bytes);
    account(http1, shared, pushed)
}

/// Counts dropped bytes, and cuts a response that breaks its promised length.
fn account(http1: &mut Http1, shared: &Shared, pushed: std::result::Result<usize, SendError>) -> Result<()> {
    match pushed {
        Ok(dropped) => {
            http1.link.spend(dropped);
            Ok(())
        }
        Err(SendError::LengthMismatch) => {
            http1.cut(shared, "more body than its Content-Length");
            Err(Error::LengthMismatch)
        }
        Err(SendError::NotNow) => Err(Error::HeadSent),
        Err(SendError::Cut) => Err(Error::Closed),
    }
}

/// Completes the body.
pub(super) fn end(http1: &mut Http1, shared: &Shared) -> Result<()> {
    commit(http1, shared, Some(0))?;
    let in_flight = http1.in_flight()?;
    match in_flight.exchange.end() {
        Ok(true) => in_flight.output.push(http::LAST_CHUNK),
        Err(SendError::LengthMismatch) => http1.cut(shared, "less body than its Content-Length"),
        Ok(false) | Err(_) => {}
    }
    Ok(())
}

/// Ends the response with what the handler returned.
pub(super) fn finish(http1: &mut Http1, shared: &Shared, outcome: Result<Outcome>) {
    if !http1.phase.is_open() {
        return;
    }
    let done = match outcome {
        Ok(Outcome::Close) => {
            http1.must_close(CloseReason::Handler);
            end(http1, shared)
        }
        Ok(Outcome::KeepAlive) => end(http1, shared),
        Err(error) => finish_failed(http1, shared, &error),
    };
    if let Err(error) = done {
        http1.debug(format_args!("cannot finish the response: {error}"));
        http1.phase = Phase::Dead;
    }
}

fn finish_failed(http1: &mut Http1, shared: &Shared, error: &Error) -> Result<()> {
    match http1.sending() {
        Sending::Head => {
            let status = error.status();
            // A malformed body was logged when it was found.
            if !matches!((error, http1.receiving()), (Error::BadBody(_), Receiving::Closed)) {
                let level = if status >= 500 { Level::Error } else { Level::Info };
                http1.note(shared, level, format_args!("{status} {error}"));
            }
            http1.must_close(CloseReason::HandlerFailed);
            fail(http1, shared, status)?;
        }
        // Its answer said what is wrong, and promised what follows.
        Sending::Done if matches!(error, Error::Refused(_)) => {}
        Sending::Done => {
            http1.debug(format_args!("handler failed after its response: {error}"));
            http1.must_close(CloseReason::HandlerFailed);
        }
        Sending::Body(_) | Sending::Cut => {
            http1.note(shared, Level::Info, format_args!("response cut short: {error}"));
            match error {
                Error::Timeout | Error::Closed => http1.drop_client(),
                _ => http1.break_off(),
            }
        }
    }
    Ok(())
}

/// Ends the response of a handler that panicked.
pub(super) fn finish_panicked(http1: &mut Http1, shared: &Shared) {
    http1.must_close(CloseReason::HandlerFailed);
    if http1.sending() != Sending::Head {
        http1.cut(shared, "its handler panicked");
    } else if let Err(error) = fail(http1, shared, 500) {
        http1.debug(format_args!("cannot answer: {error}"));
        http1.phase = Phase::Dead;
    }
}

/// Answers `status` instead of what the handler had prepared.
fn fail(http1: &mut Http1, shared: &Shared, status: u16) -> Result<()> {
    head(http1)?.clear();
    let text = format!("{status} {}\n", http::status_reason(status));
    answer_text(http1, shared, status, &text)
}

/// Answers with a text; the response has no fields yet.
pub(super) fn answer_text(http1: &mut Http1, shared: &Shared, status: u16, text: &str) -> Result<()> {
    let exchange = &mut http1.in_flight()?.exchange;
    exchange.replace_response();
    let response = exchange.response_mut().ok_or(Error::HeadSent)?;
    response.set_status(status, None)?;
    response.push_raw(b"Content-Type: text/plain; charset=utf-8\r\n");
    commit(http1, shared, Some(text.len() as u64))?;
    push_body(http1, shared, text.as_bytes())?;
    end(http1, shared)
}

// --- waiting -------------------------------------------------------------------------------------

/// Ready when output is below the high-water mark and another file may be queued.
pub(super) fn poll_room(http1: &mut Http1, cx: &mut Context<'_>) -> Poll<Result<()>> {
    if http1.is_gone() {
        return Poll::Ready(Err(Error::Closed));
    }
    let high_water = http1.high_water();
    let output = &http1.in_flight()?.output;
    if output.mem() < high_water && output.files() < limits::QUEUED_FILES {
        return if http1.link.credit > 0 { Poll::Ready(Ok(())) } else { another_turn(cx) };
    }
    http1.waiter.wait(Want::Room, cx);
    Poll::Pending
}

/// Ready when all output was handed to the kernel.
pub(super) fn poll_flushed(http1: &mut Http1, cx: &mut Context<'_>) -> Poll<Result<()>> {
    if http1.is_gone() {
        return Poll::Ready(Err(Error::Closed));
    }
    if !http1.has_output() {
        return Poll::Ready(Ok(()));
    }
    http1.waiter.wait(Want::Flushed, cx);
    Poll::Pending
}

/// Ready when the client has half-closed, or the connection is broken.
pub(super) fn poll_closed(http1: &mut Http1, cx: &mut Context<'_>) -> Poll<()> {
    if http1.link.peer_closed || matches!(http1.receiving(), Receiving::Closed) || http1.phase == Phase::Dead {
        return Poll::Ready(());
    }
    http1.waiter.wait_for_end(cx);
    Poll::Pending
}

/// Lets other connections be served first: the handler used up its turn, but would not have to wait.
pub(super) fn another_turn<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}
