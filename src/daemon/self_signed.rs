//! Self-signed certificates: created if missing, and renewed.

use super::log;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::addresses::is_private;
use super::base64;
use super::config::{Listen, TlsConfig};
use super::context;
use ecohttpd::x509::{self, Facts, SanName, SelfSigned};

pub const DAY: u64 = 86_400;
/// Seconds before its end that a certificate is renewed; or a third of its lifetime, if that is less.
const RENEWED_BEFORE: u64 = 30 * DAY;
/// Seconds by which a certificate is backdated, for clients whose clock is slow; or a quarter of a short lifetime.
const BACK_DATED: u64 = DAY;
/// 2026-01-01 in Unix seconds. The program is not older, so an earlier clock is wrong.
const EARLIEST: u64 = 1_767_225_600;

/// Characters of a line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// Makes a certificate if the configuration says so and it is missing; renews it if it is due.
pub fn prepare(tls: &TlsConfig) -> io::Result<()> {
    let (true, Some(cert), Some(key)) = (tls.self_signed && !tls.listen.is_empty(), &tls.cert, &tls.key) else {
        return Ok(());
    };
    if ensure(cert, key, &wanted(tls), tls.identity.days.into())? {
        log::info!("made a self-signed certificate: {}", cert.display());
    }
    // A failure is logged by `certificates::look_after`; until then the old one is served.
    let _ = renew(tls, SystemTime::now());
    Ok(())
}

/// Renews a certificate that this program made, if it expires soon or lacks a name of this host. Returns whether it did.
///
/// The key is kept: only one file is replaced, so a power failure can't separate certificate and key.
pub fn renew(tls: &TlsConfig, now: SystemTime) -> io::Result<bool> {
    let (true, Some(cert), Some(key)) = (tls.self_signed && !tls.listen.is_empty(), &tls.cert, &tls.key) else {
        return Ok(false);
    };
    let Some(facts) = x509::facts(&ecohttpd::x509::read_cert(cert)?).filter(|facts| facts.is_own) else {
        return Ok(false);
    };
    let names = wanted(tls);
    let lasting: Vec<&SanName> = names.iter().filter(|name| lasts(name, &tls.listen)).collect();
    if !is_due(&facts, &lasting, now) {
        return Ok(false);
    }
    let (not_before, not_after) = validity(now, tls.identity.days.into());
    let made = x509::self_signed_by(&ecohttpd::x509::read_key(key)?, &names, not_before, not_after)
        .map_err(|what| about(key, io::Error::other(what)))?;
    // Resolved, so that a symbolic link is kept.
    let path = cert.canonicalize().map_err(|error| about(cert, error))?;
    Draft::write(&path, 0o644, &pem("CERTIFICATE", &made))?.publish()?;
    log::info!("renewed the self-signed certificate: {}", cert.display());
    Ok(true)
}

/// Whether a certificate is due for renewal: it expires soon, is not valid yet, or lacks one of these names.
fn is_due(facts: &Facts, names: &[&SanName], now: SystemTime) -> bool {
    // With a wrong clock, it would have to be renewed again once the clock is set.
    let Some(now) = known_time(now) else { return false };
    let early = RENEWED_BEFORE.min(facts.not_after.saturating_sub(facts.not_before) / 3);
    let ends = now.saturating_add(early) > facts.not_after;
    ends || now < facts.not_before || names.iter().any(|name| !facts.names.contains(name))
}

/// Whether a missing name is a reason to renew. A public address is not: providers change it each day, and clients would
/// have to accept a new certificate each time.
fn lasts(name: &SanName, listen: &[Listen]) -> bool {
    match name {
        SanName::Ip(ip) => is_private(*ip) || listen.iter().any(|listen| listen.addr() == Some(*ip)),
        _ => true,
    }
}

/// The names of a certificate made now.
fn wanted(tls: &TlsConfig) -> Vec<SanName> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    names([host.trim(), tls.identity.common_name.as_deref().unwrap_or_default()], &addresses(&tls.listen))
}

/// The time in Unix seconds, unless the clock is known to be wrong.
pub fn known_time(now: SystemTime) -> Option<u64> {
    now.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()).filter(|now| *now >= EARLIEST)
}

