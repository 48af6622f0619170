//! CGI/1.1 (RFC 3875), as uhttpd's scripts expect it.
//!
//! | file | concept |
//! | --- | --- |
//! | `serve` | a request that a script answers, from its arrival to the end |
//! | `script` | what is run, and whether it may be |
//! | `request_body` | the part of the body that is read before the script starts |
//! | `body_file` | chunked bodies in files, until their length is known |
//! | `minimum_rate` | how slow a client may be |
//! | `queue` | the limit of scripts at once, and who waits |
//! | `slow_clients` | scripts that wait for slow clients, and do not count |
//! | `environment` | its environment variables |
//! | `process` | the process, until it is reaped |
//! | `relay` | moving the body to it and its output to the client |
//! | `head_syntax` | the head of its output: collected and parsed |
//! | `head` | that head becomes the head of the response |
//! | `stderr` | its standard error, which goes to the log |
//!
//! ```text
//!  request ─► request_body ─► queue ─► environment ─► process ◄──► relay ◄──► client
//!                                                         └─► stderr ─► log
//! ```

mod body_file;
mod environment;
mod head;
mod head_syntax;
mod minimum_rate;
mod process;
mod queue;
mod relay;
mod request_body;
mod script;
mod serve;
mod slow_clients;
mod stderr;

pub use script::Script;
pub use serve::{Cgi, Limits, Served};
#[cfg(feature = "proxy")]
pub use {
    environment::Environment,
    head::set_head,
    head_syntax::{Collector, ScriptHead},
    request_body::ScriptInput,
    stderr::ErrorLines,
};
