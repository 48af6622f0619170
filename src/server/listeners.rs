//! Listeners while the server runs: more of them, fewer, or other sites behind them.

use super::core::{Core, Entry};
use super::site::{Place, Profile, Site};
use crate::net::{Listener, parse_ip};
use crate::rt::{Key, Source};
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::{Rc, Weak};

/// The listeners of a [`Server`](crate::Server), with which tasks and handlers change them while it runs.
#[derive(Clone)]
pub struct Listeners(pub(super) Weak<Core>);

/// A listener that was bound.
#[derive(Debug)]
pub struct Listening {
    key: Key,
    addr: SocketAddr,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

impl Listening {
    /// The address that is listened on, with the port that the system picked if it was 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Listeners {
    /// Listens on a TCP address for `site`, with its options: see [`Server::bind`](crate::Server::bind).
    ///
    /// # Errors
    /// Those of [`Server::bind`](crate::Server::bind); `NotConnected` if the server is stopping or gone.
    pub fn bind<'a>(&self, site: &Site, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<Listening> {
        self.core()?.bind(&site.0, ipaddr.into(), port)
    }

    /// Listens like [`bind`](Listeners::bind) for TLS, with the certificates of the site's options.
    ///
    /// # Errors
    /// Those of [`bind`](Listeners::bind); one line naming the file that is missing or wrong, and why.
    #[cfg(feature = "tls")]
    pub fn bind_tls<'a>(&self, site: &Site, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<Listening> {
        self.core()?.bind_tls(&site.0, ipaddr.into(), port)
    }

    /// Gives another site to a listener and to the connections it has accepted, from their next request on.
    ///
    /// The options of the socket stay: backlog, keep-alive probes and the like.
    ///
    /// # Errors
    /// For a TLS listener, if the certificates can't be loaded; nothing changes then. `NotConnected` if the server is gone.
    pub fn serve(&self, listening: &Listening, site: &Site) -> io::Result<()> {
        self.core()?.serve(listening.key, &site.0)
    }

    /// Stops listening there. Connections that were accepted go on.
    pub fn close(&self, listening: Listening) {
        if let Ok(core) = self.core() {
            let closed = core.listeners.borrow_mut().remove(listening.key);
            // Only now: with it may go a handler, and what that does as it goes is its own affair.
            drop(closed);
        }
    }

    /// Sets how many connections the server may have at once: see [`Options::max_connections`](crate::Options::max_connections).
    pub fn max_connections(&self, count: usize) {
        if let Ok(core) = self.core() {
            core.fit_to_descriptors(count.max(1));
        }
    }

    fn core(&self) -> io::Result<Rc<Core>> {
        self.0.upgrade().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Core {
    pub(super) fn bind(&self, site: &Rc<Profile>, ipaddr: Option<&str>, port: u16) -> io::Result<Listening> {
        self.add_tcp(site, tcp(site, ipaddr, port)?)
    }

    #[cfg(feature = "tls")]
    pub(super) fn bind_tls(&self, site: &Rc<Profile>, ipaddr: Option<&str>, port: u16) -> io::Result<Listening> {
        let context = Rc::clone(site.tls()?);
        let mut listener = tcp(site, ipaddr, port)?;
        listener.tls = Some(context);
        self.add_tcp(site, listener)
    }

    pub(super) fn bind_unix(&self, site: &Rc<Profile>, path: &Path) -> io::Result<()> {
        self.add(site, Listener::unix(path, &site.options.bind)?).map(|_| ())
    }

    fn add_tcp(&self, site: &Rc<Profile>, listener: Listener) -> io::Result<Listening> {
        let addr = listener.local_addr()?;
        Ok(Listening { key: self.add(site, listener)?, addr })
    }

    fn add(&self, site: &Rc<Profile>, mut listener: Listener) -> io::Result<Key> {
        if self.stopping() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.listeners.borrow_mut().insert_with(|key| {
            self.runtime.reactor.register(listener.source(), Source::Listener(key))?;
            let place: Place = Rc::new(RefCell::new(Rc::clone(site)));
            Ok(Entry { listener, place })
        })
    }

    fn serve(&self, key: Key, site: &Rc<Profile>) -> io::Result<()> {
        let mut listeners = self.listeners.borrow_mut();
        let Some(entry) = listeners.get_mut(key) else { return Err(io::ErrorKind::NotConnected.into()) };
        #[cfg(feature = "tls")]
        if entry.listener.tls.is_some() {
            entry.listener.tls = Some(Rc::clone(site.tls()?));
        }
        let old = entry.place.replace(Rc::clone(site));
        drop(listeners);
        // As in `close`.
        drop(old);
        Ok(())
    }
}

fn tcp(site: &Profile, ipaddr: Option<&str>, port: u16) -> io::Result<Listener> {
    let (ip, scope) = match ipaddr {
        Some(text) => {
            let (ip, scope) = parse_ip(text)?;
            (Some(ip), scope)
        }
        None => (None, 0),
    };
    Listener::tcp(ip, scope, port, &site.options.bind)
}
