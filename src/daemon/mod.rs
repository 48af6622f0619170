//! The program: options to configuration, configuration to a server, signals to its stop.
//!
//! It uses the library through its public interface alone.

#[allow(dead_code, unused_imports)]
mod auth;
mod config;
#[allow(dead_code)]
mod log;
mod secure;
#[cfg(feature = "tls")]
mod self_signed;
#[allow(dead_code, unused_imports)]
#[allow(dead_code)]
mod service;
mod sys;

use config::{Command, Config, Listen};
use ecohttpd::{AsyncFd, Connection, Handle, Options, Request, Server};
use log::{AccessLog, AccessTarget, Sink};
use secure::Secure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::ffi::{OsString, c_int};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// Stopped by a signal.
const STOPPED: u8 = 0;
/// An option or what it names is wrong.
const BAD_CONFIG: u8 = 1;
/// An address could not be bound, or the system refused something else that a server needs.
const CANNOT_SERVE: u8 = 2;

/// How long what is in flight may take after the first signal: as long as procd waits before it kills.
const GRACE: Duration = Duration::from_secs(5);

/// Queue of TCP Fast Open requests with `-A`, as uhttpd sets it.
const FAST_OPEN: u32 = 5;
/// Silence before the first keep-alive probe with `-A`, as uhttpd sets it.
const PROBE_AFTER: Duration = Duration::from_secs(1);
/// Unanswered probes with `-A`, as uhttpd sets it.
const PROBES: u32 = 3;

/// Runs the daemon with the command line's arguments, the program's name left out.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    log::init(Sink::Stderr);
    let status = match config::parse(args) {
        Ok(Command::Help) => print(config::HELP),
        Ok(Command::Version) => print(concat!("ecohttpd ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Serve(config)) => serve(&config),
        Err(error) => {
            eprintln!("ecohttpd: {error}");
            BAD_CONFIG
        }
    };
    ExitCode::from(status)
}

/// Prints on standard output, to whoever still listens there.
fn print(text: &str) -> u8 {
    let _ = io::stdout().write_all(text.as_bytes());
    STOPPED
}

fn serve(config: &Config) -> u8 {
    match open(config).and_then(Server::run) {
        Ok(()) => STOPPED,
        Err(error) => {
            eprintln!("ecohttpd: {error}");
            // What a certificate's file can be; what bind(2) answers is none of these.
            match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::NotFound => BAD_CONFIG,
                _ => CANNOT_SERVE,
            }
        }
    }
}

/// Makes the server, binds its addresses and says where it listens.
fn open(config: &Config) -> io::Result<Server> {
    #[cfg(feature = "tls")]
    self_signed::prepare(&config.tls)?;
    let secure = Rc::new(Secure::new(config));
    let policy = Rc::clone(&secure);
    let mut server = Server::new(options(config)?, async move |con: &mut Connection, req: &mut Request| {
        if policy.redirects(con, req).await? {
            return Ok(());
        }
        con.serve_file(req).await
    })?;
    let say =
        |scheme, addr| print(&format!("ecohttpd: serving {} at {}\n", config.docroot.display(), url(scheme, addr)));
    for listen in &config.listen {
        for addr in bind(&mut server, listen, |server, ip, port| server.bind(ip, port))? {
            say("http", addr);
        }
    }
    #[cfg(feature = "tls")]
    for listen in &config.tls.listen {
        for addr in bind(&mut server, listen, |server, ip, port| server.bind_tls(ip, port))? {
            say("https", addr);
            secure.found_port(addr.port());
        }
    }
    watch_signals(&mut server)?;
    Ok(server)
}

