//! The daemon: see `daemon::run`.

#![warn(clippy::unwrap_used)]

mod daemon;

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run(std::env::args_os().skip(1))
}
