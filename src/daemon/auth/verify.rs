//! Passwords: what they are compared with, and how.

use crate::daemon::sys::crypt;
use std::ffi::{CStr, CString};
use std::hint::black_box;

/// The schemes of crypt(3) that a configuration may use: musl has them all.
const SCHEMES: [&str; 6] = ["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$"];

/// What a password is compared with.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Secret {
    Plain(String),
    /// Begins with `$`.
    Crypt(CString),
    /// No password will do.
    Never,
}

impl Secret {
    /// Text that begins with `$` is a hash, never the password itself.
    ///
    /// Traditional DES hashes of 13 characters are not recognized: they count as plain passwords.
    pub fn new(text: &str) -> Secret {
        if !text.starts_with('$') {
            return Secret::Plain(text.into());
        }
        CString::new(text).map_or(Secret::Never, Secret::Crypt)
    }

    /// Whether every libc for routers knows the scheme of a hash.
    pub fn is_portable(text: &str) -> bool {
        !text.starts_with('$') || SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    pub fn is_crypt(&self) -> bool {
        matches!(self, Secret::Crypt(_))
    }

    pub fn verify(&self, pass: &CStr) -> bool {
        match self {
            Secret::Plain(expected) => same(pass.to_bytes(), expected.as_bytes()),
            Secret::Crypt(hash) => {
                #[cfg(test)]
                tests::HASHED.with(|count| count.set(count.get() + 1));
                crypt::hash(pass, hash).is_some_and(|result| same(result.to_bytes(), hash.to_bytes()))
            }
            Secret::Never => false,
        }
    }
}

/// Compares in a time that depends only on the length of `given`, not on how much of it is right.
pub fn same(given: &[u8], expected: &[u8]) -> bool {
    let mut difference = given.len() ^ expected.len();
    for (index, byte) in given.iter().enumerate() {
        let other = expected.get(index).copied().unwrap_or(0);
        difference |= usize::from(black_box(byte ^ other));
    }
    black_box(difference) == 0
}

/// What `-m` prints: the MD5 hash of a password, without salt, as uhttpd makes it.
///
/// `None` if libc has no MD5, or the text contains a NUL.
pub fn crypt_md5(text: &[u8]) -> Option<String> {
    let key = CString::new(text).ok()?;
    crypt::hash(&key, c"$1$")?.into_string().ok()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// How often a test has hashed: the cost of a login is a promise, too.
        pub static HASHED: Cell<u32> = const { Cell::new(0) };
    }

    fn verify(secret: &str, pass: &str) -> bool {
        Secret::new(secret).verify(&CString::new(pass).unwrap())
    }

    #[test]
    fn comparison() {
        #[rustfmt::skip]
        let rows: &[(&[u8], &[u8], bool, &str)] = &[
            (b"", b"", true, "both empty"),
            (b"secret", b"secret", true, "the same"),
            (b"secreT", b"secret", false, "last byte"),
            (b"Secret", b"secret", false, "first byte"),
            (b"secre", b"secret", false, "shorter"),
            (b"secret1", b"secret", false, "longer"),
            (b"", b"secret", false, "given nothing"),
            (b"secret", b"", false, "expected nothing"),
            (b"secret\0", b"secret", false, "padding is not the end"),
            (b"secret", b"secret\0", false, "nor the other way"),
            (b"\xff\x80", b"\xff\x80", true, "high bytes"),
        ];
        for (given, expected, verdict, name) in rows {
            assert_eq!(same(given, expected), *verdict, "{name}");
        }
        // Lengths that differ by a multiple of 256.
        assert!(!same(&[0; 256], b""));
    }

    #[test]
    fn plain_passwords() {
        #[rustfmt::skip]
        let rows = [
            ("secret", "secret", true, "right"),
            ("secret", "Secret", false, "case"),
            ("a:b c", "a:b c", true, "colon and blank"),
            ("pässwörd", "pässwörd", true, "UTF-8"),
            ("rl0uE3kqLrh5w", "rl0uE3kqLrh5w", true, "what could be a DES hash is a password"),
            ("$", "$", false, "a dollar begins a hash"),
            ("$x$y", "$x$y", false, "unknown kind of line"),
            ("*0", "*0", true, "a password, not crypt's answer"),
        ];
        for (secret, pass, verdict, name) in rows {
            assert_eq!(verify(secret, pass), verdict, "{name}");
        }
    }

    #[test]
    fn hashes() {
        #[rustfmt::skip]
        let rows = [
            ("$1$saltstri$YMyguxXMBpd2TEZ.vS/3q1", "Hello world!"),
            ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"),
            ("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!"),
            ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
            ("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
            ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ];
        for (hash, pass) in rows {
            let c_hash = CString::new(hash).unwrap();
            if crypt::hash(c"", &c_hash).is_none() {
                crate::skip::skip(&format!("in part: this libc's crypt refuses {hash}"));
                continue;
            }
            assert!(Secret::is_portable(hash));
            assert!(verify(hash, pass), "{hash}");
            assert!(!verify(hash, "wrong"), "{hash}");
            assert!(!verify(hash, ""), "{hash}");
            assert!(!verify(hash, hash), "the hash is not the password: {hash}");
            assert!(!verify(&hash[..hash.len() - 1], pass), "a hash cut short: {hash}");
        }
    }

    #[test]
    fn what_is_no_hash_lets_nobody_in() {
        for hash in ["$", "$1", "$1$", "$2y$05$", "$2y$99$CCCCCCCCCCCCCCCCCCCCC.", "$9$x$y", "$1$a\0b", "$6$rounds=1$"]
        {
            for pass in ["", "x", "*0", "*1", "*"] {
                assert!(!verify(hash, pass), "{hash} {pass}");
            }
        }
        assert!(!Secret::is_portable("$y$j9T$x"));
        assert!(Secret::is_portable("plain"));
        assert!(!Secret::Never.verify(c""));
    }

    #[test]
    fn the_hash_that_uhttpd_prints() {
        if let Some(hash) = crypt_md5(b"x") {
            assert_eq!(hash, "$1$$LP5.V3ajGqHDdXW6XwZQy.");
            assert!(verify(&hash, "x"));
        }
        assert_eq!(crypt_md5(b"a\0b"), None);
    }
}
