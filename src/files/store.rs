//! One folder of static files: its document root, its cache, and who may read what.

use super::cache::Cache;
use super::descriptors::is_same;
use super::document_root::DocumentRoot;
use super::limits::HOT_TIME;
use crate::rt::sleep;
use crate::server::{Connection, Options};
use crate::sys;
use std::cell::{Cell, RefCell, RefMut};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;

/// A folder of static files and the options that it is served with.
pub(super) struct Store {
    root: RefCell<DocumentRoot>,
    pub(super) cache: RefCell<Cache>,
    /// The task of [`Store::root`] runs.
    tended: Cell<bool>,
    /// Memory for the name of a precompressed file.
    pub(super) name: RefCell<Vec<u8>>,
    /// Each listing in progress holds one clone.
    pub(super) listings: Rc<()>,
    pub(super) index: Vec<String>,
    pub(super) gzip: bool,
    /// No handler changes files, so requests of one moment may share a stat(2).
    pub(super) may_share_stat: bool,
    pub(super) dir_listing: bool,
    world_readable: bool,
    withheld: Vec<PathBuf>,
    pub(super) charset: String,
}

impl Store {
    pub(super) fn new(options: &Options) -> Store {
        let root = DocumentRoot::new(options.docroot.clone(), options.follow_symlinks, options.world_readable);
        Store {
            root: RefCell::new(root),
            cache: RefCell::default(),
            tended: Cell::default(),
            name: RefCell::default(),
            listings: Rc::default(),
            index: options.index.clone(),
            gzip: options.gzip,
            may_share_stat: !options.writes_files,
            dir_listing: options.dir_listing,
            world_readable: options.world_readable,
            withheld: options.withheld(),
            charset: options.listing_charset.clone(),
        }
    }

    /// The document root. While the store is in use, a task drops what is not asked for any more.
    pub(super) fn root(self: &Rc<Store>, con: &Connection) -> RefMut<'_, DocumentRoot> {
        if !self.tended.replace(true) {
            self.tend(con);
        }
        self.root.borrow_mut()
    }

    /// Starts the task that drops unused hot files, and after them the document root.
    ///
    /// The task ends when nothing is left. It holds no reference to the store, so the store can be dropped before.
    fn tend(self: &Rc<Store>, con: &Connection) {
        let store = Rc::downgrade(self);
        con.spawn(Box::pin(async move {
            loop {
                sleep(HOT_TIME).await;
                let Some(store) = store.upgrade() else { return };
                let empty = store.cache.borrow_mut().sweep();
                if store.root.borrow_mut().release_if_unused() && empty {
                    store.tended.set(false);
                    return;
                }
            }
        }));
    }

    /// The document root's path.
    pub(super) fn docroot(&self) -> PathBuf {
        self.root.borrow().path().to_owned()
    }

    /// Whether clients may read a file or folder with these permissions.
    pub(super) fn may_read(&self, mode: u16) -> bool {
        !self.world_readable || mode & WORLD_READS != 0
    }

    /// Whether clients may enter a folder with these permissions.
    pub(super) fn may_enter(&self, mode: u16) -> bool {
        !self.world_readable || mode & WORLD_ENTERS != 0
    }

    /// Whether clients may list a folder.
    pub(super) fn may_list(&self, folder: &File) -> bool {
        sys::stat_at(folder.as_fd(), c"").is_ok_and(|stat| self.may_read(stat.mode))
    }

    /// Whether a file is withheld from all clients, whatever name it was opened by.
    pub(super) fn withholds(&self, file: &File) -> bool {
        self.withheld.iter().any(|path| is_same(file, path))
    }
}

/// `S_IROTH`.
const WORLD_READS: u16 = 0o004;
/// `S_IXOTH`.
const WORLD_ENTERS: u16 = 0o001;
