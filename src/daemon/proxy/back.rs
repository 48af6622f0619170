//! Fields of a response that name places: the server names them as it knows them, the client must see them as ours.

use crate::daemon::config::Backend;
use crate::daemon::upstream::Pool;

/// How places of a server become ours.
pub struct Back<'a> {
    /// Our path, without a slash at its end.
    from: &'a str,
    /// The server's, which `from` stands for; `None`: it is the same.
    to: Option<&'a str>,
    /// The servers' addresses.
    servers: Vec<&'a str>,
    /// The `Host` that the server was sent.
    host: &'a str,
}

impl<'a> Back<'a> {
    pub fn new(backend: &'a Backend, pool: &'a Pool, host: &'a str) -> Back<'a> {
        Back { from: &backend.from, to: backend.path.as_deref(), servers: pool.names().collect(), host }
    }

    /// The field's value for the client; `None` if it stays as it is. The name is in any case.
    pub fn field(&self, name: &str, value: &[u8]) -> Option<String> {
        let change: fn(&Self, &str) -> Option<String> = match name.len() {
            7 if name.eq_ignore_ascii_case("refresh") => Self::refresh,
            8 if name.eq_ignore_ascii_case("location") => Self::place,
            10 if name.eq_ignore_ascii_case("set-cookie") => Self::cookie,
            16 if name.eq_ignore_ascii_case("content-location") => Self::place,
            _ => return None,
        };
        change(self, str::from_utf8(value).ok()?)
    }

    /// A URL or a reference.
    fn place(&self, value: &str) -> Option<String> {
        if value.starts_with("//") {
            return None;
        }
        let path = if value.starts_with('/') { value } else { self.path_of(value)? };
        let ours = self.path(path);
        // Of a server that calls itself by its own name at least that must go.
        let ours = if value.starts_with('/') { ours? } else { ours.unwrap_or_else(|| path.to_owned()) };
        // `//x` and `/\x` would be another host.
        let rest = ours.trim_start_matches(['/', '\\']);
        let start = if rest.len() == ours.len() { "" } else { "/" };
        Some([start, rest].concat())
    }

    /// The path, query and fragment of a URL of the server.
    fn path_of<'b>(&'b self, url: &'b str) -> Option<&'b str> {
        let (scheme, rest) = url.split_once("://")?;
        let port = if scheme.eq_ignore_ascii_case("http") {
            "80"
        } else if scheme.eq_ignore_ascii_case("https") {
            "443"
        } else {
            return None;
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let split = |authority: &'b str| match authority.rsplit_once(':') {
            Some((host, number)) if !number.ends_with(']') => (host, number),
            _ => (authority, port),
        };
        let (host, number) = split(authority);
        // It may add its own port to the `Host` that it was sent, as nginx does.
        let (sent, sent_port) = split(self.host);
        let is_server = self.servers.iter().any(|server| {
            let (server, server_port) = split(server);
            host.eq_ignore_ascii_case(server) && number == server_port
                || host.eq_ignore_ascii_case(sent) && (number == sent_port || number == server_port)
        });
        let path = if path.is_empty() { "/" } else { path };
        (is_server && path.starts_with('/')).then_some(path)
    }

    /// A path of the server as ours; `None` if it stays as it is.
    fn path(&self, path: &str) -> Option<String> {
        let to = self.to?;
        let below = |prefix: &str| {
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
        };
        // It may know where it is.
        if !self.from.is_empty() && self.from != to && below(self.from).is_some() {
            return None;
        }
        let rest = below(to)?;
        Some([self.from, if rest.is_empty() && self.from.is_empty() { "/" } else { "" }, rest].concat())
    }

    /// `5; url=/place`
    fn refresh(&self, value: &str) -> Option<String> {
        let at = value.to_ascii_lowercase().find("url=")? + "url=".len();
        let (start, url) = value.split_at_checked(at)?;
        let quote = url.get(..1).filter(|first| matches!(*first, "'" | "\"")).unwrap_or_default();
        let inner = url.strip_prefix(quote)?;
        let (url, rest) = match quote {
            "" => (inner, ""),
            quote => inner.split_at_checked(inner.find(quote).unwrap_or(inner.len()))?,
        };
        Some([start, quote, &self.place(url)?, rest].concat())
    }

    /// `name=value; Path=/place; ...`
    fn cookie(&self, value: &str) -> Option<String> {
        // Browsers take such a one for all of a host or not at all.
        const OF_HOST: &str = "__Host-";
        if value.trim_start().get(..OF_HOST.len()).is_some_and(|start| start.eq_ignore_ascii_case(OF_HOST)) {
            return None;
        }
        let mut out = String::with_capacity(value.len() + self.from.len());
        let mut changed = false;
        for (number, part) in value.split(';').enumerate() {
            if number > 0 {
                out.push(';');
            }
            let attribute =
                part.split_once('=').filter(|(name, _)| number > 0 && name.trim().eq_ignore_ascii_case("path"));
            match attribute.and_then(|(name, path)| Some((name, self.path(path.trim())?))) {
                Some((name, path)) => {
                    changed = true;
                    out.extend([name, "=", &path]);
                }
                None => out.push_str(part),
            }
        }
        changed.then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(back: &Back<'_>, rows: &[(&str, &str, Option<&str>)]) {
        for (name, value, wanted) in rows {
            assert_eq!(back.field(name, value.as_bytes()).as_deref(), *wanted, "{name}: {value}");
        }
    }

    #[test]
    fn of_a_replaced_path() {
        let back = Back { from: "/app", to: Some(""), servers: vec!["10.0.0.2:3000"], host: "router.lan" };
        #[rustfmt::skip]
        check(&back, &[
            ("Location", "/", Some("/app/")),
            ("location", "/login?next=/x#y", Some("/app/login?next=/x#y")),
            ("Location", "http://10.0.0.2:3000/login", Some("/app/login")),
            ("Location", "HTTP://10.0.0.2:3000", Some("/app/")),
            ("Location", "http://router.lan/login", Some("/app/login")),
            ("Location", "http://ROUTER.lan:80/login", Some("/app/login")),
            ("Location", "https://router.lan:443/", Some("/app/")),
            ("Location", "https://router.lan:444/", None),
            ("Location", "http://router.lan:3000/x", Some("/app/x")),
            ("Location", "http://10.0.0.2/login", None),
            ("Location", "http://router.lan.evil/login", None),
            ("Location", "http://router.lan@evil/login", None),
            ("Location", "http://evil/", None),
            ("Location", "//evil/x", None),
            ("Location", "ftp://router.lan/x", None),
            ("Location", "login", None),
            ("Location", "../x", None),
            ("Location", "?a=b", None),
            ("Location", "", None),
            ("Location", "/app/login", None),
            ("Location", "http://router.lan/app/login", Some("/app/login")),
            ("Location", "/apple", Some("/app/apple")),
            ("Content-Location", "/a", Some("/app/a")),
            ("Refresh", "5; url=/a", Some("5; url=/app/a")),
            ("Refresh", "5;URL='/a'", Some("5;URL='/app/a'")),
            ("Refresh", "5; url=\"http://10.0.0.2:3000/a\"", Some("5; url=\"/app/a\"")),
            ("Refresh", "5; url=http://evil/", None),
            ("Refresh", "5", None),
            ("Set-Cookie", "a=b; Path=/; HttpOnly", Some("a=b; Path=/app/; HttpOnly")),
            ("Set-Cookie", "a=b;path=/x", Some("a=b;path=/app/x")),
            ("Set-Cookie", "path=/; a", None),
            ("Set-Cookie", "__Host-sid=x; Path=/; Secure", None),
            ("Set-Cookie", "a=b; Path=/app", None),
            ("Set-Cookie", "a=b", None),
            ("X-Location", "/", None),
        ]);
    }

    #[test]
    fn of_a_path_for_another() {
        let back = Back { from: "/cam", to: Some("/axis/live"), servers: vec!["cam.lan:443"], host: "cam.lan" };
        #[rustfmt::skip]
        check(&back, &[
            ("Location", "/axis/live/x", Some("/cam/x")),
            ("Location", "/axis/live", Some("/cam")),
            ("Location", "/axis/lively", None),
            ("Location", "/other", None),
            ("Location", "https://cam.lan/other", Some("/other")),
            ("Location", "https://cam.lan/axis/live?a", Some("/cam?a")),
            ("Set-Cookie", "a=b; Path=/axis/live/", Some("a=b; Path=/cam/")),
            ("Set-Cookie", "a=b; Path=/", None),
        ]);
    }

    #[test]
    fn of_a_path_that_is_kept() {
        let back = Back { from: "/app", to: None, servers: vec!["10.0.0.2:3000"], host: "router.lan" };
        #[rustfmt::skip]
        check(&back, &[
            ("Location", "/app/x", None),
            ("Location", "/x", None),
            ("Location", "http://10.0.0.2:3000/app/x", Some("/app/x")),
            ("Location", "http://router.lan/x", Some("/x")),
            ("Location", "http://router.lan//evil/x", Some("/evil/x")),
            ("Location", "http://router.lan/\\evil/x", Some("/evil/x")),
            ("Location", "http://evil/x", None),
            ("Set-Cookie", "a=b; Path=/", None),
        ]);
        let root = Back { from: "", to: Some("/base"), servers: vec!["h:80"], host: "h" };
        check(
            &root,
            &[
                ("Location", "/base/x", Some("/x")),
                ("Location", "/base//evil/", Some("/evil/")),
                ("Location", "/base/\\evil/", Some("/evil/")),
                ("Location", "/base", Some("/")),
                ("Location", "/x", None),
            ],
        );
    }
}
