//! Redirects from HTTP to HTTPS (`-q`) and `Strict-Transport-Security` (`--hsts`).

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

/// Where certificate authorities look for the proof of a renewal (RFC 8555 §8.3), over HTTP.
#[cfg(feature = "tls")]
const ACME: &str = "/.well-known/acme-challenge/";

/// The body of 503, for clients that would be redirected to HTTPS that does not work.
#[cfg(feature = "tls")]
const UNAVAILABLE: &str =
    "This server is available over HTTPS only, which does not work at the moment. Its log says why.";

/// How plain HTTP leads to HTTPS, and what HTTPS tells browsers.
#[cfg(feature = "tls")]
pub struct HttpsPolicy {
    redirect: bool,
    /// HTTPS is configured, whether or not it can be served.
    asked: bool,
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1).
    hsts: Option<String>,
    /// The port of HTTPS once it is bound: 443 if that is among them, otherwise the first.
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

    /// Whether there is anything to do for this connection.
    pub fn concerns(&self, con: &Connection) -> bool {
        (self.redirect || self.hsts.is_some()) && if con.is_tls() { self.hsts.is_some() } else { self.redirect }
    }

    /// Redirects a request over HTTP where that is configured, or answers 503 if HTTPS does not work. Adds the field to
    /// responses over HTTPS. Returns whether it has answered.
    ///
    /// `proxied`: a proxy said that its client uses HTTP. Then HTTPS is assumed at the proxy's port 443.
    pub async fn redirects(&self, con: &mut Connection, req: &Request, proxied: bool) -> Result<bool> {
        if con.is_tls() {
            if let Some(hsts) = &self.hsts {
                con.add_header("Strict-Transport-Security", hsts)?;
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
                // Otherwise logins would be sent unencrypted.
                error(con, 503, UNAVAILABLE).await?;
            }
            return Ok(self.asked);
        };
        // HTTP/1.0 clients may send no host: they are redirected to the address that they connected to.
        let own = if host.is_empty() { own_address(con) } else { String::new() };
        let host = if host.is_empty() { &own } else { host };
        let location = location(host, port, req.raw_path(), req.query_string());
        con.redirect(307, &location).await?;
        Ok(true)
    }
}

/// Whether a client on this host asks for this host: usually the end of an SSH tunnel, which is encrypted already and does
/// not forward the port of HTTPS.
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

/// The server's address of a connection, as a host; empty for a Unix socket.
#[cfg(feature = "tls")]
fn own_address(con: &Connection) -> String {
    match con.local_addr().ok().and_then(|addr| addr.ip()) {
        Some(IpAddr::V6(ip)) => format!("[{ip}]"),
        Some(ip) => ip.to_string(),
        None => String::new(),
    }
}

/// The same URL over HTTPS.
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

/// Without TLS there is nothing to do.
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
