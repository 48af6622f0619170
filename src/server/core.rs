//! What all connections of one server share.

use super::accept::Newcomer;
use super::conn::Work;
use super::floods::Floods;
use super::limits;
use super::site::Place;
use super::slot::Slot;
use crate::http::date;
use crate::net::Listener;
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use crate::rt::{Key, Runtime, SlotWaker, Slots, Woken};
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{SystemTime, UNIX_EPOCH};

/// The server's state. Its `RefCell`s are borrowed for a statement or two, never while a handler runs.
pub(crate) struct Core {
    pub(crate) runtime: Rc<Runtime>,
    /// Connections at once.
    pub(super) max_connections: Cell<usize>,
    pub(super) slots: RefCell<Slots<Slot>>,
    pub(super) listeners: RefCell<Slots<Entry>>,
    /// Slots to be driven in this tick.
    pub(super) ready: RefCell<VecDeque<Key>>,
    /// One waker for each slot ever used; reused by the connections that come after.
    wakers: RefCell<Vec<Option<Rc<SlotWakers>>>>,
    scratch: RefCell<Box<[u8]>>,
    /// Boxed for good: what moves between here and a connection is the box.
    #[expect(clippy::vec_box, reason = "an unboxed one would be copied")]
    spare: RefCell<Vec<Box<Work>>>,
    date: RefCell<Date>,
    pub(super) stopping: Cell<Option<Stopping>>,
    /// False while accepting rests because the system ran out of something.
    pub(super) accepting: Cell<bool>,
    /// Accepted connections for which there was no room.
    pub(super) waiting: RefCell<Vec<Newcomer>>,
    /// When the log may next speak of want of room, and how often it did not.
    pub(super) room_log: Cell<(u64, u32)>,
    /// The lines of the log that clients have caused.
    pub(super) floods: RefCell<Floods>,
    /// The listener that was accepted from last.
    pub(super) last_listener: Cell<Option<Key>>,
    /// A timer will try to accept again.
    pub(super) retrying: Cell<bool>,
}

/// A listener, and what it serves.
pub(super) struct Entry {
    pub(super) listener: Listener,
    pub(super) place: Place,
}

/// A slot's waker, in the two shapes that it is needed in.
pub(super) struct SlotWakers {
    pub(super) mark: Arc<SlotWaker>,
    pub(super) waker: Waker,
}

impl SlotWakers {
    /// Whether no clone of the waker is left: these two are the only references.
    fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.mark) == 2
    }
}

/// A stop that was asked for.
#[derive(Clone, Copy)]
pub(super) struct Stopping {
    /// When what is still in flight is dropped.
    pub(super) deadline: u64,
}

impl Core {
    pub(super) fn new(runtime: Rc<Runtime>) -> Core {
        Core {
            runtime,
            max_connections: Cell::new(limits::MAX_CONNECTIONS),
            slots: RefCell::default(),
            listeners: RefCell::default(),
            ready: RefCell::default(),
            wakers: RefCell::default(),
            scratch: RefCell::new(vec![0; limits::SCRATCH].into_boxed_slice()),
            spare: RefCell::default(),
            date: RefCell::default(),
            stopping: Cell::new(None),
            accepting: Cell::new(true),
            waiting: RefCell::default(),
            room_log: Cell::default(),
            floods: RefCell::default(),
            last_listener: Cell::new(None),
            retrying: Cell::new(false),
        }
    }

    /// The loop's receive buffer, for the duration of one read and what is made of it.
    pub(super) fn scratch(&self) -> RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
    }

    pub(super) fn take_work(&self) -> Box<Work> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, mut work: Box<Work>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < limits::SPARE_WORK {
            work.clear();
            spare.push(work);
        }
    }

    /// The waker for a new connection: that of the slot's last tenant, unless somebody may still wake it by that.
    pub(super) fn wakers(&self, key: Key) -> Rc<SlotWakers> {
        let mut wakers = self.wakers.borrow_mut();
        while wakers.len() <= key.index() {
            wakers.push(None);
        }
        let place = &mut wakers[key.index()];
        if let Some(wakers) = place
            && wakers.is_unshared()
        {
            wakers.mark.renew(key.generation());
            return Rc::clone(wakers);
        }
        let mark = SlotWaker::new(Woken::Conn(key), &self.runtime.wakes);
        let wakers = Rc::new(SlotWakers { waker: Waker::from(Arc::clone(&mark)), mark });
        Rc::clone(place.insert(wakers))
    }

    /// Has the slot driven, once, in this tick or the next.
    pub(super) fn make_ready(&self, key: Key) {
        if let Some(slot) = self.slots.borrow().get(key)
            && !slot.ready.replace(true)
        {
            self.ready.borrow_mut().push_back(key);
        }
    }

    /// A waker asked for the slot to be driven.
    pub(super) fn woken(&self, key: Key) {
        if let Some(slot) = self.slots.borrow().get(key) {
            slot.wakers.mark.taken();
        }
        self.make_ready(key);
    }

    /// Loads the certificates of all listeners anew.
    #[cfg(feature = "tls")]
    pub(super) fn reload_tls(&self) {
        let mut done: Vec<Rc<TlsContext>> = Vec::new();
        for (_, entry) in self.listeners.borrow().iter() {
            let Some(tls) = &entry.listener.tls else { continue };
            if done.iter().any(|other| Rc::ptr_eq(other, tls)) {
                continue;
            }
            match tls.reload() {
                Ok(()) => log::info!("certificates loaded anew"),
                Err(error) => log::error!("the old certificates stay: {error}"),
            }
            done.push(Rc::clone(tls));
        }
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.get().is_some()
    }

    /// The `Date` line and, if wanted, the `Server` line; the date is made anew when the second has changed.
    pub(super) fn date_lines(&self, server: bool) -> Ref<'_, [u8]> {
        self.date.borrow_mut().refresh(self.runtime.now());
        let end = if server { usize::MAX } else { DATE.len() + date::LEN + 2 };
        Ref::map(self.date.borrow(), |date| date.lines.get(..end).unwrap_or(&date.lines))
    }

    /// The time as an HTTP date.
    pub(super) fn http_date(&self) -> String {
        let lines = self.date_lines(false);
        let date = lines.get(DATE.len()..DATE.len() + date::LEN).unwrap_or_default();
        String::from_utf8_lossy(date).into_owned()
    }
}

/// How the lines begin that every head has.
const DATE: &[u8] = b"Date: ";

/// The lines that every head has, and when they were made.
#[derive(Default)]
struct Date {
    lines: Vec<u8>,
    second: u64,
    /// The tick in which the wall clock was last read.
    tick: Option<u64>,
}

impl Date {
    fn refresh(&mut self, tick: u64) {
        if self.tick == Some(tick) {
            return;
        }
        self.tick = Some(tick);
        let now = SystemTime::now();
        // A clock before 1970 (a router without a battery) is shown as 1970: the format knows no earlier time.
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second || self.lines.is_empty() {
            self.second = second;
            self.lines.clear();
            self.lines.extend_from_slice(DATE);
            date::push(&mut self.lines, second);
            self.lines.extend_from_slice(b"\r\nServer: ecohttpd\r\n");
        }
    }
}
