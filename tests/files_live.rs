//! `serve_file` through real sockets: files that change, files without end, a system that has nothing left.

mod common;
mod common_files;

use common::{Client, End, PATIENCE, pattern, serve};
use common_files::{Site, folder, mtime, request};
use ecohttpd::{Connection, Options, Request};
use std::cell::RefCell;
use std::fs::{self, File, FileTimes};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

#[test]
fn a_change_is_seen_by_the_very_next_request() {
    let site = Site::new(|options| options);
    let mut client = site.server.connect();
    let mut get = |target: &str| {
        client.send(request("GET", target, &[], false));
        client.read_response()
    };
    for size in [16, 40_000] {
        let mut etags = Vec::new();
        for round in 0..40_u8 {
            // The same size, and most of them within the same second.
            let body = vec![round; size];
            if round % 2 == 0 {
                site.write("file", &body);
            } else {
                site.write("new", &body);
                fs::rename(site.path("new"), site.path("file")).unwrap();
            }
            let reply = get("/file");
            assert!(reply.body == body, "round {round} of {size} bytes");
            if round % 2 == 1 {
                etags.push(reply.header("etag").unwrap().to_owned());
            }
        }
        etags.dedup();
        assert_eq!(etags.len(), 20, "a replaced file has another tag");
    }
    fs::remove_file(site.path("file")).unwrap();
    assert_eq!(get("/file").status, 404);
    fs::create_dir(site.path("file")).unwrap();
    assert_eq!(get("/file").status, 301);
}

/// A file that did not change for a while may be kept in memory; a change must show all the same.
#[test]
fn a_change_of_a_settled_file_is_seen_too() {
    type Change = fn(&Site, &str, &[u8]);
    let changes: &[(&str, Change)] = &[
        ("in place", |site, name, new| {
            File::options().write(true).open(site.path(name)).unwrap().write_all(new).unwrap();
        }),
        ("in place, time set back", |site, name, new| {
            let mut file = File::options().write(true).open(site.path(name)).unwrap();
            let before = file.metadata().unwrap().modified().unwrap();
            file.write_all(new).unwrap();
            file.set_times(FileTimes::new().set_modified(before)).unwrap();
        }),
        ("truncated and written", |site, name, new| site.write(name, new)),
        ("replaced, time set back", |site, name, new| {
            site.write("new", new);
            let times = FileTimes::new().set_modified(mtime(&site.path(name)));
            File::options().write(true).open(site.path("new")).unwrap().set_times(times).unwrap();
            fs::rename(site.path("new"), site.path(name)).unwrap();
        }),
        ("its folder replaced", |site, name, new| {
            let folder = name.split('/').next().unwrap();
            site.write(&format!("new-{folder}/f"), new);
            fs::rename(site.path(folder), site.path(&format!("old-{folder}"))).unwrap();
            fs::rename(site.path(&format!("new-{folder}")), site.path(folder)).unwrap();
        }),
        ("a link instead", |site, name, new| {
            site.write("elsewhere", new);
            fs::remove_file(site.path(name)).unwrap();
            symlink("../elsewhere", site.path(name)).unwrap();
        }),
    ];
    let sizes = [10, 40_000];
    let site = Site::new(|options| options.gzip(true));
    let names: Vec<String> = (0..changes.len() * 2).map(|n| format!("{n}/f")).collect();
    for (n, name) in names.iter().enumerate() {
        site.write(name, vec![b'a'; sizes[n % 2]]);
    }
    // The change time can't be set: the cache's settle time has to pass once.
    let written = SystemTime::now();
    while written.elapsed().unwrap() < Duration::from_millis(4100) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut client = site.server.connect();
    let mut get = |name: &str| {
        client.send(request("GET", &format!("/{name}"), &["Accept-Encoding: gzip"], false));
        client.read_response()
    };
    for (n, name) in names.iter().enumerate() {
        let (how, change) = changes[n / 2];
        let old = vec![b'a'; sizes[n % 2]];
        assert!(get(name).body == old && get(name).body == old, "{how}");
        let new = vec![b'b'; sizes[n % 2]];
        change(&site, name, &new);
        assert!(get(name).body == new, "{how}, {} bytes", sizes[n % 2]);
        // Shorter, a coded sibling, gone.
        site.write(name, "short");
        assert_eq!(get(name).text(), "short", "{how}");
        site.write(&format!("{name}.gz"), "coded");
        // It may be noticed a second later, but not its end.
        let start = Instant::now();
        while get(name).text() != "coded" {
            assert!(start.elapsed() < PATIENCE, "{how}");
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::remove_file(site.path(&format!("{name}.gz"))).unwrap();
        assert_eq!(get(name).text(), "short", "{how}");
        fs::remove_file(site.path(name)).unwrap();
        assert_eq!(get(name).status, 404, "{how}");
    }
}

/// openat2(2) gives up on a `..` when something is renamed meanwhile, anywhere; that is no fault of the client.
#[test]
fn renames_elsewhere_disturb_no_links() {
    let site = Site::new(|options| options);
    site.write("deep/er/x", "x");
    site.write("file", "content");
    let winding = format!("../../{}file", "deep/er/../../".repeat(4));
    symlink(winding, site.path("deep/er/up")).unwrap();
    let elsewhere = site.temp.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("a")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                fs::rename(elsewhere.join("a"), elsewhere.join("b")).unwrap();
                fs::rename(elsewhere.join("b"), elsewhere.join("a")).unwrap();
            }
        });
        let mut client = site.server.connect();
        let statuses = (0..3000).map(|_| {
            client.send(request("GET", "/deep/er/up", &[], false));
            client.read_response().status
        });
        let wrong: Vec<u16> = statuses.filter(|&status| status != 200).collect();
        over.store(true, Relaxed);
        assert!(wrong.is_empty(), "{} of 3000, the first {}", wrong.len(), wrong[0]);
    });
}

