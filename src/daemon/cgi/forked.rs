//! A process that a worker has forked for a request. It is not our child: it can't be reaped, but it tells its end.

use super::told::Told;
use crate::daemon::sys::process::{self, Ended, Pid, SIGKILL};
use ecohttpd::AsyncFd;
use std::cell::{Cell, RefCell};
use std::io::{PipeReader, Read};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The id of a worker, until it has been reaped.
pub type WorkerPid = Rc<Cell<Option<Pid>>>;

/// A forked process, until its end is known.
pub struct Forked {
    /// Each process that serves the request holds the other end.
    progress: AsyncFd<PipeReader>,
    told: RefCell<Told>,
    worker: WorkerPid,
    /// It must end as soon as its id is known.
    doomed: Cell<bool>,
}

impl Forked {
    /// A process that the worker was asked to fork, which tells its progress on that pipe.
    pub fn new(progress: AsyncFd<PipeReader>, worker: WorkerPid) -> Forked {
        Forked { progress, told: RefCell::default(), worker, doomed: Cell::new(false) }
    }

    /// Ready when it has done its work or is gone.
    pub fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut bytes = [0; 64];
        loop {
            let read = ready!(pin!(self.progress.read_with(|mut pipe| pipe.read(&mut bytes))).poll(cx)).unwrap_or(0);
            let mut told = self.told.borrow_mut();
            told.push(bytes.get(..read).unwrap_or_default());
            if told.end {
                return Poll::Ready(Ended::Exited);
            }
            if read == 0 {
                return Poll::Ready(Ended::Failed);
            }
            if let Some(pid) = told.pid.filter(|_| self.doomed.get()) {
                Pid::told(pid).kill();
            }
        }
    }

    /// Kills it. ucode can't handle signals in a gentler way.
    ///
    /// As long as its pipe has not ended, its id is not reused. If the worker has not even started it when this is called
    /// again, the worker is killed.
    pub fn kill(&self) {
        let pid = self.told.borrow().pid;
        match (pid, self.worker.get()) {
            (Some(pid), _) => Pid::told(pid).kill(),
            (None, Some(worker)) if self.doomed.get() => {
                let _ = process::kill_group(worker, SIGKILL);
            }
            _ => {}
        }
        self.doomed.set(true);
    }
}
