//! The addresses that the program listens on.
//!
//! A new configuration binds what is new, keeps the sockets that stay, and closes the rest. An address that can't be bound
//! is tried again later.

use super::config::Listen;
use super::exit::ServeError;
use super::flaws::{CANNOT_LISTEN, Flaws};
use super::https_policy::HttpsPolicy;
use super::log;
use ecohttpd::{Listeners, Listening};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// An address of the configuration.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub listen: Listen,
    pub tls: bool,
    /// For port 0, which is a different port each time: the site that it is for, and the position in its list.
    pub owner: Option<(String, usize)>,
}

impl Address {
    /// The beginning of the line about this address if it can't be bound.
    fn cannot_listen(&self) -> String {
        [CANNOT_LISTEN, &self.listen.to_string(), ": "].concat()
    }
}

/// What is served at an address.
#[derive(Clone)]
pub struct SiteTarget {
    pub site: ecohttpd::Site,
    /// The policies that learn the port of HTTPS once it is bound.
    pub policies: Vec<Rc<HttpsPolicy>>,
    /// The folder of the site that answers requests for no other.
    pub folder: PathBuf,
}

/// An address, and what to serve there.
pub struct Wanted {
    pub address: Address,
    pub target: SiteTarget,
}

/// A bound address: two sockets where every address of both families is meant.
struct Bound {
    address: Address,
    target: SiteTarget,
    sockets: Vec<Listening>,
}

/// All bound addresses, and those that can't be bound at present.
pub struct Bindings {
    listeners: Listeners,
    bound: Vec<Bound>,
    missing: Vec<Wanted>,
}

impl Bindings {
    pub fn new(listeners: Listeners) -> Bindings {
        Bindings { listeners, bound: Vec::new(), missing: Vec::new() }
    }

    /// Limits the number of connections.
    pub fn max_connections(&self, count: usize) {
        self.listeners.max_connections(count);
    }

    /// Listens on these addresses and no others; after an error everything is as it was before.
    ///
    /// Listeners that stay keep their sockets; their connections are served by the new site from the next request on.
    pub fn change(&mut self, mut wanted: Vec<Wanted>, flaws: &mut Flaws<'_>) -> Result<(), ServeError> {
        let fresh = self.bind_new(&mut wanted, flaws)?;
        self.change_over(&wanted, fresh);
        for Wanted { address, target } in &wanted {
            if let Some(bound) = find(&self.bound, address) {
                announce(address, target, &bound.sockets);
            }
        }
        Ok(())
    }

    /// Whether some address can't be bound at present.
    pub fn are_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Tries again to bind what is missing: an interface may be up by now, or another server gone. Returns how the
    /// lines of the flaws that no longer apply begin.
    pub fn retry(&mut self) -> Vec<String> {
        let mut recovered = Vec::new();
        for Wanted { address, target } in std::mem::take(&mut self.missing) {
            let Ok(sockets) = self.bind(&target.site, &address) else {
                self.missing.push(Wanted { address, target });
                continue;
            };
            log::info!("now listening on {}", address.listen);
            recovered.push(address.cannot_listen());
            announce(&address, &target, &sockets);
            self.bound.push(Bound { address, target, sockets });
        }
        recovered
    }

    /// Where it listens: whether with TLS, the address, and the folder that is served there.
    pub fn addresses(&self) -> impl Iterator<Item = (bool, SocketAddr, &Path)> {
        self.bound.iter().flat_map(|bound| {
            let (tls, folder) = (bound.address.tls, bound.target.folder.as_path());
            bound.sockets.iter().map(move |socket| (tls, socket.addr(), folder))
        })
    }

    /// Binds what is not bound yet. An address that can't be bound is taken from `wanted`, if that is tolerable.
    fn bind_new(&mut self, wanted: &mut Vec<Wanted>, flaws: &mut Flaws<'_>) -> Result<Vec<Bound>, ServeError> {
        let mut fresh = Vec::new();
        let mut failed = self.bind_each(wanted, &mut fresh);
        // An address may overlap one that is about to be closed, or be the same without TLS.
        let in_way = |bound: &Bound| {
            let goes = wanted.iter().all(|want| want.address != bound.address);
            let old = &bound.address.listen;
            let meets = |address: &Address| address.listen.covers(old) || old.covers(&address.listen);
            goes && failed.iter().any(|(address, error)| error.kind() == ErrorKind::AddrInUse && meets(address))
        };
        let (mut stale, stays): (Vec<_>, Vec<_>) = std::mem::take(&mut self.bound).into_iter().partition(in_way);
        self.bound = stays;
        if !stale.is_empty() {
            stale.iter_mut().for_each(|bound| self.close(bound));
            failed = self.bind_each(wanted, &mut fresh);
        }
        let done = judge(wanted, &failed, flaws);
        if done.is_err() {
            fresh.iter_mut().for_each(|bound| self.close(bound));
            stale.into_iter().for_each(|bound| self.restore(bound));
            return done.map(|()| fresh);
        }
        let is_lost = |want: &mut Wanted| failed.iter().any(|(address, _)| *address == want.address);
        self.missing = wanted.extract_if(.., is_lost).collect();
        Ok(fresh)
    }

