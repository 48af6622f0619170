//! Virtual hosts: the sites of one listener, chosen by the host of the request.

use super::router::Router;
use ecohttpd::{Connection, Request, Result};
use std::rc::Rc;

/// The sites that share a listener.
pub struct VirtualHosts(pub Vec<Rc<Router>>);

impl VirtualHosts {
    /// Serves a request by the site of its host.
    pub async fn serve(&self, con: &mut Connection, req: &mut Request) -> Result<()> {
        match self.choose(req) {
            Some(site) => {
                // A listener's requests are counted for its first site, unless another one is asked for.
                if self.0.len() > 1 {
                    site.tally.count(con);
                }
                site.serve(con, req).await
            }
            None => con.serve_file(req).await,
        }
    }

    /// The site that has the request's host among its names; otherwise the first without names, or the first.
    fn choose(&self, req: &Request) -> Option<&Router> {
        let [first, others @ ..] = self.0.as_slice() else { return None };
        if others.is_empty() {
            return Some(first);
        }
        let host = host_name(req.host().unwrap_or_default());
        let named =
            self.0.iter().filter_map(|site| Some((rank(&site.names, &host)?, site))).max_by_key(|(rank, _)| *rank);
        let fallback = || self.0.iter().find(|site| site.names.is_empty()).unwrap_or(first);
        Some(named.map_or_else(fallback, |(_, site)| site))
    }
}

/// How well a host matches the names: exactly, or by the length of a `*.` suffix.
fn rank(names: &[String], host: &str) -> Option<usize> {
    let fit = |name: &String| match name.strip_prefix('*') {
        Some(suffix) => (host.len() > suffix.len() && host.ends_with(suffix)).then_some(suffix.len()),
        None => (host == name).then_some(usize::MAX),
    };
    names.iter().filter_map(fit).max()
}

/// The host without its port and trailing dot, in lower case.
fn host_name(host: &str) -> String {
    let name = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => host.get(..colon).unwrap_or(host),
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, name) in
            [("A.lan:80", "a.lan"), ("a.", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", ""), ("a", "a")]
        {
            assert_eq!(host_name(host), name);
        }
    }

    #[test]
    fn exact_names_go_before_wildcards_and_long_ones_before_short() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let fit = |list: &[&str], host| rank(&names(list), host);
        assert_eq!(fit(&["a.lan"], "a.lan"), Some(usize::MAX));
        assert!(fit(&["*.b.lan"], "a.b.lan") > fit(&["*.lan"], "a.b.lan"));
        for (list, host) in [(&["*.lan"], "lan"), (&["*.lan"], ".lan"), (&["a.lan"], "b.lan"), (&["a.lan"], "")] {
            assert_eq!(fit(list, host), None, "{list:?} {host}");
        }
    }
}
