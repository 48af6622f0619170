//! A line of the access log for a person at a terminal: `08:49:37 200 GET /photos/  2.2 KiB  3 ms  192.168.1.20`.

use super::outlet::{RED, YELLOW};
use crate::daemon::escape::Quoted;
use crate::daemon::sys::clock::time_of_day;
use ecohttpd::Access;
use std::fmt;
use std::time::Duration;

const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";

/// The colour of a status.
pub fn colour(status: u16) -> &'static str {
    match status {
        200..300 => GREEN,
        300..400 => CYAN,
        400..500 => YELLOW,
        500.. => RED,
        _ => "",
    }
}

/// The local time, and the status.
pub struct Moment {
    time: (i32, i32, i32),
    status: u16,
}

impl Moment {
    pub fn now(status: u16) -> Moment {
        Moment { time: time_of_day(), status }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.time;
        write!(f, "{hour:02}:{minute:02}:{second:02} {}", self.status)
    }
}

/// The rest of the line.
pub struct TerminalLine<'a>(pub &'a Access<'a>);

impl fmt::Display for TerminalLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = self.0;
        if access.method.is_empty() {
            f.write_str("(no request)")?;
        } else {
            write!(f, "{} {}", Quoted(access.method), Quoted(access.target))?;
        }
        write!(f, "  {}  {}  ", Bytes(access.bytes), Took(access.duration))?;
        match access.peer.ip() {
            Some(ip) => write!(f, "{}", ip.to_canonical()),
            None => f.write_str("unix"),
        }
    }
}

/// A number of bytes, rounded.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut whole, mut rest, mut unit) = (self.0, 0, "B");
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            if whole >= 1024 {
                (whole, rest, unit) = (whole / 1024, whole % 1024, next);
            }
        }
        if self.0 < 1024 { write!(f, "{whole} B") } else { write!(f, "{whole}.{} {unit}", rest * 10 / 1024) }
    }
}

/// A time, in milliseconds or seconds.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds => write!(f, "{seconds}.{} s", self.0.subsec_millis() / 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people() {
        #[rustfmt::skip]
        let rows = [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2300, "2.2 KiB"), (5 << 30, "5.0 GiB"), (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, want) in rows {
            assert_eq!(Bytes(bytes).to_string(), want);
        }
        for (millis, want) in [(0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (61_960, "61.9 s")] {
            assert_eq!(Took(Duration::from_millis(millis)).to_string(), want);
        }
        assert_eq!(Moment { time: (8, 5, 0), status: 404 }.to_string(), "08:05:00 404");
    }
}
