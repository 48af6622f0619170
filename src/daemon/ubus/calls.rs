//! Calls in flight on one connection to ubusd: their numbers, their answers, and what is given up.

use super::blob::{Attrs, Writer};
use super::message::{self, Message, Status, attr, find, kind, status};
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Calls in flight, of all clients; more wait for one of these to end.
const MAX_LIVE: usize = 512;

/// Bytes that wait for ubusd before further calls wait too: a few of the longest.
const MAX_OUTBOX: usize = 256 << 10;

/// Bytes of all replies that are not yet on their way: a call whose reply does not fit fails.
const MAX_HELD: usize = 4 << 20;

/// Calls that were given up and are not answered yet; their numbers stay taken, and the oldest are forgotten.
const MAX_ABANDONED: usize = 256;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// ubusd cannot be reached, or went away.
    Unreachable,
    /// There is no object of that name.
    NoObject,
    /// The message would be longer than ubusd takes.
    TooLong,
}

/// The answer to one message.
pub struct Reply {
    pub status: Status,
    /// ubusd's answers come without an object, a method's with it.
    pub from_object: bool,
    pub data: Data,
}

/// What came before the status: of a method tables, else messages. Counted as long as it lives.
pub struct Data {
    /// One blob for each.
    bytes: Vec<u8>,
    held: Rc<Cell<usize>>,
}

impl Data {
    /// The fields of each table, or the attributes of each message.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        Attrs::new(&self.bytes).map(|row| row.content)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        self.held.set(self.held.get().saturating_sub(self.bytes.len()));
    }
}

/// The calls of one connection. It knows no socket: bytes to send gather in it, messages are given to it.
#[derive(Default)]
pub struct Calls {
    /// Nothing is to be sent any more.
    closed: bool,
    seq: u16,
    calls: Vec<Call>,
    /// Bytes of the calls' data, and of what has been made of it.
    held: Rc<Cell<usize>>,
    outbox: Vec<u8>,
    writer: Option<Waker>,
    /// Calls that wait until there is room for them.
    waiting: Vec<Waker>,
}

/// A message that is to be answered.
struct Call {
    seq: u16,
    peer: u32,
    kind: u8,
    /// Absent once nobody waits for the answer.
    live: Option<Live>,
}

#[derive(Default)]
struct Live {
    waker: Option<Waker>,
    data: Vec<u8>,
    /// Whether it is answered, and how.
    done: Option<Result<(Status, bool), Failure>>,
}

