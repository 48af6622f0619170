//! `metrics` and `server_status`: what the program says about itself over HTTP, and to whom.

#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "daemon", feature = "status"))]

mod common;
mod common_config;
mod common_files;

use common::{Response, skip};
use common_config::{Router, ask, ask_host, free_addr, until};
use common_files::{Daemon, request};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

const LINES: &str = "option metrics /metrics\n option server_status /server-status";

fn started(lines: &str) -> (Router, Daemon) {
    let router = Router::new();
    router.section(&format!("{LINES}\n{lines}"));
    let daemon = router.start(1);
    (router, daemon)
}

fn json_of(daemon: &Daemon) -> Value {
    let reply = ask(daemon.addr, "GET", "/server-status", &["Accept: application/json"]);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    serde_json::from_str(reply.text()).unwrap()
}

// --- metrics --------------------------------------------------------------------------------------

/// A family of samples: its type, and its samples by name and labels.
type Families = BTreeMap<String, (String, BTreeMap<String, f64>)>;

/// Reads Prometheus' text format 0.0.4, and checks what its conventions say about names.
fn families(text: &str) -> Families {
    let mut found = Families::new();
    let mut helped = BTreeSet::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name.to_owned()), "{name} has two helps");
            assert!(help.ends_with('.') && help.len() > 10, "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(name), "{name} has a type before its help");
            let kinds = ["counter", "gauge", "histogram"];
            assert!(kinds.contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(name.starts_with("ecohttpd_") || name.starts_with("process_"), "{line}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()));
            for unit in ["milli", "micro", "kilo", "kib", "minutes", "percent"] {
                assert!(!name.contains(unit), "{name}: not a base unit");
            }
            current = name.to_owned();
            assert!(found.insert(current.clone(), (kind.to_owned(), BTreeMap::new())).is_none(), "{name} twice");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (kind, samples) = found.get_mut(&current).expect("a sample before its type");
            let name = series.split('{').next().unwrap();
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| name == [current.as_str(), suffix].concat()), "{line}");
            if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                let labels = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
                for label in labels.split("\",") {
                    let (name, value) = label.split_once("=\"").unwrap();
                    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
                    assert!(!value.contains('\n'), "{line}");
                }
            }
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} twice");
        }
    }
    assert_eq!(found.len(), helped.len());
    found
}

fn metrics(daemon: &Daemon) -> (String, Families) {
    let reply = ask(daemon.addr, "GET", "/metrics", &[]);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    (reply.text().to_owned(), families(reply.text()))
}

#[test]
fn metrics_are_in_the_format_of_prometheus() {
    let (_router, daemon) = started("");
    for (path, status) in [("/", 200), ("/none", 404), ("/none", 404)] {
        assert_eq!(daemon.get(path).status, status);
    }
    let (text, found) = metrics(&daemon);
    let value = |series: &str| found.values().find_map(|(_, samples)| samples.get(series)).copied();
    assert_eq!(value("ecohttpd_http_requests_total{site=\"main\",code=\"2xx\"}"), Some(1.0), "{text}");
    assert_eq!(value("ecohttpd_http_requests_total{site=\"main\",code=\"4xx\"}"), Some(2.0));
    assert_eq!(value("ecohttpd_connections_accepted_total"), Some(4.0));
    assert_eq!(value("ecohttpd_connections{state=\"handling\"}"), Some(1.0));
    assert_eq!(value("ecohttpd_connections_max"), Some(100.0));
    assert_eq!(value("ecohttpd_file_cache_misses_total"), Some(1.0));
    assert!(value("ecohttpd_received_bytes_total") > Some(100.0));
    assert!(value("process_resident_memory_bytes") > Some(300_000.0));
    let version = format!("ecohttpd_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&version), Some(1.0));

    let (kind, turns) = &found["ecohttpd_loop_turn_seconds"];
    assert_eq!(kind, "histogram");
    let bound = |series: &str| -> Option<f64> {
        let text = series.split("le=\"").nth(1)?.strip_suffix("\"}")?;
        Some(if text == "+Inf" { f64::INFINITY } else { text.parse().unwrap() })
    };
    let mut buckets: Vec<(f64, f64)> =
        turns.iter().filter_map(|(series, count)| Some((bound(series)?, *count))).collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.len() > 4 && buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, turns["ecohttpd_loop_turn_seconds_count"])));
    assert!(turns["ecohttpd_loop_turn_seconds_count"] >= 3.0);
}

