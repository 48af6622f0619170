//! Hot files: what was read of a file, valid as long as stat(2) tells the same of it.
//!
//! Every request still asks stat(2), so a file that is replaced or changed is seen by the very next request. What the
//! cache spares is opening, reading and closing, and making the header lines anew.
//!
//! A file changed through a shared memory mapping may be seen late: the kernel notes such changes when it likes.

use super::Store;
use super::limits::{HOT_BYTES, HOT_DESCRIPTORS, HOT_FILES, HOT_TIME, ROOT_CHECK, SETTLED, SMALL_FILE};
use super::plan::{self, Facts};
use crate::http::Coding;
use crate::rt::{Runtime, sleep};
use crate::sys::{self, Stat};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file ready to be sent.
pub(crate) struct Hot {
    name: CString,
    pub(crate) coding: Coding,
    stat: Stat,
    pub(crate) facts: Facts,
    pub(crate) content_type: &'static str,
    pub(crate) etag: String,
    /// The header lines of a 200.
    pub(crate) lines: Vec<u8>,
    pub(crate) content: Content,
    /// Asked for since the last sweep.
    used: Cell<bool>,
    /// When the folders that its name leads through were last looked at, in milliseconds of the loop's clock.
    followed: Cell<u64>,
}

pub(crate) enum Content {
    Bytes(Rc<[u8]>),
    File(Rc<File>),
}

impl Hot {
    /// Reads a small file, keeps a large one open.
    pub(crate) fn load(
        mut file: File,
        name: CString,
        content_type: &'static str,
        coding: Coding,
        vary: bool,
    ) -> io::Result<Hot> {
        let stat = sys::stat_at(file.as_fd(), c"")?;
        if !stat.is_file() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut facts = Facts { ino: stat.ino, size: stat.size, mtime: stat.mtime.0, mtime_nsec: stat.mtime.1 };
        let etag = plan::etag(&facts, coding);
        // RFC 9110 §8.8.2.1: not later than `Date`.
        facts.mtime = facts.mtime.min(i64::try_from(unix_now()).unwrap_or(i64::MAX));
        let mut lines = Vec::with_capacity(256);
        plan::file_lines(&mut lines, Some(content_type), &etag, facts.mtime, coding, vary);
        let content = if stat.size <= SMALL_FILE {
            let mut bytes = vec![0; usize::try_from(stat.size).unwrap_or_default()];
            // Fails when the file shrank since: 500 this time, right the next.
            file.read_exact(&mut bytes)?;
            Content::Bytes(bytes.into())
        } else {
            Content::File(Rc::new(file))
        };
        Ok(Hot {
            name,
            coding,
            stat,
            facts,
            content_type,
            etag,
            lines,
            content,
            used: Cell::new(true),
            followed: Cell::default(),
        })
    }

    /// Whether the file is what it was, by what is now told of it; marks it as used.
    pub(crate) fn is_still(&self, stat: &Stat) -> bool {
        self.used.set(true);
        self.stat == *stat
    }

