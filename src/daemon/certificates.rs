//! The certificates of sites: which of them can be used.

use super::config::{Config, Tls};
#[cfg(feature = "tls")]
use super::self_signed;
use ecohttpd::Options;
#[cfg(feature = "tls")]
use ecohttpd::{Connection, Request};
#[cfg(feature = "tls")]
use std::io;

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
