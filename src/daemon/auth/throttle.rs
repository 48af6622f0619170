//! Which login is verified next. Guessing is slowed down, but does not lock out those who know the password.
//!
//! Logins wait for a turn. An address with failures gets one turn every 1.25 seconds; a right login from there waits, but
//! is not refused. The order is: addresses with a recent right login, the local network, strangers, addresses with
//! failures. Within a class addresses take turns, and within an address its programs do, told apart by their header
//! fields: a browser does not wait behind a script at the same address. Among logins of the same program one of the
//! latest three is next, so that guesses which wait for their answers can't hold up the owner for long.
//!
//! A password that is not hashed is compared at once, within the limit of [`Throttle::may_compare`], and let in if it is
//! right; only wrong ones wait. With hashed passwords, an owner can't be told from a guesser at the same address who uses
//! the same program and does not wait for answers: beyond [`MAX_WAITING_OF_ONE`] some are refused.

use crate::daemon::addresses::is_local;
use std::net::IpAddr;
use std::task::Waker;

/// Addresses that are remembered: about 10 KB.
const MAX_SOURCES: usize = 64;
/// Logins that wait at once, of all addresses and of one. Beyond that the oldest is refused. Each holds a connection, and
/// guesses must not use up the default limit of a hundred.
const MAX_WAITING: usize = 48;
const MAX_WAITING_OF_ONE: usize = 12;
/// Milliseconds that a login waits before it is refused. Meanwhile a guesser who waits for the answer can't guess again.
const PATIENCE: u64 = 60_000;
/// Failures without a wait: typing errors.
const FREE_FAILURES: u32 = 3;
/// Milliseconds between turns of an address after those: at most 69,120 guesses a day.
const INTERVAL: u64 = 1250;
/// Milliseconds between immediate comparisons of an address, and how many may come together.
const COMPARE_INTERVAL: u64 = 50;
const COMPARE_BURST: u64 = 20;
/// Milliseconds after which failures and successes are forgotten.
const FORGET_AFTER: u64 = 600_000;
/// Programs of an address that take turns. Further ones share their slots.
const PROGRAMS: u32 = 4;

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginClient {
    /// The network of the address. `None`: a Unix socket, for which nothing is counted, as anyone may be behind it.
    pub source: Option<IpAddr>,
    /// A hash of what its program sends about itself.
    pub program: u32,
}

/// The waiting logins, and what is known of their addresses. Times are in milliseconds.
#[derive(Default)]
pub struct Throttle {
    waiting: Vec<WaitingLogin>,
    sources: Vec<SourceRecord>,
    next_number: u32,
    /// Counts turns, to find whose was longest ago.
    taken: u32,
    hashing: Hashing,
}

struct WaitingLogin {
    number: u32,
    since: u64,
    client: LoginClient,
    /// It needs hashing, which is done for one login at a time.
    hash: bool,
    waker: Waker,
}

struct SourceRecord {
    address: IpAddr,
    failures: u32,
    /// When the next login from there may be verified.
    next: u64,
    /// Until when the budget of immediate comparisons is used up.
    compared: u64,
    /// The last failure or success.
    last: u64,
    /// The last right login.
    right: Option<u64>,
    /// The last turn of the address, and of each of its programs.
    turn: u32,
    programs: [u32; PROGRAMS as usize],
}

#[derive(Default)]
struct Hashing {
    busy: bool,
    /// Until then no login is hashed that is likely to be a guess: the server needs the processor, too.
    rests_until: u64,
}

/// The state of a waiting login.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is verified now.
    Now,
    /// It waits, at most until then.
    Later(u64),
    /// Too many wait, or it has waited too long.
    Refused,
}

/// The classes of logins, in the order in which they get turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Known,
    Near,
    Stranger,
    Failing,
}

impl Throttle {
    /// Whether a login that needs no hashing may be compared before its turn. Counts it if so.
    pub fn may_compare(&mut self, client: LoginClient, now: u64) -> bool {
        let Some(address) = client.source else { return true };
        let source = self.source(address, now);
        let compared = source.compared.max(now);
        let may = compared < now + COMPARE_BURST * COMPARE_INTERVAL;
        if may {
            source.compared = compared + COMPARE_INTERVAL;
        }
        may
    }

