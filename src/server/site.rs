//! What listeners serve: options and a handler.

use super::connection::Connection;
use super::error::IntoOutcome;
use super::options::Options;
use super::request::Request;
use super::slot::{Service, Task};
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::Future;
#[cfg(feature = "tls")]
use std::io;
use std::rc::Rc;

/// What a listener serves: options and a handler.
///
/// A server may have several sites, each with its own listeners. A listener can be given another site while the server runs:
/// see [`Listeners`](crate::Listeners). Only [`max_connections`](Options::max_connections) counts for the whole server.
#[derive(Clone)]
#[must_use = "a site is served once a listener has it"]
pub struct Site(pub(super) Rc<Profile>);

/// The site that a listener and its connections have at present: theirs to look at, the listener's owner's to change.
pub(super) type Place = Rc<RefCell<Rc<Profile>>>;

/// What a [`Site`] is.
pub(crate) struct Profile {
    pub(crate) options: Options,
    pub(super) service: Box<dyn Service>,
    /// The certificates, once they were needed.
    #[cfg(feature = "tls")]
    tls: OnceCell<Rc<TlsContext>>,
    /// State of the layer above: the files that it keeps at hand.
    extension: OnceCell<Rc<dyn Any>>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Site {
    /// Serves each request with `handler`, an async closure or function, as [`Server::new`](crate::Server::new) has it.
    pub fn new<H, R>(options: Options, handler: H) -> Site
    where
        H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
        R: IntoOutcome,
    {
        Site(Rc::new(Profile::new(options, handler)))
    }

    /// Loads the certificates of the options if they are not loaded yet. Binding a TLS listener does so, too.
    ///
    /// # Errors
    /// One line naming the file that is missing or wrong, and why.
    #[cfg(feature = "tls")]
    pub fn load_certificates(&self) -> io::Result<()> {
        self.0.tls().map(|_| ())
    }
}

impl Profile {
    pub(super) fn new<H, R>(options: Options, handler: H) -> Profile
    where
        H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
        R: IntoOutcome,
    {
        Profile {
            options,
            service: service(handler),
            #[cfg(feature = "tls")]
            tls: OnceCell::new(),
            extension: OnceCell::new(),
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> io::Result<&Rc<TlsContext>> {
        if let Some(context) = self.tls.get() {
            return Ok(context);
        }
        let context = Rc::new(TlsContext::new(self.options.tls_files())?);
        Ok(self.tls.get_or_init(|| context))
    }

    /// The upper layer's state, made at the first call. There is one type of it.
    pub(crate) fn extension<T: 'static>(&self, make: impl FnOnce(&Options) -> T) -> Rc<T> {
        let any = Rc::clone(self.extension.get_or_init(|| Rc::new(make(&self.options))));
        any.downcast().unwrap_or_else(|_| unreachable!("one layer stores one type"))
    }
}

/// Gives a handler the shape that slots store: a function that makes a future which also finishes the response.
fn service<H, R>(handler: H) -> Box<dyn Service>
where
    H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
    R: IntoOutcome,
{
    struct Boxing<S>(S);

    impl<F: Future<Output = ()> + 'static, S: Fn(Connection, Request) -> F> Service for Boxing<S> {
        fn start(&self, con: Connection, req: Request) -> Task {
            Box::pin(self.0(con, req))
        }
    }

    let handler = Rc::new(handler);
    Box::new(Boxing(move |mut con: Connection, mut req: Request| {
        let handler = Rc::clone(&handler);
        async move {
            let outcome = handler(&mut con, &mut req).await.into_outcome();
            con.finish(outcome);
        }
    }))
}
