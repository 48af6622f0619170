//! `/ubus`: JSON-RPC 2.0 over ubus, which is what LuCI speaks, and events as a stream.
//!
//! ```text
//!  HTTP ─► http ─► rpc ─► client ─► message ─► blob ─► ubusd
//!            └► json ◄──── feed ◄─────┘
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `blob` | tagged binary trees |
//! | `message` | what they travel in |
//! | `json` | text to blob, blob to text, without a tree between |
//! | `outbox` | messages on their way to ubusd |
//! | `calls` | calls in flight, and their answers |
//! | `waiters` | whose turn it is when there is room for a call |
//! | `budget` | how much of them may be held for whom |
//! | `client` | the one connection to ubusd, known objects |
//! | `feed` | events on their way to clients |
//! | `rpc` | what is asked, whether it is allowed, what comes of it |
//! | `window` | calls of a batch, answered in their order |
//! | `answer` | answers, made while they are sent |
//! | `http` | paths and methods, streams of events |

mod answer;
mod blob;
mod budget;
mod calls;
mod client;
mod feed;
mod http;
mod json;
mod message;
mod outbox;
mod rpc;
mod waiters;
mod window;

pub use http::Ubus;
