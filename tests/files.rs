//! `serve_file` through real sockets: which file a path leads to, and which it must not.

mod common;
mod common_files;

use common::system::mkfifo;
use common::{Response, pattern};
use common_files::{Site, mtime, set_mtime};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// Files of no, few and many bytes: from memory and by sendfile.
const SIZES: &[(&str, usize)] = &[("empty", 0), ("one", 1), ("small", 1024), ("edge", 16 << 10), ("large", 300_000)];

#[test]
fn get_and_head() {
    let site = Site::new(|options| options);
    for &(name, size) in SIZES {
        let body = pattern(size);
        site.write(name, &body);
        let got = site.get(&format!("/{name}?query=/../x&y"));
        assert_eq!((got.status, &got.body), (200, &body), "{name}");
        let length = size.to_string();
        assert_eq!(got.header("content-length"), Some(&*length), "{name}");
        assert_eq!(got.header("accept-ranges"), Some("bytes"), "{name}");
        let etag = got.header("etag").unwrap();
        assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{name}: a strong tag: {etag}");
        let modified = httpdate::parse_http_date(got.header("last-modified").unwrap()).unwrap();
        let age = mtime(&site.path(name)).duration_since(modified).unwrap();
        assert!(age < Duration::from_secs(1), "{name}: {age:?} off");

        let head = site.ask("HEAD", &format!("/{name}"), &[]);
        let fields = |reply: &Response| {
            let mut fields = reply.headers.clone();
            fields.retain(|(name, _)| name != "date");
            fields
        };
        assert_eq!((head.status, fields(&head)), (200, fields(&got)), "{name}");
    }
}

#[test]
fn other_methods() {
    let site = Site::new(|options| options);
    site.write("file", "content");
    let all = Some("GET, HEAD, OPTIONS");
    #[rustfmt::skip]
    let rows = [
        ("POST", 405, all), ("PUT", 405, all), ("DELETE", 405, all), ("PATCH", 405, all), ("TRACE", 405, all), ("OPTIONS", 204, all),
        ("get", 501, None), ("PROPFIND", 501, None), ("M-SEARCH", 501, None),
    ];
    for (method, status, allow) in rows {
        for target in ["/file", "/", "/missing", "/missing/"] {
            let reply = site.ask(method, target, &[]);
            assert_eq!((reply.status, reply.header("allow")), (status, allow), "{method} {target}");
            assert!(!reply.text().contains("content"), "{method}");
        }
    }
    let reply = site.ask("OPTIONS", "*", &[]);
    assert_eq!((reply.status, reply.header("allow"), reply.text()), (204, all, ""));
    assert_eq!(site.ask("GET", "*", &[]).status, 400, "only OPTIONS may ask for *");
}

