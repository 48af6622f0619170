//! Errors that say what they are about.

use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, ErrorKind};

/// Puts what failed in front of the system's reason.
pub fn about(what: &dyn Display, error: io::Error) -> io::Error {
    said(error.kind(), format!("{what}: {error}"))
}

/// An error with a text. The type that std has for that brings its `Debug`, and tables of Unicode: 4 KB.
pub fn said(kind: ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, Said(text))
}

#[derive(Debug)]
struct Said(String);

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Said {}
