//! The worker of a handler: loaded when a request comes, kept while requests come, started again when it has died.

use super::stamp::Stamp;
use super::start::{Launcher, Loaded, Single};
use crate::daemon::cgi::{Process, WorkerPid};
use crate::daemon::config::Language;
use crate::daemon::log;
use crate::daemon::sys::process::{Ended, SIGKILL, kill_group};
use ecohttpd::AsyncFd;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How long a worker is kept without requests: a router has little memory.
pub const IDLE: Duration = Duration::from_secs(60);

/// Requests after which a worker that forks is replaced: each leaves about 150 bytes behind in ucode's `uloop.task`.
const SERVED_MAX: u32 = 1000;

/// Longest pause before a handler is loaded again that does not load or whose worker has died.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The worker of a handler.
pub struct Worker {
    pub launcher: Launcher,
    file: PathBuf,
    idle: Duration,
    state: RefCell<State>,
    /// The file as it was when it was loaded last, or tried.
    stamp: Cell<Option<Stamp>>,
    /// That file does load.
    loads: Cell<bool>,
    /// How often in a row it did not load, or its worker died.
    failures: Cell<u32>,
    /// A task ends the one that is loaded ahead, if nobody needs it.
    tended: Cell<bool>,
    /// Requests that wait until it is loaded.
    waiting: RefCell<Vec<Waker>>,
}

enum State {
    /// None runs.
    Empty,
    Loading,
    Forking(Rc<Forking>),
    /// One that is loaded ahead, and since when.
    Ahead(Box<Single>, Instant),
    /// None is loaded before that.
    Failed(Instant),
}

/// A worker that forks for each request.
pub struct Forking {
    /// Where requests go. The worker ends when this is closed.
    pub requests: AsyncFd<File>,
    pub pid: WorkerPid,
    used: Cell<Instant>,
    served: Cell<u32>,
}

impl Forking {
    /// Kills it, and all that it has forked.
    pub fn kill(&self) {
        if let Some(pid) = self.pid.get() {
            let _ = kill_group(pid, SIGKILL);
        }
    }
}

/// What a request does about a worker.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Use,
    Load,
    Wait,
    GiveUp,
}

impl Worker {
    pub fn new(launcher: Launcher, file: PathBuf, idle: Duration) -> Rc<Worker> {
        Rc::new(Worker {
            launcher,
            file,
            idle,
            state: RefCell::new(State::Empty),
            stamp: Cell::new(None),
            loads: Cell::new(false),
            failures: Cell::new(0),
            tended: Cell::new(false),
            waiting: RefCell::default(),
        })
    }

    /// Begins to load the handler, if it is not loaded.
    pub fn prepare(self: &Rc<Self>) {
        if self.step(Stamp::of(&self.file), Instant::now()) == Step::Load {
            ecohttpd::spawn(run(Rc::clone(self))).detach();
        }
    }

    /// Waits until the handler is loaded, as its file is now. Returns false if it can't be loaded; the log says why.
    pub async fn load(self: &Rc<Self>) -> bool {
        loop {
            match self.step(Stamp::of(&self.file), Instant::now()) {
                Step::Use => return true,
                Step::GiveUp => return false,
                Step::Load => ecohttpd::spawn(run(Rc::clone(self))).detach(),
                Step::Wait => {}
            }
            poll_fn(|cx| self.poll_settled(cx)).await;
        }
    }

