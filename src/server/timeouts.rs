//! Timeouts, and what they do.
//!
//! | what takes too long | option or limit | what happens |
//! | --- | --- | --- |
//! | a TLS handshake, or nothing at all was sent | `header_timeout` | the connection is closed |
//! | a request head that has begun | `header_timeout` | 408, then the connection is closed |
//! | a request body, or one call to read it | `body_timeout`, the call's own | the handler gets [`Error::Timeout`](super::Error::Timeout) |
//! | a client that does not read | `write_timeout` | the connection is reset |
//! | the next request | `http_keepalive` | the connection is closed |
//! | the rest of an unread body | [`DRAIN_TIMEOUT`](super::limits::DRAIN_TIMEOUT) | the connection is closed |
//! | a client that does not close after the last response | [`LINGER_TIMEOUT`](super::limits::LINGER_TIMEOUT) | the connection is closed |
//! | a handler, after the peer half-closed | [`PROBE_AFTER`](super::limits::PROBE_AFTER) | the peer is probed, if the handler wants that |

use super::deadline_table::{NEVER, Timer};
use super::http1::{Http1, Late, Phase};
use super::limits;
use super::requests;
use super::shared::Shared;
use super::waiter::Want;
use crate::http::{Receiving, Sending};
use crate::rt::deadline;
use log::Level;

/// Acts on deadlines that have passed.
pub(super) fn check(http1: &mut Http1, shared: &Shared) {
    let now = shared.now();
    if http1.deadlines.next() > now {
        if http1.late == Late::LastLook {
            http1.late = Late::No;
        }
        return;
    }
    expire(http1, shared, now);
}

#[cold]
fn expire(http1: &mut Http1, shared: &Shared, now: u64) {
    let due = |timer: Timer, http1: &Http1| http1.deadlines.get(timer) <= now;
    let write_due = due(Timer::Write, http1);
    if takes_last_look(http1, write_due) {
        return;
    }
    if write_due {
        if !may_stand_still(http1, shared) {
            http1.note(shared, Level::Info, format_args!("write timeout: client stopped reading"));
            http1.drop_client();
        }
    } else if expire_http2(http1, now) {
    } else if matches!(http1.phase, Phase::Delivering { .. }) {
        http1.deadlines.set(Timer::End, NEVER);
    } else if http1.probe && due(Timer::End, http1) {
        probe_peer(http1);
    } else if due(Timer::End, http1) {
        http1.phase = if http1.link.transport.lags() { Phase::Closing { discard: 0 } } else { Phase::Dead };
    } else if due(Timer::Head, http1) {
        http1.deadlines.set(Timer::Head, NEVER);
        if http1.has_blank_input() {
            http1.phase = Phase::Dead;
        } else {
            requests::refuse_slow_head(http1, shared);
        }
    } else {
        http1.end_read();
        http1.late = Late::TimedOut;
        http1.wake();
    }
}

/// Ends an idle connection of HTTP/2, or one whose client does not finish what it began; false if it is none, or if another
/// deadline has passed.
fn expire_http2(http1: &mut Http1, now: u64) -> bool {
    #[cfg(feature = "http2")]
    if http1.phase == Phase::Http2 {
        let in_the_middle = http1.deadlines.get(Timer::Head) <= now;
        http1.deadlines.set(if in_the_middle { Timer::Head } else { Timer::End }, NEVER);
        if let Some(in_flight) = &http1.in_flight {
            in_flight.role.give_up(in_the_middle);
        }
        return true;
    }
    let _ = (http1, now);
    false
}

/// Whether a read deadline has to wait until what has arrived was read.
///
/// It may have arrived in time: other connections can have held up the loop, and with many events at once the kernel
/// reports some only in the next tick. `write_due`: the write deadline has passed, too.
fn takes_last_look(http1: &mut Http1, write_due: bool) -> bool {
    let reads = matches!(http1.phase, Phase::Open)
        && (matches!(http1.receiving(), Receiving::Head) || http1.waiter.wants(Want::Read));
    if !reads || write_due {
        return false;
    }
    http1.link.readable |= http1.late != Late::LastLook;
    http1.late = Late::LastLook;
    http1.link.readable
}

/// Whether the client still has time to read. The time starts over whenever it has received some of what the kernel
/// holds for it, even if not enough for the kernel to accept more.
///
/// Then more is offered to the kernel, too: where it encrypts, it may have refused bytes while TCP had room, and no edge
/// tells when that ends.
fn may_stand_still(http1: &mut Http1, shared: &Shared) -> bool {
    let timeout = http1.options().write_timeout;
    let Some(in_flight) = &mut http1.in_flight else { return false };
    let (now, queued) = (shared.now(), http1.link.transport.queued());
    http1.link.writable |= queued < in_flight.queued || queued == 0;
    if queued < in_flight.queued {
        in_flight.queued = queued;
        in_flight.still_since = now;
    }
    let end = deadline(in_flight.still_since, timeout);
    let look = deadline(now, limits::READER_LOOK.min(timeout / 2));
    http1.deadlines.set(Timer::Write, end.min(look));
    now < end
}

/// Sends an interim response: a peer that is gone answers with a reset, and others ignore it.
fn probe_peer(http1: &mut Http1) {
    http1.stop_probing();
    if let Some(in_flight) = &mut http1.in_flight
        && in_flight.exchange.sending() == Sending::Head
        && !in_flight.exchange.is_http10()
    {
        in_flight.push_continue();
    }
}
