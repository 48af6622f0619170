//! CGI: what a script is told, what it may answer, the way its bytes take.

mod common;
mod common_cgi;
mod common_config;
mod common_files;

use common::{End, Framing, chunk, pattern, post, post_chunked};
use common_cgi::{Scripts, install, until};
use common_config::{Router, ask};
use common_files::{program, request};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::Duration;

/// Prints its environment, arguments and folder; the shell's own variable apart.
const TELL: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' \
                    | LC_ALL=C sort\necho \"argv0 $0\"\necho \"args $#\"\necho \"folder $(pwd)\"\n";

/// Sends the file that the query names, as it is.
const RAW: &str = "#!/bin/sh\nexec cat \"$DOCUMENT_ROOT/../$QUERY_STRING\"\n";

#[test]
fn a_script_is_told_of_its_request() {
    let site = Scripts::new(&[], &[("tell", TELL)]);
    let root = site.root.to_str().unwrap();
    let mut client = site.begin(
        "GET /cgi-bin/tell/a%20b//%c3%bc/?x=%20&y+z HTTP/1.1\r\nHost: router:81\r\nCookie: a=1\r\nX-Two: 1\r\nCookie: b=2\r\n\
         x-two: 2\r\nAuthorization: Basic eDp5\r\nProxy: http://evil/\r\nX_Under: 1\r\nAuth-User: root\r\nAuth-Pass: x\r\n\
         auth.user: root\r\nAccept-Language: de\r\nRange: bytes=0-1\r\nContent-Type: text/plain\r\n\r\n",
    );
    let reply = client.read_response();
    let (told, rest) = reply.text().split_once("argv0 ").unwrap();
    let port = told.split("REMOTE_PORT=").nth(1).unwrap().split('\n').next().unwrap();
    assert!(port.parse::<u16>().unwrap() > 0);
    let server = site.daemon.addr.port();
    let expected = format!(
        "CONTENT_TYPE=text/plain\nDOCUMENT_ROOT={root}\nGATEWAY_INTERFACE=CGI/1.1\nHTTP_ACCEPT_LANGUAGE=de\n\
         HTTP_AUTHORIZATION=Basic eDp5\nHTTP_COOKIE=a=1; b=2\nHTTP_HOST=router:81\nHTTP_RANGE=bytes=0-1\nHTTP_X_TWO=1, 2\n\
         PATH=/sbin:/usr/sbin:/bin:/usr/bin\nPATH_INFO=/a b/ü/\nQUERY_STRING=x=%20&y+z\nREDIRECT_STATUS=200\n\
         REMOTE_ADDR=127.0.0.1\nREMOTE_HOST=127.0.0.1\nREMOTE_PORT={port}\nREQUEST_METHOD=GET\n\
         REQUEST_URI=/cgi-bin/tell/a%20b//%c3%bc/?x=%20&y+z\nSCRIPT_FILENAME={root}/cgi-bin/tell\nSCRIPT_NAME=/cgi-bin/tell\n\
         SERVER_ADDR=127.0.0.1\nSERVER_NAME=127.0.0.1\nSERVER_PORT={server}\nSERVER_PROTOCOL=HTTP/1.1\nSERVER_SOFTWARE=ecohttpd\n"
    );
    assert_eq!(told, expected);
    assert_eq!(rest, format!("{root}/cgi-bin/tell\nargs 0\nfolder {root}\n"));

    let reply = site.begin("POST /cgi-bin/tell HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc").read_response();
    for line in ["CONTENT_LENGTH=3", "REQUEST_METHOD=POST", "SERVER_PROTOCOL=HTTP/1.0", "QUERY_STRING="] {
        assert!(reply.text().lines().any(|told| told == line), "{line}: {}", reply.text());
    }
    for absent in ["PATH_INFO", "CONTENT_TYPE", "HTTP_", "HTTPS", "REMOTE_USER"] {
        assert!(!reply.text().contains(absent), "{absent}: {}", reply.text());
    }
}

