//! The logs: diagnostics and access.
//!
//! Logging never blocks: a line that can't be written at once is lost, and counted.
//!
//! | file | concept |
//! | --- | --- |
//! | `diagnostics` | lines about what happens, by `log::error!` and its like |
//! | `access` | a line for each request |
//! | `terminal_line` | such a line for a person |
//! | `outlet` | where lines go, and how many were lost |
//! | `recent` | the last errors and warnings |
//! | `line` | one line, bounded and without control characters |
//! | `syslog` | datagrams to the system's logger |

mod access;
pub mod diagnostics;
mod line;
mod outlet;
#[cfg(feature = "status")]
pub mod recent;
mod syslog;
#[cfg(feature = "terminal")]
mod terminal_line;

pub use access::{AccessLog, AccessTarget};
pub use diagnostics::{LogSink, init};
pub(crate) use diagnostics::{error, info, warn};
