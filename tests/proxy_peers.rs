//! Real servers behind the proxy: nginx, lighttpd, and WebSocket servers; each is skipped where it is not installed.
#![cfg(feature = "proxy")]

mod common;
mod common_config;
mod common_files;
mod common_upstream;

use common::{PATIENCE, skip};
use common_config::{Router, ask, until};
use common_files::{Daemon, request};
use common_upstream::{closed_port, listens};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A program that runs beside the test, and is ended with it.
struct Program(Child);

impl Program {
    /// Starts it, if it is installed, and waits until it listens.
    fn start(program: &str, args: &[&str], port: u16) -> Option<Program> {
        if !Path::new(program).exists() {
            skip(&format!("{program} is not installed"));
            return None;
        }
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Program(command.spawn().unwrap());
        until(&format!("{program} listens"), || listens(port));
        Some(started)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Children of its own end with it only if it ends by itself.
        let _ = common::system::signal(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

/// A site that forwards `/app` to that port, path and all.
fn front(router: &Router, port: u16, path: &str) -> Daemon {
    router.start_by(&["--proxy", &format!("/app=http://127.0.0.1:{port}{path}")])
}

/// What every server of files has to give through the proxy.
#[track_caller]
fn check_files(router: &Router, daemon: &Daemon) {
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    router.write("root/large.bin", &large);
    router.write("root/folder/x.txt", "x");
    let mut client = daemon.connect();
    for _ in 0..50 {
        client.send(request("GET", "/app/file.txt", &[], false));
        assert_eq!(client.read_response().text(), "content");
    }
    client.send(request("GET", "/app/large.bin", &[], false));
    assert!(client.read_response().body == large);
    client.send(request("GET", "/app/large.bin", &["Range: bytes=5-9"], false));
    let part = client.read_response();
    assert_eq!((part.status, part.body.as_slice()), (206, &large[5..10]));
    client.send(request("HEAD", "/app/large.bin", &[], false));
    assert_eq!(client.read_head_response().header("content-length"), Some("5000000"));
    client.send(request("GET", "/app/missing", &[], false));
    assert_eq!(client.read_response().status, 404);
    let date = ask(daemon.addr, "GET", "/app/file.txt", &[]).header("last-modified").unwrap().to_owned();
    assert_eq!(ask(daemon.addr, "GET", "/app/file.txt", &[&format!("If-Modified-Since: {date}")]).status, 304);
    // The server's own redirect, which names itself.
    let moved = ask(daemon.addr, "GET", "/app/folder", &[]);
    assert_eq!((moved.status, moved.header("location")), (301, Some("/app/folder/")));
}

#[test]
fn nginx_answers() {
    let (router, port) = (Router::new(), closed_port());
    router.write(
        "nginx.conf",
        format!(
            "daemon off; master_process off; error_log {log}; pid {pid};\nevents {{}}\nhttp {{\n types {{}} access_log off;\n\
             client_body_temp_path {temp}; proxy_temp_path {temp}; fastcgi_temp_path {temp}; uwsgi_temp_path {temp};\n\
             scgi_temp_path {temp};\n server {{ listen 127.0.0.1:{port}; root {root};\n\
             location /gone {{ return 444; }}\n location /chunked {{ gzip on; gzip_proxied any; gzip_min_length 1; default_type text/html; alias {root}; }}\n}} }}\n",
            log = router.path("nginx.log"),
            pid = router.path("nginx.pid"),
            temp = router.path("nginx-temp"),
            root = router.path("root"),
        ),
    );
    let Some(_nginx) = Program::start("/usr/sbin/nginx", &["-c", &router.path("nginx.conf")], port) else { return };
    let daemon = front(&router, port, "/");
    check_files(&router, &daemon);
    assert_eq!(ask(daemon.addr, "GET", "/app/gone", &[]).status, 502);
    let coded = ask(daemon.addr, "GET", "/app/chunked/file.txt", &["Accept-Encoding: gzip"]);
    assert_eq!((coded.header("content-encoding"), coded.header("content-length")), (Some("gzip"), None));
}

#[test]
fn lighttpd_answers() {
    let (router, port) = (Router::new(), closed_port());
    router.write(
        "lighttpd.conf",
        format!(
            "server.document-root = \"{}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\nmimetype.assign = (\"\" => \"text/plain\")\nserver.errorlog = \"{}\"\n",
            router.path("root"),
            router.path("lighttpd.log"),
        ),
    );
    let config = router.path("lighttpd.conf");
    let Some(_lighttpd) = Program::start("/usr/sbin/lighttpd", &["-D", "-f", &config], port) else { return };
    check_files(&router, &front(&router, port, "/"));
}

/// Where a Python with `websockets` is.
const PYTHON: &str = "/usr/bin/python3";

fn has_websockets() -> bool {
    let has = Command::new(PYTHON).args(["-c", "import websockets"]).stderr(Stdio::null()).status();
    let has = has.is_ok_and(|status| status.success());
    if !has {
        skip("python3-websockets is not installed");
    }
    has
}

fn script() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websocket_peer.py").into()
}

/// Has Python's client exchange messages with an echo behind the proxy.
#[track_caller]
fn check_echo(daemon: &Daemon) {
    let url = format!("ws://{}/app/echo", daemon.addr);
    let mut client = Command::new(PYTHON).args([&script(), "client", &url]).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        match client.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => {
                client.kill().unwrap();
                panic!("the client does not end: {:?}", client.wait());
            }
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    assert!(status.success(), "{status}");
}

#[test]
fn websockets_of_python_answer() {
    if !has_websockets() {
        return;
    }
    let (router, port) = (Router::new(), closed_port());
    let Some(_echo) = Program::start(PYTHON, &[&script(), "echo", &port.to_string()], port) else { return };
    check_echo(&front(&router, port, ""));
    check_echo(&front(&router, port, "/"));
}

#[test]
fn websocketd_answers() {
    if !has_websockets() {
        return;
    }
    let (router, port) = (Router::new(), closed_port());
    let port_arg = format!("--port={port}");
    let args = ["--address=127.0.0.1", &port_arg, "--binary=false", "/bin/cat"];
    let Some(_websocketd) = Program::start("/usr/bin/websocketd", &args, port) else { return };
    let daemon = front(&router, port, "");
    // It speaks in lines of text.
    let code = format!(
        "import asyncio, websockets\nasync def f():\n  async with websockets.connect('ws://{}/app', origin='http://{}') as s:\n    for n in (1, 125, 4000):\n      await s.send('x' * n)\n      assert await s.recv() == 'x' * n\nasyncio.run(f())",
        daemon.addr, daemon.addr
    );
    let status = Command::new(PYTHON).args(["-c", &code]).status().unwrap();
    assert!(status.success(), "{status}: {}", router.log());
}
