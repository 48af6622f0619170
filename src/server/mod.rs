//! HTTP and bytes tied together: the server, its tick, and what handlers see.
//!
//! | file | concept |
//! | --- | --- |
//! | `core` | what all connections share |
//! | `site` | what listeners serve: options and a handler |
//! | `listeners` | listeners while the server runs |
//! | `accept` | new connections |
//! | `pace` | how fast a client moves |
//! | `room` | who makes room for a new connection at the limit, as a rule |
//! | `slot` | one connection and its handler; `drive`, the one door |
//! | `conn` | the connection's state machine |
//! | `floods` | how many lines of the log a client may cause |
//! | `deadlines` | when it must be looked at though nothing happens |
//! | `exchange` | one request and its response: framing, length, body, end |
//! | `cut` | responses that can't be completed |
//! | `connection`, `request`, `form`, `upgrade` | the handler's side |
//! | `http_crate` | conversions from and to the types of the crate `http` |
//! | `options`, `limits`, `error`, `access` | what can be set, is bounded, goes wrong, is logged |

mod accept;
mod access;
mod conn;
mod connection;
mod core;
mod cut;
mod deadlines;
mod error;
mod exchange;
mod floods;
mod form;
#[cfg(feature = "http")]
mod http_crate;
mod limits;
mod listeners;
mod options;
mod pace;
mod request;
mod room;
#[cfg(test)]
mod simulation;
mod site;
mod slot;
mod upgrade;

pub use access::Access;
pub use connection::Connection;
pub use error::{Error, IntoOutcome, Outcome, Refusal, Result, timeout};
pub use form::FormEvent;
pub use listeners::{Listeners, Listening};
pub use options::Options;
pub use request::Request;
pub use site::Site;
pub use upgrade::{Upgraded, UpgradedReader, UpgradedWriter};

use self::core::{Core, Stopping};
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use crate::rt::{Due, Runtime, Source, WakeQueue, Woken};
use site::Profile;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;
#[cfg(feature = "tls")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Listens on `ipaddr` and `port` and serves each request with `handler` until the process ends.
///
/// `None` is every address, IPv6 and IPv4 where the kernel allows both. An address may be scoped: `fe80::1%br-lan`. For several listeners, a port picked by the system, or a way to stop, see [`Server`].
///
/// # Errors
/// `InvalidInput` for what is not an IP address; what bind(2) and listen(2) answer.
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
    core: Rc<Core>,
    /// What the listeners serve that are bound without a site of their own.
    site: Rc<Profile>,
    control: Arc<Control>,
    /// Empty between turns.
    woken: Vec<Woken>,
}

impl Server {
    /// Makes a server without listeners.
    ///
    /// `handler` is an async closure or function. It runs on the loop's thread, so it need not be `Send` or `Sync`.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn new<H, R>(options: Options, handler: H) -> io::Result<Server>
    where
        H: AsyncFn(&mut Connection, &mut Request) -> R + 'static,
        R: IntoOutcome,
    {
        let runtime = Runtime::new()?;
        let control = Arc::new(Control {
            stop: Mutex::default(),
            #[cfg(feature = "tls")]
            reload: AtomicBool::new(false),
            wakes: Arc::clone(&runtime.wakes),
        });
        let core = Rc::new(Core::new(runtime));
        core.fit_to_descriptors(options.max_connections);
        Ok(Server { core, site: Rc::new(Profile::new(options, handler)), control, woken: Vec::new() })
    }

