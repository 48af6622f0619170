//! What runs beside the requests: signals, addresses that are tried again, certificates that are renewed.

use super::config::CommandLine;
use super::log;
use super::reload::Serving;
use super::signals::{self, Signals};
#[cfg(feature = "status")]
use super::status::{BusObject, serve_on_bus};
#[cfg(feature = "tls")]
use ecohttpd::Handle;
use ecohttpd::Server;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How long requests in flight may take after the first signal to stop: as long as procd waits before it kills.
const GRACE: Duration = Duration::from_secs(5);

/// How long to wait before binding a missing address again.
const RETRY: Duration = Duration::from_secs(5);

/// How often certificates are checked.
#[cfg(feature = "tls")]
const HOUR: Duration = Duration::from_secs(3600);

/// Starts all of them on a server.
pub fn start(server: &mut Server, serving: Serving, line: CommandLine, signals: Signals) {
    let serving = Rc::new(RefCell::new(serving));
    let retries = Rc::new(Retries { serving: Rc::clone(&serving), running: Cell::new(false) });
    let handle = server.handle();
    server
        .spawn(async move {
            let stop = &mut |count| handle.stop(if count == 1 { GRACE } else { Duration::ZERO });
            signals::on_each(signals.stop, stop).await;
        })
        .detach();
    server.spawn(Rc::clone(&retries).run()).detach();
    #[cfg(feature = "tls")]
    server.spawn(look_after_certificates(Rc::clone(&serving), server.handle(), HOUR)).detach();
    let reloader = Rc::new(Reloader { serving, line, retries });
    #[cfg(feature = "status")]
    {
        let (status, reloader) = (Rc::clone(&reloader.serving.borrow().status), Rc::clone(&reloader));
        server.spawn(serve_on_bus(BusObject { status, reload: Box::new(move || reloader.reload()) })).detach();
    }
    let on_signal = async move {
        let reload = &mut |_| {
            reloader.reload();
        };
        signals::on_each(signals.reload, reload).await;
    };
    server.spawn(on_signal).detach();
}

/// Loads the configuration again.
struct Reloader {
    serving: Rc<RefCell<Serving>>,
    line: CommandLine,
    retries: Rc<Retries>,
}

impl Reloader {
    /// Returns false if something is wrong with it, which is logged.
    fn reload(&self) -> bool {
        let reloaded = self.serving.borrow_mut().reload(&self.line);
        match &reloaded {
            Ok(()) => log::info!("configuration reloaded"),
            Err(error) => log::error!("reload failed, keeping the old configuration: {}", error.text()),
        }
        ecohttpd::spawn(Rc::clone(&self.retries).run()).detach();
        reloaded.is_ok()
    }
}

/// Tries again to bind missing addresses, by one task at a time.
struct Retries {
    serving: Rc<RefCell<Serving>>,
    running: Cell<bool>,
}

impl Retries {
    async fn run(self: Rc<Self>) {
        if !self.serving.borrow().bindings.are_missing() || self.running.replace(true) {
            return;
        }
        loop {
            ecohttpd::sleep(RETRY).await;
            if !self.serving.borrow_mut().retry() {
                break;
            }
        }
        self.running.set(false);
    }
}

/// Checks certificates each hour: they expire, and this host's addresses change, without a reload. What is wrong is
/// logged once a day; the first time an hour after the start, when the clock has been set over the network.
#[cfg(feature = "tls")]
async fn look_after_certificates(serving: Rc<RefCell<Serving>>, handle: Handle, pause: Duration) {
    for hour in 1_u32.. {
        ecohttpd::sleep(pause).await;
        if serving.borrow().look_after_certificates(hour % 24 == 1) {
            handle.reload_tls();
        }
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use crate::daemon::config::{self, Command};
    use crate::daemon::flaws::Care;
    use ecohttpd::{Connection, Options, Request};
    use std::ffi::OsString;
    use std::fs;
    use std::time::SystemTime;

    /// Without a reload or a restart.
    #[test]
    fn certificates_are_renewed_by_the_hour() {
        const DAY: u64 = 86_400;
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        let [root, cert_arg, key_arg] = [folder.path(), &cert, &key].map(|path| path.as_os_str().to_owned());
        let mut args: Vec<OsString> = ["-s", "127.0.0.1:0", "--self-signed"].map(OsString::from).into();
        args.extend(["-h".into(), root, "-C".into(), cert_arg, "-K".into(), key_arg]);
        let line = CommandLine {
            args,
            folder: folder.path().to_owned(),
            #[cfg(feature = "terminal")]
            in_terminal: false,
        };
        let Ok(Command::Serve(config)) = config::parse(&line) else { panic!("the arguments are right") };
        let fallback = async |con: &mut Connection, req: &mut Request| con.serve_file(req).await;
        let mut server = Server::new(Options::new(), fallback).unwrap();
        let mut serving = Serving::new(&server);
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
