//! Clients that send or read so slowly that they keep a server from others.

use crate::daemon::cgi::{MinimumRate, SLOW_AFTER, Slow, SlowClient};
use ecohttpd::Connection;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How fast the client of an exchange is. The clock is read only while it is waited for.
pub struct ClientPace {
    /// The others of the same servers.
    others: Rc<Slow>,
    /// Whose share it takes; `None`: on this host, so it may be a proxy for many.
    client: Option<IpAddr>,
    gives: MinimumRate,
    takes: MinimumRate,
    start: Instant,
    /// Since when the server waits for the client, and for how long it did before.
    waits: Option<Instant>,
    waited: Duration,
    /// After how much waiting it counts as slow. `None`: it does.
    counts_after: Option<Duration>,
    /// Once it was waited for.
    slow: Option<Rc<SlowClient>>,
    /// Undelivered bytes in the kernel when the time of the client was up.
    held: Option<u64>,
}

impl ClientPace {
    /// The client must move 1 KiB a second on average over `timeout`.
    pub fn new(con: &Connection, others: &Rc<Slow>, timeout: Duration) -> ClientPace {
        ClientPace {
            others: Rc::clone(others),
            client: con.remote_addr().ip().filter(|ip| !ip.is_loopback()).and(con.remote_addr().network()),
            gives: MinimumRate::new(timeout),
            takes: MinimumRate::new(timeout),
            start: Instant::now(),
            waits: None,
            waited: Duration::ZERO,
            counts_after: Some(SLOW_AFTER),
            slow: None,
            held: None,
        }
    }

    /// Whether it must go in favour of others. If not, it is woken when it must.
    pub fn is_cut_off(&self, waker: &Waker) -> bool {
        self.slow.as_ref().is_some_and(|slow| slow.is_cut_off(waker))
    }

    /// Waits for more of the request's body.
    pub fn awaits_body(&mut self) {
        self.gives.wait(Instant::now());
    }

    /// More of the body came, or its end.
    pub fn gave(&mut self, bytes: usize) {
        self.gives.came(bytes, now(&self.gives, self.start));
        self.moved(bytes);
    }

    /// Waits for room in the client's connection.
    pub fn awaits_room(&mut self) {
        self.takes.wait(Instant::now());
    }

    /// Some of the response went out.
    pub fn took(&mut self, bytes: usize) {
        self.takes.came(bytes, now(&self.takes, self.start));
        self.held = None;
        self.moved(bytes);
    }

    fn moved(&self, bytes: usize) {
        if let Some(slow) = &self.slow {
            slow.moved(bytes);
        }
    }

    /// Counts the time that the server waits for the client.
    pub fn count(&mut self, on_client: bool) {
        if on_client && self.waits.is_none() {
            let now = Instant::now();
            self.waits = Some(now);
            self.slow.get_or_insert_with(|| Rc::new(SlowClient::new(self.client, now)));
        } else if !on_client && let Some(since) = self.waits.take() {
            self.waited += since.elapsed();
        }
    }

    /// When to check it, if it is waited for.
    pub fn deadline(&self) -> Option<Instant> {
        [self.gives.deadline(), self.takes.deadline(), self.counts_at()].into_iter().flatten().min()
    }

    fn counts_at(&self) -> Option<Instant> {
        let left = self.counts_after?.saturating_sub(self.waited);
        self.waits.map(|since| since + left)
    }

    /// Checks whether it is too slow.
    ///
    /// # Errors
    /// What it did.
    pub fn check(&mut self, con: &Connection, now: Instant) -> Result<(), &'static str> {
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_over(self.gives.deadline()) {
            return Err("client sent less than 1 KiB/s of the body");
        }
        if is_over(self.takes.deadline()) {
            // The kernel takes more in lumps. What the client read of it before the first check is unknown.
            let held = con.undelivered();
            let taken = self.held.replace(held).map_or(u64::MAX, |before| before.saturating_sub(held));
            self.takes.came(usize::try_from(taken).unwrap_or(usize::MAX), now);
            self.takes.wait(now);
            if is_over(self.takes.deadline()) {
                return Err("client read less than 1 KiB/s of the response");
            }
        }
        if is_over(self.counts_at())
            && let Some(slow) = &self.slow
        {
            let entered = self.others.enter(slow, now);
            if !entered && slow.is_cut_off(Waker::noop()) {
                return Err(TOO_MANY);
            }
            // If all others are lively, again later.
            self.counts_after = self.counts_after.filter(|_| !entered).map(|after| after + SLOW_AFTER);
        }
        Ok(())
    }
}

/// Why one is cut off.
pub const TOO_MANY: &str = "client too slow, and too many exchanges wait for slow clients";

fn now(rate: &MinimumRate, start: Instant) -> Instant {
    // While nobody waits it does not matter.
    if rate.deadline().is_some() { Instant::now() } else { start }
}

impl Drop for ClientPace {
    fn drop(&mut self) {
        if let Some(slow) = &self.slow {
            self.others.leave(slow);
        }
    }
}
