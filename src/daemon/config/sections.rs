//! What the sections of a UCI file mean: those of OpenWrt's `/etc/config/uhttpd`.

use super::model::{Config, Identity, SiteConfig};
use super::options::{ROWS, Row, Takes};
use super::uci::{self, Opt, Section, UciValue};
use super::values::{self, Expected, enclosing};
use crate::daemon::auth::RealmLine;
use crate::daemon::escape::Shown;
use std::fs;
use std::path::Path;

/// Stands for bytes that are not UTF-8.
const GARBLED: char = char::REPLACEMENT_CHARACTER;

/// The package that the sections are of, as `uci show` names them.
const PACKAGE: &str = "uhttpd";

/// Flags that count as on when their value is invalid: those that protect, and the one that is on by default.
const ON_IN_DOUBT: [&str; 4] = ["no_symlinks", "no_dirlists", "rfc1918_filter", "self_signed"];

/// Lists whose values contain spaces.
const WITH_BLANKS: [&str; 5] = ["header", "allow", "deny", "proxy", "fastcgi"];

/// Lists that uhttpd's init script has the shell split: `list listen_http '80 81'` is two addresses.
const SPLIT: [&str; 6] = ["listen_http", "listen_https", "index_page", "alias", "interpreter", "json_script"];

/// Options whose wrong values close what they were to protect.
const PROTECTING: [&str; 6] = ["allow", "deny", "trusted_proxy", "require_client_cert", "fastcgi", "interpreter"];

/// Options for which text that is not UTF-8 is harmless: a title, and a folder, which is not found then.
const MAY_BE_GARBLED: [&str; 2] = ["realm", "home"];

/// Most days that a certificate may be valid: no router lasts longer.
const MAX_DAYS: u32 = 36_500;
/// Most days that browsers accept.
const BROWSERS_DAYS: u16 = 398;

/// Reads a file in UCI syntax. Wrong options are recorded and left out.
///
/// # Errors
/// One line: where the file is not in UCI syntax.
pub fn read(path: &Path) -> Result<Config, String> {
    let text = uci::read(path).map_err(|error| format!("--config: {}: {error}", path.display()))?;
    let mut config = interpret(&text).map_err(|error| format!("{}:{error}", path.display()))?;
    for line in config.warnings.iter_mut().chain(&mut config.errors) {
        *line = format!("{}:{line}", path.display());
    }
    config.file = Some(path.to_owned());
    Ok(config)
}

/// Makes a configuration from a file's text. Warnings and errors begin with the line number.
fn interpret(text: &[u8]) -> Result<Config, String> {
    let sections = uci::parse(text).map_err(|error| format!("{}: {}", error.line, error.what))?;
    let mut config = Config::default();
    let cert = sections.iter().find(|section| section.kind == "cert");
    let identity = cert.map_or_else(Identity::default, |section| identity(section, &mut config));
    for (n, section) in of_kind(&sections, "uhttpd").enumerate() {
        let name = section.name.clone().unwrap_or_else(|| format!("@uhttpd[{n}]"));
        let mut site = defaults();
        site.name = format!("{PACKAGE}.{name}");
        site.tls.identity = identity.clone();
        if is_enabled(&site.name, section, &mut config) {
            fill(&mut site, section, &sections, &mut config);
            config.sites.push(site);
        }
    }
    Ok(config)
}

fn of_kind<'a>(sections: &'a [Section], kind: &'a str) -> impl Iterator<Item = &'a Section> {
    sections.iter().filter(move |section| section.kind == kind)
}

/// The defaults of OpenWrt's init script for uhttpd.
pub fn defaults() -> SiteConfig {
    let mut site = SiteConfig::default();
    site.tls.cert = Some("/etc/uhttpd.crt".into());
    site.tls.key = Some("/etc/uhttpd.key".into());
    site.tls.self_signed = true;
    site.docroot = "/www".into();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    site.realm = match host.trim() {
        "" | "(none)" => "OpenWrt".into(),
        host => host.into(),
    };
    site
}

/// Whether a section is enabled. The rest of a disabled one is not read.
fn is_enabled(name: &str, section: &Section, said: &mut Config) -> bool {
    let mut enabled = true;
    if let Some(option) = section.options.iter().find(|option| option.name == "enabled") {
        let at = OptionLine { section: name, option };
        at.take(at.flag(), said, &mut |text| {
            enabled = values::flag(text).map_err(|expected| Expected { nearest: Some("1".into()), ..expected })?;
            Ok(())
        });
    }
    enabled
}

