//! Failed logins: how long their senders wait, and how much hashing they may cause.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Logins that are remembered, and addresses: some 10 KB.
const MAX_ENTRIES: usize = 64;
/// Bytes of a user's name that count: names that begin alike so far are one to the throttle.
const MAX_USER: usize = 32;
/// Failures in a row without a wait: to mistype is human.
const FREE_FAILURES: u32 = 3;
/// The longest wait: it bounds a guesser at 2880 passwords of a user a day.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Milliseconds after which a login is forgotten.
const FORGET_AFTER: u64 = 600_000;

/// Makes guessing slow: after a few failures each further one doubles the wait for that user from that address.
///
/// Users wait apart, or whoever guesses from behind the same router would keep all of them out. The address's failures
/// together are bounded as well, far above what those come to who have nothing but an old password.
#[derive(Default)]
pub struct Throttle {
    entries: Vec<Entry>,
    addresses: Vec<(IpAddr, Budget)>,
}

struct Entry {
    source: IpAddr,
    user: Vec<u8>,
    /// In a row; none after a success.
    failures: u32,
    /// Of the last login, in milliseconds.
    last: u64,
}

impl Throttle {
    /// How long the address has to wait before its next login as that user is looked at.
    pub fn delay(&mut self, ip: IpAddr, user: &[u8], now: u64) -> Duration {
        let wait = self.entry(ip, user, now).map_or(Duration::ZERO, |entry| entry.wait(now));
        // An intruder beside those who were let in shall not keep them out.
        if self.is_trusted(ip, user, now) {
            return wait;
        }
        let source = source_of(ip);
        let known = self.addresses.iter().find(|(known, _)| *known == source);
        known.map_or(wait, |(_, budget)| wait.max(budget.delay(now, ADDRESS)))
    }

    /// Says whether the last login of that user from the address was right.
    pub fn is_trusted(&mut self, ip: IpAddr, user: &[u8], now: u64) -> bool {
        self.entry(ip, user, now).is_some_and(|entry| entry.failures == 0)
    }

    /// Notes a failed login.
    pub fn failed(&mut self, ip: IpAddr, user: &[u8], now: u64) {
        self.note(ip, user, now, |failures| failures.saturating_add(1));
        let source = source_of(ip);
        if let Some((_, budget)) = self.addresses.iter_mut().find(|(known, _)| *known == source) {
            return budget.spend(now, ADDRESS);
        }
        if self.addresses.len() >= MAX_ENTRIES {
            let ages = self.addresses.iter().enumerate();
            let least = ages.min_by_key(|(_, (_, budget))| budget.full_at).map(|(index, _)| index);
            least.map(|index| self.addresses.swap_remove(index));
        }
        let mut budget = Budget::default();
        budget.spend(now, ADDRESS);
        self.addresses.push((source, budget));
    }

    /// Notes a right login: the failures before it are forgotten, but for those that the address had with other users.
    pub fn succeeded(&mut self, ip: IpAddr, user: &[u8], now: u64) {
        self.note(ip, user, now, |_| 0);
    }

    fn note(&mut self, ip: IpAddr, user: &[u8], now: u64, count: fn(u32) -> u32) {
        if let Some(entry) = self.entry(ip, user, now) {
            entry.failures = count(entry.failures);
            entry.last = now;
            return;
        }
        if self.entries.len() >= MAX_ENTRIES {
            self.remove_oldest();
        }
        self.entries.push(Entry { source: source_of(ip), user: cut(user).to_vec(), failures: count(0), last: now });
    }

