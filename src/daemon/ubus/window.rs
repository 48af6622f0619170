//! Calls of a batch, made concurrently and answered in order.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// The calls in progress, in order.
pub struct Window<F: Future>(Vec<Slot<F>>);

enum Slot<F: Future> {
    Working(Pin<Box<F>>),
    Done(F::Output),
}

impl<F: Future> Default for Window<F> {
    fn default() -> Self {
        Window(Vec::new())
    }
}

impl<F: Future> Window<F> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, work: F) {
        self.0.push(Slot::Working(Box::pin(work)));
    }

    /// Polls all until the first is done. There must be one.
    pub async fn first(&mut self) -> F::Output {
        poll_fn(|cx| {
            self.poll(cx);
            if !matches!(self.0.first(), Some(Slot::Done(_))) {
                return Poll::Pending;
            }
            match self.0.remove(0) {
                Slot::Done(done) => Poll::Ready(done),
                Slot::Working(_) => Poll::Pending,
            }
        })
        .await
    }

    /// Polls all while other work is done.
    pub async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        poll_fn(|cx| {
            self.poll(cx);
            other.as_mut().poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        for slot in &mut self.0 {
            if let Slot::Working(work) = slot
                && let Poll::Ready(done) = work.as_mut().poll(cx)
            {
                *slot = Slot::Done(done);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::task::Waker;

    /// Work that is done when its number is up, and counts how often it was looked at.
    async fn work(number: u32, up: &Cell<u32>, looks: &Cell<u32>) -> u32 {
        poll_fn(|_| {
            looks.set(looks.get() + 1);
            if up.get() >= number { Poll::Ready(number) } else { Poll::Pending }
        })
        .await
    }

    #[test]
    fn in_order_and_all_at_once() {
        let cx = &mut Context::from_waker(Waker::noop());
        let (up, looks) = (Cell::new(0), Cell::new(0));
        let mut window = Window::default();
        [2, 1, 3].iter().for_each(|number| window.push(work(*number, &up, &looks)));
        for (done, expected) in [(0, Poll::Pending), (1, Poll::Pending), (2, Poll::Ready(2)), (2, Poll::Ready(1))] {
            up.set(done);
            assert_eq!(pin!(window.first()).poll(cx), expected, "{done}");
        }
        // Beside something else the last goes on; what is done is looked at no more.
        looks.set(0);
        up.set(3);
        for expected in [1, 1] {
            assert_eq!(pin!(window.beside(std::future::ready("sent"))).poll(cx), Poll::Ready("sent"));
            assert_eq!(looks.get(), expected);
        }
        assert_eq!(pin!(window.first()).poll(cx), Poll::Ready(3));
        assert!(window.is_empty());
    }
}
