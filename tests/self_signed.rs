//! A self-signed certificate as a TLS peer sees it.
#![cfg(feature = "tls")]

use std::sync::Arc;

use ecohttpd::x509::{SanName, self_signed};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};

const BEGIN: u64 = 1_767_225_600;
const END: u64 = BEGIN + 397 * 86_400 - 1;

#[test]
fn rustls_serves_and_verifies_it() {
    let names = [
        SanName::Dns("Router.lan".into()),
        SanName::Dns("my_router".into()),
        SanName::Ip([192, 168, 1, 1].into()),
        SanName::Ip("fd00::1".parse().unwrap()),
    ];
    let made = self_signed(&names, BEGIN, END).unwrap();
    let cert = CertificateDer::from(made.cert);
    let key = PrivateKeyDer::try_from(made.key).unwrap();

    // This compares the key with the certificate, too.
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    server.with_no_client_auth().with_single_cert(vec![cert.clone()], key).unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
    let verify = |name: &str, at: u64| {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
        verifier.verify_server_cert(&cert, &[], &name, &[], now).is_ok()
    };
    for (name, at, verdict) in [
        ("router.lan", BEGIN, true),
        ("my_router", BEGIN, true),
        ("192.168.1.1", END, true),
        ("fd00::1", END, true),
        ("router", BEGIN, false),
        ("192.168.1.2", BEGIN, false),
        ("router.lan", BEGIN - 1, false),
        ("router.lan", END + 1, false),
    ] {
        assert_eq!(verify(name, at), verdict, "{name} at {at}");
    }
}
