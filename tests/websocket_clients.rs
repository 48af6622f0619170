//! Clients of WebSocket that are not ours: two of Python, a browser, and Autobahn's test suite.
//!
//! Each test says what it needs where it looks for it, and is skipped without.

#![allow(clippy::unwrap_used)]

mod common;
#[cfg(feature = "proxy")]
mod common_config;
#[cfg(feature = "proxy")]
mod common_files;
#[cfg(feature = "tls")]
mod common_tls;
mod common_websocket;

use common::{PATIENCE, serve, skip};
use common_websocket::{CLOSE, TEXT, close, close_payload, expect, frame, open, read_frame};
use ecohttpd::{Connection, Message, Options, Request, Result, WebSocketOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// Names that Chromium has on different systems.
const CHROMIUM: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// More than sockets and a server together hold.
const MUCH: usize = 16 << 20;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

async fn echo(con: &mut Connection, _: &mut Request) -> Result<()> {
    let mut socket = con.websocket(&WebSocketOptions::new().protocol("v1")).await?;
    while let Some(message) = socket.recv().await? {
        match message {
            Message::Text(text) => socket.send_text(text).await?,
            Message::Binary(bytes) => socket.send_binary(bytes).await?,
            _ => {}
        }
    }
    Ok(())
}

/// A Python that has both packages; the first in the path may be another than the system's.
fn python() -> Option<&'static str> {
    let has = |name: &&str| {
        let out = Command::new(name).args(["-c", "import aiohttp, websockets"]).stderr(Stdio::null()).status();
        out.is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has)
}

fn asked_by_python(args: &[&str]) {
    let Some(python) = python() else {
        return skip("no python3 with websockets and aiohttp here");
    };
    let out = Command::new(python).arg(root().join("tests/websocket.py")).args(args).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && text.contains("websockets ") && text.contains("aiohttp "), "{text}{errors}");
}

#[test]
fn clients_of_python() {
    let server = serve(Options::new, echo);
    asked_by_python(&[&format!("ws://{}/", server.addr)]);
}

#[cfg(feature = "tls")]
#[test]
fn clients_of_python_over_tls() {
    let identity = common_tls::Identity::new();
    let ca = identity.path("ca.pem");
    std::fs::write(&ca, identity.ca.pem()).unwrap();
    let server = common_tls::serve_tls(identity.options(), echo);
    asked_by_python(&[&format!("wss://localhost:{}/", server.addr.port()), ca.to_str().unwrap()]);
}

/// An example that runs; ended when it is dropped.
struct Example {
    child: Child,
    stdin: ChildStdin,
    addr: SocketAddr,
}

