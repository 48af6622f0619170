//! Access by address as a hostile client meets it: which ways lead past a rule, and what is said of wrong ones.

mod common;
mod common_config;
mod common_files;

use common::{Response, skip};
use common_config::{Router, ask, ask_from, assert_silent, free_addr, one_line, until};
use common_files::{Daemon, request};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

/// The address that tests ask from, and its neighbour.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A site with something to hide, its daemon by the command line.
fn site(args: &[&str]) -> (Router, Daemon) {
    let router = Router::new();
    router.write_secrets();
    router.write("root/open/half.txt", "plain");
    router.write("root/open/half.txt.gz", "HIDDEN, compressed");
    script(&router, "secret", "printf 'Content-Type: text/plain\\n\\nHIDDEN %s' \"$PATH_INFO\"");
    script(&router, "leads", "printf 'Location: /secret/file.txt\\n\\n'");
    let daemon = router.start_by(args);
    (router, daemon)
}

fn script(router: &Router, name: &str, line: &str) {
    let path = format!("root/cgi-bin/{name}");
    router.write(&path, format!("#!/bin/sh\n{line}\n"));
    fs::set_permissions(router.path(&path), Permissions::from_mode(0o755)).unwrap();
}

#[track_caller]
fn assert_refused(reply: &Response, what: &str) {
    assert_eq!(reply.status, 403, "{what}: {reply:?}");
    assert_silent(reply, what);
}

#[test]
fn no_spelling_slips_past() {
    let (_router, daemon) = site(&["--deny", "/secret 127.0.0.1", "--header", "X-Extra: x"]);
    for path in [
        "/secret",
        "/secret/",
        "//secret/file.txt",
        "/secret//file.txt",
        "/Secret/file.txt",
        "/%53ECRET/file.txt",
        "/./secret/file.txt",
        "/x/../secret/file.txt",
        "/secret/.",
        "/secret/..%2fsecret/file.txt",
        "/secret%2ffile.txt",
        "/%2fsecret/file.txt",
        "/x/%2e%2e/secret/file.txt",
        "/secretary/..%2fsecret/file.txt",
        "/secret/file.txt?x=/../..",
        "/secret/file.txt.gz",
        "/secret/missing",
        "http://t//secret/file.txt",
        "http://other/%73ecret/",
    ] {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT"] {
            assert_refused(&ask(daemon.addr, method, path, &["Accept-Encoding: gzip"]), &format!("{method} {path}"));
        }
    }
    for path in ["/secretary/x", "/open/", "/al/x", "/"] {
        assert_eq!(ask(daemon.addr, "GET", path, &[]).status, 200, "{path}");
    }
    assert_eq!(ask_from(NEIGHBOUR, daemon.addr, "/secret/file.txt", "X: y").text(), "HIDDEN");
}

/// Whatever answers: scripts, aliases, indexes, what scripts lead to, and what was compressed.
#[test]
fn all_that_answers_is_covered() {
    let rules = ["/secret", "/cgi-bin/secret", "/guarded", "/open/half.txt.gz", "/admin/index.html", "/rpc", "/folder"];
    let mut args = vec!["-y", "/al=/secret", "-y", "/guarded=/open", "-y", "/run", "-u", "/rpc"];
    rules.iter().for_each(|rule| args.extend(["--deny", rule]));
    let args: Vec<String> = args
        .iter()
        .map(|arg| if rules.contains(arg) { format!("{arg} 127.0.0.1") } else { (*arg).to_owned() })
        .collect();
    // Of aliases the argument is no rule.
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (router, daemon) = site(&args);
    router.write("root/open/guarded/x", "HIDDEN");
    router.write("root/admin/index.html", "HIDDEN");
    router.write("root/folder/HIDDEN", "x");
    script(&router, "run", "printf 'Location: /cgi-bin/secret/x\\n\\n'");
    let mut paths = vec!["/al/x", "/%61l/x", "//al/x", "/guarded/x", "/cgi-bin/secret", "/cgi-bin/secret/info"];
    paths.extend(["/cgi-bin/leads", "/run", "/admin/", "/admin/index.html", "/folder/", "/folder"]);
    if cfg!(feature = "ubus") {
        paths.extend(["/rpc", "/rpc/list"]);
    }
    for path in paths {
        assert_refused(&ask(daemon.addr, "GET", path, &[]), path);
    }
    let reply = ask(daemon.addr, "GET", "/open/half.txt", &["Accept-Encoding: gzip"]);
    assert_eq!((reply.text(), reply.header("content-encoding")), ("plain", None));
    for (path, text) in [("/al/x", "HIDDEN"), ("/cgi-bin/secret/a", "HIDDEN /a"), ("/admin/", "HIDDEN")] {
        assert_eq!(ask_from(NEIGHBOUR, daemon.addr, path, "X: y").text(), text);
    }
}

