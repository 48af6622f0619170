//! Which paths of a site are no files.

use super::Router;
use ecohttpd::CleanPath;

impl Router {
    /// Whether a path can only be a file or folder that is open to everyone: the fast path of most requests.
    pub(super) fn is_plain(&self, path: &CleanPath) -> bool {
        if self.is_ubus(path) || self.is_status(path) || self.is_proxied(path) || self.has_handler(path) {
            return false;
        }
        let open = !self.is_guarded() && self.aliases.is_empty();
        open && self.scripts.cannot_concern(path)
    }

    #[cfg(feature = "ubus")]
    pub(super) fn is_ubus(&self, path: &CleanPath) -> bool {
        self.ubus.as_ref().is_some_and(|(prefix, _)| prefix.holds(path.relative()))
    }

    #[cfg(not(feature = "ubus"))]
    pub(super) fn is_ubus(&self, _: &CleanPath) -> bool {
        false
    }

    /// Whether the program answers there about itself.
    pub(super) fn is_status(&self, path: &CleanPath) -> bool {
        self.status.as_ref().is_some_and(|status| status.has(path))
    }

    #[cfg(feature = "workers")]
    fn has_handler(&self, path: &CleanPath) -> bool {
        self.handlers.find(path.relative()).is_some()
    }

    #[cfg(not(feature = "workers"))]
    fn has_handler(&self, _: &CleanPath) -> bool {
        false
    }

    #[cfg(feature = "proxy")]
    fn is_proxied(&self, path: &CleanPath) -> bool {
        self.forwarding.find(path).is_some()
    }

    #[cfg(not(feature = "proxy"))]
    fn is_proxied(&self, _: &CleanPath) -> bool {
        false
    }
}
