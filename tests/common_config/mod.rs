//! What the tests of the daemon's configuration share: a router's folder, and a daemon that reads its file.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::{Client, PATIENCE, Response};
use crate::common_files::{Daemon, folder, program, request};
use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A document root with a few files, a configuration file beside it, and the file that the daemon's log goes to.
pub struct Router {
    pub temp: TempDir,
    pub root: PathBuf,
}

impl Router {
    pub fn new() -> Router {
        let (temp, root) = folder();
        fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
        let router = Router { temp, root };
        router.write("root/index.html", "home");
        router.write("root/file.txt", "content");
        router
    }

    /// A path beneath the folder, as text.
    pub fn path(&self, name: &str) -> String {
        self.temp.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file beneath the folder, and the folders that lead to it; all may read it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.temp.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }

    /// Writes the configuration; `@` stands for the folder.
    pub fn configure(&self, text: &str) {
        self.write("uhttpd", text.replace('@', &self.path("")));
    }

    /// Writes a configuration with one section of these lines, which serves the root at a free port.
    pub fn section(&self, lines: &str) {
        self.configure(&format!(
            "config uhttpd main\n list listen_http 127.0.0.1:0\n option home @root\n option realm R\n{lines}\n"
        ));
    }

    /// Writes a site with something to hide: what is in `secret` says `HIDDEN`, the rest `plain`.
    pub fn write_secrets(&self) {
        for name in ["secret/index.html", "secret/file.txt", "secret/sub dir/x", "secret/al/x"] {
            self.write(&format!("root/{name}"), "HIDDEN");
        }
        self.write("root/secret/file.txt.gz", "HIDDEN, shorter");
        for name in ["open/page.html", "secretary/x", "al/x"] {
            self.write(&format!("root/{name}"), "plain");
        }
    }

    /// Starts the daemon by its configuration, and waits for so many addresses without TLS.
    pub fn start(&self, count: usize) -> Daemon {
        Daemon::run(self.command(&["-f", "--config", &self.path("uhttpd")]).stderr(self.log_file()), count)
    }

    /// Starts the daemon by these arguments and the root, at a free port.
    pub fn start_by(&self, args: &[&str]) -> Daemon {
        let root = self.path("root");
        let args = [&["-f", "-p", "127.0.0.1:0", "-h", &root], args].concat();
        Daemon::run(self.command(&args).stderr(self.log_file()), 1)
    }

    /// The program with these arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args).current_dir(self.temp.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end; what it prints must fit into a pipe.
    #[track_caller]
    pub fn output(&self, args: &[&str]) -> Output {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("{args:?} does not end: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        child.wait_with_output().unwrap()
    }

    /// Has it check the configuration: its status, and what it says.
    pub fn check(&self) -> (Option<i32>, String) {
        let output = self.output(&["--config", &self.path("uhttpd"), "--test"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    fn log_file(&self) -> File {
        File::options().create(true).append(true).open(self.path("log")).unwrap()
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Sends SIGHUP, and waits for the line that tells how it went.
    #[track_caller]
    pub fn reload(&self, daemon: &Daemon) -> String {
        let before = self.log().len();
        daemon.signal("HUP");
        let mut line = String::new();
        until(&format!("the configuration is read: {:?}", self.log()), || {
            let log = self.log();
            let told = log[before..]
                .lines()
                .find(|line| line.contains("configuration reloaded") || line.contains("old config"));
            line = told.unwrap_or_default().to_owned();
            !line.is_empty()
        });
        line
    }
}

/// Asks on a connection of its own, which must end in order right behind the reply: a byte too many shows.
#[track_caller]
pub fn ask(addr: SocketAddr, method: &str, target: &str, fields: &[&str]) -> Response {
    let mut client = Client::connect(addr);
    client.send(request(method, target, fields, true));
    let reply = if method == "HEAD" { client.read_head_response() } else { client.read_response() };
    client.expect_close();
    reply
}

/// Asks from another address of this machine.
#[track_caller]
pub fn ask_from(ip: Ipv4Addr, addr: SocketAddr, target: &str, field: &str) -> Response {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client::new(std::net::TcpStream::from(socket));
    client.send(request("GET", target, &[field], true));
    client.read_response()
}

/// Asks a site by its name.
#[track_caller]
pub fn ask_host(addr: SocketAddr, host: &str, target: &str) -> Response {
    let mut client = Client::connect(addr);
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    let reply = client.read_response();
    client.expect_close();
    reply
}

/// An address that is free, of 127.0.0.0/8 where nobody else looks for one.
pub fn free_addr() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high, low, NEXT.fetch_add(1, Ordering::SeqCst));
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// Looks again and again until it is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asserts that a text is one line, and says all of this.
#[track_caller]
pub fn one_line(text: &str, named: &[&str]) {
    assert_eq!(text.lines().count(), 1, "{text:?}");
    for name in named {
        assert!(text.contains(name), "no {name:?} in {text:?}");
    }
}

/// Whether a file holds a text.
pub fn holds(path: impl AsRef<Path>, what: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains(what))
}

/// Asserts that a refusal tells nothing of what [`Router::write_secrets`] wrote.
#[track_caller]
pub fn assert_silent(reply: &Response, what: &str) {
    for name in ["etag", "last-modified", "location", "accept-ranges", "x-extra", "allow", "content-encoding"] {
        assert_eq!(reply.header(name), None, "{what}");
    }
    assert!(!String::from_utf8_lossy(&reply.raw).contains("HIDDEN"), "{what}: {reply:?}");
}
