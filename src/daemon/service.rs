//! What makes a program a service: its own session, a file with its process id, no more rights than it needs.

use super::log;
use crate::daemon::sys::service as sys;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Rights that files made by a daemon never get: others do not write them.
const FILE_MASK: u32 = 0o022;

/// Goes on in a child that has a session of its own; the parent waits until the child has [settled](Background::settle).
///
/// It returns in the child alone. So it is called before the process id matters to anybody, and while there is one thread;
/// after the sockets are bound, for they stay open, as do the loop's descriptors and its signals.
///
/// # Errors
/// One line: what the system refused.
pub fn daemonise() -> io::Result<Background> {
    let failed = |error| about("cannot go on in the background", error);
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").map_err(failed)?;
    let (mut news, parent) = io::pipe().map_err(failed)?;
    // Else both would print what waits.
    io::stdout().flush().map_err(failed)?;
    if !sys::fork().map_err(failed)? {
        drop(parent);
        // No news are those of a child that failed, and has said why.
        let status = if news.read_exact(&mut [0]).is_ok() { super::STOPPED } else { super::CANNOT_SERVE };
        // Without destructors: the sockets and files that they would remove are the child's now.
        sys::exit_now(status.into());
    }
    sys::new_session().map_err(failed)?;
    sys::set_file_mask(FILE_MASK);
    Ok(Background { null, parent })
}

/// A process that is about to go on in the background, and still has its terminal to say what goes wrong.
///
/// Dropped before it has settled, it makes the parent end with an error.
#[must_use]
pub struct Background {
    null: File,
    parent: PipeWriter,
}

impl Background {
    /// Lets go of the terminal and of the folder that the process was started in; the parent ends with status 0.
    ///
    /// What is written to a standard stream goes nowhere then, and a relative path means another file.
    ///
    /// # Errors
    /// One line: what the system refused.
    pub fn settle(mut self) -> io::Result<()> {
        let released = std::env::set_current_dir("/")
            .and_then(|()| (0..=2).try_for_each(|stream| sys::replace_standard(stream, self.null.as_fd())));
        released.map_err(|error| about("cannot go on in the background", error))?;
        // A parent that was killed meanwhile wants no news.
        let _ = self.parent.write_all(&[0]);
        Ok(())
    }
}

/// A file with the process id; removed when dropped.
///
/// After [`drop_privileges`] the folder may not let it be removed: then it stays, as after a crash, and the next one
/// takes its place.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes this process's id, in the place of what an earlier process left there; nobody sees half a file.
    ///
    /// # Errors
    /// One line: which file cannot be made, and why.
    pub fn create(path: &Path) -> io::Result<PidFile> {
        let failed = |error| about(format_args!("process id file {}", path.display()), error);
        let path = std::path::absolute(path).map_err(failed)?;
        let mut draft = path.clone().into_os_string();
        draft.push(".new");
        // Of a start that was broken off.
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
        // Another process may have put its own in the place.
        let is_own = fs::read_to_string(&self.0).is_ok_and(|text| text == own_id());
        if is_own && let Err(error) = fs::remove_file(&self.0) {
            log::info!("the process id file {} stays: {error}", self.0.display());
        }
    }
}

fn own_id() -> String {
    format!("{}\n", std::process::id())
}

/// Goes on as another user, with that user's groups, and for good.
///
/// Users are looked up in `/etc/passwd` and `/etc/group` themselves: a router has no other directory, and what musl would
/// ask besides (nscd) is not there. Does nothing when the process runs as that user already, as procd can have it.
///
/// `PR_SET_NO_NEW_PRIVS` is not set: a CGI program may be set-user-ID, and it is the operator who says so.
///
/// # Errors
/// `InvalidInput` for a user that there is not, or that is root; what the system refused. One line.
pub fn drop_privileges(user: &str) -> io::Result<()> {
    let account = find_user(user)?;
    if sys::effective_ids().0 == account.user {
        return Ok(());
    }
    account.assume().map_err(|error| about(format_args!("cannot become user {user:?}"), error))
}

