//! Files that the kernel generates while they are read: stat(2) does not know the length of files in proc and sysfs.

use super::limits::GENERATED_PIECE;
use super::mime;
use crate::server::{Connection, Request, Result};
use crate::sys::{self, Stat};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

/// The file systems of such files, by their number in statfs(2).
#[rustfmt::skip]
const GENERATING: &[u32] = &[
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x6265_6570, // configfs
    0x7363_6673, // securityfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
];

/// Whether the length that stat(2) reports may be wrong: zero, or a power of two of at least a page.
pub(super) fn is_generated(file: &File, stat: &Stat) -> io::Result<bool> {
    let may_be = stat.size == 0 || stat.size >= 4096 && stat.size.is_power_of_two();
    Ok(may_be && GENERATING.contains(&sys::file_system(file.as_fd())?))
}

/// Sends the file to its end, without a length, ranges or validators.
pub(super) async fn serve(con: &mut Connection, req: &Request, mut file: File, relative: &[u8]) -> Result<()> {
    con.add_header("Content-Type", mime::content_type(relative))?;
    if req.head.is_head() {
        return con.send("").await;
    }
    let mut piece = vec![0; GENERATED_PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => con.send(piece.get(..length).unwrap_or_default()).await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
