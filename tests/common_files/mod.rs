//! What the tests of static files and of the daemon share: a document root in a folder of its own, and a server of it.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::system::signal;
use crate::common::{Client, PATIENCE, Response, Running, serve};
use ecohttpd::{Connection, Options, Request};
use std::fs::{self, File, FileTimes};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// A document root, `root` in a temporary folder, and a server whose handler is `serve_file`.
pub struct Site {
    pub temp: TempDir,
    pub root: PathBuf,
    pub server: Running,
}

/// A folder with an empty `root` in it.
pub fn folder() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir(&root).unwrap();
    (temp, root)
}

impl Site {
    pub fn new(options: impl FnOnce(Options) -> Options + Send + 'static) -> Site {
        let (temp, root) = folder();
        let docroot = root.clone();
        let server = serve(
            move || options(Options::new().docroot(docroot)),
            async |con: &mut Connection, req: &mut Request| con.serve_file(req).await,
        );
        Site { temp, root, server }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file beneath the root, and the folders that lead to it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn get(&self, target: &str) -> Response {
        self.ask("GET", target, &[])
    }

    /// Asks on a connection of its own, which must end in order right behind the reply: a byte too many shows.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, fields: &[&str]) -> Response {
        let mut client = self.server.connect();
        client.send(request(method, target, fields, true));
        let reply = if method == "HEAD" { client.read_head_response() } else { client.read_response() };
        client.expect_close();
        reply
    }
}

/// A request, without body, of HTTP/1.1.
pub fn request(method: &str, target: &str, fields: &[&str], close: bool) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}{connection}\r\n")
}

/// Sets a file's modification time, in Unix seconds.
pub fn set_mtime(path: &Path, seconds: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds))).unwrap();
}

pub fn mtime(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// The daemon, in a process of its own; killed when dropped.
pub struct Daemon {
    pub child: Child,
    /// The first address that it printed.
    pub addr: SocketAddr,
    /// What it printed until it had said all the addresses that were waited for.
    pub greeting: Vec<String>,
    lines: Receiver<String>,
}

/// The program under test: what `ECOHTTPD_BIN` names, run by `ECOHTTPD_RUNNER` (an emulator and its arguments) if set.
pub fn program() -> Command {
    let binary = std::env::var_os("ECOHTTPD_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_ecohttpd").into());
    let runner = std::env::var("ECOHTTPD_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let mut command = match words.next() {
        Some(runner) => Command::new(runner),
        None => return Command::new(binary),
    };
    command.args(words).arg(binary);
    command
}

impl Daemon {
    /// Starts it on a free port of 127.0.0.1 with these arguments besides.
    pub fn start(args: &[&str]) -> Daemon {
        Daemon::start_with(args, &[])
    }

    pub fn start_with(args: &[&str], env: &[(&str, &str)]) -> Daemon {
        let args = [&["-f", "-p", "127.0.0.1:0"], args].concat();
        Daemon::run(program().args(args).envs(env.iter().copied()), 1)
    }

    /// Runs a command that becomes the daemon, and waits until it has printed `count` addresses.
    pub fn run(command: &mut Command, count: usize) -> Daemon {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut daemon = Daemon { child, addr: ([0; 4], 0).into(), greeting: Vec::new(), lines };
        while daemon.addrs().len() < count {
            let line = daemon.line();
            daemon.greeting.push(line);
        }
        daemon.addr = daemon.addrs()[0];
        daemon
    }

    /// The addresses that it said it serves at.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        let urls = self.greeting.iter().filter_map(|line| line.split("http://").nth(1));
        urls.map(|rest| rest.split('/').next().unwrap().parse().expect("an address to open")).collect()
    }

    /// The next line that it prints.
    #[track_caller]
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the daemon printed no more")
    }

    /// What else it prints until it ends.
    pub fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the daemon does not end"),
        })
        .collect()
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Asks on a connection of its own, which must end in order right behind the reply.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        let mut client = self.connect();
        client.send(request("GET", target, &[], true));
        let reply = client.read_response();
        client.expect_close();
        reply
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
