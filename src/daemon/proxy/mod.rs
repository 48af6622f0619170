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
use super::prefix::UrlPrefix;
use super::upstream::{Outcome, PIECE, Pool, Scratch, Upload, exchange, tell};
use back::Back;
use ecohttpd::{CleanPath, Connection, PeerAddr, Request, Result};
use request::Outgoing;
use std::cell::RefCell;
use std::fmt;
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
    /// `is_ours`: `Authorization` is for this server. `has_fields`: some of the response are set. If the future is dropped,
    /// so is the connection to the server.
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
        has_fields: bool,
    ) -> Result<Option<u16>> {
        let first = proxied.pool.names().next().filter(|name| !name.starts_with("unix:")).unwrap_or("localhost");
        let asked = req.host().filter(|host| !host.is_empty());
        let outgoing = Outgoing {
            req,
            path,
            backend: &proxied.backend,
            is_ours,
            host: proxied.backend.host.as_deref().or(asked).unwrap_or(first),
            client: *con.remote_addr(),
            tls: con.is_tls(),
            has_fields,
        };
        let name = RequestName { client: outgoing.client, path: &proxied.backend.from };
        if outgoing.loops() {
            tell(con, &name, 508, "the request came through here too often");
            return Ok(Some(508));
        }
        if let Some(place) = outgoing.folder() {
            return con.redirect(301, &place).await.map(|()| None);
        }
        // A client that leaves takes its request along.
        con.notice_departure();
        let mut wire = HttpWire::new(Back::new(&proxied.backend, &proxied.pool, outgoing.host), &outgoing);
        let can_repeat = outgoing.is_idempotent();
        let upload = Upload { up: outgoing.head(), has_body: outgoing.has_body(), held: None, can_repeat };
        match exchange(&proxied.pool, con, &mut wire, upload, &self.scratch, self.timeout, &name).await? {
            Outcome::Done => Ok(None),
            Outcome::Failed(status) => Ok(Some(status)),
            Outcome::Switched(pooled, surplus) => {
                let client = con.upgrade().await?;
                let scratch = Rc::clone(&self.scratch);
                let tunnel = tunnel::run(client, pooled.stream, surplus, scratch, self.idle_timeout);
                ecohttpd::spawn(tunnel).detach();
                Ok(None)
            }
        }
    }
}

/// What the log calls a request.
struct RequestName<'a> {
    client: PeerAddr,
    path: &'a str,
}

impl fmt::Display for RequestName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.client, self.path)
    }
}
