//! The head of a script's output becomes that of the response.

use super::head_syntax::ScriptHead;
use crate::daemon::escape::Escaped;
use crate::daemon::log;
use ecohttpd::{Connection, Result};
use std::fmt::Display;

/// The status of a response with a `Location` but no `Status` (RFC 3875 §6.2.3).
const FOUND: u16 = 302;

/// Sets the response's head to the script's. `name`: the script and its client, for the log.
pub fn set_head(con: &mut Connection, head: &ScriptHead<'_>, name: &dyn Display) -> Result<()> {
    if let Some(status) = head.odd_status {
        log::warn!("{name}: invalid Status, ignored: {}", Escaped(status));
    }
    match head.status {
        Some((code, "")) => con.set_status(code)?,
        Some((code, reason)) => con.set_status_reason(code, reason)?,
        None if head.redirects() => con.set_status(FOUND)?,
        // As set by the caller: 200, or the error whose page this is.
        None => {}
    }
    // The script's fields replace configured ones of the same name, but not each other.
    for (name, _) in &head.fields {
        con.remove_header(name)?;
    }
    for (name, value) in &head.fields {
        con.append_header_bytes(name, value)?;
    }
    if let Some(length) = head.length {
        con.add_header("Content-Length", length)?;
    }
    Ok(())
}
