//! Servers behind this one, whatever protocol they speak.
//!
//! | file | concept |
//! | --- | --- |
//! | `lookup` | addresses of a name, found without blocking the loop |
//! | `pool` | which server is next; connections, kept for the next request |
//! | `client_pace` | how slow a client may be |
//! | `relay` | a request and its response, both ways at once |
//! | `exchange` | all of these: connected, relayed, repeated or given up |

mod client_pace;
mod exchange;
mod lookup;
mod pool;
mod relay;

pub use exchange::{Outcome, Upload, exchange, tell};
pub use pool::Pool;
pub use relay::{Fault, PIECE, Scratch, Taken, Wire, Wrong};
