//! A request that a script answers: from its arrival to the end.

use super::body_file::Hold;
use super::environment::Environment;
use super::pipes::{Ours, pipes};
use super::process::{Patience, Process};
use super::queue::{Permit, PermitRequest, Queue};
use super::relay::{End, Relay, RelayProgress};
use super::request_body::{Beginning, BodyFailure, Gathered, PIECE, ScriptInput};
use super::script::Script;
use super::stderr::Followed;
use crate::daemon::escape::Escaped;
use crate::daemon::log;
use crate::daemon::sys::process::{self as sys, EAGAIN, EMFILE, ENFILE, ENOMEM, Ended, Setup};
use ecohttpd::{Connection, Error, Request, Result};
use std::cell::RefCell;
use std::ffi::CString;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// The limits of a site's scripts.
#[derive(Clone)]
pub struct Limits {
    /// Scripts at once.
    pub max_requests: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// How long a script may make no progress, and how long it may keep running after its response.
    pub timeout: Duration,
    /// How long after SIGTERM a script is killed.
    pub grace: Duration,
    /// Longest chunked body, in bytes.
    pub chunked_body: u64,
    /// The folder where chunked bodies are buffered.
    pub body_folder: PathBuf,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_requests: 3,
            queue: 64,
            timeout: Duration::from_secs(60),
            grace: Duration::from_secs(3),
            chunked_body: 4 << 20,
            body_folder: "/tmp".into(),
        }
    }
}

/// The scripts of a site.
pub struct Cgi {
    limits: Limits,
    queue: Rc<Queue>,
    followed: Followed,
    gathered: Gathered,
    hold: Hold,
    /// Buffer for one read of output.
    scratch: RefCell<Vec<u8>>,
}

/// What came of running a script.
pub enum Served {
    /// The request was answered.
    Done,
    /// Nothing was sent; the answer is this error. The log says why.
    Failed(u16),
    /// Nothing was sent; the answer is that of GET for this path and query (RFC 3875 §6.2.2).
    Local(String),
}

/// What was read of a request's body before it is somebody's turn.
#[cfg(feature = "proxy")]
pub struct ReadBody {
    pub input: ScriptInput,
    /// It is all of the body.
    pub is_whole: bool,
    /// The length of a chunked one, all of which was read.
    pub length: Option<u64>,
}

/// A request that may be served now.
pub struct Turn {
    /// Client and script, for the log.
    pub name: Rc<str>,
    pub permit: Permit,
    /// The length of a chunked body.
    pub length: Option<u64>,
    pub body: Option<ScriptInput>,
    pub client: Option<IpAddr>,
}

/// A request that a process serves.
pub struct Running {
    pub name: Rc<str>,
    pub process: Process,
    pub ours: Ours,
    pub client: Option<IpAddr>,
}

impl Cgi {
    /// The scripts of a site; none runs yet.
    pub fn new(limits: Limits) -> Cgi {
        Cgi {
            queue: Queue::new(limits.max_requests, limits.queue),
            hold: Hold { folder: limits.body_folder.clone(), limit: limits.chunked_body },
            limits,
            followed: Followed::default(),
            gathered: Gathered::default(),
            scratch: RefCell::new(vec![0; PIECE]),
        }
    }

    /// Answers a request by running a script, once its turn has come, or at once with the `turn` that it has.
    ///
    /// If the future is dropped, everything is released, and a running script is ended.
    ///
    /// # Errors
    /// Those of the connection; a script that stops in the middle of its response, and a client that reads too slowly.
    pub async fn serve(
        &self,
        con: &mut Connection,
        req: &mut Request,
        script: &Script<'_>,
        turn: Option<Turn>,
    ) -> Result<Served> {
        if let Some((status, reason)) = script.refusal() {
            if con.takes_log_line() {
                log::warn!("{}: {status}: {reason}", name_of(con, script));
            }
            return Ok(Served::Failed(status));
        }
        let turn = match turn {
            Some(turn) => turn,
            None => match self.turn(con, req, script).await? {
                Ok(turn) => turn,
                Err(served) => return Ok(served),
            },
        };
        let name = Rc::clone(&turn.name);
        let environment = Environment::new(con, req, script, turn.length);
        match self.start(script, environment.bytes(), turn) {
            Ok(running) => self.relay(con, req, running).await,
            Err(error) => Ok(not_started(con, &name, &error)),
        }
    }

