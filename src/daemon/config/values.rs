//! Parsing one value. The error is what would have been right.

use super::model::{Alias, Header, Interpreter, Listen};
use crate::daemon::access::{Network, Rule, RuleKind};
use crate::daemon::log::AccessTarget;
use ecohttpd::syntax::is_token;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// What would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub right: String,
    /// The value that was probably meant, or the nearest valid one. A file is read as if it said that.
    pub nearest: Option<String>,
}

impl From<&str> for Expected {
    fn from(right: &str) -> Expected {
        Expected { right: right.into(), nearest: None }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.right)
    }
}

/// Longest time that an option takes, in seconds: a day.
pub const MAX_SECS: u32 = 86_400;

/// A whole number within bounds.
pub fn number(text: &str, min: u32, max: u32) -> Result<u32, Expected> {
    let nearest = match text.strip_prefix('-') {
        Some(digits) => are_digits(digits.as_bytes()).then_some(min),
        // Too many digits: too large.
        None => are_digits(text.as_bytes()).then(|| text.parse().unwrap_or(u32::MAX).clamp(min, max)),
    };
    match nearest {
        Some(number) if text.parse() == Ok(number) => Ok(number),
        _ => Err(Expected {
            right: format!("a whole number from {min} to {max}"),
            nearest: nearest.map(|number| number.to_string()),
        }),
    }
}

/// Whether a text consists of digits, at least one.
fn are_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// A flag, in all the ways that UCI writes one.
pub fn flag(text: &str) -> Result<bool, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "true" | "yes" | "enabled" => Ok(true),
        "0" | "off" | "false" | "no" | "disabled" | "" => Ok(false),
        _ => Err("0 or 1".into()),
    }
}

/// The path of a file or folder.
pub fn file(text: &str) -> Result<PathBuf, Expected> {
    if text.is_empty() || text.contains('\0') { Err("a path".into()) } else { Ok(PathBuf::from(text)) }
}