    /// Binds those addresses that are not bound; returns those that can't be bound, and why.
    fn bind_each(&self, wanted: &[Wanted], fresh: &mut Vec<Bound>) -> Vec<(Address, io::Error)> {
        let mut failed = Vec::new();
        for Wanted { address, target } in wanted {
            if find(&self.bound, address).or_else(|| find(fresh, address)).is_some() {
                continue;
            }
            match self.bind(&target.site, address) {
                Ok(sockets) => fresh.push(Bound { address: address.clone(), target: target.clone(), sockets }),
                Err(error) => failed.push((address.clone(), error)),
            }
        }
        failed
    }

    /// Binds one address, or a port on every address of both families.
    fn bind(&self, site: &ecohttpd::Site, address: &Address) -> io::Result<Vec<Listening>> {
        let bind = |ip: &str, port| {
            #[cfg(feature = "tls")]
            if address.tls {
                return self.listeners.bind_tls(site, ip, port);
            }
            self.listeners.bind(site, ip, port)
        };
        let port = address.listen.port;
        if let Some(ip) = address.listen.ip.as_deref() {
            return bind(ip, port).map(|listening| vec![listening]);
        }
        let v4 = bind("0.0.0.0", port)?;
        match bind("::", v4.addr().port()) {
            Ok(v6) => Ok(vec![v4, v6]),
            // Otherwise half of the port would be another server's.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                self.listeners.close(v4);
                Err(error)
            }
            // A system without IPv6 is served by IPv4 alone.
            Err(error) => {
                log::info!("[::]:{}: {error}", v4.addr().port());
                Ok(vec![v4])
            }
        }
    }

    /// Switches the listeners that stay to the new sites, and closes those that are no longer wanted.
    fn change_over(&mut self, wanted: &[Wanted], fresh: Vec<Bound>) {
        for mut bound in std::mem::take(&mut self.bound) {
            let Some(Wanted { target, .. }) = wanted.iter().find(|want| want.address == bound.address) else {
                self.close(&mut bound);
                continue;
            };
            bound.target = target.clone();
            for socket in &bound.sockets {
                // The certificates were loaded before.
                if let Err(error) = self.listeners.serve(socket, &bound.target.site) {
                    log::error!("{}: {error}", bound.address.listen);
                }
            }
            self.bound.push(bound);
        }
        self.bound.extend(fresh);
    }

    fn close(&self, bound: &mut Bound) {
        std::mem::take(&mut bound.sockets).into_iter().for_each(|socket| self.listeners.close(socket));
    }

    /// Binds an address again after closing it turned out to be of no use.
    fn restore(&mut self, bound: Bound) {
        let Bound { address, target, .. } = bound;
        match self.bind(&target.site, &address) {
            Ok(sockets) => self.bound.push(Bound { address, target, sockets }),
            Err(error) => {
                log::error!("{}{error}", address.cannot_listen());
                self.missing.push(Wanted { address, target });
            }
        }
    }
}

/// Whether a configuration is served although these addresses can't be bound: not if those are all.
fn judge(wanted: &[Wanted], failed: &[(Address, io::Error)], flaws: &mut Flaws<'_>) -> Result<(), ServeError> {
    let mut last = String::new();
    for (address, error) in failed {
        last = format!("{}{error}", address.cannot_listen());
        flaws.tolerate(ServeError::System(last.clone()))?;
    }
    if failed.len() == wanted.len() { Err(ServeError::System(last)) } else { Ok(()) }
}

/// Tells the sites of a TLS listener where their HTTPS is.
fn announce(address: &Address, target: &SiteTarget, sockets: &[Listening]) {
    if let Some(socket) = sockets.first().filter(|_| address.tls) {
        target.policies.iter().for_each(|policy| policy.found_port(socket.addr().port()));
    }
}

fn find<'a>(bound: &'a [Bound], address: &Address) -> Option<&'a Bound> {
    bound.iter().find(|bound| bound.address == *address)
}
