//! Base64 (RFC 4648 §4).

#[cfg(any(test, feature = "tls"))]
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes with padding.
#[cfg(any(test, feature = "tls"))]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| chunk.get(at).copied().map_or(0, usize::from);
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let char = char::from(ALPHABET[group >> (18 - 6 * at) & 0x3f]);
            out.push(if at <= chunk.len() { char } else { '=' });
        }
    }
    out
}

/// Decodes up to `max` bytes. The padding must be complete or absent, and unused bits zero; otherwise `None`.
pub fn decode(text: &[u8], max: usize) -> Option<Vec<u8>> {
    let digits = text.len() - text.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let (digits, padding) = text.split_at_checked(digits)?;
    if !padding.is_empty() && !text.len().is_multiple_of(4) || digits.len() * 3 / 4 > max {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0;
        for &byte in group {
            bits = bits << 6 | digit(byte)?;
        }
        let (unused, count) = match group.len() {
            4 => (0, 3),
            3 => (2, 2),
            2 => (4, 1),
            _ => return None,
        };
        if bits & ((1 << unused) - 1) != 0 {
            return None;
        }
        let [_, whole @ ..] = (bits >> unused << (8 * (3 - count))).to_be_bytes();
        bytes.extend_from_slice(whole.get(..count)?);
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes(), 6).as_deref(), Some(bytes.as_bytes()));
            assert_eq!(decode(text.trim_end_matches('=').as_bytes(), 6).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(encode(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn what_is_not_base64() {
        for text in ["Zg=", "Zg===", "Z", "Zh==", "Zm9=", "Zm9v====", "=", "Zm-v", "Zm v", "Zm=v"] {
            assert_eq!(decode(text.as_bytes(), 6), None, "{text}");
        }
        assert_eq!(decode(b"Zm9vYmFy", 5), None, "too long");
    }

    proptest! {
        #[test]
        fn there_and_back(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes(), 40), Some(bytes));
        }
    }
}
