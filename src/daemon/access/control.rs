//! The verdict on a request: by its address, and by its certificate.

use super::proxies;
use super::rules::{Rule, Rules};
use crate::daemon::log;
use crate::daemon::prefix::{Guarded, segments};
use ecohttpd::{Connection, Request};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Least time between two log lines about refused clients: a scanner must not flood the log.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Where certificate authorities look for the proof of a renewal (RFC 8555 §8.3).
const ACME: [&[u8]; 2] = [b".well-known", b"acme-challenge"];

/// Why a client is refused.
#[derive(Clone, Copy)]
pub enum Denied {
    /// Its address is not allowed.
    Address,
    /// It has no certificate, or none that the CA signed.
    Certificate,
}

/// The rules of a site.
pub struct AccessControl {
    rules: Rules,
    /// The list of trusted proxies may be incomplete: forwarded requests are refused everything that has rules.
    uncertain: bool,
    /// The paths that need a client certificate.
    certified: Vec<Guarded>,
    /// There is a CA to check certificates by.
    has_ca: bool,
    /// When the next refusal is logged, and how many were not logged since the last.
    said: Cell<(Option<Instant>, u32)>,
}

impl AccessControl {
    /// The rules of a site, and the paths that need a client certificate; `None` if everything is open to everyone.
    ///
    /// `uncertain`: the list of trusted proxies may be incomplete. `has_ca`: client certificates can be checked.
    pub fn new(rules: &[Rule], certified: &[String], uncertain: bool, has_ca: bool) -> Option<AccessControl> {
        let rules = Rules::new(rules);
        let certified: Vec<Guarded> = certified.iter().map(|path| Guarded::new(path)).collect();
        let any = !rules.is_empty() || !certified.is_empty();
        any.then(|| AccessControl { rules, uncertain, certified, has_ca, said: Cell::default() })
    }

    /// Whether the client may get what is at a path; the error is why not.
    pub fn judge(&self, con: &Connection, req: &Request, path: &[u8]) -> Result<(), Denied> {
        let unknown = self.uncertain && proxies::is_forwarded(req) && self.rules.concern(path);
        if unknown || !self.rules.admit(con.remote_addr().ip(), path) {
            return Err(Denied::Address);
        }
        if self.wants_certificate(path) && !(self.has_ca && has_certificate(con)) {
            return Err(Denied::Certificate);
        }
        Ok(())
    }

    fn wants_certificate(&self, path: &[u8]) -> bool {
        let path = segments(path);
        self.certified.iter().any(|guarded| {
            // The authority that renews the server's certificate presents none. It gets through if the whole site is
            // guarded.
            guarded.holds(&path) && !(guarded.depth() == 0 && path.starts_with(&ACME))
        })
    }

    /// Logs that a client was refused.
    pub fn tell(&self, con: &Connection, req: &Request, why: Denied) {
        let now = Instant::now();
        let (next, unsaid) = self.said.get();
        if next.is_some_and(|next| now < next) {
            self.said.set((next, unsaid.saturating_add(1)));
            return;
        }
        self.said.set((now.checked_add(LOG_PAUSE), 0));
        let (peer, path) = (con.remote_addr(), req.raw_path());
        let why = match why {
            Denied::Address => "address not allowed",
            Denied::Certificate => "client certificate required",
        };
        log::warn!("{peer}: 403: {path}: {why}; {unsaid} more refused since the last such line");
    }
}

/// Whether the client has a certificate that the CA signed.
#[cfg(feature = "tls")]
fn has_certificate(con: &Connection) -> bool {
    con.peer_subject().is_some()
}

#[cfg(not(feature = "tls"))]
fn has_certificate(_: &Connection) -> bool {
    false
}
