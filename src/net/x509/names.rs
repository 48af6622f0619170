//! The names that a certificate speaks for.

use std::net::IpAddr;

/// A name that a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SanName {
    /// A host name: letters, digits, `-` and `_` in labels.
    Dns(String),
    /// An address that clients type.
    Ip(IpAddr),
}
