//! What a person at a terminal is told besides the log.
//!
//! | file | concept |
//! | --- | --- |
//! | `colours` | whether a stream shows colours |
//! | `greeting` | the address for a phone |
//! | `qr_code` | the same for its camera |

mod colours;
mod greeting;
mod qr_code;

pub use colours::shows_colours;
pub use greeting::greeting;
