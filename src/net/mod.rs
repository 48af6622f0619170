//! Bytes on wires: listeners and the transports that they accept.

mod listener;
mod peer;
mod transport;

pub(crate) use listener::{Bind, Listener, parse_ip};
pub use peer::PeerAddr;
pub(crate) use transport::Transport;
#[cfg(test)]
pub(crate) use transport::Wire;
