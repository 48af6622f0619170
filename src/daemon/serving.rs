//! The configuration at work: sites, listeners and logs, made from it and changed with it.

use super::certificates::{self, Usable};
use super::config::{self, Config, Listen};
use super::hosts::Hosts;
use super::log::{self, AccessLog, AccessTarget};
use super::router::Site;
use super::scripts::Scripts;
use super::secure::Secure;
use ecohttpd::{Connection, Listeners, Listening, Options, Request};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
#[cfg(feature = "tls")]
use std::time::SystemTime;

/// Queue of TCP Fast Open requests with `-A`, as uhttpd sets it.
const FAST_OPEN: u32 = 5;
/// Silence before the first keep-alive probe with `-A`, as uhttpd sets it.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// Unanswered probes with `-A`, as uhttpd sets it.
const PROBES: u32 = 3;

/// How long what could not be had is left alone before it is tried again.
pub const RETRY: Duration = Duration::from_secs(5);

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

/// What to do when part of a configuration can't be served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Refuse all of it.
    Strict,
    /// Serve what can be served, and say what can't: a router must stay within reach.
    Lenient,
    /// Refuse all of it, unless that part can't be served at present either.
    AsBefore,
}

/// What is served at present.
pub struct Serving {
    listeners: Listeners,
    bound: Vec<Bound>,
    logs: Logs,
    /// What can't be served, a line each.
    flaws: Vec<String>,
    /// The certificates that are served.
    #[cfg(feature = "tls")]
    secure: Vec<config::Tls>,
    /// Addresses that can't be had, which may change.
    missing: Vec<Missing>,
    /// Somebody tries them again.
    retrying: bool,
}

/// An address that can't be had at present, and what is to be served there.
struct Missing {
    want: Want,
    site: ecohttpd::Site,
    secures: Vec<Rc<Secure>>,
}

/// The access logs that are open.
type Logs = Vec<(AccessTarget, Rc<AccessLog>)>;

/// An address of the configuration, and the sockets that it became: two where every address of both families is meant.
struct Bound {
    want: Want,
    site: ecohttpd::Site,
    /// Who is told the port, should it have to be bound again.
    secures: Vec<Rc<Secure>>,
    sockets: Vec<Listening>,
}

/// An address of the configuration.
#[derive(Clone, PartialEq, Eq)]
struct Want {
    listen: Listen,
    tls: bool,
    /// For port 0, which is another one each time: the site that it is for, and the place in its list.
    owner: Option<(String, usize)>,
}

/// The sites that share an address.
struct Group {
    /// Their places in the configuration; the first is the one for requests that are for none of them.
    members: Vec<usize>,
    site: ecohttpd::Site,
}

/// What is to become of a configuration.
struct Plan {
    groups: Vec<Group>,
    /// Each address, and the place of its group.
    wanted: Vec<(Want, usize)>,
    secures: Vec<Rc<Secure>>,
    logs: Logs,
}

impl Plan {
    /// What the sites of a group know of HTTPS.
    fn secures_of(&self, group: usize) -> Vec<Rc<Secure>> {
        self.groups[group].members.iter().map(|&member| Rc::clone(&self.secures[member])).collect()
    }
}

/// What can't be served, and what is to be done about it.
struct Flaws<'a> {
    care: Care,
    before: &'a [String],
    found: Vec<String>,
}

impl Flaws<'_> {
    /// Passes over a flaw, if that is tolerable.
    fn tolerate(&mut self, flaw: Failure) -> Result<(), Failure> {
        if self.care == Care::AsBefore && !self.is_known(flaw.text()) {
            return Err(flaw);
        }
        self.pass_over(flaw)
    }

    /// Passes over a flaw unless nothing is to be passed over.
    fn pass_over(&mut self, flaw: Failure) -> Result<(), Failure> {
        if self.care == Care::Strict {
            return Err(flaw);
        }
        if !self.is_known(flaw.text()) {
            log::error!("{}", flaw.text());
        }
        self.found.push(flaw.text().to_owned());
        Ok(())
    }

    fn is_known(&self, flaw: &str) -> bool {
        self.before.iter().any(|before| key(before) == key(flaw))
    }
}

