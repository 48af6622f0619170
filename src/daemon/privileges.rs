//! Giving up root: looking up the user to become, and becoming it.

use super::context::{about, said};
use super::escape::Shown;
use crate::daemon::sys::service as sys;
use std::fs;
use std::io::{self, ErrorKind};

/// Becomes another user with that user's groups, irrevocably. Does nothing if the process already runs as that user, as
/// it may under procd.
///
/// `PR_SET_NO_NEW_PRIVS` is not set: the operator may install a set-user-ID program as CGI.
///
/// # Errors
/// `InvalidInput` for an unknown user or root; what the system refused. One line.
pub fn drop_privileges(name: &str) -> io::Result<()> {
    let user = find_user(name)?;
    if sys::effective_ids().0 == user.user {
        return Ok(());
    }
    user.assume().map_err(|error| about(&format_args!("cannot become user {}", Shown(name.as_bytes())), error))
}

/// Looks up a user to become, in `/etc/passwd` and `/etc/group`: routers have no other directory, and musl would
/// additionally ask nscd, which they don't run.
///
/// # Errors
/// `InvalidInput` for an unknown user or root; that `/etc/passwd` can't be read. One line.
pub fn find_user(name: &str) -> io::Result<SystemUser> {
    let users = fs::read("/etc/passwd").map_err(|error| about(&"/etc/passwd", error))?;
    // Without this file a user has only the group of its line in `/etc/passwd`.
    let groups = fs::read("/etc/group").unwrap_or_default();
    let user = SystemUser::find(name, &String::from_utf8_lossy(&users), &String::from_utf8_lossy(&groups));
    let wrong = |what: &str| said(ErrorKind::InvalidInput, format!("user {}: {what}", Shown(name.as_bytes())));
    let user = user.ok_or_else(|| wrong("expected a name or number in /etc/passwd"))?;
    if user.user == 0 {
        return Err(wrong("expected a user other than root"));
    }
    Ok(user)
}

/// A user of the system, and its groups.
#[derive(Debug, PartialEq, Eq)]
pub struct SystemUser {
    user: u32,
    group: u32,
    /// All groups, `group` included.
    groups: Vec<u32>,
}

impl SystemUser {
    /// Finds a user by name, or by number, in the text of passwd(5) and group(5).
    fn find(user: &str, users: &str, groups: &str) -> Option<SystemUser> {
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
        Some(SystemUser { user, group, groups: all })
    }

    /// Becomes the user, and checks that root can't be regained.
    fn assume(&self) -> io::Result<()> {
        // In this order: setting groups takes root's rights, which are lost with the user.
        sys::set_groups(&self.groups)?;
        sys::set_group(self.group)?;
        sys::set_user(self.user)?;
        let may_return = sys::set_user(0).is_ok() || self.group != 0 && sys::set_group(0).is_ok();
        if may_return || sys::effective_ids() != (self.user, self.group) {
            return Err(said(ErrorKind::Other, "root's rights could be regained".into()));
        }
        Ok(())
    }
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
        let found = |user, group, groups: &[u32]| Some(SystemUser { user, group, groups: groups.to_vec() });
        for (user, expected, name) in [
            ("root", found(0, 0, &[0]), "root"),
            ("network", found(101, 102, &[102, 20, 100]), "its groups"),
            ("101", found(101, 102, &[102, 20, 100]), "by number"),
            ("nobody", found(65534, 65534, &[65534]), "the last line, without an end"),
            ("200", found(300, 300, &[300]), "a name comes before a number"),
            ("other", found(200, 1, &[1, 20]), "the first of the members"),
            ("bad", None, "a user id that is no number"),
            ("huge", None, "a user id that is too large"),
            ("broken", None, "not a line of passwd(5)"),
            ("missing", None, "nobody's name"),
            ("999", None, "nobody's number"),
            ("", None, "no name"),
            ("net", None, "half a name"),
            ("x", None, "another field"),
        ] {
            assert_eq!(SystemUser::find(user, USERS, GROUPS), expected, "{name}");
        }
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
