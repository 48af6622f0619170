//! Where the lines of a log go. Lines that can't be written are counted.

use super::line::LineBuffer;
use super::syslog::{self, Syslog};
use crate::daemon::counters::{self, Counted};
use crate::daemon::sys::service as sys;
use log::Level;
use std::fmt::{self, Display, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;

/// Most bytes of a line: a pipe takes as much whole or not at all (pipe(7)).
pub const MAX_LINE: usize = 4096;
const _: () = assert!(MAX_LINE <= libc::PIPE_BUF);

/// Colours of a terminal, in whatever shade it has for them.
pub const RED: &str = "\x1b[31m";
pub const YELLOW: &str = "\x1b[33m";
/// Puts an end to a colour.
const PLAIN: &str = "\x1b[0m";

/// What lines are written to. Writing never waits for a reader.
pub enum OutletTarget {
    /// Standard output or error, before the first line is written.
    Standard(Standard),
    /// The same, shared with other processes.
    Shared(Standard),
    /// Opened here, non-blocking.
    File(File),
    Syslog(Syslog),
}

#[derive(Clone, Copy)]
pub enum Standard {
    Output,
    Error,
}

impl OutletTarget {
    /// Opens a terminal or pipe a second time if a standard descriptor is one.
    ///
    /// A paused terminal blocks in the middle of a line, which poll(2) does not predict. Making the descriptor non-blocking
    /// would affect the shell, too; a second one is our own.
    pub fn standard(standard: Standard) -> OutletTarget {
        let opened = match standard {
            Standard::Output => sys::reopen(sys::standard(1)),
            Standard::Error => sys::reopen(sys::standard(2)),
        };
        opened.map_or(OutletTarget::Shared(standard), OutletTarget::File)
    }

    /// Returns how many bytes were written.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let OutletTarget::Standard(standard) = *self {
            *self = OutletTarget::standard(standard);
        }
        match self {
            OutletTarget::Standard(standard) | OutletTarget::Shared(standard) => match standard {
                Standard::Output => write_shared(sys::standard(1), line),
                Standard::Error => write_shared(sys::standard(2), line),
            },
            OutletTarget::File(file) => file.write(line),
            OutletTarget::Syslog(syslog) => syslog.send(line),
        }
    }
}

/// Writes to what is neither a terminal nor a pipe, or could not be reopened. If poll(2) reports room, a file takes a whole
/// line, and so does a socket, with `MSG_DONTWAIT`.
fn write_shared(fd: BorrowedFd<'_>, line: &[u8]) -> io::Result<usize> {
    if !sys::is_writable(fd) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    match sys::send(fd, line) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => sys::write(fd, line),
        sent => sent,
    }
}

/// Writes lines to a target, each with one call that does not block.
///
/// Lines that the target does not take are lost. When it takes lines again, the first one says how many were lost.
pub struct Outlet {
    target: OutletTarget,
    line: LineBuffer,
    /// Lines begin with the program's name and the level.
    labelled: bool,
    /// The target is a terminal that shows colours.
    coloured: bool,
    /// Lines lost since the last one that was written.
    lost: u32,
    /// The last line was written in part.
    torn: bool,
}

impl Outlet {
    pub const fn new(target: OutletTarget, labelled: bool) -> Outlet {
        Outlet { target, line: LineBuffer::new(), labelled, coloured: false, lost: 0, torn: false }
    }

    /// Writes further lines to another target.
    pub fn redirect(&mut self, target: OutletTarget) {
        self.target = target;
        self.torn = false;
    }

    /// Says whether the target shows colours.
    #[cfg(feature = "terminal")]
    pub fn colour(&mut self, yes: bool) {
        self.coloured = yes;
    }

    pub fn write(&mut self, level: Level, text: fmt::Arguments<'_>) {
        let head = Head { colour: colour_of(level), text: &Label(level) };
        self.write_headed(level, self.labelled.then_some(head), text);
    }

    /// Writes a line that begins with what may have a colour.
    pub fn write_headed(&mut self, level: Level, head: Option<Head<'_>>, text: fmt::Arguments<'_>) {
        let lost = self.lost;
        if lost > 0 {
            let warning = Head { colour: colour_of(Level::Warn), text: &Label(Level::Warn) };
            if self.put(Level::Warn, Some(warning), format_args!("lines lost from this log: {lost}")) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !self.put(level, head, text) {
            self.lost = self.lost.saturating_add(1);
            counters::add(Counted::LinesDropped);
        }
    }

    /// Returns whether the target took the whole line.
    fn put(&mut self, level: Level, head: Option<Head<'_>>, text: fmt::Arguments<'_>) -> bool {
        let is_syslog = matches!(self.target, OutletTarget::Syslog(_));
        let limit = if is_syslog { syslog::MAX_LINE } else { MAX_LINE };
        self.line.begin(limit, if self.torn { b"\n" } else { b"" });
        // An error means that the line is full, which its end shows.
        let _ = match (is_syslog, head) {
            (true, _) => write!(self.line, "{}{text}", syslog::SyslogHeader::now(level)),
            (false, Some(head)) if cfg!(feature = "terminal") && self.coloured && !head.colour.is_empty() => {
                self.line.control(head.colour);
                let _ = write!(self.line, "{}", head.text);
                self.line.control(PLAIN);
                write!(self.line, " {text}")
            }
            (false, Some(head)) => write!(self.line, "{} {text}", head.text),
            (false, None) => self.line.write_fmt(text),
        };
        let line = self.line.end();
        let Ok(written) = self.target.write(line) else { return false };
        self.torn = written < line.len();
        !self.torn
    }
}

/// The beginning of a line.
pub struct Head<'a> {
    /// The sequence that gives it a colour in a terminal; empty for none.
    pub colour: &'static str,
    pub text: &'a dyn Display,
}

