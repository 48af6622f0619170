//! The certificates of sites: which of them can be used.

use super::config::{Config, Tls};
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

/// What of a site's certificates can be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Usable {
    Nothing,
    #[cfg(feature = "tls")]
    Own,
    /// Those of clients, too.
    #[cfg(feature = "tls")]
    All,
}

/// Looks what each site can use; its own certificate is made where it is missing and that is wanted. What can't be used is
/// for `tolerate` to say.
#[cfg(feature = "tls")]
pub fn usable<E>(config: &Config, tolerate: &mut dyn FnMut(String) -> Result<(), E>) -> Result<Vec<Usable>, E> {
    config.sites.iter().map(|site| usable_by(&site.tls, tolerate)).collect()
}

#[cfg(feature = "tls")]
fn usable_by<E>(tls: &Tls, tolerate: &mut dyn FnMut(String) -> Result<(), E>) -> Result<Usable, E> {
    if tls.listen.is_empty() {
        return Ok(Usable::Nothing);
    }
    if let Err(error) = self_signed::prepare(tls).and_then(|()| load(tls, Usable::Own)) {
        let so = if tls.redirect { "; as redirect_https is on, HTTP gets 503" } else { "" };
        return tolerate(format!("HTTPS can't be served: {error}{so}")).map(|()| Usable::Nothing);
    }
    if tls.ca.is_none() {
        return Ok(Usable::Own);
    }
    match load(tls, Usable::All) {
        Ok(()) => Ok(Usable::All),
        Err(error) => tolerate(format!("no client's certificate counts: {error}")).map(|()| Usable::Own),
    }
}

/// Renews those of our own that need it, and says, if it is to, of which others clients refuse; whether any was renewed.
#[cfg(feature = "tls")]
pub fn look_after(sites: &[Tls], now: SystemTime, say: bool) -> bool {
    let mut renewed = false;
    for (n, tls) in sites.iter().enumerate() {
        let same = |other: &Tls| (&other.cert, &other.key) == (&tls.cert, &tls.key);
        if sites.iter().take(n).any(same) {
            continue;
        }
        match self_signed::renew(tls, now) {
            Ok(done) => renewed |= done,
            Err(error) if say => log::warn!("a self-signed certificate can't be renewed: {error}"),
            Err(_) => {}
        }
        let read =
            tls.cert.as_deref().filter(|_| say).and_then(|file| Some((file, ecohttpd::x509::read_cert(file).ok()?)));
        if let Some((file, cert)) = read
            && let Some(flaw) = x509::facts(&cert).and_then(|facts| flaw(&facts, now))
        {
            log::warn!("{}: {flaw}", file.display());
        }
    }
    renewed
}

/// Why clients refuse a certificate, whatever its name.
#[cfg(feature = "tls")]
fn flaw(facts: &Facts, now: SystemTime) -> Option<String> {
    // A clock that is known to be wrong tells nothing.
    let now = self_signed::known_time(now);
    let since = now.and_then(|now| now.checked_sub(facts.not_after)).filter(|since| *since > 0);
    let until = now.and_then(|now| facts.not_before.checked_sub(now)).filter(|until| *until > 0);
    match (since, until) {
        (Some(since), _) => Some(format!("the certificate ended {} days ago: clients refuse it", since / DAY)),
        (_, Some(until)) => {
            let days = until / DAY;
            Some(format!("the certificate begins in {days} days: clients refuse it, unless this clock is wrong"))
        }
        _ if !facts.is_v3 => Some(
            "the certificate is of X.509 v1, which browsers refuse: openssl x509 -req wants -extfile for v3".into(),
        ),
        _ => None,
    }
}

/// Says what is wrong with the files; a certificate that is missing and to be made will be.
#[cfg(feature = "tls")]
pub fn flaws(config: &Config) -> Vec<String> {
    let needed = config.sites.iter().map(|site| &site.tls).filter(|tls| !tls.listen.is_empty() && !tls.is_to_be_made());
    needed.filter_map(|tls| load(tls, Usable::All).err()).map(|error| error.to_string()).collect()
}

/// Loads certificates by themselves, to see whether that can be done.
#[cfg(feature = "tls")]
fn load(tls: &Tls, what: Usable) -> io::Result<()> {
    let nobody = async |_: &mut Connection, _: &mut Request| Ok(());
    ecohttpd::Site::new(add_to(Options::new(), tls, what), nobody).load_certificates()
}

/// Adds to a listener's options what of a site's certificates can be used.
#[cfg(feature = "tls")]
pub fn add_to(options: Options, tls: &Tls, what: Usable) -> Options {
    let (true, Some(cert), Some(key)) = (what != Usable::Nothing, &tls.cert, &tls.key) else { return options };
    let options = options.cert_key(cert, key).ciphers(&tls.ciphers);
    match &tls.ca {
        // Who shows none may have what needs none, and is told so by HTTP.
        Some(ca) if what == Usable::All => options.ca(ca).insecure(true),
        _ => options,
    }
}

#[cfg(not(feature = "tls"))]
pub fn usable<E>(config: &Config, _: &mut dyn FnMut(String) -> Result<(), E>) -> Result<Vec<Usable>, E> {
    Ok(vec![Usable::Nothing; config.sites.len()])
}

#[cfg(not(feature = "tls"))]
pub fn flaws(_: &Config) -> Vec<String> {
    Vec::new()
}

#[cfg(not(feature = "tls"))]
pub fn add_to(options: Options, _: &Tls, _: Usable) -> Options {
    options
}
