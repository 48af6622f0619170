//! Checking each segment of a path: is the name listed by its folder, and may clients enter that folder?
//!
//! FAT knows a file by several names: `private-things` is `PRIVAT~1` and `private-things.`, too. Logins and scripts go by
//! names, so a file is served only under the name that its folder lists. The case of ASCII letters may differ, because
//! everything that compares paths ignores it as well.
//!
//! The same list tells which precompressed files exist.

use super::descriptors::proc_path;
use super::limits::{ENTRIES_READ, FOLDERS_KEPT, NAMES_KEPT};
use super::precompressed::{Codings, is_coded};
use super::settled::is_settled;
use crate::http::Coding;
use crate::sys::{self, Stat};
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
    /// Of the folder when it was read, if every later change is sure to show in stat(2).
    stat: Option<Stat>,
    /// All users of the system may enter it: `S_IXOTH`.
    public: bool,
    names: Names,
}

/// Which names open the files of a folder.
enum Names {
    /// Only those that it lists.
    Exact(Coded),
    /// Others, too. These are the hashes of those that it lists, in lower case.
    Listed(Vec<u64>),
    /// Others, too, and it lists too many to keep: the folder is read each time.
    Many,
}

/// Which of them may be precompressed files.
enum Coded {
    /// Nobody has asked yet, so the folder was not read.
    Unread,
    /// These, as hashes of the names in lower case.
    Known(Vec<u64>),
    /// The folder changes, has too many entries, or can't be read.
    Unknown,
}

