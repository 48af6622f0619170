//! What one value alone can't tell: what is missing, and what contradicts.

use super::httpd_conf::{self, HttpdConf};
use super::model::{BODY_TEMP_PATH, Config, INDEX, Interpreter, Listen, SiteConfig};
use super::values;
use crate::daemon::auth::{Database, RealmLine, Realms};
use crate::daemon::log::AccessTarget;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where logins are read from when no file is named; it may be missing.
const HTTPD_CONF: &str = "/etc/httpd.conf";

/// LuCI's own handler, which runs as a CGI just as well.
const LUCI: &str = "/cgi-bin/luci";

/// Makes paths independent of the process's folder, which a daemon leaves, and names the file of logins that is read.
pub fn locate(config: &mut Config, folder: &Path) {
    for site in &mut config.sites {
        make_absolute(site, folder);
        if site.httpd_conf.is_none() && Path::new(HTTPD_CONF).exists() {
            site.httpd_conf = Some(HTTPD_CONF.into());
        }
    }
    if let Some(path) = &mut config.process.pid_file {
        *path = folder.join(&path);
    }
}

/// Adds what other files hold, and looks for contradictions: what has a part in one is left out of a file.
///
/// # Errors
/// One line: which option of which section, and what would be right; of a file, if nothing of it is left to be served.
pub fn complete(config: &mut Config) -> Result<(), String> {
    let mut sites = std::mem::take(&mut config.sites);
    sites.iter_mut().for_each(|site| complete_site(site, config));
    settle_conflicts(&mut sites, config);
    settle_authorities(&mut sites, config);
    sites.retain(|site| can_be_served(site, &mut config.errors));
    config.sites = sites;
    let exposed = exposed_secrets(config);
    config.warnings.extend(exposed);
    let first = config.errors.first().cloned();
    match &config.file {
        None => first.map_or(Ok(()), Err),
        Some(file) if config.sites.is_empty() => {
            let why = first.map_or_else(|| "none is enabled".into(), |first| format!("this is wrong: {first}"));
            Err(format!("{}: no section 'config uhttpd' to serve: {why}", file.display()))
        }
        Some(_) => Ok(()),
    }
}

fn make_absolute(site: &mut SiteConfig, folder: &Path) {
    let conf = site.httpd_conf.as_mut();
    let tls = &mut site.tls;
    let files = tls.cert.iter_mut().chain(&mut tls.key).chain(&mut tls.ca).chain(conf);
    let files = files.chain([&mut site.ubus.socket, &mut site.body_temp_path]);
    files.for_each(|path| *path = folder.join(&path));
    let root = folder.join(&site.docroot);
    // Without dots, but with its links: they may lead elsewhere tomorrow.
    site.docroot = root.components().collect();
}

fn complete_site(site: &mut SiteConfig, said: &mut Config) {
    read_httpd_conf(site, said);
    site.index.extend(INDEX.map(String::from));
    let warnings = &mut said.warnings;
    for (option, value) in &site.embedded {
        let prefix = value.split('=').next().unwrap_or(value);
        if *option == "json_script" || prefix != LUCI {
            let text = format!("{value:?} needs an interpreter that is not embedded; it is ignored");
            warnings.push(wrong(site, option, option, &text));
        }
    }
    if cfg!(not(feature = "tls")) && !site.tls.listen.is_empty() {
        warnings.push(wrong(site, "-s", "listen_https", "built without TLS: HTTPS is left out"));
        site.tls.listen.clear();
    }
    if cfg!(not(feature = "ubus")) && site.ubus.prefix.is_some() {
        warnings.push(wrong(site, "-u", "ubus_prefix", "built without ubus: it is left out"));
        site.ubus.prefix = None;
    }
    if !site.tls.listen.is_empty() && (site.tls.cert.is_none() || site.tls.key.is_none()) {
        let text = "HTTPS needs a certificate (-C, cert) and its key (-K, key)";
        said.errors.push(wrong(site, "-s", "listen_https", text));
        site.tls.listen.clear();
    }
    if !site.client_certs.is_empty() && (site.tls.ca.is_none() || site.tls.listen.is_empty()) {
        let what = if site.tls.ca.is_none() { "the authorities' file (--ca, ca)" } else { "HTTPS (-s, listen_https)" };
        let text = format!("it needs {what}: what it names is closed to all");
        said.errors.push(wrong(site, "--require-client-cert", "require_client_cert", &text));
    }
    let warnings = &mut said.warnings;
    if site.tls.listen.is_empty() && site.tls.redirect && site.trusted_proxies.is_empty() {
        warnings.push(wrong(site, "-q", "redirect_https", "there is no HTTPS listener to redirect to"));
    }
}

