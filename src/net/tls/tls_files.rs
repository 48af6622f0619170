//! The files that a TLS listener is made of.

use std::path::PathBuf;

/// Where certificates are and who must show one.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// Certificate chains and their keys; the first is for clients that name no host, or an unknown one.
    pub(crate) pairs: Vec<(PathBuf, PathBuf)>,
    /// The authorities that sign clients' certificates.
    pub(crate) ca: Option<PathBuf>,
    /// Clients may come without a certificate, or with one that none of them signed.
    pub(crate) insecure: bool,
    /// OpenSSL's names of the TLS 1.2 suites to offer; none: all.
    pub(crate) ciphers: Vec<String>,
}
