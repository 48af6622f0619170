//! The cache of hot files. An entry is valid as long as stat(2) reports the same for its name.
//!
//! Every request still calls stat(2), so the very next request sees a file that was changed or replaced. The cache saves
//! opening, reading and closing the file, and building its header lines.
//!
//! A change through a shared memory mapping may be seen late: the kernel updates the file's times when it sees fit.

use super::hot_file::HotFile;
use super::limits::{HOT_BYTES, HOT_DESCRIPTORS, HOT_FILES};
use crate::http::Coding;
use std::ffi::CStr;
use std::rc::Rc;

/// A hash table in which each name has one place. Two names that share a place evict each other.
#[derive(Default)]
pub(super) struct Cache {
    places: Vec<Option<Rc<HotFile>>>,
    bytes: u64,
    descriptors: usize,
}

impl Cache {
    /// The file of that name, if it is cached. The caller checks with stat(2) whether it is still the same.
    pub(super) fn get(&self, name: &CStr, coding: Coding) -> Option<Rc<HotFile>> {
        let hot = self.places.get(place_of(name, coding))?.as_ref()?;
        (hot.coding == coding && hot.name.as_c_str() == name).then(|| Rc::clone(hot))
    }

    /// Drops a file that has changed.
    pub(super) fn remove(&mut self, hot: &HotFile) {
        self.clear_place(place_of(&hot.name, hot.coding));
    }

    /// Caches a file, if there is room for it.
    pub(super) fn insert(&mut self, hot: &Rc<HotFile>) {
        let place = place_of(&hot.name, hot.coding);
        self.clear_place(place);
        if !self.has_room(hot) {
            self.sweep();
        }
        if self.has_room(hot) {
            self.bytes += hot.content.memory();
            self.descriptors += hot.content.descriptors();
            // Only here: the sweep may have freed the table.
            self.places.resize_with(HOT_FILES, || None);
            self.places[place] = Some(Rc::clone(hot));
        }
    }

    fn has_room(&self, hot: &HotFile) -> bool {
        self.bytes + hot.content.memory() <= HOT_BYTES
            && self.descriptors + hot.content.descriptors() <= HOT_DESCRIPTORS
    }

    fn clear_place(&mut self, place: usize) {
        if let Some(old) = self.places.get_mut(place).and_then(Option::take) {
            self.bytes -= old.content.memory();
            self.descriptors -= old.content.descriptors();
        }
    }

    /// Drops every file that was not used since the last sweep. Returns true if none is left.
    pub(super) fn sweep(&mut self) -> bool {
        for place in 0..self.places.len() {
            if self.places[place].as_ref().is_some_and(|hot| !hot.take_used()) {
                self.clear_place(place);
            }
        }
        let empty = self.places.iter().all(Option::is_none);
        if empty {
            self.places = Vec::new();
        }
        empty
    }
}

fn place_of(name: &CStr, coding: Coding) -> usize {
    (hash_of(name) as usize ^ coding as usize) % HOT_FILES
}

/// FNV-1a: names are short, and an attacker who finds collisions gains no more than cache misses.
pub(super) fn hash_of(name: &CStr) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for &byte in name.to_bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::fs::File;
    use std::path::Path;

    fn load(path: &Path) -> Rc<HotFile> {
        let name = CString::new(path.file_name().unwrap().as_encoded_bytes()).unwrap();
        let file = File::open(path).unwrap();
        Rc::new(HotFile::load(file, name, "text/plain", Coding::Identity, false, 0).unwrap())
    }

    #[test]
    fn a_removed_file_is_not_found() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let hot = load(&path);
        let mut cache = Cache::default();
        cache.insert(&hot);
        assert!(cache.get(c"a", Coding::Identity).is_some_and(|kept| Rc::ptr_eq(&kept, &hot)));
        assert!(cache.get(c"a", Coding::Gzip).is_none(), "another coding is another file");
        assert!(cache.get(c"b", Coding::Identity).is_none());
        cache.remove(&hot);
        assert!(cache.get(c"a", Coding::Identity).is_none());
        assert_eq!((cache.bytes, cache.descriptors), (0, 0));
    }

    #[test]
    fn memory_and_descriptors_are_bounded() {
        let temp = tempfile::tempdir().unwrap();
        let mut cache = Cache::default();
        for n in 0..200 {
            let path = temp.path().join(format!("small{n}"));
            std::fs::write(&path, vec![0; 16 << 10]).unwrap();
            cache.insert(&load(&path));
            let path = temp.path().join(format!("large{n}"));
            std::fs::write(&path, vec![0; (16 << 10) + 1]).unwrap();
            cache.insert(&load(&path));
            assert!(cache.bytes <= HOT_BYTES && cache.descriptors <= HOT_DESCRIPTORS);
        }
        // The first sweep clears the marks of use, the second drops everything, the table too. It grows again after.
        for n in 0..200 {
            let path = temp.path().join(format!("large{n}"));
            cache.insert(&load(&path));
            assert!(cache.descriptors <= HOT_DESCRIPTORS);
        }
        assert!(!cache.sweep(), "what is new survives one sweep");
        assert!(cache.sweep());
        assert_eq!((cache.bytes, cache.descriptors), (0, 0));
    }
}