/// Looks up a user that rights can be dropped to.
///
/// # Errors
/// `InvalidInput` for a user that there is not, or that is root; that `/etc/passwd` can't be read. One line.
pub fn find_user(user: &str) -> io::Result<Account> {
    let users = fs::read("/etc/passwd").map_err(|error| about("/etc/passwd", error))?;
    // Without it, users have the group that their line names.
    let groups = fs::read("/etc/group").unwrap_or_default();
    let account = Account::find(user, &String::from_utf8_lossy(&users), &String::from_utf8_lossy(&groups));
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidInput, format!("user {user:?}: {what}"));
    let account = account.ok_or_else(|| wrong("expected a name or number that is in /etc/passwd"))?;
    if account.user == 0 {
        return Err(wrong("expected another user than root"));
    }
    Ok(account)
}

/// A user and the groups that it is in.
#[derive(Debug, PartialEq, Eq)]
pub struct Account {
    user: u32,
    group: u32,
    /// All of them.
    groups: Vec<u32>,
}

impl Account {
    /// Finds a user by name, else by number, in the text of passwd(5) and group(5).
    fn find(user: &str, users: &str, groups: &str) -> Option<Account> {
        let by = |place: usize| users.lines().find(move |line| line.split(':').nth(place) == Some(user));
        let mut fields = by(0).filter(|_| !user.is_empty()).or_else(|| by(2))?.split(':');
        let name = fields.next()?;
        let (user, group): (u32, u32) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        let mut all = vec![group];
        all.extend(groups.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let id: u32 = fields.nth(2)?.parse().ok()?;
            let is_member = fields.next()?.split(',').any(|member| member == name);
            (is_member && id != group).then_some(id)
        }));
        Some(Account { user, group, groups: all })
    }

    /// Becomes the user, and makes sure of it.
    fn assume(&self) -> io::Result<()> {
        // Root's right to do the first two goes with the last.
        sys::set_groups(&self.groups)?;
        sys::set_group(self.group)?;
        sys::set_user(self.user)?;
        let may_return = sys::set_user(0).is_ok() || self.group != 0 && sys::set_group(0).is_ok();
        if may_return || sys::effective_ids() != (self.user, self.group) {
            return Err(io::Error::other("the rights of root were not lost"));
        }
        Ok(())
    }
}

fn about(what: impl Display, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/ash\n\
        network:*:101:102:network:/var:/bin/false\n\
        broken\n\
        bad:*:x:1:::\n\
        200:*:300:300:a name of digits:/var:/bin/false\n\
        other:*:200:1:::\n\
        huge:*:4294967296:1:::\n\
        nobody:*:65534:65534:nobody:/var:/bin/false";
    const GROUPS: &str = "root:x:0:\n\
        dialout:x:20:other,network\n\
        broken:x\n\
        own:x:102:network\n\
        audio:x:29:networks,net,work\n\
        bad:x:y:network\n\
        users:x:100:network";

    #[test]
    fn accounts_are_found() {
        let found = |user, group, groups: &[u32]| Some(Account { user, group, groups: groups.to_vec() });
        for (user, expected, name) in [
            ("root", found(0, 0, &[0]), "root"),
            ("network", found(101, 102, &[102, 20, 100]), "its groups"),
            ("101", found(101, 102, &[102, 20, 100]), "by number"),
            ("nobody", found(65534, 65534, &[65534]), "the last line, without an end"),
            ("200", found(300, 300, &[300]), "a name comes before a number"),
            ("other", found(200, 1, &[1, 20]), "the first of the members"),
            ("bad", None, "a user id that is no number"),
            ("huge", None, "a user id that is too large"),
            ("broken", None, "a line that is none"),
            ("missing", None, "nobody's name"),
            ("999", None, "nobody's number"),
            ("", None, "no name"),
            ("net", None, "half a name"),
            ("x", None, "another field"),
        ] {
            assert_eq!(Account::find(user, USERS, GROUPS), expected, "{name}");
        }
    }

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

    #[test]
    fn nobody_becomes_a_user_that_there_is_not() {
        for (user, wanted) in [("no-such-user", "/etc/passwd"), ("root", "root"), ("a\nb", "/etc/passwd")] {
            let error = drop_privileges(user).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(text.starts_with("user \"") && text.contains(wanted) && !text.contains('\n'), "{text}");
        }
    }
}
