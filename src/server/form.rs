//! Form data as it arrives.

use crate::http::multipart;

/// One event of a `multipart/form-data` body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 7578 knows no other, and programs match on these without a wildcard")]
pub enum FormEvent {
    /// A header of the part that begins; the name in lower case.
    Header {
        /// `content-disposition`, `content-type`, …
        name: String,
        /// Its value; bytes that are not UTF-8 appear as U+FFFD.
        value: String,
    },
    /// A piece of the part's body.
    Body {
        /// The bytes, at most about 16 KiB.
        data: Vec<u8>,
        /// Whether this was the part's last piece.
        done: bool,
    },
    /// The form is complete.
    End,
}

impl From<multipart::Event> for FormEvent {
    fn from(event: multipart::Event) -> Self {
        match event {
            multipart::Event::Header { name, value } => FormEvent::Header { name, value },
            multipart::Event::Body { data, done } => FormEvent::Body { data, done },
            multipart::Event::End => FormEvent::End,
        }
    }
}
