//! A request's target: its parts are the whole, and its path decodes to what encodes to it.
#![no_main]

use ecohttpd_fuzz::http::target::{Target, TargetForm, decode, is_authority};
use ecohttpd_fuzz::parameter;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((method, text)) = parameter(data) else { return };
    let _ = is_authority(text);
    let Ok(text) = str::from_utf8(text) else { return };
    let Ok(target) = Target::parse(method, text) else { return };
    assert!(text.bytes().all(|byte| byte > b' ' && byte != 0x7f && byte != b'#'), "{text:?}");
    let mark = if text.contains('?') { "?" } else { "" };
    let authority = target.authority.unwrap_or_default();
    match target.form {
        TargetForm::Origin => {
            assert_eq!(format!("{}{mark}{}", target.path, target.query), text);
            assert!(target.path.starts_with('/'));
        }
        TargetForm::Absolute => {
            assert!(text.ends_with(&format!("://{authority}{}{mark}{}", target.path, target.query)), "{text:?}");
            assert!(is_authority(authority.as_bytes()) && !target.path.contains('?'));
        }
        TargetForm::Authority => assert!(authority == text && method == "CONNECT"),
        TargetForm::Asterisk => assert!(text == "*" && method == "OPTIONS"),
    }
    if matches!(target.form, TargetForm::Origin | TargetForm::Absolute) {
        let mut decoded = Vec::new();
        decode(target.path.as_bytes(), &mut decoded);
        assert!(!decoded.contains(&0), "a NUL in the path");
        assert_eq!(target.escaped, decoded != target.path.as_bytes() || target.path.contains("%25"));
        let encoded: String = decoded.iter().map(|byte| format!("%{byte:02x}")).collect();
        let mut again = Vec::new();
        decode(encoded.as_bytes(), &mut again);
        assert_eq!(again, decoded);
    }
});