#[test]
fn a_script_is_told_the_host_that_the_request_is_for() {
    let site = Scripts::new(&[], &[("tell", TELL)]);
    for (target, version, fields, host) in [
        ("http://router:81/cgi-bin/tell", "1.1", "Host: evil\r\n", Some("router:81")),
        ("http://[::1]/cgi-bin/tell", "1.1", "Host: evil\r\n", Some("[::1]")),
        ("http://router/cgi-bin/tell", "1.0", "", Some("router")),
        ("/cgi-bin/tell", "1.1", "Host: Router:81\r\n", Some("Router:81")),
        ("/cgi-bin/tell", "1.1", "Host:\r\n", Some("")),
        ("/cgi-bin/tell", "1.0", "", None),
    ] {
        let reply = site.begin(format!("GET {target} HTTP/{version}\r\n{fields}\r\n")).read_response();
        let told: Vec<&str> = reply.text().lines().filter_map(|line| line.strip_prefix("HTTP_HOST=")).collect();
        assert_eq!(told, host.into_iter().collect::<Vec<_>>(), "{target} {fields}");
    }
}

#[test]
fn a_script_is_called_by_the_name_that_was_asked_for() {
    let site = Scripts::new(&["-i", ".txt=/bin/sh", "-x", "/cgi-bin"], &[]);
    install(&site.note("multi"), TELL);
    symlink(site.note("multi"), site.root.join("cgi-bin/upload")).unwrap();
    fs::write(site.root.join("tell.txt"), TELL).unwrap();
    let root = site.root.to_str().unwrap();
    let told = site.get("/cgi-bin/upload");
    assert!(told.text().contains(&format!("argv0 {root}/cgi-bin/upload\nargs 0\n")), "{}", told.text());
    let told = site.get("/tell.txt/info");
    assert!(told.text().contains(&format!("argv0 {root}/tell.txt\nargs 0\nfolder {root}\n")), "{}", told.text());
    assert!(told.text().contains("\nPATH_INFO=/info\n") && told.text().contains("\nSCRIPT_NAME=/tell.txt\n"));
}

