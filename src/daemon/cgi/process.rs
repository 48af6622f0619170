//! A script's process, from its start until it is reaped, whatever happens to the request.

#[cfg(feature = "workers")]
use super::forked::Forked;
use super::queue::Permit;
use crate::daemon::counters::{self, Counted};
use crate::daemon::log;
use crate::daemon::sys::process::{self, EPERM, Ended, Pid, SIGKILL, SIGTERM, Setup};
use ecohttpd::AsyncFd;
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::{pipe, unregister};
use std::cell::RefCell;
use std::ffi::CStr;
use std::future::poll_fn;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// How often a process group is checked whose leader has ended after SIGTERM. Ids are not reused so soon.
const GLANCE: Duration = Duration::from_millis(50);

/// How long a script may run on without its request, and how long after SIGTERM.
#[derive(Clone, Copy)]
pub struct Patience {
    pub alone: Duration,
    pub grace: Duration,
}

/// A process that serves a request. If dropped, its process group gets SIGTERM, and later SIGKILL.
pub struct Process {
    child: Option<LiveProcess>,
    patience: Patience,
}

impl Process {
    /// Starts a program. It keeps its permit, if it has one, until it has been reaped.
    pub fn start(
        program: &CStr,
        setup: &Setup<'_>,
        patience: Patience,
        name: &Rc<str>,
        permit: Option<Permit>,
    ) -> io::Result<Process> {
        let pid = process::spawn(program, setup)?;
        match Watch::new(pid) {
            Ok(watch) => Ok(Process::watched(watch, patience, name, permit)),
            Err(error) => {
                ecohttpd::spawn(undo(pid, permit)).detach();
                Err(error)
            }
        }
    }

    /// A process that a worker has forked.
    #[cfg(feature = "workers")]
    pub fn forked(forked: Forked, patience: Patience, name: &Rc<str>, permit: Permit) -> Process {
        Process::watched(Watch::Forked(forked), patience, name, Some(permit))
    }

    fn watched(watch: Watch, patience: Patience, name: &Rc<str>, permit: Option<Permit>) -> Process {
        Process { child: Some(LiveProcess { watch, doomed: true, name: Rc::clone(name), permit }), patience }
    }

    /// Gives it the request that it serves from now on.
    #[cfg(feature = "workers")]
    pub fn serves(&mut self, name: &Rc<str>, permit: Permit) {
        if let Some(child) = &mut self.child {
            child.name = Rc::clone(name);
            child.permit = Some(permit);
        }
    }

    /// Its id, if it is our child and has not been reaped.
    #[cfg(feature = "workers")]
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().and_then(|child| child.watch.pid())
    }

    /// Its permit, until it has ended.
    pub fn permit(&self) -> Option<&Permit> {
        self.child.as_ref().and_then(|child| child.permit.as_ref())
    }

    /// Ready when it has ended. How it ended is returned once.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let Some(child) = &mut self.child else { return Poll::Ready(Ended::Exited) };
        let ended = ready!(child.poll_end(cx));
        self.child = None;
        Poll::Ready(ended)
    }

    /// Lets it run on without its request, for a while.
    pub fn leave(mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Most have ended by now.
        if child.poll_end(&mut Context::from_waker(Waker::noop())).is_pending() {
            // The script may be one that stops this server.
            child.doomed = false;
            ecohttpd::spawn(child.run_out(self.patience)).detach();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            child.kill();
            ecohttpd::spawn(child.end(self.patience.grace)).detach();
        }
    }
}

/// Kills a process whose end can't be watched, most likely because no descriptor is left.
async fn undo(pid: Pid, _permit: Option<Permit>) {
    let _ = process::kill_group(pid, SIGKILL);
    while process::reap(pid).is_none() {
        ecohttpd::sleep(GLANCE).await;
    }
}

/// A process that has not been reaped.
struct LiveProcess {
    watch: Watch,
    /// It must not outlive this program.
    doomed: bool,
    /// The script and its client, for the log.
    name: Rc<str>,
    permit: Option<Permit>,
}

