//! Small rules shared by readers and writers of header fields.

/// Whether a byte may occur in a token: `tchar` of RFC 9110 §5.6.2.
pub const fn is_tchar(byte: u8) -> bool {
    CLASS[byte as usize] & TCHAR != 0
}

/// Whether a byte may occur in a field value: HTAB, SP, VCHAR or obs-text (RFC 9110 §5.5).
pub const fn is_value_byte(byte: u8) -> bool {
    CLASS[byte as usize] & VALUE != 0
}

/// Whether all bytes may occur in a field value.
pub fn is_value(text: &[u8]) -> bool {
    let (words, tail) = text.as_chunks::<8>();
    let is_plain = |bytes: &[u8]| bytes.iter().all(|&byte| is_value_byte(byte));
    // Tabs are marked, too.
    words.iter().all(|word| controls(*word) == 0 || is_plain(word)) && is_plain(tail)
}

/// Whether a byte may occur unescaped in a request target. Not `%` and `?`, which have a meaning there.
pub const fn is_target_byte(byte: u8) -> bool {
    CLASS[byte as usize] & TARGET != 0
}

/// Whether a byte may occur unescaped in a `reg-name`: RFC 3986 §3.2.2.
pub const fn is_name_byte(byte: u8) -> bool {
    CLASS[byte as usize] & REG_NAME != 0
}

/// Whether the text is a token: at least one `tchar` and nothing else.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_tchar(byte))
}

/// The text without spaces and tabs around it: RFC 9110 §5.6.3.
pub fn trim_ows(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a comma-separated list, trimmed; empty ones are skipped (RFC 9110 §5.6.1.2).
///
/// For lists of tokens only: does not know quoted strings.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// Parses digits only: no sign, no space, no overflow.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The value of a hexadecimal digit of either case.
pub const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends a number in decimal digits.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    push_digits::<10>(out, number);
}

/// Appends a number in hexadecimal digits, in lower case and without leading zeros.
pub fn push_hex(out: &mut Vec<u8>, number: u64) {
    push_digits::<16>(out, number);
}

/// The position of the first LF.
pub fn find_lf(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let hits = line_feeds(*word);
        if hits != 0 {
            return Some(at * 8 + lowest(hits));
        }
    }
    let at = tail.iter().position(|&byte| byte == b'\n')?;
    Some(bytes.len() - tail.len() + at)
}

/// A word with the high bit set in each byte that is an LF, the first byte lowest.
///
/// Exact in every byte, unlike the shorter `(x - 1) & !x`, whose borrow also marks bytes above a true hit.
pub const fn line_feeds(word: [u8; 8]) -> u64 {
    const LF: u64 = u64::from_le_bytes([b'\n'; 8]);
    const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
    let zero_at_lf = u64::from_le_bytes(word) ^ LF;
    !(((zero_at_lf & LOW) + LOW) | zero_at_lf | LOW)
}

/// A word in which the high bit is set in the first byte that is a control character. Bytes behind it may be marked, too.
pub const fn controls(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let word = u64::from_le_bytes(word);
    let delete = word ^ (ONES * 0x7f);
    (word.wrapping_sub(ONES * 0x20) & !word | delete.wrapping_sub(ONES) & !delete) & HIGH
}

/// The first byte that [`line_feeds`] or [`controls`] marked.
pub const fn lowest(hits: u64) -> usize {
    (hits.trailing_zeros() / 8) as usize
}

/// Appends a number. Digits are filled in from the right.
fn push_digits<const BASE: u64>(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [0_u8; 20]; // the decimal digits of u64::MAX
    let mut start = text.len();
    for slot in text.iter_mut().rev() {
        let [digit, ..] = (number % BASE).to_le_bytes();
        *slot = digit + if digit < 10 { b'0' } else { b'a' - 10 };
        start -= 1;
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

const TCHAR: u8 = 1;
const VALUE: u8 = 2;
const TARGET: u8 = 4;
const REG_NAME: u8 = 8;

/// The classes of each byte, one bit per class.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0_u8;
    loop {
        let alnum = byte.is_ascii_alphanumeric();
        let mut bits = 0;
        if alnum || among(byte, b"!#$%&'*+-.^_`|~") {
            bits |= TCHAR;
        }
        if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
            bits |= VALUE;
        }
        if byte.is_ascii_graphic() && !among(byte, b"#%?") {
            bits |= TARGET;
        }
        if alnum || among(byte, b"-._~!$&'()*+,;=") {
            bits |= REG_NAME;
        }
        class[byte as usize] = bits;
        if byte == u8::MAX {
            break class;
        }
        byte += 1;
    }
};

const fn among(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes() {
        for byte in 0..=u8::MAX {
            let graphic = (0x21..=0x7e).contains(&byte);
            let delimiter = b"\"(),/:;<=>?@[\\]{}".contains(&byte);
            assert_eq!(is_tchar(byte), graphic && !delimiter, "tchar {byte:#x}");
            let control = byte < 0x20 || byte == 0x7f;
            assert_eq!(is_value_byte(byte), !control || byte == b'\t', "value {byte:#x}");
            assert_eq!(is_target_byte(byte), graphic && !b"#%?".contains(&byte), "target {byte:#x}");
        }
        assert!(is_token(b"Content-Type") && !is_token(b"") && !is_token(b"a b"));
        assert!(is_name_byte(b'_') && !is_name_byte(b'@') && !is_name_byte(b'%'));
    }

    #[test]
    fn values() {
        for byte in 0..=u8::MAX {
            for at in 0..17 {
                let mut text = *b"a\tb \xff,de fghijklm";
                text[at] = byte;
                for from in 0..=at {
                    assert_eq!(is_value(&text[from..]), is_value_byte(byte), "{byte:#x} at {at} from {from}");
                }
            }
        }
        assert!(is_value(b""));
    }

    #[test]
    fn lists() {
        let rows: [(&str, &[&str]); 5] = [
            ("", &[]),
            (" , ,\t", &[]),
            ("close", &["close"]),
            (" keep-alive ,\tclose ", &["keep-alive", "close"]),
            (",a,,b c,", &["a", "b c"]),
        ];
        for (value, elements) in rows {
            let got: Vec<_> = list(value.as_bytes()).collect();
            let want: Vec<_> = elements.iter().map(|e| e.as_bytes()).collect();
            assert_eq!(got, want, "{value:?}");
        }
    }

    #[test]
    fn decimals() {
        let rows = [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1 ", None),
            ("1,1", None),
            ("0x1", None),
        ];
        for (text, number) in rows {
            assert_eq!(decimal(text.as_bytes()), number, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_format_does(number: u64) {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            out.push(b' ');
            push_hex(&mut out, number);
            prop_assert_eq!(out, format!("{number} {number:x}").into_bytes());
        }

        #[test]
        fn lf_is_found_where_it_is(bytes in proptest::collection::vec(8_u8..13, 0..40)) {
            let plain = bytes.iter().position(|&byte| byte == b'\n');
            prop_assert_eq!(find_lf(&bytes), plain);
        }
    }
}
