//! What plain and encrypted connections are told about each other: `-q` and `--hsts`.

use super::config::Site;
use ecohttpd::{Connection, Request, Result};
#[cfg(feature = "tls")]
use std::cell::Cell;

/// Where certificate authorities look for the proof of a renewal (RFC 8555 §8.3): over plain HTTP, too.
#[cfg(feature = "tls")]
const ACME: &str = "/.well-known/acme-challenge/";

/// The policy between HTTP and HTTPS.
#[cfg(feature = "tls")]
pub struct Secure {
    redirect: bool,
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1).
    hsts: Option<String>,
    /// The port that is redirected to, once it is bound: 443 if there is that, else the first.
    port: Cell<Option<u16>>,
}

#[cfg(feature = "tls")]
impl Secure {
    pub fn new(site: &Site) -> Secure {
        let hsts = site.tls.hsts.map(|age| format!("max-age={}", age.as_secs()));
        Secure { redirect: site.tls.redirect, hsts, port: Cell::new(None) }
    }

    /// A TLS listener was bound.
    pub fn found_port(&self, port: u16) {
        if port == 443 || self.port.get().is_none() {
            self.port.set(Some(port));
        }
    }

    /// Whether there is anything to do for such connections.
    pub fn concerns(&self, con: &Connection) -> bool {
        (self.redirect || self.hsts.is_some()) && if con.is_tls() { self.hsts.is_some() } else { self.redirect }
    }

    /// Answers a plain request with a redirection to HTTPS, if it is to be; adds what encrypted answers are to have.
    pub async fn redirects(&self, con: &mut Connection, req: &Request) -> Result<bool> {
        if con.is_tls() {
            if let Some(hsts) = &self.hsts {
                con.add_header("strict-transport-security", hsts)?;
            }
            return Ok(false);
        }
        if !self.redirect {
            return Ok(false);
        }
        let (Some(port), Some(host)) = (self.port.get(), req.host()) else { return Ok(false) };
        let challenge = req.path().starts_with(ACME) && !req.path().split('/').any(|segment| segment == "..");
        if host.is_empty() || !req.raw_path().starts_with('/') || challenge {
            return Ok(false);
        }
        let location = location(host, port, req.raw_path(), req.query_string());
        con.redirect(307, &location).await?;
        Ok(true)
    }
}

/// The same place over HTTPS.
#[cfg(feature = "tls")]
fn location(host: &str, port: u16, path: &str, query: &str) -> String {
    // The colons of an IPv6 address stand before its bracket.
    let host = match host.rfind(':') {
        Some(colon) if host.rfind(']').is_none_or(|bracket| bracket < colon) => host.get(..colon).unwrap_or(host),
        _ => host,
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("https://{host}{port}{path}{query}")
}

/// Without TLS there is nothing to tell.
#[cfg(not(feature = "tls"))]
pub struct Secure;

#[cfg(not(feature = "tls"))]
impl Secure {
    pub fn new(_: &Site) -> Secure {
        Secure
    }

    pub fn found_port(&self, _: u16) {}

    pub fn concerns(&self, _: &Connection) -> bool {
        false
    }

    pub async fn redirects(&self, _: &mut Connection, _: &Request) -> Result<bool> {
        Ok(false)
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        for (host, port, path, query, expected) in [
            ("router", 443, "/", "", "https://router/"),
            ("router:8080", 443, "/a%20b", "x=1", "https://router/a%20b?x=1"),
            ("router", 8443, "//evil", "", "https://router:8443//evil"),
            ("[::1]", 443, "/", "", "https://[::1]/"),
            ("[::1]:80", 8443, "/", "", "https://[::1]:8443/"),
        ] {
            assert_eq!(location(host, port, path, query), expected);
        }
    }
}
