//! Spawning a future on the loop, and the handle of one that runs there.

use super::runtime::Runtime;
use super::slots::Key;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Runs `future` on the loop, beside the connections, and returns its [`Task`].
///
/// The task decides what becomes of the future: **dropping the task cancels it**, [`Task::detach`] lets it run on by
/// itself, and awaiting the task gives the future's output. Whatever still runs when the server ends is dropped.
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

/// A future that the loop runs, started by [`spawn`]. Await it for the future's output.
///
/// Dropping it cancels the future: that is dropped at once, where it waits. [`detach`](Task::detach) lets it run on instead.
///
/// # Panics
/// If the future panicked, so does awaiting it.
#[must_use = "dropping a task cancels it; `detach` lets it run on"]
pub struct Task<T> {
    runtime: Rc<Runtime>,
    /// `None` once it is detached.
    key: Option<Key>,
    /// Shared with the future while that exists: if this is the only owner, the future is gone.
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
            self.runtime.tasks.wake_after(key, cx.waker());
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
            self.runtime.tasks.cancel(key);
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("running", &self.running().is_some()).finish_non_exhaustive()
    }
}
