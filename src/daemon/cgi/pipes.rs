//! The pipes between this server and the process that serves a request.

use super::body_file::Taken;
use super::request_body::ScriptInput;
use super::stderr::Followed;
use crate::daemon::log;
use crate::daemon::sys::process as sys;
use ecohttpd::AsyncFd;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};

/// Our ends of a process's pipes. They do not block.
pub struct Ours {
    /// `None`: there is no body, or it is in a file.
    pub body: Option<AsyncFd<PipeWriter>>,
    /// The beginning of the body.
    pub up: Vec<u8>,
    pub output: AsyncFd<PipeReader>,
    /// `None`: too many others are logged.
    pub errors: Option<AsyncFd<PipeReader>>,
    /// The share of the buffer files that the body takes.
    pub taken: Option<Taken>,
}

/// The other ends.
pub struct Theirs {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Pipes for a request with that body; `name` is for the log.
pub fn pipes(body: Option<ScriptInput>, followed: &Followed, name: &str) -> io::Result<(Ours, Theirs)> {
    let (output, stdout) = output()?;
    let (mut up, mut taken) = (Vec::new(), None);
    let (body, stdin): (_, OwnedFd) = match body {
        Some(ScriptInput::Piped(bytes)) => {
            up = bytes;
            let (body, stdin) = input()?;
            (Some(body), stdin)
        }
        Some(ScriptInput::Held(held)) => {
            let (file, share) = held.into_input()?;
            taken = Some(share);
            (None, file.into())
        }
        None => (None, File::open("/dev/null")?.into()),
    };
    let (errors, stderr): (_, OwnedFd) = if followed.has_room() {
        self::output().map(|(ours, theirs)| (Some(ours), theirs))?
    } else {
        log::warn!("{name}: standard error discarded: too many others are logged");
        (None, File::options().write(true).open("/dev/null")?.into())
    };
    Ok((Ours { body, up, output, errors, taken }, Theirs { stdin, stdout, stderr }))
}

/// A pipe that we write to.
pub fn input() -> io::Result<(AsyncFd<PipeWriter>, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    sys::set_nonblocking(writer.as_fd())?;
    Ok((AsyncFd::new(writer)?, reader.into()))
}

/// A pipe that we read from.
pub fn output() -> io::Result<(AsyncFd<PipeReader>, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    sys::set_nonblocking(reader.as_fd())?;
    Ok((AsyncFd::new(reader)?, writer.into()))
}
