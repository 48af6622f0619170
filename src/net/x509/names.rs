//! Subject alternative names.

use std::net::IpAddr;

/// A name that a certificate is valid for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SanName {
    /// A host name: letters, digits, `-` and `_` in labels.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}