fn options(config: &Config) -> io::Result<Options> {
    let mut options = Options::new()
        .docroot(&config.docroot)
        .indexes(&config.index)
        .gzip(config.gzip)
        .follow_symlinks(!config.no_symlinks)
        .dir_listing(!config.no_dirlists)
        .http_keepalive(config.http_keepalive)
        .header_timeout(config.network_timeout)
        .body_timeout(config.network_timeout)
        .write_timeout(config.network_timeout)
        .max_connections(config.max_connections)
        // As in uhttpd: `0.0.0.0:80` and `[::]:80` are two listeners.
        .ipv6_v6only(true);
    if let Some(interval) = config.tcp_keepalive {
        options = options
            .keepalive(true)
            .tcp_keepidle(PROBE_AFTER)
            .tcp_keepintvl(interval)
            .tcp_keepcnt(PROBES)
            .tcp_fastopen(FAST_OPEN);
    }
    #[cfg(feature = "tls")]
    if let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) {
        options = options.cert(cert).key(key);
    }
    if config.access_log {
        let log = AccessLog::open(&AccessTarget::Stdout)?;
        options = options.access_log(move |access| log.log(access));
    }
    Ok(options)
}

/// `Server::bind` or `Server::bind_tls`.
type Binder = fn(&mut Server, &str, u16) -> io::Result<SocketAddr>;

/// Binds one address, or a port on every address of both families.
fn bind(server: &mut Server, listen: &Listen, bind: Binder) -> io::Result<Vec<SocketAddr>> {
    let Some(ip) = listen.ip.as_deref() else {
        let v4 = attempt(server, "0.0.0.0", listen.port, bind)?;
        // A system without IPv6 is none the worse for it.
        return Ok(match bind(server, "::", v4.port()) {
            Ok(v6) => vec![v4, v6],
            Err(error) => {
                log::info!("[::]:{}: {error}", v4.port());
                vec![v4]
            }
        });
    };
    attempt(server, ip, listen.port, bind).map(|addr| vec![addr])
}

fn attempt(server: &mut Server, ip: &str, port: u16, bind: Binder) -> io::Result<SocketAddr> {
    bind(server, ip, port).map_err(|error| {
        // An error of the library's own has said what is wrong.
        if error.raw_os_error().is_none() {
            return error;
        }
        let shown = if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
        io::Error::new(error.kind(), format!("cannot listen on {shown}: {error}"))
    })
}

/// What to open in a browser for an address.
fn url(scheme: &str, addr: SocketAddr) -> String {
    if addr.ip().is_unspecified() {
        let host = if addr.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        return format!("{scheme}://{host}:{}/", addr.port());
    }
    format!("{scheme}://{addr}/")
}

/// Stops the server gracefully at the first SIGTERM or SIGINT, at once at the second; loads certificates at SIGHUP.
fn watch_signals(server: &mut Server) -> io::Result<()> {
    let stop = signals(&[SIGTERM, SIGINT])?;
    let reload = signals(&[SIGHUP])?;
    let handle = server.handle();
    server.spawn(watch(stop, move |count| handle.stop(if count == 1 { GRACE } else { Duration::ZERO })));
    let handle = server.handle();
    server.spawn(watch(reload, move |_| self::reload(&handle)));
    Ok(())
}

/// A pipe that gets a byte for each of these signals.
fn signals(numbers: &[c_int]) -> io::Result<UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    for number in numbers {
        pipe::register(*number, sender.try_clone()?)?;
    }
    Ok(receiver)
}

/// Calls `act` at each signal, with their number so far.
async fn watch(signals: UnixStream, act: impl Fn(u64)) {
    let watched = async {
        let signals = AsyncFd::new(signals)?;
        for count in 1.. {
            signals.read_with(|mut pipe| pipe.read(&mut [0])).await?;
            act(count);
        }
        io::Result::Ok(())
    };
    if let Err(error) = watched.await {
        log::error!("cannot watch for signals: {error}");
    }
}

#[cfg(feature = "tls")]
fn reload(handle: &Handle) {
    handle.reload_tls();
}

#[cfg(not(feature = "tls"))]
fn reload(_: &Handle) {}