impl Names {
    /// Hashes that include those of all precompressed files.
    fn known(&self) -> Option<&[u64]> {
        match self {
            Names::Exact(Coded::Known(names)) | Names::Listed(names) => Some(names),
            Names::Exact(Coded::Unread | Coded::Unknown) | Names::Many => None,
        }
    }
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
        let folder = self.find(path, now)?;
        if public && !folder.public {
            return Some(Err(io::ErrorKind::PermissionDenied.into()));
        }
        let listed = match &folder.names {
            Names::Exact(_) => true,
            Names::Listed(names) => names.contains(&self.hash(name)),
            Names::Many => return None,
        };
        Some(if listed { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) })
    }

    /// Checks a folder, keeps the result until `until`, and answers as [`check_known`](ListedNames::check_known) does. Reads
    /// the folder only where files have several names.
    pub(super) fn check_folder(
        &mut self,
        path: &[u8],
        dir: &File,
        name: &[u8],
        public: bool,
        until: u64,
    ) -> io::Result<()> {
        let stat = sys::stat_at(dir.as_fd(), c"")?;
        // The document root was chosen by the operator.
        let open = path.is_empty() || stat.mode & WORLD_ENTERS != 0;
        let unchanged = self.folders.iter().position(|folder| folder.path == path && folder.stat == Some(stat));
        let listed = match unchanged {
            Some(at) => {
                let folder = self.folders.remove(at);
                self.folders.push(Folder { until, ..folder });
                true
            }
            None => {
                let exact = is_exact(dir)?;
                let stat = (exact && is_settled(&stat)).then_some(stat);
                let coded = if stat.is_some() { Coded::Unread } else { Coded::Unknown };
                let (listed, names) = if exact { (true, Names::Exact(coded)) } else { self.read(dir, name)? };
                self.keep(Folder { path: path.to_vec(), until, stat, public: open, names });
                listed
            }
        };
        match (public && !open, listed) {
            (true, _) => Err(io::ErrorKind::PermissionDenied.into()),
            (false, true) => Ok(()),
            (false, false) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether a folder was checked lately.
    pub(super) fn has(&self, path: &[u8], now: u64) -> bool {
        self.find(path, now).is_some()
    }

    /// Whether [`siblings`](ListedNames::siblings) needs the folder to be read.
    pub(super) fn is_unread(&self, path: &[u8], now: u64) -> bool {
        self.find(path, now).is_some_and(|folder| matches!(folder.names, Names::Exact(Coded::Unread)))
    }

    /// Reads which precompressed files a folder has. If it has changed since it was checked, the next check shows that.
    pub(super) fn read_coded(&mut self, path: &[u8], dir: Option<&File>) {
        let Some(at) = self.folders.iter().position(|folder| folder.path == path) else { return };
        let folder = self.folders.remove(at);
        let coded = dir.and_then(|dir| self.coded_names(dir)).map_or(Coded::Unknown, Coded::Known);
        self.keep(Folder { names: Names::Exact(coded), ..folder });
    }

    /// Which precompressed forms a file may have, and until when that holds; `None` if it is not known.
    pub(super) fn siblings(&self, path: &[u8], name: &[u8], now: u64) -> Option<(Codings, u64)> {
        let folder = self.find(path, now)?;
        let known = folder.names.known()?;
        let is_there = |coding: Coding| {
            !known.is_empty() && known.contains(&self.hash_of(name.iter().chain(coding.suffix().as_bytes())))
        };
        Some((Codings::which(is_there), folder.until))
    }

    fn find(&self, path: &[u8], now: u64) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.path == path && now < folder.until)
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

    /// The hashes of the names that precompressed files may have. `None` if the folder can't be read, or has too many.
    fn coded_names(&self, dir: &File) -> Option<Vec<u64>> {
        let mut coded = Vec::new();
        for (count, entry) in std::fs::read_dir(proc_path(dir.as_fd())).ok()?.enumerate() {
            let name = entry.ok()?.file_name();
            if is_coded(name.as_bytes()) {
                coded.push(self.hash(name.as_bytes()));
            }
            if count >= ENTRIES_READ || coded.len() > NAMES_KEPT {
                return None;
            }
        }
        Some(coded)
    }

    /// Keeps what is known of a folder, in place of the one that was checked longest ago.
    fn keep(&mut self, folder: Folder) {
        let count = |names: &Names| names.known().map_or(0, <[u64]>::len);
        let kept: usize = self.folders.iter().map(|folder| count(&folder.names)).sum();
        let room = NAMES_KEPT - count(&folder.names);
        self.folders.retain(|other| other.path != folder.path && (kept <= room || count(&other.names) == 0));
        if self.folders.len() >= FOLDERS_KEPT {
            self.folders.remove(0);
        }
        self.folders.push(folder);
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.hash_of(name.iter())
    }

    fn hash_of<'a>(&self, name: impl Iterator<Item = &'a u8>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        name.for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
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
    fn precompressed_files_are_known_from_the_list() {
        let temp = folder(&["a", "a.gz", "B.Html", "B.Html.BR", "b.html.zst", "c", ".gz"]);
        let dir = open(temp.path());
        let mut exact = ListedNames::default();
        exact.check_folder(b"sub", &dir, b"a", false, 1000).unwrap();
        assert_eq!(exact.siblings(b"sub", b"a", 0), None, "nobody has asked");
        exact.read_coded(b"sub", Some(&dir));
        let mut listed = ListedNames::default();
        let (_, names) = listed.read(&dir, b"a").unwrap();
        listed.keep(Folder { path: b"sub".to_vec(), until: 1000, stat: None, public: true, names });
        for known in [&exact, &listed] {
            let forms = |name: &[u8]| {
                let (codings, until) = known.siblings(b"sub", name, 999).unwrap();
                assert_eq!(until, 1000);
                Coding::ALL.into_iter().filter(|coding| codings.has(*coding)).collect::<Vec<_>>()
            };
            assert_eq!(forms(b"a"), [Coding::Gzip]);
            assert_eq!(forms(b"b.html"), [Coding::Brotli, Coding::Zstd], "as FAT takes them: in any case");
            assert_eq!(forms(b"c"), []);
            assert_eq!(known.siblings(b"sub", b"a", 1000), None, "its time is over");
            assert_eq!(known.siblings(b"other", b"a", 0), None, "another folder");
        }
        exact.keep(Folder { path: vec![], until: 9, stat: None, public: true, names: Names::Exact(Coded::Unread) });
        assert!(exact.is_unread(b"", 0));
        exact.read_coded(b"", None);
        assert!(!exact.is_unread(b"", 0));
        assert_eq!(exact.siblings(b"", b"a", 0), None, "it can't be read");
        (0..=ENTRIES_READ).for_each(|n| std::fs::write(temp.path().join(format!("{n}")), "").unwrap());
        exact.read_coded(b"sub", Some(&dir));
        assert_eq!(exact.siblings(b"sub", b"a", 999), None, "it has too many");
    }

    /// A folder that has not changed is not read again, and one that has is.
    #[test]
    fn a_change_of_a_folder_shows() {
        let temp = folder(&["a"]);
        let dir = open(temp.path());
        let mut known = ListedNames::default();
        known.check_folder(b"", &dir, b"a", false, 1000).unwrap();
        assert!(known.folders[0].stat.is_none(), "it was changed just now, so that a second change may not show");
        assert!(!known.is_unread(b"", 0), "nor is it worth to be read");
        // As if that were long ago.
        known.folders[0].stat = Some(sys::stat_at(dir.as_fd(), c"").unwrap());
        known.folders[0].names = Names::Exact(Coded::Known(Vec::new()));
        known.check_folder(b"", &dir, b"a", false, 2000).unwrap();
        assert!(known.siblings(b"", b"a", 1999).is_some_and(|(codings, _)| codings.is_empty()), "it is not read");
        std::fs::write(temp.path().join("b"), "").unwrap();
        known.check_folder(b"", &dir, b"a", false, 3000).unwrap();
        assert_eq!(known.siblings(b"", b"a", 2000), None, "it has changed");
    }

    /// A folder that is asked for all the time is not the first to go.
    #[test]
    fn a_confirmed_folder_stays() {
        let temp = folder(&[]);
        let dir = open(temp.path());
        let mut known = ListedNames::default();
        for n in 0..100_u8 {
            known.check_folder(b"", &dir, b"a", false, 1000).unwrap();
            known.folders.last_mut().unwrap().stat = Some(sys::stat_at(dir.as_fd(), c"").unwrap());
            known.check_folder(&[n], &dir, b"a", false, 1000).unwrap();
            assert!(n == 0 || known.folders.iter().filter(|folder| folder.stat.is_some()).count() == 1);
        }
        assert!(known.has(b"", 999) && known.has(&[99], 999) && !known.has(&[1], 999));
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
            let names = if n % 2 == 0 { Names::Exact(Coded::Unread) } else { Names::Listed(vec![0; 1500]) };
            known.keep(Folder { path: vec![n], until: 9, stat: None, public: true, names });
            let kept = |folder: &Folder| if let Names::Listed(names) = &folder.names { names.len() } else { 0 };
            assert!(known.folders.len() <= FOLDERS_KEPT && known.folders.iter().map(kept).sum::<usize>() <= NAMES_KEPT);
            assert_eq!(known.folders.last().unwrap().path, [n]);
        }
        known.keep(Folder { path: vec![99], until: 9, stat: None, public: true, names: Names::Many });
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
