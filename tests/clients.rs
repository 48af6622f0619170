//! Clients that people use, where they are installed, and many at once: not one wrong byte.

mod common;
mod common_files;

use common::{Client, pattern, skip};
use common_files::{Daemon, folder, request};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use tempfile::TempDir;

/// A served folder, and one to work in.
struct Place {
    temp: TempDir,
    root: PathBuf,
    daemon: Daemon,
}

const LARGE: usize = 20_000_003;

impl Place {
    fn new(args: &[&str]) -> Place {
        let (temp, root) = folder();
        fs::create_dir(temp.path().join("work")).unwrap();
        fs::create_dir_all(root.join("deep/er")).unwrap();
        fs::write(root.join("large"), pattern(LARGE)).unwrap();
        fs::write(root.join("small.txt"), "content\n").unwrap();
        fs::write(root.join("small.txt.gz"), GZIPPED).unwrap();
        fs::write(root.join("deep/er/a b&c%ü.txt"), "odd\n").unwrap();
        fs::write(root.join("deep/index.html"), "index\n").unwrap();
        let args = [&["-h", root.to_str().unwrap()], args].concat();
        let daemon = Daemon::start(&args);
        Place { temp, root, daemon }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.daemon.addr)
    }

    fn work(&self) -> PathBuf {
        self.temp.path().join("work")
    }

    /// A command in the folder to work in, without the user's configuration and proxies.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.work()).env("HOME", self.work()).env("LC_ALL", "C.UTF-8");
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command
    }

    #[track_caller]
    fn run(&self, program: &str, args: &[&str]) -> Output {
        let output = self.command(program, args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {}: {stderr}", output.status);
        output
    }
}

/// `deflated\n` as gzip makes it.
const GZIPPED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x49\x4d\xcb\x49\x2c\x49\x4d\xe1\x02\x00\x67\xfb\x8a\x07\x09\x00\x00\x00";

/// Whether there is such a client: curl, wget, aria2c, git, each of which is skipped where it is missing.
fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        skip(&format!("{program} is not installed"));
    }
    there
}

#[test]
fn curl() {
    if !has("curl") {
        return;
    }
    let place = Place::new(&[]);
    let curl = |args: &[&str], path: &str| {
        let url = place.url(path);
        let args = [&["-q", "-sS", "--max-time", "60"], args, &[&url]].concat();
        String::from_utf8(place.run("curl", &args).stdout).unwrap()
    };
    assert_eq!(curl(&[], "small.txt"), "content\n");
    assert_eq!(curl(&["--http1.0"], "small.txt"), "content\n");
    assert_eq!(curl(&["--compressed"], "small.txt"), "deflated\n");
    assert_eq!(curl(&["-r", "2-4,6-"], "small.txt").matches("Content-Range: bytes").count(), 2);
    assert_eq!(curl(&["-L"], "deep"), "index\n");
    assert_eq!(curl(&[], "deep/er/a%20b&c%25%C3%BC.txt"), "odd\n");
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(curl(&[&code[..], &["--path-as-is"]].concat(), "../outside"), "403");
    assert_eq!(curl(&[&code[..], &["-d", "x=y"]].concat(), "small.txt"), "405");
    assert_eq!(curl(&[&code[..], &["-T", "/proc/self/status"]].concat(), "small.txt"), "405");
    assert_eq!(curl(&[&code[..], &["-T", place.root.join("large").to_str().unwrap()]].concat(), "up"), "405");
    assert!(curl(&["-I"], "large").contains(&format!("Content-Length: {LARGE}\r\n")));
    curl(&["-o", "got"], "large");
    assert!(fs::read(place.work().join("got")).unwrap() == pattern(LARGE));
    // What was broken off is taken up again.
    fs::write(place.work().join("got"), pattern(7_654_321)).unwrap();
    curl(&["-C", "-", "-o", "got"], "large");
    assert!(fs::read(place.work().join("got")).unwrap() == pattern(LARGE));
    curl(&["-o", "dated", "-R"], "small.txt");
    assert_eq!(curl(&[&code[..], &["-z", "dated"]].concat(), "small.txt"), "304");
    // One connection for all of them.
    let url = place.url("small.txt");
    let count = curl(&["-w", "%{num_connects} ", &url, &url, &url], "small.txt");
    assert_eq!(count, "content\n1 content\n0 content\n0 content\n0 ");
}

