//! Open descriptors and the paths that name them.

use std::fs::{File, Metadata};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The path by which the kernel gives access to an open descriptor.
pub(super) fn proc_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Whether `path` names this open file.
pub(super) fn is_same(file: &File, path: &Path) -> bool {
    let id = |meta: &Metadata| (meta.dev(), meta.ino());
    file.metadata().is_ok_and(|own| std::fs::metadata(path).is_ok_and(|named| id(&named) == id(&own)))
}
