//! The X.509 that a server needs: makes a self-signed certificate, reads its own, and reads the subject of a client's.
//!
//! DER (X.690) is read and written here: a crate would be several times the size of these few functions.

mod create;
mod der;
mod facts;
mod key_kind;
mod names;
#[cfg(test)]
mod oracle;
mod subject;

pub use create::{CannotSign, SelfSigned, is_dns_name, self_signed, self_signed_by};
pub(crate) use facts::public_key;
pub use facts::{Facts, facts};
pub use key_kind::key_kind;
pub use names::SanName;
pub use subject::{issuer, subject};
