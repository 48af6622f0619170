//! The limit of scripts at once. The others wait in order of arrival.

use super::body_file::Taken;
use super::slow_clients::{Slow, SlowClient};
use crate::daemon::counters::{self, Counted};
use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// The fraction of the queue that one client may fill, and how many of its requests may wait at least: a browser has six
/// connections.
const PART: usize = 4;
const PART_MIN: usize = 4;

/// Permits for running scripts, and who waits for one.
///
/// The last permit is for requests whose body is complete: uploads, which may be slow, do not get it.
pub struct Queue {
    permits: usize,
    /// How many may wait.
    bound: usize,
    taken: Cell<usize>,
    /// How many of those are held by uploads.
    uploads: Cell<usize>,
    waiting: RefCell<Vec<QueuedRequest>>,
    slow: Slow,
    next: Cell<u32>,
}

/// Who asks for a permit.
#[derive(Clone, Copy)]
pub struct PermitRequest {
    /// Whose share of the queue it takes. `None`: it has no limit.
    pub client: Option<IpAddr>,
    /// Its body is not complete yet.
    pub upload: bool,
}

/// A request that waits.
struct QueuedRequest {
    number: u32,
    request: PermitRequest,
    waker: Waker,
}

/// The right to run a script, until it is dropped or given up.
pub struct Permit {
    queue: Rc<Queue>,
    upload: bool,
    /// Set once it is given up.
    slow: OnceCell<Rc<SlowClient>>,
    /// The share of the buffer files that its body takes.
    pub body: Option<Taken>,
}

impl Permit {
    /// Gives it up to others while the script waits for its client. Returns false if there are too many such scripts.
    pub fn give_up(&self, client: &Rc<SlowClient>, now: Instant) -> bool {
        if self.slow.get().is_some() || !self.queue.slow.enter(client, now) {
            return false;
        }
        self.queue.free(self.upload);
        self.slow.set(Rc::clone(client)).is_ok()
    }
}

/// Waits for a permit. Dropped, it leaves the queue.
pub struct PermitWait {
    queue: Rc<Queue>,
    number: u32,
}

impl Queue {
    pub fn new(permits: usize, bound: usize) -> Rc<Queue> {
        let (taken, uploads, next) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let (permits, slow) = (permits.max(1), Slow::new(permits));
        Rc::new(Queue { permits, bound, taken, uploads, waiting: RefCell::default(), slow, next })
    }

    /// A permit, at once or in turn; `None` if too many wait.
    pub async fn permit(self: &Rc<Self>, request: PermitRequest) -> Option<Permit> {
        if self.first().is_none() && self.is_free(request.upload) {
            return Some(self.take(request.upload));
        }
        Some(self.enter(request)?.await)
    }

    /// Whether a request of this client would be refused now.
    pub fn is_full(&self, client: Option<IpAddr>) -> bool {
        self.taken.get() >= self.permits && !self.has_room(client)
    }

    fn has_room(&self, client: Option<IpAddr>) -> bool {
        let waiting = self.waiting.borrow();
        let share = (self.bound / PART).max(PART_MIN);
        let own = || waiting.iter().filter(|one| one.request.client == client).count();
        waiting.len() < self.bound && (client.is_none() || own() < share)
    }

    /// Joins the end of the queue, if there is room.
    fn enter(self: &Rc<Self>, request: PermitRequest) -> Option<PermitWait> {
        if !self.has_room(request.client) {
            return None;
        }
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        self.waiting.borrow_mut().push(QueuedRequest { number, request, waker: Waker::noop().clone() });
        counters::add(Counted::ScriptsWaiting);
        Some(PermitWait { queue: Rc::clone(self), number })
    }

    fn is_free(&self, upload: bool) -> bool {
        let last = self.permits > 1 && self.uploads.get() + 1 == self.permits;
        self.taken.get() < self.permits && !(upload && last)
    }

    fn take(self: &Rc<Self>, upload: bool) -> Permit {
        self.taken.set(self.taken.get() + 1);
        self.uploads.set(self.uploads.get() + usize::from(upload));
        counters::add(Counted::ScriptsRunning);
        Permit { queue: Rc::clone(self), upload, slow: OnceCell::new(), body: None }
    }

    fn free(&self, upload: bool) {
        self.taken.set(self.taken.get().saturating_sub(1));
        self.uploads.set(self.uploads.get().saturating_sub(usize::from(upload)));
        self.wake_first();
    }

    /// Whose turn it is, if a permit is free for it: its number and waker.
    fn first(&self) -> Option<(u32, Waker)> {
        let waiting = self.waiting.borrow();
        let first = waiting.iter().find(|one| self.is_free(one.request.upload))?;
        Some((first.number, first.waker.clone()))
    }

    /// Wakes the first in the queue, if a permit is free for it.
    fn wake_first(&self) {
        if let Some((_, first)) = self.first() {
            first.wake();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        counters::subtract(Counted::ScriptsRunning);
        match self.slow.get() {
            Some(client) => self.queue.slow.leave(client),
            None => self.queue.free(self.upload),
        }
    }
}

impl Future for PermitWait {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let is_first = self.queue.first().is_some_and(|(number, _)| number == self.number);
        let mut waiting = self.queue.waiting.borrow_mut();
        let Some(own) = waiting.iter_mut().find(|one| one.number == self.number) else { return Poll::Pending };
        if is_first {
            let upload = own.request.upload;
            drop(waiting);
            // It leaves the queue when `self` is dropped, which wakes the next one.
            return Poll::Ready(self.queue.take(upload));
        }
        own.waker.clone_from(cx.waker());
        Poll::Pending
    }
}

