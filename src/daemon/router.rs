//! The way of a request through a site: who may ask, where it leads, what answers.

use super::access::{Access, Contradiction, Proxies, Refused};
use super::auth::{Auth, Database, Realms, Sender, Verdict};
use super::cgi::{Cgi, Limits, Script, Served};
use super::config::{self, Header};
use super::percent;
use super::prefix::Prefix;
use super::rebinding::is_rebound;
use super::replies::{Html, error, respond};
use super::scripts::{self, Found, Located, Scripts};
use super::secure::Secure;
#[cfg(feature = "ubus")]
use super::ubus::{self, Ubus};
use ecohttpd::{CleanPath, Connection, Error, Files, Options, Request, Result};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Redirects of scripts to paths of ours (RFC 3875 §6.2.2) that one request may lead through.
const LOCAL_REDIRECTS: u32 = 5;

/// When a client may try again that there was no room for, in seconds: pages and most scripts take less.
const RETRY_AFTER: u32 = 2;

/// User and password of a login that was verified.
type Login = (String, Vec<u8>);

/// One site of the configuration, ready to answer.
pub struct Site {
    pub names: Vec<String>,
    secure: Rc<Secure>,
    /// Scripts are told of clients' certificates.
    #[cfg(feature = "tls")]
    tells_certificate: bool,
    /// Refuse private clients at public addresses.
    rfc1918_filter: bool,
    aliases: Vec<(Prefix, String)>,
    headers: Vec<(Prefix, Header)>,
    proxies: Option<Proxies>,
    access: Option<Access>,
    auth: Option<Rc<Auth>>,
    /// The value of `WWW-Authenticate`.
    challenge: String,
    files: Files,
    /// The same folder without precompressed files.
    plain_files: Files,
    scripts: Scripts,
    /// Scripts are run by what was looked at, which a link can't change any more.
    no_symlinks: bool,
    cgi: Cgi,
    #[cfg(feature = "ubus")]
    ubus: Option<(Prefix, Ubus)>,
    error_page: Option<CleanPath>,
    /// The page of an application that makes paths of its own.
    fallback: Option<CleanPath>,
}

/// What a script that redirected within the site has made of a request.
struct Redirected {
    query: String,
    /// How many more there may be.
    left: u32,
}

/// A path that is to be answered with, and by what redirection.
type Way = (CleanPath, Option<Redirected>);

/// Why a client may not have what is at a path.
enum Refusal {
    /// It is to show a login.
    Ask,
    /// It is to wait so many seconds, for it showed too many that were wrong.
    Wait(u64),
    /// It is not one who may.
    Access(Refused),
}

impl Site {
    /// A site with the configuration's values; `secure` learns the port of its HTTPS once that is bound.
    pub fn new(site: &config::Site, secure: Rc<Secure>, options: &Options) -> Site {
        let realms = Realms::new(&site.auth, &Database::default());
        let quoted = site.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let alias = |alias: &config::Alias| {
            (Prefix::new(&alias.from), alias.to.clone().unwrap_or_else(|| site.cgi_prefix.clone()))
        };
        let page = |path: &Option<String>| path.as_ref().and_then(|page| CleanPath::new(page.as_bytes()).ok());
        let limits = Limits {
            max_requests: site.max_requests,
            timeout: site.script_timeout,
            chunked_body: site.chunked_body_limit << 10,
            body_folder: site.body_temp_path.clone(),
            ..Limits::default()
        };
        Site {
            names: site.server_names.clone(),
            secure,
            #[cfg(feature = "tls")]
            tells_certificate: site.tls.ca.is_some(),
            rfc1918_filter: site.rfc1918_filter,
            aliases: site.aliases.iter().map(alias).collect(),
            headers: site.headers.iter().map(|header| (Prefix::new(&header.prefix), header.clone())).collect(),
            proxies: Proxies::new(site),
            access: Access::new(site),
            auth: (!site.auth.is_empty()).then(|| Rc::new(Auth::new(realms))),
            challenge: format!("Basic realm=\"{quoted}\""),
            files: Files::new(options),
            plain_files: Files::new(&options.clone().gzip(false)),
            scripts: Scripts::new(site),
            no_symlinks: site.no_symlinks,
            cgi: Cgi::new(limits),
            #[cfg(feature = "ubus")]
            ubus: site.ubus.prefix.as_ref().map(|prefix| (Prefix::new(prefix), ubus(site))),
            error_page: page(&site.error_page),
            fallback: page(&site.fallback),
        }
    }

