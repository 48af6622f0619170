//! What a listener serves: options and a handler.

use super::connection::Connection;
use super::error::IntoOutcome;
use super::options::Options;
use super::request::Request;
use super::site_options::SiteOptions;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
#[cfg(feature = "tls")]
use std::io;
use std::pin::Pin;
use std::rc::Rc;

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

/// A handler that is running for one request. When it is ready, the response is finished.
pub(super) type Running = Pin<Box<dyn Future<Output = ()>>>;

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
