//! The handlers of a site: which requests are theirs, and how one is served.

use super::start::{Launcher, Single};
use super::variables;
use super::worker::{Forking, IDLE, Worker};
use crate::daemon::cgi::{
    self, Cgi, Environment, Forked, Process, Running, Script, ScriptInput, Served, Turn, not_started, output,
};
use crate::daemon::config::{Language, SiteConfig, rooted};
use crate::daemon::prefix::UrlPrefix;
use crate::daemon::sys::packets::{RIGHTS, send_packet};
use ecohttpd::{AsyncFd, Connection, Request, Result};
use std::io::{self, ErrorKind, PipeWriter, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

/// The handlers of a site.
pub struct Handlers(Vec<Handler>);

/// One prefix.
pub struct Handler {
    prefix: UrlPrefix,
    /// `SCRIPT_NAME`.
    pub name: String,
    pub file: PathBuf,
    worker: Rc<Worker>,
}

impl Handlers {
    /// The handlers of a site; none is loaded yet.
    pub fn new(site: &SiteConfig, cgi: &Cgi) -> Handlers {
        let of = |(prefix, file, language): (&String, &PathBuf, Language)| {
            let (command, what) = match language {
                Language::Lua => (&site.lua_worker, "Lua"),
                Language::Ucode => (&site.ucode_worker, "ucode"),
            };
            let launcher = Launcher {
                language,
                name: format!("{what} handler {}", file.display()).into(),
                args: Launcher::args(command, file, &site.docroot),
                followed: cgi.followed().clone(),
                patience: cgi.patience(),
            };
            let worker = Worker::new(launcher, file.clone(), IDLE);
            Handler { prefix: UrlPrefix::new(prefix), name: rooted(prefix).to_owned(), file: file.clone(), worker }
        };
        let whole =
            site.handlers.iter().filter_map(|one| Some((one.prefix.as_ref()?, one.file.as_ref()?, one.language)));
        Handlers(whole.map(of).collect())
    }

    /// The handler of a path, and the rest of the path as `PATH_INFO`. The first that matches, as in uhttpd.
    pub fn find<'a>(&self, relative: &'a [u8]) -> Option<(&Handler, &'a [u8])> {
        self.0.iter().find_map(|handler| Some((handler, handler.prefix.rest(relative)?)))
    }
}

impl Handler {
    /// Answers a request, once its turn has come. Without it, the handler can't be loaded, and nothing was sent.
    ///
    /// # Errors
    /// As for [`Cgi::serve`].
    pub async fn serve(
        &self,
        cgi: &Cgi,
        con: &mut Connection,
        req: &mut Request,
        script: &Script<'_>,
    ) -> Result<std::result::Result<Served, Turn>> {
        self.worker.prepare();
        let turn = match cgi.turn(con, req, script).await? {
            Ok(turn) => turn,
            Err(served) => return Ok(Ok(served)),
        };
        // Not before: those that come later would overtake.
        if !self.worker.load().await {
            return Ok(Err(turn));
        }
        let name = Rc::clone(&turn.name);
        let environment = Environment::new(con, req, script, turn.length);
        let started = match self.worker.launcher.language {
            Language::Ucode => self.fork(cgi, turn, &variables::object(environment.bytes())).await,
            Language::Lua => self.single(turn, environment.bytes()).await,
        };
        let served = match started {
            Ok(Some(running)) => cgi.relay(con, req, running).await?,
            // That the handler was changed and does not load any more has been logged.
            Ok(None) => Served::Failed(500),
            Err(error) => not_started(con, &name, &error),
        };
        self.worker.load_ahead();
        Ok(Ok(served))
    }

    /// Has the worker fork. `None`: it can't be loaded.
    async fn fork(&self, cgi: &Cgi, turn: Turn, object: &[u8]) -> io::Result<Option<Running>> {
        let Turn { name, mut permit, body, client, .. } = turn;
        let (mut ours, theirs) = cgi::pipes(body, cgi.followed(), &name)?;
        permit.body = ours.taken.take();
        let (progress, their_progress) = output()?;
        let fds = [&theirs.stdin, &theirs.stdout, &theirs.stderr, &their_progress];
        // A second time, if it has died without us noticing.
        for _ in 0..2 {
            if !self.worker.load().await {
                return Ok(None);
            }
            let Some(forking) = self.worker.forking() else { continue };
            match self.send(&forking, object, fds).await {
                Err(error) if is_gone(&error) => forking.kill(),
                Err(error) => return Err(error),
                Ok(()) => {
                    let forked = Forked::new(progress, Rc::clone(&forking.pid));
                    let process = Process::forked(forked, cgi.patience(), &name, permit);
                    self.worker.served(&forking);
                    return Ok(Some(Running { name, process, ours, client }));
                }
            }
        }
        Err(ErrorKind::BrokenPipe.into())
    }

    async fn send(&self, forking: &Forking, object: &[u8], fds: [&OwnedFd; RIGHTS]) -> io::Result<()> {
        let send = forking.requests.write_with(|socket| send_packet(socket.as_fd(), object, fds.map(AsFd::as_fd)));
        let limit = self.worker.launcher.patience.alone;
        ecohttpd::timeout(limit, send).await.unwrap_or_else(|_| {
            // It takes no requests any more.
            forking.kill();
            Err(ErrorKind::TimedOut.into())
        })
    }

    /// Gives a request to a worker of its own. `None`: it does not load.
    async fn single(&self, turn: Turn, variables: &[u8]) -> io::Result<Option<Running>> {
        let Turn { name, mut permit, body, client, .. } = turn;
        let launcher = &self.worker.launcher;
        // Standard input of the one that was loaded ahead is a pipe.
        let ahead = if matches!(body, Some(ScriptInput::Held(_))) { None } else { self.worker.take_single() };
        let single = match ahead {
            Some(mut single) => {
                match body {
                    Some(ScriptInput::Piped(bytes)) => single.ours.up = bytes,
                    _ => single.ours.body = None,
                }
                single
            }
            None => match launcher.loaded(launcher.start_single(body)?).await {
                Ok(single) => single,
                Err(reason) => {
                    self.worker.failed(&reason);
                    return Ok(None);
                }
            },
        };
        let Single { mut process, mut ours, variables: to } = single;
        permit.body = ours.taken.take();
        process.serves(&name, permit);
        ecohttpd::spawn(write_all(to, variables.into())).detach();
        Ok(Some(Running { name, process, ours, client }))
    }
}

/// `PATH_INFO` of a handler: what follows its prefix, encoded, as uhttpd passes it on. But the dots in the path are
/// resolved: access was decided for this path.
pub fn path_info(rest: &[u8], is_folder: bool) -> Option<Vec<u8>> {
    // A prefix that is the root leaves no slash at the start.
    let slash: &[u8] = if rest.starts_with(b"/") || rest.is_empty() { b"" } else { b"/" };
    let end: &[u8] = if is_folder { b"/" } else { b"" };
    let mut info = Vec::new();
    for &byte in [slash, rest, end].concat().iter() {
        // RFC 3986 §3.3: what needs no encoding in a path.
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            info.push(byte);
        } else {
            info.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    Some(info).filter(|info| !info.is_empty())
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Whether the worker has ended.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected)
}

/// Writes all of it. A process that has ended needs none.
async fn write_all(to: AsyncFd<PipeWriter>, bytes: Box<[u8]>) {
    let mut left = &bytes[..];
    while !left.is_empty() {
        match to.write_with(|mut pipe| pipe.write(left)).await {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(_) => return,
        }
    }
}
