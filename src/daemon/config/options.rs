//! Every option of a site, once: its names, what it takes, where it goes.

use super::model::SiteConfig;
use super::values::{self, Expected, MAX_SECS};
use crate::daemon::access;
use std::fmt::Write;

/// An option of the command line, of UCI, or of both.
pub struct Row {
    /// uhttpd's letter; NUL where it has none.
    pub letter: char,
    /// The long name; empty where there is none.
    pub long: &'static str,
    /// The name in a section `config uhttpd`; empty where there is none.
    pub uci: &'static str,
    pub takes: Takes,
    /// What its value is called in the help; empty for flags.
    pub value: &'static str,
    pub help: &'static str,
    /// Takes a value over, or says what would be right.
    pub set: fn(&mut SiteConfig, &str) -> Result<(), Expected>,
}

/// How often an option is given, and with what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing on the command line, 0 or 1 in UCI.
    Flag,
    /// One value; the last one counts.
    Value,
    /// As `Value`, but on the command line it may be missing, which means 1.
    Maybe,
    /// A value each time; a list in UCI.
    List,
}

/// Most connections: what a process may have descriptors for on any system.
const MAX_CONNECTIONS: u64 = 1 << 20;
/// Most scripts at once: each is a process.
const MAX_REQUESTS: u64 = 1 << 10;
/// A chunked body's limits in KiB: what is held in memory, and more than any router has room for.
const MIN_CHUNKED_BODY: u64 = 64;
const MAX_CHUNKED_BODY: u64 = 1 << 24;
/// Longest time that browsers are told to use HTTPS alone, in seconds: ten years.
const MAX_HSTS: u64 = 315_360_000;
/// Longest interval of TCP keep-alive probes that the kernel takes, in seconds.
const MAX_PROBE_INTERVAL: u64 = 32_767;
/// Longest time before a subscriber connects again, in milliseconds: an hour.
const MAX_RETRY: u64 = 3_600_000;

/// Stands in the table where an option has no letter.
const NONE: char = '\0';

use Takes::{Flag, List, Maybe, Value};

