//! Diagnostics on standard error, where procd takes them to syslog.

use log::{LevelFilter, Log, Metadata, Record};
use std::io::Write;

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // A full disk or a closed pipe must not stop the server: there is nobody left to tell.
        let _ = writeln!(
            std::io::stderr(),
            "ecohttpd: {}: {}",
            record.level().as_str().to_ascii_lowercase(),
            record.args()
        );
    }

    fn flush(&self) {}
}

/// Sends the library's and the daemon's messages to standard error.
pub fn init() {
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
