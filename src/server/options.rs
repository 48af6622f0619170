//! The options of a server.

use super::access::Access;
use super::limits;
#[cfg(feature = "stats")]
use super::tally::Tally;
use crate::http::HeadLimits;
use crate::net::Bind;
#[cfg(feature = "tls")]
use crate::net::TlsFiles;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Called with each exchange.
type AccessLog = Rc<dyn Fn(&Access<'_>)>;

/// How a server listens, what it serves and what it allows.
///
/// Each setter returns the options. The names are those of lua-eco's option table; times are [`Duration`]s.
///
/// ```
/// use std::time::Duration;
/// let options = ecohttpd::Options::new().docroot("/www").gzip(true).http_keepalive(Duration::from_secs(5));
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use = "each setter returns the options"]
pub struct Options {
    pub(crate) docroot: PathBuf,
    pub(crate) index: Vec<String>,
    pub(crate) gzip: bool,
    pub(crate) writes_files: bool,
    pub(crate) follow_symlinks: bool,
    pub(crate) dir_listing: bool,
    pub(crate) listing_charset: String,
    pub(crate) world_readable: bool,
    pub(crate) withheld: Vec<PathBuf>,
    pub(crate) keep_alive: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) head: HeadLimits,
    pub(crate) max_body: u64,
    pub(crate) high_water: usize,
    pub(crate) bind: Bind,
    #[cfg(feature = "tls")]
    pub(crate) cert: Option<PathBuf>,
    #[cfg(feature = "tls")]
    pub(crate) key: Option<PathBuf>,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsFiles,
    /// Speak HTTP/2 to clients that begin with its preface, without TLS.
    #[cfg(feature = "http2")]
    pub(crate) prior_knowledge: bool,
    pub(crate) server_header: bool,
    pub(crate) access_log: Option<AccessLog>,
    #[cfg(feature = "stats")]
    pub(crate) tally: Option<Rc<Tally>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            docroot: PathBuf::from("."),
            index: vec!["index.html".into()],
            gzip: false,
            writes_files: true,
            follow_symlinks: false,
            dir_listing: false,
            listing_charset: "utf-8".into(),
            world_readable: false,
            withheld: Vec::new(),
            keep_alive: limits::KEEP_ALIVE,
            header_timeout: limits::HEADER_TIMEOUT,
            body_timeout: limits::BODY_TIMEOUT,
            write_timeout: limits::WRITE_TIMEOUT,
            max_connections: limits::MAX_CONNECTIONS,
            head: HeadLimits::default(),
            max_body: limits::MAX_BODY,
            high_water: limits::HIGH_WATER,
            bind: Bind {
                ipv6: None,
                ipv6_v6only: false,
                reuseaddr: true,
                reuseport: false,
                freebind: false,
                backlog: 128,
                device: None,
                mark: None,
                tcp_nodelay: true,
                keepalive: false,
                tcp_keepidle: None,
                tcp_keepcnt: None,
                tcp_keepintvl: None,
                tcp_fastopen: None,
                tcp_defer_accept: false,
            },
            #[cfg(feature = "tls")]
            cert: None,
            #[cfg(feature = "tls")]
            key: None,
            #[cfg(feature = "tls")]
            tls: TlsFiles::default(),
            #[cfg(feature = "http2")]
            prior_knowledge: false,
            server_header: true,
            access_log: None,
            #[cfg(feature = "stats")]
            tally: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("docroot", &self.docroot)
            .field("http_keepalive", &self.keep_alive)
            .field("header_timeout", &self.header_timeout)
            .field("body_timeout", &self.body_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The folder that `serve_file` serves; default `.`.
    ///
    /// A folder that replaces it is found within a second, so a build tool may delete it and make it again.
    pub fn docroot(mut self, path: impl Into<PathBuf>) -> Self {
        self.docroot = path.into();
        self
    }

    /// The name of a folder's index file; default `index.html`. [`indexes`](Options::indexes) takes several.
    pub fn index(self, name: impl Into<String>) -> Self {
        self.indexes([name])
    }

    /// Names of index files, tried in order.
    pub fn indexes(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.index = names.into_iter().map(Into::into).collect();
        self
    }

    /// Serve a file's precompressed `.br`, `.zst` or `.gz` sibling to clients that accept that coding; default false. A new
    /// one is found within a second.
    pub fn gzip(mut self, yes: bool) -> Self {
        self.gzip = yes;
        self
    }

    /// Whether handlers of this program change files of the document root; default true. If they do not, requests for
    /// the same file in one turn of the loop share a stat(2).
    pub fn writes_files(mut self, yes: bool) -> Self {
        self.writes_files = yes;
        self
    }

    /// Follow symbolic links out of the document root; default false: every step stays beneath it.
    pub fn follow_symlinks(mut self, yes: bool) -> Self {
        self.follow_symlinks = yes;
        self
    }

    /// List folders that have no index file; default false: 403.
    pub fn dir_listing(mut self, yes: bool) -> Self {
        self.dir_listing = yes;
        self
    }

    /// The charset that listings declare for file names; default `utf-8`.
    ///
    /// Names that are not UTF-8 are shown with U+FFFD; with any other charset they are sent unchanged.
    pub fn listing_charset(mut self, charset: impl Into<String>) -> Self {
        self.listing_charset = charset.into();
        self
    }

    /// Serve and list only what all users of the system may read (`S_IROTH`), through folders that all users may search
    /// (`S_IXOTH`); everything else is 403. Default false: what this process may read.
    pub fn world_readable(mut self, yes: bool) -> Self {
        self.world_readable = yes;
        self
    }

    /// Never serve this file, such as a key or a password list, under any name: 403. May be called several times.
    ///
    /// The TLS keys of these options are withheld in any case.
    pub fn withhold(mut self, path: impl Into<PathBuf>) -> Self {
        self.withheld.push(path.into());
        self
    }

    /// How long a connection may idle between requests; default 30 s. Zero closes after each response.
    pub fn http_keepalive(mut self, timeout: Duration) -> Self {
        self.keep_alive = timeout;
        self
    }

    /// How long a client may take to send a request head; default 30 s. Then: 408, or just a close if it sent nothing.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// How long the handler waits for more of a request body; default 60 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How long a client may stop reading; default 5 minutes. Then the connection is reset.
    ///
    /// At [`max_connections`](Options::max_connections) it may be closed earlier, to make room for a new connection.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Connections at once, at least 1; default 1024, or less if the system allows fewer descriptors.
    ///
    /// At the limit the connection that has been idle longest is closed for a new one. If none is idle, one is closed
    /// that keeps others waiting: one with an unfinished request head, one of a client with more than its share, or one
    /// that has stalled for 30 s. Otherwise new connections wait.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// Bytes of a request head; default 16 KiB, at most 65,535. Longer heads: 431.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.head.head = bytes.min(usize::from(u16::MAX));
        self.head.target = self.head.target.min(self.head.head);
        self
    }

    /// Bytes of a request target; default 8 KiB, at most [`max_head`](Options::max_head). Longer targets: 414.
    pub fn max_target(mut self, bytes: usize) -> Self {
        self.head.target = bytes.min(self.head.head);
        self
    }

    /// Headers of a request; default 100, at most 128. More: 431.
    pub fn max_headers(mut self, count: usize) -> Self {
        self.head.fields = count.min(128);
        self
    }

    /// Bytes of a request body that `read_body(None, …)` reads; default 1 MiB. Longer bodies are
    /// [`Error::BodyTooLarge`](crate::Error::BodyTooLarge), 413.
    ///
    /// Bodies of any length can be read in pieces.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Bytes of output queued in memory for one connection before `send` waits; default 32 KiB, at least 4 KiB.
    pub fn high_water(mut self, bytes: usize) -> Self {
        self.high_water = bytes.max(4096);
        self
    }

    /// Send a `Server` header; default true.
    pub fn server_header(mut self, yes: bool) -> Self {
        self.server_header = yes;
        self
    }

    /// Calls `log` after each exchange; default none.
    pub fn access_log(mut self, log: impl Fn(&Access<'_>) + 'static) -> Self {
        self.access_log = Some(Rc::new(log));
        self
    }

    /// The certificate chain of TLS listeners, PEM or DER; default none.
    #[cfg(feature = "tls")]
    pub fn cert(mut self, path: impl Into<PathBuf>) -> Self {
        self.cert = Some(path.into());
        self
    }

    /// The private key of [`cert`](Options::cert), PEM or DER: PKCS#8, PKCS#1 or SEC1; default none.
    #[cfg(feature = "tls")]
    pub fn key(mut self, path: impl Into<PathBuf>) -> Self {
        self.key = Some(path.into());
        self
    }

    /// Another certificate and its key, for clients that ask for a name in it (SNI, RFC 6066 §3).
    ///
    /// Clients that name no host, or a host in no certificate, get the one of [`cert`](Options::cert), or else the
    /// first.
    #[cfg(feature = "tls")]
    pub fn cert_key(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.pairs.push((cert.into(), key.into()));
        self
    }

    /// The TLS 1.2 cipher suites to offer, by their OpenSSL names (`ECDHE-ECDSA-AES128-GCM-SHA256`); default: all of
    /// them.
    ///
    /// TLS 1.3 suites are always offered. Unknown names are ignored; if no name is known, loading the certificates
    /// fails.
    #[cfg(feature = "tls")]
    pub fn ciphers(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tls.ciphers = names.into_iter().map(Into::into).collect();
        self
    }

    /// Require a client certificate signed by an authority in this file; default none.
    #[cfg(feature = "tls")]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.ca = Some(path.into());
        self
    }

    /// With [`ca`](Options::ca): accept clients without a certificate, or with one that no authority signed; default
    /// false.
    ///
    /// [`Connection::peer_subject`](crate::Connection::peer_subject) says who has a valid one.
    #[cfg(feature = "tls")]
    pub fn insecure(mut self, yes: bool) -> Self {
        self.tls.insecure = yes;
        self
    }

    /// Offer HTTP/2 to clients of TLS listeners, by ALPN (RFC 9113 §3.2); default true.
    #[cfg(feature = "http2")]
    pub fn http2(mut self, yes: bool) -> Self {
        self.tls.no_http2 = !yes;
        self
    }

    /// Speak HTTP/2 to clients of any listener that begin with its preface (RFC 9113 §3.3); default false. For tests: no
    /// browser does so.
    #[cfg(feature = "http2")]
    pub fn http2_prior_knowledge(mut self, yes: bool) -> Self {
        self.prior_knowledge = yes;
        self
    }

    /// Files that are never served.
    pub(crate) fn withheld(&self) -> Vec<PathBuf> {
        let named = self.withheld.iter().cloned();
        #[cfg(feature = "tls")]
        let named = named.chain(self.tls_files().pairs.into_iter().map(|(_, key)| key));
        named.collect()
    }

    /// The files of TLS listeners; [`cert`](Options::cert) and [`key`](Options::key) come first.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_files(&self) -> TlsFiles {
        let mut files = self.tls.clone();
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            files.pairs.insert(0, (cert.clone(), key.clone()));
        }
        files
    }

    /// For listeners on all addresses: true requires IPv6, false means IPv4 only; default: both, if the system has
    /// both.
    pub fn ipv6(mut self, yes: bool) -> Self {
        self.bind.ipv6 = Some(yes);
        self
    }

    /// `IPV6_V6ONLY`; default false: `[::]` accepts IPv4 clients, too.
    pub fn ipv6_v6only(mut self, yes: bool) -> Self {
        self.bind.ipv6_v6only = yes;
        self
    }

    /// `SO_REUSEADDR`; default true.
    pub fn reuseaddr(mut self, yes: bool) -> Self {
        self.bind.reuseaddr = yes;
        self
    }

    /// `SO_REUSEPORT`: several processes share the port; default false.
    pub fn reuseport(mut self, yes: bool) -> Self {
        self.bind.reuseport = yes;
        self
    }

    /// `IP_FREEBIND`: listen on addresses that this system does not have yet; default false.
    ///
    /// So a server can start before its network, and need not be restarted when an address comes back.
    pub fn freebind(mut self, yes: bool) -> Self {
        self.bind.freebind = yes;
        self
    }

    /// Counts the requests of the site there, by the class of their status; default: in no tally.
    #[cfg(feature = "stats")]
    pub fn tally(mut self, tally: Rc<Tally>) -> Self {
        self.tally = Some(tally);
        self
    }

    /// Connections that the kernel queues; default 128, bounded by `net.core.somaxconn`.
    pub fn backlog(mut self, count: i32) -> Self {
        self.bind.backlog = count;
        self
    }

    /// `SO_BINDTODEVICE`: only this network interface.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.bind.device = Some(name.into());
        self
    }

    /// `SO_MARK` of the sockets; needs `CAP_NET_ADMIN`.
    pub fn mark(mut self, mark: u32) -> Self {
        self.bind.mark = Some(mark);
        self
    }

    /// `TCP_NODELAY`; default true. Without it, Nagle's algorithm may delay a reply by 40 ms.
    pub fn tcp_nodelay(mut self, yes: bool) -> Self {
        self.bind.tcp_nodelay = yes;
        self
    }

    /// `SO_KEEPALIVE`: the kernel probes silent peers; default false.
    pub fn keepalive(mut self, yes: bool) -> Self {
        self.bind.keepalive = yes;
        self
    }

    /// `TCP_KEEPIDLE`, whole seconds: silence before the first probe.
    pub fn tcp_keepidle(mut self, idle: Duration) -> Self {
        self.bind.tcp_keepidle = Some(idle);
        self
    }

    /// `TCP_KEEPCNT`: unanswered probes before the peer is considered dead.
    pub fn tcp_keepcnt(mut self, count: u32) -> Self {
        self.bind.tcp_keepcnt = Some(count);
        self
    }

    /// `TCP_KEEPINTVL`, whole seconds: time between probes.
    pub fn tcp_keepintvl(mut self, interval: Duration) -> Self {
        self.bind.tcp_keepintvl = Some(interval);
        self
    }

    /// `TCP_FASTOPEN`: length of the queue of fast-open requests.
    pub fn tcp_fastopen(mut self, queue: u32) -> Self {
        self.bind.tcp_fastopen = Some(queue);
        self
    }

    /// `TCP_DEFER_ACCEPT`: the kernel keeps a connection back until its client has sent something, or for a second;
    /// default false. Saves three system calls for a connection with one request.
    pub fn tcp_defer_accept(mut self, yes: bool) -> Self {
        self.bind.tcp_defer_accept = yes;
        self
    }
}