    /// Listens on a TCP address, `None` for every one; port 0 picks a free port. Returns the address. May be called again.
    ///
    /// # Errors
    /// `InvalidInput` for what is not an IP address; what bind(2) and listen(2) answer.
    pub fn bind<'a>(&mut self, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<SocketAddr> {
        self.core.bind(&self.site, ipaddr.into(), port).map(|listening| listening.addr())
    }

    /// Listens like [`bind`](Server::bind) for TLS, with the options' certificates (TLS 1.2 and 1.3, ALPN `http/1.1`).
    ///
    /// # Errors
    /// Those of [`bind`](Server::bind); one line naming the file that is missing or wrong, and why.
    #[cfg(feature = "tls")]
    pub fn bind_tls<'a>(&mut self, ipaddr: impl Into<Option<&'a str>>, port: u16) -> io::Result<SocketAddr> {
        self.core.bind_tls(&self.site, ipaddr.into(), port).map(|listening| listening.addr())
    }

    /// Listens on a Unix socket. Replaces the socket of a server that is gone, and removes its own when the server ends.
    ///
    /// # Errors
    /// What bind(2) answers: `AddrInUse` when a server listens there, or another file has the name.
    pub fn bind_unix(&mut self, path: impl AsRef<Path>) -> io::Result<()> {
        self.core.bind_unix(&self.site, path.as_ref())
    }

    /// The server's listeners, to change them while it runs.
    pub fn listeners(&self) -> Listeners {
        Listeners(Rc::downgrade(&self.core))
    }

    /// A handle with which handlers and other threads control this server.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.control))
    }

    /// Runs `future` on the loop, beside the connections, once [`run`](Server::run) is called: see [`spawn`](crate::spawn).
    pub fn spawn<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> crate::rt::Task<T> {
        crate::rt::Task::start(&self.core.runtime, Box::pin(future))
    }

    /// Serves until a [`Handle`] stops it.
    ///
    /// # Errors
    /// If the system cannot wait for events, which no running system refuses.
    pub fn run(mut self) -> io::Result<()> {
        let _entered = self.core.runtime.enter();
        self.core.runtime.read_clock();
        let mut woken = std::mem::take(&mut self.woken);
        while !self.stopped() {
            self.tick(&mut woken, None)?;
        }
        Ok(())
    }

    /// Runs one turn of the loop, for a program that has a loop of its own.
    ///
    /// Waits for events, at most for `timeout`, and serves what is ready. Handlers and tasks only run during a turn. Returns
    /// `Break` once a [`Handle`] has stopped the server: it can be dropped then.
    ///
    /// # Errors
    /// Those of [`run`](Server::run).
    pub fn turn(&mut self, timeout: Duration) -> io::Result<ControlFlow<()>> {
        let _entered = self.core.runtime.enter();
        let mut woken = std::mem::take(&mut self.woken);
        let turned = self.tick(&mut woken, Some(timeout));
        self.woken = woken;
        turned?;
        Ok(if self.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// How long another loop may wait before it calls [`turn`](Server::turn); `None` if for ever.
    ///
    /// It must call sooner if [`as_fd`](Server::as_fd) becomes readable. Ask for this each time, right before waiting.
    pub fn next_turn(&self) -> Option<Duration> {
        self.core.runtime.idle_time(!self.core.ready.borrow().is_empty())
    }

    /// A descriptor that becomes readable when there is something to do, for another loop to wait for.
    ///
    /// It belongs to an epoll(7) instance. The first call makes it, and all others return the same.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn as_fd(&self) -> io::Result<BorrowedFd<'_>> {
        self.core.runtime.reactor.descriptor()
    }

    /// One turn of the loop: wait, notice, drive what is ready, then accept.
    fn tick(&self, woken: &mut Vec<Woken>, at_most: Option<Duration>) -> io::Result<()> {
        let core = &self.core;
        #[cfg(feature = "tls")]
        TlsContext::new_tick();
        core.runtime.wait(!core.ready.borrow().is_empty(), at_most)?;
        core.runtime.reactor.dispatch(|source, event| match source {
            Source::Conn(key) => core.notice(key, event),
            Source::Listener(key) => core.notice_listener(key),
            Source::Fd(_) => {}
        });
        if core.runtime.wakes.take(woken) {
            self.obey();
            for key in woken.drain(..) {
                match key {
                    Woken::Conn(key) => core.woken(key),
                    Woken::Task(key) => core.runtime.run_task(key),
                }
            }
        }
        core.pop_timers();
        // Those that become ready meanwhile wait for the next tick, so that events are never starved.
        let ready = core.ready.borrow().len();
        for _ in 0..ready {
            let next = core.ready.borrow_mut().pop_front();
            if let Some(key) = next {
                core.drive(key);
            }
        }
        core.accept();
        Ok(())
    }

    /// Takes over what a handle asked for.
    fn obey(&self) {
        #[cfg(feature = "tls")]
        if self.control.reload.swap(false, Ordering::SeqCst) {
            self.core.reload_tls();
        }
        let asked = self.control.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(grace) = asked else { return };
        let deadline = self.core.runtime.deadline(grace);
        let before = self.core.stopping.get();
        let deadline = before.map_or(deadline, |stopping| stopping.deadline.min(deadline));
        self.core.stopping.set(Some(Stopping { deadline }));
        if before.is_none() {
            self.core.stop_listening();
        }
        // Only so that the loop wakes then.
        self.core.runtime.timers.borrow_mut().insert(deadline, Due::Accept);
    }

    fn stopped(&self) -> bool {
        let Some(stopping) = self.core.stopping.get() else { return false };
        self.core.slots.borrow().is_empty() || self.core.runtime.now() >= stopping.deadline
    }
}

/// Ends what is in flight: handlers and tasks are dropped where they wait.
impl Drop for Server {
    fn drop(&mut self) {
        let _entered = self.core.runtime.enter();
        self.core.drop_all();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("site", &self.site.options).finish_non_exhaustive()
    }
}

/// Controls a [`Server`] from another thread, a signal's watcher, or a handler.
#[derive(Clone)]
pub struct Handle(Arc<Control>);

struct Control {
    /// The grace of a stop that the loop has not yet seen.
    stop: Mutex<Option<Duration>>,
    /// The certificates must be reloaded.
    #[cfg(feature = "tls")]
    reload: AtomicBool,
    wakes: Arc<WakeQueue>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// Stops the server: it accepts no more connections, closes idle ones, and gives requests in flight `grace` to finish.
    /// [`Server::run`] then returns `Ok`. A second call may shorten the grace.
    pub fn stop(&self, grace: Duration) {
        let mut stop = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner);
        *stop = Some(stop.map_or(grace, |earlier| earlier.min(grace)));
        drop(stop);
        self.0.wakes.rouse();
    }

    /// Reloads the certificates of TLS listeners. Only new connections use them.
    ///
    /// If that fails, the old certificates stay, and a line of the log says which file is wrong.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) {
        self.0.reload.store(true, Ordering::SeqCst);
        self.0.wakes.rouse();
    }
}
