//! Queued bytes: received and not parsed yet ([`Input`]), or not sent yet ([`Output`]). Knows no socket and no
//! protocol.

mod input;
mod output;

pub(crate) use input::Input;
pub(crate) use output::{Drained, Output, Sink};
