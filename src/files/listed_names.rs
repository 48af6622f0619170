//! The way to a file: the folders that its path leads through, and the name that the last of them lists.
//!
//! FAT knows one file by several names: `private-things` is `PRIVAT~1` and `private-things.` as well. A login, or what is
//! run instead of sent, is told by the name, so a file is served by the one that its folder lists and by no other. Only
//! case may differ there, and only that of ASCII: whatever compares paths ignores that, too.

use super::limits::{NAMES_KEPT, WAYS_KEPT};
use super::root::proc_path;
use crate::sys;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// What is known of folders, each for [`ROOT_CHECK`](super::limits::ROOT_CHECK).
#[derive(Default)]
pub(crate) struct Ways {
    folders: Vec<Way>,
    /// Keyed, so that nobody finds a name that passes for another.
    hasher: RandomState,
}

/// A folder that a path leads through.
struct Way {
    /// Beneath the document root; empty is the root itself.
    path: Vec<u8>,
    until: u64,
    /// All users of the system may go through it: `S_IXOTH`.
    public: bool,
    names: Names,
}

/// How a folder's file system tells names apart.
enum Names {
    /// It opens a file by the name that it lists alone.
    Exact,
    /// By others, too. Hashes of the names that it lists, in lower case.
    Listed(Vec<u64>),
    /// Likewise, but there are too many to be kept: the folder is read each time.
    Many,
}

/// `S_IXOTH`.
const WORLD_ENTERS: u16 = 0o001;

/// The file systems that are known to have one name for each file, by their number in statfs(2).
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

/// Those whose folders fold case one by one: a flag tells which do.
#[rustfmt::skip]
const FOLDING: &[u32] = &[
    0x0000_ef53, // ext2, ext3, ext4
    0xf2f5_2010, // f2fs
    0x0102_1994, // tmpfs
];

impl Ways {
    /// Whether `name` in the folder at `path` may be used; `None` if the folder is not known, or not lately enough.
    ///
    /// # Errors
    /// `NotFound` if the folder does not list the name, `PermissionDenied` if not all users may go through the folder and
    /// `public` says that they must.
    pub(crate) fn leads(&self, path: &[u8], name: &[u8], public: bool, now: u64) -> Option<io::Result<()>> {
        let way = self.folders.iter().find(|way| way.path == path && now < way.until)?;
        if public && !way.public {
            return Some(Err(io::ErrorKind::PermissionDenied.into()));
        }
        let listed = match &way.names {
            Names::Exact => true,
            Names::Listed(names) => names.contains(&self.hash(name)),
            Names::Many => return None,
        };
        Some(if listed { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) })
    }

    /// Looks at a folder and keeps what it tells, until then; the same answer as of [`leads`](Ways::leads).
    pub(crate) fn look(&mut self, path: &[u8], dir: &File, name: &[u8], public: bool, until: u64) -> io::Result<()> {
        let mode = sys::stat_at(dir.as_fd(), c"")?.mode;
        // The root itself was named by the operator.
        let open = path.is_empty() || mode & WORLD_ENTERS != 0;
        let (listed, names) = if is_exact(dir)? { (true, Names::Exact) } else { self.read(dir, name)? };
        self.keep(Way { path: path.to_vec(), until, public: open, names });
        match (public && !open, listed) {
            (true, _) => Err(io::ErrorKind::PermissionDenied.into()),
            (false, true) => Ok(()),
            (false, false) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.folders = Vec::new();
    }

    /// Reads the names of a folder; whether `name` is one of them.
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

    /// Keeps what is known of a folder; what was known longest goes for it.
    fn keep(&mut self, way: Way) {
        let count = |names: &Names| if let Names::Listed(names) = names { names.len() } else { 0 };
        let kept: usize = self.folders.iter().map(|way| count(&way.names)).sum();
        let room = NAMES_KEPT - count(&way.names);
        self.folders.retain(|other| other.path != way.path && (kept <= room || count(&other.names) == 0));
        if self.folders.len() >= WAYS_KEPT {
            self.folders.remove(0);
        }
        self.folders.push(way);
    }

    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        name.iter().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
        hasher.finish()
    }
}

