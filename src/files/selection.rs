//! What a listing shows of a folder, and in which order, as the query says: `?C=S&O=D&q=part+of+a+name`.

use crate::http::query::decode_form;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// One file or directory of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: one path segment, any bytes.
    pub name: Vec<u8>,
    /// It is a directory.
    pub dir: bool,
    /// Length in bytes.
    pub size: u64,
    /// Modification time in Unix seconds.
    pub mtime: i64,
}

/// What a listing is sorted by, with the letter that a query has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SortKey {
    /// The bytes of the name.
    Name = b'N',
    /// The length.
    Size = b'S',
    /// The modification time.
    Time = b'M',
}

/// How a listing is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The column that it is sorted by.
    pub key: SortKey,
    /// Whether the largest or newest comes first.
    pub descending: bool,
}

/// Which entries a listing shows, and how they are sorted; all of them by name if the query does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// How they are sorted.
    pub order: Order,
    /// What their names contain, in any case of ASCII letters; empty for all.
    pub search: Vec<u8>,
}

impl Selection {
    /// Reads a query as of Apache's listings: `C=` and one of `N S M`, `O=` and one of `A D`. `q=` is a form's field.
    pub fn from_query(query: &[u8]) -> Selection {
        let mut order = Order { key: SortKey::Name, descending: false };
        let mut search = Vec::new();
        for piece in query.split(|&byte| matches!(byte, b'&' | b';')) {
            match piece {
                b"C=N" => order.key = SortKey::Name,
                b"C=S" => order.key = SortKey::Size,
                b"C=M" => order.key = SortKey::Time,
                b"O=A" => order.descending = false,
                b"O=D" => order.descending = true,
                [b'q', b'=', text @ ..] => search = decode_form(text).into_owned(),
                _ => {}
            }
        }
        Selection { order, search }
    }

    /// Whether an entry of this name is shown.
    pub fn shows(&self, name: &[u8]) -> bool {
        let search = self.search.as_slice();
        search.is_empty() || name.windows(search.len()).any(|part| part.eq_ignore_ascii_case(search))
    }

    /// Sorts the entries, directories first.
    ///
    /// Uses a heap: the standard library's sorts are faster, but six times the code.
    pub fn sort(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let order = self.order;
        let heap: BinaryHeap<Ranked> = entries.into_iter().map(|entry| Ranked { entry, order }).collect();
        heap.into_sorted_vec().into_iter().map(|ranked| ranked.entry).collect()
    }
}

/// An entry that knows its place in an order.
struct Ranked {
    entry: Entry,
    order: Order,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.entry, &other.entry);
        let by_key = match self.order.key {
            SortKey::Name => a.name.cmp(&b.name),
            // The size of a directory means nothing and is not shown.
            SortKey::Size if a.dir => Ordering::Equal,
            SortKey::Size => a.size.cmp(&b.size),
            SortKey::Time => a.mtime.cmp(&b.mtime),
        };
        let by_key = match self.order.descending {
            true => by_key.reverse(),
            false => by_key,
        };
        b.dir.cmp(&a.dir).then(by_key).then_with(|| a.name.cmp(&b.name))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, dir: bool, size: u64, mtime: i64) -> Entry {
        Entry { name: name.into(), dir, size, mtime }
    }

    fn selection(key: SortKey, descending: bool, search: &str) -> Selection {
        Selection { order: Order { key, descending }, search: search.into() }
    }

    #[test]
    fn queries() {
        use SortKey::{Name, Size, Time};
        #[rustfmt::skip]
        let rows: &[(&[u8], Selection, &str)] = &[
            (b"", selection(Name, false, ""), "nothing said"),
            (b"C=N&O=A", selection(Name, false, ""), "the default"),
            (b"C=S;O=D", selection(Size, true, ""), "a semicolon"),
            (b"O=D&C=M", selection(Time, true, ""), "the other way round"),
            (b"O=D", selection(Name, true, ""), "no column"),
            (b"x=1&C=M&C=X&O", selection(Time, false, ""), "unknown ones"),
            (b"q=a+b%3B%26", selection(Name, false, "a b;&"), "a form"),
            (b"q=%zz%", selection(Name, false, "%zz%"), "no escape"),
            (b"q=", selection(Name, false, ""), "an empty form"),
            (b"C=S&q=x&O=D", selection(Size, true, "x"), "all of them"),
            (b"q=x&q=y", selection(Name, false, "y"), "the last one counts"),
        ];
        for (query, want, name) in rows {
            assert_eq!(Selection::from_query(query), *want, "{name}");
        }
        assert_eq!(Selection::from_query(b"q=%E9%00").search, b"\xe9\0", "bytes of any charset");
    }

    #[test]
    fn searches() {
        #[rustfmt::skip]
        let rows: &[(&str, &str, bool)] = &[
            ("", "anything", true), ("a", "a", true), ("hol", "Holiday.jpg", true), ("DAY.J", "Holiday.jpg", true),
            ("jpg", "Holiday.jpg", true), ("jpeg", "Holiday.jpg", false), ("longer than it", "short", false),
            ("é", "café", true), ("É", "café", false), (".*", "a.b", false), ("%", "100%", true),
        ];
        for &(search, name, want) in rows {
            assert_eq!(selection(SortKey::Name, false, search).shows(name.as_bytes()), want, "{search} in {name}");
        }
    }

    #[test]
    fn orders() {
        let entries =
            [entry("b", false, 2, 1), entry("a", false, 2, 2), entry("c", false, 1, 3), entry("z", true, 1, 1)];
        let entries = [&entries[..], &[entry("y", true, 9, 2)]].concat();
        #[rustfmt::skip]
        let rows: &[(SortKey, bool, &[u8])] = &[
            (SortKey::Name, false, b"yzabc"),
            (SortKey::Name, true, b"zycba"),
            (SortKey::Size, false, b"yzcab"),
            (SortKey::Size, true, b"yzabc"),
            (SortKey::Time, false, b"zybac"),
            (SortKey::Time, true, b"yzcab"),
        ];
        for &(key, descending, want) in rows {
            let sorted = selection(key, descending, "").sort(entries.clone());
            let got: Vec<_> = sorted.iter().flat_map(|e| e.name.clone()).collect();
            assert_eq!(got, want, "{key:?} {descending}");
        }
    }
}