    /// Waits until a request may be served: its body has begun to come, and there is a permit. Or what came of it instead.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn turn(
        &self,
        con: &mut Connection,
        req: &Request,
        script: &Script<'_>,
    ) -> Result<std::result::Result<Turn, Served>> {
        let name = name_of(con, script);
        // A browser that leaves looks like a client that half-closes. An HTTP/1.0 client can't be probed: if it has left,
        // its script runs until it sends something or times out.
        con.notice_departure();
        // Clients on this host are proxies for many.
        let client = con.remote_addr().ip().filter(|ip| !ip.is_loopback()).and(con.remote_addr().network());
        if self.queue.is_full(client) {
            return Ok(Err(turn_away(con, &name)));
        }
        let beginning = match self.beginning(con, req, script, client, &name).await? {
            Ok(beginning) => beginning,
            Err(status) => return Ok(Err(Served::Failed(status))),
        };
        let upload = beginning.as_ref().is_some_and(|beginning| !beginning.is_whole());
        let Some(permit) = self.queue.permit(PermitRequest { client, upload }).await else {
            return Ok(Err(turn_away(con, &name)));
        };
        let length = beginning.as_ref().and_then(Beginning::found_length);
        Ok(Ok(Turn { name, permit, length, body: beginning.map(Beginning::take), client }))
    }

    /// Moves body and response between the client and the process that serves it, until the end.
    ///
    /// # Errors
    /// As for `serve`.
    pub async fn relay(&self, con: &mut Connection, req: &Request, running: Running) -> Result<Served> {
        let Running { name, process, ours, client } = running;
        if let Some(errors) = ours.errors {
            self.followed.follow(errors, Rc::clone(&name));
        }
        let timeout = self.limits.timeout;
        let progress = RelayProgress::new(ours.up, timeout, client);
        let (stdin, stdout, scratch) = (ours.body, ours.output, &self.scratch);
        let mut relay = Relay { name: &name, process, stdin, stdout, timeout, scratch, progress };
        relay.progress.head_only = req.method() == "HEAD";
        let end = relay.run(con).await?;
        self.finish(relay, end, &name)
    }

    /// How long processes may run on.
    pub fn patience(&self) -> Patience {
        Patience { alone: self.limits.timeout, grace: self.limits.grace }
    }

    /// Those whose standard error is logged.
    #[cfg(feature = "workers")]
    pub fn followed(&self) -> &Followed {
        &self.followed
    }

    /// The beginning of a body, or all of a chunked one, for a FastCGI server; or the status of an error, which has been
    /// logged.
    ///
    /// # Errors
    /// Those of the connection.
    #[cfg(feature = "proxy")]
    pub async fn read_body(
        &self,
        con: &mut Connection,
        req: &Request,
        script: &Script<'_>,
        name: &dyn Display,
    ) -> Result<std::result::Result<Option<ReadBody>, u16>> {
        let client = con.remote_addr().ip().filter(|ip| !ip.is_loopback()).and(con.remote_addr().network());
        let beginning = self.beginning(con, req, script, client, name).await?;
        let read = |beginning: Beginning<'_>| {
            let (is_whole, length) = (beginning.is_whole(), beginning.found_length());
            ReadBody { input: beginning.take(), is_whole, length }
        };
        Ok(beginning.map(|beginning| beginning.map(read)))
    }

    /// The part of the body that is read before the script starts; or the status of an error, which has been logged.
    async fn beginning(
        &self,
        con: &mut Connection,
        req: &Request,
        script: &Script<'_>,
        client: Option<IpAddr>,
        name: &dyn Display,
    ) -> Result<std::result::Result<Option<Beginning<'_>>, u16>> {
        if !script.has_body(req) {
            return Ok(Ok(None));
        }
        let hold = req.header_bytes("content-length").is_none().then_some(&self.hold);
        match self.gathered.beginning(con, client, self.limits.timeout, hold).await {
            Ok(beginning) => Ok(Ok(Some(beginning))),
            Err(BodyFailure::Broken(Error::Timeout)) => {
                log::error!("{name}: 408: request body came too slowly");
                Ok(Err(408))
            }
            Err(BodyFailure::Broken(error)) => Err(error),
            Err(BodyFailure::NotHeld(why)) => {
                let status = why.status();
                log::error!("{name}: {status}: {why}");
                Ok(Err(status))
            }
        }
    }

    fn start(&self, script: &Script<'_>, environment: &[u8], turn: Turn) -> io::Result<Running> {
        let Turn { name, mut permit, body, client, .. } = turn;
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
        let (file, folder) = (text(script.file)?, text(script.docroot)?);
        let interpreter = script.interpreter.map(text).transpose()?;
        let path = if script.held.is_some() { sys::HELD } else { &file };
        let program = interpreter.as_deref().unwrap_or(path);
        // The script's own name, for programs that behave by their name.
        let args = if interpreter.is_some() { &[program, path][..] } else { &[file.as_c_str()] };
        let (mut ours, theirs) = pipes(body, &self.followed, &name)?;
        permit.body = ours.taken.take();
        let setup = Setup {
            args,
            environment,
            folder: &folder,
            held: script.held,
            stdin: theirs.stdin.as_fd(),
            stdout: theirs.stdout.as_fd(),
            stderr: theirs.stderr.as_fd(),
        };
        let process = Process::start(program, &setup, self.patience(), &name, Some(permit))?;
        Ok(Running { name, process, ours, client })
    }

    fn finish(&self, relay: Relay<'_>, end: End, name: &str) -> Result<Served> {
        let seconds = self.limits.timeout.as_secs();
        match end {
            End::Output => relay.leave(),
            End::Local(place) => {
                relay.leave();
                return Ok(Served::Local(place));
            }
            End::Bad(bad) => {
                relay.leave();
                log::error!("{name}: 502: {}", bad.0);
                return Ok(Served::Failed(502));
            }
            End::Short(what) => {
                relay.leave();
                log::error!("{name}: {what}: response cut short");
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            End::Killed { ended, begun } => {
                relay.leave();
                let how = match ended {
                    Ended::Killed(signal) => format!("killed by signal {signal}"),
                    _ => "failed".into(),
                };
                if begun {
                    log::error!("{name}: {how} in the middle of its response, which is cut short");
                    // Only closing the connection tells the client.
                    return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
                }
                log::error!("{name}: 502: {how} before its response");
                return Ok(Served::Failed(502));
            }
            End::Overdue { begun, client } => {
                let (status, what) =
                    if client { (408, "client sent less than 1 KiB/s of the body") } else { (504, "no progress") };
                if begun {
                    log::error!("{name}: {what} for {seconds} s in the middle of its response");
                    return Err(if client { Error::Timeout } else { io::Error::from(ErrorKind::TimedOut).into() });
                }
                log::error!("{name}: {status}: {what} for {seconds} s");
                return Ok(Served::Failed(status));
            }
        }
        Ok(Served::Done)
    }
}

/// The client and what it asked for, for the log.
fn name_of(con: &Connection, script: &Script<'_>) -> Rc<str> {
    format!("{}: {}", con.remote_addr(), Escaped(script.name)).into()
}

fn turn_away(con: &Connection, name: &str) -> Served {
    if con.takes_log_line() {
        log::warn!("{name}: 503: too many scripts waiting");
    }
    Served::Failed(503)
}

/// The answer when no process could be started, which is logged.
pub fn not_started(con: &Connection, name: &str, error: &io::Error) -> Served {
    if con.takes_log_line() {
        log::error!("{name}: cannot run it: {error}");
    }
    let full = matches!(error.raw_os_error(), Some(EAGAIN | EMFILE | ENFILE | ENOMEM));
    Served::Failed(if full { 503 } else { 500 })
}