/// What stays the same of a flaw's line when the file changes elsewhere: not the line's number, nor that of a section
/// without a name, nor why the system refuses an address.
fn key(flaw: &str) -> String {
    if let Some(rest) = flaw.strip_prefix(CANNOT_LISTEN) {
        return rest.split(": ").next().unwrap_or(rest).to_owned();
    }
    let is_line = |place: &str| {
        place.rsplit_once(':').is_some_and(|(_, line)| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()))
    };
    let text = flaw.split_once(": ").filter(|(place, _)| is_line(place)).map_or(flaw, |(_, text)| text);
    match text.split_once("@uhttpd[") {
        Some((before, rest)) => [before, rest.split_once(']').map_or(rest, |(_, after)| after)].concat(),
        None => text.to_owned(),
    }
}

/// How a line about an address begins that can't be had.
const CANNOT_LISTEN: &str = "cannot listen on ";

impl Serving {
    /// Nothing, at first.
    pub fn new(listeners: Listeners) -> Serving {
        Serving {
            listeners,
            bound: Vec::new(),
            logs: Vec::new(),
            flaws: Vec::new(),
            #[cfg(feature = "tls")]
            secure: Vec::new(),
            missing: Vec::new(),
            retrying: false,
        }
    }

    /// Takes a configuration over; after an error all is as it was before.
    ///
    /// Listeners that stay keep their sockets; their connections are served by the new sites from their next request on.
    pub fn apply(&mut self, config: &Config, care: Care) -> Result<(), Failure> {
        let before = std::mem::take(&mut self.flaws);
        let mut flaws = Flaws { care, before: &before, found: Vec::new() };
        let applied = self.try_apply(config, &mut flaws);
        self.flaws = if applied.is_ok() { flaws.found } else { before };
        applied
    }

    fn try_apply(&mut self, config: &Config, flaws: &mut Flaws<'_>) -> Result<(), Failure> {
        for problem in config::problems(config) {
            flaws.tolerate(Failure::Wrong(problem))?;
        }
        // They must not hold up a renewed certificate.
        for absence in config::absences(config) {
            flaws.pass_over(Failure::Wrong(absence))?;
        }
        let logs = self.open_logs(config, flaws)?;
        let mut plan = plan(config, logs, flaws)?;
        let fresh = self.bind_missing(&mut plan, flaws)?;
        self.change_over(&plan, fresh);
        self.tell_ports(&plan);
        self.logs = plan.logs;
        #[cfg(feature = "tls")]
        {
            let secure = config.sites.iter().map(|site| &site.tls).filter(|tls| !tls.listen.is_empty());
            self.secure = secure.cloned().collect();
            self.look_after_certificates(true);
        }
        self.listeners.max_connections(config.sites.iter().map(|site| site.max_connections).sum());
        Ok(())
    }

    /// Renews our own certificates where they need it, and, if it is to, says which others clients refuse. True: any was
    /// renewed, and is to be loaded.
    #[cfg(feature = "tls")]
    pub fn look_after_certificates(&self, say: bool) -> bool {
        certificates::look_after(&self.secure, SystemTime::now(), say)
    }

    /// Whether somebody is to call [`retry`](Serving::retry) now and then, until it says that nothing is missing.
    pub fn wants_retries(&mut self) -> bool {
        !self.missing.is_empty() && !std::mem::replace(&mut self.retrying, true)
    }

    /// Tries again to listen where it could not: an interface may be up by now, or another server gone. True: some is missing.
    pub fn retry(&mut self) -> bool {
        for missing in std::mem::take(&mut self.missing) {
            let Ok(sockets) = self.bind(&missing.site, &missing.want) else {
                self.missing.push(missing);
                continue;
            };
            let Missing { want, site, secures } = missing;
            log::info!("listening on {} now", want.listen);
            let flaw = cannot_listen(&want);
            self.flaws.retain(|text| !text.starts_with(&flaw));
            if let Some(port) = sockets.first().filter(|_| want.tls).map(|socket| socket.addr().port()) {
                secures.iter().for_each(|secure| secure.found_port(port));
            }
            self.bound.push(Bound { want, site, secures, sockets });
        }
        self.retrying = !self.missing.is_empty();
        self.retrying
    }