/// Says which secrets lie in a folder that is served.
fn exposed_secrets(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for site in &config.sites {
        let Ok(root) = site.docroot.canonicalize() else { continue };
        let inside = config.secrets().filter(|file| file.canonicalize().is_ok_and(|file| file.starts_with(&root)));
        for file in inside {
            let text = format!("{} lies in the folder that is served; no client gets it: move it out", file.display());
            let line = wrong(site, "-h", "home", &text);
            if !found.contains(&line) {
                found.push(line);
            }
        }
    }
    found
}

fn can_be_served(site: &SiteConfig, errors: &mut Vec<String>) -> bool {
    let can = !(site.listen.is_empty() && site.tls.listen.is_empty());
    if !can {
        errors.push(wrong(site, "-p", "listen_http", "an address to listen on is missing"));
    }
    can
}

/// Takes the logins, index pages, error page and interpreters of the file of `-c`.
fn read_httpd_conf(site: &mut SiteConfig, said: &mut Config) {
    let Some(path) = site.httpd_conf.clone() else { return };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) => {
            let absent = error.kind() == ErrorKind::NotFound;
            let so = if absent { "its logins are not in force" } else { "as it may hold logins, all is closed" };
            said.errors.push(wrong(site, "-c", "config", &format!("{}: {error}: {so}", path.display())));
            if !absent {
                site.auth = vec![RealmLine::closed("/")];
            }
            return;
        }
    };
    let HttpdConf { realms, access, index, error_page, interpreters, warnings, errors } = httpd_conf::parse(&text);
    said.errors.extend(errors.iter().map(|error| format!("{}: {error}", path.display())));
    let mut warn = |text: &str| said.warnings.push(format!("{}: {text}", path.display()));
    warnings.iter().for_each(|warning| warn(warning));
    site.auth.extend(realms);
    site.access.extend(access);
    site.index.extend(index);
    if let (None, Some(page)) = (&site.error_page, error_page) {
        site.error_page = values::error_page(&page)
            .or_else(|expected| {
                warn(&format!("E404:{page} is wrong: expected {expected}"));
                expected.nearest.ok_or(())
            })
            .ok();
    }
    for (extension, program) in interpreters {
        site.interpreters.push(Interpreter { extension, program: PathBuf::from(program) });
    }
}

/// An address that a site wants, and whether with TLS.
type Wanted<'a> = (&'a SiteConfig, &'a Listen, bool);

/// Leaves out the addresses that can't be had beside earlier ones; two sites that want the same must be told apart by
/// their names.
fn settle_conflicts(sites: &mut [SiteConfig], said: &mut Config) {
    let wanted = sites.iter().flat_map(|site| {
        let plain = site.listen.iter().map(move |listen| (site, listen, false));
        plain.chain(site.tls.listen.iter().map(move |listen| (site, listen, true)))
    });
    let mut kept: Vec<Wanted<'_>> = Vec::new();
    let mut keep = Vec::new();
    for want in wanted {
        let found = kept.iter().find_map(|other| Some((conflict(&want, other)?, same(&want, other))));
        keep.push(found.is_none());
        match found {
            None => kept.push(want),
            // The same twice in one section is once too many, but clear.
            Some((line, true)) if said.file.is_some() => said.warnings.push(line),
            Some((line, _)) => said.errors.push(line),
        }
    }
    let mut keep = keep.into_iter();
    for site in sites {
        site.listen.retain(|_| keep.next().unwrap_or(true));
        site.tls.listen.retain(|_| keep.next().unwrap_or(true));
    }
}

