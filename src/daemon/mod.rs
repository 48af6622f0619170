//! The program: options to configuration, configuration to a server, signals to its stop.
//!
//! It uses the library through its public interface alone.

mod access_log;
mod config;
mod logger;

use config::{Command, Config, Listen};
use ecohttpd::{AsyncFd, Connection, Handle, Options, Request, Server};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
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
    logger::init();
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
            CANNOT_SERVE
        }
    }
}

/// Makes the server, binds its addresses and says where it listens.
fn open(config: &Config) -> io::Result<Server> {
    let mut server = Server::new(options(config), handle)?;
    for listen in &config.listen {
        for addr in bind(&mut server, listen)? {
            print(&format!("ecohttpd: serving {} at {}\n", config.docroot.display(), url(addr)));
        }
    }
    watch_signals(&mut server)?;
    Ok(server)
}

async fn handle(con: &mut Connection, req: &mut Request) -> ecohttpd::Result<()> {
    con.serve_file(req).await
}

fn options(config: &Config) -> Options {
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
    if config.access_log {
        options = options.access_log(access_log::print);
    }
    options
}

/// Binds one address, or a port on every address of both families.
fn bind(server: &mut Server, listen: &Listen) -> io::Result<Vec<SocketAddr>> {
    let Some(ip) = listen.ip.as_deref() else {
        let v4 = attempt(server, "0.0.0.0", listen.port)?;
        // A system without IPv6 is none the worse for it.
        return Ok(match server.bind("::", v4.port()) {
            Ok(v6) => vec![v4, v6],
            Err(error) => {
                log::info!("[::]:{}: {error}", v4.port());
                vec![v4]
            }
        });
    };
    attempt(server, ip, listen.port).map(|addr| vec![addr])
}

fn attempt(server: &mut Server, ip: &str, port: u16) -> io::Result<SocketAddr> {
    let shown = if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
    server.bind(ip, port).map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {shown}: {error}")))
}

/// What to open in a browser for an address.
fn url(addr: SocketAddr) -> String {
    if addr.ip().is_unspecified() {
        let host = if addr.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        return format!("http://{host}:{}/", addr.port());
    }
    format!("http://{addr}/")
}

/// Stops the server gracefully at the first SIGTERM or SIGINT, at once at the second.
fn watch_signals(server: &mut Server) -> io::Result<()> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    for signal in [SIGTERM, SIGINT] {
        pipe::register(signal, sender.try_clone()?)?;
    }
    let handle = server.handle();
    server.spawn(async move {
        if let Err(error) = stop_at_signals(receiver, &handle).await {
            log::error!("cannot watch for signals: {error}");
        }
    });
    Ok(())
}

async fn stop_at_signals(receiver: UnixStream, handle: &Handle) -> io::Result<()> {
    let signals = AsyncFd::new(receiver)?;
    for grace in [GRACE, Duration::ZERO] {
        signals.read_with(|mut pipe| pipe.read(&mut [0])).await?;
        handle.stop(grace);
    }
    Ok(())
}
