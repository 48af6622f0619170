//! Basic authentication (RFC 7617): which paths need a login, and whether it is right.
//!
//! | file | concept |
//! | --- | --- |
//! | `realm_line` | a line of the configuration: a path, and who may log in |
//! | `realms` | the protected paths and their users |
//! | `credentials` | the login in a request |
//! | `check` | the verdict on it |
//! | `cache` | logins known to be right or wrong |
//! | `throttle` | whose turn it is, after failures |
//! | `verify`, `hashing` | comparing a password; hashing it on a thread |

mod cache;
mod check;
mod credentials;
mod hashing;
mod realm_line;
mod realms;
mod throttle;
mod verify;

pub use check::{Auth, Sender, Verdict};
pub use realm_line::RealmLine;
pub use realms::{Database, Realms};
pub use verify::crypt_md5;
