//! CGI/1.1 (RFC 3875), as uhttpd's scripts expect it.
//!
//! | file | concept |
//! | --- | --- |
//! | `request_body` | its body, as far as that comes before it |
//! | `body_file` | bodies in files, until their length is known |
//! | `queue` | whose turn it is |
//! | `slow_clients` | scripts that hold no place, as they wait for their clients |
//! | `environment` | what a script is told |
//! | `process` | its process, until it is reaped |
//! | `relay` | its input and output |
//! | `head` | the head of its output |
//! | `stderr` | its standard error, to our log |
//!
//! ```text
//!  request ─► upload ─► queue ─► environment ─► process ◄──► relay ◄──► client
//!                                                   └─► errors ─► log
//! ```

mod body_file;
mod environment;
mod head;
mod minimum_rate;
mod process;
mod queue;
mod relay;
mod request_body;
mod script;
mod slow_clients;
mod stderr;

pub use script::Script;

use crate::daemon::escape::Escaped;
use crate::daemon::sys::process::{self as sys, EAGAIN, EMFILE, ENFILE, ENOMEM, Setup};
use body_file::Hold;
use ecohttpd::{AsyncFd, Connection, Error, Request, Result};
use environment::Environment;
use process::{Patience, Process};
use queue::{Permit, PermitRequest, Queue};
use relay::{End, Progress, Relay};
use request_body::{Beginning, Body, Gathered, Unread};
use std::cell::RefCell;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use stderr::Followed;

/// What a site's scripts may take.
#[derive(Clone)]
pub struct Limits {
    /// Scripts at once.
    pub max_requests: usize,
    /// Requests that may wait for their turn.
    pub queue: usize,
    /// How long a script may do nothing, and how long it may run on after its reply.
    pub timeout: Duration,
    /// How long a script that was told to end may take to do so.
    pub grace: Duration,
    /// Bytes of a body whose length is not told.
    pub chunked_body: u64,
    /// The folder where such bodies wait for their end.
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
    /// Output on its way, for the duration of one read.
    scratch: RefCell<Vec<u8>>,
}

/// What became of a request.
pub enum Served {
    /// It was answered.
    Done,
    /// Nothing was sent, and the log says why: the answer is this error.
    Failed(u16),
    /// Nothing was sent: the answer is what GET of this path and query of ours answers (RFC 3875 §6.2.2).
    Local(String),
}

impl Cgi {
    /// The scripts of a site, none running.
    pub fn new(limits: Limits) -> Cgi {
        Cgi {
            queue: Queue::new(limits.max_requests, limits.queue),
            hold: Hold { folder: limits.body_folder.clone(), limit: limits.chunked_body },
            limits,
            followed: Followed::default(),
            gathered: Gathered::default(),
            scratch: RefCell::new(vec![0; request_body::PIECE]),
        }
    }

    /// Answers a request by running a script, when its turn has come.
    ///
    /// Dropped at any point it gives up what it holds, a running script included.
    ///
    /// # Errors
    /// The client's and the connection's; a script that is stuck in the middle of its reply, and a client that hardly reads it.
    pub async fn serve(&self, con: &mut Connection, req: &mut Request, script: &Script<'_>) -> Result<Served> {
        let name: Rc<str> = format!("{}: {}", con.remote_addr(), Escaped(script.name)).into();
        if let Some((status, reason)) = script.refusal() {
            log::warn!("{name}: {status}: {reason}");
            return Ok(Served::Failed(status));
        }
        // Browsers leave in the way in which others end their sending. Those of HTTP/1.0 can't be asked whether they
        // have: a script runs on for one that left until it sends something, or its time is up.
        con.notice_departure();
        // On this machine are proxies, which speak for many.
        let client = con.remote_addr().ip().filter(|ip| !ip.is_loopback()).and(con.remote_addr().network());
        if self.queue.is_full(client) {
            return Ok(turn_away(&name));
        }
        let beginning = match self.beginning(con, req, script, client, &name).await? {
            Ok(beginning) => beginning,
            Err(status) => return Ok(Served::Failed(status)),
        };
        let upload = beginning.as_ref().is_some_and(|beginning| !beginning.is_whole());
        let Some(place) = self.queue.place(PermitRequest { client, upload }).await else { return Ok(turn_away(&name)) };
        let length = beginning.as_ref().and_then(Beginning::found_length);
        let environment = Environment::new(con, req, script, length);
        let body = beginning.map(Beginning::take);
        let started = self.start(script, environment.bytes(), body, place, client, &name);
        drop(environment);
        let mut relay = match started {
            Ok(relay) => relay,
            Err(error) => return Ok(not_started(&name, &error)),
        };
        relay.progress.head_only = req.method() == "HEAD";
        let end = relay.run(con).await?;
        self.finish(relay, end, &name)
    }

