//! System calls of a service: its process, its privileges, and writing without blocking.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// Forks; true in the child.
///
/// Only the calling thread continues in the child, and a lock that another thread held stays locked.
pub fn fork() -> io::Result<bool> {
    // SAFETY: takes no pointers. What is said above about other threads does not affect memory safety.
    match unsafe { libc::fork() } {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(true),
        _ => Ok(false),
    }
}

/// Ends the process at once: no destructor runs, nothing is flushed.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: takes no pointers and does not return.
    unsafe { libc::_exit(status) }
}

/// Makes the process the leader of a session without a terminal.
pub fn new_session() -> io::Result<()> {
    // SAFETY: takes no pointers.
    if unsafe { libc::setsid() } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets the permissions that new files do not get.
pub fn set_file_mask(mask: libc::mode_t) {
    // SAFETY: takes no pointers and cannot fail.
    unsafe { libc::umask(mask) };
}

/// Replaces one of the standard descriptors (0, 1 and 2) by a duplicate of `fd`.
pub fn replace_standard(standard: RawFd, fd: BorrowedFd<'_>) -> io::Result<()> {
    debug_assert!((0..=2).contains(&standard), "others have owners");
    // SAFETY: takes no pointers, and nobody owns the standard descriptors.
    done(unsafe { libc::dup2(fd.as_raw_fd(), standard) }.min(0))
}

/// Whether a write would not block: poll(2) with a timeout of zero.
pub fn is_writable(fd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: `poll` is one struct, as is said, and lives through the call.
    let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ready == 1 && poll.revents & libc::POLLOUT != 0
}

/// Writes with a single write(2), without std's buffer for the standard descriptors.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: `fd` is open, and the pointer and length are those of a slice.
    let written = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// The standard descriptor 1 or 2, without std's buffers and locks.
pub fn standard(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the standard descriptors are open as long as the process: they are replaced, but never closed. std opens
    // those that are missing at the start.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Writes a text to a standard descriptor, as far as its reader takes it.
pub fn print(number: RawFd, text: &str) {
    let mut rest = text.as_bytes();
    while let Ok(written @ 1..) = write(standard(number), rest) {
        rest = rest.get(written..).unwrap_or_default();
    }
}

/// Writes to a socket without blocking; `ENOTSOCK` for anything else.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    socket2::SockRef::from(&fd).send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
}

/// Opens a terminal or pipe a second time, non-blocking: other holders of `fd` are not affected.
///
/// # Errors
/// `Unsupported` for anything else (a file would be overwritten from its start); what open(2) returns.
pub fn reopen(fd: BorrowedFd<'_>) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let kind = std::fs::metadata(&path)?.file_type();
    if !kind.is_char_device() && !kind.is_fifo() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    File::options().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// The effective user and group.
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: both take no pointers and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Sets the supplementary groups.
pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the pointer and count are those of a slice, and a gid_t is a u32.
    done(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })
}

/// Sets the group; as root also the real and the saved one.
pub fn set_group(id: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::setgid(id) })
}

/// Sets the user; as root also the real and the saved one.
pub fn set_user(id: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::setuid(id) })
}

fn done(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
