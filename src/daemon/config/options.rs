//! The table of options. The command line, UCI, `--help`, `--dump`, docs/options.md, the manual page and the completions
//! for bash are made from it.
//!
//! A new option is a field of `model::SiteConfig` with its default, and a row here.

use super::backend_values as backend;
use super::model::{Handler, Header, Language, SiteConfig};
use super::values::{self, Expected, MAX_SECS};
use crate::daemon::access::{Network, Rule, RuleKind};
use crate::daemon::log::AccessTarget;
use std::fmt::{Display, Write};
use std::path::PathBuf;

/// An option of the command line, of UCI, or of both.
pub struct Row {
    /// uhttpd's letter; [`NONE`] where it has none.
    pub letter: char,
    /// The long name.
    pub long: &'static str,
    /// The name in a section `config uhttpd`; empty where there is none.
    pub uci: &'static str,
    /// What the help calls its value; empty if it takes none.
    pub value: &'static str,
    pub help: &'static str,
    pub kind: OptionKind,
}

/// What an option sets, and so how its value is parsed and printed.
pub enum OptionKind {
    Flag(fn(&mut SiteConfig) -> &mut bool),
    File(fn(&mut SiteConfig) -> &mut PathBuf),
    OptionalFile(fn(&mut SiteConfig) -> &mut Option<PathBuf>),
    /// A whole number between two bounds.
    Number(u32, u32, fn(&mut SiteConfig) -> &mut u32),
    OptionalNumber(u32, u32, fn(&mut SiteConfig) -> &mut Option<u32>),
    Text(fn(&str) -> Result<String, Expected>, fn(&mut SiteConfig) -> &mut String),
    OptionalText(fn(&str) -> Result<String, Expected>, fn(&mut SiteConfig) -> &mut Option<String>),
    /// One value that needs code of its own.
    Value(Set, Show),
    /// As `Value`, but on the command line the value may be missing, which means 1.
    MaybeValue(Set, Show),
    /// A value each time it is given; a list in UCI.
    List(Set, Show),
    /// What concerns the process: an option of the command line only.
    Process(Action),
}

/// Parses a value and stores it.
pub type Set = fn(&mut SiteConfig, &str) -> Result<(), Expected>;

/// Passes each stored value on.
pub type Show = fn(&SiteConfig, &mut dyn FnMut(&dyn Display));

/// An option that is not of a site.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Config,
    Foreground,
    #[cfg(feature = "terminal")]
    Open,
    User,
    PidFile,
    Syslog,
    Test,
    Dump,
    UrlDecode,
    Md5Crypt,
    Help,
    Version,
}

/// How an option is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing on the command line, 0 or 1 in UCI.
    Flag,
    /// One value; the last one counts.
    Value,
    /// A value that may be missing.
    Maybe,
    /// Any number of values.
    List,
}

/// Most connections: no system lets a process have more descriptors.
const MAX_CONNECTIONS: u32 = 1 << 20;
/// Most scripts at once: each is a process.
const MAX_REQUESTS: u32 = 1 << 10;
/// Bounds of a chunked body in KiB: what is held in memory anyway, and more than any router has room for.
const MIN_CHUNKED_BODY: u32 = 64;
const MAX_CHUNKED_BODY: u32 = 1 << 24;
/// Longest time that browsers are told to use HTTPS only, in seconds: ten years.
const MAX_HSTS: u32 = 315_360_000;
/// Longest interval of TCP keep-alive probes that the kernel takes, in seconds.
const MAX_PROBE_INTERVAL: u32 = 32_767;
/// Longest time before a subscriber connects again, in milliseconds: an hour.
const MAX_RETRY: u32 = 3_600_000;

/// The letter of an option without one.
pub const NONE: char = '\0';

use OptionKind::{Flag, List, MaybeValue, Number, OptionalFile, OptionalNumber, OptionalText, Process, Text, Value};

