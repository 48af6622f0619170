//! The system's logger: datagrams to `/dev/log`.

use ecohttpd::syntax::http_date;
use log::Level;
use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where logd, busybox's syslogd and journald listen.
const PATH: &str = "/dev/log";

/// Most bytes of a message: the limit of RFC 3164 §4.1. OpenWrt's logd keeps 16 KiB in total.
pub const MAX_LINE: usize = 1024;

/// Messages of system daemons (RFC 3164 §4.1.1).
const FACILITY: u8 = 3 << 3;

/// A socket to the system's logger.
pub struct Syslog {
    path: &'static str,
    /// `None` if no descriptor was available; it is opened later.
    socket: Option<UnixDatagram>,
}

impl Syslog {
    pub fn new() -> Syslog {
        Syslog { path: PATH, socket: open().ok() }
    }

    /// Sends a message if the logger runs and has room.
    ///
    /// The path is resolved each time, so a restarted logger is found.
    pub fn send(&mut self, message: &[u8]) -> io::Result<usize> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open()?,
        };
        self.socket.insert(socket).send_to(message, self.path)
    }
}

fn open() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The header of a message, in the form of RFC 3164 and of musl's syslog(3): with the time in UTC, without a host.
///
/// Loggers use their own clock, but the time is required: logd removes it if the sixteenth byte after the priority is a
/// space, and without a time that may be in the middle of the text.
pub struct SyslogHeader {
    priority: u8,
    /// Unix seconds.
    time: u64,
    pid: u32,
}

impl SyslogHeader {
    pub fn now(level: Level) -> SyslogHeader {
        let severity = match level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        SyslogHeader { priority: FACILITY | severity, time, pid: std::process::id() }
    }
}

impl fmt::Display for SyslogHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Such as "Sun, 06 Nov 1994 08:49:37 GMT": RFC 3164 has a space in the place of a leading zero.
        let date = http_date(self.time);
        let part = |range| date.get(range).unwrap_or_default();
        let day = part(5..7).trim_start_matches('0');
        write!(f, "<{}>{} {day:>2} {} ecohttpd[{}]: ", self.priority, part(8..11), part(17..25), self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::super::outlet::{Outlet, OutletTarget};
    use super::*;

    #[test]
    fn the_prefix_is_that_of_rfc_3164() {
        for (time, expected) in [
            (0, "<30>Jan  1 00:00:00 ecohttpd[1234]: "),
            (784_111_777, "<30>Nov  6 08:49:37 ecohttpd[1234]: "),
            (951_782_399, "<30>Feb 28 23:59:59 ecohttpd[1234]: "),
            (951_782_400, "<30>Feb 29 00:00:00 ecohttpd[1234]: "),
            (951_868_800, "<30>Mar  1 00:00:00 ecohttpd[1234]: "),
            (1_798_761_599, "<30>Dec 31 23:59:59 ecohttpd[1234]: "),
            (1_798_761_600, "<30>Jan  1 00:00:00 ecohttpd[1234]: "),
            (4_107_542_400, "<30>Mar  1 00:00:00 ecohttpd[1234]: "),
            (4_107_542_399, "<30>Feb 28 23:59:59 ecohttpd[1234]: "),
        ] {
            let prefix = SyslogHeader { priority: FACILITY | 6, time, pid: 1234 }.to_string();
            assert_eq!(prefix, expected, "{time}");
        }
    }

    #[test]
    fn messages_reach_the_logger_again_when_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let path: &'static str = folder.path().join("log").to_str().unwrap().to_owned().leak();
        let mut log = Outlet::new(OutletTarget::Syslog(Syslog { path, socket: None }), true);
        let receive = |logger: &UnixDatagram| {
            logger.set_nonblocking(true).unwrap();
            let mut buffer = [0; 5000];
            let size = logger.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..size].to_vec()).unwrap()
        };
        log.write(Level::Error, format_args!("nobody hears this"));
        for round in 0..2 {
            let logger = UnixDatagram::bind(path).unwrap();
            log.write(Level::Error, format_args!("here\nagain"));
            let lost = receive(&logger);
            assert!(lost.starts_with("<28>") && lost.ends_with("]: lines lost from this log: 1\n"), "{round}: {lost}");
            let text = receive(&logger);
            let end = format!(" ecohttpd[{}]: here again\n", std::process::id());
            assert!(text.starts_with("<27>") && text.ends_with(&end), "{round}: {text}");
            log.write(Level::Info, format_args!("{}", "x".repeat(5000)));
            let text = receive(&logger);
            assert!(text.len() == MAX_LINE && text.ends_with("x...\n"), "{text}");
            drop(logger);
            // Its socket is there, without anybody behind it.
            log.write(Level::Error, format_args!("nobody hears this"));
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_logger_that_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path: &'static str = folder.path().join("log").to_str().unwrap().to_owned().leak();
        let mut syslog = Syslog { path, socket: None };
        let _logger = UnixDatagram::bind(path).unwrap();
        let error = (0..1_000_000).find_map(|_| syslog.send(&[b'x'; MAX_LINE]).err());
        assert_eq!(error.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