    /// The access logs: those that stay go on, opened anew, as rotating them wants it.
    fn open_logs(&self, config: &Config, flaws: &mut Flaws<'_>) -> Result<Logs, Failure> {
        let mut logs: Logs = Vec::new();
        for target in config.sites.iter().filter_map(|site| site.access_log.as_ref()) {
            if find_log(&logs, target).is_some() {
                continue;
            }
            let log = match find_log(&self.logs, target) {
                Some(log) => {
                    log.reopen();
                    log
                }
                None => match AccessLog::open(target) {
                    Ok(log) => Rc::new(log),
                    Err(error) => {
                        flaws.tolerate(Failure::Wrong(error.to_string()))?;
                        continue;
                    }
                },
            };
            logs.push((target.clone(), log));
        }
        Ok(logs)
    }

    /// Binds what is not bound yet; what can't be had is left out of the plan, if that is tolerable.
    fn bind_missing(&mut self, plan: &mut Plan, flaws: &mut Flaws<'_>) -> Result<Vec<Bound>, Failure> {
        let mut fresh = Vec::new();
        let mut failed = self.bind_each(plan, &mut fresh);
        // An address may be within one that goes, or the same without TLS.
        let in_way = |bound: &Bound| {
            let goes = plan.wanted.iter().all(|(want, _)| *want != bound.want);
            let meets = |want: &Want| want.listen.covers(&bound.want.listen) || bound.want.listen.covers(&want.listen);
            goes && failed.iter().any(|(want, error)| error.kind() == ErrorKind::AddrInUse && meets(want))
        };
        let (mut stale, stays): (Vec<_>, Vec<_>) = std::mem::take(&mut self.bound).into_iter().partition(in_way);
        self.bound = stays;
        if !stale.is_empty() {
            stale.iter_mut().for_each(|bound| self.close(bound));
            failed = self.bind_each(plan, &mut fresh);
        }
        let mut done = Ok(());
        for (want, error) in &failed {
            let text = format!("{}{error}", cannot_listen(want));
            done = done.and_then(|()| flaws.tolerate(Failure::Refused(text)));
        }
        let (lost, kept) = std::mem::take(&mut plan.wanted)
            .into_iter()
            .partition::<Vec<_>, _>(|(want, _)| failed.iter().any(|(other, _)| other == want));
        plan.wanted = kept;
        if done.is_ok() && plan.wanted.is_empty() {
            let text = flaws.found.pop().unwrap_or_else(|| "there is no address to listen on".into());
            done = Err(Failure::Refused(text));
        }
        match done {
            Ok(()) => {
                let missing = |(want, group): (Want, usize)| Missing {
                    want,
                    site: plan.groups[group].site.clone(),
                    secures: plan.secures_of(group),
                };
                self.missing = lost.into_iter().map(missing).collect();
                Ok(fresh)
            }
            Err(failure) => {
                fresh.iter_mut().for_each(|bound| self.close(bound));
                stale.into_iter().for_each(|bound| self.restore(bound));
                Err(failure)
            }
        }
    }

    /// Binds those addresses of the plan that are not bound; returns those that can't be had, and why.
    fn bind_each(&self, plan: &Plan, fresh: &mut Vec<Bound>) -> Vec<(Want, io::Error)> {
        let mut failed = Vec::new();
        for (want, group) in &plan.wanted {
            if find(&self.bound, want).or_else(|| find(fresh, want)).is_some() {
                continue;
            }
            let site = plan.groups[*group].site.clone();
            match self.bind(&site, want) {
                Ok(sockets) => {
                    let secures = plan.secures_of(*group);
                    fresh.push(Bound { want: want.clone(), site, secures, sockets });
                }
                Err(error) => failed.push((want.clone(), error)),
            }
        }
        failed
    }

