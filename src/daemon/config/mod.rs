//! The validated configuration, whatever it was read from.
//!
//! | file | concept |
//! | --- | --- |
//! | `model` | the configuration as data, with its defaults |
//! | `options` | the table of options: names, type, field, help |
//! | `values` | parsing one value |
//! | `backend`, `backend_values` | servers behind this one; parsing the values that name them |
//! | `backend_values_absent` | the same in a program that has none |
//! | `cli` | the command line |
//! | `uci`, `sections` | UCI text, and what its sections mean |
//! | `httpd_conf` | the file of `-c` |
//! | `check` | checks that need more than one value: what is missing, what conflicts |
//! | `dump` | the configuration in effect, as UCI text |

mod backend;
#[cfg(feature = "proxy")]
mod backend_values;
#[cfg(not(feature = "proxy"))]
#[path = "backend_values_absent.rs"]
mod backend_values;
mod check;
mod cli;
#[cfg(all(test, feature = "terminal"))]
mod documents;
mod dump;
mod httpd_conf;
mod model;
mod options;
mod sections;
mod uci;
mod values;

#[cfg(feature = "proxy-tls")]
pub use backend::Trust;
#[cfg(feature = "proxy")]
pub use backend::{Backend, BackendServer, Place};
pub use check::{absences, problems};
pub use cli::{CommandLine, parse};
#[cfg(feature = "workers")]
pub use model::Language;
#[cfg(feature = "ubus")]
pub use model::UbusConfig;
pub use model::{Alias, Command, Config, Header, Listen, SiteConfig, TlsConfig, seconds};
#[cfg(feature = "workers")]
pub use options::rooted;