/// A URL's path, without a slash at its end; empty for the root.
pub fn prefix(text: &str) -> Result<String, Expected> {
    if !text.starts_with('/') || text.contains(['\0', '?', '#']) {
        return Err("a path that starts with a slash".into());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The path of a page that answers in place of another. It has no query: it gets that of the request.
pub fn error_page(text: &str) -> Result<String, Expected> {
    prefix(text).map_err(|expected| match text.split_once('?') {
        Some((path, _)) => Expected { right: "a path without a query".into(), nearest: Some(path.to_owned()) },
        None => expected,
    })
}

/// The path of something that is not a file, below the root.
pub fn page(text: &str) -> Result<String, Expected> {
    prefix(text).ok().filter(|path| !path.trim_matches('/').is_empty()).ok_or_else(|| "a path such as /metrics".into())
}

pub fn index(text: &str) -> Result<String, Expected> {
    if text.is_empty() || text.starts_with('/') || text.contains('\0') {
        return Err("a file name without a leading slash".into());
    }
    Ok(text.to_owned())
}

/// One address, or two for `localhost`.
pub fn listen(text: &str) -> Result<Vec<Listen>, Expected> {
    read_listen(text).ok_or_else(|| {
        // uhttpd takes what follows the last colon as the port.
        let bracketed = text.rsplit_once(':').map(|(host, port)| format!("[{host}]:{port}"));
        Expected {
            right: "[ADDR:]PORT, such as 8080, 127.0.0.1:8080 or [::1]:8080".into(),
            nearest: bracketed.filter(|text| read_listen(text).is_some()),
        }
    })
}

fn read_listen(text: &str) -> Option<Vec<Listen>> {
    let (host, port) = text.rsplit_once(':').map_or((None, text), |(host, port)| (Some(host), port));
    let port = u16::try_from(number(port, 0, u32::from(u16::MAX)).ok()?).ok()?;
    let listen = |ip: &str| Listen { ip: Some(ip.to_owned()), port };
    let Some(host) = host else { return Some(vec![Listen { ip: None, port }]) };
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![listen("127.0.0.1"), listen("::1")]);
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip: IpAddr = bare.unwrap_or(host).split('%').next()?.parse().ok()?;
    (bare.is_some() == ip.is_ipv6()).then(|| vec![listen(bare.unwrap_or(host))])
}

pub fn alias(text: &str) -> Result<Alias, Expected> {
    let expected = |_| Expected::from("/PATH or /PATH=/OTHER");
    match text.split_once('=') {
        None => Ok(Alias { from: prefix(text).map_err(expected)?, to: None }),
        Some((from, to)) => {
            Ok(Alias { from: prefix(from).map_err(expected)?, to: Some(prefix(to).map_err(expected)?) })
        }
    }
}

/// The prefix of a handler, and perhaps its file.
pub fn handler(text: &str) -> Result<(String, Option<PathBuf>), Expected> {
    let expected = |_| Expected::from("/PATH=/FILE");
    match text.split_once('=') {
        None => Ok((prefix(text).map_err(expected)?, None)),
        Some((path, name)) => Ok((prefix(path).map_err(expected)?, Some(file(name).map_err(expected)?))),
    }
}

/// A program and its arguments.
pub fn command(text: &str) -> Result<String, Expected> {
    if !text.starts_with('/') || text.contains('\0') {
        return Err("a program's path and its arguments, such as /usr/bin/lua /usr/share/ecohttpd/worker.lua".into());
    }
    Ok(text.to_owned())
}

pub fn interpreter(text: &str) -> Result<Interpreter, Expected> {
    let (extension, program) = text.split_once('=').unwrap_or((text, ""));
    let extension = extension.trim();
    if is_extension(extension) && program.starts_with('/') {
        return Ok(Interpreter { extension: extension.to_owned(), program: file(program)? });
    }
    // Its files are programs all the same and must not be served as text.
    let meant = format!(".{}", extension.rsplit('.').next().unwrap_or_default());
    let nearest = is_extension(&meant).then(|| format!("{meant}=/dev/null"));
    Err(Expected { right: ".EXT=/PATH, such as .php=/usr/bin/php-cgi".into(), nearest })
}

/// Whether it is an extension, with its dot, that names of files may have.
pub fn is_extension(text: &str) -> bool {
    let rest = text.strip_prefix('.').unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Extensions, separated by one blank.
pub fn extensions(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty() && words.iter().all(|word| is_extension(word))).then(|| words.join(" "))
}

/// The extensions that were meant, if a dot was left out, or what stands before it is too much.
pub fn nearest_extensions(text: &str) -> Option<String> {
    let meant = |word: &str| format!(".{}", word.rsplit('.').next().unwrap_or_default());
    extensions(&text.split_whitespace().map(meant).collect::<Vec<_>>().join(" "))
}

/// Fields that frame a message or that the server sets itself: a second one would conflict.
#[rustfmt::skip]
const OWN: &[&str] = &[
    "accept-ranges", "connection", "content-encoding", "content-length", "content-range", "content-type", "date", "etag", "keep-alive",
    "last-modified", "location", "trailer", "transfer-encoding", "upgrade",
];

pub fn header(text: &str) -> Result<Header, Expected> {
    let right = "[/PREFIX[?PARAMETER] ]NAME: VALUE, such as '/static Cache-Control: max-age=3600', but not a field that the server sets itself";
    let header = read_header(text).filter(|header| !OWN.iter().any(|own| header.name.eq_ignore_ascii_case(own)));
    header.ok_or_else(|| right.into())
}

fn read_header(text: &str) -> Option<Header> {
    let (path, field) = match text.split_once(char::is_whitespace) {
        Some((path, field)) if path.starts_with('/') => (path, field),
        _ => ("/", text),
    };
    let (path, parameter) = path.split_once('?').map_or((path, None), |(path, name)| (path, Some(name)));
    // A name without a value, as it is written in the query.
    let parameter = parameter
        .map_or(Some(""), |name| Some(name).filter(|name| !name.is_empty() && !name.contains(['=', '&', '?', '#'])))?;
    let (name, value) = field.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    if !is_token(name.as_bytes()) || value.bytes().any(|b| b < b' ' || b == 0x7f) {
        return None;
    }
    let (name, value) = (name.to_owned(), value.to_owned());
    Some(Header { prefix: prefix(path).ok()?, parameter: parameter.to_owned(), name, value })
}

/// Addresses, and the path that is allowed or denied to them.
pub fn access(text: &str, kind: RuleKind) -> Result<Rule, Expected> {
    let mut words = text.split_whitespace().peekable();
    let path = prefix(words.next_if(|word| word.starts_with('/')).unwrap_or("/")).ok();
    let path = path.filter(|path| !path.contains(char::REPLACEMENT_CHARACTER));
    let networks: Option<Vec<Network>> = words.map(Network::parse).collect();
    match (path, networks.filter(|networks| !networks.is_empty())) {
        (Some(path), Some(networks)) => Ok(Rule { path, kind, networks }),
        _ => Err("[/PREFIX ]ADDRESS..., such as '/admin 192.168.1.0/24 fd00::/8': addresses, *, or unix".into()),
    }
}

/// A path; or a flag, for all paths or none.
pub fn client_cert(text: &str) -> Result<Option<String>, Expected> {
    match flag(text) {
        Ok(yes) => Ok(yes.then(String::new)),
        Err(_) if text.contains(char::REPLACEMENT_CHARACTER) => Err("a path in UTF-8".into()),
        Err(_) => prefix(text).map(Some).map_err(|_| "a path that starts with a slash, or 1 for all".into()),
    }
}

/// The addresses of proxies. `*` is refused: any client could claim to be another.
pub fn proxies(text: &str) -> Result<Vec<Network>, Expected> {
    let read = |word| Network::parse(word).filter(|network| *network != Network::All);
    let networks: Option<Vec<Network>> = text.split_whitespace().map(read).collect();
    networks.ok_or_else(|| "addresses, such as 127.0.0.1 or 10.0.0.0/8, or unix".into())
}

/// The paths that a wrong value may have meant to protect: any of its spaces may be the end of the path.
pub fn protected(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut path = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        path.push_str(word);
        paths.push(if text.starts_with('/') { enclosing(path.trim_end()) } else { "/".into() });
    }
    paths
}

