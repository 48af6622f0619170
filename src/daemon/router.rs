//! How a site answers a request: who may ask, what is at the path, what serves it.

mod own_paths;

use super::access::{AccessControl, Contradiction, Denied, Proxies};
use super::auth::{Auth, Database, Realms, Sender, Verdict};
use super::cgi::{Cgi, Limits, Script, Served, Turn};
use super::config::{self, seconds};
#[cfg(feature = "proxy")]
use super::fastcgi::FastCgi;
use super::https_policy::HttpsPolicy;
use super::log;
use super::prefix::UrlPrefix;
#[cfg(feature = "proxy")]
use super::proxy::{Forwarding, Proxied};
use super::rebinding::is_rebound;
use super::replies::{asks_for_page, error, fail, respond};
use super::scripts::{self, Found, Located, Scripts};
use super::site_headers::SiteHeaders;
use super::status::{SiteTally, StatusPages};
#[cfg(feature = "ubus")]
use super::ubus::Ubus;
#[cfg(feature = "workers")]
use super::workers::{Handler, Handlers, path_info};
use ecohttpd::syntax::decode_percent;
use ecohttpd::{CleanPath, Connection, Error, Files, Options, Request, Result};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Most local redirects by scripts (RFC 3875 §6.2.2) that one request may follow.
const LOCAL_REDIRECTS: u32 = 5;

/// User and password of a verified login.
type VerifiedLogin = (String, Vec<u8>);

/// One site of the configuration, ready to serve.
pub struct Router {
    pub names: Vec<String>,
    policy: Rc<HttpsPolicy>,
    /// Scripts get the client certificate.
    #[cfg(feature = "tls")]
    tells_certificate: bool,
    /// Refuse private clients at public addresses.
    rfc1918_filter: bool,
    aliases: Vec<(UrlPrefix, String)>,
    headers: SiteHeaders,
    proxies: Option<Proxies>,
    access: Option<AccessControl>,
    auth: Option<Rc<Auth>>,
    /// The value of `WWW-Authenticate`.
    challenge: String,
    files: Files,
    /// The same folder without precompressed files.
    plain_files: Files,
    scripts: Scripts,
    /// Scripts are opened before they are checked, and run by descriptor, so no link can be swapped in between.
    no_symlinks: bool,
    cgi: Cgi,
    #[cfg(feature = "proxy")]
    forwarding: Forwarding,
    #[cfg(feature = "proxy")]
    fastcgi: FastCgi,
    #[cfg(feature = "ubus")]
    ubus: Option<(UrlPrefix, Ubus)>,
    #[cfg(feature = "workers")]
    handlers: Handlers,
    error_page: Option<CleanPath>,
    /// The page of an application that handles its own paths.
    fallback: Option<CleanPath>,
    /// Where the program answers about itself.
    status: Option<StatusPages>,
    pub tally: SiteTally,
}

/// A request after a local redirect.
struct Redirected {
    query: String,
    /// How many more redirects may follow.
    left: u32,
}

/// How a script is run.
struct Run<'a> {
    /// 200, or the error whose page this is.
    status: u16,
    /// With a query it runs as for GET, whatever the request was.
    query: Option<&'a [u8]>,
    /// It is the request's turn already.
    turn: Option<Turn>,
}

/// The path to serve next, and the redirect that led there.
type NextPath = (CleanPath, Option<Redirected>);

/// Why a client is refused.
enum AccessRefused {
    /// It must log in.
    Ask,
    /// It must wait that many seconds, after too many failed logins.
    Wait(u64),
    /// It is not allowed.
    Denied(Denied),
}

