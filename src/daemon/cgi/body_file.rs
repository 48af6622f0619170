//! Chunked bodies too long for memory: kept in files until their length is known (RFC 3875 §4.1.2).

use crate::daemon::sys::process::{EMFILE, ENFILE, ENOMEM};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

/// Most files at once, of all sites: each takes a descriptor.
const FILES_MAX: usize = 16;

/// The fraction of them that one client may have.
const PART: usize = 4;

/// Total size of all files, in longest bodies: the folder may be in memory.
const BODIES_MAX: u64 = 2;

/// Where bodies are kept, and how long one may be.
#[derive(Clone)]
pub struct Hold {
    pub folder: PathBuf,
    pub limit: u64,
}

/// Why a body is not kept.
#[derive(Debug)]
pub enum NotHeld {
    /// It is too long.
    TooLong,
    /// Others take all the space.
    Full,
    /// The file can't be made or written.
    Io(io::Error),
}

impl NotHeld {
    /// The status that answers it.
    pub fn status(&self) -> u16 {
        match self {
            NotHeld::TooLong => 413,
            NotHeld::Full => 503,
            NotHeld::Io(error) => match (error.raw_os_error(), error.kind()) {
                (Some(EMFILE | ENFILE | ENOMEM), _) => 503,
                (_, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => 507,
                _ => 500,
            },
        }
    }
}

impl fmt::Display for NotHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotHeld::TooLong => f.write_str("chunked body too long (chunked_body_limit)"),
            NotHeld::Full => f.write_str("no room for another chunked body (chunked_body_limit)"),
            NotHeld::Io(error) => {
                write!(f, "cannot store the chunked body (body_temp_path, /tmp unless set): {error}")
            }
        }
    }
}

thread_local! {
    /// The size of each file, of all sites and of those that a reload has replaced.
    static SHARES: RefCell<Vec<Rc<FileShare>>> = RefCell::default();
}

struct FileShare {
    client: Option<IpAddr>,
    bytes: Cell<u64>,
}

/// The share of a file in the limits, until it is dropped.
pub struct Taken(Rc<FileShare>);

impl Taken {
    /// Counts one more file, still empty; `None` if there are too many. `client`: whose limit applies, if any.
    fn new(client: Option<IpAddr>) -> Option<Taken> {
        SHARES.with_borrow_mut(|shares| {
            let own = shares.iter().filter(|share| share.client == client).count();
            if shares.len() >= FILES_MAX || client.is_some() && own >= FILES_MAX / PART {
                return None;
            }
            let share = Rc::new(FileShare { client, bytes: Cell::new(0) });
            shares.push(Rc::clone(&share));
            Some(Taken(share))
        })
    }

    /// Counts more bytes, if there is room. All files of one client may be as long as one body.
    fn grow(&self, bytes: u64, limit: u64) -> Result<(), NotHeld> {
        let length = self.0.bytes.get().saturating_add(bytes);
        if length > limit {
            return Err(NotHeld::TooLong);
        }
        let (mut all, mut own) = (bytes, bytes);
        SHARES.with_borrow(|shares| {
            for share in shares {
                all = all.saturating_add(share.bytes.get());
                if self.0.client.is_some() && share.client == self.0.client {
                    own = own.saturating_add(share.bytes.get());
                }
            }
        });
        if own > limit || all > limit.saturating_mul(BODIES_MAX) {
            return Err(NotHeld::Full);
        }
        self.0.bytes.set(length);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        SHARES.with_borrow_mut(|shares| shares.retain(|share| !Rc::ptr_eq(share, &self.0)));
    }
}

/// A body in an unnamed file.
pub struct Held {
    file: File,
    taken: Taken,
}

impl Held {
    /// An empty file.
    pub fn new(folder: &Path, client: Option<IpAddr>) -> Result<Held, NotHeld> {
        let taken = Taken::new(client).ok_or(NotHeld::Full)?;
        Ok(Held { file: nameless(folder).map_err(NotHeld::Io)?, taken })
    }

    /// Its length.
    pub fn length(&self) -> u64 {
        self.taken.0.bytes.get()
    }