    /// Whether the folders on its way are to be looked at again: one may have been closed since, or renamed.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        now >= self.followed.get().saturating_add(ROOT_CHECK)
    }

    /// Notes that its name leads to it.
    pub(crate) fn followed(&self, now: u64) {
        self.followed.set(now);
    }

    /// The permissions of what was opened.
    pub(crate) fn mode(&self) -> u16 {
        self.stat.mode
    }

    fn bytes(&self) -> u64 {
        match self.content {
            Content::Bytes(_) => self.facts.size,
            Content::File(_) => 0,
        }
    }

    fn descriptors(&self) -> usize {
        usize::from(matches!(self.content, Content::File(_)))
    }

    /// Whether a later change is sure to show in what stat(2) tells.
    fn is_settled(&self) -> bool {
        let changed = u64::try_from(self.stat.ctime.0).unwrap_or(0);
        // Of one from the future, what clients are told changes with each second.
        let from_the_past = self.facts.mtime == self.stat.mtime.0;
        from_the_past && changed.saturating_add(SETTLED.as_secs()) <= unix_now()
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// The hot files: each has one place, by its name; two that share a place displace each other.
#[derive(Default)]
pub(crate) struct Cache {
    places: Vec<Option<Rc<Hot>>>,
    bytes: u64,
    descriptors: usize,
}

impl Cache {
    /// The file of that name, if it is kept; whether it is still the same is for stat(2) to tell.
    pub(crate) fn get(&self, name: &CStr, coding: Coding) -> Option<Rc<Hot>> {
        let hot = self.places.get(place_of(name, coding))?.as_ref()?;
        (hot.coding == coding && hot.name.as_c_str() == name).then(|| Rc::clone(hot))
    }

    /// Keeps a file no longer that has changed.
    pub(crate) fn forget(&mut self, hot: &Hot) {
        self.remove(place_of(&hot.name, hot.coding));
    }

    fn insert(&mut self, hot: &Rc<Hot>) {
        let place = place_of(&hot.name, hot.coding);
        self.remove(place);
        if self.bytes + hot.bytes() > HOT_BYTES || self.descriptors + hot.descriptors() > HOT_DESCRIPTORS {
            self.sweep();
        }
        if self.bytes + hot.bytes() <= HOT_BYTES && self.descriptors + hot.descriptors() <= HOT_DESCRIPTORS {
            self.bytes += hot.bytes();
            self.descriptors += hot.descriptors();
            // Only here: the sweep may have given the table's memory back.
            self.places.resize_with(HOT_FILES, || None);
            self.places[place] = Some(Rc::clone(hot));
        }
    }

    fn remove(&mut self, place: usize) {
        if let Some(old) = self.places.get_mut(place).and_then(Option::take) {
            self.bytes -= old.bytes();
            self.descriptors -= old.descriptors();
        }
    }

    /// Drops what was not asked for since the last sweep; true when nothing is left.
    fn sweep(&mut self) -> bool {
        for place in 0..self.places.len() {
            if self.places[place].as_ref().is_some_and(|hot| !hot.used.replace(false)) {
                self.remove(place);
            }
        }
        let empty = self.places.iter().all(Option::is_none);
        if empty {
            self.places = Vec::new();
        }
        empty
    }
}

/// Keeps a file for the requests to come, if that is safe.
pub(crate) fn keep(files: &Store, hot: &Rc<Hot>) {
    if hot.is_settled() {
        files.cache.borrow_mut().insert(hot);
    }
}

/// Lets go of hot files that are not used any more, and of the document root after them.
pub(crate) fn tend(files: &Rc<Store>, runtime: &Runtime) {
    let files = Rc::downgrade(files);
    runtime.spawn(Box::pin(async move {
        loop {
            sleep(HOT_TIME).await;
            let Some(files) = files.upgrade() else { return };
            let empty = files.cache.borrow_mut().sweep();
            if files.root.borrow_mut().rest() && empty {
                files.tended.set(false);
                return;
            }
        }
    }));
}

/// FNV-1a: names are short, and an attacker who finds collisions wins a cache miss.
fn place_of(name: &CStr, coding: Coding) -> usize {
    let mut hash = 0x811c_9dc5_u32 ^ coding as u32;
    for &byte in name.to_bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    (hash ^ (hash >> 15)) as usize % HOT_FILES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    fn load(path: &Path) -> Rc<Hot> {
        let name = CString::new(path.file_name().unwrap().as_encoded_bytes()).unwrap();
        let file = File::options().read(true).custom_flags(0).open(path).unwrap();
        Rc::new(Hot::load(file, name, "text/plain", Coding::Identity, false).unwrap())
    }

    #[test]
    fn a_changed_file_is_not_found() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let hot = load(&path);
        let mut cache = Cache::default();
        cache.insert(&hot);
        assert!(cache.get(c"a", Coding::Identity).is_some_and(|kept| kept.is_still(&hot.stat)));
        assert!(cache.get(c"a", Coding::Gzip).is_none(), "another coding is another thing");
        assert!(cache.get(c"b", Coding::Identity).is_none());
        let changed = Stat { ctime: (hot.stat.ctime.0, hot.stat.ctime.1 ^ 1), ..hot.stat };
        assert!(!hot.is_still(&changed));
        cache.forget(&hot);
        assert!(cache.get(c"a", Coding::Identity).is_none());
        assert_eq!((cache.bytes, cache.descriptors), (0, 0));
    }

    #[test]
    fn a_file_just_written_is_not_kept() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        std::fs::write(&path, "one").unwrap();
        assert!(!load(&path).is_settled());
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
        // One sweep takes the marks of use away, the next takes everything: the table itself goes, and is made anew.
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
