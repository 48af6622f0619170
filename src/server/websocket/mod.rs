//! WebSockets: messages on an upgraded connection.
//!
//! Each file uses only files above it in this table.
//!
//! | file | concept |
//! | --- | --- |
//! | `options` | settings |
//! | `channel` | sending frames, receiving bytes, closing |
//! | `writer`, `reader` | the two directions |
//! | `socket` | both of them |
//! | `opening` | the handshake |
//!
//! The part that needs no connection is in [`websocket`](crate::websocket).

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