/// In the order of the help.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row('h', "docroot", "home", "DIR", "the folder to serve", OptionKind::File(|s| &mut s.docroot)),
    row('p', "listen", "listen_http", "[ADDR:]PORT", "listen here; IPv6 in brackets; port 0 picks one", List(|s, v| extend(&mut s.listen, values::listen(v)), |s, show| each(&s.listen, show))),
    row('s', "listen-tls", "listen_https", "[ADDR:]PORT", "listen here for HTTPS; needs -C and -K", List(|s, v| { s.tls.asked = true; extend(&mut s.tls.listen, values::listen(v)) }, |s, show| each(&s.tls.listen, show))),
    row('C', "cert", "cert", "FILE", "certificate chain, PEM or DER", OptionalFile(|s| &mut s.tls.cert)),
    row('K', "key", "key", "FILE", "private key of the certificate, PEM or DER", OptionalFile(|s| &mut s.tls.key)),
    row(NONE, "ca", "ca", "FILE", "authorities that sign client certificates, PEM", OptionalFile(|s| &mut s.tls.ca)),
    row(NONE, "require-client-cert", "require_client_cert", "/PREFIX", "require a client certificate below /PREFIX; needs --ca", List(client_cert, |s, show| each_path(&s.client_certs, show))),
    row('P', "ciphers", "ciphers", "LIST", "TLS 1.2 cipher suites, OpenSSL's names separated by colons", Value(ciphers, |s, show| if !s.tls.ciphers.is_empty() { show(&s.tls.ciphers.join(":")) })),
    row(NONE, "http2", "http2", "0|1", "offer HTTP/2 to clients of HTTPS", Value(|s, v| put(&mut s.tls.no_http2, values::flag(v).map(|yes| !yes)), |s, show| show(&u8::from(!s.tls.no_http2)))),
    row(NONE, "self-signed", "self_signed", "", "make a self-signed certificate and key if one is missing", Flag(|s| &mut s.tls.self_signed)),
    row('q', "redirect-https", "redirect_https", "", "redirect HTTP to HTTPS, except ACME challenges", Flag(|s| &mut s.tls.redirect)),
    row(NONE, "hsts", "hsts", "SECS", "tell browsers to use HTTPS only, for this long", OptionalNumber(0, MAX_HSTS, |s| &mut s.tls.hsts)),
    row(NONE, "server-name", "server_name", "NAME", "host name of this site; *.NAME: all names below it", List(server_names, |s, show| each(&s.server_names, show))),
    row('I', "index", "index_page", "NAME", "index file, tried before index.html and the like", List(|s, v| push(&mut s.index, values::index(v)), |s, show| each(&s.index, show))),
    row('E', "error-page", "error_page", "/URL", "file or script that answers 403 and 404", OptionalText(values::error_page, |s| &mut s.error_page)),
    row(NONE, "fallback", "fallback", "/URL", "page sent with 200 in place of missing pages", OptionalText(values::error_page, |s| &mut s.fallback)),
    row('y', "alias", "alias", "/PATH[=/OTHER]", "serve /PATH from /OTHER/PATH, or from below the CGI prefix", List(|s, v| push(&mut s.aliases, values::alias(v)), aliases)),
    row(NONE, "proxy", "proxy", "'/PREFIX=URL...'", "forward requests below /PREFIX to a server: http://HOST:PORT[/PATH], https://..., unix:/FILE[:/PATH]", List(|s, v| push(&mut s.proxies, backend::proxy(v)), |s, show| each(&s.proxies, show))),
    row(NONE, "proxy-timeout", "proxy_timeout", "SECS", "time for such a server, or one of --fastcgi, to move data", Number(1, MAX_SECS, |s| &mut s.proxy_timeout)),
    row(NONE, "proxy-idle-timeout", "proxy_idle_timeout", "SECS", "close a proxied WebSocket that is silent for so long", Number(1, MAX_SECS, |s| &mut s.proxy_idle_timeout)),
    row(NONE, "fastcgi", "fastcgi", "'.EXT=ADDR...'", "have files with this extension, or /PREFIX, run by a FastCGI server: unix:/FILE or HOST:PORT", List(|s, v| push(&mut s.fastcgi, backend::fastcgi(v)), |s, show| each(&s.fastcgi, show))),
    row('S', "no-symlinks", "no_symlinks", "", "refuse symbolic links that lead out of the folder", Flag(|s| &mut s.no_symlinks)),
    row('D', "no-dirlists", "no_dirlists", "", "answer 403 for a folder without an index", Flag(|s| &mut s.no_dirlists)),
    row('b', "list-charset", "list_charset", "NAME", "charset of directory listings", Text(values::charset, |s| &mut s.list_charset)),
    row(NONE, "private-files", "private_files", "", "also serve files that not every user may read", Flag(|s| &mut s.private_files)),
    row(NONE, "no-gzip", "no_gzip", "", "do not serve FILE.br, FILE.zst, FILE.gz in place of FILE", Flag(|s| &mut s.no_gzip)),
    row(NONE, "header", "header", "'[/PREFIX[?PARAMETER] ]NAME: VALUE'", "add a header field to responses below /PREFIX", List(|s, v| push(&mut s.headers, values::header(v)), headers)),
    row(NONE, "no-server-header", "no_server_header", "", "send no Server field", Flag(|s| &mut s.no_server_header)),
    row('R', "rfc1918-filter", "rfc1918_filter", "", "refuse private clients at public addresses (DNS rebinding)", Flag(|s| &mut s.rfc1918_filter)),
    row(NONE, "allow", "allow", "'[/PREFIX ]ADDR...'", "allow only these below /PREFIX: ADDR, ADDR/BITS, *, unix", List(|s, v| access(s, RuleKind::Allow, v), |s, show| rules(s, false, show))),
    row(NONE, "deny", "deny", "'[/PREFIX ]ADDR...'", "deny these below /PREFIX; *: all not named by --allow", List(|s, v| access(s, RuleKind::Deny, v), |s, show| rules(s, true, show))),
    row(NONE, "trusted-proxy", "trusted_proxy", "ADDR...", "take the client from X-Forwarded-For or Forwarded of these proxies", List(trusted_proxies, |s, show| each(&s.trusted_proxies, show))),
    // UCI has no empty values: they mean the default, as on a router without a name.
    row('r', "realm", "realm", "TEXT", "realm of logins", Value(|s, v| if v.is_empty() { Ok(()) } else { put(&mut s.realm, values::realm(v)) }, |s, show| show(&s.realm))),
    row('c', "httpd-conf", "config", "FILE", "logins and more, as for busybox httpd; /etc/httpd.conf if it exists", OptionalFile(|s| &mut s.httpd_conf)),
    row('x', "cgi-prefix", "cgi_prefix", "/PATH", "where CGI scripts are", Text(values::prefix, |s| &mut s.cgi_prefix)),
    row('i', "interpreter", "interpreter", ".EXT=PROGRAM", "run files with this extension by PROGRAM", List(|s, v| push(&mut s.interpreters, values::interpreter(v)), interpreters)),
    row('n', "max-requests", "max_requests", "N", "scripts that run at once; others wait", Number(1, MAX_REQUESTS, |s| &mut s.max_requests)),
    row('t', "script-timeout", "script_timeout", "SECS", "end a script that moves no data for this long", Number(1, MAX_SECS, |s| &mut s.script_timeout)),
    row(NONE, "chunked-body-limit", "chunked_body_limit", "KIB", "longest chunked body for a script, in KiB", Number(MIN_CHUNKED_BODY, MAX_CHUNKED_BODY, |s| &mut s.chunked_body_limit)),
    row(NONE, "body-temp-path", "body_temp_path", "DIR", "where chunked bodies are buffered", OptionKind::File(|s| &mut s.body_temp_path)),
    row('u', "ubus-prefix", "ubus_prefix", "/PATH", "serve JSON-RPC over ubus here", OptionalText(values::prefix, |s| &mut s.ubus.prefix)),
    row('U', "ubus-socket", "ubus_socket", "FILE", "ubusd's socket", OptionKind::File(|s| &mut s.ubus.socket)),
    row('a', "no-ubusauth", "no_ubusauth", "", "let everyone call everything over ubus", Flag(|s| &mut s.ubus.no_auth)),
    row('X', "ubus-cors", "ubus_cors", "", "let pages of other origins call over ubus", Flag(|s| &mut s.ubus.cors)),
    row('e', "ubus-retry", "ubus_retry", "MS", "tell ubus subscribers to reconnect after this many milliseconds", OptionalNumber(0, MAX_RETRY, |s| &mut s.ubus.retry)),
    row('N', "max-connections", "max_connections", "N", "connections at once", Number(1, MAX_CONNECTIONS, |s| &mut s.max_connections)),
    row('k', "http-keepalive", "http_keepalive", "SECS", "close idle connections after this long; 0: after each response", Number(0, MAX_SECS, |s| &mut s.http_keepalive)),
    row('T', "network-timeout", "network_timeout", "SECS", "time for a request's head, and for a body to make progress", Number(1, MAX_SECS, |s| &mut s.network_timeout)),
    row(NONE, "send-timeout", "send_timeout", "SECS", "time for a client to read some of its response", Number(1, MAX_SECS, |s| &mut s.send_timeout)),
    row('A', "tcp-keepalive", "tcp_keepalive", "SECS", "interval of TCP keep-alive probes; 0: none", Number(0, MAX_PROBE_INTERVAL, |s| &mut s.tcp_keepalive)),
    row(NONE, "access-log", "access_log", "WHERE", "log requests to stdout, syslog or /FILE; 0: no", MaybeValue(|s, v| put(&mut s.access_log, values::access_log(v)), access_log)),
    row(NONE, "metrics", "metrics", "/PATH", "show metrics for Prometheus here; consider --allow", OptionalText(values::page, |s| &mut s.metrics)),
    row(NONE, "server-status", "server_status", "/PATH", "show what the server is doing here, as a page and as JSON; consider --allow", OptionalText(values::page, |s| &mut s.server_status)),
    row('l', "lua-prefix", "lua_prefix", "/PATH[=FILE]", "answer requests below /PATH by the Lua handler FILE, or that of -L", List(|s, v| handler(s, Language::Lua, v), |s, show| handlers(s, Language::Lua, show))),
    row('L', "lua-handler", "lua_handler", "FILE", "the handler of -l", Value(|s, v| handler_file(s, Language::Lua, v), |_, _| ())),
    row('o', "ucode-prefix", "ucode_prefix", "/PATH[=FILE]", "answer requests below /PATH by the ucode handler FILE, or that of -O", List(|s, v| handler(s, Language::Ucode, v), |s, show| handlers(s, Language::Ucode, show))),
    row('O', "ucode-handler", "ucode_handler", "FILE", "the handler of -o", Value(|s, v| handler_file(s, Language::Ucode, v), |_, _| ())),
    row(NONE, "lua-worker", "lua_worker", "COMMAND", "what runs Lua handlers", Text(values::command, |s| &mut s.lua_worker)),
    row(NONE, "ucode-worker", "ucode_worker", "COMMAND", "what runs ucode handlers", Text(values::command, |s| &mut s.ucode_worker)),
    row('H', "json-script", "json_script", "FILE", "(uhttpd's; not supported)", List(|s, v| { s.json_scripts.push(v.to_owned()); Ok(()) }, |s, show| each(&s.json_scripts, show))),
    row(NONE, "config", "", "FILE", "read the options from a file in UCI syntax, as /etc/config/uhttpd", Process(Action::Config)),
    row('f', "foreground", "", "", "stay in the foreground", Process(Action::Foreground)),
    #[cfg(feature = "terminal")]
    row(NONE, "open", "", "", "print the address for a phone or another device, with a QR code in a terminal", Process(Action::Open)),
    row(NONE, "user", "", "NAME", "become this user once everything is open", Process(Action::User)),
    row(NONE, "pid-file", "", "FILE", "write the process id there", Process(Action::PidFile)),
    row(NONE, "syslog", "", "", "log to syslog instead of standard error", Process(Action::Syslog)),
    row(NONE, "test", "", "", "check the configuration, and exit: 0 if it is valid", Process(Action::Test)),
    row(NONE, "dump", "", "", "print the configuration in effect as UCI, and exit", Process(Action::Dump)),
    row('d', "urldecode", "", "TEXT", "print TEXT decoded, and exit", Process(Action::UrlDecode)),
    row('m', "md5crypt", "", "TEXT", "print the MD5 crypt of TEXT, and exit", Process(Action::Md5Crypt)),
    row(NONE, "help", "", "", "print this, and exit", Process(Action::Help)),
    row(NONE, "version", "", "", "print the version, and exit", Process(Action::Version)),
];

