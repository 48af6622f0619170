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

/// Runs `future` on the loop, beside the connections. The server's end drops it.
///
/// ```no_run
/// # async fn demo() {
/// let answer = ecohttpd::spawn(async { 42 });
/// // Runs while we do something else; dropped instead, it would be cancelled.
/// assert_eq!(answer.await, 42);
/// ecohttpd::spawn(async { log::info!("runs for itself") }).detach();
/// # }
/// ```
///
/// # Panics
/// When called outside of a handler or task of a running server ([`Server::spawn`](crate::Server::spawn) works before that).
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    Task::start(&Runtime::current(), future)
}

/// A future that the loop runs, started by [`spawn`]. Awaiting it returns the future's output.
///
/// Dropping it cancels the future: that is dropped where it waits. [`detach`](Task::detach) lets it run on.
///
/// # Panics
/// When awaited after the future has panicked.
#[must_use = "dropping a task cancels it; `detach` lets it run on"]
pub struct Task<T> {
    runtime: Rc<Runtime>,
    /// `None`: nothing is to be cancelled when this is dropped.
    key: Option<Key>,
    ending: Rc<Ending<T>>,
}

/// What becomes of a future, shared by the one who runs it and the one who awaits it.
struct Ending<T> {
    output: Cell<Option<T>>,
    ended: Cell<bool>,
    waiter: Cell<Option<Waker>>,
}

impl<T: 'static> Task<T> {
    pub(crate) fn start(runtime: &Rc<Runtime>, future: impl Future<Output = T> + 'static) -> Task<T> {
        let ending = Rc::new(Ending { output: Cell::new(None), ended: Cell::new(false), waiter: Cell::new(None) });
        let end = EndOnDrop(Rc::clone(&ending));
        let key = runtime.spawn(Box::pin(async move {
            let output = future.await;
            end.0.output.set(Some(output));
            drop(end);
        }));
        Task { runtime: Rc::clone(runtime), key, ending }
    }
}

impl<T> Task<T> {
    /// Lets the future run on, until it ends or the server does.
    pub fn detach(mut self) {
        self.key = None;
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if !self.ending.ended.get() {
            self.ending.waiter.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        match self.ending.output.take() {
            Some(output) => Poll::Ready(output),
            None => panic!("ecohttpd: the awaited task panicked, or was awaited before"),
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.runtime.cancel(key);
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("ended", &self.ending.ended.get()).finish_non_exhaustive()
    }
}

/// Owned by the future that runs: however that ends, whoever awaits it is woken.
struct EndOnDrop<T>(Rc<Ending<T>>);

impl<T> Drop for EndOnDrop<T> {
    fn drop(&mut self) {
        self.0.ended.set(true);
        if let Some(waiter) = self.0.waiter.take() {
            waiter.wake();
        }
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
}

impl Runtime {
    /// Runs a future until it ends or the loop does. Returns its key, unless there are too many.
    pub(crate) fn spawn(&self, future: Boxed) -> Option<Key> {
        let spawned = self.tasks.0.borrow_mut().insert_with(|key| {
            let woken = SlotWaker::new(Woken::Task(key), &self.wakes);
            let waker = Waker::from(Arc::clone(&woken));
            waker.wake_by_ref();
            Ok(Running { future: Some(future), woken, waker })
        });
        spawned.inspect_err(|error| log::error!("cannot spawn a task: {error}")).ok()
    }

    /// Drops a task. One that is being polled is dropped when its poll returns.
    fn cancel(&self, key: Key) {
        let task = self.tasks.0.borrow_mut().remove(key);
        // Not borrowed here: what the future owns may spawn or cancel another.
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
        if let Ok(Poll::Pending) = polled {
            if let Some(task) = self.tasks.0.borrow_mut().get_mut(key) {
                task.future = Some(future);
                return;
            }
            // Cancelled while it was polled.
        }
        if polled.is_err() {
            log::error!("a task panicked");
        }
        drop_contained(future);
        let task = self.tasks.0.borrow_mut().remove(key);
        drop(task);
    }

    /// Drops every task: called when the loop ends.
    pub(crate) fn drop_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.0.borrow_mut());
        tasks.into_values().for_each(drop_contained);
    }
}
