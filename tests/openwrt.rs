//! The OpenWrt packages: checked by reading, and run on an imitation of a router.
//!
//! Needs bash. What else the scripts want (busybox, make, namespaces) they say themselves where it is missing.
#![cfg(all(feature = "daemon", feature = "tls", feature = "ubus"))]

mod common;

use common::skip;
use std::io::ErrorKind;
use std::process::Command;

fn run(script: &str, args: &[&str]) {
    let daemon = env!("CARGO_BIN_EXE_ecohttpd");
    let mut command = Command::new("bash");
    command.arg(script).args(args).env("DAEMON", daemon).current_dir(env!("CARGO_MANIFEST_DIR"));
    let done = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return skip("bash is not installed"),
        done => done.unwrap(),
    };
    let text = String::from_utf8_lossy(&done.stdout);
    println!("{text}");
    text.lines().filter_map(|line| line.strip_prefix("skipped: ")).for_each(skip);
    assert!(done.status.success(), "{text}\n{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn they_read_well() {
    run("tests/openwrt_lint.sh", &[]);
}

#[test]
fn whatever_state_a_router_is_in_something_serves() {
    run("tests/openwrt.sh", &[env!("CARGO_BIN_EXE_ecohttpd")]);
}