/// In the order of the help.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row('h', "docroot", "home", Value, "DIR", "the folder to serve (default: .)", |s, v| put(&mut s.docroot, values::file(v))),
    row('p', "listen", "listen_http", List, "[ADDR:]PORT", "listen here; IPv6 in brackets; port 0 picks one", |s, v| extend(&mut s.listen, values::listen(v))),
    row('s', "listen-tls", "listen_https", List, "[ADDR:]PORT", "listen here for HTTPS; needs -C and -K", |s, v| { s.tls.asked = true; extend(&mut s.tls.listen, values::listen(v)) }),
    row('C', "cert", "cert", Value, "FILE", "certificate chain, PEM or DER", |s, v| put(&mut s.tls.cert, values::file(v).map(Some))),
    row('K', "key", "key", Value, "FILE", "its private key, PEM or DER", |s, v| put(&mut s.tls.key, values::file(v).map(Some))),
    row(NONE, "ca", "ca", Value, "FILE", "the authorities that sign clients' certificates, PEM", |s, v| put(&mut s.tls.ca, values::file(v).map(Some))),
    row(NONE, "require-client-cert", "require_client_cert", List, "/PREFIX", "what is for clients with a certificate alone; needs --ca", client_cert),
    row('P', "ciphers", "ciphers", Value, "LIST", "cipher suites, OpenSSL's names with colons between", |s, v| { s.tls.ciphers = v.split(':').filter(|name| !name.is_empty()).map(String::from).collect(); Ok(()) }),
    row(NONE, "self-signed", "self_signed", Flag, "", "make certificate and key where one is missing", |s, v| put(&mut s.tls.self_signed, values::flag(v))),
    row('q', "redirect-https", "redirect_https", Flag, "", "send clients of HTTP to HTTPS, but for ACME challenges", |s, v| put(&mut s.tls.redirect, values::flag(v))),
    row(NONE, "hsts", "hsts", Value, "SECS", "have browsers use HTTPS alone for so long", |s, v| put(&mut s.tls.hsts, values::seconds(v, 0, MAX_HSTS).map(Some))),
    row(NONE, "server-name", "server_name", List, "NAME", "the host that this is for; *.NAME for all below it", |s, v| { for name in v.split_whitespace() { s.server_names.push(values::server_name(name)?); } Ok(()) }),
    row('I', "index", "index_page", List, "NAME", "an index file, tried before index.html and the like", |s, v| push(&mut s.index, values::index(v))),
    row('E', "error-page", "error_page", Value, "/URL", "what answers 403 and 404: a file or a script", |s, v| put(&mut s.error_page, values::error_page(v).map(Some))),
    row(NONE, "fallback", "fallback", Value, "/URL", "what answers, with 200, for pages that are missing", |s, v| put(&mut s.fallback, values::error_page(v).map(Some))),
    row('y', "alias", "alias", List, "/PATH[=/OTHER]", "serve /PATH from /OTHER/PATH, or below the CGI prefix", |s, v| push(&mut s.aliases, values::alias(v))),
    row('S', "no-symlinks", "no_symlinks", Flag, "", "refuse links that lead out of the folder", |s, v| put(&mut s.no_symlinks, values::flag(v))),
    row('D', "no-dirlists", "no_dirlists", Flag, "", "answer 403 for a folder without an index", |s, v| put(&mut s.no_dirlists, values::flag(v))),
    row('b', "list-charset", "list_charset", Value, "NAME", "charset of listings (default: utf-8)", |s, v| put(&mut s.list_charset, values::charset(v))),
    row(NONE, "private-files", "private_files", Flag, "", "serve files that not all users may read, too", |s, v| put(&mut s.private_files, values::flag(v))),
    row(NONE, "no-gzip", "no_gzip", Flag, "", "serve no FILE.br, FILE.zst, FILE.gz in place of FILE", |s, v| put(&mut s.no_gzip, values::flag(v))),
    row(NONE, "header", "header", List, "'[/PREFIX ]NAME: VALUE'", "a header field of answers below /PREFIX", |s, v| push(&mut s.headers, values::header(v))),
    row(NONE, "no-server-header", "no_server_header", Flag, "", "send no Server field", |s, v| put(&mut s.no_server_header, values::flag(v))),
    row('R', "rfc1918-filter", "rfc1918_filter", Flag, "", "refuse private clients at public addresses", |s, v| put(&mut s.rfc1918_filter, values::flag(v))),
    row(NONE, "allow", "allow", List, "'[/PREFIX ]ADDR...'", "who alone may have what is below /PREFIX: ADDR, ADDR/BITS, *, unix", |s, v| access(s, access::RuleKind::Allow, v)),
    row(NONE, "deny", "deny", List, "'[/PREFIX ]ADDR...'", "who may not; *: all whom --allow does not name", |s, v| access(s, access::RuleKind::Deny, v)),
    row(NONE, "trusted-proxy", "trusted_proxy", List, "ADDR...", "proxies whose X-Forwarded-For or Forwarded names the client", |s, v| { let read = values::proxies(v); s.uncertain_proxies |= read.is_err(); extend(&mut s.trusted_proxies, read) }),
    // An empty one, as of a router without a name, is none: UCI could not say it either.
    row('r', "realm", "realm", Value, "TEXT", "what logins are asked for (default: Protected Area)", |s, v| if v.is_empty() { Ok(()) } else { put(&mut s.realm, values::realm(v)) }),
    row('c', "httpd-conf", "config", Value, "FILE", "logins and more, as busybox's httpd (default: /etc/httpd.conf)", |s, v| put(&mut s.httpd_conf, values::file(v).map(Some))),
    row('x', "cgi-prefix", "cgi_prefix", Value, "/PATH", "where scripts are (default: /cgi-bin)", |s, v| put(&mut s.cgi_prefix, values::prefix(v))),
    row('i', "interpreter", "interpreter", List, ".EXT=PROGRAM", "what runs files of that extension", |s, v| push(&mut s.interpreters, values::interpreter(v))),
    row('n', "max-requests", "max_requests", Value, "N", "scripts at once; others wait (default: 3)", |s, v| put(&mut s.max_requests, values::count(v, 1, MAX_REQUESTS))),
    row('t', "script-timeout", "script_timeout", Value, "SECS", "how long a script may stand still (default: 60)", |s, v| put(&mut s.script_timeout, values::seconds(v, 1, MAX_SECS))),
    row(NONE, "chunked-body-limit", "chunked_body_limit", Value, "KIB", "longest chunked body for a script, in KiB (default: 4096)", |s, v| put(&mut s.chunked_body_limit, values::number(v, MIN_CHUNKED_BODY, MAX_CHUNKED_BODY))),
    row(NONE, "body-temp-path", "body_temp_path", Value, "DIR", "where chunked bodies wait for their end (default: /tmp)", |s, v| put(&mut s.body_temp_path, values::file(v))),
    row('u', "ubus-prefix", "ubus_prefix", Value, "/PATH", "where JSON-RPC over ubus is (default: nowhere)", |s, v| put(&mut s.ubus.prefix, values::prefix(v).map(Some))),
    row('U', "ubus-socket", "ubus_socket", Value, "FILE", "ubusd's socket (default: /var/run/ubus/ubus.sock)", |s, v| put(&mut s.ubus.socket, values::file(v))),
    row('a', "no-ubusauth", "no_ubusauth", Flag, "", "let everybody call everything over ubus", |s, v| put(&mut s.ubus.no_auth, values::flag(v))),
    row('X', "ubus-cors", "ubus_cors", Flag, "", "let pages of other origins call over ubus", |s, v| put(&mut s.ubus.cors, values::flag(v))),
    row('e', "ubus-retry", "ubus_retry", Value, "MS", "when subscribers are to connect again", |s, v| put(&mut s.ubus.retry, values::number(v, 0, MAX_RETRY).map(|ms| Some(std::time::Duration::from_millis(ms))))),
    row('N', "max-connections", "max_connections", Value, "N", "connections at once (default: 100)", |s, v| put(&mut s.max_connections, values::count(v, 1, MAX_CONNECTIONS))),
    row('k', "http-keepalive", "http_keepalive", Value, "SECS", "close idle connections after; 0: at once (default: 20)", |s, v| put(&mut s.http_keepalive, values::seconds(v, 0, MAX_SECS))),
    row('T', "network-timeout", "network_timeout", Value, "SECS", "how long a head may take, and a body stand still (default: 30)", |s, v| put(&mut s.network_timeout, values::seconds(v, 1, MAX_SECS))),
    row(NONE, "send-timeout", "send_timeout", Value, "SECS", "how long a client may take nothing (default: 300)", |s, v| put(&mut s.send_timeout, values::seconds(v, 1, MAX_SECS))),
    row('A', "tcp-keepalive", "tcp_keepalive", Value, "SECS", "probe silent clients every; 0: never (default: 0)", |s, v| { let read = values::seconds(v, 0, MAX_PROBE_INTERVAL); put(&mut s.tcp_keepalive, read.map(|interval| (!interval.is_zero()).then_some(interval))) }),
    row(NONE, "access-log", "access_log", Maybe, "WHERE", "a line a request: stdout, syslog or /FILE", |s, v| put(&mut s.access_log, values::access_log(v))),
    row('l', "lua-prefix", "lua_prefix", List, "/PATH", "(of uhttpd; not embedded)", |s, v| embedded(s, "lua_prefix", v)),
    row('L', "lua-handler", "lua_handler", Value, "FILE", "(of uhttpd; not embedded)", |_, _| Ok(())),
    row('o', "ucode-prefix", "ucode_prefix", List, "/PATH", "(of uhttpd; not embedded)", |s, v| embedded(s, "ucode_prefix", v)),
    row('O', "ucode-handler", "ucode_handler", Value, "FILE", "(of uhttpd; not embedded)", |_, _| Ok(())),
    row('H', "json-script", "json_script", List, "FILE", "(of uhttpd; not embedded)", |s, v| embedded(s, "json_script", v)),
];

