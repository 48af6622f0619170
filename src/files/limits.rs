//! The limits of static files.

use std::time::Duration;

/// Bytes that the path of nearly every request fits in.
pub const PATH_ROOM: usize = 128;

/// Bytes of the largest file that is sent from memory rather than by sendfile(2).
///
/// Up to here, one gathering write of head and body is cheaper than a second system call.
pub const SMALL_FILE: u64 = 16 << 10;

/// Places of the cache of hot files; a power of two.
pub const HOT_FILES: usize = 64;

/// Bytes of memory that hot files may take together.
pub const HOT_BYTES: u64 = 256 << 10;

/// Hot files that are kept open rather than in memory.
pub const HOT_DESCRIPTORS: usize = 16;

/// How often hot files and the document root are looked through. One that was not used since the last time is closed, so
/// an idle server frees its memory, and its disk can be unmounted.
pub const HOT_TIME: Duration = Duration::from_millis(2500);

/// Bytes of a generated file read at a time; files of sysfs have no more than a page, and must be read whole.
pub const GENERATED_PIECE: usize = 16 << 10;

/// How long ago a file must have changed before its content may be cached.
///
/// File times have a resolution, the kernel's tick of some milliseconds: two changes within one tick leave the same time.
/// Three seconds also cover FAT, whose resolution is two seconds.
pub const SETTLED: Duration = Duration::from_secs(3);

/// Attempts with openat2(2). It fails with `EAGAIN` if a link holds `..` and any file is renamed meanwhile.
pub const OPENAT2_TRIES: u32 = 4;

/// Milliseconds after which the document root and the folders beneath it are checked again.
pub const ROOT_CHECK: u64 = 1000;

/// Folders whose check is kept. More of them only means that some are checked more often.
pub const FOLDERS_KEPT: usize = 16;

/// Names that are kept for all folders together, eight bytes each: those of precompressed files, and all on file systems
/// with several names per file.
pub const NAMES_KEPT: usize = 4096;

/// Entries that are read of a folder to find its precompressed files: some milliseconds on a router, and only if the folder
/// has changed. In a larger folder they are looked up one by one.
pub const ENTRIES_READ: usize = 1000;

/// Files whose precompressed forms are remembered, 16 bytes each.
pub const SIBLINGS_KEPT: usize = 128;

/// Entries of a folder that are listed. Each takes about 100 bytes until the page is sent. A page that leaves some out
/// says so.
pub const LISTED: usize = 4000;

/// Entries of a folder that a search looks at: ten times as many, as it takes nothing from disk of those that do not match.
pub const SEARCHED: usize = 40_000;

/// Listings in progress at once: each takes memory until its client has read it.
pub const LISTINGS: usize = 8;

/// Entries read before other connections get their turn.
pub const LISTED_AT_ONCE: usize = 128;

/// Levels of a listing's path that are links, counted from the directory itself.
///
/// Each link climbs all the levels below it. Without a bound, the head of the page would grow with the square of the depth.
pub const MAX_CRUMBS: usize = 32;
