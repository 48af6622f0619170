//! Parsing the values of `proxy` and `fastcgi`.

use super::backend::{Backend, BackendServer, Place, Trust};
use super::values::{Expected, extensions, nearest_extensions, prefix};

/// `/PREFIX=URL...`, with the words `host=NAME`, `ca=/FILE`, `insecure`.
pub fn proxy(text: &str) -> Result<Backend, Expected> {
    read_proxy(text).ok_or_else(|| {
        "/PREFIX=URL, such as /app=http://127.0.0.1:3000/ or /app=unix:/run/app.sock; more URLs with the same path, \
         host=NAME, ca=/FILE and insecure may follow"
            .into()
    })
}

fn read_proxy(text: &str) -> Option<Backend> {
    let (from, to) = text.split_once('=')?;
    // It is part of the line that servers get.
    let mut backend = Backend::new(replacement(from).ok()?, text);
    let mut first = true;
    for word in to.split_whitespace() {
        match word.split_once('=') {
            _ if word == "insecure" => backend.trust = Trust::Anyone,
            Some(("host", host)) if is_host(host) => backend.host = Some(host.to_owned()),
            Some(("ca", file)) if file.starts_with('/') => backend.trust = Trust::Ca(file.into()),
            _ => {
                let (server, path) = url(word)?;
                if !std::mem::replace(&mut first, false) && path != backend.path {
                    return None;
                }
                backend.path = path;
                backend.servers.push(server);
            }
        }
    }
    (!first).then_some(backend)
}

/// `.EXT=ADDR...` or `/PREFIX=ADDR...`
pub fn fastcgi(text: &str) -> Result<Backend, Expected> {
    read_fastcgi(text).ok_or_else(|| {
        // Its files are programs all the same and must not be served as text.
        let from = text.split('=').next().unwrap_or_default();
        let nearest = match prefix(from) {
            Ok(from) if !from.is_empty() => Some(from),
            _ => nearest_extensions(from),
        };
        let nearest = nearest.map(|from| format!("{from}=unix:/dev/null"));
        let right = ".EXT=ADDR or /PREFIX=ADDR, such as .php=unix:/run/php-fpm.sock or /app=127.0.0.1:9000";
        Expected { right: right.into(), nearest }
    })
}

fn read_fastcgi(text: &str) -> Option<Backend> {
    let (from, to) = text.split_once('=')?;
    let from = extensions(from).or_else(|| prefix(from).ok())?;
    let mut backend = Backend::new(from, text);
    for word in to.split_whitespace() {
        let place = match word.strip_prefix("unix:") {
            Some(path) => unix(path)?,
            None => tcp(word, None)?,
        };
        backend.servers.push(BackendServer { tls: false, place });
    }
    (!backend.servers.is_empty()).then_some(backend)
}

/// A server, and the path that replaces the prefix.
fn url(text: &str) -> Option<(BackendServer, Option<String>)> {
    if let Some(rest) = text.strip_prefix("unix:") {
        let (file, path) = rest.split_once(':').map_or((rest, None), |(file, path)| (file, Some(path)));
        return Some((BackendServer { tls: false, place: unix(file)? }, path.map(replacement).transpose().ok()?));
    }
    let (scheme, rest) = text.split_once("://")?;
    let tls = match scheme {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => (rest.get(..slash)?, Some(rest.get(slash..)?)),
        None => (rest, None),
    };
    let place = tcp(authority, Some(if tls { 443 } else { 80 }))?;
    Some((BackendServer { tls, place }, path.map(replacement).transpose().ok()?))
}

/// A path that replaces a prefix in a request target.
fn replacement(path: &str) -> Result<String, Expected> {
    if path.bytes().any(|byte| !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&byte)) {
        return Err("a path in ASCII".into());
    }
    prefix(path)
}

fn unix(path: &str) -> Option<Place> {
    path.starts_with('/').then(|| Place::Unix(path.into()))
}

