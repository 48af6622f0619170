//! Whether a file has changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is different once a file has been replaced or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    size: u64,
    written: (i64, i64),
}

impl Stamp {
    /// `None` if there is no such file.
    pub fn of(path: &Path) -> Option<Stamp> {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let written = (meta.mtime(), meta.mtime_nsec());
        Some(Stamp { place: (meta.dev(), meta.ino()), size: meta.size(), written })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        assert_eq!((Stamp::of(&file), Stamp::of(folder.path())), (None, None));
        fs::write(&file, "1").unwrap();
        let first = Stamp::of(&file);
        assert!(first.is_some() && first == Stamp::of(&file));
        fs::write(&file, "22").unwrap();
        let second = Stamp::of(&file);
        assert_ne!(first, second);
        fs::write(folder.path().join("b"), "22").unwrap();
        fs::rename(folder.path().join("b"), &file).unwrap();
        assert_ne!(second, Stamp::of(&file));
    }
}