/// Applies the options of a section.
fn fill(site: &mut SiteConfig, section: &Section, all: &[Section], said: &mut Config) {
    let name = site.name.clone();
    for option in &section.options {
        let at = OptionLine { section: &name, option };
        match option.name.as_str() {
            "enabled" => {}
            "httpauth" => logins(site, &at, all, said),
            known => match ROWS.iter().find(|row| row.uci == known) {
                Some(row) => set(site, row, &at, said),
                None => said.warnings.push(at.unknown(ROWS.iter().map(|row| row.uci))),
            },
        }
    }
}

fn set(site: &mut SiteConfig, row: &Row, at: &OptionLine<'_>, said: &mut Config) {
    let texts: Vec<&str> = match (&at.option.value, row.takes()) {
        (UciValue::List(texts), Takes::List) if SPLIT.contains(&row.uci) => {
            let mut all = Vec::new();
            texts.iter().for_each(|text| all.extend(words(text)));
            all
        }
        (UciValue::List(texts), Takes::List) => texts.iter().map(String::as_str).collect(),
        // uhttpd's init script splits an option given in place of a list, unless its values contain spaces.
        (UciValue::Single(text), Takes::List) if !WITH_BLANKS.contains(&row.uci) => words(text),
        (_, Takes::Flag) => vec![at.flag()],
        _ => match at.single() {
            Ok(text) => vec![text],
            Err(line) => return said.errors.push(line),
        },
    };
    let in_doubt = if ON_IN_DOUBT.contains(&row.uci) { "1" } else { "0" };
    for text in texts {
        let garbled = text.contains(GARBLED);
        if garbled && MAY_BE_GARBLED.contains(&row.uci) {
            said.warnings.push(at.wrong(text, &"UTF-8".into()));
        } else if garbled && row.takes() != Takes::Flag {
            said.errors.push(at.wrong(text, &"UTF-8".into()));
            if PROTECTING.contains(&row.uci) {
                // This fails, and closes what was to be protected.
                if let Err(Expected { nearest: Some(nearest), .. }) = row.set(site, text) {
                    let _ = row.set(site, &nearest);
                }
            }
            continue;
        }
        at.take(text, said, &mut |text| match row.set(site, text) {
            Err(expected) if row.takes() == Takes::Flag => Err(Expected { nearest: Some(in_doubt.into()), ..expected }),
            done => done,
        });
    }
}

/// Splits a value at spaces as the shell does, unless it starts like a path or an extension and its other words do not: a
/// path may contain a space.
fn words(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let begins = words.first().and_then(|word| word.chars().next()).filter(|first| matches!(first, '/' | '.'));
    match begins {
        Some(first) if !words.iter().all(|word| word.starts_with(first)) => vec![text],
        _ => words,
    }
}

/// Adds the logins of the sections `config httpauth` that a list names.
fn logins(site: &mut SiteConfig, at: &OptionLine<'_>, all: &[Section], said: &mut Config) {
    let names: Vec<&str> = match &at.option.value {
        UciValue::List(names) => names.iter().map(String::as_str).collect(),
        UciValue::Single(names) => names.split_whitespace().collect(),
    };
    for name in names {
        match of_kind(all, "httpauth").find(|section| section.name.as_deref() == Some(name)) {
            Some(section) => site.auth.extend(login(name, section, said)),
            // What it was meant to protect is unknown.
            None => said.errors.push(at.wrong(name, &"the name of a section 'config httpauth'".into())),
        }
    }
}

/// Reads `config httpauth`. If the login is invalid, what it was meant to protect is closed to everyone.
fn login(name: &str, section: &Section, said: &mut Config) -> Option<RealmLine> {
    let value = |wanted: &str| {
        let option = section.options.iter().find(|option| option.name == wanted)?;
        OptionLine { section: name, option }.single().ok().filter(|text| !text.is_empty())
    };
    let prefix = value("prefix");
    if let (Some(prefix), Some(user), Some(pass)) = (prefix, value("username"), value("password"))
        && let Ok(path) = values::prefix(prefix)
        && !user.contains(':')
        && ![prefix, user, pass].iter().any(|text| text.contains(GARBLED))
    {
        return Some(RealmLine { path, user: user.to_owned(), pass: pass.to_owned() });
    }
    // The option may be misspelled: what looks like a path is what was meant to be protected.
    let misnamed = || {
        section.options.iter().find_map(|option| {
            OptionLine { section: name, option }
                .single()
                .ok()
                .filter(|text| text.starts_with('/') && option.name != "password")
        })
    };
    let closed = prefix.or_else(misnamed).map(enclosing);
    let so =
        closed.as_ref().map_or_else(|| "it protects nothing".into(), |path| format!("{path} is closed to everyone"));
    let right = "prefix (a path that starts with a slash), username (without a colon) and password, in UTF-8";
    said.errors.push(format!("{}: {PACKAGE}.{name}: expected {right}: {so}", section.line));
    closed.map(RealmLine::closed)
}

