//! What plain and encrypted connections are told about each other: `-q` and `--hsts`.

use super::config::SiteConfig;
#[cfg(feature = "tls")]
use super::replies::error;
#[cfg(feature = "tls")]
use ecohttpd::PeerAddr;
use ecohttpd::{Connection, Request, Result};
#[cfg(feature = "tls")]
use std::cell::Cell;
#[cfg(feature = "tls")]
use std::net::IpAddr;

/// Where certificate authorities look for the proof of a renewal (RFC 8555 §8.3): over plain HTTP, too.
#[cfg(feature = "tls")]
const ACME: &str = "/.well-known/acme-challenge/";

/// What plain clients are told who are to use HTTPS where there is none.
#[cfg(feature = "tls")]
const UNAVAILABLE: &str =
    "This server is to be used by HTTPS alone, which it can't serve at present. Its log says why.";

/// The policy between HTTP and HTTPS.
#[cfg(feature = "tls")]
pub struct HttpsPolicy {
    redirect: bool,
    /// There is to be HTTPS here, whether or not it can be served.
    asked: bool,
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1).
    hsts: Option<String>,
    /// The port that is redirected to, once it is bound: 443 if there is that, else the first.
    port: Cell<Option<u16>>,
}

#[cfg(feature = "tls")]
impl HttpsPolicy {
    pub fn new(site: &SiteConfig) -> HttpsPolicy {
        let hsts = site.tls.hsts.map(|age| format!("max-age={age}"));
        HttpsPolicy { redirect: site.tls.redirect, asked: site.tls.asked, hsts, port: Cell::new(None) }
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

    /// Answers a plain request with a redirection to HTTPS, if it is to be, or with an error where there is none; adds what encrypted answers are to have.
    ///
    /// `proxied`: a proxy told that it was asked without TLS. Where that has its port for HTTPS is not known but by custom.
    pub async fn redirects(&self, con: &mut Connection, req: &Request, proxied: bool) -> Result<bool> {
        if con.is_tls() {
            if let Some(hsts) = &self.hsts {
                con.add_header("strict-transport-security", hsts)?;
            }
            return Ok(false);
        }
        if !self.redirect {
            return Ok(false);
        }
        let challenge = req.path().starts_with(ACME) && !req.path().split('/').any(|segment| segment == "..");
        let host = req.host().unwrap_or_default();
        if !req.raw_path().starts_with('/') || challenge || is_tunnel(con.remote_addr(), host) {
            return Ok(false);
        }
        let port = if proxied { Some(443) } else { self.port.get() };
        let Some(port) = port else {
            if self.asked {
                // Logins would go in the clear.
                error(con, 503, UNAVAILABLE).await?;
            }
            return Ok(self.asked);
        };
        // Old clients name no host; they are sent to the address that they asked.
        let own = if host.is_empty() { own_address(con) } else { String::new() };
        let host = if host.is_empty() { &own } else { host };
        let location = location(host, port, req.raw_path(), req.query_string());
        con.redirect(307, &location).await?;
        Ok(true)
    }
}

/// Whether a client at this machine asks for this machine: mostly the end of a tunnel, which secures it already, and at
/// whose beginning there is no port of HTTPS.
#[cfg(feature = "tls")]
fn is_tunnel(peer: &PeerAddr, host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let asks_for_itself =
        name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
    peer.ip().is_some_and(|ip| ip.is_loopback()) && asks_for_itself
}

/// Our end of the connection, as a host; empty for a Unix socket.
#[cfg(feature = "tls")]
fn own_address(con: &Connection) -> String {
    match con.local_addr().ok().and_then(|addr| addr.ip()) {
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
        Some(ip) => ip.to_string(),
        None => String::new(),
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
pub struct HttpsPolicy;

#[cfg(not(feature = "tls"))]
impl HttpsPolicy {
    pub fn new(_: &SiteConfig) -> HttpsPolicy {
        HttpsPolicy
    }

    pub fn found_port(&self, _: u16) {}

    pub fn concerns(&self, _: &Connection) -> bool {
        false
    }

    pub async fn redirects(&self, _: &mut Connection, _: &Request, _: bool) -> Result<bool> {
        Ok(false)
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn tunnels() {
        for (peer, host, verdict) in [
            ("127.0.0.1:5", "localhost:8080", true),
            ("127.0.0.1:5", "LOCALHOST", true),
            ("127.0.0.1:5", "127.0.0.1:8080", true),
            ("[::1]:5", "[::1]:8080", true),
            ("[::1]:5", "[::1]", true),
            ("127.0.0.1:5", "router", false),
            ("127.0.0.1:5", "", false),
            ("127.0.0.1:5", "localhost.evil", false),
            ("192.0.2.1:5", "localhost", false),
        ] {
            let peer: std::net::SocketAddr = peer.parse().unwrap();
            assert_eq!(is_tunnel(&peer.into(), host), verdict, "{peer} {host}");
        }
    }

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
