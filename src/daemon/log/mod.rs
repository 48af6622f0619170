//! The logs: diagnostics and access.
//!
//! Nothing here waits for whoever reads them: a line that cannot go at once is lost, and counted.

mod access;
mod line;
mod outlet;
mod syslog;

pub use self::access::{AccessLog, AccessTarget};
/// In the place of the crate whose name this module takes.
pub use ::log::{LevelFilter, error, info, warn};

use self::outlet::{Outlet, Standard, Target};
use self::syslog::Syslog;
use ::log::{Log, Metadata, Record};
use std::sync::{Mutex, TryLockError};

/// Where diagnostics go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// Standard error, from where procd takes them to syslog.
    Stderr,
    /// The system's logger itself, for a daemon that nobody holds a standard error of.
    Syslog,
}

/// Sends the library's and the daemon's messages there; until [`set_level`] says else, those of level info and above.
///
/// May be called again for another sink. Messages to a logger that is not there, or not yet, are lost as any others.
pub fn init(sink: LogSink) {
    let target = match sink {
        LogSink::Stderr => Target::standard(Standard::Error),
        LogSink::Syslog => Target::Syslog(Syslog::new()),
    };
    if let Ok(mut outlet) = DIAGNOSTICS.0.lock() {
        outlet.redirect(target);
    }
    if ::log::set_logger(&DIAGNOSTICS).is_ok() {
        set_level(LevelFilter::Info);
    }
}

/// Which messages are of interest: those of this level and of graver ones.
pub fn set_level(level: LevelFilter) {
    ::log::set_max_level(level);
}

struct Diagnostics(Mutex<Outlet>);

static DIAGNOSTICS: Diagnostics = Diagnostics(Mutex::new(Outlet::new(Target::Standard(Standard::Error), true)));

impl Log for Diagnostics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut outlet = match self.0.try_lock() {
            Ok(outlet) => outlet,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // A value that logs while it is printed would wait for itself.
            Err(TryLockError::WouldBlock) => return,
        };
        outlet.write(record.level(), *record.args());
    }

    fn flush(&self) {}
}
