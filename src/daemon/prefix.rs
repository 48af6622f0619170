//! Path prefixes, compared by segments.

/// A path prefix that ends at a segment.
pub struct UrlPrefix(String);

impl UrlPrefix {
    pub fn new(path: &str) -> UrlPrefix {
        UrlPrefix(path.trim_matches('/').to_owned())
    }

    /// Whether a path, without a leading slash, is this one or below it.
    pub fn holds(&self, relative: &[u8]) -> bool {
        self.rest(relative).is_some()
    }

    /// As `holds`, ignoring the case of ASCII letters.
    pub fn holds_in_any_case(&self, relative: &[u8]) -> bool {
        self.rest_in_any_case(relative).is_some()
    }

    /// The part of a path that is below this one.
    pub fn rest<'a>(&self, relative: &'a [u8]) -> Option<&'a [u8]> {
        self.rest_in_any_case(relative).filter(|_| relative.starts_with(self.0.as_bytes()))
    }

    /// As `rest`, ignoring the case of ASCII letters.
    pub fn rest_in_any_case<'a>(&self, relative: &'a [u8]) -> Option<&'a [u8]> {
        let (start, rest) = relative.split_at_checked(self.0.len())?;
        let fits = start.eq_ignore_ascii_case(self.0.as_bytes());
        (fits && (self.0.is_empty() || rest.is_empty() || rest.starts_with(b"/"))).then_some(rest)
    }

    /// The path, without slashes around it.
    pub fn relative(&self) -> &str {
        &self.0
    }
}

/// A path that guards everything at and below it, however a request spells it.
///
/// Paths are compared by segments, so `/sub` does not match `/submarine` (unlike in uhttpd), and without regard to case, as
/// in uhttpd: on FAT, `/Sub` is `/sub`. Dot segments and doubled slashes are resolved as by `serve_file`.
pub struct Guarded(Vec<Vec<u8>>);

impl Guarded {
    pub fn new(path: &str) -> Guarded {
        Guarded(segments(path.as_bytes()).into_iter().map(<[u8]>::to_vec).collect())
    }

    /// The number of segments: of two paths that match, the deeper one decides.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether a path, given by its [`segments`], is this one or below it.
    pub fn holds(&self, path: &[&[u8]]) -> bool {
        let Some(start) = path.get(..self.0.len()) else { return false };
        start.iter().zip(&self.0).all(|(one, other)| one.eq_ignore_ascii_case(other))
    }
}

/// The segments of a path, with `.` and `..` resolved.
pub fn segments(path: &[u8]) -> Vec<&[u8]> {
    let mut segments = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_segments() {
        for (prefix, path, verdict) in [
            ("", "", true),
            ("/", "a/b", true),
            ("/a", "a", true),
            ("/a/", "a/b", true),
            ("/a", "ab", false),
            ("/a/b", "a", false),
            ("/a", "A", false),
        ] {
            assert_eq!(UrlPrefix::new(prefix).holds(path.as_bytes()), verdict, "{prefix} {path}");
            let shouted = path.to_uppercase();
            let verdict = verdict || path == "A";
            assert_eq!(UrlPrefix::new(prefix).holds_in_any_case(shouted.as_bytes()), verdict, "{prefix} {shouted}");
        }
    }
}