/// `HOST:PORT`, or `HOST` where there is a default.
fn tcp(text: &str, default: Option<u16>) -> Option<Place> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default?,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let right = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
    };
    right.then(|| Place::Tcp(bare.unwrap_or(host).to_owned(), port))
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::backend::CA_BUNDLE;

    fn shown(backend: &Backend) -> String {
        let servers: Vec<String> =
            backend.servers.iter().map(|server| format!("{}{server}", if server.tls { "tls " } else { "" })).collect();
        let path = backend.path.as_deref().map_or("kept".into(), |path| format!("{path:?}"));
        format!("{:?} {} {path}", backend.from, servers.join(" "))
    }

    #[test]
    fn proxies() {
        let rows = [
            ("/a=http://127.0.0.1:7681", "\"/a\" 127.0.0.1:7681 kept"),
            ("/a/=http://127.0.0.1:7681/", "\"/a\" 127.0.0.1:7681 \"\""),
            ("/=http://h", "\"\" h:80 kept"),
            ("/a/b=https://h.lan/c/d/", "\"/a/b\" tls h.lan:443 \"/c/d\""),
            ("/a=http://[::1]:81/", "\"/a\" [::1]:81 \"\""),
            ("/a=http://[::1]/", "\"/a\" [::1]:80 \"\""),
            ("/a=unix:/run/x.sock", "\"/a\" unix:/run/x.sock kept"),
            ("/a=unix:/run/x.sock:/b", "\"/a\" unix:/run/x.sock \"/b\""),
            ("/a=http://h:1/ http://g:2/  insecure", "\"/a\" h:1 g:2 \"\""),
        ];
        for (text, wanted) in rows {
            assert_eq!(shown(&proxy(text).unwrap()), wanted, "{text}");
        }
        let full = proxy("/a=https://h host=x.lan:8443 ca=/etc/ca.pem").unwrap();
        assert_eq!((full.host.as_deref(), full.trust), (Some("x.lan:8443"), Trust::Ca("/etc/ca.pem".into())));
        assert_eq!(proxy("/a=https://h insecure").unwrap().trust, Trust::Anyone);
        assert_eq!(proxy("/a=https://h").unwrap().trust, Trust::Ca(CA_BUNDLE.into()));
        let wrong = [
            "",
            "/a",
            "a=http://h",
            "/a=",
            "/a=h:80",
            "/a=ftp://h",
            "/a=http://",
            "/a=http://h:0",
            "/a=http://h:x",
            "/a=http://u@h",
            "/a=http://h/ http://g",
            "/a=http://h/?q",
            "/a=http://h/\u{e4}",
            "/a=unix:run",
            "/a=insecure",
            "/a=http://h host=",
            "/a=http://h ca=x",
            "/a=http://[::g]",
            "/a=http://::1",
            "/a?=http://h",
            "/a b=http://h",
            "/\u{e4}=http://h",
        ];
        for text in wrong {
            assert!(proxy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fastcgi_servers() {
        let rows = [
            (".php=unix:/run/php-fpm.sock", "\".php\" unix:/run/php-fpm.sock kept"),
            (".php=127.0.0.1:9000 [::1]:9001", "\".php\" 127.0.0.1:9000 [::1]:9001 kept"),
            ("/app/=h:9000", "\"/app\" h:9000 kept"),
            (".php =unix:/x", "\".php\" unix:/x kept"),
            (" .php  .inc.php=unix:/x", "\".php .inc.php\" unix:/x kept"),
        ];
        for (text, wanted) in rows {
            assert_eq!(shown(&fastcgi(text).unwrap()), wanted, "{text}");
        }
        // What was meant, whose files are not served as text.
        let rows = [
            ("", None),
            (".=h:1", None),
            (".php", Some(".php")),
            (".php=", Some(".php")),
            (".php=h", Some(".php")),
            (".php .phtml=h", Some(".php .phtml")),
            (".php=unix:x", Some(".php")),
            (".php=http://h:1", Some(".php")),
            ("php=h:1", Some(".php")),
            ("*.php=h:1", Some(".php")),
            (".php,=h:1", None),
            ("/index.php=127.0.0.1", Some("/index.php")),
        ];
        for (text, from) in rows {
            let nearest = fastcgi(text).unwrap_err().nearest;
            assert_eq!(nearest.map(|nearest| fastcgi(&nearest).unwrap().from).as_deref(), from, "{text}");
        }
    }
}
