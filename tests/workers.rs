//! Handlers of uhttpd, run by workers: what each request sees, whose turn it is, and what happens to those that fail.

#![cfg(all(feature = "daemon", feature = "workers"))]

mod common;
mod common_cgi;
mod common_files;
mod common_workers;

use common::{Response, post, reset};
use common_cgi::until;
use common_files::request;
use common_workers::{By, Site};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;

/// The same handler for all: it counts its requests, and does what the query says.
fn text(by: By) -> &'static str {
    match by {
        By::StandIn => STAND_IN,
        By::Lua => LUA,
        By::Ucode => UCODE,
    }
}

const STAND_IN: &str = include_str!("common_workers/counting.py");

const LUA: &str = include_str!("common_workers/counting.lua");

const UCODE: &str = include_str!("common_workers/counting.uc");

fn ask(site: &Site, method: &str, target: &str, fields: &[&str]) -> Response {
    let mut client = site.begin(request(method, target, fields, false));
    if method == "HEAD" { client.read_head_response() } else { client.read_response() }
}

fn site(by: By, args: &[&str]) -> Site {
    by.site(args, text(by))
}

#[test]
fn each_request_has_a_process_of_its_own() {
    for by in By::all() {
        let site = site(by, &[]);
        assert!(site.children().is_empty(), "{by:?}: nothing is loaded before it is needed");
        for _ in 0..5 {
            let response = site.get("/h/x?state");
            assert_eq!((response.status, response.header("x-count")), (200, Some("1")), "{by:?}");
        }
        until("what is loaded ahead is there", || site.children().len() == 1);
        let head = ask(&site, "HEAD", "/h?state", &[]);
        assert_eq!((head.status, head.text()), (200, ""), "{by:?}");
        assert_eq!(site.get("/hx").status, 404, "{by:?}: another path");
    }
}

#[test]
fn a_handler_sees_what_uhttpd_would_tell() {
    for by in By::all() {
        let site = site(by, &[]);
        let response =
            ask(&site, "GET", "/h/a%20b%2Fc/./?env", &["X-Field: some value", "X-Odd: a\"b\\\tc", "Cookie: a=b"]);
        let text = response.text();
        let file = site.file.display();
        let root = site.root.display();
        for line in [
            "GATEWAY_INTERFACE=CGI/1.1",
            "REQUEST_METHOD=GET",
            "SCRIPT_NAME=/h",
            "PATH_INFO=/a%20b/c/",
            "QUERY_STRING=env",
            "REQUEST_URI=/h/a%20b%2Fc/./?env",
            "REDIRECT_STATUS=200",
            "REMOTE_ADDR=127.0.0.1",
            "HTTP_COOKIE=a=b",
            "HTTP_X_FIELD=some value",
            "HTTP_X_ODD=a\"b\\\tc",
            "headers.x-odd=a\"b\\\tc",
            "headers.cookie=a=b",
            "headers.URL=/h/a%20b%2Fc/./?env",
            "HTTP_VERSION=1.1",
            &format!("SCRIPT_FILENAME={file}"),
            &format!("DOCUMENT_ROOT={root}"),
        ] {
            assert!(text.lines().any(|known| known == line), "{by:?}: {line} is missing in:\n{text}");
        }
        assert!(!site.get("/h?env").text().contains("PATH_INFO"), "{by:?}");
        assert!(site.get("/h/?env").text().contains("PATH_INFO=/\n"), "{by:?}");
    }
}

/// More than all pipes hold, so that both directions must move at once.
#[test]
fn bodies_flow_both_ways() {
    for by in By::all() {
        let site = site(by, &[]);
        let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut client = site.begin(post("/h?echo", &body));
        let response = client.read_response();
        assert_eq!((response.status, response.body.len()), (200, body.len()), "{by:?}");
        assert!(response.body == body, "{by:?}");
        // With a length that is known only at the end, short and long.
        for size in [100, 200_000] {
            let mut chunked = request("POST", "/h?echo", &["Transfer-Encoding: chunked"], false).into_bytes();
            write!(chunked, "{size:x}\r\n").unwrap();
            chunked.extend_from_slice(&body[..size]);
            chunked.extend_from_slice(b"\r\n0\r\n\r\n");
            let response = site.begin(chunked).read_response();
            assert!(response.status == 200 && response.body == body[..size], "{by:?}: {size}");
        }
        assert_eq!(site.begin(post("/h?echo", b"")).read_response().text(), "", "{by:?}");
    }
}