#[test]
fn a_document_root_made_anew_is_found() {
    let site = Site::new(|options| options);
    site.write("file", "old");
    assert_eq!(site.get("/file").text(), "old");
    fs::rename(&site.root, site.temp.path().join("away")).unwrap();
    fs::create_dir(&site.root).unwrap();
    site.write("file", "new");
    let start = Instant::now();
    while site.get("/file").text() != "new" {
        assert!(start.elapsed() < PATIENCE, "still the old one");
    }
}

/// Asks for `/big` and takes the head and the first bytes, so that the server is in the middle of it.
fn begin_download(site: &Site) -> Client {
    let mut client = site.server.connect();
    client.send(request("GET", "/big", &[], false));
    let begun = client.read_exact(17);
    assert_eq!(begun, b"HTTP/1.1 200 OK\r\n");
    client
}

const BIG: usize = 64 << 20;

#[test]
fn a_file_that_shrinks_cuts_the_connection() {
    let site = Site::new(|options| options);
    let file = File::create(site.path("big")).unwrap();
    file.set_len(BIG as u64).unwrap();
    let mut client = begin_download(&site);
    file.set_len(1000).unwrap();
    let (rest, _) = client.rest();
    assert!(rest.len() < BIG, "{} bytes", rest.len());
    assert_eq!(site.get("/big").header("content-length"), Some("1000"), "the server goes on");
}

#[test]
fn a_file_that_grows_sends_what_was_promised() {
    let site = Site::new(|options| options);
    let body = pattern(1 << 20).repeat(BIG >> 20);
    site.write("big", &body);
    let mut client = begin_download(&site);
    let mut file = File::options().append(true).open(site.path("big")).unwrap();
    file.write_all(&[b'x'; 5000]).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.read_exact(1));
    }
    assert!(String::from_utf8(head).unwrap().contains(&format!("Content-Length: {BIG}\r\n")));
    assert!(client.read_exact(BIG) == body);
    client.send(request("HEAD", "/big", &[], true));
    let length = (BIG + 5000).to_string();
    assert_eq!(client.read_head_response().header("content-length"), Some(&*length), "in step with the next reply");
    client.expect_close();
}

