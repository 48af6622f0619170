//! Sockets of packets that carry descriptors.

use super::process::set_nonblocking;
use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Descriptors that a packet carries, and their bytes.
pub const RIGHTS: usize = 4;
const LENGTH: libc::c_uint = 16;
const _: () = assert!(LENGTH as usize == RIGHTS * size_of::<c_int>());

/// Room for them and their header, which takes 12 or 16 bytes; aligned for it.
type Control = [u64; 8];

/// Two ends of a socket of packets: the first is ours and does not block. Both are close-on-exec.
pub fn packet_sockets() -> io::Result<(File, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two descriptors.
    if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given these descriptors to us alone.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    set_nonblocking(ours.as_fd())?;
    Ok((ours.into(), theirs))
}

/// Sends a packet and descriptors, which the receiver gets as its own (unix(7), `SCM_RIGHTS`).
pub fn send_packet(socket: BorrowedFd<'_>, bytes: &[u8], fds: [BorrowedFd<'_>; RIGHTS]) -> io::Result<()> {
    let mut control: Control = [0; 8];
    let mut iovec = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all fields may be zero. Some C libraries have private ones, so it can't be written out.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut iovec;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: this only calculates.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(LENGTH) } as _;
    // SAFETY: `control` has room for one header and its descriptors; sendmsg(2) only reads what `message` points to, which
    // lives as long as the call.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(LENGTH) as _;
        let data = libc::CMSG_DATA(header).cast::<c_int>();
        for (at, fd) in fds.iter().enumerate() {
            data.add(at).write_unaligned(fd.as_raw_fd());
        }
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, pipe};

    /// Receives a packet as the other side does.
    fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> (usize, Vec<OwnedFd>) {
        let mut control: Control = [0; 8];
        let mut iovec = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        // SAFETY: as above; recvmsg(2) writes only to `bytes` and `control`, and gives the descriptors to us alone.
        unsafe {
            let mut message: libc::msghdr = MaybeUninit::zeroed().assume_init();
            message.msg_iov = &raw mut iovec;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of::<Control>() as _;
            let length = libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0);
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            let data = libc::CMSG_DATA(header).cast::<c_int>();
            let fds = (0..RIGHTS).map(|at| OwnedFd::from_raw_fd(data.add(at).read_unaligned())).collect();
            (usize::try_from(length).unwrap(), fds)
        }
    }

    #[test]
    fn descriptors_arrive_with_their_packet() {
        let (ours, theirs) = packet_sockets().unwrap();
        let null: OwnedFd = File::open("/dev/null").unwrap().into();
        for text in ["first", "second"] {
            let (mut reader, writer) = pipe().unwrap();
            std::io::Write::write_all(&mut &writer, text.as_bytes()).unwrap();
            drop(writer);
            let fds = [reader.as_fd(), null.as_fd(), null.as_fd(), null.as_fd()];
            send_packet(ours.as_fd(), text.as_bytes(), fds).unwrap();
            reader = {
                let mut bytes = [0; 100];
                let (length, mut fds) = receive(theirs.as_fd(), &mut bytes);
                assert_eq!(&bytes[..length], text.as_bytes());
                fds.swap_remove(0).into()
            };
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
        drop(theirs);
        let fds = [null.as_fd(); RIGHTS];
        // A process that another test starts has copies of all descriptors until it runs its program.
        let ended = (0..1000).find_map(|_| {
            std::thread::yield_now();
            send_packet(ours.as_fd(), b"x", fds).err().filter(|error| error.kind() != io::ErrorKind::WouldBlock)
        });
        assert_eq!(ended.unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