    fn step(&self, stamp: Option<Stamp>, now: Instant) -> Step {
        let mut state = self.state.borrow_mut();
        let changed = stamp != self.stamp.get();
        // A worker for one request can be started at any time.
        let single = self.launcher.language == Language::Lua && self.loads.get() && !changed;
        if matches!(*state, State::Loading) {
            return if single { Step::Use } else { Step::Wait };
        }
        if changed {
            *state = State::Empty;
            self.stamp.set(stamp);
            self.loads.set(false);
            self.failures.set(0);
        }
        match *state {
            State::Forking(_) | State::Ahead(..) => Step::Use,
            State::Empty if single => Step::Use,
            State::Failed(until) if now < until => Step::GiveUp,
            _ => {
                *state = State::Loading;
                Step::Load
            }
        }
    }

    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(*self.state.borrow(), State::Loading) {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    fn set(&self, state: State) {
        *self.state.borrow_mut() = state;
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// The worker that forks, if there is one.
    pub fn forking(&self) -> Option<Rc<Forking>> {
        match &*self.state.borrow() {
            State::Forking(forking) => Some(Rc::clone(forking)),
            _ => None,
        }
    }

    /// Counts a request that was sent. In time the worker is replaced.
    pub fn served(&self, forking: &Rc<Forking>) {
        forking.used.set(Instant::now());
        forking.served.set(forking.served.get() + 1);
        if forking.served.get() >= SERVED_MAX && self.is_current(forking) {
            self.set(State::Empty);
        }
    }

    fn is_current(&self, forking: &Rc<Forking>) -> bool {
        self.forking().is_some_and(|current| Rc::ptr_eq(&current, forking))
    }

    /// Takes the worker that was loaded ahead, if it still runs.
    pub fn take_single(&self) -> Option<Single> {
        let mut state = self.state.borrow_mut();
        let State::Ahead(..) = *state else { return None };
        let State::Ahead(mut single, _) = std::mem::replace(&mut *state, State::Empty) else { return None };
        single.process.poll_end(&mut Context::from_waker(Waker::noop())).is_pending().then_some(*single)
    }

    /// Loads the next worker ahead, where each serves one request.
    pub fn load_ahead(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if matches!(*state, State::Empty) && self.launcher.language == Language::Lua && self.loads.get() {
            *state = State::Loading;
            ecohttpd::spawn(run(Rc::clone(self))).detach();
        }
    }

    /// The handler did not load.
    pub fn failed(&self, reason: &str) {
        self.loads.set(false);
        self.failures.set(self.failures.get().saturating_add(1));
        let pause = pause(self.failures.get());
        log::error!("{}: {reason}; next try in {} s", self.launcher.name, pause.as_secs());
        self.set(State::Failed(Instant::now() + pause));
    }

    /// The worker has ended though it was needed. The first time, another is started at once.
    fn died(&self, ended: Ended, lived: Duration) {
        let failures = if lived > PAUSE_MAX { 0 } else { self.failures.get() };
        self.failures.set(failures.saturating_add(1));
        let pause = pause(failures);
        let how = if ended == Ended::Exited { "ended" } else { "was killed" };
        log::error!("{}: its worker {how}; next start in {} s", self.launcher.name, pause.as_secs());
        self.set(if pause.is_zero() { State::Empty } else { State::Failed(Instant::now() + pause) });
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    Duration::from_secs(1 << doublings.min(10)).min(PAUSE_MAX)
}

/// Loads a worker, and looks after it until its end.
async fn run(worker: Rc<Worker>) {
    let loaded = match worker.stamp.get() {
        Some(_) => worker.launcher.load().await,
        None => Err("no such file".into()),
    };
    match loaded {
        Err(reason) => worker.failed(&reason),
        Ok(Loaded::Single(single)) => {
            worker.loads.set(true);
            worker.set(State::Ahead(Box::new(single), Instant::now()));
            if !worker.tended.replace(true) {
                ecohttpd::spawn(tend(Rc::downgrade(&worker), worker.idle)).detach();
            }
        }
        Ok(Loaded::Forking { process, requests, errors }) => {
            if let Some(errors) = errors {
                worker.launcher.followed.follow(errors, Rc::clone(&worker.launcher.name));
            }
            let pid = Rc::new(Cell::new(process.pid()));
            let now = Instant::now();
            let forking = Rc::new(Forking { requests, pid, used: Cell::new(now), served: Cell::new(0) });
            let watch = Watch { worker: Rc::downgrade(&worker), pid: Rc::clone(&forking.pid), process, since: now };
            let (idle, used_by_requests) = (worker.idle, Rc::downgrade(&forking));
            worker.set(State::Forking(forking));
            // Both end with the site, even if that is replaced.
            drop(worker);
            watch.run(used_by_requests, idle).await;
        }
    }
}

/// Ends the worker that is loaded ahead once it is idle.
async fn tend(worker: Weak<Worker>, idle: Duration) {
    loop {
        ecohttpd::sleep(idle).await;
        let Some(worker) = worker.upgrade() else { return };
        let mut state = worker.state.borrow_mut();
        match *state {
            State::Ahead(_, since) if since.elapsed() >= idle => *state = State::Empty,
            State::Ahead(..) | State::Loading => continue,
            _ => {}
        }
        worker.tended.set(false);
        return;
    }
}

/// A worker that forks, until its end.
struct Watch {
    worker: Weak<Worker>,
    pid: WorkerPid,
    process: Process,
    since: Instant,
}

impl Watch {
    async fn run(mut self, forking: Weak<Forking>, idle: Duration) {
        while let Some(left) = forking.upgrade().map(|forking| idle.saturating_sub(forking.used.get().elapsed())) {
            // Whatever happens to it closes its socket, which ends the process.
            if let Some(ended) = self.ended(left.max(Duration::from_millis(1))).await {
                if let (Some(worker), Some(forking)) = (self.worker.upgrade(), forking.upgrade())
                    && worker.is_current(&forking)
                {
                    worker.died(ended, self.since.elapsed());
                }
                return;
            }
            let Some(forking) = forking.upgrade() else { break };
            if Rc::strong_count(&self.pid) > 2 {
                // Besides the two here, each request has one.
                forking.used.set(Instant::now());
            } else if forking.used.get().elapsed() >= idle
                && let Some(worker) = self.worker.upgrade()
                && worker.is_current(&forking)
            {
                worker.set(State::Empty);
            }
        }
        // It was let go, and ends by itself; or it is ended as `self` is dropped.
        let grace = idle;
        self.ended(grace).await;
        self.pid.set(None);
    }

    async fn ended(&mut self, limit: Duration) -> Option<Ended> {
        let ended = ecohttpd::timeout(limit, poll_fn(|cx| self.process.poll_end(cx))).await.ok();
        if ended.is_some() {
            self.pid.set(None);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::cgi::{Followed, Patience};
    use crate::daemon::testing::on_loop;
    use std::ffi::CString;

    const MOMENT: Duration = Duration::from_millis(20);

    /// A worker that is a script of the shell; its handler is a file that exists.
    fn worker(script: &str) -> Rc<Worker> {
        let launcher = Launcher {
            language: Language::Lua,
            name: "test".into(),
            args: ["/bin/sh", "-c", script].map(|arg| CString::new(arg).unwrap()).into(),
            followed: Followed::default(),
            patience: Patience { alone: Duration::from_secs(10), grace: Duration::from_secs(1) },
        };
        Worker::new(launcher, "/bin/sh".into(), MOMENT)
    }

    #[test]
    fn pauses_grow() {
        for (failures, seconds) in [(0, 0), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (u32::MAX, 60)] {
            assert_eq!(pause(failures), Duration::from_secs(seconds), "{failures}");
        }
    }

    #[test]
    fn one_that_is_idle_ends() {
        on_loop(async || {
            let worker = worker("echo ready; read variables <&3");
            for _ in 0..2 {
                assert!(worker.load().await);
                worker.load_ahead();
                while !matches!(*worker.state.borrow(), State::Empty) {
                    ecohttpd::sleep(MOMENT).await;
                }
            }
            assert!(worker.load().await && worker.take_single().is_none(), "it can be started at any time");
        });
    }

    #[test]
    fn one_that_does_not_load_is_tried_again_in_time() {
        on_loop(async || {
            let worker = worker("echo oh no >&2");
            assert!(!worker.load().await);
            let (stamp, now) = (Stamp::of(&worker.file), Instant::now());
            assert_eq!(worker.step(stamp, now), Step::GiveUp);
            assert_eq!(worker.step(stamp, now + Duration::from_secs(2)), Step::Load);
            worker.failed("again");
            assert_eq!(worker.step(stamp, now + Duration::from_secs(1)), Step::GiveUp, "the pause has grown");
            assert_eq!(worker.step(None, now), Step::Load, "another file is tried at once");
        });
    }
}
