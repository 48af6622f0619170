//! The servers of a backend: which is next, and connections that are kept for the next request.

use super::client_pace::ClientPace;
use super::lookup::Lookup;
use crate::daemon::cgi::Slow;
#[cfg(feature = "proxy-tls")]
use crate::daemon::config::Trust;
use crate::daemon::config::{Backend, BackendServer, Place};
#[cfg(feature = "proxy-tls")]
use ecohttpd::ServerTrust;
use ecohttpd::{Connection, Upstream, sleep};
#[cfg(feature = "proxy-tls")]
use std::cell::OnceCell;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Idle connections that are kept, of all servers of a backend together.
const IDLE_MAX: usize = 16;

/// How long one is kept. Many servers close theirs after a minute, some after five seconds.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// After this time the system is asked whether the server has said something meanwhile. Before, what the loop knows will
/// do: servers that give up an idle connection, some with a 408 (RFC 9110 §15.5.9), do so after seconds.
const QUIET_FOR: Duration = Duration::from_millis(500);

/// How often to check for connections to close.
const SWEEP: Duration = Duration::from_secs(5);

/// The same of servers that have a process for each connection, such as php-fpm: it does nothing else meanwhile.
const IDLE_FOR_WORKERS: Duration = Duration::from_secs(1);
const SWEEP_WORKERS: Duration = Duration::from_millis(250);

/// How long a new connection to such a server may be unheard before it counts as waiting for a process.
const STARVES_AFTER: Duration = Duration::from_millis(100);

/// Exchanges of such servers that may wait for slow clients, and of others: see [`Slow::new`].
const SLOW_WORKERS: usize = 2;
const SLOW: usize = 32;

/// How long a server that could not be reached is passed over, if there is another.
const REST: Duration = Duration::from_secs(10);

/// How long one address may take to accept a connection, before the next is tried.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a name may be looked up: glibc asks the second nameserver after five seconds.
const LOOKUP: Duration = Duration::from_secs(15);

/// The servers of a backend.
pub struct Pool {
    servers: Vec<Server>,
    /// How those that speak TLS are verified, loaded when the first is needed. What fails is tried again: the file may be on
    /// a disk that is not there yet.
    #[cfg(feature = "proxy-tls")]
    trust: (Trust, OnceCell<ServerTrust>),
    /// Whose turn it is.
    next: Cell<usize>,
    /// The last one that was used is the first to be used again: the others may end.
    idle: RefCell<Vec<Idle>>,
    sweeping: Cell<bool>,
    /// The servers have a process for each connection.
    has_workers: bool,
    /// New connections to those of which nothing was heard, each with a number of its own.
    unheard: RefCell<Vec<(u32, Instant)>>,
    next_unheard: Cell<u32>,
    /// Exchanges that wait for slow clients.
    slow: Rc<Slow>,
}

/// A new connection waits for a process of its server. Dropped, it does no more.
pub struct Waits(Rc<Pool>, u32);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.unheard.borrow_mut().retain(|(number, _)| *number != self.1);
    }
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
    since: Instant,
}

/// A connection, and what is known of it.
pub struct Pooled {
    pub stream: Upstream,
    server: usize,
    /// It served a request before, so the server may be about to close it.
    pub reused: bool,
    /// To be dropped when something came.
    pub waits: Option<Waits>,
}

