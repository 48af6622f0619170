//! System calls that std lacks, so that tests need no programs for them.

#![allow(dead_code, clippy::unwrap_used, unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The signals that tests send, by the names that kill(1) has for them.
const SIGNALS: [(&str, libc::c_int); 18] = [
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
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("XFSZ", libc::SIGXFSZ),
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

/// A terminal: the end that a user sits at, which takes nothing until it is read, and the one that programs have.
pub fn terminal() -> (File, File) {
    let user = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx").unwrap();
    let (mut number, unlocked): (libc::c_uint, libc::c_int) = (0, 0);
    // SAFETY: both calls take a pointer to an int of their kind, which lives through the call.
    let done = unsafe {
        libc::ioctl(user.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked)
            | libc::ioctl(user.as_raw_fd(), libc::TIOCGPTN, &raw mut number)
    };
    assert_eq!(done, 0, "no terminal: {}", io::Error::last_os_error());
    let path = format!("/dev/pts/{number}");
    let program = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).unwrap();
    (user, program)
}

/// Has a program that is about to be started run as on Linux before 5.6, or in a sandbox of that time: openat2(2) is
/// unknown (`ENOSYS`), by a filter of seccomp(2).
pub fn without_openat2(command: &mut Command) {
    let statement =
        |code: u32, value: u32| libc::sock_filter { code: code.try_into().unwrap(), jt: 0, jf: 0, k: value };
    let openat2 = u32::try_from(libc::SYS_openat2).unwrap();
    let unless = libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, openat2) };
    let errno = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::ENOSYS).unwrap();
    let filter = [
        // The number of the call.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        unless,
        statement(libc::BPF_RET | libc::BPF_K, errno),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let apply = move || {
        let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
        // SAFETY: the calls read the program, which outlives them.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(apply) };
}
