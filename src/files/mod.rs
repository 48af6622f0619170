//! Static files beneath the document root: [`Connection::serve_file`].
//!
//! | file | concept |
//! | --- | --- |
//! | `path` | a request's path, resolved textually |
//! | `root` | opening beneath the document root, wherever links lead |
//! | `ways` | the folders on the way to a file, and the names that they list |
//! | `cache` | hot files, exact by what stat(2) tells |
//! | `generated` | files that the kernel makes up as they are read |
//! | `plan` | pure: a file and a request make a status, ranges and header lines |
//! | `mime` | content types |
//! | `listing`, `folder` | the HTML of a folder, and reading one |

mod cache;
mod folder;
mod generated;
mod limits;
mod listing;
mod mime;
mod path;
mod plan;
mod root;
mod ways;

use crate::http::{Coding, acceptable, status_reason};
use crate::server::{Connection, Error, Options, Request, Result};
use crate::sys;
use cache::{Cache, Content, Hot};
use path::PathError;
use plan::{Body, ByteRanges, Plan};
use root::{Root, is_same};
use std::cell::{Cell, RefCell, RefMut};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

/// A folder of static files, for handlers that serve others than [`Options::docroot`], or answer errors themselves.
///
/// Clones share what is kept of hot files.
#[derive(Clone)]
pub struct Files(Rc<Store>);

/// A path beneath a folder: what a client asked for, with dot segments and duplicate slashes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanPath {
    /// Without a slash at either end, and with a NUL behind it: a name for the system.
    name: Vec<u8>,
    folder: bool,
}

/// What [`Files::inspect`] tells of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// It is a regular file.
    pub is_file: bool,
    /// It is a folder.
    pub is_folder: bool,
    /// The permission bits, as those of chmod(2).
    pub mode: u16,
}

/// What is kept of a folder, and how it is served.
pub(crate) struct Store {
    root: RefCell<Root>,
    cache: RefCell<Cache>,
    /// A task looks after what is kept, until nothing is.
    tended: Cell<bool>,
    /// As many more owners as folders are being listed.
    listings: Rc<()>,
    index: Vec<String>,
    gzip: bool,
    dir_listing: bool,
    world_readable: bool,
    withheld: Vec<PathBuf>,
    charset: String,
}

impl Store {
    fn new(options: &Options) -> Store {
        Store {
            root: RefCell::new(Root::new(options.docroot.clone(), options.follow_symlinks, options.world_readable)),
            cache: RefCell::default(),
            tended: Cell::default(),
            listings: Rc::default(),
            index: options.index.clone(),
            gzip: options.gzip,
            dir_listing: options.dir_listing,
            world_readable: options.world_readable,
            withheld: options.withheld(),
            charset: options.listing_charset.clone(),
        }
    }

    /// Whether a file or folder of this mode may be read by anybody who asks.
    fn may_read(&self, mode: u16) -> bool {
        !self.world_readable || mode & WORLD_READS != 0
    }

    /// Whether a folder of this mode may be gone through by anybody who asks.
    fn may_enter(&self, mode: u16) -> bool {
        !self.world_readable || mode & WORLD_ENTERS != 0
    }

    /// The document root, looked after while it is held.
    fn root(self: &Rc<Store>, con: &Connection) -> RefMut<'_, Root> {
        if !self.tended.replace(true) {
            cache::tend(self, &con.core.runtime);
        }
        self.root.borrow_mut()
    }

    /// Whether a file, by whatever name, is one that no client gets.
    fn withholds(&self, file: &File) -> bool {
        self.withheld.iter().any(|path| is_same(file, path))
    }

    fn may_list(&self, folder: &File) -> bool {
        sys::stat_at(folder.as_fd(), c"").is_ok_and(|stat| self.may_read(stat.mode))
    }
}

/// `S_IROTH`.
const WORLD_READS: u16 = 0o004;
/// `S_IXOTH`.
const WORLD_ENTERS: u16 = 0o001;

