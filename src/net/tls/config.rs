//! What a listener's connections share: suites, certificates, who must show one.

use super::alerts;
use super::certificates::Certificates;
use super::clients::{Lenient, Verifier, verifier};
use super::tls_files::TlsFiles;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite};
use std::io;
use std::sync::{Arc, OnceLock};

/// What the files make.
pub(super) struct Loaded {
    pub(super) server: Arc<ServerConfig>,
    /// Who looks at a client's certificate after the handshake, if that did not.
    pub(super) verifier: Option<Verifier>,
}

/// Makes a configuration of the files.
pub(super) fn load(files: &TlsFiles) -> io::Result<Loaded> {
    let mut provider = provider();
    restrict(&mut provider, &files.ciphers)?;
    let provider = Arc::new(provider);
    let resolver = Arc::new(Certificates::load(&files.pairs, &provider)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let verifier = verifier(files, &provider)?;
    let builder = match &verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) if files.insecure => builder.with_client_cert_verifier(Arc::new(Lenient(Arc::clone(verifier)))),
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
    };
    let mut config = builder.with_cert_resolver(resolver);
    // The suites' order is ours, not the client's: it is this machine that has little to spare.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Stateless resumption: tickets under keys that rotate; the memory of sessions would be the clients' to fill. Two,
    // as OpenSSL sends: a browser resumes each only once, and opens a second connection beside the first.
    config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 2;
    Ok(Loaded { server: Arc::new(config), verifier: verifier.filter(|_| files.insecure) })
}

/// ring, with the suites first that cost this machine least: those of AES-128 where the processor has instructions for
/// AES, else those of ChaCha20. AES-256, whose SHA-384 makes handshakes dearer, is for clients that insist.
fn provider() -> CryptoProvider {
    static SUITES: OnceLock<Vec<SupportedCipherSuite>> = OnceLock::new();
    let mut provider = ring::default_provider();
    let suites = SUITES.get_or_init(|| provider.cipher_suites.iter().map(|suite| alerts::wrap(*suite)).collect());
    provider.cipher_suites.clone_from(suites);
    let aes = has_aes();
    provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => u8::from(!aes),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => u8::from(aes),
        _ => 2,
    });
    provider
}

/// OpenSSL's names of the TLS 1.2 suites that there are.
const TLS12_NAMES: &[(&str, CipherSuite)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Leaves of the TLS 1.2 suites those that are named, if any are.
fn restrict(provider: &mut CryptoProvider, names: &[String]) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let named = |suite| TLS12_NAMES.iter().any(|(name, known)| *known == suite && names.iter().any(|n| n == name));
    if !TLS12_NAMES.iter().any(|(_, suite)| named(*suite)) {
        let known: Vec<&str> = TLS12_NAMES.iter().map(|(name, _)| *name).collect();
        let text = format!("ciphers: {:?} names none of {}", names.join(":"), known.join(" "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    provider.cipher_suites.retain(|suite| suite.tls13().is_some() || named(suite.suite()));
    Ok(())
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

/// MIPS and 32-bit ARM have none.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}
