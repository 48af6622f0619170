//! `/ubus`: JSON-RPC 2.0 over ubus, as LuCI uses it, and streams of events.
//!
//! ```text
//!  HTTP ─► http ─► rpc ─► client ─► message ─► blob ─► ubusd
//!            └► json ◄──── feed ◄─────┘
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `blob` | tagged binary trees |
//! | `message` | the messages that carry them |
//! | `json` | text to blob, blob to text, without a tree between |
//! | `outbox` | messages to be sent to ubusd |
//! | `calls` | calls in flight, and their answers |
//! | `waiters` | tasks that wait for room for a call |
//! | `budget` | how many bytes of replies a request may hold |
//! | `client` | the connection to ubusd, known objects |
//! | `feed` | events to be sent to clients |
//! | `rpc` | a request: parsed, authorized, called |
//! | `window` | calls of a batch, answered in order |
//! | `answer` | responses, generated while they are sent |
//! | `http` | paths and methods, streams of events |

mod answer;
pub mod blob;
mod budget;
mod calls;
mod client;
mod feed;
mod http;
pub mod json;
pub mod message;
mod outbox;
mod rpc;
mod waiters;
mod window;

#[cfg(feature = "status")]
pub use client::connect;
pub use http::Ubus;
