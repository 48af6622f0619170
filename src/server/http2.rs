//! A connection of HTTP/2: what is received is taken apart, what its streams want to send is put together.
//!
//! Each stream is a session of its own, with its exchange, its deadlines and its handler, as a connection of HTTP/1 is. Only
//! its byte stream is a [`Pipe`], which is filled and emptied here.

use super::deadline_table::{Deadlines, NEVER, Timer};
use super::http1::{Http1, Phase, Step, Unlogged};
use super::limits;
pub(super) use super::mux::Opening;
use super::mux::{Mux, Role};
use super::request_memory::InFlight;
use super::shared::Shared;
use super::waiter::Want;
use crate::buf::Input;
use crate::http::h2::{Code, Connection, Event, Fault, PREFACE};
use crate::http::{Reject, Sending};
use crate::net::{Origin, Pipe, Transport};
use crate::rt::Key;
use log::Level;
use std::cell::RefCell;
use std::rc::Rc;

/// Finds the connection state of a session.
pub(super) type Find<'a> = &'a dyn Fn(Key) -> Option<Rc<RefCell<Http1>>>;

/// Whether a new connection speaks HTTP/2, given the first bytes of its client.
pub(super) fn is_spoken(http1: &Http1, bytes: &[u8]) -> bool {
    let by_preface = || {
        let n = bytes.len().min(PREFACE.len());
        http1.options().prior_knowledge && bytes.get(..n) == PREFACE.get(..n)
    };
    http1.served == 0 && http1.input.is_empty() && (http1.link.transport.has_agreed_on_http2() || by_preface())
}

/// Makes it a connection of HTTP/2.
pub(super) fn begin(http1: &mut Http1, shared: &Shared, bytes: &[u8]) {
    let now = shared.now();
    let transport = &http1.link.transport;
    let origin = Rc::new(Origin {
        local: transport.local_addr(),
        is_tls: transport.is_tls(),
        certificate: transport.peer_certificate().map(<[u8]>::to_vec),
    });
    let mux = Mux {
        proto: Connection::new(http1.options().head.head, now),
        key: None,
        origin,
        opening: None,
        closing: Vec::new(),
        is_queued: true,
        client_left: false,
        is_over: false,
        moved: now,
    };
    // Not a spare one, whose buffers serve requests.
    let mut in_flight = Box::<InFlight>::default();
    in_flight.begin(now);
    in_flight.role = Role::Connection(Rc::new(RefCell::new(mux)));
    http1.in_flight = Some(in_flight);
    http1.served = 1;
    http1.phase = Phase::Http2;
    http1.input.push(bytes);
    http1.unscanned = true;
}

/// One step of a connection.
pub(super) fn step(http1: &mut Http1, shared: &Shared, key: Key, find: Find<'_>) -> Step {
    let Some(mux) = http1.in_flight.as_ref().and_then(|in_flight| in_flight.role.connection()).cloned() else {
        return Step::Close;
    };
    let mux = &mut *mux.borrow_mut();
    mux.key = Some(key);
    mux.is_queued = true;
    // A reload may have turned it off.
    if shared.stopping() || http1.options().tls.no_http2 {
        mux.proto.leave();
    }
    if http1.unscanned && !mux.is_over && waiting(http1, mux) < limits::WAITING_FRAMES {
        take_apart(http1, mux, shared, find);
        if mux.opening.is_some() {
            return Step::Streams;
        }
    }
    let verdict = put_together(http1, mux, shared, find);
    if let Err(fault) = verdict {
        fail(http1, mux, shared, fault);
    }
    if mux.is_over {
        mux.closing = mux.tenants();
    }
    if !mux.closing.is_empty() {
        return Step::Streams;
    }
    match http1.flush(shared) {
        Ok(false) if http1.link.writable => return Step::Again,
        Ok(_) => {}
        Err(step) => return step,
    }
    if mux.proto.streams().is_empty() && (mux.proto.is_leaving() || mux.client_left) && mux.proto.out.is_empty() {
        // Closing with unread input would send a reset, which may overtake the last response.
        let linger = http1.link.readable || !http1.input.is_empty() || mux.is_over;
        http1.phase = Phase::Closing { discard: if linger { limits::LINGER_MAX } else { 0 } };
        return Step::Again;
    }
    if waiting(http1, mux) < limits::WAITING_FRAMES {
        if http1.unscanned || has_more_to_send(mux) {
            return Step::Again;
        }
        if http1.link.readable {
            return read(http1, mux, shared, find);
        }
    }
    set_deadlines(http1, mux, shared);
    mux.is_queued = false;
    Step::Park
}