    fn entry(&mut self, ip: IpAddr, user: &[u8], now: u64) -> Option<&mut Entry> {
        let source = source_of(ip);
        self.entries.retain(|entry| now.saturating_sub(entry.last) < FORGET_AFTER);
        self.entries.iter_mut().find(|entry| entry.source == source && entry.user == cut(user))
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

impl Entry {
    fn wait(&self, now: u64) -> Duration {
        let Some(doublings) = self.failures.checked_sub(FREE_FAILURES) else { return Duration::ZERO };
        // Past 2^5 s the bound is reached.
        let wait = Duration::from_secs(1 << doublings.min(5)).min(MAX_WAIT);
        wait.saturating_sub(Duration::from_millis(now.saturating_sub(self.last)))
    }
}

fn cut(user: &[u8]) -> &[u8] {
    user.get(..MAX_USER).unwrap_or(user)
}

/// What counts as one client: an IPv4 address, or the network that an IPv6 host has for itself.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// Failures that may come in a burst, and the milliseconds after which one more is allowed.
#[derive(Clone, Copy)]
struct Rate {
    burst: u64,
    refill: u64,
}

/// Of one address with all the users that it names: a program with an old password fails twice a minute, and a guesser
/// who tries many names gets no more than 8640 passwords a day.
const ADDRESS: Rate = Rate { burst: 12, refill: 10_000 };
/// Hashings in vain of everybody together: hashing takes up to 0.1 s of a slow router's one thread.
const HASHES: Rate = Rate { burst: 8, refill: 1000 };

/// What may be spent at a rate.
#[derive(Default)]
struct Budget {
    /// When all that was spent is refilled, in milliseconds.
    full_at: u64,
}

impl Budget {
    /// How long to wait until there is something to spend.
    fn delay(&self, now: u64, rate: Rate) -> Duration {
        Duration::from_millis(self.full_at.saturating_sub(now).saturating_sub((rate.burst - 1) * rate.refill))
    }

    fn spend(&mut self, now: u64, rate: Rate) {
        self.full_at = self.full_at.max(now).saturating_add(rate.refill);
    }
}

/// Bounds the hashing that strangers cause, whatever number of addresses they come from.
///
/// The throttle alone does not: a host has 2^16 IPv6 networks in a /48, and on its own wire any IPv4 address. The near
/// have a budget of their own, so that nobody from the Internet keeps an administrator at home out.
#[derive(Default)]
pub struct HashBudget {
    near: Budget,
    far: Budget,
}

impl HashBudget {
    /// How long a sender waits until there is something to spend; one without an address may come from anywhere.
    pub fn delay(&self, ip: Option<IpAddr>, now: u64) -> Duration {
        if ip.is_some_and(is_near) { self.near.delay(now, HASHES) } else { self.far.delay(now, HASHES) }
    }

    pub fn spend(&mut self, ip: Option<IpAddr>, now: u64) {
        let budget = if ip.is_some_and(is_near) { &mut self.near } else { &mut self.far };
        budget.spend(now, HASHES);
    }
}

/// Whether an address is of this machine or its own networks; not 100.64.0.0/10, whose hosts are other people's.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &[u8] = b"root";

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
            let wait = throttle.delay(client, USER, now);
            waits.push(wait.as_secs());
            now += u64::try_from(wait.as_millis()).unwrap();
            assert_eq!(throttle.delay(client, USER, now), Duration::ZERO);
            throttle.failed(client, USER, now);
        }
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(throttle.delay(client, USER, now + 29_999), Duration::from_millis(1));
        assert_eq!(throttle.delay(ip("192.0.2.2"), USER, now), Duration::ZERO, "another address");
        throttle.succeeded(client, USER, now);
        assert_eq!(throttle.delay(client, USER, now), Duration::ZERO, "a success clears");
        throttle.failed(client, USER, now);
        assert_eq!(throttle.delay(client, USER, now), Duration::ZERO, "and counting begins anew");
    }

    #[test]
    fn failures_are_forgotten() {
        let mut throttle = Throttle::default();
        let client = ip("192.0.2.1");
        (0..8).for_each(|_| throttle.failed(client, USER, 1000));
        assert_eq!(throttle.delay(client, USER, 1000), MAX_WAIT);
        assert!(throttle.entry(client, USER, 1000 + FORGET_AFTER - 1).is_some());
        assert!(throttle.entry(client, USER, 1000 + FORGET_AFTER).is_none());
    }

    #[test]
    fn trust() {
        let mut throttle = Throttle::default();
        let client = ip("192.0.2.1");
        assert!(!throttle.is_trusted(client, USER, 0), "a stranger");
        throttle.succeeded(client, USER, 0);
        assert!(throttle.is_trusted(client, USER, FORGET_AFTER - 1));
        throttle.failed(client, USER, 1);
        assert!(!throttle.is_trusted(client, USER, 1), "failed since");
        throttle.succeeded(client, USER, 2);
        assert!(!throttle.is_trusted(client, USER, FORGET_AFTER + 2), "long ago");
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
            assert_eq!(source_of(ip(one)) == source_of(ip(other)), expected, "{name}");
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut throttle = Throttle::default();
        let friend = ip("198.51.100.1");
        throttle.succeeded(friend, USER, 0);
        for i in 0..1000u32 {
            throttle.failed(IpAddr::from(i.to_be_bytes()), USER, u64::from(i) + 1);
            assert!(throttle.entries.len() <= MAX_ENTRIES);
        }
        assert!(throttle.is_trusted(friend, USER, 1001), "strangers push out strangers");
        let remembered =
            |throttle: &mut Throttle, i: u32| throttle.entry(IpAddr::from(i.to_be_bytes()), USER, 1001).is_some();
        assert!(!remembered(&mut throttle, 936), "the oldest goes");
        assert!(remembered(&mut throttle, 937));
        for i in 0..100u32 {
            throttle.succeeded(IpAddr::from((1_000_000 + i).to_be_bytes()), USER, 2000);
        }
        assert!(throttle.entries.len() <= MAX_ENTRIES);
    }

    #[test]
    fn users_of_an_address_wait_apart_but_share_a_bound() {
        let mut throttle = Throttle::default();
        let client = ip("192.0.2.1");
        (0..5).for_each(|_| throttle.failed(client, b"guest", 0));
        assert_eq!(throttle.delay(client, b"guest", 0), Duration::from_secs(4));
        assert_eq!(throttle.delay(client, USER, 0), Duration::ZERO, "another user");
        throttle.succeeded(client, USER, 0);
        for n in 5..12u8 {
            assert_eq!(throttle.delay(client, &[n], 0), Duration::ZERO, "{n}");
            throttle.failed(client, &[n], 0);
        }
        let bound = Duration::from_secs(10);
        assert_eq!(throttle.delay(client, b"other", 0), bound, "whatever the name");
        assert_eq!(throttle.delay(client, USER, 0), Duration::ZERO, "but who was let in");
        throttle.succeeded(client, USER, 0);
        assert_eq!(throttle.delay(client, b"other", 0), bound, "one login does not pay for guesses at others");
        assert_eq!(throttle.delay(ip("192.0.2.2"), b"other", 0), Duration::ZERO, "another address");
        assert_eq!(throttle.delay(client, b"other", 10_000), Duration::ZERO);
        // One with an old password, who asks and asks, takes nothing from the others.
        let (mut throttle, mut now) = (Throttle::default(), 0);
        for _ in 0..200 {
            now += u64::try_from(throttle.delay(client, b"old", now).as_millis()).unwrap();
            throttle.failed(client, b"old", now);
        }
        assert_eq!(throttle.delay(client, USER, now), Duration::ZERO);
        // Names that begin alike are one, so that a long one costs no memory.
        let long = [b'x'; 500];
        (0..5).for_each(|n| throttle.failed(ip("192.0.2.3"), &long[n..], now));
        assert_eq!(throttle.delay(ip("192.0.2.3"), &long[10..], now), Duration::from_secs(4));
        (0..1000u32).for_each(|i| throttle.failed(IpAddr::from(i.to_be_bytes()), USER, now));
        assert_eq!(throttle.addresses.len(), MAX_ENTRIES);
    }

    #[test]
    fn the_budget() {
        let mut budget = HashBudget::default();
        let far = Some(ip("198.51.100.1"));
        let start = 50_000;
        for _ in 0..HASHES.burst {
            assert_eq!(budget.delay(far, start), Duration::ZERO);
            budget.spend(far, start);
        }
        let refill = Duration::from_millis(HASHES.refill);
        assert_eq!(budget.delay(far, start), refill);
        assert_eq!(budget.delay(None, start), refill, "from anywhere");
        assert_eq!(budget.delay(Some(ip("192.168.1.2")), start), Duration::ZERO, "from near");
        assert_eq!(budget.delay(far, start + 400), Duration::from_millis(600));
        assert_eq!(budget.delay(far, start + 1000), Duration::ZERO);
        budget.spend(far, start + 1000);
        assert_eq!(budget.delay(far, start + 1000), refill);
        assert_eq!(budget.delay(far, start + 100_000), Duration::ZERO);
    }

    #[test]
    fn who_is_near() {
        let near = "10.0.0.1 172.16.0.1 192.168.1.1 169.254.0.1 127.0.0.1 ::1 fd00::1 fe80::1 ::ffff:10.0.0.1";
        let far = "100.64.0.1 192.0.2.1 172.32.0.1 2001:db8::1 ::ffff:192.0.2.1 0.0.0.0";
        assert!(near.split(' ').all(|text| is_near(ip(text))));
        assert!(!far.split(' ').any(|text| is_near(ip(text))));
    }
}
