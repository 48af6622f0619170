//! Reading a request's body for a handler.

use super::deadline_table::{NEVER, Timer};
use super::error::{Error, Result};
use super::http1::{Http1, Late, Phase, Step};
use super::respond::another_turn;
use super::shared::Shared;
use super::waiter::Want;
use crate::http::{BodyState, CloseReason};
use log::Level;
use std::task::{Context, Poll};

/// Reads body into `into` until it holds `upto` bytes or the body ends; does not wait for more than `least` bytes.
pub(super) fn poll_read(
    http1: &mut Http1,
    shared: &Shared,
    cx: &mut Context<'_>,
    into: &mut Vec<u8>,
    least: usize,
    upto: usize,
) -> Poll<Result<()>> {
    loop {
        // Without a request in flight the body has ended.
        let state = http1.in_flight.as_mut().map_or(BodyState::Ended, |in_flight| in_flight.exchange.body());
        let missing = upto.saturating_sub(into.len());
        match state {
            BodyState::Lost => return Poll::Ready(Err(Error::Closed)),
            BodyState::Ended => return Poll::Ready(Ok(())),
            BodyState::Open if missing == 0 => return Poll::Ready(Ok(())),
            BodyState::Open => {}
        }
        if !http1.input.is_empty() {
            decode(http1, shared, into, missing)?;
        } else if http1.link.readable && http1.link.credit > 0 {
            receive(http1, shared)?;
        } else if into.len() >= least {
            return Poll::Ready(Ok(()));
        } else if http1.link.readable {
            return another_turn(cx);
        } else if http1.late == Late::TimedOut {
            http1.late = Late::No;
            http1.in_flight()?.exchange.must_close(CloseReason::BodyTimeout);
            return Poll::Ready(Err(Error::Timeout));
        } else {
            return wait(http1, shared, cx);
        }
    }
}

/// Decodes at most `missing` bytes of payload from the input.
fn decode(http1: &mut Http1, shared: &Shared, into: &mut Vec<u8>, missing: usize) -> Result<()> {
    let bytes = http1.input.bytes();
    let Some(in_flight) = &mut http1.in_flight else { return Err(Error::Closed) };
    match in_flight.exchange.read_body(&bytes[..missing.min(bytes.len())], into) {
        Ok(used) => {
            http1.input.consume(used);
            http1.unscanned = !http1.input.is_empty();
            Ok(())
        }
        Err(reject) => {
            http1.note(shared, Level::Info, format_args!("{} {}", reject.status, reject.reason));
            Err(reject.into())
        }
    }
}

/// Reads from the stream into the input, if anything has arrived.
fn receive(http1: &mut Http1, shared: &Shared) -> Result<()> {
    let mut scratch = shared.scratch();
    match http1.read(shared, &mut scratch) {
        Ok(0) => {
            http1.in_flight()?.exchange.client_left();
            Err(Error::Closed)
        }
        Ok(n) => {
            http1.link.spend(n);
            http1.deadlines.set(Timer::Body, NEVER);
            http1.input.push(&scratch[..n]);
            Ok(())
        }
        Err(Step::Close) => {
            http1.phase = Phase::Dead;
            Err(Error::Closed)
        }
        Err(_) => Ok(()),
    }
}

fn wait(http1: &mut Http1, shared: &Shared, cx: &mut Context<'_>) -> Poll<Result<()>> {
    let in_flight = http1.in_flight()?;
    if in_flight.exchange.invite_body() {
        in_flight.push_continue();
    }
    if http1.deadlines.get(Timer::Body) == NEVER {
        let deadline = shared.deadline(http1.options().body_timeout);
        http1.deadlines.set(Timer::Body, deadline);
    }
    http1.waiter.wait(Want::Read, cx);
    Poll::Pending
}
