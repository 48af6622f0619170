//! Sockets: listeners and the transports that they accept.

mod batch;
mod listener;
mod peer;
#[cfg(feature = "http2")]
mod pipe;
mod said;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
#[cfg(feature = "tls")]
pub mod x509;

pub(crate) use listener::{Bind, Listener, parse_ip};
pub(crate) use peer::Network;
pub use peer::PeerAddr;
#[cfg(feature = "http2")]
pub(crate) use pipe::{Origin, Pipe};
pub(crate) use said::said;
#[cfg(feature = "tls")]
pub(crate) use tls::{TlsContext, TlsFiles};
pub(crate) use transport::Transport;
#[cfg(test)]
pub(crate) use transport::Wire;
