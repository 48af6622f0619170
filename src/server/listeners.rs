//! Adds, removes and switches listeners while the server runs.

use super::endpoints::Listening;
use super::event_loop::EventLoop;
use super::site::Site;
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};

/// The listeners of a [`Server`](crate::Server), with which tasks and handlers change them while it runs.
#[derive(Clone)]
pub struct Listeners(pub(super) Weak<EventLoop>);

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

impl Listeners {
    /// Listens on a TCP address for `site`, with its options: see [`Server::bind`](crate::Server::bind).
    ///
    /// # Errors
    /// Those of [`Server::bind`](crate::Server::bind); `NotConnected` if the server is stopping or gone.
    pub fn bind<'a>(&self, site: &Site, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<Listening> {
        self.event_loop()?.endpoints().bind(site, ipaddr.into(), port)
    }

    /// Listens like [`bind`](Listeners::bind) for TLS, with the certificates of the site's options.
    ///
    /// # Errors
    /// Those of [`bind`](Listeners::bind); one line that names the file and what is wrong with it.
    #[cfg(feature = "tls")]
    pub fn bind_tls<'a>(&self, site: &Site, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<Listening> {
        self.event_loop()?.endpoints().bind_tls(site, ipaddr.into(), port)
    }

    /// Gives another site to a listener and to the connections it has accepted, from their next request on.
    ///
    /// The options of the socket stay: backlog, keep-alive probes and the like.
    ///
    /// # Errors
    /// For a TLS listener, if the certificates can't be loaded; nothing changes then. `NotConnected` if the server is gone.
    pub fn serve(&self, listening: &Listening, site: &Site) -> io::Result<()> {
        let event_loop = self.event_loop()?;
        event_loop.endpoints().serve(listening, site)?;
        // The site may not offer it any more.
        #[cfg(feature = "http2")]
        event_loop.sessions.rouse_http2();
        Ok(())
    }

    /// Stops listening there. Connections that were accepted go on.
    pub fn close(&self, listening: Listening) {
        if let Ok(event_loop) = self.event_loop() {
            event_loop.endpoints().close(listening);
        }
    }

    /// Sets how many connections the server may have at once: see [`Options::max_connections`](crate::Options::max_connections).
    pub fn max_connections(&self, count: usize) {
        if let Ok(event_loop) = self.event_loop() {
            event_loop.acceptor.fit_to_descriptors(count.max(1));
        }
    }

    fn event_loop(&self) -> io::Result<Rc<EventLoop>> {
        self.0.upgrade().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
