//! Wakes: how a future, on this thread or another, asks the loop to poll it again.

use super::slots::Key;
use mio::Waker;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;

/// What a wake points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Conn(Key),
    Task(Key),
}

/// The keys that were woken, and whether the loop sleeps and must be interrupted.
pub(crate) struct WakeQueue {
    keys: Mutex<Vec<Woken>>,
    /// Something was pushed or signalled since the loop last looked. Saves the lock otherwise.
    pending: AtomicBool,
    /// The loop is in `poll`, or about to be: a push must interrupt it.
    sleeping: AtomicBool,
    waker: Waker,
}

impl WakeQueue {
    pub(crate) fn new(waker: Waker) -> Self {
        WakeQueue { keys: Mutex::default(), pending: AtomicBool::new(false), sleeping: AtomicBool::new(false), waker }
    }

    fn push(&self, key: Woken) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        self.rouse();
    }

    /// Makes the loop run a tick soon, from any thread.
    pub(crate) fn rouse(&self) {
        self.pending.store(true, Ordering::SeqCst);
        if self.sleeping.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            // The pipe behind it is gone or full; if it is full, the loop wakes anyway.
            log::debug!("cannot wake the loop: {error}");
        }
    }

    /// Declares that the loop is going to sleep. True if it must not, because something was woken.
    pub(crate) fn about_to_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        self.pending.load(Ordering::SeqCst)
    }

    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Moves the woken keys into `into`. True if anything was woken or signalled.
    pub(crate) fn take(&self, into: &mut Vec<Woken>) -> bool {
        if !self.pending.swap(false, Ordering::SeqCst) {
            return false;
        }
        into.append(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        true
    }
}

/// The waker of a slot's tenant. The next tenant reuses it, unless a clone of it is left somewhere.
pub(crate) struct SlotWaker {
    /// The slot. A [`Woken`] would cost every connection eight bytes more.
    key: Key,
    /// The tenant's generation, which replaces the one in `key`.
    generation: AtomicU32,
    /// Whether it is a task or a connection.
    is_task: bool,
    /// The future must be polled.
    woken: AtomicBool,
    /// The key is in the queue. Once is enough, however often the future is woken.
    queued: AtomicBool,
    queue: Arc<WakeQueue>,
}

impl SlotWaker {
    pub(crate) fn new(target: Woken, queue: &Arc<WakeQueue>) -> Arc<SlotWaker> {
        let (Woken::Conn(key) | Woken::Task(key)) = target;
        Arc::new(SlotWaker {
            key,
            generation: AtomicU32::new(key.generation()),
            is_task: matches!(target, Woken::Task(_)),
            woken: AtomicBool::new(false),
            queued: AtomicBool::new(false),
            queue: Arc::clone(queue),
        })
    }

    /// Passes it to the slot's next tenant. No clone may be left: it would wake the wrong tenant.
    pub(crate) fn renew(&self, generation: u32) {
        self.generation.store(generation, Ordering::Relaxed);
        self.woken.store(false, Ordering::Relaxed);
        self.queued.store(false, Ordering::Relaxed);
    }

    fn target(&self) -> Woken {
        let key = self.key.with_generation(self.generation.load(Ordering::Relaxed));
        if self.is_task { Woken::Task(key) } else { Woken::Conn(key) }
    }

    /// The key was taken from the queue.
    pub(crate) fn taken(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// Marks the future as woken without going through the queue, for a caller that polls it at once.
    pub(crate) fn set_woken(&self) {
        self.woken.store(true, Ordering::Release);
    }

    /// Whether the future must be polled.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed)
    }

    /// Whether the future must be polled; clears the mark.
    pub(crate) fn take_woken(&self) -> bool {
        // The load saves the locked instruction in the usual case that nothing was woken.
        self.woken.load(Ordering::Relaxed) && self.woken.swap(false, Ordering::AcqRel)
    }
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.queue.push(self.target());
        }
    }
}
