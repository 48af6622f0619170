//! The daemon: see `daemon::run`.

#![warn(clippy::unwrap_used)]

mod daemon;

#[cfg(test)]
#[path = "../tests/common/skip.rs"]
mod skip;

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run(std::env::args_os().skip(1))
}
