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
use super::upstream::{Outcome, PIECE, Pool, Scratch, Upload, exchange};
use ecohttpd::{Connection, PeerAddr, Request, Result};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use wire::FastCgiWire;

/// The FastCGI servers of a site.
pub struct FastCgi {
    servers: Vec<Rc<Pool>>,
    timeout: Duration,
    scratch: Scratch,
}

impl FastCgi {
    /// As configured, with a timeout in seconds.
    pub fn new(backends: &[Backend], timeout: u32) -> FastCgi {
        let size = if backends.is_empty() { 0 } else { PIECE };
        FastCgi {
            servers: backends.iter().map(Pool::of_workers).collect(),
            timeout: seconds(timeout),
            scratch: RefCell::new(vec![0; size]),
        }
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
        let Some(pool) = self.servers.get(at) else { return Ok(Served::Failed(500)) };
        let name = ScriptName(*con.remote_addr(), script.name);
        con.notice_departure();
        // The server is told the length first, and does not wait for what can be had before.
        let (mut length, mut first, mut held, mut counted) = (None, Vec::new(), None, None);
        let mut has_more = false;
        match cgi.read_body(con, req, script, &name).await? {
            Err(status) => return Ok(Served::Failed(status)),
            Ok(None) => {}
            Ok(Some(body)) => {
                length = body.length;
                has_more = !body.is_whole;
                match body.input {
                    ScriptInput::Piped(bytes) => first = bytes,
                    ScriptInput::Held(body) => match body.into_input() {
                        Ok((file, share)) => (has_more, held, counted) = (true, Some(file), Some(share)),
                        Err(error) => {
                            log::error!("{name}: 500: {error}");
                            return Ok(Served::Failed(500));
                        }
                    },
                }
            }
        }
        let mut up = Vec::with_capacity(2048);
        record::begin(&mut up);
        let start = up.len();
        Environment::push_to(&mut up, con, req, script, length);
        record::end_params(&mut up, start);
        if !first.is_empty() {
            record::push_stdin(&mut up, &first);
        }
        if !has_more {
            record::push_stdin(&mut up, b"");
        }
        let can_repeat = !script.has_body(req) && matches!(script.method(req), "GET" | "HEAD" | "OPTIONS");
        let mut wire = FastCgiWire::new(&name, req.method() == "HEAD");
        let upload = Upload { up, has_body: has_more, held, can_repeat };
        let outcome = exchange(pool, con, &mut wire, upload, &self.scratch, self.timeout, &name).await;
        wire.end_errors();
        drop(counted);
        Ok(match outcome? {
            Outcome::Failed(status) => Served::Failed(status),
            Outcome::Done | Outcome::Switched(..) => wire.take_local().map_or(Served::Done, Served::Local),
        })
    }
}

/// What the log calls a request: its client, and the script.
struct ScriptName<'a>(PeerAddr, &'a [u8]);

impl fmt::Display for ScriptName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, Escaped(self.1))
    }
}
