//! Processes: starting, signalling and reaping them, and the descriptors that they inherit.

use std::ffi::{CStr, c_char, c_int, c_short};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

pub use libc::{EAGAIN, EMFILE, ENFILE, ENOMEM, EPERM, SIGKILL, SIGTERM};

/// A child process that leads its own process group.
///
/// Its id is not reused until it is reaped, so signals reach it or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(libc::pid_t);

#[cfg(feature = "workers")]
impl Pid {
    /// The id of a process that is no child of this one, as others tell it.
    pub fn told(number: i32) -> Pid {
        Pid(number)
    }

    /// Kills this process alone. Does nothing if it does not exist.
    pub fn kill(self) {
        // SAFETY: kill(2) touches no memory.
        unsafe { libc::kill(self.0, SIGKILL) };
    }
}

/// What a new process starts with, besides its program.
pub struct Setup<'a> {
    /// `argv`, its first word included.
    pub args: &'a [&'a CStr],
    /// `NAME=value`, each ended by a NUL.
    pub environment: &'a [u8],
    pub folder: &'a CStr,
    /// The descriptor that it gets as [`HELD`].
    pub held: Option<BorrowedFd<'a>>,
    pub stdin: BorrowedFd<'a>,
    pub stdout: BorrowedFd<'a>,
    pub stderr: BorrowedFd<'a>,
}

/// The path by which a new process opens the descriptor that it got besides 0, 1 and 2.
pub const HELD: &CStr = c"/proc/self/fd/3";

/// Starts a program by posix_spawn(3), which does not copy the memory of this process.
///
/// The process leads a new group, has all signals at their default and none blocked, and inherits only descriptors that
/// are not close-on-exec. If the program can't be run, that is an error here.
pub fn spawn(program: &CStr, setup: &Setup<'_>) -> io::Result<Pid> {
    let actions = FileActions::new(setup)?;
    let attributes = Attributes::new()?;
    let args = pointers(setup.args.iter().copied());
    let environment = setup.environment.split_inclusive(|&byte| byte == 0);
    let environment = pointers(environment.filter_map(|entry| CStr::from_bytes_with_nul(entry).ok()));
    let mut pid = 0;
    // SAFETY: `program` ends in NUL; both lists end in a null pointer, and their strings, the actions and the
    // attributes outlive the call, which does not write to any of them.
    check(unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            args.as_ptr(),
            environment.as_ptr(),
        )
    })?;
    Ok(Pid(pid))
}

/// A list as execve(2) takes it. The strings are not written to: `mut` is a matter of C's headers.
fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*mut c_char> {
    strings.map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// What is done to descriptors and folder between the start and the program.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new(setup: &Setup<'_>) -> io::Result<FileActions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: `actions` has room for the struct.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: the call succeeded, so the struct is made.
        let mut actions = FileActions(unsafe { actions.assume_init() });
        let standard = [(setup.stdin, 0), (setup.stdout, 1), (setup.stderr, 2)];
        // The last, as its number may be that of one of the others here.
        for (fd, number) in standard.into_iter().chain(setup.held.map(|held| (held, 3))) {
            // SAFETY: the struct is made; the numbers are checked when they are used.
            check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut actions.0, fd.as_raw_fd(), number) })?;
        }
        // SAFETY: the struct is made, and the call copies the path, which ends in NUL.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut actions.0, setup.folder.as_ptr()) })?;
        Ok(actions)
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the struct was made by `new`, and nobody uses it any more.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// Group and signals of the new process.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Attributes> {
        const FLAGS: c_int = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        const { assert!(FLAGS <= 0x7fff) };
        let mut attributes = MaybeUninit::uninit();
        let mut signals = MaybeUninit::uninit();
        // SAFETY: `attributes` has room for the struct.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: the call succeeded, so the struct is made.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        // SAFETY: the struct is made, and the flags are those that the call knows.
        #[expect(clippy::cast_possible_truncation, reason = "checked above")]
        check(unsafe { libc::posix_spawnattr_setflags(&raw mut attributes.0, FLAGS as c_short) })?;
        // SAFETY: the struct is made; 0 asks for a new group.
        check(unsafe { libc::posix_spawnattr_setpgroup(&raw mut attributes.0, 0) })?;
        // SAFETY: `signals` has room for a set, and is filled before it is read.
        check(unsafe {
            libc::sigfillset(signals.as_mut_ptr());
            libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, signals.as_ptr())
        })?;
        // SAFETY: as above.
        check(unsafe {
            libc::sigemptyset(signals.as_mut_ptr());
            libc::posix_spawnattr_setsigmask(&raw mut attributes.0, signals.as_ptr())
        })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the struct was made by `new`, and nobody uses it any more.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// The functions of posix_spawn(3) return the error's number.
