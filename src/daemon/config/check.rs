//! Checks that need more than one value: what is missing, and what conflicts.

#[cfg(feature = "proxy")]
use super::backend::Backend;
#[cfg(feature = "proxy-tls")]
use super::backend::Trust;
use super::backend_values;
use super::httpd_conf::{self, HttpdConf};
use super::model::{BODY_TEMP_PATH, Config, Handler, INDEX, Interpreter, Language, Listen, SiteConfig};
use super::options::rooted;
use super::values;
use crate::daemon::auth::{Database, RealmLine, Realms};
use crate::daemon::escape::Shown;
use crate::daemon::log::AccessTarget;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where logins are read from when no file is named. It may be missing.
const HTTPD_CONF: &str = "/etc/httpd.conf";

/// LuCI's prefix: without a handler it runs as CGI.
const LUCI: &str = "/cgi-bin/luci";

/// Makes paths absolute, as a daemon leaves its folder, and fills in the default file of logins.
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

/// Adds the contents of other files, and looks for conflicts. In a file, conflicting values are left out.
///
/// # Errors
/// One line: which option of which section, and what would be right. For a file, only if nothing is left to serve.
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
            let why = first.unwrap_or_else(|| "none is enabled".into());
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
    let files = files.chain(site.handlers.iter_mut().filter_map(|handler| handler.file.as_mut()));
    files.for_each(|path| *path = folder.join(&path));
    let root = folder.join(&site.docroot);
    // Without dots, but with symbolic links: they may change.
    site.docroot = root.components().collect();
}

fn complete_site(site: &mut SiteConfig, said: &mut Config) {
    read_httpd_conf(site, said);
    site.index.extend(INDEX.map(String::from));
    complete_handlers(site, said);
    let warnings = &mut said.warnings;
    for script in &site.json_scripts {
        let text = format!("{} is not supported: ignored", Shown(script.as_bytes()));
        warnings.push(wrong(site, "-H", "json_script", &text));
    }
    if cfg!(not(feature = "tls")) && !site.tls.listen.is_empty() {
        warnings.push(wrong(site, "-s", "listen_https", "built without TLS: HTTPS is not served"));
        site.tls.listen.clear();
    }
    if cfg!(not(feature = "ubus")) && site.ubus.prefix.is_some() {
        warnings.push(wrong(site, "-u", "ubus_prefix", "built without ubus: ignored"));
        site.ubus.prefix = None;
    }
    for (option, uci, path) in
        [("--metrics", "metrics", &site.metrics), ("--server-status", "server_status", &site.server_status)]
    {
        if cfg!(not(feature = "status")) && path.is_some() {
            warnings.push(wrong(site, option, uci, "built without status: ignored"));
        }
    }
    complete_backends(site, said);
    if !site.tls.listen.is_empty() && (site.tls.cert.is_none() || site.tls.key.is_none()) {
        let text = "HTTPS needs a certificate (-C, cert) and its key (-K, key)";
        said.errors.push(wrong(site, "-s", "listen_https", text));
        site.tls.listen.clear();
    }
    if !site.client_certs.is_empty() && (site.tls.ca.is_none() || site.tls.listen.is_empty()) {
        let what = if site.tls.ca.is_none() { "a CA file (--ca, ca)" } else { "HTTPS (-s, listen_https)" };
        let text = format!("needs {what}: the paths are closed to everyone");
        said.errors.push(wrong(site, "--require-client-cert", "require_client_cert", &text));
    }
    let warnings = &mut said.warnings;
    if site.tls.listen.is_empty() && site.tls.redirect && site.trusted_proxies.is_empty() {
        warnings.push(wrong(site, "-q", "redirect_https", "no HTTPS listener to redirect to"));
    }
}

/// Reports servers behind this one of which only one counts, or that can't be reached.
#[cfg(feature = "proxy")]
fn complete_backends(site: &mut SiteConfig, said: &mut Config) {
    for (option, uci, backends, which) in
        [("--proxy", "proxy", &site.proxies, "last"), ("--fastcgi", "fastcgi", &site.fastcgi, "first")]
    {
        for (at, Backend { from, .. }) in backends.iter().enumerate() {
            if backends.iter().take(at).any(|other| other.from == *from) {
                let from = if from.is_empty() { "/" } else { from };
                let text = format!("{} is given more than once: the {which} line counts", Shown(from.as_bytes()));
                said.warnings.push(wrong(site, option, uci, &text));
            }
        }
    }
    if cfg!(not(feature = "proxy-tls"))
        && site.proxies.iter().any(|backend| backend.servers.iter().any(|server| server.tls))
    {
        said.errors.push(wrong(site, "--proxy", "proxy", "built without proxy-tls: https:// can't be reached"));
        site.proxies.retain(|backend| !backend.servers.iter().any(|server| server.tls));
    }
}

