//! Errors with a text.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

/// An error with a text. The type that std has for that brings its `Debug`, and tables of Unicode: 4 KB.
pub(crate) fn said(kind: ErrorKind, text: String) -> io::Error {
    io::Error::new(kind, Said(text))
}

#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Said {}