    /// Answers a request. All that files seldom need is boxed: each request carries the rest from its first byte on.
    pub async fn serve(&self, con: &mut Connection, req: &mut Request) -> Result<()> {
        let proxied = self.proxies.as_ref().map_or(Ok(false), |proxies| proxies.apply(con, req));
        if self.rfc1918_filter && is_rebound(con) {
            let text = "Rejected request from RFC1918 IP to public server address";
            return Box::pin(error(con, 403, text)).await;
        }
        if self.secure.concerns(con) && Box::pin(self.secure.redirects(con, req, proxied == Ok(true))).await? {
            return Ok(());
        }
        // Else of the server as a whole: OPTIONS *.
        let is_path = req.path_bytes().starts_with(b"/");
        let way = match CleanPath::new(req.path_bytes()) {
            _ if proxied == Err(Contradiction) => {
                if con.takes_log_line() {
                    let peer = con.remote_addr();
                    log::info!("{peer}: 400: its fields about whom it was forwarded for contradict each other");
                }
                Err(Some(400))
            }
            _ if !is_path && self.access.as_ref().is_some_and(|access| access.judge(con, req, b"").is_err()) => {
                Err(Some(403))
            }
            _ if !is_path => return Box::pin(self.files.serve(con, req)).await,
            Ok(path) if self.answers_preflight(con, req, &path)? => return Ok(()),
            Ok(path) if self.is_plain(con, &path) => {
                self.add_headers(con, &path)?;
                match refused(self.files.try_serve(con, req, &path).await)? {
                    Some(404) => self.fall_back(con, req)?.ok_or(Some(404)),
                    status => Err(status),
                }
            }
            Ok(path) => Ok((path, None)),
            Err(refusal) => Err(Some(refusal.status())),
        };
        let status = match way {
            Ok((path, redirected)) => Box::pin(self.route(con, req, path, redirected)).await?,
            Err(status) => status,
        };
        match status {
            None => Ok(()),
            Some(status) => Box::pin(self.fail(con, req, status)).await,
        }
    }

    /// Answers a browser that asks whether a page of another origin may make a request (a CORS preflight of the Fetch
    /// standard), if `header` lines let pages of other origins in there. It asks without a login, whatever the request will
    /// have.
    fn answers_preflight(&self, con: &mut Connection, req: &Request, path: &CleanPath) -> Result<bool> {
        let asks = |field| req.header_bytes(field).is_some();
        if req.method() != "OPTIONS" || !asks("origin") || !asks("access-control-request-method") || self.is_ubus(path)
        {
            return Ok(false);
        }
        if self.access.as_ref().is_some_and(|access| access.judge(con, req, path.relative()).is_err()) {
            return Ok(false);
        }
        let mut lets_in = false;
        for (prefix, Header { name, value, .. }) in &self.headers {
            // The others may be for those alone who have a login.
            if is_of_cors(name) && prefix.holds(path.relative()) {
                lets_in |= name.eq_ignore_ascii_case("access-control-allow-origin");
                con.add_header(name, value)?;
            }
        }
        if lets_in {
            con.set_status(204)?
        } else {
            self.clear(con)?
        }
        Ok(lets_in)
    }

    #[cfg(feature = "ubus")]
    fn is_ubus(&self, path: &CleanPath) -> bool {
        self.ubus.as_ref().is_some_and(|(prefix, _)| prefix.holds(path.relative()))
    }

    #[cfg(not(feature = "ubus"))]
    fn is_ubus(&self, _: &CleanPath) -> bool {
        false
    }

    /// Whether nothing but a file or folder can be at a path, free for all: the short way of most requests.
    fn is_plain(&self, con: &Connection, path: &CleanPath) -> bool {
        if self.is_ubus(path) {
            return false;
        }
        let open = !self.is_guarded() && self.aliases.is_empty();
        open && matches!(self.scripts.find(con, &self.files, path), Found::File)
    }

