//! Wakes: how a future, on this thread or another, asks the loop to look at it again.

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

/// The keys that were woken, and whether the loop must be roused from its sleep for them.
pub(crate) struct WakeQueue {
    keys: Mutex<Vec<Woken>>,
    /// Something was pushed or signalled since the loop last took it; spares the lock when nothing was.
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
            // The pipe behind it is gone or full: full means that the loop will wake anyway.
            log::debug!("cannot rouse the loop: {error}");
        }
    }

    /// Declares that the loop goes to sleep; true when it must not, because something was woken.
    pub(crate) fn about_to_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        self.pending.load(Ordering::SeqCst)
    }

    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Moves the woken keys into `into`; true when anything was woken or signalled.
    pub(crate) fn take(&self, into: &mut Vec<Woken>) -> bool {
        if !self.pending.swap(false, Ordering::SeqCst) {
            return false;
        }
        into.append(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        true
    }
}

/// The waker of a slot's tenant. The next tenant has it too, unless a clone of it is left somewhere.
pub(crate) struct SlotWaker {
    /// The slot. A [`Woken`] would take eight bytes more, which every connection would have.
    key: Key,
    /// The tenant's generation, in the place of the one in `key`.
    generation: AtomicU32,
    /// It is a task, else a connection.
    is_task: bool,
    /// The future is to be polled.
    woken: AtomicBool,
    /// The key is in the queue: once is enough, however often the future is woken.
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

    /// Makes it that of the slot's next tenant. Nobody else may hold a clone, who would wake the wrong one.
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

    /// Marks the slot's future to be polled by the caller's own loop, without a trip through the queue.
    pub(crate) fn set_woken(&self) {
        self.woken.store(true, Ordering::Release);
    }

    /// Whether the future is to be polled.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed)
    }

    /// Whether the future is to be polled; clears the mark.
    pub(crate) fn take_woken(&self) -> bool {
        // The load spares the locked instruction in the usual case of nobody waking.
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
