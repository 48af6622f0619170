//! A connection together with the handler that runs for it. All goes through [`Sessions::drive`].

use super::connection::Connection;
use super::ending;
use super::http1::{Http1, Phase, Step};
#[cfg(feature = "http2")]
use super::http2;
use super::limits;
use super::request::Request;
use super::requests;
use super::run_handler::{CurrentHandler, Running, Wakers, poll};
use super::shared::Shared;
use super::timeouts;
use super::upgrade;
use crate::http::CloseReason;
use crate::rt::{Due, Edges, Key, Slots, Source, TimerId, drop_contained};
use log::Level;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// One connection and what runs on it.
pub(super) struct Session {
    pub(super) http1: Rc<RefCell<Http1>>,
    /// The current handler of its listener.
    handler: CurrentHandler,
    wakers: Rc<Wakers>,
    /// `None` between requests, and while it is being polled.
    running: Option<Running>,
    /// The session's only entry in the table of deadlines.
    armed: Option<TimerId>,
}

impl Session {
    /// Whether a handler runs.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    fn arm(&mut self, shared: &Shared, key: Key, next: u64) {
        // A later deadline costs nothing: the old entry comes first, and finds the new one.
        if self.armed.is_some_and(|armed| armed.when <= next) {
            return;
        }
        let mut timers = shared.runtime.timers.borrow_mut();
        if let Some(id) = self.armed.take() {
            timers.remove(id);
        }
        if next != u64::MAX {
            self.armed = Some(timers.insert(next, Due::Conn(key)));
        }
    }
}

/// All sessions of a server.
pub(super) struct Sessions {
    pub(super) shared: Rc<Shared>,
    pub(super) table: RefCell<Slots<Session>>,
    /// One waker for each slot ever used. Later sessions in the slot reuse it.
    wakers: RefCell<Vec<Option<Rc<Wakers>>>>,
}

impl Sessions {
    pub(super) fn new(shared: Rc<Shared>) -> Sessions {
        Sessions { shared, table: RefCell::default(), wakers: RefCell::default() }
    }

    /// Connections. Streams of HTTP/2 are none.
    pub(super) fn len(&self) -> usize {
        let all = self.table.borrow().len();
        #[cfg(feature = "http2")]
        return all - self.shared.streams.get();
        #[cfg(not(feature = "http2"))]
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.borrow().is_empty()
    }

    /// Opens a session for a connection. The caller drives it.
    ///
    /// # Errors
    /// `OutOfMemory` when there are too many sessions for keys.
    pub(super) fn open(&self, handler: CurrentHandler, http1: Http1) -> io::Result<Key> {
        let mut table = self.table.borrow_mut();
        table.insert_with(|key| {
            let http1 = Rc::new(RefCell::new(http1));
            Ok(Session { http1, handler, wakers: self.wakers(key), running: None, armed: None })
        })
    }

    /// The waker for a new session: the slot's old one, unless a clone of it is left somewhere.
    fn wakers(&self, key: Key) -> Rc<Wakers> {
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
        let wakers = Rc::new(Wakers::new(key, &self.shared));
        Rc::clone(place.insert(wakers))
    }

    // --- what makes a session ready ---------------------------------------------------------------

    /// Records an event of a connection. The session is driven later in the tick.
    pub(super) fn notice(&self, key: Key, edges: Edges) {
        let table = self.table.borrow();
        let Some(session) = table.get(key) else { return };
        let mut http1 = session.http1.borrow_mut();
        if http1.link.notice(edges) {
            http1.wake();
        }
        if edges.gone || edges.hung_up && http1.has_read_all() {
            http1.phase = Phase::Dead;
        }
        http1.make_ready(&self.shared, key);
    }

    /// A waker asked for the session to be driven.
    pub(super) fn woken(&self, key: Key) {
        if let Some(session) = self.table.borrow().get(key) {
            session.wakers.mark.taken();
            session.http1.borrow_mut().make_ready(&self.shared, key);
        }
    }

