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
//! | `pipes` | its pipes |
//! | `process` | the process, until it is reaped |
//! | `relay` | moving the body to it and its output to the client |
//! | `head_syntax` | the head of its output: collected and parsed |
//! | `head` | that head becomes the head of the response |
//! | `forked` | a process that a worker has forked |
//! | `told` | what the worker tells of it |
//! | `stderr` | its standard error, which goes to the log |
//!
//! ```text
//!  request ─► request_body ─► queue ─► environment ─► process ◄──► relay ◄──► client
//!                                                         └─► stderr ─► log
//! ```

mod body_file;
mod environment;
#[cfg(feature = "workers")]
mod forked;
mod head;
mod head_syntax;
mod minimum_rate;
mod pipes;
mod process;
mod queue;
mod relay;
mod request_body;
mod script;
mod serve;
mod slow_clients;
mod stderr;
#[cfg(feature = "workers")]
mod told;

#[cfg(feature = "workers")]
pub use forked::{Forked, WorkerPid};
#[cfg(feature = "workers")]
pub use pipes::{Ours, Theirs, input, output, pipes};
#[cfg(feature = "workers")]
pub use process::{Patience, Process};
pub use script::Script;
pub use serve::{Cgi, Limits, Served, Turn};
#[cfg(feature = "workers")]
pub use serve::{Running, not_started};
#[cfg(feature = "workers")]
pub use stderr::Followed;
#[cfg(feature = "workers")]
pub use told::Told;
#[cfg(any(feature = "proxy", feature = "workers"))]
pub use {environment::Environment, request_body::ScriptInput};
#[cfg(feature = "proxy")]
pub use {
    head::set_head,
    head_syntax::{Collector, ScriptHead},
    minimum_rate::MinimumRate,
    slow_clients::{SLOW_AFTER, Slow, SlowClient},
    stderr::ErrorLines,
};
