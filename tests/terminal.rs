//! The program in a terminal: a line for each request, in colours, and the address for a phone.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "terminal")]

mod common;
mod common_files;

use common::system::terminal;
use common::{Client, PATIENCE};
use common_files::{program, request};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// The program in a terminal of its own; killed when dropped.
struct Seen {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Seen {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Seen {
        let (screen, inside) = terminal();
        let folder = env!("CARGO_MANIFEST_DIR");
        let mut command = program();
        command.args(["-f", "-h", &format!("{folder}/examples/www")]).args(args);
        command.env("TERM", "xterm").env_remove("NO_COLOR").envs(env.iter().copied()).stdin(Stdio::null());
        command.stdout(inside.try_clone().unwrap()).stderr(inside);
        let child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let screen = BufReader::new(screen).lines().map_while(Result::ok);
        std::thread::spawn(move || {
            screen.map(|line| line.trim_end().to_owned()).try_for_each(|line| sender.send(line))
        });
        Seen { child, lines }
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("it printed no more")
    }

    /// Its first line, and the address in it.
    fn serving(&self) -> (String, SocketAddr) {
        let line = self.line();
        let addr = line.split("http://").nth(1).unwrap().trim_end_matches('/').parse().unwrap();
        (line, addr)
    }
}

fn ask(addr: SocketAddr, target: &str) -> u16 {
    let mut client = Client::connect(addr);
    client.send(request("GET", target, &[], true));
    client.read_response().status
}

/// What a line shows, with digits as `0`.
fn shape(line: &str) -> String {
    line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

#[test]
fn requests_are_shown() {
    let seen = Seen::start(&["-p", "127.0.0.1:0"], &[]);
    let (line, addr) = seen.serving();
    assert!(line.starts_with("ecohttpd: serving /"), "{line}");
    assert!(seen.line().contains("listens on this machine alone"));
    assert_eq!(ask(addr, "/none?a=%1b[0m"), 404);
    let line = seen.line();
    assert!(line.starts_with("\x1b[33m") && line.contains(" 404\x1b[0m GET /none?a=%1b[0m  "), "{line:?}");
    assert_eq!(ask(addr, "/"), 200);
    let line = seen.line();
    assert!(line.starts_with("\x1b[32m") && line.contains(" 200\x1b[0m GET /  "), "{line:?}");
    assert!(shape(&line).starts_with("\x1b[00m00:00:00 000\x1b[0m GET /  0"), "{line:?}");
    assert!(line.ends_with("  127.0.0.1"), "{line:?}");
    let mut client = Client::connect(addr);
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.read_response().status, 400);
    assert!(seen.line().contains(": 400 malformed request line"), "diagnostics are in between");
    let line = seen.line();
    assert!(line.contains(" 400\x1b[0m (no request)  "), "{line:?}");
}

#[test]
fn colours_are_not_forced_on_anyone() {
    for env in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let seen = Seen::start(&["-p", "127.0.0.1:0"], &[env]);
        let (_, addr) = seen.serving();
        seen.line();
        assert_eq!(ask(addr, "/none"), 404);
        let line = seen.line();
        assert!(shape(&line).starts_with("00:00:00 000 GET /none  00 B  0"), "{env:?}: {line:?}");
    }
    let seen = Seen::start(&["-p", "127.0.0.1:0"], &[("NO_COLOR", "")]);
    let (_, addr) = seen.serving();
    seen.line();
    ask(addr, "/");
    assert!(seen.line().starts_with('\x1b'), "an empty variable says nothing");
}

#[test]
fn requests_are_not_shown_where_the_user_says_so() {
    let seen = Seen::start(&["-p", "127.0.0.1:0", "--access-log=0"], &[]);
    let (_, addr) = seen.serving();
    seen.line();
    ask(addr, "/");
    common::system::signal(seen.child.id(), "TERM").unwrap();
    assert_eq!(seen.lines.recv_timeout(PATIENCE).ok(), None, "the terminal is closed without a line");
}

/// With a network of this machine or without one, it says what a phone can do.
#[test]
fn a_phone_is_told_the_address() {
    let seen = Seen::start(&["-p", "0.0.0.0:0"], &[]);
    let (_, addr) = seen.serving();
    let line = seen.line();
    if line.contains("this machine has no route to other networks") {
        return common::skip("in part: this machine has no route");
    }
    let (_, url) = line.split_once("ecohttpd: for other devices in this network: ").unwrap();
    let other: SocketAddr = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    assert!(other.port() == addr.port() && !other.ip().is_loopback(), "{line}");
    let top = seen.line();
    assert!(top.starts_with("\x1b[38;5;231;48;5;16m█████") && top.ends_with("█\x1b[0m"), "{top:?}");
    assert_eq!(ask(other, "/"), 200, "at that address");

    // Elsewhere than in a terminal it must be asked for, and there is nothing to point a camera at.
    let mut command = program();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/www");
    command.args(["-f", "--open", "-p", "0.0.0.0:0", "-h", folder]);
    let daemon = common_files::Daemon::run(&mut command, 2);
    assert!(daemon.greeting[1].contains("for other devices in this network"), "{:?}", daemon.greeting);
}
