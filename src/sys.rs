//! The only unsafe code: system calls that neither std nor socket2 offers, one a function.
#![allow(unsafe_code)]

/// The numbers of errors and flags that the rest of the crate names.
pub(crate) use libc::{
    EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR, ELOOP, EMFILE, ENAMETOOLONG,
    ENETDOWN, ENETUNREACH, ENFILE, ENOMEM, ENONET, ENOPROTOOPT, ENOSYS, EOPNOTSUPP, EPERM, EPROTO, EXDEV, MSG_MORE,
    MSG_NOSIGNAL, O_DIRECTORY, O_NOCTTY, O_NONBLOCK, O_PATH,
};

#[cfg(feature = "client")]
pub(crate) use libc::EINPROGRESS;

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What stat(2) tells of a file; equal values mean that nothing about it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) dev: (u32, u32),
    pub(crate) ino: u64,
    pub(crate) mode: u16,
    pub(crate) size: u64,
    /// Last change of the content: Unix seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Last change of content or inode; unlike `mtime` nobody can set it.
    pub(crate) ctime: (i64, u32),
}

impl Stat {
    pub(crate) fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    fn kind(&self) -> libc::mode_t {
        libc::mode_t::from(self.mode) & libc::S_IFMT
    }
}

/// Looks at `path` below `dir`, following symbolic links. An empty path means `dir` itself.
pub(crate) fn stat_at(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<Stat> {
    let mut buffer = MaybeUninit::<libc::statx>::uninit();
    let mask = libc::STATX_TYPE
        | libc::STATX_MODE
        | libc::STATX_INO
        | libc::STATX_SIZE
        | libc::STATX_MTIME
        | libc::STATX_CTIME;
    // SAFETY: `path` ends in NUL, `dir` is open, and `buffer` has room for a whole struct statx.
    let done = unsafe { libc::statx(dir.as_raw_fd(), path.as_ptr(), libc::AT_EMPTY_PATH, mask, buffer.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the kernel filled the struct.
    let stat = unsafe { buffer.assume_init() };
    Ok(Stat {
        dev: (stat.stx_dev_major, stat.stx_dev_minor),
        ino: stat.stx_ino,
        mode: stat.stx_mode,
        size: stat.stx_size,
        mtime: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
        ctime: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
    })
}

/// To open for reading, without blocking on a FIFO or making a terminal ours.
pub(crate) const READ: i32 = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_LARGEFILE;

/// To name a file without opening what it is.
pub(crate) const NAME: i32 = libc::O_PATH | libc::O_CLOEXEC;

/// Opens `path` with every step, symbolic links included, beneath `dir`: openat2(2), Linux 5.6.
///
/// `ENOSYS` on older kernels; `EXDEV` when a step leaves `dir`; `EAGAIN` when a rename somewhere left that in doubt.
pub(crate) fn open_beneath(dir: BorrowedFd<'_>, path: &CStr, flags: i32) -> io::Result<File> {
    // SAFETY: open_how is plain integers; the kernel wants its unused fields zero.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = u64::from(flags.unsigned_abs());
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: `path` ends in NUL, `dir` is open, `how` lives through the call and its true size is given.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &raw const how, size_of::<libc::open_how>())
    };
    i32::try_from(fd).map_or_else(|_| Err(io::ErrorKind::Other.into()), own).map(File::from)
}

/// Opens `path` below `dir`, following symbolic links wherever they lead.
pub(crate) fn open_at(dir: BorrowedFd<'_>, path: &CStr, flags: i32) -> io::Result<File> {
    // SAFETY: `path` ends in NUL and `dir` is open.
    own(unsafe { libc::openat(dir.as_raw_fd(), path.as_ptr(), flags) }).map(File::from)
}

/// The number of the file system that an open file is on, as statfs(2) tells it.
pub(crate) fn file_system(file: BorrowedFd<'_>) -> io::Result<u32> {
    #[cfg(target_env = "musl")]
    use libc::{fstatfs, statfs};
    #[cfg(not(target_env = "musl"))]
    use libc::{fstatfs64 as fstatfs, statfs64 as statfs};
    let mut buffer = MaybeUninit::<statfs>::uninit();
    // SAFETY: `file` is open and `buffer` has room for the struct.
    if unsafe { fstatfs(file.as_raw_fd(), buffer.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the struct is filled.
    let buffer = unsafe { buffer.assume_init() };
    // Numbers of 32 bits, in a field that has a sign here and there.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = buffer.f_type as u32;
    Ok(number)
}

/// Whether a folder that is open for reading ignores case (`chattr +F`); false where that is not known.
pub(crate) fn folds_case(dir: BorrowedFd<'_>) -> bool {
    /// `FS_CASEFOLD_FL`.
    const FOLDS_CASE: libc::c_int = 0x4000_0000;
    // The request's number tells of a long; file systems write an int.
    let mut flags: [libc::c_int; 2] = [0; 2];
    // SAFETY: there is room for either where the pointer leads.
    let done = unsafe { libc::ioctl(dir.as_raw_fd(), libc::FS_IOC_GETFLAGS, flags.as_mut_ptr()) };
    done == 0 && flags[0] & FOLDS_CASE != 0
}

fn own(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends up to `count` bytes of `file` from `offset` to `socket`: sendfile(2) with a 64-bit offset.
pub(crate) fn send_file(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: u64, count: usize) -> io::Result<usize> {
    let Ok(mut offset) = i64::try_from(offset) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    #[cfg(target_env = "musl")]
    use libc::sendfile;
    #[cfg(not(target_env = "musl"))]
    use libc::sendfile64 as sendfile;
    // SAFETY: both descriptors are open and `offset` lives through the call.
    let sent = unsafe { sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut offset, count) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Makes an epoll instance report `data` while `socket` is readable (level-triggered); `readable` false stops it.
pub(crate) fn epoll_set(
    epoll: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    is_new: bool,
    readable: bool,
    data: u64,
) -> io::Result<()> {
    let operation = if is_new { libc::EPOLL_CTL_ADD } else { libc::EPOLL_CTL_MOD };
    let events = if readable { libc::EPOLLIN.cast_unsigned() } else { 0 };
    let mut event = libc::epoll_event { events, u64: data };
    // SAFETY: both descriptors are open and `event` lives through the call.
    let done = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, socket.as_raw_fd(), &raw mut event) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets the queue of TCP Fast Open requests on a listening socket.
pub(crate) fn set_tcp_fastopen(socket: BorrowedFd<'_>, queue: i32) -> io::Result<()> {
    set_tcp_option(socket, libc::TCP_FASTOPEN, queue)
}

/// Makes a listening socket keep connections back until the client has sent something, or for this many seconds.
pub(crate) fn set_tcp_defer_accept(socket: BorrowedFd<'_>, seconds: i32) -> io::Result<()> {
    set_tcp_option(socket, libc::TCP_DEFER_ACCEPT, seconds)
}

fn set_tcp_option(socket: BorrowedFd<'_>, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    const SIZE: libc::socklen_t = 4;
    const { assert!(size_of::<libc::c_int>() == SIZE as usize) };
    let value = (&raw const value).cast();
    // SAFETY: the option's value is an int, given with its size.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, option, value, SIZE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets a connected socket speak TLS by the kernel, once it has keys: `TCP_ULP`. `ENOENT` if the kernel can't.
#[cfg(feature = "ktls")]
pub(crate) fn set_tcp_tls(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls")
}

/// Gives the kernel's TLS the key for sending: a `struct tls12_crypto_info_…` of linux/tls.h.
#[cfg(feature = "ktls")]
pub(crate) fn set_tls_keys(socket: BorrowedFd<'_>, info: &[u8]) -> io::Result<()> {
    set_option(socket, libc::SOL_TLS, libc::TLS_TX, info)
}

#[cfg(feature = "ktls")]
fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    let size = libc::socklen_t::try_from(value.len()).unwrap_or_default();
    // SAFETY: the value is given with its size.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a record of TLS that is no data, which the kernel encrypts: `kind` is its type.
#[cfg(feature = "ktls")]
pub(crate) fn send_tls_record(socket: BorrowedFd<'_>, kind: u8, payload: &[u8]) -> io::Result<usize> {
    #[repr(C)]
    struct Control {
        head: libc::cmsghdr,
        kind: [u8; size_of::<usize>()],
    }
    const _: () = assert!(size_of::<Control>() == size_of::<libc::cmsghdr>() + size_of::<usize>());
    // SAFETY: plain integers and pointers, for which zero is a value.
    let (mut control, mut message): (Control, libc::msghdr) = unsafe { std::mem::zeroed() };
    let mut part = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    control.head.cmsg_level = libc::SOL_TLS;
    control.head.cmsg_type = libc::TLS_SET_RECORD_TYPE;
    // SAFETY: it only computes.
    control.head.cmsg_len = unsafe { libc::CMSG_LEN(1) } as _;
    control.kind[0] = kind;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: all that `message` leads to lives through the call, and its sizes are given.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Bytes written to a socket that its peer has not acknowledged: `SIOCOUTQ`.
pub(crate) fn queued_bytes(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int to where the pointer leads.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(count.unsigned_abs())
}

/// The index of a network interface, for scoped IPv6 addresses.
pub(crate) fn interface_index(name: &CStr) -> io::Result<u32> {
    // SAFETY: `name` ends in NUL.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Lets this process open `wanted` descriptors if the hard limit allows; returns how many it may.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> io::Result<u64> {
    let mut limit = MaybeUninit::<libc::rlimit64>::uninit();
    // SAFETY: `limit` has room for the struct.
    if unsafe { libc::getrlimit64(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the struct is filled.
    let mut limit = unsafe { limit.assume_init() };
    if limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = wanted.min(limit.rlim_max);
        // SAFETY: `limit` is a valid struct that lives through the call.
        if unsafe { libc::setrlimit64(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}