#[test]
fn only_what_everybody_may_execute_is_run() {
    let site = Scripts::new(
        &["-i", ".txt=/etc/passwd"],
        &[("good", TELL), ("secret", TELL), ("broken", "#!/no/such\n"), ("none", "text")],
    );
    let secret = site.root.join("cgi-bin/secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o750)).unwrap();
    fs::write(site.root.join("x.txt"), "text").unwrap();
    for (target, status) in [("good", 200), ("secret", 403), ("broken", 500), ("none", 500), ("../x.txt", 500)] {
        let reply = site.get(&format!("/cgi-bin/{target}").replace("/cgi-bin/../", "/"));
        assert_eq!(reply.status, status, "{target}: {}", reply.text());
        assert!(!reply.text().contains("#!"), "{target}");
        if status == 500 {
            site.log(&["error", "cannot run it"]);
        }
    }
}

/// Errors of CGI are answered as any others: without the fields for what is at the path, by the error page if it is for them.
#[test]
fn what_fails_is_answered_as_any_error() {
    let router = Router::new();
    for (name, text) in [
        ("bad", "#!/bin/sh\necho no head\n"),
        ("broken", "#!/no/such\n"),
        ("secret", "#!/bin/sh\n"),
        ("stuck", "#!/bin/sh\nexec sleep 1000\n"),
        ("page", "#!/bin/sh\nprintf '\\nthe page'\n"),
    ] {
        router.write(&format!("root/cgi-bin/{name}"), text);
        let mode = if name == "secret" { 0o750 } else { 0o755 };
        fs::set_permissions(router.path(&format!("root/cgi-bin/{name}")), fs::Permissions::from_mode(mode)).unwrap();
    }
    let forbidden = "<h1>Forbidden</h1>You don't have permission to access /cgi-bin/secret on this server.";
    let missing = "<h1>Not Found</h1>The requested URL /none was not found on this server.";
    for (page, target, status, body) in [
        ("page", "/cgi-bin/bad", 502, "<h1>Bad Gateway</h1>"),
        ("page", "/cgi-bin/broken", 500, "<h1>Internal Server Error</h1>"),
        ("page", "/cgi-bin/stuck", 504, "<h1>Gateway Timeout</h1>"),
        ("page", "/cgi-bin/secret", 403, "the page"),
        ("page", "/none", 404, "the page"),
        // The page's own error is not the answer.
        ("secret", "/cgi-bin/secret", 403, forbidden),
        ("bad", "/none", 404, missing),
        ("broken", "/none", 404, missing),
        ("stuck", "/none", 404, missing),
    ] {
        router.section(&format!(
            " list header '/cgi-bin Cache-Control: immutable'\n option error_page /cgi-bin/{page}\n option script_timeout 1"
        ));
        let daemon = router.start(1);
        let reply = ask(daemon.addr, "GET", target, &[]);
        assert_eq!((reply.status, reply.text()), (status, body), "{page} {target}");
        assert_eq!(reply.header("cache-control"), None, "{page} {target}");
        // It was read, so the connection goes on.
        let mut client = daemon.connect();
        for _ in 0..2 {
            client.send(post(target, b"body"));
            let reply = client.read_response();
            assert!([status, 405].contains(&reply.status) && !reply.closes(), "{page} {target}: {reply:?}");
        }
    }
}

#[test]
fn a_script_inherits_nothing() {
    let script = "#!/bin/sh\nprintf 'X: y\\n\\n'\ngrep '^Sig[BI]' /proc/self/status\nfor fd in /proc/$$/fd/*; do [ -e $fd ] && echo ${fd##*/}; done\n\
                  read -r pid _ _ _ group _ </proc/$$/stat; echo $pid $group\n";
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' INT QUIT USR1; exec \"$@\" 7</dev/null 9>/dev/null", "sh"])
        .arg(program().get_program());
    command.args(program().get_args());
    let site = Scripts::run(command, &[], &[("look", script)]);
    let mut idle = site.begin_get("/cgi-bin/look");
    let reply = idle.read_response();
    let lines: Vec<&str> = reply.text().lines().collect();
    for line in &lines[..2] {
        // 32 to 34 may be the C library's own.
        let signals = u64::from_str_radix(line.split('\t').nth(1).unwrap(), 16).unwrap();
        assert_eq!(signals & !(0b111 << 31), 0, "{line}");
    }
    // 10 or 255 is where shells keep the script that they read.
    let descriptors: Vec<&str> =
        lines[2..lines.len() - 1].iter().copied().filter(|fd| !["10", "255"].contains(fd)).collect();
    assert_eq!(descriptors, ["0", "1", "2"]);
    let (pid, group) = lines[lines.len() - 1].split_once(' ').unwrap();
    assert_eq!(pid, group, "it leads a group of its own");
}

/// Output, and the reply that it makes: status and reason, fields that it has, body.
type Row = (&'static str, u16, &'static str, &'static [(&'static str, &'static str)], &'static str);

#[rustfmt::skip]
const REPLIES: &[Row] = &[
    ("Content-Type: a/b\n\nbody\n", 200, "OK", &[("content-type", "a/b")], "body\n"),
    ("Content-Type: a/b\r\n\r\nbody", 200, "OK", &[("content-type", "a/b")], "body"),
    ("Status: 404 Nothing Here\nA: b\n\nx", 404, "Nothing Here", &[("a", "b")], "x"),
    ("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nbody", 200, "OK", &[("content-type", "a/b")], "body"),
    ("HTTP/1.0 404 Nothing: Here\nA: b\n\nx", 404, "Nothing: Here", &[("a", "b")], "x"),
    ("HTTP/1.1 200 OK\nStatus: 403 No\n\nx", 403, "No", &[], "x"),
    ("HTTP/1.1 302 Found\nLocation: /x\n\n", 302, "Found", &[("location", "/x")], ""),
    ("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: close\n\n1\r\nx\r\n0\r\n\r\n", 200, "OK", &[], "x"),
    ("Status: 403\n\n", 403, "Forbidden", &[], ""),
    ("Set-Cookie: a\nSet-Cookie: b\n\n", 200, "OK", &[("set-cookie", "a"), ("set-cookie", "b")], ""),
    ("Location: http://elsewhere/\n\nmoved", 302, "Found", &[("location", "http://elsewhere/")], "moved"),
    ("Location: /x\nSet-Cookie: a\n\n", 302, "Found", &[("location", "/x"), ("set-cookie", "a")], ""),
    ("Status: 201 Created\nLocation: /x\n\n", 201, "Created", &[("location", "/x")], ""),
    ("Location: /cgi-bin/raw?target\n\n", 200, "OK", &[("x", "here")], "the target"),
    ("Location: /plain.txt\n\n", 404, "Not Found", &[], ""),
    ("Location: /cgi-bin/raw?loop\n\n", 500, "Internal Server Error", &[], ""),
    ("Status: 204 No Content", 204, "No Content", &[], ""),
    ("Connection: close\nKeep-Alive: 1\nTE: trailers\nA: b\n\nx", 200, "OK", &[("a", "b")], "x"),
    ("Transfer-Encoding: chunked\nA: b\n\n1\r\nx\r\n0\r\n\r\n", 200, "OK", &[("a", "b")], "x"),
    ("Transfer-Encoding: chunked\nContent-Length: 3\n\n02;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: x\r\n\r\nmore", 200, "OK", &[], "abc"),
    ("Transfer-Encoding: chunked\n\n0\r\n\r\n", 200, "OK", &[], ""),
    ("Content-Length: 5\n\nhello\n", 200, "OK", &[("content-length", "5")], "hello"),
    ("\nno fields", 200, "OK", &[], "no fields"),
];

#[test]
fn the_head_of_a_scripts_output() {
    let site = Scripts::new(&[], &[("raw", RAW)]);
    fs::write(site.note("target"), "X: here\n\nthe target").unwrap();
    fs::write(site.note("loop"), "Location: /cgi-bin/raw?loop\n\n").unwrap();
    for (output, status, reason, fields, body) in REPLIES {
        fs::write(site.note("out"), output).unwrap();
        let mut client = site.begin(request("GET", "/cgi-bin/raw?out", &[], false));
        let reply = client.read_response();
        assert_eq!((reply.status, reply.reason.as_str()), (*status, *reason), "{output:?}");
        if !body.is_empty() {
            assert_eq!(reply.text(), *body, "{output:?}");
        }
        for name in fields.iter().map(|(name, _)| name) {
            let wanted: Vec<&str> = fields.iter().filter(|(n, _)| n == name).map(|(_, value)| *value).collect();
            assert_eq!(reply.all(name).collect::<Vec<_>>(), wanted, "{output:?}");
        }
        for hop in ["keep-alive", "status"] {
            assert_eq!(reply.header(hop), None, "{output:?}");
        }
        assert!(!reply.closes(), "{output:?}: a script does not close the connection");

        let mut client = site.begin(request("HEAD", "/cgi-bin/raw?out", &[], true));
        assert_eq!(client.read_head_response().status, *status, "HEAD: {output:?}");
        client.expect_close();
    }
}

/// Output that is no reply, and the reason that the log gives.
const BAD: &[(&str, &str)] = &[
    ("", "no output"),
    ("hello\n", "without a colon"),
    ("<html>\n\n<body>", "without a colon"),
    ("A: b\nhello\n\n", "without a colon"),
    ("A b: c\n\n", "invalid field name"),
    ("A: b\x1b\n\n", "control character"),
    ("A: b\n folded\n\n", "without a colon"),
    ("A: b\nHTTP/1.1 200 OK\n\n", "without a colon"),
    ("HTTP/1.1 200 a\x1b\n\n", "control character"),
    ("Content-Length: 1\nContent-Length: 2\n\n", "conflicting Content-Length"),
    ("Content-Length: -1\n\n", "Content-Length"),
    ("Transfer-Encoding: gzip\n\n", "Transfer-Encoding"),
    ("Transfer-Encoding: gzip, chunked\n\n", "Transfer-Encoding"),
];

#[test]
fn what_is_no_reply_is_answered_with_502() {
    let site = Scripts::new(&[], &[("raw", RAW)]);
    let long = ["A: ", &"b".repeat(9000), "\n\n"].concat();
    let endless = "A: b\n".repeat(100_000);
    for (output, reason) in BAD.iter().copied().chain([(&*long, "8 KiB"), (&*endless, "64 KiB")]) {
        fs::write(site.note("out"), output).unwrap();
        let reply = site.get("/cgi-bin/raw?out");
        assert_eq!(reply.status, 502, "{reason}");
        assert_eq!(reply.all("a").count(), 0, "nothing of a bad head is sent");
        site.log(&["error", "127.0.0.1:", "/cgi-bin/raw", "502", reason]);
    }
    site.await_no_children();
}

/// What uhttpd passes: values in any charset, a head of many lines; and what it ignores: an invalid status.
#[test]
fn what_uhttpd_passes_is_passed() {
    let site = Scripts::new(&[], &[("raw", RAW)]);
    fs::write(site.note("latin"), b"X-Name: caf\xe9\t\x80\xff\n\nbody").unwrap();
    let reply = site.begin(request("GET", "/cgi-bin/raw?latin", &[], true)).rest().0;
    let has = |wanted: &[u8]| reply.windows(wanted.len()).any(|window| window == wanted);
    assert!(has(b"\r\nX-Name: caf\xe9\t\x80\xff\r\n") && has(b"body"), "{}", reply.escape_ascii());

    let cookies: String = (0..60).map(|n| format!("Set-Cookie: c{n}={}\n", "x".repeat(900))).collect();
    fs::write(site.note("long"), format!("{cookies}\nbody")).unwrap();
    let reply = site.get("/cgi-bin/raw?long");
    assert_eq!((reply.status, reply.all("set-cookie").count(), reply.text()), (200, 60, "body"));

    for status in ["none", "101 Switching Protocols", "404Not", "", "2000 X"] {
        fs::write(site.note("odd"), format!("Status: {status}\nA: b\n\nbody")).unwrap();
        let reply = site.get("/cgi-bin/raw?odd");
        assert_eq!((reply.status, reply.header("a"), reply.text()), (200, Some("b"), "body"), "{status:?}");
        site.log(&["warn", "127.0.0.1:", "/cgi-bin/raw", "Status", status]);
    }
}

#[test]
fn a_content_length_is_kept_to() {
    let site =
        Scripts::new(&[], &[("raw", RAW), ("endless", "#!/bin/sh\nprintf 'Content-Length: 10\\n\\n'; exec yes\n")]);
    fs::write(site.note("short"), "Content-Length: 10\n\nshort").unwrap();
    let mut client = site.begin_get("/cgi-bin/raw?short");
    assert!(client.try_response(false).is_err(), "a reply that is too short must not look whole");
    let (rest, end) = client.rest();
    assert!(end == End::Eof && rest.ends_with(b"\r\n\r\nshort"), "{end:?} {}", rest.escape_ascii());
    let mut client = site.begin_get("/cgi-bin/endless");
    assert_eq!(client.read_response().text(), "y\ny\ny\ny\ny\n");
    client.send(request("GET", "/cgi-bin/raw?short", &[], false));
    assert!(client.try_response(false).is_err());
    site.await_no_children();
}

#[test]
fn bodies_reach_scripts_in_both_framings() {
    let site = Scripts::new(&[], &[("echo", "#!/bin/sh\nprintf \"X-Length: $CONTENT_LENGTH\\n\\n\"\nexec cat\n")]);
    // Up to 64 KiB are there before the script is.
    for size in [40_000, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 300_000] {
        let body = pattern(size);
        let length = size.to_string();
        for bytes in [post("/cgi-bin/echo", &body), post_chunked("/cgi-bin/echo", &body, 999)] {
            let stream = TcpStream::connect(site.daemon.addr).unwrap();
            let mut sender = stream.try_clone().unwrap();
            let sent = std::thread::spawn(move || sender.write_all(&bytes).unwrap());
            let reply = common::Client::new(stream).read_response();
            sent.join().unwrap();
            assert_eq!(reply.header("x-length"), Some(&*length));
            assert!(reply.body == body, "{} of {size} bytes", reply.body.len());
        }
    }
    assert_eq!(site.begin(post("/cgi-bin/echo", b"")).read_response().text(), "");
    let mut client =
        site.begin("POST /cgi-bin/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.read_response().status, 100);
    client.send("ab");
    assert_eq!(client.read_response().text(), "ab");
    client.send(request("GET", "/cgi-bin/echo", &[], false));
    assert_eq!(client.read_response().text(), "", "the connection goes on");
}

/// What a script that was killed has written is not all that it had to say; its status says nothing of that.
#[test]
fn a_reply_of_a_script_that_was_killed_looks_cut() {
    let site = Scripts::new(&[], &[("run", "#!/bin/sh\neval \"$(cat ../run)\"\n")]);
    let half = "printf 'A: b\\n\\nhalf'";
    for (commands, whole) in [
        (format!("{half}; kill -9 $$"), false),
        (format!("{half}; kill -11 $$"), false),
        (format!("{half}; sleep 1000 & kill -9 $$"), false),
        (format!("{half}; head -c 1000000 /dev/zero; kill -9 $$"), false),
        ("printf 'A: b\\n\\n'; kill -9 $$".into(), false),
        (format!("{half}; exit 3"), true),
        (format!("{half}; exit 137"), true),
        (format!("{half}; exec >&-; sleep 1; kill -9 $$"), true),
        ("printf 'Content-Length: 4\\n\\nhalf'; kill -9 $$".into(), true),
    ] {
        fs::write(site.note("run"), &commands).unwrap();
        let reply = site.begin_get("/cgi-bin/run").try_response(false);
        assert_eq!(reply.is_ok_and(|reply| reply.text() == "half"), whole, "{commands}");
        let mut client = site.begin("GET /cgi-bin/run HTTP/1.0\r\n\r\n");
        assert_eq!(client.try_response(false).is_ok(), whole, "1.0: {commands}");
        if !whole {
            (0..2).for_each(|_| drop(site.log(&["error", "/cgi-bin/run", "signal", "cut"])));
        }
    }
    for head in ["", "A: b", "A: b\\n"] {
        fs::write(site.note("run"), format!("printf '{head}'; kill -9 $$")).unwrap();
        assert_eq!(site.get("/cgi-bin/run").status, 502, "{head:?}");
        site.log(&["error", "/cgi-bin/run", "502", "signal 9"]);
    }
}

/// What passes in each direction.
const LARGE: usize = 300 << 20;

#[test]
fn large_bodies_pass_in_constant_memory() {
    let site = Scripts::new(
        &[],
        &[
            ("count", "#!/bin/sh\nprintf '\\n'; exec wc -c\n"),
            ("zeros", "#!/bin/sh\nprintf 'A: b\\n\\n'; exec head -c $QUERY_STRING /dev/zero\n"),
        ],
    );
    assert_eq!(site.get("/cgi-bin/zeros?1000000").body.len(), 1_000_000);
    let before = site.pss();
    let piece = vec![0; 1 << 20];
    let mut client = site.begin(format!("POST /cgi-bin/count HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"));
    (0..LARGE >> 20).for_each(|_| client.send(&piece));
    assert_eq!(client.read_response().text().trim(), LARGE.to_string());
    let mut client = site.begin_get(&format!("/cgi-bin/zeros?{LARGE}"));
    let mut got = 0;
    while got < LARGE {
        got += client.skim(1 << 20);
    }
    let after = site.pss();
    assert!(after < before + 500, "{before} KiB before, {after} KiB after");
    site.await_no_children();
}

#[test]
fn a_script_need_not_read_its_body() {
    let site = Scripts::new(
        &[],
        &[
            ("deaf", "#!/bin/sh\nprintf 'A: b\\n\\nno'\n"),
            ("closed", "#!/bin/sh\nexec <&-\nsleep 0.1\nprintf 'A: b\\n\\nno'\n"),
        ],
    );
    for name in ["deaf", "closed"] {
        let path = format!("/cgi-bin/{name}");
        assert_eq!(site.begin(post(&path, &pattern(60_000))).read_response().text(), "no");
        let mut client = site.begin(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n"));
        // It may be answered, and the connection closed, in the middle of this.
        while client.try_send(pattern(100_000)).is_ok() && site.children().iter().any(|_| true) {}
        assert_eq!(client.read_response().text(), "no");
    }
}

#[test]
fn a_reply_ends_with_the_output_though_the_script_lives_on() {
    let script = "#!/bin/sh\nprintf 'A: b\\n\\ndone'\nexec >&-\nwhile [ -d $DOCUMENT_ROOT ] && ! [ -e ../go ]; do sleep 0.02; done\necho on >../went\n";
    let site = Scripts::new(&["-n", "1"], &[("on", script), ("next", "#!/bin/sh\nprintf '\\nnext'\n")]);
    assert_eq!(site.get("/cgi-bin/on").text(), "done");
    assert_eq!(site.children().len(), 1, "it lives");
    let mut waiting = site.begin_get("/cgi-bin/next");
    fs::write(site.note("go"), "").unwrap();
    assert_eq!(waiting.read_response().text(), "next", "its place is free when it has ended");
    assert_eq!(site.await_note("went", |text| !text.is_empty()), "on\n");
    site.await_no_children();
}

#[test]
fn a_reply_ends_with_the_script_though_a_grandchild_holds_its_output() {
    let script = "#!/bin/sh\nprintf 'A: b\\n\\n'\nhead -c 60000 /dev/zero\nsh -c 'while [ -d $DOCUMENT_ROOT ] && ! [ -e ../go ]; do sleep 0.02; done; \
                  echo late >&2; echo on >../went' &\n";
    let noisy = "#!/bin/sh\nprintf 'A: b\\n\\n'\nyes &\necho $! >../yes\n";
    let site = Scripts::new(&["-n", "1"], &[("held", script), ("noisy", noisy)]);
    assert_eq!(site.get("/cgi-bin/held").body.len(), 60_000, "all that it wrote itself");
    site.await_no_children();
    // The one that it left behind is left alone, and heard.
    fs::write(site.note("go"), "").unwrap();
    site.log(&["/cgi-bin/held", "late"]);
    site.await_note("went", |text| text == "on\n");
    // It ends: beside 1 MiB read after the script's end there is what came before, more the longer its shell takes.
    assert!(!site.get("/cgi-bin/noisy").body.is_empty());
    let yes: u32 = site.await_note("yes", |text| text.ends_with('\n')).trim().parse().unwrap();
    until("it writes on", || !common_cgi::runs(yes));
}

#[test]
fn standard_error_goes_to_the_log() {
    let script = "#!/bin/sh\necho '[info] luci: accepted login on / for root from 10.0.0.1' >&2\nprintf 'A: b\\n\\n'\n\
                  printf 'red \\033[31m \\377\\n%02000d\\nlast' 7 >&2\n";
    let site = Scripts::new(&[], &[("loud", script)]);
    site.get("/cgi-bin/loud/%0aforged");
    let line = site.log(&["luci"]);
    assert!(line.ends_with(": /cgi-bin/loud: [info] luci: accepted login on / for root from 10.0.0.1"), "{line}");
    assert!(line.contains(" 127.0.0.1:"), "{line}");
    assert!(site.log(&["red"]).ends_with("red \\x1b[31m \\xff"));
    let (first, second) = (site.log(&["0000"]), site.log(&["0000"]));
    assert!(first.ends_with(&format!(": {:01024}", 0)) && second.ends_with(&format!(": {:0976}", 7)));
    assert!(site.log(&["last"]).ends_with(": last"));
}

/// What scripts leave behind may hold their standard error for ever, but not as many descriptors of ours as there are scripts.
#[test]
fn only_so_many_leftovers_are_heard() {
    let script = "#!/bin/sh\nprintf '\\n'\nsh -c 'while [ -d $DOCUMENT_ROOT ] && ! [ -e ../go ]; do sleep 0.1; done; echo late $0 >&2' $QUERY_STRING >&- &\n";
    let site = Scripts::new(&[], &[("leave", script)]);
    for number in 0..40 {
        assert_eq!(site.get(&format!("/cgi-bin/leave?{number}")).status, 200);
    }
    (0..8).for_each(|_| drop(site.log(&["/cgi-bin/leave", "standard error discarded"])));
    site.await_no_children();
    assert!(site.descriptors() < 32 + 30, "{} descriptors", site.descriptors());
    fs::write(site.note("go"), "").unwrap();
    (0..32).for_each(|_| drop(site.log(&["/cgi-bin/leave: late"])));
    until("descriptors leak", || site.descriptors() < 30);
}

/// A form-encoded POST is answered with a file, as cgi-download does.
#[test]
fn a_form_is_answered_with_a_download() {
    let script = "#!/bin/sh\nform=$(head -c $CONTENT_LENGTH)\nprintf 'Status: 200 OK\\r\\nContent-Length: 100000\\r\\n'\n\
                  printf 'Content-Disposition: attachment; filename=\"%s\"\\r\\n\\r\\n' \"$form\"\nexec head -c 100000 /dev/zero\n";
    let site = Scripts::new(&[], &[("cgi-download", script)]);
    let mut client = site.begin(post("/cgi-bin/cgi-download", b"sessionid=1&path=%2Fetc"));
    let reply = client.read_response();
    assert_eq!((reply.framing, reply.body.len()), (Framing::Length, 100_000));
    assert_eq!(reply.header("content-disposition"), Some("attachment; filename=\"sessionid=1&path=%2Fetc\""));
    client.send(post("/cgi-bin/cgi-download", b"x"));
    assert_eq!(client.read_response().status, 200, "the connection goes on");
}

/// What takes longer than `-t` as a whole, but never stands still, passes; the script answers only at the end.
#[test]
fn an_upload_may_take_longer_than_a_script() {
    let script = "#!/bin/sh\nprintf '%s %s' \"$CONTENT_TYPE\" $(wc -c) >../got\nprintf 'Content-Type: text/plain\\n\\n'\ncat ../got\n";
    let site = Scripts::new(&["-t", "1"], &[("cgi-upload", script)]);
    let part = pattern(8 << 20);
    let (head, tail) =
        ("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"fw.bin\"\r\n\r\n", "\r\n--b--\r\n");
    let length = head.len() + 8 * part.len() + tail.len();
    let mut client = site.begin(format!(
        "POST /cgi-bin/cgi-upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n{head}"
    ));
    for _ in 0..8 {
        client.send(&part);
        std::thread::sleep(Duration::from_millis(250));
    }
    client.send(tail);
    assert_eq!(client.read_response().text(), format!("multipart/form-data; boundary=b {length}"));
    // In chunks, a little at a time.
    let mut stream = TcpStream::connect(site.daemon.addr).unwrap();
    stream.write_all(b"POST /cgi-bin/cgi-upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..8 {
        stream.write_all(&chunk("x".repeat(2000))).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    stream.write_all(&chunk("")).unwrap();
    assert_eq!(common::Client::new(stream).read_response().text(), " 16000");
}

/// Other servers pass a query as it is; what it means is the script's affair.
#[test]
fn scripts_get_the_query_as_it_was_sent() {
    let site = Scripts::new(&[], &[("env", "#!/bin/sh\nprintf '\\n%s\\n%s' \"$QUERY_STRING\" \"$REQUEST_URI\"\n")]);
    for query in [&b"100%&b=%zz%"[..], "q=caf\u{e9}".as_bytes(), b"q=caf\xe9\xff", b"a?b=%20"] {
        let mut client = site.begin([b"GET /cgi-bin/env?", query, b" HTTP/1.1\r\nHost: t\r\n\r\n"].concat());
        let expected = [query, b"\n/cgi-bin/env?", query].concat();
        assert_eq!(client.read_response().body.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}

/// What floods its standard error takes neither the server's time nor the log's room, and the log says what it lacks.
#[test]
fn a_flood_of_errors_is_cut_short() {
    let flood = "#!/bin/sh\nyes 'a line of errors' >&2 &\necho $! >../flood\nprintf '\\n'\nwait\n";
    let site = Scripts::new(&[], &[("flood", flood)]);
    fs::write(site.root.join("file"), "content").unwrap();
    let _client = site.begin_get("/cgi-bin/flood");
    site.await_note("flood", |pid| pid.ends_with('\n'));
    site.log(&["a line of errors"]);
    // It goes on for two seconds at least, and all that time the server answers.
    let (mut lines, mut reports) = (0, 0);
    for _ in 0..100_000 {
        assert_eq!(site.get("/file").text(), "content");
        while let Some(line) = site.next_log() {
            assert!(line.contains("/cgi-bin/flood"), "{line}");
            if line.contains("lines of standard error: more than") {
                reports += 1;
            } else {
                lines += 1;
            }
        }
        if reports == 2 {
            break;
        }
    }
    assert_eq!(reports, 2);
    assert!(lines <= 300, "{lines} lines in three seconds at the most");
}
