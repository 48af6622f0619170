//! The validated configuration, whatever it was read from.

mod cli;
#[allow(dead_code)]
pub mod httpd_conf;
#[allow(dead_code)]
pub mod uci;

pub use cli::{HELP, parse};

use std::path::PathBuf;
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    Serve(Box<Config>),
    Help,
    Version,
}

/// How to serve; every value is within its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub docroot: PathBuf,
    pub listen: Vec<Listen>,
    #[cfg(feature = "tls")]
    pub tls: Tls,
    pub index: Vec<String>,
    pub http_keepalive: Duration,
    pub network_timeout: Duration,
    pub max_connections: usize,
    /// The interval of TCP keep-alive probes; `None` sends none.
    pub tcp_keepalive: Option<Duration>,
    pub no_dirlists: bool,
    pub no_symlinks: bool,
    pub gzip: bool,
    pub access_log: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            docroot: PathBuf::from("."),
            listen: Vec::new(),
            #[cfg(feature = "tls")]
            tls: Tls::default(),
            index: ["index.html", "index.htm", "default.html", "default.htm"].map(String::from).into(),
            http_keepalive: Duration::from_secs(20),
            network_timeout: Duration::from_secs(30),
            max_connections: 100,
            tcp_keepalive: None,
            no_dirlists: false,
            no_symlinks: false,
            gzip: false,
            access_log: false,
        }
    }
}

/// HTTPS.
#[cfg(feature = "tls")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// With any, both files are given.
    pub listen: Vec<Listen>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Make the two files where both are missing.
    pub self_signed: bool,
    /// Send clients of the plain listeners to the first TLS listener.
    pub redirect: bool,
    /// The `max-age` of `Strict-Transport-Security`; `None` sends none.
    pub hsts: Option<Duration>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: every address.
    pub ip: Option<String>,
    pub port: u16,
}

/// The port when none is given.
pub const DEFAULT_PORT: u16 = 8080;
