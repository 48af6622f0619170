//! The last errors and warnings, for those who have no terminal.

use crate::daemon::escape::cut;
use log::Level;
use std::cell::RefCell;
use std::fmt::{self, Write};
use std::time::Instant;

/// How many are kept.
const KEPT: usize = 8;
/// Most bytes of each.
const MAX_TEXT: usize = 300;

/// A line of the log.
pub struct RecentLine {
    pub when: Instant,
    pub level: Level,
    pub text: String,
}

thread_local! {
    /// The latest is last.
    static LINES: RefCell<Vec<RecentLine>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a line if it is an error or a warning.
pub fn keep(level: Level, text: fmt::Arguments<'_>) {
    if level > Level::Warn {
        return;
    }
    let mut bounded = BoundedText(String::new());
    // An error means that it is full.
    let _ = bounded.write_fmt(text);
    // Not while another is being kept: its text may log, too.
    LINES.with(|lines| {
        if let Ok(mut lines) = lines.try_borrow_mut() {
            if lines.len() == KEPT {
                lines.remove(0);
            }
            lines.push(RecentLine { when: Instant::now(), level, text: bounded.0 });
        }
    });
}

/// Passes the kept lines on, the latest first.
pub fn each(visit: &mut dyn FnMut(&RecentLine)) {
    LINES.with_borrow(|lines| lines.iter().rev().for_each(visit));
}

/// Text of at most [`MAX_TEXT`] bytes.
struct BoundedText(String);

impl Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fitting = cut(text, MAX_TEXT - self.0.len());
        self.0.push_str(fitting);
        if fitting.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_bounded() {
        for n in 0..12 {
            keep(Level::Warn, format_args!("line {n}"));
            keep(Level::Info, format_args!("no error"));
        }
        keep(Level::Error, format_args!("{}{}", "ä".repeat(149), "€€"));
        let mut found = Vec::new();
        each(&mut |line| found.push((line.level, line.text.clone())));
        assert_eq!(found.len(), KEPT);
        assert_eq!(found[0], (Level::Error, "ä".repeat(149)));
        assert_eq!(found[1], (Level::Warn, "line 11".into()));
        assert_eq!(found[7], (Level::Warn, "line 5".into()));
    }
}
