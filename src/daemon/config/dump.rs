//! The configuration in force, as UCI text that reads as the same.

use super::model::{Config, SiteConfig};
use crate::daemon::access::{Network, RuleKind};
use crate::daemon::log::AccessTarget;
use std::fmt::{Display, Write};
use std::path::Path;

/// Every option of every site, defaults made visible; logins and more that a file of `-c` holds stay in there.
pub fn dump(config: &Config) -> String {
    let mut out = UciText(String::new());
    for (n, site) in config.sites.iter().enumerate() {
        let name = site.name.rsplit('.').next().filter(|name| !name.is_empty() & !name.starts_with('@'));
        let _ = writeln!(
            out.0,
            "{}config uhttpd{}",
            if n > 0 { "\n" } else { "" },
            name.map_or(String::new(), |name| format!(" '{name}'"))
        );
        out.site(site, n);
    }
    if let Some(site) = config.sites.first() {
        let identity = &site.tls.identity;
        out.0.push_str("\nconfig cert 'defaults'\n");
        out.option("days", &identity.days);
        out.option("commonname", &identity.common_name.as_deref().unwrap_or_default());
    }
    for (n, site) in config.sites.iter().enumerate() {
        for (m, login) in site.auth.iter().enumerate() {
            let _ = writeln!(out.0, "\nconfig httpauth 'login_{n}_{m}'");
            out.option("prefix", &rooted(&login.path));
            out.option("username", &login.user);
            out.option("password", &login.pass);
        }
    }
    out.0
}

struct UciText(String);

impl UciText {
    fn line(&mut self, kind: &str, name: &str, value: &dyn Display) {
        let value = value.to_string().replace('\'', "'\\''");
        let _ = writeln!(self.0, "\t{kind} {name} '{value}'");
    }

    fn option(&mut self, name: &str, value: &dyn Display) {
        self.line("option", name, value);
    }

    fn flag(&mut self, name: &str, yes: bool) {
        self.option(name, &u8::from(yes));
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Display>) {
        for value in values {
            self.line("list", name, &value);
        }
    }

    fn file(&mut self, name: &str, path: Option<&Path>) {
        if let Some(path) = path {
            self.option(name, &path.display());
        }
    }

    fn site(&mut self, site: &SiteConfig, n: usize) {
        self.list("listen_http", &site.listen);
        self.list("listen_https", &site.tls.listen);
        // Without HTTPS they are nothing, and a file has others than the command line.
        if !site.tls.listen.is_empty() {
            self.file("cert", site.tls.cert.as_deref());
            self.file("key", site.tls.key.as_deref());
        }
        self.file("ca", site.tls.ca.as_deref());
        self.option("ciphers", &site.tls.ciphers.join(":"));
        self.flag("self_signed", site.tls.self_signed);
        self.flag("redirect_https", site.tls.redirect);
        if let Some(age) = site.tls.hsts {
            self.option("hsts", &age.as_secs());
        }
        self.list("server_name", &site.server_names);
        self.option("home", &site.docroot.display());
        self.list("index_page", &site.index);
        if let Some(page) = &site.error_page {
            self.option("error_page", &rooted(page));
        }
        if let Some(page) = &site.fallback {
            self.option("fallback", &rooted(page));
        }
        for alias in &site.aliases {
            match &alias.to {
                Some(to) => self.line("list", "alias", &format_args!("{}={}", rooted(&alias.from), rooted(to))),
                None => self.line("list", "alias", &rooted(&alias.from)),
            }
        }
        self.flag("no_symlinks", site.no_symlinks);
        self.flag("no_dirlists", site.no_dirlists);
        self.option("list_charset", &site.list_charset);
        self.flag("private_files", site.private_files);
        self.flag("no_gzip", site.no_gzip);
        for header in &site.headers {
            self.line("list", "header", &format_args!("{} {}: {}", rooted(&header.prefix), header.name, header.value));
        }
        self.flag("no_server_header", site.no_server_header);
        self.flag("rfc1918_filter", site.rfc1918_filter);
        self.list("require_client_cert", site.client_certs.iter().map(|path| rooted(path)));
        self.list("trusted_proxy", &site.trusted_proxies);
        for (name, is_deny) in [("allow", false), ("deny", true)] {
            for line in site.access.iter().filter(|line| (line.kind == RuleKind::Deny) == is_deny) {
                self.line("list", name, &format_args!("{} {}", rooted(&line.path), spaced(&line.networks)));
            }
        }
        self.option("realm", &site.realm);
        self.list("httpauth", (0..site.auth.len()).map(|m| format!("login_{n}_{m}")));
        self.file("config", site.httpd_conf.as_deref());
        self.option("cgi_prefix", &rooted(&site.cgi_prefix));
        for interpreter in &site.interpreters {
            self.line(
                "list",
                "interpreter",
                &format_args!("{}={}", interpreter.extension, interpreter.program.display()),
            );
        }
        self.option("max_requests", &site.max_requests);
        self.option("script_timeout", &site.script_timeout.as_secs());
        self.option("chunked_body_limit", &site.chunked_body_limit);
        self.option("body_temp_path", &site.body_temp_path.display());
        if let Some(prefix) = &site.ubus.prefix {
            self.option("ubus_prefix", &rooted(prefix));
        }
        self.option("ubus_socket", &site.ubus.socket.display());
        self.flag("no_ubusauth", site.ubus.no_auth);
        self.flag("ubus_cors", site.ubus.cors);
        if let Some(retry) = site.ubus.retry {
            self.option("ubus_retry", &retry.as_millis());
        }
        self.option("max_connections", &site.max_connections);
        self.option("http_keepalive", &site.http_keepalive.as_secs());
        self.option("network_timeout", &site.network_timeout.as_secs());
        self.option("send_timeout", &site.send_timeout.as_secs());
        self.option("tcp_keepalive", &site.tcp_keepalive.map_or(0, |interval| interval.as_secs()));
        match &site.access_log {
            None => self.flag("access_log", false),
            Some(AccessTarget::Stdout) => self.option("access_log", &"stdout"),
            Some(AccessTarget::Syslog) => self.option("access_log", &"syslog"),
            Some(AccessTarget::File(path)) => self.option("access_log", &path.display()),
        }
        for (option, value) in &site.embedded {
            self.line("list", option, &value);
        }
    }
}

fn spaced(networks: &[Network]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A prefix with its slash: kept without, the root is empty.
fn rooted(prefix: &str) -> &str {
    if prefix.is_empty() { "/" } else { prefix }
}
