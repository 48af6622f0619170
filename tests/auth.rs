//! Basic authentication as a hostile client meets it: which ways lead past a login, and what a guess costs.

mod common;
mod common_config;
mod common_files;

use common::{Client, PATIENCE, Response, skip};
use common_config::{Router, ask, ask_from, assert_silent, until};
use common_files::{Daemon, request};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// me:secret
const RIGHT: &str = "Authorization: Basic bWU6c2VjcmV0";
/// me:wrong
const WRONG: &str = "Authorization: Basic bWU6d3Jvbmc=";

/// A site with something to hide, its daemon by the command line.
fn site(conf: &str, args: &[&str]) -> (Router, Daemon) {
    let router = Router::new();
    router.write_secrets();
    router.write("httpd.conf", conf);
    let daemon = router.start_by(&[&["-c", "httpd.conf", "-r", "The \"R\\ealm"], args].concat());
    (router, daemon)
}

/// Asserts that a reply is the challenge, and tells nothing else.
#[track_caller]
fn assert_refused(reply: &Response, what: &str) {
    assert_eq!(reply.status, 401, "{what}: {reply:?}");
    assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"The \\\"R\\\\ealm\""), "{what}");
    assert_silent(reply, what);
}

#[test]
fn every_method_wants_the_login() {
    let (_router, daemon) = site("/secret:me:secret\n", &["--header", "X-Extra: x"]);
    let etag = ask(daemon.addr, "GET", "/secret/file.txt", &[RIGHT]).header("etag").unwrap().to_owned();
    for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "PROPFIND"] {
        for path in ["/secret/file.txt", "/secret/", "/secret", "/secret/missing", "/secret/sub%20dir"] {
            for fields in
                [&[][..], &[WRONG], &["Range: bytes=0-1"], &["If-None-Match: *"], &[&format!("If-Match: {etag}")]]
            {
                if fields == [WRONG] && (method, path) != ("POST", "/secret/") {
                    continue;
                }
                let reply = ask(daemon.addr, method, path, fields);
                assert_refused(&reply, &format!("{method} {path} {fields:?}"));
                assert_eq!(reply.body.is_empty(), method == "HEAD");
            }
        }
    }
    let reply = ask(daemon.addr, "GET", "/secret/file.txt", &[RIGHT]);
    assert_eq!((reply.text(), reply.header("x-extra")), ("HIDDEN", Some("x")));
    assert_eq!(ask(daemon.addr, "HEAD", "/secret/file.txt", &[RIGHT]).status, 200);
    assert_eq!(ask(daemon.addr, "GET", "/secret", &[RIGHT]).header("location"), Some("/secret/"));
    assert_eq!(ask(daemon.addr, "GET", "/secret/missing", &[RIGHT]).status, 404);
    // The server as a whole is no secret.
    assert_ne!(ask(daemon.addr, "OPTIONS", "*", &[]).status, 401);
}

