//! What there is to say about the program, as fields of a ubus message. docs/ubus-object.md has what they mean.

#[cfg(feature = "tls")]
use crate::daemon::config::TlsConfig;
use crate::daemon::config::{Config, SiteConfig};
use crate::daemon::counters::{self, Counted};
use crate::daemon::escape::cut;
use crate::daemon::log::recent;
use crate::daemon::ubus::blob::{Writer, kind};
use crate::daemon::ubus::json::Printer;
use ecohttpd::{Connection, ConnectionState, Monitor, Options, Server, Stats, Tally};
use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most connections that are listed.
const MAX_LISTED: usize = 256;
/// Most bytes of a request that are shown.
const MAX_REQUEST: usize = 200;

/// What is known of the running program.
pub struct ServerStatus {
    pub monitor: Monitor,
    /// Not the time of the day: a router without a battery learns that after the start.
    started: Instant,
    loaded: Cell<Instant>,
    sites: RefCell<Vec<SiteStatus>>,
    bus_socket: RefCell<PathBuf>,
}

/// A site of the configuration in effect.
pub struct SiteStatus {
    pub tally: Rc<Tally>,
    listen: Vec<String>,
    #[cfg(feature = "tls")]
    pub tls: TlsConfig,
}

/// The sites of a configuration.
pub struct WatchedSites {
    pub status: Rc<ServerStatus>,
    sites: Vec<SiteStatus>,
    bus_socket: PathBuf,
}

impl WatchedSites {
    /// What counts the requests of a site, by its position in the configuration.
    pub fn tally(&self, n: usize) -> SiteTally {
        SiteTally(Rc::clone(&self.sites[n].tally))
    }
}

/// Counts the requests of a site.
pub struct SiteTally(Rc<Tally>);

impl SiteTally {
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Has all requests of a listener counted here.
    pub fn add_to(&self, options: Options) -> Options {
        options.tally(Rc::clone(&self.0))
    }

    /// Has one request counted here.
    pub fn count(&self, con: &mut Connection) {
        con.count_in(&self.0);
    }
}

impl ServerStatus {
    pub fn new(server: &Server) -> Rc<ServerStatus> {
        let now = Instant::now();
        Rc::new(ServerStatus {
            monitor: server.monitor(),
            started: now,
            loaded: Cell::new(now),
            sites: RefCell::default(),
            bus_socket: RefCell::default(),
        })
    }

    /// The sites of a configuration that may come into effect. Each has the tally that it had before a reload.
    pub fn watch(self: &Rc<Self>, config: &Config) -> WatchedSites {
        let bus_socket = config.sites.first().map(|site| site.ubus.socket.clone()).unwrap_or_default();
        let site = |site: &SiteConfig| SiteStatus {
            tally: self.tally(short_name(&site.name)),
            listen: site.listen.iter().chain(&site.tls.listen).map(ToString::to_string).collect(),
            #[cfg(feature = "tls")]
            tls: site.tls.clone(),
        };
        WatchedSites { status: Rc::clone(self), sites: config.sites.iter().map(site).collect(), bus_socket }
    }

    fn tally(&self, name: &str) -> Rc<Tally> {
        let sites = self.sites.borrow();
        let known = sites.iter().find(|site| site.tally.name() == name);
        known.map_or_else(|| Rc::new(Tally::new(name)), |site| Rc::clone(&site.tally))
    }

    /// The configuration of these sites is in effect.
    pub fn is_loaded(&self, watched: WatchedSites) {
        self.sites.replace(watched.sites);
        self.bus_socket.replace(watched.bus_socket);
        self.loaded.set(Instant::now());
    }

    /// Where ubusd listens.
    pub fn bus_socket(&self) -> PathBuf {
        self.bus_socket.borrow().clone()
    }

    pub fn each_site(&self, visit: &mut dyn FnMut(&SiteStatus)) {
        self.sites.borrow().iter().for_each(visit);
    }

    /// When the program was started, and when the configuration was loaded, in Unix seconds.
    pub fn times(&self) -> [u64; 2] {
        [unix_time(self.started), unix_time(self.loaded.get())]
    }

    // --- as fields --------------------------------------------------------------------------------

    /// The method `status`.
    pub fn write(&self, out: &mut Writer<'_>) {
        let [started, loaded] = self.times();
        out.text(b"version", env!("CARGO_PKG_VERSION").as_bytes());
        let stats = self.monitor.stats();
        let after = self.started.elapsed().as_secs();
        numbers(
            out,
            &[("pid", std::process::id().into()), ("started", started), ("uptime", after), ("loaded", loaded)],
        );
        write_connection_counts(out, &stats);
        let total = stats.requests.iter().sum();
        let [information, success, redirection, client, server] = stats.requests;
        table(
            out,
            "requests",
            &[
                ("total", total),
                ("1xx", information),
                ("2xx", success),
                ("3xx", redirection),
                ("4xx", client),
                ("5xx", server),
            ],
        );
        table(out, "bytes", &[("received", stats.received), ("sent", stats.sent)]);
        let [full, resumed, failed] = stats.handshakes;
        table(out, "handshakes", &[("full", full), ("resumed", resumed), ("failed", failed)]);
        let count = counters::get;
        table(
            out,
            "scripts",
            &[
                ("running", count(Counted::ScriptsRunning)),
                ("waiting", count(Counted::ScriptsWaiting)),
                ("killed", count(Counted::ScriptsKilled)),
            ],
        );
        numbers(
            out,
            &[
                ("ubus_calls", count(Counted::UbusCalls)),
                ("throttled_logins", count(Counted::ThrottledLogins)),
                ("log_dropped", count(Counted::LinesDropped)),
                ("memory", resident_memory()),
            ],
        );
        table(out, "file_cache", &[("hits", stats.file_hits), ("misses", stats.file_misses)]);
        self.write_sites(out);
        write_errors(out);
    }

