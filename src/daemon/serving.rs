//! The configuration at work: sites, listeners and logs, made from it and changed with it.

use super::config::{self, Config, Listen};
use super::hosts::Hosts;
use super::log::{self, AccessLog, AccessTarget};
use super::router::Site;
use super::scripts::Scripts;
use super::secure::Secure;
#[cfg(feature = "tls")]
use super::self_signed;
use ecohttpd::{Connection, Listeners, Listening, Options, Request};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Queue of TCP Fast Open requests with `-A`, as uhttpd sets it.
const FAST_OPEN: u32 = 5;
/// Silence before the first keep-alive probe with `-A`, as uhttpd sets it.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// Unanswered probes with `-A`, as uhttpd sets it.
const PROBES: u32 = 3;

/// Why a configuration can't be served, in one line.
pub enum Failure {
    /// It is wrong, or what it names is.
    Wrong(String),
    /// The system refuses an address, or something else that a server needs.
    Refused(String),
}

impl Failure {
    pub fn text(&self) -> &str {
        match self {
            Failure::Wrong(text) | Failure::Refused(text) => text,
        }
    }
}

/// What to do about a listener that can't be had.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Refuse the configuration as a whole.
    Strict,
    /// Serve what can be served, and say what can't: a router must stay within reach.
    Lenient,
}

/// What is served at present.
pub struct Serving {
    listeners: Listeners,
    bound: Vec<Bound>,
    logs: Vec<(AccessTarget, Rc<AccessLog>)>,
}

/// An address of the configuration, and the sockets that it became: two where every address of both families is meant.
struct Bound {
    listen: Listen,
    tls: bool,
    sockets: Vec<Listening>,
}

/// The sites that share an address.
struct Group {
    /// Their places in the configuration; the first is the one for requests that are for none of them.
    members: Vec<usize>,
    site: ecohttpd::Site,
}

/// An address of the configuration, and the group that it is for.
struct Wanted {
    listen: Listen,
    tls: bool,
    group: usize,
}

impl Serving {
    /// Nothing, at first.
    pub fn new(listeners: Listeners) -> Serving {
        Serving { listeners, bound: Vec::new(), logs: Vec::new() }
    }

    /// Takes a configuration over; after an error all is as it was before.
    ///
    /// Listeners that stay keep their sockets; their connections are served by the new sites from their next request on.
    pub fn apply(&mut self, config: &Config, care: Care) -> Result<(), Failure> {
        let logs = self.open_logs(config)?;
        let secures: Vec<Rc<Secure>> = config.sites.iter().map(|site| Rc::new(Secure::new(site))).collect();
        let (groups, mut wanted) = plan(config, &secures, &logs);
        #[cfg(feature = "tls")]
        load_certificates(config, &groups, &mut wanted, care)?;
        let mut fresh = Vec::new();
        if let Err(failure) = self.bind_missing(&groups, &mut wanted, care, &mut fresh) {
            fresh.into_iter().for_each(|bound| self.close(bound));
            return Err(failure);
        }
        self.change_over(&groups, &wanted, fresh);
        self.tell_ports(&groups, &wanted, &secures);
        self.logs = logs;
        self.listeners.max_connections(config.sites.iter().map(|site| site.max_connections).sum());
        Ok(())
    }

    /// The access logs: those that stay go on, opened anew, as rotating them wants it.
    fn open_logs(&self, config: &Config) -> Result<Vec<(AccessTarget, Rc<AccessLog>)>, Failure> {
        let mut logs: Vec<(AccessTarget, Rc<AccessLog>)> = Vec::new();
        for target in config.sites.iter().filter_map(|site| site.access_log.as_ref()) {
            if find_log(&logs, target).is_some() {
                continue;
            }
            let log = match find_log(&self.logs, target) {
                Some(log) => {
                    log.reopen();
                    log
                }
                None => Rc::new(AccessLog::open(target).map_err(|error| Failure::Wrong(error.to_string()))?),
            };
            logs.push((target.clone(), log));
        }
        Ok(logs)
    }

