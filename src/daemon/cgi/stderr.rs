//! Standard error of scripts, as lines of the log that name the script and its client.

use crate::daemon::escape::Escaped;
use crate::daemon::log;
use ecohttpd::AsyncFd;
use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, PipeReader, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Most bytes of a line; longer ones are split.
const LINE_MAX: usize = 1 << 10;

/// Scripts whose standard error is read at once, including ended ones: each takes a descriptor as long as any process that
/// the script has started holds it. That of further ones is discarded.
const FOLLOWED: usize = 32;

/// Lines of one script that are logged in a second. The others are counted.
const LINES_A_SECOND: u32 = 100;

/// Bytes of one script that are read before a pause, which bounds the cost of a flood: 800 KiB a second.
const TURN: usize = 8 << 10;
const PAUSE: Duration = Duration::from_millis(10);

const SECOND: Duration = Duration::from_secs(1);

/// Counts the scripts whose standard error is read.
#[derive(Clone, Default)]
pub struct Followed(Rc<Cell<usize>>);

impl Followed {
    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.0.get() < FOLLOWED
    }

    /// Logs what comes out of the pipe until its last writer is gone. That may be long after the script has ended: closing the
    /// pipe earlier would kill a daemon that the script has started.
    pub fn follow(&self, pipe: AsyncFd<PipeReader>, name: Rc<str>) {
        let count = Rc::clone(&self.0);
        count.set(count.get() + 1);
        ecohttpd::spawn(async move {
            follow(pipe, &name).await;
            count.set(count.get().saturating_sub(1));
        })
        .detach();
    }
}

async fn follow(pipe: AsyncFd<PipeReader>, name: &str) {
    let mut lines = Lines::default();
    let mut limit = Limit::new(Instant::now());
    let mut left = TURN;
    loop {
        // Dropped lines are reported within a second, even if nothing follows.
        let patience = if limit.dropped > 0 { SECOND } else { Duration::MAX };
        let mut say = |line: &[u8]| {
            if limit.takes_line() {
                log::warn!("{name}: {}", Escaped(line));
            }
        };
        let read = pipe.read_with(|pipe| lines.read(pipe, &mut say));
        match ecohttpd::timeout(patience, read).await {
            Ok(Ok(n @ 1..)) => left = left.saturating_sub(n),
            Ok(_) => break,
            Err(_) => left = TURN,
        }
        limit.turn(Instant::now(), &name);
        if left == 0 {
            ecohttpd::sleep(PAUSE).await;
            left = TURN;
        }
    }
    lines.end(&mut |line| log::warn!("{name}: {}", Escaped(line)));
    limit.report(&name);
}

/// Standard error that comes along with other output.
#[cfg(feature = "proxy")]
pub struct ErrorLines {
    lines: Lines,
    limit: Limit,
}

#[cfg(feature = "proxy")]
impl ErrorLines {
    pub fn new() -> ErrorLines {
        ErrorLines { lines: Lines::default(), limit: Limit::new(Instant::now()) }
    }

    /// Logs what came; the end of a line that has none yet waits.
    pub fn push(&mut self, bytes: &[u8], name: &dyn Display) {
        let ErrorLines { lines, limit } = self;
        limit.turn(Instant::now(), name);
        lines.push(bytes, &mut |line| {
            if limit.takes_line() {
                log::warn!("{name}: {}", Escaped(line));
            }
        });
    }

    /// Logs the rest.
    pub fn end(&mut self, name: &dyn Display) {
        self.lines.end(&mut |line| log::warn!("{name}: {}", Escaped(line)));
        self.limit.report(name);
    }
}

/// Limits the lines logged in a second.
struct Limit {
    since: Instant,
    left: u32,
    dropped: u64,
}

impl Limit {
    fn new(now: Instant) -> Limit {
        Limit { since: now, left: LINES_A_SECOND, dropped: 0 }
    }

    /// Whether one more line may be logged. If not, it is counted.
    fn takes_line(&mut self) -> bool {
        let takes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.dropped += u64::from(!takes);
        takes
    }

    /// Starts the next second, if it is time.
    fn turn(&mut self, now: Instant, name: &dyn Display) {
        if now.saturating_duration_since(self.since) >= SECOND {
            self.report(name);
            *self = Limit::new(now);
        }
    }

    fn report(&self, name: &dyn Display) {
        if self.dropped > 0 {
            log::warn!("{name}: dropped {} lines of standard error: more than {LINES_A_SECOND} a second", self.dropped);
        }
    }
}

/// Splits bytes into lines.
#[derive(Default)]
struct Lines {
    /// The beginning of an unfinished line.
    begun: Vec<u8>,
}

impl Lines {
    /// Reads once. Returns the number of bytes, 0 at the end.
    fn read(&mut self, mut from: &PipeReader, say: &mut impl FnMut(&[u8])) -> io::Result<usize> {
        let mut bytes = [0; LINE_MAX];
        let n = from.read(&mut bytes)?;
        self.push(bytes.get(..n).unwrap_or_default(), say);
        Ok(n)
    }

    fn push(&mut self, bytes: &[u8], say: &mut impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let line = piece.strip_suffix(b"\n").unwrap_or(piece);
            let mut rest = line;
            while !rest.is_empty() {
                if self.begun.len() == LINE_MAX {
                    self.end(say);
                }
                let (part, more) = rest.split_at(rest.len().min(LINE_MAX - self.begun.len()));
                self.begun.extend_from_slice(part);
                rest = more;
            }
            if line.len() < piece.len() {
                self.end(say);
            }
        }
    }

    /// Ends the line. Empty lines are skipped.
    fn end(&mut self, say: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.begun);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if !line.is_empty() {
            say(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut said) = (Lines::default(), Vec::new());
        let mut say = |line: &[u8]| said.push(Escaped(line).to_string());
        for piece in pieces {
            lines.push(piece, &mut say);
        }
        lines.end(&mut say);
        said
    }

    #[test]
    fn lines_cut_at_every_byte() {
        let text = "one\ntwo\r\n\n\x1b[31mred\tü\u{9b}\nlast \\".as_bytes();
        let text = [text, b"\xff"].concat();
        for cut in 0..text.len() {
            let (first, second) = text.split_at(cut);
            assert_eq!(lines(&[first, second]), ["one", "two", "\\x1b[31mred\\x09ü\\x9b", "last \\\\xff"], "{cut}");
        }
    }

    #[test]
    fn lines_beyond_those_of_a_second_are_counted() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let taken = (0..LINES_A_SECOND + 50).filter(|_| limit.takes_line()).count();
        assert_eq!((taken, limit.dropped), (LINES_A_SECOND as usize, 50));
        limit.turn(start + SECOND / 2, &"");
        assert!(!limit.takes_line());
        limit.turn(start + SECOND, &"");
        assert!(limit.takes_line());
        assert_eq!(limit.dropped, 0);
    }

    #[test]
    fn long_lines_are_several() {
        let long = vec![b'x'; 2 * LINE_MAX + 3];
        for cut in [0, 1, 500, LINE_MAX, LINE_MAX + 1] {
            let (first, second) = long.split_at(cut);
            let said = lines(&[first, second, b"\nnext"]);
            assert_eq!(said, [&"x".repeat(LINE_MAX), &"x".repeat(LINE_MAX), "xxx", "next"], "{cut}");
        }
    }
}
