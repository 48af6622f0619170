//! The access log: Apache's combined format, and the time taken in seconds.

use ecohttpd::Access;
use std::fmt::{self, Write as _};
use std::io::Write as _;

/// Prints the line of one exchange on standard output.
pub fn print(access: &Access<'_>) {
    // As with the diagnostics: a log that can't be written must not stop the server.
    let _ = writeln!(std::io::stdout(), "{}", Line(access));
}

struct Line<'a>(&'a Access<'a>);

impl fmt::Display for Line<'_> {
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
            write!(f, "\"{} {} HTTP/1.{}\"", Escaped(access.method), Escaped(access.target), access.minor_version)?;
        }
        write!(f, " {} {}", access.status, access.bytes)?;
        for field in [access.referer, access.user_agent] {
            write!(f, " \"{}\"", Escaped(field.unwrap_or("-")))?;
        }
        write!(f, " {}.{:03}", access.duration.as_secs(), access.duration.subsec_millis())
    }
}

/// A client's text, made so that it can neither end its quotes nor its line, nor speak to a terminal.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'"' | b'\\' | ..=0x1f | 0x7f.. => write!(f, "\\x{byte:02x}")?,
                _ => f.write_char(char::from(byte))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_in_its_quotes() {
        for (text, shown) in [
            ("/a?b", "/a?b"),
            ("\" 200 \"", "\\x22 200 \\x22"),
            ("a\nb\x1b[0m", "a\\x0ab\\x1b[0m"),
            ("é\\", "\\xc3\\xa9\\x5c"),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }
}
