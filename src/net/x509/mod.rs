//! X.509 as far as a server needs it: makes a self-signed certificate, reads its own, and the subject of a client's.
//!
//! DER (X.690) is written and read here rather than by a crate: these few functions are a fraction of one's size.

mod create;
mod der;
mod facts;
mod names;
#[cfg(test)]
mod oracle;
mod subject;

pub use create::{CannotSign, SelfSigned, is_dns_name, self_signed, self_signed_by};
pub(crate) use facts::public_key;
pub use facts::{Facts, facts};
pub use names::SanName;
pub use subject::subject;
