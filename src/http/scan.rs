//! Finds the end of a head incrementally, and fails as early as possible.
//!
//! The parser starts over on every call, so it runs only once, on a complete head. The scanner looks at each byte once,
//! however slowly the bytes arrive.

use super::headers::{is_tchar, line_feeds, lowest};
use super::limits::{HeadLimits, REQUEST_LINE_ROOM};
use super::reject::Reject;

/// Searches for the end of a head. Once found, the scanner is ready for the next head.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    /// Everything before this position was scanned.
    at: u32,
    /// Whether the request line's end was seen.
    lined: bool,
}

impl Scanner {
    /// Whether nothing of a head was scanned yet.
    pub fn is_fresh(self) -> bool {
        self.at == 0 && !self.lined
    }

    /// Scans new bytes. `Some(n)` means that the head is `bytes[..n]`.
    ///
    /// `bytes` is everything since the end of the previous request: it grows from call to call. The head includes its
    /// final empty line, and an optional one before the request line (RFC 9112 §2.2). The result does not depend on how
    /// the bytes were split.
    pub fn find(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Reject> {
        let Some(start) = first_line(bytes)? else {
            return Ok(None);
        };
        let mut at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let (words, tail) = bytes.get(at..).unwrap_or_default().as_chunks::<8>();
        for word in words {
            let mut hits = line_feeds(*word);
            while hits != 0 {
                if self.line_end(bytes, at + lowest(hits), start, limits)? {
                    return Ok(self.found(at + lowest(hits)));
                }
                hits &= hits - 1;
            }
            at += 8;
        }
        for &byte in tail {
            if byte == b'\n' && self.line_end(bytes, at, start, limits)? {
                return Ok(self.found(at));
            }
            at += 1;
        }
        self.check_length(at, start, limits)?;
        self.at = u32::try_from(at).unwrap_or(u32::MAX);
        Ok(None)
    }

    /// Checks the line that ends with the LF at `lf`; true if it is the empty line after the fields.
    fn line_end(&mut self, bytes: &[u8], lf: usize, start: usize, limits: &HeadLimits) -> Result<bool, Reject> {
        self.check_length(lf + 1, start, limits)?;
        let (before, _) = bytes.split_at_checked(lf).unwrap_or_default();
        let [.., last_of_line, b'\r'] = before else {
            // `first_line` has checked the CR of an empty line before the request line.
            return if lf < start { Ok(false) } else { Err(Reject::bad("bare LF in the head")) };
        };
        let end = *last_of_line == b'\n' && self.lined;
        self.lined = true;
        Ok(end)
    }

    /// Refuses a head if its first `len` bytes already exceed a limit.
    fn check_length(&self, len: usize, start: usize, limits: &HeadLimits) -> Result<(), Reject> {
        let line = start + limits.target + REQUEST_LINE_ROOM;
        if !self.lined && line <= limits.head && len > line {
            return Err(Reject::close(414, "request line too long"));
        }
        if len > limits.head {
            return Err(Reject::close(431, "head too long"));
        }
        Ok(())
    }

    /// Resets for the next head.
    fn found(&mut self, lf: usize) -> Option<usize> {
        *self = Self::default();
        Some(lf + 1)
    }
}

/// Where the request line starts, once that is known. Refuses a byte that can't start one.
fn first_line(bytes: &[u8]) -> Result<Option<usize>, Reject> {
    let (start, first) = match bytes {
        [] | [b'\r'] | [b'\r', b'\n'] => return Ok(None),
        [b'\r', b'\n', first, ..] => (2, first),
        [first, ..] => (0, first),
    };
    if is_tchar(*first) { Ok(Some(start)) } else { Err(Reject::bad("request does not start with a method")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { head: 160, target: 10, fields: 8 };

    type Verdict = Result<Option<usize>, u16>;

    fn whole(bytes: &[u8]) -> Verdict {
        Scanner::default().find(bytes, &LIMITS).map_err(|reject| reject.status)
    }

    /// The verdict when the bytes come one at a time.
    fn trickled(bytes: &[u8]) -> Verdict {
        let mut scanner = Scanner::default();
        for end in 0..=bytes.len() {
            match scanner.find(&bytes[..end], &LIMITS) {
                Ok(None) => {}
                Ok(Some(n)) => return Ok(Some(n)),
                Err(reject) => return Err(reject.status),
            }
        }
        Ok(None)
    }

    #[test]
    fn rules() {
        let line_max = LIMITS.target + REQUEST_LINE_ROOM;
        let long_line = |len: usize| format!("{}\r\n\r\n", "G".repeat(len - 2));
        let long_head = |len: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(len - 23));
        #[rustfmt::skip]
        let rows: Vec<(String, Verdict, &str)> = vec![
            ("".into(), Ok(None), "nothing"),
            ("G".into(), Ok(None), "one byte"),
            ("\r".into(), Ok(None), "half an empty line"),
            ("\r\n".into(), Ok(None), "an empty line"),
            ("GET / HTTP/1.1\r\n\r\n".into(), Ok(Some(18)), "no fields"),
            ("\r\nGET / HTTP/1.1\r\n\r\n".into(), Ok(Some(20)), "one leading empty line"),
            ("GET / HTTP/1.1\r\nA: b\r\n\r\nbody".into(), Ok(Some(24)), "a body behind"),
            ("GET /\r\n\r\nGET /\r\n\r\n".into(), Ok(Some(9)), "pipelined"),
            ("GET / HTTP/1.1\r\nA: b\r\n\r".into(), Ok(None), "last LF missing"),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n".into(), Err(400), "two leading empty lines"),
            ("\r\n\r".into(), Err(400), "two leading empty lines, early"),
            ("\nGET / HTTP/1.1\r\n\r\n".into(), Err(400), "leading bare LF"),
            ("\rGET".into(), Err(400), "leading bare CR"),
            ("GET / HTTP/1.1\n".into(), Err(400), "bare LF after the request line"),
            ("GET / HTTP/1.1\r\nA: b\n".into(), Err(400), "bare LF after a field"),
            ("GET / HTTP/1.1\r\nA: b\n\r\n".into(), Err(400), "bare LF before the end"),
            ("GET / HTTP/1.1\r\n\n".into(), Err(400), "bare LF as the end"),
            ("GET / HTTP/1.1\r\nA: b\r\n\n".into(), Err(400), "bare LF as the end of fields"),
            (" GET".into(), Err(400), "leading space"),
            ("\u{16}\u{3}\u{1}".into(), Err(400), "a TLS hello"),
            ("\r\n\u{16}".into(), Err(400), "binary after an empty line"),
            (long_line(line_max), Ok(Some(line_max + 2)), "request line at the limit"),
            (long_line(line_max + 1), Err(414), "request line over the limit"),
            ("G".repeat(line_max + 1), Err(414), "request line without end"),
            (format!("\r\n{}", "G".repeat(line_max)), Ok(None), "the empty line is not counted"),
            (long_head(LIMITS.head), Ok(Some(LIMITS.head)), "head at the limit"),
            (long_head(LIMITS.head + 1), Err(431), "head over the limit"),
            (long_head(LIMITS.head + 9)[..LIMITS.head + 1].into(), Err(431), "head without end"),
        ];
        for (input, verdict, name) in rows {
            assert_eq!(whole(input.as_bytes()), verdict, "{name}, whole");
            assert_eq!(trickled(input.as_bytes()), verdict, "{name}, byte by byte");
        }
    }

    #[test]
    fn a_small_head_limit_wins_over_the_line() {
        let limits = HeadLimits { head: 20, ..LIMITS };
        let verdict = Scanner::default().find(&[b'G'; 21], &limits);
        assert_eq!(verdict.map_err(|reject| reject.status), Err(431));
    }

    #[test]
    fn a_scanner_is_eight_bytes() {
        assert_eq!(size_of::<Scanner>(), 8);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            pieces in proptest::collection::vec(
                prop_oneof![Just("\r\n"), Just("\n"), Just("\r"), Just("GET / HTTP/1.1"), Just("A: b"), Just("\r\n\r\n")],
                0..9,
            )
        ) {
            let bytes = pieces.concat();
            prop_assert_eq!(whole(bytes.as_bytes()), trickled(bytes.as_bytes()));
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(whole(&bytes), trickled(&bytes));
        }
    }
}
