//! What futures need from the loop, and how they find it.

use super::lag::Lag;
use super::reactor::Reactor;
use super::slots::Key;
use super::tasks::{Boxed, Tasks};
use super::timers::{Timers, deadline, millis};
use super::wake::WakeQueue;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// What futures need from the loop.
pub(crate) struct Runtime {
    pub(crate) reactor: Reactor,
    pub(crate) timers: RefCell<Timers>,
    pub(super) tasks: Tasks,
    pub(crate) wakes: Arc<WakeQueue>,
    start: Instant,
    now: Cell<u64>,
    /// Not zero. It may wrap: nothing keeps one for long.
    moment: Cell<u32>,
    /// How often the loop has waited for events. It wraps.
    turn: Cell<u32>,
    /// The turns so far.
    pub(crate) lag: Lag,
}

impl Runtime {
    pub(crate) fn new() -> io::Result<Rc<Runtime>> {
        let reactor = Reactor::new()?;
        let wakes = Arc::new(WakeQueue::new(reactor.waker()?));
        Ok(Rc::new(Runtime {
            reactor,
            timers: RefCell::default(),
            tasks: Tasks::default(),
            wakes,
            start: Instant::now(),
            now: Cell::new(0),
            moment: Cell::new(1),
            turn: Cell::new(0),
            lag: Lag::default(),
        }))
    }

    /// The runtime whose loop runs on this thread.
    ///
    /// # Panics
    /// Outside of a handler or task: there is no loop that could resume the caller.
    pub(crate) fn current() -> Rc<Runtime> {
        CURRENT.with_borrow(|current| match current {
            Some(runtime) => Rc::clone(runtime),
            None => panic!("ecohttpd: called outside of a running server's handler or task"),
        })
    }

    /// Makes this the thread's runtime until the guard is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        Entered(CURRENT.replace(Some(Rc::clone(self))))
    }

    /// Runs `future` beside the connections. Returns its key, unless there are too many.
    pub(crate) fn spawn(&self, future: Boxed) -> Option<Key> {
        self.tasks.spawn(future, &self.wakes)
    }

    /// Polls one task if it was woken.
    pub(crate) fn run_task(&self, key: Key) {
        self.tasks.run(key);
    }

    /// Drops all tasks, when the loop ends.
    pub(crate) fn drop_tasks(&self) {
        self.tasks.drop_all();
    }

    /// The time of this tick, in milliseconds since the loop was made. Read once a tick.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// The number of this moment. Files are assumed not to change within one.
    pub(crate) fn moment(&self) -> u32 {
        self.moment.get()
    }

    /// Begins another moment: files may have changed.
    pub(crate) fn next_moment(&self) {
        self.moment.set(self.moment.get().wrapping_add(1).max(1));
    }

    /// A number that changes each time the loop waits for events. What had happened before is known then, unless more
    /// descriptors were ready than one wait reports.
    #[cfg(feature = "client")]
    pub(crate) fn turn(&self) -> u32 {
        self.turn.get()
    }

    pub(crate) fn read_clock(&self) {
        self.now.set(millis(self.start.elapsed()));
    }

    #[cfg(test)]
    pub(crate) fn set_clock(&self, now: u64) {
        self.now.set(now);
    }

    /// The tick's time plus `after`, rounded up so that no timer fires early.
    pub(crate) fn deadline(&self, after: Duration) -> u64 {
        deadline(self.now.get(), after)
    }

    /// The current time plus `after`, rounded up. The tick's time may be old when a handler has worked for long.
    pub(crate) fn deadline_from_now(&self, after: Duration) -> u64 {
        let now = self.start.elapsed();
        deadline(millis(now).saturating_add(1), after)
    }

    /// How long the loop may sleep without an event; `None` means forever. From now on, a wake interrupts it.
    pub(crate) fn idle_time(&self, ready: bool) -> Option<Duration> {
        if ready || self.wakes.about_to_sleep() {
            return Some(Duration::ZERO);
        }
        // Handlers have used up time since the tick began.
        self.read_clock();
        self.lag.end_turn(self.now.get());
        let next = self.timers.borrow().next();
        next.map(|when| Duration::from_millis(when.saturating_sub(self.now.get())))
    }

    /// Waits for events until the next timer is due, and at most for `timeout`; not at all when something is ready.
    pub(crate) fn wait(&self, ready: bool, timeout: Option<Duration>) -> io::Result<()> {
        let mut wait = self.idle_time(ready);
        if let Some(timeout) = timeout {
            wait = Some(wait.map_or(timeout, |wait| wait.min(timeout)));
        }
        let polled = self.reactor.poll(wait);
        self.next_moment();
        self.turn.set(self.turn.get().wrapping_add(1));
        self.wakes.awake();
        self.read_clock();
        // If the clock was not read before, nothing was waited for.
        self.lag.end_turn(self.now.get());
        self.lag.begin_turn(self.now.get());
        polled
    }
}

/// Restores the thread's previous runtime when dropped.
pub(crate) struct Entered(Option<Rc<Runtime>>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
