//! The way of a request through a site: who may ask, where it leads, what answers.

use super::auth::{Auth, Database, Realms, Verdict};
use super::cgi::{Cgi, Limits, Script, Served};
use super::config::{self, Header};
use super::percent;
use super::scripts::{Found, Located, Scripts};
use super::secure::Secure;
#[cfg(feature = "ubus")]
use super::ubus::{self, Ubus};
use ecohttpd::{CleanPath, Connection, Files, Options, Request, Result};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

/// One site of the configuration, ready to answer.
pub struct Site {
    names: Vec<String>,
    secure: Rc<Secure>,
    /// Refuse private clients at public addresses.
    rfc1918_filter: bool,
    aliases: Vec<(Prefix, String)>,
    headers: Vec<(Prefix, Header)>,
    auth: Option<Auth>,
    /// The value of `WWW-Authenticate`.
    challenge: String,
    files: Files,
    scripts: Scripts,
    cgi: Cgi,
    #[cfg(feature = "ubus")]
    ubus: Option<(Prefix, Ubus)>,
    error_page: Option<CleanPath>,
    /// Where the clock of `auth` begins.
    started: Instant,
}

/// Redirects of scripts to paths of ours (RFC 3875 §6.2.2) that one request may lead through.
const LOCAL_REDIRECTS: u32 = 5;

/// User and password of a login that was verified.
type Login = (String, Vec<u8>);

/// The sites that share a listener, told apart by the host that a request is for.
pub struct Hosts(pub Vec<Rc<Site>>);

impl Hosts {
    /// Answers a request by the site that it is for.
    pub async fn serve(&self, con: &mut Connection, req: &mut Request) -> Result<()> {
        match self.choose(req) {
            Some(site) => site.serve(con, req).await,
            None => con.serve_file(req).await,
        }
    }

    /// The site with the request's host among its names, else the first without names, else the first.
    fn choose(&self, req: &Request) -> Option<&Site> {
        let [first, others @ ..] = self.0.as_slice() else { return None };
        if others.is_empty() {
            return Some(first);
        }
        let host = host_name(req.host().unwrap_or_default());
        let named = self.0.iter().filter_map(|site| Some((site.rank(&host)?, site))).max_by_key(|(rank, _)| *rank);
        let fallback = || self.0.iter().find(|site| site.names.is_empty()).unwrap_or(first);
        Some(named.map_or_else(fallback, |(_, site)| site))
    }
}

impl Site {
    /// A site with the configuration's values, and the policy that it shares with those at the same listeners.
    pub fn new(site: &config::Site, secure: Rc<Secure>, options: &Options) -> Site {
        let realms = Realms::new(&site.auth, &Database::default());
        let quoted = site.realm.replace('\\', "\\\\").replace('"', "\\\"");
        Site {
            names: site.server_names.clone(),
            secure,
            rfc1918_filter: site.rfc1918_filter,
            aliases: site
                .aliases
                .iter()
                .map(|alias| (Prefix::new(&alias.from), alias.to.clone().unwrap_or_else(|| site.cgi_prefix.clone())))
                .collect(),
            headers: site.headers.iter().map(|header| (Prefix::new(&header.prefix), header.clone())).collect(),
            auth: (!site.auth.is_empty()).then(|| Auth::new(realms)),
            challenge: format!("Basic realm=\"{quoted}\""),
            files: Files::new(options),
            scripts: Scripts::new(site),
            cgi: Cgi::new(Limits {
                max_requests: site.max_requests,
                timeout: site.script_timeout,
                ..Limits::default()
            }),
            #[cfg(feature = "ubus")]
            ubus: site.ubus.prefix.as_ref().map(|prefix| (Prefix::new(prefix), ubus(site))),
            error_page: site.error_page.as_ref().and_then(|page| CleanPath::new(page.as_bytes()).ok()),
            started: Instant::now(),
        }
    }