/// The addresses at which clients reach these listeners.
fn addresses(listen: &[Listen]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for listen in listen {
        match listen.addr() {
            Some(ip) if !ip.is_unspecified() => found.push(ip),
            Some(IpAddr::V4(_)) => found.extend(own_v4()),
            Some(IpAddr::V6(_)) => found.extend(own_v6()),
            None => found.extend(own_v4().chain(own_v6())),
        }
    }
    found
}

/// This host's IPv4 addresses: the leaves of the kernel's routing tree that are marked local.
fn own_v4() -> impl Iterator<Item = IpAddr> {
    let tree = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut leaf = None;
    let mut found = Vec::new();
    for line in tree.lines() {
        if let Some((_, ip)) = line.split_once("|-- ") {
            leaf = ip.parse::<IpAddr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(leaf.take());
        }
    }
    found.into_iter()
}

/// This host's IPv6 addresses, except link-local ones: they need a zone, which a certificate can't contain.
fn own_v6() -> impl Iterator<Item = IpAddr> {
    let list = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let ip = |line: &str| Some(Ipv6Addr::from(u128::from_str_radix(line.split(' ').next()?, 16).ok()?));
    let found: Vec<_> = list.lines().filter_map(ip).filter(|ip| !ip.is_unicast_link_local()).map(IpAddr::V6).collect();
    found.into_iter()
}

/// Makes a certificate and its key if one of the files is missing. Returns whether it did.
///
/// One without the other is useless, and after a power failure at its first start a router must not stay without HTTPS:
/// the remaining file is renamed, and both are made. The same path for both is an error.
fn ensure(cert: &Path, key: &Path, names: &[SanName], days: u64) -> io::Result<bool> {
    let missing = (is_missing(cert)?, is_missing(key)?);
    if missing == (false, false) {
        return Ok(false);
    }
    if cert == key {
        let text = format!("{}: named as both certificate and key", cert.display());
        return Err(context::said(ErrorKind::InvalidInput, text));
    }
    let (not_before, not_after) = validity(SystemTime::now(), days);
    let made = x509::self_signed(names, not_before, not_after).map_err(io::Error::other)?;
    let half = match missing {
        (true, false) => Some((key, cert)),
        (false, true) => Some((cert, key)),
        _ => None,
    };
    publish(cert, key, &made, half)?;
    Ok(true)
}

/// Whether the certificate or its key is missing and both will be made.
pub fn is_to_be_made(tls: &TlsConfig) -> bool {
    let missing = |file: &Option<PathBuf>| file.as_ref().is_some_and(|file| is_missing(file).unwrap_or(false));
    tls.self_signed && tls.cert != tls.key && (missing(&tls.cert) || missing(&tls.key))
}

