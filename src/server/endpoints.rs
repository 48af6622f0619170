//! The listeners of a server, and the site behind each.

use super::run_handler::CurrentHandler;
use super::shared::Shared;
use super::site::Site;
use super::site_options::{CurrentOptions, SiteOptions};
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use crate::net::{Listener, PeerAddr, Transport, parse_ip};
use crate::rt::{Key, Slots, Source};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

/// A listener that was bound.
#[derive(Debug)]
pub struct Listening {
    key: Key,
    addr: SocketAddr,
}

impl Listening {
    /// The address, with the port that the system picked if 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// A listener, and what it serves.
struct Endpoint {
    listener: Listener,
    options: CurrentOptions,
    handler: CurrentHandler,
}

/// An accepted connection without a session.
pub(super) struct Newcomer {
    pub(super) transport: Transport,
    pub(super) peer: PeerAddr,
    pub(super) options: CurrentOptions,
    pub(super) handler: CurrentHandler,
}

/// All listeners of a server.
pub(super) struct Endpoints {
    shared: Rc<Shared>,
    table: RefCell<Slots<Endpoint>>,
    /// The listener that was accepted from last.
    last: Cell<Option<Key>>,
    /// Listeners are not reported.
    paused: Cell<bool>,
}

impl Endpoints {
    pub(super) fn new(shared: Rc<Shared>) -> Endpoints {
        Endpoints { shared, table: RefCell::default(), last: Cell::new(None), paused: Cell::new(false) }
    }

    pub(super) fn bind(&self, site: &Site, ipaddr: Option<&str>, port: u16) -> io::Result<Listening> {
        self.add_tcp(site, tcp(&site.options, ipaddr, port)?)
    }

    #[cfg(feature = "tls")]
    pub(super) fn bind_tls(&self, site: &Site, ipaddr: Option<&str>, port: u16) -> io::Result<Listening> {
        let context = Rc::clone(site.options.tls()?);
        let mut listener = tcp(&site.options, ipaddr, port)?;
        listener.tls = Some(context);
        self.add_tcp(site, listener)
    }

    pub(super) fn bind_unix(&self, site: &Site, path: &Path) -> io::Result<()> {
        self.add(site, Listener::unix(path, &site.options.options.bind)?).map(|_| ())
    }

    fn add_tcp(&self, site: &Site, listener: Listener) -> io::Result<Listening> {
        let addr = listener.local_addr()?;
        Ok(Listening { key: self.add(site, listener)?, addr })
    }

    fn add(&self, site: &Site, listener: Listener) -> io::Result<Key> {
        if self.shared.stopping() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.table.borrow_mut().insert_with(|key| {
            self.shared.runtime.reactor.listen(listener.as_fd(), Source::Listener(key), !self.paused.get())?;
            let options = Rc::new(RefCell::new(Rc::clone(&site.options)));
            let handler = Rc::new(RefCell::new(Rc::clone(&site.handler)));
            Ok(Endpoint { listener, options, handler })
        })
    }

    /// Switches a listener and its connections to another site.
    pub(super) fn serve(&self, listening: &Listening, site: &Site) -> io::Result<()> {
        let mut table = self.table.borrow_mut();
        let Some(endpoint) = table.get_mut(listening.key) else { return Err(io::ErrorKind::NotConnected.into()) };
        #[cfg(feature = "tls")]
        if endpoint.listener.tls.is_some() {
            endpoint.listener.tls = Some(Rc::clone(site.options.tls()?));
        }
        let old =
            (endpoint.options.replace(Rc::clone(&site.options)), endpoint.handler.replace(Rc::clone(&site.handler)));
        drop(table);
        // As in `close`.
        drop(old);
        Ok(())
    }

    pub(super) fn close(&self, listening: Listening) {
        let closed = self.table.borrow_mut().remove(listening.key);
        // Dropped last: a handler may go with it, and may use the listeners in its own drop.
        drop(closed);
    }

    pub(super) fn close_all(&self) {
        let all = self.table.take();
        // As in `close`.
        drop(all);
    }

    /// Records an event of a listener.
    pub(super) fn notice(&self, key: Key) {
        if let Some(endpoint) = self.table.borrow_mut().get_mut(key) {
            endpoint.listener.batch.begin(self.shared.now());
        }
    }

    /// Stops reports about listeners while accepting pauses.
    pub(super) fn pause(&self, pause: bool) {
        self.paused.set(pause);
        for (key, endpoint) in self.table.borrow().iter() {
            let (listener, source) = (endpoint.listener.as_fd(), Source::Listener(key));
            if let Err(error) = self.shared.runtime.reactor.pause_listener(listener, source, pause) {
                log::error!("cannot watch a listener: {error}");
            }
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// A listener where connections may be waiting. Listeners take turns, so that none is starved.
    pub(super) fn next_ready(&self) -> Option<Key> {
        let table = self.table.borrow();
        let ready = || table.iter().filter(|(_, endpoint)| endpoint.listener.batch.is_due()).map(|(key, _)| key);
        let last = self.last.get();
        let next = ready().find(|&key| Some(key) > last).or_else(|| ready().next())?;
        self.last.set(Some(next));
        Some(next)
    }

    /// Accepts one connection.
    ///
    /// # Errors
    /// What accept(2) answers.
    pub(super) fn accept_from(&self, key: Key) -> io::Result<Newcomer> {
        let mut table = self.table.borrow_mut();
        let endpoint = table.get_mut(key).ok_or(io::ErrorKind::WouldBlock)?;
        let accepted = endpoint.listener.accept();
        match &accepted {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => endpoint.listener.batch.end(self.shared.now()),
            _ => endpoint.listener.batch.count(),
        }
        let (transport, peer) = accepted?;
        let (options, handler) = (Rc::clone(&endpoint.options), Rc::clone(&endpoint.handler));
        Ok(Newcomer { transport, peer, options, handler })
    }

    /// Reloads the certificates of all TLS listeners.
    #[cfg(feature = "tls")]
    pub(super) fn reload_tls(&self) {
        let mut done: Vec<Rc<TlsContext>> = Vec::new();
        for (_, endpoint) in self.table.borrow().iter() {
            let Some(tls) = &endpoint.listener.tls else { continue };
            if done.iter().any(|other| Rc::ptr_eq(other, tls)) {
                continue;
            }
            match tls.reload() {
                Ok(()) => log::info!("certificates reloaded"),
                Err(error) => log::error!("certificate reload failed, keeping the old one: {error}"),
            }
            done.push(Rc::clone(tls));
        }
    }
}

fn tcp(site: &SiteOptions, ipaddr: Option<&str>, port: u16) -> io::Result<Listener> {
    let (ip, scope) = match ipaddr {
        Some(text) => {
            let (ip, scope) = parse_ip(text)?;
            (Some(ip), scope)
        }
        None => (None, 0),
    };
    Listener::tcp(ip, scope, port, &site.options.bind)
}
