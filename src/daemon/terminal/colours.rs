//! Whether a stream shows colours.

use std::env;
use std::io::IsTerminal;

/// Whether a stream is a terminal that shows colours, and the user wants them: `NO_COLOR` is not set, or empty
/// (<https://no-color.org>), and `TERM` is not `dumb`.
pub fn shows_colours(stream: &impl IsTerminal) -> bool {
    let value = |name| env::var_os(name).unwrap_or_default();
    stream.is_terminal() && value("NO_COLOR").is_empty() && value("TERM") != "dumb"
}
