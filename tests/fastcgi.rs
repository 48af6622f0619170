//! FastCGI: what a server is told, and what of its output the client gets; and PHP's own server, where it is installed.
#![cfg(feature = "proxy")]

mod common;
mod common_config;
mod common_files;
mod common_upstream;

use common::{Framing, skip};
use common_config::{Router, ask, until};
use common_files::{Daemon, request};
use common_upstream::{Backend, Peer, closed_port};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

const HELLO: &[u8] = b"Content-Type: text/plain\r\n\r\nhello";

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[1, kind, 0, 1, length[0], length[1], 0, 0], content].concat()
}

fn end(status: u8, refusal: u8) -> Vec<u8> {
    record(END, &[0, 0, 0, status, refusal, 0, 0, 0])
}

/// An answer of output alone.
fn answer(output: &[u8]) -> Vec<u8> {
    [record(STDOUT, output), record(STDOUT, b""), end(0, 0)].concat()
}

/// Reads a record: its kind and content.
fn read_record(peer: &mut Peer) -> (u8, Vec<u8>) {
    let head = peer.read_exact(8);
    assert_eq!((head[0], head[2], head[3]), (1, 0, 1), "version and id");
    let content = peer.read_exact(usize::from(u16::from_be_bytes([head[4], head[5]])));
    peer.read_exact(head[6].into());
    (head[1], content)
}

/// The variables of a request.
fn read_params(peer: &mut Peer) -> BTreeMap<String, String> {
    assert_eq!(read_record(peer), (BEGIN, vec![0, 1, 1, 0, 0, 0, 0, 0]), "a responder that keeps the connection");
    let mut params = Vec::new();
    loop {
        let (kind, content) = read_record(peer);
        assert_eq!(kind, PARAMS);
        if content.is_empty() {
            break;
        }
        params.extend(content);
    }
    let mut rest = &params[..];
    let length = |rest: &mut &[u8]| {
        let (size, length) = match rest[0] {
            short @ ..0x80 => (1, usize::from(short)),
            _ => (4, usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap()) & 0x7fff_ffff).unwrap()),
        };
        *rest = &rest[size..];
        length
    };
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        let (name, value) = (length(&mut rest), length(&mut rest));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert!(found.insert(text(&rest[..name]), text(&rest[name..name + value])).is_none());
        rest = &rest[name + value..];
    }
    found
}

/// The body of a request.
fn read_stdin(peer: &mut Peer) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let (kind, content) = read_record(peer);
        assert_eq!(kind, STDIN);
        if content.is_empty() {
            return body;
        }
        body.extend(content);
    }
}

fn site(value: &str, more: &[&str]) -> (Router, Daemon, Backend) {
    let (router, backend) = (Router::new(), Backend::tcp());
    router.write("root/x.php", "<?php echo 'source';");
    router.write("root/folder/index.php", "<?php echo 'source';");
    let value = value.replace('@', &format!("127.0.0.1:{}", backend.port));
    let daemon = router.start_by(&[&["--fastcgi", &value], more].concat());
    (router, daemon, backend)
}

