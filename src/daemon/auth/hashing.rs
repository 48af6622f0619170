//! Hashing on a separate thread: crypt(3) may take seconds on a router, and the loop must serve others.

use crate::daemon::sys::thread;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Bytes of the thread's stack. musl's bcrypt and SHA-512 need a few KiB.
const STACK: usize = 128 << 10;

/// Runs `work` on a new thread and waits for its result. The number of threads is not bounded here.
///
/// # Errors
/// When the system can't start a thread.
pub async fn run<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> io::Result<R> {
    let done: Arc<Mutex<(Option<R>, Waker)>> = Arc::new(Mutex::new((None, Waker::noop().clone())));
    let shared = Arc::clone(&done);
    let work = move || {
        let result = work();
        let mut done = shared.lock().unwrap_or_else(PoisonError::into_inner);
        done.0 = Some(result);
        done.1.wake_by_ref();
    };
    thread::spawn(STACK, Box::new(work))?;
    let result = poll_fn(|cx| {
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.1.clone_from(cx.waker());
        done.0.take().map_or(Poll::Pending, Poll::Ready)
    });
    Ok(result.await)
}