    /// Binds what is not bound yet, into `fresh`; what can't be had is left out of `wanted`, if that is tolerable.
    fn bind_missing(
        &self,
        groups: &[Group],
        wanted: &mut Vec<Wanted>,
        care: Care,
        fresh: &mut Vec<Bound>,
    ) -> Result<(), Failure> {
        let mut failed = None;
        let mut missing = Vec::new();
        for (n, want) in wanted.iter().enumerate() {
            if self.find(want).is_some() {
                continue;
            }
            match self.bind(&groups[want.group].site, want) {
                Ok(sockets) => fresh.push(Bound { listen: want.listen.clone(), tls: want.tls, sockets }),
                Err(error) => {
                    let text = format!("cannot listen on {}: {error}", want.listen);
                    // Another server has it: to serve the rest would hide that.
                    if care == Care::Strict || error.kind() == io::ErrorKind::AddrInUse {
                        return Err(Failure::Refused(text));
                    }
                    log::error!("{text}");
                    failed = Some(text);
                    missing.push(n);
                }
            }
        }
        for n in missing.into_iter().rev() {
            wanted.remove(n);
        }
        match failed {
            Some(text) if wanted.is_empty() => Err(Failure::Refused(text)),
            _ => Ok(()),
        }
    }

    /// Binds one address, or a port on every address of both families.
    fn bind(&self, site: &ecohttpd::Site, want: &Wanted) -> io::Result<Vec<Listening>> {
        let bind = |ip: &str, port| {
            #[cfg(feature = "tls")]
            if want.tls {
                return self.listeners.bind_tls(site, ip, port);
            }
            self.listeners.bind(site, ip, port)
        };
        let port = want.listen.port;
        let Some(ip) = want.listen.ip.as_deref() else {
            let v4 = bind("0.0.0.0", port)?;
            // A system without IPv6 is none the worse for it.
            return Ok(match bind("::", v4.addr().port()) {
                Ok(v6) => vec![v4, v6],
                Err(error) => {
                    log::info!("[::]:{}: {error}", v4.addr().port());
                    vec![v4]
                }
            });
        };
        bind(ip, port).map(|listening| vec![listening])
    }

    fn find(&self, want: &Wanted) -> Option<&Bound> {
        self.bound.iter().find(|bound| bound.is(want))
    }

    /// Has the listeners that stay serve the new sites, and closes those that are not wanted any more.
    fn change_over(&mut self, groups: &[Group], wanted: &[Wanted], fresh: Vec<Bound>) {
        for bound in std::mem::take(&mut self.bound) {
            match wanted.iter().find(|want| bound.is(want)) {
                Some(want) => {
                    for socket in &bound.sockets {
                        // The certificates were loaded before.
                        if let Err(error) = self.listeners.serve(socket, &groups[want.group].site) {
                            log::error!("{}: {error}", bound.listen);
                        }
                    }
                    self.bound.push(bound);
                }
                None => self.close(bound),
            }
        }
        self.bound.extend(fresh);
    }

    fn close(&self, bound: Bound) {
        bound.sockets.into_iter().for_each(|socket| self.listeners.close(socket));
    }

    /// Tells each site where its HTTPS is.
    fn tell_ports(&self, groups: &[Group], wanted: &[Wanted], secures: &[Rc<Secure>]) {
        for want in wanted.iter().filter(|want| want.tls) {
            let Some(socket) = self.find(want).and_then(|bound| bound.sockets.first()) else { continue };
            groups[want.group].members.iter().for_each(|&member| secures[member].found_port(socket.addr().port()));
        }
    }

    /// Where it listens: whether with TLS, and the addresses.
    pub fn addresses(&self) -> impl Iterator<Item = (bool, SocketAddr)> {
        self.bound.iter().flat_map(|bound| bound.sockets.iter().map(|socket| (bound.tls, socket.addr())))
    }
}

impl Bound {
    fn is(&self, want: &Wanted) -> bool {
        self.listen == want.listen && self.tls == want.tls
    }
}

fn find_log(logs: &[(AccessTarget, Rc<AccessLog>)], target: &AccessTarget) -> Option<Rc<AccessLog>> {
    logs.iter().find(|(known, _)| known == target).map(|(_, log)| Rc::clone(log))
}

/// Finds who shares which addresses, and makes a site of the library for each such group.
fn plan(config: &Config, secures: &[Rc<Secure>], logs: &[(AccessTarget, Rc<AccessLog>)]) -> (Vec<Group>, Vec<Wanted>) {
    let sites: Vec<Rc<Site>> = config
        .sites
        .iter()
        .zip(secures)
        .map(|(site, secure)| Rc::new(Site::new(site, Rc::clone(secure), &folder(site))))
        .collect();
    let mut groups: Vec<Group> = Vec::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for (listen, tls) in config.sites.iter().flat_map(listens) {
        // Port 0 is another one each time.
        if listen.port != 0 && wanted.iter().any(|want| want.listen == *listen && want.tls == tls) {
            continue;
        }
        let shares = |n: &usize| listens(&config.sites[*n]).any(|other| other == (listen, tls));
        let mut members: Vec<usize> = (0..config.sites.len()).filter(shares).collect();
        // The one without names first; else their order counts.
        members.sort_by_key(|&n| !config.sites[n].server_names.is_empty());
        let group = groups.iter().position(|group| group.members == members).unwrap_or_else(|| {
            groups.push(make_group(config, &sites, logs, members));
            groups.len() - 1
        });
        wanted.push(Wanted { listen: listen.clone(), tls, group });
    }
    (groups, wanted)
}

