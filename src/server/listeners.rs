//! Listeners while the server runs: more of them, fewer, or other sites behind them.

use super::endpoints::Listening;
use super::event_loop::EventLoop;
use super::site::Site;
use std::io;
use std::rc::{Rc, Weak};

/// The listeners of a [`Server`](crate::Server), for its tasks and handlers to change while it runs.
#[derive(Clone)]
pub struct Listeners(pub(super) Weak<EventLoop>);

impl Listeners {
    /// Listens on a TCP address for `site`, with its options: see [`Server::bind`](crate::Server::bind).
    ///
    /// # Errors
    /// Those of [`Server::bind`](crate::Server::bind); `NotConnected` when the server stops or is gone.
    pub fn bind<'a>(&self, site: &Site, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<Listening> {
        self.event_loop()?.endpoints().bind(site, ipaddr.into(), port)
    }

    /// Listens like [`bind`](Listeners::bind) for TLS, with the certificates of the site's options.
    ///
    /// # Errors
    /// Those of [`bind`](Listeners::bind); one line naming the file that is missing or wrong, and why.
    #[cfg(feature = "tls")]
    pub fn bind_tls<'a>(&self, site: &Site, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<Listening> {
        self.event_loop()?.endpoints().bind_tls(site, ipaddr.into(), port)
    }

    /// Has a listener, and the connections that it accepted, served by another site from their next request on.
    ///
    /// How the listener's socket was made stays as it is: backlog, keep-alive probes and the like.
    ///
    /// # Errors
    /// For a TLS listener, those of the certificates; then nothing has changed. `NotConnected` when the server is gone.
    pub fn serve(&self, listening: &Listening, site: &Site) -> io::Result<()> {
        self.event_loop()?.endpoints().serve(listening, site)
    }

    /// Listens there no more; connections that were accepted go on.
    pub fn close(&self, listening: Listening) {
        if let Ok(event_loop) = self.event_loop() {
            event_loop.endpoints().close(listening);
        }
    }

    /// Sets how many connections the server has at once: see [`Options::max_connections`](crate::Options::max_connections).
    pub fn max_connections(&self, count: usize) {
        if let Ok(event_loop) = self.event_loop() {
            event_loop.acceptor.fit_to_descriptors(count.max(1));
        }
    }

    fn event_loop(&self) -> io::Result<Rc<EventLoop>> {
        self.0.upgrade().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}
