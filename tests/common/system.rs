//! System calls that std lacks, so that tests need no programs for them.

#![allow(dead_code, clippy::unwrap_used, unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The signals that tests send, by the names that kill(1) has for them.
const SIGNALS: [(&str, libc::c_int); 13] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("WINCH", libc::SIGWINCH),
    ("CHLD", libc::SIGCHLD),
];

/// Sends a signal to one process.
#[track_caller]
pub fn signal(pid: u32, name: &str) -> io::Result<()> {
    let (_, number) = SIGNALS.iter().find(|(known, _)| *known == name).expect("a signal of the table");
    let pid = libc::pid_t::try_from(pid).unwrap();
    assert!(pid > 0, "0 is the whole group");
    // SAFETY: takes two numbers and touches no memory.
    match unsafe { libc::kill(pid, *number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes a FIFO that all may use.
#[track_caller]
pub fn mkfifo(path: impl AsRef<Path>) {
    let path = CString::new(path.as_ref().as_os_str().as_bytes()).unwrap();
    // SAFETY: `path` ends in NUL, and the call only reads it.
    let done = unsafe { libc::mkfifo(path.as_ptr(), 0o666) };
    assert_eq!(done, 0, "mkfifo {path:?}: {}", io::Error::last_os_error());
}
