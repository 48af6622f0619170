//! The limits of static files.

use std::time::Duration;

/// Bytes that the path of nearly every request fits in.
pub const PATH_ROOM: usize = 128;

/// Bytes of a file that is read and sent from memory rather than by sendfile(2).
///
/// Up to here one gathering write of head and body is cheaper than a second system call.
pub const SMALL_FILE: u64 = 16 << 10;

/// Places of the cache of hot files; a power of two.
pub const HOT_FILES: usize = 64;

/// Bytes of memory that hot files may take together.
pub const HOT_BYTES: u64 = 256 << 10;

/// Hot files that are kept open rather than in memory.
pub const HOT_DESCRIPTORS: usize = 16;

/// How long a hot file, or the document root's folder, is kept unused, and up to twice as long: an idle server gives its
/// memory back and holds nobody's disk busy.
pub const HOT_TIME: Duration = Duration::from_millis(2500);

/// Bytes read at a time of a file that the kernel makes up; those of sysfs are given whole, in a page at most.
pub const GENERATED_PIECE: usize = 16 << 10;

/// How long ago a file must have changed before what was read of it may be kept.
///
/// File times have the kernel's tick (some milliseconds) as their step: a change within the step of the one before
/// leaves them equal. Three seconds also cover file systems with steps of a second or two, as FAT has.
pub const SETTLED: Duration = Duration::from_secs(3);

/// Attempts with openat2(2), which gives up on a `..` in a link when anything anywhere is renamed meanwhile.
pub const OPENAT2_TRIES: u32 = 4;

/// How often the document root itself is looked up again, and what is known of the folders beneath it, in milliseconds.
pub const ROOT_CHECK: u64 = 1000;

/// Folders beneath the root that are known at once: of what is deeper, more is asked.
pub const WAYS_KEPT: usize = 16;

/// Names that are kept of folders on file systems with several names for a file, eight bytes each.
pub const NAMES_KEPT: usize = 4096;

/// Entries of a folder that are listed, some 100 bytes each until the page is out; a page of fewer says so.
pub const LISTED: usize = 4000;

/// Folders being listed at once: they take memory as long as their clients take to read them.
pub const LISTINGS: usize = 8;

/// Entries looked at before other connections get their turn.
pub const LISTED_AT_ONCE: usize = 128;

/// Most levels of a listing's path that are links, counted from the directory itself.
///
/// Each link climbs all the levels below it: without a bound the head of the page would grow with the square of the depth.
pub const MAX_CRUMBS: usize = 32;
