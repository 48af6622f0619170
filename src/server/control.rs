//! Controlling a server from other threads: stopping it, reloading its certificates.

use crate::rt::WakeQueue;
use std::fmt;
#[cfg(feature = "tls")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Controls a [`Server`](crate::Server) from another thread, a signal's watcher, or a handler.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Control>);

/// Commands for the loop.
pub(super) struct Control {
    /// The grace period of a stop that the loop has not seen yet.
    stop: Mutex<Option<Duration>>,
    /// The certificates must be reloaded.
    #[cfg(feature = "tls")]
    reload: AtomicBool,
    wakes: Arc<WakeQueue>,
}

impl Control {
    pub(super) fn new(wakes: Arc<WakeQueue>) -> Control {
        Control {
            stop: Mutex::default(),
            #[cfg(feature = "tls")]
            reload: AtomicBool::new(false),
            wakes,
        }
    }

    /// The grace period of a stop requested since the last call.
    pub(super) fn take_stop(&self) -> Option<Duration> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether a reload was requested since the last call.
    #[cfg(feature = "tls")]
    pub(super) fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::SeqCst)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    /// Stops the server: it accepts no more connections, closes idle ones, and gives requests in flight `grace` to finish.
    /// [`Server::run`](crate::Server::run) then returns `Ok`. A second call may shorten the grace.
    pub fn stop(&self, grace: Duration) {
        let mut stop = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner);
        *stop = Some(stop.map_or(grace, |earlier| earlier.min(grace)));
        drop(stop);
        self.0.wakes.rouse();
    }

    /// Reloads the certificates of TLS listeners for new connections; existing connections keep theirs.
    ///
    /// On failure the log names the faulty file, and the old certificates stay in use.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) {
        self.0.reload.store(true, Ordering::SeqCst);
        self.0.wakes.rouse();
    }
}