/// Reads `config cert`. Options of other programs that make certificates are skipped.
fn identity(section: &Section, said: &mut Config) -> Identity {
    let mut identity = Identity::default();
    let name = format!("{PACKAGE}.{}", section.name.as_deref().unwrap_or("@cert[0]"));
    for option in &section.options {
        let at = OptionLine { section: &name, option };
        let text = match at.single() {
            Ok(text) => text,
            Err(line) => {
                said.errors.push(line);
                continue;
            }
        };
        match option.name.as_str() {
            "days" => {
                at.take(text, said, &mut |text| {
                    identity.days = values::number(text, 1, MAX_DAYS)?.try_into().unwrap_or(BROWSERS_DAYS);
                    Ok(())
                });
                if identity.days > BROWSERS_DAYS {
                    let right = format!("at most {BROWSERS_DAYS}: browsers refuse longer ones");
                    said.warnings.push(at.wrong(text, &right.as_str().into()));
                }
            }
            "commonname" => identity.common_name = Some(text.to_owned()).filter(|name| !name.is_empty()),
            "key_type" if text == "rsa" => {
                said.warnings.push(at.wrong("rsa", &"ec: certificates are made with P-256 keys".into()));
            }
            "ec_curve" if !matches!(text, "P-256" | "prime256v1" | "secp256r1") => {
                said.warnings.push(at.wrong(text, &"P-256, which is used instead".into()));
            }
            "key_type" | "ec_curve" | "bits" | "country" | "state" | "location" | "organization" => {}
            _ => said.warnings.push(at.unknown(["days", "commonname", "key_type", "ec_curve"].into_iter())),
        }
    }
    identity
}

/// An option and its section, for messages.
struct OptionLine<'a> {
    section: &'a str,
    option: &'a Opt,
}

