//! Checking each segment of a path: is the name listed by its folder, and may clients enter that folder?
//!
//! FAT knows a file by several names: `private-things` is `PRIVAT~1` and `private-things.`, too. Logins and scripts go by
//! names, so a file is served only under the name that its folder lists. The case of ASCII letters may differ, because
//! everything that compares paths ignores it as well.

use super::descriptors::proc_path;
use super::limits::{FOLDERS_KEPT, NAMES_KEPT};
use crate::sys;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// The folders that were checked lately, each kept for [`ROOT_CHECK`](super::limits::ROOT_CHECK).
#[derive(Default)]
pub(super) struct ListedNames {
    folders: Vec<Folder>,
    /// Keyed, so that nobody can find two names with one hash.
    hasher: RandomState,
}

/// A folder that a path leads through.
struct Folder {
    /// Relative to the document root, which itself is the empty path.
    path: Vec<u8>,
    /// When it must be checked again, in milliseconds of the loop's clock.
    until: u64,
    /// All users of the system may enter it: `S_IXOTH`.
    public: bool,
    names: Names,
}

/// Which names open the files of a folder.
enum Names {
    /// Only those that it lists.
    Exact,
    /// Others, too. These are the hashes of those that it lists, in lower case.
    Listed(Vec<u64>),
    /// Others, too, and it lists too many to keep: the folder is read each time.
    Many,
}

/// `S_IXOTH`.
const WORLD_ENTERS: u16 = 0o001;

/// File systems that have one name for each file, by their number in statfs(2).
#[rustfmt::skip]
const EXACT: &[u32] = &[
    0x7371_7368, // squashfs
    0x0000_72b6, // jffs2
    0x2405_1905, // ubifs
    0x794c_7630, // overlayfs, which refuses layers that fold case
    0x8584_58f6, // ramfs
    0x9123_683e, // btrfs
    0x5846_5342, // xfs; made with `ascii-ci` it ignores the case of ASCII
    0xe0f5_e1e2, // erofs
    0x28cd_3d45, // cramfs
    0x5941_ff53, // yaffs2
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x0000_0187, // autofs, which may not list what it mounts on demand
];

/// File systems on which single folders may ignore case: a flag says which do.
#[rustfmt::skip]
const FOLDING: &[u32] = &[
    0x0000_ef53, // ext2, ext3, ext4
    0xf2f5_2010, // f2fs
    0x0102_1994, // tmpfs
];

impl ListedNames {
    /// Whether clients may use `name` in the folder at `path`; `None` if the folder must be checked first.
    ///
    /// # Errors
    /// `NotFound` if the folder does not list the name; `PermissionDenied` if `public` is set and not all users may
    /// enter the folder.
    pub(super) fn check_known(&self, path: &[u8], name: &[u8], public: bool, now: u64) -> Option<io::Result<()>> {
        let folder = self.folders.iter().find(|folder| folder.path == path && now < folder.until)?;
        if public && !folder.public {
            return Some(Err(io::ErrorKind::PermissionDenied.into()));
        }
        let listed = match &folder.names {
            Names::Exact => true,
            Names::Listed(names) => names.contains(&self.hash(name)),
            Names::Many => return None,
        };
        Some(if listed { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) })
    }

    /// Reads a folder, keeps the result until `until`, and answers as [`check_known`](ListedNames::check_known) does.
    pub(super) fn check_folder(
        &mut self,
        path: &[u8],
        dir: &File,
        name: &[u8],
        public: bool,
        until: u64,
    ) -> io::Result<()> {
        let mode = sys::stat_at(dir.as_fd(), c"")?.mode;
        // The document root was chosen by the operator.
        let open = path.is_empty() || mode & WORLD_ENTERS != 0;
        let (listed, names) = if is_exact(dir)? { (true, Names::Exact) } else { self.read(dir, name)? };
        self.keep(Folder { path: path.to_vec(), until, public: open, names });
        match (public && !open, listed) {
            (true, _) => Err(io::ErrorKind::PermissionDenied.into()),
            (false, true) => Ok(()),
            (false, false) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.folders = Vec::new();
    }

    /// Reads the names of a folder. Returns whether `name` is one of them, too.
    fn read(&self, dir: &File, name: &[u8]) -> io::Result<(bool, Names)> {
        let wanted = self.hash(name);
        let (mut names, mut listed) = (Vec::new(), false);
        for entry in std::fs::read_dir(proc_path(dir.as_fd()))? {
            let hash = self.hash(entry?.file_name().as_bytes());
            listed |= hash == wanted;
            if names.len() < NAMES_KEPT {
                names.push(hash);
            } else if listed {
                return Ok((true, Names::Many));
            }
        }
        Ok((listed, if names.len() < NAMES_KEPT { Names::Listed(names) } else { Names::Many }))
    }

    /// Keeps what is known of a folder, in place of what was kept longest.
    fn keep(&mut self, folder: Folder) {
        let count = |names: &Names| if let Names::Listed(names) = names { names.len() } else { 0 };
        let kept: usize = self.folders.iter().map(|folder| count(&folder.names)).sum();
        let room = NAMES_KEPT - count(&folder.names);
        self.folders.retain(|other| other.path != folder.path && (kept <= room || count(&other.names) == 0));
        if self.folders.len() >= FOLDERS_KEPT {
            self.folders.remove(0);
        }
        self.folders.push(folder);
    }

    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        name.iter().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
        hasher.finish()
    }
}

