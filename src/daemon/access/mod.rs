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
pub use rules::{Kind, Line};

use super::config;
use ecohttpd::{Connection, Request};
use rules::Rules;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// From one line of the log about a refused client to the next: a scanner must not push all else out of it.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// The rules of a site.
pub struct Access {
    rules: Rules,
    /// It can't be told whose requests proxies forward: they may have nothing that there are rules for.
    uncertain: bool,
    /// When the next refusal is told, and how many were not told since the last.
    said: Cell<(Option<Instant>, u32)>,
}

impl Access {
    /// Those of a configuration; `None` if everybody may have everything.
    pub fn new(site: &config::Site) -> Option<Access> {
        let rules = Rules::new(&site.access);
        (!rules.is_empty()).then(|| Access { rules, uncertain: site.uncertain_proxies, said: Cell::default() })
    }

    /// Whether the client may have what is at a path.
    pub fn admits(&self, con: &Connection, req: &Request, path: &[u8]) -> bool {
        let unknown = self.uncertain && proxies::is_forwarded(req) && self.rules.concern(path);
        !unknown && self.rules.admit(con.remote_addr().ip(), path)
    }

    /// Notes in the log that a client was refused.
    pub fn tell(&self, con: &Connection, req: &Request) {
        let now = Instant::now();
        let (next, unsaid) = self.said.get();
        if next.is_some_and(|next| now < next) {
            self.said.set((next, unsaid.saturating_add(1)));
            return;
        }
        self.said.set((now.checked_add(LOG_PAUSE), 0));
        let (peer, path) = (con.remote_addr(), req.raw_path());
        log::warn!("{peer}: 403: {path} is not for this address; {unsaid} more were refused since the last such line");
    }
}
