//! The reverse proxy: requests below a path are answered by another server.
//!
//! What is forwarded is written from what was parsed, never copied, so no two readers see different messages.
//!
//! | file | concept |
//! | --- | --- |
//! | `request` | the request for the server |
//! | `back` | fields of its response that name places, as the client must see them |
//! | `wire` | HTTP/1.1 as the server sees it |
//! | `tunnel` | a connection that went over to another protocol |

mod back;
mod request;
mod tunnel;
mod wire;

use super::config::{Backend, seconds};
use super::escape::Escaped;
use super::log;
use super::prefix::UrlPrefix;
use super::upstream::{End, Fault, PIECE, Pool, Pooled, Relay, Scratch, Unreachable};
use back::Back;
use ecohttpd::{CleanPath, Connection, Request, Result};
use request::Outgoing;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use wire::HttpWire;

/// The servers that a site forwards requests to.
pub struct Forwarding {
    backends: Vec<Proxied>,
    timeout: Duration,
    /// How long a connection that was upgraded may be silent.
    idle_timeout: Duration,
    scratch: Rc<Scratch>,
}

/// One path, and the servers that answer below it.
pub struct Proxied {
    prefix: UrlPrefix,
    backend: Backend,
    pool: Rc<Pool>,
}

impl Forwarding {
    /// As configured, with timeouts in seconds.
    pub fn new(backends: &[Backend], timeout: u32, idle_timeout: u32) -> Forwarding {
        let proxied = |backend: &Backend| Proxied {
            prefix: UrlPrefix::new(&backend.from),
            backend: backend.clone(),
            pool: Pool::new(backend),
        };
        let size = if backends.is_empty() { 0 } else { PIECE };
        Forwarding {
            backends: backends.iter().map(proxied).collect(),
            timeout: seconds(timeout),
            idle_timeout: seconds(idle_timeout),
            scratch: Rc::new(RefCell::new(vec![0; size])),
        }
    }

    /// Who answers for a path, if it is not this server: the one with the longest prefix.
    pub fn find(&self, path: &CleanPath) -> Option<&Proxied> {
        let fits = self.backends.iter().filter(|proxied| proxied.prefix.holds(path.relative()));
        fits.max_by_key(|proxied| proxied.backend.from.len())
    }

    /// Has a server answer a request, or returns the status of an error that the caller answers. The log says why.
    ///
    /// `is_ours`: `Authorization` is for this server. If the future is dropped, so is the connection to the server.
    ///
    /// # Errors
    /// Those of the connection; a server that fails in the middle of its response.
    pub async fn serve(
        &self,
        con: &mut Connection,
        req: &Request,
        path: &CleanPath,
        proxied: &Proxied,
        is_ours: bool,
    ) -> Result<Option<u16>> {
        let mut outgoing = Outgoing {
            req,
            path,
            backend: &proxied.backend,
            is_ours,
            host: "",
            client: *con.remote_addr(),
            tls: con.is_tls(),
        };
        if outgoing.loops() {
            self.tell(con, proxied, 508, "the request came through here too often");
            return Ok(Some(508));
        }
        if let Some(place) = outgoing.folder() {
            return con.redirect(301, &place).await.map(|()| None);
        }
        // A client that leaves takes its request along.
        con.notice_departure();
        let has_body = outgoing.has_body();
        let mut fresh = false;
        loop {
            let mut pooled = match proxied.pool.connect(fresh, self.timeout).await {
                Ok(pooled) => pooled,
                Err(Unreachable { timed_out, why }) => {
                    let status = if timed_out { 504 } else { 502 };
                    self.tell(con, proxied, status, &why);
                    return Ok(Some(status));
                }
            };
            let name = proxied.pool.name(&pooled);
            outgoing.host = proxied.backend.host.as_deref().or(req.host()).unwrap_or(name);
            let back = Back::new(&proxied.backend, [name, outgoing.host]);
            let mut wire = HttpWire::new(back, &outgoing);
            let mut relay = Relay::new(&mut pooled.stream, &mut wire, &self.scratch, outgoing.head(), has_body);
            let ran = relay.run(con, self.timeout).await;
            let (begun, sent_all, surplus) = (relay.begun, relay.has_sent_all(), relay.into_surplus());
            match ran {
                Ok(End::Done) => {
                    if wire.keeps() && sent_all && surplus.is_empty() {
                        proxied.pool.keep(pooled);
                    }
                    return Ok(None);
                }
                Ok(End::Switch) => {
                    let client = con.upgrade().await?;
                    let scratch = Rc::clone(&self.scratch);
                    let tunnel = tunnel::run(client, pooled.stream, surplus, scratch, self.idle_timeout);
                    ecohttpd::spawn(tunnel).detach();
                    return Ok(None);
                }
                // RFC 9112 §9.3.1: it may have closed an idle connection as the request was on its way.
                Err(Fault::Unheard) if pooled.reused && !fresh && !has_body && outgoing.is_idempotent() => fresh = true,
                Err(Fault::Client(error)) => return Err(error),
                Err(fault) => return self.fail(con, proxied, &pooled, &fault, begun),
            }
        }
    }

    fn fail(
        &self,
        con: &Connection,
        proxied: &Proxied,
        pooled: &Pooled,
        fault: &Fault,
        begun: bool,
    ) -> Result<Option<u16>> {
        let (status, what) = match fault {
            Fault::Overdue => (504, "no progress"),
            Fault::Unheard => (502, "closed the connection before its response"),
            Fault::Short => (502, "closed the connection within its response"),
            Fault::Wrong(what) => (502, *what),
            Fault::Client(_) => (502, ""),
        };
        proxied.pool.has_failed(pooled);
        let server = proxied.pool.name(pooled);
        let cut = if begun { ": response cut short" } else { "" };
        self.tell(con, proxied, status, &format!("{server}: {what}{cut}"));
        // Only closing the connection tells the client that it is not all.
        if begun { Err(io::Error::from(ErrorKind::UnexpectedEof).into()) } else { Ok(Some(status)) }
    }

    fn tell(&self, con: &Connection, proxied: &Proxied, status: u16, what: &str) {
        if con.takes_log_line() {
            let peer = con.remote_addr();
            log::error!("{peer}: {}: {status}: {}", proxied.backend.from, Escaped(what.as_bytes()));
        }
    }
}
