//! Servers behind this one. Without the feature `proxy` only what they were to serve is known.

use std::fmt;
#[cfg(feature = "proxy")]
use std::path::PathBuf;

/// Where some requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// A path, without a slash at its end; or, for FastCGI, extensions with their dots, separated by a blank.
    pub from: String,
    /// At least one. They take turns.
    #[cfg(feature = "proxy")]
    pub servers: Vec<BackendServer>,
    /// What replaces `from` in paths, without a slash at its end; `None`: nothing does.
    #[cfg(feature = "proxy")]
    pub path: Option<String>,
    /// `Host` for the server; `None`: that of the client.
    #[cfg(feature = "proxy")]
    pub host: Option<String>,
    #[cfg(feature = "proxy")]
    pub trust: Trust,
    /// As it was given.
    text: String,
}

/// One server.
#[cfg(feature = "proxy")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendServer {
    pub tls: bool,
    pub place: Place,
}

/// Where a server listens.
#[cfg(feature = "proxy")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name or an address, without brackets.
    Tcp(String, u16),
    Unix(PathBuf),
}

/// How a server that speaks TLS is verified.
#[cfg(feature = "proxy")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the authorities in this file.
    Ca(PathBuf),
    /// Not at all.
    Anyone,
}

/// The authorities of OpenWrt's package ca-bundle, and of Debian.
#[cfg(feature = "proxy")]
pub const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(feature = "proxy")]
impl fmt::Display for BackendServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Backend {
    /// Without a server yet.
    pub fn new(from: String, text: &str) -> Backend {
        Backend {
            from,
            #[cfg(feature = "proxy")]
            servers: Vec::new(),
            #[cfg(feature = "proxy")]
            path: None,
            #[cfg(feature = "proxy")]
            host: None,
            #[cfg(feature = "proxy")]
            trust: Trust::Ca(CA_BUNDLE.into()),
            text: text.trim().to_owned(),
        }
    }
}
