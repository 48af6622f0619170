//! What one value alone can't tell: what is missing, and what contradicts.

use super::httpd_conf;
use super::{Config, INDEX, Listen, Site};
use crate::daemon::auth::{Database, Realms};
use crate::daemon::log::AccessTarget;
use std::fs;
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
    if let Some(path) = &mut config.service.pid_file {
        *path = folder.join(&path);
    }
}

/// Adds what other files hold, and looks for contradictions.
///
/// # Errors
/// One line: which option of which section, and what would be right.
pub fn complete(config: &mut Config) -> Result<(), String> {
    if config.sites.is_empty() {
        return Err(format!("{}: no section 'config uhttpd' that is enabled", shown(config.file.as_deref())));
    }
    config.sites.iter_mut().try_for_each(|site| complete_site(site, &mut config.warnings))?;
    conflicts(&config.sites)
}

fn make_absolute(site: &mut Site, folder: &Path) {
    let conf = site.httpd_conf.as_mut();
    let files = site.tls.cert.iter_mut().chain(&mut site.tls.key).chain(conf).chain([&mut site.ubus.socket]);
    files.for_each(|path| *path = folder.join(&path));
    let root = folder.join(&site.docroot);
    // As uhttpd shows it to scripts; a folder that is not there yet has no other name.
    site.docroot = root.canonicalize().unwrap_or(root);
}

fn complete_site(site: &mut Site, warnings: &mut Vec<String>) -> Result<(), String> {
    if site.listen.is_empty() && site.tls.listen.is_empty() {
        return Err(wrong(site, "-p", "listen_http", "an address to listen on is missing"));
    }
    read_httpd_conf(site, warnings)?;
    site.index.extend(INDEX.map(String::from));
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
    if site.listen.is_empty() && site.tls.listen.is_empty() {
        return Err(wrong(site, "-p", "listen_http", "an address to listen on is missing"));
    }
    if !site.tls.listen.is_empty() && (site.tls.cert.is_none() || site.tls.key.is_none()) {
        return Err(wrong(site, "-s", "listen_https", "HTTPS needs a certificate (-C, cert) and its key (-K, key)"));
    }
    if site.tls.listen.is_empty() && site.tls.redirect {
        warnings.push(wrong(site, "-q", "redirect_https", "there is no HTTPS listener to redirect to"));
    }
    Ok(())
}

/// Takes the logins, index pages, error page and interpreters of the file of `-c`.
fn read_httpd_conf(site: &mut Site, warnings: &mut Vec<String>) -> Result<(), String> {
    let Some(path) = site.httpd_conf.clone() else { return Ok(()) };
    // Served without it, what it protects would be open.
    let text = fs::read(&path).map_err(|error| wrong(site, "-c", "config", &format!("{}: {error}", path.display())))?;
    let read = httpd_conf::parse(&text);
    warnings.extend(read.warnings.into_iter().map(|warning| format!("{}: {warning}", path.display())));
    site.auth.extend(read.realms);
    for index in read.index {
        site.index.push(
            super::values::index(&index)
                .map_err(|right| format!("{}: I:{index} is wrong: expected {right}", path.display()))?,
        );
    }
    if site.error_page.is_none() {
        site.error_page = read.error_page;
    }
    for (extension, program) in read.interpreters {
        site.interpreters.push(super::Interpreter { extension, program: PathBuf::from(program) });
    }
    Ok(())
}

/// Two sites that want the same address must be told apart by their names.
fn conflicts(sites: &[Site]) -> Result<(), String> {
    let wanted: Vec<(&Site, &Listen, bool)> = sites
        .iter()
        .flat_map(|site| {
            let plain = site.listen.iter().map(move |listen| (site, listen, false));
            plain.chain(site.tls.listen.iter().map(move |listen| (site, listen, true)))
        })
        .collect();
    for (n, (site, listen, tls)) in wanted.iter().enumerate() {
        for (other, same, other_tls) in &wanted[..n] {
            // Port 0 is another one each time.
            if listen.port == 0 || !(listen.covers(same) || same.covers(listen)) {
                continue;
            }
            let shares = listen == same && tls == other_tls && site.name != other.name;
            let named = shares && !(site.server_names.is_empty() && other.server_names.is_empty());
            if !named || site.server_names.iter().any(|name| other.server_names.contains(name)) {
                let (letter, uci) = if *tls { ("-s", "listen_https") } else { ("-p", "listen_http") };
                let by = if other.name.is_empty() { "it" } else { &other.name };
                let right = if shares { "; several share it by different names (server_name)" } else { "" };
                let at = if listen == same { String::new() } else { format!(", at {same}") };
                return Err(wrong(site, letter, uci, &format!("{listen}: {by} listens there already{at}{right}")));
            }
        }
    }
    Ok(())
}

/// Looks whether what the configuration names is there: a line for what is not.
pub fn problems(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for site in &config.sites {
        if let Err(text) = Realms::check(&site.auth, &Database::default()) {
            found.push(wrong(site, "-c", "httpauth", &text));
        }
        let mut say = |letter, uci, value: &Path, expected: &str| {
            found.push(wrong(site, letter, uci, &format!("{value:?} is wrong: expected {expected}")));
        };
        if !site.docroot.is_dir() {
            say("-h", "home", &site.docroot, "a folder that exists");
        }
        for interpreter in site.interpreters.iter().filter(|interpreter| !interpreter.program.is_file()) {
            say("-i", "interpreter", &interpreter.program, "a program that exists");
        }
        if let Some(AccessTarget::File(log)) = &site.access_log
            && !log.parent().is_some_and(Path::is_dir)
        {
            say("--access-log", "access_log", log, "a file in a folder that exists");
        }
        let made = site.tls.self_signed || site.tls.listen.is_empty();
        for (letter, uci, file) in [("-C", "cert", &site.tls.cert), ("-K", "key", &site.tls.key)] {
            if let Some(file) = file.as_ref().filter(|file| !made && !file.is_file()) {
                say(letter, uci, file, "a file that exists");
            }
        }
    }
    found
}

/// A line about an option of a site, by the name that it was given by.
pub fn wrong(site: &Site, letter: &str, uci: &str, text: &str) -> String {
    if site.name.is_empty() { format!("{letter}: {text}") } else { format!("{}.{uci}: {text}", site.name) }
}

fn shown(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| file.display().to_string())
}
