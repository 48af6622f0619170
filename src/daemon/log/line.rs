//! One line of a log, in a buffer that is reused.

use std::fmt;

/// The end of a truncated line.
const CUT: &[u8] = b"...\n";

/// A line that is being formatted. Whatever its text, it stays one line, within its limit.
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Most bytes, including the line end.
    limit: usize,
    cut: bool,
}

impl LineBuffer {
    pub const fn new() -> LineBuffer {
        LineBuffer { bytes: Vec::new(), limit: 0, cut: false }
    }

    /// Begins another line, after `start`.
    pub fn begin(&mut self, limit: usize, start: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(start);
        self.limit = limit;
        self.cut = false;
    }

    /// Adds what controls the terminal, such as a colour. It does not count.
    pub fn control(&mut self, sequence: &str) {
        self.bytes.extend_from_slice(sequence.as_bytes());
    }

    /// Ends the line.
    pub fn end(&mut self) -> &[u8] {
        self.bytes.extend_from_slice(if self.cut { CUT } else { b"\n" });
        &self.bytes
    }
}

impl fmt::Write for LineBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.cut {
            return Err(fmt::Error);
        }
        let mut room = self.limit.saturating_sub(self.bytes.len() + CUT.len());
        self.cut = text.len() > room;
        while !text.is_char_boundary(room.min(text.len())) {
            room -= 1;
        }
        // Control characters could begin another line or control the terminal that shows it.
        let shown = text.bytes().take(room).map(|byte| if byte.is_ascii_control() { b' ' } else { byte });
        self.bytes.extend(shown);
        // An error stops formatting: the line is full.
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn a_line_is_one_and_bounded() {
        for (start, pieces, expected, name) in [
            ("", &["a"][..], "a\n", "short"),
            ("<27>", &["ab", "cd"], "<27>abcd\n", "pieces"),
            ("", &[], "\n", "empty"),
            ("", &["a\nb\x1b[0m\r\x7f\0"], "a b [0m   \n", "controls"),
            ("", &["0123456789ab"], "0123456789ab\n", "just fits"),
            ("", &["0123456789abc"], "0123456789ab...\n", "one too many"),
            ("", &["0123456789ab", "", "c", "d"], "0123456789ab...\n", "the piece that is too many, and the next"),
            ("", &["0123456789aé"], "0123456789a...\n", "half a character"),
            ("<27>", &["0123456789ab"], "<27>01234567...\n", "the start counts"),
        ] {
            let mut line = LineBuffer::new();
            // What was there before does not show.
            line.begin(100, b"before");
            line.begin(16, start.as_bytes());
            let _ = pieces.iter().try_for_each(|piece| line.write_str(piece));
            assert_eq!(std::str::from_utf8(line.end()).unwrap(), expected, "{name}");
        }
    }
}