/// Whether a folder opens files only by the names that it lists. The file system decides, so this works for folders that
/// can't be read, too.
fn is_exact(dir: &File) -> io::Result<bool> {
    let kind = sys::file_system(dir.as_fd())?;
    Ok(EXACT.contains(&kind) || FOLDING.contains(&kind) && !sys::folds_case(dir.as_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(temp.path().join(name), "").unwrap());
        temp
    }

    fn open(path: &Path) -> File {
        File::open(path).unwrap()
    }

    #[test]
    fn only_listed_names_open_a_file() {
        let temp = folder(&["private-things", "page.sh", "ÄRGER.txt", "x (deleted)"]);
        let known = ListedNames::default();
        #[rustfmt::skip]
        let rows = [
            ("private-things", true, "as it is listed"),
            ("Private-THINGS", true, "in another case"),
            ("private-things.", false, "with a dot, which FAT drops"),
            ("private-things...", false, "with more of them"),
            ("private-things ", false, "with a blank, likewise"),
            ("PRIVAT~1", false, "by its short name"),
            ("private-things\u{200d}", false, "with a letter that folding case drops"),
            ("private-things::$DATA", false, "with a stream of NTFS"),
            ("private-thing", false, "cut"),
            ("page.sh", true, "a script"),
            ("page.sh.", false, "a script with a dot"),
            ("ÄRGER.txt", true, "beyond ASCII"),
            ("ÄRGER.TXT", true, "the case of its ASCII"),
            ("ärger.txt", false, "the case of its other letters, which no login ignores"),
            ("A\u{308}RGER.txt", false, "composed in another way"),
            ("x (deleted)", true, "what the kernel says of files that are gone"),
        ];
        for (name, expected, what) in rows {
            let (listed, names) = known.read(&open(temp.path()), name.as_bytes()).unwrap();
            assert_eq!(listed, expected, "{what}: {name:?}");
            let Names::Listed(names) = names else { panic!("four names are few") };
            assert_eq!(names.contains(&known.hash(name.as_bytes())), expected, "kept: {what}: {name:?}");
        }
    }

    #[test]
    fn what_is_known_of_a_folder_ends_with_its_time() {
        let temp = folder(&["file"]);
        std::fs::create_dir(temp.path().join("sub")).unwrap();
        let sub = open(&temp.path().join("sub"));
        let mut known = ListedNames::default();
        assert!(known.check_known(b"sub", b"x", false, 5).is_none(), "nothing is known");
        known.check_folder(b"sub", &sub, b"x", false, 1000).unwrap();
        assert!(known.check_known(b"sub", b"y", true, 999).is_some_and(|answer| answer.is_ok()));
        assert!(known.check_known(b"sub", b"y", true, 1000).is_none());
        assert!(known.check_known(b"su", b"y", true, 5).is_none(), "another folder");
        known.clear();
        assert!(known.check_known(b"sub", b"y", true, 5).is_none());
    }

    #[test]
    fn a_folder_that_is_closed_to_others() {
        let temp = tempfile::tempdir().unwrap();
        let sub = temp.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        for (mode, open_to_all) in [(0o700, false), (0o750, false), (0o704, false), (0o701, true), (0o755, true)] {
            std::fs::set_permissions(&sub, PermissionsExt::from_mode(mode)).unwrap();
            let mut known = ListedNames::default();
            let looked = known.check_folder(b"sub", &open(&sub), b"x", true, 9);
            assert_eq!(looked.is_ok(), open_to_all, "{mode:o}");
            assert_eq!(known.check_known(b"sub", b"x", true, 1).unwrap().is_ok(), open_to_all, "{mode:o}");
            assert!(known.check_known(b"sub", b"x", false, 1).unwrap().is_ok(), "{mode:o}: nobody asks for that");
            known.check_folder(b"", &open(&sub), b"x", true, 9).unwrap();
        }
    }

    #[test]
    fn memory_is_bounded() {
        let temp = folder(&[]);
        for n in 0..NAMES_KEPT + 5 {
            std::fs::write(temp.path().join(format!("{n}")), "").unwrap();
        }
        let mut known = ListedNames::default();
        let (listed, names) = known.read(&open(temp.path()), b"7").unwrap();
        assert!(listed && matches!(names, Names::Many));
        let (listed, names) = known.read(&open(temp.path()), b"7.").unwrap();
        assert!(!listed && matches!(names, Names::Many));
        for n in 0..100_u8 {
            let names = if n % 2 == 0 { Names::Exact } else { Names::Listed(vec![0; 1500]) };
            known.keep(Folder { path: vec![n], until: 9, public: true, names });
            let kept = |folder: &Folder| if let Names::Listed(names) = &folder.names { names.len() } else { 0 };
            assert!(known.folders.len() <= FOLDERS_KEPT && known.folders.iter().map(kept).sum::<usize>() <= NAMES_KEPT);
            assert_eq!(known.folders.last().unwrap().path, [n]);
        }
        known.keep(Folder { path: vec![99], until: 9, public: true, names: Names::Many });
        assert!(known.check_known(&[99], b"x", false, 1).is_none(), "it is read each time");
        assert_eq!(known.folders.iter().filter(|folder| folder.path == [99]).count(), 1, "once");
    }

    /// What these tests run on is one of either kind, and folds nothing.
    #[test]
    fn an_ordinary_file_system_is_exact() {
        let temp = folder(&["file"]);
        assert!(is_exact(&open(temp.path())).unwrap());
        assert!(is_exact(&open(Path::new("/proc"))).unwrap());
    }
}