/// The time for which a connection may idle runs while it idles, not while it still takes its reply.
#[test]
fn a_download_may_take_longer_than_keep_alive() {
    for logs in [false, true] {
        let site = Site::new(move |options| {
            let options = options.http_keepalive(Duration::from_millis(200));
            if logs { options.access_log(|_| {}) } else { options }
        });
        File::create(site.path("big")).unwrap().set_len(BIG as u64).unwrap();
        let mut client = begin_download(&site);
        std::thread::sleep(Duration::from_millis(800));
        let (rest, end) = client.rest();
        assert!(rest.len() > BIG, "cut after {} bytes by {end:?}, logs {logs}", rest.len());
    }
}

/// A stop lets a download finish, and has nothing to wait for after that.
#[test]
fn a_stop_waits_for_downloads_and_no_longer() {
    for logs in [false, true] {
        let site = Site::new(move |options| if logs { options.access_log(|_| {}) } else { options });
        File::create(site.path("big")).unwrap().set_len(BIG as u64).unwrap();
        let mut client = begin_download(&site);
        let mut idle = site.server.connect();
        idle.send(request("GET", "/missing", &[], false));
        assert_eq!(idle.read_response().status, 404);
        site.server.handle.stop(Duration::from_secs(3600));
        idle.expect_close();
        let (rest, end) = client.rest();
        assert!(rest.len() > BIG && end == End::Eof, "{} bytes, {end:?}, logs {logs}", rest.len());
        site.server.join().unwrap();
    }
}

#[test]
fn beyond_four_gigabytes() {
    let site = Site::new(|options| options);
    let size = (5_u64 << 30) + 7;
    let mut file = File::create(site.path("sparse")).unwrap();
    file.set_len(size).unwrap();
    file.seek(SeekFrom::Start(size - 7)).unwrap();
    file.write_all(b"the end").unwrap();
    file.seek(SeekFrom::Start(4 << 30)).unwrap();
    file.write_all(b"4 GiB").unwrap();
    assert_eq!(site.ask("HEAD", "/sparse", &[]).header("content-length"), Some(&*size.to_string()));
    let (end, four) = (size - 7, 4_u64 << 30);
    #[rustfmt::skip]
    let rows = [
        (format!("{end}-"), end, "the end"), ("-7".into(), end, "the end"), (format!("{four}-{}", four + 4), four, "4 GiB"),
        (format!("{end}-99999999999"), end, "the end"),
    ];
    for (range, from, body) in rows {
        let reply = site.ask("GET", "/sparse", &[&format!("Range: bytes={range}")]);
        assert_eq!((reply.status, reply.text()), (206, body), "{range}");
        let to = from + body.len() as u64 - 1;
        assert_eq!(reply.header("content-range"), Some(&*format!("bytes {from}-{to}/{size}")));
    }
    let long = site.ask("GET", "/sparse", &[&format!("Range: bytes={}-{}", four - 1_000_000, four + 4)]);
    assert!(long.body.len() == 1_000_005 && long.body.ends_with(b"\x004 GiB"), "over the 4 GiB mark");
    assert_eq!(site.ask("GET", "/sparse", &[&format!("Range: bytes={size}-")]).status, 416);
}

#[test]
fn many_small_files() {
    let site = Site::new(|options| options);
    let content = |n: usize| format!("{n} ").repeat(n % 97 + 1);
    for n in 0..500 {
        site.write(&format!("{}/{n}", n % 7), content(n));
    }
    let mut client = site.server.connect();
    for round in 0..2 {
        for batch in (0..500).collect::<Vec<_>>().chunks(20) {
            let all: String = batch.iter().map(|n| request("GET", &format!("/{}/{n}", n % 7), &[], false)).collect();
            client.send(all);
            for &n in batch {
                assert_eq!(client.read_response().text(), content(n), "{n} in round {round}");
            }
        }
    }
}

/// Set in the process that may open few files.
const FEW: &str = "ECOHTTPD_TEST_FEW_FILES";

