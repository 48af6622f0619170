//! The package: what it brings to those who use the library, and what it says of itself.

#![allow(clippy::unwrap_used)]

use std::process::Command;

fn cargo(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(args).args(["--locked", "--offline"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that a package needs which depends on the library with these options.
fn needed(options: &[&str]) -> Vec<String> {
    let tree = ["tree", "-p", "ecohttpd", "-e", "normal", "--depth", "1", "--prefix", "none", "--format", "{p}"];
    let tree = cargo(&[&tree[..], options].concat());
    tree.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_library_comes_without_what_the_program_needs() {
    let least = ["httparse", "libc", "log", "mio", "slab", "socket2"];
    assert_eq!(needed(&["--no-default-features"]), least);
    let mut default = [&least[..], &["ring", "rustls", "rustls-webpki"]].concat();
    default.sort_unstable();
    assert_eq!(needed(&[]), default, "`cargo add ecohttpd`");
    let program = needed(&["--no-default-features", "--features", "daemon,ubus"]);
    assert!(program.iter().any(|name| name == "lexopt"), "{program:?}: the search is broken");
}

/// At the root, cargo builds the program without being told of features.
#[test]
fn the_workspace_turns_the_program_on() {
    let tree = cargo(&["tree", "-e", "normal", "--depth", "2", "--prefix", "none", "--format", "{p} {f}"]);
    let features = tree.lines().find(|line| line.starts_with("ecohttpd ")).unwrap();
    for feature in ["daemon", "tls", "ubus", "workers"] {
        assert!(features.contains(feature), "{features}");
    }
}

#[test]
fn every_feature_is_documented() {
    let manifest = include_str!("../Cargo.toml");
    let features = manifest.split("[features]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = features.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(' ').next());
    let docs = include_str!("../src/lib.rs");
    let names: Vec<&str> = names.filter(|name| *name != "default").collect();
    assert!(names.len() > 3, "{names:?}");
    for name in names {
        assert!(docs.contains(&format!("`{name}`")), "{name}");
    }
}

/// What is measured is what OpenWrt's packages have.
#[test]
fn sizes_are_those_of_the_packages() {
    let read = |name: &str| std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let makefile = read("openwrt/ecohttpd/Makefile");
    let features: Vec<&str> =
        makefile.lines().filter_map(|line| line.trim().strip_prefix("RUST_PKG_FEATURES:=")).collect();
    assert_eq!(features.len(), 2, "{features:?}");
    for name in ["cross/sizes.sh", "tests/openwrt_sizes.sh", ".ci/run"] {
        let text = read(name);
        let has = |list: &str| text.split([' ', ':', '=', ';', '"', ')', '\n']).any(|word| word == list);
        assert!(features.iter().all(|list| has(list)), "{name} measures others than {features:?}");
    }
}