    /// How well a host fits to the names: exactly, or by the longest `*.`.
    fn rank(&self, host: &str) -> Option<usize> {
        let fit = |name: &String| match name.strip_prefix('*') {
            Some(suffix) => (host.len() > suffix.len() && host.ends_with(suffix)).then_some(suffix.len()),
            None => (host == name).then_some(usize::MAX),
        };
        self.names.iter().filter_map(fit).max()
    }

    /// Answers a request. All that files seldom need is boxed: each request carries the rest from its first byte on.
    async fn serve(&self, con: &mut Connection, req: &mut Request) -> Result<()> {
        if self.rfc1918_filter && is_rebound(con) {
            let text = "Rejected request from RFC1918 IP to public server address";
            return Box::pin(error(con, 403, text)).await;
        }
        if self.secure.concerns(con) && Box::pin(self.secure.redirects(con, req)).await? {
            return Ok(());
        }
        if !req.path_bytes().starts_with(b"/") {
            // Of the server as a whole: OPTIONS *.
            return Box::pin(self.files.serve(con, req)).await;
        }
        let asked = match CleanPath::new(req.path_bytes()) {
            Ok(path) => path,
            Err(status) => return Box::pin(self.fail(con, req, status)).await,
        };
        for (prefix, header) in &self.headers {
            if prefix.holds(asked.relative()) {
                con.add_header(&header.name, &header.value)?;
            }
        }
        let rewritten = self.rewrite(&asked);
        let mut login = None;
        if let Some(auth) = &self.auth {
            // Each name of a place may be protected.
            for path in [&asked].into_iter().chain(&rewritten) {
                match self.judge(auth, con, req, path) {
                    Ok(granted) => login = granted.or(login),
                    Err(refusal) => return Box::pin(self.refuse(con, refusal)).await,
                }
            }
        }
        let path = rewritten.unwrap_or(asked);
        let status = if self.is_file(con, &path) {
            self.files.try_serve(con, req, &path).await?
        } else {
            Box::pin(self.answer(con, req, path, login)).await?
        };
        match status {
            None => Ok(()),
            Some(status) => Box::pin(self.fail(con, req, status)).await,
        }
    }

    /// Whether nothing but a file or folder can be at a path.
    fn is_file(&self, con: &Connection, path: &CleanPath) -> bool {
        #[cfg(feature = "ubus")]
        if self.ubus.as_ref().is_some_and(|(prefix, _)| prefix.holds(path.relative())) {
            return false;
        }
        matches!(self.scripts.find(con, &self.files, path), Found::File)
    }

    /// Answers with what is at a path, or returns the status of an error that is still to be answered.
    async fn answer(
        &self,
        con: &mut Connection,
        req: &mut Request,
        mut path: CleanPath,
        mut login: Option<Login>,
    ) -> Result<Option<u16>> {
        #[cfg(feature = "ubus")]
        if let Some((prefix, ubus)) = &self.ubus
            && let Some(rest) = prefix.rest(path.relative())
        {
            let slash: &[u8] = if path.is_folder() { b"/" } else { b"" };
            let rest = [rest, slash].concat();
            return ubus.serve(con, req, &rest).await.map(|()| None);
        }
        let mut redirected: Option<String> = None;
        for _ in 0..=LOCAL_REDIRECTS {
            let located = match self.scripts.find(con, &self.files, &path) {
                Found::Refused(status) => return Ok(Some(status)),
                Found::File if redirected.is_some() => {
                    return Ok((!self.files.serve_as(con, &path, 200).await?).then_some(404));
                }
                Found::File => return self.files.try_serve(con, req, &path).await,
                Found::Script(located) => located,
            };
            let run = Run { located: &located, login: login.as_ref(), status: 200, query: redirected.as_deref() };
            let Served::Local(place) = self.run(con, req, &run).await? else { return Ok(None) };
            let (target, query) = place.split_once('?').unwrap_or((&place, ""));
            path = match CleanPath::new(&percent::decode(target, false)) {
                Ok(path) => path,
                Err(status) => return Ok(Some(status)),
            };
            if let Some(auth) = &self.auth {
                login = match self.judge(auth, con, req, &path) {
                    Ok(login) => login,
                    Err(refusal) => return self.refuse(con, refusal).await.map(|()| None),
                };
            }
            redirected = Some(query.to_owned());
        }
        log::error!("{}: scripts redirect in a circle", req.raw_path());
        Ok(Some(500))
    }

