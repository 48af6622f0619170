//! A browser looks at the example site over HTTPS and uploads a file in its form.
//!
//! Needs Chromium, python3 and sha256sum; is skipped without the first two.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "tls")]

mod common;
mod common_files;

use common::{PATIENCE, skip};
use common_files::{Daemon, program};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Names that Chromium has on different systems.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Bytes of the file that is uploaded.
const UPLOAD: usize = 20 << 20;

#[test]
fn a_browser_uploads_and_looks() {
    let found = NAMES.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(chromium) = found else {
        return skip("no Chromium here");
    };
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("no python3 here");
    }
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    let content: Vec<u8> = (0..UPLOAD).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect();
    fs::write(path("photo.bin"), &content).unwrap();
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/www");
    let (cert, key) = (path("cert"), path("key"));
    let args = ["-f", "-h", site.to_str().unwrap(), "-p", "127.0.0.1:0", "-s", "127.0.0.1:0", "--self-signed"];
    let daemon = Daemon::run(program().args(args).args(["-C", &cert, "-K", &key]), 1);
    let url = daemon.line().split(" at ").nth(1).unwrap().to_owned();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser.py");
    let mut driver = Command::new("python3")
        .arg(script)
        .args([chromium, &url, &path("photo.bin"), &path("profile")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    // A browser's first start can take its time.
    while driver.try_wait().unwrap().is_none() {
        if start.elapsed() > 3 * PATIENCE {
            driver.kill().unwrap();
            panic!("the browser does not get through");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut text = String::new();
    driver.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let pages: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let [start, upload, status] = pages[..] else { panic!("{text}") };
    assert_eq!(start, ("ecohttpd", "1"), "the title, and the style sheet");
    let sum = Command::new("sha256sum").arg(path("photo.bin")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert!(upload.1.contains(&UPLOAD.to_string()) && upload.1.contains(&sum[..64]), "{upload:?}");
    assert!(upload.1.contains("photo.bin"), "{upload:?}");
    assert!(status.1.parse::<usize>().is_ok_and(|drawings| drawings >= 3), "{status:?}");
}