/// Whether a request may go over a connection that was used before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It can be repeated if the server has closed that just now.
    Repeatable,
    /// Only if the system knows of no end of it: it can't be repeated.
    Sure,
    None,
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
        Pool::make(backend, false)
    }

    /// Of servers that have a process for each connection.
    pub fn of_workers(backend: &Backend) -> Rc<Pool> {
        Pool::make(backend, true)
    }

    fn make(backend: &Backend, has_workers: bool) -> Rc<Pool> {
        let server = |server: &BackendServer| {
            let lookup = match &server.place {
                Place::Tcp(host, port) if host.parse::<IpAddr>().is_err() => Some(Lookup::new(host, *port)),
                _ => None,
            };
            Server { of: server.clone(), name: server.to_string(), lookup, rests_until: Cell::new(None) }
        };
        Rc::new(Pool {
            servers: backend.servers.iter().map(server).collect(),
            #[cfg(feature = "proxy-tls")]
            trust: (backend.trust.clone(), OnceCell::new()),
            next: Cell::new(0),
            idle: RefCell::default(),
            sweeping: Cell::new(false),
            has_workers,
            unheard: RefCell::default(),
            next_unheard: Cell::new(0),
            slow: Rc::new(Slow::new(if has_workers { SLOW_WORKERS } else { SLOW })),
        })
    }

    /// A connection to the server whose turn it is, or to the next that can be reached, within `timeout`. `which`: those that
    /// were used before, which the server may have closed meanwhile.
    ///
    /// # Errors
    /// The last failure, if all have failed.
    pub async fn connect(self: &Rc<Self>, which: Reuse, timeout: Duration) -> Result<Pooled, Unreachable> {
        let count = self.servers.len();
        let first = self.next.replace((self.next.get() + 1) % count.max(1));
        let turns = || (first..first + count).map(|turn| turn % count);
        let now = Instant::now();
        let rests = |at: &usize| self.servers[*at].rests_until.get().is_some_and(|until| now < until);
        // Not one that has failed just now, which rests for longer.
        let rested = |at: &usize| rests(at) && self.servers[*at].rests_until.get() < now.checked_add(REST);
        let deadline = now + timeout;
        let mut failure = Unreachable { timed_out: false, why: String::new() };
        // If all rest, it is worth a try all the same.
        for at in turns().filter(|at| !rests(at)).chain(turns().filter(rested)) {
            if let Some(stream) = self.take(at, which, now) {
                return Ok(Pooled { stream, server: at, reused: true, waits: None });
            }
            if failure.timed_out && Instant::now() >= deadline {
                break;
            }
            let server = &self.servers[at];
            match self.open(server, deadline).await {
                Ok(stream) => {
                    server.rests_until.set(None);
                    return Ok(Pooled { stream, server: at, reused: false, waits: self.begins_waiting() });
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
    async fn open(&self, server: &Server, deadline: Instant) -> io::Result<Upstream> {
        let stream = server.connect(deadline).await?;
        #[cfg(feature = "proxy-tls")]
        if server.of.tls {
            let trust = match self.trust.1.get() {
                Some(trust) => trust,
                None => {
                    let trust = match &self.trust.0 {
                        Trust::Ca(file) => ServerTrust::authorities(file)?,
                        Trust::Anyone => ServerTrust::anyone()?,
                    };
                    self.trust.1.get_or_init(|| trust)
                }
            };
            let name = if let Place::Tcp(host, _) = &server.of.place { host } else { "" };
            return within(CONNECT, deadline, Box::pin(stream.with_tls(trust, name))).await;
        }
        Ok(stream)
    }

    /// Notes a new connection, if it may have to wait for a process.
    fn begins_waiting(self: &Rc<Self>) -> Option<Waits> {
        if !self.has_workers {
            return None;
        }
        let number = self.next_unheard.get();
        self.next_unheard.set(number.wrapping_add(1));
        self.unheard.borrow_mut().push((number, Instant::now()));
        Some(Waits(Rc::clone(self), number))
    }

    /// Whether a connection waits that may get the process of one that is kept.
    fn starves(&self, now: Instant) -> bool {
        self.unheard.borrow().iter().any(|(_, since)| now.saturating_duration_since(*since) >= STARVES_AFTER)
    }

    /// How fast the client of an exchange is.
    pub fn pace(&self, con: &Connection, timeout: Duration) -> ClientPace {
        ClientPace::new(con, &self.slow, timeout)
    }

    fn idle_for(&self) -> Duration {
        if self.has_workers { IDLE_FOR_WORKERS } else { IDLE_FOR }
    }

    /// An idle connection to that server. Those that the server has closed are dropped.
    fn take(&self, server: usize, which: Reuse, now: Instant) -> Option<Upstream> {
        if which == Reuse::None {
            return None;
        }
        let mut idle = self.idle.borrow_mut();
        while let Some(at) = idle.iter().rposition(|one| one.server == server) {
            let Idle { mut stream, since, .. } = idle.remove(at);
            let age = now.duration_since(since);
            let asks = which == Reuse::Sure || age > QUIET_FOR;
            if age < self.idle_for() && if asks { stream.is_quiet() } else { stream.seems_quiet() } {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection for the next request, which finds out whether it is still of use.
    pub fn keep(self: &Rc<Self>, pooled: Pooled) {
        let now = Instant::now();
        if self.starves(now) {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() == IDLE_MAX {
            idle.remove(0);
        }
        idle.push(Idle { stream: pooled.stream, server: pooled.server, since: now });
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

    /// The addresses of the servers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|server| server.name.as_str())
    }

    /// The address of a connection's server.
    pub fn name(&self, pooled: &Pooled) -> &str {
        self.servers.get(pooled.server).map_or("", |server| &server.name)
    }
}

/// Closes connections whose time is up, or whose server has closed them, until there are none.
async fn sweep(pool: Weak<Pool>) {
    let Some(has_workers) = pool.upgrade().map(|pool| pool.has_workers) else { return };
    loop {
        sleep(if has_workers { SWEEP_WORKERS } else { SWEEP }).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let (starves, idle_for) = (pool.starves(now), pool.idle_for());
        let mut idle = pool.idle.borrow_mut();
        idle.retain_mut(|one| !starves && now.duration_since(one.since) < idle_for && one.stream.is_quiet());
        if idle.is_empty() {
            *idle = Vec::new();
            pool.sweeping.set(false);
            return;
        }
    }
}

impl Server {
    /// Connects to the first address that accepts.
    async fn connect(&self, deadline: Instant) -> io::Result<Upstream> {
        let (host, port) = match &self.of.place {
            Place::Unix(path) => return within(CONNECT, deadline, Box::pin(Upstream::unix(path))).await,
            Place::Tcp(host, port) => (host, *port),
        };
        let addresses = match (&self.lookup, host.parse()) {
            (Some(lookup), _) => within(LOOKUP, deadline, Box::pin(lookup.addresses())).await?,
            (None, Ok(ip)) => vec![SocketAddr::new(ip, port)],
            (None, Err(_)) => Vec::new(),
        };
        let mut failure = io::Error::from(ErrorKind::NotFound);
        for address in addresses {
            match within(CONNECT, deadline, Box::pin(Upstream::tcp(address))).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// Boxed, as this is compiled for each type otherwise.
async fn within<T>(
    limit: Duration,
    deadline: Instant,
    work: Pin<Box<dyn Future<Output = io::Result<T>> + '_>>,
) -> io::Result<T> {
    let left = deadline.saturating_duration_since(Instant::now());
    ecohttpd::timeout(limit.min(left), work).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::testing::on_loop;
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A pool of one server, and that.
    fn pool() -> (Rc<Pool>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut backend = Backend::new("/".into(), "");
        backend.servers.push(BackendServer { tls: false, place: Place::Tcp("127.0.0.1".into(), port) });
        (Pool::new(&backend), listener)
    }

    #[test]
    fn what_comes_between_two_requests_is_seen_before_the_loop_knows() {
        on_loop(async || {
            for (stray, quiet) in [("", true), ("x", false)] {
                let (pool, listener) = pool();
                let Ok(mut pooled) = pool.connect(Reuse::Repeatable, TIMEOUT).await else { panic!("it listens") };
                let mut server = listener.accept().unwrap().0;
                server.write_all(b"hello").unwrap();
                let mut read = [0; 64];
                let n = poll_fn(|cx| pooled.stream.poll_read(cx, &mut read)).await.unwrap();
                assert_eq!(read.get(..n), Some(&b"hello"[..]));
                // From here on the loop is not asked.
                server.write_all(stray.as_bytes()).unwrap();
                pool.keep(pooled);
                let Ok(pooled) = pool.connect(Reuse::Repeatable, TIMEOUT).await else { panic!("it listens") };
                assert_eq!(pooled.reused, quiet, "{stray}");
                drop(pooled);
                assert_eq!(server.read(&mut read).unwrap_or(0), 0);
            }
        });
    }

    #[test]
    fn all_of_connecting_has_one_limit() {
        on_loop(async || {
            // Nobody accepts there, and the queue is full.
            let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            full.listen(0).unwrap();
            let addr = full.local_addr().unwrap().as_socket().unwrap();
            let _first = std::net::TcpStream::connect(addr).unwrap();
            let mut backend = Backend::new("/".into(), "");
            let place = |host: &str, port| BackendServer { tls: false, place: Place::Tcp(host.into(), port) };
            let (_, listener) = pool();
            let port = listener.local_addr().unwrap().port();
            backend.servers = vec![place("127.0.0.1", addr.port()), place("127.0.0.1", port)];
            let pool = Pool::new(&backend);
            let Err(failure) = pool.connect(Reuse::Repeatable, Duration::from_millis(100)).await else {
                panic!("time is up")
            };
            assert!(failure.timed_out && failure.why.contains(&addr.port().to_string()), "{}", failure.why);
            // Its turn, and it has not rested yet.
            assert!(pool.connect(Reuse::Repeatable, TIMEOUT).await.is_ok());
        });
    }
}