    /// What of the request's body comes before its script, or the status of what is wrong with it, which the log was told.
    async fn beginning(
        &self,
        con: &mut Connection,
        req: &Request,
        script: &Script<'_>,
        client: Option<IpAddr>,
        name: &str,
    ) -> Result<std::result::Result<Option<Beginning<'_>>, u16>> {
        if !script.has_body(req) {
            return Ok(Ok(None));
        }
        let hold = req.header_bytes("content-length").is_none().then_some(&self.hold);
        match self.gathered.beginning(con, client, self.limits.timeout, hold).await {
            Ok(beginning) => Ok(Ok(Some(beginning))),
            Err(Unread::Broken(Error::Timeout)) => {
                log::error!("{name}: 408: the body's beginning came too slowly");
                Ok(Err(408))
            }
            Err(Unread::Broken(error)) => Err(error),
            Err(Unread::NotHeld(why)) => {
                let status = why.status();
                log::error!("{name}: {status}: {}", why.reason(&self.hold));
                Ok(Err(status))
            }
        }
    }

    fn start<'a>(
        &'a self,
        script: &Script<'_>,
        environment: &[u8],
        body: Option<Body>,
        mut place: Permit,
        client: Option<IpAddr>,
        name: &'a Rc<str>,
    ) -> io::Result<Relay<'a>> {
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
        let (file, folder) = (text(script.file)?, text(script.docroot)?);
        let interpreter = script.interpreter.map(text).transpose()?;
        let path = if script.held.is_some() { sys::HELD } else { &file };
        let program = interpreter.as_deref().unwrap_or(path);
        // The script's own name, for programs that are several.
        let args = if interpreter.is_some() { &[program, path][..] } else { &[file.as_c_str()] };
        // Their ends stay as they are; only ours do not wait.
        let (stdout, their_stdout) = io::pipe()?;
        sys::set_nonblocking(stdout.as_fd())?;
        let stdout = AsyncFd::new(stdout)?;
        let mut up = Vec::new();
        let (stdin, their_stdin): (_, OwnedFd) = match body {
            Some(Body::Piped(bytes)) => {
                let (reader, writer) = io::pipe()?;
                sys::set_nonblocking(writer.as_fd())?;
                up = bytes;
                (Some(AsyncFd::new(writer)?), reader.into())
            }
            Some(Body::Held(held)) => {
                let (file, taken) = held.into_input()?;
                place.body = Some(taken);
                (None, file.into())
            }
            None => (None, File::open("/dev/null")?.into()),
        };
        let (stderr, their_stderr): (_, OwnedFd) = if self.followed.has_room() {
            let (reader, writer) = io::pipe()?;
            sys::set_nonblocking(reader.as_fd())?;
            (Some(AsyncFd::new(reader)?), writer.into())
        } else {
            log::warn!("{name}: its standard error is dropped: too many others are being followed");
            (None, File::options().write(true).open("/dev/null")?.into())
        };
        let setup = Setup {
            args,
            environment,
            folder: &folder,
            held: script.held,
            stdin: their_stdin.as_fd(),
            stdout: their_stdout.as_fd(),
            stderr: their_stderr.as_fd(),
        };
        let patience = Patience { alone: self.limits.timeout, grace: self.limits.grace };
        let process = Process::start(program, &setup, patience, name, place)?;
        if let Some(stderr) = stderr {
            self.followed.follow(stderr, Rc::clone(name));
        }
        let timeout = self.limits.timeout;
        let progress = Progress::new(up, timeout, client);
        Ok(Relay { name, process, stdin, stdout, timeout, scratch: &self.scratch, progress })
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
                log::error!("{name}: {what}: its reply is cut");
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            End::Killed { signal, begun } => {
                relay.leave();
                if begun {
                    log::error!("{name}: ended by signal {signal} in the middle of its reply, which is cut");
                    // Nothing but the connection's end can tell the client.
                    return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
                }
                log::error!("{name}: 502: it was ended by signal {signal} before its reply");
                return Ok(Served::Failed(502));
            }
            End::Overdue { begun, client } => {
                let (status, what) = if client {
                    (408, "its client sent less than 1 KiB/s of the body")
                } else {
                    (504, "it did nothing")
                };
                if begun {
                    log::error!("{name}: {what} for {seconds} s in the middle of its reply");
                    return Err(if client { Error::Timeout } else { io::Error::from(ErrorKind::TimedOut).into() });
                }
                log::error!("{name}: {status}: {what} for {seconds} s");
                return Ok(Served::Failed(status));
            }
        }
        Ok(Served::Done)
    }
}

fn turn_away(name: &str) -> Served {
    log::warn!("{name}: 503: too many wait to be run");
    Served::Failed(503)
}

fn not_started(name: &str, error: &io::Error) -> Served {
    log::error!("{name}: cannot be run: {error}");
    let full = matches!(error.raw_os_error(), Some(EAGAIN | EMFILE | ENFILE | ENOMEM));
    Served::Failed(if full { 503 } else { 500 })
}
