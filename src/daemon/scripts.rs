//! Which paths of a site are scripts, and where a script ends and its `PATH_INFO` begins.

use super::config;
use super::prefix::UrlPrefix;
use ecohttpd::{CleanPath, Connection, Files};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Which paths of a site are scripts.
pub struct Scripts {
    docroot: PathBuf,
    prefix: UrlPrefix,
    /// Extensions, with their dot, and the programs that run them; those of FastCGI servers, without a program, come first.
    interpreters: Vec<(String, PathBuf)>,
    /// The names of index files.
    index: Vec<String>,
    /// Whether any of them may be a script.
    index_scripts: bool,
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
    #[cfg(feature = "proxy")]
    pub fastcgi: Option<usize>,
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
        let servers = site.fastcgi.iter().map(|backend| (backend.from.clone(), PathBuf::new()));
        let programs = site.interpreters.iter().map(|one| (one.extension.clone(), one.program.clone()));
        let mut scripts = Scripts {
            docroot: site.docroot.clone(),
            prefix: UrlPrefix::new(&site.cgi_prefix),
            interpreters: servers.chain(programs).collect(),
            index: site.index.clone(),
            index_scripts: false,
        };
        scripts.index_scripts = site.index.iter().any(|name| scripts.may_be_script(name));
        scripts
    }

    /// Whether a file at that path would be run rather than sent. Case is ignored, as on FAT.
    pub fn is_script(&self, relative: &[u8]) -> bool {
        self.prefix.holds_in_any_case(relative) || self.interpreter(relative).is_some()
    }

    /// Whether an index file of that name may be a script, in any folder.
    pub fn may_be_script(&self, name: &str) -> bool {
        name.contains('/') || self.interpreter(name.as_bytes()).is_some()
    }

    pub fn docroot(&self) -> &Path {
        &self.docroot
    }

    fn interpreter(&self, relative: &[u8]) -> Option<(usize, &Path)> {
        let mut all = self.interpreters.iter().enumerate();
        // That of a FastCGI server may be a path instead, which is no file's.
        let found = all.find(|(_, (extension, _))| {
            let at = relative.len().checked_sub(extension.len());
            let end = at.and_then(|at| relative.get(at..)).filter(|_| extension.starts_with('.'));
            end.is_some_and(|end| end.eq_ignore_ascii_case(extension.as_bytes()))
        });
        found.map(|(at, (_, program))| (at, program.as_path()))
    }

    /// Looks for a script at a path, or above it.
    pub fn find(&self, con: &Connection, files: &Files, path: &CleanPath) -> Found<'_> {
        let relative = path.relative();
        let below = self.prefix.holds_in_any_case(relative);
        let named = || relative.split(|&byte| byte == b'/').any(|segment| self.interpreter(segment).is_some());
        if below || !self.interpreters.is_empty() && named() {
            match existing(con, files, relative) {
                Ok(Some(end)) if self.is_script(relative.get(..end).unwrap_or_default()) => {
                    return Found::Script(self.located(path, end));
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

    /// Looks for the index of a folder: a script, a file, or `File` if there is none.
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
            let located = self.located(&path, path.relative().len());
            return Found::Script(Located { index: Some(path), ..located });
        }
        Found::File
    }

    fn located(&self, path: &CleanPath, end: usize) -> Located<'_> {
        let (script, rest) = path.relative().split_at_checked(end).unwrap_or((path.relative(), b""));
        let slash: &[u8] = if path.is_folder() { b"/" } else { b"" };
        let info = [rest, slash].concat();
        let interpreter = self.interpreter(script);
        Located {
            file: self.docroot.join(OsStr::from_bytes(script)),
            interpreter: interpreter.map(|(_, program)| program),
            #[cfg(feature = "proxy")]
            fastcgi: interpreter.filter(|(_, program)| program.as_os_str().is_empty()).map(|(at, _)| at),
            name: [b"/", script].concat(),
            path_info: (!info.is_empty()).then_some(info),
            index: None,
        }
    }
}

/// Where the first file on a path ends; `None` if all of it is a folder. The error is the status of what is missing.
///
/// The search starts at the root and stops at what is missing, so a long path costs nothing.
fn existing(con: &Connection, files: &Files, relative: &[u8]) -> Result<Option<usize>, u16> {
    let slashes = relative.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in slashes.chain([relative.len()]) {
        let found = files.inspect(con, relative.get(..end).unwrap_or_default()).map_err(|error| status_of(&error))?;
        if !found.is_folder {
            return Ok(Some(end));
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