impl<'a> OptionLine<'a> {
    /// The one value.
    fn single(&self) -> Result<&'a str, String> {
        match &self.option.value {
            UciValue::Single(text) => Ok(text),
            UciValue::List(texts) => match texts.as_slice() {
                [text] => Ok(text),
                _ => Err(self.wrong("a list", &"one value".into())),
            },
        }
    }

    /// The value of a flag. For a list, a value that is not a flag.
    fn flag(&self) -> &'a str {
        self.single().unwrap_or("a list")
    }

    /// Sets a value, or the nearest valid one with a warning. If there is no valid one, nothing changes and an error is
    /// recorded.
    fn take(&self, text: &str, said: &mut Config, set: &mut dyn FnMut(&str) -> Result<(), Expected>) {
        let Err(expected) = set(text) else { return };
        let line = self.wrong(text, &expected);
        match expected.nearest {
            Some(nearest) if set(&nearest).is_ok() => {
                said.warnings.push(format!("{line}; using {}", Shown(nearest.as_bytes())))
            }
            _ => said.errors.push(line),
        }
    }

    fn wrong(&self, value: &str, right: &Expected) -> String {
        let OptionLine { section, option } = self;
        format!("{}: {section}.{}: {} is wrong: expected {right}", option.line, option.name, Shown(value.as_bytes()))
    }

    fn unknown<'b>(&self, known: impl Iterator<Item = &'b str>) -> String {
        let OptionLine { section, option } = self;
        let alike = |name: &str| name.bytes().zip(option.name.bytes()).take_while(|(a, b)| a == b).count();
        let hint = match known.max_by_key(|name| alike(name)) {
            Some(name) if alike(name) > 2 => format!(" (did you mean {name}?)"),
            _ => String::new(),
        };
        format!("{}: {section}.{}: unknown option, ignored{hint}", option.line, option.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> SiteConfig {
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

    /// As `for listen in $http` and the like read them.
    #[test]
    fn lists_are_split_as_the_shell_splits_them() {
        for lines in [
            "list listen_http '80 81'\n list listen_http 82",
            "list listen_http ' 80\t81\n82 '\n list listen_http ''",
            "option listen_http '80 81 82'",
        ] {
            let site = site(&format!("config uhttpd\n {lines}"));
            assert_eq!(site.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), ["80", "81", "82"], "{lines}");
        }
        let site = site(
            "config uhttpd\n list listen_https '443 [::1]:444'\n list index_page 'a b'\n list alias '/a /b=/c'\n\
             list interpreter '.a=/x .b=/y'\n list json_script '/a /b'\n list server_name 'x y'\n\
             list header '/a X: y z'\n list lua_prefix '/l x=/f'\n list ucode_prefix '/u=/f x'\n list alias '/d e=/f'\n\
             list interpreter '.c=/x y'\n",
        );
        assert_eq!((site.tls.listen.len(), site.index, site.server_names.len()), (2, vec!["a".into(), "b".into()], 2));
        let aliases: Vec<&str> = site.aliases.iter().map(|alias| alias.from.as_str()).collect();
        let extensions: Vec<&str> = site.interpreters.iter().map(|one| one.extension.as_str()).collect();
        // The last of each makes sense only as a whole.
        assert_eq!((aliases, extensions), (vec!["/a", "/b", "/d e"], vec![".a", ".b", ".c"]));
        assert_eq!(site.interpreters[2].program, Path::new("/x y"));
        assert_eq!(site.headers.len(), 1);
        // Handlers are not split by the script either.
        assert_eq!(site.json_scripts, ["/a", "/b"]);
        let handlers: Vec<_> = site.handlers.iter().map(|one| (one.prefix.as_deref(), one.file.as_deref())).collect();
        let path = |path| Some(Path::new(path));
        assert_eq!(handlers, [(Some("/l x"), path("/f")), (Some("/u"), path("/f x"))]);
    }

    #[test]
    fn sections_that_are_off_are_not_read() {
        let text = "config uhttpd a\n option enabled 0\nconfig uhttpd\n list listen_http 80\n";
        let config = interpret(text.as_bytes()).unwrap();
        assert_eq!(config.sites.iter().map(|site| site.name.as_str()).collect::<Vec<_>>(), ["uhttpd.@uhttpd[1]"]);
    }

    fn read_section(lines: &[u8]) -> (Config, SiteConfig) {
        let mut config = interpret(&[b"config uhttpd main\n ", lines, b"\n"].concat()).unwrap();
        let site = config.sites.remove(0);
        (config, site)
    }

    /// A section's lines, what the one line must name, and what of the site shows that all else is in force.
    type Row = (&'static [u8], &'static [&'static str], fn(&SiteConfig) -> bool);

    #[rustfmt::skip]
    const WRONG: &[Row] = &[
        (b"option http_keepalive x\n option home /a", &["2: uhttpd.main.http_keepalive: \"x\"", "0 to 86400"], |s| s.http_keepalive == 20 && s.docroot == Path::new("/a")),
        (b"list listen_http 80\n list listen_http :x\n list listen_http 81", &["4: uhttpd.main.listen_http: \":x\"", "[ADDR:]PORT"], |s| s.listen.len() == 2),
        (b"list home /a\n list home /b", &["uhttpd.main.home", "one value"], |s| s.docroot == Path::new("/www")),
        (b"list httpauth x\nconfig httpauth x\n option prefix /a/", &["3: uhttpd.x", "password", "/a is closed"], |s| s.auth == [RealmLine::closed("/a")]),
        (b"list httpauth x\nconfig httpauth x\n option prefix a", &["uhttpd.x", "slash", "/a is closed"], |s| s.auth == [RealmLine::closed("/a")]),
        (b"list httpauth x\nconfig httpauth x\n option prefix /a/b?c\n option username u\n option password p", &["/a is closed"], |s| s.auth == [RealmLine::closed("/a")]),
        (b"list httpauth x\nconfig httpauth x\n option prefix /d\xe9p\n option username u\n option password p", &["/ is closed"], |s| s.auth == [RealmLine::closed("/")]),
        (b"list httpauth x\nconfig httpauth x\n option prefix /a\n option username u:v\n option password p", &["colon"], |s| s.auth == [RealmLine::closed("/a")]),
        (b"list httpauth x\nconfig httpauth x\n option prefix /a\n option username u\n list password ''", &["/a is closed"], |s| s.auth == [RealmLine::closed("/a")]),
        (b"list httpauth x\nconfig httpauth x\n option username u\n option password p", &["protects nothing"], |s| s.auth.is_empty()),
        (b"list httpauth x\nconfig httpauth x\n option prefx /a\n option username u\n option password /p", &["/a is closed"], |s| s.auth == [RealmLine::closed("/a")]),
        (b"list httpauth gone", &["\"gone\"", "httpauth"], |s| s.auth.is_empty()),
        (b"option cgi_prefix /\xe9\n option realm R", &["cgi_prefix", "UTF-8"], |s| s.cgi_prefix == "/cgi-bin" && s.realm == "R"),
        (b"option max_requests 4\nconfig cert x\n option days x", &["uhttpd.x.days", "36500"], |s| s.tls.identity.days == 397 && s.max_requests == 4),
    ];

    #[test]
    fn wrong_values_are_left_out() {
        for (lines, named, shows) in WRONG {
            let (config, site) = read_section(lines);
            let [error] = config.errors.try_into().unwrap();
            assert!(shows(&site) && config.warnings.is_empty() && error.lines().count() == 1, "{error}: {site:?}");
            for name in *named {
                assert!(error.contains(name), "{name}: {error}");
            }
        }
        assert!(interpret(b"config uhttpd\n option realm 'open\n").unwrap_err().starts_with("2: "));
    }

    #[rustfmt::skip]
    const ODD: &[Row] = &[
        (b"option max_connections 0", &["2: uhttpd.main.max_connections: \"0\"", "using \"1\""], |s| s.max_connections == 1),
        (b"option script_timeout 100000", &["script_timeout", "using \"86400\""], |s| s.script_timeout == 86_400),
        (b"option http_keepalive -5", &["http_keepalive", "using \"0\""], |s| s.http_keepalive == 0),
        (b"option redirect_https maybe", &["redirect_https", "0 or 1", "using \"0\""], |s| !s.tls.redirect),
        (b"option no_ubusauth y", &["no_ubusauth", "using \"0\""], |s| !s.ubus.no_auth),
        (b"option no_symlinks y", &["no_symlinks", "using \"1\""], |s| s.no_symlinks),
        (b"option no_dirlists \xff", &["no_dirlists", "using \"1\""], |s| s.no_dirlists),
        (b"list rfc1918_filter 1\n list rfc1918_filter 1", &["rfc1918_filter", "using \"1\""], |s| s.rfc1918_filter),
        (b"list listen_http :::9102", &["listen_http", "\":::9102\"", "using \"[::]:9102\""], |s| s.listen[0].to_string() == "[::]:9102"),
        (b"option enabled 2", &["uhttpd.main.enabled", "using \"1\""], |_| true),
        (b"option error_page '/cgi-bin/x?y=1'", &["error_page", "without a query", "using \"/cgi-bin/x\""], |s| s.error_page.as_deref() == Some("/cgi-bin/x")),
        (b"option realm 'Z\xfcrich'", &["realm", "UTF-8"], |s| s.realm == "Z\u{fffd}rich"),
        (b"option home /\xe9", &["home", "UTF-8"], |s| s.docroot == Path::new("/\u{fffd}")),
        (b"config cert x\n option days 0", &["uhttpd.x.days", "using \"1\""], |s| s.tls.identity.days == 1),
        (b"config cert x\n option days 36500", &["uhttpd.x.days", "398"], |s| s.tls.identity.days == 36_500),
    ];

    #[test]
    fn what_uhttpd_takes_is_taken() {
        for (lines, named, shows) in ODD {
            let (config, site) = read_section(lines);
            let [warning] = config.warnings.try_into().unwrap();
            assert!(shows(&site) && config.errors.is_empty() && warning.lines().count() == 1, "{warning}: {site:?}");
            for name in *named {
                assert!(warning.contains(name), "{name}: {warning}");
            }
        }
        let site = site(
            "config uhttpd main\n option redirect_https On\n option self_signed FALSE\n option no_gzip Yes\n\
             list listen_http localhost:9101\n",
        );
        assert!(site.tls.redirect && !site.tls.self_signed && site.no_gzip);
        let shown: Vec<String> = site.listen.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:9101", "[::1]:9101"]);
    }

    #[test]
    fn unknown_options_are_warned_of() {
        let config = interpret(b"config uhttpd main\n option http_keepalve 5\n option zzz 1\n").unwrap();
        assert_eq!(
            config.warnings,
            [
                "2: uhttpd.main.http_keepalve: unknown option, ignored (did you mean http_keepalive?)",
                "3: uhttpd.main.zzz: unknown option, ignored",
            ]
        );
    }
}
