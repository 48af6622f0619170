//! What a listener serves: options and a handler.

use super::connection::Connection;
use super::error::IntoOutcome;
use super::options::Options;
use super::request::Request;
use super::run_handler::{Handler, erase};
use super::site_options::SiteOptions;
use std::fmt;
#[cfg(feature = "tls")]
use std::io;
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
