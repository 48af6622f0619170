//! Golden replies: what uhttpd's users get, with the differences that are on purpose.

mod common;
mod common_config;
mod common_files;

use common::{Client, PATIENCE, skip};
use common_config::{Router, ask, holds, until};
use common_files::{request, set_mtime};
use std::fs::{self, Permissions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

fn site() -> Router {
    let router = Router::new();
    for (name, content) in [
        ("dir/file.txt", "in dir"),
        ("dir/a+b", "plus"),
        ("own/start.htm", "start"),
        ("own/index.html", "index"),
        ("std/default.htm", "default"),
        ("missing.html", "the page"),
        ("private", "private"),
        ("sub/al/x", "aliased"),
        ("sub/al/deep/index.html", "deep"),
        ("cgi-bin/cg/x", "of the prefix"),
        ("x.css", "plain css"),
        ("x.css.gz", "packed css"),
    ] {
        router.write(&format!("root/{name}"), content);
    }
    fs::set_permissions(router.path("root/private"), Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(router.path("root/closed")).unwrap();
    router.write("root/closed/x", "closed");
    fs::set_permissions(router.path("root/closed"), Permissions::from_mode(0o750)).unwrap();
    set_mtime(Path::new(&router.path("root/index.html")), 1_000_000_000);
    router
}

/// Method, target and fields; the status, some of the fields ("-" for none of them), and the body of the answer.
type Golden =
    (&'static str, &'static str, &'static [&'static str], u16, &'static [(&'static str, &'static str)], &'static str);

const DATE: &str = "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT";
const LATER: &str = "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT";
const ALLOW: (&str, &str) = ("allow", "GET, HEAD, OPTIONS");
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

#[rustfmt::skip]
const GOLDEN: &[Golden] = &[
    ("GET", "/", &[], 200, &[HTML, ("content-length", "4"), ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"), ("transfer-encoding", "-")], "home"),
    ("HEAD", "/", &[], 200, &[HTML, ("content-length", "4")], ""),
    ("GET", "/index.html?a=b", &[], 200, &[], "home"),
    ("GET", "/%69ndex.html", &[], 200, &[], "home"),
    ("GET", "/dir/a+b", &[], 200, &[("content-type", "application/octet-stream")], "plus"),
    ("GET", "/dir/a%20b", &[], 404, &[], "<h1>Not Found</h1>The requested URL /dir/a%20b was not found on this server."),
    ("GET", "//dir/./x/../file.txt", &[], 200, &[("content-type", "text/plain; charset=utf-8")], "in dir"),
    // uhttpd: 302.
    ("GET", "/dir?a=b", &[], 301, &[("location", "/dir/?a=b"), ("content-length", "0")], ""),
    ("GET", "/own/", &[], 200, &[], "index"),
    ("GET", "/std/", &[], 200, &[], "default"),
    // uhttpd: the file, whatever follows its name.
    ("GET", "/index.html/extra", &[], 404, &[HTML], "<h1>Not Found</h1>The requested URL /index.html/extra was not found on this server."),
    ("GET", "/dir/none/x", &[], 404, &[], "<h1>Not Found</h1>The requested URL /dir/none/x was not found on this server."),
    // uhttpd: with the query.
    ("GET", "/<b>'\"&?<i>", &[], 404, &[HTML], "<h1>Not Found</h1>The requested URL /&lt;b&gt;&#39;&quot;&amp; was not found on this server."),
    ("GET", "/private", &[], 403, &[HTML], "<h1>Forbidden</h1>You don't have permission to access /private on this server."),
    ("GET", "/closed/", &[], 403, &[], "<h1>Forbidden</h1>You don't have permission to access /closed/ on this server."),
    // uhttpd: 404 for both.
    ("GET", "/../etc/passwd", &[], 403, &[], "<h1>Forbidden</h1>You don't have permission to access /../etc/passwd on this server."),
    ("GET", "/%zz", &[], 400, &[], "400 Bad Request: bad percent-encoding in the request target\n"),
    // uhttpd: cut at the NUL.
    ("GET", "/index.html%00x", &[], 400, &[], "400 Bad Request: NUL in the path\n"),
    // uhttpd: the file.
    ("POST", "/index.html", &[], 405, &[ALLOW], "<h1>Method Not Allowed</h1>"),
    ("OPTIONS", "/index.html", &[], 204, &[ALLOW], ""),
    ("OPTIONS", "/dir/", &[], 204, &[ALLOW], ""),
    ("OPTIONS", "/missing", &[], 204, &[ALLOW], ""),
    ("OPTIONS", "/cgi-bin/missing", &[], 204, &[ALLOW], ""),
    ("PUT", "/index.html", &[], 405, &[ALLOW], "<h1>Method Not Allowed</h1>"),
    ("DELETE", "/missing", &[], 405, &[ALLOW], "<h1>Method Not Allowed</h1>"),
    ("PROPFIND", "/", &[], 501, &[("allow", "-")], "<h1>Not Implemented</h1>"),
    ("GET", "/", &[DATE], 304, &[("content-length", "-")], ""),
    ("GET", "/", &[DATE, "If-None-Match: \"x\""], 200, &[], "home"),
    ("GET", "/", &["If-None-Match: *"], 304, &[], ""),
    ("GET", "/", &["If-Match: \"x\""], 412, &[], ""),
    ("GET", "/", &["If-Match: *"], 200, &[], "home"),
    ("GET", "/", &[LATER], 412, &[], ""),
    // uhttpd: 412 for any If-Range, and no ranges at all.
    ("GET", "/", &["If-Range: \"x\"", "Range: bytes=0-1"], 200, &[], "home"),
    ("GET", "/", &["Range: bytes=1-2"], 206, &[("content-range", "bytes 1-2/4")], "om"),
    ("GET", "/", &["Range: bytes=9-"], 416, &[("content-range", "bytes */4")], ""),
    // uhttpd: 412.
    ("GET", "/", &["Expect: miracles"], 417, &[], "417 Expectation Failed: unknown expectation\n"),
    ("GET", "/", &["User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) Version/17 Safari/605"], 200, &[], "home"),
    // uhttpd: the large one, always.
    ("GET", "/x.css", &["Accept-Encoding: gzip"], 200, &[("content-encoding", "gzip"), ("content-type", "text/css; charset=utf-8"), ("vary", "Accept-Encoding")], "packed css"),
    ("GET", "/x.css", &["Accept-Encoding: br"], 200, &[("content-encoding", "-")], "plain css"),
    ("GET", "/x.css", &["Accept-Encoding: gzip;q=0"], 200, &[("content-encoding", "-")], "plain css"),
];

#[test]
fn golden_replies() {
    let router = site();
    let daemon = router.start_by(&[]);
    for (method, target, fields, status, expected, body) in GOLDEN {
        let what = format!("{method} {target} {fields:?}");
        let reply = ask(daemon.addr, method, target, fields);
        assert_eq!((reply.status, reply.text()), (*status, *body), "{what}");
        for (name, value) in *expected {
            assert_eq!(reply.header(name), Some(*value).filter(|value| *value != "-"), "{what}: {name}");
        }
        assert_eq!(reply.header("server"), Some("ecohttpd"), "{what}");
        assert_eq!(reply.header("etag").is_some(), reply.header("last-modified").is_some(), "{what}");
    }
    // Every one of them on one connection, Safari's too, which uhttpd closes each time; but for requests that are wrong.
    let mut client = daemon.connect();
    for (method, target, fields, status, ..) in GOLDEN.iter().filter(|golden| golden.3 != 400) {
        client.send(request(method, target, fields, false));
        let reply = if *method == "HEAD" { client.read_head_response() } else { client.read_response() };
        assert_eq!((reply.status, reply.closes()), (*status, false), "{method} {target} {fields:?}");
    }
    // A client that half-closes gets its answer.
    let mut client = daemon.connect();
    client.send(request("GET", "/dir/file.txt", &[], false));
    client.half_close();
    assert_eq!(client.read_response().text(), "in dir");
    client.expect_close();
}

#[test]
fn types_are_uhttpds_and_more() {
    let router = site();
    #[rustfmt::skip]
    let types = [
        ("a.htm", "text/html; charset=utf-8"), ("a.JS", "text/javascript; charset=utf-8"), ("a.json", "application/json"), ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"), ("a.jpeg", "image/jpeg"), ("a.pdf", "application/pdf"), ("a.zip", "application/zip"), ("a.mp4", "video/mp4"), ("a", "application/octet-stream"),
        ("a.ico", "image/x-icon"), ("a.woff2", "font/woff2"), ("a.wasm", "application/wasm"), ("a.webp", "image/webp"), ("a.mjs", "text/javascript; charset=utf-8"),
    ];
    let daemon = router.start_by(&[]);
    for (name, kind) in types {
        router.write(&format!("root/types/{name}"), "x");
        let reply = ask(daemon.addr, "GET", &format!("/types/{name}"), &[]);
        assert_eq!(reply.header("content-type"), Some(kind), "{name}");
    }
}

#[test]
fn files_that_not_all_may_read() {
    let router = site();
    let daemon = router.start_by(&["--private-files"]);
    if fs::read(router.path("root/private")).is_ok() {
        assert_eq!(ask(daemon.addr, "GET", "/private", &[]).text(), "private");
        assert_eq!(ask(daemon.addr, "GET", "/closed/x", &[]).text(), "closed");
    }
    let listing = |daemon: &common_files::Daemon| ask(daemon.addr, "GET", "/bare/", &[]).text().to_owned();
    for name in ["root/bare/shown", "root/bare/.dot", "root/bare/hidden"] {
        router.write(name, "x");
    }
    fs::set_permissions(router.path("root/bare/hidden"), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(router.path("root/bare"), Permissions::from_mode(0o755)).unwrap();
    assert!(listing(&daemon).contains("\"./hidden\""));
    let daemon = router.start_by(&[]);
    let page = listing(&daemon);
    assert!(page.contains("\"./shown\"") && page.contains("\"./.dot\"") && !page.contains("\"./hidden\""), "{page}");
    // Each of a precompressed pair is judged by itself.
    fs::set_permissions(router.path("root/x.css.gz"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ask(daemon.addr, "GET", "/x.css", &["Accept-Encoding: gzip"]).text(), "plain css");
    assert_eq!(ask(daemon.addr, "GET", "/x.css.gz", &[]).status, 403);
}

/// A folder that others may not enter hides everything below it, even files that they may read.
#[test]
fn folders_that_not_all_may_enter() {
    let router = Router::new();
    router.write("root/a/b/file", "deep");
    router.write("root/a/b/large", vec![b'x'; 40_000]);
    router.write("root/a/index.html", "index");
    router.write("root/list/file", "x");
    let daemon = router.start_by(&["-i", ".sh=/bin/sh"]);
    let get = |target: &str| ask(daemon.addr, "GET", target, &[]).status;
    let set = |name: &str, mode| fs::set_permissions(router.path(name), Permissions::from_mode(mode)).unwrap();
    let targets = ["/a/b/file", "/a/b/large", "/a/", "/a/b/"];
    for (folder, mode, expected) in [
        ("root/a", 0o755, [200; 4]),
        // What is kept is known to be closed within a second.
        ("root/a", 0o700, [403; 4]),
        ("root/a", 0o711, [200; 4]),
        ("root/a/b", 0o700, [403, 403, 200, 403]),
        ("root/a/b", 0o711, [200, 200, 200, 403]),
        ("root/a/b", 0o755, [200; 4]),
    ] {
        set(folder, mode);
        let mut got = Vec::new();
        let what = format!("{folder} {mode:o}");
        until(&what, || {
            got = targets.iter().map(|target| get(target)).collect::<Vec<_>>();
            got == expected
        });
    }
    // The folder that is served was named by the operator.
    set("root", 0o700);
    assert_eq!(get("/a/b/file"), 200);
    // A listing that GET is refused is refused to HEAD.
    for mode in [0o755, 0o711] {
        set("root/list", mode);
        let [get, head] = ["GET", "HEAD"].map(|method| ask(daemon.addr, method, "/list/", &[]).status);
        assert_eq!((get, head), if mode == 0o755 { (200, 200) } else { (403, 403) }, "{mode:o}");
    }
    let daemon = router.start_by(&["--private-files"]);
    set("root/a", 0o700);
    assert_eq!(ask(daemon.addr, "GET", "/a/b/file", &[]).status, 200, "all that it may read itself");
}

/// The server's own files are nobody's, and an operator who put them there is told.
#[test]
fn its_own_secrets_are_served_to_nobody() {
    let router = Router::new();
    router.write("root/conf", "/sub:me:secret\n");
    router.section(" option config @root/conf\n");
    fs::rename(router.path("uhttpd"), router.path("root/uhttpd")).unwrap();
    let file = router.path("root/uhttpd");
    let daemon = common_files::Daemon::run(
        router.command(&["-f", "--config", &file]).stderr(fs::File::create(router.path("log")).unwrap()),
        1,
    );
    for name in ["conf", "uhttpd"] {
        assert_eq!(ask(daemon.addr, "GET", &format!("/{name}"), &[]).status, 403, "{name}");
        let log = router.log();
        let line = log.lines().find(|line| line.contains("main.home") && line.contains(&format!("root/{name} ")));
        assert!(line.is_some_and(|line| line.contains("move it")), "{name}: {log}");
    }
    assert_eq!(ask(daemon.addr, "GET", "/file.txt", &[]).status, 200);
}

#[test]
fn aliases_keep_the_old_path() {
    let router = site();
    let daemon = router.start_by(&["-y", "/al=/sub", "-y", "/cg", "-y", "/al/deep=/never", "-y", "/loop=/loop"]);
    router.write("root/loop/loop/x", "once");
    for (target, status, body) in [
        ("/al/x", 200, "aliased"),
        ("/al//./x?q", 200, "aliased"),
        ("/%61l/x", 200, "aliased"),
        ("/al/deep/", 200, "deep"),
        ("/alx", 404, "<h1>Not Found</h1>The requested URL /alx was not found on this server."),
        // By what was asked for, not by what it became as in uhttpd.
        ("/al/none", 404, "<h1>Not Found</h1>The requested URL /al/none was not found on this server."),
        ("/loop/x", 200, "once"),
        ("/al/../../x", 403, "<h1>Forbidden</h1>You don't have permission to access /al/../../x on this server."),
    ] {
        let reply = ask(daemon.addr, "GET", target, &[]);
        assert_eq!((reply.status, reply.text()), (status, body), "{target}");
    }
    // As by uhttpd, a folder's slash form is that of the new path.
    let reply = ask(daemon.addr, "GET", "/al/deep?q", &[]);
    assert_eq!((reply.status, reply.header("location")), (301, Some("/sub/al/deep/?q")));
}

#[test]
fn the_error_page_has_the_errors_status() {
    let router = site();
    let daemon = router.start_by(&["-E", "/missing.html", "-D"]);
    for (method, target, status) in [
        ("GET", "/none", 404),
        ("GET", "/private", 403),
        ("GET", "/dir/", 403),
        ("HEAD", "/none", 404),
        ("GET", "/..", 403),
    ] {
        let fields = ["If-None-Match: *", "Range: bytes=0-1", "Accept-Encoding: gzip"];
        let reply = ask(daemon.addr, method, target, &fields);
        assert_eq!(reply.status, status, "{method} {target}");
        assert_eq!(reply.text(), if method == "HEAD" { "" } else { "the page" }, "{method} {target}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(ask(daemon.addr, "POST", "/none", &[]).status, 405);
    let daemon = router.start_by(&["-E", "/no/such.html"]);
    let reply = ask(daemon.addr, "GET", "/none", &[]);
    assert_eq!(
        (reply.status, reply.text()),
        (404, "<h1>Not Found</h1>The requested URL /none was not found on this server.")
    );
}

#[test]
fn indexes_links_and_listings() {
    let router = site();
    router.write("outside", "outside");
    symlink("../outside", router.path("root/out")).unwrap();
    symlink("dir/file.txt", router.path("root/in")).unwrap();
    fs::write(Path::new(&router.path("root/dir")).join(std::ffi::OsStr::new("caf\u{e9}")), "x").unwrap();
    let plain = router.start_by(&[]);
    let strict = router.start_by(&["-S", "-D", "-I", "start.htm", "-I", "sub/al/x"]);
    let listed = router.start_by(&["-b", "KOI8-R"]);
    for (daemon, target, status, body) in [
        (&plain, "/out", 200, Some("outside")),
        (&strict, "/out", 403, None),
        (&strict, "/in", 200, Some("in dir")),
        (&plain, "/own/", 200, Some("index")),
        (&strict, "/own/", 200, Some("start")),
        (&strict, "/", 200, Some("aliased")),
        (&strict, "/dir/", 403, None),
        (&plain, "/dir/", 200, None),
    ] {
        let reply = ask(daemon.addr, "GET", target, &[]);
        assert_eq!(reply.status, status, "{target}");
        assert!(body.is_none_or(|body| body == reply.text()), "{target}");
    }
    let reply = ask(listed.addr, "GET", "/dir/", &[]);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=koi8-r"));
    assert!(reply.text().contains("<meta charset=\"koi8-r\">"));
    assert!(ask(plain.addr, "GET", "/dir/", &[]).text().contains("<title>Index of /dir/</title>"));
}

#[test]
fn extra_fields_by_prefix() {
    let router = site();
    router.section(
        " list header 'X-All: a'\n list header '/dir X-Dir: b'\n list header '/dir Cache-Control: max-age=5, public'\n\
         list header '/file.txt X-File: it is'\n option error_page /missing.html\n list header '/new/ X-New: n'",
    );
    let daemon = router.start(1);
    router.write("root/new/x", "x");
    let fields = |target: &str, fields: &[&str]| {
        let reply = ask(daemon.addr, "GET", target, fields);
        let names = ["x-all", "x-dir", "cache-control", "x-file", "x-new"];
        (reply.status, names.map(|name| reply.header(name).unwrap_or_default().to_owned()).join("|"))
    };
    for (target, extra, status, expected) in [
        ("/", &[][..], 200, "a||||"),
        ("/dir/", &[], 200, "a|b|max-age=5, public||"),
        ("/dir", &[], 301, "a|b|max-age=5, public||"),
        ("/dir/file.txt", &["If-None-Match: *"], 304, "a|b|max-age=5, public||"),
        ("/dir/file.txt", &["Range: bytes=0-0"], 206, "a|b|max-age=5, public||"),
        ("/directory", &[], 404, "||||"),
        ("/%64ir//file.txt", &[], 200, "a|b|max-age=5, public||"),
        ("/x/../dir/file.txt", &[], 200, "a|b|max-age=5, public||"),
        ("/file.txt", &[], 200, "a|||it is|"),
        ("/new/x", &[], 200, "a||||n"),
        ("/dir/none", &[], 404, "||||"),
        ("/private", &[], 403, "||||"),
    ] {
        assert_eq!(fields(target, extra), (status, expected.to_owned()), "{target} {extra:?}");
    }
    assert_eq!(ask(daemon.addr, "POST", "/", &[]).header("x-all"), None);
}

#[test]
fn errors_of_preconditions_have_no_extra_fields() {
    let router = site();
    let daemon = router.start_by(&["--header", "X-All: a"]);
    for (field, status) in [("If-Match: \"x\"", 412), ("Range: bytes=9-", 416)] {
        let reply = ask(daemon.addr, "GET", "/", &[field]);
        assert_eq!((reply.status, reply.header("x-all")), (status, None));
    }
}

/// Fields that the server makes are not made twice.
#[test]
fn extra_fields_are_not_the_servers_own() {
    let router = site();
    #[rustfmt::skip]
    let own = ["Content-Type: a/b", "ETag: \"x\"", "last-modified: x", "Content-Encoding: gzip", "Content-Range: x", "Accept-Ranges: none", "Location: /x", "Date: x",
        "Content-Length: 1", "Transfer-Encoding: chunked", "Connection: close", "Keep-Alive: x"];
    for field in own {
        let output = router.output(&["--header", field, "--test"]);
        assert_eq!(output.status.code(), Some(1), "{field}");
        common_config::one_line(
            &String::from_utf8(output.stderr).unwrap(),
            &["--header", "NAME: VALUE", "not a field that the server sets itself"],
        );
    }
}

#[test]
fn the_server_need_not_tell_its_name() {
    let router = site();
    let daemon = router.start_by(&["--no-server-header"]);
    for target in ["/", "/none", "/%zz", "/dir", "/dir/"] {
        let mut client = daemon.connect();
        client.send(request("GET", target, &[], true));
        let reply = String::from_utf8(client.rest().0).unwrap().to_ascii_lowercase();
        let head = reply.split("\r\n\r\n").next().unwrap();
        assert!(head.contains("\r\ndate: ") && !head.contains("ecohttpd") && !head.contains("\r\nserver:"), "{reply}");
    }
}

#[test]
fn the_access_log_has_a_line_for_all() {
    let router = site();
    router.write("httpd.conf", "/dir:u:p\n");
    router.section(&format!(" option access_log {}\n option config httpd.conf", router.path("access")));
    let daemon = router.start(1);
    for (target, logged) in
        [("/", "\"GET / HTTP/1.1\" 200 4 "), ("/none", " 404 "), ("/dir/", " 401 "), ("/private", " 403 ")]
    {
        ask(daemon.addr, "GET", target, &[]);
        until("it is logged", || holds(router.path("access"), logged));
    }
    assert_eq!(fs::read_to_string(router.path("access")).unwrap().lines().count(), 4);
    assert_eq!(fs::metadata(router.path("access")).unwrap().permissions().mode() & 0o007, 0, "not for everybody");
}

#[cfg(feature = "tls")]
#[test]
fn plain_clients_are_sent_to_https() {
    let router = site();
    router.write("root/.well-known/acme-challenge/token", "proof");
    router.section(&format!(
        " list listen_https 127.0.0.1:0\n option cert {}\n option key {}\n option redirect_https 1",
        router.path("c"),
        router.path("k")
    ));
    let daemon = router.start(1);
    let line = daemon.line();
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap();
    let send = |text: &str| {
        let mut client = daemon.connect();
        client.send(text);
        client.read_response()
    };
    for (host, target, location) in [
        ("a.lan", "/x?y=z", format!("https://a.lan:{port}/x?y=z")),
        ("a.lan:8080", "/%2e%2e/", format!("https://a.lan:{port}/%2e%2e/")),
        ("[2001:db8::1]:80", "/", format!("https://[2001:db8::1]:{port}/")),
        ("a", "/.well-known/acme-challenge/../x", format!("https://a:{port}/.well-known/acme-challenge/../x")),
    ] {
        for method in ["GET", "POST", "HEAD"] {
            let reply = send(&format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
            assert_eq!(
                (reply.status, reply.header("location")),
                (307, Some(location.as_str())),
                "{method} {host} {target}"
            );
        }
    }
    // uhttpd: sent to HTTPS, too, where a renewal fails whose certificate has expired.
    assert_eq!(ask(daemon.addr, "GET", "/.well-known/acme-challenge/token", &[]).text(), "proof");
    let nameless = send("GET / HTTP/1.0\r\n\r\n");
    let location = format!("https://127.0.0.1:{port}/");
    assert_eq!((nameless.status, nameless.header("location")), (307, Some(location.as_str())), "the address asked");
    for evil in ["a.lan/../b", "a b", "a\u{0}", "a@b"] {
        let reply = send(&format!("GET / HTTP/1.1\r\nHost: {evil}\r\nConnection: close\r\n\r\n"));
        assert_eq!(reply.status, 400, "{evil:?}");
    }
}

/// Set in the process that runs in a network of its own.
const INSIDE: &str = "ECOHTTPD_TEST_INSIDE";

/// A page of the Internet whose name leads to the router's public address reaches no client within: IPv6, too.
/// Needs the programs unshare and ip, and root's rights; is skipped without.
#[test]
fn the_rebinding_filter() {
    const NAME: &str = "the_rebinding_filter";
    if std::env::var_os(INSIDE).is_none() {
        let able = Command::new("unshare").args(["-n", "ip", "link", "set", "lo", "up"]).output();
        if !able.is_ok_and(|output| output.status.success()) {
            skip("no network namespace to be had by unshare and ip");
            return;
        }
        let own = std::env::current_exe().unwrap();
        let output =
            Command::new("unshare").arg("-n").arg(own).args(["--exact", NAME]).env(INSIDE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let ip = |args: &str| assert!(Command::new("ip").args(args.split(' ')).status().unwrap().success(), "ip {args}");
    ip("link set lo up");
    for addr in
        ["10.1.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "9.9.9.9", "8.8.4.4", "100.128.0.1"]
    {
        ip(&format!("addr add {addr}/32 dev lo"));
    }
    let v6 = Path::new("/proc/sys/net/ipv6").exists();
    for addr in ["fd00::1", "fd00::2", "2001:db8::1", "2001:db8::2", "fe80::1"].iter().filter(|_| v6) {
        ip(&format!("-6 addr add {addr}/128 dev lo nodad"));
    }
    let router = site();
    let filtered = router.start_by(&["-R", "-p", "0.0.0.0:0", "-p", "[::]:0"]);
    let open = router.start_by(&["-p", "0.0.0.0:0"]);
    // One for 127.0.0.1 comes first.
    let ports: Vec<u16> = filtered.greeting.iter().map(|_| 0).chain((0..2).map(|_| port(&filtered.line()))).collect();
    let [_, v4_port, v6_port] = ports[..] else { panic!("{ports:?}") };
    let open_port = port(&open.line());
    for (client, server, verdict) in [
        ("10.1.0.1", "9.9.9.9", 403),
        ("172.16.0.1", "9.9.9.9", 403),
        ("192.168.1.1", "9.9.9.9", 403),
        ("100.64.0.1", "9.9.9.9", 403),
        ("169.254.1.1", "9.9.9.9", 403),
        ("100.128.0.1", "9.9.9.9", 200),
        ("8.8.4.4", "9.9.9.9", 200),
        ("9.9.9.9", "10.1.0.1", 200),
        ("10.1.0.1", "192.168.1.1", 200),
        ("192.168.1.1", "127.0.0.1", 200),
        ("fd00::1", "2001:db8::1", 403),
        ("fe80::1", "2001:db8::1", 403),
        ("2001:db8::2", "2001:db8::1", 200),
        ("fd00::1", "fd00::2", 200),
        ("2001:db8::2", "fd00::1", 200),
    ] {
        let (client, server): (IpAddr, IpAddr) = (client.parse().unwrap(), server.parse().unwrap());
        if server.is_ipv6() && !v6 {
            continue;
        }
        let addr = SocketAddr::from((server, if server.is_ipv6() { v6_port } else { v4_port }));
        for target in ["/", "/none"] {
            let (status, body) = ask_from(client, addr, target);
            let expected = if verdict == 200 && target == "/none" { 404 } else { verdict };
            assert_eq!(status, expected, "{client} to {server}: {target}");
            let text = "<h1>Forbidden</h1>Rejected request from RFC1918 IP to public server address";
            assert_eq!(body == text, verdict == 403, "{body}");
        }
        if server.is_ipv4() {
            assert_eq!(ask_from(client, SocketAddr::from((server, open_port)), "/").0, 200);
        }
    }
}

fn port(line: &str) -> u16 {
    line.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
}

fn ask_from(from: IpAddr, addr: SocketAddr, target: &str) -> (u16, String) {
    let mut from = SocketAddr::from((from, 0));
    if let SocketAddr::V6(v6) = &mut from
        && v6.ip().is_unicast_link_local()
    {
        // The loopback interface is the first of a new network.
        v6.set_scope_id(1);
    }
    let connect = || {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
        socket.bind(&from.into())?;
        socket.connect(&addr.into()).map(|()| socket)
    };
    // The routes to new addresses of IPv6 come a little later.
    let mut socket = connect();
    until("there is a way", || {
        if socket.is_err() {
            socket = connect();
        }
        socket.is_ok()
    });
    let socket = socket.unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client::new(std::net::TcpStream::from(socket));
    client.send(request("GET", target, &[], true));
    let reply = client.read_response();
    (reply.status, reply.text().to_owned())
}
