//! A site without its handler: options, certificates, and the state of the layer above.

use super::options::Options;
#[cfg(feature = "tls")]
use crate::net::TlsContext;
use std::any::Any;
use std::cell::{OnceCell, RefCell};
#[cfg(feature = "tls")]
use std::io;
use std::rc::Rc;

/// The current options of a listener and its connections; [`Listeners::serve`](crate::Listeners::serve) replaces them.
pub(super) type CurrentOptions = Rc<RefCell<Rc<SiteOptions>>>;

/// A [`Site`](super::site::Site) without its handler.
pub(crate) struct SiteOptions {
    pub(crate) options: Options,
    /// The certificates, loaded when first needed.
    #[cfg(feature = "tls")]
    tls: OnceCell<Rc<TlsContext>>,
    /// State of the layer above: its cache of files.
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

    /// The state of the layer above, made at the first call. It has one type only.
    pub(crate) fn extension<T: 'static>(&self, make: impl FnOnce(&Options) -> T) -> Rc<T> {
        let any = Rc::clone(self.extension.get_or_init(|| Rc::new(make(&self.options))));
        any.downcast().unwrap_or_else(|_| unreachable!("one layer stores one type"))
    }
}