#[test]
fn promtool_has_nothing_to_say() {
    let (_router, daemon) = started("");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        skip("no promtool here");
        return;
    };
    promtool.stdin.take().unwrap().write_all(metrics(&daemon).0.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn virtual_hosts_are_counted_apart() {
    let router = Router::new();
    let shared = format!("list listen_http {}\n option home @root\n", free_addr());
    router.configure(&format!(
        "config uhttpd main\n {shared} {LINES}\nconfig uhttpd second\n {shared} list server_name b.lan\n"
    ));
    let daemon = router.start(1);
    assert_eq!(ask_host(daemon.addr, "b.lan", "/none").status, 404);
    assert_eq!(ask_host(daemon.addr, "a.lan", "/").status, 200);
    let mut bad = daemon.connect();
    bad.send("BAD\r\n\r\n");
    assert_eq!(bad.read_response().status, 400);
    let (text, found) = metrics(&daemon);
    let requests = &found["ecohttpd_http_requests_total"].1;
    let of = |site: &str, code: &str| {
        requests.get(&format!("ecohttpd_http_requests_total{{site=\"{site}\",code=\"{code}\"}}")).copied()
    };
    assert_eq!((of("second", "4xx"), of("second", "2xx")), (Some(1.0), Some(0.0)), "{text}");
    assert_eq!((of("main", "4xx"), of("main", "2xx")), (Some(1.0), Some(1.0)), "{text}");
}

/// However a client gives up before it is through, and each once.
#[cfg(feature = "tls")]
#[test]
fn handshakes_that_fail_are_counted() {
    /// The head of a record with a ClientHello of 512 bytes, and not all of that (RFC 8446 §4.1.2).
    const HALF: &[u8] = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    let router = Router::new();
    let https = free_addr();
    router.section(&format!(
        "{LINES}\n list listen_https {https}\n option cert @c.crt\n option key @c.key\n option network_timeout 1"
    ));
    let daemon = router.start(1);
    let connect = |sent: &[u8]| {
        let mut stream = std::net::TcpStream::connect(https).unwrap();
        stream.write_all(sent).unwrap();
        stream
    };
    let failed = || json_of(&daemon)["handshakes"]["failed"].as_u64().unwrap();
    let reset =
        |stream: std::net::TcpStream| socket2::SockRef::from(&stream).set_linger(Some(Default::default())).unwrap();
    let ways: [(&str, &dyn Fn()); 5] = [
        ("the end of the stream", &|| drop(connect(HALF))),
        ("a reset", &|| reset(connect(HALF))),
        ("no TLS", &|| drop(connect(b"\x16\x03\x01\0\x02hi"))),
        ("HTTP", &|| drop(connect(b"GET / HTTP/1.0\r\n\r\n"))),
        ("nothing more", &|| _ = std::io::Read::read(&mut connect(HALF), &mut [0; 64])),
    ];
    for (before, (name, way)) in (0..).zip(ways) {
        assert_eq!(failed(), before, "{name}");
        way();
        until(name, || failed() == before + 1);
    }
}

// --- the page -------------------------------------------------------------------------------------

#[test]
fn the_page_brings_what_it_needs_and_nothing_from_elsewhere() {
    let (_router, daemon) = started("");
    let page = ask(daemon.addr, "GET", "/server-status", &["Accept: text/html,*/*;q=0.8"]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (parameter, kind) in [("css", "text/css; charset=utf-8"), ("js", "text/javascript; charset=utf-8")] {
        assert!(page.text().contains(&format!("\"?{parameter}\"")));
        let part = ask(daemon.addr, "GET", &format!("/server-status?{parameter}"), &["Accept: */*"]);
        assert_eq!((part.status, part.header("content-type")), (200, Some(kind)));
        assert_eq!(part.header("x-content-type-options"), Some("nosniff"));
        for text in [page.text(), part.text()] {
            for elsewhere in ["://", "\"//", "'//", "(//", "=//"] {
                assert!(!text.contains(elsewhere), "an address elsewhere: {elsewhere}");
            }
            assert!(!text.contains("innerHTML") && !text.contains("style=") && !text.contains("onload="));
        }
    }
    let length: usize = page.header("content-length").unwrap().parse().unwrap();
    let head = ask(daemon.addr, "HEAD", "/server-status", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some(length.to_string().as_str())));
    let post = ask(daemon.addr, "POST", "/server-status", &["Content-Length: 0"]);
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(ask(daemon.addr, "GET", "/server-status/x", &[]).status, 404, "below it are files");
}

#[test]
fn the_page_as_json_has_the_connections() {
    let (_router, daemon) = started("");
    let mut reading = daemon.connect();
    reading.send("GET / HTTP/1.1\r\n");
    until("it is accepted", || json_of(&daemon)["connections"]["open"] == 2);
    let found = json_of(&daemon);
    let row = found["clients"].as_array().unwrap().iter().find(|row| row["state"] == "handling").unwrap();
    assert_eq!((&row["request"], &row["protocol"]), (&json!("GET /server-status"), &json!("HTTP/1.1")));
    assert!(row["address"].as_str().unwrap().starts_with("127.0.0.1:"));
}

/// Text of a client reaches the page only as JSON strings, and scripts set it as text.
#[test]
fn a_hostile_target_is_a_string() {
    let (_router, daemon) = started("");
    let target = "/server-status?%22%3C/script%3E'\\\"<script>alert(1)</script>";
    let reply = ask(daemon.addr, "GET", target, &["Accept: application/json"]);
    assert_eq!((reply.status, reply.header("x-content-type-options")), (200, Some("nosniff")));
    let found: Value = serde_json::from_str(reply.text()).unwrap();
    let shown = found["clients"].as_array().unwrap().iter().find(|row| row["state"] == "handling").unwrap();
    assert_eq!(shown["request"], format!("GET {target}"));
}

#[test]
fn the_stream_goes_on_until_the_server_stops() {
    let (_router, daemon) = started("");
    let mut client = daemon.connect();
    client.send(request("GET", "/server-status", &["Accept: text/event-stream"], false));
    let head = String::from_utf8(client.read_exact(1000)).unwrap();
    assert!(head.contains("Content-Type: text/event-stream\r\n") && head.contains("data: {\"version\""), "{head}");
    let mut seen = head;
    while seen.matches("data: {\"version\"").count() < 3 {
        seen.push_str(str::from_utf8(&client.read_exact(1)).unwrap());
    }
    daemon.signal("TERM");
    assert!(daemon.wait().success(), "a page that is open does not hold it up");
}

/// Over HTTP and over HTTP/2, beside a policy of the site that allows nothing inline.
#[test]
fn the_page_updates_itself_in_a_browser() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let Some(chromium) = names.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok()) else {
        return skip("no Chromium here");
    };
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("no python3 here");
    }
    let https =
        if cfg!(feature = "tls") { "list listen_https 127.0.0.1:0\n option cert @c\n option key @k" } else { "" };
    let router = Router::new();
    router.section(&format!("{LINES}\n list header \"Content-Security-Policy: default-src 'self'\"\n{https}"));
    let daemon = router.start(1);
    let mut urls = vec![format!("http://{}", daemon.addr)];
    if cfg!(feature = "tls") {
        urls.push(daemon.line().split(" at ").nth(1).unwrap().trim_end_matches('/').to_owned());
    }
    for (n, url) in urls.iter().enumerate() {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status_page.py");
        let mut driver = Command::new("python3");
        driver.arg(script).args([chromium, &format!("{url}/server-status"), &router.path(&format!("profile{n}"))]);
        let output = driver.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for (line, width) in text.lines().zip(["1280", "390"]) {
            let parts: Vec<&str> = line.split('\t').collect();
            let [shown, first, second, page, errors] = parts[..] else { panic!("{text}") };
            assert_eq!((shown, errors), (width, "0"), "{line} {}", String::from_utf8_lossy(&output.stderr));
            assert!(first.parse::<u64>().unwrap() < second.parse().unwrap(), "{line}");
            assert!(page.contains("ecohttpd ") && page.contains("GET /server-status"), "{line}");
            assert!(page.contains(if url.starts_with("https") { "HTTP/2, TLS" } else { "HTTP/1.1" }), "{line}");
        }
        assert_eq!(text.lines().count(), 2, "{text} {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn rules_of_access_hold() {
    let (_router, daemon) = started("list deny '/metrics *'\n list allow '/server-status 192.0.2.1'");
    assert_eq!(daemon.get("/metrics").status, 403);
    for target in ["/server-status", "/server-status?js", "//server-status", "/x/../server-status/"] {
        for accept in ["*/*", "application/json", "text/event-stream"] {
            let reply = ask(daemon.addr, "GET", target, &[&format!("Accept: {accept}")]);
            assert_eq!(reply.status, 403, "{target} {accept}");
        }
    }
    let (router, daemon) = started("option config @logins");
    router.write("logins", "/server-status:u:p\n/metrics:u:p\n");
    router.reload(&daemon);
    for target in ["/server-status", "/metrics", "/Metrics", "/server-status?css"] {
        assert_eq!(daemon.get(target).status, 401, "{target}");
    }
    // "u:p"
    let right = |target: &str| -> Response { ask(daemon.addr, "GET", target, &["Authorization: Basic dTpw"]) };
    assert_eq!((right("/server-status").status, right("/metrics").status), (200, 200));
}

#[test]
fn without_the_options_there_is_nothing() {
    let router = Router::new();
    router.section("");
    let daemon = router.start(1);
    for target in ["/metrics", "/server-status"] {
        assert_eq!(daemon.get(target).status, 404, "{target}");
    }
}

#[test]
fn what_happens_to_scripts_and_logs_is_counted() {
    let (router, daemon) = started("option script_timeout 1\n option access_log /dev/full");
    let script = |name: &str, text: &str| {
        router.write(name, text);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(router.path(name), mode).unwrap();
    };
    script("root/cgi-bin/slow", "#!/bin/sh\nexec sleep 100\n");
    let mut client = daemon.connect();
    client.send(request("GET", "/cgi-bin/slow", &[], false));
    until("it runs", || json_of(&daemon)["scripts"]["running"] == 1);
    assert_eq!(client.read_response().status, 504);
    until("it is gone", || json_of(&daemon)["scripts"] == json!({"running": 0, "waiting": 0, "killed": 1}));
    assert!(json_of(&daemon)["log_dropped"].as_u64() > Some(2));
}