    /// Whether some clients may not have some of it.
    fn is_guarded(&self) -> bool {
        self.auth.is_some() || self.access.is_some()
    }

    /// Answers with what is at a path, or returns the status of an error that is still to be answered.
    async fn route(
        &self,
        con: &mut Connection,
        req: &mut Request,
        asked: CleanPath,
        redirected: Option<Redirected>,
    ) -> Result<Option<u16>> {
        self.add_headers(con, &asked)?;
        let path = self.rewrite(&asked);
        let path = path.as_ref().unwrap_or(&asked);
        let found = self.find(con, path, redirected.is_some());
        let place = match &found {
            Found::Script(located) => located.index.as_ref(),
            Found::Index(index) => Some(index),
            _ => None,
        };
        let login = match self.admit(con, req, place.unwrap_or(path), &asked).await {
            Ok(login) => login,
            Err(refusal) => return self.refuse(con, refusal).await,
        };
        #[cfg(feature = "ubus")]
        if let Some((prefix, ubus)) = self.ubus.as_ref().filter(|_| redirected.is_none())
            && let Some(rest) = prefix.rest(path.relative())
        {
            let slash: &[u8] = if path.is_folder() { b"/" } else { b"" };
            let rest = [rest, slash].concat();
            return ubus.serve(con, req, &rest).await.map(|()| None);
        }
        match found {
            // Where no script is, nobody else has an answer to this.
            Found::Refused(404) if req.method() == "OPTIONS" => refused(self.files.try_serve(con, req, path).await),
            Found::Refused(status) => Ok(Some(status)),
            Found::Script(located) => self.run(con, req, &located, login.as_ref(), redirected).await,
            Found::Index(index) => self.send(con, req, &index, redirected.is_some()).await,
            Found::File => match self.send(con, req, path, redirected.is_some()).await? {
                Some(404) if redirected.is_none() => match self.fall_back(con, req)? {
                    Some((page, redirected)) => Box::pin(self.route(con, req, page, redirected)).await,
                    None => Ok(Some(404)),
                },
                status => Ok(status),
            },
        }
    }

    /// The page of an application that answers in the place of a file that is missing, if the client looks for a page: as
    /// if a script had redirected to it.
    fn fall_back(&self, con: &mut Connection, req: &Request) -> Result<Option<Way>> {
        let Some(page) = self.fallback.as_ref().filter(|_| asks_for_page(req)) else { return Ok(None) };
        // What holds for long where the missing file would be need not hold for the page.
        self.clear(con)?;
        con.add_header("vary", "Accept")?;
        Ok(Some((page.clone(), Some(Redirected { query: req.query_string().to_owned(), left: 0 }))))
    }