    async fn run(&self, con: &mut Connection, req: &mut Request, run: &Run<'_>) -> Result<Served> {
        let asked = req.query_string().to_owned();
        let script = Script {
            file: &run.located.file,
            interpreter: run.located.interpreter,
            name: &run.located.name,
            path_info: run.located.path_info.as_deref(),
            docroot: self.scripts.docroot(),
            login: run.login.map(|(user, pass)| (user.as_str(), pass.as_slice())),
            status: run.status,
            query: run.query.unwrap_or(&asked),
            as_get: run.query.is_some(),
        };
        self.cgi.serve(con, req, &script).await
    }

    /// The path that the first alias that fits makes of it: all of the old one behind what the alias names.
    fn rewrite(&self, path: &CleanPath) -> Option<CleanPath> {
        let (_, to) = self.aliases.iter().find(|(prefix, _)| prefix.holds(path.relative()))?;
        let end: &[u8] = if path.is_folder() { b"/" } else { b"" };
        CleanPath::new(&[to.as_bytes(), b"/", path.relative(), end].concat()).ok()
    }

    /// Whether a client may have what is at a path, and by which login.
    fn judge(
        &self,
        auth: &Auth,
        con: &Connection,
        req: &Request,
        path: &CleanPath,
    ) -> std::result::Result<Option<Login>, Refusal> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ip = con.remote_addr().ip();
        match auth.check(path.relative(), req.header_bytes("authorization"), ip, now) {
            Verdict::Open => Ok(None),
            Verdict::Granted { user, pass } => Ok(Some((user, pass))),
            Verdict::Ask => Err(Refusal::Ask),
            Verdict::Wait(wait) => Err(Refusal::Wait(wait.as_secs() + 1)),
        }
    }

    async fn refuse(&self, con: &mut Connection, refusal: Refusal) -> Result<()> {
        self.clear(con)?;
        match refusal {
            Refusal::Ask => {
                con.add_header("www-authenticate", &self.challenge)?;
                respond(con, 401, "text/plain", "Authorization Required\n").await
            }
            Refusal::Wait(seconds) => {
                con.add_header("retry-after", seconds)?;
                respond(con, 429, "text/plain", "Too many failed logins\n").await
            }
        }
    }

    /// Answers with an error: by the error page where there is one for it.
    async fn fail(&self, con: &mut Connection, req: &mut Request, status: u16) -> Result<()> {
        self.clear(con)?;
        if let (Some(page), 403 | 404) = (&self.error_page, status)
            && self.fail_with(con, req, page, status).await?
        {
            return Ok(());
        }
        let path = Html(req.raw_path());
        match status {
            404 => error(con, 404, &format!("The requested URL {path} was not found on this server.")).await,
            403 => error(con, 403, &format!("You don't have permission to access {path} on this server.")).await,
            405 => {
                con.add_header("allow", "GET, HEAD")?;
                error(con, 405, "").await
            }
            503 => {
                con.add_header("retry-after", 1)?;
                error(con, 503, "").await
            }
            status => error(con, status, "").await,
        }
    }

    /// Answers with the error page; false: there is none.
    async fn fail_with(&self, con: &mut Connection, req: &mut Request, page: &CleanPath, status: u16) -> Result<bool> {
        let located = match self.scripts.find(con, &self.files, page) {
            Found::Refused(_) => return Ok(false),
            Found::File => return self.files.serve_as(con, page, status).await,
            Found::Script(located) => located,
        };
        con.set_status(status)?;
        let query = req.query_string().to_owned();
        let run = Run { located: &located, login: None, status, query: Some(&query) };
        Ok(matches!(self.run(con, req, &run).await?, Served::Done))
    }

    /// Takes back what is for answers that succeed.
    fn clear(&self, con: &mut Connection) -> Result<()> {
        self.headers.iter().try_for_each(|(_, header)| con.remove_header(&header.name))
    }
}