#[test]
fn wget() {
    if !has("wget") {
        return;
    }
    let place = Place::new(&[]);
    let large = place.url("large");
    place.run("wget", &["-q", "--tries=1", "--timeout=60", "-O", "got", &large]);
    assert!(fs::read(place.work().join("got")).unwrap() == pattern(LARGE));
    fs::write(place.work().join("large"), pattern(1_234_567)).unwrap();
    place.run("wget", &["-q", "--tries=1", "--timeout=60", "-c", &large]);
    assert!(fs::read(place.work().join("large")).unwrap() == pattern(LARGE));

    // A listing leads to all that is there, and nowhere else.
    fs::remove_file(place.root.join("deep/index.html")).unwrap();
    fs::remove_file(place.root.join("large")).unwrap();
    place.run(
        "wget",
        &[
            "-q",
            "--tries=1",
            "--timeout=60",
            "-r",
            "-np",
            "-nH",
            "-l",
            "9",
            "-P",
            "copy",
            "-R",
            "index.html*",
            &place.url(""),
        ],
    );
    let same = |path: &str| {
        let copy = fs::read(place.work().join("copy").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(copy, fs::read(place.root.join(path)).unwrap(), "{path}");
    };
    same("small.txt");
    same("small.txt.gz");
    same("deep/er/a b&c%ü.txt");
    // A second time nothing has changed.
    let small = place.url("small.txt");
    place.run("wget", &["-q", "--tries=1", "-N", &small]);
    let again = place.run("wget", &["-nv", "-S", "--tries=1", "-N", &small]);
    assert!(String::from_utf8_lossy(&again.stderr).contains(" 304 Not Modified"), "{again:?}");
}

#[test]
fn aria2c_in_four_parts() {
    if !has("aria2c") {
        return;
    }
    let place = Place::new(&["--access-log"]);
    #[rustfmt::skip]
    let args = [
        "--no-conf", "-q", "-x4", "-s4", "-k1M", "--file-allocation=none", "--max-tries=1", "--timeout=60", "-d", ".", "-o", "got", &place.url("large"),
    ];
    place.run("aria2c", &args);
    assert!(fs::read(place.work().join("got")).unwrap() == pattern(LARGE));
    place.daemon.signal("TERM");
    let log = place.daemon.rest();
    let parts = log.iter().filter(|line| line.contains("\"GET /large HTTP/1.1\" 206 ")).count();
    assert!(parts >= 3, "it should have asked for ranges: {log:#?}");
}

#[test]
fn git_clone_over_dumb_http() {
    if !has("git") {
        return;
    }
    let place = Place::new(&["--access-log"]);
    let git = |args: &[&str]| {
        let mut command = place.command("git", args);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "T").env(format!("GIT_{who}_EMAIL"), "t@example.org");
        }
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), stderr)
    };
    let done = |args: &[&str]| {
        let (success, stdout, stderr) = git(args);
        assert!(success, "git {args:?}: {stderr}");
        stdout
    };
    done(&["init", "-q", "source"]);
    let source = place.work().join("source");
    for n in 0..30 {
        fs::write(source.join(format!("file {n}")), pattern(n * 5000)).unwrap();
        if n % 10 == 9 {
            done(&["-C", "source", "add", "."]);
            done(&["-C", "source", "commit", "-q", "-m", &format!("commit {n}")]);
        }
    }
    let bare = place.root.join("repo.git");
    done(&["clone", "-q", "--bare", "source", bare.to_str().unwrap()]);
    // Some of it packed, some loose.
    done(&["-C", bare.to_str().unwrap(), "gc", "-q"]);
    fs::write(source.join("late"), pattern(100_000)).unwrap();
    done(&["-C", "source", "add", "."]);
    done(&["-C", "source", "commit", "-q", "-m", "late"]);
    done(&["-C", "source", "push", "-q", bare.to_str().unwrap(), "HEAD"]);
    done(&["-C", bare.to_str().unwrap(), "update-server-info"]);

    let (success, _, stderr) = git(&["clone", "-q", &place.url("repo.git"), "copy"]);
    if !success && stderr.contains("remote-http") {
        skip("this git has no HTTP");
        return;
    }
    assert!(success, "git clone: {stderr}");
    done(&["-C", "copy", "fsck", "--full", "--strict"]);
    assert_eq!(done(&["-C", "copy", "rev-parse", "HEAD"]), done(&["-C", "source", "rev-parse", "HEAD"]));
    assert!(fs::read(place.work().join("copy/late")).unwrap() == pattern(100_000));
}

#[test]
fn two_hundred_and_fifty_six_at_once() {
    let (_temp, root) = folder();
    let sizes: Vec<usize> = (0..64).map(|n| n * n * 97).collect();
    for size in &sizes {
        fs::write(root.join(size.to_string()), pattern(*size)).unwrap();
    }
    fs::write(root.join("large"), pattern(2_000_000)).unwrap();
    let daemon = Daemon::start(&["-h", root.to_str().unwrap(), "-N", "300"]);
    let addr = daemon.addr;
    let (sizes, largest) = (&sizes, &pattern(2_000_000));
    thread::scope(|scope| {
        for n in 0..256 {
            scope.spawn(move || {
                let mut client = Client::connect(addr);
                for round in 0..8 {
                    let size = sizes[(n * 7 + round * 13) % sizes.len()];
                    client.send(request("GET", &format!("/{size}"), &[], false));
                    let reply = client.read_response();
                    assert!(reply.status == 200 && reply.body == largest[..size], "{size} bytes on connection {n}");
                }
                let from = n * 5000;
                let fields = [&*format!("Range: bytes={from}-{}", from + 299_999)];
                client.send(request("GET", "/large", &fields, true));
                let reply = client.read_response();
                assert!(reply.status == 206 && reply.body == largest[from..from + 300_000], "a part on connection {n}");
                client.expect_close();
            });
        }
    });
    assert!(Path::new(&format!("/proc/{}", daemon.child.id())).exists());
    assert_eq!(daemon.get("/97").body, pattern(97));
}
