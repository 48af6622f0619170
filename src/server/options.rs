//! The options of a server.

use super::access::Access;
use super::limits;
use crate::http::HeadLimits;
use crate::net::Bind;
#[cfg(feature = "tls")]
use crate::net::TlsFiles;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Who is told of each exchange.
type AccessLog = Rc<dyn Fn(&Access<'_>)>;

/// How a server listens, what it serves and what it allows; each setter returns the options.
///
/// The names are those of the reference's option table; times are [`Duration`]s.
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
    pub(crate) server_header: bool,
    pub(crate) access_log: Option<AccessLog>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            docroot: PathBuf::from("."),
            index: vec!["index.html".into()],
            gzip: false,
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
            },
            #[cfg(feature = "tls")]
            cert: None,
            #[cfg(feature = "tls")]
            key: None,
            #[cfg(feature = "tls")]
            tls: TlsFiles::default(),
            server_header: true,
            access_log: None,
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
    /// It is looked up again when it is replaced, so a build tool may delete and remake it.
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

    /// Serve a sibling `.br`, `.zst` or `.gz` of a file to clients that accept that coding; default false.
    pub fn gzip(mut self, yes: bool) -> Self {
        self.gzip = yes;
        self
    }

    /// Let symbolic links lead out of the document root; default false: every step stays beneath it.
    pub fn follow_symlinks(mut self, yes: bool) -> Self {
        self.follow_symlinks = yes;
        self
    }

    /// Answer a folder without an index with a listing of it; default false: 403.
    pub fn dir_listing(mut self, yes: bool) -> Self {
        self.dir_listing = yes;
        self
    }

    /// The charset that listings declare for the names of files; default `utf-8`.
    ///
    /// Names that are no UTF-8 are shown with U+FFFD; with any other charset they are sent as they are.
    pub fn listing_charset(mut self, charset: impl Into<String>) -> Self {
        self.listing_charset = charset.into();
        self
    }

    /// Serve only files, and list only folders, that all users of the system may read (`S_IROTH`), by folders beneath the
    /// document root that they may go through (`S_IXOTH`); default false: what this process may read. The others are 403.
    pub fn world_readable(mut self, yes: bool) -> Self {
        self.world_readable = yes;
        self
    }

    /// A file that is never served, by whatever name: a key, a list of passwords. Several calls withhold several.
    ///
    /// Requests for it are 403. The keys of these options need not be named.
    pub fn withhold(mut self, path: impl Into<PathBuf>) -> Self {
        self.withheld.push(path.into());
        self
    }

    /// How long a connection may idle between requests; default 30 s, zero closes after each reply.
    pub fn http_keepalive(mut self, timeout: Duration) -> Self {
        self.keep_alive = timeout;
        self
    }

    /// How long a client may take to send a whole request head; default 30 s. Then: 408, or silence if it sent nothing.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// How long a request body may stand still while the handler waits for it; default 60 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How long a client may refuse to take what waits for it; default 5 minutes. Then the connection is reset.
    ///
    /// At [`max_connections`](Options::max_connections) it is closed earlier, if a new connection needs its place.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Connections at once, at least 1; default 1024, less where the system allows fewer descriptors.
    ///
    /// At the limit the connection that idles longest is closed for a new one. With none idle one goes whose client keeps
    /// the others waiting: with an unfinished head, with more than its share, or that has stood still for 30 s. Else new
    /// ones wait.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// Bytes of a request head; default 16 KiB, at most 65,535. Beyond: 431.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.head.head = bytes.min(usize::from(u16::MAX));
        self.head.target = self.head.target.min(self.head.head);
        self
    }

    /// Bytes of a request target; default 8 KiB, at most [`max_head`](Options::max_head). Beyond: 414.
    pub fn max_target(mut self, bytes: usize) -> Self {
        self.head.target = bytes.min(self.head.head);
        self
    }

    /// Header fields of a request; default 100, at most 128. Beyond: 431.
    pub fn max_headers(mut self, count: usize) -> Self {
        self.head.fields = count.min(128);
        self
    }

    /// Bytes of a request body that `read_body(None, …)` gathers; default 1 MiB. Beyond: [`Error::BodyTooLarge`](crate::Error::BodyTooLarge), 413.
    ///
    /// Bodies of any length can be read in pieces.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Bytes of memory that may wait for one connection before `send` waits; default 32 KiB, at least 4 KiB.
    pub fn high_water(mut self, bytes: usize) -> Self {
        self.high_water = bytes.max(4096);
        self
    }

    /// Name the server in the `Server` field; default true.
    pub fn server_header(mut self, yes: bool) -> Self {
        self.server_header = yes;
        self
    }

    /// Calls `log` after each exchange, with what an access log wants to know; default none.
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

    /// A further certificate and its key, for clients that ask for a name in it (SNI, RFC 6066 §3).
    ///
    /// Those that name no host, or one that no certificate has, get the one of [`cert`](Options::cert), else the first.
    #[cfg(feature = "tls")]
    pub fn cert_key(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.pairs.push((cert.into(), key.into()));
        self
    }

    /// The TLS 1.2 cipher suites to offer, by OpenSSL's names (`ECDHE-ECDSA-AES128-GCM-SHA256`); default, and with none
    /// named: all there are. Those of TLS 1.3 are always offered.
    ///
    /// Names that are not known are passed over; loading the certificates fails when no other is left.
    #[cfg(feature = "tls")]
    pub fn ciphers(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tls.ciphers = names.into_iter().map(Into::into).collect();
        self
    }

    /// Ask clients for a certificate that one of the authorities in this file signed, and refuse them without; default none.
    #[cfg(feature = "tls")]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.ca = Some(path.into());
        self
    }

    /// With [`ca`](Options::ca): let clients in that show no certificate, or one that none of the authorities signed;
    /// default false.
    ///
    /// [`Connection::peer_subject`](crate::Connection::peer_subject) tells who showed one that counts.
    #[cfg(feature = "tls")]
    pub fn insecure(mut self, yes: bool) -> Self {
        self.tls.insecure = yes;
        self
    }

    /// The files that are never served.
    pub(crate) fn withheld(&self) -> Vec<PathBuf> {
        let named = self.withheld.iter().cloned();
        #[cfg(feature = "tls")]
        let named = named.chain(self.tls_files().pairs.into_iter().map(|(_, key)| key));
        named.collect()
    }

    /// The files of TLS listeners, [`cert`](Options::cert) and [`key`](Options::key) first.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_files(&self) -> TlsFiles {
        let mut files = self.tls.clone();
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            files.pairs.insert(0, (cert.clone(), key.clone()));
        }
        files
    }

    /// For listeners on every address: true insists on IPv6, false is IPv4 only; default: both where the system has both.
    pub fn ipv6(mut self, yes: bool) -> Self {
        self.bind.ipv6 = Some(yes);
        self
    }

    /// `IPV6_V6ONLY`; default false: `[::]` takes IPv4 clients too.
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

    /// `IP_FREEBIND`: listen on addresses that this system does not have, or not yet; default false.
    ///
    /// A server that starts before its network does need not wait for it, nor be restarted when an address comes back.
    pub fn freebind(mut self, yes: bool) -> Self {
        self.bind.freebind = yes;
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

    /// `TCP_NODELAY`; default true. Without it Nagle's algorithm may hold a reply back for 40 ms.
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

    /// `TCP_KEEPCNT`: unanswered probes before the peer is taken for dead.
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
}
