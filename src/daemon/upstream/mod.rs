//! Servers behind this one, whatever protocol they speak.
//!
//! | file | concept |
//! | --- | --- |
//! | `lookup` | addresses of a name, found without blocking the loop |
//! | `pool` | which server is next; connections, kept for the next request |
//! | `relay` | a request and its response, both ways at once |

mod lookup;
mod pool;
mod relay;

pub use pool::{Pool, Pooled, Unreachable};
pub use relay::{End, Fault, PIECE, Relay, Scratch, Taken, Wire, Wrong};
