//! What is run for a request, and whether it may be run.

use ecohttpd::Request;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The permission of others to execute a file.
const S_IXOTH: u32 = 0o001;

/// What to run for a request.
pub struct Script<'a> {
    /// The script's absolute path. Links are not resolved: some programs behave by `argv[0]`.
    pub file: &'a Path,
    /// The open script, which is run instead of the path: a link in the path might change in between.
    pub held: Option<BorrowedFd<'a>>,
    /// The program that runs it. `None`: it is executable itself.
    pub interpreter: Option<&'a Path>,
    /// `SCRIPT_NAME`, decoded.
    pub name: &'a [u8],
    /// What follows the script in the path, decoded, with its slash.
    pub path_info: Option<&'a [u8]>,
    /// The absolute folder in which scripts run.
    pub docroot: &'a Path,
    /// Pass on the client certificate.
    #[cfg(feature = "tls")]
    pub tells_certificate: bool,
    /// User and password of a verified login.
    pub login: Option<(&'a str, &'a [u8])>,
    /// 200, or the error whose page this is.
    pub status: u16,
    pub query: &'a [u8],
    /// Run it as for GET without a body, whatever the request was: after a local redirect, or for an error page.
    pub as_get: bool,
}

impl<'a> Script<'a> {
    pub fn method(&self, req: &'a Request) -> &'a str {
        if self.as_get && req.method() != "HEAD" { "GET" } else { req.method() }
    }

    pub fn has_body(&self, req: &Request) -> bool {
        let length = req.content_length().is_some_and(|length| length > 0);
        !self.as_get && (length || req.header_bytes("transfer-encoding").is_some())
    }

    /// Why it can't be run: a status, and a reason for the log.
    pub fn refusal(&self) -> Option<(u16, &'static str)> {
        let meta = match self.held.map_or_else(|| fs::metadata(self.file), metadata) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound => return Some((404, "not found")),
            Err(_) => return Some((403, "no access")),
        };
        if !meta.is_file() {
            return Some((403, "not a regular file"));
        }
        let executable = self.interpreter.is_some() || meta.permissions().mode() & S_IXOTH != 0;
        (!executable).then_some((403, "not executable by everyone"))
    }
}

fn metadata(held: BorrowedFd<'_>) -> io::Result<Metadata> {
    File::from(held.try_clone_to_owned()?).metadata()
}
