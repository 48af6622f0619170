//! Basic authentication (RFC 7617): who may see what.

mod cache;
mod credentials;
mod realms;
mod throttle;
mod verify;

pub use realms::{Database, Realms};
pub use verify::crypt_md5;

use cache::Cache;
use credentials::Credentials;
use realms::Realm;
use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Duration;
use throttle::{HashBudget, Throttle};
use verify::{Secret, same};

/// Characters of a refused user's name that the log shows.
const MAX_SHOWN: usize = 64;

/// The protected paths, and what is remembered of those who asked for them.
///
/// A configuration that was read anew makes a new one, so that nothing is granted by the old.
pub struct Auth {
    realms: Realms,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    cache: Cache,
    throttle: Throttle,
    budget: HashBudget,
}

/// What to do with a request.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Verdict {
    /// Serve it: the path is not protected.
    Open,
    /// Serve it: the login is right.
    Granted { user: String, pass: Vec<u8> },
    /// 401 with `WWW-Authenticate`.
    Ask,
    /// 429 with `Retry-After`: the login was not looked at, so that neither answer nor hash is had by hurrying.
    Wait(Duration),
}

impl Auth {
    pub fn new(realms: Realms) -> Auth {
        Auth { realms, state: RefCell::default() }
    }

    /// Whether two paths are of the same realm, or of none.
    pub fn is_alike(&self, path: &[u8], other: &[u8]) -> bool {
        let index = |path| self.realms.find(path).map(|(index, _)| index);
        index(path) == index(other)
    }

    /// Of two names of one place the one by which it is protected more closely: by the longer path; else the first.
    pub fn closer<'a>(&self, path: &'a [u8], other: &'a [u8]) -> &'a [u8] {
        let depth = |path| self.realms.find(path).map(|(_, realm)| realm.depth());
        if depth(other) > depth(path) { other } else { path }
    }

    /// Judges a request by its decoded path, its `Authorization`, its sender and the time in milliseconds.
    ///
    /// A sender without an address is a proxy's Unix socket: a wait would be for all behind it.
    pub fn check(&self, path: &[u8], authorization: Option<&[u8]>, ip: Option<IpAddr>, now: u64) -> Verdict {
        let Some((index, realm)) = self.realms.find(path) else { return Verdict::Open };
        let Some(login) = authorization.and_then(Credentials::parse) else { return Verdict::Ask };
        let wait = self.state.borrow_mut().delay(realm, &login, ip, now);
        if !wait.is_zero() {
            return Verdict::Wait(wait);
        }
        if !self.state.borrow_mut().verify(index, realm, &login, ip, now) {
            log_failure(realm, &login, ip);
            return Verdict::Ask;
        }
        // The user is an account's name, so this is no loss.
        let user = String::from_utf8_lossy(&login.user).into_owned();
        Verdict::Granted { user, pass: login.pass.into_bytes() }
    }
}

impl State {
    /// How long until a login is looked at.
    ///
    /// Neither the password nor whether there is the user may matter here, or a client that waits could learn of it.
    fn delay(&mut self, realm: &Realm, login: &Credentials, ip: Option<IpAddr>, now: u64) -> Duration {
        let own = ip.map_or(Duration::ZERO, |ip| self.throttle.delay(ip, &login.user, now));
        // Strangers at work must not keep out those who were let in before.
        let trusted = ip.is_some_and(|ip| self.throttle.is_trusted(ip, &login.user, now));
        if trusted || realm.hash().is_none() { own } else { own.max(self.budget.delay(ip, now)) }
    }

    fn verify(&mut self, index: usize, realm: &Realm, login: &Credentials, ip: Option<IpAddr>, now: u64) -> bool {
        let hashed = realm.hash().is_some();
        let pass = login.pass.to_bytes();
        let known = hashed && self.cache.knows(index, &login.user, pass, now);
        let right = known || realm.verify(login);
        match ip {
            Some(ip) if right => self.throttle.succeeded(ip, &login.user, now),
            Some(ip) => self.throttle.failed(ip, &login.user, now),
            None => {}
        }
        if hashed && !right {
            self.budget.spend(ip, now);
        }
        if hashed && right && !known {
            self.cache.keep(index, &login.user, pass, now);
        }
        right
    }
}

impl Realm {
    /// A hash of the realm, if it has any.
    fn hash(&self) -> Option<&Secret> {
        self.accounts.iter().map(|account| &account.secret).find(|secret| secret.is_crypt())
    }