    fn write_sites(&self, out: &mut Writer<'_>) {
        let sites = out.open_field(kind::ARRAY, b"sites");
        self.each_site(&mut |site| {
            let row = out.open_field(kind::TABLE, b"");
            out.text(b"name", site.tally.name().as_bytes());
            texts(out, "listen", &site.listen);
            numbers(out, &[("requests", site.tally.total())]);
            out.close(row);
        });
        out.close(sites);
    }

    /// The method `connections`, under another name if need be.
    pub fn write_connections(&self, name: &str, out: &mut Writer<'_>) {
        let list = out.open_field(kind::ARRAY, name.as_bytes());
        for connection in self.monitor.connections().iter().take(MAX_LISTED) {
            let row = out.open_field(kind::TABLE, b"");
            numbers(out, &[("id", connection.id)]);
            out.text(b"address", connection.peer.to_string().as_bytes());
            out.text(b"site", connection.tally.as_ref().map_or("", |tally| tally.name()).as_bytes());
            out.text(b"state", state_name(connection.state).as_bytes());
            out.text(b"protocol", if connection.is_http2 { b"HTTP/2" } else { b"HTTP/1.1" });
            out.value(kind::BOOL, b"tls", &[u8::from(connection.is_tls)]);
            numbers(out, &[("age", connection.age.as_secs())]);
            out.text(b"request", cut(&connection.request, MAX_REQUEST).as_bytes());
            numbers(out, &[("received", connection.received), ("sent", connection.sent)]);
            out.close(row);
        }
        out.close(list);
    }

    /// Everything as JSON.
    pub fn json(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let mut writer = Writer::new(&mut fields);
        self.write(&mut writer);
        self.write_connections("clients", &mut writer);
        let (mut text, mut piece) = (Vec::new(), Vec::new());
        let mut printer = Printer::new(&fields, &mut piece);
        while printer.fill(&mut piece) {
            text.append(&mut piece);
        }
        text.append(&mut piece);
        text
    }
}

fn write_connection_counts(out: &mut Writer<'_>, stats: &Stats) {
    let open = out.open_field(kind::TABLE, b"connections");
    numbers(out, &[("open", stats.open() as u64), ("max", stats.max_connections as u64)]);
    for (state, count) in ConnectionState::ALL.iter().zip(stats.states) {
        numbers(out, &[(state_label(*state), count as u64)]);
    }
    numbers(
        out,
        &[
            ("tls", stats.tls as u64),
            ("http2", stats.http2 as u64),
            ("accepted", stats.accepted),
            ("refused", stats.refused),
        ],
    );
    out.close(open);
}

fn write_errors(out: &mut Writer<'_>) {
    let errors = out.open_field(kind::ARRAY, b"errors");
    recent::each(&mut |line| {
        let row = out.open_field(kind::TABLE, b"");
        numbers(out, &[("time", unix_time(line.when))]);
        out.text(b"level", if line.level == log::Level::Error { b"error" } else { b"warn" });
        out.text(b"message", line.text.as_bytes());
        out.close(row);
    });
    out.close(errors);
}

/// What a state is called.
fn state_name(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Idle => "idle",
        ConnectionState::Reading => "reading",
        ConnectionState::Handling => "handling",
        ConnectionState::Writing => "writing",
        ConnectionState::Handshaking => "tls handshake",
        _ => "closing",
    }
}

/// The same as one word.
pub fn state_label(state: ConnectionState) -> &'static str {
    if state == ConnectionState::Handshaking { "handshaking" } else { state_name(state) }
}

/// The name of a section without that of its package. The command line is one without a name.
fn short_name(name: &str) -> &str {
    match name.rsplit('.').next() {
        None | Some("") => "main",
        Some(short) => short,
    }
}

/// Bytes of memory that are resident (proc(5)); 0 if the system does not say.
pub fn resident_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// A moment in Unix seconds, by today's clock.
fn unix_time(when: Instant) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Rounded as a whole, or the same moment would move by a second.
    (now.saturating_sub(when.elapsed()) + Duration::from_millis(500)).as_secs()
}

// --- fields -------------------------------------------------------------------------------------------

pub fn numbers(out: &mut Writer<'_>, rows: &[(&str, u64)]) {
    for (name, value) in rows {
        out.int(name.as_bytes(), i64::try_from(*value).unwrap_or(i64::MAX));
    }
}

fn table(out: &mut Writer<'_>, name: &str, rows: &[(&str, u64)]) {
    let open = out.open_field(kind::TABLE, name.as_bytes());
    numbers(out, rows);
    out.close(open);
}

pub fn texts(out: &mut Writer<'_>, name: &str, values: &[String]) {
    let open = out.open_field(kind::ARRAY, name.as_bytes());
    values.iter().for_each(|value| out.text(b"", value.as_bytes()));
    out.close(open);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sections() {
        for (name, short) in [("uhttpd.main", "main"), ("uhttpd.@uhttpd[1]", "@uhttpd[1]"), ("", "main"), ("a", "a")] {
            assert_eq!(short_name(name), short, "{name}");
        }
    }

    #[test]
    fn memory_is_known_here() {
        assert!(resident_memory() > 100_000);
    }
}
