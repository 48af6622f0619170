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

/// How a server listens, what it serves and what it allows. Each setter returns the options.
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
    pub(crate) server_header: bool,
    pub(crate) access_log: Option<AccessLog>,
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

    /// Serve a sibling `.br`, `.zst` or `.gz` of a file to clients that accept that coding; default false. A new one is
    /// found within a second.
    pub fn gzip(mut self, yes: bool) -> Self {
        self.gzip = yes;
        self
    }

    /// Whether handlers of this program change files of the document root; default true. If they do not, requests that are
    /// served in one turn of the loop share a look at their file: a system call less for each.
    pub fn writes_files(mut self, yes: bool) -> Self {
        self.writes_files = yes;
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
    /// With `utf-8`, invalid bytes are shown as U+FFFD. With another charset, names are sent as they are.
    pub fn listing_charset(mut self, charset: impl Into<String>) -> Self {
        self.listing_charset = charset.into();
        self
    }

    /// Serve files and list folders only if all users of the system may read them (`S_IROTH`) and enter the folders on the
    /// way (`S_IXOTH`); others are 403. Default false: whatever this process may read.
    pub fn world_readable(mut self, yes: bool) -> Self {
        self.world_readable = yes;
        self
    }

    /// A file that is never served under any name, such as a key or a list of passwords; requests for it are 403.
    ///
    /// Several calls withhold several files. The TLS keys of these options are always withheld.
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

    /// How long the handler waits for more of a request body; default 60 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How long a client may read nothing of what is queued for it; default 5 minutes. Then the connection is reset.
    ///
    /// At [`max_connections`](Options::max_connections) it may be closed earlier, to make room for a new connection.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Connections at once, at least 1; default 1024, less where the system allows fewer descriptors.
    ///
    /// At the limit, the connection that has been idle longest is closed for a new one. If none is idle, one is closed that
    /// keeps others waiting: with an unfinished head, of a client with more than its share, or without progress for 30 s.
    /// Otherwise the new one waits.
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

    /// Call `log` after each exchange, with what an access log needs; default none.
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
    /// Clients that name no host, or an unknown one, get that of [`cert`](Options::cert), else the first.
    #[cfg(feature = "tls")]
    pub fn cert_key(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.pairs.push((cert.into(), key.into()));
        self
    }

    /// The TLS 1.2 cipher suites to offer, by OpenSSL's names (`ECDHE-ECDSA-AES128-GCM-SHA256`). By default, and if the list
    /// is empty, all are offered. Those of TLS 1.3 are always offered.
    ///
    /// Unknown names are ignored. If no other is left, loading the certificates fails.
    #[cfg(feature = "tls")]
    pub fn ciphers(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tls.ciphers = names.into_iter().map(Into::into).collect();
        self
    }

    /// Require clients to have a certificate signed by one of the authorities in this file; default none.
    #[cfg(feature = "tls")]
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.ca = Some(path.into());
        self
    }

    /// With [`ca`](Options::ca): accept clients without a certificate, or with one that none of the authorities signed;
    /// default false.
    ///
    /// [`Connection::peer_subject`](crate::Connection::peer_subject) says who has a valid one.
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

    /// `IP_FREEBIND`: listen on addresses that this system does not have yet; default false.
    ///
    /// So a server can start before its network, and need not be restarted when an address comes back.
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

    /// `TCP_KEEPCNT`: unanswered probes before the peer counts as dead.
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
