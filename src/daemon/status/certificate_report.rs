//! What there is to say about the certificates in the files of the configuration, and which end soon.

use super::report::{ServerStatus, SiteStatus, numbers, texts};
use crate::daemon::config::TlsConfig;
use crate::daemon::events::{self, BusEvent};
use crate::daemon::self_signed::{DAY, known_time};
use crate::daemon::ubus::blob::{Writer, kind};
use ecohttpd::x509::{self, Facts, SanName};
use std::time::{SystemTime, UNIX_EPOCH};

/// A certificate that ends within so many days is reported once a day.
const SOON: i64 = 30;

impl ServerStatus {
    /// The method `certificates`.
    pub fn write_certificates(&self, out: &mut Writer<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let list = out.open_field(kind::ARRAY, b"certificates");
        self.each_site(&mut |site| {
            if !site.tls.listen.is_empty() {
                write(site, now, out);
            }
        });
        out.close(list);
    }
}

fn write(site: &SiteStatus, now: u64, out: &mut Writer<'_>) {
    let Some(file) = &site.tls.cert else { return };
    let row = out.open_field(kind::TABLE, b"");
    out.text(b"file", file.as_os_str().as_encoded_bytes());
    out.text(b"site", site.tally.name().as_bytes());
    match x509::read_cert(file) {
        Err(error) => out.text(b"error", error.to_string().as_bytes()),
        Ok(cert) => match x509::facts(&cert) {
            None => out.text(b"error", b"not a certificate that this program can read"),
            Some(facts) => write_facts(&cert, &facts, now, out),
        },
    }
    out.close(row);
}

fn write_facts(cert: &[u8], facts: &Facts, now: u64, out: &mut Writer<'_>) {
    let name = |name: &SanName| match name {
        SanName::Dns(name) => Some(name.clone()),
        SanName::Ip(ip) => Some(ip.to_string()),
        // There are no other kinds of names yet.
        _ => None,
    };
    texts(out, "names", &facts.names.iter().filter_map(name).collect::<Vec<_>>());
    let [subject, issuer] = [x509::subject(cert), x509::issuer(cert)].map(Option::unwrap_or_default);
    out.text(b"subject", subject.as_bytes());
    out.text(b"issuer", issuer.as_bytes());
    numbers(out, &[("not_before", facts.not_before), ("not_after", facts.not_after)]);
    out.int(b"days_left", days_left(facts.not_after, now));
    out.text(b"key", x509::key_kind(cert).unwrap_or_else(|| "unknown".into()).as_bytes());
    out.value(kind::BOOL, b"self_signed", &[u8::from(subject == issuer)]);
}

/// Whole days until then; below zero afterwards.
fn days_left(not_after: u64, now: u64) -> i64 {
    let seconds = i64::try_from(not_after).unwrap_or(i64::MAX).saturating_sub_unsigned(now);
    seconds.div_euclid(DAY.cast_signed())
}

/// Tells on ubus which of these certificates end soon, or have ended. A clock that is known to be wrong says nothing.
pub fn warn_of_ends(sites: &[TlsConfig], now: SystemTime) {
    let Some(now) = known_time(now) else { return };
    for (n, tls) in sites.iter().enumerate() {
        let Some(file) = &tls.cert else { continue };
        if sites.iter().take(n).any(|other| other.cert == tls.cert) {
            continue;
        }
        let Some(facts) = x509::read_cert(file).ok().and_then(|cert| x509::facts(&cert)) else { continue };
        let days_left = days_left(facts.not_after, now);
        if days_left <= SOON {
            let file = file.to_string_lossy().into_owned();
            events::push(BusEvent::Certificate { file, days_left, not_after: facts.not_after });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole() {
        for (not_after, now, days) in
            [(DAY * 9, 0, 9), (DAY * 9, 1, 8), (DAY, DAY, 0), (DAY, DAY + 1, -1), (0, DAY * 3, -3)]
        {
            assert_eq!(days_left(not_after, now), days, "{not_after} {now}");
        }
    }
}
