//! Going to the background: a session of its own, without a terminal.

use super::context::about;
use super::exit::{CANNOT_SERVE, STOPPED};
use crate::daemon::sys::service as sys;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::AsFd;

/// Permissions that files made by the daemon never get: only the owner writes them.
const FILE_MASK: u32 = 0o022;

/// Continues in a child with a session of its own; the parent waits until the child has [settled](Background::settle).
///
/// It returns in the child only. Call it while there is one thread, and before the process id is used. Sockets, the
/// loop's descriptors and its signals stay open across it.
///
/// # Errors
/// One line: what the system refused.
pub fn daemonise() -> io::Result<Background> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(failed)?;
    let (mut done, parent) = io::pipe().map_err(failed)?;
    if !sys::fork().map_err(failed)? {
        drop(parent);
        // The end without a byte means that the child failed; it has said why.
        let status = if done.read_exact(&mut [0]).is_ok() { STOPPED } else { CANNOT_SERVE };
        // No destructors: they would remove sockets and files that are the child's now.
        sys::exit_now(status.into());
    }
    sys::new_session().map_err(failed)?;
    sys::set_file_mask(FILE_MASK);
    Ok(Background { null, parent })
}

/// A child that still has the terminal, to report errors.
///
/// If it is dropped before it has settled, the parent exits with an error.
#[must_use]
pub struct Background {
    null: File,
    parent: PipeWriter,
}

impl Background {
    /// Detaches from the terminal and leaves the folder that the process was started in; the parent exits with 0.
    ///
    /// From then on the standard streams are `/dev/null`, and relative paths start at the root.
    ///
    /// # Errors
    /// One line: what the system refused.
    pub fn settle(mut self) -> io::Result<()> {
        let released = std::env::set_current_dir("/")
            .and_then(|()| (0..=2).try_for_each(|stream| sys::replace_standard(stream, self.null.as_fd())));
        released.map_err(failed)?;
        // The parent may have been killed meanwhile.
        let _ = self.parent.write_all(&[0]);
        Ok(())
    }
}

fn failed(error: io::Error) -> io::Error {
    about(&"cannot go to the background", error)
}
