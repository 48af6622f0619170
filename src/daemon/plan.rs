//! What to serve at each address of a configuration.
//!
//! Sites that share an address become one site of the library, which tells them apart by host.

use super::bind::{Address, SiteTarget, Wanted};
use super::certificates::{self, Usable};
use super::config::{Config, Listen, SiteConfig, seconds};
use super::exit::ServeError;
use super::flaws::Flaws;
use super::https_policy::HttpsPolicy;
use super::log::{AccessLog, AccessTarget};
use super::router::Router;
use super::scripts::Scripts;
use super::status::WatchedSites;
use super::virtual_hosts::VirtualHosts;
use ecohttpd::{Connection, Options, Request};
use std::rc::Rc;
use std::time::Duration;

/// Queue of TCP Fast Open requests with `-A`, as uhttpd sets it.
const FAST_OPEN: u32 = 5;
/// Silence before the first keep-alive probe with `-A`, as uhttpd sets it.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// Unanswered probes with `-A`, as uhttpd sets it.
const PROBES: u32 = 3;

/// The access logs that are open.
pub type Logs = Vec<(AccessTarget, Rc<AccessLog>)>;

/// The addresses of a configuration, and what to serve at each.
pub fn plan(
    config: &Config,
    logs: &Logs,
    watched: &WatchedSites,
    flaws: &mut Flaws<'_>,
) -> Result<Vec<Wanted>, ServeError> {
    let usable = certificates::usable(config, flaws)?;
    let planner = Planner { config, logs, sites: routers(config, watched), usable };
    let mut groups: Vec<(Vec<usize>, SiteTarget)> = Vec::new();
    let mut wanted: Vec<Wanted> = Vec::new();
    for (n, site) in config.sites.iter().enumerate() {
        for (place, (listen, tls)) in listens(site).enumerate() {
            let owner = (listen.port == 0).then(|| (site.name.clone(), place));
            let address = Address { listen: listen.clone(), tls, owner };
            if address.owner.is_none() && wanted.iter().any(|other| other.address == address) {
                continue;
            }
            let members = planner.members(&address, n);
            if tls && !members.iter().any(|&m| planner.usable[m] != Usable::Nothing) {
                continue;
            }
            let known = groups.iter().find(|(others, _)| *others == members).map(|(_, target)| target.clone());
            let target = known.unwrap_or_else(|| {
                let target = planner.target(&members);
                groups.push((members, target.clone()));
                target
            });
            wanted.push(Wanted { address, target });
        }
    }
    if wanted.is_empty() {
        return Err(ServeError::Config("only HTTPS is configured, and it can't be served".into()));
    }
    Ok(wanted)
}

/// The sites of a configuration, ready to be put together.
struct Planner<'a> {
    config: &'a Config,
    logs: &'a Logs,
    sites: Vec<(Rc<Router>, Rc<HttpsPolicy>)>,
    /// Which of each site's certificates can be used.
    usable: Vec<Usable>,
}

fn routers(config: &Config, watched: &WatchedSites) -> Vec<(Rc<Router>, Rc<HttpsPolicy>)> {
    let make = |(n, site)| {
        let policy = Rc::new(HttpsPolicy::new(site));
        let status = (watched.pages(site), watched.tally(n));
        (Rc::new(Router::new(site, Rc::clone(&policy), &folder(config, site), status)), policy)
    };
    config.sites.iter().enumerate().map(make).collect()
}

impl Planner<'_> {
    /// The sites that share an address of the site `n`, by their index. The first answers requests for no other.
    fn members(&self, address: &Address, n: usize) -> Vec<usize> {
        let sites = &self.config.sites;
        let shares = |m: usize| {
            address.owner.is_none() && listens(&sites[m]).any(|other| other == (&address.listen, address.tls))
        };
        let mut members: Vec<usize> = (0..sites.len()).filter(|&m| m == n || shares(m)).collect();
        // The first without names comes first; otherwise they keep their order.
        if let Some(at) = members.iter().position(|&m| sites[m].server_names.is_empty()) {
            members[..=at].rotate_right(1);
        }
        members
    }

    /// One site of the library for all of these.
    fn target(&self, members: &[usize]) -> SiteTarget {
        let first = &self.config.sites[members[0]];
        let mut options = connections(first, folder(self.config, first));
        for &member in members {
            options = certificates::add_to(options, &self.config.sites[member].tls, self.usable[member]);
        }
        if let Some(log) = first.access_log.as_ref().and_then(|target| find_log(self.logs, target)) {
            options = options.access_log(move |access| log.log(access));
        }
        options = self.sites[members[0]].0.tally.add_to(options);
        let hosts = VirtualHosts(members.iter().map(|&member| Rc::clone(&self.sites[member].0)).collect());
        let handler = async move |con: &mut Connection, req: &mut Request| hosts.serve(con, req).await;
        SiteTarget {
            site: ecohttpd::Site::new(options, handler),
            policies: members.iter().map(|&member| Rc::clone(&self.sites[member].1)).collect(),
            folder: first.docroot.clone(),
        }
    }
}

/// The open log of a target.
pub fn find_log(logs: &Logs, target: &AccessTarget) -> Option<Rc<AccessLog>> {
    logs.iter().find(|(known, _)| known == target).map(|(_, log)| Rc::clone(log))
}

fn listens(site: &SiteConfig) -> impl Iterator<Item = (&Listen, bool)> {
    let plain = site.listen.iter().map(|listen| (listen, false));
    plain.chain(site.tls.listen.iter().map(|listen| (listen, true)))
}

/// How a site's files are served.
fn folder(config: &Config, site: &SiteConfig) -> Options {
    let scripts = Scripts::new(site);
    config
        .secrets()
        .fold(Options::new(), Options::withhold)
        .docroot(&site.docroot)
        .indexes(site.index.iter().filter(|name| !scripts.may_be_script(name)))
        .gzip(!site.no_gzip)
        .writes_files(false)
        .follow_symlinks(!site.no_symlinks)
        .dir_listing(!site.no_dirlists)
        .listing_charset(&site.list_charset)
        .world_readable(!site.private_files)
}

/// How connections to a site's listeners are treated.
fn connections(site: &SiteConfig, options: Options) -> Options {
    let options = options
        .server_header(!site.no_server_header)
        .http_keepalive(seconds(site.http_keepalive))
        .header_timeout(seconds(site.network_timeout))
        .body_timeout(seconds(site.network_timeout))
        .write_timeout(seconds(site.send_timeout))
        .freebind(true)
        // In every protocol that is spoken here, the client sends first.
        .tcp_defer_accept(true)
        // As in uhttpd: `0.0.0.0:80` and `[::]:80` are two listeners.
        .ipv6_v6only(true);
    match site.tcp_keepalive {
        0 => options,
        interval => options
            .keepalive(true)
            .tcp_keepidle(PROBE_AFTER)
            .tcp_keepintvl(seconds(interval))
            .tcp_keepcnt(PROBES)
            .tcp_fastopen(FAST_OPEN),
    }
}
