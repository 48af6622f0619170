//! Detached threads. std's would take 15 KB more on MIPS, for names, results and stack guards.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// What a thread runs.
pub type Work = Box<dyn FnOnce() + Send>;

/// Runs `work` on a new thread with that many bytes of stack. A panic in it ends the process.
///
/// # Errors
/// When the system can't start another thread, or the stack is too small.
pub fn spawn(stack: usize, work: Work) -> io::Result<()> {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: `attributes` has room for the struct.
    check(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the struct is made.
    let mut attributes = unsafe { attributes.assume_init() };
    // The pointer to the box, which has two words itself.
    let work = Box::into_raw(Box::new(work));
    let mut thread = MaybeUninit::uninit();
    // SAFETY: the struct is made, and the new thread is the only one to own `work` if it starts.
    let started = unsafe {
        check(libc::pthread_attr_setstacksize(&raw mut attributes, stack))
            .and_then(|()| check(libc::pthread_attr_setdetachstate(&raw mut attributes, libc::PTHREAD_CREATE_DETACHED)))
            .and_then(|()| {
                check(libc::pthread_create(thread.as_mut_ptr(), &raw const attributes, run, work.cast::<c_void>()))
            })
    };
    // SAFETY: the struct is made, and nobody uses it any more.
    unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
    if started.is_err() {
        // SAFETY: no thread was started, so `work` is still ours.
        drop(unsafe { Box::from_raw(work) });
    }
    started
}

extern "C" fn run(work: *mut c_void) -> *mut c_void {
    // SAFETY: `spawn` made the pointer of a box of this type and left it to this thread.
    let work = unsafe { Box::from_raw(work.cast::<Work>()) };
    work();
    ptr::null_mut()
}

fn check(error: i32) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_thread_does_its_work() {
        let (done, is_done) = channel();
        spawn(128 << 10, Box::new(move || done.send(7).unwrap())).unwrap();
        assert_eq!(is_done.recv_timeout(Duration::from_secs(20)), Ok(7));
    }

    #[test]
    fn what_cannot_be_started_is_dropped() {
        let (kept, is_dropped) = channel::<()>();
        let work = Box::new(move || drop(kept));
        assert_eq!(spawn(1, work).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(is_dropped.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected));
    }
}
