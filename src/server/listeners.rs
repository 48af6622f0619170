//! Adds, removes and switches listeners while the server runs.

use super::endpoints::Listening;
use super::event_loop::EventLoop;
use super::site::Site;
use std::io;
use std::rc::{Rc, Weak};

/// The listeners of a [`Server`](crate::Server), to be changed by its tasks and handlers while it runs.
#[derive(Clone)]
pub struct Listeners(pub(super) Weak<EventLoop>);

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

    /// Switches a listener and its connections to another site, from their next request on.
    ///
    /// The socket itself keeps its settings, such as the backlog and keep-alive probes.
    ///
    /// # Errors
    /// Errors of loading certificates, for a TLS listener; nothing has changed then. `NotConnected` if the server is
    /// gone.
    pub fn serve(&self, listening: &Listening, site: &Site) -> io::Result<()> {
        self.event_loop()?.endpoints().serve(listening, site)
    }

    /// Closes a listener; its connections stay open.
    pub fn close(&self, listening: Listening) {
        if let Ok(event_loop) = self.event_loop() {
            event_loop.endpoints().close(listening);
        }
    }

    /// Sets the limit of connections: see [`Options::max_connections`](crate::Options::max_connections).
    pub fn max_connections(&self, count: usize) {
        if let Ok(event_loop) = self.event_loop() {
            event_loop.acceptor.fit_to_descriptors(count.max(1));
        }
    }

    fn event_loop(&self) -> io::Result<Rc<EventLoop>> {
        self.0.upgrade().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
