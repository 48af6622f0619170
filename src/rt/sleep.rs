//! Waiting for time to pass.

use super::runtime::Runtime;
use super::timers::{Due, TimerId};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Waits for `duration`. Dropping the future cancels the timer.
///
/// The resolution is a millisecond, rounded up.
///
/// # Panics
/// If called outside of a handler or task of a running server.
#[must_use = "futures do nothing unless awaited"]
pub fn sleep(duration: Duration) -> impl Future<Output = ()> {
    let runtime = Runtime::current();
    let when = runtime.deadline_from_now(duration);
    Sleep { runtime, when, armed: None }
}

/// Runs `future` for at most `duration`; `None` if the time is up first. The future is dropped then.
///
/// # Panics
/// If polled outside of a handler or task of a running server.
pub(crate) async fn within<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(duration));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Lets the loop serve others, and is ready in its next turn.
///
/// For a task or handler with much to compute: nothing else runs until it waits for something.
pub async fn yield_now() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

struct Sleep {
    runtime: Rc<Runtime>,
    when: u64,
    armed: Option<TimerId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let runtime = Rc::clone(&self.runtime);
        let mut timers = runtime.timers.borrow_mut();
        if runtime.now() >= self.when {
            if let Some(id) = self.armed.take() {
                timers.remove(id);
            }
            return Poll::Ready(());
        }
        match self.armed {
            Some(id) => timers.rearm(id, cx.waker()),
            None => self.armed = Some(timers.insert(self.when, Due::Wake(cx.waker().clone()))),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.armed {
            self.runtime.timers.borrow_mut().remove(id);
        }
    }
}
