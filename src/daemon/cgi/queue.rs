//! Whose turn it is: so many scripts at once, the others in the order in which they came.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Places for running scripts, and who waits for one.
pub struct Queue {
    places: usize,
    /// How many may wait.
    bound: usize,
    taken: Cell<usize>,
    /// Those that wait, by their numbers.
    waiting: RefCell<VecDeque<(u32, Waker)>>,
    next: Cell<u32>,
}

/// A place, until it is dropped.
pub struct Place(Rc<Queue>);

/// A turn that is waited for; dropped, it leaves the queue.
pub struct Turn {
    queue: Rc<Queue>,
    number: u32,
}

impl Queue {
    pub fn new(places: usize, bound: usize) -> Rc<Queue> {
        let (taken, next) = (Cell::new(0), Cell::new(0));
        Rc::new(Queue { places: places.max(1), bound, taken, waiting: RefCell::default(), next })
    }

    /// A place, now or in turn; `None` when too many wait already.
    pub async fn place(self: &Rc<Self>) -> Option<Place> {
        if self.waiting.borrow().is_empty() && self.is_free() {
            return Some(self.take());
        }
        Some(self.enter()?.await)
    }

    /// Stands at the end of the queue, if there is room.
    fn enter(self: &Rc<Self>) -> Option<Turn> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= self.bound {
            return None;
        }
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        waiting.push_back((number, Waker::noop().clone()));
        drop(waiting);
        Some(Turn { queue: Rc::clone(self), number })
    }

    fn is_free(&self) -> bool {
        self.taken.get() < self.places
    }

    fn take(self: &Rc<Self>) -> Place {
        self.taken.set(self.taken.get() + 1);
        Place(Rc::clone(self))
    }

    /// Tells the first in the queue to look, if it has something to see.
    fn call_first(&self) {
        if self.is_free()
            && let Some((_, first)) = self.waiting.borrow().front()
        {
            first.wake_by_ref();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get().saturating_sub(1));
        self.0.call_first();
    }
}

impl Future for Turn {
    type Output = Place;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Place> {
        let mut waiting = self.queue.waiting.borrow_mut();
        if self.queue.is_free() && waiting.front().is_some_and(|(number, _)| *number == self.number) {
            drop(waiting);
            // The queue is left when `self` is dropped, which is when the next one is called.
            return Poll::Ready(self.queue.take());
        }
        if let Some((_, waker)) = waiting.iter_mut().find(|(number, _)| *number == self.number) {
            waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.waiting.borrow_mut().retain(|(number, _)| *number != self.number);
        self.queue.call_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn is_ready<F: Future>(future: Pin<&mut F>) -> bool {
        poll(future).is_ready()
    }

    #[test]
    fn places_are_given_in_order() {
        let queue = Queue::new(2, 10);
        let Poll::Ready(Some(first)) = poll(pin!(queue.place())) else { panic!("it is free") };
        let Poll::Ready(Some(second)) = poll(pin!(queue.place())) else { panic!("it is free") };
        let (mut third, mut fourth, mut fifth) =
            (Box::pin(queue.place()), Box::pin(queue.place()), Box::pin(queue.place()));
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
        let place = queue.take();
        let mut waits = Box::pin(queue.place());
        assert!(!is_ready(waits.as_mut()));
        drop(place);
        assert!(!is_ready(pin!(queue.place())), "another was here before");
        assert!(is_ready(waits.as_mut()));
        drop(waits);
        assert_eq!((queue.taken.get(), queue.waiting.borrow().len()), (0, 0));
    }

    #[test]
    fn the_queue_has_its_bound() {
        let queue = Queue::new(1, 2);
        let _place = queue.take();
        let mut waiting = [Box::pin(queue.place()), Box::pin(queue.place())];
        assert!(waiting.iter_mut().all(|one| !is_ready(one.as_mut())));
        assert!(matches!(poll(pin!(queue.place())), Poll::Ready(None)));
        drop(waiting);
        assert!(!is_ready(pin!(queue.place())), "there is room again");
    }
}
