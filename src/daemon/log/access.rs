//! The access log: Apache's combined format, plus the time taken in seconds. In a terminal a line for a person.

use super::diagnostics::error;
#[cfg(feature = "terminal")]
use super::outlet::Head;
use super::outlet::{Outlet, OutletTarget, Standard};
use super::syslog::Syslog;
#[cfg(feature = "terminal")]
use super::terminal_line::{self, Moment, TerminalLine};
use crate::daemon::context;
use crate::daemon::escape::Quoted;
#[cfg(feature = "terminal")]
use crate::daemon::terminal;
use ecohttpd::Access;
use log::Level;
use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io;
#[cfg(feature = "terminal")]
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Permissions of a new log file: not everyone may read who the clients are.
const MODE: u32 = 0o640;

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTarget {
    Stdout,
    /// Appended to; created if it is missing.
    File(PathBuf),
    /// The system's logger, with facility daemon and level info.
    Syslog,
}

/// An access log: a line for each exchange.
pub struct AccessLog {
    outlet: RefCell<Outlet>,
    /// The file to reopen. Its path is absolute, as a daemon leaves the folder that it was started in.
    path: Option<PathBuf>,
    /// A person reads it.
    #[cfg(feature = "terminal")]
    in_terminal: bool,
}

impl AccessLog {
    /// Opens the log.
    ///
    /// # Errors
    /// One line: which file cannot be opened, and why.
    pub fn open(target: &AccessTarget) -> io::Result<AccessLog> {
        #[cfg(feature = "terminal")]
        let in_terminal = *target == AccessTarget::Stdout && io::stdout().is_terminal();
        let (target, path) = match target {
            // Opened later: a daemon that goes to the background closes it.
            AccessTarget::Stdout => (OutletTarget::Standard(Standard::Output), None),
            AccessTarget::Syslog => (OutletTarget::Syslog(Syslog::new()), None),
            AccessTarget::File(path) => {
                let path = std::path::absolute(path).map_err(|error| about(path, error))?;
                (OutletTarget::File(open(&path)?), Some(path))
            }
        };
        let outlet = RefCell::new(Outlet::new(target, false));
        #[cfg(feature = "terminal")]
        outlet.borrow_mut().colour(terminal::shows_colours(&io::stdout()));
        Ok(AccessLog {
            outlet,
            path,
            #[cfg(feature = "terminal")]
            in_terminal,
        })
    }

    /// Writes the line of one exchange.
    pub fn log(&self, access: &Access<'_>) {
        let mut outlet = self.outlet.borrow_mut();
        #[cfg(feature = "terminal")]
        if self.in_terminal {
            let (colour, moment) = (terminal_line::colour(access.status), Moment::now(access.status));
            let head = Head { colour, text: &moment };
            return outlet.write_headed(Level::Info, Some(head), format_args!("{}", TerminalLine(access)));
        }
        outlet.write(Level::Info, format_args!("{}", CombinedLine(access)));
    }

    /// Reopens the file after rotation. If that fails, the old one stays in use.
    pub fn reopen(&self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => self.outlet.borrow_mut().redirect(OutletTarget::File(file)),
            Err(error) => error!("{error}; still writing to the old file"),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A FIFO without a reader is an error, and one with a slow reader does not block.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = File::options().append(true).create(true).mode(MODE).custom_flags(flags).open(path);
    opened.map_err(|error| about(path, error))
}

fn about(path: &Path, error: io::Error) -> io::Error {
    context::about(&format_args!("access log {}", path.display()), error)
}

struct CombinedLine<'a>(&'a Access<'a>);

impl fmt::Display for CombinedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = self.0;
        match access.peer.ip() {
            Some(ip) => write!(f, "{ip}")?,
            None => f.write_str("unix:")?,
        }
        let part = |range: std::ops::Range<usize>| access.date.get(range).unwrap_or_default();
        write!(f, " - - [{}/{}/{}:{} +0000] ", part(5..7), part(8..11), part(12..16), part(17..25))?;
        if access.method.is_empty() {
            f.write_str("\"-\"")?;
        } else {
            write!(f, "\"{} {} {}\"", Quoted(access.method), Quoted(access.target), access.version)?;
        }
        write!(f, " {} {}", access.status, access.bytes)?;
        for field in [access.referer, access.user_agent] {
            write!(f, " \"{}\"", Quoted(field.unwrap_or("-")))?;
        }
        write!(f, " {}.{:03}", access.duration.as_secs(), access.duration.subsec_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_appended_to_and_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        fs::write(&path, "before\n").unwrap();
        let log = AccessLog::open(&AccessTarget::File(path.clone())).unwrap();
        let put = |text: &str| log.outlet.borrow_mut().write(Level::Info, format_args!("{text}"));
        put("one");
        fs::rename(&path, &old).unwrap();
        put("two");
        log.reopen();
        put("three");
        assert_eq!(fs::read_to_string(&old).unwrap(), "before\none\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "others read it");

        fs::remove_file(&old).unwrap();
        fs::rename(&path, &old).unwrap();
        // A folder is in the way.
        fs::create_dir(&path).unwrap();
        log.reopen();
        put("four");
        assert_eq!(fs::read_to_string(&old).unwrap(), "three\nfour\n");
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = AccessLog::open(&AccessTarget::File(folder.path().join("missing/log"))).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let text = error.to_string();
        assert!(text.starts_with("access log /") && text.contains("/missing/log: "), "{text}");
        assert!(!text.contains('\n'));
        let path = folder.path().join("fifo");
        // The program mkfifo is of coreutils.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(AccessLog::open(&AccessTarget::File(path)).is_err(), "a FIFO without a reader");
    }
}
