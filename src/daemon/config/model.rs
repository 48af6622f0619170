//! The validated configuration: plain data, whatever it was read from.

use super::backend::Backend;
use crate::daemon::access;
use crate::daemon::auth::RealmLine;
use crate::daemon::log::AccessTarget;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve until a signal comes.
    Serve(Box<Config>),
    /// Check everything and report what is wrong.
    Test(Box<Config>),
    /// Print this text.
    Print(String),
}

/// The configuration. Every value is within its range.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The file that it was read from; `None`: the command line.
    pub file: Option<PathBuf>,
    pub process: ProcessConfig,
    pub sites: Vec<SiteConfig>,
    /// What does not work as configured, for the log.
    pub warnings: Vec<String>,
    /// What is wrong in the file and was left out: a router boots without it, but a reload is refused.
    pub errors: Vec<String>,
}

impl Config {
    /// Files that no client may get, in whatever folder they are: keys, and files with passwords.
    pub fn secrets(&self) -> impl Iterator<Item = &Path> {
        let of_sites = self.sites.iter().flat_map(|site| site.tls.key.iter().chain(&site.httpd_conf));
        of_sites.chain(&self.file).map(PathBuf::as_path)
    }
}

/// What concerns the process as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessConfig {
    pub foreground: bool,
    /// Print the address for other devices.
    #[cfg(feature = "terminal")]
    pub open: bool,
    pub syslog: bool,
    pub user: Option<String>,
    pub pid_file: Option<PathBuf>,
}

/// One section `config uhttpd`, or all of the command line. Times are in seconds.
#[derive(Debug, PartialEq, Eq)]
pub struct SiteConfig {
    /// The name in messages: `uhttpd.main`; empty for the command line.
    pub name: String,
    pub listen: Vec<Listen>,
    pub tls: TlsConfig,
    /// The hosts of this site, where several share a listener. If empty: all that are no other site's.
    pub server_names: Vec<String>,
    pub docroot: PathBuf,
    pub index: Vec<String>,
    pub error_page: Option<String>,
    pub fallback: Option<String>,
    pub aliases: Vec<Alias>,
    /// Servers that requests are forwarded to.
    pub proxies: Vec<Backend>,
    pub proxy_timeout: u32,
    /// How long a connection that was upgraded may be silent.
    pub proxy_idle_timeout: u32,
    /// Servers that run the files of an extension, or what is below a path.
    pub fastcgi: Vec<Backend>,
    pub no_symlinks: bool,
    pub no_dirlists: bool,
    pub list_charset: String,
    pub private_files: bool,
    pub no_gzip: bool,
    pub headers: Vec<Header>,
    pub no_server_header: bool,
    pub rfc1918_filter: bool,
    /// Proxies that are trusted to name the client.
    pub trusted_proxies: Vec<access::Network>,
    /// Some value was wrong, so there may be more of them.
    pub uncertain_proxies: bool,
    /// Which addresses may get what.
    pub access: Vec<access::Rule>,
    /// Paths that require a client certificate.
    pub client_certs: Vec<String>,
    pub realm: String,
    pub httpd_conf: Option<PathBuf>,
    pub auth: Vec<RealmLine>,
    pub cgi_prefix: String,
    pub interpreters: Vec<Interpreter>,
    pub max_requests: u32,
    pub script_timeout: u32,
    /// Longest chunked body for a script, in KiB.
    pub chunked_body_limit: u32,
    /// Where such a body is buffered.
    pub body_temp_path: PathBuf,
    pub ubus: UbusConfig,
    pub max_connections: u32,
    pub http_keepalive: u32,
    pub network_timeout: u32,
    pub send_timeout: u32,
    /// The interval of TCP keep-alive probes; 0: none.
    pub tcp_keepalive: u32,
    pub access_log: Option<AccessTarget>,
    /// Where Prometheus finds metrics.
    pub metrics: Option<String>,
    /// Where people find what the server is doing.
    pub server_status: Option<String>,
    /// What uhttpd's interpreters answer inside the server, and workers here.
    pub handlers: Vec<Handler>,
    /// The commands of the workers.
    pub lua_worker: String,
    pub ucode_worker: String,
    /// Scripts of uhttpd that are not supported.
    pub json_scripts: Vec<String>,
}

/// Index files that are tried after the configured ones.
pub const INDEX: [&str; 4] = ["index.html", "index.htm", "default.html", "default.htm"];

/// Where chunked bodies are buffered by default.
pub const BODY_TEMP_PATH: &str = "/tmp";

