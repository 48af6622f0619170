//! What browsers ask for beside files: pages that an application makes itself, and whether another origin's page may ask.

#![allow(clippy::unwrap_used)]

mod common;
mod common_cgi;
mod common_config;
mod common_files;

use common_cgi::install;
use common_config::{Router, ask};
use common_files::Daemon;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// A site with an application, a script, and files of other kinds; all that `lines` says besides.
fn site(lines: &str) -> (Router, Daemon) {
    let router = Router::new();
    router.write("root/app.html", "application");
    router.write("root/assets/style.css", "style");
    router.write("root/secret/file.txt", "HIDDEN");
    router.write("root/hidden", "private");
    fs::set_permissions(router.path("root/hidden"), Permissions::from_mode(0o600)).unwrap();
    fs::create_dir_all(router.path("root/cgi-bin")).unwrap();
    let script = "#!/bin/sh\nprintf 'X-Method: %s\\n\\nscript' \"$REQUEST_METHOD\"\n";
    install(Path::new(&router.path("root/cgi-bin/script")), script);
    install(Path::new(&router.path("root/cgi-bin/lost")), "#!/bin/sh\nprintf 'Location: /nowhere\\n\\n'\n");
    router.section(&format!("option no_dirlists 1\n {lines}"));
    let daemon = router.start(1);
    (router, daemon)
}

#[test]
fn an_application_makes_its_paths_itself() {
    let (_router, daemon) = site("option fallback '/app.html'\n list header '/assets Cache-Control: immutable'");
    #[rustfmt::skip]
    let rows: &[(&str, &str, &[&str], u16, &str)] = &[
        ("GET", "/inbox/7?x=y", &[BROWSER], 200, "application"),
        ("GET", "/inbox/", &[BROWSER], 200, "application"),
        ("GET", "/inbox", &["Accept: TEXT/HTML ; charset=x"], 200, "application"),
        ("GET", "/inbox", &["Accept: image/png, text/html;q=0.1"], 200, "application"),
        ("GET", "/inbox", &["Accept: text/html; q=1.000"], 200, "application"),
        ("HEAD", "/inbox", &[BROWSER], 200, ""),
        ("GET", "/assets/old.html", &[BROWSER], 200, "application"),
        ("GET", "/file.txt/more", &[BROWSER], 200, "application"),
        ("GET", "/inbox", &["Accept: */*"], 404, "Not Found"),
        ("GET", "/inbox", &["Accept: text/*, image/png"], 404, "Not Found"),
        ("GET", "/inbox", &["Accept: text/html;q=0, */*"], 404, "Not Found"),
        ("GET", "/inbox", &["Accept: text/html ; Q=0.00"], 404, "Not Found"),
        ("GET", "/inbox", &["Accept: text/htm"], 404, "Not Found"),
        ("GET", "/inbox", &["Accept: text/html-sandboxed"], 404, "Not Found"),
        ("GET", "/inbox", &[], 404, "Not Found"),
        ("POST", "/inbox", &[BROWSER], 405, "Not Allowed"),
        ("OPTIONS", "/inbox", &[BROWSER], 204, ""),
        ("GET", "/file.txt", &[BROWSER], 200, "content"),
        ("GET", "/", &[BROWSER], 200, "home"),
        ("GET", "/assets", &[BROWSER], 301, ""),
        ("GET", "/assets/", &[BROWSER], 403, "Forbidden"),
        ("GET", "/hidden", &[BROWSER], 403, "Forbidden"),
        ("GET", "/../x", &[BROWSER], 403, "Forbidden"),
        ("GET", "/cgi-bin/missing", &[BROWSER], 404, "Not Found"),
        ("GET", "/cgi-bin/lost", &[BROWSER], 404, "Not Found"),
        ("GET", "/cgi-bin/script", &[BROWSER], 200, "script"),
    ];
    for &(method, target, fields, status, body) in rows {
        let reply = ask(daemon.addr, method, target, fields);
        assert_eq!(reply.status, status, "{method} {target} {fields:?}");
        assert!(reply.text().contains(body), "{method} {target} {fields:?}: {reply:?}");
        let cached = reply.header("cache-control").is_some();
        assert!(body != "application" || !cached, "{method} {target}: the page's fields, not those of its place");
    }
    let page = ask(daemon.addr, "GET", "/inbox", &[BROWSER]);
    assert!(page.has_token("vary", "Accept") && page.header("content-type").unwrap().starts_with("text/html"));
    let tag = format!("If-None-Match: {}", page.header("etag").unwrap());
    assert_eq!(ask(daemon.addr, "GET", "/outbox", &[BROWSER, &tag]).status, 304);
}

