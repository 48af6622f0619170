//! The verdict on a login: known already, or its turn to be verified awaited.

use super::cache::{Claim, KnownLogins};
use super::credentials::Credentials;
use super::hashing;
use super::realms::{Realm, Realms};
use super::throttle::{LoginClient, Throttle, Turn};
use crate::daemon::counters::{self, Counted};
use crate::daemon::escape::Shown;
use crate::daemon::{events, log};
use ecohttpd::PeerAddr;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Characters of a user's name that the log shows.
const MAX_SHOWN: usize = 64;

/// `Retry-After` for a login that was not verified because too many others wait.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// The protected paths, and what is remembered of earlier logins.
///
/// A reload makes a new one, so that nothing is granted by the old configuration.
pub struct Auth {
    realms: Realms,
    cache: RefCell<KnownLogins>,
    throttle: RefCell<Throttle>,
    started: Instant,
    /// The name of the site, for events.
    site: String,
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
    /// 429 with `Retry-After`: the login was not verified.
    Wait(Duration),
}

/// Who sent a request.
#[derive(Clone, Copy)]
pub struct Sender {
    /// `None`: a Unix socket, usually of a proxy. Throttling it would throttle everyone behind it.
    ip: Option<IpAddr>,
    client: LoginClient,
}

impl Sender {
    /// A client at this address, whose program sends these header values.
    pub fn new(addr: &PeerAddr, names: [&[u8]; 2]) -> Sender {
        // FNV-1a: it tells a browser from a script, and need not resist attackers.
        let program = names
            .concat()
            .iter()
            .fold(0x811c_9dc5_u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Sender { ip: addr.ip(), client: LoginClient { source: addr.network(), program } }
    }
}

/// A login, and the realm that it is for.
#[derive(Clone)]
struct Attempt {
    claim: Claim,
    realm: Arc<Realm>,
    sender: Sender,
}

impl Auth {
    pub fn new(realms: Realms, site: &str) -> Auth {
        let (cache, throttle) = (RefCell::default(), RefCell::default());
        Auth { realms, cache, throttle, started: Instant::now(), site: site.to_owned() }
    }

    /// Whether two paths belong to the same realm, or both to none.
    pub fn is_alike(&self, path: &[u8], other: &[u8]) -> bool {
        let index = |path| self.realms.find(path).map(|(index, _)| index);
        index(path) == index(other)
    }

    /// Of two names of the same resource, the one whose realm has the longer path; the first if they are equal.
    pub fn closer<'a>(&self, path: &'a [u8], other: &'a [u8]) -> &'a [u8] {
        let depth = |path| self.realms.find(path).map(|(_, realm)| realm.depth());
        if depth(other) > depth(path) { other } else { path }
    }

    /// Judges a request by its decoded path, its `Authorization` and its sender.
    ///
    /// The answer is immediate for a login that was verified within the last minute, for one known to be wrong, and for a
    /// right one that needs no hashing. Any other waits for its turn, which comes at once unless its sender failed lately.
    /// Hashing does not block the loop.
    pub async fn check(self: &Rc<Self>, path: &[u8], authorization: Option<&[u8]>, sender: Sender) -> Verdict {
        let Some((index, realm)) = self.realms.find(path) else { return Verdict::Open };
        let Some(login) = authorization.and_then(Credentials::parse) else { return Verdict::Ask };
        let claim = Claim { realm: index, source: sender.client.source, login: Arc::new(login) };
        let attempt = Attempt { claim, realm: Arc::clone(realm), sender };
        let right = match self.at_once(&attempt) {
            None => self.in_turn(&attempt).await,
            right => right,
        };
        match right {
            // Lossless: a right user equals one from the configuration, which is UTF-8.
            Some(true) => Verdict::Granted {
                user: String::from_utf8_lossy(&attempt.claim.login.user).into_owned(),
                pass: attempt.claim.login.pass.to_bytes().to_vec(),
            },
            Some(false) => Verdict::Ask,
            None => Verdict::Wait(TRY_AGAIN),
        }
    }

    /// The verdict on a login that need not wait; `None` if it must.
    fn at_once(&self, attempt: &Attempt) -> Option<bool> {
        if let known @ Some(_) = self.known(&attempt.claim) {
            return known;
        }
        let right = self.throttle.borrow_mut().may_compare(attempt.sender.client, self.now())
            && attempt.realm.verify_plain(&attempt.claim.login);
        if right {
            self.done(attempt, true, None);
        }
        right.then_some(true)
    }

