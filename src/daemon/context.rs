//! Errors that say what they are about.

use std::fmt::Display;
use std::io;

/// Puts what failed in front of the system's reason.
pub fn about(what: &dyn Display, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
