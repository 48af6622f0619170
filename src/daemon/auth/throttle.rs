//! Failed logins: how long their senders wait, and how much hashing they may cause.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Addresses that are remembered: some 3 KB.
const MAX_ENTRIES: usize = 64;
/// Failures in a row without a wait: to mistype is human.
const FREE_FAILURES: u32 = 3;
/// The longest wait: it bounds a guesser at 2880 passwords a day.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Milliseconds after which an address is forgotten.
const FORGET_AFTER: u64 = 600_000;

/// Makes guessing slow: after a few failures each further one doubles the wait of its address.
#[derive(Default)]
pub struct Throttle {
    entries: Vec<Entry>,
}

struct Entry {
    source: IpAddr,
    /// In a row; none after a success.
    failures: u32,
    /// Of the last login, in milliseconds.
    last: u64,
}

impl Throttle {
    /// How long the address has to wait before its next login is looked at.
    pub fn delay(&mut self, ip: IpAddr, now: u64) -> Duration {
        let Some(entry) = self.entry(ip, now) else { return Duration::ZERO };
        let Some(doublings) = entry.failures.checked_sub(FREE_FAILURES) else { return Duration::ZERO };
        // Past 2^5 s the bound is reached.
        let wait = Duration::from_secs(1 << doublings.min(5)).min(MAX_WAIT);
        wait.saturating_sub(Duration::from_millis(now.saturating_sub(entry.last)))
    }

    /// Says whether the last login of the address was right.
    pub fn is_trusted(&mut self, ip: IpAddr, now: u64) -> bool {
        self.entry(ip, now).is_some_and(|entry| entry.failures == 0)
    }

    /// Notes a failed login.
    pub fn failed(&mut self, ip: IpAddr, now: u64) {
        self.note(ip, now, |failures| failures.saturating_add(1));
    }

    /// Notes a right login: the failures before it are forgotten.
    pub fn succeeded(&mut self, ip: IpAddr, now: u64) {
        self.note(ip, now, |_| 0);
    }

    fn note(&mut self, ip: IpAddr, now: u64, count: fn(u32) -> u32) {
        if let Some(entry) = self.entry(ip, now) {
            entry.failures = count(entry.failures);
            entry.last = now;
            return;
        }
        if self.entries.len() >= MAX_ENTRIES {
            self.remove_oldest();
        }
        self.entries.push(Entry { source: source(ip), failures: count(0), last: now });
    }

    fn entry(&mut self, ip: IpAddr, now: u64) -> Option<&mut Entry> {
        let source = source(ip);
        self.entries.retain(|entry| now.saturating_sub(entry.last) < FORGET_AFTER);
        self.entries.iter_mut().find(|entry| entry.source == source)
    }

    /// Those whose last login was right go last: guessers with many addresses shall not push them out.
    fn remove_oldest(&mut self) {
        let ages = self.entries.iter().enumerate();
        let oldest = ages.min_by_key(|(_, entry)| (entry.failures == 0, entry.last)).map(|(index, _)| index);
        if let Some(index) = oldest {
            self.entries.swap_remove(index);
        }
    }
}

/// What counts as one client: an IPv4 address, or the network that an IPv6 host has for itself.
fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// Failed hashings that may come in a burst, from everybody together.
const BURST: u64 = 8;
/// Milliseconds after which one more is allowed: hashing takes up to 0.1 s of a slow router's one thread.
const REFILL: u64 = 1000;

/// Bounds the hashing that strangers cause, whatever number of addresses they come from.
///
/// The throttle alone does not: a host has 2^16 IPv6 networks in a /48, and on its own wire any IPv4 address.
#[derive(Default)]
pub struct HashBudget {
    /// When all that was spent is refilled, in milliseconds.
    full_at: u64,
}

impl HashBudget {
    /// How long to wait until there is something to spend.
    pub fn delay(&self, now: u64) -> Duration {
        Duration::from_millis(self.full_at.saturating_sub(now).saturating_sub((BURST - 1) * REFILL))
    }

