//! Bytes that wait: unparsed ones ([`Input`]) and ones not yet sent ([`Output`]). Knows no socket and no protocol.

mod input;
mod output;

pub(crate) use input::Input;
pub(crate) use output::{Drained, Output, Sink};