/// What may be done with files and folders, and whatever is none.
const ALLOW: &[u8] = b"Allow: GET, HEAD, OPTIONS\r\n";

/// What a path beneath the document root turned out to be.
enum Found {
    File(Rc<Hot>),
    /// One whose length nobody knows before its end.
    Generated(File),
    Folder,
}

/// What of an answer is still to be sent.
enum Rest {
    Nothing,
    /// All of it: this error.
    Error(u16),
    /// Pieces that may have to wait.
    Ranges(Rc<Hot>, ByteRanges),
    Generated(File),
    Listing,
}

impl CleanPath {
    /// Resolves a decoded path, textually.
    ///
    /// # Errors
    /// The status that answers it: 403 for a path that climbs above its root, 400 for one with a NUL.
    pub fn new(decoded: &[u8]) -> std::result::Result<CleanPath, u16> {
        let mut name = Vec::with_capacity(limits::PATH_ROOM);
        match path::normalize(decoded, &mut name) {
            Ok(folder) => {
                name.push(0);
                Ok(CleanPath { name, folder })
            }
            Err(PathError::Escapes) => Err(403),
            Err(PathError::BadByte) => Err(400),
        }
    }

    /// The path, without a slash at either end; empty is the folder itself.
    pub fn relative(&self) -> &[u8] {
        self.name.split_last().map_or(b"", |(_, relative)| relative)
    }

    fn name(&self) -> io::Result<&CStr> {
        CStr::from_bytes_with_nul(&self.name).map_err(io::Error::other)
    }

    /// Whether it names a folder by its form: it ended in a slash or a dot segment.
    pub fn is_folder(&self) -> bool {
        self.folder
    }
}

impl Files {
    /// What the names of precompressed files end in that are sent in the place of another, if
    /// [`Options::gzip`](crate::Options::gzip) is set: `NAME.br` for `NAME`.
    pub const CODED_SUFFIXES: [&str; 3] = [Coding::ALL[0].suffix(), Coding::ALL[1].suffix(), Coding::ALL[2].suffix()];

    /// A folder with `docroot`, `indexes`, `gzip`, `follow_symlinks`, `dir_listing`, `world_readable` and
    /// `listing_charset` of the options.
    pub fn new(options: &Options) -> Files {
        Files(Rc::new(Store::new(options)))
    }

    /// Answers a request as [`Connection::serve_file`] does, from this folder.
    ///
    /// # Errors
    /// Those of [`Connection::serve_file`].
    pub async fn serve(&self, con: &mut Connection, req: &Request) -> Result<()> {
        let status = match CleanPath::new(req.path_bytes()) {
            Ok(path) => self.try_serve(con, req, &path).await?,
            Err(status) => Some(status),
        };
        status.map_or(Ok(()), |status| con.serve_error(status))
    }

    /// Answers with what `path` names, or returns the status of an error (400, 403, 404, 405, 412, 416, 500, 501, 503) for the
    /// caller to answer: nothing was sent then. For 416 `Content-Range` is set (RFC 9110 §15.5.17).
    ///
    /// # Errors
    /// Those of [`Connection::serve_file`].
    pub async fn try_serve(&self, con: &mut Connection, req: &Request, path: &CleanPath) -> Result<Option<u16>> {
        match con.serve_at_once(req, &self.0, path)? {
            Rest::Nothing => Ok(None),
            Rest::Error(status) => Ok(Some(status)),
            // Boxed, so that the requests for whole files, nearly all, have little to carry.
            Rest::Ranges(hot, ranges) => Box::pin(con.send_ranges(&hot, ranges)).await.map(|()| None),
            Rest::Generated(file) => Box::pin(generated::serve(con, req, file, path.relative())).await.map(|()| None),
            Rest::Listing => Box::pin(folder::serve(con, req, &self.0, path.relative())).await,
        }
    }