/// Why a client may not have what is at a path.
enum Refusal {
    /// It is to show a login.
    Ask,
    /// It is to wait so many seconds, for it showed too many that were wrong.
    Wait(u64),
}

/// A script, and what it is told besides the request.
struct Run<'a> {
    located: &'a Located<'a>,
    login: Option<&'a Login>,
    /// Why it is run: 200, or the error that it is the page of.
    status: u16,
    /// The query, where it is not the request's; it is run as for GET then.
    query: Option<&'a str>,
}

/// A path that others lie below, on the boundaries of segments.
pub struct Prefix(String);

impl Prefix {
    pub fn new(path: &str) -> Prefix {
        Prefix(path.trim_matches('/').to_owned())
    }

    /// Whether a path, without a slash in front, is this one or lies below it.
    pub fn holds(&self, relative: &[u8]) -> bool {
        self.rest(relative).is_some()
    }

    /// What of such a path is below this one.
    fn rest<'a>(&self, relative: &'a [u8]) -> Option<&'a [u8]> {
        let rest = relative.strip_prefix(self.0.as_bytes())?;
        (self.0.is_empty() || rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
    }
}

#[cfg(feature = "ubus")]
fn ubus(site: &config::Site) -> Ubus {
    let config::Ubus { socket, no_auth, cors, retry, .. } = site.ubus.clone();
    Ubus::new(ubus::Config { socket, no_auth, cors, retry, timeout: site.script_timeout, ..ubus::Config::default() })
}

/// Whether a private client asks a public address: a page from outside that had its name lead here (DNS rebinding).
fn is_rebound(con: &Connection) -> bool {
    let local = || con.local_addr().ok()?.ip();
    con.remote_addr().ip().is_some_and(is_private) && local().is_some_and(|ip| !is_private(ip))
}

/// Whether an address is not of the Internet: RFC 1918, 6598, 3927, 4193, 4291 (link-local), loopback.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The host without its port and the dot of the root, in lower case.
fn host_name(host: &str) -> String {
    let name = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => host.get(..colon).unwrap_or(host),
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Answers with an error in uhttpd's form.
async fn error(con: &mut Connection, status: u16, text: &str) -> Result<()> {
    let reason = ecohttpd::status_reason(status);
    respond(con, status, "text/html; charset=utf-8", &format!("<h1>{reason}</h1>{text}")).await
}

async fn respond(con: &mut Connection, status: u16, content_type: &str, body: &str) -> Result<()> {
    con.set_status(status)?;
    con.add_header("content-type", content_type)?;
    con.add_header("content-length", body.len())?;
    con.send(body).await
}

/// Text in HTML.
struct Html<'a>(&'a str);

impl std::fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for char in self.0.chars() {
            match char {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_str(other.encode_utf8(&mut [0; 4]))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_segments() {
        for (prefix, path, verdict) in [
            ("", "", true),
            ("/", "a/b", true),
            ("/a", "a", true),
            ("/a/", "a/b", true),
            ("/a", "ab", false),
            ("/a/b", "a", false),
            ("/a", "A", false),
        ] {
            assert_eq!(Prefix::new(prefix).holds(path.as_bytes()), verdict, "{prefix} {path}");
        }
    }

    #[test]
    fn private_addresses() {
        let private = "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.255.255 169.254.1.1 127.0.0.1 \
                       fd00::1 fc00::1 fe80::1 ::1 ::ffff:192.168.1.1";
        let public = "9.9.9.9 172.15.0.1 172.32.0.1 192.169.0.1 100.63.0.1 100.128.0.1 2001:db8::1 ::ffff:9.9.9.9";
        for ip in private.split_whitespace() {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in public.split_whitespace() {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn hosts() {
        for (host, name) in
            [("A.lan:80", "a.lan"), ("a.", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", ""), ("a", "a")]
        {
            assert_eq!(host_name(host), name);
        }
    }
}
