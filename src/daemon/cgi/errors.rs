//! What scripts write to their standard error: lines of our log, with the script and its client named.

use ecohttpd::AsyncFd;
use std::cell::Cell;
use std::fmt::{self, Write};
use std::io::{self, PipeReader, Read};
use std::rc::Rc;

/// Bytes of a line; what is longer is several.
const LINE_MAX: usize = 1 << 10;

/// Scripts, ended ones included, whose standard error is followed at once: each costs a descriptor for as long as
/// anybody that they started holds it. The next ones get ours instead.
const FOLLOWED: usize = 32;

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
            let mut lines = Lines::default();
            let mut say = |line: &[u8]| log::warn!("{name}: {}", Escaped(line));
            while matches!(pipe.read_with(|pipe| lines.read(pipe, &mut say)).await, Ok(true)) {}
            lines.end(&mut say);
            count.set(count.get().saturating_sub(1));
        });
    }
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    /// A line that has not ended.
    begun: Vec<u8>,
}

impl Lines {
    /// Reads once; false at the end.
    fn read(&mut self, mut from: &PipeReader, say: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        let mut bytes = [0; LINE_MAX];
        let n = from.read(&mut bytes)?;
        self.push(bytes.get(..n).unwrap_or_default(), say);
        Ok(n > 0)
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
    fn long_lines_are_several() {
        let long = vec![b'x'; 2 * LINE_MAX + 3];
        for cut in [0, 1, 500, LINE_MAX, LINE_MAX + 1] {
            let (first, second) = long.split_at(cut);
            let said = lines(&[first, second, b"\nnext"]);
            assert_eq!(said, [&"x".repeat(LINE_MAX), &"x".repeat(LINE_MAX), "xxx", "next"], "{cut}");
        }
    }
}