/// Whether there is no file, or an empty one, as a full disk leaves it.
///
/// A dangling symbolic link is not missing: it must not be replaced.
fn is_missing(file: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(file) {
        Ok(found) => Ok(found.is_file() && found.len() == 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(about(file, error)),
    }
}

/// Renames a file that is useless without the other.
fn keep(half: &Path, other: &Path) -> io::Result<()> {
    let mut kept = half.as_os_str().to_owned();
    kept.push(".old");
    fs::rename(half, &kept).map_err(|error| about(half, error))?;
    log::warn!("{} is useless without {}: moved to {}", half.display(), other.display(), kept.display());
    Ok(())
}

fn about(path: &Path, error: io::Error) -> io::Error {
    context::about(&path.display(), error)
}

/// The names of a certificate: hosts that are DNS names, and addresses that are not unspecified.
fn names(hosts: [&str; 2], addrs: &[IpAddr]) -> Vec<SanName> {
    let mut names = Vec::new();
    for host in hosts {
        let name = SanName::Dns(host.to_owned());
        if x509::is_dns_name(host) && !names.contains(&name) {
            names.push(name);
        }
    }
    for addr in addrs {
        let name = SanName::Ip(addr.to_canonical());
        if !addr.is_unspecified() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The first and the last second of a certificate made now.
///
/// A router without a battery starts in 1970, or when its firmware was built, and may need a certificate before its clock
/// is set. A clock that is known to be wrong counts as [`EARLIEST`]: a certificate of 1970 would have expired already.
fn validity(now: SystemTime, days: u64) -> (u64, u64) {
    let now = known_time(now).unwrap_or(EARLIEST);
    let not_before = now - BACK_DATED.min(days * DAY / 4);
    (not_before, not_before + days * DAY - 1)
}

/// Publishes both files once both are completely on the disk, in place of the one that there was.
///
/// Errors of space or permission occur before that, so it is nearly impossible that one is left without the other.
fn publish(cert: &Path, key: &Path, made: &SelfSigned, half: Option<(&Path, &Path)>) -> io::Result<()> {
    let key_draft = Draft::write(key, 0o600, &pem("PRIVATE KEY", &made.key))?;
    let cert_draft = Draft::write(cert, 0o644, &pem("CERTIFICATE", &made.cert))?;
    if let Some((there, missing)) = half {
        keep(there, missing)?;
    }
    key_draft.publish()?;
    cert_draft.publish().inspect_err(|_| {
        // A key without its certificate would be renamed at the next start.
        let _ = fs::remove_file(key);
    })
}

/// A file under a temporary name, removed unless it is published.
struct Draft<'a> {
    temp: PathBuf,
    path: &'a Path,
}

impl<'a> Draft<'a> {
    /// Writes the text to the disk, in the folder of `path`, from where it can be renamed.
    fn write(path: &'a Path, mode: u32, text: &str) -> io::Result<Self> {
        let Some(name) = path.file_name() else {
            return Err(about(path, ErrorKind::InvalidInput.into()));
        };
        // With the process id, so that two daemons do not share a draft.
        let mut temp = name.to_owned();
        temp.push(format!(".{}.new", std::process::id()));
        let temp = path.with_file_name(temp);
        // A draft with our id is left from an earlier process.
        let _ = fs::remove_file(&temp);
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temp);
        let mut file = opened.map_err(|error| about(&temp, error))?;
        let draft = Self { temp, path };
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| about(&draft.temp, error))?;
        Ok(draft)
    }

    fn publish(self) -> io::Result<()> {
        fs::rename(&self.temp, self.path).map_err(|error| about(self.path, error))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&self.temp);
    }
}