impl Calls {
    /// Ready when one call more may be made.
    pub fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        let live = self.calls.iter().filter(|call| call.live.is_some()).count();
        if live < MAX_LIVE && self.outbox.len() < MAX_OUTBOX {
            return Poll::Ready(());
        }
        if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn make_room(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Ready with what is to be sent; false when nothing is any more.
    pub fn poll_outbox(&mut self, cx: &Context<'_>, bytes: &mut Vec<u8>) -> Poll<bool> {
        if self.closed {
            return Poll::Ready(false);
        }
        if self.outbox.is_empty() {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut self.outbox, bytes);
        self.make_room();
        Poll::Ready(true)
    }

    /// Has what waits to be sent, sent.
    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Queues a message that is to be answered; returns its number, or nothing when it is too long.
    pub fn send(&mut self, kind: u8, peer: u32, write: &dyn Fn(&mut Writer<'_>)) -> Option<u16> {
        // There are fewer calls than numbers.
        loop {
            self.seq = self.seq.wrapping_add(1);
            if self.calls.iter().all(|call| call.seq != self.seq) {
                break;
            }
        }
        if !message::push(&mut self.outbox, kind, self.seq, peer, write) {
            return None;
        }
        self.calls.push(Call { seq: self.seq, peer, kind, live: Some(Live::default()) });
        self.wake_writer();
        Some(self.seq)
    }

    /// Queues a message whose answer nobody waits for.
    pub fn send_and_forget(&mut self, kind: u8, own: u32) {
        if let Some(seq) = self.send(kind, 0, &|writer| writer.attr_u32(attr::OBJECT, own)) {
            self.abandon(seq);
        }
    }

    /// Answers an event.
    pub fn answer_event(&mut self, event: &Message<'_>, own: u32, status: Status) {
        message::push(&mut self.outbox, kind::STATUS, event.seq, event.peer, &|writer| {
            writer.attr_u32(attr::STATUS, status);
            writer.attr_u32(attr::OBJECT, own);
        });
        self.wake_writer();
    }

    /// Ready with the answer to a call; it is to be asked for no more then.
    pub fn poll_answer(&mut self, seq: u16, cx: &Context<'_>) -> Poll<Result<Reply, Failure>> {
        let Some(at) = self.position(seq) else { return Poll::Ready(Err(Failure::Unreachable)) };
        let Some(live) = self.calls.get_mut(at).and_then(|call| call.live.as_mut()) else {
            return Poll::Ready(Err(Failure::Unreachable));
        };
        let Some(done) = live.done else {
            live.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let data = Data { bytes: std::mem::take(&mut live.data), held: Rc::clone(&self.held) };
        self.calls.remove(at);
        self.make_room();
        Poll::Ready(done.map(|(status, from_object)| Reply { status, from_object, data }))
    }

    /// Sends nothing more.
    pub fn close(&mut self) {
        self.closed = true;
        self.wake_writer();
    }

    /// The connection has ended, and with it all that was in flight.
    pub fn fail_all(&mut self) {
        self.outbox = Vec::new();
        self.calls.retain(|call| call.live.is_some());
        for live in self.calls.iter_mut().filter_map(|call| call.live.as_mut()) {
            live.finish(Err(Failure::Unreachable));
        }
        self.make_room();
    }

    fn position(&self, seq: u16) -> Option<usize> {
        self.calls.iter().position(|call| call.seq == seq)
    }

    pub fn receive_data(&mut self, message: &Message<'_>) {
        let Some(call) = self.calls.iter_mut().find(|call| call.is_answered_by(message)) else { return };
        let Some(live) = &mut call.live else {
            // An object that was made for somebody who has gone.
            if call.kind == kind::ADD_OBJECT
                && let Some(own) = message.u32(attr::OBJECT)
            {
                self.send_and_forget(kind::REMOVE_OBJECT, own);
            }
            return;
        };
        let content = match call.kind {
            kind::INVOKE => message.attr(attr::DATA).map_or(&b""[..], |attr| attr.content),
            _ => message.body,
        };
        let (before, held) = (live.data.len(), &self.held);
        if held.get() + content.len() > MAX_HELD {
            held.set(held.get().saturating_sub(before));
            live.data = Vec::new();
            live.finish(Ok((status::OUT_OF_MEMORY, true)));
            return;
        }
        Writer::new(&mut live.data).attr(0, content);
        held.set(held.get() + live.data.len() - before);
    }

    pub fn receive_status(&mut self, message: &Message<'_>) {
        let Some(at) = self.calls.iter().position(|call| call.is_answered_by(message)) else { return };
        let status = message.u32(attr::STATUS).unwrap_or(status::UNKNOWN);
        let from_object = message.attr(attr::OBJECT).is_some();
        match self.calls.get_mut(at).and_then(|call| call.live.as_mut()) {
            Some(live) => live.finish(Ok((status, from_object))),
            None => drop(self.calls.remove(at)),
        }
    }

    /// Nobody waits for this answer any more.
    pub fn abandon(&mut self, seq: u16) {
        let Some(at) = self.position(seq) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        let kind = call.kind;
        let Some(live) = call.live.take() else { return };
        if live.done.is_some() {
            self.calls.remove(at);
        }
        self.held.set(self.held.get().saturating_sub(live.data.len()));
        // Made, and not yet seen by who asked for it.
        if kind == kind::ADD_OBJECT
            && let Some(own) = Attrs::new(&live.data).find_map(|row| find(row.content, attr::OBJECT)?.u32())
        {
            self.send_and_forget(kind::REMOVE_OBJECT, own);
        }
        let mut abandoned = self.calls.iter().enumerate().filter(|(_, call)| call.live.is_none()).map(|(at, _)| at);
        if let Some(oldest) = abandoned.next()
            && abandoned.count() >= MAX_ABANDONED
        {
            self.calls.remove(oldest);
        }
        self.make_room();
    }
}

impl Call {
    fn is_answered_by(&self, message: &Message<'_>) -> bool {
        self.seq == message.seq
            && self.peer == message.peer
            && self.live.as_ref().is_none_or(|live| live.done.is_none())
    }
}

impl Live {
    fn finish(&mut self, done: Result<(Status, bool), Failure>) {
        if self.done.is_none() {
            self.done = Some(done);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;

    fn waits(state: &mut Calls, kind: u8, peer: u32) -> u16 {
        state.send(kind, peer, &|_| ()).unwrap()
    }

    fn data(seq: u16, peer: u32, write: &dyn Fn(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(message::push(&mut out, kind::DATA, seq, peer, write));
        out
    }

    fn status(seq: u16, peer: u32) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(message::push(&mut out, kind::STATUS, seq, peer, &|w| w.attr_u32(attr::STATUS, 0)));
        out
    }

    fn own(writer: &mut Writer<'_>) {
        writer.attr_u32(attr::OBJECT, 77);
    }

    /// The messages that wait to be sent.
    fn sent(state: &mut Calls) -> Vec<(u8, Option<u32>)> {
        let out = std::mem::take(&mut state.outbox);
        let mut rest = &out[..];
        let mut found = Vec::new();
        while let Some((message, length)) = message::first(rest).unwrap() {
            found.push((message.kind, message.u32(attr::OBJECT)));
            rest = &rest[length..];
        }
        found
    }

    fn receive(calls: &RefCell<Calls>, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((message, length)) = message::first(rest).unwrap() {
            match message.kind {
                kind::DATA => calls.borrow_mut().receive_data(&message),
                kind::STATUS => calls.borrow_mut().receive_status(&message),
                _ => {}
            }
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    fn is_done(calls: &RefCell<Calls>, seq: u16) -> bool {
        let state = calls.borrow();
        state.position(seq).is_some_and(|at| state.calls[at].live.as_ref().is_some_and(|live| live.done.is_some()))
    }

    #[test]
    fn answers_are_matched_by_number_and_peer() {
        let calls = RefCell::new(Calls::default());
        let (one, two) = {
            let state = &mut calls.borrow_mut();
            (waits(state, kind::INVOKE, 5), waits(state, kind::INVOKE, 6))
        };
        for (bytes, name) in
            [(status(one, 6), "another's peer"), (status(one, 0), "no peer"), (status(9, 5), "no call")]
        {
            receive(&calls, &bytes);
            assert!(!is_done(&calls, one) && !is_done(&calls, two), "{name}");
        }
        receive(&calls, &status(two, 6));
        assert!(is_done(&calls, two) && !is_done(&calls, one));
    }

    #[test]
    fn numbers_of_calls_in_flight_are_not_used_again() {
        let calls = RefCell::new(Calls::default());
        let state = &mut calls.borrow_mut();
        let (live, given_up) = (waits(state, kind::INVOKE, 5), waits(state, kind::INVOKE, 5));
        state.abandon(given_up);
        state.seq = live.wrapping_sub(1);
        assert_eq!(waits(state, kind::INVOKE, 5), given_up + 1);
    }

    #[test]
    fn calls_that_were_given_up_are_bounded_and_forgotten() {
        let calls = RefCell::new(Calls::default());
        let state = &mut calls.borrow_mut();
        for _ in 0..MAX_ABANDONED * 2 {
            let seq = waits(state, kind::INVOKE, 5);
            state.abandon(seq);
        }
        assert_eq!(state.calls.len(), MAX_ABANDONED);
        let last = state.seq;
        let bytes = status(last, 5);
        state.receive_status(&message::first(&bytes).unwrap().unwrap().0);
        assert_eq!(state.calls.len(), MAX_ABANDONED - 1);
    }

    /// Whoever asked for an object may leave before, while and after it is made.
    #[test]
    fn an_object_that_nobody_wants_is_removed() {
        for answered in 0..3 {
            let calls = RefCell::new(Calls::default());
            let seq = waits(&mut calls.borrow_mut(), kind::ADD_OBJECT, 0);
            let answers = [data(seq, 0, &own), status(seq, 0)];
            answers[..answered].iter().for_each(|bytes| receive(&calls, bytes));
            calls.borrow_mut().abandon(seq);
            answers[answered..].iter().for_each(|bytes| receive(&calls, bytes));
            let state = &mut calls.borrow_mut();
            assert_eq!(sent(state), [(kind::ADD_OBJECT, None), (kind::REMOVE_OBJECT, Some(77))], "{answered}");
            assert_eq!(state.held.get(), 0);
            assert!(state.position(seq).is_none());
        }
    }

    #[test]
    fn replies_are_bounded_together() {
        let calls = RefCell::new(Calls::default());
        let (one, two) = {
            let state = &mut calls.borrow_mut();
            (waits(state, kind::LOOKUP, 0), waits(state, kind::LOOKUP, 0))
        };
        let half = |seq| data(seq, 0, &|w| w.attr(attr::SIGNATURE, &vec![0; MAX_HELD / 8 - 100]));
        (0..7).for_each(|_| receive(&calls, &half(one)));
        assert!(!is_done(&calls, one) && !is_done(&calls, two));
        (0..2).for_each(|_| receive(&calls, &half(two)));
        assert!(!is_done(&calls, one) && is_done(&calls, two), "the one whose reply does not fit fails");
        let state = &mut calls.borrow_mut();
        state.abandon(one);
        state.abandon(two);
        assert_eq!(state.held.get(), 0);
    }

    proptest! {
        #[test]
        fn hostile_messages(messages in proptest::collection::vec(
            (0_u8..12, 0_u16..4, 0_u32..3, proptest::collection::vec(any::<[u8; 4]>(), 0..10)), 0..12,
        )) {
            let calls = RefCell::new(Calls::default());
            for kind in [kind::INVOKE, kind::LOOKUP, kind::ADD_OBJECT] {
                waits(&mut calls.borrow_mut(), kind, u32::from(kind == kind::INVOKE));
            }
            let mut bytes = Vec::new();
            for (kind, seq, peer, body) in &messages {
                message::push(&mut bytes, *kind, *seq, *peer, &|w| w.raw(body.as_flattened()));
            }
            receive(&calls, &bytes);
            let state = &mut calls.borrow_mut();
            (0..=state.seq).for_each(|seq| state.abandon(seq));
            prop_assert_eq!(state.held.get(), 0);
        }
    }
}