impl Default for SiteConfig {
    fn default() -> Self {
        SiteConfig {
            name: String::new(),
            listen: Vec::new(),
            tls: TlsConfig::default(),
            server_names: Vec::new(),
            docroot: PathBuf::from("."),
            index: Vec::new(),
            error_page: None,
            fallback: None,
            aliases: Vec::new(),
            proxies: Vec::new(),
            proxy_timeout: 60,
            proxy_idle_timeout: 3600,
            fastcgi: Vec::new(),
            no_symlinks: false,
            no_dirlists: false,
            list_charset: "utf-8".into(),
            private_files: false,
            no_gzip: false,
            headers: Vec::new(),
            no_server_header: false,
            rfc1918_filter: false,
            trusted_proxies: Vec::new(),
            uncertain_proxies: false,
            access: Vec::new(),
            client_certs: Vec::new(),
            realm: "Protected Area".into(),
            httpd_conf: None,
            auth: Vec::new(),
            cgi_prefix: "/cgi-bin".into(),
            interpreters: Vec::new(),
            max_requests: 3,
            script_timeout: 60,
            chunked_body_limit: 4096,
            body_temp_path: BODY_TEMP_PATH.into(),
            ubus: UbusConfig::default(),
            max_connections: 100,
            http_keepalive: 20,
            network_timeout: 30,
            send_timeout: 300,
            tcp_keepalive: 0,
            access_log: None,
            metrics: None,
            server_status: None,
            handlers: Vec::new(),
            lua_worker: "/usr/bin/lua /usr/share/ecohttpd/worker.lua".into(),
            ucode_worker: "/usr/bin/ucode /usr/share/ecohttpd/worker.uc".into(),
            json_scripts: Vec::new(),
        }
    }
}

/// HTTPS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    pub listen: Vec<Listen>,
    /// An address is configured, though it may be wrong.
    pub asked: bool,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Make the two files where one of them is missing or empty.
    pub self_signed: bool,
    /// What a self-signed certificate contains.
    pub identity: Identity,
    /// The authorities that sign clients' certificates.
    pub ca: Option<PathBuf>,
    /// OpenSSL's names of the cipher suites to offer. If empty: all.
    pub ciphers: Vec<String>,
    /// Offer no HTTP/2.
    pub no_http2: bool,
    /// Redirect HTTP to HTTPS.
    pub redirect: bool,
    /// The `max-age` of `Strict-Transport-Security`; `None` sends none.
    pub hsts: Option<u32>,
}

/// The section `config cert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub days: u16,
    /// A name in addition to the host's own.
    pub common_name: Option<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Identity { days: 397, common_name: None }
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// An address, with its zone if it has one. `None`: all addresses.
    pub ip: Option<String>,
    pub port: u16,
}

impl Listen {
    /// The address without its zone.
    pub fn addr(&self) -> Option<IpAddr> {
        self.ip.as_deref()?.split('%').next()?.parse().ok()
    }

    /// Whether the other address conflicts with this one: it is the same, or one of those that this one stands for.
    pub fn covers(&self, other: &Listen) -> bool {
        let all = match (self.addr(), other.addr()) {
            (None, _) => true,
            (Some(ip), Some(other)) => ip.is_unspecified() && ip.is_ipv4() == other.is_ipv4(),
            (Some(_), None) => false,
        };
        self == other || all && self.port == other.port
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip.as_deref() {
            Some(ip) if ip.contains(':') => write!(f, "[{ip}]:{}", self.port),
            Some(ip) => write!(f, "{ip}:{}", self.port),
            None => write!(f, "{}", self.port),
        }
    }
}

/// `-y`: a path that is served from another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    pub from: String,
    /// What is put in front of the path. `None`: the CGI prefix.
    pub to: Option<String>,
}

/// A header field for responses below a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub prefix: String,
    /// Only for requests whose query has this parameter; empty: for all.
    pub parameter: String,
    pub name: String,
    pub value: String,
}

/// `-i`: what runs the files of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// With its dot.
    pub extension: String,
    pub program: PathBuf,
}

/// `-l` and `-L`, `-o` and `-O`: a file whose function answers all requests below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    pub language: Language,
    /// One of the two may be missing until the whole site is read.
    pub prefix: Option<String>,
    pub file: Option<PathBuf>,
}

/// The language of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Lua,
    Ucode,
}

impl SiteConfig {
    /// The handler of that language to which an option adds: the last one, if that lacks what the option says.
    pub fn handler(&mut self, language: Language, lacks: fn(&Handler) -> bool) -> Option<&mut Handler> {
        let last = self.handlers.iter().rposition(|handler| handler.language == language);
        if last.and_then(|last| self.handlers.get(last)).is_some_and(lacks) {
            return self.handlers.get_mut(last?);
        }
        self.handlers.push(Handler { language, prefix: None, file: None });
        self.handlers.last_mut()
    }
}

/// JSON-RPC over ubus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UbusConfig {
    pub prefix: Option<String>,
    pub socket: PathBuf,
    pub no_auth: bool,
    pub cors: bool,
    /// How many milliseconds subscribers are told to wait before they reconnect.
    pub retry: Option<u32>,
}

impl Default for UbusConfig {
    fn default() -> Self {
        let socket = PathBuf::from("/var/run/ubus/ubus.sock");
        UbusConfig { prefix: None, socket, no_auth: false, cors: false, retry: None }
    }
}

/// The port when the command line names none.
pub const DEFAULT_PORT: u16 = 8080;

/// A time of the configuration.
pub fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
