//! Calls in flight on one connection to ubusd: their numbers and their replies.
//!
//! A reply is identified by its number and its object only, and all access checks have the same object. So a number is not
//! reused before ubusd has replied to it, even if the call was abandoned: until then its reply is owed. If too many are
//! owed the connection is closed, so late replies do not reach the next one.

use super::blob::Writer;
use super::budget::{Common, Data, ReplyBudget};
use super::message::{Message, Status, attr, find, kind, status};
use super::outbox::Outbox;
use super::waiters::Waiters;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Most unanswered calls of all clients. Further ones wait.
const MAX_LIVE: usize = 512;

/// Of these, reserved for calls to ubusd itself, which replies at once, whatever objects do.
const RESERVED: usize = 64;

/// Most unanswered calls of one object: a slow one must not hold up the others.
const MAX_LIVE_OF_OBJECT: usize = 128;

/// Unsent bytes at which further calls wait: a few of the longest calls.
const MAX_OUTBOX: usize = 256 << 10;

/// Most owed replies: a small part of all numbers.
const MAX_OWED: usize = 4 << 10;

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// ubusd cannot be reached, or went away.
    Unreachable,
    /// There is no object of that name.
    NoObject,
    /// The message would be longer than ubusd takes.
    TooLong,
    /// The reply is too long.
    TooMuch,
}

/// Why the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is not needed any more.
    Closed,
    /// Too many replies are owed.
    Overdue,
}

/// The reply to one message.
pub struct Reply {
    pub status: Status,
    /// A method has replied, not ubusd itself: such replies name the object.
    pub from_object: bool,
    pub data: Data,
}

/// The calls of one connection, without its socket: it collects bytes to send, and is given received messages.
#[derive(Default)]
pub struct Calls {
    ending: Option<Ending>,
    seq: u16,
    calls: Vec<PendingCall>,
    /// By number.
    owed: Vec<Ticket>,
    common: Common,
    outbox: Outbox,
    /// The task that moves the bytes.
    mover: Option<Waker>,
    /// Tasks that wait for room for a call.
    waiters: Waiters,
}

/// What identifies a reply, and the kind of message that it replies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket {
    seq: u16,
    peer: u32,
    kind: u8,
}

/// A message whose reply is awaited.
struct PendingCall {
    ticket: Ticket,
    /// The final status has not come yet.
    is_owed: bool,
    waker: Option<Waker>,
    data: Data,
    /// The result, once there is one.
    done: Option<Result<(Status, bool), CallError>>,
}

impl Calls {
    /// A budget for one request.
    pub fn budget(&self) -> Rc<ReplyBudget> {
        self.common.budget()
    }

    /// Ready when there is room for a call of that kind, of that object.
    pub fn poll_room(&mut self, cx: &Context<'_>, kind: u8, peer: u32) -> Poll<()> {
        if self.ending.is_none() && self.outbox.bytes().len() < MAX_OUTBOX && self.has_slot(kind, peer) {
            return Poll::Ready(());
        }
        self.waiters.wait(cx);
        Poll::Pending
    }

    fn has_slot(&self, kind: u8, peer: u32) -> bool {
        let unanswered = || self.calls.iter().filter(|call| call.done.is_none());
        let count = unanswered().count();
        if kind != kind::INVOKE {
            return count < MAX_LIVE;
        }
        count < MAX_LIVE - RESERVED && unanswered().filter(|call| call.ticket.peer == peer).count() < MAX_LIVE_OF_OBJECT
    }