/// Bytes that wait to be sent.
fn waiting(http1: &Http1, mux: &Mux) -> usize {
    http1.in_flight.as_ref().map_or(0, |in_flight| in_flight.output.mem()) + mux.proto.out.len()
}

fn has_more_to_send(mux: &Mux) -> bool {
    mux.proto.streams().iter().any(|stream| stream.active)
}

// --- receiving -----------------------------------------------------------------------------------

fn read(http1: &mut Http1, mux: &mut Mux, shared: &Shared, find: Find<'_>) -> Step {
    let mut scratch = shared.scratch();
    let n = match http1.read(shared, &mut scratch) {
        Ok(0) => {
            drop(scratch);
            client_has_left(mux, find);
            return Step::Again;
        }
        Ok(n) => n,
        Err(step) => return step,
    };
    http1.link.spend(n);
    http1.input.push(&scratch[..n]);
    http1.unscanned = true;
    Step::Again
}

/// The client half-closed: it sends no more, but may still read.
fn client_has_left(mux: &mut Mux, find: Find<'_>) {
    mux.client_left = true;
    for stream in mux.proto.streams() {
        let Some(http1) = stream.tenant.and_then(find) else { continue };
        let mut http1 = http1.borrow_mut();
        http1.link.peer_closed = true;
        if let Some(in_flight) = &mut http1.in_flight
            && stream.open
        {
            in_flight.exchange.client_left();
        }
        http1.wake();
    }
}

/// Takes frames from the input, up to the next request.
fn take_apart(http1: &mut Http1, mux: &mut Mux, shared: &Shared, find: Find<'_>) {
    let mut input = std::mem::take(&mut http1.input);
    while mux.proto.out.len() < limits::WAITING_FRAMES {
        let (used, event) = match mux.proto.receive(input.bytes(), shared.now()) {
            Ok(received) => received,
            Err(fault) => {
                fail(http1, mux, shared, fault);
                input = Input::default();
                break;
            }
        };
        if used > 0 {
            http1.deadlines.set(Timer::Head, NEVER);
        }
        match event {
            None => {
                input.consume(used);
                http1.unscanned = false;
                break;
            }
            Some(Event::Body { stream, at, ends }) => {
                let bytes = input.bytes().get(at).unwrap_or_default();
                if let Some(key) = mux.proto.stream(stream).and_then(|stream| stream.tenant) {
                    deliver(shared, key, find, bytes, ends);
                }
                input.consume(used);
            }
            Some(Event::Gone(key)) => {
                input.consume(used);
                mux.closing.extend(key);
            }
            Some(Event::Request { stream, text, ends }) => {
                input.consume(used);
                // It may be over before the connection rests again.
                http1.deadlines.set(Timer::End, NEVER);
                let room = shared.streams.get() < shared.max_streams.get();
                if room || mux.proto.streams().len() == 1 {
                    mux.opening = Some(Box::new(Opening { stream, text, ends }));
                    break;
                }
                mux.proto.reset(stream, Code::Refused);
            }
        }
    }
    http1.unscanned &= !input.is_empty();
    http1.input = input;
}

/// Gives a stream a piece of its request's body.
fn deliver(shared: &Shared, key: Key, find: Find<'_>, bytes: &[u8], ends: bool) {
    let Some(http1) = find(key) else { return };
    let http1 = &mut *http1.borrow_mut();
    http1.input.push(bytes);
    if let Some(in_flight) = &mut http1.in_flight {
        in_flight.received = in_flight.received.saturating_add(bytes.len() as u64);
        if ends {
            in_flight.exchange.end_stream(http1.input.bytes().len() as u64);
        }
    }
    http1.deadlines.set(Timer::Body, NEVER);
    if http1.waiter.wants(Want::Read) {
        http1.wake();
    }
    http1.make_ready(shared, key);
}

fn fail(http1: &mut Http1, mux: &mut Mux, shared: &Shared, fault: Fault) {
    if fault.code == Code::Calm {
        http1.note(shared, Level::Warn, format_args!("connection closed: {}", fault.reason));
    } else {
        http1.debug(format_args!("closing: {}", fault.reason));
    }
    mux.fail(fault);
    http1.unscanned = false;
}

// --- sending -------------------------------------------------------------------------------------