/// Not a test: the server of the next one, in its own process.
#[test]
fn few_descriptors_server() {
    let Ok(root) = std::env::var(FEW) else { return };
    let held = RefCell::new(Vec::new());
    let handler = async move |con: &mut Connection, req: &mut Request| {
        match req.path() {
            "/take" => {
                while let Ok(file) = File::open("/dev/null") {
                    held.borrow_mut().push(file);
                }
            }
            "/give" => held.borrow_mut().clear(),
            _ => return con.serve_file(req).await,
        }
        let count = held.borrow().len();
        con.send(count.to_string()).await
    };
    let server = serve(move || Options::new().docroot(root).gzip(true).dir_listing(true), handler);
    println!("\nADDRESS {}", server.addr);
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn without_descriptors_it_answers_503() {
    let (_temp, root) = folder();
    for (name, size) in [("first", 5), ("small", 10), ("large", 100_000), ("sub/index.html", 10)] {
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join(name), pattern(size)).unwrap();
    }
    fs::create_dir(root.join("empty")).unwrap();
    // A shell, for its ulimit.
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 100; exec \"$0\" few_descriptors_server --exact --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(FEW, &root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let addr =
        lines.by_ref().map_while(Result::ok).find_map(|line| line.strip_prefix("ADDRESS ")?.parse().ok()).unwrap();
    let mut client = Client::connect(addr);
    let mut ask = |target: &str| {
        client.send(request("GET", target, &[], false));
        client.read_response()
    };
    assert_eq!(ask("/first").body, pattern(5), "before");
    assert!(ask("/take").text().parse::<usize>().unwrap() > 10);
    for target in ["/small", "/large", "/sub/", "/empty/"] {
        let reply = ask(target);
        assert_eq!(reply.status, 503, "{target}");
        assert!(!reply.closes() && reply.header("retry-after").is_some(), "{target}: {reply:?}");
    }
    assert_eq!(ask("/missing").status, 503, "openat2 takes a descriptor before it looks");
    // This one finds none either: it waits in the kernel until there is.
    let mut late = Client::connect(addr);
    late.send(request("GET", "/small", &[], true));
    assert_eq!(ask("/small").status, 503);
    assert_eq!(ask("/give").text(), "0");
    assert_eq!(late.read_response().body, pattern(10), "accepted later");
    late.expect_close();
    for (target, size) in [("/small", 10), ("/large", 100_000), ("/sub/", 10)] {
        let reply = ask(target);
        assert!(reply.status == 200 && reply.body == pattern(size), "{target} after");
    }
    assert_eq!(ask("/empty/").status, 200);
    assert!(child.try_wait().unwrap().is_none(), "it lives");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// Deployments switch a link: what it named before may be gone by then.
#[test]
fn a_document_root_that_is_a_link_is_looked_up() {
    let (temp, root) = folder();
    for release in ["1", "2"] {
        fs::create_dir(temp.path().join(release)).unwrap();
        fs::write(temp.path().join(release).join("file"), release).unwrap();
    }
    fs::remove_dir(&root).unwrap();
    symlink("1", &root).unwrap();
    let docroot = root.clone();
    let server = serve(
        move || Options::new().docroot(docroot),
        async |con: &mut Connection, req: &mut Request| con.serve_file(req).await,
    );
    assert_eq!(server.get("/file").text(), "1");
    symlink("2", temp.path().join("next")).unwrap();
    fs::rename(temp.path().join("next"), &root).unwrap();
    fs::remove_dir_all(temp.path().join("1")).unwrap();
    let start = Instant::now();
    while server.get("/file").text() != "2" {
        assert!(start.elapsed() < PATIENCE, "still the old one");
    }
}

/// A stick can be taken out: its file system is not busy.
#[test]
fn an_idle_server_holds_nothing_of_its_root() {
    let site = Site::new(|options| options.dir_listing(true));
    site.write("small", "x");
    site.write("large", pattern(40_000));
    // Kept for long, if that were possible.
    for name in ["small", "large"] {
        let past = SystemTime::now() - Duration::from_secs(100);
        File::open(site.path(name)).unwrap().set_times(FileTimes::new().set_modified(past)).unwrap();
    }
    let held = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        open.filter(|path| path.starts_with(&site.root)).count()
    };
    for target in ["/", "/large", "/missing"] {
        let mut client = site.server.connect();
        client.send(request("GET", target, &[], false));
        client.read_response();
        assert!(held() > 0, "{target}: it was not opened");
    }
    let start = Instant::now();
    while held() > 0 {
        assert!(start.elapsed() < PATIENCE, "it is held open");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(site.get("/small").text(), "x", "and opened again");
}

/// What stat(2) tells of these has nothing to do with what there is to read.
#[test]
fn files_that_the_kernel_makes_up() {
    let site = Site::new(|options| options.follow_symlinks(true));
    for file in ["/proc/version", "/proc/self/stat", "/sys/class/net/lo/mtu", "/proc/kallsyms"] {
        // Not everywhere is all of this, and some of it is for root.
        let Ok(content) = fs::read(file) else { continue };
        let name = file.replace('/', "-");
        symlink(file, site.path(&name)).unwrap();
        let target = format!("/{name}");
        for fields in [&[][..], &["Range: bytes=0-0"], &["If-Modified-Since: Sun, 09 Sep 2035 01:46:40 GMT"]] {
            let reply = site.ask("GET", &target, fields);
            assert_eq!((reply.status, reply.header("transfer-encoding")), (200, Some("chunked")), "{file}");
            assert_eq!(reply.body.len(), content.len(), "{file}");
            for field in ["etag", "last-modified", "accept-ranges", "content-length"] {
                assert_eq!(reply.header(field), None, "{file}");
            }
        }
        let head = site.ask("HEAD", &target, &[]);
        assert_eq!((head.status, head.header("content-length")), (200, None), "{file}");
        let mut old = site.server.connect();
        old.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        let (reply, end) = old.rest();
        assert!(reply.ends_with(&content[content.len() - 2..]) && end == End::Eof, "{file}: until the end");
    }
    assert!(fs::read_dir(&site.root).unwrap().count() > 0, "there was none of them");
}

/// RFC 9110 §8.8.2.1: not later than the message.
#[test]
fn a_time_from_the_future_is_not_told() {
    let site = Site::new(|options| options);
    site.write("file", "x");
    let future = SystemTime::now() + Duration::from_secs(1_000_000);
    File::open(site.path("file")).unwrap().set_times(FileTimes::new().set_modified(future)).unwrap();
    for _ in 0..2 {
        let reply = site.get("/file");
        let time = |name| httpdate::parse_http_date(reply.header(name).unwrap()).unwrap();
        assert!(time("last-modified") <= time("date"), "{:?}", reply.headers);
        let etag = format!("If-None-Match: {}", reply.header("etag").unwrap());
        assert_eq!(site.ask("GET", "/file", &[&etag]).status, 304, "its tag stays");
    }
}

/// By no name: neither by a link, nor by another name of the same file.
#[test]
fn a_withheld_file_is_for_nobody() {
    let (temp, _) = folder();
    let secret = temp.path().join("root/secret");
    let path = secret.clone();
    let site = Site::new(move |options| options.docroot(path.parent().unwrap()).withhold(&path));
    fs::write(&secret, "secret").unwrap();
    fs::write(temp.path().join("root/open"), "open").unwrap();
    symlink("secret", temp.path().join("root/link")).unwrap();
    fs::hard_link(&secret, temp.path().join("root/other")).unwrap();
    for target in ["/secret", "/link", "/other"] {
        assert_eq!(site.get(target).status, 403, "{target}");
    }
    assert_eq!(site.get("/open").text(), "open");
    // Made again it is another file, of the same name.
    fs::write(temp.path().join("root/new"), "new secret").unwrap();
    fs::rename(temp.path().join("root/new"), &secret).unwrap();
    assert_eq!(site.get("/secret").status, 403);
    assert_eq!(site.get("/link").status, 403);
}