    pub fn spend(&mut self, now: u64) {
        self.full_at = self.full_at.max(now).saturating_add(REFILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn waits_grow() {
        let mut throttle = Throttle::default();
        let client = ip("192.0.2.1");
        let mut now = 5_000_000;
        let mut waits = Vec::new();
        for _ in 0..11 {
            let wait = throttle.delay(client, now);
            waits.push(wait.as_secs());
            now += u64::try_from(wait.as_millis()).unwrap();
            assert_eq!(throttle.delay(client, now), Duration::ZERO);
            throttle.failed(client, now);
        }
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(throttle.delay(client, now + 29_999), Duration::from_millis(1));
        assert_eq!(throttle.delay(ip("192.0.2.2"), now), Duration::ZERO, "another address");
        throttle.succeeded(client, now);
        assert_eq!(throttle.delay(client, now), Duration::ZERO, "a success clears");
        throttle.failed(client, now);
        assert_eq!(throttle.delay(client, now), Duration::ZERO, "and counting begins anew");
    }

    #[test]
    fn failures_are_forgotten() {
        let mut throttle = Throttle::default();
        let client = ip("192.0.2.1");
        (0..20).for_each(|_| throttle.failed(client, 1000));
        assert_eq!(throttle.delay(client, 1000), MAX_WAIT);
        assert!(throttle.entry(client, 1000 + FORGET_AFTER - 1).is_some());
        assert!(throttle.entry(client, 1000 + FORGET_AFTER).is_none());
    }

    #[test]
    fn trust() {
        let mut throttle = Throttle::default();
        let client = ip("192.0.2.1");
        assert!(!throttle.is_trusted(client, 0), "a stranger");
        throttle.succeeded(client, 0);
        assert!(throttle.is_trusted(client, FORGET_AFTER - 1));
        throttle.failed(client, 1);
        assert!(!throttle.is_trusted(client, 1), "failed since");
        throttle.succeeded(client, 2);
        assert!(!throttle.is_trusted(client, FORGET_AFTER + 2), "long ago");
    }

    #[test]
    fn who_is_one_client() {
        #[rustfmt::skip]
        let rows = [
            ("192.0.2.1", "192.0.2.1", true, "one address"),
            ("192.0.2.1", "192.0.2.2", false, "two addresses"),
            ("::ffff:192.0.2.1", "192.0.2.1", true, "an address in both forms"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", true, "one /64"),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false, "two /64"),
        ];
        for (one, other, expected, name) in rows {
            assert_eq!(source(ip(one)) == source(ip(other)), expected, "{name}");
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut throttle = Throttle::default();
        let friend = ip("198.51.100.1");
        throttle.succeeded(friend, 0);
        for i in 0..1000u32 {
            throttle.failed(IpAddr::from(i.to_be_bytes()), u64::from(i) + 1);
            assert!(throttle.entries.len() <= MAX_ENTRIES);
        }
        assert!(throttle.is_trusted(friend, 1001), "strangers push out strangers");
        let remembered =
            |throttle: &mut Throttle, i: u32| throttle.entry(IpAddr::from(i.to_be_bytes()), 1001).is_some();
        assert!(!remembered(&mut throttle, 936), "the oldest goes");
        assert!(remembered(&mut throttle, 937));
        for i in 0..100u32 {
            throttle.succeeded(IpAddr::from((1_000_000 + i).to_be_bytes()), 2000);
        }
        assert!(throttle.entries.len() <= MAX_ENTRIES);
    }

    #[test]
    fn the_budget() {
        let mut budget = HashBudget::default();
        let start = 50_000;
        for _ in 0..BURST {
            assert_eq!(budget.delay(start), Duration::ZERO);
            budget.spend(start);
        }
        assert_eq!(budget.delay(start), Duration::from_millis(REFILL));
        assert_eq!(budget.delay(start + 400), Duration::from_millis(600));
        assert_eq!(budget.delay(start + REFILL), Duration::ZERO);
        budget.spend(start + REFILL);
        assert_eq!(budget.delay(start + REFILL), Duration::from_millis(REFILL));
        assert_eq!(budget.delay(start + 100 * REFILL), Duration::ZERO);
    }
}
