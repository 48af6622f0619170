//! Starting a worker, and waiting until its handler is loaded.

use crate::daemon::cgi::{Followed, Ours, Patience, Process, ScriptInput, Theirs, Told, input, pipes};
use crate::daemon::config::Language;
use crate::daemon::escape::Escaped;
use crate::daemon::sys::packets::packet_sockets;
use crate::daemon::sys::process::Setup;
use ecohttpd::AsyncFd;
use std::ffi::{CStr, CString};
use std::fmt::Write;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// `PATH` where this server has none.
const PATH: &[u8] = b"PATH=/sbin:/usr/sbin:/bin:/usr/bin\0";

/// Most bytes of what a handler that does not load has said that are logged.
const LAST_WORDS: usize = 400;

/// How long to wait for them.
const LINGER: Duration = Duration::from_millis(300);

/// Longest packet that a worker sends, in bytes.
const PACKET: usize = 64;

/// How to start the workers of a handler.
pub struct Launcher {
    pub language: Language,
    /// What is started and for which handler, for the log.
    pub name: Rc<str>,
    /// The program and its arguments.
    pub args: Vec<CString>,
    pub followed: Followed,
    pub patience: Patience,
}

/// A worker whose handler is loaded.
pub enum Loaded {
    /// It forks for each request, which is sent over this socket. Its own output goes to the log.
    Forking { process: Process, requests: AsyncFd<File>, errors: Option<AsyncFd<PipeReader>> },
    /// It serves one request.
    Single(Single),
}

/// A worker for one request.
pub struct Single {
    pub process: Process,
    pub ours: Ours,
    /// Where the variables go.
    pub variables: AsyncFd<PipeWriter>,
}

impl Launcher {
    /// The program, its script, the handler's file and the site's folder.
    pub fn args(command: &str, file: &Path, docroot: &Path) -> Vec<CString> {
        let words = command.split_whitespace().map(str::as_bytes);
        let words = words.chain([file.as_os_str().as_bytes(), docroot.as_os_str().as_bytes()]);
        // Values of the configuration contain no NUL.
        words.filter_map(|word| CString::new(word).ok()).collect()
    }

    /// Starts a worker and waits until its handler is loaded.
    ///
    /// # Errors
    /// One line for the log.
    pub async fn load(&self) -> Result<Loaded, String> {
        match self.language {
            Language::Ucode => self.load_forking().await,
            Language::Lua => {
                let single = self.start_single(Some(ScriptInput::Piped(Vec::new()))).map_err(not_started)?;
                self.loaded(single).await.map(Loaded::Single)
            }
        }
    }

    async fn load_forking(&self) -> Result<Loaded, String> {
        let (process, requests, errors) = self.start_forking().map_err(not_started)?;
        match self.is_ready(&requests, PACKET).await {
            Ok(()) => Ok(Loaded::Forking { process, requests, errors }),
            Err(reason) => Err(not_loaded(reason, errors).await),
        }
    }

    fn start_forking(&self) -> io::Result<(Process, AsyncFd<File>, Option<AsyncFd<PipeReader>>)> {
        let (requests, their_requests) = packet_sockets()?;
        let (ours, mut theirs) = pipes(None, &self.followed, &self.name)?;
        // What it prints itself is no response.
        theirs.stdout = theirs.stderr.try_clone()?;
        let process = self.start(&theirs, their_requests.as_fd())?;
        Ok((process, AsyncFd::new(requests)?, ours.errors))
    }

    /// Starts a worker for one request, which still has to load its handler.
    pub fn start_single(&self, body: Option<ScriptInput>) -> io::Result<Single> {
        let (variables, their_variables) = input()?;
        let (ours, theirs) = pipes(body, &self.followed, &self.name)?;
        let process = self.start(&theirs, their_variables.as_fd())?;
        Ok(Single { process, ours, variables })
    }

    /// Waits until a worker has loaded its handler.
    ///
    /// # Errors
    /// One line for the log.
    pub async fn loaded(&self, single: Single) -> Result<Single, String> {
        // What follows its line is the response.
        match self.is_ready(&single.ours.output, 1).await {
            Ok(()) => Ok(single),
            Err(reason) => Err(not_loaded(reason, single.ours.errors).await),
        }
    }

    /// Waits until a worker says that it is ready; `piece`: how many bytes to read at a time. Or why it is not.
    async fn is_ready<T: AsFd>(&self, from: &AsyncFd<T>, piece: usize) -> Result<(), &'static str>
    where
        for<'a> &'a T: Read,
    {
        let mut told = Told::default();
        let mut bytes = [0; PACKET];
        let bytes = bytes.get_mut(..piece).unwrap_or_default();
        let ready = async {
            while !told.ready {
                match from.read_with(|mut from| from.read(bytes)).await {
                    Ok(read @ 1..) => told.push(bytes.get(..read).unwrap_or_default()),
                    _ => return Err("it does not load"),
                }
            }
            Ok(())
        };
        ecohttpd::timeout(self.patience.alone, ready).await.unwrap_or(Err("it takes too long to load"))
    }

    fn start(&self, theirs: &Theirs, held: BorrowedFd<'_>) -> io::Result<Process> {
        let args: Vec<&CStr> = self.args.iter().map(CString::as_c_str).collect();
        let program = args.first().ok_or(ErrorKind::InvalidInput)?;
        let setup = Setup {
            args: &args,
            environment: &environment(),
            folder: c"/",
            held: Some(held),
            stdin: theirs.stdin.as_fd(),
            stdout: theirs.stdout.as_fd(),
            stderr: theirs.stderr.as_fd(),
        };
        Process::start(program, &setup, self.patience, &self.name, None)
    }
}

/// That of this server, which is what handlers see in uhttpd.
fn environment() -> Vec<u8> {
    let mut block = Vec::new();
    if std::env::var_os("PATH").is_none() {
        block.extend_from_slice(PATH);
    }
    for (name, value) in std::env::vars_os() {
        block.extend_from_slice(name.as_bytes());
        block.push(b'=');
        block.extend_from_slice(value.as_bytes());
        block.push(0);
    }
    block
}

fn not_started(error: io::Error) -> String {
    format!("cannot start it: {error}")
}

/// Why a handler is not loaded, in one line: with what its worker has said in the end.
async fn not_loaded(reason: &str, errors: Option<AsyncFd<PipeReader>>) -> String {
    let mut words = [0; LAST_WORDS];
    let mut length = 0;
    if let Some(errors) = errors
        && let Ok(Ok(read)) = ecohttpd::timeout(LINGER, errors.read_with(|mut pipe| pipe.read(&mut words))).await
    {
        length = read;
    }
    let words = words.get(..length).unwrap_or_default().trim_ascii();
    let mut line = format!("{reason}: ");
    for part in words.split(|&byte| byte == b'\n').filter(|part| !part.is_empty()) {
        let _ = write!(line, "{} ", Escaped(part.trim_ascii()));
    }
    line.truncate(line.trim_end_matches([' ', ':']).len());
    line
}
