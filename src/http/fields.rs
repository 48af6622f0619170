//! Read access to the fields of a request.

/// What the conditional, range and coding rules need of a request head.
pub trait Fields {
    /// All values of a field, in order; `name` is given in lower case.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a;

    /// The value of a field that may occur only once; `None` if it is missing or repeated.
    fn only<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }
}

/// Fields from a list, for the tests of the rules.
#[cfg(test)]
pub struct Listed<'l>(pub List<'l>);

/// Names and values.
#[cfg(test)]
pub type List<'l> = &'l [(&'l str, &'l [u8])];

#[cfg(test)]
impl Fields for Listed<'_> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.0.iter().filter_map(move |&(n, v)| (n == name).then_some(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_once() {
        let fields = Listed(&[("a", b"1"), ("b", b"2"), ("a", b"3")]);
        assert_eq!(fields.only("a"), None);
        assert_eq!(fields.only("b"), Some(&b"2"[..]));
        assert_eq!(fields.only("c"), None);
    }
}
