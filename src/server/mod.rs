//! HTTP and bytes tied together: the server, its loop, and what handlers see.
//!
//! Each file uses only files above it in this table.
//!
//! | file | concept |
//! | --- | --- |
//! | `options`, `limits`, `error`, `access` | settings, bounds, errors, the access log's record |
//! | `tally`, `counters` | what is counted |
//! | `log_limit` | how many log lines a client may cause |
//! | `pace`, `eviction` | how fast a client is; which connection is closed for a new one at the limit |
//! | `deadline_table` | when a connection must be checked even if nothing happens |
//! | `waiter` | what a handler waits for |
//! | `mux` | what the streams of a connection of HTTP/2 share |
//! | `request_memory` | the memory of a request in flight |
//! | `shared` | what all connections share |
//! | `link` | the byte stream: transport, readiness, flush |
//! | `site_options` | how a site is served |
//! | `http1` | the state of one HTTP/1 connection |
//! | `respond`, `request_body` | what a handler does to its response, and to its request's body |
//! | `requests`, `ending` | requests one after another; how a connection ends |
//! | `timeouts` | timeouts, and what they do |
//! | `http2` | a connection of HTTP/2 and its streams |
//! | `connection`, `request`, `form`, `upgrade` | what handlers see |
//! | `websocket` | messages on an upgraded connection |
//! | `http_crate` | conversions from and to the types of the crate `http` |
//! | `run_handler` | a handler: started, polled when it was woken, dropped when done |
//! | `site` | a site: options and a handler |
//! | `session` | a connection and the handler that runs for it |
//! | `endpoints`, `accept` | listeners; new connections |
//! | `control`, `event_loop` | commands of other threads; the loop |
//! | `listeners` | listeners while the server runs |
//! | `monitor` | what the server is doing |

mod accept;
mod access;
mod connection;
mod control;
mod counters;
mod deadline_table;
mod ending;
mod endpoints;
mod error;
mod event_loop;
mod eviction;
mod form;
mod http1;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http")]
mod http_crate;
mod limits;
mod link;
mod listeners;
mod log_limit;
#[cfg(feature = "stats")]
mod monitor;
#[cfg(feature = "http2")]
mod mux;
mod options;
mod pace;
mod request;
mod request_body;
mod request_memory;
mod requests;
mod respond;
mod run_handler;
mod session;
mod shared;
#[cfg(test)]
mod simulation;
mod site;
mod site_options;
#[cfg(feature = "stats")]
mod tally;
mod timeouts;
mod upgrade;
mod waiter;
#[cfg(feature = "websocket")]
mod websocket;
#[cfg(all(test, feature = "websocket"))]
mod websocket_simulation;

pub use access::Access;
pub use connection::Connection;
pub use control::Handle;
pub(crate) use counters::Count;
pub use endpoints::Listening;
pub use error::{Error, IntoOutcome, Outcome, Refusal, Result, timeout};
pub use form::FormEvent;
pub use listeners::Listeners;
#[cfg(feature = "stats")]
pub use monitor::{ConnectionInfo, ConnectionState, Monitor, Stats};
pub use options::Options;
pub use request::Request;
pub use site::Site;
#[cfg(feature = "stats")]
pub use tally::Tally;
pub use upgrade::{Upgraded, UpgradedReader, UpgradedWriter};
#[cfg(feature = "websocket")]
pub use websocket::{Message, WebSocket, WebSocketOptions, WebSocketReader, WebSocketWriter};

use self::control::Control;
use self::event_loop::EventLoop;
use crate::rt::{Runtime, Task, Woken};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Listens on `ipaddr` and `port` and serves each request with `handler` until the process ends.
///
/// `ipaddr` is an IPv4 or IPv6 address, with a zone if needed (`fe80::1%br-lan`). `None` means all addresses: IPv6, and
/// IPv4 if the kernel allows both. For several listeners, a port picked by the system, or a way to stop, see
/// [`Server`].
///
/// # Errors
/// `InvalidInput` if `ipaddr` is not an IP address; errors of bind(2) and listen(2).
pub fn listen<'a, H, R>(ipaddr: impl Into<Option<&'a str>>, port: u16, options: Options, handler: H) -> io::Result<()>
where
    H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
    R: IntoOutcome,
{
    #[cfg(feature = "tls")]
    let tls = !options.tls_files().pairs.is_empty();
    let mut server = Server::new(options, handler)?;
    #[cfg(feature = "tls")]
    if tls {
        server.bind_tls(ipaddr, port)?;
        return server.run();
    }
    server.bind(ipaddr, port)?;
    server.run()
}

