//! The program: its options, what it prints, how it ends.

mod common;
mod common_files;

use common::{Client, End, pattern, skip};
use common_files::{Daemon, folder, program, request};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::SystemTime;

/// A folder to serve, and a file in it that is small.
fn site() -> (tempfile::TempDir, String) {
    let (temp, root) = folder();
    fs::write(root.join("file.txt"), "content").unwrap();
    (temp, root.to_str().unwrap().to_owned())
}

/// Runs the program to its end.
fn output(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn help_and_version() {
    let help = output(&["--help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let help = text(&help.stdout);
    for option in
        ["-f", "-h", "-p", "-I", "-k", "-T", "-N", "-A", "-D", "-S", "--no-gzip", "--access-log", "--help", "--version"]
    {
        assert!(help.split([' ', ',', '\n']).any(|word| word == option), "{option} is missing: {help}");
    }
    assert!(help.contains("8080"), "{help}");
    let table = include_str!("../docs/options.md");
    let long: Vec<&str> = help.split([' ', ',', '\n']).filter(|word| word.starts_with("--")).collect();
    assert!(long.len() > 50, "{long:?}");
    for option in long {
        let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        let named = table.match_indices(option).any(|(at, _)| is_end(&table[at + option.len()..]));
        assert!(named, "{option} is not in docs/options.md");
    }
    // With wrong options besides, it still helps.
    assert!(output(&["-D", "--help", "--nonsense"]).status.success());
    let version = output(&["--version"]);
    assert!(version.status.success());
    assert_eq!(text(&version.stdout), concat!("ecohttpd ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// Arguments, and what the line of error says: the option, the value, what is allowed.
#[rustfmt::skip]
const WRONG: &[(&[&str], &[&str])] = &[
    (&["-z"], &["-z"]), (&["--nonsense"], &["--nonsense"]), (&["stray"], &["stray"]), (&["-D=yes"], &["yes"]), (&["--no-gzip=yes"], &["--no-gzip"]),
    (&["-h"], &["-h"]), (&["-p"], &["-p", "PORT"]), (&["-k"], &["-k"]), (&["--listen"], &["PORT"]),
    (&["-h", "/no/such/folder"], &["-h", "/no/such/folder", "folder"]), (&["-h", "/dev/null"], &["/dev/null", "folder"]), (&["-h", ""], &["-h"]),
    (&["-p", "http"], &["-p", "http", "PORT"]), (&["-p", "65536"], &["65536", "PORT"]), (&["-p", "-1"], &["-1", "PORT"]), (&["-p", "+80"], &["+80", "PORT"]),
    (&["-p", "::1:80"], &["::1:80", "["]), (&["-p", "[127.0.0.1]:80"], &["[127.0.0.1]:80"]), (&["-p", "1.2.3:80"], &["1.2.3:80"]), (&["-p", "1.2.3.4"], &["1.2.3.4"]),
    (&["-p", "name:80"], &["name:80"]), (&["-p", "127.0.0.1:"], &["127.0.0.1:"]), (&["-p", ""], &["-p", "PORT"]), (&["-p", "[::1]80"], &["[::1]80"]),
    (&["-k", "x"], &["-k", "x", "0", "86400"]), (&["-k", "-1"], &["-k", "-1"]), (&["-k", "1.5"], &["1.5"]), (&["-k", "99999999999999999999"], &["99999999999999999999"]),
    (&["-T", "0"], &["-T", "\"0\"", "1"]), (&["-T", ""], &["-T"]), (&["-N", "0"], &["-N", "\"0\"", "1"]), (&["-N", "many"], &["many"]), (&["-A", "32768"], &["32768", "32767"]),
    (&["-I", ""], &["-I"]), (&["-I", "/abs"], &["-I", "/abs"]), (&["--http-keepalive", "x"], &["x", "86400"]), (&["--max-connections=no"], &["no", "1"]),
    (&["-k", "a\nb"], &["-k"]), (&["--chunked-body-limit", "4m"], &["4m", "64", "16777216"]), (&["--body-temp-path", "/no/such"], &["/no/such", "folder"]),
];

#[test]
fn wrong_options_are_named_in_one_line() {
    for (args, named) in WRONG {
        let output = output(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(stderr.ends_with('\n') && stderr.lines().count() == 1, "{args:?}: {stderr:?}");
        for name in *named {
            assert!(stderr.contains(name), "{args:?}: no {name:?} in {stderr:?}");
        }
    }
    // An address that is taken is no wrong option, but it is named too.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = output(&["-p", &addr]);
    let stderr = text(&output.stderr);
    assert!(!output.status.success() && output.status.code().is_some(), "{stderr}");
    assert!(stderr.contains(&addr) && stderr.lines().count() == 1, "{stderr:?}");
}

#[test]
fn it_prints_the_addresses_to_open() {
    let (_temp, root) = site();
    let mut args = vec!["-f", "-h", &root, "-p", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if v6 {
        args.extend(["-p", "[::1]:0"]);
    } else {
        skip("in part: no IPv6 here");
    }
    let daemon = Daemon::run(program().args(&args), if v6 { 3 } else { 2 });
    let addrs = daemon.addrs();
    assert_eq!(addrs.len(), if v6 { 3 } else { 2 });
    for addr in &addrs {
        assert_ne!(addr.port(), 0, "the real port");
        let mut client = Client::connect(*addr);
        client.send(request("GET", "/file.txt", &[], false));
        assert_eq!(client.read_response().text(), "content", "{addr}");
    }
    assert!(!v6 || addrs[2].is_ipv6());
    assert!(daemon.greeting.iter().all(|line| line.contains(&root)), "{:?}", daemon.greeting);

    // Of a port on every address, one that can be opened.
    let daemon = Daemon::run(program().args(["-f", "-h", &root, "-p", "0"]), 1);
    assert!(daemon.addr.ip().is_loopback(), "{:?}", daemon.greeting);
    assert_eq!(daemon.get("/file.txt").text(), "content");
}

#[test]
fn the_current_folder_is_the_default() {
    let (_temp, root) = site();
    let daemon = Daemon::run(program().args(["-f", "-p", "127.0.0.1:0"]).current_dir(&root), 1);
    assert_eq!(daemon.get("/file.txt").text(), "content");
}

/// `uhttpd`'s letters and the long names mean the same.
#[test]
fn listings_links_indexes_and_codings() {
    let (_temp, root) = site();
    let path = Path::new(&root);
    for (name, content) in
        [("own/start.htm", "own"), ("own/index.html", "index"), ("std/default.htm", "std"), ("bare/x", "x")]
    {
        fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs::write(path.join(name), content).unwrap();
    }
    fs::write(path.join("../outside"), "outside").unwrap();
    fs::write(path.join("file.txt.gz"), "coded").unwrap();
    symlink("../outside", path.join("link")).unwrap();
    let get = |daemon: &Daemon, target: &str| {
        let mut client = daemon.connect();
        client.send(request("GET", target, &["Accept-Encoding: gzip"], true));
        let reply = client.read_response();
        (reply.status, reply.text().to_owned())
    };
    let plain = Daemon::start(&["-h", &root]);
    assert_eq!(get(&plain, "/own/").1, "index");
    assert_eq!(get(&plain, "/std/").1, "std");
    assert_eq!(get(&plain, "/link").1, "outside", "links are followed, as by uhttpd");
    assert_eq!(get(&plain, "/file.txt").1, "coded");
    let (status, page) = get(&plain, "/bare/");
    assert!(status == 200 && page.contains("href=\"./x\""), "{page}");

    let letters = ["-D", "-S", "-I", "start.htm"].map(String::from);
    let long = ["--no-dirlists", "--no-symlinks", "--index=start.htm", "--no-gzip"].map(String::from);
    for args in [letters, long] {
        let args: Vec<&str> = args.iter().map(String::as_str).chain(["-h", &root]).collect();
        let daemon = Daemon::start(&args);
        assert_eq!(get(&daemon, "/own/").1, "own", "{args:?}: the named index comes first");
        assert_eq!(get(&daemon, "/std/").1, "std", "{args:?}");
        assert_eq!(get(&daemon, "/link").0, 403, "{args:?}");
        assert_eq!(get(&daemon, "/bare/").0, 403, "{args:?}");
        let coded = !args.contains(&"--no-gzip");
        assert_eq!(get(&daemon, "/file.txt").1, if coded { "coded" } else { "content" }, "{args:?}");
    }
}

#[test]
fn timeouts_and_connections() {
    let (_temp, root) = site();
    let daemon = Daemon::start(&["-h", &root, "-k", "0"]);
    let mut client = daemon.connect();
    client.send(request("GET", "/file.txt", &[], false));
    assert!(client.read_response().closes(), "-k 0 closes after each reply");
    client.expect_close();

    let daemon = Daemon::start(&["-h", &root, "-k", "1", "-T", "1", "-N", "3", "-A", "60"]);
    let mut idle = daemon.connect();
    idle.send(request("GET", "/file.txt", &[], false));
    assert_eq!(idle.read_response().status, 200);
    let mut slow = daemon.connect();
    slow.send("GET /file.txt HT");
    let mut silent = daemon.connect();
    assert_eq!(slow.read_response().status, 408, "-T");
    silent.expect_close();
    idle.expect_close();

    let daemon = Daemon::start(&["-h", &root, "-N", "3"]);
    let mut clients: Vec<Client> = (0..10).map(|_| daemon.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/file.txt", &[], false));
        assert_eq!(client.read_response().text(), "content");
    }
    clients[0].expect_close();
}

#[test]
fn the_access_log_is_in_combined_format() {
    let (_temp, root) = site();
    let daemon = Daemon::start(&["-h", &root, "--access-log"]);
    let port = daemon.addr.port();
    #[rustfmt::skip]
    let rows = [
        ("GET /file.txt?a=b HTTP/1.1\r\nHost: t\r\nReferer: http://r/\r\nUser-Agent: test/1 (x)\r\n", "\"GET /file.txt?a=b HTTP/1.1\" 200 7 \"http://r/\" \"test/1 (x)\" "),
        ("HEAD /file.txt HTTP/1.1\r\nHost: t\r\n", "\"HEAD /file.txt HTTP/1.1\" 200 0 \"-\" \"-\" "),
        ("GET /missing HTTP/1.0\r\n", "\"GET /missing HTTP/1.0\" 404 74 \"-\" \"-\" "),
        ("GET /file.txt HTTP/1.1\r\nHost: t\r\nRange: bytes=0-2\r\n", "\"GET /file.txt HTTP/1.1\" 206 3 \"-\" \"-\" "),
        ("POST /file.txt HTTP/1.1\r\nHost: t\r\n", "\"POST /file.txt HTTP/1.1\" 405 "),
        ("GET /\"%22<b>\\ HTTP/1.1\r\nHost: t\r\n", ""),
        ("GET /file.txt HTTP/1.1\r\nHost: t\r\nUser-Agent: a\"b\\c\tq\r\n", "\"GET /file.txt HTTP/1.1\" 200 7 \"-\" \"a\\x22b\\x5cc\\x09q\" "),
        ("nonsense\r\n", "\"-\" 400 "),
    ];
    for (head, expected) in rows {
        let before = SystemTime::now();
        let mut client = daemon.connect();
        client.send(format!("{head}Connection: close\r\n\r\n"));
        let _ = client.rest();
        let line = daemon.line();
        let (start, rest) = line.split_once(" - - [").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(start, "127.0.0.1");
        let (date, rest) = rest.split_once("] ").unwrap();
        assert!(rest.starts_with(expected), "{head:?}: {line}");
        let (_, time) = rest.rsplit_once(' ').unwrap();
        assert!(time.parse::<f64>().is_ok_and(|time| (0.0..60.0).contains(&time)), "the time taken: {line}");
        // "22/Nov/2026:23:00:00 +0000", by its minute.
        let minutes = [before, SystemTime::now()].map(|when| {
            let when = httpdate::fmt_http_date(when);
            format!("{}/{}/{}:{}:", &when[5..7], &when[8..11], &when[12..16], &when[17..22])
        });
        assert!(date.ends_with(" +0000") && minutes.iter().any(|minute| date.starts_with(minute)), "{line}");
    }
    // A large download counts the bytes that went out, one that is broken off those that did.
    fs::write(Path::new(&root).join("large"), pattern(3_000_000)).unwrap();
    assert_eq!(daemon.get("/large").body.len(), 3_000_000);
    assert!(daemon.line().contains("\"GET /large HTTP/1.1\" 200 3000000 "));
    let quiet = Daemon::start(&["-h", &root]);
    quiet.get("/file.txt");
    quiet.signal("TERM");
    assert_ne!(quiet.addr.port(), port);
    assert_eq!(quiet.rest(), [""; 0], "no log was asked for");
}

/// A daemon that is in the middle of a large download, and its client.
fn downloading(root: &str) -> (Daemon, Client) {
    fs::write(Path::new(root).join("large"), large()).unwrap();
    let daemon = Daemon::start(&["-h", root]);
    let mut client = daemon.connect();
    client.send(request("GET", "/large", &[], false));
    assert_eq!(client.read_exact(12), b"HTTP/1.1 200");
    (daemon, client)
}

/// More than the kernel's buffers take.
const LARGE: usize = 48 << 20;

fn large() -> Vec<u8> {
    pattern(1 << 20).repeat(LARGE >> 20)
}

#[test]
fn a_signal_stops_it_when_what_is_in_flight_is_done() {
    for signal in ["TERM", "INT"] {
        let (_temp, root) = site();
        let (mut daemon, mut client) = downloading(&root);
        let mut idle = daemon.connect();
        idle.send(request("GET", "/file.txt", &[], false));
        assert_eq!(idle.read_response().text(), "content");
        daemon.signal(signal);
        // It has understood once the idle connection goes, and accepts no more.
        idle.expect_close();
        assert!(TcpStream::connect(daemon.addr).is_err(), "{signal}: it still listens");
        assert!(daemon.child.try_wait().unwrap().is_none(), "{signal}: it did not wait");
        let (rest, end) = client.rest();
        assert!(rest.ends_with(&large()) && end == End::Eof, "{signal}: {} bytes, {end:?}", rest.len());
        let status = daemon.wait();
        assert!(status.success(), "{signal}: {status}");
    }
}

#[test]
fn a_second_signal_stops_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM")] {
        let (_temp, root) = site();
        let (mut daemon, mut client) = downloading(&root);
        let mut idle = daemon.connect();
        idle.send(request("GET", "/file.txt", &[], false));
        assert_eq!(idle.read_response().text(), "content");
        daemon.signal(first);
        idle.expect_close();
        assert!(daemon.child.try_wait().unwrap().is_none(), "{first}: it did not wait");
        daemon.signal(second);
        let status = daemon.wait();
        assert!(status.signal().is_none() && status.code().is_some(), "{first}, {second}: {status}");
        assert!(client.rest().0.len() < LARGE, "{first}, {second}: it waited for the client");
    }
}

/// Those that end a process unless it says else, though nobody who wants it to end sends them.
#[test]
fn stray_signals_do_not_stop_it() {
    let (_temp, root) = site();
    let daemon = Daemon::start(&["-h", &root]);
    for name in ["USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "XFSZ", "PIPE"] {
        daemon.signal(name);
        assert_eq!(daemon.get("/").status, 200, "after SIG{name}");
    }
}

#[test]
fn without_work_a_signal_stops_it() {
    let (_temp, root) = site();
    let daemon = Daemon::start(&["-h", &root]);
    // One that never sent anything would still be in the kernel's hands.
    let mut silent = daemon.connect();
    silent.send("GET /file.txt HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(silent.read_response().status, 200);
    daemon.signal("TERM");
    silent.expect_close();
    assert!(daemon.wait().success());
}

/// Names that would mean something in HTML or a URL, were they not escaped.
#[rustfmt::skip]
const HOSTILE: &[(&str, &str, &str)] = &[
    ("<script>alert(1)<", "&lt;script&gt;alert(1)&lt;", "./%3Cscript%3Ealert%281%29%3C"), ("a&b", "a&amp;b", "./a%26b"),
    ("\"><img src=x>", "&quot;&gt;&lt;img src=x&gt;", "./%22%3E%3Cimg%20src%3Dx%3E"), ("' onclick='x", "&#39; onclick=&#39;x", "./%27%20onclick%3D%27x"),
    ("javascript:alert(1)", "javascript:alert(1)", "./javascript%3Aalert%281%29"), ("a?b#c", "a?b#c", "./a%3Fb%23c"), ("100%", "100%", "./100%25"),
    ("ü", "ü", "./%C3%BC"), ("a b", "a b", "./a%20b"), ("&lt;", "&amp;lt;", "./%26lt%3B"),
];

#[test]
fn a_listing_is_safe_to_look_at() {
    let (_temp, root) = site();
    let folder = "<b>\"folder'&";
    let path = Path::new(&root).join(folder);
    fs::create_dir(&path).unwrap();
    for (name, ..) in HOSTILE {
        fs::write(path.join(name), "x").unwrap();
    }
    let daemon = Daemon::start(&["-h", &root]);
    let reply = daemon.get("/%3Cb%3E%22folder%27%26/?C=%22%3E%3Cscript%3E&O=%27");
    let page = reply.text();
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    for (name, shown, link) in HOSTILE {
        assert!(page.contains(&format!("<a href=\"{link}\">{shown}</a>")), "{name}: {page}");
    }
    assert!(page.contains("<title>Index of /&lt;b&gt;&quot;folder&#39;&amp;/</title>"), "{page}");
    // No tag but the page's own.
    let known = [
        "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "h1", "a", "table", "thead", "tbody", "tr", "th",
        "td", "time", "header", "form", "input",
    ];
    for piece in page.split('<').skip(1) {
        let tag = piece.trim_start_matches('/').split([' ', '>']).next().unwrap();
        assert!(known.contains(&tag), "<{piece}");
    }
    for wanted in ["name=\"viewport\"", "color-scheme", "light dark"] {
        assert!(page.contains(wanted), "no {wanted}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("https:"), "nothing from elsewhere");
}

/// lua-eco 5: a request line without an end took as much memory as the client cared to send.
#[test]
fn endless_heads_take_no_memory() {
    let (_temp, root) = site();
    if std::env::var_os("ECOHTTPD_RUNNER").is_some() {
        skip("the memory would be the emulator's");
        return;
    }
    let daemon = Daemon::start(&["-h", &root]);
    daemon.get("/file.txt");
    let before = peak_memory(&daemon);
    let long = vec![b'x'; 1 << 20];
    for start in ["GET /", "GET / HTTP/1.1\r\nHost: t\r\nA: ", "x"] {
        let mut clients: Vec<Client> = (0..20).map(|_| daemon.connect()).collect();
        for client in &mut clients {
            // The server may close before it took all.
            let _ = client.try_send(start).and_then(|()| client.try_send(&long));
        }
        for client in &mut clients {
            let (reply, _) = client.rest();
            assert!(reply.starts_with(b"HTTP/1.1 4"), "{start:?}: {:?}", reply.escape_ascii().to_string());
        }
    }
    let more = peak_memory(&daemon) - before;
    assert!(more < 4096, "{more} KiB more for 60 MiB of heads");
    assert_eq!(daemon.get("/file.txt").text(), "content");
}

/// The most memory that the daemon has held, in KiB.
fn peak_memory(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A terminal or pipe that goes away takes nothing with it but the log.
#[test]
fn nobody_need_listen_to_what_it_prints() {
    let (_temp, root) = site();
    let mut child = program()
        .args(["-f", "-h", &root, "--access-log", "-p", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    let addr = greeting.split("http://").nth(1).unwrap().trim().trim_end_matches('/').parse().unwrap();
    let mut client = Client::connect(addr);
    for _ in 0..5 {
        client.send(request("GET", "/file.txt", &[], false));
        assert_eq!(client.read_response().text(), "content");
    }
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();

    for option in ["--help", "--version"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program().arg(option).stdout(writer).output().unwrap();
        let stderr = text(&output.stderr);
        assert!(output.status.signal().is_none() && !stderr.contains("panicked"), "{option}: {stderr}");
    }
}
