//! Who a client is, and what may be had by its address.
//!
//! | file | concept |
//! | --- | --- |
//! | `network` | addresses, one by one and by prefix |
//! | `proxies` | whom a trusted proxy asks for |
//! | `rules` | which addresses may have what lies below which paths |

mod network;
mod proxies;
mod rules;

pub use network::Network;
pub use proxies::{Contradiction, Proxies};
pub use rules::{Rule, RuleKind};

use super::prefix::{Guarded, segments};
use ecohttpd::{Connection, Request};
use rules::Rules;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// From one line of the log about a refused client to the next: a scanner must not push all else out of it.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Where certificate authorities look for the proof of a renewal (RFC 8555 §8.3).
const ACME: [&[u8]; 2] = [b".well-known", b"acme-challenge"];

/// Why a client may not have what it asks for.
#[derive(Clone, Copy)]
pub enum Denied {
    /// Its address is not one that may.
    Address,
    /// It has shown no certificate, or none that counts.
    Certificate,
}

/// The rules of a site.
pub struct AccessControl {
    rules: Rules,
    /// It can't be told whose requests proxies forward: they may have nothing that there are rules for.
    uncertain: bool,
    /// What is for clients with a certificate alone.
    certified: Vec<Guarded>,
    /// The authorities that sign those are this site's own.
    has_ca: bool,
    /// When the next refusal is told, and how many were not told since the last.
    said: Cell<(Option<Instant>, u32)>,
}

impl AccessControl {
    /// The rules of a site, and the paths that need a client certificate; `None` if everything is open to everyone.
    ///
    /// `uncertain`: it can't be told whose requests proxies forward. `has_ca`: client certificates can be checked.
    pub fn new(rules: &[Rule], certified: &[String], uncertain: bool, has_ca: bool) -> Option<AccessControl> {
        let rules = Rules::new(rules);
        let certified: Vec<Guarded> = certified.iter().map(|path| Guarded::new(path)).collect();
        let any = !rules.is_empty() || !certified.is_empty();
        any.then(|| AccessControl { rules, uncertain, certified, has_ca, said: Cell::default() })
    }

    /// Whether the client may have what is at a path, and if not, why.
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
            // Whoever renews the server's certificate shows none; where all is guarded, that is not meant.
            guarded.holds(&path) && !(guarded.depth() == 0 && path.starts_with(&ACME))
        })
    }

    /// Notes in the log that a client was refused.
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
            Denied::Address => "is not for this address",
            Denied::Certificate => "is for clients with a certificate",
        };
        log::warn!("{peer}: 403: {path} {why}; {unsaid} more were refused since the last such line");
    }
}

/// Whether the client has shown a certificate that an authority signed.
#[cfg(feature = "tls")]
fn has_certificate(con: &Connection) -> bool {
    con.peer_subject().is_some()
}

#[cfg(not(feature = "tls"))]
fn has_certificate(_: &Connection) -> bool {
    false
}