impl Router {
    /// A site as configured. `policy` learns the port of HTTPS once it is bound.
    pub fn new(
        site: &config::SiteConfig,
        policy: Rc<HttpsPolicy>,
        options: &Options,
        (status, tally): (Option<StatusPages>, SiteTally),
    ) -> Router {
        let realms = Realms::new(&site.auth, &Database::default());
        let quoted = site.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let alias = |alias: &config::Alias| {
            (UrlPrefix::new(&alias.from), alias.to.clone().unwrap_or_else(|| site.cgi_prefix.clone()))
        };
        let page = |path: &Option<String>| path.as_ref().and_then(|page| CleanPath::new(page.as_bytes()).ok());
        let limits = Limits {
            max_requests: site.max_requests as usize,
            timeout: seconds(site.script_timeout),
            chunked_body: u64::from(site.chunked_body_limit) << 10,
            body_folder: site.body_temp_path.clone(),
            ..Limits::default()
        };
        let cgi = Cgi::new(limits);
        Router {
            names: site.server_names.clone(),
            policy,
            #[cfg(feature = "tls")]
            tells_certificate: site.tls.ca.is_some(),
            rfc1918_filter: site.rfc1918_filter,
            aliases: site.aliases.iter().map(alias).collect(),
            headers: SiteHeaders::new(&site.headers),
            proxies: Proxies::new(&site.trusted_proxies),
            access: AccessControl::new(&site.access, &site.client_certs, site.uncertain_proxies, site.tls.ca.is_some()),
            auth: (!site.auth.is_empty()).then(|| Rc::new(Auth::new(realms, tally.name()))),
            challenge: format!("Basic realm=\"{quoted}\""),
            files: Files::new(options),
            plain_files: Files::new(&options.clone().gzip(false)),
            scripts: Scripts::new(site),
            no_symlinks: site.no_symlinks,
            #[cfg(feature = "workers")]
            handlers: Handlers::new(site, &cgi),
            cgi,
            #[cfg(feature = "proxy")]
            forwarding: Forwarding::new(&site.proxies, site.proxy_timeout, site.proxy_idle_timeout),
            #[cfg(feature = "proxy")]
            fastcgi: FastCgi::new(&site.fastcgi, site.proxy_timeout),
            #[cfg(feature = "ubus")]
            ubus: site.ubus.prefix.as_ref().map(|prefix| {
                let ubus = Ubus::new(&site.ubus, seconds(site.script_timeout));
                (UrlPrefix::new(prefix), ubus)
            }),
            error_page: page(&site.error_page),
            fallback: page(&site.fallback),
            status,
            tally,
        }
    }

    /// Serves a request. The parts that files rarely need are boxed, as the rest of the future is allocated for each
    /// request.
    pub async fn serve(&self, con: &mut Connection, req: &mut Request) -> Result<()> {
        let proxied = self.proxies.as_ref().map_or(Ok(false), |proxies| proxies.apply(con, req));
        if self.rfc1918_filter && is_rebound(con) {
            let text = "Rejected request from RFC1918 IP to public server address";
            return Box::pin(error(con, 403, text)).await;
        }
        if self.policy.concerns(con) && Box::pin(self.policy.redirects(con, req, proxied == Ok(true))).await? {
            return Ok(());
        }
        // Otherwise for the server as a whole: OPTIONS *.
        let is_path = req.path_bytes().starts_with(b"/");
        let way = match CleanPath::new(req.path_bytes()) {
            _ if proxied == Err(Contradiction) => {
                if con.takes_log_line() {
                    let peer = con.remote_addr();
                    log::info!("{peer}: 400: X-Forwarded-For and Forwarded name different clients");
                }
                Err(Some(400))
            }
            _ if !is_path && self.access.as_ref().is_some_and(|access| access.judge(con, req, b"").is_err()) => {
                Err(Some(403))
            }
            _ if !is_path => return Box::pin(self.files.serve(con, req)).await,
            Ok(path) if self.answers_preflight(con, req, &path)? => return Ok(()),
            Ok(path) if self.is_plain(&path) => {
                self.headers.add(con, req, &path)?;
                match refused(self.files.try_serve(con, req, &path).await)? {
                    Some(404) => self.fall_back(con, req)?.ok_or(Some(404)),
                    status => Err(status),
                }
            }
            Ok(path) => Ok((path, None)),
            Err(refusal) => Err(Some(refusal.status())),
        };
        #[cfg(feature = "proxy")]
        if let Ok((path, None)) = &way
            && let Some(proxied) = self.forwarding.find(path).filter(|_| !self.is_ubus(path) && !self.is_status(path))
        {
            return match Box::pin(self.forward(con, req, path, proxied)).await? {
                None => Ok(()),
                Some(status) => Box::pin(self.fail(con, req, status)).await,
            };
        }
        let status = match way {
            Ok((path, redirected)) => Box::pin(self.route(con, req, path, redirected)).await?,
            Err(status) => status,
        };
        match status {
            None => Ok(()),
            Some(status) => Box::pin(self.fail(con, req, status)).await,
        }
    }

