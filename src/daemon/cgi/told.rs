//! What a worker tells of a process that it has forked: lines of a word and perhaps a number.

/// Longest line that means something, in bytes: `pid ` and ten digits.
const LINE_MAX: usize = 14;

/// Collects what was told so far. Lines that mean nothing are skipped.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Told {
    /// The beginning of the unfinished line, and one byte more if it is too long.
    line: Vec<u8>,
    /// `ready`: the handler is loaded.
    pub ready: bool,
    /// `pid NUMBER`: the process has started. The first one counts.
    pub pid: Option<i32>,
    /// `end`: it has done its work.
    pub end: bool,
}

impl Told {
    /// Adds bytes, however they were cut.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.line();
                self.line.clear();
            } else if self.line.len() <= LINE_MAX {
                self.line.push(byte);
            }
        }
    }

    fn line(&mut self) {
        match self.line.as_slice() {
            b"ready" => self.ready = true,
            b"end" => self.end = true,
            line => self.pid = self.pid.or(line.strip_prefix(b"pid ").and_then(pid)),
        }
    }
}

/// The id of a process that can be signalled alone: 0 and 1 are not.
fn pid(digits: &[u8]) -> Option<i32> {
    let digits = str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|&pid| pid > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule<'a> = (&'a str, (bool, Option<i32>, bool), &'a str);

    const RULES: &[Rule<'_>] = &[
        ("", (false, None, false), "nothing"),
        ("ready\n", (true, None, false), "loaded"),
        ("ready", (false, None, false), "unfinished"),
        ("pid 42\nend\n", (false, Some(42), true), "a process from its start to its end"),
        ("end\npid 42\n", (false, Some(42), true), "one that ended before the worker told its id"),
        ("pid 42\npid 43\n", (false, Some(42), false), "the first id counts"),
        ("pid 2147483647\n", (false, Some(i32::MAX), false), "the largest"),
        ("pid 2147483648\npid 0\npid 1\npid -5\npid +5\npid \npid 4 2\npid\n", (false, None, false), "no ids"),
        ("\n\nready \nend\r\nEND\nreadyready\n", (false, None, false), "other lines"),
        ("pid 000000000000000000000042\nend\n", (false, None, true), "a long line is skipped"),
        ("pid 0000000042\n", (false, Some(42), false), "with zeros"),
    ];

    #[test]
    fn lines_cut_at_every_byte() {
        for (text, (ready, pid, end), name) in RULES {
            for cut in 0..=text.len() {
                let mut told = Told::default();
                told.push(&text.as_bytes()[..cut]);
                told.push(&text.as_bytes()[cut..]);
                assert_eq!((told.ready, told.pid, told.end), (*ready, *pid, *end), "{name}, cut at {cut}");
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut told = Told::default();
        for _ in 0..100 {
            told.push(&[b'x'; 1000]);
        }
        assert!(told.line.len() <= LINE_MAX + 1);
        told.push(b"\nend\n");
        assert!(told.end);
    }
}
