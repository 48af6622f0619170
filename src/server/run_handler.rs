//! A handler: started for a request, polled each time that it was woken, dropped when it is done.

use super::connection::Connection;
use super::error::IntoOutcome;
use super::http1::Http1;
use super::request::Request;
use super::respond;
use super::shared::Shared;
use crate::rt::{Key, SlotWaker, Woken, drop_contained};
use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The current handler of a listener and its connections; replaced together with
/// [`CurrentOptions`](super::site_options::CurrentOptions).
pub(super) type CurrentHandler = Rc<RefCell<Rc<dyn Handler>>>;

/// A handler that is running for one request. When it is ready, the response is finished.
pub(super) type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A handler of any type.
pub(super) trait Handler {
    fn start(&self, con: Connection, req: Request) -> Running;
}

/// The waker of a session's handlers, as itself and as std's type.
pub(super) struct Wakers {
    pub(super) mark: Arc<SlotWaker>,
    waker: Waker,
}

impl Wakers {
    pub(super) fn new(key: Key, shared: &Shared) -> Wakers {
        let mark = SlotWaker::new(Woken::Conn(key), &shared.runtime.wakes);
        Wakers { waker: Waker::from(Arc::clone(&mark)), mark }
    }

    /// Whether no clone of the waker is left: these two are the only references.
    pub(super) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.mark) == 2
    }
}

/// Polls a running handler if it was woken, and drops it when it is done.
pub(super) fn poll(running: &mut Option<Running>, wakers: &Wakers, http1: &RefCell<Http1>, shared: &Shared) {
    let Some(future) = running else { return };
    if !wakers.mark.take_woken() {
        return;
    }
    let mut cx = Context::from_waker(&wakers.waker);
    // If panics unwind, one in a handler ends its own connection and no other.
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
        Ok(Poll::Pending) => {}
        Ok(Poll::Ready(())) => drop_contained(running.take()),
        Err(_) => {
            drop_contained(running.take());
            respond::finish_panicked(&mut http1.borrow_mut(), shared);
        }
    }
}

/// Erases the type of a handler. The future that it makes also finishes the response.
pub(super) fn erase<H, R>(handler: H) -> Rc<dyn Handler>
where
    H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
    R: IntoOutcome,
{
    struct Boxing<S>(S);

    impl<F: Future<Output = ()> + 'static, S: Fn(Connection, Request) -> F> Handler for Boxing<S> {
        fn start(&self, con: Connection, req: Request) -> Running {
            Box::pin(self.0(con, req))
        }
    }

    let handler = Rc::new(handler);
    Rc::new(Boxing(move |mut con: Connection, mut req: Request| {
        let handler = Rc::clone(&handler);
        async move {
            let outcome = handler(&mut con, &mut req).await.into_outcome();
            con.finish(outcome);
        }
    }))
}