/// Puts frames into the output: what the protocol itself has to say, and bodies, the most urgent first.
fn put_together(http1: &mut Http1, mux: &mut Mux, shared: &Shared, find: Find<'_>) -> Result<(), Fault> {
    let max = http1.options().high_water;
    let mut result = Ok(());
    while !mux.is_over && waiting(http1, mux) < max {
        let Some(id) = mux.proto.next_active() else { break };
        result = send_some(mux, id, shared, find);
        if result.is_err() {
            break;
        }
    }
    mux.proto.widen();
    if let Some(in_flight) = &mut http1.in_flight
        && !mux.proto.out.is_empty()
    {
        in_flight.output.push_with(|tail| {
            if tail.is_empty() {
                std::mem::swap(tail, &mut mux.proto.out);
            } else {
                tail.append(&mut mux.proto.out);
            }
        });
    }
    result
}

/// Sends a frame of a stream's body, or its end.
fn send_some(mux: &mut Mux, id: u32, shared: &Shared, find: Find<'_>) -> Result<(), Fault> {
    let tenant = mux.proto.stream(id).and_then(|stream| stream.tenant);
    let Some((key, http1)) = tenant.and_then(|key| Some((key, find(key)?))) else {
        mux.proto.reset(id, Code::Internal);
        return Ok(());
    };
    let http1 = &mut *http1.borrow_mut();
    mux.proto.handler_has_read(id, http1.input.bytes().len());
    let room = mux.proto.room(id);
    let start = mux.proto.begin_data();
    if room > 0 && http1.has_output() {
        fill(http1, mux, room, shared);
        mux.moved = shared.now();
    }
    let is_empty = !http1.has_output();
    let ends = is_empty && http1.sending() == Sending::Done;
    let has_ended = mux.proto.stream(id).is_some_and(|stream| stream.ended);
    mux.proto.end_data(start, id, ends && !has_ended, !is_empty)?;
    if ends {
        mux.proto.finish(id);
        mux.closing.push(key);
    } else if http1.sending() == Sending::Cut && is_empty {
        mux.proto.reset(id, Code::Internal);
        mux.closing.push(key);
    } else if let Some(stream) = mux.proto.stream(id) {
        stream.active = !is_empty && room > 0;
        stream.blocked = !is_empty && room == 0;
        if stream.blocked && http1.deadlines.get(Timer::Write) == NEVER {
            http1.wait_for_reader(shared);
            // Its session has to see the deadline.
            http1.make_ready(shared, key);
        }
    }
    Ok(())
}

/// Sends a small response that is complete, before its turn: others hardly wait for it, and its memory serves the next
/// request.
pub(super) fn send_small(http1: &Http1, id: u32, shared: &Shared, find: Find<'_>) {
    let Some(mux) = http1.in_flight.as_ref().and_then(|in_flight| in_flight.role.connection()) else { return };
    let mux = &mut *mux.borrow_mut();
    let tenant = mux.proto.stream(id).and_then(|stream| stream.tenant);
    let is_small = tenant.and_then(find).is_some_and(|stream| {
        let stream = stream.borrow();
        let small =
            |in_flight: &InFlight| in_flight.output.files() == 0 && in_flight.output.mem() <= limits::SMALL_RESPONSE;
        stream.sending() == Sending::Done && stream.in_flight.as_deref().is_some_and(small)
    });
    if is_small && let Err(fault) = send_some(mux, id, shared, find) {
        mux.fail(fault);
    }
}

/// Appends up to `room` bytes of a stream's output to the frame that was begun.
fn fill(http1: &mut Http1, mux: &mut Mux, room: usize, shared: &Shared) {
    let Transport::Stream(pipe) = &mut http1.link.transport else { return };
    std::mem::swap(&mut pipe.out, &mut mux.proto.out);
    pipe.room = room;
    http1.link.writable = true;
    // An error has cut the response, which is looked at next.
    let _ = http1.flush(shared);
    http1.link.writable = false;
    let Transport::Stream(pipe) = &mut http1.link.transport else { return };
    std::mem::swap(&mut pipe.out, &mut mux.proto.out);
}

