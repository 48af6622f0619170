//! Tasks: futures that the loop runs beside the connections.

use super::slots::{Key, Slots};
use super::wake::{SlotWaker, WakeQueue, Woken};
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(super) type Boxed = Pin<Box<dyn Future<Output = ()>>>;

/// Drops something that belongs to a single connection or task. If panics unwind, one in the drop harms nothing else.
pub(crate) fn drop_contained<T>(value: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(value))).is_err() {
        log::error!("a handler or task panicked as it was dropped");
    }
}

/// The tasks of one loop.
#[derive(Default)]
pub(crate) struct Tasks(RefCell<Slots<Running>>);

struct Running {
    /// `None` while it is being polled.
    future: Option<Boxed>,
    woken: Arc<SlotWaker>,
    waker: Waker,
    /// Who awaits its end.
    awaiting: Option<Waker>,
}

impl Tasks {
    /// Runs a future until it ends or the loop does. Returns its key, unless there are too many.
    pub(super) fn spawn(&self, future: Boxed, wakes: &Arc<WakeQueue>) -> Option<Key> {
        let spawned = self.0.borrow_mut().insert_with(|key| {
            let woken = SlotWaker::new(Woken::Task(key), wakes);
            let waker = Waker::from(Arc::clone(&woken));
            waker.wake_by_ref();
            Ok(Running { future: Some(future), woken, waker, awaiting: None })
        });
        spawned.inspect_err(|error| log::error!("cannot spawn a task: {error}")).ok()
    }

    /// Calls a waker when the task ends.
    pub(super) fn wake_after(&self, key: Key, waker: &Waker) {
        if let Some(task) = self.0.borrow_mut().get_mut(key) {
            task.awaiting = Some(waker.clone());
        }
    }

    /// Drops a task. If it is being polled, it is dropped after that.
    pub(super) fn cancel(&self, key: Key) {
        let task = self.0.borrow_mut().remove(key);
        // Not borrowed here: dropping the future may spawn or cancel another.
        drop_contained(task);
    }

    /// Polls one task if it was woken.
    pub(crate) fn run(&self, key: Key) {
        let (mut future, waker) = {
            let mut tasks = self.0.borrow_mut();
            let Some(task) = tasks.get_mut(key) else { return };
            task.woken.taken();
            if !task.woken.take_woken() {
                return;
            }
            let Some(future) = task.future.take() else { return };
            (future, task.waker.clone())
        };
        // Nothing is borrowed here: a task may spawn others. If panics unwind, one in a task ends no other.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        // Gone from the table: it was cancelled while it was polled.
        if let Ok(Poll::Pending) = polled
            && let Some(task) = self.0.borrow_mut().get_mut(key)
        {
            task.future = Some(future);
            return;
        }
        if polled.is_err() {
            log::error!("a task panicked");
        }
        drop_contained(future);
        let task = self.0.borrow_mut().remove(key);
        if let Some(waker) = task.and_then(|task| task.awaiting) {
            waker.wake();
        }
    }

    /// Drops all tasks, when the loop ends.
    pub(crate) fn drop_all(&self) {
        let tasks = std::mem::take(&mut *self.0.borrow_mut());
        tasks.into_values().for_each(drop_contained);
    }
}
