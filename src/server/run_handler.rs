//! A handler: started for a request, polled each time that it was woken, kept for another request when it is done.

use super::connection::Connection;
use super::error::IntoOutcome;
use super::http1::Http1;
use super::request::Request;
use super::respond;
use super::shared::Shared;
use crate::rt::{Key, SlotWaker, Woken, drop_contained};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The current handler of a listener and its connections; replaced together with
/// [`CurrentOptions`](super::site_options::CurrentOptions).
pub(super) type CurrentHandler = Rc<RefCell<Rc<dyn Handler>>>;

/// A handler at work on a request. Its future can start over with another one, which saves an allocation.
pub(super) struct Running {
    future: Pin<Box<dyn Future<Output = ()>>>,
    desk: Rc<Desk>,
}

/// Where the future of a handler gets its requests, and says that one is finished.
struct Desk {
    next: Cell<Option<(Connection, Request)>>,
    is_done: Cell<bool>,
    /// The handler's futures without a request. They are dropped with the handler.
    idle: Weak<RefCell<Vec<Running>>>,
}

/// Futures without a request that a handler keeps: most requests are finished before the next one starts.
const IDLE_FUTURES: usize = 2;

impl Running {
    /// Ready when the response is finished.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // It never ends, but waits for the next request.
        let _ = self.future.as_mut().poll(cx);
        if self.desk.is_done.take() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Keeps a future whose request is finished.
    pub(super) fn recycle(self) {
        let Some(idle) = self.desk.idle.upgrade() else { return };
        if idle.borrow().len() < IDLE_FUTURES {
            idle.borrow_mut().push(self);
        }
    }
}

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

/// Polls a running handler if it was woken, and takes it away when it is done.
pub(super) fn poll(running: &mut Option<Running>, wakers: &Wakers, http1: &RefCell<Http1>, shared: &Shared) {
    let Some(handler) = running else { return };
    if !wakers.mark.take_woken() {
        return;
    }
    let mut cx = Context::from_waker(&wakers.waker);
    // If panics unwind, one in a handler ends its own connection and no other.
    match catch_unwind(AssertUnwindSafe(|| handler.poll(&mut cx))) {
        Ok(Poll::Pending) => {}
        Ok(Poll::Ready(())) => running.take().into_iter().for_each(Running::recycle),
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
    struct Reusing<M> {
        make: M,
        idle: Rc<RefCell<Vec<Running>>>,
    }

    impl<F: Future<Output = ()> + 'static, M: Fn(Rc<Desk>) -> F> Handler for Reusing<M> {
        fn start(&self, con: Connection, req: Request) -> Running {
            let idle = self.idle.borrow_mut().pop();
            let running = idle.unwrap_or_else(|| {
                let (next, is_done) = (Cell::default(), Cell::default());
                let desk = Rc::new(Desk { next, is_done, idle: Rc::downgrade(&self.idle) });
                Running { future: Box::pin((self.make)(Rc::clone(&desk))), desk }
            });
            running.desk.next.set(Some((con, req)));
            running
        }
    }

    let handler = Rc::new(handler);
    let make = move |desk: Rc<Desk>| {
        let handler = Rc::clone(&handler);
        async move {
            loop {
                let (mut con, mut req) = poll_fn(|_| desk.next.take().map_or(Poll::Pending, Poll::Ready)).await;
                let outcome = handler(&mut con, &mut req).await.into_outcome();
                con.finish(outcome);
                desk.is_done.set(true);
            }
        }
    };
    Rc::new(Reusing { make, idle: Rc::default() })
}