/// Whether a folder opens a file by the name that it lists alone. Of one that can't be read the file system tells.
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
    fn a_listed_name_leads() {
        let temp = folder(&["private-things", "page.sh", "ÄRGER.txt", "x (deleted)"]);
        let ways = Ways::default();
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
            let (listed, names) = ways.read(&open(temp.path()), name.as_bytes()).unwrap();
            assert_eq!(listed, expected, "{what}: {name:?}");
            let Names::Listed(names) = names else { panic!("four names are few") };
            assert_eq!(names.contains(&ways.hash(name.as_bytes())), expected, "kept: {what}: {name:?}");
        }
    }

    #[test]
    fn what_is_known_of_a_folder_ends_with_its_time() {
        let temp = folder(&["file"]);
        std::fs::create_dir(temp.path().join("sub")).unwrap();
        let sub = open(&temp.path().join("sub"));
        let mut ways = Ways::default();
        assert!(ways.leads(b"sub", b"x", false, 5).is_none(), "nothing is known");
        ways.look(b"sub", &sub, b"x", false, 1000).unwrap();
        assert!(ways.leads(b"sub", b"y", true, 999).is_some_and(|answer| answer.is_ok()));
        assert!(ways.leads(b"sub", b"y", true, 1000).is_none());
        assert!(ways.leads(b"su", b"y", true, 5).is_none(), "another folder");
        ways.clear();
        assert!(ways.leads(b"sub", b"y", true, 5).is_none());
    }

    #[test]
    fn a_folder_that_is_closed_to_others() {
        let temp = tempfile::tempdir().unwrap();
        let sub = temp.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        for (mode, open_to_all) in [(0o700, false), (0o750, false), (0o704, false), (0o701, true), (0o755, true)] {
            std::fs::set_permissions(&sub, PermissionsExt::from_mode(mode)).unwrap();
            let mut ways = Ways::default();
            let looked = ways.look(b"sub", &open(&sub), b"x", true, 9);
            assert_eq!(looked.is_ok(), open_to_all, "{mode:o}");
            assert_eq!(ways.leads(b"sub", b"x", true, 1).unwrap().is_ok(), open_to_all, "{mode:o}");
            assert!(ways.leads(b"sub", b"x", false, 1).unwrap().is_ok(), "{mode:o}: nobody asks for that");
            ways.look(b"", &open(&sub), b"x", true, 9).unwrap();
        }
    }

    #[test]
    fn memory_is_bounded() {
        let temp = folder(&[]);
        for n in 0..NAMES_KEPT + 5 {
            std::fs::write(temp.path().join(format!("{n}")), "").unwrap();
        }
        let mut ways = Ways::default();
        let (listed, names) = ways.read(&open(temp.path()), b"7").unwrap();
        assert!(listed && matches!(names, Names::Many));
        let (listed, names) = ways.read(&open(temp.path()), b"7.").unwrap();
        assert!(!listed && matches!(names, Names::Many));
        for n in 0..100_u8 {
            let names = if n % 2 == 0 { Names::Exact } else { Names::Listed(vec![0; 1500]) };
            ways.keep(Way { path: vec![n], until: 9, public: true, names });
            let kept = |way: &Way| if let Names::Listed(names) = &way.names { names.len() } else { 0 };
            assert!(ways.folders.len() <= WAYS_KEPT && ways.folders.iter().map(kept).sum::<usize>() <= NAMES_KEPT);
            assert_eq!(ways.folders.last().unwrap().path, [n]);
        }
        ways.keep(Way { path: vec![99], until: 9, public: true, names: Names::Many });
        assert!(ways.leads(&[99], b"x", false, 1).is_none(), "it is read each time");
        assert_eq!(ways.folders.iter().filter(|way| way.path == [99]).count(), 1, "once");
    }

    /// What these tests run on is one of either kind, and folds nothing.
    #[test]
    fn an_ordinary_file_system_is_exact() {
        let temp = folder(&["file"]);
        assert!(is_exact(&open(temp.path())).unwrap());
        assert!(is_exact(&open(Path::new("/proc"))).unwrap());
    }
}
