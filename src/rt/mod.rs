//! The runtime: one poll loop's readiness, wakes, timers and tasks. Safe Rust, one thread.
//!
//! [`Runtime`] is shared (`Rc`) by the server, its connections and every future that awaits something of
//! the loop; free functions such as [`sleep`] find it through a thread-local that is set while the loop runs.
//!
//! | file | concept |
//! | --- | --- |
//! | `reactor` | `mio::Poll` and the table of awaited descriptors ([`AsyncFd`]) |
//! | `ready` | the queue that wakers push to, from any thread |
//! | `slots` | keys that tell the tenants of a slot apart |
//! | `timer` | one ordered table of deadlines, and [`sleep`] |
//! | `task` | futures of the loop that belong to no connection ([`spawn`]) |

mod reactor;
mod ready;
mod slots;
mod task;
mod timer;

pub use reactor::AsyncFd;
pub(crate) use reactor::{Edges, Reactor, Source};
pub(crate) use ready::{SlotWaker, WakeQueue, Woken};
pub(crate) use slots::{Key, MAX_SLOTS, Slots};
pub use task::{Task, spawn};
pub(crate) use task::{Tasks, drop_contained};
pub use timer::sleep;
pub(crate) use timer::{Due, TimerId, Timers, within};

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// Everything of the loop that futures need, whatever they belong to.
pub(crate) struct Runtime {
    pub(crate) reactor: Reactor,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) tasks: Tasks,
    pub(crate) wakes: Arc<WakeQueue>,
    start: Instant,
    now: Cell<u64>,
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

    /// The time of this tick in milliseconds since the loop was made; read once a tick.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn read_clock(&self) {
        self.now.set(millis(self.start.elapsed()));
    }

    #[cfg(test)]
    pub(crate) fn set_clock(&self, now: u64) {
        self.now.set(now);
    }

    /// The tick's time plus `after`, rounded up so that nothing is due early.
    pub(crate) fn deadline(&self, after: Duration) -> u64 {
        deadline(self.now.get(), after)
    }

    /// The time as it is plus `after`, rounded up: the tick may be older than a handler's work.
    pub(crate) fn deadline_from_now(&self, after: Duration) -> u64 {
        let now = self.start.elapsed();
        deadline(millis(now).saturating_add(1), after)
    }

    /// How long the loop may sleep unless an event comes; `None` is for ever. From now on a wake is such an event.
    pub(crate) fn idle_time(&self, ready: bool) -> Option<Duration> {
        if ready || self.wakes.about_to_sleep() {
            return Some(Duration::ZERO);
        }
        // Since the tick began, its handlers have worked.
        self.read_clock();
        let next = self.timers.borrow().next();
        next.map(|when| Duration::from_millis(when.saturating_sub(self.now.get())))
    }

    /// Waits for events until the next timer is due, and no longer than `at_most`; not at all when something is ready.
    pub(crate) fn wait(&self, ready: bool, at_most: Option<Duration>) -> io::Result<()> {
        let mut wait = self.idle_time(ready);
        if let Some(at_most) = at_most {
            wait = Some(wait.map_or(at_most, |wait| wait.min(at_most)));
        }
        let polled = self.reactor.poll(wait);
        self.wakes.awake();
        self.read_clock();
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

/// `now + after` in milliseconds; a huge duration means "never".
pub(crate) fn deadline(now: u64, after: Duration) -> u64 {
    let round_up = !after.subsec_nanos().is_multiple_of(1_000_000);
    now.saturating_add(millis(after)).saturating_add(u64::from(round_up))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