/// DER as PEM (RFC 7468 §3).
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = base64::encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for (at, char) in base64.chars().enumerate() {
        if at > 0 && at % PEM_LINE == 0 {
            out.push('\n');
        }
        out.push(char);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use super::*;

    fn local() -> Vec<SanName> {
        names(["router", ""], &[std::net::Ipv4Addr::LOCALHOST.into()])
    }

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn both_are_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        assert!(ensure(&cert, &key, &local(), 397).unwrap());
        assert_eq!(entries(folder.path()), ["a.crt", "a.key"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&key), 0o600);
        assert_eq!(mode(&cert) & 0o133, 0, "nobody else writes it");

        let (cert_text, key_text) = (fs::read_to_string(&cert).unwrap(), fs::read_to_string(&key).unwrap());
        assert!(cert_text.starts_with("-----BEGIN CERTIFICATE-----\nMII"));
        assert!(key_text.starts_with("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0waw"));
        assert!(key_text.ends_with("\n-----END PRIVATE KEY-----\n"));
        assert!(!ensure(&cert, &key, &local(), 397).unwrap());
        assert_eq!((fs::read_to_string(&cert).unwrap(), fs::read_to_string(&key).unwrap()), (cert_text, key_text));
    }

    #[test]
    fn one_without_the_other_is_kept_and_both_are_made() {
        #[rustfmt::skip]
        let rows = [
            (Some("mine"), None, &["a.crt", "a.crt.old", "a.key"][..]), (Some("mine"), Some(""), &["a.crt", "a.crt.old", "a.key"]),
            (None, Some("mine"), &["a.crt", "a.key", "a.key.old"]), (Some(""), Some("mine"), &["a.crt", "a.key", "a.key.old"]),
            (Some(""), Some(""), &["a.crt", "a.key"]), (None, Some(""), &["a.crt", "a.key"]),
        ];
        for (there_cert, there_key, expected) in rows {
            let folder = tempfile::tempdir().unwrap();
            let (cert, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
            for (path, text) in [(&cert, there_cert), (&key, there_key)] {
                text.into_iter().for_each(|text| fs::write(path, text).unwrap());
            }
            assert!(ensure(&cert, &key, &local(), 397).unwrap());
            assert_eq!(entries(folder.path()), expected);
            for name in expected {
                let text = fs::read_to_string(folder.path().join(name)).unwrap();
                assert!(if name.ends_with("old") { text == "mine" } else { text.starts_with("-----BEGIN") }, "{name}");
            }
            assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(!ensure(&cert, &key, &local(), 397).unwrap());
        }
    }

    #[test]
    fn a_half_stays_where_the_whole_cannot_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let cert = folder.path().join("a.crt");
        fs::write(&cert, "mine").unwrap();
        assert!(ensure(&cert, &folder.path().join("missing/a.key"), &local(), 397).is_err());
        assert_eq!(entries(folder.path()), ["a.crt"]);
    }

    #[test]
    fn links_that_lead_nowhere_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        symlink("/nowhere/a.crt", &cert).unwrap();
        symlink("/nowhere/a.key", &key).unwrap();
        assert!(!ensure(&cert, &key, &local(), 397).unwrap());
        assert!(fs::symlink_metadata(&cert).unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("a.key");
        let error = ensure(&folder.path().join("missing/a.crt"), &key, &local(), 397).unwrap_err();
        assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("missing/a.crt"), "{error}");
        let error = ensure(&key, &key, &local(), 397).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("a.key"), "{error}");
        assert!(ensure(Path::new(""), &key, &local(), 397).is_err());
        assert!(entries(folder.path()).is_empty());
    }

    #[test]
    fn a_key_without_its_certificate_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        // Nothing can be renamed to the name of a folder.
        fs::create_dir(&cert).unwrap();
        let made = x509::self_signed(&[], 0, 1).unwrap();
        assert!(publish(&cert, &key, &made, None).unwrap_err().to_string().contains("a.crt"));
        assert_eq!(entries(folder.path()), ["a.crt"]);
    }

    #[test]
    fn a_stale_draft_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        let stale = folder.path().join(format!("a.key.{}.new", std::process::id()));
        fs::write(&stale, "half a key").unwrap();
        fs::set_permissions(&stale, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(ensure(&cert, &key, &local(), 397).unwrap());
        assert_eq!(entries(folder.path()), ["a.crt", "a.key"]);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn names_are_those_that_a_client_can_type() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let addrs = [ip("0.0.0.0"), ip("::"), ip("192.0.2.1"), ip("::ffff:192.0.2.1"), ip("2001:db8::1")];
        let expected = [SanName::Dns("router".into()), SanName::Ip(addrs[2]), SanName::Ip(addrs[4])];
        assert_eq!(names(["router", "router"], &addrs), expected);
        assert_eq!(names(["my router", ""], &addrs), expected[1..]);
        assert_eq!(names(["", "OpenWrt"], &addrs[..2]), [SanName::Dns("OpenWrt".into())]);
    }

    #[test]
    fn a_clock_that_is_wrong_does_not_count() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let earliest = (EARLIEST - DAY, EARLIEST + 396 * DAY - 1);
        for (now, expected, name) in [
            (UNIX_EPOCH - Duration::from_secs(1), earliest, "before 1970"),
            (at(60), earliest, "just switched on"),
            (at(EARLIEST), earliest, "the first day"),
            (at(EARLIEST + 60), (earliest.0 + 60, earliest.1 + 60), "later"),
        ] {
            assert_eq!(validity(now, 397), expected, "{name}");
        }
    }

    #[test]
    fn when_a_certificate_is_due() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let (begin, end) = (EARLIEST + 100 * DAY, EARLIEST + 497 * DAY);
        let facts = |not_before, not_after| Facts { not_before, not_after, names: local(), is_v3: true, is_own: true };
        let (long, short) = (facts(begin, end), facts(begin, begin + 9 * DAY));
        let new = SanName::Ip([10, 0, 0, 1].into());
        let own = local();
        let (known, more): (Vec<_>, Vec<_>) = (own.iter().collect(), vec![&own[0], &new]);
        #[rustfmt::skip]
        let rows = [
            (&long, &known, begin, false, "new"),
            (&long, &known, end - 31 * DAY, false, "31 days before its end"),
            (&long, &known, end - 29 * DAY, true, "29 days before its end"),
            (&long, &known, end + DAY, true, "ended"),
            (&long, &known, begin - 1, true, "not begun: the clock was wrong when it was made"),
            (&long, &known, EARLIEST - 1, false, "the clock is wrong now"),
            (&long, &known, 60, false, "just switched on"),
            (&short, &known, begin + 5 * DAY, false, "a short life, not yet"),
            (&short, &known, begin + 7 * DAY, true, "a short life, the last third"),
            (&long, &more, begin, true, "another address"),
            (&long, &more, 60, false, "another address, but no clock"),
            (&long, &vec![], begin, false, "an address less"),
        ];
        for (facts, names, now, due, name) in rows {
            assert_eq!(is_due(facts, names, at(now)), due, "{name}");
        }
        assert!(!is_due(&long, &known, UNIX_EPOCH - Duration::from_secs(1)), "before 1970");
    }

    /// Whatever the clock shows and however short its life is, a certificate just made is not made again at the next look.
    #[test]
    fn what_was_made_is_not_due() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for now in [0, 60, EARLIEST - 1, EARLIEST, EARLIEST + 1000 * DAY, 4_000_000_000] {
            for days in [1, 2, 3, 4, 10, 30, 90, 397, 36_500] {
                let (not_before, not_after) = validity(at(now), days);
                let cert = x509::self_signed(&local(), not_before, not_after).unwrap().cert;
                let facts = x509::facts(&cert).unwrap();
                for later in [0, 3600] {
                    assert!(!is_due(&facts, &local().iter().collect::<Vec<_>>(), at(now + later)), "{now} {days}");
                }
            }
        }
    }

    #[test]
    fn public_addresses_are_no_reason() {
        let listen = |ip: &str| Listen { ip: Some(ip.into()), port: 443 };
        let listens = [listen("0.0.0.0"), listen("::"), listen("9.9.9.9")];
        let ip = |text: &str| SanName::Ip(text.parse().unwrap());
        for (name, lasting) in [
            (SanName::Dns("router".into()), true),
            (ip("192.168.1.1"), true),
            (ip("fd00::1"), true),
            (ip("8.8.8.8"), false),
            (ip("2001:db8::1"), false),
            (ip("9.9.9.9"), true),
        ] {
            assert_eq!(lasts(&name, &listens), lasting, "{name:?}");
        }
    }

    #[test]
    fn ours_alone_is_renewed_and_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link, key) = (folder.path().join("a.crt"), folder.path().join("link"), folder.path().join("a.key"));
        let listen = vec![Listen { ip: Some("127.0.0.1".into()), port: 443 }];
        let (cert, key_file) = (Some(link.clone()), Some(key.clone()));
        let tls = TlsConfig { listen, cert, key: key_file, self_signed: true, ..TlsConfig::default() };
        let now = EARLIEST + 100 * DAY;
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let made = x509::self_signed(&wanted(&tls), now - 390 * DAY, now + 7 * DAY).unwrap();
        fs::write(&file, pem("CERTIFICATE", &made.cert)).unwrap();
        fs::write(&key, pem("PRIVATE KEY", &made.key)).unwrap();
        symlink(&file, &link).unwrap();
        assert!(!renew(&TlsConfig { self_signed: false, ..tls.clone() }, at(now)).unwrap(), "not wanted");
        assert!(!renew(&tls, at(60)).unwrap(), "no clock");
        assert!(renew(&tls, at(now)).unwrap());
        let facts = x509::facts(&ecohttpd::x509::read_cert(&file).unwrap()).unwrap();
        assert_eq!((facts.not_before, facts.not_after), validity(at(now), 397));
        assert_eq!(ecohttpd::x509::read_key(&key).unwrap(), made.key);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(entries(folder.path()), ["a.crt", "a.key", "link"]);
        assert!(!renew(&tls, at(now)).unwrap(), "once");
        // Another's is left alone, whatever its end.
        let key_pair = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["router".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2026, 1, 2);
        fs::write(&file, params.self_signed(&key_pair).unwrap().pem()).unwrap();
        assert!(!renew(&tls, at(now)).unwrap());
        // The error names the file, and nothing is lost.
        fs::write(&file, pem("CERTIFICATE", &made.cert)).unwrap();
        fs::write(&key, key_pair.serialize_pem().replace("MIGH", "MIGx")).unwrap();
        let error = renew(&tls, at(now)).unwrap_err().to_string();
        assert!(error.contains("a.key"), "{error}");
        assert_eq!(entries(folder.path()), ["a.crt", "a.key", "link"]);
    }

    #[test]
    fn lines_of_pem_have_64_characters() {
        assert_eq!(pem("X", &[0; 48]), format!("-----BEGIN X-----\n{}\n-----END X-----\n", "A".repeat(64)));
        assert!(pem("X", &[0; 49]).contains("\nAA==\n"));
    }
}
