//! FastCGI: programs that run all the time answer requests, such as PHP's.
//!
//! They get the variables of CGI, and their output is that of a script.
//!
//! | file | concept |
//! | --- | --- |
//! | `record` | the protocol's records, without I/O |
//! | `wire` | one exchange |

mod record;
mod wire;

use super::cgi::{Cgi, Environment, Script, ScriptInput, Served};
use super::config::{Backend, seconds};
use super::escape::Escaped;
use super::log;
use super::prefix::UrlPrefix;
use super::upstream::{End, Fault, PIECE, Pool, Relay, Scratch, Unreachable};
use ecohttpd::{CleanPath, Connection, Request, Result};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use wire::FastCgiWire;

/// The FastCGI servers of a site.
pub struct FastCgi {
    servers: Vec<(Backend, Rc<Pool>)>,
    timeout: Duration,
    scratch: Scratch,
}

impl FastCgi {
    /// As configured, with a timeout in seconds.
    pub fn new(backends: &[Backend], timeout: u32) -> FastCgi {
        let size = if backends.is_empty() { 0 } else { PIECE };
        FastCgi {
            servers: backends.iter().map(|backend| (backend.clone(), Pool::new(backend))).collect(),
            timeout: seconds(timeout),
            scratch: RefCell::new(vec![0; size]),
        }
    }

    /// Which server answers all below a path: its place, the path, and what follows it.
    pub fn find<'a>(&self, path: &'a CleanPath) -> Option<(usize, &str, &'a [u8])> {
        let fits = self.servers.iter().enumerate().filter(|(_, (backend, _))| !backend.from.starts_with('.'));
        let fits = fits.filter_map(|(at, (backend, _))| {
            let rest = UrlPrefix::new(&backend.from).rest(path.relative())?;
            Some((at, backend.from.as_str(), rest))
        });
        fits.max_by_key(|(_, from, _)| from.len())
    }

    /// Answers a request by a server, as [`Cgi::serve`] does by a process. `at`: the place of the server.
    ///
    /// # Errors
    /// Those of the connection; a server that fails in the middle of its response.
    pub async fn serve(
        &self,
        con: &mut Connection,
        req: &Request,
        script: &Script<'_>,
        cgi: &Cgi,
        at: usize,
    ) -> Result<Served> {
        let Some((_, pool)) = self.servers.get(at) else { return Ok(Served::Failed(500)) };
        let name = format!("{}: {}", con.remote_addr(), Escaped(script.name));
        con.notice_departure();
        // The server is told the length first.
        let is_chunked = script.has_body(req) && req.header_bytes("content-length").is_none();
        let (mut length, mut first, mut held) = (None, Vec::new(), None);
        let mut counted = None;
        if is_chunked {
            match cgi.whole_body(con, req, script, &name).await? {
                Err(status) => return Ok(Served::Failed(status)),
                Ok(None) => length = Some(0),
                Ok(Some((found, ScriptInput::Piped(bytes)))) => (length, first) = (Some(found), bytes),
                Ok(Some((found, ScriptInput::Held(body)))) => match body.into_input() {
                    Ok((file, share)) => (length, held, counted) = (Some(found), Some(file), Some(share)),
                    Err(error) => {
                        log::error!("{name}: 500: {error}");
                        return Ok(Served::Failed(500));
                    }
                },
            }
        }
        let has_body = held.is_some() || script.has_body(req) && !is_chunked;
        let mut up = Vec::with_capacity(2048);
        record::begin(&mut up, Environment::new(con, req, script, length).bytes());
        if !first.is_empty() {
            record::push_stdin(&mut up, &first);
        }
        if !has_body {
            record::push_stdin(&mut up, b"");
        }
        let can_repeat = !script.has_body(req) && matches!(script.method(req), "GET" | "HEAD" | "OPTIONS");
        let to_head = req.method() == "HEAD";
        let served = self.exchange(con, pool, &name, Upload { up, has_body, held, to_head, can_repeat }).await;
        drop(counted);
        served
    }

    async fn exchange(&self, con: &mut Connection, pool: &Rc<Pool>, name: &str, mut upload: Upload) -> Result<Served> {
        let mut fresh = false;
        loop {
            let mut pooled = match pool.connect(fresh, self.timeout).await {
                Ok(pooled) => pooled,
                Err(Unreachable { timed_out, why }) => {
                    let status = if timed_out { 504 } else { 502 };
                    tell(con, name, &format!("{status}: {why}"));
                    return Ok(Served::Failed(status));
                }
            };
            let mut wire = FastCgiWire::new(name, upload.to_head);
            // What may be needed once more is copied.
            let may_repeat = pooled.reused && !fresh && upload.can_repeat;
            let up = if may_repeat { upload.up.clone() } else { std::mem::take(&mut upload.up) };
            let mut relay = Relay::new(&mut pooled.stream, &mut wire, &self.scratch, up, upload.has_body);
            relay.held = upload.held.take();
            let ran = relay.run(con, self.timeout).await;
            let (begun, sent_all, surplus) = (relay.begun, relay.has_sent_all(), relay.into_surplus());
            wire.end_errors();
            let fault = match ran {
                Ok(End::Done | End::Switch) => {
                    if let Some(place) = wire.take_local() {
                        return Ok(Served::Local(place));
                    }
                    if sent_all && surplus.is_empty() {
                        pool.keep(pooled);
                    }
                    return Ok(Served::Done);
                }
                Err(Fault::Unheard) if may_repeat => {
                    fresh = true;
                    continue;
                }
                Err(Fault::Client(error)) => return Err(error),
                Err(fault) => fault,
            };
            let (status, what) = match fault {
                Fault::Overdue => (504, "no progress"),
                Fault::Wrong(what) if wire.is_refused() => (503, what),
                Fault::Wrong(what) => (502, what),
                _ => (502, "closed the connection before the end of its response"),
            };
            pool.has_failed(&pooled);
            let cut = if begun { ": response cut short" } else { "" };
            tell(con, name, &format!("{status}: {}: {what}{cut}", pool.name(&pooled)));
            // Only closing the connection tells the client that it is not all.
            return if begun {
                Err(io::Error::from(ErrorKind::UnexpectedEof).into())
            } else {
                Ok(Served::Failed(status))
            };
        }
    }
}

/// What a server gets.
struct Upload {
    /// What is sent first.
    up: Vec<u8>,
    /// The body follows it, from `held` or else from the client.
    has_body: bool,
    held: Option<File>,
    /// The method is HEAD.
    to_head: bool,
    /// It has no more effect when it is sent twice.
    can_repeat: bool,
}

fn tell(con: &Connection, name: &str, what: &str) {
    if con.takes_log_line() {
        log::error!("{name}: {}", Escaped(what.as_bytes()));
    }
}
