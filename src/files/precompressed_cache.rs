//! Which precompressed forms of a file exist. Browsers accept them with every request, and most files have none.
//!
//! What was found counts for [`ROOT_CHECK`](super::limits::ROOT_CHECK), so a new one may be noticed that much later. A
//! missing one is noticed at once, as it is opened or checked by stat(2) before it is sent.

use super::cache::hash_of;
use super::limits::SIBLINGS_KEPT;
use super::precompressed::Codings;
use std::ffi::CStr;

/// A hash table in which each name has one place. Two names that share a place evict each other.
#[derive(Default)]
pub(super) struct Siblings {
    places: Vec<Place>,
}

/// Names are distinguished by their hash only. If two collide, one of them may be sent uncompressed, or searched for in
/// vain.
#[derive(Clone, Default)]
struct Place {
    hash: u32,
    codings: Codings,
    /// In milliseconds of the loop's clock.
    until: u64,
}

impl Siblings {
    /// The forms that `name` may have; `None` if they must be looked for.
    pub(super) fn get(&self, name: &CStr, now: u64) -> Option<Codings> {
        let hash = hash_of(name);
        let place = self.places.get(place_of(hash))?;
        (place.hash == hash && now < place.until).then_some(place.codings)
    }

    pub(super) fn insert(&mut self, name: &CStr, codings: Codings, until: u64) {
        let hash = hash_of(name);
        self.places.resize(SIBLINGS_KEPT, Place::default());
        self.places[place_of(hash)] = Place { hash, codings, until };
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.places = Vec::new();
    }
}

fn place_of(hash: u32) -> usize {
    hash as usize % SIBLINGS_KEPT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Coding;

    #[test]
    fn what_is_known_ends_with_its_time() {
        let gzip = Codings::which(|coding| coding == Coding::Gzip);
        let mut siblings = Siblings::default();
        assert_eq!(siblings.get(c"a", 0), None);
        siblings.insert(c"a", gzip, 1000);
        siblings.insert(c"b", Codings::default(), 1000);
        assert_eq!(siblings.get(c"a", 999), Some(gzip));
        assert_eq!(siblings.get(c"b", 999), Some(Codings::default()));
        assert_eq!(siblings.get(c"a", 1000), None);
        assert_eq!(siblings.get(c"c", 0), None, "another name");
        siblings.clear();
        assert_eq!(siblings.get(c"a", 0), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut siblings = Siblings::default();
        for n in 0..10_000 {
            let name = std::ffi::CString::new(format!("{n}")).unwrap();
            siblings.insert(&name, Codings::default(), 1);
            assert_eq!(siblings.get(&name, 0), Some(Codings::default()));
        }
        assert_eq!(siblings.places.len(), SIBLINGS_KEPT);
    }
}