    /// Adds a waiting login; returns its number.
    pub fn enter(&mut self, client: LoginClient, hash: bool, now: u64) -> u32 {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.waiting.push(WaitingLogin { number, since: now, client, hash, waker: Waker::noop().clone() });
        let of_one = self.waiting.iter().filter(|one| one.client.source == client.source).count();
        if client.source.is_some() && of_one > MAX_WAITING_OF_ONE {
            self.refuse(client.source);
        } else if self.waiting.len() > MAX_WAITING {
            let count = |source| self.waiting.iter().filter(|one| one.client.source == source).count();
            if let Some(most) = self.waiting.iter().map(|one| one.client.source).max_by_key(|source| count(*source)) {
                self.refuse(most);
            }
        }
        number
    }

    /// Refuses the oldest login of the program with the most waiting logins at an address.
    fn refuse(&mut self, source: Option<IpAddr>) {
        let own = || self.waiting.iter().filter(|one| one.client.source == source);
        let count = |program| own().filter(|one| one.client.program == program).count();
        let Some(most) = own().map(|one| count(one.client.program)).max() else { return };
        let oldest =
            self.waiting.iter().position(|one| one.client.source == source && count(one.client.program) == most);
        if let Some(oldest) = oldest {
            self.waiting.remove(oldest).waker.wake();
        }
    }

    /// Whether it is the turn of a login.
    pub fn poll(&mut self, number: u32, now: u64, waker: &Waker) -> Turn {
        let Some(at) = self.waiting.iter().position(|one| one.number == number) else { return Turn::Refused };
        let first = self.first(now);
        if first == Some(at) {
            self.take(at, now);
            return Turn::Now;
        }
        let WaitingLogin { client, hash, since, .. } = self.waiting[at];
        let end = since.saturating_add(PATIENCE);
        if now >= end {
            self.leave(number, now);
            return Turn::Refused;
        }
        self.waiting[at].waker.clone_from(waker);
        // The arrival of this login may have made it another one's turn.
        if let Some(first) = first {
            self.waiting[first].waker.wake_by_ref();
        }
        let own = client.source.map_or(0, |source| self.source(source, now).next);
        let rests = if hash { self.hashing.rests_until } else { 0 };
        Turn::Later(Some(own.max(rests)).filter(|until| *until > now).unwrap_or(end).min(end))
    }

    fn take(&mut self, at: usize, now: u64) {
        let WaitingLogin { client, hash, .. } = self.waiting.remove(at);
        self.taken += 1;
        self.hashing.busy |= hash;
        let turn = self.taken;
        if let Some(source) = client.source {
            let source = self.source(source, now);
            source.turn = turn;
            source.programs[slot(client.program)] = turn;
            if source.failures >= FREE_FAILURES {
                source.next = now + INTERVAL;
            }
        }
        self.wake_next(now);
    }

    /// A login no longer waits.
    pub fn leave(&mut self, number: u32, now: u64) {
        self.waiting.retain(|one| one.number != number);
        self.wake_next(now);
    }

    /// A login was verified. `hashed`: how many milliseconds hashing took, if it was needed.
    pub fn done(&mut self, client: LoginClient, right: bool, hashed: Option<u64>, now: u64) {
        if let Some(spent) = hashed {
            self.hashing = Hashing { busy: false, rests_until: now + spent };
        }
        if let Some(source) = client.source {
            let source = self.source(source, now);
            source.last = now;
            if right {
                source.right = Some(now);
            } else {
                source.failures = source.failures.saturating_add(1);
            }
        }
        self.wake_next(now);
    }

    /// A login whose turn it was could not be hashed.
    pub fn unhashed(&mut self, now: u64) {
        self.hashing.busy = false;
        self.wake_next(now);
    }

