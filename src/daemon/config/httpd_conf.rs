//! /etc/httpd.conf: the lines of busybox httpd that uhttpd reads, and those about addresses, which uhttpd does not.

use crate::daemon::access::{Network, Rule, RuleKind};
use crate::daemon::auth::RealmLine;

/// What the file says, in order.
#[derive(Default)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct HttpdConf {
    pub realms: Vec<RealmLine>,
    /// `A:192.168.` and `D:*`
    pub access: Vec<Rule>,
    /// `I:index.html`
    pub index: Vec<String>,
    /// `E404:/url`
    pub error_page: Option<String>,
    /// `*.php:/usr/bin/php-cgi`: the extension with its dot, and the program.
    pub interpreters: Vec<(String, String)>,
    /// `P:/url:http://host:port/path`, as the option `proxy` has it: `/url=http://host:port/path`.
    pub proxies: Vec<String>,
    /// What is wrong with lines that were ignored.
    pub warnings: Vec<String>,
    /// What is wrong with lines that protect something. Where it is known what, that is closed to everyone.
    pub errors: Vec<String>,
}

/// Reads the file. Unlike uhttpd, it accepts lines of any length, and a last line without its end.
pub fn parse(text: &[u8]) -> HttpdConf {
    let mut conf = HttpdConf::default();
    // Some editors put a byte order mark there; the first path would not be recognized.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let number = index + 1;
        // The line is not dropped: a realm with an invalid byte keeps its path closed.
        let lossy = String::from_utf8_lossy(line);
        if matches!(lossy, std::borrow::Cow::Owned(_)) && !lossy.starts_with('#') {
            conf.warnings.push(format!("line {number}: not UTF-8"));
        }
        match conf.take(lossy.trim_ascii_start()) {
            Ok(()) => {}
            Err(Wrong::Ignored(wrong)) => conf.warnings.push(format!("line {number}: {wrong}: ignored")),
            Err(Wrong::Unprotected(wrong)) => conf.errors.push(format!("line {number}: {wrong}")),
        }
    }
    conf
}

/// What is wrong with a line.
enum Wrong {
    Ignored(&'static str),
    Unprotected(String),
}

impl HttpdConf {
    fn take(&mut self, line: &str) -> Result<(), Wrong> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(name) = line.strip_prefix("I:") {
            if name.is_empty() || name.starts_with('/') || name.contains('\0') {
                return Err(Wrong::Ignored("I: expected a file name, such as I:index.html"));
            }
            self.index.push(name.into());
        } else if let Some(url) = line.strip_prefix("E404:") {
            if !url.starts_with('/') {
                return Err(Wrong::Ignored("E404: expected a path, such as E404:/missing.html"));
            }
            self.error_page = Some(url.into());
        } else if let Some(rule) = line.strip_prefix('*') {
            let rule = rule.split_once(':').filter(|(extension, program)| {
                extension.len() > 1 && extension.starts_with('.') && program.starts_with('/')
            });
            let (extension, program) = rule.ok_or(Wrong::Ignored("not of the form *.extension:/program"))?;
            self.interpreters.push((extension.into(), program.into()));
        } else if let Some(rule) = line.strip_prefix("P:") {
            let (from, to) =
                rule.split_once(':').ok_or(Wrong::Ignored("not of the form P:/url:http://host:port/path"))?;
            self.proxies.push(format!("{from}=http://{}", to.strip_prefix("http://").unwrap_or(to)));
        } else if line.starts_with('/') {
            let Some(realm) = realm(line) else {
                return Err(self.close(line.split(':').next().unwrap_or(line)));
            };
            self.realms.push(realm);
        } else if let Some((kind, network)) = access(line) {
            let Some(network) = Network::parse_short(&network) else {
                self.access.push(Rule::closed("/"));
                let text = "expected an address, such as A:192.168., D:10.0.0.0/8 or D:*: / is closed to everyone";
                return Err(Wrong::Unprotected(text.into()));
            };
            self.access.push(Rule { path: "/".into(), kind, networks: vec![network] });
        } else if is_kind_of_busybox(line) {
            return Err(Wrong::Ignored("only busybox httpd knows this kind of line"));
        } else if realm(line).is_some() {
            return Err(self.close(&format!("/{}", line.split(':').next().unwrap_or(line))));
        } else {
            return Err(Wrong::Ignored("unknown kind of line"));
        }
        Ok(())
    }

    /// Closes a path to everyone, as the login is invalid.
    fn close(&mut self, path: &str) -> Wrong {
        self.realms.push(RealmLine::closed(path));
        Wrong::Unprotected(format!("not of the form /path:user:password: {path} is closed to everyone"))
    }
}

/// Whether busybox httpd reads the line as something that is not supported here: a home, a file type.
fn is_kind_of_busybox(line: &str) -> bool {
    ["H:", "."].iter().any(|start| line.starts_with(start))
}

/// Splits a line about an address. Spaces and comments do not count.
fn access(line: &str) -> Option<(RuleKind, String)> {
    let (word, rest) = line.split_once(':')?;
    let is_word = |known: &[&str]| known.iter().any(|known| word.trim_end().eq_ignore_ascii_case(known));
    let kind = match word {
        _ if is_word(&["a", "allow"]) => RuleKind::AllowToo,
        _ if is_word(&["d", "deny"]) => RuleKind::Deny,
        _ => return None,
    };
    let value = rest.split('#').next().unwrap_or_default();
    Some((kind, value.split_whitespace().collect()))
}