/// Who shares an address shares what clients are asked for there, before it is known which site they ask.
fn settle_authorities(sites: &mut [SiteConfig], said: &mut Config) {
    for n in 1..sites.len() {
        let Some((earlier, [site, ..])) = sites.split_at_mut_checked(n) else { return };
        let shares = |other: &&SiteConfig| other.tls.listen.iter().any(|listen| site.tls.listen.contains(listen));
        let other = earlier.iter().filter(shares).find(|other| other.tls.ca.is_some() && other.tls.ca != site.tls.ca);
        if let (Some(other), Some(ca)) = (other, &site.tls.ca) {
            let text = format!("{ca:?} is wrong: expected the same as {}, which shares an address", other.name);
            said.errors.push(wrong(site, "--ca", "ca", &text));
            site.tls.ca = None;
        }
    }
}

fn same((site, listen, tls): &Wanted<'_>, (other, earlier, other_tls): &Wanted<'_>) -> bool {
    site.name == other.name && listen == earlier && tls == other_tls
}

/// Says why an address can't be had beside an earlier one.
fn conflict((site, listen, tls): &Wanted<'_>, (other, earlier, other_tls): &Wanted<'_>) -> Option<String> {
    // Port 0 is another one each time.
    if listen.port == 0 || !(listen.covers(earlier) || earlier.covers(listen)) {
        return None;
    }
    let shares = listen == earlier && tls == other_tls && site.name != other.name;
    let named = shares && !(site.server_names.is_empty() && other.server_names.is_empty());
    if named && !site.server_names.iter().any(|name| other.server_names.contains(name)) {
        return None;
    }
    let (letter, uci) = if *tls { ("-s", "listen_https") } else { ("-p", "listen_http") };
    let by = if other.name.is_empty() { "it" } else { &other.name };
    let right = if shares { "; several share it by different names (server_name)" } else { "" };
    let at = if listen == earlier { String::new() } else { format!(", at {earlier}") };
    Some(wrong(site, letter, uci, &format!("{listen}: {by} listens there already{at}{right}")))
}

/// All that is wrong with a configuration: what was left out of it, and what it can't do without.
pub fn problems(config: &Config) -> Vec<String> {
    let mut found = config.errors.clone();
    for site in &config.sites {
        if let Err(text) = Realms::check(&site.auth, &Database::default()) {
            found.push(wrong(site, "-c", "httpauth", &text));
        }
        let made = site.tls.self_signed || site.tls.listen.is_empty();
        for (letter, uci, file) in [("-C", "cert", &site.tls.cert), ("-K", "key", &site.tls.key)] {
            if let Some(file) = file.as_ref().filter(|file| !made && !file.is_file()) {
                found.push(absent(site, letter, uci, file, "a file that exists"));
            }
        }
    }
    found
}

/// What a configuration names that is not there at present: a disk that was taken out, and that may come back.
pub fn absences(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for site in &config.sites {
        let mut say = |letter, uci, path: &Path, expected: &str| found.push(absent(site, letter, uci, path, expected));
        if !site.docroot.is_dir() {
            say("-h", "home", &site.docroot, "a folder that exists");
        }
        // The default may be missing: few servers ever need it.
        if site.body_temp_path != Path::new(BODY_TEMP_PATH) && !site.body_temp_path.is_dir() {
            say("--body-temp-path", "body_temp_path", &site.body_temp_path, "a folder that exists");
        }
        for interpreter in site.interpreters.iter().filter(|interpreter| !interpreter.program.is_file()) {
            say("-i", "interpreter", &interpreter.program, "a program that exists");
        }
        if let Some(AccessTarget::File(log)) = &site.access_log
            && !log.parent().is_some_and(Path::is_dir)
        {
            say("--access-log", "access_log", log, "a file in a folder that exists");
        }
    }
    found
}

fn absent(site: &SiteConfig, letter: &str, uci: &str, path: &Path, expected: &str) -> String {
    wrong(site, letter, uci, &format!("{path:?} is wrong: expected {expected}"))
}

/// A line about an option of a site, by the name that it was given by.
pub fn wrong(site: &SiteConfig, letter: &str, uci: &str, text: &str) -> String {
    if site.name.is_empty() { format!("{letter}: {text}") } else { format!("{}.{uci}: {text}", site.name) }
}
