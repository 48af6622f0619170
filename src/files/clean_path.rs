//! The path of a request as a name beneath a folder.

use super::dot_segments::{PathError, normalize};
use super::limits::PATH_ROOM;
use crate::server::Refusal;
use std::cell::Cell;
use std::ffi::CStr;
use std::io;

thread_local! {
    /// The memory of a path that was dropped, for the next one: there is one for each request.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A path beneath a folder: what a client asked for, with dot segments and duplicate slashes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanPath {
    /// The path without a slash at either end, and a NUL after it, as system calls want it.
    name: Vec<u8>,
    folder: bool,
}

impl Drop for CleanPath {
    fn drop(&mut self) {
        if self.name.capacity() <= 2 * PATH_ROOM {
            let name = std::mem::take(&mut self.name);
            // The thread may be ending.
            let _ = SPARE.try_with(|spare| spare.set(name));
        }
    }
}

impl CleanPath {
    /// Resolves a percent-decoded path by its text alone; nothing is looked up.
    ///
    /// ```
    /// use ecohttpd::CleanPath;
    /// # fn main() -> Result<(), ecohttpd::Refusal> {
    /// assert_eq!(CleanPath::new(b"/a/./b//../c")?.relative(), b"a/c");
    /// assert_eq!(CleanPath::new(b"/../etc/passwd").unwrap_err().status(), 403);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// 403 for a path that climbs above its root, 400 for one with a NUL.
    pub fn new(decoded: &[u8]) -> Result<CleanPath, Refusal> {
        let mut name = SPARE.take();
        name.clear();
        name.reserve(PATH_ROOM);
        match normalize(decoded, &mut name) {
            Ok(folder) => {
                name.push(0);
                Ok(CleanPath { name, folder })
            }
            Err(PathError::Escapes) => Err(Refusal::new(403)),
            Err(PathError::BadByte) => Err(Refusal::new(400)),
        }
    }

    /// The path without a slash at either end. It is empty for the folder itself.
    pub fn relative(&self) -> &[u8] {
        self.name.split_last().map_or(b"", |(_, relative)| relative)
    }

    /// Whether only a folder can have this path: it ended in a slash or a dot segment.
    pub fn is_folder(&self) -> bool {
        self.folder
    }

    /// The path as system calls want it.
    pub(super) fn name(&self) -> io::Result<&CStr> {
        CStr::from_bytes_with_nul(&self.name).map_err(io::Error::other)
    }
}
