//! HTTP and bytes tied together: the server, its loop, and what handlers see.
//!
//! Each file uses only files above it in this table.
//!
//! | file | concept |
//! | --- | --- |
//! | `options`, `limits`, `error`, `access` | settings, bounds, errors, the access log's record |
//! | `log_limit` | how many log lines a client may cause |
//! | `pace`, `eviction` | how fast a client is; which connection is closed for a new one at the limit |
//! | `deadlines` | when a connection must be checked even if nothing happens |
//! | `waiter` | what a handler waits for |
//! | `in_flight` | the memory of a request in flight |
//! | `shared` | what all connections share |
//! | `link` | the byte stream: transport, readiness, flush |
//! | `site_options` | how a site is served |
//! | `http1` | the state of one HTTP/1 connection |
//! | `respond`, `request_body` | what a handler does to its response, and to its request's body |
//! | `requests`, `ending` | requests one after another; how a connection ends |
//! | `timeouts` | timeouts, and what they do |
//! | `connection`, `request`, `form`, `upgrade` | what handlers see |
//! | `site` | a site: options and a handler |
//! | `session` | a connection and the handler that runs for it |
//! | `endpoints`, `accept` | listeners; new connections |
//! | `control`, `event_loop` | commands of other threads; the loop |
//! | `listeners` | listeners while the server runs |

mod accept;
mod access;
mod connection;
mod control;
mod deadlines;
mod ending;
mod endpoints;
mod error;
mod event_loop;
mod eviction;
mod form;
mod http1;
mod in_flight;
mod limits;
mod link;
mod listeners;
mod log_limit;
mod options;
mod pace;
mod request;
mod request_body;
mod requests;
mod respond;
mod session;
mod shared;
#[cfg(test)]
mod simulation;
mod site;
mod site_options;
mod timeouts;
mod upgrade;
mod waiter;

pub use access::Access;
pub use connection::Connection;
pub use control::Handle;
pub use endpoints::Listening;
pub use error::{Error, IntoOutcome, Outcome, Result, timeout};
pub use form::FormEvent;
pub use listeners::Listeners;
pub use options::Options;
pub use request::Request;
pub use site::Site;
pub use upgrade::Upgraded;

use self::control::Control;
use self::event_loop::EventLoop;
use crate::rt::Runtime;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

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
pub struct Server {
    event_loop: Rc<EventLoop>,
    /// The site of listeners that were bound without one.
    site: Site,
    control: Arc<Control>,
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
        Ok(Server { event_loop, site: Site::new(options, handler), control })
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

    /// Listens like [`bind`](Server::bind) for TLS, with the options' certificates (TLS 1.2 and 1.3, ALPN `http/1.1`).
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

    /// A handle for other threads and for handlers to control this server.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.control))
    }

    /// Runs `future` on the loop, beside the connections, once [`run`](Server::run) is called.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.event_loop.shared.runtime.spawn(Box::pin(future));
    }

    /// Serves until a [`Handle`] stops it.
    ///
    /// # Errors
    /// If waiting for events fails, which does not happen on a working system.
    pub fn run(self) -> io::Result<()> {
        self.event_loop.run(&self.control)
    }
}
