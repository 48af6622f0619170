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

/// The longest name of a regular field.
const LONGEST: usize = 27;

/// The indices of regular fields, sorted by the lengths of their names; and where those of each length begin.
const BY_LENGTH: ([u8; ENTRIES.len()], [u8; LONGEST + 2]) = by_length();

const fn by_length() -> ([u8; ENTRIES.len()], [u8; LONGEST + 2]) {
    let (mut indices, mut starts) = ([0; ENTRIES.len()], [0; LONGEST + 2]);
    let (mut len, mut at) = (0, 0);
    while len <= LONGEST {
        starts[len] = at;
        let mut index = FIRST_REGULAR;
        while index <= ENTRIES.len() {
            if ENTRIES[index - 1].0.len() == len {
                indices[at as usize] = index as u8;
                at += 1;
            }
            index += 1;
        }
        len += 1;
    }
    starts[len] = at;
    (indices, starts)
}

/// The index of the entry with this name, or 0. The name is in lower case, and not that of a pseudo-field.
pub fn name_index(name: &[u8]) -> usize {
    let (indices, starts) = &BY_LENGTH;
    let (Some(&start), Some(&end)) = (starts.get(name.len()), starts.get(name.len() + 1)) else { return 0 };
    let same_length = indices.get(usize::from(start)..usize::from(end)).unwrap_or_default();
    // Their last bytes differ more often than their first.
    let found = same_length.iter().find(|&&index| {
        let known = ENTRIES[usize::from(index) - 1].0.as_bytes();
        known.last() == name.last() && known == name
    });
    found.map_or(0, |&index| index.into())
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
