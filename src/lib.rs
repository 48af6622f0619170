//! A small, strict, fast server of HTTP/1.1 and HTTP/2 on one thread, with the API of lua-eco's `eco.http.server`.
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
//! | `websocket` | frames and messages, pure likewise | `http` |
//! | `rt` | the runtime: readiness, wakes, timers, tasks | |
//! | `net` | listeners, transports, TLS | `sys`, `buf`, `http` |
//! | `outbound` | connections to other servers | `net`, `rt` |
//! | `server` | all of them tied together: the loop, connections, handlers | all above |
//! | `files` | static files | all above |
//! | `serve_file` | the method of a connection that is at home in `files` | `files`, `server` |
//!
//! A request costs a read, what its handler does, and a write. An idle connection costs its slot of the slab and an
//! entry in the table of deadlines, but no buffer. [`Options`] bounds what a client may cost.
//!
//! # Features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `tls` (default) | HTTPS with rustls and ring: `Server::bind_tls`, `Options::cert` and the like, the module `x509` |
//! | `http2` (default) | HTTP/2 for HTTPS: `Options::http2` |
//! | `ktls` | kernel TLS: where Linux has it, it encrypts large files for HTTPS |
//! | `http` | conversions from and to the types of the crate `http`: `Connection::set_response`, `http::Request::try_from` |
//! | `stats` | what the server is doing: `Server::monitor`, `Options::tally` |
//! | `websocket` | WebSocket (RFC 6455): `Connection::websocket`, `Request::is_websocket` |
//! | `client` | what a proxy needs of a client: the head of a response, `ReplyHead`, and connections, `Upstream` |
//! | `client-tls` | such connections over TLS |
//! | `daemon`, `proxy`, `proxy-tls`, `status`, `terminal`, `ubus`, `workers` | the program `ecohttpd`, its proxy, status, what it shows in a terminal, `/ubus` and handlers; nothing for users of the library |

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod buf;
mod files;
mod http;
mod net;
#[cfg(feature = "client")]
mod outbound;
mod rt;
mod serve_file;
mod server;
mod sys;
#[cfg(feature = "websocket")]
mod websocket;

// The public interface is:
pub use files::{CleanPath, Files, Inspected};
pub use http::{BadChunk, Chunked, Disposition, status_reason};
#[cfg(feature = "client")]
pub use http::{BadReply, ReplyBody, ReplyHead, ReplyScanner};
pub use net::PeerAddr;
#[cfg(feature = "client-tls")]
pub use net::tls::ServerTrust;
#[cfg(feature = "client")]
pub use outbound::Upstream;
pub use rt::{AsyncFd, Task, sleep, spawn, yield_now};
pub use server::{
    Access, Connection, Error, FormEvent, Handle, IntoOutcome, Listeners, Listening, Options, Outcome, Refusal,
    Request, Result, Server, Site, Upgraded, UpgradedReader, UpgradedWriter, listen, timeout,
};
#[cfg(feature = "stats")]
pub use server::{ConnectionInfo, ConnectionState, Monitor, Stats, Tally};
#[cfg(feature = "websocket")]
pub use server::{Message, WebSocket, WebSocketOptions, WebSocketReader, WebSocketWriter};
#[cfg(feature = "websocket")]
pub use websocket::Close;

/// Small rules of HTTP's syntax, for programs that read or write some of it themselves.
pub mod syntax {
    pub use crate::http::accept::media_weight;
    pub use crate::http::date::http_date;
    pub use crate::http::headers::{decimal, is_token, push_decimal};
    pub use crate::http::query::{decode_form, decode_percent};
}

/// X.509 as far as a server needs it: makes a self-signed certificate, reads its own, and the subject of a client's.
#[cfg(feature = "tls")]
pub mod x509 {
    pub use crate::net::tls::{read_cert, read_key};
    pub use crate::net::x509::{
        CannotSign, Facts, SanName, SelfSigned, facts, is_dns_name, issuer, key_kind, self_signed, self_signed_by,
        subject,
    };
}