#[cfg(not(feature = "proxy"))]
fn complete_backends(site: &mut SiteConfig, said: &mut Config) {
    if !(site.proxies.is_empty() && site.fastcgi.is_empty()) {
        let text = "built without the proxy: not served";
        said.warnings.push(wrong(site, "--proxy, --fastcgi", "proxy, fastcgi", text));
        // What a FastCGI server was to run is no text all the same: it stays, and is answered with an error.
        site.proxies.clear();
    }
}

/// Leaves out handlers that can't answer. LuCI runs as CGI without its handler: OpenWrt configures one that no release has.
fn complete_handlers(site: &mut SiteConfig, said: &mut Config) {
    let handlers = std::mem::take(&mut site.handlers);
    let (is_whole, built) = (|one: &Handler| one.prefix.is_some() && one.file.is_some(), cfg!(feature = "workers"));
    for handler in handlers {
        let [option, other] = handler_options(handler.language);
        let is_luci = handler.prefix.as_deref() == Some(LUCI);
        if !is_whole(&handler) {
            let text = format!("ignored: expected a path and its handler ({}, {})", other.0, other.1);
            said.warnings.push(wrong(site, option.0, option.1, &text));
        } else if is_luci && !(built && handler.file.as_ref().is_some_and(|file| file.is_file())) {
            // No warning: nothing is missing.
        } else if !built {
            let text = format!("{}: built without workers: ignored", handler.prefix.as_deref().map_or("/", rooted));
            said.warnings.push(wrong(site, option.0, option.1, &text));
        } else {
            site.handlers.push(handler);
        }
    }
}

/// Letter and name of the option for the prefix of a handler, and of that for its file.
fn handler_options(language: Language) -> [(&'static str, &'static str); 2] {
    match language {
        Language::Lua => [("-l", "lua_prefix"), ("-L", "lua_handler")],
        Language::Ucode => [("-o", "ucode_prefix"), ("-O", "ucode_handler")],
    }
}

/// Reports secrets that are in a folder that is served.
fn exposed_secrets(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for site in &config.sites {
        let Ok(root) = site.docroot.canonicalize() else { continue };
        let inside = config
            .secrets()
            .filter(|file| file.canonicalize().is_ok_and(|file| file.is_file() && file.starts_with(&root)));
        for file in inside {
            let text =
                format!("{} is in the folder that is served: clients do not get it, but move it out", file.display());
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
        errors.push(wrong(site, "-p", "listen_http", "no address to listen on"));
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
            let so =
                if absent { "its logins are not in effect" } else { "it may hold logins, so everything is closed" };
            said.errors.push(wrong(site, "-c", "config", &format!("{}: {error}: {so}", path.display())));
            if !absent {
                site.auth = vec![RealmLine::closed("/")];
            }
            return;
        }
    };
    let HttpdConf { realms, access, index, error_page, interpreters, proxies, warnings, errors } =
        httpd_conf::parse(&text);
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
    for proxy in proxies {
        match backend_values::proxy(&proxy) {
            Ok(backend) => site.proxies.push(backend),
            Err(expected) => warn(&format!("P: {} is wrong: expected {expected}", Shown(proxy.as_bytes()))),
        }
    }
    for (extension, program) in interpreters {
        site.interpreters.push(Interpreter { extension, program: PathBuf::from(program) });
    }
}

/// An address of a site, and whether with TLS.
type ListenClaim<'a> = (&'a SiteConfig, &'a Listen, bool);

