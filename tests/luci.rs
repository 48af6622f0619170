//! The pages of LuCI agree with the server: its options, the values that they take, and what it says.
//!
//! Needs node, which runs the pages on stand-ins for LuCI's own modules (tests/luci).
#![cfg(all(feature = "daemon", feature = "tls", feature = "ubus"))]

mod common;

use common::skip;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::process::Command;

/// Sections of a file: the server takes a few more.
const SECTIONS: usize = 1000;

/// What a script of tests/luci prints, or `None` without node.
fn node(script: &str) -> Option<String> {
    let mut command = Command::new("node");
    let done = match command.arg(script).current_dir(env!("CARGO_MANIFEST_DIR")).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip("node is not installed");
            return None;
        }
        done => done.unwrap(),
    };
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    Some(said)
}

#[test]
fn pages_show_what_they_should() {
    if let Some(said) = node("tests/luci/pages.js") {
        print!("{said}");
    }
}

/// A value as the page judges it.
struct Judged {
    option: String,
    keyword: String,
    value: String,
    right: bool,
}

fn judged(line: &str) -> Judged {
    let [option, keyword, hex, right] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let bytes = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
    let value = String::from_utf8(bytes.collect()).unwrap();
    Judged { option: option.into(), keyword: keyword.into(), value, right: right == "1" }
}

#[test]
fn values_are_judged_as_the_server_judges_them() {
    let Some(said) = node("tests/luci/values.js") else { return };
    let all: Vec<Judged> = said.lines().map(judged).collect();
    assert!(all.len() > 20_000, "only {} values", all.len());
    let mut differ = Vec::new();
    for some in all.chunks(SECTIONS) {
        let refused = refused(some);
        for (at, Judged { option, value, right, .. }) in some.iter().enumerate() {
            if *right == refused.contains(&at) {
                differ.push(format!("{option} {value:?}: the page says {right}"));
            }
        }
    }
    differ.truncate(40);
    assert!(differ.is_empty(), "{differ:#?}");
}

/// Which of the values the server says are wrong. Each is in a section of its own, so that none replaces another.
fn refused(values: &[Judged]) -> BTreeSet<usize> {
    // One that can be served, without which only the first error is said.
    let mut text = String::from("config uhttpd served\n\tlist listen_http 0\n");
    for (at, Judged { option, keyword, value, .. }) in values.iter().enumerate() {
        let quoted = value.replace('\'', "'\\''");
        writeln!(text, "config uhttpd v{at}\n\t{keyword} {option} '{quoted}'").unwrap();
    }
    let file = std::env::temp_dir().join(format!("ecohttpd-luci-{}", std::process::id()));
    fs::write(&file, text).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_ecohttpd")).arg("--config").arg(&file).arg("--test").output().unwrap();
    fs::remove_file(&file).unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    let wrong = said.lines().filter(|line| line.contains(" is wrong: expected "));
    wrong.filter_map(|line| line.split("uhttpd.v").nth(1)?.split('.').next()?.parse().ok()).collect()
}