    /// What is at a path; where its own name matters, a folder's index by that.
    fn find(&self, con: &Connection, path: &CleanPath, redirected: bool) -> Found<'_> {
        match self.scripts.find(con, &self.files, path) {
            Found::File if path.is_folder() && (redirected || self.is_guarded()) => {
                self.scripts.find_index(con, &self.files, path.relative())
            }
            found => found,
        }
    }

    /// Sends a file or folder.
    async fn send(&self, con: &mut Connection, req: &Request, path: &CleanPath, other: bool) -> Result<Option<u16>> {
        if other && !matches!(req.method(), "GET" | "HEAD") {
            // A script has answered by naming it.
            return Ok((!self.files.serve_as(con, path, 200).await?).then_some(404));
        }
        let sibling = |suffix: &str| [path.relative(), suffix.as_bytes()].concat();
        let open = |suffix: &&str| {
            let sibling = sibling(suffix);
            self.auth.as_ref().is_none_or(|auth| auth.is_alike(path.relative(), &sibling))
                && self.access.as_ref().is_none_or(|access| access.judge(con, req, &sibling).is_ok())
        };
        // A precompressed file may be protected where the file itself is not.
        let is_open = !self.is_guarded() || Files::CODED_SUFFIXES.iter().all(open);
        let files = if is_open { &self.files } else { &self.plain_files };
        refused(files.try_serve(con, req, path).await)
    }

    /// Runs a script, and then what it redirects to within the site.
    async fn run(
        &self,
        con: &mut Connection,
        req: &mut Request,
        located: &Located<'_>,
        login: Option<&Login>,
        redirected: Option<Redirected>,
    ) -> Result<Option<u16>> {
        let query = redirected.as_ref().map(|redirected| redirected.query.as_bytes());
        let place = match self.execute(con, req, located, login, 200, query).await? {
            Served::Done => return Ok(None),
            Served::Failed(status) => return Ok(Some(status)),
            Served::Local(place) => place,
        };
        let left = redirected.map_or(LOCAL_REDIRECTS, |redirected| redirected.left);
        let Some(left) = left.checked_sub(1) else {
            if con.takes_log_line() {
                log::error!("{}: scripts redirect in a circle", req.target());
            }
            return Ok(Some(500));
        };
        let (path, query) = place.split_once('?').unwrap_or((&place, ""));
        match CleanPath::new(&percent::decode(path, false)) {
            Ok(path) => {
                let redirected = Redirected { query: query.to_owned(), left };
                Box::pin(self.route(con, req, path, Some(redirected))).await
            }
            Err(refusal) => Ok(Some(refusal.status())),
        }
    }

    /// Executes a script; with a `query` of its own as for GET, whatever the request was.
    async fn execute(
        &self,
        con: &mut Connection,
        req: &mut Request,
        located: &Located<'_>,
        login: Option<&Login>,
        status: u16,
        query: Option<&[u8]>,
    ) -> Result<Served> {
        let asked = req.query_bytes().to_owned();
        let held = match self.no_symlinks.then(|| self.files.hold(con, located.relative())).transpose() {
            Ok(held) => held,
            Err(error) => return Ok(Served::Failed(scripts::status_of(&error))),
        };
        let script = Script {
            file: &located.file,
            held: held.as_ref().map(AsFd::as_fd),
            interpreter: located.interpreter,
            name: &located.name,
            path_info: located.path_info.as_deref(),
            docroot: self.scripts.docroot(),
            #[cfg(feature = "tls")]
            tells_certificate: self.tells_certificate,
            login: login.map(|(user, pass)| (user.as_str(), pass.as_slice())),
            status,
            query: query.unwrap_or(&asked),
            as_get: query.is_some(),
        };
        self.cgi.serve(con, req, &script).await
    }

    /// The path that the first alias that fits makes of it: all of the old one behind what the alias names.
    fn rewrite(&self, path: &CleanPath) -> Option<CleanPath> {
        let (_, to) = self.aliases.iter().find(|(prefix, _)| prefix.holds(path.relative()))?;
        let end: &[u8] = if path.is_folder() { b"/" } else { b"" };
        CleanPath::new(&[to.as_bytes(), b"/", path.relative(), end].concat()).ok()
    }

    /// Whether a client may have what is at `path`, which it called `asked`; and by which login.
    async fn admit(
        &self,
        con: &Connection,
        req: &Request,
        path: &CleanPath,
        asked: &CleanPath,
    ) -> std::result::Result<Option<Login>, Refusal> {
        if let Some(access) = &self.access
            && let Err(why) = [path, asked].iter().try_for_each(|name| access.judge(con, req, name.relative()))
        {
            access.tell(con, req, why);
            return Err(Refusal::Access(why));
        }
        let Some(auth) = &self.auth else { return Ok(None) };
        let name = auth.closer(path.relative(), asked.relative());
        let names = ["user-agent", "accept-language"].map(|field| req.header_bytes(field).unwrap_or_default());
        let sender = Sender::new(con.remote_addr(), names);
        match auth.check(name, req.header_bytes("authorization"), sender).await {
            Verdict::Open => Ok(None),
            Verdict::Granted { user, pass } => Ok(Some((user, pass))),
            Verdict::Ask => Err(Refusal::Ask),
            Verdict::Wait(wait) => Err(Refusal::Wait(wait.as_secs() + 1)),
        }
    }

    /// Answers with a refusal, or returns the status of an error that is still to be answered.
    async fn refuse(&self, con: &mut Connection, refusal: Refusal) -> Result<Option<u16>> {
        self.clear(con)?;
        match refusal {
            Refusal::Access(Refused::Address) => return Ok(Some(403)),
            Refusal::Access(Refused::Certificate) => error(con, 403, "A client certificate is required.").await?,
            Refusal::Ask => {
                con.add_header("www-authenticate", &self.challenge)?;
                respond(con, 401, "text/plain", "Authorization Required\n").await?;
            }
            Refusal::Wait(seconds) => {
                con.add_header("retry-after", seconds)?;
                respond(con, 429, "text/plain", "Too many failed logins\n").await?;
            }
        }
        Ok(None)
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
                con.add_header("allow", "GET, HEAD, OPTIONS")?;
                error(con, 405, "").await
            }
            408 | 413 | 507 => {
                // The rest of the body would come as slowly, or find as little room.
                con.add_header("connection", "close")?;
                error(con, status, "").await
            }
            412 | 416 => {
                con.set_status(status)?;
                con.add_header("content-length", 0)?;
                con.send("").await
            }
            503 => {
                con.add_header("retry-after", RETRY_AFTER)?;
                error(con, 503, "").await
            }
            status => error(con, status, "").await,
        }
    }

    /// Answers with the error page; false: there is none that this client may see.
    async fn fail_with(&self, con: &mut Connection, req: &mut Request, page: &CleanPath, status: u16) -> Result<bool> {
        let Ok(login) = self.admit(con, req, page, page).await else { return Ok(false) };
        let located = match self.scripts.find(con, &self.files, page) {
            Found::File => return self.files.serve_as(con, page, status).await,
            Found::Script(located) => located,
            Found::Index(_) | Found::Refused(_) => return Ok(false),
        };
        con.set_status(status)?;
        let query = req.query_bytes().to_owned();
        let served = self.execute(con, req, &located, login.as_ref(), status, Some(&query)).await?;
        Ok(matches!(served, Served::Done))
    }

    /// Adds the configuration's fields for a path.
    fn add_headers(&self, con: &mut Connection, path: &CleanPath) -> Result<()> {
        let fit = self.headers.iter().filter(|(prefix, _)| prefix.holds(path.relative()));
        fit.into_iter().try_for_each(|(_, header)| con.add_header(&header.name, &header.value))
    }

    /// Takes back what is for answers that succeed.
    fn clear(&self, con: &mut Connection) -> Result<()> {
        self.headers.iter().try_for_each(|(_, header)| con.remove_header(&header.name))
    }
}

