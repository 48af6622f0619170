//! Sets of field names.

/// A few field names, none longer than 31 bytes.
pub struct FieldNames {
    names: &'static [&'static str],
    /// A bit for each length that one of them has: most other names are told apart by that.
    lengths: u32,
}

impl FieldNames {
    pub const fn new(names: &'static [&'static str]) -> FieldNames {
        let (mut lengths, mut at) = (0, 0);
        while at < names.len() {
            lengths |= 1 << names[at].len();
            at += 1;
        }
        FieldNames { names, lengths }
    }

    /// Whether a name, in any case, is one of them.
    pub fn holds(&self, name: &str) -> bool {
        self.may_hold(name) && self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether a name is as long as one of them.
    pub fn may_hold(&self, name: &str) -> bool {
        self.lengths.checked_shr(u32::try_from(name.len()).unwrap_or(u32::MAX)).unwrap_or(0) & 1 != 0
    }

    /// The names.
    #[cfg(feature = "proxy")]
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let names = FieldNames::new(&["te", "connection", "x-a-name-of-thirty-one-bytes-.."]);
        for (name, is_known) in [
            ("te", true),
            ("TE", true),
            ("Connection", true),
            ("ta", false),
            ("tea", false),
            ("", false),
            ("x-a-name-of-thirty-one-bytes-..", true),
            ("x-a-name-of-thirty-one-bytes-.-", false),
            ("a-name-of-more-than-thirty-two-bytes", false),
        ] {
            assert_eq!(names.holds(name), is_known, "{name}");
        }
    }
}