    /// Answers with the whole of a file in another role, such as the page of an error: with this status, whatever the
    /// method, and without preconditions or ranges. False: there is no such file, and nothing was sent.
    ///
    /// # Errors
    /// Those of [`Connection::serve_file`]; [`Error::BadStatus`] for a status below 200.
    pub async fn serve_as(&self, con: &mut Connection, path: &CleanPath, status: u16) -> Result<bool> {
        let found = path.name().and_then(|name| con.look_up(&self.0, name, Coding::Identity));
        let Ok(Found::File(hot)) = found else { return Ok(false) };
        con.set_status(status)?;
        con.serve_whole(&hot)?;
        Ok(true)
    }

    /// Tells what `relative`, a path as of [`CleanPath::relative`], names beneath the folder, links resolved as for serving.
    ///
    /// # Errors
    /// What stat(2) or openat2(2) answer.
    pub fn inspect(&self, con: &Connection, relative: &[u8]) -> io::Result<Inspected> {
        let stat = self.0.root(con).stat(&CString::new(relative)?, con.core.runtime.now())?;
        Ok(Inspected { is_file: stat.is_file(), is_folder: stat.is_dir(), mode: stat.mode & 0o7777 })
    }

    /// Names what `relative` names beneath the folder, by a descriptor that is good for stat(2) and to execute, but not to
    /// read (`O_PATH`): what is seen by it stays what it is, whatever becomes of the name.
    ///
    /// # Errors
    /// Those of [`inspect`](Files::inspect).
    pub fn hold(&self, con: &Connection, relative: &[u8]) -> io::Result<OwnedFd> {
        let name = CString::new(relative)?;
        let mut root = self.0.root(con);
        let held = root.name(&name, con.core.runtime.now())?;
        Ok(held.into())
    }
}

impl Connection {
    /// Answers a request with a file beneath `docroot`: the reference's `serve_file`.
    ///
    /// GET and HEAD (OPTIONS tells so, others are 405 or 501); the query is ignored, the path decoded once and its dot segments resolved; what would leave
    /// the document root, by `..` or by a link, is 403. A folder serves its index, after a redirect to its slash form.
    /// Preconditions by RFC 9110 §13.2.2, ranges by §14 (several make `multipart/byteranges`), precompressed siblings
    /// with `gzip(true)`. Missing files are 404, unreadable ones 403, and 503 says that the system has no descriptor left.
    ///
    /// # Errors
    /// [`Error::HeadSent`]; [`Error::Closed`] when the client left. Whatever the file is, the client has its answer.
    pub async fn serve_file(&mut self, req: &Request) -> Result<()> {
        Files(self.site.extension(Store::new)).serve(self, req).await
    }

    /// Answers as far as nothing has to be waited for, which is nearly always to the end.
    fn serve_at_once(&mut self, req: &Request, files: &Rc<Store>, path: &CleanPath) -> Result<Rest> {
        if req.method() == "OPTIONS" {
            self.set_status(204)?;
            self.response()?.push_raw(ALLOW);
            return self.answer("").map(|()| Rest::Nothing);
        }
        if !req.head.is_get() && !req.head.is_head() {
            return Ok(Rest::Error(req.method_error()));
        }
        let relative = path.relative();
        let found = if path.folder {
            self.find_index(req, files, relative)
        } else {
            path.name().and_then(|name| self.find(req, files, name))
        };
        match found {
            Ok(Found::File(hot)) => self.serve_hot(req, files, &hot),
            Ok(Found::Generated(file)) => Ok(Rest::Generated(file)),
            Ok(Found::Folder) if !path.folder => self.add_slash(req, relative),
            Ok(Found::Folder) if files.dir_listing => Ok(Rest::Listing),
            Ok(Found::Folder) => Ok(Rest::Error(403)),
            Err(error) => {
                let status = status_of(&error);
                if status >= 500 && self.takes_log_line() {
                    log::error!("{}: {status} {}: {error}", self.remote_addr(), req.raw_path());
                }
                Ok(Rest::Error(status))
            }
        }
    }