    /// Binds one address, or a port on every address of both families.
    fn bind(&self, site: &ecohttpd::Site, want: &Want) -> io::Result<Vec<Listening>> {
        let bind = |ip: &str, port| {
            #[cfg(feature = "tls")]
            if want.tls {
                return self.listeners.bind_tls(site, ip, port);
            }
            self.listeners.bind(site, ip, port)
        };
        let port = want.listen.port;
        if let Some(ip) = want.listen.ip.as_deref() {
            return bind(ip, port).map(|listening| vec![listening]);
        }
        let v4 = bind("0.0.0.0", port)?;
        match bind("::", v4.addr().port()) {
            Ok(v6) => Ok(vec![v4, v6]),
            // Half of the port would be another server's.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                self.listeners.close(v4);
                Err(error)
            }
            // A system without IPv6 is none the worse for it.
            Err(error) => {
                log::info!("[::]:{}: {error}", v4.addr().port());
                Ok(vec![v4])
            }
        }
    }

    /// Has the listeners that stay serve the new sites, and closes those that are not wanted any more.
    fn change_over(&mut self, plan: &Plan, fresh: Vec<Bound>) {
        for mut bound in std::mem::take(&mut self.bound) {
            let Some((_, group)) = plan.wanted.iter().find(|(want, _)| *want == bound.want) else {
                self.close(&mut bound);
                continue;
            };
            bound.site = plan.groups[*group].site.clone();
            bound.secures = plan.secures_of(*group);
            for socket in &bound.sockets {
                // The certificates were loaded before.
                if let Err(error) = self.listeners.serve(socket, &bound.site) {
                    log::error!("{}: {error}", bound.want.listen);
                }
            }
            self.bound.push(bound);
        }
        self.bound.extend(fresh);
    }

    fn close(&self, bound: &mut Bound) {
        std::mem::take(&mut bound.sockets).into_iter().for_each(|socket| self.listeners.close(socket));
    }

    /// Listens again where it was given up in vain.
    fn restore(&mut self, mut bound: Bound) {
        match self.bind(&bound.site, &bound.want) {
            Ok(sockets) => {
                bound.sockets = sockets;
                self.bound.push(bound);
            }
            Err(error) => {
                log::error!("{}{error}", cannot_listen(&bound.want));
                self.missing.push(Missing { want: bound.want, site: bound.site, secures: bound.secures });
            }
        }
    }

    /// Tells each site where its HTTPS is.
    fn tell_ports(&self, plan: &Plan) {
        for (want, group) in plan.wanted.iter().filter(|(want, _)| want.tls) {
            let Some(socket) = find(&self.bound, want).and_then(|bound| bound.sockets.first()) else { continue };
            let port = socket.addr().port();
            plan.groups[*group].members.iter().for_each(|&member| plan.secures[member].found_port(port));
        }
    }

    /// Where it listens: whether with TLS, the address, and the folder of the site that it is for first of all.
    pub fn addresses<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = (bool, SocketAddr, &'a Path)> {
        self.bound.iter().flat_map(move |bound| {
            let Want { listen, tls, owner } = &bound.want;
            let is_for = |site: &&config::Site| {
                owner.as_ref().is_none_or(|(owner, _)| *owner == site.name)
                    && listens(site).any(|other| other == (listen, *tls))
            };
            let sites = config.sites.iter().filter(is_for);
            let first = sites.min_by_key(|site| !site.server_names.is_empty());
            let folder = first.map_or(Path::new(""), |site| site.docroot.as_path());
            bound.sockets.iter().map(move |socket| (*tls, socket.addr(), folder))
        })
    }
}

/// How the line about such an address begins.
fn cannot_listen(want: &Want) -> String {
    format!("{CANNOT_LISTEN}{}: ", want.listen)
}

fn find<'a>(bound: &'a [Bound], want: &Want) -> Option<&'a Bound> {
    bound.iter().find(|bound| bound.want == *want)
}

fn find_log(logs: &Logs, target: &AccessTarget) -> Option<Rc<AccessLog>> {
    logs.iter().find(|(known, _)| known == target).map(|(_, log)| Rc::clone(log))
}

