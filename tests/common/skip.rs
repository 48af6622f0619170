//! How a test says that it does not run. The program's own tests use this file, too.

use std::io::{self, Write};
use std::thread;

/// Says that the test, or the part of it that `reason` names, does not run here, and why.
///
/// The line reaches stderr though libtest holds back what tests print, and the file that `ECOHTTPD_SKIPS` names:
/// `.ci/run` fails on those that it does not expect.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let line = format!("skipped: {}: {reason}\n", thread.name().unwrap_or("a thread of a test"));
    // In one write each, so that lines of tests that run at once don't mix. What print! writes would be held back.
    io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("ECOHTTPD_SKIPS") {
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}
