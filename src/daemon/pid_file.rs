//! The file with the process id.

use super::context::about;
use super::log;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file with the process id, removed when dropped.
///
/// Without root's rights it may be impossible to remove. Then it stays, as after a crash, until the next start replaces it.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes this process's id, replacing the file of an earlier process; nobody sees half a file.
    ///
    /// # Errors
    /// One line: which file cannot be made, and why.
    pub fn create(path: &Path) -> io::Result<PidFile> {
        let failed = |error| about(&format_args!("pid file {}", path.display()), error);
        let path = std::path::absolute(path).map_err(failed)?;
        let mut draft = path.clone().into_os_string();
        draft.push(".new");
        // Left by a start that was interrupted.
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&draft).map_err(failed)?;
        let done = file.write_all(own_id().as_bytes()).and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = done {
            let _ = fs::remove_file(&draft);
            return Err(failed(error));
        }
        Ok(PidFile(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another process may have replaced it.
        let is_own = fs::read_to_string(&self.0).is_ok_and(|text| text == own_id());
        if is_own && let Err(error) = fs::remove_file(&self.0) {
            log::info!("cannot remove the pid file {}: {error}", self.0.display());
        }
    }
}

fn own_id() -> String {
    format!("{}\n", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_file_is_whole_and_goes_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        for left in [None, Some("1\n"), Some("")] {
            if let Some(left) = left {
                fs::write(&path, left).unwrap();
            }
            fs::write(folder.path().join("pid.new"), "left").unwrap();
            let file = PidFile::create(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), own_id());
            drop(file);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        let file = PidFile::create(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n", "another process's");
    }

    #[test]
    fn a_process_id_file_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("missing/pid"), folder.path().to_owned()] {
            let text = PidFile::create(&path).err().unwrap().to_string();
            assert!(text.contains(path.to_str().unwrap()) && !text.contains('\n'), "{text}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays");
    }
}