/// The login counts for its own request: each one on a connection needs its own, and a body in between does no harm.
#[test]
fn each_request_of_a_connection_needs_its_login() {
    let (_router, daemon) = site("/secret:me:secret\n", &[]);
    let mut client = daemon.connect();
    for fields in [&[RIGHT][..], &[], &[RIGHT], &["Authorization: Bearer bWU6c2VjcmV0"], &["Authorization: Basic"]] {
        client.send(request("GET", "/secret/", fields, false));
        let reply = client.read_response();
        assert_eq!(reply.status, if fields == [RIGHT] { 200 } else { 401 }, "{fields:?}");
    }
    let body = "GET /secret/file.txt HTTP/1.1\r\n\r\n";
    client.send(format!("POST /secret/ HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.read_response().status, 401);
    client.send(request("GET", "/file.txt", &[], false));
    assert_eq!(client.read_response().text(), "content");
}

/// Paths that mean the secret folder, or seem to; and that mean another.
#[test]
fn no_spelling_slips_past() {
    let (_router, daemon) = site("/secret:me:secret\n/open/page.html:me:secret\n", &[]);
    for path in [
        "/secret",
        "/secret/",
        "//secret/file.txt",
        "/secret//file.txt",
        // On a case-insensitive file system it is the same file.
        "/Secret/file.txt",
        "/SECRET/FILE.TXT",
        "/%53ecret/file.txt",
        "/./secret/file.txt",
        "/secret/./file.txt",
        "/x/../secret/file.txt",
        "/secret/.",
        "/secret/..%2fsecret/file.txt",
        "/secret/sub%20dir/../file.txt",
        "/%73ecret/file.txt",
        "/secret%2ffile.txt",
        "/secret%2Ffile.txt",
        "/%2fsecret/file.txt",
        "/%2e/secret/file.txt",
        "/x/%2e%2e/secret/file.txt",
        "/secretary/..%2fsecret/file.txt",
        "/secret/file.txt?x=/../..",
        "/secret?",
        "/secret/file.txt.gz",
        "/open/../secret/",
        "http://t/secret/file.txt",
        "http://t//secret/file.txt",
        "http://other/%73ecret/",
        "/open/page.html",
        "/open/./page.html",
    ] {
        assert_refused(&ask(daemon.addr, "GET", path, &["Accept-Encoding: gzip"]), path);
    }
    for path in [
        "/secret%00/file.txt",
        "/secret%5cfile.txt",
        "\\secret\\file.txt",
        "/secret%",
        "/..;/secret/",
        "/secret;x/file.txt",
        "/../secret/file.txt",
        "/%252e/secret",
        "/secret%20/",
        "/.secret/",
        "/%c0%afsecret/",
        "/secret%0a/file.txt",
        "secret/file.txt",
        "/file.txt/../secret/x%00",
    ] {
        let mut client = daemon.connect();
        client.send(request("GET", path, &[], true));
        let (reply, _) = client.rest();
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.starts_with("HTTP/1.1 4") && !reply.contains("HIDDEN"), "{path}: {reply}");
    }
    // Boundaries are those of segments, unlike uhttpd's.
    for path in ["/secretary/x", "/open/", "/al/x"] {
        assert_ne!(ask(daemon.addr, "GET", path, &[]).status, 401, "{path}");
    }
}

#[test]
fn aliases_lead_to_no_secret() {
    let (router, daemon) =
        site("/secret:me:secret\n/guarded:me:secret\n", &["-y", "/al=/secret", "-y", "/guarded=/open"]);
    router.write("root/secret/al/x", "HIDDEN");
    router.write("root/open/guarded/x", "HIDDEN");
    for path in ["/al/x", "/al", "/%61l/x", "//al/x", "/guarded/x", "/open/../guarded/x", "/al/../al/x"] {
        assert_refused(&ask(daemon.addr, "GET", path, &[]), path);
    }
    assert_eq!(ask(daemon.addr, "GET", "/al/x", &[RIGHT]).text(), "HIDDEN");
    assert_eq!(ask(daemon.addr, "GET", "/guarded/x", &[RIGHT]).text(), "HIDDEN");
    assert_eq!(ask(daemon.addr, "GET", "/al/missing", &[]).status, 401);
}

/// What is served for a folder is a file of its own, whose login it wants: as in uhttpd, which looks at the path that it
/// has resolved.
#[test]
fn an_index_wants_its_own_login() {
    let (router, daemon) = site("/admin/index.html:me:secret\n/deep/secret:me:secret\n", &["-I", "secret/start.html"]);
    router.write("root/admin/index.html", "HIDDEN");
    router.write("root/deep/secret/start.html", "HIDDEN");
    for path in ["/admin/index.html", "/admin/", "/deep/secret/start.html", "/deep/"] {
        assert_refused(&ask(daemon.addr, "GET", path, &[]), path);
        assert_eq!(ask(daemon.addr, "GET", path, &[RIGHT]).text(), "HIDDEN", "{path}");
    }
    // LuCI's own way: `/` runs its script.
    let (router, daemon) = site("/cgi-bin:me:secret\n", &["-I", "cgi-bin/luci"]);
    router.write("root/cgi-bin/luci", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nHIDDEN'\n");
    fs::set_permissions(router.path("root/cgi-bin/luci"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_refused(&ask(daemon.addr, "GET", "/", &[]), "a script as the index");
}

/// An index and an error page that lie within are served by their folder's login.
#[test]
fn links_out_of_the_secret_are_the_owners() {
    let (router, daemon) = site("/secret:me:secret\n", &["-S"]);
    symlink("../file.txt", Path::new(&router.path("root/secret")).join("link")).unwrap();
    assert_refused(&ask(daemon.addr, "GET", "/secret/link", &[]), "a link within");
    assert_eq!(ask(daemon.addr, "GET", "/secret/link", &[RIGHT]).text(), "content");
}

/// The hashes are made by the program openssl; those forms are skipped where it is missing.
#[test]
fn passwords_in_all_their_forms() {
    let hash = |format: &str| {
        let output =
            std::process::Command::new("openssl").args(["passwd", format, "-salt", "saltsalt", "secret"]).output();
        output.ok().filter(|output| output.status.success()).map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let mut passes = vec![("plain".to_owned(), "secret".to_owned())];
    for (name, format) in [("md5", "-1"), ("sha256", "-5"), ("sha512", "-6")] {
        match hash(format) {
            Some(hash) => passes.push((name.to_owned(), hash.trim_end().to_owned())),
            None => skip(&format!("in part: no openssl passwd {format}")),
        }
    }
    let router = Router::new();
    for (name, pass) in &passes {
        // The same by both ways of configuration.
        router.write("httpd.conf", format!("/file.txt:me:{pass}\n"));
        router.section(&format!(
            " list httpauth a\nconfig httpauth a\n option prefix /file.txt\n option username me\n option password '{pass}'"
        ));
        for daemon in [router.start_by(&["-c", "httpd.conf"]), router.start(1)] {
            let status = |field: &str| ask(daemon.addr, "GET", "/file.txt", &[field]).status;
            assert_eq!(status("X: y"), 401, "{name}");
            assert_eq!(status(RIGHT), 200, "{name}");
            assert_eq!(status(WRONG), 401, "{name}");
            assert_eq!(status("authorization: bAsIc bWU6c2VjcmV0"), 200, "{name}: the scheme in any case");
            // The stored text is no password.
            let stored = format!("Authorization: Basic {}", base64(format!("me:{pass}").as_bytes()));
            assert_eq!(status(&stored) == 200, name == "plain", "{name}: the stored text");
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: u32, n: usize| char::from(DIGITS[(group >> (18 - 6 * n) & 63) as usize]);
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let group = three.iter().enumerate().fold(0, |sum, (n, byte)| sum | u32::from(*byte) << (16 - 8 * n));
        (0..4).for_each(|n| out.push(if n <= three.len() { digit(group, n) } else { '=' }));
    }
    out
}

/// A guess, each another one.
fn guess(n: usize) -> String {
    format!("Authorization: Basic {}", base64(format!("me:wrong{n}").as_bytes()))
}

/// Guesses of an address are answered one a second; a login that is right is let in.
#[test]
fn a_guesser_waits_and_nobody_is_kept_out() {
    let (router, daemon) = site("/secret:me:secret\n", &["--header", "X-Extra: x"]);
    let addr = daemon.addr;
    let get = |field: &str| ask(addr, "GET", "/secret/file.txt", &[field]);
    (0..3).for_each(|n| assert_eq!(get(&guess(n)).status, 401));
    // More than may wait: the oldest of them is told to come again.
    let (sender, answers) = std::sync::mpsc::channel();
    let slowed = std::thread::scope(|scope| {
        for n in 3..23 {
            let (sender, mut client) = (sender.clone(), Client::connect(addr));
            scope.spawn(move || {
                client.send(request("GET", "/secret/file.txt", &[&guess(n)], true));
                // Those that still wait at the end are cut.
                client.try_response(false).map(|reply| sender.send(reply))
            });
        }
        // The owner at the same address; and a neighbour.
        assert_eq!(get(RIGHT).text(), "HIDDEN");
        let neighbour = Ipv4Addr::new(127, 0, 0, 2);
        assert_eq!(ask_from(neighbour, addr, "/secret/file.txt", RIGHT).text(), "HIDDEN");
        assert_eq!(ask_from(neighbour, addr, "/secret/file.txt", WRONG).status, 401);
        // A login that was right is at once from then on; who asks without one is asked for it; what is open is open.
        assert_eq!(get(RIGHT).text(), "HIDDEN");
        assert_eq!(get("X: y").status, 401);
        assert_eq!(ask(addr, "GET", "/file.txt", &[WRONG]).text(), "content");
        // What was wrong before is no guess.
        assert_eq!(get(&guess(0)).status, 401);
        let mut replies = std::iter::from_fn(|| answers.recv_timeout(PATIENCE).ok());
        let slowed = replies.find(|reply| {
            assert!(matches!(reply.status, 401 | 429), "{reply:?}");
            reply.status == 429
        });
        daemon.signal("TERM");
        daemon.signal("TERM");
        slowed.expect("one of too many")
    });
    let wait: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(slowed.header("x-extra"), None);
    assert!(slowed.header("www-authenticate").is_none() && !slowed.text().contains("HIDDEN"));

    let log = router.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("login as")).collect();
    let from =
        |ip: &str| lines.iter().filter(|line| line.contains(&format!("{ip}: login as \"me\" to /secret"))).count();
    assert!((3..=15).contains(&from("127.0.0.1")) && from("127.0.0.2") == 1, "{log}");
    assert!(!log.contains("wrong") && !log.contains("bWU6"), "no password in the log: {log}");
}

#[test]
fn a_hostile_name_is_one_line_of_the_log() {
    let (router, daemon) = site("/secret:me:secret\n", &[]);
    let quotes = "\" to / succeeded \u{202e}\u{fffd}".repeat(5);
    for name in ["x\nlogin as root succeeded\u{1b}[2J", &"x".repeat(3000), &quotes] {
        let field = format!("Authorization: Basic {}", base64(format!("{name}:p").as_bytes()));
        assert_eq!(ask(daemon.addr, "GET", "/secret/", &[&field]).status, 401);
    }
    until("the last is logged", || router.log().contains("login as \"\\\" to /"));
    let log = router.log();
    let controls = log.chars().filter(|c| c.is_control()).count();
    assert!(
        controls <= 3 && log.lines().all(|line| line.len() < 300 && line.contains("127.0.0.1: login as \"")),
        "{log:?}"
    );
}

/// A new password counts from the reload on, on connections that stand, too; an old one that was remembered does not.
#[test]
fn a_password_changes_with_the_reload() {
    let (router, daemon) = site("/secret:me:$1$saltsalt$vfydDpG4Xrf/rlhwtC9Hl0\n", &[]);
    let hash = router.output(&["-m", "secret"]).stdout;
    router.write("httpd.conf", [b"/secret:me:".as_slice(), &hash].concat());
    router.reload(&daemon);
    let mut client = daemon.connect();
    let mut get = |field| {
        client.send(request("GET", "/secret/", &[field], false));
        client.read_response().status
    };
    assert_eq!(get(RIGHT), 200);
    router.write("httpd.conf", "/secret:me:other\n");
    router.reload(&daemon);
    assert_eq!(get(RIGHT), 401);
    // me:other
    assert_eq!(get("Authorization: Basic bWU6b3RoZXI="), 200);
    // Without its file, what it protects would be open: the old one stays.
    fs::remove_file(router.path("httpd.conf")).unwrap();
    assert!(router.reload(&daemon).contains("httpd.conf"));
    assert_eq!(get("X: y"), 401);
}

/// Who gave up root's rights reads no passwords of the system any more: no login may be shut out by that.
#[test]
fn a_reload_that_cannot_read_the_passwords_changes_nothing() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 || !fs::metadata("/etc/shadow").is_ok_and(|f| f.mode() & 4 == 0) {
        skip("not root, or passwords that all may read");
        return;
    }
    let (router, daemon) = site("/open:me:$p$root\n/secret:me:secret\n", &["--user", "nobody"]);
    router.write("httpd.conf", "/open:me:$p$root\n/secret:me:other\n");
    let line = router.reload(&daemon);
    assert!(line.contains("keeping the old configuration") && line.contains("/etc/shadow"), "{line}");
    assert_eq!(ask(daemon.addr, "GET", "/secret/", &[RIGHT]).status, 200);
    router.write("httpd.conf", "/secret:me:other\n");
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(ask(daemon.addr, "GET", "/secret/", &[RIGHT]).status, 401);
}

/// The error page is for all, wherever it lies; it tells nothing of what was asked for.
#[test]
fn the_error_page_needs_no_login_and_gives_none() {
    let (router, daemon) = site("/secret:me:secret\n", &["-E", "/open/page.html"]);
    assert_refused(&ask(daemon.addr, "GET", "/secret/missing", &[]), "missing");
    let reply = ask(daemon.addr, "GET", "/secret/missing", &[RIGHT]);
    assert_eq!((reply.status, reply.text()), (404, "plain"));
    drop(router);
}

/// A line for `/` protects all, and one below it has its own accounts.
#[test]
fn the_longest_path_decides() {
    let (_router, daemon) = site("/:root:r\n/secret:me:secret\n/open:me:\n", &[]);
    // root:r
    let root = "Authorization: Basic cm9vdDpy";
    for (path, field, status) in [
        ("/file.txt", root, 200),
        ("/", "X: y", 401),
        ("/file.txt", RIGHT, 401),
        ("/secret/", RIGHT, 200),
        ("/secret/", root, 401),
        ("/open/page.html", "X: y", 401),
    ] {
        assert_eq!(ask(daemon.addr, "GET", path, &[field]).status, status, "{path} {field}");
    }
}

/// A place with two names is protected by the closer realm of the two, whichever name is used.
#[test]
fn an_alias_does_not_widen_a_realm() {
    let (router, daemon) = site("/:guest:g\n/adm:me:secret\n", &["-y", "/adm=/dir"]);
    router.write("root/dir/adm/x", "HIDDEN");
    // "guest:g"
    let guest = "Authorization: Basic Z3Vlc3Q6Zw==";
    assert_refused(&ask(daemon.addr, "GET", "/adm/x", &[guest]), "of the wider realm");
    assert_eq!(ask(daemon.addr, "GET", "/adm/x", &[RIGHT]).text(), "HIDDEN");
    assert_eq!(ask(daemon.addr, "GET", "/dir/adm/x", &[guest]).text(), "HIDDEN", "its own name is the guest's");
}

/// What was compressed of a script is no more to be seen than the script.
#[test]
fn compressed_scripts_are_not_sent() {
    let (router, daemon) = site("/none:a:b\n", &["-i", ".sh=/bin/sh"]);
    router.write("root/x.sh.gz", "source");
    assert_eq!(ask(daemon.addr, "GET", "/x.sh", &["Accept-Encoding: gzip"]).status, 404);
}
