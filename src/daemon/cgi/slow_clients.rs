//! Scripts that run only as fast as their clients: they hold no place, so that others need not wait for those clients.
//!
//! Each is still a process, so their number has a bound of its own. Beyond it one is cut off: of the client that has most
//! of them, the one that moves least.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How long, in all, a script may wait for its client before it is one of these.
pub const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Bytes a second that keep a client from being cut off for another.
const LIVELY: u64 = 16 << 10;

/// Of them for each place, and at least.
const A_PLACE: usize = 2;
const LEAST: usize = 4;

/// Over how long a client's pace is measured.
const WINDOW: Duration = Duration::from_secs(2);

/// How fast a script's client moves, and whether it has to go.
pub struct SlowClient {
    client: Option<IpAddr>,
    /// Bytes moved in the present window, and when it began.
    moved: Cell<u64>,
    since: Cell<Instant>,
    /// Bytes a second in the window before; at first the most there is.
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

    /// Bytes moved, in either direction.
    pub fn moved(&self, bytes: usize) {
        self.moved.set(self.moved.get().saturating_add(bytes as u64));
    }

    /// Whether it has to go, for others; if not, it is told by this waker.
    pub fn is_cut_off(&self, waker: &Waker) -> bool {
        self.waker.borrow_mut().clone_from(waker);
        self.cut_off.get()
    }

    /// Bytes a second in the last window. Of the whole time it would say little: the kernel takes megabytes at first.
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

/// Those of a site.
pub struct Slow {
    bound: usize,
    clients: RefCell<Vec<Rc<SlowClient>>>,
}

impl Slow {
    pub fn new(places: usize) -> Slow {
        Slow { bound: (places * A_PLACE).max(LEAST), clients: RefCell::default() }
    }

    /// Takes one in; false when there are too many, and all of them are livelier or this one has to go itself.
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

/// Of the client that has most, the script whose client moves least.
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