/// Finds who shares which addresses, and makes a site of the library for each such group.
fn plan(config: &Config, logs: Logs, flaws: &mut Flaws<'_>) -> Result<Plan, Failure> {
    let secures: Vec<Rc<Secure>> = config.sites.iter().map(|site| Rc::new(Secure::new(site))).collect();
    let sites: Vec<Rc<Site>> = config
        .sites
        .iter()
        .zip(&secures)
        .map(|(site, secure)| Rc::new(Site::new(site, Rc::clone(secure), &folder(config, site))))
        .collect();
    let encrypted = certificates::usable(config, &mut |flaw| flaws.tolerate(Failure::Wrong(flaw)))?;
    let mut plan = Plan { groups: Vec::new(), wanted: Vec::new(), secures, logs };
    for (n, site) in config.sites.iter().enumerate() {
        for (place, (listen, tls)) in listens(site).enumerate() {
            let owner = (listen.port == 0).then(|| (site.name.clone(), place));
            let want = Want { listen: listen.clone(), tls, owner };
            if want.owner.is_none() && plan.wanted.iter().any(|(other, _)| *other == want) {
                continue;
            }
            let shares =
                |m: &usize| want.owner.is_none() && listens(&config.sites[*m]).any(|other| other == (listen, tls));
            let mut members: Vec<usize> = (0..config.sites.len()).filter(|m| *m == n || shares(m)).collect();
            if tls && !members.iter().any(|&m| encrypted[m] != Usable::Nothing) {
                continue;
            }
            // The one without names first; else their order counts.
            members.sort_by_key(|&m| !config.sites[m].server_names.is_empty());
            let group = plan.groups.iter().position(|group| group.members == members).unwrap_or_else(|| {
                plan.groups.push(make_group(config, &sites, &encrypted, &plan.logs, members));
                plan.groups.len() - 1
            });
            plan.wanted.push((want, group));
        }
    }
    if plan.wanted.is_empty() {
        return Err(Failure::Wrong("there is nothing but HTTPS, and it can't be served".into()));
    }
    Ok(plan)
}

fn listens(site: &config::Site) -> impl Iterator<Item = (&Listen, bool)> {
    let plain = site.listen.iter().map(|listen| (listen, false));
    plain.chain(site.tls.listen.iter().map(|listen| (listen, true)))
}

fn make_group(config: &Config, sites: &[Rc<Site>], encrypted: &[Usable], logs: &Logs, members: Vec<usize>) -> Group {
    let first = &config.sites[members[0]];
    let mut options = connections(first, folder(config, first));
    for &member in &members {
        options = certificates::add_to(options, &config.sites[member].tls, encrypted[member]);
    }
    if let Some(log) = first.access_log.as_ref().and_then(|target| find_log(logs, target)) {
        options = options.access_log(move |access| log.log(access));
    }
    let hosts = Hosts(members.iter().map(|&n| Rc::clone(&sites[n])).collect());
    let handler = async move |con: &mut Connection, req: &mut Request| hosts.serve(con, req).await;
    Group { members, site: ecohttpd::Site::new(options, handler) }
}

/// How a site's files are served.
fn folder(config: &Config, site: &config::Site) -> Options {
    let scripts = Scripts::new(site);
    config
        .secrets()
        .fold(Options::new(), Options::withhold)
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
        .write_timeout(site.send_timeout)
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

/// Says what is wrong with what a configuration names, without serving it.
pub fn check(config: &Config) -> Vec<String> {
    let mut flaws = config::problems(config);
    flaws.extend(config::absences(config));
    flaws.extend(certificates::flaws(config));
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flaw_is_the_same_wherever_it_stands() {
        for (flaw, same) in [
            ("/etc/config/uhttpd:4: uhttpd.main.x: wrong", "/etc/config/uhttpd:5: uhttpd.main.x: wrong"),
            ("cannot listen on [::1]:80: in use", "cannot listen on [::1]:80: denied"),
            ("uhttpd.@uhttpd[0].home: gone", "uhttpd.@uhttpd[12].home: gone"),
        ] {
            assert_eq!(key(flaw), key(same));
        }
        for (flaw, other) in [
            ("f:4: uhttpd.main.x: wrong", "f:4: uhttpd.main.y: wrong"),
            ("cannot listen on [::1]:80: in use", "cannot listen on [::1]:81: in use"),
            ("uhttpd.main.home: gone", "uhttpd.two.home: gone"),
        ] {
            assert_ne!(key(flaw), key(other));
        }
    }
}