/// The status of a refusal, which is still to be answered.
fn refused(served: Result<()>) -> Result<Option<u16>> {
    match served {
        Ok(()) => Ok(None),
        Err(Error::Refused(refusal)) => Ok(Some(refusal.status())),
        Err(error) => Err(error),
    }
}

/// Whether a client names HTML among what it takes, as browsers do for pages alone: images, scripts and programs get an
/// error.
fn asks_for_page(req: &Request) -> bool {
    req.header_bytes("accept").unwrap_or_default().split(|&byte| byte == b',').any(|member| {
        const HTML: &[u8] = b"text/html";
        let (range, rest) = member.trim_ascii().split_at_checked(HTML.len()).unwrap_or_default();
        // RFC 9110 §12.4.2: what has a weight of zero is not taken.
        let refused = || !rest.iter().any(|byte| matches!(byte, b'1'..=b'9')) && rest.ends_with(b"0");
        range.eq_ignore_ascii_case(HTML) && matches!(rest.first(), None | Some(b';' | b' ')) && !refused()
    })
}

/// Whether a field tells browsers what pages of other origins may do, or on what that depends.
fn is_of_cors(name: &str) -> bool {
    const CORS: &str = "access-control-";
    name.get(..CORS.len()).is_some_and(|start| start.eq_ignore_ascii_case(CORS)) || name.eq_ignore_ascii_case("vary")
}

#[cfg(feature = "ubus")]
fn ubus(site: &config::Site) -> Ubus {
    let config::Ubus { socket, no_auth, cors, retry, .. } = site.ubus.clone();
    Ubus::new(ubus::Config { socket, no_auth, cors, retry, timeout: site.script_timeout, ..ubus::Config::default() })
}