    /// Answers a CORS preflight (Fetch standard) where `header` lines allow other origins. A preflight never has a login,
    /// even if the request that follows does.
    fn answers_preflight(&self, con: &mut Connection, req: &Request, path: &CleanPath) -> Result<bool> {
        let asks = |field| req.header_bytes(field).is_some();
        if req.method() != "OPTIONS" || !asks("origin") || !asks("access-control-request-method") || self.is_ubus(path)
        {
            return Ok(false);
        }
        if self.access.as_ref().is_some_and(|access| access.judge(con, req, path.relative()).is_err()) {
            return Ok(false);
        }
        let lets_in = self.headers.add_cors(con, path)?;
        if lets_in {
            con.set_status(204)?
        } else {
            self.headers.clear(con)?
        }
        Ok(lets_in)
    }

    /// Has another server answer, or returns the status of an error that the caller answers.
    #[cfg(feature = "proxy")]
    async fn forward(
        &self,
        con: &mut Connection,
        req: &mut Request,
        path: &CleanPath,
        proxied: &Proxied,
    ) -> Result<Option<u16>> {
        self.headers.add(con, req, path)?;
        match self.admit(con, req, path, path).await {
            Ok(login) => {
                // HTTPS may have added one.
                let has_fields = !self.headers.is_empty() || con.is_tls();
                self.forwarding.serve(con, req, path, proxied, login.is_some(), has_fields).await
            }
            Err(refusal) => self.refuse(con, refusal).await,
        }
    }

    /// Whether parts of the site are closed to some clients.
    fn is_guarded(&self) -> bool {
        self.auth.is_some() || self.access.is_some()
    }

    /// Serves what is at a path, or returns the status of an error that the caller answers.
    async fn route(
        &self,
        con: &mut Connection,
        req: &mut Request,
        asked: CleanPath,
        redirected: Option<Redirected>,
    ) -> Result<Option<u16>> {
        self.headers.add(con, req, &asked)?;
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
        if let Some(status) = self.status.as_ref().filter(|status| redirected.is_none() && status.has(path)) {
            return Box::pin(status.serve(con, req, path)).await.map(|()| None);
        }
        #[cfg(feature = "ubus")]
        if let Some((prefix, ubus)) = self.ubus.as_ref().filter(|_| redirected.is_none())
            && let Some(rest) = prefix.rest(path.relative())
        {
            let slash: &[u8] = if path.is_folder() { b"/" } else { b"" };
            let rest = [rest, slash].concat();
            return ubus.serve(con, req, &rest).await.map(|()| None);
        }
        #[cfg(feature = "workers")]
        if let Some((handler, rest)) = self.handlers.find(path.relative()).filter(|_| redirected.is_none()) {
            let info = path_info(rest, path.is_folder());
            let served = match Box::pin(self.handle(con, req, handler, info.as_deref(), login.as_ref())).await? {
                Ok(served) => served,
                Err(turn) => match &found {
                    // LuCI runs as CGI as well.
                    Found::Script(located) => {
                        self.execute(
                            con,
                            req,
                            located,
                            login.as_ref(),
                            Run { status: 200, query: None, turn: Some(turn) },
                        )
                        .await?
                    }
                    _ => Served::Failed(500),
                },
            };
            return self.follow(con, req, served, None).await;
        }
        match found {
            // There is no script to answer OPTIONS.
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

    /// The fallback page, if the client asks for a page. It is served like a local redirect.
    fn fall_back(&self, con: &mut Connection, req: &Request) -> Result<Option<NextPath>> {
        let Some(page) = self.fallback.as_ref().filter(|_| asks_for_page(req)) else { return Ok(None) };
        // Fields configured for the missing path, such as for caching, may not be right for the page.
        self.headers.clear(con)?;
        con.add_header("Vary", "Accept")?;
        Ok(Some((page.clone(), Some(Redirected { query: req.query_string().to_owned(), left: 0 }))))
    }

    /// What is at a path. For a folder the index file, where access depends on its name.
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
            // The script that redirected here has handled the method.
            return Ok((!self.files.serve_as(con, path, 200).await?).then_some(404));
        }
        let sibling = |suffix: &str| [path.relative(), suffix.as_bytes()].concat();
        let open = |suffix: &&str| {
            let sibling = sibling(suffix);
            self.auth.as_ref().is_none_or(|auth| auth.is_alike(path.relative(), &sibling))
                && self.access.as_ref().is_none_or(|access| access.judge(con, req, &sibling).is_ok())
        };
        // A precompressed file may be protected though the file itself is not.
        let is_open = !self.is_guarded() || Files::CODED_SUFFIXES.iter().all(open);
        let files = if is_open { &self.files } else { &self.plain_files };
        refused(files.try_serve(con, req, path).await)
    }

