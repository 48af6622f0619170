//! A place in the slab: a connection and the handler that runs on it. [`drive`](Core::drive) is the one door.

use super::conn::{Conn, Link, Step};
use super::connection::Connection;
use super::core::{Core, SlotWakers};
use super::limits;
use super::request::Request;
use crate::rt::{Due, Key, TimerId, drop_contained};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A handler at work on one request; it has finished the response when it is ready.
pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The handler, whatever its type.
pub(super) trait Service {
    fn start(&self, con: Connection, req: Request) -> Task;
}

/// One connection and what runs on it.
pub(super) struct Slot {
    pub(super) conn: Rc<RefCell<Conn>>,
    pub(super) wakers: Rc<SlotWakers>,
    /// It is in the queue of those to be driven.
    pub(super) ready: Cell<bool>,
    /// Absent between requests, and while it is being polled.
    task: Option<Task>,
    /// The slot's one entry in the table of deadlines.
    armed: Option<TimerId>,
}

impl Slot {
    pub(super) fn new(conn: Conn, wakers: Rc<SlotWakers>) -> Slot {
        Slot { conn: Rc::new(RefCell::new(conn)), wakers, ready: Cell::new(false), task: None, armed: None }
    }

    /// Whether a handler runs.
    pub(super) fn is_busy(&self) -> bool {
        self.task.is_some()
    }

    fn arm(&mut self, core: &Core, key: Key, next: u64) {
        // A deadline that moved away costs nothing: its old entry will find the new one.
        if self.armed.is_some_and(|armed| armed.when <= next) {
            return;
        }
        let mut timers = core.runtime.timers.borrow_mut();
        if let Some(id) = self.armed.take() {
            timers.remove(id);
        }
        if next != u64::MAX {
            self.armed = Some(timers.insert(next, Due::Conn(key)));
        }
    }
}

impl Core {
    /// Does all that can be done for one connection now, within its budget.
    pub(super) fn drive(self: &Rc<Self>, key: Key) {
        let (conn, wakers, mut task) = {
            let mut slots = self.slots.borrow_mut();
            let Some(slot) = slots.get_mut(key) else { return };
            slot.ready.set(false);
            (Rc::clone(&slot.conn), Rc::clone(&slot.wakers), slot.task.take())
        };
        // A handler whose connection is over is dropped where it waits.
        let over = matches!(conn.borrow().link, Link::Dead);
        let step = if over { Step::Close } else { self.steps(key, &conn, &wakers, &mut task) };
        if step == Step::Close {
            self.close(key, &conn, task);
            return;
        }
        self.arm(key, &conn, task);
        if step == Step::Again {
            self.make_ready(key);
        }
    }

    /// Steps until there is nothing to do or the budget is spent; never returns `Start`.
    fn steps(
        self: &Rc<Self>,
        key: Key,
        conn: &Rc<RefCell<Conn>>,
        wakers: &SlotWakers,
        task: &mut Option<Task>,
    ) -> Step {
        conn.borrow_mut().credit = limits::TURN;
        for _ in 0..limits::DRIVE_BUDGET {
            self.poll_task(conn, wakers, task);
            let (step, spent) = {
                let mut conn = conn.borrow_mut();
                (conn.step(self, task.is_some()), conn.credit == 0)
            };
            match step {
                Step::Start => {
                    *task = self.start(key, conn);
                    wakers.mark.set_woken();
                }
                Step::Again if spent => return Step::Again,
                Step::Again => {}
                Step::Park if task.is_some() && wakers.mark.is_woken() && !spent => {}
                Step::Park if spent => return Step::Again,
                Step::Park | Step::Close => return step,
            }
        }
        Step::Again
    }

    fn start(self: &Rc<Self>, key: Key, conn: &Rc<RefCell<Conn>>) -> Option<Task> {
        let (head, site) = {
            let mut conn = conn.borrow_mut();
            (Rc::clone(&conn.work().ok()?.head), Rc::clone(&conn.place.borrow()))
        };
        let con = Connection::new(Rc::clone(self), Rc::clone(&site), Rc::clone(conn), key);
        Some(site.service.start(con, Request::new(head)))
    }

    /// Polls the handler if it was woken; it is gone when it is done.
    fn poll_task(&self, conn: &Rc<RefCell<Conn>>, wakers: &SlotWakers, task: &mut Option<Task>) {
        let Some(future) = task else { return };
        if !wakers.mark.take_woken() {
            return;
        }
        let mut cx = Context::from_waker(&wakers.waker);
        // Where panics unwind, a handler's ends its own connection and no other.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => drop_contained(task.take()),
            Err(_) => {
                drop_contained(task.take());
                conn.borrow_mut().finish_panicked(self);
            }
        }
    }

    /// Puts the handler back and sees that the connection's next deadline is in the table.
    fn arm(&self, key: Key, conn: &Rc<RefCell<Conn>>, task: Option<Task>) {
        let next = conn.borrow().deadlines.next();
        if let Some(slot) = self.slots.borrow_mut().get_mut(key) {
            slot.task = task;
            slot.arm(self, key, next);
        }
    }

    pub(super) fn arm_at(&self, key: Key, next: u64) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(key) {
            slot.arm(self, key, next);
        }
    }

    /// Does what is due by the loop's clock.
    pub(super) fn pop_timers(&self) {
        loop {
            let due = self.runtime.timers.borrow_mut().pop(self.runtime.now());
            match due {
                Some(Due::Conn(key)) => {
                    self.disarm(key);
                    self.make_ready(key);
                }
                Some(Due::Accept) => self.resume_accepting(),
                Some(Due::Log) => self.tell_floods(),
                Some(Due::Wake(waker)) => waker.wake(),
                None => return,
            }
        }
    }

    /// The slot's entry in the table has come.
    fn disarm(&self, key: Key) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(key) {
            slot.armed = None;
        }
    }

    /// Ends a stream that somebody still owns.
    fn let_go(&self, conn: &mut Conn) {
        if let Err(error) = self.runtime.reactor.deregister(conn.transport.source()) {
            conn.debug(format_args!("cannot take it off the loop: {error}"));
        }
        conn.transport.shut();
    }

    /// Frees the slot: first the handler, then the connection, so that what the handler owns goes at once.
    fn close(&self, key: Key, conn: &Rc<RefCell<Conn>>, task: Option<Task>) {
        drop_contained(task);
        {
            // An `Upgraded` may hold the stream longer than the slot (the count's other two are the slot's and ours): the
            // key is another's then, and this stream's events must not reach it.
            let outlived = Rc::strong_count(conn) > 2;
            let mut conn = conn.borrow_mut();
            conn.link = Link::Dead;
            conn.log(self);
            if conn.is_whole() {
                conn.transport.say_goodbye();
            } else if conn.ends_by_reset() {
                conn.transport.reset_on_close();
            }
            if outlived {
                self.let_go(&mut conn);
            }
            conn.wake();
            if let Some(work) = conn.work.take() {
                self.give_back(work);
            }
        }
        let slot = self.slots.borrow_mut().remove(key);
        if let Some(armed) = slot.and_then(|slot| slot.armed) {
            self.runtime.timers.borrow_mut().remove(armed);
        }
    }
}
