//! What a listener serves: options and a handler.

use super::connection::Connection;
use super::error::IntoOutcome;
use super::options::Options;
use super::request::Request;
use super::site_options::SiteOptions;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
#[cfg(feature = "tls")]
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

/// What a listener serves: options and a handler.
///
/// A server may have several sites, each with its own listeners. A listener can be given another site while the server runs:
/// see [`Listeners`](crate::Listeners). Only [`max_connections`](Options::max_connections) counts for the whole server.
#[derive(Clone)]
#[must_use = "a site is served once a listener has it"]
pub struct Site {
    pub(super) options: Rc<SiteOptions>,
    pub(super) handler: Rc<dyn Handler>,
}

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

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("options", &self.options.options).finish_non_exhaustive()
    }
}

impl Site {
    /// Serves each request with `handler`, an async closure or function, as [`Server::new`](crate::Server::new) has it.
    pub fn new<H, R>(options: Options, handler: H) -> Site
    where
        H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
        R: IntoOutcome,
    {
        Site { options: Rc::new(SiteOptions::new(options)), handler: erase(handler) }
    }

    /// Loads the certificates of the options if they are not loaded yet. Binding a TLS listener does so, too.
    ///
    /// # Errors
    /// One line that names the file and what is wrong with it.
    #[cfg(feature = "tls")]
    pub fn load_certificates(&self) -> io::Result<()> {
        self.options.tls().map(|_| ())
    }
}

/// Erases the type of a handler. The future that it makes also finishes the response.
fn erase<H, R>(handler: H) -> Rc<dyn Handler>
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
