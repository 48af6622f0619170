//! The certificates of sites: which can be used, and which need renewal.

use super::config::{Config, TlsConfig};
use super::exit::ServeError;
use super::flaws::Flaws;
#[cfg(feature = "tls")]
use super::log;
#[cfg(feature = "tls")]
use super::self_signed::{self, DAY};
use ecohttpd::Options;
#[cfg(feature = "tls")]
use ecohttpd::{
    Connection, Request,
    x509::{self, Facts},
};
#[cfg(feature = "tls")]
use std::io;
#[cfg(feature = "tls")]
use std::time::SystemTime;

/// Which of a site's certificates can be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    Nothing,
    #[cfg(feature = "tls")]
    Own,
    /// Also the CA for client certificates.
    #[cfg(feature = "tls")]
    All,
}

/// What each site can use. A self-signed certificate is made where one is configured and missing.
#[cfg(feature = "tls")]
pub fn usable(config: &Config, flaws: &mut Flaws<'_>) -> Result<Vec<Usable>, ServeError> {
    config.sites.iter().map(|site| usable_by(&site.tls, flaws)).collect()
}

#[cfg(feature = "tls")]
fn usable_by(tls: &TlsConfig, flaws: &mut Flaws<'_>) -> Result<Usable, ServeError> {
    if tls.listen.is_empty() {
        return Ok(Usable::Nothing);
    }
    if let Err(error) = self_signed::prepare(tls).and_then(|()| load(tls, Usable::Own)) {
        let so = if tls.redirect { "; redirect_https is on, so HTTP is answered with 503" } else { "" };
        let flaw = format!("HTTPS can't be served: {error}{so}");
        return flaws.tolerate(ServeError::Config(flaw)).map(|()| Usable::Nothing);
    }
    if tls.ca.is_none() {
        return Ok(Usable::Own);
    }
    match load(tls, Usable::All) {
        Ok(()) => Ok(Usable::All),
        Err(error) => {
            let flaw = format!("no client certificate is accepted: {error}");
            flaws.tolerate(ServeError::Config(flaw)).map(|()| Usable::Own)
        }
    }
}

/// Renews self-signed certificates that need it, and with `warn` logs which others clients refuse. Returns whether any was
/// renewed.
#[cfg(feature = "tls")]
pub fn look_after(sites: &[TlsConfig], now: SystemTime, warn: bool) -> bool {
    let mut renewed = false;
    for (n, tls) in sites.iter().enumerate() {
        let same = |other: &TlsConfig| (&other.cert, &other.key) == (&tls.cert, &tls.key);
        if sites.iter().take(n).any(same) {
            continue;
        }
        match self_signed::renew(tls, now) {
            Ok(done) => renewed |= done,
            Err(error) if warn => log::warn!("certificate renewal failed, keeping the old one: {error}"),
            Err(_) => {}
        }
        let read = tls.cert.as_deref().filter(|_| warn).and_then(|file| Some((file, x509::read_cert(file).ok()?)));
        if let Some((file, cert)) = read
            && let Some(flaw) = x509::facts(&cert).and_then(|facts| flaw(&facts, now))
        {
            log::warn!("{}: {flaw}", file.display());
        }
    }
    renewed
}

/// Why clients refuse a certificate, apart from its name.
#[cfg(feature = "tls")]
fn flaw(facts: &Facts, now: SystemTime) -> Option<String> {
    // A clock that is known to be wrong says nothing.
    let now = self_signed::known_time(now);
    let since = now.and_then(|now| now.checked_sub(facts.not_after)).filter(|since| *since > 0);
    let until = now.and_then(|now| facts.not_before.checked_sub(now)).filter(|until| *until > 0);
    match (since, until) {
        (Some(since), _) => Some(format!("certificate expired {} days ago: clients refuse it", since / DAY)),
        (_, Some(until)) => {
            let days = until / DAY;
            Some(format!(
                "certificate not valid for another {days} days: clients refuse it, unless this clock is wrong"
            ))
        }
        _ if !facts.is_v3 => {
            Some("certificate is X.509 v1, which browsers refuse: use -extfile with openssl x509 -req for v3".into())
        }
        _ => None,
    }
}

/// What is wrong with the files. A missing certificate that will be made is not.
#[cfg(feature = "tls")]
pub fn flaws(config: &Config) -> Vec<String> {
    let needed = config
        .sites
        .iter()
        .map(|site| &site.tls)
        .filter(|tls| !tls.listen.is_empty() && !self_signed::is_to_be_made(tls));
    needed.filter_map(|tls| load(tls, Usable::All).err()).map(|error| error.to_string()).collect()
}

/// Loads the certificates, to see whether that works.
#[cfg(feature = "tls")]
fn load(tls: &TlsConfig, what: Usable) -> io::Result<()> {
    let nobody = async |_: &mut Connection, _: &mut Request| Ok(());
    ecohttpd::Site::new(add_to(Options::new(), tls, what), nobody).load_certificates()
}

/// Adds those certificates of a site that can be used to the options of a listener.
#[cfg(feature = "tls")]
pub fn add_to(options: Options, tls: &TlsConfig, what: Usable) -> Options {
    let (true, Some(cert), Some(key)) = (what != Usable::Nothing, &tls.cert, &tls.key) else { return options };
    let options = options.cert_key(cert, key).ciphers(&tls.ciphers);
    #[cfg(feature = "http2")]
    let options = options.http2(!tls.no_http2);
    match &tls.ca {
        // Clients without a certificate may connect: only some paths require one.
        Some(ca) if what == Usable::All => options.ca(ca).insecure(true),
        _ => options,
    }
}

#[cfg(not(feature = "tls"))]
pub fn usable(config: &Config, _: &mut Flaws<'_>) -> Result<Vec<Usable>, ServeError> {
    Ok(vec![Usable::Nothing; config.sites.len()])
}

#[cfg(not(feature = "tls"))]
pub fn flaws(_: &Config) -> Vec<String> {
    Vec::new()
}

#[cfg(not(feature = "tls"))]
pub fn add_to(options: Options, _: &TlsConfig, _: Usable) -> Options {
    options
}
