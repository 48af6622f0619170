//! Logins that were right a moment ago.

use super::verify::same;

/// Logins that are kept: more than people look after one router.
const MAX_ENTRIES: usize = 16;
/// Milliseconds that a login is kept: as long may a page's requests go without hashing, and a password lie in memory.
const KEEP: u64 = 60_000;

/// Spares the loop a hash for each request of a page: crypt(3) is slow, and meant to be.
#[derive(Default)]
pub struct Cache(Vec<Login>);

struct Login {
    realm: usize,
    user: Vec<u8>,
    pass: Vec<u8>,
    until: u64,
}

impl Cache {
    /// Says whether this login was right within the last minute.
    pub fn knows(&mut self, realm: usize, user: &[u8], pass: &[u8], now: u64) -> bool {
        self.0.retain(|login| now < login.until);
        // No early end, neither of the search nor of a comparison.
        self.0.iter().fold(false, |known, login| {
            known | (same(user, &login.user) & same(pass, &login.pass) & (login.realm == realm))
        })
    }

    /// Keeps a login that was verified at `now`; the oldest makes room.
    pub fn keep(&mut self, realm: usize, user: &[u8], pass: &[u8], now: u64) {
        if self.0.len() >= MAX_ENTRIES {
            self.0.remove(0);
        }
        self.0.push(Login { realm, user: user.to_vec(), pass: pass.to_vec(), until: now.saturating_add(KEEP) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known() {
        let mut cache = Cache::default();
        cache.keep(1, b"user", b"pass", 1000);
        #[rustfmt::skip]
        let rows = [
            (1, "user", "pass", 1000, true, "the same"),
            (2, "user", "pass", 1000, false, "another realm"),
            (1, "User", "pass", 1000, false, "another user"),
            (1, "user", "past", 1000, false, "another password"),
            (1, "userp", "ass", 1000, false, "split elsewhere"),
            (1, "", "", 1000, false, "nothing"),
            (1, "user", "pass", 1000 + KEEP - 1, true, "at its last moment"),
            (1, "user", "pass", 1000 + KEEP, false, "too late, however often it was used"),
        ];
        for (realm, user, pass, now, expected, name) in rows {
            assert_eq!(cache.knows(realm, user.as_bytes(), pass.as_bytes(), now), expected, "{name}");
        }
        assert!(cache.0.is_empty(), "no password outlives its time");
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut cache = Cache::default();
        let count = u8::try_from(MAX_ENTRIES).unwrap() + 1;
        (0..count).for_each(|i| cache.keep(0, &[i], b"", u64::from(i)));
        assert_eq!(cache.0.len(), MAX_ENTRIES);
        assert!(!cache.knows(0, &[0], b"", 20));
        assert!((1..count).all(|i| cache.knows(0, &[i], b"", 20)));
    }
}
