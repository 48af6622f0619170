//! The program: options to configuration, configuration to a server, signals to its change and its stop.
//!
//! It uses the library through its public interface alone.

mod access;
mod auth;
mod certificates;
mod cgi;
mod config;
mod hosts;
mod log;
mod percent;
mod prefix;
mod rebinding;
mod replies;
mod router;
mod scripts;
mod secure;
#[cfg(feature = "tls")]
mod self_signed;
mod service;
mod serving;
mod sys;
#[cfg(feature = "ubus")]
mod ubus;

use config::{Command, Config, Words};
#[cfg(feature = "tls")]
use ecohttpd::Handle;
use ecohttpd::{AsyncFd, Connection, Options, Request, Server};
use log::Sink;
use serving::{Care, Failure, Serving};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::cell::RefCell;
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

/// From one look at the certificates to the next.
#[cfg(feature = "tls")]
const HOUR: Duration = Duration::from_secs(3600);

/// Runs the daemon with the command line's arguments, the program's name left out.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    log::init(Sink::Stderr);
    // Before anything that takes time: until they are caught, a signal to reload ends the process.
    sys::process::ignore_stray_signals();
    let caught = Caught::new();
    // Where there is no current folder, a relative path names nothing anyway.
    let words = Words { args: args.collect(), folder: std::env::current_dir().unwrap_or_default() };
    let done = match config::parse(&words) {
        Ok(Command::Print(text)) => {
            print(&text);
            Ok(())
        }
        Ok(Command::Test(config)) => test(&config),
        Ok(Command::Serve(config)) => caught.map_err(refused).and_then(|caught| serve(&config, words, caught)),
        Err(error) => Err(Failure::Wrong(error)),
    };
    let Err(failure) = done else { return ExitCode::from(STOPPED) };
    eprintln!("ecohttpd: {}", failure.text());
    ExitCode::from(match failure {
        Failure::Wrong(_) => BAD_CONFIG,
        Failure::Refused(_) => CANNOT_SERVE,
    })
}

/// Prints on standard output, to whoever still listens there.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Says everything that is wrong with a configuration, but for what only binding its addresses would show.
fn test(config: &Config) -> Result<(), Failure> {
    check_user(config)?;
    let mut flaws = serving::check(config);
    let last = flaws.pop();
    config.warnings.iter().chain(&flaws).for_each(|line| eprintln!("ecohttpd: {line}"));
    match last {
        Some(flaw) => Err(Failure::Wrong(flaw)),
        None => {
            print("the configuration is right\n");
            Ok(())
        }
    }
}

fn serve(config: &Config, words: Words, caught: Caught) -> Result<(), Failure> {
    sys::process::mark_inherited_descriptors();
    let fallback = async |con: &mut Connection, req: &mut Request| con.serve_file(req).await;
    let mut server = Server::new(Options::new(), fallback).map_err(refused)?;
    let mut serving = Serving::new(server.listeners());
    check_user(config)?;
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    // A command line is somebody's at a keyboard. A file is read when a router boots, and whoever could mend it may need
    // this very server to do so: it serves what it can.
    let care = if config.file.is_some() { Care::Lenient } else { Care::Strict };
    serving.apply(config, care)?;
    for (tls, addr, folder) in serving.addresses(config) {
        print(&format!("ecohttpd: serving {} at {}\n", folder.display(), url(tls, addr)));
    }
    caught.watch(&mut server, serving, words);
    settle(config, server)
}

/// Sees that there is the user to become, while the one who started it still waits.
fn check_user(config: &Config) -> Result<(), Failure> {
    let Some(user) = &config.service.user else { return Ok(()) };
    match service::find_user(user) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(Failure::Wrong(format!("--user: {error}"))),
        found => found.map(drop).map_err(refused),
    }
}

fn refused(error: io::Error) -> Failure {
    Failure::Refused(error.to_string())
}

/// Becomes the service that was asked for, and serves.
fn settle(config: &Config, server: Server) -> Result<(), Failure> {
    let service = &config.service;
    let background = if service.foreground { None } else { Some(service::daemonise().map_err(refused)?) };
    let _pid_file = service.pid_file.as_deref().map(service::PidFile::create).transpose().map_err(refused)?;
    if let Some(user) = &service.user {
        service::drop_privileges(user).map_err(refused)?;
    }
    if let Some(background) = background {
        background.settle().map_err(refused)?;
        log::init(Sink::Syslog);
    }
    if service.syslog {
        log::init(Sink::Syslog);
    }
    server.run().map_err(refused)
}

/// What to open in a browser for an address.
fn url(tls: bool, addr: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    if addr.ip().is_unspecified() {
        let host = if addr.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        return format!("{scheme}://{host}:{}/", addr.port());
    }
    format!("{scheme}://{addr}/")
}

/// The signals that came, to be looked at once there is a server.
struct Caught {
    stop: UnixStream,
    reload: UnixStream,
}

impl Caught {
    fn new() -> io::Result<Caught> {
        Ok(Caught { stop: signals(&[SIGTERM, SIGINT])?, reload: signals(&[SIGHUP])? })
    }

