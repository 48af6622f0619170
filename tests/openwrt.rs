//! The OpenWrt packages: what reading them tells, and what they do on a router that is none.
#![cfg(all(feature = "daemon", feature = "tls", feature = "ubus"))]

use std::process::Command;

fn run(script: &str, args: &[&str]) {
    let daemon = env!("CARGO_BIN_EXE_ecohttpd");
    let mut command = Command::new("bash");
    let done =
        command.arg(script).args(args).env("DAEMON", daemon).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    // What is skipped for want of a tool says so, to be seen with --nocapture.
    println!("{text}");
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
