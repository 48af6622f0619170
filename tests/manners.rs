//! The manners of a service: it listens before its network is there, and nothing that happens around it ends it.

mod common;
mod common_cgi;
mod common_config;
mod common_files;

use common::system::signal;
use common::{Client, PATIENCE, skip};
use common_cgi::install;
use common_config::{Router, ask, free_addr, holds, one_line, until};
use common_files::{Daemon, folder, program, request};
use ecohttpd::{Connection, Options, Request, Server};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

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
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => skip("no IPv6 here"),
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

/// A hundred lines of the log of errors.
const COMPLAIN: &str = "#!/bin/sh\nprintf '\\n'\nhead -c 100000 /dev/zero | tr '\\0' x >&2\n";

/// A terminal whose user has stopped it (Ctrl-S) or does not read: neither log waits, and both say what is lost.
#[test]
fn a_terminal_that_nobody_reads_stops_nothing() {
    for access_log in [true, false] {
        let (_temp, root) = folder();
        fs::write(root.join("file"), "content").unwrap();
        fs::create_dir(root.join("cgi-bin")).unwrap();
        install(&root.join("cgi-bin/complain"), COMPLAIN);
        let (mut user, terminal) = common::system::terminal();
        let mut command = program();
        command.args(["-f", "-h", root.to_str().unwrap(), "-p", "127.0.0.1:0"]).stdin(Stdio::null());
        let mut greeting = Vec::new();
        let mut child = if access_log {
            let child = command.arg("--access-log").stdout(terminal).stderr(Stdio::null()).spawn().unwrap();
            // The address comes before the log; a byte at a time, so that no more is read.
            while !greeting.ends_with(b"\n") {
                let mut byte = [0];
                user.read_exact(&mut byte).unwrap();
                greeting.extend(byte);
            }
            child
        } else {
            let mut child = command.stderr(terminal).stdout(Stdio::piped()).spawn().unwrap();
            BufReader::new(child.stdout.take().unwrap()).read_until(b'\n', &mut greeting).unwrap();
            child
        };
        let greeting = String::from_utf8(greeting).unwrap();
        let addr = greeting.trim().split("http://").nth(1).unwrap().trim_end_matches('/').parse().unwrap();
        let ask = |target: &str| {
            let mut client = Client::connect(addr);
            client.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n"));
            assert_eq!(client.read_response().status, 200);
        };
        // More than a terminal takes, of a line as much as there is room for.
        (0..1000).for_each(|number| ask(&format!("/file?{number}&{}", "x".repeat(1000))));
        (0..10).for_each(|_| ask("/cgi-bin/complain"));
        // The user reads on, and learns what is missing.
        let (sender, seen) = channel();
        std::thread::spawn(move || {
            BufReader::new(user).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        until("nothing is said of lost lines", || {
            ask("/cgi-bin/complain");
            seen.try_iter().any(|line| line.contains("lines lost"))
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_log_file_is_opened_again_at_sighup() {
    let router = Router::new();
    let (log, old) = (router.path("access"), router.path("access.1"));
    let daemon = router.start_by(&[&format!("--access-log={log}")]);
    daemon.get("/file.txt?1");
    until("the log is written", || holds(&log, "/file.txt?1 "));
    fs::rename(&log, &old).unwrap();
    daemon.get("/file.txt?2");
    until("the log goes on", || holds(&old, "/file.txt?2 "));
    // No folder, no file: the old one has to do.
    fs::create_dir(&log).unwrap();
    router.reload(&daemon);
    daemon.get("/file.txt?3");
    until("the old log goes on", || holds(&old, "/file.txt?3 "));
    fs::remove_dir(&log).unwrap();
    router.reload(&daemon);
    daemon.get("/file.txt?4");
    until("the new log is written", || holds(&log, "/file.txt?4 "));
    assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 3);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
}

#[test]
fn a_full_disk_or_no_logger_stops_nothing() {
    let router = Router::new();
    let root = router.path("root");
    for args in [&["--access-log=/dev/full"][..], &["--access-log=syslog", "--syslog"]] {
        let daemon = Daemon::start(&[&["-h", &root], args].concat());
        for _ in 0..3 {
            assert_eq!(daemon.get("/file.txt").text(), "content", "{args:?}");
            daemon.signal("HUP");
        }
        daemon.signal("TERM");
        assert!(daemon.wait().success(), "{args:?}");
    }
    let output = router.output(&["-f", "-p", "127.0.0.1:0", "--access-log=/missing/log"]);
    assert_eq!(output.status.code(), Some(1));
    one_line(&String::from_utf8(output.stderr).unwrap(), &["/missing/log"]);
}

/// A daemon in the background, known by its id; killed when dropped.
struct Background(String);

impl Background {
    fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(&self.0).join(name)
    }

    fn signal(&self, name: &str) -> bool {
        signal(self.0.parse().unwrap(), name).is_ok()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

/// As uhttpd, it goes to the background unless told not to.
#[test]
fn in_the_background_it_serves_as_before() {
    let router = Router::new();
    let pid_file = router.temp.path().join("pid");
    let log = format!("--access-log={}", router.path("access"));
    // The folder and the file are named by where the daemon was started.
    let output = router.output(&["--pid-file", "pid", "-h", "root", "-p", "127.0.0.1:0", "-k", "1", &log]);
    assert!(output.status.success(), "{output:?}");
    // All that it said is there, once, and its streams are closed: else there would be no output yet.
    let greeting = String::from_utf8(output.stdout).unwrap();
    assert_eq!((greeting.lines().count(), output.stderr.len()), (1, 0), "{greeting}");
    let addr = greeting.split("http://").nth(1).unwrap().trim_end().trim_end_matches('/').parse().unwrap();
    let daemon = Background(fs::read_to_string(&pid_file).unwrap().trim_end().to_owned());

    let mut client = Client::connect(addr);
    for _ in 0..2 {
        client.send(request("GET", "/file.txt", &[], false));
        assert_eq!(client.read_response().text(), "content");
    }
    // A timer.
    client.expect_close();
    until("the access log is written", || {
        fs::read_to_string(router.path("access")).is_ok_and(|log| log.lines().count() == 2)
    });

    assert_eq!(fs::read_link(daemon.proc("cwd")).unwrap(), Path::new("/"));
    for stream in ["fd/0", "fd/1", "fd/2"] {
        assert_eq!(fs::read_link(daemon.proc(stream)).unwrap(), Path::new("/dev/null"), "{stream}");
    }
    let stat = fs::read_to_string(daemon.proc("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(fields[3], daemon.0, "leader of its session");

    // The relative folder is still the same after a reload.
    fs::rename(router.path("access"), router.path("access.1")).unwrap();
    assert!(daemon.signal("HUP"));
    until("it reads its configuration", || Path::new(&router.path("access")).exists());
    assert_eq!(ask(addr, "GET", "/file.txt", &[]).text(), "content");

    assert!(daemon.signal("TERM"));
    until("it stops", || TcpStream::connect(addr).is_err() && !pid_file.exists());
}

#[test]
fn what_keeps_it_from_the_background_is_said_where_it_was_started() {
    let router = Router::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    for (args, code, named) in [
        (["--pid-file", "/missing/pid", "-p", free], 2, "/missing/pid"),
        (["--user", "no-such-user", "-p", free], 1, "no-such-user"),
        (["--pid-file", "/proc/pid", "-p", &taken], 2, &taken),
        (["--pid-file", "pid", "-p", "x"], 1, "\"x\""),
    ] {
        let output = router.output(&args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        one_line(&stderr, &[named]);
        assert!(!Path::new(&router.path("pid")).exists());
    }
}

#[test]
fn it_drops_the_rights_of_root() {
    let router = Router::new();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        let output = router.output(&["-f", "-p", "127.0.0.1:0", "--user", "nobody"]);
        one_line(&String::from_utf8(output.stderr).unwrap(), &["nobody"]);
        assert!(!output.status.success());
        skip("in part: not root");
        return;
    }
    // The program id is of coreutils.
    let id = |option: &str| {
        let output = Command::new("id").args([option, "nobody"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (user, group, groups) = (id("-u").remove(0), id("-g").remove(0), id("-G"));
    for name in ["nobody", &user] {
        let daemon = router.start_by(&["--user", name]);
        assert_eq!(daemon.get("/file.txt").text(), "content");
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_whitespace();
        // Real, effective, saved and of the file system.
        assert!(field("Uid:").eq([&user; 4].into_iter()), "{status}");
        assert!(field("Gid:").eq([&group; 4].into_iter()), "{status}");
        assert!(field("Groups:").eq(groups.iter()), "{status}");
        assert!(field("CapEff:").chain(field("CapPrm:")).all(|set| set.bytes().all(|b| b == b'0')), "{status}");
        daemon.signal("TERM");
        assert!(daemon.wait().success());
    }
    let output = router.output(&["-f", "-p", "127.0.0.1:0", "--user", "root"]);
    assert_eq!(output.status.code(), Some(1));
    one_line(&String::from_utf8(output.stderr).unwrap(), &["--user", "root"]);
}

/// `service uhttpd restart` in the middle of a page: what is answered is right, and the port is free for the next.
#[test]
fn a_restart_under_load_leaves_no_wrong_answer() {
    let router = Router::new();
    let addr = free_addr();
    let listen = addr.to_string();
    let mut daemon = Daemon::run(&mut successor(&router, &listen), 1);
    let (over, done) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::AtomicUsize::new(0));
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(order) {
                    // Between two daemons there is nobody to connect to.
                    let Ok(stream) = TcpStream::connect(addr) else { continue };
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let mut client = Client::new(stream);
                    let sent = client.try_send(request("GET", "/file.txt", &[], false));
                    // A connection that was queued when the listener went is reset, before it had any answer.
                    if let Ok(reply) = sent.map_err(|_| common::End::Reset).and_then(|()| client.try_response(false)) {
                        assert_eq!((reply.status, reply.text()), (200, "content"));
                        done.fetch_add(1, order);
                    }
                }
            });
        }
        for _ in 0..5 {
            let before = done.load(order);
            until("it serves", || done.load(order) > before + 20);
            daemon.signal("TERM");
            let old = std::mem::replace(&mut daemon, Daemon::run(&mut successor(&router, &listen), 1));
            assert!(old.wait().success());
        }
        over.store(true, order);
    });
    assert_eq!(ask(addr, "GET", "/file.txt", &[]).text(), "content");
}

/// A daemon that is started as procd does it: as soon as the one before it releases the port.
fn successor(router: &Router, listen: &str) -> Command {
    until("the port is free", || TcpListener::bind(listen).is_ok());
    router.command(&["-f", "-h", &router.path("root"), "-p", listen])
}
