//! The header fields that are configured for paths of a site.

use super::config::Header;
use super::prefix::UrlPrefix;
use ecohttpd::{CleanPath, Connection, Request, Result};

/// The fields of a site, each with the path below which it is sent.
pub struct SiteHeaders(Vec<(UrlPrefix, Header)>);

impl SiteHeaders {
    pub fn new(headers: &[Header]) -> SiteHeaders {
        SiteHeaders(headers.iter().map(|header| (UrlPrefix::new(&header.prefix), header.clone())).collect())
    }

    #[cfg(feature = "proxy")]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the fields for a request of `path`.
    pub fn add(&self, con: &mut Connection, req: &Request, path: &CleanPath) -> Result<()> {
        let fit = self.0.iter().filter(|(prefix, header)| {
            let has = || has_parameter(req.query_bytes(), header.parameter.as_bytes());
            prefix.holds(path.relative()) && (header.parameter.is_empty() || has())
        });
        fit.into_iter().try_for_each(|(_, header)| con.add_header(&header.name, &header.value))
    }

    /// Adds the fields for a CORS preflight (Fetch standard). Returns whether they let other origins in.
    pub fn add_cors(&self, con: &mut Connection, path: &CleanPath) -> Result<bool> {
        let mut lets_in = false;
        for (prefix, Header { name, value, .. }) in &self.0 {
            // Other fields may be meant only for clients with a login.
            if is_of_cors(name) && prefix.holds(path.relative()) {
                lets_in |= name.eq_ignore_ascii_case("access-control-allow-origin");
                con.add_header(name, value)?;
            }
        }
        Ok(lets_in)
    }

    /// Removes the fields, which are for successful responses.
    pub fn clear(&self, con: &mut Connection) -> Result<()> {
        self.0.iter().try_for_each(|(_, header)| con.remove_header(&header.name))
    }
}

/// Whether a query has a parameter of that name.
fn has_parameter(query: &[u8], name: &[u8]) -> bool {
    let named = |pair: &[u8]| pair.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="));
    query.split(|&byte| byte == b'&').any(named)
}

/// Whether a field is part of CORS, or says what it depends on.
fn is_of_cors(name: &str) -> bool {
    const CORS: &str = "access-control-";
    name.get(..CORS.len()).is_some_and(|start| start.eq_ignore_ascii_case(CORS)) || name.eq_ignore_ascii_case("vary")
}
