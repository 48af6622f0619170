//! X.509 as far as a server needs it: makes a self-signed certificate, reads its own, and the subject of a client's.
//!
//! DER (X.690) is written and read here rather than by a crate: these few functions are a fraction of one's size.

mod create;
mod der;
mod facts;
#[cfg(test)]
mod oracle;
mod subject;

pub use create::{SelfSigned, is_dns_name, self_signed, self_signed_by};
pub(crate) use facts::public_key;
pub use facts::{Facts, facts};
pub use subject::subject;

use super::tls;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// A name that a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SanName {
    /// A host name: letters, digits, `-` and `_` in labels.
    Dns(String),
    /// An address that clients type.
    Ip(IpAddr),
}

/// The certificate in a file, PEM or DER, in DER: of a chain the first, which is the server's.
///
/// # Errors
/// One line: which file it is, and what is wrong with it.
pub fn read_cert(path: &Path) -> io::Result<Vec<u8>> {
    tls::read_cert(path)
}

/// The private key in a file, PEM or DER, in DER.
///
/// # Errors
/// As [`read_cert`].
pub fn read_key(path: &Path) -> io::Result<Vec<u8>> {
    tls::read_key(path)
}