    /// The session's entry in the table of deadlines is due.
    pub(super) fn due(&self, key: Key) {
        if let Some(session) = self.table.borrow_mut().get_mut(key) {
            session.armed = None;
            session.http1.borrow_mut().make_ready(&self.shared, key);
        }
    }

    // --- driving ----------------------------------------------------------------------------------

    /// Drives the sessions that are ready now. Those that become ready meanwhile wait for the next tick, so that new
    /// events are not starved.
    pub(super) fn drive_ready(&self) {
        let ready = self.shared.ready.borrow().len();
        for _ in 0..ready {
            let next = self.shared.ready.borrow_mut().pop_front();
            if let Some(key) = next {
                self.drive(key);
            }
        }
    }

    /// Does all that can be done for one connection now, within its budget.
    pub(super) fn drive(&self, key: Key) {
        let (http1, wakers, mut running) = {
            let mut table = self.table.borrow_mut();
            let Some(session) = table.get_mut(key) else { return };
            (Rc::clone(&session.http1), Rc::clone(&session.wakers), session.running.take())
        };
        let (over, was_queued) = {
            let mut http1 = http1.borrow_mut();
            // Requests of its handler are met in this drive.
            let was_queued = std::mem::replace(&mut http1.is_queued, true);
            http1.link.credit = limits::TURN;
            (http1.phase == Phase::Dead, was_queued)
        };
        // If the connection is over, its handler is dropped.
        let step = if over { Step::Close } else { self.steps(key, &http1, &wakers, &mut running) };
        if step == Step::Close {
            self.close(key, &http1, running);
            return;
        }
        let again = step == Step::Again;
        // One that is not done in its second turn either is watched, too: its client may leave.
        self.park(key, &http1, running, again, !again || was_queued);
    }

    /// Steps until there is nothing to do or the budget is spent; never returns `Start`.
    fn steps(&self, key: Key, http1: &Rc<RefCell<Http1>>, wakers: &Wakers, running: &mut Option<Running>) -> Step {
        for _ in 0..limits::DRIVE_BUDGET {
            poll(running, wakers, http1, &self.shared);
            let (step, spent) = {
                let mut http1 = http1.borrow_mut();
                (self.step(&mut http1, key, running.is_some()), http1.link.credit == 0)
            };
            match step {
                Step::Start => {
                    *running = self.start(key, http1);
                    wakers.mark.set_woken();
                }
                #[cfg(feature = "http2")]
                Step::Streams => self.tend_streams(key, http1),
                Step::Again if spent => return Step::Again,
                Step::Again => {}
                Step::Park if running.is_some() && wakers.mark.is_woken() && !spent => {}
                Step::Park if spent => return Step::Again,
                Step::Park | Step::Close => return step,
            }
        }
        Step::Again
    }

    /// One step of a connection. `busy`: a handler is running.
    fn step(&self, http1: &mut Http1, _key: Key, busy: bool) -> Step {
        let shared = &*self.shared;
        timeouts::check(http1, shared);
        match http1.phase {
            Phase::Open => requests::step(http1, shared, busy),
            #[cfg(feature = "websocket")]
            Phase::Ended { lost } if !busy => upgrade::end(http1, lost),
            #[cfg(feature = "websocket")]
            Phase::Ended { .. } => upgrade::step(http1, shared),
            Phase::Upgraded => upgrade::step(http1, shared),
            Phase::Closing { .. } | Phase::Delivering { .. } | Phase::Linger { .. } => ending::step(http1, shared),
            Phase::Dead => Step::Close,
            #[cfg(feature = "http2")]
            Phase::Http2 => http2::step(http1, shared, _key, &|key| self.find(key)),
            #[cfg(feature = "http2")]
            Phase::Stream => http2::step_stream(http1, shared, busy),
        }
    }