    /// Runs a script, and follows its local redirect.
    async fn run(
        &self,
        con: &mut Connection,
        req: &mut Request,
        located: &Located<'_>,
        login: Option<&VerifiedLogin>,
        redirected: Option<Redirected>,
    ) -> Result<Option<u16>> {
        let query = redirected.as_ref().map(|redirected| redirected.query.as_bytes());
        let run = Run { status: 200, query, turn: None };
        let served = self.execute(con, req, located, login, run).await?;
        self.follow(con, req, served, redirected).await
    }

    /// Has a handler answer. If it can't be loaded, nothing was sent, and it is still the request's turn.
    #[cfg(feature = "workers")]
    async fn handle(
        &self,
        con: &mut Connection,
        req: &mut Request,
        handler: &Handler,
        path_info: Option<&[u8]>,
        login: Option<&VerifiedLogin>,
    ) -> Result<std::result::Result<Served, Turn>> {
        let query = req.query_bytes().to_owned();
        let script = Script {
            file: &handler.file,
            held: None,
            interpreter: None,
            name: handler.name.as_bytes(),
            path_info,
            docroot: self.scripts.docroot(),
            #[cfg(feature = "tls")]
            tells_certificate: self.tells_certificate,
            login: login.map(|(user, pass)| (user.as_str(), pass.as_slice())),
            status: 200,
            query: &query,
            as_get: false,
        };
        handler.serve(&self.cgi, con, req, &script).await
    }

    /// Does what is left to do after a script: follows its local redirect.
    async fn follow(
        &self,
        con: &mut Connection,
        req: &mut Request,
        served: Served,
        redirected: Option<Redirected>,
    ) -> Result<Option<u16>> {
        let place = match served {
            Served::Done => return Ok(None),
            Served::Failed(status) => return Ok(Some(status)),
            Served::Local(place) => place,
        };
        let left = redirected.map_or(LOCAL_REDIRECTS, |redirected| redirected.left);
        let Some(left) = left.checked_sub(1) else {
            if con.takes_log_line() {
                log::error!("{}: redirect loop between scripts", req.target());
            }
            return Ok(Some(500));
        };
        let (path, query) = place.split_once('?').unwrap_or((&place, ""));
        match CleanPath::new(&decode_percent(path.as_bytes())) {
            Ok(path) => {
                let redirected = Redirected { query: query.to_owned(), left };
                Box::pin(self.route(con, req, path, Some(redirected))).await
            }
            Err(refusal) => Ok(Some(refusal.status())),
        }
    }