    /// Looks for a file, in the best coding that the client accepts and that lies there.
    fn find(&self, req: &Request, files: &Rc<Store>, name: &CStr) -> io::Result<Found> {
        if files.gzip && req.head.names_codings() {
            for coding in acceptable(&*req.head) {
                let coded = CString::new([name.to_bytes(), coding.suffix().as_bytes()].concat())?;
                if let Ok(Found::File(hot)) = self.look_up(files, &coded, coding)
                    && !files.root(self).is_folder(name, self.core.runtime.now())
                {
                    return Ok(Found::File(hot));
                }
            }
        }
        self.look_up(files, name, Coding::Identity)
    }

    /// Looks for a folder's index file.
    fn find_index(&self, req: &Request, files: &Rc<Store>, relative: &[u8]) -> io::Result<Found> {
        let mut path = relative.to_vec();
        for index in &files.index {
            path.truncate(relative.len());
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(index.as_bytes());
            match self.find(req, files, &CString::new(path.as_slice())?) {
                Ok(Found::Folder) => {}
                Ok(found) => return Ok(found),
                Err(error) if matches!(status_of(&error), 404) => {}
                Err(error) => return Err(error),
            }
        }
        let stat = files.root(self).stat(&CString::new(relative)?, self.core.runtime.now())?;
        // Else it is a file's name with a slash behind it.
        if stat.is_dir() { Ok(Found::Folder) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Takes a file from the cache if it is still the same, else from the file system.
    fn look_up(&self, files: &Rc<Store>, name: &CStr, coding: Coding) -> io::Result<Found> {
        let now = self.core.runtime.now();
        let kept = files.cache.borrow().get(name, coding);
        if let Some(hot) = kept {
            let mut root = files.root(self);
            if hot.is_still(&root.glance(name, now)?) {
                if hot.is_due(now) {
                    root.follow(name, now)?;
                    hot.followed(now);
                }
                return Ok(Found::File(hot));
            }
            drop(root);
            files.cache.borrow_mut().forget(&hot);
        }
        let stat = files.root(self).stat(name, now)?;
        if stat.is_dir() {
            return Ok(Found::Folder);
        }
        let refused = || Err(io::ErrorKind::PermissionDenied.into());
        if !stat.is_file() || !files.may_read(stat.mode) {
            return refused();
        }
        let file = files.root.borrow().open(name)?;
        if files.withholds(&file) {
            return refused();
        }
        if generated::is_generated(&file, &stat)? {
            return Ok(Found::Generated(file));
        }
        let plain = name.to_bytes().strip_suffix(coding.suffix().as_bytes()).unwrap_or_default();
        let hot = Hot::load(file, name.to_owned(), mime::content_type(plain), coding, files.gzip)?;
        if !files.may_read(hot.mode()) {
            return refused();
        }
        hot.followed(now);
        let hot = Rc::new(hot);
        cache::keep(files, &hot);
        Ok(Found::File(hot))
    }

    /// Answers with a file that was found.
    fn serve_hot(&mut self, req: &Request, files: &Store, hot: &Rc<Hot>) -> Result<Rest> {
        if !req.head.is_selective() {
            return self.serve_whole(hot);
        }
        let get = req.head.is_get();
        let plan = plan::plan(&*req.head, get, &hot.facts, &hot.etag, hot.content_type, boundary);
        if plan.status == 200 {
            return self.serve_whole(hot);
        }
        if plan.status >= 400 {
            self.response()?.push_raw(&plan.headers);
            return Ok(Rest::Error(plan.status));
        }
        self.head_of(&plan, hot, files.gzip)?;
        let range = match plan.body {
            Body::Nothing | Body::Whole => 0..0,
            Body::Part(range) => range,
            Body::Parts(ranges) => {
                return Ok(if self.start(ranges.length)? {
                    Rest::Ranges(Rc::clone(hot), ranges)
                } else {
                    Rest::Nothing
                });
            }
        };
        if self.start(range.end - range.start)? {
            self.push_range(hot, range)?;
        }
        Ok(Rest::Nothing)
    }

    /// The usual case: all of the file.
    fn serve_whole(&mut self, hot: &Hot) -> Result<Rest> {
        let mut response = self.response()?;
        response.push_raw(&hot.lines);
        if hot.facts.size == 0 {
            // For HEAD, no length is what handlers have that don't know it.
            response.set("content-length", "0")?;
        }
        drop(response);
        if self.start(hot.facts.size)? {
            self.push_range(hot, 0..hot.facts.size)?;
        }
        Ok(Rest::Nothing)
    }

    /// Sets status and fields of a plan.
    fn head_of(&mut self, plan: &Plan, hot: &Hot, vary: bool) -> Result<()> {
        let mut response = self.response()?;
        response.set_status(plan.status, None)?;
        match (plan.status, &plan.body) {
            (304, _) => {
                let mut lines = Vec::new();
                plan::not_modified_lines(&mut lines, &hot.etag, hot.facts.mtime, vary);
                response.push_raw(&lines);
            }
            (206, body) => {
                let mut lines = Vec::new();
                let content_type = (!matches!(body, Body::Parts(_))).then_some(hot.content_type);
                plan::file_lines(&mut lines, content_type, &hot.etag, hot.facts.mtime, hot.coding, vary);
                response.push_raw(&lines);
            }
            _ => {}
        }
        response.push_raw(&plan.headers);
        Ok(())
    }

    fn push_range(&mut self, hot: &Hot, range: Range<u64>) -> Result<()> {
        match &hot.content {
            Content::Bytes(bytes) if range == (0..hot.facts.size) => self.push_shared(Rc::clone(bytes)),
            Content::Bytes(bytes) => self.push(slice(bytes, &range)),
            Content::File(file) => self.push_file(Rc::clone(file), range.start, range.end - range.start),
        }
    }

    async fn send_ranges(&mut self, hot: &Hot, body: ByteRanges) -> Result<()> {
        for (head, range) in body.parts {
            self.room().await?;
            self.push(&head)?;
            self.push_range(hot, range)?;
        }
        self.push(&body.tail)
    }

    /// Sends the client to the same folder with a slash at its end.
    fn add_slash(&mut self, req: &Request, relative: &[u8]) -> Result<Rest> {
        // Made from the resolved path: the raw one may start with two slashes, which would name a host.
        let mut location = vec![b'/'];
        for segment in relative.split(|&b| b == b'/') {
            listing::push_url(&mut location, segment);
            location.push(b'/');
        }
        let mut location = String::from_utf8(location).unwrap_or_default();
        if !req.query_string().is_empty() {
            location.push('?');
            location.push_str(req.query_string());
        }
        self.answer_redirect(301, &location)?;
        Ok(Rest::Nothing)
    }

    /// Answers with a short text; the connection goes on.
    fn serve_error(&mut self, status: u16) -> Result<()> {
        self.set_status(status)?;
        match status {
            412 | 416 => return self.answer(""),
            405 => self.response()?.push_raw(ALLOW),
            503 => self.add_header("retry-after", 1)?,
            _ => {}
        }
        self.response()?.push_raw(b"Content-Type: text/plain; charset=utf-8\r\n");
        self.answer(&format!("{status} {}\n", status_reason(status)))
    }
}

/// The status that answers an error of the file system.
fn status_of(error: &io::Error) -> u16 {
    match error.raw_os_error() {
        Some(sys::EXDEV | sys::ELOOP) => 403,
        Some(sys::ENAMETOOLONG) => 404,
        _ => Error::status_of_io(error),
    }
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    bytes.get(index(range.start)..index(range.end)).unwrap_or_default()
}

/// A boundary that nobody can guess, so that no file holds it.
fn boundary() -> String {
    // Keyed by the system's random numbers; std has no shorter way to them.
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
