//! Small syntax that several files read.

/// Whether a text consists of digits, at least one.
pub fn are_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Digits and nothing else: no sign, no space.
pub fn decimal(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok().filter(|text| are_digits(text.as_bytes()))?.parse().ok()
}

/// A token (RFC 9110 §5.6.2), such as the name of a header field.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (text, number) in [("0", Some(0)), ("007", Some(7)), ("18446744073709551615", Some(u64::MAX))] {
            assert_eq!(decimal(text.as_bytes()), number);
        }
        for text in ["", "+1", "-1", " 1", "1 ", "1.0", "0x1", "18446744073709551616", "\u{661}"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn tokens() {
        assert!(is_token(b"Content-Type") && is_token(b"!#$%&'*+-.^_`|~09azAZ"));
        for text in ["", "a b", "a:", "\u{e9}", "a\n", "(a)", "\"a\""] {
            assert!(!is_token(text.as_bytes()), "{text}");
        }
    }
}
