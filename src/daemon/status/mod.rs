//! What the program says about itself: to people, to Prometheus, and on ubus.
//!
//! | file | concept |
//! | --- | --- |
//! | `report` | what there is to say, as fields of ubus, which are also printed as JSON |
//! | `certificate_report` | the same for certificates |
//! | `metrics` | Prometheus' text |
//! | `page` | paths: metrics, and the page that updates itself |
//! | `bus_object` | the object `ecohttpd` on ubus, and its events |

mod bus_object;
#[cfg(feature = "tls")]
mod certificate_report;
mod metrics;
mod page;
mod report;

pub use bus_object::{BusObject, serve_on_bus};
#[cfg(feature = "tls")]
pub use certificate_report::warn_of_ends;
pub use page::StatusPages;
pub use report::{ServerStatus, SiteTally, WatchedSites};
