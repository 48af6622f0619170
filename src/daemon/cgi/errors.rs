//! What scripts write to their standard error: lines of our log, with the script and its client named.

use ecohttpd::AsyncFd;
use std::cell::Cell;
use std::fmt::{self, Write};
use std::io::{self, PipeReader, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Bytes of a line; what is longer is several.
const LINE_MAX: usize = 1 << 10;

/// Scripts, ended ones included, whose standard error is followed at once: each costs a descriptor for as long as
/// anybody that they started holds it. That of the next ones is dropped.
const FOLLOWED: usize = 32;

/// Lines of one script that are logged in a second; the others are counted.
const LINES_A_SECOND: u32 = 100;

/// Bytes of one script that are read before the next pause, which bounds what a flood costs: 800 KiB a second.
const TURN: usize = 8 << 10;
const PAUSE: Duration = Duration::from_millis(10);

const SECOND: Duration = Duration::from_secs(1);

/// Counts those that are followed.
#[derive(Clone, Default)]
pub struct Followed(Rc<Cell<usize>>);

impl Followed {
    /// Whether one more may be.
    pub fn has_room(&self) -> bool {
        self.0.get() < FOLLOWED
    }

    /// Logs what comes out of the pipe until its last writer is gone: that may be long after the script, and to close
    /// the pipe before would kill a daemon that the script has started.
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
        // Those that were dropped are told of in time, though silence follows.
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
        limit.turn(Instant::now(), name);
        if left == 0 {
            ecohttpd::sleep(PAUSE).await;
            left = TURN;
        }
    }
    lines.end(&mut |line| log::warn!("{name}: {}", Escaped(line)));
    limit.report(name);
}

/// Bounds the lines that are logged in a second.
struct Limit {
    since: Instant,
    left: u32,
    dropped: u64,
}

impl Limit {
    fn new(now: Instant) -> Limit {
        Limit { since: now, left: LINES_A_SECOND, dropped: 0 }
    }

    /// Whether one more line may be logged; else it is counted.
    fn takes_line(&mut self) -> bool {
        let takes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        self.dropped += u64::from(!takes);
        takes
    }

    /// Begins the next second, if it is time.
    fn turn(&mut self, now: Instant, name: &str) {
        if now.saturating_duration_since(self.since) >= SECOND {
            self.report(name);
            *self = Limit::new(now);
        }
    }

    fn report(&self, name: &str) {
        if self.dropped > 0 {
            log::warn!(
                "{name}: {} more lines of its standard error were dropped, as {LINES_A_SECOND} a second are logged",
                self.dropped
            );
        }
    }
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    /// A line that has not ended.
    begun: Vec<u8>,
}

impl Lines {
    /// Reads once: how many bytes, 0 at the end.
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

    /// Ends the line; an empty one is none.
    fn end(&mut self, say: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.begun);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if !line.is_empty() {
            say(line);
        }
    }
}

/// A text that can neither end its line nor speak to a terminal.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() { write!(f, "\\x{:02x}", u32::from(c))? } else { f.write_char(c)? }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
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
        limit.turn(start + SECOND / 2, "");
        assert!(!limit.takes_line());
        limit.turn(start + SECOND, "");
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