#[test]
fn they_wait_for_their_turn_beside_scripts() {
    const GATED: &str = "#!/bin/sh\necho script >>../ran\nwhile [ -d $DOCUMENT_ROOT ] && ! [ -e ../go ]; do sleep 0.02; done\nprintf '\\nscript'\n";
    for by in By::all() {
        let site = by.site_at("/h", &["-n", "1"], text(by), &[("gated", GATED)]);
        let mut first = site.begin_get("/cgi-bin/gated");
        site.await_note("ran", |ran| ran == "script\n");
        let mut second = site.begin_get("/h?wait");
        assert_eq!(site.get("/missing").status, 404, "files do not wait");
        // The handler may be loaded meanwhile, but does not run.
        until("it is loaded ahead", || site.children().len() == 2);
        let mut third = site.begin_get("/cgi-bin/gated");
        assert_eq!(site.get("/missing").status, 404);
        assert_eq!(fs::read_to_string(site.note("ran")).unwrap(), "script\n", "{by:?}");
        fs::write(site.note("go"), "").unwrap();
        assert_eq!(first.read_response().text(), "script");
        assert_eq!(second.read_response().status, 200);
        assert_eq!(third.read_response().text(), "script");
        assert_eq!(fs::read_to_string(site.note("ran")).unwrap(), "script\nhandler\nscript\n", "{by:?}");
    }
}

fn is_alive(pid: &str) -> bool {
    // A zombie is as good as gone: its parent reaps it when it gets to it.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn one_that_stands_still_is_killed() {
    for by in By::all() {
        // The same limit holds for loading, which takes more than a second on a busy machine.
        let site = site(by, &["-t", "5"]);
        let response = site.get("/h?hang");
        assert_eq!(response.status, 504, "{by:?}");
        site.log(&["/h: 504: no progress for 5 s"]);
        let pid = fs::read_to_string(site.note("ran")).unwrap();
        until("it still runs", || !is_alive(&pid));
        assert_eq!(site.get("/h").status, 200, "{by:?}: others are served");
    }
}

#[test]
fn a_client_that_leaves_ends_its_request() {
    for by in By::all() {
        let site = site(by, &["-n", "1"]);
        let mut stream = TcpStream::connect(site.daemon.addr).unwrap();
        stream.write_all(request("GET", "/h?hang", &[], false).as_bytes()).unwrap();
        let pid = site.await_note("ran", |ran| ran.ends_with('\n'));
        reset(stream);
        until("it still runs", || !is_alive(&pid));
        assert_eq!(site.get("/h").status, 200, "{by:?}: its place is free");
    }
}

#[test]
fn what_a_handler_does_wrong_harms_nobody_else() {
    for by in By::all() {
        let site = site(by, &[]);
        assert_eq!(site.get("/h?die").status, 502, "{by:?}");
        site.log(&["/h: 502:", "before its response"]);
        let mut client = site.begin_get("/h?half");
        assert!(client.try_response(false).is_err(), "{by:?}");
        site.log(&["in the middle of its response, which is cut short"]);
        assert_eq!(site.get("/h?bad").status, 502, "{by:?}");
        site.get("/h?stderr");
        site.log(&["127.0.0.1:", "/h: said \\x1b this"]);
        assert_eq!(site.get("/h").status, 200, "{by:?}");
    }
}

#[test]
fn one_that_does_not_load_is_a_line_and_500() {
    for by in By::all() {
        let site = by.site(&[], "syntax error ->\n");
        assert_eq!(site.get("/h").status, 500, "{by:?}");
        let line = site.log(&["it does not load: ", "; next try in 1 s"]);
        assert!(line.contains(&site.file.display().to_string()), "{line}");
        assert_eq!(site.get("/h").status, 500, "{by:?}: no try before that");
        // A new file is tried at once.
        fs::write(&site.file, text(by)).unwrap();
        assert_eq!(site.get("/h").status, 200, "{by:?}");
        assert!(site.next_log().is_none(), "{by:?}: one line");
        fs::write(&site.file, "x = 1\n").unwrap();
        assert_eq!(site.get("/h").status, 500, "{by:?}");
        site.log(&["no function handle_request"]);
        fs::remove_file(&site.file).unwrap();
        assert_eq!(site.get("/h").status, 500, "{by:?}");
        site.log(&["no such file"]);
    }
}

