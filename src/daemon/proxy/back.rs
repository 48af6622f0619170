//! Fields of a response that name places: the server names them as it knows them, the client must see them as ours.

use crate::daemon::config::Backend;

/// How places of a server become ours.
#[derive(Clone, Copy)]
pub struct Back<'a> {
    /// Our path, without a slash at its end.
    from: &'a str,
    /// The server's, which `from` stands for; `None`: it is the same.
    to: Option<&'a str>,
    /// What the server may call itself: its address, and the `Host` that it was sent.
    authorities: [&'a str; 2],
}

impl<'a> Back<'a> {
    pub fn new(backend: &'a Backend, authorities: [&'a str; 2]) -> Back<'a> {
        Back { from: &backend.from, to: backend.path.as_deref(), authorities }
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
        if value.starts_with('/') { ours } else { Some(ours.unwrap_or_else(|| path.to_owned())) }
    }

    /// The path, query and fragment of a URL of the server.
    fn path_of<'b>(&self, url: &'b str) -> Option<&'b str> {
        let (scheme, rest) = url.split_once("://")?;
        let port = if scheme.eq_ignore_ascii_case("http") {
            ":80"
        } else if scheme.eq_ignore_ascii_case("https") {
            ":443"
        } else {
            return None;
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let bare = |name: &'b str| name.strip_suffix(port).unwrap_or(name);
        let is_server = self
            .authorities
            .iter()
            .any(|known| known.strip_suffix(port).unwrap_or(known).eq_ignore_ascii_case(bare(authority)));
        is_server
            .then_some(if path.starts_with('/') { path } else { "/" })
            .filter(|_| path.is_empty() || path.starts_with('/'))
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
    fn check(back: Back<'_>, rows: &[(&str, &str, Option<&str>)]) {
        for (name, value, wanted) in rows {
            assert_eq!(back.field(name, value.as_bytes()).as_deref(), *wanted, "{name}: {value}");
        }
    }

    #[test]
    fn of_a_replaced_path() {
        let back = Back { from: "/app", to: Some(""), authorities: ["10.0.0.2:3000", "router.lan"] };
        #[rustfmt::skip]
        check(back, &[
            ("Location", "/", Some("/app/")),
            ("location", "/login?next=/x#y", Some("/app/login?next=/x#y")),
            ("Location", "http://10.0.0.2:3000/login", Some("/app/login")),
            ("Location", "HTTP://10.0.0.2:3000", Some("/app/")),
            ("Location", "http://router.lan/login", Some("/app/login")),
            ("Location", "http://ROUTER.lan:80/login", Some("/app/login")),
            ("Location", "https://router.lan:443/", Some("/app/")),
            ("Location", "https://router.lan:444/", None),
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
            ("Set-Cookie", "a=b; Path=/app", None),
            ("Set-Cookie", "a=b", None),
            ("X-Location", "/", None),
        ]);
    }

    #[test]
    fn of_a_path_for_another() {
        let back = Back { from: "/cam", to: Some("/axis/live"), authorities: ["cam.lan:443", "cam.lan"] };
        #[rustfmt::skip]
        check(back, &[
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
        let back = Back { from: "/app", to: None, authorities: ["10.0.0.2:3000", "router.lan"] };
        #[rustfmt::skip]
        check(back, &[
            ("Location", "/app/x", None),
            ("Location", "/x", None),
            ("Location", "http://10.0.0.2:3000/app/x", Some("/app/x")),
            ("Location", "http://router.lan/x", Some("/x")),
            ("Location", "http://evil/x", None),
            ("Set-Cookie", "a=b; Path=/", None),
        ]);
        let root = Back { from: "", to: Some("/base"), authorities: ["h:80", "h"] };
        check(root, &[("Location", "/base/x", Some("/x")), ("Location", "/base", Some("/")), ("Location", "/x", None)]);
    }
}
