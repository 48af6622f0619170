//! Handlers of uhttpd: files of Lua or ucode whose function `handle_request` answers all requests below a prefix.
//!
//! uhttpd runs them inside the server. Here a worker does: the system's own interpreter, running a small script that loads
//! the handler once. So the server stays small and nothing that a handler does can stop it. Each request has a process of
//! its own, so nothing of it is left for the next one.
//!
//! | file | concept |
//! | --- | --- |
//! | `handlers` | the prefixes of a site, and what answers a request below one |
//! | `worker` | a handler's worker: loading it, its pauses, its end |
//! | `start` | starting the interpreter, and waiting until the handler is loaded |
//! | `stamp` | whether the handler's file has changed |
//! | `variables` | the object that ucode handlers get for a request |
//!
//! ucode can fork. Its worker stays, and forks for each request. One fork is made ahead, and takes the next request with its
//! descriptors from a socket of packets. Plain Lua can't fork: its worker serves one request, and the next is loaded ahead.
//!
//! ```text
//!  ucode:  object and 4 descriptors ─► fork of the worker, made ahead ◄──► relay of `cgi` ◄──► client
//!  Lua:                   variables ─► worker, loaded ahead ◄──► relay of `cgi` ◄──► client
//! ```
//!
//! `worker.uc` and `worker.lua` in `openwrt/ecohttpd/files` are the other side.

mod handlers;
mod stamp;
mod start;
mod variables;
mod worker;

pub use handlers::{Handler, Handlers, path_info};