/// A server: listeners, connections, and the loop that drives them on the thread that calls [`run`](Server::run).
///
/// A program with a loop of its own, of poll(2) or another kind, calls [`turn`](Server::turn) instead:
///
/// ```no_run
/// use std::os::fd::{AsRawFd, BorrowedFd};
/// use std::time::Duration;
///
/// # fn wait(_: BorrowedFd<'_>, _: Option<Duration>) {}
/// # fn main() -> std::io::Result<()> {
/// let handler = async |con: &mut ecohttpd::Connection, _: &mut ecohttpd::Request| con.send("hello").await;
/// let mut server = ecohttpd::Server::new(ecohttpd::Options::new(), handler)?;
/// server.bind("127.0.0.1", 8080)?;
/// loop {
///     // Waits until the descriptor is readable or the time is up. It may wait for other things, too.
///     wait(server.as_fd()?, server.next_turn());
///     if server.turn(Duration::ZERO)?.is_break() {
///         return Ok(());
///     }
/// }
/// # }
/// ```
pub struct Server {
    event_loop: Rc<EventLoop>,
    /// The site of listeners that were bound without one.
    site: Site,
    control: Arc<Control>,
    /// Always empty between turns.
    woken: Vec<Woken>,
}

impl Server {
    /// Makes a server without listeners.
    ///
    /// `handler` is an async closure or function. It runs on the loop's thread and need not be `Send` or `Sync`.
    ///
    /// # Errors
    /// If the system has no descriptor left for the loop.
    pub fn new<H, R>(options: Options, handler: H) -> io::Result<Server>
    where
        H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
        R: IntoOutcome,
    {
        let runtime = Runtime::new()?;
        let control = Arc::new(Control::new(Arc::clone(&runtime.wakes)));
        let event_loop = Rc::new(EventLoop::new(runtime));
        event_loop.acceptor.fit_to_descriptors(options.max_connections);
        Ok(Server { event_loop, site: Site::new(options, handler), control, woken: Vec::new() })
    }

    /// Listens on a TCP address, or on all addresses for `None`. Port 0 picks a free port. Returns the bound address.
    ///
    /// May be called several times.
    ///
    /// # Errors
    /// `InvalidInput` if `ipaddr` is not an IP address; errors of bind(2) and listen(2).
    pub fn bind<'a>(&mut self, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<SocketAddr> {
        self.event_loop.endpoints().bind(&self.site, ipaddr.into(), port).map(|listening| listening.addr())
    }

    /// Listens like [`bind`](Server::bind) for TLS, with the options' certificates (TLS 1.2 and 1.3, ALPN `h2` and `http/1.1`).
    ///
    /// # Errors
    /// Those of [`bind`](Server::bind); one line that names the file and what is wrong with it.
    #[cfg(feature = "tls")]
    pub fn bind_tls<'a>(&mut self, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<SocketAddr> {
        self.event_loop.endpoints().bind_tls(&self.site, ipaddr.into(), port).map(|listening| listening.addr())
    }

    /// Listens on a Unix socket. Replaces a socket whose server is gone, and removes the file when this server ends.
    ///
    /// # Errors
    /// Errors of bind(2): `AddrInUse` if a server is listening there, or if the name belongs to another kind of file.
    pub fn bind_unix(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        self.event_loop.endpoints().bind_unix(&self.site, path.as_ref())
    }

    /// A handle to change the server's listeners while it runs.
    pub fn listeners(&self) -> Listeners {
        Listeners(Rc::downgrade(&self.event_loop))
    }

    /// A handle that says what the server is doing.
    #[cfg(feature = "stats")]
    pub fn monitor(&self) -> Monitor {
        Monitor(Rc::downgrade(&self.event_loop))
    }

    /// A handle for other threads and for handlers to control this server.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.control))
    }

    /// Runs `future` on the loop, beside the connections, once [`run`](Server::run) is called. Dropping the task cancels the
    /// future, and [`Task::detach`] lets it run on: see [`spawn`](crate::spawn).
    pub fn spawn<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> Task<T> {
        Task::start(&self.event_loop.shared.runtime, Box::pin(future))
    }

    /// Serves until a [`Handle`] stops it.
    ///
    /// # Errors
    /// If waiting for events fails, which does not happen on a working system.
    pub fn run(self) -> io::Result<()> {
        self.event_loop.run(&self.control)
    }

    /// Runs one turn of the loop, for a program that has a loop of its own.
    ///
    /// Waits for events, at most for `timeout`, and serves what is ready. Handlers and tasks only run during a turn. Returns
    /// `Break` once a [`Handle`] has stopped the server: it can be dropped then.
    ///
    /// # Errors
    /// Those of [`run`](Server::run).
    pub fn turn(&mut self, timeout: Duration) -> io::Result<ControlFlow<()>> {
        self.event_loop.turn(&mut self.woken, timeout, &self.control)
    }

    /// How long another loop may wait before it calls [`turn`](Server::turn); `None` means forever.
    ///
    /// It must call sooner if [`as_fd`](Server::as_fd) becomes readable. Ask for this each time, right before waiting.
    pub fn next_turn(&self) -> Option<Duration> {
        self.event_loop.idle_time()
    }

    /// A descriptor that becomes readable when there is something to do, for another loop to wait for.
    ///
    /// It belongs to an epoll(7) instance. The first call makes it, and all others return the same.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn as_fd(&self) -> io::Result<BorrowedFd<'_>> {
        self.event_loop.shared.runtime.reactor.descriptor()
    }
}

/// Ends what is in flight: handlers and tasks are dropped where they wait.
impl Drop for Server {
    fn drop(&mut self) {
        self.event_loop.drop_all();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("site", &self.site).finish_non_exhaustive()
    }
}