    /// The login whose turn it is.
    fn first(&self, now: u64) -> Option<usize> {
        let can_go = |one: &WaitingLogin, class: Class| {
            let known = self.known(one.client.source);
            let rested = class <= Class::Near || now >= self.hashing.rests_until;
            known.is_none_or(|source| now >= source.next) && !(one.hash && (self.hashing.busy || !rested))
        };
        let ranks: Vec<_> = (self.waiting.iter())
            .map(|one| {
                let class = self.class(one.client.source, now);
                let known = self.known(one.client.source);
                let turns = known.map_or((0, 0), |source| (source.turn, source.programs[slot(one.client.program)]));
                can_go(one, class).then_some((class, turns))
            })
            .collect();
        let first = *ranks.iter().flatten().min()?;
        let mut peers = (0..ranks.len()).filter(|&at| ranks[at] == Some(first));
        match first.0 {
            // Whichever that is, a login that is followed by only two others gets its turn within four.
            Class::Failing => peers.rev().take(1 + (self.taken % 3) as usize).last(),
            _ => peers.next(),
        }
    }

    fn class(&self, source: Option<IpAddr>, now: u64) -> Class {
        let Some(address) = source else { return Class::Stranger };
        let known = self.known(source);
        if known.is_some_and(|source| source.right.is_some_and(|right| now.saturating_sub(right) < FORGET_AFTER)) {
            return Class::Known;
        }
        match known {
            Some(source) if source.failures >= FREE_FAILURES => Class::Failing,
            _ if is_local(address) => Class::Near,
            _ => Class::Stranger,
        }
    }

    fn known(&self, source: Option<IpAddr>) -> Option<&SourceRecord> {
        self.sources.iter().find(|known| Some(known.address) == source)
    }

    fn source(&mut self, address: IpAddr, now: u64) -> &mut SourceRecord {
        self.sources.retain(|source| now.saturating_sub(source.last) < FORGET_AFTER);
        let at = self.sources.iter().position(|source| source.address == address).unwrap_or_else(|| {
            if self.sources.len() >= MAX_SOURCES {
                // Addresses with a right login are evicted last: strangers with many addresses must not push them out.
                let ages = self.sources.iter().enumerate();
                let oldest = ages.min_by_key(|(_, source)| (source.right.is_some(), source.last));
                if let Some((at, _)) = oldest {
                    self.sources.swap_remove(at);
                }
            }
            let programs = [0; PROGRAMS as usize];
            self.sources.push(SourceRecord {
                address,
                failures: 0,
                next: 0,
                compared: 0,
                last: now,
                right: None,
                turn: 0,
                programs,
            });
            self.sources.len() - 1
        });
        &mut self.sources[at]
    }

    /// Wakes the login whose turn it is. If it is nobody's turn yet, wakes all, so that each learns when to look again.
    fn wake_next(&self, now: u64) {
        match self.first(now) {
            Some(first) => self.waiting[first].waker.wake_by_ref(),
            None => self.waiting.iter().for_each(|one| one.waker.wake_by_ref()),
        }
    }
}

fn slot(program: u32) -> usize {
    (program % PROGRAMS) as usize
}

#[cfg(test)]
impl Throttle {
    /// Makes the logins of an address wait until then.
    pub fn hold(&mut self, client: LoginClient, until: u64) {
        if let Some(address) = client.source {
            self.source(address, 0).next = until;
        }
    }