fn check(error: c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Sends a signal to all of the process's group.
pub fn kill_group(leader: Pid, signal: c_int) -> io::Result<()> {
    // SAFETY: kill(2) touches no memory.
    let done = unsafe { libc::kill(-leader.0, signal) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with any status; or it is unknown how.
    Exited,
    /// By this signal.
    Killed(c_int),
    /// Before it had done its work; it is unknown how.
    #[cfg(feature = "workers")]
    Failed,
}

/// Reaps the process if it has ended.
pub fn reap(pid: Pid) -> Option<Ended> {
    let mut status = 0;
    // SAFETY: `status` has room for the result.
    match unsafe { libc::waitpid(pid.0, &raw mut status, libc::WNOHANG) } {
        0 => None,
        // An error means that there is no such child: the kernel reaps it if SIGCHLD was ignored by the parent process.
        reaped if reaped > 0 && libc::WIFSIGNALED(status) => Some(Ended::Killed(libc::WTERMSIG(status))),
        _ => Some(Ended::Exited),
    }
}

/// Ignores signals that end a process by default, but that nobody sends to stop it.
///
/// Scripts still get all signals at their default, see [`spawn`].
pub fn ignore_stray_signals() {
    // SIGXFSZ: a log has reached the limit of a file's size. Then the write fails.
    const STRAY: [c_int; 8] = [
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGIO,
        libc::SIGPWR,
        libc::SIGXFSZ,
    ];
    for signal in STRAY.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
        // SAFETY: takes no pointers: SIG_IGN is a number. After an error the signal is not ignored.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// A descriptor that becomes readable when the process ends: pidfd_open(2), Linux 5.3.
pub fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call touches no memory. Its result is close-on-exec.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) };
    match c_int::try_from(fd) {
        // SAFETY: the kernel has just given this descriptor to us alone.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes our end of a pipe non-blocking; the other end is not affected.
pub fn set_nonblocking(pipe: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open. A pipe's only other flag, O_DIRECT, is not set.
    let done = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Marks all descriptors but 0, 1 and 2 as close-on-exec, so that children do not inherit those that this process was
/// started with. Descriptors opened later are close-on-exec from the start.
pub fn mark_inherited_descriptors() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: the call touches no memory and closes nothing.
    let done = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    // Linux before 5.11. Without /proc there is no other way.
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<c_int> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in numbers.into_iter().filter(|&fd| fd > 2) {
        // SAFETY: the call touches no memory. If the number was closed meanwhile, the call just fails.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, pipe};
    use std::os::fd::AsFd;

    fn output(program: &CStr, args: &[&CStr], environment: &[u8]) -> io::Result<String> {
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let (mut reader, writer) = pipe()?;
        let setup = Setup {
            args,
            environment,
            folder: c"/usr",
            held: None,
            stdin: null.as_fd(),
            stdout: writer.as_fd(),
            stderr: null.as_fd(),
        };
        let pid = spawn(program, &setup)?;
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        let pidfd = pidfd(pid)?;
        while reap(pid).is_none() {
            std::thread::yield_now();
        }
        assert!(reap(pid).is_some(), "a process that was reaped is no more");
        drop(pidfd);
        Ok(text)
    }

    #[test]
    fn a_process_gets_what_it_is_given() {
        let args = [c"name", c"-c", c"echo $0 $PWD $A-$B"];
        assert_eq!(output(c"/bin/sh", &args, b"A=1\0B=2\0").unwrap(), "name /usr 1-2\n");
        assert_eq!(output(c"/usr/bin/env", &[c"env"], b"A=1\0B=\xff").unwrap(), "A=1\n", "the rest is no entry");
    }

    /// Whatever number it has here, even that one: it is not closed then.
    #[test]
    fn a_held_program_is_run_by_its_descriptor() {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let program = File::open("/bin/echo").unwrap();
        for _ in 0..3 {
            let (mut reader, writer) = pipe().unwrap();
            let fds = (null.as_fd(), writer.as_fd());
            let setup = Setup {
                args: &[c"name", c"run"],
                environment: b"",
                folder: c"/",
                held: Some(program.as_fd()),
                stdin: fds.0,
                stdout: fds.1,
                stderr: fds.0,
            };
            let pid = spawn(HELD, &setup).unwrap();
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            while reap(pid).is_none() {
                std::thread::yield_now();
            }
            assert_eq!(text, "run\n");
        }
    }

    #[test]
    fn signals_are_at_their_default_and_the_group_is_new() {
        let text = output(c"/bin/cat", &[c"cat", c"/proc/self/status", c"/proc/self/stat"], b"").unwrap();
        for field in ["SigBlk", "SigIgn", "SigCgt"] {
            let line = text.lines().find(|line| line.starts_with(field)).unwrap();
            let signals = u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap();
            // 32 to 34 may be the C library's own.
            assert_eq!(signals & !(0b111 << 31), 0, "{line}");
        }
        let stat: Vec<&str> = text.lines().last().unwrap().split(' ').collect();
        assert_eq!(stat[0], stat[4], "it leads its group");
    }

    #[test]
    fn how_a_process_ends_is_told() {
        let null = File::open("/dev/null").unwrap();
        let (stdin, stdout, stderr) = (null.as_fd(), null.as_fd(), null.as_fd());
        for (command, ended) in
            [(c"exit 0", Ended::Exited), (c"exit 137", Ended::Exited), (c"kill -9 $$", Ended::Killed(SIGKILL))]
        {
            let args = [c"sh", c"-c", command];
            let pid = spawn(
                c"/bin/sh",
                &Setup { args: &args, environment: b"", folder: c"/", held: None, stdin, stdout, stderr },
            );
            let pid = pid.unwrap();
            let told = std::iter::from_fn(|| Some(reap(pid)).inspect(|_| std::thread::yield_now())).flatten().next();
            assert_eq!(told, Some(ended), "{command:?}");
        }
    }

    #[test]
    fn what_cannot_be_run_is_an_error() {
        for (program, error) in [(c"/no/such", libc::ENOENT), (c"/etc/passwd", libc::EACCES), (c"/usr", libc::EACCES)] {
            assert_eq!(output(program, &[program], b"").unwrap_err().raw_os_error(), Some(error), "{program:?}");
        }
    }
}
