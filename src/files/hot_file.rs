//! A file ready to be sent, and whether it is still the same on disk.

use super::header_lines::{self, FileStat};
use super::limits::ROOT_CHECK;
use super::sendfile_or_read::Content;
use super::settled::{is_settled, unix_now};
use crate::http::Coding;
use crate::sys::{self, Stat};
use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// A file ready to be sent: its facts, its header lines, its content.
pub(super) struct HotFile {
    pub(super) name: CString,
    pub(super) coding: Coding,
    stat: Stat,
    pub(super) facts: FileStat,
    pub(super) content_type: &'static str,
    pub(super) etag: String,
    /// The header lines of a 200.
    pub(super) lines: Vec<u8>,
    pub(super) content: Content,
    /// Asked for since the last [`take_used`](HotFile::take_used).
    used: Cell<bool>,
    /// When the folders on its path were last checked, in milliseconds of the loop's clock.
    checked: Cell<u64>,
    /// The turn of the loop in which it was last found unchanged on disk.
    seen: Cell<u32>,
}

impl HotFile {
    /// Loads an open file. `now` is the loop's clock, in milliseconds: the folders on its path were checked then.
    ///
    /// # Errors
    /// `PermissionDenied` if it is not a regular file; those of fstat(2) and read(2).
    pub(super) fn load(
        file: File,
        name: CString,
        content_type: &'static str,
        coding: Coding,
        vary: bool,
        now: u64,
    ) -> io::Result<HotFile> {
        let stat = sys::stat_at(file.as_fd(), c"")?;
        if !stat.is_file() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut facts = FileStat { ino: stat.ino, size: stat.size, mtime: stat.mtime.0, mtime_nsec: stat.mtime.1 };
        let etag = header_lines::etag(&facts, coding);
        // RFC 9110 §8.8.2.1: not later than `Date`.
        facts.mtime = facts.mtime.min(i64::try_from(unix_now()).unwrap_or(i64::MAX));
        let mut lines = Vec::with_capacity(256);
        header_lines::push_file(&mut lines, Some(content_type), &etag, facts.mtime, coding, vary);
        // Fails if the file has shrunk since: this request gets a 500, the next one the new file.
        let content = Content::load(file, stat.size)?;
        let (used, checked, seen) = (Cell::new(true), Cell::new(now), Cell::default());
        Ok(HotFile { name, coding, stat, facts, content_type, etag, lines, content, used, checked, seen })
    }

    /// Whether `stat` describes the file that was loaded. Marks it as used.
    pub(super) fn is_still(&self, stat: &Stat) -> bool {
        self.used.set(true);
        self.stat == *stat
    }

    /// Whether the folders on its path must be checked again: one may have been closed or renamed.
    pub(super) fn is_check_due(&self, now: u64) -> bool {
        now >= self.checked.get().saturating_add(ROOT_CHECK)
    }

    /// Records that the folders on its path were checked.
    pub(super) fn set_checked(&self, now: u64) {
        self.checked.set(now);
    }

    /// Whether it was found unchanged on disk in this turn of the loop.
    pub(super) fn was_seen(&self, moment: u32) -> bool {
        self.seen.get() == moment
    }

    /// Records that it is unchanged on disk.
    pub(super) fn set_seen(&self, moment: u32) {
        self.seen.set(moment);
    }

    /// Whether it was used since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.used.replace(false)
    }

    /// The permissions of the file that was opened.
    pub(super) fn mode(&self) -> u16 {
        self.stat.mode
    }

    /// Whether every later change is sure to show in stat(2).
    pub(super) fn is_settled(&self) -> bool {
        // `Last-Modified` of a file from the future is the current second, so its lines change with each.
        let from_the_past = self.facts.mtime == self.stat.mtime.0;
        from_the_past && is_settled(&self.stat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let file = File::open(&path).unwrap();
        let hot = HotFile::load(file, c"a".to_owned(), "text/plain", Coding::Identity, false, 5).unwrap();
        assert!(!hot.is_settled(), "it was just written");
        assert!(hot.is_still(&hot.stat));
        let changed = Stat { ctime: (hot.stat.ctime.0, hot.stat.ctime.1 ^ 1), ..hot.stat };
        assert!(!hot.is_still(&changed));
        assert!(!hot.is_check_due(4 + ROOT_CHECK) && hot.is_check_due(5 + ROOT_CHECK));
    }

    #[test]
    fn only_regular_files_are_loaded() {
        let temp = tempfile::tempdir().unwrap();
        let folder = File::open(temp.path()).unwrap();
        let loaded = HotFile::load(folder, c"a".to_owned(), "text/plain", Coding::Identity, false, 0);
        assert_eq!(loaded.err().unwrap().kind(), io::ErrorKind::PermissionDenied);
    }
}