#[test]
fn a_changed_file_is_loaded_again() {
    for by in By::all() {
        let site = site(by, &[]);
        assert_eq!(site.get("/h").header("x-count"), Some("1"), "{by:?}");
        fs::write(&site.file, text(by).replace("count = 0", "count = 10")).unwrap();
        for _ in 0..2 {
            assert_eq!(site.get("/h").header("x-count"), Some("11"), "{by:?}");
        }
        until("the old one still runs", || site.children().len() == 1);
    }
}

#[test]
fn a_worker_that_dies_is_started_again() {
    for by in By::forking() {
        let site = site(by, &[]);
        assert_eq!(site.get("/h?kill").status, 200, "{by:?}: the process that it has forked goes on");
        site.log(&["its worker was killed; next start in 0 s"]);
        assert_eq!(site.get("/h?kill").status, 200, "{by:?}");
        site.log(&["its worker was killed; next start in 1 s"]);
        assert_eq!(site.get("/h").status, 500, "{by:?}: not at once a second time");
        until("there is no next one", || site.get("/h").status == 200);
    }
}

/// Each request leaves something behind in ucode.
#[test]
fn a_worker_that_has_served_much_is_replaced() {
    for by in By::forking() {
        let site = site(by, &[]);
        let mut client = site.begin_get("/h");
        client.read_response();
        let first = site.children();
        for _ in 0..1000 {
            client.send(request("GET", "/h", &[], false));
            assert_eq!(client.read_response().status, 200);
        }
        until("the first one is left", || site.children().len() == 1 && site.children() != first);
        assert!(site.next_log().is_none(), "that is no fault");
    }
}

/// The worker of ucode keeps what its processes load, until that changes.
#[test]
fn what_is_kept_is_as_good_as_fresh() {
    const KEEPING: &str = include_str!("common_workers/keeping.uc");
    if !By::Ucode.is_here() {
        return;
    }
    let site = By::Ucode.site(&[], KEEPING);
    let write = |name: &str, text: &str| fs::write(site.note(name), text).unwrap();
    let get = || site.get("/h").text().to_owned();
    write(
        "template",
        "{% let x = 1; const list = []; push(list, x++); global.y = (global.y ?? 0) + x; %}{{ list }}{{ y }}",
    );
    write("value.json", "{\"number\": 1, \"list\": []}");
    write("module.uc", "export const text = 'one';");
    write(
        "importing",
        &format!("{{% import {{ text }} from '{}'; %}}{{{{ text }}}}", site.note("module.uc").display()),
    );
    let fresh = "1 | 1 | [ 1 ]2 | [ 1 ]4 | { \"number\": 2, \"list\": [ 1 ] } | { \"number\": 1, \"list\": [ ] } |  | one | true";
    let worker = || site.children().first().map(|worker| PathBuf::from(format!("/proc/{worker}/fd"))).unwrap();
    let has = |name: &str| {
        let fds = fs::read_dir(worker()).unwrap().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|file| file.ends_with(name))
    };
    // A file is kept once it is two seconds old; that of code stays open.
    until("the template is not kept", || {
        assert_eq!(get(), fresh);
        has("template")
    });
    assert!(!has("importing"), "it could not be noticed that its module changes");
    assert_eq!([get(), get()], [fresh, fresh]);
    write("template", "changed");
    write("value.json", "{\"number\": 5, \"list\": [2]}");
    write("module.uc", "export const text = 'two';");
    let changed = "1 | 1 | changed | changed | { \"number\": 6, \"list\": [ 2, 1 ] } | { \"number\": 5, \"list\": [ 2 ] } |  | two | true";
    assert_eq!([get(), get()], [changed, changed]);
    write("template", "{{ 1 + }}");
    assert_eq!(site.get("/h").status, 500);
    fs::remove_file(site.note("template")).unwrap();
    assert_eq!(site.get("/h").status, 500);
}

