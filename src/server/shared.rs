//! What all connections of one server share: the clock, buffers, the `Date` line, the budget of log lines.

use super::counters::Counters;
use super::limits;
use super::log_limit::LineCounts;
use super::request_memory::InFlight;
#[cfg(feature = "websocket")]
use crate::buf::Output;
use crate::http::{Head, date};
use crate::net::PeerAddr;
use crate::rt::{Due, Key, Runtime};
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What all connections share. Its `RefCell`s are borrowed for a statement or two, never while a handler runs.
pub(crate) struct Shared {
    pub(crate) runtime: Rc<Runtime>,
    /// Connections to be driven in this tick.
    pub(super) ready: RefCell<VecDeque<Key>>,
    scratch: RefCell<Box<[u8]>>,
    /// Where heads are parsed. It becomes that of the exchange.
    pub(super) head: RefCell<Rc<Head>>,
    /// Boxed: only the box moves between here and a connection.
    #[expect(clippy::vec_box, reason = "an unboxed one would be copied")]
    spare: RefCell<Vec<Box<InFlight>>>,
    /// Memory lent to upgraded connections that write, so that idle ones own none.
    #[cfg(feature = "websocket")]
    spare_output: RefCell<Output>,
    date: RefCell<Date>,
    /// At least a quarter of the allowed connections were in use when the last one was accepted.
    pub(super) filling_up: Cell<bool>,
    /// Streams of HTTP/2 on all connections, and how many there may be.
    #[cfg(feature = "http2")]
    pub(super) streams: Cell<usize>,
    #[cfg(feature = "http2")]
    pub(super) max_streams: Cell<usize>,
    /// Once the server is stopping: when requests in flight are dropped.
    stop_deadline: Cell<Option<u64>>,
    /// Log lines caused by clients.
    pub(super) log_lines: RefCell<LineCounts>,
    pub(super) counters: Counters,
}

impl Shared {
    pub(super) fn new(runtime: Rc<Runtime>) -> Shared {
        Shared {
            runtime,
            ready: RefCell::default(),
            scratch: RefCell::new(vec![0; limits::SCRATCH].into_boxed_slice()),
            head: RefCell::default(),
            spare: RefCell::default(),
            #[cfg(feature = "websocket")]
            spare_output: RefCell::default(),
            date: RefCell::default(),
            filling_up: Cell::default(),
            #[cfg(feature = "http2")]
            streams: Cell::default(),
            #[cfg(feature = "http2")]
            max_streams: Cell::new(limits::MAX_CONNECTIONS * limits::STREAMS_A_CONNECTION),
            stop_deadline: Cell::new(None),
            log_lines: RefCell::default(),
            counters: Counters::default(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.runtime.now()
    }

    /// The time `after` from now.
    pub(super) fn deadline(&self, after: Duration) -> u64 {
        self.runtime.deadline(after)
    }

    /// The loop's receive buffer, held while one read is processed.
    pub(super) fn scratch(&self) -> RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
    }

    pub(super) fn take_spare(&self) -> Box<InFlight> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, mut in_flight: Box<InFlight>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < limits::SPARE_IN_FLIGHT {
            in_flight.clear();
            spare.push(in_flight);
        }
    }

    /// Lends memory to an upgraded connection that is about to write.
    #[cfg(feature = "websocket")]
    pub(super) fn lend_output_memory(&self, in_flight: &mut InFlight) {
        self.spare_output.borrow_mut().hand_over(&mut in_flight.output);
    }

    /// Takes the memory back once all output was sent.
    #[cfg(feature = "websocket")]
    pub(super) fn take_output_memory(&self, in_flight: &mut InFlight) {
        in_flight.output.hand_over(&mut self.spare_output.borrow_mut());
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop_deadline.get().is_some()
    }

    /// When requests in flight are dropped; `None` unless the server is stopping.
    pub(super) fn stop_deadline(&self) -> Option<u64> {
        self.stop_deadline.get()
    }

    /// Starts to stop, or shortens the time that is left.
    pub(super) fn stop_by(&self, deadline: u64) {
        let earlier = self.stop_deadline.get().map_or(deadline, |set| set.min(deadline));
        self.stop_deadline.set(Some(earlier));
    }

    /// Counts a log line about a client; returns whether to write it.
    #[cold]
    pub(super) fn takes_log_line(&self, peer: &PeerAddr) -> bool {
        let mut lines = self.log_lines.borrow_mut();
        if lines.is_empty() {
            self.runtime.timers.borrow_mut().insert(self.deadline(limits::LOG_WINDOW), Due::Log);
        }
        lines.count(peer.network())
    }

    /// Ends the window of [`takes_log_line`](Shared::takes_log_line) and logs how many lines were suppressed.
    pub(super) fn report_suppressed_lines(&self) {
        self.log_lines.take().report();
    }

    /// The `Date` line and, if wanted, the `Server` line. The date is formatted once a second.
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

/// How the `Date` line begins.
const DATE: &[u8] = b"Date: ";

/// The lines that every head has, cached for a second.
#[derive(Default)]
struct Date {
    lines: Vec<u8>,
    second: u64,
    /// The tick in which the wall clock was last read; it is read once a tick.
    tick: Option<u64>,
}

impl Date {
    fn refresh(&mut self, tick: u64) {
        if self.tick == Some(tick) {
            return;
        }
        self.tick = Some(tick);
        let now = SystemTime::now();
        // A clock before 1970, as on a router without a battery, is shown as 1970: the format has no earlier time.
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
