//! Tasks: futures that the loop runs beside the connections.

use super::{Key, Runtime, SlotWaker, Slots, Woken};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

/// Runs `future` on the loop, beside the connections. It is dropped when the server ends.
///
/// ```no_run
/// # async fn demo() {
/// let answer = ecohttpd::spawn(async { 42 });
/// // It runs while this does something else.
/// assert_eq!(answer.await, 42);
/// ecohttpd::spawn(async { log::info!("runs for itself") }).detach();
/// # }
/// ```
///
/// # Panics
/// Outside of a handler or task of a running server. [`Server::spawn`](crate::Server::spawn) works before it runs.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    Task::start(&Runtime::current(), Box::pin(future))
}

/// A future that the loop runs, started by [`spawn`]. Awaiting it returns the future's output.
///
/// Dropping the task cancels the future, which is dropped where it waits. [`detach`](Task::detach) lets it run on.
///
/// # Panics
/// If the future panicked, so does awaiting it.
#[must_use = "dropping a task cancels it; `detach` lets it run on"]
pub struct Task<T> {
    runtime: Rc<Runtime>,
    /// `None` once it is detached.
    key: Option<Key>,
    /// Shared with the future as long as that exists: alone, it is the last sign of it.
    output: Rc<Cell<Option<T>>>,
}

impl<T: 'static> Task<T> {
    /// Boxed before it comes here: what follows is compiled for each output, not for each future.
    pub(crate) fn start(runtime: &Rc<Runtime>, future: Pin<Box<dyn Future<Output = T>>>) -> Task<T> {
        let output = Rc::new(Cell::new(None));
        let place = Rc::clone(&output);
        let key = runtime.spawn(Box::pin(async move { place.set(Some(future.await)) }));
        Task { runtime: Rc::clone(runtime), key, output }
    }
}

impl<T> Task<T> {
    /// Lets the future run on, until it ends or the server does.
    pub fn detach(mut self) {
        self.key = None;
    }

    /// The key of the future; `None` if it is gone, for then the key may be that of another.
    fn running(&self) -> Option<Key> {
        self.key.filter(|_| Rc::strong_count(&self.output) > 1)
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(key) = self.running() {
            self.runtime.wake_after(key, cx.waker());
            return Poll::Pending;
        }
        match self.output.take() {
            Some(output) => Poll::Ready(output),
            None => panic!("ecohttpd: the awaited task panicked, or was awaited before"),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(key) = self.running() {
            self.runtime.cancel(key);
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("running", &self.running().is_some()).finish_non_exhaustive()
    }
}

/// Drops what belongs to one connection or task alone. Where panics unwind, one in the drop ends nothing else.
pub(crate) fn drop_contained<T>(value: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(value))).is_err() {
        log::error!("a handler or task panicked as it was dropped");
    }
}

/// The tasks of one loop.
#[derive(Default)]
pub(crate) struct Tasks(RefCell<Slots<Running>>);

struct Running {
    /// Absent while it is being polled.
    future: Option<Boxed>,
    woken: Arc<SlotWaker>,
    waker: Waker,
    /// Who awaits its end.
    awaiting: Option<Waker>,
}

impl Runtime {
    /// Runs a future until it ends or the loop does. Returns its key, unless there are too many.
    pub(crate) fn spawn(&self, future: Boxed) -> Option<Key> {
        let spawned = self.tasks.0.borrow_mut().insert_with(|key| {
            let woken = SlotWaker::new(Woken::Task(key), &self.wakes);
            let waker = Waker::from(Arc::clone(&woken));
            waker.wake_by_ref();
            Ok(Running { future: Some(future), woken, waker, awaiting: None })
        });
        spawned.inspect_err(|error| log::error!("cannot spawn a task: {error}")).ok()
    }

    fn wake_after(&self, key: Key, waker: &Waker) {
        if let Some(task) = self.tasks.0.borrow_mut().get_mut(key) {
            task.awaiting = Some(waker.clone());
        }
    }

    /// Drops a task. If it is being polled, it is dropped after that.
    fn cancel(&self, key: Key) {
        let task = self.tasks.0.borrow_mut().remove(key);
        // Not borrowed here: dropping the future may spawn or cancel another.
        drop_contained(task);
    }

    /// Polls one task if it was woken.
    pub(crate) fn run_task(&self, key: Key) {
        let (mut future, waker) = {
            let mut tasks = self.tasks.0.borrow_mut();
            let Some(task) = tasks.get_mut(key) else { return };
            task.woken.taken();
            if !task.woken.take_woken() {
                return;
            }
            let Some(future) = task.future.take() else { return };
            (future, task.waker.clone())
        };
        // Not borrowed here: a task may spawn another. Where panics unwind, a task's ends no other.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        // Gone from the table: it was cancelled while it was polled.
        if let Ok(Poll::Pending) = polled
            && let Some(task) = self.tasks.0.borrow_mut().get_mut(key)
        {
            task.future = Some(future);
            return;
        }
        if polled.is_err() {
            log::error!("a task panicked");
        }
        drop_contained(future);
        let task = self.tasks.0.borrow_mut().remove(key);
        if let Some(waker) = task.and_then(|task| task.awaiting) {
            waker.wake();
        }
    }

    /// Drops every task: called when the loop ends.
    pub(crate) fn drop_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.0.borrow_mut());
        tasks.into_values().for_each(drop_contained);
    }
}