    /// Verifies a login when its turn has come; `None` if it was refused a turn.
    async fn in_turn(self: &Rc<Self>, attempt: &Attempt) -> Option<bool> {
        match self.turn(attempt).await? {
            Looked::Known(right) => Some(right),
            Looked::Now if attempt.realm.hash().is_some() => self.hash(attempt.clone()).await,
            Looked::Now => {
                let right = attempt.realm.verify(&attempt.claim.login);
                self.done(attempt, right, None);
                Some(right)
            }
        }
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// Whether a login is right, if that is known.
    fn known(&self, claim: &Claim) -> Option<bool> {
        let mut cache = self.cache.borrow_mut();
        let right = cache.knows(claim, self.now());
        (right || cache.knows_wrong(claim)).then_some(right)
    }

    /// Waits for the turn of a login; `None` if too many others wait.
    async fn turn(&self, attempt: &Attempt) -> Option<Looked> {
        let hash = attempt.realm.hash().is_some();
        let number = self.throttle.borrow_mut().enter(attempt.sender.client, hash, self.now());
        let place = QueuedLogin { auth: self, number };
        let mut timer: Option<Pin<Box<dyn Future<Output = ()>>>> = None;
        poll_fn(|cx| {
            loop {
                // Another request with the same login may have been verified meanwhile.
                if let Some(right) = self.known(&attempt.claim) {
                    return Poll::Ready(Some(Looked::Known(right)));
                }
                let now = self.now();
                let until = match self.throttle.borrow_mut().poll(place.number, now, cx.waker()) {
                    Turn::Now => return Poll::Ready(Some(Looked::Now)),
                    Turn::Refused if timer.is_some() => return Poll::Ready(None),
                    Turn::Refused => {
                        counters::add(Counted::ThrottledLogins);
                        return Poll::Ready(None);
                    }
                    Turn::Later(until) => until,
                };
                if timer.is_none() {
                    counters::add(Counted::ThrottledLogins);
                }
                let sleep = timer.insert(sleep_boxed(until.saturating_sub(now)));
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Hashes a login on a thread. The result counts even if the client has left by then.
    async fn hash(self: &Rc<Self>, attempt: Attempt) -> Option<bool> {
        let answer: Rc<RefCell<(Poll<Option<bool>>, Waker)>> =
            Rc::new(RefCell::new((Poll::Pending, Waker::noop().clone())));
        let (auth, told) = (Rc::clone(self), Rc::clone(&answer));
        ecohttpd::spawn(async move {
            let (realm, login) = (Arc::clone(&attempt.realm), Arc::clone(&attempt.claim.login));
            let start = Instant::now();
            let right = hashing::run(move || realm.verify(&login)).await;
            let spent = millis(start.elapsed());
            let right = match right {
                Ok(right) => {
                    auth.done(&attempt, right, Some(spent));
                    Some(right)
                }
                Err(error) => {
                    log::error!("cannot check a password: no thread: {error}");
                    auth.throttle.borrow_mut().unhashed(auth.now());
                    None
                }
            };
            let mut told = told.borrow_mut();
            told.0 = Poll::Ready(right);
            told.1.wake_by_ref();
        })
        .detach();
        poll_fn(|cx: &mut Context<'_>| {
            let mut answer = answer.borrow_mut();
            answer.1.clone_from(cx.waker());
            answer.0
        })
        .await
    }

    /// Records the verdict on a login.
    fn done(&self, attempt: &Attempt, right: bool, hashed: Option<u64>) {
        let Attempt { claim, realm, sender } = attempt;
        self.cache.borrow_mut().keep(claim, right, self.now());
        if !right {
            self.report_failure(realm, &claim.login, sender.ip);
        }
        self.throttle.borrow_mut().done(sender.client, right, hashed, self.now());
    }

    fn report_failure(&self, realm: &Realm, login: &Credentials, ip: Option<IpAddr>) {
        let from = ip.map_or_else(|| "unix".into(), |ip| ip.to_string());
        log::warn!("{from}: login as {} to {} failed", shown(&login.user), realm.path);
        events::login_failed(&from, &shortened(&login.user), &self.site);
    }
}

/// Why a login need not wait any more.
enum Looked {
    /// It is known to be right or wrong.
    Known(bool),
    /// It is its turn.
    Now,
}

/// A login that waits for its turn, until this is dropped.
struct QueuedLogin<'a> {
    auth: &'a Auth,
    number: u32,
}

impl Drop for QueuedLogin<'_> {
    fn drop(&mut self) {
        self.auth.throttle.borrow_mut().leave(self.number, self.auth.now());
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_secs() * 1000 + u64::from(duration.subsec_millis())
}

fn sleep_boxed(millis: u64) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(ecohttpd::sleep(Duration::from_millis(millis)))
}

/// Text from a client, shortened and escaped for the log.
fn shown(text: &[u8]) -> String {
    Shown(shortened(text).as_bytes()).to_string()
}

fn shortened(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::super::credentials::basic;
    use super::super::realm_line::RealmLine;
    use super::super::realms::Database;
    use super::super::verify::tests::HASHED;
    use super::*;
    use crate::daemon::testing::on_loop;
    use std::pin::pin;

    /// "Hello world!"
    const HASH: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

    fn sender(address: &str) -> Sender {
        Sender::new(&std::net::SocketAddr::new(address.parse().unwrap(), 1).into(), [b"a browser", b"en"])
    }

    fn auth(lines: &[(&str, &str, &str)]) -> Rc<Auth> {
        let line = |&(path, user, pass): &(&str, &str, &str)| RealmLine {
            path: path.into(),
            user: user.into(),
            pass: pass.into(),
        };
        Rc::new(Auth::new(Realms::new(&lines.iter().map(line).collect::<Vec<_>>(), &Database::default()), "main"))
    }

    async fn login(auth: &Rc<Auth>, path: &str, login: &str) -> Verdict {
        auth.check(path.as_bytes(), Some(&basic(login.as_bytes())), sender("192.0.2.1")).await
    }

    fn granted(user: &str, pass: &str) -> Verdict {
        Verdict::Granted { user: user.into(), pass: pass.into() }
    }

    #[test]
    fn verdicts() {
        on_loop(async || {
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
                assert_eq!(login(&auth(&lines), path, text).await, expected, "{name}");
            }
            assert_eq!(login(&auth(&lines), "/a/b", &format!("w:{HASH}")).await, Verdict::Ask, "the hash itself");
            let auth = auth(&lines);
            let client = sender("192.0.2.1");
            for _ in 0..10 {
                assert_eq!(auth.check(b"/a", None, client).await, Verdict::Ask, "no Authorization, no failure");
                assert_eq!(auth.check(b"/a", Some(b"Bearer x"), client).await, Verdict::Ask, "another scheme");
            }
            assert_eq!(auth.check(b"/", Some(b"junk"), client).await, Verdict::Open, "an open path looks at nothing");
        });
    }

    /// A client with a recent right login stays logged in, whatever failed at its address since.
    #[test]
    fn a_login_that_was_right_is_not_hashed_again() {
        on_loop(async || {
            let auth = auth(&[("/", "u", HASH), ("/b", "u", HASH)]);
            assert_eq!(login(&auth, "/", "u:Hello world!").await, granted("u", "Hello world!"));
            for _ in 0..3 {
                assert_eq!(login(&auth, "/", "u:wrong").await, Verdict::Ask);
            }
            // From now on a login of this address waits.
            let start = Instant::now();
            auth.throttle.borrow_mut().hold(sender("192.0.2.1").client, u64::MAX);
            assert_eq!(login(&auth, "/", "u:Hello world!").await, granted("u", "Hello world!"));
            let other = pin!(login(&auth, "/b", "u:Hello world!"));
            let waits = ecohttpd::timeout(Duration::from_millis(50), other).await;
            assert!(waits.is_err(), "the other realm's is its own: {:?}", start.elapsed());
        });
    }

    /// A client that leaves does not get its guess for nothing, and its hash does not stay the last.
    #[test]
    fn a_login_whose_client_left_is_noted() {
        on_loop(async || {
            let auth = auth(&[("/", "u", HASH)]);
            let mut left = Box::pin(login(&auth, "/", "u:wrong"));
            assert!(poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx))).await.is_pending(), "it is being hashed");
            drop(left);
            // Which goes on, and keeps others waiting, until it is done.
            let other = basic(b"v:wrong");
            assert_eq!(auth.check(b"/", Some(&other), sender("192.168.1.1")).await, Verdict::Ask);
            assert_eq!(auth.throttle.borrow().failures(sender("192.0.2.1").client), 1);
        });
    }

    #[test]
    fn what_a_login_costs() {
        let auth = auth(&[("/", "u", HASH), ("/", "v", HASH), ("/", "x", "4"), ("/plain", "u", "1")]);
        #[rustfmt::skip]
        let rows = [
            ("/", "u:wrong", 1, "a user"),
            ("/", "nobody:wrong", 1, "an unknown user"),
            ("/", "u:Hello world!", 1, "the right password"),
            ("/", "v:Hello world!", 1, "another user's"),
            ("/", "x:wrong", 1, "a user without a hash"),
            ("/plain", "u:wrong", 0, "a realm without a hash"),
        ];
        for (path, text, expected, name) in rows {
            let before = HASHED.get();
            let (_, realm) = auth.realms.find(path.as_bytes()).unwrap();
            realm.verify(&Credentials::parse(&basic(text.as_bytes())).unwrap());
            assert_eq!(HASHED.get() - before, expected, "{name}");
        }
    }

    #[test]
    fn programs_are_told_apart() {
        let addr = std::net::SocketAddr::new([192, 0, 2, 1].into(), 1).into();
        let program = |names| Sender::new(&addr, names).client.program;
        assert_ne!(program([b"curl", b""]), program([b"Firefox", b"en"]));
        assert_eq!(program([b"curl", b""]), program([b"curl", b""]));
    }

    #[test]
    fn hostile_names_in_the_log() {
        #[rustfmt::skip]
        let rows: &[(&[u8], &str)] = &[
            (b"root", "\"root\""),
            (b"a\"b\nc\x1b", "\"a\\\"b\\x0ac\\x1b\""),
            (b"\xff", "\"\u{fffd}\""),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(text), *expected);
        }
        assert_eq!(shown(&[b'a'; 500]).len(), MAX_SHOWN + 2);
    }
}
