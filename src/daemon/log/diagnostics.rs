//! Diagnostics of the daemon, and of the library by way of the crate `log`.

use super::outlet::{Outlet, OutletTarget, Standard};
#[cfg(feature = "status")]
use super::recent;
use super::syslog::Syslog;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fmt;
use std::sync::{Mutex, TryLockError};

// Macros like those of the crate `log`, without target and source line: no line of this log shows them, and they take
// several KB of the program.
macro_rules! error {
    ($($text:tt)*) => { $crate::daemon::log::diagnostics::write(::log::Level::Error, format_args!($($text)*)) };
}
// `warn` itself would be ambiguous with the attribute.
macro_rules! warning {
    ($($text:tt)*) => { $crate::daemon::log::diagnostics::write(::log::Level::Warn, format_args!($($text)*)) };
}
macro_rules! info {
    ($($text:tt)*) => { $crate::daemon::log::diagnostics::write(::log::Level::Info, format_args!($($text)*)) };
}
pub(crate) use {error, info, warning as warn};

/// Where diagnostics go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// Standard error, from where procd takes them to syslog.
    Stderr,
    /// The system's logger, for a daemon whose standard error nobody reads.
    Syslog,
}

/// Sends the messages of the library and the daemon there, those of level info and above.
///
/// It may be called again for another sink. Messages are lost if the logger does not run.
pub fn init(sink: LogSink) {
    let target = match sink {
        LogSink::Stderr => OutletTarget::standard(Standard::Error),
        LogSink::Syslog => OutletTarget::Syslog(Syslog::new()),
    };
    if let Ok(mut outlet) = DIAGNOSTICS.0.lock() {
        outlet.redirect(target);
        #[cfg(feature = "terminal")]
        outlet.colour(crate::daemon::terminal::shows_colours(&std::io::stderr()));
    }
    if log::set_logger(&DIAGNOSTICS).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Writes a line of diagnostics.
pub fn write(level: Level, text: fmt::Arguments<'_>) {
    #[cfg(feature = "status")]
    recent::keep(level, text);
    let mut outlet = match DIAGNOSTICS.0.try_lock() {
        Ok(outlet) => outlet,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // A value that logs while it is formatted would deadlock.
        Err(TryLockError::WouldBlock) => return,
    };
    outlet.write(level, text);
}

struct Diagnostics(Mutex<Outlet>);

static DIAGNOSTICS: Diagnostics = Diagnostics(Mutex::new(Outlet::new(OutletTarget::Standard(Standard::Error), true)));

impl Log for Diagnostics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        write(record.level(), *record.args());
    }

    fn flush(&self) {}
}