/// Leaves out addresses that conflict with earlier ones. Two sites may share an address if they have different names.
fn settle_conflicts(sites: &mut [SiteConfig], said: &mut Config) {
    let wanted = sites.iter().flat_map(|site| {
        let plain = site.listen.iter().map(move |listen| (site, listen, false));
        plain.chain(site.tls.listen.iter().map(move |listen| (site, listen, true)))
    });
    let mut kept: Vec<ListenClaim<'_>> = Vec::new();
    let mut keep = Vec::new();
    for want in wanted {
        let found = kept.iter().find_map(|other| Some((conflict(&want, other)?, same(&want, other))));
        keep.push(found.is_none());
        match found {
            None => kept.push(want),
            // The same address twice in one section is harmless.
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

/// Sites that share an address share the CA: clients are asked for a certificate before they name a site.
fn settle_authorities(sites: &mut [SiteConfig], said: &mut Config) {
    for n in 1..sites.len() {
        let Some((earlier, [site, ..])) = sites.split_at_mut_checked(n) else { return };
        let shares = |other: &&SiteConfig| other.tls.listen.iter().any(|listen| site.tls.listen.contains(listen));
        let other = earlier.iter().filter(shares).find(|other| other.tls.ca.is_some() && other.tls.ca != site.tls.ca);
        if let (Some(other), Some(ca)) = (other, &site.tls.ca) {
            let text = format!("{} is wrong: expected the same as {}, which shares an address", shown(ca), other.name);
            said.errors.push(wrong(site, "--ca", "ca", &text));
            site.tls.ca = None;
        }
    }
}

fn same((site, listen, tls): &ListenClaim<'_>, (other, earlier, other_tls): &ListenClaim<'_>) -> bool {
    site.name == other.name && listen == earlier && tls == other_tls
}

/// Reports why an address conflicts with an earlier one.
fn conflict((site, listen, tls): &ListenClaim<'_>, (other, earlier, other_tls): &ListenClaim<'_>) -> Option<String> {
    // Port 0 is a different port each time.
    if listen.port == 0 || !(listen.covers(earlier) || earlier.covers(listen)) {
        return None;
    }
    let shares = listen == earlier && tls == other_tls && site.name != other.name;
    let named = shares && !(site.server_names.is_empty() && other.server_names.is_empty());
    if named && !site.server_names.iter().any(|name| other.server_names.contains(name)) {
        return None;
    }
    let (letter, uci) = if *tls { ("-s", "listen_https") } else { ("-p", "listen_http") };
    let by = if other.name.is_empty() { String::new() } else { format!(" by {}", other.name) };
    let right = if shares { "; sites that share an address need different names (server_name)" } else { "" };
    let at = if listen == earlier { String::new() } else { format!(", at {earlier}") };
    Some(wrong(site, letter, uci, &format!("{listen}: already used{by}{at}{right}")))
}

/// Everything that is wrong with a configuration: what was left out, and what is required but missing.
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

/// Files and folders that are missing at the moment: a disk may be unplugged, and come back.
pub fn absences(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for site in &config.sites {
        let mut say = |letter, uci, path: &Path, expected: &str| found.push(absent(site, letter, uci, path, expected));
        if !site.docroot.is_dir() {
            say("-h", "home", &site.docroot, "a folder that exists");
        }
        // The default may be missing: few servers need it.
        if site.body_temp_path.as_os_str() != BODY_TEMP_PATH && !site.body_temp_path.is_dir() {
            say("--body-temp-path", "body_temp_path", &site.body_temp_path, "a folder that exists");
        }
        for Handler { language, file, .. } in &site.handlers {
            let [_, (letter, uci)] = handler_options(*language);
            let missing = file.as_ref().filter(|file| !file.is_file());
            missing.into_iter().for_each(|file| say(letter, uci, file, "a file that exists"));
        }
        #[cfg(feature = "proxy-tls")]
        for backend in &site.proxies {
            if let (Trust::Ca(file), true) = (&backend.trust, backend.servers.iter().any(|server| server.tls))
                && !file.is_file()
            {
                say("--proxy", "proxy", file, "a file of authorities that exists (ca=), or insecure");
            }
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
    wrong(site, letter, uci, &format!("{} is wrong: expected {expected}", shown(path)))
}

fn shown(path: &Path) -> Shown<'_> {
    Shown(path.as_os_str().as_encoded_bytes())
}

/// A line about an option of a site, named as the user gave it.
pub fn wrong(site: &SiteConfig, letter: &str, uci: &str, text: &str) -> String {
    if site.name.is_empty() { format!("{letter}: {text}") } else { format!("{}.{uci}: {text}", site.name) }
}
