//! Form data as it arrives: the multipart parser fed from a connection's body.

use super::connection::Connection;
use super::error::{Error, Result};
use super::limits::SCRATCH;
use super::request::Request;
use crate::http::{Multipart, multipart};
use std::time::Duration;

/// One event of a `multipart/form-data` body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 7578 knows no other, and programs match on these without a wildcard")]
pub enum FormEvent {
    /// A header field of the part that begins; the name in lower case.
    Header {
        /// `content-disposition`, `content-type`, …
        name: String,
        /// Its value; bytes that are not UTF-8 appear as U+FFFD.
        value: String,
    },
    /// A piece of the part's body.
    Body {
        /// The bytes, at most some 16 KiB.
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

/// The next event of the form in `req`'s body.
pub(super) async fn next(con: &mut Connection, req: &mut Request, timeout: Option<Duration>) -> Result<FormEvent> {
    if req.form.is_none() {
        let content_type = req.head.header_bytes("content-type").ok_or(Error::BadBody("no content-type"))?;
        req.form = Some(Box::new(Multipart::new(content_type)?));
    }
    let Some(form) = &mut req.form else { return Err(Error::Closed) };
    loop {
        if let Some(event) = form.next()? {
            return Ok(event.into());
        }
        let bytes = con.read_upto(1, SCRATCH, timeout).await?;
        if bytes.is_empty() {
            form.finish();
        } else {
            form.feed(&bytes);
        }
    }
}