impl LiveProcess {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let ended = match &self.watch {
            Watch::None => return Poll::Ready(Ended::Exited),
            Watch::Pidfd(pid, pidfd) => {
                let reap = |_: &OwnedFd| process::reap(*pid).ok_or(io::ErrorKind::WouldBlock.into());
                ready!(pin!(pidfd.read_with(reap)).poll(cx)).unwrap_or(Ended::Exited)
            }
            Watch::Signal(pid, wakers) => {
                wakers.add(cx.waker());
                let Some(ended) = process::reap(*pid) else { return Poll::Pending };
                ended
            }
            #[cfg(feature = "workers")]
            Watch::Forked(forked) => ready!(forked.poll_end(cx)),
        };
        self.watch = Watch::None;
        Poll::Ready(ended)
    }

    async fn ended(&mut self) {
        poll_fn(|cx| self.poll_end(cx)).await;
    }

    /// Waits for its end, and ends it when its time is up.
    async fn run_out(mut self, patience: Patience) {
        if ecohttpd::timeout(patience.alone, self.ended()).await.is_err() {
            log::warn!("{}: killed: still running {} s after its response", self.name, patience.alone.as_secs());
            self.doomed = true;
            self.kill();
            self.end(patience.grace).await;
        }
    }

    /// Waits for its end after SIGTERM, and kills it and its group when its time is up.
    async fn end(mut self, grace: Duration) {
        let pid = self.watch.pid();
        if ecohttpd::timeout(grace, self.ended()).await.is_err() {
            self.signal(SIGKILL);
            self.ended().await;
            return;
        }
        // Its permit is free. Processes that it started may use the rest of the grace time.
        drop(self);
        let Some(pid) = pid else { return };
        let mut left = grace;
        while !left.is_zero() && process::kill_group(pid, 0).is_ok() {
            ecohttpd::sleep(GLANCE).await;
            left = left.saturating_sub(GLANCE);
        }
        if left.is_zero() {
            let _ = process::kill_group(pid, SIGKILL);
        }
    }

    /// Asks it to end.
    fn kill(&self) {
        if self.permit.is_some() {
            counters::add(Counted::ScriptsKilled);
        }
        self.signal(SIGTERM);
    }

    fn signal(&self, signal: i32) {
        #[cfg(feature = "workers")]
        if let Watch::Forked(forked) = &self.watch {
            return forked.kill();
        }
        if let Some(pid) = self.watch.pid()
            && let Err(error) = process::kill_group(pid, signal)
            && error.raw_os_error() == Some(EPERM)
        {
            log::warn!("{}: cannot be killed: {error}", self.name);
        }
    }
}

impl Drop for LiveProcess {
    fn drop(&mut self) {
        if self.doomed {
            self.signal(SIGKILL);
        }
    }
}

/// How the end of a process is noticed.
enum Watch {
    /// It has been reaped.
    None,
    Pidfd(Pid, AsyncFd<OwnedFd>),
    Signal(Pid, Rc<ExitWakers>),
    #[cfg(feature = "workers")]
    Forked(Forked),
}

thread_local! {
    /// Without pidfds: all that wait for SIGCHLD, while one task listens to it.
    static SIGNAL: RefCell<Weak<ExitWakers>> = RefCell::default();
}

impl Watch {
    fn new(pid: Pid) -> io::Result<Watch> {
        // Linux before 5.3, or a sandbox that does not allow the call.
        let Ok(pidfd) = process::pidfd(pid) else { return Watch::signal(pid) };
        AsyncFd::new(pidfd).map(|pidfd| Watch::Pidfd(pid, pidfd))
    }

    /// The process, if it is our child and has not been reaped.
    fn pid(&self) -> Option<Pid> {
        match self {
            Watch::Pidfd(pid, _) | Watch::Signal(pid, _) => Some(*pid),
            _ => None,
        }
    }

