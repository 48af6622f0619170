//! Scripts that are only as fast as their clients. They give up their permit, so others need not wait for slow clients.
//!
//! Each is still a process, so their number has its own limit. Beyond that one is ended: the slowest of the client that has
//! the most.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How long in total a script waits for its client before it counts as slow.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Bytes a second at which a client is never ended in favour of another.
const LIVELY: u64 = 16 << 10;

/// Slow scripts per permit, and at least.
const PER_PERMIT: usize = 2;
const LEAST: usize = 4;

/// Period over which the rate of a client is measured.
const WINDOW: Duration = Duration::from_secs(2);

/// How fast the client of a script is, and whether it must go.
pub struct SlowClient {
    client: Option<IpAddr>,
    /// Bytes moved in the current period, and its start.
    moved: Cell<u64>,
    since: Cell<Instant>,
    /// Bytes a second in the previous period; at first infinite.
    pace: Cell<u64>,
    cut_off: Cell<bool>,
    waker: RefCell<Waker>,
}

impl SlowClient {
    pub fn new(client: Option<IpAddr>, now: Instant) -> SlowClient {
        let waker = RefCell::new(Waker::noop().clone());
        let (moved, since, pace) = (Cell::new(0), Cell::new(now), Cell::new(u64::MAX));
        SlowClient { client, moved, since, pace, cut_off: Cell::new(false), waker }
    }

    /// Counts bytes moved in either direction.
    pub fn moved(&self, bytes: usize) {
        self.moved.set(self.moved.get().saturating_add(bytes as u64));
    }

    /// Whether it must go. If not, it is woken when it must.
    pub fn is_cut_off(&self, waker: &Waker) -> bool {
        self.waker.borrow_mut().clone_from(waker);
        self.cut_off.get()
    }

    /// Bytes a second in the last period. An average over all time would mislead: the kernel buffers megabytes at first.
    fn pace(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since.get());
        if elapsed >= WINDOW {
            self.pace.set(self.moved.replace(0) / elapsed.as_secs());
            self.since.set(now);
        }
        self.pace.get()
    }

    fn cut_off(&self) {
        self.cut_off.set(true);
        self.waker.borrow().wake_by_ref();
    }
}

/// The slow scripts of a site.
pub struct Slow {
    bound: usize,
    clients: RefCell<Vec<Rc<SlowClient>>>,
}

impl Slow {
    pub fn new(permits: usize) -> Slow {
        Slow { bound: (permits * PER_PERMIT).max(LEAST), clients: RefCell::default() }
    }

    /// Adds one. Returns false if there are too many, and all others are faster or this one is the one to end.
    pub fn enter(&self, client: &Rc<SlowClient>, now: Instant) -> bool {
        let mut clients = self.clients.borrow_mut();
        clients.push(Rc::clone(client));
        let staying: Vec<&Rc<SlowClient>> = clients.iter().filter(|one| !one.cut_off.get()).collect();
        let mut entered = true;
        if staying.len() > self.bound {
            let least = least_of_most(&staying, now).filter(|least| least.pace(now) < LIVELY);
            if let Some(least) = least {
                least.cut_off();
            }
            entered = least.is_some_and(|least| !Rc::ptr_eq(least, client));
        }
        if !entered {
            clients.pop();
        }
        entered
    }

    pub fn leave(&self, client: &Rc<SlowClient>) {
        self.clients.borrow_mut().retain(|one| !Rc::ptr_eq(one, client));
    }
}

/// The slowest script of the client that has the most.
fn least_of_most<'a>(scripts: &[&'a Rc<SlowClient>], now: Instant) -> Option<&'a Rc<SlowClient>> {
    let count = |client| scripts.iter().filter(|one| one.client == client).count();
    let most = scripts.iter().map(|one| count(one.client)).max()?;
    scripts.iter().copied().filter(|one| count(one.client) == most).min_by_key(|one| one.pace(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients of these addresses that have moved so many bytes in the window, and the one that is cut off as the last one
    /// enters.
    type Rule = (&'static [(u8, u64)], Option<usize>, bool, &'static str);

    const RULES: &[Rule] = &[
        (&[(1, 100), (1, 100), (1, 100), (1, 100)], None, true, "there is room"),
        (&[(1, 500), (1, 100), (1, 200), (1, 300), (1, 400)], Some(1), true, "the one that moves least"),
        (&[(2, 10), (1, 100), (1, 200), (1, 300), (1, 400)], Some(1), true, "of the client that has most"),
        (&[(1, 500), (1, 100), (1, 200), (1, 300), (1, 50)], Some(4), false, "itself, if it is that"),
        (&[(1, 1 << 20), (1, 1 << 20), (1, 1 << 20), (1, 1 << 20), (2, 5)], None, false, "nobody who is lively"),
    ];

    #[test]
    fn rules() {
        let start = Instant::now();
        let now = start + WINDOW;
        for (scripts, cut, entered, name) in RULES {
            let slow = Slow::new(1);
            let mut clients = Vec::new();
            let mut last = false;
            for (address, bytes) in *scripts {
                let client = Rc::new(SlowClient::new(Some([192, 0, 2, *address].into()), start));
                client.moved.set(*bytes);
                last = slow.enter(&client, now);
                clients.push(client);
            }
            assert_eq!(clients.iter().position(|client| client.is_cut_off(Waker::noop())), *cut, "{name}");
            assert_eq!(last, *entered, "{name}");
            clients.iter().for_each(|client| slow.leave(client));
            assert!(slow.clients.borrow().is_empty(), "{name}");
        }
    }

    #[test]
    fn a_pace_is_that_of_the_last_window() {
        let start = Instant::now();
        let client = SlowClient::new(None, start);
        client.moved(1 << 20);
        assert_eq!(client.pace(start + WINDOW / 2), u64::MAX);
        assert_eq!(client.pace(start + WINDOW), 512 << 10);
        assert_eq!(client.pace(start + WINDOW * 3 / 2), 512 << 10);
        assert_eq!(client.pace(start + WINDOW * 2), 0);
    }
}
