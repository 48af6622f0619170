//! Which paths need a login, and whose.

use super::credentials::Credentials;
use super::realm_line::RealmLine;
use super::verify::{Secret, same};
use crate::daemon::context::about;
use crate::daemon::log;
use crate::daemon::prefix::{Guarded, segments};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of a user database that are read: far above any router's.
const MAX_DATABASE: u64 = 1 << 20;

/// The protected paths.
pub struct Realms(Vec<Arc<Realm>>);

/// A path, and who may log in to what is below it.
pub struct Realm {
    /// As it was configured, for the log.
    pub path: String,
    guarded: Guarded,
    pub users: Vec<RealmUser>,
}

pub struct RealmUser {
    pub user: String,
    pub secret: Secret,
}

/// Where the system keeps its users' passwords.
pub struct Database {
    pub shadow: PathBuf,
    pub passwd: PathBuf,
}

impl Default for Database {
    fn default() -> Self {
        Database { shadow: "/etc/shadow".into(), passwd: "/etc/passwd".into() }
    }
}

impl Realm {
    /// Segments of its path.
    pub fn depth(&self) -> usize {
        self.guarded.depth()
    }

    /// A hash of the realm, if it has any.
    pub fn hash(&self) -> Option<&Secret> {
        self.users.iter().map(|account| &account.secret).find(|secret| secret.is_crypt())
    }

    /// Compares with the passwords that are not hashed.
    pub fn verify_plain(&self, login: &Credentials) -> bool {
        self.users.iter().fold(false, |right, account| {
            let plain = matches!(account.secret, Secret::Plain(_));
            right | (plain && same(&login.user, account.user.as_bytes()) & account.secret.verify(&login.pass))
        })
    }

    /// Compares with every password of that user. A user without a hashed one costs a hash all the same, so that the time
    /// does not tell which users exist.
    pub fn verify(&self, login: &Credentials) -> bool {
        let mut right = false;
        let mut hashed = false;
        for account in &self.users {
            if same(&login.user, account.user.as_bytes()) {
                right |= account.secret.verify(&login.pass);
                hashed |= account.secret.is_crypt();
            }
        }
        if let Some(hash) = self.hash().filter(|_| !hashed) {
            let _ = hash.verify(&login.pass);
        }
        right
    }
}

impl Realms {
    /// Checks that the passwords of system users can be read. Without root's rights they may not be.
    ///
    /// # Errors
    /// One line: which login can't be looked up, and why.
    pub fn check(lines: &[RealmLine], database: &Database) -> Result<(), String> {
        lines.iter().try_for_each(|line| {
            let Some(account) = line.pass.strip_prefix("$p$") else { return Ok(()) };
            let unknown = |error| format!("the password of system user '{account}' for {}: {error}", line.path);
            database.field(account).map(drop).map_err(unknown)
        })
    }

    /// Groups the lines by path and looks up system users. Problems are logged once.
    ///
    /// A line without a password protects nothing, as in uhttpd: an empty one, or that of a system user who has none, as
    /// on a router with factory settings.
    pub fn new(lines: &[RealmLine], database: &Database) -> Realms {
        let mut realms: Vec<Realm> = Vec::new();
        for line in lines {
            let Some(secret) = secret(line, database) else { continue };
            let account = RealmUser { user: line.user.clone(), secret };
            let place = segments(line.path.as_bytes());
            match realms.iter_mut().find(|realm| realm.depth() == place.len() && realm.guarded.holds(&place)) {
                Some(realm) => realm.users.push(account),
                None => {
                    let guarded = Guarded::new(&line.path);
                    realms.push(Realm { path: line.path.clone(), guarded, users: vec![account] });
                }
            }
        }
        Realms(realms.into_iter().map(Arc::new).collect())
    }

    /// The realm of a decoded path, and its index: the one with the longest path at or above it.
    pub fn find(&self, path: &[u8]) -> Option<(usize, &Arc<Realm>)> {
        if self.0.is_empty() {
            return None;
        }
        let path = segments(path);
        let above = self.0.iter().enumerate().filter(|(_, realm)| realm.guarded.holds(&path));
        above.max_by_key(|(_, realm)| realm.depth())
    }
}