const fn row(
    letter: char,
    long: &'static str,
    uci: &'static str,
    value: &'static str,
    help: &'static str,
    kind: OptionKind,
) -> Row {
    Row { letter, long, uci, value, help, kind }
}

impl Row {
    /// What messages call the option: its letter, as in uhttpd's documentation, or its long name.
    pub fn name(&self) -> String {
        if self.letter == NONE { ["--", self.long].concat() } else { format!("-{}", self.letter) }
    }

    pub fn takes(&self) -> Takes {
        match self.kind {
            Flag(_) => Takes::Flag,
            List(..) => Takes::List,
            MaybeValue(..) => Takes::Maybe,
            Process(_) if self.value.is_empty() => Takes::Flag,
            _ => Takes::Value,
        }
    }

    /// Parses a value and stores it. The error is what would have been right.
    pub fn set(&self, site: &mut SiteConfig, value: &str) -> Result<(), Expected> {
        match self.kind {
            Flag(field) => *field(site) = values::flag(value)?,
            OptionKind::File(field) => *field(site) = values::file(value)?,
            OptionalFile(field) => *field(site) = Some(values::file(value)?),
            Number(min, max, field) => *field(site) = values::number(value, min, max)?,
            OptionalNumber(min, max, field) => *field(site) = Some(values::number(value, min, max)?),
            Text(parse, field) => *field(site) = parse(value)?,
            OptionalText(parse, field) => *field(site) = Some(parse(value)?),
            Value(set, _) | MaybeValue(set, _) | List(set, _) => set(site, value)?,
            Process(_) => {}
        }
        Ok(())
    }