#[test]
fn an_application_that_is_none_leaves_the_404() {
    for page in ["/none.html", "/cgi-bin/none", "/hidden/x", "/assets/none/"] {
        let (_router, daemon) = site(&format!("option fallback '{page}'"));
        let reply = ask(daemon.addr, "GET", "/inbox", &[BROWSER]);
        assert_eq!(reply.status, 404, "{page}: {reply:?}");
        assert!(reply.text().contains("/inbox was not found"), "{page}: {reply:?}");
    }
}

/// A front controller.
#[test]
fn an_application_may_be_a_script() {
    let (router, daemon) = site("option fallback '/cgi-bin/app'");
    let script = "#!/bin/sh\nprintf '\\n%s' \"$REQUEST_URI $QUERY_STRING $REDIRECT_STATUS\"\n";
    install(Path::new(&router.path("root/cgi-bin/app")), script);
    let reply = ask(daemon.addr, "GET", "/inbox?x=y", &[BROWSER]);
    assert_eq!((reply.status, reply.text()), (200, "/inbox?x=y x=y 200"));
    assert_eq!(ask(daemon.addr, "GET", "/inbox?x=y", &["Accept: */*"]).status, 404);
}

#[test]
fn the_error_page_is_for_what_is_no_page() {
    let (router, daemon) = site("option fallback '/app.html'\n option error_page '/lost.html'");
    router.write("root/lost.html", "lost");
    assert_eq!(ask(daemon.addr, "GET", "/inbox", &[BROWSER]).text(), "application");
    let reply = ask(daemon.addr, "GET", "/x.png", &["Accept: image/png"]);
    assert_eq!((reply.status, reply.text()), (404, "lost"));
}

#[test]
fn the_application_is_behind_its_login() {
    let logins = "list httpauth l\nconfig httpauth l\n option prefix /\n option username u\n option password p";
    let (_router, daemon) = site(&format!("option fallback '/app.html'\n {logins}"));
    assert_eq!(ask(daemon.addr, "GET", "/inbox", &[BROWSER]).status, 401);
    let reply = ask(daemon.addr, "GET", "/inbox", &[BROWSER, "Authorization: Basic dTpw"]);
    assert_eq!((reply.status, reply.text()), (200, "application"));
    // Though what is missing is open to all.
    let logins = logins.replace("prefix /", "prefix /secret");
    let (_router, daemon) = site(&format!("option fallback '/secret/file.txt'\n {logins}"));
    let reply = ask(daemon.addr, "GET", "/inbox", &[BROWSER]);
    assert!(reply.status == 401 && !reply.text().contains("HIDDEN"), "{reply:?}");
}

const PREFLIGHT: [&str; 2] = ["Origin: http://app.lan", "Access-Control-Request-Method: PUT"];

/// As LuCI names the version of its files.
#[test]
fn a_header_for_a_parameter() {
    let (router, daemon) = site("list header '/assets?v X-Version: x'\n list header '/assets X-All: x'");
    router.write("root/assets/a.js", "");
    router.write("root/index.html", "");
    for (target, has) in [
        ("/assets/a.js?v=1", true),
        ("/assets/a.js?v", true),
        ("/assets/a.js?a&v=", true),
        ("/assets/a.js", false),
        ("/assets/a.js?", false),
        ("/assets/a.js?vv=1", false),
        ("/assets/a.js?a=v", false),
    ] {
        let response = daemon.get(target);
        assert_eq!((response.status, response.header("x-all")), (200, Some("x")), "{target}");
        assert_eq!(response.header("x-version").is_some(), has, "{target}");
    }
    assert_eq!(daemon.get("/index.html?v=1").header("x-version"), None);
    assert_eq!(daemon.get("/assets/b.js?v=1").header("x-version"), None, "not for errors");
}

const CORS: &str = "list header '/api Access-Control-Allow-Origin: http://app.lan'\n \
    list header '/api Access-Control-Allow-Methods: PUT, DELETE'\n \
    list header '/api access-control-allow-headers: X-Token'\n \
    list header '/api Access-Control-Max-Age: 600'\n \
    list header '/api Vary: Origin'\n \
    list header '/cgi-bin/script Access-Control-Allow-Origin: *'\n \
    list header 'X-Extra: x'\n \
    list header '/methods Access-Control-Allow-Methods: PUT'\n \
    list alias /api=/cgi-bin/script";