/// What a password is compared with; `None` if the line has none.
fn secret(line: &RealmLine, database: &Database) -> Option<Secret> {
    let RealmLine { path, user, pass } = line;
    if let Some(account) = pass.strip_prefix("$p$") {
        return database.secret(account, path);
    }
    if pass == RealmLine::NOBODYS {
        return Some(Secret::Never);
    }
    if pass.is_empty() {
        log::warn!("{path} is not protected: the password of user '{user}' is empty");
        return None;
    }
    if !Secret::is_portable(pass) {
        log::warn!("logins to {path} as '{user}' may fail: the hash is not one of $1$ $2a$ $2b$ $2y$ $5$ $6$");
    }
    Some(Secret::new(pass))
}

impl Database {
    /// The password of a system user; `None` if none is needed.
    fn secret(&self, account: &str, path: &str) -> Option<Secret> {
        let wrong = match self.field(account).as_ref().map(Option::as_deref) {
            Ok(Some("")) => {
                log::warn!("{path} is not protected: system user '{account}' has no password yet");
                return None;
            }
            Ok(Some(hash)) if hash.starts_with('$') => return Some(Secret::new(hash)),
            Ok(Some(_)) => "is locked",
            Ok(None) => "does not exist",
            Err(_) => "can't be looked up",
        };
        log::warn!("no login to {path} as system user '{account}': it {wrong}");
        Some(Secret::Never)
    }

    /// The password field of an account: from `shadow`, or from `passwd` if it is not in there.
    fn field(&self, account: &str) -> io::Result<Option<String>> {
        match field(&self.shadow, account)? {
            None => Ok(field(&self.passwd, account)?.filter(|hash| !hash.is_empty())),
            known => Ok(known),
        }
    }
}