/// Splits a line at its first two colons: the password may contain more.
fn realm(line: &str) -> Option<RealmLine> {
    let (path, login) = line.split_once(':')?;
    let (user, pass) = login.split_once(':')?;
    Some(RealmLine { path: path.into(), user: user.into(), pass: pass.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything in one line, to compare with.
    fn summary(text: &[u8]) -> String {
        let conf = parse(text);
        let mut shown = Vec::new();
        shown.extend(conf.realms.iter().map(|realm| format!("{} {} {}", realm.path, realm.user, realm.pass)));
        shown.extend(conf.access.iter().map(|line| format!("{} {:?} {}", line.path, line.kind, line.networks[0])));
        shown.extend(conf.index.iter().map(|name| format!("I {name}")));
        shown.extend(conf.error_page.iter().map(|url| format!("E {url}")));
        shown.extend(conf.interpreters.iter().map(|(extension, program)| format!("{extension} {program}")));
        shown.extend(conf.proxies.iter().map(|proxy| format!("P {proxy}")));
        shown.extend(conf.warnings.iter().map(|warning| format!("! {warning}")));
        shown.extend(conf.errors.iter().map(|error| format!("!! {error}")));
        shown.join("; ")
    }

    #[test]
    fn lines() {
        #[rustfmt::skip]
        let rows: &[(&[u8], &str, &str)] = &[
            (b"", "", "nothing"),
            (b"\n  \n# /a:b:c\n  # x\n", "", "blanks and comments"),
            (b"/a:b:c\n", "/a b c", "a realm"),
            (b"/a:b:c", "/a b c", "a last line without its end"),
            (b"/a:b:c\r\n", "/a b c", "CR LF"),
            (b"/:u:$p$root\n/x:v:a:b c\n", "/ u $p$root; /x v a:b c", "a password with colons and blanks"),
            (b"/a:b:\n", "/a b ", "an empty password"),
            (b"I:index.php\nI:a\n", "I index.php; I a", "index names"),
            (b"E404:/a\nE404:/b\n", "E /b", "the last error page"),
            (b"*.php:/usr/bin/php-cgi\n", ".php /usr/bin/php-cgi", "an interpreter"),
            (b".ext:text/x\n", "! line 1: only busybox httpd knows this kind of line: ignored", "a type"),
            (b"P:/a:http://b:80/c\nP:/d:e/\n", "P /a=http://b:80/c; P /d=http://e/", "proxies"),
            (b"P:/a\n", "! line 1: not of the form P:/url:http://host:port/path: ignored", "no server"),
            (b"x\n", "! line 1: unknown kind of line: ignored", "what nobody knows"),
            (b"D:*\n", "/ Deny *", "deny all"),
            (b"A:192.168.\nD:10.0.0.0/255.0.0.0\n", "/ AllowToo 192.168.0.0/16; / Deny 10.0.0.0/8", "addresses"),
            (b"a: 1.2.3.4 # me\nDENY : 5.\nallow:fd00::/8\r\n", "/ AllowToo 1.2.3.4/32; / Deny 5.0.0.0/8; / AllowToo fd00::/8", "as busybox has them"),
            (b"A:1.2.3.4/x\n", "/ Deny unix; !! line 1: expected an address, such as A:192.168., D:10.0.0.0/8 or D:*: / is closed to everyone", "no mask"),
            (b"D:\n", "/ Deny unix; !! line 1: expected an address, such as A:192.168., D:10.0.0.0/8 or D:*: / is closed to everyone", "no address"),
            (b"A:me:secret\n", "/ Deny unix; !! line 1: expected an address, such as A:192.168., D:10.0.0.0/8 or D:*: / is closed to everyone", "a login"),
            (b"admin:me:secret\n", "/admin  $; !! line 1: not of the form /path:user:password: /admin is closed to everyone", "another word"),
            (b"\n/a:b\n", "/a  $; !! line 2: not of the form /path:user:password: /a is closed to everyone", "no password"),
            (b"/a\n", "/a  $; !! line 1: not of the form /path:user:password: /a is closed to everyone", "a path alone"),
            (b"a/b:c:d\n", "/a/b  $; !! line 1: not of the form /path:user:password: /a/b is closed to everyone", "no slash"),
            (b" \t/a:b:c\n", "/a b c", "leading blanks"),
            (b"\xef\xbb\xbf/a:b:c\n", "/a b c", "a byte order mark"),
            (b"*php:/bin/php\n", "! line 1: not of the form *.extension:/program: ignored", "no dot"),
            (b"*.php:php\n", "! line 1: not of the form *.extension:/program: ignored", "a relative program"),
            (b"E404:x\n", "! line 1: E404: expected a path, such as E404:/missing.html: ignored", "not a path"),
            (b"I:a\0b\n", "! line 1: I: expected a file name, such as I:index.html: ignored", "a NUL"),
            (b"I:/x\n", "! line 1: I: expected a file name, such as I:index.html: ignored", "a path"),
            (b"/a:b:\xff\n", "/a b \u{fffd}; ! line 1: not UTF-8", "a realm stays shut"),
            (b"# \xff\n", "", "a comment may hold anything"),
        ];
        for (text, expected, name) in rows {
            assert_eq!(summary(text), *expected, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn hostile_text_is_answered(text in prop::collection::vec(prop::sample::select(b"/:*.IE404ab\n\r\xff\0 #".as_slice()), 0..60)) {
            let conf = parse(&text);
            prop_assert!(conf.realms.iter().all(|realm| realm.path.starts_with('/')));
        }
    }
}
