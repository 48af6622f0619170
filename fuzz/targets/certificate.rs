//! What is read of a certificate: its subject, bounded and safe in a log, and its facts.
#![no_main]

use ecohttpd_fuzz::x509::{facts, is_dns_name, subject};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(subject) = subject(data) {
        assert!(!subject.chars().any(char::is_control), "{subject:?}");
        // Each byte is at most `\XX`, and each attribute has a name.
        assert!(subject.len() <= 16 * data.len());
    }
    let _ = facts(data);
    if let Ok(name) = str::from_utf8(data) {
        assert!(!is_dns_name(name) || name.bytes().all(|byte| byte.is_ascii_graphic()) && name.len() < 256);
    }
});
