//! A small, strict, fast HTTP/1.1 server on one thread, with the API of lua-eco's `eco.http.server`.
//!
//! ```no_run
//! use ecohttpd::{Connection, Options, Request};
//!
//! fn main() -> std::io::Result<()> {
//!     let options = Options::new().docroot("/www").gzip(true);
//!     ecohttpd::listen(None, 8080, options, async |con: &mut Connection, req: &mut Request| {
//!         match req.path() {
//!             "/hello" => {
//!                 con.add_header("Content-Type", "text/plain")?;
//!                 con.send("hello\n").await
//!             }
//!             _ => con.serve_file(req).await,
//!         }
//!     })
//! }
//! ```
//!
//! A handler is an `async` closure or function. It runs on the loop's one thread: no runtime, no `Send`, no locks.
//! While it waits, for its client or for any other [`Future`], the loop serves others.
//!
//! # How it works
//!
//! ```text
//!  listener ─► transport ─► buf::input ─► http ─► server ─► handler
//!                 ▲                                            │
//!                 └──────── buf::output ◄──────────────────────┘
//! ```
//!
//! | module | what it is | uses |
//! | --- | --- | --- |
//! | `sys` | the only unsafe code: system calls | |
//! | `buf` | queued bytes | |
//! | `http` | the protocol, pure: no I/O, no clock | `buf` |
//! | `rt` | the runtime: readiness, wakes, timers, tasks | |
//! | `net` | listeners, transports, TLS | `sys`, `buf`, `http` |
//! | `server` | all of them tied together: the loop, connections, handlers | all above |
//! | `files` | static files | all above |
//!
//! A request costs a read, what its handler does, and a write. An idle connection costs its slot of the slab and an
//! entry in the table of deadlines, but no buffer. [`Options`] bounds what a client may cost.

#![warn(clippy::unwrap_used)]

mod buf;
mod files;
mod http;
mod net;
mod rt;
mod server;
mod sys;

// The public interface is:
pub use files::{CleanPath, Files, Inspected};
pub use http::{Chunked, Disposition, status_reason};
pub use net::PeerAddr;
pub use rt::{AsyncFd, sleep, spawn};
pub use server::{
    Access, Connection, Error, FormEvent, Handle, IntoOutcome, Listeners, Listening, Options, Outcome, Request, Result,
    Server, Site, Upgraded, listen, timeout,
};

/// X.509 as far as a server needs it: makes a self-signed certificate, reads its own, and the subject of a client's.
#[cfg(feature = "tls")]
pub mod x509 {
    pub use crate::net::tls::{read_cert, read_key};
    pub use crate::net::x509::{Facts, SanName, SelfSigned, facts, is_dns_name, self_signed, self_signed_by, subject};
}