    /// Starts the handler for the request whose head was read.
    fn start(&self, key: Key, http1: &Rc<RefCell<Http1>>) -> Option<Running> {
        let (head, options) = {
            let http1 = http1.borrow();
            (Rc::clone(http1.in_flight.as_ref()?.exchange.head()), Rc::clone(&http1.site.borrow()))
        };
        let con = Connection::new(Rc::clone(&self.shared), options, Rc::clone(http1), key);
        // Only makes the future: nothing of the handler runs while these are borrowed.
        Some(self.table.borrow().get(key)?.handler.borrow().start(con, Request::new(head)))
    }

    // --- streams of HTTP/2 ------------------------------------------------------------------------

    #[cfg(feature = "http2")]
    fn find(&self, key: Key) -> Option<Rc<RefCell<Http1>>> {
        self.table.borrow().get(key).map(|session| Rc::clone(&session.http1))
    }

    /// Closes the sessions of streams that have ended, and opens one for a request.
    #[cfg(feature = "http2")]
    fn tend_streams(&self, key: Key, http1: &Rc<RefCell<Http1>>) {
        let (closing, opening) = http2::take_jobs(&http1.borrow());
        closing.into_iter().for_each(|stream| self.shut(stream));
        let Some(opening) = opening else { return };
        let opened = self.open_stream(key, &http1.borrow(), &opening);
        http2::settle(&http1.borrow(), opening.stream, opened);
        // At once, so that the responses to requests that came together leave together.
        if let Some(session) = opened {
            self.drive(session);
            // What is left of a request is looked at before its answer ends the stream: it may be malformed.
            if opening.ends {
                http2::send_small(&http1.borrow(), opening.stream, &self.shared, &|key| self.find(key));
            }
            let (closing, _) = http2::take_jobs(&http1.borrow());
            closing.into_iter().for_each(|stream| self.shut(stream));
        }
    }

    /// Opens a session for a request, and starts its handler.
    #[cfg(feature = "http2")]
    fn open_stream(&self, key: Key, parent: &Http1, opening: &http2::Opening) -> Option<Key> {
        let handler = Rc::clone(&self.table.borrow().get(key)?.handler);
        let (http1, refusal) = http2::open(parent, opening, &self.shared)?;
        let stream = self.open(handler, http1).ok()?;
        self.shared.streams.set(self.shared.streams.get() + 1);
        let http1 = self.find(stream)?;
        if let Some(refusal) = refusal {
            requests::refuse_stream(&mut http1.borrow_mut(), &self.shared, refusal);
            return Some(stream);
        }
        let running = self.start(stream, &http1);
        let mut table = self.table.borrow_mut();
        let session = table.get_mut(stream)?;
        session.running = running;
        session.wakers.mark.set_woken();
        Some(stream)
    }

    /// Closes the sessions of a connection's streams; or tells the connection that one of them is closed, and returns true.
    #[cfg(feature = "http2")]
    fn close_streams(&self, http1: &Rc<RefCell<Http1>>) -> bool {
        let is_stream = http2::close_stream(&http1.borrow(), &self.shared);
        let tenants = http2::tenants(&http1.borrow());
        tenants.into_iter().for_each(|stream| self.shut(stream));
        is_stream
    }

    /// Puts the handler back, and arms the connection's next deadline.
    fn park(&self, key: Key, http1: &Rc<RefCell<Http1>>, running: Option<Running>, again: bool, watch: bool) {
        let mut table = self.table.borrow_mut();
        let Some(session) = table.get_mut(key) else { return };
        session.running = running;
        let mut http1 = http1.borrow_mut();
        http1.is_queued = false;
        session.arm(&self.shared, key, http1.deadlines.next());
        if again {
            http1.make_ready(&self.shared, key);
        }
        if watch && !http1.link.is_watched {
            self.watch(key, &mut http1);
        }
    }