    /// One listener for all sites and reloads.
    fn signal(pid: Pid) -> io::Result<Watch> {
        if let Some(wakers) = SIGNAL.with_borrow(Weak::upgrade) {
            return Ok(Watch::Signal(pid, wakers));
        }
        let (receiver, sender) = UnixStream::pair()?;
        receiver.set_nonblocking(true)?;
        let receiver = AsyncFd::new(receiver)?;
        let registered = Registered(pipe::register(SIGCHLD, sender)?);
        let wakers = Rc::<ExitWakers>::default();
        SIGNAL.set(Rc::downgrade(&wakers));
        let woken = Rc::clone(&wakers);
        ecohttpd::spawn(async move {
            let _registered = registered;
            // Several signals may become one byte: all waiting tasks check.
            while receiver.read_with(|mut signals| signals.read(&mut [0; 64])).await.is_ok() {
                woken.wake();
            }
        })
        .detach();
        Ok(Watch::Signal(pid, wakers))
    }
}

/// Listens to a signal until it is dropped, with the loop.
struct Registered(SigId);

impl Drop for Registered {
    fn drop(&mut self) {
        unregister(self.0);
    }
}

/// Tasks to wake at the next SIGCHLD.
#[derive(Default)]
struct ExitWakers(RefCell<Vec<Waker>>);

impl ExitWakers {
    fn add(&self, waker: &Waker) {
        let mut wakers = self.0.borrow_mut();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    fn wake(&self) {
        self.0.take().into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::cgi::queue::{PermitRequest, Queue};
    use crate::daemon::testing::on_loop;
    use std::fs::File;
    use std::os::fd::AsFd;

    const WHOLE: PermitRequest = PermitRequest { client: None, upload: false };

    async fn sleeping(queue: &Rc<Queue>, seconds: &CStr) -> Process {
        let null = File::open("/dev/null").unwrap();
        let args = [c"sleep", seconds];
        let (stdin, stdout, stderr) = (null.as_fd(), null.as_fd(), null.as_fd());
        let setup = Setup { args: &args, environment: b"", folder: c"/", held: None, stdin, stdout, stderr };
        let patience = Patience { alone: Duration::from_secs(60), grace: Duration::from_secs(3) };
        let permit = queue.permit(WHOLE).await.unwrap();
        Process::start(c"/bin/sleep", &setup, patience, &"test".into(), Some(permit)).unwrap()
    }

    /// On old kernels, which have no pidfds.
    async fn by_signal(queue: &Rc<Queue>, seconds: &CStr) -> Process {
        let mut process = sleeping(queue, seconds).await;
        if let Some(child) = &mut process.child {
            let pid = child.watch.pid().unwrap();
            child.watch = Watch::signal(pid).unwrap();
        }
        process
    }

    #[test]
    fn ends_are_noticed_and_permits_freed() {
        on_loop(async || {
            let queue = Queue::new(2, 2);
            let mut first = sleeping(&queue, c"0.05").await;
            let mut second = by_signal(&queue, c"0.1").await;
            poll_fn(|cx| first.poll_end(cx)).await;
            poll_fn(|cx| second.poll_end(cx)).await;
            let permits = [queue.permit(WHOLE).await, queue.permit(WHOLE).await];
            assert!(permits.iter().all(Option::is_some));
        });
    }

    #[test]
    fn one_that_is_dropped_is_ended() {
        on_loop(async || {
            let queue = Queue::new(1, 1);
            drop(sleeping(&queue, c"100").await);
            drop(by_signal(&queue, c"100").await);
            drop(queue.permit(WHOLE).await);
            // And one that is left to itself is waited for.
            by_signal(&queue, c"0.05").await.leave();
            sleeping(&queue, c"0.05").await.leave();
            drop(queue.permit(WHOLE).await);
        });
    }

    /// As each site and each reload has scripts of its own.
    #[test]
    fn one_listens_for_all_and_ends_with_the_loop() {
        for _ in 0..2 {
            on_loop(async || {
                let some = sleeping(&Queue::new(1, 1), c"0.05").await;
                let pid = some.child.as_ref().unwrap().watch.pid().unwrap();
                let Ok(Watch::Signal(_, first)) = Watch::signal(pid) else { panic!("no signal") };
                for _ in 0..3 {
                    let Ok(Watch::Signal(_, next)) = Watch::signal(pid) else { panic!("no signal") };
                    assert!(Rc::ptr_eq(&first, &next));
                }
                by_signal(&Queue::new(1, 1), c"0.05").await;
            });
            assert!(SIGNAL.with_borrow(Weak::upgrade).is_none(), "it ended with its loop");
        }
    }
}