impl Example {
    fn start(name: &str) -> Option<Example> {
        let program: PathBuf = std::env::current_exe().unwrap().parent().unwrap().join("../examples").join(name);
        if !program.exists() {
            skip(&format!("the example {name} is not built: cargo build --examples"));
            return None;
        }
        let mut child =
            Command::new(program).arg("127.0.0.1:0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().split("http://").nth(1).unwrap().parse().unwrap();
        Some(Example { stdin: child.stdin.take().unwrap(), child, addr })
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// The browser's driver: it says what the page shows, and waits until it is told to go on.
struct Driver {
    child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Driver {
    #[track_caller]
    fn says(&mut self, what: &str) -> String {
        let line = self.lines.next().expect("the browser does not get through").unwrap();
        let (first, rest) = line.split_once('\t').unwrap();
        assert_eq!(first, what);
        rest.to_owned()
    }

    fn goes_on(&mut self) {
        self.stdin.write_all(b"\n").unwrap();
    }
}

#[test]
fn a_browser_chats() {
    let Some(chromium) = CHROMIUM.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok()) else {
        return skip("no Chromium here");
    };
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("no python3 here");
    }
    let Some(mut chat) = Example::start("chat") else { return };
    let mut other = open(chat.addr, "/room");
    expect(&mut other, TEXT, "1 here");
    let temp = tempfile::tempdir().unwrap();
    let mut child = Command::new("python3")
        .arg(root().join("tests/chat.py"))
        .args([chromium, &format!("http://{}/", chat.addr), temp.path().join("profile").to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut driver = Driver { child, stdin, lines: BufReader::new(stdout).lines() };
    assert_eq!(driver.says("said"), "page: <b>hello</b> grün");
    expect(&mut other, TEXT, "2 here");
    expect(&mut other, TEXT, "page: <b>hello</b> grün");
    other.send(frame(TEXT, "other: <i>hi</i>"));
    driver.goes_on();
    assert_eq!(driver.says("heard"), "other: <i>hi</i>");
    expect(&mut other, TEXT, "other: <i>hi</i>");
    chat.stdin.write_all(b"stop\n").unwrap();
    driver.goes_on();
    assert_eq!(driver.says("stopped"), "the server stopped");
    // The browser has answered, and left; so does the other.
    assert_eq!(read_frame(&mut other), (CLOSE, close_payload(1001, "the server stops")));
    other.send(close(1001, ""));
    driver.goes_on();
    assert!(driver.child.wait().unwrap().success());
    let start = Instant::now();
    while chat.child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "the server does not end");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn one_who_does_not_read_is_sent_away() {
    let Some(chat) = Example::start("chat") else { return };
    let mut lazy = open(chat.addr, "/room");
    let mut busy = open(chat.addr, "/room");
    expect(&mut busy, TEXT, "2 here");
    let text = "x".repeat(4000);
    // More than the kernel, the server and the room hold for one.
    for _ in 0..MUCH / text.len() {
        busy.send(frame(TEXT, &text));
        expect(&mut busy, TEXT, &text);
    }
    let mut heard = 0;
    loop {
        match read_frame(&mut lazy) {
            (TEXT, payload) => heard += payload.len(),
            end => {
                assert_eq!(end, (CLOSE, close_payload(1013, "too far behind")));
                break;
            }
        }
    }
    assert!(heard < MUCH, "all of it was held");
    lazy.send(close(1013, ""));
    lazy.expect_close();
    expect(&mut busy, TEXT, "1 here");
}

/// More than a room keeps for one who does not read, said at once.
#[test]
fn one_who_says_much_sends_nobody_away() {
    const LINES: usize = 1000;
    let Some(chat) = Example::start("chat") else { return };
    let mut other = open(chat.addr, "/room");
    expect(&mut other, TEXT, "1 here");
    let mut busy = open(chat.addr, "/room");
    expect(&mut other, TEXT, "2 here");
    busy.send(frame(TEXT, "x").repeat(LINES));
    for _ in 0..LINES {
        expect(&mut other, TEXT, "x");
    }
    // All leave at once.
    let mut guests: Vec<_> = (0..100).map(|_| open(chat.addr, "/room")).collect();
    for number in 3..=102 {
        expect(&mut other, TEXT, format!("{number} here"));
    }
    guests.iter_mut().for_each(|guest| guest.send(close(1000, "")));
    for number in (2..102).rev() {
        expect(&mut other, TEXT, format!("{number} here"));
    }
}

/// Autobahn's suite runs under Python 2: `pip install autobahntestsuite==0.8.2` in a virtual environment, and
/// `ECOHTTPD_WSTEST` names the `wstest` of it. Cases 12 and 13 are of compression, which is not offered.
#[test]
fn autobahn() {
    let Some(wstest) = std::env::var_os("ECOHTTPD_WSTEST") else {
        return skip("no Autobahn test suite here");
    };
    let Some(server) = Example::start("echo") else { return };
    let temp = tempfile::tempdir().unwrap();
    let reports = temp.path().join("reports");
    #[cfg_attr(not(feature = "proxy"), expect(unused_mut))]
    let mut servers = vec![serde_json::json!({ "agent": "ecohttpd", "url": format!("ws://{}", server.addr) })];
    #[cfg(feature = "proxy")]
    let router = common_config::Router::new();
    #[cfg(feature = "proxy")]
    let proxy = router.start_by(&["--proxy", &format!("/=http://{}", server.addr)]);
    #[cfg(feature = "proxy")]
    servers.push(serde_json::json!({ "agent": "proxied", "url": format!("ws://{}", proxy.addr) }));
    let spec = serde_json::json!({
        "outdir": reports,
        "servers": servers,
        "cases": ["*"],
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
    });
    std::fs::write(temp.path().join("spec.json"), spec.to_string()).unwrap();
    let out = Command::new(wstest)
        .args(["-m", "fuzzingclient", "-s", "spec.json"])
        .current_dir(temp.path())
        .output()
        .unwrap();
    let index = std::fs::read(reports.join("index.json"))
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out.stderr)));
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let good = |verdict: &serde_json::Value| matches!(verdict.as_str(), Some("OK" | "INFORMATIONAL"));
    for server in servers {
        let agent = server["agent"].as_str().unwrap();
        let cases = index[agent].as_object().unwrap();
        let bad: Vec<_> =
            cases.iter().filter(|(_, case)| !good(&case["behavior"]) || !good(&case["behaviorClose"])).collect();
        println!("{agent}: {} cases of Autobahn", cases.len());
        assert!(cases.len() >= 300 && bad.is_empty(), "{agent}: {} cases, {bad:#?}", cases.len());
    }
}