/// `allow` is for those alone; of several paths the longest counts; the server as a whole is the root's.
#[test]
fn lists_and_paths() {
    let (_router, daemon) = site(&[
        "--allow",
        "127.0.0.2 ::1",
        "--allow",
        "/open *",
        "--deny",
        "/open/page.html 127.0.0.0/255.255.255.254",
        "-E",
        "/open/page.html",
    ]);
    #[rustfmt::skip]
    let rows = [
        ("/", 403, 200), ("/file.txt", 403, 200), ("/missing", 403, 404), ("/open/half.txt", 200, 200), ("/open/", 200, 200),
        ("/open/page.html", 403, 200), ("/open/../file.txt", 403, 200),
    ];
    for (path, here, neighbour) in rows {
        let reply = ask_from(HERE, daemon.addr, path, "X: y");
        assert_eq!(reply.status, here, "{path}");
        // Nor is the error page for those who may not see it.
        assert!(here == 200 || reply.text().contains("permission"), "{path}: {reply:?}");
        assert_eq!(ask_from(NEIGHBOUR, daemon.addr, path, "X: y").status, neighbour, "{path}");
    }
    assert_eq!(ask(daemon.addr, "OPTIONS", "*", &[]).status, 403);
}

/// An address is looked at before a login, and both are needed.
#[test]
fn a_login_does_not_open_what_an_address_closes() {
    let router = Router::new();
    router.write("httpd.conf", "/file.txt:me:secret\nA:127.0.0.2\nD:*\n");
    let daemon = router.start_by(&["-c", "httpd.conf"]);
    let right = "Authorization: Basic bWU6c2VjcmV0";
    assert_eq!(ask_from(HERE, daemon.addr, "/file.txt", right).status, 403);
    assert_eq!(ask_from(NEIGHBOUR, daemon.addr, "/file.txt", "X: y").status, 401);
    assert_eq!(ask_from(NEIGHBOUR, daemon.addr, "/file.txt", right).text(), "content");
}

/// Lines of a section, what the one line of error must name, and the paths that are closed then.
#[rustfmt::skip]
const WRONG: &[(&str, &[&str], &[&str])] = &[
    ("list allow '/file.txt 127.0.0.1/33'", &["uhttpd:5:", "uhttpd.main.allow", "\"/file.txt 127.0.0.1/33\"", "/admin 192.168.1.0/24"], &["/file.txt"]),
    ("list allow '/file.txt 127.0.0.1 router.lan'", &["main.allow", "router.lan"], &["/file.txt"]),
    ("list allow '/file.txt'", &["main.allow", "\"/file.txt\""], &["/file.txt"]),
    ("list deny '/file.txt 10.0.0.x'", &["main.deny", "10.0.0.x"], &["/file.txt"]),
    ("list deny '/my files 10.0.0.1'", &["main.deny", "/my files"], &["/my%20files/x", "/my/x"]),
    ("list deny '/file.t\u{e9}t 10.0.0.1'", &["main.deny", "UTF-8"], &["/file.txt", "/"]),
    ("option deny '/file.txt?x 10.0.0.1'", &["main.deny", "/file.txt?x"], &["/file.txt", "/"]),
    ("list allow 'file.txt 127.0.0.1'", &["main.allow", "\"file.txt 127.0.0.1\""], &["/file.txt", "/"]),
    ("list allow ''", &["main.allow", "\"\""], &[]),
    ("list allow '/file.txt *'\n list deny '/file.txt 1'", &["main.deny"], &["/file.txt"]),
    ("option config @httpd.conf", &["httpd.conf: line 2", "closed to everyone"], &["/file.txt", "/"]),
];

#[test]
fn a_wrong_rule_closes_what_it_was_to_protect() {
    let router = Router::new();
    router.write("root/my files/x", "x");
    router.write("root/my/x", "x");
    router.write("httpd.conf", "A:127.0.0.1\nD:10.0.0.0/33\n");
    for (lines, named, closed) in WRONG {
        router.section(&lines.replace('@', &router.path("")));
        // In Latin-1, as an editor of old leaves it.
        let text = fs::read_to_string(router.path("uhttpd")).unwrap();
        router.write("uhttpd", text.chars().map(|char| u8::try_from(char).unwrap()).collect::<Vec<_>>());
        let (status, said) = router.check();
        assert_eq!(status, Some(1), "{lines}");
        one_line(&said, named);
        let daemon = router.start(1);
        for path in *closed {
            assert_eq!(ask(daemon.addr, "GET", path, &[]).status, 403, "{lines}: {path}");
        }
        if !closed.contains(&"/") && !closed.is_empty() {
            assert_eq!(ask(daemon.addr, "GET", "/", &[]).status, 200, "{lines}");
        }
        // What is dumped is as closed.
        let dump = router.output(&["--config", "uhttpd", "--dump"]);
        router.write("uhttpd", dump.stdout);
        let daemon = router.start(1);
        for path in *closed {
            assert_eq!(ask(daemon.addr, "GET", path, &[]).status, 403, "the dump of {lines}: {path}");
        }
    }
    // On a command line it is an error.
    let output = router.output(&["-f", "--allow", "/x 1.2.3.4/40"]);
    assert_eq!(output.status.code(), Some(1));
    one_line(&String::from_utf8(output.stderr).unwrap(), &["--allow", "\"/x 1.2.3.4/40\"", "192.168.1.0/24"]);
}