    /// Passes each stored value on, as UCI writes it. `site` is not changed.
    pub fn show(&self, site: &mut SiteConfig, show: &mut dyn FnMut(&dyn Display)) {
        match self.kind {
            Flag(field) => show(&u8::from(*field(site))),
            OptionKind::File(field) => show(&field(site).display()),
            OptionalFile(field) => field(site).iter().for_each(|file| show(&file.display())),
            Number(_, _, field) => show(field(site)),
            OptionalNumber(_, _, field) => field(site).iter().for_each(|number| show(number)),
            Text(_, field) => show(&rooted(field(site))),
            OptionalText(_, field) => field(site).iter().for_each(|path| show(&rooted(path))),
            Value(_, each) | MaybeValue(_, each) | List(_, each) => each(site, show),
            Process(_) => {}
        }
    }

    /// The value where nothing is configured; empty for an option without a default.
    pub fn default(&self, defaults: &mut SiteConfig) -> String {
        let mut text = String::new();
        if self.takes() != Takes::Flag {
            self.show(defaults, &mut |value| text = value.to_string());
        }
        text
    }
}

fn put<T>(place: &mut T, read: Result<T, Expected>) -> Result<(), Expected> {
    *place = read?;
    Ok(())
}

fn push<T>(list: &mut Vec<T>, read: Result<T, Expected>) -> Result<(), Expected> {
    list.push(read?);
    Ok(())
}