    /// Watches the events of a connection. One that never waits saves the system call.
    fn watch(&self, key: Key, http1: &mut Http1) {
        match self.shared.runtime.reactor.register(http1.link.transport.source(), Source::Conn(key)) {
            Ok(()) => http1.link.is_watched = true,
            Err(error) => {
                http1.note(&self.shared, Level::Warn, format_args!("cannot watch the connection: {error}"));
                http1.phase = Phase::Dead;
                http1.make_ready(&self.shared, key);
            }
        }
    }

    // --- ending -----------------------------------------------------------------------------------

    /// Closes a connection at once.
    pub(super) fn shut(&self, key: Key) {
        let http1 = self.table.borrow().get(key).map(|session| Rc::clone(&session.http1));
        if let Some(http1) = http1 {
            http1.borrow_mut().phase = Phase::Dead;
            // Dropped first: the number of owners decides how a connection ends.
            drop(http1);
            self.drive(key);
        }
    }

    /// Closes idle connections. Those of HTTP/2 are told first.
    pub(super) fn shut_idle(&self) {
        #[cfg(feature = "http2")]
        self.rouse_http2();
        let is_idle = |session: &Session| session.http1.borrow().is_silent();
        let idle: Vec<Key> =
            self.table.borrow().iter().filter(|(_, session)| is_idle(session)).map(|(key, _)| key).collect();
        idle.into_iter().for_each(|key| self.shut(key));
    }

    /// Drives connections of HTTP/2: whether they may go on has changed.
    #[cfg(feature = "http2")]
    pub(super) fn rouse_http2(&self) {
        for (key, session) in self.table.borrow().iter() {
            // One that is borrowed is being driven.
            if let Ok(mut http1) = session.http1.try_borrow_mut()
                && http1.phase == Phase::Http2
            {
                http1.make_ready(&self.shared, key);
            }
        }
    }

    /// Wakes upgraded connections: the server is stopping, and they may tell their clients.
    #[cfg(feature = "websocket")]
    pub(super) fn wake_upgraded(&self) {
        for (key, session) in self.table.borrow().iter() {
            let mut http1 = session.http1.borrow_mut();
            if http1.phase == Phase::Upgraded {
                http1.wake();
                http1.make_ready(&self.shared, key);
            }
        }
    }

    /// Closes all connections.
    pub(super) fn shut_all(&self) {
        let keys: Vec<Key> = self.table.borrow().iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.shut(key));
    }

    /// Frees the slot: first the handler with all that it owns, then the connection.
    fn close(&self, key: Key, http1: &Rc<RefCell<Http1>>, running: Option<Running>) {
        drop_contained(running);
        #[cfg(feature = "http2")]
        let is_stream = self.close_streams(http1);
        #[cfg(not(feature = "http2"))]
        let is_stream = false;
        {
            // An `Upgraded` may outlive the session (two of the references are the table's and ours). The key is then
            // given to another session, which must not see this stream's events.
            let outlived = Rc::strong_count(http1) > 2 && !is_stream;
            let mut http1 = http1.borrow_mut();
            http1.phase = Phase::Dead;
            http1.must_close(CloseReason::Lost);
            http1.log_access(&self.shared);
            if !is_stream {
                self.shared.counters.close(http1.link.traffic);
            }
            if http1.is_whole() {
                http1.link.transport.say_goodbye();
            } else if http1.ends_by_reset() {
                http1.link.transport.reset_on_close();
            }
            if outlived {
                self.detach(&mut http1);
            }
            http1.wake();
            http1.give_back(&self.shared);
        }
        let session = self.table.borrow_mut().remove(key);
        if let Some(armed) = session.and_then(|session| session.armed) {
            self.shared.runtime.timers.borrow_mut().remove(armed);
        }
    }

    /// Closes a stream that an `Upgraded` still owns.
    fn detach(&self, http1: &mut Http1) {
        if http1.link.is_watched
            && let Err(error) = self.shared.runtime.reactor.deregister(http1.link.transport.source())
        {
            http1.debug(format_args!("cannot deregister the connection: {error}"));
        }
        http1.link.transport.shut();
    }
}