const fn row(
    letter: char,
    long: &'static str,
    uci: &'static str,
    takes: Takes,
    value: &'static str,
    help: &'static str,
    set: fn(&mut SiteConfig, &str) -> Result<(), Expected>,
) -> Row {
    Row { letter, long, uci, takes, value, help, set }
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

/// Adds a line about addresses; if that is wrong, what it was to protect is closed to all.
fn access(site: &mut SiteConfig, kind: access::RuleKind, value: &str) -> Result<(), Expected> {
    let read = values::access(value, kind);
    if read.is_err() {
        site.access.extend(values::protected(value).map(access::Rule::closed));
    }
    push(&mut site.access, read)
}

/// Adds a path that wants a certificate, or with a flag all; if it is wrong, it is closed to those without one all the same.
fn client_cert(site: &mut SiteConfig, value: &str) -> Result<(), Expected> {
    let read = values::client_cert(value);
    match &read {
        Ok(path) => site.client_certs.extend(path.clone()),
        Err(_) => site.client_certs.extend(values::protected(value)),
    }
    read.map(drop)
}

/// Notes the URL prefix of a handler that is not embedded.
fn embedded(site: &mut SiteConfig, option: &'static str, value: &str) -> Result<(), Expected> {
    site.embedded.push((option, value.to_owned()));
    Ok(())
}

/// The help: every option with a line.
pub fn help() -> String {
    let mut out = String::from(
        "Usage: ecohttpd [OPTION]...\n\
         Serves a folder over HTTP. Without options: the current folder, on port 8080.\n\n",
    );
    let mut line = |letter: char, long: &str, value: &str, help: &str| {
        let short = if letter == NONE { "   ".to_owned() } else { format!("-{letter},") };
        let space = if value.is_empty() { "" } else { " " };
        let _ = writeln!(out, "  {short} --{long}{space}{value}\n          {help}");
    };
    for row in ROWS {
        line(row.letter, row.long, row.value, row.help);
    }
    line(NONE, "config", "FILE", "read all this from a file in UCI syntax, as /etc/config/uhttpd");
    line('f', "foreground", "", "stay in the foreground");
    line(NONE, "user", "NAME", "become this user once all is open");
    line(NONE, "pid-file", "FILE", "write the process's number there");
    line(NONE, "syslog", "", "log to syslog, not to standard error");
    line(NONE, "test", "", "check everything, and exit: 0 if it is right");
    line(NONE, "dump", "", "print the configuration in force as UCI, and exit");
    line('d', "urldecode", "TEXT", "print TEXT decoded, and exit");
    line('m', "md5crypt", "TEXT", "print the MD5 crypt of TEXT, and exit");
    line(NONE, "help", "", "print this, and exit");
    line(NONE, "version", "", "print the version, and exit");
    out
}
