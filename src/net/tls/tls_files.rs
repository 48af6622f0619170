//! The files and settings of a TLS listener.

use std::path::PathBuf;

/// Certificates, keys, authorities and suites of a TLS listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// Certificate chains and their keys; the first is the default.
    pub(crate) pairs: Vec<(PathBuf, PathBuf)>,
    /// The authorities for client certificates.
    pub(crate) ca: Option<PathBuf>,
    /// Accept clients without a certificate, or with one that no authority signed.
    pub(crate) insecure: bool,
    /// The TLS 1.2 suites to offer, by their OpenSSL names; empty means all.
    pub(crate) ciphers: Vec<String>,
    /// Offer HTTP/1.1 only.
    #[cfg(feature = "http2")]
    pub(crate) no_http2: bool,
}
