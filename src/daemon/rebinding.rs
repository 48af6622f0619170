//! The filter against DNS rebinding: `-R`.

use super::addresses::is_private;
use ecohttpd::Connection;

/// Whether a private client asks a public address: a page from the Internet may have pointed its host name here (DNS
/// rebinding).
pub fn is_rebound(con: &Connection) -> bool {
    let local = || con.local_addr().ok()?.ip();
    con.remote_addr().ip().is_some_and(is_private) && local().is_some_and(|ip| !is_private(ip))
}
