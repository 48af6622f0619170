//! Static files: finding the file that a path names, and answering with it.
//!
//! | file | what it does |
//! | --- | --- |
//! | `clean_path`, `dot_segments` | a request's path becomes a name beneath the folder |
//! | `lookup` | finds the file: which coding, from the cache or from disk |
//! | `precompressed_cache` | remembers which precompressed files there are |
//! | `precompressed` | `.br`, `.zst` and `.gz` files, and `Vary` |
//! | `document_root` | opens files beneath the document root |
//! | `listed_names` | checks the folders on the way, and that they list the name |
//! | `descriptors` | paths of open descriptors |
//! | `settled` | whether a change is sure to show in stat(2) |
//! | `cache`, `hot_file` | keeps files that are asked for again |
//! | `sendfile_or_read` | sends small files from memory, large ones by sendfile(2) |
//! | `serve` | answers: methods, preconditions, ranges, the body |
//! | `plan`, `header_lines` | pure: which status, bytes and header lines |
//! | `mime` | content types |
//! | `generated` | files without a true length: those of proc and sysfs |
//! | `list_folder` | reads a folder, and answers with it |
//! | `selection` | what a listing shows, in which order |
//! | `listing_page`, `listing_json` | pure: a listing as HTML and as JSON |
//! | `store` | what all of them share: one folder and its options |
//! | `limits` | every bound, with its reason |

mod cache;
mod clean_path;
mod descriptors;
mod document_root;
mod dot_segments;
mod generated;
mod header_lines;
mod hot_file;
mod limits;
mod list_folder;
mod listed_names;
mod listing_json;
mod listing_page;
mod lookup;
mod mime;
mod plan;
mod precompressed;
mod precompressed_cache;
mod selection;
mod sendfile_or_read;
mod serve;
mod settled;
mod store;

pub use clean_path::CleanPath;

use crate::http::Coding;
use crate::server::{Connection, Error, Options, Request, Result};
use lookup::FoundFile;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use store::Store;

/// A folder of static files, for handlers that serve another folder than [`Options::docroot`], or answer errors themselves.
///
/// Clones share the cache.
///
/// ```no_run
/// use ecohttpd::{Connection, Error, Files, Options, Request};
///
/// # fn main() -> std::io::Result<()> {
/// let files = Files::new(&Options::new().docroot("/srv/photos").dir_listing(true));
/// ecohttpd::listen(None, 8080, Options::new(), async move |con: &mut Connection, req: &mut Request| {
///     let path = ecohttpd::CleanPath::new(req.path_bytes())?;
///     match files.try_serve(con, req, &path).await {
///         Err(Error::Refused(refusal)) if refusal.status() == 404 => con.redirect(302, "/").await,
///         served => served,
///     }
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct Files(Rc<Store>);

/// What [`Files::inspect`] reports of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// It is a regular file.
    pub is_file: bool,
    /// It is a folder.
    pub is_folder: bool,
    /// The permission bits, as in chmod(2).
    pub mode: u16,
}

impl Files {
    /// The suffixes of precompressed files: `NAME.br` may be sent instead of `NAME` if
    /// [`Options::gzip`](crate::Options::gzip) is set.
    pub const CODED_SUFFIXES: [&str; 3] = precompressed::SUFFIXES;

    /// A folder with `docroot`, `indexes`, `gzip`, `follow_symlinks`, `dir_listing`, `world_readable`, `withhold` and
    /// `listing_charset` of the options.
    #[must_use]
    pub fn new(options: &Options) -> Files {
        Files(Rc::new(Store::new(options)))
    }

    /// The folder that a connection's site has in its options; one for all connections of a site.
    pub(crate) fn of(con: &Connection) -> Files {
        Files(con.extension(Store::new))
    }

    /// Answers a request as [`Connection::serve_file`] does, from this folder.
    ///
    /// # Errors
    /// Those of [`Connection::serve_file`].
    pub async fn serve(&self, con: &mut Connection, req: &Request) -> Result<()> {
        let served = match CleanPath::new(req.path_bytes()) {
            Ok(path) => self.try_serve(con, req, &path).await,
            Err(refusal) => Err(refusal.into()),
        };
        match served {
            Err(Error::Refused(refusal)) => serve::answer_refusal(con, refusal),
            served => served,
        }
    }

    /// Answers with what `path` names, but leaves refusals to the caller.
    ///
    /// # Errors
    /// [`Error::Refused`] with 403, 404, 405, 412, 416, 500, 501 or 503. Nothing was sent then. With 416, `Content-Range` is
    /// already set (RFC 9110 §15.5.17). The other errors are those of [`Connection::serve_file`].
    pub async fn try_serve(&self, con: &mut Connection, req: &Request, path: &CleanPath) -> Result<()> {
        serve::serve(con, req, &self.0, path).await
    }

    /// Answers with the whole of a file, whatever the method, and with this status: for an error page, say.
    ///
    /// Preconditions and ranges do not apply. Returns false if there is no such file; nothing was sent then.
    ///
    /// # Errors
    /// Those of [`Connection::serve_file`]; [`Error::BadStatus`] for a status below 200.
    pub async fn serve_as(&self, con: &mut Connection, path: &CleanPath, status: u16) -> Result<bool> {
        let found = path.name().and_then(|name| lookup::look_up(con, &self.0, name, Coding::Identity));
        let Ok(FoundFile::File(hot)) = found else { return Ok(false) };
        con.set_status(status)?;
        serve::serve_whole(con, &hot)?;
        Ok(true)
    }

    /// Reports what `relative`, a path as of [`CleanPath::relative`], names beneath the folder. Links are followed as for
    /// serving.
    ///
    /// # Errors
    /// Those of stat(2) and openat2(2).
    pub fn inspect(&self, con: &Connection, relative: &[u8]) -> io::Result<Inspected> {
        let stat = self.0.root(con).stat(&CString::new(relative)?, con.now())?;
        Ok(Inspected { is_file: stat.is_file(), is_folder: stat.is_dir(), mode: stat.mode & 0o7777 })
    }

    /// Opens what `relative` names beneath the folder as `O_PATH`.
    ///
    /// Such a descriptor can be executed and passed to stat(2), but not read. It keeps naming the same file, whatever
    /// becomes of the path.
    ///
    /// # Errors
    /// Those of [`inspect`](Files::inspect).
    pub fn hold(&self, con: &Connection, relative: &[u8]) -> io::Result<OwnedFd> {
        let name = CString::new(relative)?;
        let held = self.0.root(con).hold(&name, con.now())?;
        Ok(held.into())
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("docroot", &self.0.docroot()).finish_non_exhaustive()
    }
}
