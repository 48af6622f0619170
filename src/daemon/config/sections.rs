//! What the sections of a UCI file mean: those of OpenWrt's `/etc/config/uhttpd`.

use super::options::{ROWS, Row, Takes};
use super::uci::{self, Opt, Section, Value};
use super::{Config, Identity, RealmLine, Site, values};
use std::fs;
use std::path::Path;

/// The package that the sections are of, as `uci show` names them.
const PACKAGE: &str = "uhttpd";

/// Reads a file in UCI syntax.
///
/// # Errors
/// One line: which option of which section, where, its value, and what would be right.
pub fn read(path: &Path) -> Result<Config, String> {
    let text = uci::read(path).map_err(|error| format!("--config: {}: {error}", path.display()))?;
    let mut config = interpret(&text).map_err(|error| format!("{}:{error}", path.display()))?;
    config.file = Some(path.to_owned());
    Ok(config)
}

/// Makes a configuration of a file's text; errors begin with the line's number.
fn interpret(text: &[u8]) -> Result<Config, String> {
    let sections = uci::parse(text).map_err(|error| format!("{}: {}", error.line, error.what))?;
    let mut config = Config::default();
    let identity = match sections.iter().find(|section| section.kind == "cert") {
        Some(section) => identity(section, &mut config.warnings)?,
        None => Identity::default(),
    };
    for (n, section) in of_kind(&sections, "uhttpd").enumerate() {
        let name = section.name.clone().unwrap_or_else(|| format!("@uhttpd[{n}]"));
        let mut site = Site { name: format!("{PACKAGE}.{name}"), ..defaults() };
        site.tls.identity = identity.clone();
        if fill(&mut site, section, &sections, &mut config.warnings)? {
            config.sites.push(site);
        }
    }
    Ok(config)
}

fn of_kind<'a>(sections: &'a [Section], kind: &'a str) -> impl Iterator<Item = &'a Section> {
    sections.iter().filter(move |section| section.kind == kind)
}

/// What OpenWrt's init script gives uhttpd where the section is silent.
fn defaults() -> Site {
    let mut site = Site { docroot: "/www".into(), ..Site::default() };
    site.tls.cert = Some("/etc/uhttpd.crt".into());
    site.tls.key = Some("/etc/uhttpd.key".into());
    site.tls.self_signed = true;
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    site.realm = match host.trim() {
        "" | "(none)" => "OpenWrt".into(),
        host => host.into(),
    };
    site
}

/// Takes a section's options over; false: it is switched off.
fn fill(site: &mut Site, section: &Section, all: &[Section], warnings: &mut Vec<String>) -> Result<bool, String> {
    let mut enabled = true;
    for option in &section.options {
        let name = site.name.clone();
        let at = Place { section: &name, option };
        match option.name.as_str() {
            "enabled" => enabled = values::flag(at.single()?).map_err(|right| at.wrong(at.text(), &right))?,
            "httpauth" => logins(site, &at, all)?,
            known => match ROWS.iter().find(|row| row.uci == known) {
                Some(row) => set(site, row, &at)?,
                None => warnings.push(at.unknown(ROWS.iter().map(|row| row.uci))),
            },
        }
    }
    Ok(enabled)
}

fn set(site: &mut Site, row: &Row, at: &Place<'_>) -> Result<(), String> {
    let texts: Vec<&str> = match (&at.option.value, row.takes) {
        (Value::List(texts), Takes::List) => texts.iter().map(String::as_str).collect(),
        // An option in a list's place is one that the shell would split, but for what holds spaces itself.
        (Value::Single(text), Takes::List) if row.uci != "header" => text.split_whitespace().collect(),
        _ => vec![at.single()?],
    };
    texts.into_iter().try_for_each(|text| (row.set)(site, text).map_err(|right| at.wrong(text, &right)))
}

/// Takes the logins of the sections `config httpauth` that a list names.
fn logins(site: &mut Site, at: &Place<'_>, all: &[Section]) -> Result<(), String> {
    let names: Vec<&str> = match &at.option.value {
        Value::List(names) => names.iter().map(String::as_str).collect(),
        Value::Single(names) => names.split_whitespace().collect(),
    };
    for name in names {
        let named = |section: &&Section| section.name.as_deref() == Some(name);
        let Some(section) = of_kind(all, "httpauth").find(named) else {
            return Err(at.wrong(name, "the name of a section 'config httpauth'"));
        };
        let (mut prefix, mut user, mut pass) = (None, None, None);
        for option in &section.options {
            let place = Place { section: &format!("{PACKAGE}.{name}"), option };
            match option.name.as_str() {
                "prefix" => {
                    let text = place.single()?;
                    prefix = Some(values::prefix(text).map_err(|right| place.wrong(text, &right))?);
                }
                "username" => user = Some(place.single()?.to_owned()),
                "password" => pass = Some(place.single()?.to_owned()),
                _ => {}
            }
        }
        match (prefix, user, pass) {
            (Some(path), Some(user), Some(pass)) if !user.is_empty() && !user.contains(':') => {
                site.auth.push(RealmLine { path, user, pass });
            }
            _ => {
                let line = section.line;
                return Err(format!(
                    "{line}: {PACKAGE}.{name}: expected prefix, username (without a colon) and password"
                ));
            }
        }
    }
    Ok(())
}