#[test]
fn pages_of_other_origins_are_let_in_by_header_lines() {
    let (_router, daemon) = site(CORS);
    for target in ["/api", "/api/users/7", "/api/?x"] {
        let reply = ask(daemon.addr, "OPTIONS", target, &PREFLIGHT);
        assert_eq!((reply.status, reply.text()), (204, ""), "{target}");
        for (name, value) in [
            ("access-control-allow-origin", Some("http://app.lan")),
            ("access-control-allow-methods", Some("PUT, DELETE")),
            ("access-control-allow-headers", Some("X-Token")),
            ("access-control-max-age", Some("600")),
            ("vary", Some("Origin")),
            ("x-extra", None),
            ("allow", None),
            ("x-method", None),
        ] {
            assert_eq!(reply.header(name), value, "{target}: {name}");
        }
    }
    let script = ask(daemon.addr, "OPTIONS", "/cgi-bin/script", &PREFLIGHT);
    assert_eq!((script.status, script.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(script.header("x-method"), None, "the script was not asked");
    // What is no preflight, or not let in by any line, is answered as ever.
    for (target, fields) in [("/file.txt", &PREFLIGHT[..]), ("/apiary", &PREFLIGHT), ("/methods", &PREFLIGHT)] {
        let reply = ask(daemon.addr, "OPTIONS", target, fields);
        assert_eq!((reply.status, reply.header("allow")), (204, Some("GET, HEAD, OPTIONS")), "{target}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{target}");
    }
    for fields in [&PREFLIGHT[..1], &PREFLIGHT[1..], &[]] {
        let reply = ask(daemon.addr, "OPTIONS", "/cgi-bin/script", fields);
        assert_eq!((reply.text(), reply.header("x-method")), ("script", Some("OPTIONS")), "{fields:?}");
    }
    let reply = ask(daemon.addr, "PUT", "/cgi-bin/script", &PREFLIGHT);
    assert_eq!((reply.text(), reply.header("x-method")), ("script", Some("PUT")), "only OPTIONS asks first");
}

#[test]
fn scripts_that_no_line_covers_answer_for_themselves() {
    let (_router, daemon) = site("list header '/other Access-Control-Allow-Origin: *'");
    let reply = ask(daemon.addr, "OPTIONS", "/cgi-bin/script", &PREFLIGHT);
    assert_eq!((reply.text(), reply.header("x-method")), ("script", Some("OPTIONS")));
}

/// Browsers ask without the login that the request itself will have.
#[test]
fn a_preflight_needs_no_login_and_gets_nothing_else() {
    let logins = "list httpauth l\nconfig httpauth l\n option prefix /\n option username u\n option password p";
    let (_router, daemon) = site(&format!("{CORS}\n {logins}"));
    let reply = ask(daemon.addr, "OPTIONS", "/api/users", &PREFLIGHT);
    assert_eq!((reply.status, reply.header("x-extra")), (204, None));
    for (method, target, fields) in [
        ("OPTIONS", "/api/users", &PREFLIGHT[..1]),
        ("OPTIONS", "/file.txt", &PREFLIGHT),
        ("PUT", "/api/users", &PREFLIGHT),
        ("GET", "/api/users", &PREFLIGHT),
    ] {
        assert_eq!(ask(daemon.addr, method, target, fields).status, 401, "{method} {target} {fields:?}");
    }
}

/// `/ubus` has rules of its own: a page of another origin can't be let in by a line for everything.
#[cfg(feature = "ubus")]
#[test]
fn ubus_decides_for_itself() {
    let (_router, daemon) = site(
        "option ubus_prefix /ubus\n list header 'Access-Control-Allow-Methods: DELETE'\n \
        list header 'Access-Control-Allow-Origin: *'",
    );
    let reply = ask(daemon.addr, "OPTIONS", "/ubus", &PREFLIGHT);
    assert_eq!(reply.status, 403);
    assert_eq!(
        ask(daemon.addr, "OPTIONS", "/ubusx", &PREFLIGHT).header("access-control-allow-methods"),
        Some("DELETE")
    );
}
