//! The TLS configuration of a listener: suites, certificates, client certificates.

use super::alerts;
use super::certificates::Certificates;
use super::clients::{Authorities, authorities};
use super::tls_files::TlsFiles;
use crate::net::said;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::NoServerSessionStorage;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite};
use std::io;
use std::sync::{Arc, OnceLock};

/// The name of HTTP/2 in ALPN (RFC 9113 §3.1).
#[cfg(feature = "http2")]
pub(super) const H2: &[u8] = b"h2";

/// A configuration made from files.
pub(super) struct Loaded {
    pub(super) server: Arc<ServerConfig>,
    /// Checks client certificates after the handshake, if the handshake did not.
    pub(super) authorities: Option<Arc<Authorities>>,
}

/// Makes a configuration from files.
pub(super) fn load(files: &TlsFiles) -> io::Result<Loaded> {
    let mut provider = provider();
    restrict(&mut provider, &files.ciphers)?;
    let provider = Arc::new(provider);
    let resolver = Arc::new(Certificates::load(&files.pairs, &provider)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let authorities = authorities(files, &provider)?;
    let builder = match authorities.clone() {
        None => builder.with_no_client_auth(),
        Some(authorities) => builder.with_client_cert_verifier(authorities),
    };
    let mut config = builder.with_cert_resolver(resolver);
    // The server's order of suites, not the client's: this machine is the slower one.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    #[cfg(feature = "http2")]
    if !files.no_http2 {
        config.alpn_protocols.insert(0, H2.to_vec());
    }
    // Stateless resumption by tickets under rotating keys: clients could fill a session cache. Two tickets, as OpenSSL
    // sends: a browser uses each only once, and opens a second connection in parallel.
    config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 2;
    Ok(Loaded { server: Arc::new(config), authorities: authorities.filter(|one| one.later) })
}

/// ring, with the cheapest suites first: AES-128 if the processor has AES instructions, else ChaCha20. AES-256 is for
/// clients that insist: its SHA-384 makes handshakes more expensive.
pub(super) fn provider() -> CryptoProvider {
    static SUITES: OnceLock<Vec<SupportedCipherSuite>> = OnceLock::new();
    let mut provider = ring::default_provider();
    let wrap = |suite: &SupportedCipherSuite| {
        let suite = *suite;
        #[cfg(feature = "ktls")]
        let suite = super::kernel::wrap(suite);
        // Around the other, as it changes what is encrypted.
        alerts::wrap(suite)
    };
    let suites = SUITES.get_or_init(|| provider.cipher_suites.iter().map(wrap).collect());
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

/// The supported TLS 1.2 suites by their OpenSSL names.
const TLS12_NAMES: &[(&str, CipherSuite)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Keeps only the named TLS 1.2 suites, if any are named.
fn restrict(provider: &mut CryptoProvider, names: &[String]) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let named = |suite| TLS12_NAMES.iter().any(|(name, known)| *known == suite && names.iter().any(|n| n == name));
    if !TLS12_NAMES.iter().any(|(_, suite)| named(*suite)) {
        let known: Vec<&str> = TLS12_NAMES.iter().map(|(name, _)| *name).collect();
        let text = format!("ciphers: {:?} names none of {}", names.join(":"), known.join(" "));
        return Err(said(io::ErrorKind::InvalidInput, text));
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

/// MIPS and 32-bit ARM have no AES instructions.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}
