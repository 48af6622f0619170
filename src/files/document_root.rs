//! The document root, and opening files beneath it.

use super::descriptors::{is_same, proc_path};
use super::limits::{OPENAT2_TRIES, ROOT_CHECK};
use super::listed_names::ListedNames;
use super::precompressed::{self, Codings};
use super::precompressed_cache::Siblings;
use crate::sys::{self, Stat};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The document root: a folder that is held open. If its path names another folder later, that one is opened.
pub(super) struct DocumentRoot {
    path: PathBuf,
    follow_symlinks: bool,
    /// Clients may use only folders that all users of the system may enter.
    world_readable: bool,
    held: Option<OpenedRoot>,
    /// When the path was last compared with the folder held, in milliseconds of the loop's clock.
    checked: Option<u64>,
    /// There is no openat2(2): Linux before 5.6, or a sandbox that refuses it.
    no_openat2: Cell<bool>,
    names: ListedNames,
    siblings: Siblings,
    /// Used since the last [`release_if_unused`](DocumentRoot::release_if_unused).
    used: bool,
}

struct OpenedRoot {
    dir: File,
    id: (u64, u64),
}

impl DocumentRoot {
    pub(super) fn new(path: PathBuf, follow_symlinks: bool, world_readable: bool) -> DocumentRoot {
        DocumentRoot {
            path,
            follow_symlinks,
            world_readable,
            held: None,
            checked: None,
            no_openat2: Cell::new(false),
            names: ListedNames::default(),
            siblings: Siblings::default(),
            used: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// stat(2) of `name`, following every link: only to be compared with the stat of a file that was opened before.
    ///
    /// `now` is the loop's clock, in milliseconds, here and below.
    pub(super) fn stat_unchecked(&mut self, name: &CStr, now: u64) -> io::Result<Stat> {
        self.refresh(now)?;
        sys::stat_at(self.dir()?, name)
    }

    /// stat(2) of `name`, if clients may use that name.
    ///
    /// # Errors
    /// Those of [`check_path`](DocumentRoot::check_path); `EXDEV` if a link leads outside and links may not.
    pub(super) fn stat(&mut self, name: &CStr, now: u64) -> io::Result<Stat> {
        if !self.follow_symlinks {
            return sys::stat_at(self.hold(name, now)?.as_fd(), c"");
        }
        let stat = self.stat_unchecked(name, now)?;
        self.check_path(name, now)?;
        Ok(stat)
    }

    /// A descriptor (`O_PATH`) of what [`stat`](DocumentRoot::stat) describes.
    ///
    /// # Errors
    /// Those of [`stat`](DocumentRoot::stat).
    pub(super) fn hold(&mut self, name: &CStr, now: u64) -> io::Result<File> {
        self.refresh(now)?;
        let held = self.open_as(name, sys::NAME)?;
        self.check_path(name, now)?;
        Ok(held)
    }

    /// Checks each segment of a name that exists: its folder lists it under that name, and clients may enter the folder.
    ///
    /// # Errors
    /// `NotFound`; `PermissionDenied` for a folder that not all users may enter, if `world_readable` is set.
    pub(super) fn check_path(&mut self, name: &CStr, now: u64) -> io::Result<()> {
        let name = name.to_bytes();
        let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut start = 0_usize;
        for end in slashes.chain([name.len()]) {
            let folder = name.get(..start.saturating_sub(1)).unwrap_or_default();
            let segment = name.get(start..end).unwrap_or_default();
            if !segment.is_empty() {
                self.check_segment(folder, segment, now)?;
            }
            start = end + 1;
        }
        Ok(())
    }

    fn check_segment(&mut self, folder: &[u8], name: &[u8], now: u64) -> io::Result<()> {
        if let Some(verdict) = self.names.check_known(folder, name, self.world_readable, now) {
            return verdict;
        }
        let path = CString::new(folder)?;
        let dir = match self.open_as(&path, sys::READ | sys::O_DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.open_as(&path, sys::NAME)?,
            dir => dir?,
        };
        self.names.check_folder(folder, &dir, name, self.world_readable, now.saturating_add(ROOT_CHECK))
    }

    /// Closes the folder if it was not used since the last call, so that its file system can be unmounted.
    ///
    /// Returns whether it is closed.
    pub(super) fn release_if_unused(&mut self) -> bool {
        if !std::mem::take(&mut self.used) {
            self.held = None;
            self.forget();
        }
        self.held.is_none()
    }

    fn forget(&mut self) {
        self.names.clear();
        self.siblings.clear();
    }

    /// Which precompressed forms a file may have. A folder has none.
    pub(super) fn siblings(&mut self, name: &CStr, now: u64) -> Codings {
        if self.refresh(now).is_err() {
            return Codings::default();
        }
        if let Some(codings) = self.siblings.get(name, now) {
            return codings;
        }
        let (mut codings, until) = self.find_siblings(name, now);
        if !codings.is_empty() && self.stat(name, now).is_ok_and(|stat| stat.is_dir()) {
            codings = Codings::default();
        }
        self.siblings.insert(name, codings, until);
        codings
    }

    /// Finds them in the list of their folder, or one by one. Also returns until when the answer holds.
    fn find_siblings(&mut self, name: &CStr, now: u64) -> (Codings, u64) {
        let path = name.to_bytes();
        let slash = path.iter().rposition(|&byte| byte == b'/');
        let (folder, file) = slash.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        if !self.names.has(folder, now) {
            // Does not check whether clients may use the name itself.
            let _ = self.check_segment(folder, file, now);
        }
        if self.names.is_unread(folder, now) {
            let dir = CString::new(folder).ok().and_then(|path| self.open_as(&path, sys::READ | sys::O_DIRECTORY).ok());
            self.names.read_coded(folder, dir.as_ref());
        }
        let listed = self.names.siblings(folder, file, now);
        listed.unwrap_or_else(|| (self.look_for_siblings(name, now), now.saturating_add(ROOT_CHECK)))
    }

    fn look_for_siblings(&mut self, name: &CStr, now: u64) -> Codings {
        let mut buffer = Vec::new();
        Codings::which(|coding| {
            let sibling = precompressed::push_sibling(&mut buffer, name, coding);
            sibling.is_ok_and(|sibling| self.stat(sibling, now).is_ok())
        })
    }

    /// Opens `name` for reading. Every step stays beneath the root, unless links may lead out of it.
    ///
    /// # Errors
    /// Those of openat2(2); `NotFound` if the document root is not there.
    pub(super) fn open(&self, name: &CStr) -> io::Result<File> {
        self.open_as(name, sys::READ)
    }

    fn open_as(&self, name: &CStr, flags: i32) -> io::Result<File> {
        let dir = self.dir()?;
        // The root itself: openat(2) takes no empty name.
        let name = if name.is_empty() { c"." } else { name };
        if self.follow_symlinks {
            return sys::open_at(dir, name, flags);
        }
        for _ in 0..OPENAT2_TRIES {
            if self.no_openat2.get() {
                break;
            }
            match sys::open_beneath(dir, name, flags) {
                Err(error) => match error.raw_os_error() {
                    Some(sys::EAGAIN) => {}
                    Some(sys::ENOSYS | sys::EPERM) => self.no_openat2.set(true),
                    // An absolute link, which may lead back in.
                    Some(sys::EXDEV) => break,
                    _ => return Err(error),
                },
                opened => return opened,
            }
        }
        open_checked(dir, name, flags)
    }

    fn dir(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.held {
            Some(held) => Ok(held.dir.as_fd()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Opens the root, or opens it again if its path names another folder by now.
    fn refresh(&mut self, now: u64) -> io::Result<()> {
        self.used = true;
        if self.held.is_some() && self.checked.is_some_and(|checked| now < checked.saturating_add(ROOT_CHECK)) {
            return Ok(());
        }
        self.checked = Some(now);
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => meta,
            Err(error) => {
                self.held = None;
                return Err(error);
            }
        };
        let id = (meta.dev(), meta.ino());
        if self.held.as_ref().is_none_or(|held| held.id != id) {
            let dir = File::options().read(true).custom_flags(sys::O_PATH | sys::O_DIRECTORY).open(&self.path)?;
            self.held = Some(OpenedRoot { dir, id });
            self.forget();
        }
        Ok(())
    }
}

/// Opens `name` beneath `dir` without openat2(2): opens it as `O_PATH` first, then asks the kernel where that is.
///
/// The object that is checked is the object that is opened, so swapping a link in between gains nothing.
fn open_checked(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> io::Result<File> {
    let root = std::fs::read_link(proc_path(dir))?;
    let outside = || io::Error::from_raw_os_error(sys::EXDEV);
    let named = match sys::open_at(dir, name, sys::NAME) {
        Ok(named) if is_beneath(&root, &named)? => named,
        Ok(_) => return Err(outside()),
        Err(error) => return Err(if leads_out(dir, &root, name) { outside() } else { error }),
    };
    if flags == sys::NAME {
        return Ok(named);
    }
    File::options().read(true).custom_flags(flags).open(proc_path(named.as_fd()))
}

/// Whether `name`, which can't be opened, leads through a folder outside. Clients must not learn what is missing there.
fn leads_out(dir: BorrowedFd<'_>, root: &Path, name: &CStr) -> bool {
    let name = name.to_bytes();
    let slashes = name.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
    // Stops at the first folder that is missing, so a long name costs no more than the folders that exist.
    let mut steps = slashes.map_while(|(at, _)| {
        let step = CString::new(name.get(..at)?).ok()?;
        sys::open_at(dir, &step, sys::NAME).ok()
    });
    steps.any(|step| !is_beneath(root, &step).unwrap_or(false))
}

/// Whether the kernel's name for what was opened is one beneath `root`.
fn is_beneath(root: &Path, opened: &File) -> io::Result<bool> {
    let target = std::fs::read_link(proc_path(opened.as_fd()))?;
    // The kernel marks a file that was deleted; its path says nothing then. But a file may also have such a name.
    let marked = target.as_os_str().as_bytes().ends_with(b" (deleted)");
    Ok(target.starts_with(root) && (!marked || is_same(opened, &target)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Coding;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/file"), "inside").unwrap();
        std::fs::write(temp.path().join("secret"), "outside").unwrap();
        std::fs::create_dir(temp.path().join("root-next-door")).unwrap();
        std::fs::write(temp.path().join("root-next-door/file"), "outside").unwrap();
        symlink("sub/file", root.join("inner")).unwrap();
        symlink("../secret", root.join("outer")).unwrap();
        symlink("../root-next-door", root.join("neighbour")).unwrap();
        symlink(temp.path().join("secret"), root.join("absolute")).unwrap();
        symlink(root.join("sub"), root.join("back")).unwrap();
        symlink(temp.path().join("root-next-door"), root.join("next")).unwrap();
        std::fs::write(root.join("x (deleted)"), "inside").unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        (temp, root)
    }

    /// Name, with links kept inside, with links followed.
    const ROWS: &[(&CStr, bool, bool)] = &[
        (c"sub/file", true, true),
        (c"inner", true, true),
        (c"outer", false, true),
        (c"absolute", false, true),
        (c"back/file", true, true),
        (c"back/../../secret", false, true),
        (c"next/file", false, true),
        (c"x (deleted)", true, true),
        (c"neighbour/file", false, true),
        (c"../secret", false, true),
        (c"loop", false, false),
        (c"missing", false, false),
        (c"magic/etc/hostname", false, true),
    ];

    #[test]
    fn nothing_outside_the_root_is_opened() {
        let (_temp, path) = tree();
        for no_openat2 in [false, true] {
            for follow in [false, true] {
                let mut root = DocumentRoot::new(path.clone(), follow, false);
                root.no_openat2.set(no_openat2);
                root.refresh(0).unwrap();
                for &(name, kept_in, followed) in ROWS {
                    let may = if follow { followed } else { kept_in };
                    let opened = root.open(name);
                    assert_eq!(opened.is_ok(), may, "{name:?} follow {follow} no_openat2 {no_openat2}: {opened:?}");
                }
            }
        }
    }

    /// Clients can not tell whether a file outside exists.
    #[test]
    fn nothing_outside_the_root_is_told_of() {
        let (_temp, path) = tree();
        for no_openat2 in [false, true] {
            let mut root = DocumentRoot::new(path.clone(), false, false);
            root.no_openat2.set(no_openat2);
            for (name, error) in [
                (c"neighbour/file", sys::EXDEV),
                (c"neighbour/missing", sys::EXDEV),
                (c"neighbour/missing/file", sys::EXDEV),
                (c"neighbour/file/file", sys::EXDEV),
                (c"sub/missing/file", libc::ENOENT),
                (c"sub/file/file", libc::ENOTDIR),
                (c"missing", libc::ENOENT),
            ] {
                let told = root.stat(name, 0).unwrap_err();
                assert_eq!(told.raw_os_error(), Some(error), "{name:?} no_openat2 {no_openat2}: {told}");
            }
        }
    }

    #[test]
    fn precompressed_forms_are_found_in_any_folder() {
        let (temp, path) = tree();
        for name in ["sub/file.gz", "sub/file.br", "inner.zst", "sub.gz", "outer.gz"] {
            std::fs::write(path.join(name), "").unwrap();
        }
        let mut root = DocumentRoot::new(path.clone(), false, false);
        let only = |wanted: &[Coding]| Codings::which(|coding| wanted.contains(&coding));
        for (name, codings) in [
            (c"sub/file", only(&[Coding::Gzip, Coding::Brotli])),
            (c"inner", only(&[Coding::Zstd])),
            (c"missing/file", only(&[])),
        ] {
            assert_eq!(root.siblings(name, 0), codings, "{name:?}: as its folder lists them");
            assert_eq!(root.look_for_siblings(name, 0), codings, "{name:?}: one by one");
        }
        assert!(root.siblings(c"sub", 0).is_empty(), "a folder has none");
        assert!(root.siblings(c"absolute", 0).is_empty());
        std::fs::write(path.join("absolute.gz"), "").unwrap();
        assert!(root.siblings(c"absolute", ROOT_CHECK - 1).is_empty(), "for a second it is not looked for again");
        assert!(!root.siblings(c"absolute", ROOT_CHECK).is_empty());
        let elsewhere = temp.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::rename(&path, temp.path().join("old")).unwrap();
        std::fs::rename(&elsewhere, &path).unwrap();
        assert!(root.siblings(c"absolute", 2 * ROOT_CHECK).is_empty(), "another root");
    }

    #[test]
    fn an_unused_root_is_closed() {
        let (_temp, path) = tree();
        let mut root = DocumentRoot::new(path, false, false);
        assert!(root.release_if_unused(), "nothing was asked for");
        root.stat(c"sub/file", 0).unwrap();
        assert!(!root.release_if_unused(), "it was used");
        assert!(root.release_if_unused() && root.held.is_none());
        root.stat(c"sub/file", 1).unwrap();
    }

    /// Deployments switch a link.
    #[test]
    fn a_root_that_is_a_link_is_followed() {
        let temp = tempfile::tempdir().unwrap();
        for n in ["1", "22"] {
            std::fs::create_dir(temp.path().join(n)).unwrap();
            std::fs::write(temp.path().join(n).join("file"), n).unwrap();
        }
        let link = temp.path().join("current");
        symlink("1", &link).unwrap();
        let mut root = DocumentRoot::new(link.clone(), false, false);
        assert_eq!(root.stat(c"file", 0).unwrap().size, 1);
        std::fs::remove_file(&link).unwrap();
        symlink("22", &link).unwrap();
        assert_eq!(root.stat(c"file", ROOT_CHECK).unwrap().size, 2);
    }

    #[test]
    fn a_replaced_root_is_found_again() {
        let (_temp, path) = tree();
        let mut root = DocumentRoot::new(path.clone(), false, false);
        root.stat(c"sub/file", 0).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(root.stat(c"sub/file", 1).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::create_dir_all(path.join("sub")).unwrap();
        std::fs::write(path.join("sub/file"), "new").unwrap();
        assert_eq!(root.stat(c"sub/file", 1 + ROOT_CHECK).unwrap().size, 3);
    }
}
