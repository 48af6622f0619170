//! The servers of a backend: which is next, and connections that are kept for the next request.

use super::lookup::Lookup;
#[cfg(feature = "tls")]
use crate::daemon::config::Trust;
use crate::daemon::config::{Backend, BackendServer, Place};
#[cfg(feature = "tls")]
use ecohttpd::ServerTrust;
use ecohttpd::{Upstream, sleep};
#[cfg(feature = "tls")]
use std::cell::OnceCell;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Idle connections that are kept, of all servers of a backend together.
const IDLE_MAX: usize = 16;

/// How long one is kept. Many servers close theirs after a minute, some after five seconds.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// How often to check for connections to close.
const SWEEP: Duration = Duration::from_secs(5);

/// How long a server that could not be reached is passed over, if there is another.
const REST: Duration = Duration::from_secs(10);

/// How long one address may take to accept a connection, before the next is tried.
const CONNECT: Duration = Duration::from_secs(5);

/// The servers of a backend.
pub struct Pool {
    servers: Vec<Server>,
    /// How those that speak TLS are verified, loaded when the first is needed; or why they can't be.
    #[cfg(feature = "tls")]
    trust: (Trust, OnceCell<Result<ServerTrust, String>>),
    /// Whose turn it is.
    next: Cell<usize>,
    /// The last one that was used is the first to be used again: the others may end.
    idle: RefCell<Vec<Idle>>,
    sweeping: Cell<bool>,
}

struct Server {
    of: BackendServer,
    /// What messages call it, and what it may call itself.
    name: String,
    /// `None`: the address is known.
    lookup: Option<Lookup>,
    rests_until: Cell<Option<Instant>>,
}

struct Idle {
    stream: Upstream,
    server: usize,
    until: Instant,
}

/// A connection, and what is known of it.
pub struct Pooled {
    pub stream: Upstream,
    server: usize,
    /// It served a request before, so the server may be about to close it.
    pub reused: bool,
}

/// No server can be reached.
pub struct Unreachable {
    /// The time was up, rather than that nobody listens.
    pub timed_out: bool,
    /// Which server, and why.
    pub why: String,
}

impl Pool {
    pub fn new(backend: &Backend) -> Rc<Pool> {
        let server = |server: &BackendServer| {
            let lookup = match &server.place {
                Place::Tcp(host, port) if host.parse::<IpAddr>().is_err() => Some(Lookup::new(host, *port)),
                _ => None,
            };
            Server { of: server.clone(), name: server.to_string(), lookup, rests_until: Cell::new(None) }
        };
        Rc::new(Pool {
            servers: backend.servers.iter().map(server).collect(),
            #[cfg(feature = "tls")]
            trust: (backend.trust.clone(), OnceCell::new()),
            next: Cell::new(0),
            idle: RefCell::default(),
            sweeping: Cell::new(false),
        })
    }

    /// A connection to the server whose turn it is, or to the next that can be reached. `fresh`: none that was used before.
    ///
    /// # Errors
    /// The last failure, if all have failed.
    pub async fn connect(&self, fresh: bool, timeout: Duration) -> Result<Pooled, Unreachable> {
        let count = self.servers.len();
        let first = self.next.replace((self.next.get() + 1) % count.max(1));
        let turns = || (first..first + count).map(|turn| turn % count);
        let now = Instant::now();
        let rests = |at: &usize| self.servers[*at].rests_until.get().is_some_and(|until| now < until);
        // Not one that has failed just now, which rests for longer.
        let rested = |at: &usize| rests(at) && self.servers[*at].rests_until.get() < now.checked_add(REST);
        let mut failure = Unreachable { timed_out: false, why: String::new() };
        // If all rest, it is worth a try all the same.
        for at in turns().filter(|at| !rests(at)).chain(turns().filter(rested)) {
            if let Some(stream) = self.take(at, now).filter(|_| !fresh) {
                return Ok(Pooled { stream, server: at, reused: true });
            }
            let server = &self.servers[at];
            match self.open(server, timeout.min(CONNECT)).await {
                Ok(stream) => {
                    server.rests_until.set(None);
                    return Ok(Pooled { stream, server: at, reused: false });
                }
                Err(error) => {
                    server.rests_until.set(Instant::now().checked_add(REST));
                    let timed_out = error.kind() == ErrorKind::TimedOut;
                    failure = Unreachable { timed_out, why: format!("{}: {error}", server.name) };
                }
            }
        }
        Err(failure)
    }

    /// A connection to a server, over TLS if it speaks that.
    async fn open(&self, server: &Server, timeout: Duration) -> io::Result<Upstream> {
        let stream = server.connect(timeout).await?;
        #[cfg(feature = "tls")]
        if server.of.tls {
            let load = || match &self.trust.0 {
                Trust::Ca(file) => ServerTrust::authorities(file).map_err(|error| error.to_string()),
                Trust::Anyone => ServerTrust::anyone().map_err(|error| error.to_string()),
            };
            let trust = self.trust.1.get_or_init(load).as_ref().map_err(|error| io::Error::other(error.as_str()))?;
            let name = if let Place::Tcp(host, _) = &server.of.place { host } else { "" };
            return within(timeout, stream.with_tls(trust, name)).await;
        }
        Ok(stream)
    }

    /// An idle connection to that server. Those that the server has closed are dropped.
    fn take(&self, server: usize, now: Instant) -> Option<Upstream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(at) = idle.iter().rposition(|one| one.server == server) {
            let Idle { stream, until, .. } = idle.remove(at);
            if stream.is_quiet() && now < until {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub fn keep(self: &Rc<Self>, pooled: Pooled) {
        if !pooled.stream.is_quiet() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() == IDLE_MAX {
            idle.remove(0);
        }
        idle.push(Idle { stream: pooled.stream, server: pooled.server, until: Instant::now() + IDLE_FOR });
        if !self.sweeping.replace(true) {
            ecohttpd::spawn(sweep(Rc::downgrade(self))).detach();
        }
    }

    /// A server's failure after it was reached: others come first for a while.
    pub fn has_failed(&self, pooled: &Pooled) {
        if let Some(server) = self.servers.get(pooled.server) {
            server.rests_until.set(Instant::now().checked_add(REST));
        }
    }

    /// The address of a connection's server.
    pub fn name(&self, pooled: &Pooled) -> &str {
        self.servers.get(pooled.server).map_or("", |server| &server.name)
    }
}

/// Closes connections whose time is up, or whose server has closed them, until there are none.
async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut idle = pool.idle.borrow_mut();
        idle.retain(|one| now < one.until && one.stream.is_quiet());
        if idle.is_empty() {
            *idle = Vec::new();
            pool.sweeping.set(false);
            return;
        }
    }
}

impl Server {
    /// Connects to the first address that accepts.
    async fn connect(&self, timeout: Duration) -> io::Result<Upstream> {
        let (host, port) = match &self.of.place {
            Place::Unix(path) => return within(timeout, Upstream::unix(path)).await,
            Place::Tcp(host, port) => (host, *port),
        };
        let addresses = match (&self.lookup, host.parse()) {
            (Some(lookup), _) => within(timeout, lookup.addresses()).await?,
            (None, Ok(ip)) => vec![SocketAddr::new(ip, port)],
            (None, Err(_)) => Vec::new(),
        };
        let mut failure = io::Error::from(ErrorKind::NotFound);
        for address in addresses {
            match within(timeout, Upstream::tcp(address)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn within<T>(timeout: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    ecohttpd::timeout(timeout, work).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}