fn extend<T>(list: &mut Vec<T>, read: Result<Vec<T>, Expected>) -> Result<(), Expected> {
    list.extend(read?);
    Ok(())
}

fn each<T: Display>(values: &[T], show: &mut dyn FnMut(&dyn Display)) {
    values.iter().for_each(|value| show(value));
}

fn each_path(paths: &[String], show: &mut dyn FnMut(&dyn Display)) {
    paths.iter().for_each(|path| show(&rooted(path)));
}

/// A URL's path as it is written: stored without a slash at its end, the root is empty.
pub fn rooted(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

fn ciphers(site: &mut SiteConfig, value: &str) -> Result<(), Expected> {
    site.tls.ciphers = value.split(':').filter(|name| !name.is_empty()).map(String::from).collect();
    Ok(())
}

fn server_names(site: &mut SiteConfig, value: &str) -> Result<(), Expected> {
    value.split_whitespace().try_for_each(|name| push(&mut site.server_names, values::server_name(name)))
}

fn aliases(site: &SiteConfig, show: &mut dyn FnMut(&dyn Display)) {
    for alias in &site.aliases {
        match &alias.to {
            Some(to) => show(&format_args!("{}={}", rooted(&alias.from), rooted(to))),
            None => show(&rooted(&alias.from)),
        }
    }
}

fn headers(site: &SiteConfig, show: &mut dyn FnMut(&dyn Display)) {
    for Header { prefix, parameter, name, value } in &site.headers {
        let mark = if parameter.is_empty() { "" } else { "?" };
        show(&format_args!("{}{mark}{parameter} {name}: {value}", rooted(prefix)));
    }
}

fn interpreters(site: &SiteConfig, show: &mut dyn FnMut(&dyn Display)) {
    for interpreter in &site.interpreters {
        show(&format_args!("{}={}", interpreter.extension, interpreter.program.display()));
    }
}

/// Adds a rule for addresses. If it is wrong, what it was to protect is closed to everyone.
fn access(site: &mut SiteConfig, kind: RuleKind, value: &str) -> Result<(), Expected> {
    let read = values::access(value, kind);
    if read.is_err() {
        site.access.extend(values::protected(value).into_iter().map(Rule::closed));
    }
    push(&mut site.access, read)
}

fn rules(site: &SiteConfig, deny: bool, show: &mut dyn FnMut(&dyn Display)) {
    for rule in site.access.iter().filter(|rule| (rule.kind == RuleKind::Deny) == deny) {
        let networks: Vec<String> = rule.networks.iter().map(Network::to_string).collect();
        show(&format_args!("{} {}", rooted(&rule.path), networks.join(" ")));
    }
}

/// Adds a path that needs a certificate, or with a flag all of them. A wrong one is closed to clients without one, too.
fn client_cert(site: &mut SiteConfig, value: &str) -> Result<(), Expected> {
    let read = values::client_cert(value);
    match &read {
        Ok(path) => site.client_certs.extend(path.clone()),
        Err(_) => site.client_certs.extend(values::protected(value)),
    }
    read.map(drop)
}

fn trusted_proxies(site: &mut SiteConfig, value: &str) -> Result<(), Expected> {
    let read = values::proxies(value);
    site.uncertain_proxies |= read.is_err();
    extend(&mut site.trusted_proxies, read)
}

fn access_log(site: &SiteConfig, show: &mut dyn FnMut(&dyn Display)) {
    match &site.access_log {
        None => show(&"0"),
        Some(AccessTarget::Stdout) => show(&"stdout"),
        Some(AccessTarget::Syslog) => show(&"syslog"),
        Some(AccessTarget::File(path)) => show(&path.display()),
    }
}

/// Adds a handler, or its prefix.
fn handler(site: &mut SiteConfig, language: Language, value: &str) -> Result<(), Expected> {
    let (prefix, file) = values::handler(value)?;
    let lacks: fn(&Handler) -> bool = if file.is_some() { |_| false } else { |handler| handler.prefix.is_none() };
    if let Some(handler) = site.handler(language, lacks) {
        handler.prefix = Some(prefix);
        handler.file = file.or(handler.file.take());
    }
    Ok(())
}

fn handler_file(site: &mut SiteConfig, language: Language, value: &str) -> Result<(), Expected> {
    let file = values::file(value)?;
    if let Some(handler) = site.handler(language, |handler| handler.file.is_none()) {
        handler.file = Some(file);
    }
    Ok(())
}

fn handlers(site: &SiteConfig, language: Language, show: &mut dyn FnMut(&dyn Display)) {
    for handler in site.handlers.iter().filter(|handler| handler.language == language) {
        if let (Some(prefix), Some(file)) = (&handler.prefix, &handler.file) {
            show(&format_args!("{}={}", rooted(prefix), file.display()));
        }
    }
}

/// The help: each option with a line.
pub fn help() -> String {
    let mut out = String::from(
        "Usage: ecohttpd [OPTION]...\n\
         Serves a folder over HTTP. Without options: the current folder, on port 8080.\n\n",
    );
    let mut defaults = SiteConfig::default();
    for row in ROWS {
        let short = if row.letter == NONE { "   ".into() } else { format!("-{},", row.letter) };
        let space = if row.value.is_empty() { "" } else { " " };
        let _ = write!(out, "  {short} --{}{space}{}\n          {}", row.long, row.value, row.help);
        let default = row.default(&mut defaults);
        if !default.is_empty() {
            let _ = write!(out, " (default: {default})");
        }
        out.push('\n');
    }
    out
}
