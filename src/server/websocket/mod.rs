//! WebSockets: messages on an upgraded connection.
//!
//! Each file uses only files above it in this table.
//!
//! | file | concept |
//! | --- | --- |
//! | `options` | what can be set |
//! | `channel` | frames that go out, bytes that come in, and whether it closes |
//! | `writer`, `reader` | the two directions |
//! | `socket` | both of them |
//! | `opening` | the handshake |
//!
//! What of it needs no connection is in [`websocket`](crate::websocket).

mod channel;
mod opening;
mod options;
mod reader;
mod socket;
mod writer;

pub use options::WebSocketOptions;
pub use reader::{Message, WebSocketReader};
pub use socket::WebSocket;
pub use writer::WebSocketWriter;
