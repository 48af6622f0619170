//! The certificates made here as openssl reads them, and certificates of rcgen as they are read here.

#[path = "../../../tests/common/skip.rs"]
mod skip;

use super::{SanName, facts, self_signed, subject};
use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};
use std::process::Command;

/// 2026-01-01 in Unix seconds.
const START: u64 = 1_767_225_600;
const DAY: u64 = 86_400;

/// What openssl prints about a certificate (DER); `None` where there is no openssl.
fn openssl(cert: &[u8], args: &[&str]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cert");
    std::fs::write(&file, cert).unwrap();
    let mut command = Command::new("openssl");
    command.args(["x509", "-inform", "DER", "-noout", "-in"]).arg(&file).args(args);
    let output = command.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The value behind `label`, up to the end of the line.
fn value<'a>(text: &'a str, label: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in {text}")).trim()
}

/// The names and the two times of a certificate; its subject, its names and its times as openssl prints them.
type Row = (Vec<SanName>, u64, u64, &'static str, &'static str, [&'static str; 2]);

#[test]
fn openssl_reads_what_is_made() {
    let ip = |text: &str| SanName::Ip(text.parse().unwrap());
    let dns = |name: &str| SanName::Dns(name.into());
    let rows: [Row; 3] = [
        (
            vec![dns("router.lan"), ip("192.168.1.1"), ip("fd00::1")],
            START,
            START + 397 * DAY - 1,
            "CN=router.lan",
            "DNS:router.lan, IP Address:192.168.1.1, IP Address:FD00:0:0:0:0:0:0:1",
            ["Jan  1 00:00:00 2026 GMT", "Feb  1 23:59:59 2027 GMT"],
        ),
        (vec![], 0, 951_782_400, "CN=OpenWrt", "DNS:OpenWrt", ["Jan  1 00:00:00 1970 GMT", "Feb 29 00:00:00 2000 GMT"]),
        (
            vec![ip("::1"), dns("a_b")],
            2_524_607_999,
            2_524_608_000,
            "CN=a_b",
            "IP Address:0:0:0:0:0:0:0:1, DNS:a_b",
            ["Dec 31 23:59:59 2049 GMT", "Jan  1 00:00:00 2050 GMT"],
        ),
    ];
    for (names, not_before, not_after, subject, alt_names, dates) in rows {
        let made = self_signed(&names, not_before, not_after).unwrap();
        let args = ["-text", "-subject", "-nameopt", "RFC2253", "-dates"];
        let Some(text) = openssl(&made.cert, &args) else { return skip::skip("no openssl") };
        assert_eq!(value(&text, "subject="), subject);
        assert_eq!([value(&text, "notBefore="), value(&text, "notAfter=")], dates);
        assert!(text.contains(alt_names) && text.contains("Version: 3 (0x2)"), "{text}");
        assert!(text.contains("ecdsa-with-SHA256") && text.contains("NIST CURVE: P-256"), "{text}");
        let facts = facts(&made.cert).unwrap();
        assert_eq!((facts.not_before, facts.not_after), (not_before, not_after));
    }
}

/// The signature is good, and the key is the one that belongs to it.
#[test]
fn openssl_verifies_what_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = self_signed(&[], START, START + DAY).unwrap();
    std::fs::write(path("cert.der"), &made.cert).unwrap();
    std::fs::write(path("key.der"), &made.key).unwrap();
    let run = |args: &str| {
        let output = Command::new("openssl").args(args.split(' ')).current_dir(folder.path()).output().ok()?;
        assert!(output.status.success(), "{args}: {output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    };
    if run("x509 -inform DER -in cert.der -out cert.pem").is_none() {
        return skip::skip("no openssl");
    }
    let at = START + DAY / 2;
    assert!(run(&format!("verify -CAfile cert.pem -attime {at} cert.pem")).unwrap().ends_with("OK\n"));
    assert_eq!(run("x509 -in cert.pem -noout -pubkey"), run("pkey -inform DER -in key.der -pubout"));
}

/// A certificate of rcgen with these common names and organisation.
fn certificate(names: &[DnValue], params: CertificateParams) -> Vec<u8> {
    let mut params = params;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let types = [DnType::OrganizationName, DnType::OrganizationalUnitName, DnType::CommonName];
    for (kind, name) in types.into_iter().zip(names) {
        params.distinguished_name.push(kind, name.clone());
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

/// A name of any printable characters, but not `#` alone: OpenSSL writes that as it is, against RFC 4514 §2.4.
fn name() -> impl Strategy<Value = String> {
    "[ -~é€😀]{1,20}".prop_filter("OpenSSL does not escape it", |name| name != "#")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn subjects_are_those_that_openssl_prints(names in prop::collection::vec(name(), 1..4)) {
        let values: Vec<DnValue> = names.iter().map(|name| DnValue::Utf8String(name.clone())).collect();
        let cert = certificate(&values, CertificateParams::default());
        if let Some(text) = openssl(&cert, &["-subject", "-nameopt", "RFC2253,utf8,-esc_msb"]) {
            prop_assert_eq!(subject(&cert).unwrap(), text.strip_prefix("subject=").unwrap().trim_end_matches('\n'));
        }
    }

    #[test]
    fn facts_are_those_that_rcgen_was_given(
        years in (1975..2120_i32, 1975..2120_i32),
        days in (1..13_u8, 1..29_u8, 1..13_u8, 1..29_u8),
        hosts in prop::collection::vec("[a-z][a-z0-9]{0,8}(\\.lan)?", 0..3),
        addresses in prop::collection::vec(any::<std::net::IpAddr>(), 0..3),
    ) {
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(years.0, days.0, days.1);
        params.not_after = rcgen::date_time_ymd(years.1, days.2, days.3);
        let alt_names = hosts.iter().map(|host| SanType::DnsName(host.as_str().try_into().unwrap()));
        params.subject_alt_names = alt_names.chain(addresses.iter().map(|ip| SanType::IpAddress(*ip))).collect();
        let seconds = [params.not_before, params.not_after].map(|time| u64::try_from(time.unix_timestamp()).unwrap());
        let facts = facts(&certificate(&[DnValue::Utf8String("x".into())], params)).unwrap();
        prop_assert_eq!([facts.not_before, facts.not_after], seconds);
        let named: Vec<SanName> = hosts.into_iter().map(SanName::Dns).chain(addresses.into_iter().map(SanName::Ip)).collect();
        prop_assert_eq!(facts.names, named);
        prop_assert!(facts.is_v3 && !facts.is_own);
    }
}