/// What lines of diagnostics begin with.
struct Label(Level);

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ecohttpd: {}:", name(self.0))
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        _ if !cfg!(feature = "terminal") => "",
        Level::Error => RED,
        Level::Warn => YELLOW,
        Level::Info | Level::Debug | Level::Trace => "",
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    /// A log into a stream that does not wait, and the stream's other end.
    fn piped() -> (Outlet, UnixStream) {
        let (writer, reader) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        reader.set_nonblocking(true).unwrap();
        (Outlet::new(OutletTarget::File(File::from(OwnedFd::from(writer))), true), reader)
    }

    /// All that waits to be read.
    fn drain(reader: &mut UnixStream) -> String {
        let mut text = Vec::new();
        let _ = reader.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn lines_have_a_label_if_they_are_to() {
        let (mut log, mut reader) = piped();
        log.write(Level::Warn, format_args!("a {}", 1));
        log.write(Level::Trace, format_args!("b\nc"));
        log.labelled = false;
        log.write(Level::Info, format_args!("d"));
        assert_eq!(drain(&mut reader), "ecohttpd: warn: a 1\necohttpd: debug: b c\nd\n");
    }

    /// Controls in a text do not become those of the terminal.
    #[cfg(feature = "terminal")]
    #[test]
    fn a_terminal_shows_levels_in_colours() {
        let (mut log, mut reader) = piped();
        log.colour(true);
        log.write(Level::Error, format_args!("a\x1b[31m"));
        log.write(Level::Warn, format_args!("b"));
        log.write(Level::Info, format_args!("c"));
        let expected = "\x1b[31mecohttpd: error:\x1b[0m a [31m\n\x1b[33mecohttpd: warn:\x1b[0m b\necohttpd: info: c\n";
        assert_eq!(drain(&mut reader), expected);
    }

    #[test]
    fn what_is_lost_is_counted_and_said_once() {
        let (mut log, mut reader) = piped();
        let mut written = 0;
        while log.lost == 0 {
            log.write(Level::Info, format_args!("{written:01000}"));
            written += 1;
        }
        for _ in 0..9 {
            log.write(Level::Info, format_args!("{written:01000}"));
        }
        let text = drain(&mut reader);
        // A stream may have taken a part of the first that was lost.
        assert_eq!(text.lines().filter(|line| line.len() == "ecohttpd: info: ".len() + 1000).count(), written - 1);
        assert_eq!(log.torn, !text.ends_with('\n'));
        log.write(Level::Info, format_args!("after"));
        log.write(Level::Info, format_args!("later"));
        let text = drain(&mut reader);
        let expected = "ecohttpd: warn: lines lost from this log: 10\necohttpd: info: after\necohttpd: info: later\n";
        assert_eq!(text.trim_start_matches('\n'), expected);
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let (mut log, mut reader) = piped();
        log.torn = true;
        log.write(Level::Info, format_args!("a"));
        log.write(Level::Info, format_args!("b"));
        assert_eq!(drain(&mut reader), "\necohttpd: info: a\necohttpd: info: b\n");
    }

    #[test]
    fn a_full_disk_loses_lines_and_no_more() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut log = Outlet::new(OutletTarget::File(full), false);
        for lost in 1..5 {
            log.write(Level::Info, format_args!("x"));
            assert_eq!(log.lost, lost);
        }
        let (other, mut reader) = piped();
        log.redirect(other.target);
        log.write(Level::Info, format_args!("y"));
        assert_eq!(drain(&mut reader), "ecohttpd: warn: lines lost from this log: 4\ny\n");
    }

    #[test]
    fn a_shared_pipe_is_not_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        let line = [b'x'; MAX_LINE];
        let mut count = 0;
        while write_shared(writer.as_fd(), &line).is_ok_and(|written| written == MAX_LINE) {
            count += 1;
            assert!(count < 10_000, "a pipe without an end");
        }
        assert!(count > 0);
        assert_eq!(write_shared(writer.as_fd(), b"x").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        reader.read_exact(&mut [0; MAX_LINE]).unwrap();
        assert_eq!(write_shared(writer.as_fd(), &line).unwrap(), MAX_LINE);
        drop(reader);
        assert!(write_shared(writer.as_fd(), b"x").is_err(), "nobody reads");
    }
}
