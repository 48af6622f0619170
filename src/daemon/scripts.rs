//! Which paths of a site are scripts, and where a script ends and its `PATH_INFO` begins.

use super::config;
use super::prefix::UrlPrefix;
use ecohttpd::{CleanPath, Connection, Files};
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Which paths of a site are scripts.
pub struct Scripts {
    docroot: PathBuf,
    prefix: UrlPrefix,
    interpreters: Vec<Interpreter>,
    /// Paths below which FastCGI servers answer everything, the longest first, with their places in `fastcgi`.
    programs: Vec<(UrlPrefix, usize)>,
    /// The names of index files.
    index: Vec<String>,
    /// Whether any of them may be a script.
    index_scripts: bool,
}

/// Who runs the files of an extension.
struct Interpreter {
    /// With its dot.
    extension: String,
    /// Empty: a FastCGI server does.
    program: PathBuf,
    /// The place of that in `fastcgi`.
    server: Option<usize>,
}

/// What is at a path.
pub enum Found<'a> {
    /// Not a script: it is served as a file.
    File,
    /// A script.
    Script(Located<'a>),
    /// The index file of the folder.
    Index(CleanPath),
    /// Nothing that clients may get: this status.
    Refused(u16),
}

/// A script, and how the request names it.
pub struct Located<'a> {
    pub file: PathBuf,
    pub interpreter: Option<&'a Path>,
    /// The place in `fastcgi` of the server that runs it.
    pub fastcgi: Option<usize>,
    /// That server has all below this path, whatever files there are.
    pub is_program: bool,
    /// It is a regular file.
    pub is_file: bool,
    /// Its path in URLs.
    pub name: Vec<u8>,
    pub path_info: Option<Vec<u8>>,
    /// Its path, if it is the index of the requested folder.
    pub index: Option<CleanPath>,
}

impl Located<'_> {
    /// Its path below the document root.
    pub fn relative(&self) -> &[u8] {
        self.name.get(1..).unwrap_or_default()
    }
}

impl Scripts {
    pub fn new(site: &config::SiteConfig) -> Scripts {
        let mut interpreters = Vec::new();
        let mut programs = Vec::new();
        for (at, backend) in site.fastcgi.iter().enumerate() {
            if !backend.from.starts_with('.') {
                programs.push((UrlPrefix::new(&backend.from), at));
                continue;
            }
            for extension in backend.from.split(' ') {
                let (extension, program) = (extension.to_owned(), PathBuf::new());
                interpreters.push(Interpreter { extension, program, server: Some(at) });
            }
        }
        programs.sort_by_key(|(prefix, _)| Reverse(prefix.relative().len()));
        interpreters.extend(site.interpreters.iter().map(|one| Interpreter {
            extension: one.extension.clone(),
            program: one.program.clone(),
            server: None,
        }));
        let mut scripts = Scripts {
            docroot: site.docroot.clone(),
            prefix: UrlPrefix::new(&site.cgi_prefix),
            interpreters,
            programs,
            index: site.index.clone(),
            index_scripts: false,
        };
        scripts.index_scripts = site.index.iter().any(|name| scripts.may_be_script(name));
        scripts
    }

    /// Whether a file at that path would be run rather than sent. Case is ignored, as on FAT.
    pub fn is_script(&self, relative: &[u8]) -> bool {
        self.prefix.holds_in_any_case(relative)
            || self.interpreter(relative).is_some()
            || self.programs.iter().any(|(prefix, _)| prefix.holds_in_any_case(relative))
    }

    /// Whether an index file of that name may be a script, in any folder.
    pub fn may_be_script(&self, name: &str) -> bool {
        let ends_so = |path: &str| path.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
        name.contains('/')
            || self.interpreter(name.as_bytes()).is_some()
            || self.programs.iter().any(|(prefix, _)| ends_so(prefix.relative()))
    }

    pub fn docroot(&self) -> &Path {
        &self.docroot
    }

    fn interpreter(&self, relative: &[u8]) -> Option<&Interpreter> {
        self.interpreters.iter().find(|Interpreter { extension, .. }| {
            let at = relative.len().checked_sub(extension.len());
            at.and_then(|at| relative.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(extension.as_bytes()))
        })
    }