/// Reads `config cert`; what only other programs that make certificates need is skipped.
fn identity(section: &Section, warnings: &mut Vec<String>) -> Result<Identity, String> {
    let mut identity = Identity::default();
    let name = format!("{PACKAGE}.{}", section.name.as_deref().unwrap_or("@cert[0]"));
    for option in &section.options {
        let at = Place { section: &name, option };
        match option.name.as_str() {
            "days" => {
                let days = values::number(at.single()?, 1, 9999).map_err(|right| at.wrong(at.text(), &right))?;
                identity.days = u16::try_from(days).unwrap_or(u16::MAX);
            }
            "commonname" => identity.common_name = Some(at.single()?.to_owned()).filter(|name| !name.is_empty()),
            "key_type" if at.single()? == "rsa" => {
                warnings.push(at.wrong("rsa", "ec: certificates are made with a key on P-256"));
            }
            "ec_curve" if !matches!(at.single()?, "P-256" | "prime256v1" | "secp256r1") => {
                warnings.push(at.wrong(at.text(), "P-256: it is used instead"));
            }
            "key_type" | "ec_curve" | "bits" | "country" | "state" | "location" | "organization" => {}
            _ => warnings.push(at.unknown(["days", "commonname", "key_type", "ec_curve"].into_iter())),
        }
    }
    Ok(identity)
}

/// An option where it stands, for messages.
struct Place<'a> {
    section: &'a str,
    option: &'a Opt,
}

impl Place<'_> {
    /// The one value.
    fn single(&self) -> Result<&str, String> {
        match &self.option.value {
            Value::Single(text) => Ok(text),
            Value::List(texts) => match texts.as_slice() {
                [text] => Ok(text),
                _ => Err(self.wrong("a list", "one value")),
            },
        }
    }

    /// The value, as far as there is one.
    fn text(&self) -> &str {
        self.single().unwrap_or_default()
    }

    fn wrong(&self, value: &str, right: &str) -> String {
        let Place { section, option } = self;
        format!("{}: {section}.{}: {value:?} is wrong: expected {right}", option.line, option.name)
    }

    fn unknown<'a>(&self, known: impl Iterator<Item = &'a str>) -> String {
        let Place { section, option } = self;
        let alike = |name: &str| name.bytes().zip(option.name.bytes()).take_while(|(a, b)| a == b).count();
        let hint = match known.max_by_key(|name| alike(name)) {
            Some(name) if alike(name) > 2 => format!(" (is it {name}?)"),
            _ => String::new(),
        };
        format!("line {}: {section}.{}: an unknown option, ignored{hint}", option.line, option.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> Site {
        let mut config = interpret(text.as_bytes()).unwrap();
        assert_eq!(config.warnings, Vec::<String>::new());
        config.sites.remove(0)
    }

    #[test]
    fn a_section_fills_a_site() {
        let site = site(
            "config uhttpd main\n list listen_http 0.0.0.0:80\n list listen_http [::]:80\n option home /srv\n\
             option listen_https '443 [::1]:444'\n option rfc1918_filter on\n list header '/a X: y z'\n option realm 'a b'\n\
             list httpauth admin\n\nconfig httpauth admin\n option prefix /cgi-bin/\n option username u\n option password 'p:q'\n\
             config cert defaults\n option days 10\n option commonname R\n option key_type ec\n",
        );
        assert_eq!(site.name, "uhttpd.main");
        let shown: Vec<String> = site.listen.iter().chain(&site.tls.listen).map(ToString::to_string).collect();
        assert_eq!(shown, ["0.0.0.0:80", "[::]:80", "443", "[::1]:444"]);
        assert!(site.rfc1918_filter && site.tls.self_signed && site.realm == "a b");
        assert_eq!(site.headers[0].value, "y z");
        assert_eq!(site.auth, [RealmLine { path: "/cgi-bin".into(), user: "u".into(), pass: "p:q".into() }]);
        assert_eq!(site.tls.identity, Identity { days: 10, common_name: Some("R".into()) });
    }

    #[test]
    fn sections_that_are_off_are_not_read() {
        let text = "config uhttpd a\n option enabled 0\nconfig uhttpd\n list listen_http 80\n";
        let config = interpret(text.as_bytes()).unwrap();
        assert_eq!(config.sites.iter().map(|site| site.name.as_str()).collect::<Vec<_>>(), ["uhttpd.@uhttpd[1]"]);
    }

    /// A section's lines, and what the one line of error must name.
    const WRONG: &[(&str, &[&str])] = &[
        ("option http_keepalive x", &["2: uhttpd.main.http_keepalive: \"x\"", "0 to 86400"]),
        ("list listen_http 80\n list listen_http :x", &["3: uhttpd.main.listen_http: \":x\"", "[ADDR:]PORT"]),
        ("list home /a\n list home /b", &["uhttpd.main.home", "one value"]),
        ("option redirect_https maybe", &["redirect_https", "0 or 1"]),
        ("option enabled 2", &["uhttpd.main.enabled", "0 or 1"]),
        ("list httpauth nobody", &["\"nobody\"", "httpauth"]),
        ("list httpauth x\nconfig httpauth x\n option prefix /", &["3: uhttpd.x", "password"]),
        ("list httpauth x\nconfig httpauth x\n option prefix a", &["uhttpd.x.prefix", "slash"]),
        ("option realm 'open", &["2: "]),
        ("option max_requests 0\nconfig cert x\n option days 0", &["uhttpd.x.days"]),
    ];

    #[test]
    fn wrong_values_are_named_in_one_line() {
        for (lines, named) in WRONG {
            let error = interpret(format!("config uhttpd main\n {lines}\n").as_bytes()).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
            for name in *named {
                assert!(error.contains(name), "{lines}: {error}");
            }
        }
    }

    #[test]
    fn unknown_options_are_warned_of() {
        let config = interpret(b"config uhttpd main\n option http_keepalve 5\n option zzz 1\n").unwrap();
        assert_eq!(
            config.warnings,
            [
                "line 2: uhttpd.main.http_keepalve: an unknown option, ignored (is it http_keepalive?)",
                "line 3: uhttpd.main.zzz: an unknown option, ignored",
            ]
        );
    }
}
