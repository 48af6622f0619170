//! Calls of a batch that are worked on together, and answered in their order.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// What is being answered, in order.
pub struct Window<F: Future>(VecDeque<Slot<F>>);

enum Slot<F: Future> {
    Working(Pin<Box<F>>),
    Done(F::Output),
}

impl<F: Future> Default for Window<F> {
    fn default() -> Self {
        Window(VecDeque::new())
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
        self.0.push_back(Slot::Working(Box::pin(work)));
    }

    /// Works on all until the first is done; there must be one.
    pub async fn first(&mut self) -> F::Output {
        poll_fn(|cx| {
            self.poll(cx);
            match self.0.pop_front() {
                Some(Slot::Done(done)) => return Poll::Ready(done),
                Some(working) => self.0.push_front(working),
                None => {}
            }
            Poll::Pending
        })
        .await
    }

    /// Works on all while it does something else.
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
