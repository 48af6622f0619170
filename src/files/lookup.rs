//! Finding the file that a request asks for: in which coding, from the cache or from disk.

use super::clean_path::CleanPath;
use super::generated::is_generated;
use super::hot_file::HotFile;
use super::store::Store;
use super::{mime, precompressed};
use crate::http::Coding;
use crate::server::{Connection, Count, Error, Request};
use crate::sys;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::rc::Rc;

/// What a path names.
pub(super) enum FoundFile {
    File(Rc<HotFile>),
    /// A file whose length is not known before its end.
    Generated(File),
    Folder,
}

/// Finds what a path names; for a folder with an index file, that file.
///
/// # Errors
/// Those of the file system; [`status_of`] says how to answer them.
pub(super) fn find(con: &Connection, store: &Rc<Store>, req: &Request, path: &CleanPath) -> io::Result<FoundFile> {
    if path.is_folder() {
        find_index(con, store, req, path.relative())
    } else {
        find_file(con, store, req, path.name()?)
    }
}

/// Finds a folder's index file, else the folder itself.
fn find_index(con: &Connection, store: &Rc<Store>, req: &Request, folder: &[u8]) -> io::Result<FoundFile> {
    let mut path = folder.to_vec();
    for index in &store.index {
        path.truncate(folder.len());
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(index.as_bytes());
        match find_file(con, store, req, &CString::new(path.as_slice())?) {
            Ok(FoundFile::Folder) => {}
            Ok(found) => return Ok(found),
            Err(error) if status_of(&error) == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let stat = store.root(con).stat(&CString::new(folder)?, con.now())?;
    // Else it is the name of a file with a slash after it.
    if stat.is_dir() { Ok(FoundFile::Folder) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Finds a file: the precompressed form that the client likes best, else the file itself.
fn find_file(con: &Connection, store: &Rc<Store>, req: &Request, name: &CStr) -> io::Result<FoundFile> {
    if store.gzip && req.head.names_codings() {
        let codings = store.root(con).siblings(name, con.now());
        if !codings.is_empty() {
            for coding in precompressed::accepted(&*req.head).filter(|coding| codings.has(*coding)) {
                let mut buffer = store.name.take();
                let sibling = precompressed::push_sibling(&mut buffer, name, coding);
                let found = sibling.and_then(|sibling| look_up(con, store, sibling, coding));
                store.name.replace(buffer);
                if let Ok(FoundFile::File(hot)) = found {
                    return Ok(FoundFile::File(hot));
                }
            }
        }
    }
    look_up(con, store, name, Coding::Identity)
}

/// Takes one file from the cache if it is unchanged, else from disk.
pub(super) fn look_up(con: &Connection, store: &Rc<Store>, name: &CStr, coding: Coding) -> io::Result<FoundFile> {
    let now = con.now();
    let cached = store.cache.borrow().get(name, coding);
    if let Some(hot) = cached {
        if store.may_share_stat && hot.was_seen(con.moment()) {
            con.count(Count::FileHit);
            return Ok(FoundFile::File(hot));
        }
        let mut root = store.root(con);
        if hot.is_still(&root.stat_unchecked(name, now)?) {
            if hot.is_check_due(now) {
                root.check_path(name, now)?;
                hot.set_checked(now);
            }
            hot.set_seen(con.moment());
            con.count(Count::FileHit);
            return Ok(FoundFile::File(hot));
        }
        drop(root);
        store.cache.borrow_mut().remove(&hot);
    }
    load(con, store, name, coding)
}

/// Opens a file that clients may read, and caches it.
fn load(con: &Connection, store: &Rc<Store>, name: &CStr, coding: Coding) -> io::Result<FoundFile> {
    let now = con.now();
    let refused = || Err(io::ErrorKind::PermissionDenied.into());
    let stat = store.root(con).stat(name, now)?;
    if stat.is_dir() {
        return Ok(FoundFile::Folder);
    }
    if !stat.is_file() || !store.may_read(stat.mode) {
        return refused();
    }
    let file = store.root(con).open(name)?;
    if store.withholds(&file) {
        return refused();
    }
    if is_generated(&file, &stat)? {
        return Ok(FoundFile::Generated(file));
    }
    let content_type = mime::content_type(precompressed::plain_name(name, coding));
    let hot = HotFile::load(file, name.to_owned(), content_type, coding, store.gzip, now)?;
    if !store.may_read(hot.mode()) {
        return refused();
    }
    con.count(Count::FileMiss);
    let hot = Rc::new(hot);
    if hot.is_settled() {
        store.cache.borrow_mut().insert(&hot);
    }
    Ok(FoundFile::File(hot))
}

/// The status that answers an error of the file system.
pub(super) fn status_of(error: &io::Error) -> u16 {
    match error.raw_os_error() {
        Some(sys::EXDEV | sys::ELOOP) => 403,
        Some(sys::ENAMETOOLONG) => 404,
        _ => Error::status_of_io(error),
    }
}
