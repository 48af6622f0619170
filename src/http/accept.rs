//! What a client accepts, and how gladly: weights (RFC 9110 §12.4.2) and media types (§12.5.1).

use super::headers::{list, trim_ows};

/// How gladly a client takes a media type, by its `Accept`: 1 to 1000. 0 if the field does not name it, or refuses it.
///
/// Only the type itself counts, such as `text/html`, not `*/*`: it is for telling a browser from a program. Other
/// parameters than `q` are ignored, and a malformed weight counts as 0.
///
/// ```
/// use ecohttpd::syntax::media_weight;
///
/// let accept = b"text/html, application/json;q=0.9, */*;q=0.8";
/// assert_eq!(media_weight(accept, "application/json"), 900);
/// assert_eq!(media_weight(accept, "image/png"), 0);
/// ```
pub fn media_weight(accept: &[u8], media: &str) -> u16 {
    let weight = |member: &[u8]| {
        let mut pieces = member.split(|&byte| byte == b';').map(trim_ows);
        if !pieces.next().is_some_and(|name| name.eq_ignore_ascii_case(media.as_bytes())) {
            return 0;
        }
        let weight = pieces.find(|piece| matches!(piece, [b'q' | b'Q', b'=', ..]));
        weight.map_or(1000, |weight| parse_weight(weight).unwrap_or(0))
    };
    list(accept).map(weight).max().unwrap_or(0)
}

/// Parses `q=` and a qvalue (RFC 9110 §12.4.2), in thousandths.
pub fn parse_weight(weight: &[u8]) -> Option<u16> {
    let (name, value) = weight.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, fraction) = value.split_first()?;
    let digits = match fraction.split_first() {
        None => &[][..],
        Some((b'.', digits)) => digits,
        Some(_) => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = [100, 10, 1].iter().zip(digits).map(|(unit, digit)| unit * u16::from(digit - b'0')).sum();
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        #[rustfmt::skip]
        let rows: &[(&[u8], u16, &str)] = &[
            (b"", 0, "empty"),
            (b"application/json", 1000, "alone"),
            (b"Application/JSON", 1000, "any case"),
            (b"text/html,application/json", 1000, "the second"),
            (b"application/json;q=0.5", 500, "weighed"),
            (b"application/json ; Q=0.25 , x/y", 250, "spaces"),
            (b"application/json;charset=utf-8", 1000, "a parameter"),
            (b"application/json;charset=utf-8;q=0.1", 100, "and a weight"),
            (b"application/json;q=0", 0, "refused"),
            (b"application/json;q=0.000, */*", 0, "refused, others not"),
            (b"application/json;q=2", 0, "malformed"),
            (b"application/json;q=0.1, application/json", 1000, "named twice"),
            (b"*/*", 0, "anything"),
            (b"application/*", 0, "its kind"),
            (b"application/jsonp", 0, "longer"),
            (b"application/jso", 0, "shorter"),
            (b"application/json-seq, application/ld+json", 0, "others like it"),
        ];
        for &(accept, want, name) in rows {
            assert_eq!(media_weight(accept, "application/json"), want, "{name}");
        }
    }
}
