//! The static table of RFC 7541 Appendix A.

/// Names and values; the first has index 1.
#[rustfmt::skip]
pub const ENTRIES: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The index of the first entry of a regular field; those before are pseudo-fields.
const FIRST_REGULAR: usize = 15;

/// The index of the first entry with this name, which is in lower case and no pseudo-field; 0 if there is none.
pub fn name_index(name: &[u8]) -> usize {
    let regular = ENTRIES.iter().skip(FIRST_REGULAR - 1);
    regular.zip(FIRST_REGULAR..).find(|((known, _), _)| known.as_bytes() == name).map_or(0, |(_, index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, index) in [("accept-charset", 15), ("date", 33), ("www-authenticate", 61), (":path", 0), ("x", 0)] {
            assert_eq!(name_index(name.as_bytes()), index, "{name}");
        }
        for (number, (name, _)) in ENTRIES.iter().enumerate() {
            let wanted = if name.starts_with(':') { 0 } else { number + 1 };
            assert_eq!(name_index(name.as_bytes()), wanted);
        }
    }
}
