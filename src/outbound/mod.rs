//! Connections to other servers, for a proxy: one stream whatever carries it, polled by the loop.

mod upstream;

pub use upstream::Upstream;
