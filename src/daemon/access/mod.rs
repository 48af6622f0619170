//! Who a client is, and what its address may get.
//!
//! | file | concept |
//! | --- | --- |
//! | `network` | single addresses and prefixes |
//! | `proxies` | the client that a trusted proxy names |
//! | `control` | the verdict on a request |
//! | `rules` | which addresses may get what, by path |

mod control;
mod network;
mod proxies;
mod rules;

pub use control::{AccessControl, Denied};
pub use network::Network;
pub use proxies::{Contradiction, Proxies};
pub use rules::{Rule, RuleKind};
