//! In the place of `status` in a program without that feature: says nothing.

use super::config::{Config, SiteConfig};
use ecohttpd::{CleanPath, Connection, Options, Request, Result, Server};
use std::rc::Rc;

/// What is known of the running program: nothing.
pub struct ServerStatus;

/// The sites of a configuration.
pub struct WatchedSites;

/// Counts nothing.
pub struct SiteTally;

/// There are none.
pub enum StatusPages {}

impl ServerStatus {
    pub fn new(_: &Server) -> Rc<ServerStatus> {
        Rc::new(ServerStatus)
    }

    pub fn watch(&self, _: &Config) -> WatchedSites {
        WatchedSites
    }

    pub fn is_loaded(&self, _: WatchedSites) {}
}

impl WatchedSites {
    pub fn pages(&self, _: &SiteConfig) -> Option<StatusPages> {
        None
    }

    pub fn tally(&self, _: usize) -> SiteTally {
        SiteTally
    }
}

impl SiteTally {
    /// The name of its site: nobody asks for it.
    pub fn name(&self) -> &str {
        ""
    }

    pub fn add_to(&self, options: Options) -> Options {
        options
    }

    pub fn count(&self, _: &mut Connection) {}
}

impl StatusPages {
    pub fn has(&self, _: &CleanPath) -> bool {
        match *self {}
    }

    pub async fn serve(&self, _: &mut Connection, _: &Request, _: &CleanPath) -> Result<()> {
        match *self {}
    }
}
