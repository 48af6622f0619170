//! Logins that were recently verified, right and wrong.

use super::credentials::Credentials;
use super::verify::same;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

/// Right logins that are kept: more than the people who administer one router.
const MAX_ENTRIES: usize = 16;
/// Wrong logins that are remembered, as one hash each.
const MAX_WRONG: usize = 64;
/// Milliseconds that a right login is kept. It is a trade-off: requests without hashing, against passwords in memory.
const KEEP: u64 = 60_000;

/// Avoids hashing for each request of a page: crypt(3) is slow by design. A login known to be wrong is not hashed again
/// either, so a device with an outdated password does not hold up others.
#[derive(Default)]
pub struct KnownLogins {
    right: Vec<KnownLogin>,
    /// Hashes with a random key, the oldest first.
    wrong: Vec<u64>,
    hasher: RandomState,
}

struct KnownLogin {
    claim: Claim,
    until: u64,
}

/// A login, and where it came from: from elsewhere it must be verified again.
#[derive(Clone)]
pub struct Claim {
    /// The index of the realm.
    pub realm: usize,
    pub source: Option<IpAddr>,
    pub login: Arc<Credentials>,
}

impl KnownLogins {
    /// Whether this login was right within the last minute.
    pub fn knows(&mut self, claim: &Claim, now: u64) -> bool {
        self.right.retain(|login| now < login.until);
        // In constant time: neither the search nor a comparison ends early.
        self.right.iter().fold(false, |known, KnownLogin { claim: right, .. }| {
            let (login, other) = (&claim.login, &right.login);
            let place = claim.realm == right.realm && claim.source == right.source;
            known | (same(&login.user, &other.user) & same(login.pass.to_bytes(), other.pass.to_bytes()) & place)
        })
    }

    /// Whether this login is known to be wrong.
    pub fn knows_wrong(&self, claim: &Claim) -> bool {
        self.wrong.contains(&self.hash(claim))
    }

    /// Keeps a login that was verified at `now`. The oldest makes room.
    pub fn keep(&mut self, claim: &Claim, right: bool, now: u64) {
        if right {
            if self.right.len() >= MAX_ENTRIES {
                self.right.remove(0);
            }
            self.right.push(KnownLogin { claim: claim.clone(), until: now.saturating_add(KEEP) });
        } else {
            if self.wrong.len() >= MAX_WRONG {
                self.wrong.remove(0);
            }
            self.wrong.push(self.hash(claim));
        }
    }

    /// A hash of realm, user and password: a wrong login is wrong wherever it comes from.
    fn hash(&self, claim: &Claim) -> u64 {
        self.hasher.hash_one((claim.realm, &claim.login.user, &claim.login.pass))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(realm: usize, user: &[u8], pass: &[u8], source: u8) -> Claim {
        let login = Credentials { user: user.into(), pass: std::ffi::CString::new(pass).unwrap() };
        Claim { realm, source: Some([192, 0, 2, source].into()), login: Arc::new(login) }
    }

    #[test]
    fn what_is_known() {
        let mut cache = KnownLogins::default();
        cache.keep(&claim(1, b"user", b"pass", 1), true, 1000);
        #[rustfmt::skip]
        let rows = [
            (1, "user", "pass", 1, 1000, true, "the same"),
            (2, "user", "pass", 1, 1000, false, "another realm"),
            (1, "User", "pass", 1, 1000, false, "another user"),
            (1, "user", "past", 1, 1000, false, "another password"),
            (1, "userp", "ass", 1, 1000, false, "split elsewhere"),
            (1, "", "", 1, 1000, false, "nothing"),
            (1, "user", "pass", 2, 1000, false, "from another address: a guess"),
            (1, "user", "pass", 1, 1000 + KEEP - 1, true, "at its last moment"),
            (1, "user", "pass", 1, 1000 + KEEP, false, "too late, however often it was used"),
        ];
        for (realm, user, pass, source, now, expected, name) in rows {
            let claim = claim(realm, user.as_bytes(), pass.as_bytes(), source);
            assert_eq!(cache.knows(&claim, now), expected, "{name}");
            assert!(!cache.knows_wrong(&claim), "{name}");
        }
        assert!(cache.right.is_empty(), "no password outlives its time");
    }

    #[test]
    fn what_is_known_to_be_wrong() {
        let mut cache = KnownLogins::default();
        cache.keep(&claim(1, b"user", b"pass", 1), false, 1000);
        #[rustfmt::skip]
        let rows = [
            (1, "user", "pass", 1, true, "the same"),
            (1, "user", "pass", 2, true, "from anywhere"),
            (2, "user", "pass", 1, false, "another realm"),
            (1, "userp", "ass", 1, false, "split elsewhere"),
            (1, "user", "Pass", 1, false, "another password"),
        ];
        for (realm, user, pass, source, expected, name) in rows {
            let claim = claim(realm, user.as_bytes(), pass.as_bytes(), source);
            assert_eq!(cache.knows_wrong(&claim), expected, "{name}");
            assert!(!cache.knows(&claim, 1000), "{name}");
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut cache = KnownLogins::default();
        let count = u8::try_from(MAX_ENTRIES).unwrap() + 1;
        (0..count).for_each(|i| cache.keep(&claim(0, &[i], b"", 1), true, u64::from(i)));
        assert_eq!(cache.right.len(), MAX_ENTRIES);
        assert!(!cache.knows(&claim(0, &[0], b"", 1), 20));
        assert!((1..count).all(|i| cache.knows(&claim(0, &[i], b"", 1), 20)));
        let count = u8::try_from(MAX_WRONG).unwrap() + 1;
        (0..count).for_each(|i| cache.keep(&claim(0, b"", &[i + 1], 1), false, 0));
        assert_eq!(cache.wrong.len(), MAX_WRONG);
        assert!(!cache.knows_wrong(&claim(0, b"", &[1], 1)));
        assert!((1..count).all(|i| cache.knows_wrong(&claim(0, b"", &[i + 1], 1))));
    }
}