#[test]
fn luci_runs_as_cgi_where_its_handler_does_not_load() {
    const CGI: &str = "#!/bin/sh\nprintf '\\ncgi %s' \"$PATH_INFO\"\n";
    for by in By::all() {
        let luci = |args: &[&str], text| by.site_at("/cgi-bin/luci", args, text, &[("luci", CGI)]);
        let site = luci(&[], text(by));
        assert_eq!(site.get("/cgi-bin/luci/admin").header("x-count"), Some("1"), "{by:?}");
        let site = luci(&[], "syntax error ->");
        assert_eq!(site.get("/cgi-bin/luci/admin").text(), "cgi /admin", "{by:?}");
        site.log(&["it does not load"]);
        // Without the interpreter.
        let option = by.worker()[0].clone();
        let site = luci(&[&option, "/no/such/program worker"], text(by));
        assert_eq!(site.get("/cgi-bin/luci/admin").text(), "cgi /admin", "{by:?}");
        site.log(&["cannot start it: "]);
        assert_eq!(site.get("/cgi-bin/luci/admin").text(), "cgi /admin", "{by:?}");
        assert!(site.next_log().is_none(), "{by:?}");
    }
}

#[test]
fn who_may_is_asked_first() {
    for by in By::all() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("httpd.conf");
        fs::write(&conf, "/h/private:me:secret\n").unwrap();
        let args = ["-c", conf.to_str().unwrap(), "--deny", "/h/closed *"];
        let site = site(by, &args);
        assert_eq!(site.get("/h/open").status, 200, "{by:?}");
        assert_eq!(site.get("/h/closed/x").status, 403, "{by:?}");
        for path in ["/h/private", "/h/x/../private/y", "/h/private/../closed/../private"] {
            assert_eq!(site.get(path).status, 401, "{by:?}: {path}");
        }
        let login = ["Authorization: Basic bWU6c2VjcmV0"];
        let response = ask(&site, "GET", "/h/x/../private/y?env", &login);
        let text = response.text();
        // The handler sees the path that was judged.
        assert!(text.contains("REMOTE_USER=me\n") && text.contains("PATH_INFO=/private/y\n"), "{by:?}: {text}");
    }
}

#[test]
fn nothing_is_left_behind() {
    for by in By::all() {
        let site = site(by, &[]);
        let ten = || (0..10).for_each(|_| assert_eq!(site.get("/h?env").status, 200));
        ten();
        until("the next one is loaded", || site.children().len() == 1);
        let before = site.descriptors();
        for _ in 0..10 {
            ten();
        }
        until("descriptors are left", || site.descriptors() <= before && site.children().len() == 1);
        let workers = site.children();
        drop(site);
        for worker in workers {
            until("a worker is left", || !is_alive(&worker.to_string()));
        }
    }
}

/// As prometheus-node-exporter-lua does it: one prefix for everything, buffered output, the environment of the server.
#[test]
fn the_manner_of_prometheus_node_exporter_lua() {
    const EXPORTER: &str = include_str!("common_workers/exporter.lua");
    if !By::Lua.is_here() {
        return;
    }
    let site = By::Lua.site_at("/", &["-c", "/dev/null", "-S", "-D"], EXPORTER, &[]);
    let response = site.get("/metrics?collect[]=cpu&collect[]=time");
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4"));
    assert_eq!(response.text(), "# TYPE cpu gauge\ncpu true\n# TYPE time gauge\ntime true\n");
    let response = site.get("/");
    assert_eq!((response.status, response.text()), (404, "ERROR: File Not Found."));
}

/// What uhttpd gives Lua handlers, one by one.
#[test]
fn the_functions_of_lua_handlers() {
    const FUNCTIONS: &str = include_str!("common_workers/functions.lua");
    if !By::Lua.is_here() {
        return;
    }
    let site = By::Lua.site(&[], FUNCTIONS);
    let mut client = site.begin(request("POST", "/h?q", &["X-Y: z", "Content-Length: 5"], false) + "hello");
    let response = client.read_response();
    site.log(&["while loading"]);
    assert_eq!((response.status, response.header("content-type")), (201, Some("text/x-lua")));
    assert_eq!(response.text(), "1234a%20b%2f~_%25%ffA+/false 1.1z/h?q5 3hel 2lo 0");
    // Errors before the head are 500, and are logged.
    let site = By::Lua.site(&[], "function handle_request(env) uhttpd.send('X: y\\r\\n') error('broken') end");
    assert_eq!(site.get("/h").status, 500);
    site.log(&["/h: ", "broken"]);
}
