//! The head of a script's output becomes that of the response.

use super::head::ScriptHead;
use crate::daemon::escape::Escaped;
use crate::daemon::log;
use ecohttpd::{Connection, Result};

/// The status of a response with a `Location` but no `Status` (RFC 3875 §6.2.3).
const FOUND: u16 = 302;

/// Sets it on a connection.
pub trait SetOn {
    /// Sets status and fields. `name` is the script's, for the log.
    fn set_on(&self, con: &mut Connection, name: &str) -> Result<()>;
}

impl SetOn for ScriptHead<'_> {
    fn set_on(&self, con: &mut Connection, name: &str) -> Result<()> {
        if let Some(status) = self.odd_status {
            log::warn!("{name}: invalid Status, ignored: {}", Escaped(status));
        }
        match self.status {
            Some((code, "")) => con.set_status(code)?,
            Some((code, reason)) => con.set_status_reason(code, reason)?,
            None if self.redirects() => con.set_status(FOUND)?,
            // As set by the caller: 200, or the error whose page this is.
            None => {}
        }
        // The script's fields replace configured ones of the same name, but not each other.
        for (name, _) in &self.fields {
            con.remove_header(name)?;
        }
        for (name, value) in &self.fields {
            con.append_header_bytes(name, value)?;
        }
        if let Some(length) = self.length {
            con.add_header("Content-Length", length)?;
        }
        Ok(())
    }
}