#[test]
fn files_of_an_extension_are_run() {
    let (router, daemon, backend) = site(".php=@", &["-I", "index.php"]);
    let mut client = daemon.connect();
    client.send("GET /x.php/info/y?a=b HTTP/1.1\r\nHost: router.lan\r\nX-Y: 1\r\nx-y: 2\r\nProxy: evil\r\n\r\n");
    let mut peer = backend.accept();
    let params = read_params(&mut peer);
    assert_eq!(read_stdin(&mut peer), b"");
    let file = router.path("root/x.php");
    #[rustfmt::skip]
    let wanted = [
        ("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/x.php"), ("SCRIPT_FILENAME", file.as_str()), ("PATH_INFO", "/info/y"),
        ("QUERY_STRING", "a=b"), ("REQUEST_URI", "/x.php/info/y?a=b"), ("HTTP_HOST", "router.lan"), ("HTTP_X_Y", "1, 2"),
        ("GATEWAY_INTERFACE", "CGI/1.1"), ("REMOTE_ADDR", "127.0.0.1"), ("REDIRECT_STATUS", "200"),
    ];
    for (name, value) in wanted {
        assert_eq!(params.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!params.contains_key("HTTP_PROXY") && !params.contains_key("CONTENT_LENGTH"));
    peer.send(answer(b"Status: 201 Made\r\nX-A: 1\r\nX-A: 2\r\nContent-Type: text/plain\r\n\r\nhello"));
    let reply = client.read_response();
    assert_eq!((reply.status, reply.reason.as_str(), reply.text()), (201, "Made", "hello"));
    assert_eq!((reply.all("x-a").count(), reply.framing), (2, Framing::Chunked));
    // The connection is kept, and an index is found.
    client.send(request("GET", "/folder/", &[], false));
    let params = read_params(&mut peer);
    assert_eq!(params["SCRIPT_NAME"], "/folder/index.php");
    read_stdin(&mut peer);
    peer.send(answer(HELLO));
    assert_eq!(client.read_response().text(), "hello");
    // What is not there is not asked for, and nothing is sent as text.
    for (target, status) in [("/missing.php", 404), ("/file.txt/x.php", 404), ("/X.PHP", 404)] {
        client.send(request("GET", target, &[], false));
        assert_eq!(client.read_response().status, status, "{target}");
    }
}

#[test]
fn all_below_a_path_is_answered() {
    let rows = [
        ("/app=@", "/app", "/app", None),
        ("/app=@", "/app/", "/app", Some("/")),
        ("/app=@", "/app/x%20y/", "/app", Some("/x y/")),
        ("/=@", "/", "", Some("/")),
        ("/=@", "/x/y", "", Some("/x/y")),
    ];
    for (value, target, name, info) in rows {
        let (_router, daemon, backend) = site(value, &[]);
        let mut client = daemon.connect();
        client.send(request("GET", target, &[], false));
        let mut peer = backend.accept();
        let params = read_params(&mut peer);
        assert_eq!(
            (params["SCRIPT_NAME"].as_str(), params.get("PATH_INFO").map(String::as_str)),
            (name, info),
            "{target}"
        );
        read_stdin(&mut peer);
        peer.send(answer(HELLO));
        assert_eq!(client.read_response().text(), "hello");
    }
}

/// Answers requests of one connection, by what they ask for.
fn answer_next(peer: &mut Peer) -> BTreeMap<String, String> {
    let params = read_params(peer);
    read_stdin(peer);
    peer.send(answer(HELLO));
    params
}

/// What a server has all below a path of is no file, whatever leads there.
#[test]
fn below_a_path_nothing_is_a_file() {
    /// The value and more arguments, what is asked for, and `SCRIPT_NAME` and `PATH_INFO` of that.
    type Row = (&'static str, &'static [&'static str], &'static str, &'static str, Option<&'static str>);
    let page = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n");
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("/index.php=@", &["-I", "index.php"], "/", "/index.php", None),
        ("/index.php=@", &["-I", "index.php", "--deny", "/other *"], "/", "/index.php", None),
        ("/index.php=@", &["--fallback", "/index.php"], "/pretty/url", "/index.php", None),
        ("/index.php=@", &["-E", "/index.php"], "/missing", "/index.php", None),
        ("/index.php=@", &[], "/INDEX.php/a", "/index.php", Some("/a")),
        ("/folder/index.php=@", &["-I", "index.php"], "/folder/", "/folder/index.php", None),
        ("/folder=@", &[], "/FOLDER/index.php", "/folder", Some("/index.php")),
        ("/folder=@", &["--no-symlinks"], "/folder/index.php", "/folder", Some("/index.php")),
    ];
    for (value, more, target, name, info) in rows {
        let (router, daemon, backend) = site(value, more);
        router.write("root/index.php", "<?php echo 'source';");
        let mut client = daemon.connect();
        client.send(page(target));
        let params = answer_next(&mut backend.accept());
        assert_eq!((params["SCRIPT_NAME"].as_str(), params.get("PATH_INFO").map(String::as_str)), (*name, *info));
        assert_eq!(client.read_response().text(), "hello", "{value} {target}");
    }
    // And where a script of another kind leads.
    let (router, backend) = (Router::new(), Backend::tcp());
    router.write("root/x.php", "source");
    router.write("root/app/config.php", "source");
    let value = format!("127.0.0.1:{}", backend.port);
    let daemon = router.start_by(&["--fastcgi", &format!(".php={value}"), "--fastcgi", &format!("/app={value}")]);
    let mut client = daemon.connect();
    client.send(request("GET", "/x.php", &[], false));
    let mut peer = backend.accept();
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.send(answer(b"Location: /app/config.php?a\r\n\r\n"));
    let params = answer_next(&mut backend.accept());
    assert_eq!((params["SCRIPT_NAME"].as_str(), params["QUERY_STRING"].as_str()), ("/app", "a"));
    assert_eq!(client.read_response().text(), "hello");
}

/// Mistakes must not turn programs into text.
#[test]
fn wrong_values_send_no_source() {
    let rows = [
        ".php =127.0.0.1:1",
        ".php .phtml=127.0.0.1:1",
        "php=127.0.0.1:1",
        "*.php=127.0.0.1:1",
        ".php=nonsense",
        "/x.php=127.0.0.1",
        ".php=unix:/run/\u{fc}.sock",
    ];
    for (option, value) in rows.map(|value| ("fastcgi", value)).into_iter().chain([
        ("interpreter", ".php =/bin/false"),
        ("interpreter", "*.php=/bin/false"),
        ("interpreter", ".php=/bin/\u{fc}"),
    ]) {
        let router = Router::new();
        router.write("root/x.php", "source");
        let line = format!(
            "config uhttpd main\n list listen_http 127.0.0.1:0\n option home {}\n list {option} '{value}'\n",
            router.path("root")
        );
        // In Latin 1, so that it is no UTF-8.
        router.write("uhttpd", line.chars().map(|char| u8::try_from(char).unwrap()).collect::<Vec<u8>>());
        let daemon = router.start(1);
        let status = ask(daemon.addr, "GET", "/x.php", &[]).status;
        assert!(matches!(status, 500 | 502), "{status}: {option} {value}");
    }
}

/// A server, which may be another host, learns no login of this one, and is told nothing by the client about itself.
#[test]
fn what_a_server_is_not_told() {
    let (router, backend) = (Router::new(), Backend::tcp());
    router.write("root/x.php", "source");
    router.write("root/open/x.php", "source");
    router.write("conf", "/x.php:u:p\n");
    let value = format!(".php=127.0.0.1:{}", backend.port);
    let daemon = router.start_by(&["--fastcgi", &value, "-c", &router.path("conf")]);
    let fields = [
        "Authorization: Basic dTpw",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "Forwarded: for=127.0.0.1",
        "X-Real-IP: 127.0.0.1",
    ];
    let mut client = daemon.connect();
    client.send(request("GET", "/x.php", &fields, false));
    let mut peer = backend.accept();
    let params = answer_next(&mut peer);
    assert_eq!(client.read_response().text(), "hello");
    assert_eq!(params["REMOTE_USER"], "u");
    for name in ["HTTP_AUTH_USER", "HTTP_AUTH_PASS", "HTTP_AUTHORIZATION"] {
        assert!(!params.contains_key(name), "{name}");
    }
    let told = |name: &String| name.contains("FORWARDED") || name == "HTTP_X_REAL_IP";
    assert!(!params.keys().any(told), "{params:?}");
    // A login that is not for this server is the program's own.
    client.send(request("GET", "/open/x.php", &fields, false));
    assert_eq!(answer_next(&mut peer)["HTTP_AUTHORIZATION"], "Basic dTpw");
    // The length is written from what was understood.
    client.read_response();
    client.send("POST /open/x.php HTTP/1.1\r\nHost: x\r\nContent-Length: 0002\r\n\r\nab");
    assert_eq!(answer_next(&mut peer)["CONTENT_LENGTH"], "2");
}

#[test]
fn bodies_of_requests() {
    let (_router, daemon, backend) = site(".php=@", &[]);
    let large = vec![b'x'; 500_000];
    let chunked = |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    let rows: Vec<(&str, Vec<u8>, &[u8])> = vec![
        ("Content-Length: 2", b"ab".to_vec(), b"ab"),
        ("Content-Length: 500000", large.clone(), &large),
        ("Transfer-Encoding: chunked", chunked(b"abc"), b"abc"),
        ("Transfer-Encoding: chunked", chunked(&large), &large),
        ("Transfer-Encoding: chunked", b"0\r\n\r\n".to_vec(), b""),
    ];
    for (field, sent, wanted) in rows {
        let mut client = daemon.connect();
        let head =
            format!("POST /x.php HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n{field}\r\nConnection: close\r\n\r\n");
        let sending = thread::spawn(move || {
            client.send(head);
            client.send(sent);
            client
        });
        let mut peer = backend.accept();
        let params = read_params(&mut peer);
        assert_eq!(
            (params["CONTENT_LENGTH"].as_str(), params["CONTENT_TYPE"].as_str()),
            (wanted.len().to_string().as_str(), "a/b")
        );
        let body = read_stdin(&mut peer);
        assert!(body == wanted, "{field}: {} bytes", body.len());
        peer.send(answer(HELLO));
        assert_eq!(sending.join().unwrap().read_response().text(), "hello", "{field}");
    }
}

#[test]
fn output_is_passed_on_as_it_comes() {
    let (router, daemon, backend) = site(".php=@", &[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/x.php", &[], false));
    let mut peer = backend.accept();
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.send(record(STDERR, b"PHP Notice: a"));
    peer.send(record(STDOUT, b"Content-Type: text/event-stream\n"));
    peer.send(record(STDERR, b"bc\nand more\n"));
    peer.send(record(STDOUT, b"\ndata: 0\n\n"));
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: 0\n\n") {
        seen.extend(client.read_exact(1));
    }
    until("it is logged", || {
        let log = router.log();
        log.contains("/x.php: PHP Notice: abc\n") && log.contains("/x.php: and more\n")
    });
    for byte in answer(b"data: 1\n\n") {
        peer.send([byte]);
    }
    // In as many chunks as it came in.
    let mut rest = Vec::new();
    while !rest.ends_with(b"\r\n0\r\n\r\n") {
        rest.extend(client.read_exact(1));
    }
    let data: String = String::from_utf8(rest).unwrap().split("\r\n").skip(2).step_by(2).collect();
    assert_eq!(data, "data: 1\n\n");
    // HEAD, and a length that does not count the last newline.
    client.send(request("HEAD", "/x.php", &[], false));
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.send(answer(b"Content-Length: 5\r\n\r\nhello"));
    assert_eq!(client.read_head_response().header("content-length"), Some("5"));
    client.send(request("GET", "/x.php", &[], false));
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.send(answer(b"Content-Length: 5\r\n\r\nhello\n"));
    assert_eq!(client.read_response().text(), "hello");
    client.send(request("GET", "/x.php", &[], false));
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.send([record(STDOUT, HELLO), end(3, 0)].concat());
    assert_eq!(client.read_response().text(), "hello");
    until("the status is logged", || router.log().contains("/x.php: ended with status 3"));
}

#[test]
fn failures_have_a_status() {
    let (router, daemon, backend) = site(".php=@", &["--proxy-timeout", "1"]);
    let mut other = record(STDOUT, HELLO);
    other[3] = 9;
    #[rustfmt::skip]
    let rows: &[(Vec<u8>, u16, &str)] = &[
        (vec![], 502, "closed the connection before its response"),
        (record(STDOUT, b"Content-Ty"), 502, "closed the connection within its response"),
        (b"HTTP/1.1 400 Bad\r\n\r\n".to_vec(), 502, "it does not speak FastCGI 1.0"),
        (other, 502, "a record of another request"),
        (answer(b"no head at all\n"), 502, "head line without a colon"),
        (end(0, 0), 502, "no output"),
        (end(0, 2), 503, "it refuses the request"),
        (answer(b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 502, "Transfer-Encoding"),
    ];
    for (sent, status, why) in rows {
        let mut client = daemon.connect();
        client.send(request("GET", "/x.php", &[], true));
        let mut peer = backend.accept();
        read_params(&mut peer);
        read_stdin(&mut peer);
        peer.send(sent);
        drop(peer);
        assert_eq!(client.read_response().status, *status, "{why}");
        until(why, || router.log().contains(&format!("/x.php: {status}: 127.0.0.1:{}: {why}", backend.port)));
    }
    // A response that is not complete.
    for sent in [record(STDOUT, HELLO), answer(b"Content-Length: 9\r\n\r\nhello")] {
        let mut client = daemon.connect();
        client.send(request("GET", "/x.php", &[], false));
        let mut peer = backend.accept();
        read_params(&mut peer);
        read_stdin(&mut peer);
        peer.send(sent);
        drop(peer);
        assert!(client.try_response(false).is_err());
    }
    let mut client = daemon.connect();
    client.send(request("GET", "/x.php", &[], true));
    let mut peer = backend.accept();
    assert_eq!(client.read_response().status, 504);
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.expect_end();
    // A client that leaves, and nobody there.
    let mut client = daemon.connect();
    client.send(request("GET", "/x.php", &[], false));
    let mut peer = backend.accept();
    read_params(&mut peer);
    drop(client);
    read_stdin(&mut peer);
    peer.expect_end();
    let router = Router::new();
    router.write("root/x.php", "source");
    let daemon = router.start_by(&["--fastcgi", &format!(".php=127.0.0.1:{}", closed_port())]);
    assert_eq!(ask(daemon.addr, "GET", "/x.php", &[]).status, 502);
    // A wrong value does not turn programs into text.
    router.section("list fastcgi '.php=nonsense'");
    let daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/x.php", &[]).status, 502);
}

#[test]
fn servers_take_turns() {
    let (router, one, two) = (Router::new(), Backend::tcp(), Backend::tcp());
    let value = format!("/app=127.0.0.1:{} 127.0.0.1:{} 127.0.0.1:{}", one.port, closed_port(), two.port);
    let daemon = router.start_by(&["--fastcgi", &value]);
    for backend in [&one, &two, &two, &one] {
        let mut client = daemon.connect();
        client.send(request("GET", "/app", &[], true));
        let mut peer = backend.accept();
        answer_next(&mut peer);
        assert_eq!(client.read_response().text(), "hello");
        // So that the next one is new.
        drop(peer);
    }
}

#[test]
fn local_redirects_are_followed() {
    let (_router, daemon, backend) = site(".php=@", &[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/x.php", &[], false));
    let mut peer = backend.accept();
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.send(answer(b"Location: /file.txt\r\n\r\n"));
    assert_eq!(client.read_response().text(), "content");
}

/// A response to HEAD ends with its head, however much the program goes on to say.
#[test]
fn a_response_to_head_ends() {
    let (_router, daemon, backend) = site(".php=@", &[]);
    let mut client = daemon.connect();
    client.send(request("HEAD", "/x.php", &[], false));
    let mut peer = backend.accept();
    read_params(&mut peer);
    read_stdin(&mut peer);
    peer.send(record(STDOUT, b"Content-Type: text/event-stream\n\ndata: 0\n\n"));
    assert_eq!(client.read_head_response().status, 200);
    peer.expect_end();
    client.send(request("GET", "/file.txt", &[], false));
    assert_eq!(client.read_response().text(), "content");
}

/// php-fpm with a pool of its own, in the foreground; stopped when dropped.
struct Fpm(Child);

impl Fpm {
    fn start(router: &Router) -> Option<Fpm> {
        let programs = std::fs::read_dir("/usr/sbin").unwrap().map(|entry| entry.unwrap().path());
        let is_fpm = |path: &Path| path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with("php-fpm"));
        let Some(program) = programs.into_iter().find(|path| is_fpm(path)) else {
            skip("php-fpm is not installed");
            return None;
        };
        router.write(
            "fpm.conf",
            format!(
                "[global]\nerror_log = {log}\ndaemonize = no\n[www]\nlisten = {socket}\npm = static\npm.max_children = 2\n\
                 catch_workers_output = yes\n",
                log = router.path("fpm.log"),
                socket = router.path("fpm.sock"),
            ),
        );
        let mut command = Command::new(program);
        command.args(["--nodaemonize", "--allow-to-run-as-root", "--fpm-config", &router.path("fpm.conf")]);
        command.args(["-d", "log_errors=1", "-d", "error_log=", "-d", "display_errors=0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let fpm = Fpm(command.spawn().unwrap());
        let socket = router.path("fpm.sock");
        until("php-fpm listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        Some(fpm)
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        // Its workers go with it only if it ends by itself.
        let _ = common::system::signal(self.0.id(), "TERM");
        let _ = self.0.wait();
    }
}

#[test]
fn php_answers() {
    let router = Router::new();
    let Some(_fpm) = Fpm::start(&router) else { return };
    #[rustfmt::skip]
    let pages = [
        ("hello", "<?php echo 'hello';"),
        ("info", "<?php header('Content-Type: text/plain'); echo $_SERVER['PATH_INFO'] ?? '-', ' ', $_GET['a'] ?? '-', ' ', $_SERVER['SCRIPT_NAME'];"),
        ("post", "<?php echo strlen(file_get_contents('php://input')), ' ', md5(file_get_contents('php://input'));"),
        ("form", "<?php echo $_POST['a'] . '|' . $_FILES['f']['size'];"),
        ("error", "<?php error_log('something is wrong'); http_response_code(418); echo 'teapot';"),
        ("slow", "<?php for ($i = 0; $i < 3; $i++) { echo \"$i\\n\"; flush(); usleep(20000); }"),
        ("large", "<?php for ($i = 0; $i < 3000; $i++) echo str_repeat('x', 1000);"),
        ("redirect", "<?php header('Location: http://elsewhere/');"),
        ("session", "<?php setcookie('a', 'b'); setcookie('c', 'd');"),
    ];
    for (name, text) in pages {
        router.write(&format!("root/{name}.php"), text);
    }
    let daemon = router.start_by(&["--fastcgi", &format!(".php=unix:{}", router.path("fpm.sock"))]);
    let mut client = daemon.connect();
    let mut get = |target: &str| {
        client.send(request("GET", target, &[], false));
        client.read_response()
    };
    for _ in 0..20 {
        assert_eq!(get("/hello.php").text(), "hello");
    }
    assert_eq!(get("/info.php/x/y?a=b%20c").text(), "/x/y b c /info.php");
    let teapot = get("/error.php");
    assert_eq!((teapot.status, teapot.text()), (418, "teapot"));
    until("it is logged", || router.log().contains("something is wrong"));
    assert_eq!(get("/slow.php").text(), "0\n1\n2\n");
    assert_eq!(get("/large.php").body.len(), 3_000_000);
    assert_eq!(
        (get("/redirect.php").status, get("/redirect.php").header("location")),
        (302, Some("http://elsewhere/"))
    );
    assert_eq!(get("/session.php").all("set-cookie").count(), 2);
    let body = vec![b'z'; 300_000];
    let mut post = |target: &str, kind: &str, body: &[u8]| {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send([head.as_bytes(), body].concat());
        client.read_response()
    };
    assert!(post("/post.php", "text/plain", &body).text().starts_with("300000 "));
    let form = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n--B\r\nContent-Disposition: form-data; \
        name=\"f\"; filename=\"f\"\r\n\r\n12345\r\n--B--\r\n";
    assert_eq!(post("/form.php", "multipart/form-data; boundary=B", form.as_bytes()).text(), "value|5");
    let chunked = [
        &b"POST /post.php HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n"[..],
        &body,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    client.send(chunked);
    assert!(client.read_response().text().starts_with("300000 "));
}
