//! A run of the program: from its arguments to its exit code.

use super::config::{Command, CommandLine, Config};
use super::exit::{STOPPED, ServeError};
use super::flaws::Care;
use super::log::LogSink;
use super::pid_file::PidFile;
use super::reload::Serving;
use super::signals::Signals;
use super::{background, certificates, config, log, privileges, tasks};
use crate::daemon::sys::{process, service};
use ecohttpd::{Connection, Options, Request, Server};
use std::ffi::OsString;
use std::io;
#[cfg(feature = "terminal")]
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Runs the daemon with the arguments of the command line, without the program's name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    log::init(LogSink::Stderr);
    // First of all: an uncaught SIGHUP would end the process.
    process::ignore_stray_signals();
    let signals = Signals::catch();
    // Without a current folder relative paths name nothing.
    let folder = std::env::current_dir().unwrap_or_default();
    let line = CommandLine {
        args: args.collect(),
        folder,
        #[cfg(feature = "terminal")]
        in_terminal: io::stdout().is_terminal(),
    };
    let done = match config::parse(&line) {
        Ok(Command::Print(text)) => {
            print(&text);
            Ok(())
        }
        Ok(Command::Test(config)) => test(&config),
        Ok(Command::Serve(config)) => signals.map_err(system).and_then(|signals| serve(&config, line, signals)),
        Err(error) => Err(ServeError::Config(error)),
    };
    let Err(error) = done else { return ExitCode::from(STOPPED) };
    report(error.text());
    ExitCode::from(error.code())
}

/// Prints on standard output.
fn print(text: &str) {
    service::print(1, text);
}

/// Prints a line on standard error.
fn report(text: &str) {
    service::print(2, &["ecohttpd: ", text, "\n"].concat());
}

/// Reports everything that is wrong with a configuration, short of binding its addresses.
fn test(config: &Config) -> Result<(), ServeError> {
    check_user(config)?;
    let mut flaws = config::problems(config);
    flaws.extend(config::absences(config));
    flaws.extend(certificates::flaws(config));
    let last = flaws.pop();
    config.warnings.iter().chain(&flaws).for_each(|line| report(line));
    match last {
        Some(flaw) => Err(ServeError::Config(flaw)),
        None => {
            print("configuration ok\n");
            Ok(())
        }
    }
}

fn serve(config: &Config, line: CommandLine, signals: Signals) -> Result<(), ServeError> {
    process::mark_inherited_descriptors();
    let fallback = async |con: &mut Connection, req: &mut Request| con.serve_file(req).await;
    let mut server = Server::new(Options::new(), fallback).map_err(system)?;
    let mut serving = Serving::new(&server);
    check_user(config)?;
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    // Someone at a keyboard reads errors at once. A file is read when a router boots, and this server may be the only
    // way to fix it.
    let care = if config.file.is_some() { Care::Lenient } else { Care::Strict };
    serving.apply(config, care)?;
    for (tls, addr, folder) in serving.bindings.addresses() {
        print(&format!("ecohttpd: serving {} at {}\n", folder.display(), url(tls, addr)));
    }
    #[cfg(feature = "terminal")]
    if config.process.open {
        let bound: Vec<_> = serving.bindings.addresses().map(|(tls, addr, _)| (tls, addr)).collect();
        print(&super::terminal::greeting(&bound));
    }
    tasks::start(&mut server, serving, line, signals);
    settle(config, server)
}

/// Looks up the user to become while the terminal is still there to report an error.
fn check_user(config: &Config) -> Result<(), ServeError> {
    let Some(user) = &config.process.user else { return Ok(()) };
    match privileges::find_user(user) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            Err(ServeError::Config(format!("--user: {error}")))
        }
        found => found.map(drop).map_err(system),
    }
}

fn system(error: io::Error) -> ServeError {
    ServeError::System(error.to_string())
}

/// Goes to the background, gives up root, and serves until stopped.
fn settle(config: &Config, server: Server) -> Result<(), ServeError> {
    let process = &config.process;
    let background = if process.foreground { None } else { Some(background::daemonise().map_err(system)?) };
    let _pid_file = process.pid_file.as_deref().map(PidFile::create).transpose().map_err(system)?;
    if let Some(user) = &process.user {
        privileges::drop_privileges(user).map_err(system)?;
    }
    if process.syslog || background.is_some() {
        log::init(LogSink::Syslog);
    }
    if let Some(background) = background {
        background.settle().map_err(system)?;
    }
    server.run().map_err(system)
}

/// The URL to open in a browser for an address.
fn url(tls: bool, addr: SocketAddr) -> String {
    let scheme = if tls { "https" } else { "http" };
    if addr.ip().is_unspecified() {
        let host = if addr.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        return format!("{scheme}://{host}:{}/", addr.port());
    }
    format!("{scheme}://{addr}/")
}