/// The second field of the line of an account; a missing file has none.
fn field(file: &Path, account: &str) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    match File::open(file).and_then(|file| file.take(MAX_DATABASE).read_to_end(&mut text)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(about(&file.display(), error)),
        Ok(_) => {}
    }
    let found = text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let found = !account.is_empty() && fields.next() == Some(account.as_bytes());
        // An invalid hash matches nothing.
        fields.next().filter(|_| found).map(|hash| String::from_utf8_lossy(hash).into_owned())
    });
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, user: &str, pass: &str) -> RealmLine {
        RealmLine { path: path.into(), user: user.into(), pass: pass.into() }
    }

    fn database(folder: &Path) -> Database {
        Database { shadow: folder.join("shadow"), passwd: folder.join("passwd") }
    }

    #[test]
    fn matching() {
        let lines = [line("/sub", "a", "1"), line("/sub/deep/", "b", "2"), line("//x/./y/../z", "c", "3")];
        let realms = Realms::new(&lines, &Database::default());
        #[rustfmt::skip]
        let rows = [
            ("/", None, "the root"),
            ("", None, "nothing"),
            ("/sub", Some("/sub"), "itself"),
            ("/sub/", Some("/sub"), "as a folder"),
            ("/sub/x", Some("/sub"), "below"),
            ("/submarine", None, "a longer name"),
            ("/su", None, "a shorter name"),
            ("/Sub/x", Some("/sub"), "another case"),
            ("/SUB/DEEP/x", Some("/sub/deep/"), "another case, the longer path"),
            ("/SUBMARINE", None, "another case of a longer name"),
            ("/other/sub", None, "elsewhere"),
            ("/sub/deep", Some("/sub/deep/"), "the longer path"),
            ("/sub/deep/x", Some("/sub/deep/"), "below the longer path"),
            ("/sub/deeper", Some("/sub"), "not the longer path"),
            ("//sub//x", Some("/sub"), "doubled slashes"),
            ("/./sub/x", Some("/sub"), "a dot"),
            ("/a/../sub/x", Some("/sub"), "in by two dots"),
            ("/../sub", Some("/sub"), "above the root"),
            ("/sub/../x", None, "out by two dots"),
            ("/sub/deep/..", Some("/sub"), "up by two dots"),
            ("sub/x", Some("/sub"), "without its slash"),
            ("/x/z/1", Some("//x/./y/../z"), "a configured path is resolved as well"),
        ];
        for (path, expected, name) in rows {
            assert_eq!(realms.find(path.as_bytes()).map(|(_, realm)| realm.path.as_str()), expected, "{name}");
        }
        let everything = Realms::new(&[line("/", "a", "1"), line("/x", "b", "2")], &Database::default());
        for (path, index) in [("/", 0), ("", 0), ("/y", 0), ("/x/y", 1), ("*", 0)] {
            assert_eq!(everything.find(path.as_bytes()).unwrap().0, index, "{path}");
        }
        assert!(Realms::new(&[], &Database::default()).find(b"/").is_none());
    }

    #[test]
    fn one_path_gathers_accounts() {
        let lines = [
            line("/x", "a", "1"),
            line("/y", "b", "2"),
            line("/x/", "c", "3"),
            line("/x", "d", ""),
            line("/X", "e", "5"),
        ];
        let realms = Realms::new(&lines, &Database::default());
        let (index, realm) = realms.find(b"/x").unwrap();
        assert_eq!(index, 0);
        assert_eq!(realm.users.iter().map(|account| account.user.as_str()).collect::<Vec<_>>(), ["a", "c", "e"]);
    }

    #[test]
    fn users_of_the_system() {
        let folder = tempfile::tempdir().unwrap();
        let shadow = "root:$1$s$hash:19000:0:99999:7:::\nempty::0:::::\nlocked:!$1$s$hash:0:::::\nstar:*:0:::::\n\
            x:x:0:::::\ndes:rl0uE3kqLrh5w:0:::::\nbare\nlast:$5$s$h";
        std::fs::write(folder.path().join("shadow"), shadow).unwrap();
        let passwd = "root:x:0:0::/:/bin/sh\nold:$6$s$h:1:1::/:/bin/sh\nopen::2:2::/:/bin/sh\n";
        std::fs::write(folder.path().join("passwd"), passwd).unwrap();
        let database = database(folder.path());
        let hash = |text: &str| Some(Secret::new(text));
        #[rustfmt::skip]
        let rows = [
            ("root", hash("$1$s$hash"), "a hash"),
            ("last", hash("$5$s$h"), "a last line without its end"),
            ("old", hash("$6$s$h"), "passwd, for whom shadow does not know"),
            ("empty", None, "no password is needed"),
            ("open", Some(Secret::Never), "passwd alone opens nothing"),
            ("locked", Some(Secret::Never), "locked"),
            ("star", Some(Secret::Never), "never had one"),
            ("x", Some(Secret::Never), "elsewhere"),
            ("des", Some(Secret::Never), "a hash of old"),
            ("bare", Some(Secret::Never), "a broken line"),
            ("roo", Some(Secret::Never), "nobody"),
            ("", Some(Secret::Never), "no name"),
        ];
        for (user, expected, name) in rows {
            assert_eq!(secret(&line("/", "u", &format!("$p${user}")), &database), expected, "{name}");
        }
        let nowhere = Database { shadow: "/nonexistent/shadow".into(), passwd: "/nonexistent/passwd".into() };
        assert_eq!(nowhere.secret("root", "/"), Some(Secret::Never), "no database");
    }

    /// What can't be read may hold a login that is right; what is absent holds none.
    #[test]
    fn an_unreadable_database_is_said() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        let database = database(folder.path());
        let lines = [line("/", "u", "plain"), line("/a", "u", "$p$root")];
        assert_eq!(Realms::check(&lines, &database), Ok(()), "no shadow");
        // A folder opens, but can't be read: not even by root, whom a file's mode does not stop.
        std::fs::create_dir(folder.path().join("shadow")).unwrap();
        assert_eq!(Realms::check(&lines[..1], &database), Ok(()), "nothing to look up");
        let error = Realms::check(&lines, &database).unwrap_err();
        assert!(error.lines().count() == 1 && error.contains("'root' for /a") && error.contains("shadow"), "{error}");
        assert_eq!(database.secret("root", "/"), Some(Secret::Never), "closed all the same");
    }
}