/// A reload changes the rules for connections that stand, too.
#[test]
fn rules_change_with_the_reload() {
    let router = Router::new();
    router.write("httpd.conf", "D:10.0.0.0/8\n");
    let daemon = router.start_by(&["-c", "httpd.conf"]);
    let mut client = daemon.connect();
    let mut status = || {
        client.send(request("GET", "/file.txt", &[], false));
        client.read_response().status
    };
    assert_eq!(status(), 200);
    router.write("httpd.conf", "D:127.\n");
    router.reload(&daemon);
    assert_eq!(status(), 403);
    router.write("httpd.conf", "D:127./33\n");
    assert!(router.reload(&daemon).contains("keeping the old configuration"));
    assert_eq!(status(), 403);
}

/// Thousands of refusals are a few lines.
#[test]
fn the_log_is_bounded() {
    let (router, daemon) = site(&["--deny", "/secret *"]);
    let mut client = daemon.connect();
    let count = 500;
    for _ in 0..count {
        client.send(request("GET", "/secret/file.txt?x", &[], false));
        assert_eq!(client.read_response().status, 403);
    }
    until("it is logged", || router.log().contains("403: /secret/file.txt: address not allowed"));
    let log = router.log();
    let first = log.lines().next().unwrap();
    assert!(first.contains("127.0.0.1:") && first.contains("warn"), "{first}");
    // A line a second, if the machine is that slow.
    assert!(log.lines().count() < count / 10, "{log}");
}

/// Files of rules, and who gets in: by busybox's httpd itself, where it is installed, and by ours.
///
/// Left out are prefixes that are too long, and bits behind the prefix: busybox means to close all for the first, but such
/// a line of its matches nobody; nor does one with bits behind its prefix.
#[rustfmt::skip]
const CONFS: &[&str] = &[
    "",
    "A:127.0.0.1\n",
    "D:127.0.0.1\n",
    "D:*\n",
    "A:*\nD:*\n",
    "D:*\nA:*\n",
    "A:127.0.0.1\nD:*\n",
    "D:*\nA:127.0.0.1\n",
    "A:127.0.0.1\nD:127.0.0.1\n",
    "A:127.0.0.1\nD:127.\n",
    "D:127.0.0.2\nA:127.\nD:*\n",
    "A:127.\nD:*\n",
    "A:127\nD:*\n",
    "A:127.0\nD:*\n",
    "A:127.0.0.0/31\nD:*\n",
    "A:127.0.0.2/255.255.255.254\nD:*\n",
    "D:127.0.0.0/255.0.0.0\n",
    "A:10.0.0.0/8\nD:*\n",
    "D:0.0.0.0/0\nA:127.0.0.1\n",
    "A:127.0.0.x\n",
    "a: 127.0.0.2 # the neighbour\nd:*\n",
    "allow:127.0.0.2\ndeny:*\n",
];

#[test]
fn rules_mean_what_busybox_has_them_mean() {
    if !Command::new("busybox").args(["httpd", "--help"]).output().is_ok_and(|output| output.status.success()) {
        skip("no busybox with httpd here");
        return;
    }
    let router = Router::new();
    for conf in CONFS {
        router.write("httpd.conf", conf);
        let busybox = Busybox::start(&router);
        // By a file: on a command line, a wrong rule is an error.
        router.section(&format!(" option config {}", router.path("httpd.conf")));
        let daemon = router.start(1);
        for ip in [HERE, NEIGHBOUR, Ipv4Addr::new(127, 0, 0, 3)] {
            let ours = ask_from(ip, daemon.addr, "/file.txt", "X: y").status;
            assert_eq!(ours, busybox.status(ip), "{ip}: {conf:?}");
        }
    }
}

/// busybox's httpd, ended when dropped.
struct Busybox {
    child: Child,
    addr: SocketAddr,
}

impl Busybox {
    fn start(router: &Router) -> Busybox {
        let addr = free_addr();
        let mut command = Command::new("busybox");
        command.args(["httpd", "-f", "-p", &addr.to_string(), "-h", &router.path("root")]);
        let child = command.args(["-c", &router.path("httpd.conf")]).spawn().unwrap();
        let busybox = Busybox { child, addr };
        until("busybox listens", || TcpStream::connect(addr).is_ok());
        busybox
    }

    /// The status of its answer, which is of HTTP/1.0 or 1.1.
    fn status(&self, from: Ipv4Addr) -> u16 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&self.addr.into()).unwrap();
        socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(b"GET /file.txt HTTP/1.0\r\n\r\n").unwrap();
        let mut reply = Vec::new();
        // What it has not read may make it reset the connection.
        let _ = stream.read_to_end(&mut reply);
        let reply = String::from_utf8_lossy(&reply);
        reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{reply:?}"))
    }
}

impl Drop for Busybox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
