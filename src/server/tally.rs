//! Requests by the class of their status.

use std::cell::Cell;

/// Classes of statuses: 1xx to 5xx.
const CLASSES: usize = 5;

/// Counts requests by the class of their status, for a site or a part of one.
///
/// [`Options::tally`](crate::Options::tally) has the requests of a site counted, and
/// [`Connection::count_in`](crate::Connection::count_in) a single one in another tally.
#[derive(Debug, Default)]
pub struct Tally {
    name: String,
    classes: [Cell<u64>; CLASSES],
}

impl Tally {
    /// A tally that has counted nothing. The name is for those who read it.
    pub fn new(name: impl Into<String>) -> Tally {
        Tally { name: name.into(), classes: Default::default() }
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Requests so far by the class of their status: the first is 1xx, the last 5xx.
    ///
    /// One whose client left before there was a status counts as 4xx. One that was upgraded is 1xx.
    pub fn classes(&self) -> [u64; CLASSES] {
        self.classes.each_ref().map(Cell::get)
    }

    /// Requests so far.
    pub fn total(&self) -> u64 {
        self.classes().iter().sum()
    }

    pub(super) fn count(&self, status: u16) {
        // Whatever is no status counts as the last class.
        let class = usize::from(status.wrapping_sub(100) / 100).min(CLASSES - 1);
        self.classes[class].update(|count| count + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_class() {
        let tally = Tally::new("a");
        for status in [101, 200, 204, 304, 404, 499, 500, 599, 999, 0] {
            tally.count(status);
        }
        assert_eq!((tally.name(), tally.classes(), tally.total()), ("a", [1, 2, 1, 2, 4], 10));
    }
}