    /// Stops the server gracefully at the first SIGTERM or SIGINT, at once at the second; reads the configuration at
    /// SIGHUP.
    fn watch(self, server: &mut Server, serving: Serving, words: Words) {
        let serving = Rc::new(RefCell::new(serving));
        let handle = server.handle();
        server
            .spawn(watch(self.stop, move |count| handle.stop(if count == 1 { GRACE } else { Duration::ZERO })))
            .detach();
        server.spawn(retry(Rc::clone(&serving))).detach();
        #[cfg(feature = "tls")]
        server.spawn(look_after_certificates(Rc::clone(&serving), server.handle(), HOUR)).detach();
        server
            .spawn(watch(self.reload, move |_| {
                match reload(&mut serving.borrow_mut(), &words) {
                    Ok(()) => log::info!("the configuration was read anew"),
                    Err(failure) => log::error!("the old configuration stays: {}", failure.text()),
                }
                ecohttpd::spawn(retry(Rc::clone(&serving))).detach();
            }))
            .detach();
    }
}

/// Tries again to listen where that was not possible, as long as there is such a place.
async fn retry(serving: Rc<RefCell<Serving>>) {
    if !serving.borrow_mut().wants_retries() {
        return;
    }
    loop {
        ecohttpd::sleep(serving::RETRY).await;
        if !serving.borrow_mut().retry() {
            return;
        }
    }
}

/// Looks at certificates each hour, for the end of one or an address of this host comes by itself. What is wrong is said each
/// day, for the first time when a clock that is set over the network is right.
#[cfg(feature = "tls")]
async fn look_after_certificates(serving: Rc<RefCell<Serving>>, handle: Handle, pause: Duration) {
    for hour in 1_u32.. {
        ecohttpd::sleep(pause).await;
        if serving.borrow().look_after_certificates(hour % 24 == 1) {
            handle.reload_tls();
        }
    }
}

/// Takes over what the configuration is now, if all of it is right.
fn reload(serving: &mut Serving, words: &Words) -> Result<(), Failure> {
    let config = match config::parse(words).map_err(Failure::Wrong)? {
        Command::Serve(config) => config,
        Command::Print(_) | Command::Test(_) => return Ok(()),
    };
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    serving.apply(&config, Care::AsBefore)
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
async fn watch(signals: UnixStream, mut act: impl FnMut(u64)) {
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

/// Runs a test on a loop, which ends with it, however it ends.
#[cfg(test)]
fn on_loop(test: impl AsyncFn() + 'static) {
    struct Stop(ecohttpd::Handle);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.stop(Duration::ZERO);
        }
    }

    let mut server = Server::new(Options::new(), async |_: &mut Connection, _: &mut Request| ()).unwrap();
    let (stop, (done, ended)) = (Stop(server.handle()), std::sync::mpsc::channel());
    server
        .spawn(async move {
            let _stop = stop;
            ecohttpd::timeout(Duration::from_secs(20), test()).await.expect("it hangs");
            done.send(()).unwrap();
        })
        .detach();
    server.run().unwrap();
    ended.try_recv().expect("the test failed");
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use std::fs;
    use std::time::SystemTime;

    /// Nobody reads the configuration, and nothing is started again.
    #[test]
    fn certificates_are_renewed_by_the_hour() {
        const DAY: u64 = 86_400;
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        let [root, cert_arg, key_arg] = [folder.path(), &cert, &key].map(|path| path.as_os_str().to_owned());
        let mut args: Vec<OsString> = ["-s", "127.0.0.1:0", "--self-signed"].map(OsString::from).into();
        args.extend(["-h".into(), root, "-C".into(), cert_arg, "-K".into(), key_arg]);
        let words = Words { args, folder: folder.path().to_owned() };
        let Ok(Command::Serve(config)) = config::parse(&words) else { panic!("the arguments are right") };
        let fallback = async |con: &mut Connection, req: &mut Request| con.serve_file(req).await;
        let mut server = Server::new(Options::new(), fallback).unwrap();
        let mut serving = Serving::new(server.listeners());
        serving.apply(&config, Care::Strict).map_err(|failure| failure.text().to_owned()).unwrap();

        let not_after = || ecohttpd::x509::facts(&ecohttpd::x509::read_cert(&cert).unwrap()).unwrap().not_after;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let key = ecohttpd::x509::read_key(&key).unwrap();
        let old = ecohttpd::x509::self_signed_by(&key, &[], now - 390 * DAY, now + 7 * DAY).unwrap();
        fs::write(&cert, old).unwrap();
        let (serving, handle) = (Rc::new(RefCell::new(serving)), server.handle());
        server.spawn(look_after_certificates(serving, server.handle(), Duration::from_millis(5))).detach();
        let watched = cert.clone();
        server
            .spawn(async move {
                for _ in 0..2000 {
                    let read = ecohttpd::x509::read_cert(&watched).ok().and_then(|cert| ecohttpd::x509::facts(&cert));
                    if read.is_some_and(|facts| facts.not_after > now + 300 * DAY) {
                        break;
                    }
                    ecohttpd::sleep(Duration::from_millis(5)).await;
                }
                handle.stop(Duration::ZERO);
            })
            .detach();
        server.run().unwrap();
        assert!(not_after() > now + 300 * DAY, "it was not renewed");
    }
}