    pub fn failures(&self, client: LoginClient) -> u32 {
        self.known(client.source).map_or(0, |source| source.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::task::Wake;

    /// A simulated clock, a hash that takes half a second, and logins at their times.
    struct World {
        turns: Throttle,
        now: u64,
        /// The login that is being hashed, and when it is done.
        hashing: Option<(Login, u64)>,
        waiting: Vec<(u32, Login, Arc<Woken>)>,
        /// Who was looked at, and how long it had waited.
        looked_at: Vec<(Login, u64)>,
        refused: Vec<Login>,
    }

    /// Whether a login was woken, and until when it sleeps.
    struct Woken {
        so: AtomicBool,
        // MIPS has no atomic integer of 64 bits.
        until: Mutex<u64>,
    }

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.so.store(true, Relaxed);
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Login {
        client: LoginClient,
        right: bool,
        came: u64,
    }

    const HASH: u64 = 476;
    const STEP: u64 = 20;

    fn at(address: &str, program: u32) -> LoginClient {
        LoginClient { source: Some(address.parse().unwrap()), program }
    }

    impl World {
        fn new() -> World {
            let (waiting, looked_at, refused) = (Vec::new(), Vec::new(), Vec::new());
            World { turns: Throttle::default(), now: 1_000_000, hashing: None, waiting, looked_at, refused }
        }

        fn login(&mut self, client: LoginClient, right: bool) {
            let number = self.turns.enter(client, true, self.now);
            let woken = Arc::new(Woken { so: AtomicBool::new(true), until: Mutex::default() });
            self.waiting.push((number, Login { client, right, came: self.now }, woken));
        }

        /// Lets a little time pass.
        fn pass(&mut self) {
            self.now += STEP;
            if let Some((login, end)) = self.hashing
                && self.now >= end
            {
                self.hashing = None;
                self.turns.done(login.client, login.right, Some(HASH), self.now);
                self.looked_at.push((login, self.now - login.came));
            }
            while self.poll_woken() {}
        }

        /// Polls those that were woken, or whose time has come.
        fn poll_woken(&mut self) -> bool {
            let (turns, now, hashing) = (&mut self.turns, self.now, &mut self.hashing);
            let (refused, mut some) = (&mut self.refused, false);
            self.waiting.retain(|(number, login, woken)| {
                if !woken.so.swap(false, Relaxed) && now < *woken.until.lock().unwrap() {
                    return true;
                }
                some = true;
                match turns.poll(*number, now, &Waker::from(Arc::clone(woken))) {
                    Turn::Later(until) => {
                        *woken.until.lock().unwrap() = until;
                        return true;
                    }
                    Turn::Refused => refused.push(*login),
                    Turn::Now => {
                        assert!(hashing.is_none(), "one hash at a time");
                        *hashing = Some((*login, now + HASH));
                    }
                }
                false
            });
            some
        }

        /// Ten guesses a second by each of these for some seconds, and the owner's first login in the middle.
        fn under_guesses(&mut self, guessers: &[LoginClient], owner: LoginClient, seconds: u64) -> Option<u64> {
            for time in (0..seconds * 1000).step_by(usize::try_from(STEP).unwrap()) {
                if time % 100 == 0 {
                    guessers.iter().for_each(|guesser| self.login(*guesser, false));
                }
                if time == seconds * 500 + STEP {
                    self.login(owner, true);
                }
                self.pass();
            }
            self.looked_at.iter().find(|(login, _)| login.right).map(|(_, waited)| *waited)
        }
    }

    #[test]
    fn the_owner_gets_in_under_guesses() {
        let eight: Vec<LoginClient> = (1..=8).map(|n| at(&format!("192.0.2.{n}"), 7)).collect();
        let near: Vec<LoginClient> = (1..=8).map(|n| at(&format!("192.168.1.{n}"), 7)).collect();
        let cases = [
            (&eight[..], at("198.51.100.1", 1), 1000, "from another address"),
            (&eight, at("192.168.1.9", 1), 1000, "from home"),
            (&near, at("198.51.100.1", 1), 1500, "from outside, while guesses come from home"),
            (&eight, at("192.0.2.3", 1), 5000, "from an address that guesses, by another program"),
            (&eight[..1], at("192.0.2.1", 1), 5000, "from the only address that guesses"),
        ];
        for (guessers, owner, bound, name) in cases {
            let mut world = World::new();
            let waited = world.under_guesses(guessers, owner, 30);
            assert!(waited.is_some_and(|waited| waited <= bound), "{name}: {waited:?}");
            for guesser in guessers {
                let count = world.looked_at.iter().filter(|(login, _)| login.client == *guesser).count();
                assert!(count <= 3 + 24 + 1, "{name}: {count} tries of {guesser:?} in half a minute");
            }
            assert!(world.refused.iter().all(|login| !login.right), "{name}: the owner was refused");
        }
    }

    /// Behind the same address, by the same program: guessers who wait for each answer before they guess again.
    #[test]
    fn the_owner_gets_in_among_guessers_who_wait() {
        for threads in [1, 3, 10] {
            let (mut world, client) = (World::new(), at("192.0.2.1", 1));
            let mut waited = Vec::new();
            for step in 0..100_000 / STEP {
                while world.waiting.len() + usize::from(world.hashing.is_some()) < threads {
                    world.login(client, false);
                }
                // An owner every ten seconds, each as if for the first time.
                if step % (10_000 / STEP) == 307 {
                    world.login(client, true);
                }
                world.pass();
                waited.extend(world.looked_at.extract_if(.., |(login, _)| login.right).map(|(_, waited)| waited));
                if let Some(source) = world.turns.sources.first_mut() {
                    source.right = None;
                }
            }
            assert!(world.refused.iter().all(|login| !login.right), "{threads}: an owner was refused");
            assert!(waited.len() >= 8 && waited.iter().all(|waited| *waited <= 7000), "{threads}: {waited:?}");
            let guesses = world.looked_at.len();
            assert!(guesses <= 3 + 80, "{threads}: {guesses} guesses in 100 s");
        }
    }

    #[test]
    fn failures_cost_time_but_the_first_few() {
        let mut world = World::new();
        for _ in 0..6 {
            world.login(at("192.168.1.2", 1), false);
            while world.looked_at.len() + world.refused.len() < 6 && !world.waiting.is_empty()
                || world.hashing.is_some()
            {
                world.pass();
            }
        }
        let waits: Vec<u64> = world.looked_at.iter().map(|(_, waited)| waited / 1000).collect();
        assert_eq!(waits, [0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_socket_of_a_proxy_has_no_failures() {
        let mut turns = Throttle::default();
        let proxy = LoginClient { source: None, program: 0 };
        for _ in 0..50 {
            let number = turns.enter(proxy, false, 0);
            assert_eq!(turns.poll(number, 0, Waker::noop()), Turn::Now);
            turns.done(proxy, false, None, 0);
        }
    }

    #[test]
    fn what_waits_and_what_is_remembered_is_bounded() {
        let mut turns = Throttle::default();
        turns.hashing.busy = true;
        let (guesser, other) = (at("192.0.2.1", 1), at("192.0.2.1", 2));
        let first = turns.enter(other, true, 0);
        let numbers: Vec<u32> = (0..100).map(|_| turns.enter(guesser, true, 0)).collect();
        assert_eq!(turns.waiting.len(), MAX_WAITING_OF_ONE);
        assert_eq!(turns.poll(numbers[0], 0, Waker::noop()), Turn::Refused);
        assert_ne!(turns.poll(first, 0, Waker::noop()), Turn::Refused, "another program's");
        for n in 0..200u8 {
            turns.enter(at(&format!("198.51.100.{n}"), 1), true, 0);
            turns.done(at(&format!("203.0.113.{n}"), 1), n == 0, None, u64::from(n));
        }
        assert_eq!(turns.waiting.len(), MAX_WAITING);
        assert_eq!(turns.sources.len(), MAX_SOURCES);
        assert!(turns.known(at("203.0.113.0", 1).source).is_some(), "strangers push out strangers");
        turns.done(guesser, false, None, 200 + FORGET_AFTER);
        assert_eq!(turns.sources.len(), 1, "forgotten");
    }

    #[test]
    fn what_is_compared_at_once_is_bounded() {
        let (mut turns, client) = (Throttle::default(), at("192.0.2.1", 1));
        let count = |turns: &mut Throttle, now| (0..100).filter(|_| turns.may_compare(client, now)).count() as u64;
        assert_eq!(count(&mut turns, 1000), COMPARE_BURST);
        assert_eq!(count(&mut turns, 1000 + COMPARE_INTERVAL), 1);
        assert!(turns.may_compare(at("192.0.2.2", 1), 1000), "another address");
        assert_eq!(count(&mut turns, 100_000), COMPARE_BURST);
        let proxy = LoginClient { source: None, program: 0 };
        assert!((0..100).all(|_| turns.may_compare(proxy, 0)));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let mut turns = Throttle::default();
        turns.hashing.busy = true;
        let number = turns.enter(at("192.0.2.1", 1), true, 5);
        assert_eq!(turns.poll(number, 6, Waker::noop()), Turn::Later(5 + PATIENCE));
        assert_eq!(turns.poll(number, 5 + PATIENCE, Waker::noop()), Turn::Refused);
        assert!(turns.waiting.is_empty());
    }

    #[test]
    fn one_that_leaves_makes_way() {
        let mut turns = Throttle::default();
        let (first, second) = (turns.enter(at("192.0.2.1", 1), true, 0), turns.enter(at("192.0.2.2", 1), true, 0));
        assert_eq!(turns.poll(second, 0, Waker::noop()), Turn::Later(PATIENCE));
        turns.leave(first, 0);
        assert_eq!(turns.poll(second, 0, Waker::noop()), Turn::Now);
    }
}
