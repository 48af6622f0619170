//! The value of `Authorization` for the scheme `Basic` (RFC 7617 §2).

use crate::daemon::base64;
use std::ffi::CString;

/// Longest user, colon and password, in bytes.
const MAX_LOGIN: usize = 512;

/// The user and password that a client sends.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Credentials {
    pub user: Vec<u8>,
    pub pass: CString,
}

impl Credentials {
    /// `None` for another scheme, and for a malformed value.
    pub fn parse(value: &[u8]) -> Option<Credentials> {
        let (scheme, token) = value.split_at_checked(b"Basic".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic") || !token.starts_with(b" ") {
            return None;
        }
        let login = base64::decode(token.trim_ascii(), MAX_LOGIN)?;
        // Control characters are forbidden, and crypt(3) would stop at a NUL.
        if login.iter().any(u8::is_ascii_control) {
            return None;
        }
        let colon = login.iter().position(|&byte| byte == b':')?;
        let (user, pass) = login.split_at_checked(colon)?;
        let pass = CString::new(pass.get(1..)?).ok()?;
        Some(Credentials { user: user.to_vec(), pass })
    }
}

/// The value that a client sends, for tests.
#[cfg(test)]
pub fn basic(login: &[u8]) -> Vec<u8> {
    [b"Basic ", base64::encode(login).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `user|password`, to compare with.
    fn summary(value: &[u8]) -> Option<String> {
        let Credentials { user, pass } = Credentials::parse(value)?;
        Some(format!("{}|{}", String::from_utf8_lossy(&user), pass.to_string_lossy()))
    }

    #[test]
    fn values() {
        #[rustfmt::skip]
        let rows: &[(&[u8], Option<&str>, &str)] = &[
            (b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some("Aladdin|open sesame"), "RFC 7617 2"),
            (b"Basic dGVzdDoxMjPCow==", Some("test|123£"), "RFC 7617 2.1"),
            (b"bASIC QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some("Aladdin|open sesame"), "case of the scheme"),
            (b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", Some("Aladdin|open sesame"), "no padding"),
            (b"Basic   YTpi  ", Some("a|b"), "blanks around"),
            (b"Basic YTpi", Some("a|b"), "no padding needed"),
            (b"Basic Og==", Some("|"), "all empty"),
            (b"Basic YTpiOmM=", Some("a|b:c"), "the first colon"),
            (b"Basic YTr/", Some("a|\u{fffd}"), "not UTF-8"),
            (b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=", None, "half of the padding"),
            (b"Basic YTpi====", None, "too much padding"),
            (b"Basic YTpi==", None, "padding for nothing"),
            (b"Basic =", None, "padding alone"),
            (b"Basic YTpiO", None, "a lone digit"),
            (b"Basic Oh==", None, "unused bits"),
            (b"Basic YTpiOmN=", None, "unused bits, fewer"),
            (b"Basic YTp-", None, "base64url"),
            (b"Basic YT pi", None, "a blank inside"),
            (b"Basic YT=pi", None, "padding inside"),
            (b"Basic YWI=", None, "no colon"),
            (b"Basic YTpiCg==", None, "a line's end"),
            (b"Basic YTpiAA==", None, "a NUL"),
            (b"Basic fzph", None, "DEL"),
            (b"Basic ", None, "no token"),
            (b"Basic", None, "the scheme alone"),
            (b"BasicYTpi", None, "no blank"),
            (b"Basic\tYTpi", None, "a tab"),
            (b"Bearer YTpi", None, "another scheme"),
            (b"Basically YTpi", None, "a longer scheme"),
            (b"", None, "nothing"),
        ];
        for (value, expected, name) in rows {
            assert_eq!(summary(value).as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn every_cut_of_a_value() {
        let value = b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        for cut in 0..value.len() {
            let found = summary(&value[..cut]);
            assert!(found.is_none_or(|login| "Aladdin|open sesame".starts_with(&login)), "{cut}");
        }
    }

    #[test]
    fn length() {
        for (length, good) in [(MAX_LOGIN, true), (MAX_LOGIN + 1, false), (100_000, false)] {
            assert_eq!(Credentials::parse(&basic(&vec![b':'; length])).is_some(), good, "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn hostile_values_are_answered(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Credentials::parse(&value);
            let _ = Credentials::parse(&[b"Basic ", value.as_slice()].concat());
        }
    }
}
