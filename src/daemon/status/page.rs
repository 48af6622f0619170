//! The paths at which the program answers about itself: metrics, and a page that updates itself.

use super::metrics;
use super::report::{ServerStatus, WatchedSites};
use crate::daemon::config::SiteConfig;
use crate::daemon::prefix::UrlPrefix;
use crate::daemon::replies::{fail, respond};
use ecohttpd::syntax::media_weight;
use ecohttpd::{CleanPath, Connection, Request, Result};
use std::rc::Rc;
use std::time::Duration;

/// How often a page that is open is updated.
const UPDATE: Duration = Duration::from_secs(2);

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing from elsewhere, and nothing written into the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'self'";

/// The paths of one site.
pub struct StatusPages {
    status: Rc<ServerStatus>,
    metrics: Option<UrlPrefix>,
    page: Option<UrlPrefix>,
}

/// What a path is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StatusPath {
    Metrics,
    Page,
}

/// What a client of the page's path wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageForm {
    Page,
    Style,
    Script,
    Json,
    Stream,
}

impl WatchedSites {
    /// The paths of a site; `None` if it has none.
    pub fn pages(&self, site: &SiteConfig) -> Option<StatusPages> {
        if site.metrics.is_none() && site.server_status.is_none() {
            return None;
        }
        let prefix = |path: &Option<String>| path.as_deref().map(UrlPrefix::new);
        let (metrics, page) = (prefix(&site.metrics), prefix(&site.server_status));
        Some(StatusPages { status: Rc::clone(&self.status), metrics, page })
    }
}

impl StatusPages {
    /// Whether a path is answered here.
    pub fn has(&self, path: &CleanPath) -> bool {
        self.find(path).is_some()
    }

    fn find(&self, path: &CleanPath) -> Option<StatusPath> {
        let is_at = |prefix: &Option<UrlPrefix>| {
            prefix.as_ref().is_some_and(|prefix| prefix.rest(path.relative()) == Some(b""))
        };
        match () {
            () if is_at(&self.metrics) => Some(StatusPath::Metrics),
            () if is_at(&self.page) => Some(StatusPath::Page),
            () => None,
        }
    }

    /// Answers a request for one of the paths.
    pub async fn serve(&self, con: &mut Connection, req: &Request, path: &CleanPath) -> Result<()> {
        if !matches!(req.method(), "GET" | "HEAD") {
            return fail(con, req, 405).await;
        }
        con.add_header("Cache-Control", "no-store")?;
        con.add_header("X-Content-Type-Options", "nosniff")?;
        if self.find(path) == Some(StatusPath::Metrics) {
            return respond(con, 200, metrics::CONTENT_TYPE, &metrics::text(&self.status)).await;
        }
        match form(req.query_bytes(), req.header_bytes("accept").unwrap_or_default()) {
            PageForm::Style => respond(con, 200, "text/css; charset=utf-8", STYLE).await,
            PageForm::Script => respond(con, 200, "text/javascript; charset=utf-8", SCRIPT).await,
            PageForm::Page => {
                con.add_header("Vary", "Accept")?;
                // Beside what the site may have configured.
                con.append_header("Content-Security-Policy", POLICY)?;
                con.add_header("Referrer-Policy", "no-referrer")?;
                respond(con, 200, "text/html; charset=utf-8", PAGE).await
            }
            PageForm::Json => {
                con.add_header("Vary", "Accept")?;
                let text = self.status.json();
                con.add_header("Content-Type", "application/json")?;
                con.add_header("Content-Length", text.len())?;
                con.send(text).await
            }
            PageForm::Stream => self.stream(con, req).await,
        }
    }

    /// Sends everything again and again, until the client leaves or the server stops.
    async fn stream(&self, con: &mut Connection, req: &Request) -> Result<()> {
        con.add_header("Content-Type", "text/event-stream")?;
        con.notice_departure();
        if req.method() == "HEAD" {
            return con.send("").await;
        }
        while !self.status.monitor.is_stopping() {
            let event = [&b"data: "[..], &self.status.json(), b"\n\n"].concat();
            con.send(event).await?;
            ecohttpd::sleep(UPDATE).await;
        }
        Ok(())
    }
}

/// What is wanted, by the query and the field `Accept` (RFC 9110 §12.5.1). Who accepts anything gets the page.
fn form(query: &[u8], accept: &[u8]) -> PageForm {
    match query {
        b"css" => return PageForm::Style,
        b"js" => return PageForm::Script,
        _ => {}
    }
    let [page, stream, json] =
        ["text/html", "text/event-stream", "application/json"].map(|media| media_weight(accept, media));
    match () {
        () if stream > page && stream >= json => PageForm::Stream,
        () if json > page => PageForm::Json,
        () => PageForm::Page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let rows: [(&str, &str, PageForm); 15] = [
            ("", "", PageForm::Page),
            ("", "*/*", PageForm::Page),
            ("", "text/html,application/xhtml+xml,*/*;q=0.8", PageForm::Page),
            ("", "application/json", PageForm::Json),
            ("", "text/plain, Application/JSON;q=0.9", PageForm::Json),
            ("", "text/event-stream", PageForm::Stream),
            ("", "application/json, text/html;q=0.1", PageForm::Json),
            ("", "application/json;q=0.1, text/html;q=0", PageForm::Json),
            ("", "application/json;q=0.5, text/html", PageForm::Page),
            ("", "text/event-stream;q=0", PageForm::Page),
            ("", "text/event-stream, */*;q=0.1", PageForm::Stream),
            ("", "application/json, text/event-stream;q=0.9", PageForm::Json),
            ("css", "*/*", PageForm::Style),
            ("js", "application/json", PageForm::Script),
            ("x=1", "application/jsonx", PageForm::Page),
        ];
        for (query, accept, expected) in rows {
            assert_eq!(form(query.as_bytes(), accept.as_bytes()), expected, "{query} {accept}");
        }
    }
}