impl Drop for PermitWait {
    fn drop(&mut self) {
        counters::subtract(Counted::ScriptsWaiting);
        self.queue.waiting.borrow_mut().retain(|one| one.number != self.number);
        self.queue.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    const WHOLE: PermitRequest = PermitRequest { client: None, upload: false };

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn is_ready<F: Future>(future: Pin<&mut F>) -> bool {
        poll(future).is_ready()
    }

    #[test]
    fn permits_are_given_in_order() {
        let queue = Queue::new(2, 10);
        let Poll::Ready(Some(first)) = poll(pin!(queue.permit(WHOLE))) else { panic!("it is free") };
        let Poll::Ready(Some(second)) = poll(pin!(queue.permit(WHOLE))) else { panic!("it is free") };
        let (mut third, mut fourth, mut fifth) =
            (Box::pin(queue.permit(WHOLE)), Box::pin(queue.permit(WHOLE)), Box::pin(queue.permit(WHOLE)));
        for waiting in [&mut third, &mut fourth, &mut fifth] {
            assert!(!is_ready(waiting.as_mut()));
        }
        drop(second);
        assert!(!is_ready(fourth.as_mut()), "not its turn");
        let Poll::Ready(Some(_third)) = poll(third.as_mut()) else { panic!("its turn") };
        drop(third);
        assert!(!is_ready(fourth.as_mut()), "all are taken again");
        drop(first);
        // One that leaves makes room for the next.
        drop(fourth);
        let Poll::Ready(Some(_fifth)) = poll(fifth.as_mut()) else { panic!("its turn") };
        assert_eq!(queue.taken.get(), 2);
    }

    #[test]
    fn newcomers_do_not_overtake() {
        let queue = Queue::new(1, 10);
        let place = queue.take(false);
        let mut waits = Box::pin(queue.permit(WHOLE));
        assert!(!is_ready(waits.as_mut()));
        drop(place);
        assert!(!is_ready(pin!(queue.permit(WHOLE))), "another was here before");
        assert!(is_ready(waits.as_mut()));
        drop(waits);
        assert_eq!((queue.taken.get(), queue.waiting.borrow().len()), (0, 0));
    }

    #[test]
    fn the_queue_has_its_bound() {
        let queue = Queue::new(1, 2);
        let _place = queue.take(false);
        let mut waiting = [Box::pin(queue.permit(WHOLE)), Box::pin(queue.permit(WHOLE))];
        assert!(waiting.iter_mut().all(|one| !is_ready(one.as_mut())));
        assert!(matches!(poll(pin!(queue.permit(WHOLE))), Poll::Ready(None)));
        drop(waiting);
        assert!(!is_ready(pin!(queue.permit(WHOLE))), "there is room again");
    }

    #[test]
    fn a_client_has_its_share() {
        let from = |client: &str| PermitRequest { client: client.parse().ok(), upload: false };
        for (bound, share) in [(64, 16), (16, 4), (5, 4), (2, 2)] {
            let queue = Queue::new(1, bound);
            let one = from("192.0.2.1");
            assert!(!queue.is_full(one.client), "it is free");
            let _place = queue.take(false);
            let turns: Vec<PermitWait> = (0..share).map_while(|_| queue.enter(one)).collect();
            assert_eq!(turns.len(), share, "{bound}");
            assert!(queue.is_full(one.client) && queue.enter(one).is_none(), "{bound}");
            let others = [from("192.0.2.2"), from("2001:db8::1"), WHOLE];
            let entered: Vec<PermitWait> = others.iter().map_while(|&other| queue.enter(other)).collect();
            assert_eq!(entered.len(), others.len().min(bound - share), "{bound}");
            drop((turns, entered));
            assert!(!queue.is_full(one.client));
            // Who is bound to no share may have all of it.
            let all: Vec<PermitWait> = std::iter::from_fn(|| queue.enter(WHOLE)).collect();
            assert_eq!(all.len(), bound);
        }
    }

    #[test]
    fn uploads_leave_the_last_place() {
        const UPLOAD: PermitRequest = PermitRequest { client: None, upload: true };
        for (permits, uploads) in [(1, 1), (2, 1), (3, 2)] {
            let queue = Queue::new(permits, 10);
            let mut held: Vec<_> = (0..uploads)
                .map(|_| {
                    let Poll::Ready(Some(place)) = poll(pin!(queue.permit(UPLOAD))) else { panic!("it is free") };
                    place
                })
                .collect();
            let mut next = Box::pin(queue.permit(UPLOAD));
            assert!(!is_ready(next.as_mut()), "{permits}");
            if permits > 1 {
                let Poll::Ready(Some(_whole)) = poll(pin!(queue.permit(WHOLE))) else {
                    panic!("one waits for nothing")
                };
                assert!(!is_ready(pin!(queue.permit(WHOLE))), "all are taken");
                assert!(!is_ready(next.as_mut()), "{permits}");
            }
            held.pop();
            let Poll::Ready(Some(_next)) = poll(next.as_mut()) else { panic!("its turn") };
        }
    }
}