    /// Ready when there is something to send.
    pub fn poll_outbox(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.outbox.bytes().is_empty() {
            return Poll::Ready(());
        }
        self.mover = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The bytes to send.
    pub fn outbox(&self) -> &[u8] {
        self.outbox.bytes()
    }

    /// That many bytes were sent.
    pub fn written(&mut self, count: usize) {
        self.outbox.written(count);
        self.waiters.begin();
    }

    /// Ready when the connection must be closed.
    pub fn poll_ending(&mut self, cx: &Context<'_>) -> Poll<Ending> {
        if let Some(ending) = self.ending {
            return Poll::Ready(ending);
        }
        self.mover = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Has the connection closed.
    pub fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
        self.wake_mover();
    }

    fn wake_mover(&mut self) {
        if let Some(mover) = self.mover.take() {
            mover.wake();
        }
    }

    /// Queues a message that expects a reply. Returns its number; `None` if it is too long.
    pub fn send(
        &mut self,
        kind: u8,
        peer: u32,
        budget: Option<&Rc<ReplyBudget>>,
        write: &dyn Fn(&mut Writer<'_>),
    ) -> Option<u16> {
        let seq = self.next_number()?;
        if !self.outbox.push(Some(seq), kind, seq, peer, write) {
            return None;
        }
        let data = Data::new(budget);
        self.calls.push(PendingCall {
            ticket: Ticket { seq, peer, kind },
            is_owed: true,
            waker: None,
            data,
            done: None,
        });
        self.wake_mover();
        Some(seq)
    }

    /// Has ubusd remove an object of ours, without waiting for the reply.
    pub fn remove_object(&mut self, own: u32) {
        let Some(seq) = self.next_number() else { return };
        let kind = kind::REMOVE_OBJECT;
        if self.outbox.push(None, kind, seq, 0, &|writer| writer.attr_u32(attr::OBJECT, own)) {
            self.owe(Ticket { seq, peer: 0, kind });
            self.wake_mover();
        }
    }

    /// The next number that is neither in use nor owed.
    fn next_number(&mut self) -> Option<u16> {
        let is_free = |seq: &u16| self.position(*seq).is_none() && self.owed_at(*seq).is_err();
        let seq = (1..=u16::MAX).map(|step| self.seq.wrapping_add(step)).find(is_free)?;
        self.seq = seq;
        Some(seq)
    }

    /// Answers an event.
    pub fn answer_event(&mut self, event: &Message<'_>, own: u32, status: Status) {
        self.outbox.push(None, kind::STATUS, event.seq, event.peer, &|writer| {
            writer.attr_u32(attr::STATUS, status);
            writer.attr_u32(attr::OBJECT, own);
        });
        self.wake_mover();
    }

    /// Ready with the reply to a call. It must not be polled again.
    pub fn poll_answer(&mut self, seq: u16, cx: &Context<'_>) -> Poll<Result<Reply, CallError>> {
        let Some(at) = self.position(seq) else { return Poll::Ready(Err(CallError::Unreachable)) };
        if let Some(call) = self.calls.get_mut(at).filter(|call| call.done.is_none()) {
            call.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let PendingCall { data, done, .. } = self.take(at);
        let done = done.unwrap_or(Err(CallError::Unreachable));
        Poll::Ready(done.map(|(status, from_object)| Reply { status, from_object, data }))
    }

    /// Nobody waits for this reply any more.
    pub fn abandon(&mut self, seq: u16) {
        let Some(at) = self.position(seq) else { return };
        let call = self.take(at);
        // It was made, but the caller never learnt of it.
        if call.ticket.kind == kind::ADD_OBJECT
            && let Some(own) = call.data.rows().find_map(|row| find(row, attr::OBJECT)?.u32())
        {
            self.remove_object(own);
        }
        self.waiters.begin();
    }

    /// Removes a call. Its reply is owed, unless it has come or the call was never sent.
    fn take(&mut self, at: usize) -> PendingCall {
        let call = self.calls.swap_remove(at);
        if call.is_owed && !self.outbox.take_back(call.ticket.seq) {
            self.owe(call.ticket);
        }
        call
    }

    fn owe(&mut self, ticket: Ticket) {
        if let Err(at) = self.owed_at(ticket.seq) {
            self.owed.insert(at, ticket);
        }
        if self.owed.len() > MAX_OWED {
            self.end(Ending::Overdue);
        }
    }

    /// The connection has ended, and with it all calls in flight.
    pub fn fail_all(&mut self) {
        self.ending = None;
        self.outbox = Outbox::default();
        self.owed = Vec::new();
        for call in &mut self.calls {
            // Objects made on it are gone.
            if call.ticket.kind == kind::ADD_OBJECT {
                (call.data, call.done) = (Data::default(), None);
            }
            call.is_owed = false;
            call.finish(Err(CallError::Unreachable));
        }
        self.waiters.begin();
    }

    fn position(&self, seq: u16) -> Option<usize> {
        self.calls.iter().position(|call| call.ticket.seq == seq)
    }

    fn owed_at(&self, seq: u16) -> Result<usize, usize> {
        self.owed.binary_search_by_key(&seq, |ticket| ticket.seq)
    }

    /// The owed reply that a message is, if it is one.
    fn owed_to(&self, message: &Message<'_>) -> Option<(usize, Ticket)> {
        let at = self.owed_at(message.seq).ok()?;
        let ticket = self.owed.get(at).filter(|ticket| ticket.is_answered_by(message))?;
        Some((at, *ticket))
    }

    fn call_of(&mut self, message: &Message<'_>) -> Option<&mut PendingCall> {
        self.calls.iter_mut().find(|call| call.is_owed && call.ticket.is_answered_by(message))
    }

    pub fn receive_data(&mut self, message: &Message<'_>) {
        if let Some(call) = self.call_of(message) {
            call.receive(message);
            if call.done.is_some() {
                self.waiters.begin();
            }
        } else if let Some((_, ticket)) = self.owed_to(message)
            && ticket.kind == kind::ADD_OBJECT
            && let Some(own) = message.u32(attr::OBJECT)
        {
            // The caller has left.
            self.remove_object(own);
        }
    }

    pub fn receive_status(&mut self, message: &Message<'_>) {
        let status = message.u32(attr::STATUS).unwrap_or(status::UNKNOWN);
        let from_object = message.attr(attr::OBJECT).is_some();
        if self.call_of(message).is_some() {
            // Before the caller itself is woken, which may make another call.
            self.waiters.begin();
        }
        if let Some(call) = self.call_of(message) {
            call.is_owed = false;
            call.finish(Ok((status, from_object)));
        } else if let Some((at, _)) = self.owed_to(message) {
            self.owed.remove(at);
        }
    }
}

impl Ticket {
    fn is_answered_by(&self, message: &Message<'_>) -> bool {
        (self.seq, self.peer) == (message.seq, message.peer)
    }
}

impl PendingCall {
    fn receive(&mut self, message: &Message<'_>) {
        if self.done.is_none() && !self.data.push(self.ticket.kind, message) {
            self.data = Data::default();
            self.finish(Err(CallError::TooMuch));
        }
    }

    fn finish(&mut self, done: Result<(Status, bool), CallError>) {
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
    use crate::daemon::ubus::budget::MAX_UNCOUNTED;
    use crate::daemon::ubus::message;
    use proptest::prelude::*;

    fn waits(calls: &mut Calls, kind: u8, peer: u32) -> u16 {
        calls.send(kind, peer, None, &|_| ()).unwrap()
    }

    /// Calls, and has it written.
    fn asks(calls: &mut Calls, kind: u8, peer: u32) -> u16 {
        let seq = waits(calls, kind, peer);
        calls.written(usize::MAX);
        seq
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
    fn sent(calls: &mut Calls) -> Vec<(u8, Option<u32>)> {
        let mut rest = calls.outbox();
        let mut found = Vec::new();
        while let Some((message, length)) = message::first(rest).unwrap() {
            found.push((message.kind, message.u32(attr::OBJECT)));
            rest = &rest[length..];
        }
        calls.written(usize::MAX);
        found
    }

    fn receive(calls: &mut Calls, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((message, length)) = message::first(rest).unwrap() {
            match message.kind {
                kind::DATA => calls.receive_data(&message),
                kind::STATUS => calls.receive_status(&message),
                _ => {}
            }
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    fn answer(calls: &mut Calls, seq: u16) -> Poll<Result<Reply, CallError>> {
        calls.poll_answer(seq, &Context::from_waker(Waker::noop()))
    }

    fn is_done(calls: &Calls, seq: u16) -> bool {
        calls.position(seq).is_some_and(|at| calls.calls[at].done.is_some())
    }

    fn has_room(calls: &mut Calls, kind: u8, peer: u32) -> bool {
        calls.poll_room(&Context::from_waker(Waker::noop()), kind, peer).is_ready()
    }

    #[test]
    fn answers_are_matched_by_number_and_peer() {
        let calls = &mut Calls::default();
        let (one, two) = (asks(calls, kind::INVOKE, 5), asks(calls, kind::INVOKE, 6));
        for (bytes, name) in
            [(status(one, 6), "another's peer"), (status(one, 0), "no peer"), (status(9, 5), "no call")]
        {
            receive(calls, &bytes);
            assert!(!is_done(calls, one) && !is_done(calls, two), "{name}");
        }
        receive(calls, &status(two, 6));
        assert!(is_done(calls, two) && !is_done(calls, one));
    }

    /// However often the numbers go round, those that are owed an answer are passed over.
    #[test]
    fn a_number_is_not_used_again_before_it_is_answered() {
        let calls = &mut Calls::default();
        let live = asks(calls, kind::INVOKE, 5);
        let given_up: Vec<_> = (0..1000).map(|_| asks(calls, kind::INVOKE, 5)).collect();
        given_up.iter().for_each(|seq| calls.abandon(*seq));
        for _ in 0..2 * usize::from(u16::MAX) {
            let seq = asks(calls, kind::LOOKUP, 0);
            assert!(seq != live && !given_up.contains(&seq), "{seq}");
            receive(calls, &status(seq, 0));
            assert!(answer(calls, seq).is_ready());
        }
        // Another object's answer, or data alone, frees none; its own does.
        let first = given_up[0];
        for (bytes, is_free) in [(status(first, 6), false), (data(first, 5, &own), false), (status(first, 5), true)] {
            receive(calls, &bytes);
            calls.seq = live;
            let next = asks(calls, kind::INVOKE, 5);
            assert_eq!(next == first, is_free);
            receive(calls, &status(next, 5));
            assert!(answer(calls, next).is_ready());
        }
    }

    /// An answer that is too long fails its call; what is left of it must not become another's.
    #[test]
    fn an_answer_that_is_too_long_stays_owed() {
        let calls = &mut Calls::default();
        let seq = asks(calls, kind::INVOKE, 5);
        let much = data(seq, 5, &|w| w.attr(attr::DATA, &vec![0; MAX_UNCOUNTED + 4]));
        receive(calls, &much);
        assert!(matches!(answer(calls, seq), Poll::Ready(Err(CallError::TooMuch))));
        calls.seq = seq.wrapping_sub(1);
        assert_ne!(asks(calls, kind::INVOKE, 5), seq);
        receive(calls, &[much, status(seq, 5)].concat());
        calls.seq = seq.wrapping_sub(1);
        assert_eq!(asks(calls, kind::INVOKE, 5), seq);
    }

    #[test]
    fn what_was_not_yet_written_is_taken_back() {
        let calls = &mut Calls::default();
        let (one, two) = (waits(calls, kind::INVOKE, 5), waits(calls, kind::INVOKE, 5));
        calls.written(1);
        calls.abandon(one);
        calls.abandon(two);
        assert_eq!(calls.owed, [Ticket { seq: one, peer: 5, kind: kind::INVOKE }]);
        assert_eq!(calls.outbox().len(), 11, "the rest of the first");
    }

    #[test]
    fn too_many_owed_end_the_connection() {
        let calls = &mut Calls::default();
        for _ in 0..=MAX_OWED {
            assert!(calls.ending.is_none() && has_room(calls, kind::INVOKE, 5));
            let seq = asks(calls, kind::INVOKE, 5);
            calls.abandon(seq);
        }
        let live = asks(calls, kind::LOOKUP, 0);
        assert!(!has_room(calls, kind::LOOKUP, 0), "it is about to end");
        let cx = &Context::from_waker(Waker::noop());
        assert_eq!(calls.poll_ending(cx), Poll::Ready(Ending::Overdue));
        calls.fail_all();
        assert!(matches!(answer(calls, live), Poll::Ready(Err(CallError::Unreachable))));
        assert!(calls.poll_ending(cx).is_pending() && has_room(calls, kind::INVOKE, 5) && calls.owed.is_empty());
    }

    #[test]
    fn slow_objects_leave_room_for_others() {
        let calls = &mut Calls::default();
        for peer in 1..=4 {
            while has_room(calls, kind::INVOKE, peer) {
                asks(calls, kind::INVOKE, peer);
            }
            assert_eq!(calls.calls.len(), (MAX_LIVE_OF_OBJECT * peer as usize).min(MAX_LIVE - RESERVED));
        }
        assert!(!has_room(calls, kind::INVOKE, 9) && has_room(calls, kind::LOOKUP, 0));
        // An answered call holds no slot, though nobody has looked yet.
        receive(calls, &status(1, 1));
        assert!(has_room(calls, kind::INVOKE, 9) && has_room(calls, kind::INVOKE, 1));
        while has_room(calls, kind::LOOKUP, 0) {
            asks(calls, kind::LOOKUP, 0);
        }
        assert_eq!(calls.calls.iter().filter(|call| call.done.is_none()).count(), MAX_LIVE);
    }

    /// A client that asked for an object may leave before, while and after it is made.
    #[test]
    fn an_object_that_nobody_wants_is_removed() {
        for answered in 0..3 {
            let calls = &mut Calls::default();
            let seq = asks(calls, kind::ADD_OBJECT, 0);
            let answers = [data(seq, 0, &own), status(seq, 0)];
            answers[..answered].iter().for_each(|bytes| receive(calls, bytes));
            calls.abandon(seq);
            let mut removed = sent(calls);
            // However many others are given up meanwhile.
            for _ in 0..1000 {
                let other = asks(calls, kind::INVOKE, 5);
                calls.abandon(other);
            }
            answers[answered..].iter().for_each(|bytes| receive(calls, bytes));
            removed.extend(sent(calls));
            assert_eq!(removed, [(kind::REMOVE_OBJECT, Some(77))], "{answered}");
            assert!(calls.owed_at(seq).is_err() && calls.position(seq).is_none());
        }
    }

    /// On a connection that has ended nothing is left to be removed.
    #[test]
    fn objects_of_a_connection_that_ended() {
        let calls = &mut Calls::default();
        let seq = asks(calls, kind::ADD_OBJECT, 0);
        receive(calls, &[data(seq, 0, &own), status(seq, 0)].concat());
        calls.fail_all();
        assert!(matches!(answer(calls, seq), Poll::Ready(Err(CallError::Unreachable))));
        assert_eq!(sent(calls), []);
    }

    #[test]
    fn replies_are_counted_as_long_as_they_live() {
        let calls = &mut Calls::default();
        let budget = calls.budget();
        let seq = calls.send(kind::INVOKE, 5, Some(&budget), &|_| ()).unwrap();
        calls.written(usize::MAX);
        let part = |size| data(seq, 5, &|w| w.attr(attr::DATA, &vec![0; size]));
        receive(calls, &[part(100_000), part(100_001), status(seq, 5)].concat());
        assert!(!budget.has_room());
        let Poll::Ready(Ok(reply)) = answer(calls, seq) else { panic!("no answer") };
        assert_eq!(reply.data.fields().len(), 200_004, "one behind the other, each padded");
        drop(reply);
        assert!(budget.has_room());
        for (size, fits) in [(700_000, false), (600_000, true)] {
            let seq = calls.send(kind::INVOKE, 5, Some(&budget), &|_| ()).unwrap();
            calls.written(usize::MAX);
            let part = data(seq, 5, &|w| w.attr(attr::DATA, &vec![0; size]));
            receive(calls, &[&part[..], &part, &status(seq, 5)].concat());
            assert_eq!(matches!(answer(calls, seq), Poll::Ready(Ok(_))), fits);
            assert!(budget.has_room() && calls.owed.is_empty());
        }
    }

    proptest! {
        #[test]
        fn hostile_messages(messages in proptest::collection::vec(
            (0_u8..12, 0_u16..4, 0_u32..3, proptest::collection::vec(any::<[u8; 4]>(), 0..10)), 0..12,
        )) {
            let calls = &mut Calls::default();
            for kind in [kind::INVOKE, kind::LOOKUP, kind::ADD_OBJECT] {
                asks(calls, kind, u32::from(kind == kind::INVOKE));
            }
            let mut bytes = Vec::new();
            for (kind, seq, peer, body) in &messages {
                message::push(&mut bytes, *kind, *seq, *peer, &|w| w.raw(body.as_flattened()));
            }
            receive(calls, &bytes);
            (0..=calls.seq).for_each(|seq| calls.abandon(seq));
            prop_assert!(calls.calls.is_empty());
        }
    }
}
