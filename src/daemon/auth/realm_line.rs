//! A login of the configuration.

/// `/path:user:pass`: a login for what is below a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmLine {
    pub path: String,
    pub user: String,
    /// A password, a hash of crypt(3), or `$p$` and the name of a user of the system.
    pub pass: String,
}

impl RealmLine {
    /// A password that nobody has: a hash of no scheme.
    pub const NOBODYS: &str = "$";

    /// Closes a path to everyone, where the login that should open it is invalid.
    pub fn closed(path: impl Into<String>) -> RealmLine {
        RealmLine { path: path.into(), user: String::new(), pass: RealmLine::NOBODYS.into() }
    }
}