    /// Compares with every account of that user; a user without a hash costs one all the same.
    fn verify(&self, login: &Credentials) -> bool {
        let mut right = false;
        let mut hashed = false;
        for account in &self.accounts {
            if same(&login.user, account.user.as_bytes()) {
                right |= account.secret.verify(&login.pass);
                hashed |= account.secret.is_crypt();
            }
        }
        if let Some(hash) = self.hash().filter(|_| !hashed) {
            let _ = hash.verify(&login.pass);
        }
        right
    }
}

fn log_failure(realm: &Realm, login: &Credentials, ip: Option<IpAddr>) {
    let from = ip.map_or_else(|| "unix".into(), |ip| ip.to_string());
    log::warn!("{from}: login as {} to {} failed", shown(&login.user), realm.path);
}

/// A client's text, short and without what could pass for another line of the log.
fn shown(text: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(text).chars().take(MAX_SHOWN).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::credentials::basic;
    use super::verify::tests::HASHED;
    use super::*;
    use crate::daemon::config::RealmLine;

    const HOST: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const OTHER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));
    /// "Hello world!"
    const HASH: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

    fn auth(lines: &[(&str, &str, &str)]) -> Auth {
        let line = |&(path, user, pass): &(&str, &str, &str)| RealmLine {
            path: path.into(),
            user: user.into(),
            pass: pass.into(),
        };
        Auth::new(Realms::new(&lines.iter().map(line).collect::<Vec<_>>(), &Database::default()))
    }

    fn login(auth: &Auth, path: &str, login: &str, ip: Option<IpAddr>, now: u64) -> Verdict {
        auth.check(path.as_bytes(), Some(&basic(login.as_bytes())), ip, now)
    }

    fn granted(user: &str, pass: &str) -> Verdict {
        Verdict::Granted { user: user.into(), pass: pass.into() }
    }

    #[test]
    fn verdicts() {
        let lines = [("/a", "u", "1"), ("/a", "v", "2"), ("/a", "u", "3"), ("/a/b", "w", HASH), ("/a/b", "x", "4")];
        #[rustfmt::skip]
        let rows = [
            ("/", "u:1", Verdict::Open, "an open path"),
            ("/a/x", "u:1", granted("u", "1"), "the first account"),
            ("/a/x", "v:2", granted("v", "2"), "another user"),
            ("/a/x", "u:3", granted("u", "3"), "another password"),
            ("/a/x", "u:2", Verdict::Ask, "another's password"),
            ("/a/x", "w:Hello world!", Verdict::Ask, "another realm's user"),
            ("/a/x", ":", Verdict::Ask, "nothing"),
            ("/a/b", "u:1", Verdict::Ask, "the outer realm's user"),
            ("/a/b", "w:Hello world!", granted("w", "Hello world!"), "a hash"),
            ("/a/b", "w:hello world!", Verdict::Ask, "a wrong password"),
            ("/a/b", "x:4", granted("x", "4"), "plain beside a hash"),
            ("/a/b", "x:Hello world!", Verdict::Ask, "the other's password beside a hash"),
        ];
        for (path, text, expected, name) in rows {
            assert_eq!(login(&auth(&lines), path, text, HOST, 0), expected, "{name}");
        }
        assert_eq!(login(&auth(&lines), "/a/b", &format!("w:{HASH}"), HOST, 0), Verdict::Ask, "the hash itself");
        let auth = auth(&lines);
        assert_eq!(auth.check(b"/a", None, HOST, 0), Verdict::Ask, "no Authorization");
        assert_eq!(auth.check(b"/a", Some(b"Bearer x"), HOST, 0), Verdict::Ask, "another scheme");
        assert_eq!(auth.check(b"/", Some(b"junk"), HOST, 0), Verdict::Open, "an open path looks at nothing");
    }

    #[test]
    fn guessers_wait() {
        let auth = auth(&[("/", "u", "1")]);
        (0..100).for_each(|_| assert_eq!(auth.check(b"/", None, HOST, 0), Verdict::Ask, "not a failure"));
        (0..3).for_each(|_| assert_eq!(login(&auth, "/", "u:x", HOST, 0), Verdict::Ask));
        let second = Verdict::Wait(Duration::from_secs(1));
        assert_eq!(login(&auth, "/", "u:x", HOST, 0), second);
        assert_eq!(login(&auth, "/", "u:1", HOST, 0), second, "even with the right password");
        assert_eq!(auth.check(b"/", None, HOST, 0), Verdict::Ask, "who does not log in does not wait");
        assert_eq!(login(&auth, "/", "u:1", OTHER, 0), granted("u", "1"), "another address");
        assert_eq!(login(&auth, "/", "v:x", HOST, 0), Verdict::Ask, "another user");
        assert_eq!(login(&auth, "/", "u:x", HOST, 1000), Verdict::Ask, "who waited in vain waits no longer");
        assert_eq!(login(&auth, "/", "u:1", HOST, 2999), Verdict::Wait(Duration::from_millis(1)));
        assert_eq!(login(&auth, "/", "u:1", HOST, 3000), granted("u", "1"));
        assert_eq!(login(&auth, "/", "u:x", HOST, 3000), Verdict::Ask, "a success clears");
        (0..100).for_each(|_| assert_eq!(login(&auth, "/", "u:x", None, 0), Verdict::Ask, "a proxy's socket"));
    }

    #[test]
    fn a_login_is_hashed_once_a_minute() {
        let auth = auth(&[("/", "u", HASH), ("/b", "u", HASH)]);
        let known = |now| auth.state.borrow_mut().cache.knows(0, b"u", b"Hello world!", now);
        assert!(!known(0));
        for now in [0, 30_000, 59_999] {
            assert_eq!(login(&auth, "/", "u:Hello world!", HOST, now), granted("u", "Hello world!"));
            assert!(known(now));
        }
        assert!(!known(60_000), "use does not lengthen it");
        assert_eq!(login(&auth, "/", "u:Hello world!", HOST, 60_000), granted("u", "Hello world!"));
        assert!(known(60_000), "hashed anew");
        assert_eq!(login(&auth, "/", "u:Hello world?", HOST, 60_000), Verdict::Ask);
        assert!(!auth.state.borrow_mut().cache.knows(1, b"u", b"Hello world!", 60_000), "the other realm's is its own");
    }

    #[test]
    fn what_a_login_costs() {
        let auth = auth(&[("/", "u", HASH), ("/", "v", HASH), ("/", "x", "4"), ("/plain", "u", "1")]);
        #[rustfmt::skip]
        let rows = [
            ("/", "u:wrong", 1, "a user"),
            ("/", "nobody:wrong", 1, "an unknown user"),
            ("/", "u:Hello world!", 1, "the right password"),
            ("/", "u:Hello world!", 0, "the same a moment later"),
            ("/", "v:Hello world!", 1, "another user's"),
            ("/", "x:wrong", 1, "a user without a hash"),
            ("/plain", "u:wrong", 0, "a realm without a hash"),
            ("/plain", "u:wrong", 0, "the second failure"),
            ("/plain", "u:wrong", 0, "the third failure"),
            ("/", "u:wrong", 0, "who has to wait"),
        ];
        for (path, text, expected, name) in rows {
            let before = HASHED.get();
            login(&auth, path, text, HOST, 0);
            assert_eq!(HASHED.get() - before, expected, "{name}");
        }
    }

    #[test]
    fn many_addresses_share_a_budget_of_hashes() {
        let auth = auth(&[("/", "u", HASH), ("/plain", "u", "1")]);
        assert!(matches!(login(&auth, "/", "u:Hello world!", HOST, 0), Verdict::Granted { .. }));
        let stranger = |i: u32| Some(IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(i) << 64).to_be_bytes()));
        let refused = (0..20).filter(|&i| login(&auth, "/", "nobody:x", stranger(i), 0) == Verdict::Ask).count();
        assert_eq!(refused, 8, "the rest was not looked at");
        let second = Verdict::Wait(Duration::from_secs(1));
        assert_eq!(login(&auth, "/", "u:Hello world!", OTHER, 0), second, "a right login does not tell itself");
        assert_eq!(login(&auth, "/", "u:Hello world!", None, 0), second, "nor by a proxy");
        let home = Some(IpAddr::from([192, 168, 1, 2]));
        assert!(matches!(login(&auth, "/", "u:Hello world!", home, 0), Verdict::Granted { .. }), "new, but at home");
        assert!(
            matches!(login(&auth, "/", "u:Hello world!", HOST, 0), Verdict::Granted { .. }),
            "who was let in stays"
        );
        assert_eq!(login(&auth, "/plain", "u:1", OTHER, 0), granted("u", "1"), "no hash, no budget");
        assert!(matches!(login(&auth, "/", "u:Hello world!", OTHER, 1000), Verdict::Granted { .. }));
    }

    #[test]
    fn hostile_names_in_the_log() {
        #[rustfmt::skip]
        let rows: &[(&[u8], &str)] = &[
            (b"root", "\"root\""),
            (b"a\"b\nc\x1b", "\"a\\\"b\\nc\\u{1b}\""),
            (b"\xff", "\"\u{fffd}\""),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(text), *expected);
        }
        assert_eq!(shown(&[b'a'; 500]).len(), MAX_SHOWN + 2);
    }
}
