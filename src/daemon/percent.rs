//! Percent-decoding. Malformed escapes are kept.

/// Decodes `%xx`; and, in forms, `+` as a space.
pub fn decode(text: &str, plus: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |n: usize| char::from(bytes.get(at + n).copied().unwrap_or_default()).to_digit(16);
        let decoded = match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high << 4 | low).ok(),
            _ => None,
        };
        at += if decoded.is_some() { 3 } else { 1 };
        out.push(decoded.unwrap_or(if plus && byte == b'+' { b' ' } else { byte }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_escapes_stay() {
        for (text, plain, form) in [
            ("a%20b+c", "a b+c", "a b c"),
            ("%zz%4%", "%zz%4%", "%zz%4%"),
            ("%+1%2F%2f", "%+1//", "% 1//"),
            ("%41%", "A%", "A%"),
        ] {
            assert_eq!(decode(text, false), plain.as_bytes());
            assert_eq!(decode(text, true), form.as_bytes());
        }
    }
}