fn listens(site: &config::Site) -> impl Iterator<Item = (&Listen, bool)> {
    let plain = site.listen.iter().map(|listen| (listen, false));
    plain.chain(site.tls.listen.iter().map(|listen| (listen, true)))
}

fn make_group(
    config: &Config,
    sites: &[Rc<Site>],
    logs: &[(AccessTarget, Rc<AccessLog>)],
    members: Vec<usize>,
) -> Group {
    let first = &config.sites[members[0]];
    let mut options = connections(first, folder(first));
    #[cfg(feature = "tls")]
    for tls in members.iter().map(|&n| &config.sites[n].tls).filter(|tls| !tls.listen.is_empty()) {
        if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
            options = options.cert_key(cert, key).ciphers(&tls.ciphers);
        }
    }
    if let Some(log) = first.access_log.as_ref().and_then(|target| find_log(logs, target)) {
        options = options.access_log(move |access| log.log(access));
    }
    let hosts = Hosts(members.iter().map(|&n| Rc::clone(&sites[n])).collect());
    let handler = async move |con: &mut Connection, req: &mut Request| hosts.serve(con, req).await;
    Group { members, site: ecohttpd::Site::new(options, handler) }
}

/// How a site's files are served.
fn folder(site: &config::Site) -> Options {
    let scripts = Scripts::new(site);
    Options::new()
        .docroot(&site.docroot)
        .indexes(site.index.iter().filter(|name| !scripts.may_be_script(name)))
        .gzip(!site.no_gzip)
        .follow_symlinks(!site.no_symlinks)
        .dir_listing(!site.no_dirlists)
        .listing_charset(&site.list_charset)
        .world_readable(!site.private_files)
}

/// How connections to a site's listeners are treated.
fn connections(site: &config::Site, options: Options) -> Options {
    let options = options
        .server_header(!site.no_server_header)
        .http_keepalive(site.http_keepalive)
        .header_timeout(site.network_timeout)
        .body_timeout(site.network_timeout)
        .write_timeout(site.network_timeout)
        .freebind(true)
        // As in uhttpd: `0.0.0.0:80` and `[::]:80` are two listeners.
        .ipv6_v6only(true);
    match site.tcp_keepalive {
        Some(interval) => options
            .keepalive(true)
            .tcp_keepidle(PROBE_AFTER)
            .tcp_keepintvl(interval)
            .tcp_keepcnt(PROBES)
            .tcp_fastopen(FAST_OPEN),
        None => options,
    }
}

/// Sees that every TLS listener has its certificate; those that have none are left out of `wanted`, if that is tolerable.
#[cfg(feature = "tls")]
fn load_certificates(config: &Config, groups: &[Group], wanted: &mut Vec<Wanted>, care: Care) -> Result<(), Failure> {
    let mut failed: Vec<usize> = Vec::new();
    for (n, group) in groups.iter().enumerate() {
        if !wanted.iter().any(|want| want.tls && want.group == n) {
            continue;
        }
        let prepared = group.members.iter().try_for_each(|&member| self_signed::prepare(&config.sites[member].tls));
        if let Err(error) = prepared.and_then(|()| group.site.load_certificates()) {
            if care == Care::Strict {
                return Err(Failure::Wrong(error.to_string()));
            }
            log::error!("HTTPS is left out: {error}");
            failed.push(n);
        }
    }
    wanted.retain(|want| !want.tls || !failed.contains(&want.group));
    if wanted.is_empty() {
        return Err(Failure::Wrong("there is nothing but HTTPS, and it can't be served".into()));
    }
    Ok(())
}

/// Loads what a configuration names, as serving it would, without serving it.
pub fn check(config: &Config) -> Result<(), Failure> {
    let secures: Vec<Rc<Secure>> = config.sites.iter().map(|site| Rc::new(Secure::new(site))).collect();
    let (groups, wanted) = plan(config, &secures, &[]);
    for (n, group) in groups.iter().enumerate() {
        // Missing files that are to be made will be.
        let made = group.members.iter().any(|&member| config.sites[member].tls.is_to_be_made());
        if made || !wanted.iter().any(|want| want.tls && want.group == n) {
            continue;
        }
        #[cfg(feature = "tls")]
        group.site.load_certificates().map_err(|error| Failure::Wrong(error.to_string()))?;
    }
    Ok(())
}
