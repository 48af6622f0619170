//! What is run for a request, and whether it may be run.

use ecohttpd::Request;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The permission of everybody to execute a file.
const S_IXOTH: u32 = 0o001;

/// What is to be run for a request.
pub struct Script<'a> {
    /// The script's absolute path, links unresolved: some programs are several, told apart by `argv[0]`.
    pub file: &'a Path,
    /// The script itself, where its path may lead elsewhere by the time that it is run: this is what is run.
    pub held: Option<BorrowedFd<'a>>,
    /// The program that runs it; `None` if it is one itself.
    pub interpreter: Option<&'a Path>,
    /// `SCRIPT_NAME`, decoded.
    pub name: &'a [u8],
    /// What follows the script in the path: decoded, with its slash.
    pub path_info: Option<&'a [u8]>,
    /// Absolute; the folder that scripts are run in.
    pub docroot: &'a Path,
    /// Tell of the client's certificate.
    #[cfg(feature = "tls")]
    pub tells_certificate: bool,
    /// User and password of a login that was verified.
    pub login: Option<(&'a str, &'a [u8])>,
    /// Why the script is run: 200, or the error that it is the page of.
    pub status: u16,
    pub query: &'a [u8],
    /// Run it as for GET without a body, whatever the request was: after a local redirect, or for an error's page.
    pub as_get: bool,
}

impl<'a> Script<'a> {
    pub fn method(&self, req: &'a Request) -> &'a str {
        if self.as_get && req.method() != "HEAD" { "GET" } else { req.method() }
    }

    pub fn has_body(&self, req: &Request) -> bool {
        let length = req.header("content-length").is_some_and(|length| length.bytes().any(|digit| digit != b'0'));
        !self.as_get && (length || req.header_bytes("transfer-encoding").is_some())
    }

    /// Why it can't be run: a status and, for the log, a reason.
    pub fn refusal(&self) -> Option<(u16, &'static str)> {
        let meta = match self.held.map_or_else(|| fs::metadata(self.file), metadata) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Some((404, "it is gone")),
            Err(_) => return Some((403, "it cannot be looked at")),
        };
        if !meta.is_file() {
            return Some((403, "it is no regular file"));
        }
        let executable = self.interpreter.is_some() || meta.permissions().mode() & S_IXOTH != 0;
        (!executable).then_some((403, "it is not executable by everybody"))
    }
}

fn metadata(held: BorrowedFd<'_>) -> io::Result<Metadata> {
    File::from(held.try_clone_to_owned()?).metadata()
}
