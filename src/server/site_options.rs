//! How a site is served, apart from its handler: options, certificates, and what the layer above keeps.

use super::options::Options;
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use std::any::Any;
use std::cell::{OnceCell, RefCell};
#[cfg(feature = "tls")]
use std::io;
use std::rc::Rc;

/// The options that a listener and its connections have at present; [`Listeners::serve`](crate::Listeners::serve) replaces
/// them.
pub(super) type CurrentOptions = Rc<RefCell<Rc<SiteOptions>>>;

/// What a [`Site`](super::site::Site) is, apart from its handler.
pub(crate) struct SiteOptions {
    pub(crate) options: Options,
    /// The certificates, once they were needed.
    #[cfg(feature = "tls")]
    tls: OnceCell<Rc<TlsContext>>,
    /// State of the layer above: the files that it keeps at hand.
    extension: OnceCell<Rc<dyn Any>>,
}

impl SiteOptions {
    pub(super) fn new(options: Options) -> SiteOptions {
        SiteOptions {
            options,
            #[cfg(feature = "tls")]
            tls: OnceCell::new(),
            extension: OnceCell::new(),
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> io::Result<&Rc<TlsContext>> {
        if let Some(context) = self.tls.get() {
            return Ok(context);
        }
        let context = Rc::new(TlsContext::new(self.options.tls_files())?);
        Ok(self.tls.get_or_init(|| context))
    }

    /// The upper layer's state, made at the first call. There is one type of it.
    pub(crate) fn extension<T: 'static>(&self, make: impl FnOnce(&Options) -> T) -> Rc<T> {
        let any = Rc::clone(self.extension.get_or_init(|| Rc::new(make(&self.options))));
        any.downcast().unwrap_or_else(|_| unreachable!("one layer stores one type"))
    }
}