    /// Appends a piece of the body.
    pub fn push(&mut self, piece: &[u8], limit: u64) -> Result<(), NotHeld> {
        self.taken.grow(piece.len() as u64, limit)?;
        self.file.write_all(piece).map_err(NotHeld::Io)
    }

    /// The file, rewound; and its share, to be kept as long as the file is used.
    pub fn into_input(mut self) -> io::Result<(File, Taken)> {
        self.file.rewind()?;
        Ok((self.file, self.taken))
    }
}

/// A new file that nobody else can open, and that disappears with its last descriptor.
fn nameless(folder: &Path) -> io::Result<File> {
    // The name can't be predicted.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let path = folder.join(format!("ecohttpd-{}-{}", std::process::id(), now.subsec_nanos()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const LIMIT: u64 = 1000;

    fn clients() -> [Option<IpAddr>; 3] {
        ["192.0.2.1", "2001:db8::1", ""].map(|client| client.parse().ok())
    }

    /// Who has how many bytes, who wants how many more, and how the answer begins.
    type Row = (&'static [(usize, u64)], (usize, u64), Option<u16>, &'static str);

    const ROWS: &[Row] = &[
        (&[], (0, 1000), None, "all of a body"),
        (&[], (0, 1001), Some(413), "a byte more"),
        (&[(0, 400)], (0, 600), None, "two of a client, as much as one body"),
        (&[(0, 400)], (0, 601), Some(503), "a byte more"),
        (&[(0, 1000)], (1, 1000), None, "two clients"),
        (&[(0, 1000), (1, 1000)], (2, 1), Some(503), "all is taken"),
        (&[(2, 1000), (2, 500)], (2, 500), None, "who speaks for many may have all"),
        (&[(2, 1000), (2, 500)], (0, 501), Some(503), "a byte more than all"),
    ];

    #[test]
    fn bytes_have_their_bounds() {
        for (others, (client, bytes), status, name) in ROWS {
            let held: Vec<Taken> = others
                .iter()
                .map(|&(client, bytes)| {
                    let taken = Taken::new(clients()[client]).unwrap();
                    taken.grow(bytes, LIMIT).unwrap();
                    taken
                })
                .collect();
            let taken = Taken::new(clients()[*client]).unwrap();
            assert_eq!(taken.grow(*bytes, LIMIT).err().map(|error| error.status()), *status, "{name}");
            drop((held, taken));
            assert!(SHARES.with_borrow(Vec::is_empty), "{name}: nothing is left of them");
        }
    }

    #[test]
    fn files_have_their_bounds() {
        let [one, two, many] = clients();
        let all = |client| std::iter::from_fn(|| Taken::new(client)).collect::<Vec<_>>();
        let (of_one, of_two, of_many) = (all(one), all(two), all(many));
        assert_eq!((of_one.len(), of_two.len(), of_many.len()), (FILES_MAX / PART, FILES_MAX / PART, FILES_MAX / 2));
        drop(of_one);
        assert!(Taken::new(two).is_none(), "it has its part already");
        assert!(Taken::new(one).is_some());
    }

    #[test]
    fn a_body_comes_out_as_it_went_in() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = Held::new(folder.path(), None).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "it has no name");
        for piece in [&b"a bo"[..], b"", b"dy"] {
            held.push(piece, LIMIT).unwrap();
        }
        assert_eq!(held.length(), 6);
        let (mut file, _taken) = held.into_input().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a body");
    }

    #[test]
    fn what_fails_has_its_status() {
        let error = Held::new(Path::new("/no/such"), None).err().unwrap();
        assert_eq!(error.status(), 500);
        assert!(error.to_string().contains("body_temp_path, /tmp unless set): No such file"), "{error}");
        assert!(SHARES.with_borrow(Vec::is_empty));
        for (number, status) in [(libc::ENOSPC, 507), (libc::EDQUOT, 507), (libc::EFBIG, 507), (libc::EMFILE, 503)] {
            assert_eq!(NotHeld::Io(io::Error::from_raw_os_error(number)).status(), status);
        }
    }
}