/// Targets, and the status that answers them.
const CLIMBERS: &[(&str, u16)] = &[
    ("/../secret", 403),
    ("/..", 403),
    ("/../", 403),
    ("/../root/inside", 403),
    ("/./../secret", 403),
    ("//../secret", 403),
    ("/sub/../../secret", 403),
    ("/sub/./.././../secret", 403),
    ("/sub//../../secret", 403),
    ("/missing/../../secret", 403),
    ("/%2e%2e/secret", 403),
    ("/%2E%2e/secret", 403),
    ("/.%2e/secret", 403),
    ("/%2e./secret", 403),
    ("/..%2fsecret", 403),
    ("/..%2Fsecret", 403),
    ("/%2e%2e%2fsecret", 403),
    ("/sub%2f..%2f..%2fsecret", 403),
    ("/sub/%2e%2e/%2e%2e/secret", 403),
    ("/%2f%2e%2e/secret", 403),
    ("/../neighbour/secret", 403),
    ("/../root-next-door/secret", 403),
    ("/../../../../../../../../../../etc/passwd", 403),
    ("/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 403),
    ("/../secret?x=1", 403),
    ("http://t/../secret", 403),
    ("http://t/%2e%2e/secret", 403),
    // Decoded once only, these are names, of files that are not there.
    ("/%252e%252e/secret", 404),
    ("/%252e%252e%252fsecret", 404),
    ("/..%5csecret", 404),
    ("/..%255csecret", 404),
    ("/%5c..%5c..%5csecret", 404),
    ("/.../secret", 404),
    ("/..;/secret", 404),
    ("/%c0%ae%c0%ae/secret", 404),
    ("/%c0%ae%c0%ae%c0%afsecret", 404),
    ("/%e0%80%ae%e0%80%ae/secret", 404),
    ("/%u002e%u002e/secret", 400),
    ("/..%00/secret", 400),
    ("/%00", 400),
    ("/inside%00.html", 400),
    ("/../secret%00", 400),
    ("/proc/self/environ", 404),
    // Nothing wrong with these.
    ("/sub/../inside", 200),
    ("/sub/%2e%2e/inside", 200),
    ("//inside", 200),
    ("/./inside", 200),
    ("/sub/..%2finside", 200),
];

#[test]
fn no_byte_from_outside() {
    for gzip in [false, true] {
        for follow in [false, true] {
            let site = Site::new(move |options| options.gzip(gzip).follow_symlinks(follow).dir_listing(true));
            site.write("inside", "inside");
            site.write("sub/file", "inside");
            for name in ["secret", "secret.gz", "root-next-door/secret", "neighbour/secret"] {
                site.write(&format!("../{name}"), "OUTSIDE");
            }
            for &(target, status) in CLIMBERS {
                for method in ["GET", "HEAD"] {
                    let reply = site.ask(method, target, &["Accept-Encoding: gzip"]);
                    assert_eq!(reply.status, status, "{method} {target}, gzip {gzip}, follow {follow}");
                    let raw = String::from_utf8_lossy(&reply.raw).into_owned();
                    assert!(!["OUTSIDE", "root:", "neighbour"].iter().any(|w| raw.contains(w)), "{target}: {raw}");
                }
            }
        }
    }
}

/// Name, where it leads, the path to ask for, status with links kept beneath the root, and with links followed.
const LINKS: &[(&str, &str, &str, u16, u16)] = &[
    ("inner", "sub/file", "/inner", 200, 200),
    ("sub/up", "../file", "/sub/up", 200, 200),
    ("subdir", "sub", "/subdir/file", 200, 200),
    ("subdir2", "sub", "/subdir2", 301, 301),
    ("outer", "../secret", "/outer", 403, 200),
    ("devious", "sub/../../secret", "/devious", 403, 200),
    ("chain", "outer", "/chain", 403, 200),
    ("absolute", "/etc/passwd", "/absolute", 403, 200),
    ("next-door", "../root-next-door", "/next-door/secret", 403, 200),
    ("next-door2", "../root-next-door", "/next-door2/", 403, 200),
    ("parent", "..", "/parent/secret", 403, 200),
    ("parent2", "..", "/parent2/root/file", 403, 200),
    ("magic", "/proc/self/root", "/magic/etc/passwd", 403, 200),
    ("slash", "/", "/slash/", 403, 200),
    ("loop", "loop", "/loop", 403, 403),
    ("dangling", "nowhere", "/dangling", 404, 404),
    ("zero", "/dev/zero", "/zero", 403, 403),
    ("tty", "/dev/tty", "/tty", 403, 403),
];

fn site_with_links(follow: bool) -> Site {
    let site = Site::new(move |options| options.follow_symlinks(follow).dir_listing(true).gzip(true));
    site.write("file", "inside");
    site.write("sub/file", "inside");
    site.write("../secret", "OUTSIDE");
    site.write("../root-next-door/secret", "OUTSIDE");
    for (name, target, ..) in LINKS {
        symlink(target, site.path(name)).unwrap();
    }
    site
}

#[test]
fn symbolic_links() {
    for follow in [false, true] {
        let site = site_with_links(follow);
        symlink("../secret", site.path("file.gz")).unwrap();
        for &(_, leads, path, kept, followed) in LINKS {
            let reply = site.get(path);
            assert_eq!(reply.status, if follow { followed } else { kept }, "{path} -> {leads}, follow {follow}");
            let raw = String::from_utf8_lossy(&reply.raw).into_owned();
            assert!(follow || !raw.contains("OUTSIDE") && !raw.contains("root:"), "{path}: {raw}");
        }
        // A precompressed sibling is a file like any other.
        let reply = site.ask("GET", "/file", &["Accept-Encoding: gzip"]);
        assert_eq!((reply.status, reply.text()), (200, if follow { "OUTSIDE" } else { "inside" }));
        // A link that is turned round is not followed from memory.
        fs::remove_file(site.path("inner")).unwrap();
        symlink("../secret", site.path("inner")).unwrap();
        assert_eq!(site.get("/inner").status, if follow { 200 } else { 403 });
    }
}

/// Where links are not followed, what lies behind one is not told, not even whether it is there.
#[test]
fn links_tell_nothing_of_outside() {
    let site = site_with_links(false);
    let there: Vec<_> =
        ["/parent/secret", "/parent/root-next-door", "/parent/root-next-door/"].map(|p| (p, site.get(p).status)).into();
    let not_there: Vec<_> =
        ["/parent/nothing", "/parent/no/such", "/parent/no/"].map(|p| (p, site.get(p).status)).into();
    let forbidden = |found: &[(&str, u16)]| found.iter().all(|&(_, status)| status == 403);
    assert!(forbidden(&there) && forbidden(&not_there), "{there:?} {not_there:?}");
}

/// Nor by a listing: no size, no time, and no folder that can't be entered.
#[test]
fn listings_tell_nothing_of_outside() {
    let site = site_with_links(false);
    site.write("../secret", vec![0; 123_457]);
    set_mtime(&site.path("../secret"), 1_000_000_000);
    let page = site.get("/");
    assert!(page.text().contains("href=\"./inner\"") && page.text().contains("href=\"./subdir/\""), "links that stay");
    for told in ["123457", "2001-09-09", "parent/", "slash/"] {
        assert!(!page.text().contains(told), "{told}: {}", page.text());
    }
}

#[test]
fn directories_and_their_index() {
    let site = Site::new(|options| options.indexes(["index.html", "default.htm", "deep/start.txt"]));
    site.write("a/index.html", "first");
    site.write("a/default.htm", "second");
    site.write("b/default.htm", "second");
    site.write("c/deep/start.txt", "third");
    site.write("d/index.html/not-a-file", "");
    site.write("d/default.htm", "second");
    site.write("e/other", "none");
    site.write("f", "file");
    #[rustfmt::skip]
    let rows = [
        ("/a/", 200, "first"), ("/a/.", 200, "first"), ("/b/../a/", 200, "first"), ("/a//", 200, "first"),
        ("/b/", 200, "second"), ("/c/", 200, "third"), ("/d/", 200, "second"),
        ("/e/", 403, ""), ("/", 403, ""), ("/f/", 404, ""), ("/f/x", 404, ""), ("/f/.", 404, ""), ("/missing/", 404, ""),
    ];
    for (target, status, body) in rows {
        let reply = site.get(target);
        assert_eq!(reply.status, status, "{target}");
        assert!(status != 200 || reply.text() == body, "{target}: {reply:?}");
    }
    assert_eq!(site.get("/a/").header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(site.get("/c/").header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn the_redirect_to_the_slash_stays_here() {
    let site = Site::new(|options| options);
    for name in ["plain", "evil.example", "\\evil.example", "http:", "a b", "ü", "100%", "a?b#c", "x\r\nSet-Cookie: y"]
    {
        site.write(&format!("{name}/index.html"), "index");
    }
    #[rustfmt::skip]
    let rows = [
        ("/plain", "/plain/"),
        ("/plain?a=b&c=%20", "/plain/?a=b&c=%20"),
        ("//plain", "/plain/"),
        ("/x/../plain", "/plain/"),
        ("//evil.example", "/evil.example/"),
        ("///evil.example", "/evil.example/"),
        ("/%2fevil.example", "/evil.example/"),
        ("//evil.example/%2e%2e/plain", "/plain/"),
        ("/plain/..//evil.example", "/evil.example/"),
        ("/.//evil.example", "/evil.example/"),
        ("/%5cevil.example", "/%5Cevil.example/"),
        ("/http:", "/http%3A/"),
        ("/http%3a", "/http%3A/"),
        ("http://evil.example/plain", "/plain/"),
        ("/a%20b", "/a%20b/"),
        ("/%c3%bc", "/%C3%BC/"),
        ("/100%25", "/100%25/"),
        ("/a%3fb%23c", "/a%3Fb%23c/"),
        ("/x%0d%0aSet-Cookie:%20y", "/x%0D%0ASet-Cookie%3A%20y/"),
    ];
    for (target, location) in rows {
        for method in ["GET", "HEAD"] {
            let reply = site.ask(method, target, &[]);
            assert_eq!((reply.status, reply.header("location")), (301, Some(location)), "{method} {target}");
            assert_eq!(reply.header("set-cookie"), None);
        }
        let reply = site.get(location);
        assert_eq!((reply.status, reply.text()), (200, "index"), "{location}");
    }
}

/// File names of all kinds, beside their form in a URL.
#[rustfmt::skip]
const NAMES: &[(&[u8], &str)] = &[
    (b"a b.txt", "/a%20b.txt"), (b"a+b.txt", "/a+b.txt"), (b"plus+2.txt", "/plus%2B2.txt"), (b"100%.txt", "/100%25.txt"),
    (b"%41.txt", "/%2541.txt"), ("größe.txt".as_bytes(), "/gr%C3%B6%C3%9Fe.txt"), ("日本.txt".as_bytes(), "/%e6%97%a5%e6%9c%ac.txt"),
    (b"latin\xe9.txt", "/latin%E9.txt"), (b"q?.txt", "/q%3F.txt"), (b"h#.txt", "/h%23.txt"), (b"\"quotes'\".txt", "/%22quotes%27%22.txt"),
    (b"<b>.txt", "/%3Cb%3E.txt"), (b"a&amp;b.txt", "/a&amp%3Bb.txt"), (b"new\nline.txt", "/new%0Aline.txt"), (b"tab\t.txt", "/tab%09.txt"),
    (b"back\\slash.txt", "/back%5Cslash.txt"), (b"colon:x.txt", "/colon:x.txt"), (b"semi;x.txt", "/semi;x.txt"), (b"~tilde.txt", "/~tilde.txt"),
    (b".hidden", "/.hidden"), (b"..two", "/..two"), (b"three...", "/three..."), (b"-", "/-"), (b"$x@y!(z)*,=[]", "/$x@y!(z)*,=%5B%5D"),
    (b"javascript:alert(1)", "/javascript:alert(1)"), (b"\x7f\x01", "/%7F%01"),
];

#[test]
fn names_of_all_kinds() {
    let site = Site::new(|options| options.dir_listing(true));
    for (name, target) in NAMES {
        fs::write(site.root.join(OsStr::from_bytes(name)), target).unwrap();
    }
    let long = "n".repeat(255);
    site.write(&long, "long");
    for (_, target) in NAMES {
        let reply = site.get(target);
        assert_eq!((reply.status, reply.text()), (200, *target));
    }
    assert_eq!(site.get(&format!("/{long}")).text(), "long");
    assert_eq!(site.get(&format!("/{long}n")).status, 404, "longer than a name can be");
    assert_eq!(site.get(&format!("/{}", "d/".repeat(2500))).status, 404, "longer than a path can be");
    assert_eq!(site.get("/A%20B.txt").status, 404, "case counts");

    // Each of them can be reached from the listing.
    let page = site.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let links: Vec<&str> = page.text().split("href=\"./").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let mut reached: Vec<Vec<u8>> =
        links.iter().map(|link| site.get(&format!("/{link}"))).map(|reply| reply.body).collect();
    reached.retain(|body| body.starts_with(b"/"));
    reached.sort();
    let mut all: Vec<Vec<u8>> = NAMES.iter().map(|(_, target)| target.as_bytes().to_vec()).collect();
    all.sort();
    assert_eq!(reached, all);
}

#[test]
fn listings() {
    let site = Site::new(|options| options.dir_listing(true));
    site.write("sub/big", vec![0; 3000]);
    site.write("sub/mid", vec![0; 200]);
    site.write("sub/tiny", "x");
    site.write("sub/zdir/x", "x");
    site.write("with/index.html", "index");
    for (name, age) in [("big", 1_000_000_000), ("mid", 1_200_000_000), ("tiny", 1_100_000_000)] {
        set_mtime(&site.path(&format!("sub/{name}")), age);
    }
    mkfifo(site.path("sub/fifo"));
    let order = |target: &str| {
        let page = site.get(target);
        assert_eq!(page.status, 200, "{target}");
        let at = |name: &str| page.text().find(&format!("href=\"./{name}\""));
        assert_eq!(at("fifo"), None, "a FIFO can't be served");
        assert!(at("zdir/").is_some() && at("zdir/") < at("big").min(at("mid")).min(at("tiny")), "folders first");
        let mut names = ["big", "mid", "tiny"];
        names.sort_by_key(|name| at(name).expect("listed"));
        names.join(" ")
    };
    #[rustfmt::skip]
    let rows = [
        ("/sub/", "big mid tiny"), ("/sub/?C=N&O=D", "tiny mid big"), ("/sub/?C=S&O=A", "tiny mid big"),
        ("/sub/?C=S&O=D", "big mid tiny"), ("/sub/?C=M&O=A", "big tiny mid"), ("/sub/?C=M&O=D", "mid tiny big"),
        ("/sub/?nonsense", "big mid tiny"),
    ];
    for (target, expected) in rows {
        assert_eq!(order(target), expected, "{target}");
    }
    assert_eq!(site.get("/with/").text(), "index", "an index comes before a listing");
    assert_eq!(site.get("/nothing/").status, 404);
    let page = site.get("/sub/");
    assert!(page.text().contains("href=\"../\"") && page.text().contains("2001-09-09"), "{}", page.text());

    let site = Site::new(|options| options.dir_listing(false));
    site.write("sub/secret-name", "x");
    let reply = site.get("/sub/");
    assert_eq!(reply.status, 403);
    assert!(!reply.text().contains("secret-name"));
}

#[test]
fn listings_are_searched() {
    let site = Site::new(|options| options.dir_listing(true));
    for name in ["sub/Holiday 1.jpg", "sub/holiday 2.jpg", "sub/work.txt", "sub/holidays/x"] {
        site.write(name, "x");
    }
    fs::write(site.root.join(OsStr::from_bytes(b"sub/latin\xe9")), "x").unwrap();
    #[rustfmt::skip]
    let rows = [
        ("?q=holiday", "holidays/ Holiday%201.jpg holiday%202.jpg"), ("?q=HOLIDAY+2", "holiday%202.jpg"),
        ("?q=.jpg&O=D", "holiday%202.jpg Holiday%201.jpg"), ("?q=", "holidays/ Holiday%201.jpg holiday%202.jpg latin%E9 work.txt"),
        ("?q=%E9", "latin%E9"), ("?q=nowhere", ""), ("?q=%22%3E%3Cscript%3E", ""),
    ];
    for (query, expected) in rows {
        let page = site.get(&format!("/sub/{query}"));
        let body = page.text().split("<tbody>").nth(1).unwrap();
        let links: Vec<&str> = body.split("href=\"./").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(links.join(" "), expected, "{query}");
        assert_eq!(body.contains("Nothing found"), expected.is_empty(), "{query}");
        assert!(!page.text().contains("<script"), "{query}");
    }
}

/// More than a page lists: the search still finds each of them, up to a bound.
#[test]
fn large_folders_are_searched() {
    let site = Site::new(|options| options.dir_listing(true));
    for n in 0..4100 {
        File::create(site.path(&format!("file-{n}"))).unwrap();
    }
    let rows = |page: &Response| page.text().matches("title=\"0 bytes\"").count();
    let page = site.get("/");
    assert_eq!(rows(&page), 4000);
    assert!(page.text().contains("and more, not listed"));
    for (query, count) in [("?q=file-4099", 1), ("?q=e-40", 111), ("?q=file-3", 1111), ("?q=file-1&C=S", 1111)] {
        let page = site.get(&format!("/{query}"));
        assert_eq!(rows(&page), count, "{query}");
        assert!(!page.text().contains("and more"), "{query}");
    }
    let json = site.ask("GET", "/", &["Accept: application/json"]);
    assert_eq!((json.text().matches("\"name\"").count(), json.header("x-truncated")), (4000, Some("true")));
}

#[test]
fn listings_as_json() {
    let site = Site::new(|options| options.dir_listing(true));
    for (name, size) in [("sub/big", 3000), ("sub/a \"quoted\" <b>", 1), ("sub/zdir/x", 1), ("index/index.html", 1)] {
        site.write(name, vec![0; size]);
    }
    fs::write(site.root.join(OsStr::from_bytes(b"sub/latin\xe9")), "").unwrap();
    set_mtime(&site.path("sub/big"), 784_111_777);
    let ask = |target: &str, fields: &[&str]| {
        let reply = site.ask("GET", target, fields);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{target}");
        assert_eq!((reply.header("vary"), reply.header("x-truncated")), (Some("Accept"), None), "{target}");
        let json: Vec<serde_json::Value> = serde_json::from_slice(&reply.body).unwrap();
        json
    };
    let json = ask("/sub/", &["Accept: application/json"]);
    let names: Vec<&str> = json.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["zdir", "a \"quoted\" <b>", "big", "latin\u{fffd}"]);
    assert_eq!(json[0]["type"], "directory");
    assert_eq!(json[0].get("size"), None);
    let big =
        serde_json::json!({"name": "big", "type": "file", "mtime": "Sun, 06 Nov 1994 08:49:37 GMT", "size": 3000});
    assert_eq!(json[2], big);
    assert_eq!(ask("/sub/?q=big&C=S", &["Accept: application/json, text/plain, */*"]), [big]);
    assert!(ask("/sub/?q=none", &["Accept: application/json"]).is_empty());
    // What it is told by `Accept`.
    #[rustfmt::skip]
    let rows: &[(&[&str], bool, &str)] = &[
        (&[], false, "nothing"),
        (&["Accept: */*"], false, "anything"),
        (&["Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], false, "a browser"),
        (&["Accept: text/html, application/json;q=0.9"], false, "HTML rather"),
        (&["Accept: text/html;q=0.5, application/json;q=0.9"], true, "JSON rather"),
        (&["Accept: text/html, application/json"], true, "both as good"),
        (&["Accept: application/json;q=0"], false, "JSON refused"),
    ];
    for (fields, json, name) in rows {
        let content_type = if *json { "application/json" } else { "text/html; charset=utf-8" };
        for method in ["GET", "HEAD"] {
            let reply = site.ask(method, "/sub/", fields);
            assert_eq!(reply.header("content-type"), Some(content_type), "{method}: {name}");
            assert_eq!(reply.header("vary"), Some("Accept"), "{method}: {name}");
        }
    }
    assert_eq!(site.ask("GET", "/index/", &["Accept: application/json"]).body, [0], "an index comes first");
}

#[test]
fn what_is_no_file_never_blocks() {
    for follow in [false, true] {
        let site = Site::new(move |options| options.follow_symlinks(follow).gzip(true));
        mkfifo(site.path("fifo"));
        let _socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
        for (name, target) in [("null", "/dev/null"), ("ptmx", "/dev/ptmx"), ("to-fifo", "fifo"), ("fifo.gz", "fifo")] {
            symlink(target, site.path(name)).unwrap();
        }
        site.write("folder/index.html/x", "");
        fs::remove_file(site.path("folder/index.html/x")).unwrap();
        fs::remove_dir(site.path("folder/index.html")).unwrap();
        mkfifo(site.path("folder/index.html"));
        site.write("file", "fine");
        for path in ["/fifo", "/socket", "/null", "/ptmx", "/to-fifo", "/folder/"] {
            for method in ["GET", "HEAD"] {
                let reply = site.ask(method, path, &["Accept-Encoding: gzip"]);
                assert_eq!(reply.status, 403, "{method} {path}, follow {follow}");
            }
            assert_eq!(site.get("/file").text(), "fine", "after {path}");
        }
    }
}
