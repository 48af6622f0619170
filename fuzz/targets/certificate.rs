//! A certificate's subject: bounded, and safe in a log.
#![no_main]

use ecohttpd_fuzz::x509::{is_dns_name, subject};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(subject) = subject(data) {
        assert!(!subject.chars().any(char::is_control), "{subject:?}");
        // Each byte is at most `\XX`, and each attribute has a name.
        assert!(subject.len() <= 16 * data.len());
    }
    if let Ok(name) = str::from_utf8(data) {
        assert!(!is_dns_name(name) || name.bytes().all(|byte| byte.is_ascii_graphic()) && name.len() < 256);
    }
});