    /// The server that has all below a path. Case is ignored: nothing there is a file, on FAT neither.
    fn program(&self, path: &CleanPath) -> Option<Located<'_>> {
        let mut fits = self.programs.iter();
        let (prefix, at, rest) =
            fits.find_map(|(prefix, at)| Some((prefix.relative(), *at, prefix.rest_in_any_case(path.relative())?)))?;
        let (start, end) = (prefix.is_empty(), path.is_folder() && !path.relative().is_empty());
        let slash = |is_there: bool| if is_there { &b"/"[..] } else { b"" };
        let info = [slash(start), rest, slash(end)].concat();
        Some(Located {
            file: self.docroot.join(prefix),
            interpreter: None,
            fastcgi: Some(at),
            is_program: true,
            is_file: false,
            name: [slash(!start), prefix.as_bytes()].concat(),
            path_info: (!info.is_empty()).then_some(info),
            index: None,
        })
    }

    /// Whether a path can't be that of a script, nor of one above it, whatever files there are: [`find`](Scripts::find)
    /// would say that it is a file.
    pub fn cannot_concern(&self, path: &CleanPath) -> bool {
        let relative = path.relative();
        let may_concern = self.prefix.holds_in_any_case(relative)
            || self.names_script(relative)
            || path.is_folder() && self.index_scripts
            || self.programs.iter().any(|(prefix, _)| prefix.holds_in_any_case(relative));
        !may_concern
    }

    /// Whether a path, or one above it, has the extension of a script.
    fn names_script(&self, relative: &[u8]) -> bool {
        let mut segments = relative.split(|&byte| byte == b'/');
        !self.interpreters.is_empty() && segments.any(|segment| self.interpreter(segment).is_some())
    }

    /// Looks for a script at a path, or above it.
    pub fn find(&self, con: &Connection, files: &Files, path: &CleanPath) -> Found<'_> {
        if let Some(located) = self.program(path) {
            return Found::Script(located);
        }
        let relative = path.relative();
        let below = self.prefix.holds_in_any_case(relative);
        if below || self.names_script(relative) {
            match existing(con, files, relative) {
                Ok(Some((end, is_file))) if self.is_script(relative.get(..end).unwrap_or_default()) => {
                    return Found::Script(self.located(path, end, is_file));
                }
                Ok(_) => {}
                // A compressed file is no substitute for a script.
                Err(status) if self.is_script(relative) => return Found::Refused(status),
                // Serving it as a file reports the error.
                Err(_) => return Found::File,
            }
        }
        if !path.is_folder() || !below && !self.index_scripts {
            return Found::File;
        }
        match self.find_index(con, files, relative) {
            // There are no listings in a folder of scripts.
            Found::File if below => Found::Refused(403),
            found => found,
        }
    }

    /// Looks for the index of a folder: a script, a file, or `File` if the folder has no index.
    pub fn find_index(&self, con: &Connection, files: &Files, folder: &[u8]) -> Found<'_> {
        for name in &self.index {
            let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
            let candidate = [folder, slash, name.as_bytes()].concat();
            if !files.inspect(con, &candidate).is_ok_and(|found| found.is_file) {
                continue;
            }
            let Ok(path) = CleanPath::new(&candidate) else { continue };
            if !self.is_script(path.relative()) {
                return Found::Index(path);
            }
            let located = self.program(&path).unwrap_or_else(|| self.located(&path, path.relative().len(), true));
            return Found::Script(Located { index: Some(path), ..located });
        }
        Found::File
    }

    fn located(&self, path: &CleanPath, end: usize, is_file: bool) -> Located<'_> {
        let (script, rest) = path.relative().split_at_checked(end).unwrap_or((path.relative(), b""));
        let slash: &[u8] = if path.is_folder() { b"/" } else { b"" };
        let info = [rest, slash].concat();
        let interpreter = self.interpreter(script);
        Located {
            file: self.docroot.join(OsStr::from_bytes(script)),
            interpreter: interpreter.map(|one| one.program.as_path()),
            fastcgi: interpreter.and_then(|one| one.server),
            is_program: false,
            is_file,
            name: [b"/", script].concat(),
            path_info: (!info.is_empty()).then_some(info),
            index: None,
        }
    }
}

/// Where the first file on a path ends, and whether it is a regular one; `None` if all of it is a folder. The error is the status of what is missing.
///
/// The search starts at the root and stops at what is missing, so a long path costs nothing.
fn existing(con: &Connection, files: &Files, relative: &[u8]) -> Result<Option<(usize, bool)>, u16> {
    let slashes = relative.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in slashes.chain([relative.len()]) {
        let found = files.inspect(con, relative.get(..end).unwrap_or_default()).map_err(|error| status_of(&error))?;
        if !found.is_folder {
            return Ok(Some((end, found.is_file)));
        }
    }
    Ok(None)
}

/// The status for a script that can't be accessed.
pub fn status_of(error: &io::Error) -> u16 {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => 404,
        _ => 403,
    }
}