/// Nothing is left to do for now: says when the connection must be looked at again.
fn set_deadlines(http1: &mut Http1, mux: &mut Mux, shared: &Shared) {
    let (header_timeout, keep_alive) = {
        let options = http1.options();
        (options.header_timeout, options.keep_alive)
    };
    if !mux.proto.is_in_the_middle() && http1.input.is_empty() {
        http1.deadlines.set(Timer::Head, NEVER);
    } else if http1.deadlines.get(Timer::Head) == NEVER {
        http1.deadlines.set(Timer::Head, shared.deadline(header_timeout));
    }
    if !mux.proto.streams().is_empty() {
        http1.deadlines.set(Timer::End, NEVER);
    } else {
        mux.proto.rest();
        mux.closing = Vec::new();
        if let Some(in_flight) = &mut http1.in_flight {
            in_flight.output.rest();
        }
        if http1.deadlines.get(Timer::End) == NEVER {
            // The first request has as much time as that of HTTP/1.
            let timeout = if mux.proto.has_served() { keep_alive } else { header_timeout };
            http1.deadlines.set(Timer::End, shared.deadline(timeout));
        }
    }
}

// --- streams -------------------------------------------------------------------------------------

/// The session of a new stream; with the refusal of its request, if it has to be refused.
pub(super) fn open(parent: &Http1, opening: &Opening, shared: &Shared) -> Option<(Http1, Option<Reject>)> {
    let mux = parent.in_flight.as_ref()?.role.connection()?;
    let pipe = Pipe::new(&mux.borrow().origin);
    let mut http1 =
        Http1::new(Transport::Stream(Box::new(pipe)), parent.link.peer, shared.now(), Rc::clone(&parent.site));
    http1.phase = Phase::Stream;
    http1.link.writable = false;
    // It has no events of its own.
    http1.link.is_watched = true;
    http1.deadlines = Deadlines::default();
    http1.unlogged = Unlogged::Exchange;
    let mut in_flight: Box<InFlight> = shared.take_spare();
    let now = shared.now();
    in_flight.begin(now);
    in_flight.role = Role::Stream(Rc::clone(mux), opening.stream);
    let limits = parent.options().head;
    let refusal = in_flight.exchange.begin_stream(&opening.text, opening.ends, &limits, now).err();
    http1.in_flight = Some(in_flight);
    Some((http1, refusal))
}

/// One step of a stream. `busy`: a handler is running.
pub(super) fn step_stream(http1: &mut Http1, shared: &Shared, busy: bool) -> Step {
    if busy && http1.waiter.wants(Want::Read) && !http1.input.is_empty() {
        http1.wake();
    }
    touch(http1, shared);
    Step::Park
}

/// Has the connection look at the stream.
fn touch(http1: &Http1, shared: &Shared) {
    let Some(Role::Stream(mux, id)) = http1.in_flight.as_ref().map(|in_flight| &in_flight.role) else { return };
    let mut mux = mux.borrow_mut();
    if let Some(stream) = mux.proto.stream(*id) {
        stream.active = true;
    }
    queue(&mut mux, shared);
}

fn queue(mux: &mut Mux, shared: &Shared) {
    if !std::mem::replace(&mut mux.is_queued, true) {
        shared.ready.borrow_mut().extend(mux.key);
    }
}

/// A stream's session is closed: if its response is not complete, the client is told so. False if it is no stream.
pub(super) fn close_stream(http1: &Http1, shared: &Shared) -> bool {
    let Some(Role::Stream(mux, id)) = http1.in_flight.as_ref().map(|in_flight| &in_flight.role) else { return false };
    let mut mux = mux.borrow_mut();
    mux.proto.reset(*id, Code::Cancel);
    shared.streams.set(shared.streams.get().saturating_sub(1));
    queue(&mut mux, shared);
    true
}

/// What streams need: sessions that have ended must be closed, and a request needs one.
pub(super) fn take_jobs(http1: &Http1) -> (Vec<Key>, Option<Box<Opening>>) {
    let Some(mux) = http1.in_flight.as_ref().and_then(|in_flight| in_flight.role.connection()) else {
        return Default::default();
    };
    let mut mux = mux.borrow_mut();
    (std::mem::take(&mut mux.closing), mux.opening.take())
}

/// A stream's session is open, or could not be opened.
pub(super) fn settle(http1: &Http1, stream: u32, session: Option<Key>) {
    let Some(mux) = http1.in_flight.as_ref().and_then(|in_flight| in_flight.role.connection()) else { return };
    let proto = &mut mux.borrow_mut().proto;
    match proto.stream(stream) {
        Some(stream) if session.is_some() => stream.tenant = session,
        _ => proto.reset(stream, Code::Refused),
    }
}

/// The sessions of a connection's streams.
pub(super) fn tenants(http1: &Http1) -> Vec<Key> {
    let mux = http1.in_flight.as_ref().and_then(|in_flight| in_flight.role.connection());
    mux.map(|mux| mux.borrow().tenants()).unwrap_or_default()
}