    /// Executes a script.
    async fn execute(
        &self,
        con: &mut Connection,
        req: &mut Request,
        located: &Located<'_>,
        login: Option<&VerifiedLogin>,
        run: Run<'_>,
    ) -> Result<Served> {
        let Run { status, query, turn } = run;
        let asked = req.query_bytes().to_owned();
        let has_file = self.no_symlinks && !located.is_program;
        let held = match has_file.then(|| self.files.hold(con, located.relative())).transpose() {
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
        if located.fastcgi.is_some() && !located.is_program && !located.is_file {
            return Ok(Served::Failed(403));
        }
        #[cfg(not(feature = "proxy"))]
        if located.fastcgi.is_some() {
            return Ok(Served::Failed(502));
        }
        #[cfg(feature = "proxy")]
        if let Some(at) = located.fastcgi {
            let script = Script { held: None, ..script };
            return self.fastcgi.serve(con, req, &script, &self.cgi, at).await;
        }
        self.cgi.serve(con, req, &script, turn).await
    }

    /// The path rewritten by the first alias that matches: the target of the alias, followed by the whole old path.
    fn rewrite(&self, path: &CleanPath) -> Option<CleanPath> {
        let (_, to) = self.aliases.iter().find(|(prefix, _)| prefix.holds(path.relative()))?;
        let end: &[u8] = if path.is_folder() { b"/" } else { b"" };
        CleanPath::new(&[to.as_bytes(), b"/", path.relative(), end].concat()).ok()
    }

    /// Whether a client may get what is at `path`, which it requested as `asked`; and by which login.
    async fn admit(
        &self,
        con: &Connection,
        req: &Request,
        path: &CleanPath,
        asked: &CleanPath,
    ) -> std::result::Result<Option<VerifiedLogin>, AccessRefused> {
        if let Some(access) = &self.access
            && let Err(why) = [path, asked].iter().try_for_each(|name| access.judge(con, req, name.relative()))
        {
            access.tell(con, req, why);
            return Err(AccessRefused::Denied(why));
        }
        let Some(auth) = &self.auth else { return Ok(None) };
        let name = auth.closer(path.relative(), asked.relative());
        let names = ["user-agent", "accept-language"].map(|field| req.header_bytes(field).unwrap_or_default());
        let sender = Sender::new(con.remote_addr(), names);
        match auth.check(name, req.header_bytes("authorization"), sender).await {
            Verdict::Open => Ok(None),
            Verdict::Granted { user, pass } => Ok(Some((user, pass))),
            Verdict::Ask => Err(AccessRefused::Ask),
            Verdict::Wait(wait) => Err(AccessRefused::Wait(wait.as_secs() + 1)),
        }
    }

    /// Answers a refusal, or returns the status of an error that the caller answers.
    async fn refuse(&self, con: &mut Connection, refusal: AccessRefused) -> Result<Option<u16>> {
        self.headers.clear(con)?;
        let (status, text) = match refusal {
            AccessRefused::Denied(Denied::Address) => return Ok(Some(403)),
            AccessRefused::Denied(Denied::Certificate) => (403, "A client certificate is required.\n"),
            AccessRefused::Ask => {
                con.add_header("WWW-Authenticate", &self.challenge)?;
                (401, "Authorization Required\n")
            }
            AccessRefused::Wait(seconds) => {
                con.add_header("Retry-After", seconds)?;
                (429, "Too many failed logins\n")
            }
        };
        respond(con, status, "text/plain", text).await.map(|()| None)
    }

    /// Answers with an error, by the error page if there is one.
    async fn fail(&self, con: &mut Connection, req: &mut Request, status: u16) -> Result<()> {
        self.headers.clear(con)?;
        if let (Some(page), 403 | 404) = (&self.error_page, status)
            && self.fail_with(con, req, page, status).await?
        {
            return Ok(());
        }
        fail(con, req, status).await
    }

    /// Answers with the error page. Returns false if this client may not see one.
    async fn fail_with(&self, con: &mut Connection, req: &mut Request, page: &CleanPath, status: u16) -> Result<bool> {
        let Ok(login) = self.admit(con, req, page, page).await else { return Ok(false) };
        let located = match self.scripts.find(con, &self.files, page) {
            Found::File => return self.files.serve_as(con, page, status).await,
            Found::Script(located) => located,
            Found::Index(_) | Found::Refused(_) => return Ok(false),
        };
        con.set_status(status)?;
        let query = req.query_bytes().to_owned();
        let served =
            self.execute(con, req, &located, login.as_ref(), Run { status, query: Some(&query), turn: None }).await?;
        Ok(matches!(served, Served::Done))
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
