//! The manners of a service: it listens before its network is there, and nothing that happens around it ends it.

mod common;
mod common_files;

use common::{Client, PATIENCE};
use common_files::{Daemon, folder, program, request};
use ecohttpd::{Connection, Options, Request, Server};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Addresses of the blocks for documentation, which nobody has.
const NOBODYS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

#[test]
fn freebind_listens_on_addresses_to_come() {
    let server = |free| {
        let handler = async |con: &mut Connection, req: &mut Request| con.serve_file(req).await;
        Server::new(Options::new().freebind(free), handler).unwrap()
    };
    for ip in NOBODYS {
        match server(true).bind(ip, 0) {
            Ok(addr) => assert_eq!(addr.ip(), ip.parse::<IpAddr>().unwrap()),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => println!("skipped: no IPv6 here"),
            Err(error) => panic!("{ip}: {error}"),
        }
        assert!(server(false).bind(ip, 0).is_err(), "{ip}");
    }
}

/// A folder that goes away is missed, not held on to; the one that takes its place is served.
#[test]
fn the_document_root_may_vanish_and_come_back() {
    let (temp, root) = folder();
    fs::write(root.join("file"), "first").unwrap();
    let daemon = Daemon::start(&["-h", root.to_str().unwrap()]);
    assert_eq!(daemon.get("/file").text(), "first");
    fs::rename(&root, temp.path().join("elsewhere")).unwrap();
    until("it misses the folder", || daemon.get("/file").status == 404);
    assert_eq!(daemon.get("/").status, 404);
    // Another file of the name is no folder.
    fs::write(&root, "x").unwrap();
    assert_eq!(daemon.get("/file").status, 404);
    fs::remove_file(&root).unwrap();
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "second").unwrap();
    until("it finds the new folder", || daemon.get("/file").status == 200);
    assert_eq!(daemon.get("/file").text(), "second");
}

/// A reader of the log that stops takes nothing with it but lines, and learns how many.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (_temp, root) = folder();
    fs::write(root.join("file"), "content").unwrap();
    let mut child = program()
        .args(["-f", "-h", root.to_str().unwrap(), "--access-log", "-p", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let greeting = lines.next().unwrap().unwrap();
    let addr = greeting.split("http://").nth(1).unwrap().trim_end_matches('/').parse().unwrap();
    let mut client = Client::connect(addr);
    let mut asked = 0;
    let mut ask = |target: &str| {
        client.send(request("GET", target, &[], false));
        assert_eq!(client.read_response().text(), "content");
        asked += 1;
        asked
    };
    // Twice what a pipe takes, and what the reader has taken into its buffer.
    let long = format!("/file?{}", "x".repeat(2000));
    for _ in 0..100 {
        ask(&long);
    }
    let (sender, printed) = channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut logged = Vec::new();
    until("there is room again", || {
        ask("/file?more");
        logged.extend(printed.try_iter());
        logged.iter().any(|line| line.contains("lines lost"))
    });
    let total = ask("/file?last");
    while !logged.last().unwrap().contains("/file?last") {
        logged.push(printed.recv_timeout(PATIENCE).expect("the last line"));
    }
    let lost = |line: &String| Some(line.strip_prefix("ecohttpd: warn: lines lost from this log: ")?.parse().unwrap());
    let (lost, reports) =
        logged.iter().filter_map(lost).fold((0, 0), |(sum, count), lost: usize| (sum + lost, count + 1));
    assert!(lost > 0);
    assert_eq!(logged.len() - reports + lost, total, "each was logged, or counted");
    let is_whole = |line: &String| line.starts_with("127.0.0.1 - - [") || line.starts_with("ecohttpd: ");
    assert!(logged.iter().all(is_whole), "{logged:#?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Looks again and again until it is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