/// A valid path that encloses what a wrong path meant.
pub fn enclosing(path: &str) -> String {
    let known = path.split(['?', '#', char::REPLACEMENT_CHARACTER]).next().unwrap_or_default();
    let whole = if known == path { known } else { known.rsplit_once('/').map_or("", |(folder, _)| folder) };
    format!("/{}", whole.trim_matches('/'))
}

/// A host name in lower case. A leading `*.` stands for any labels.
pub fn server_name(text: &str) -> Result<String, Expected> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b);
    if name.is_empty() || !name.bytes().all(byte) {
        return Err("a host name, such as router.lan or *.lan".into());
    }
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

pub fn charset(text: &str) -> Result<String, Expected> {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b);
    if text.is_empty() || !text.bytes().all(byte) {
        Err("a charset name".into())
    } else {
        Ok(text.to_ascii_lowercase())
    }
}

pub fn realm(text: &str) -> Result<String, Expected> {
    if text.chars().any(char::is_control) { Err("text without control characters".into()) } else { Ok(text.to_owned()) }
}

pub fn access_log(text: &str) -> Result<Option<AccessTarget>, Expected> {
    match text {
        "syslog" => Ok(Some(AccessTarget::Syslog)),
        "stdout" => Ok(Some(AccessTarget::Stdout)),
        path if path.starts_with('/') => Ok(Some(AccessTarget::File(file(path)?))),
        other => match flag(other) {
            Ok(yes) => Ok(yes.then_some(AccessTarget::Stdout)),
            Err(_) => Err("stdout, syslog, or an absolute path".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let good = [
            ("80", None, 80),
            ("0", None, 0),
            ("0.0.0.0:80", Some("0.0.0.0"), 80),
            ("[::]:443", Some("::"), 443),
            ("[fe80::1%br-lan]:80", Some("fe80::1%br-lan"), 80),
        ];
        for (text, ip, port) in good {
            let [read] = listen(text).unwrap().try_into().unwrap();
            assert_eq!(read, Listen { ip: ip.map(String::from), port }, "{text}");
            assert_eq!(read.to_string(), text);
        }
        for (text, shown) in [("localhost:80", "127.0.0.1:80 [::1]:80"), ("LocalHost:0", "127.0.0.1:0 [::1]:0")] {
            let read: Vec<String> = listen(text).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(read.join(" "), shown, "{text}");
        }
        for (text, nearest) in
            [("::1:80", "[::1]:80"), (":::9102", "[::]:9102"), ("fe80::1%br-lan:80", "[fe80::1%br-lan]:80")]
        {
            assert_eq!(listen(text).unwrap_err().nearest.as_deref(), Some(nearest), "{text}");
        }
        #[rustfmt::skip]
        let bad = [
            "", ":80", "80:", "a", "+80", "65536", "router.lan:80", "localhost", "::1", "2001:db8::1:", "[127.0.0.1]:80", "1.2.3.4:", "-1",
            "[::1:80", "::1]:80", "*:80", "127.0.0.1:http", "[localhost]:80", "%lo:80",
        ];
        for text in bad {
            let expected = listen(text).unwrap_err();
            assert!(expected.right.contains("[ADDR:]PORT") && expected.nearest.is_none(), "{text}");
        }
    }

    #[test]
    fn headers() {
        let read = |text| header(text).map(|header| (header.prefix, header.name, header.value));
        let expected = |prefix: &str, name: &str, value: &str| Ok((prefix.into(), name.into(), value.into()));
        assert_eq!(read("/a/ X-A: b c"), expected("/a", "X-A", "b c"));
        assert_eq!(read("X-A:b:c"), expected("", "X-A", "b:c"));
        assert_eq!(read("/ X-A:"), expected("", "X-A", ""));
        let parameter = |text| header(text).map(|header| (header.prefix, header.parameter));
        assert_eq!(parameter("/a/?v X-A: b?c"), Ok(("/a".into(), "v".into())));
        assert_eq!(parameter("/?v X-A: b"), Ok((String::new(), "v".into())));
        assert_eq!(parameter("/a X-A: ?b"), Ok(("/a".into(), String::new())));
        for bad in ["/a? X-A: b", "/a?v= X-A: b", "/a?v&w X-A: b", "?v X-A: b"] {
            assert!(header(bad).is_err(), "{bad}");
        }
        for bad in
            ["", "X-A", "X A: b", ": b", "X-A: b\nc", "/a", "/a X", "Content-Length: 5", "/x TRANSFER-ENCODING: a"]
        {
            assert!(header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_values() {
        assert_eq!(alias("/a"), Ok(Alias { from: "/a".into(), to: None }));
        assert_eq!(alias("/a/=/b/"), Ok(Alias { from: "/a".into(), to: Some("/b".into()) }));
        for bad in ["a", "", "/a=b", "=/b"] {
            assert!(alias(bad).is_err(), "{bad}");
        }
        assert!(interpreter(".php=/usr/bin/php").is_ok());
        for bad in ["php=/x", ".=/x", ".php", ".php=x", ""] {
            assert!(interpreter(bad).is_err(), "{bad}");
        }
        assert_eq!(server_name("*.LAN."), Ok("*.lan".into()));
        for bad in ["", "*.", "a b", "*.*.a", "a/b"] {
            assert!(server_name(bad).is_err(), "{bad}");
        }
        for (text, expected) in [("1", Some(AccessTarget::Stdout)), ("0", None), ("syslog", Some(AccessTarget::Syslog))]
        {
            assert_eq!(access_log(text), Ok(expected));
        }
        assert_eq!(access_log("/var/log/a"), Ok(Some(AccessTarget::File("/var/log/a".into()))));
        assert!(access_log("a").is_err());
        assert_eq!(number("5", 5, 9), Ok(5));
        let many = "9".repeat(50);
        #[rustfmt::skip]
        let rows = [
            ("4", Some("5")), ("10", Some("9")), ("-1", Some("5")), (&many, Some("9")), ("x", None), ("", None), ("+5", None), ("-", None),
            ("5.0", None), ("--1", None), ("6 ", None),
        ];
        for (text, nearest) in rows {
            assert_eq!(number(text, 5, 9).unwrap_err().nearest.as_deref(), nearest, "{text:?}");
        }
        for (text, expected) in [("On", true), ("TRUE", true), ("Enabled", true), ("OFF", false), ("No", false)] {
            assert_eq!(flag(text), Ok(expected), "{text}");
        }
        assert!(flag("2").is_err() && flag("y").is_err());
        assert_eq!(error_page("/a/"), Ok("/a".into()));
        for (text, nearest) in [("/x?y=1", Some("/x")), ("x", None), ("/a#b", None)] {
            assert_eq!(error_page(text).unwrap_err().nearest.as_deref(), nearest, "{text}");
        }
    }
}
