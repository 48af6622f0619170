//! The configuration in effect, as UCI text that reads as the same.

use super::model::Config;
use super::options::{ROWS, Takes, rooted};
use std::fmt::{Display, Write};

/// Every option of every site, defaults included. What the file of `-c` holds is not repeated.
pub fn dump(config: &mut Config) -> String {
    let mut out = String::new();
    for (n, site) in config.sites.iter_mut().enumerate() {
        let name = site.name.rsplit('.').next().filter(|name| !name.is_empty() && !name.starts_with('@'));
        section(&mut out, "uhttpd", name.unwrap_or_default());
        // They mean nothing without HTTPS, and their defaults in a file differ from those of the command line.
        let without: &[&str] = if site.tls.listen.is_empty() { &["cert", "key"] } else { &[] };
        for row in ROWS.iter().filter(|row| !without.contains(&row.uci)) {
            let kind = if row.takes() == Takes::List { "list" } else { "option" };
            row.show(site, &mut |value| line(&mut out, kind, row.uci, value));
        }
        (0..site.auth.len()).for_each(|m| line(&mut out, "list", "httpauth", &login_name(n, m)));
    }
    if let Some(site) = config.sites.first() {
        section(&mut out, "cert", "defaults");
        let identity = &site.tls.identity;
        line(&mut out, "option", "days", &identity.days);
        line(&mut out, "option", "commonname", &identity.common_name.as_deref().unwrap_or_default());
    }
    for (n, site) in config.sites.iter().enumerate() {
        for (m, login) in site.auth.iter().enumerate() {
            section(&mut out, "httpauth", &login_name(n, m));
            line(&mut out, "option", "prefix", &rooted(&login.path));
            line(&mut out, "option", "username", &login.user);
            line(&mut out, "option", "password", &login.pass);
        }
    }
    out
}

fn login_name(site: usize, login: usize) -> String {
    format!("login_{site}_{login}")
}

fn section(out: &mut String, kind: &str, name: &str) {
    let start = if out.is_empty() { "" } else { "\n" };
    let _ = write!(out, "{start}config {kind}");
    if !name.is_empty() {
        let _ = write!(out, " '{name}'");
    }
    out.push('\n');
}

fn line(out: &mut String, kind: &str, name: &str, value: &dyn Display) {
    let value = value.to_string().replace('\'', "'\\''");
    let _ = writeln!(out, "\t{kind} {name} '{value}'");
}
