//! The object `ecohttpd` on ubus: against a stand-in for ubusd, and against the real one where there is one.

#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "daemon", feature = "status"))]

mod common;
mod common_config;
mod common_files;
#[cfg(feature = "tls")]
mod common_tls;
mod common_ubus;
#[path = "common_ubus/fields.rs"]
mod fields;

use common::{Client, End, skip};
use common_config::{Router, until};
use common_files::{Daemon, request};
use common_ubus::{Bus, field};
use fields::table;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The statuses of ubus.
const OK: u32 = 0;
const INVALID_ARGUMENT: u32 = 2;
const NO_METHOD: u32 = 3;
const NOT_FOUND: u32 = 4;

const OBJECT: &str = "ecohttpd";

/// A bus, and a daemon of a file that serves one site and has this object on it.
struct Published {
    router: Router,
    bus: Bus,
    daemon: Daemon,
}

impl Published {
    fn new(lines: &str) -> Published {
        let router = Router::new();
        router.write("root/index.html", "content");
        let bus = Bus::start(Path::new(&router.path("ubus.sock")));
        router.configure(&site(lines));
        let daemon = router.start(1);
        bus.wait("the object", |seen| seen.published == 1);
        Published { router, bus, daemon }
    }

    #[track_caller]
    fn fields(&self, method: &str) -> Value {
        let (fields, status) = self.bus.call(OBJECT, method, &[]);
        assert_eq!(status, OK, "{method}");
        table(&fields.unwrap())
    }

    /// The rows of `connections`, without what changes.
    fn connections(&self) -> Vec<Value> {
        self.fields("connections")["connections"].as_array().unwrap().clone()
    }
}

fn site(lines: &str) -> String {
    format!(
        "config uhttpd main\n list listen_http 127.0.0.1:0\n option home @root\n option ubus_socket @ubus.sock\n{lines}\n"
    )
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn get(client: &mut Client, target: &str) -> u16 {
    client.send(request("GET", target, &[], false));
    client.read_response().status
}

#[test]
fn the_methods_are_listed() {
    let published = Published::new("");
    let expected = json!({"status": {}, "connections": {}, "certificates": {}, "reload": {}, "close": {"id": 5}});
    assert_eq!(table(&published.bus.signature(OBJECT).unwrap()), expected);
    assert_eq!(published.bus.call(OBJECT, "nosuch", &[]), (None, NO_METHOD));
}

#[test]
fn status_has_what_the_document_says() {
    let published = Published::new("");
    let mut client = published.daemon.connect();
    assert_eq!((get(&mut client, "/"), get(&mut client, "/none")), (200, 404));
    // The answer may be there before its connection is idle.
    until("the connection is idle", || published.fields("status")["connections"]["idle"] == 1);
    let status = published.fields("status");
    let document = include_str!("../docs/ubus-object.md");
    let section = document.split("## `status`").nth(1).unwrap().split("\n## ").next().unwrap();
    for (name, value) in status.as_object().unwrap() {
        assert!(section.contains(&format!("`{name}`")), "{name} is not in the document");
        let inner = value.as_object().map_or(Vec::new(), |table| table.keys().cloned().collect());
        for name in inner.iter().filter(|name| !name.ends_with("xx")) {
            assert!(section.contains(&format!("`{name}`")), "{name} is not in the document");
        }
    }
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], published.daemon.child.id());
    for time in ["started", "loaded"] {
        let age = now() + 2 - status[time].as_u64().unwrap();
        assert!(age < 60, "{time}: {age}");
    }
    assert_eq!(status["requests"], json!({"total": 2, "1xx": 0, "2xx": 1, "3xx": 0, "4xx": 1, "5xx": 0}));
    let connections = json!({"open": 1, "max": 100, "idle": 1, "reading": 0, "handling": 0, "writing": 0,
        "handshaking": 0, "closing": 0, "tls": 0, "http2": 0, "accepted": 1, "refused": 0});
    assert_eq!(status["connections"], connections);
    assert!(status["bytes"]["received"].as_u64() > Some(50) && status["bytes"]["sent"].as_u64() > Some(200));
    assert!(status["memory"].as_u64() > Some(300_000));
    assert_eq!(status["sites"], json!([{"name": "main", "listen": ["127.0.0.1:0"], "requests": 2}]));
    assert_eq!(status["file_cache"]["misses"], 1);
}

#[test]
fn connections_are_listed_and_closed() {
    let published = Published::new("");
    assert_eq!(published.connections(), Vec::<Value>::new());
    let (mut idle, mut reading) = (published.daemon.connect(), published.daemon.connect());
    assert_eq!(get(&mut idle, "/"), 200);
    reading.send("GET /a<b HTTP/1.1\r\n");
    until("both are there", || {
        let states: Vec<Value> = published.connections().iter().map(|row| row["state"].clone()).collect();
        states.len() == 2 && states.contains(&json!("idle")) && states.contains(&json!("reading"))
    });
    let rows = published.connections();
    let row = rows.iter().find(|row| row["state"] == "idle").unwrap();
    assert!(row["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{row}");
    assert_eq!((&row["site"], &row["protocol"], &row["tls"]), (&json!("main"), &json!("HTTP/1.1"), &json!(false)));
    assert_eq!((&row["request"], &row["received"]), (&json!(""), &json!(request("GET", "/", &[], false).len())));
    let close = |id: &[u8]| published.bus.call(OBJECT, "close", id);
    let id = |row: &Value| field(5, "id", &i32::try_from(row["id"].as_i64().unwrap()).unwrap().to_be_bytes());
    assert_eq!(close(&[]), (None, INVALID_ARGUMENT));
    assert_eq!(close(&field(3, "id", b"1\0")), (None, INVALID_ARGUMENT));
    assert_eq!(close(&field(5, "id", &[0, 0, 3, 231])), (None, NOT_FOUND));
    assert_eq!(close(&id(row)), (None, OK));
    idle.expect_close();
    assert_eq!(close(&id(row)), (None, NOT_FOUND));
    let row = rows.iter().find(|row| row["state"] == "reading").unwrap();
    assert_eq!(close(&id(row)), (None, OK));
    assert_eq!(reading.rest().1, End::Reset);
    until("they are gone", || published.connections().is_empty());
}

#[test]
fn reload_says_whether_it_was_done() {
    let published = Published::new("");
    assert_eq!(get(&mut published.daemon.connect(), "/"), 200);
    published.router.configure(&site("option error_page wrong"));
    assert_eq!(published.bus.call(OBJECT, "reload", &[]), (None, INVALID_ARGUMENT));
    let errors = published.fields("status")["errors"].clone();
    assert_eq!(errors[0]["level"], "error");
    let message = errors[0]["message"].as_str().unwrap();
    assert!(message.starts_with("reload failed") && message.contains("error_page"), "{message}");
    assert!(now() + 2 - errors[0]["time"].as_u64().unwrap() < 60, "{errors}");
    published.router.configure(&site("option max_connections 77"));
    assert_eq!(published.bus.call(OBJECT, "reload", &[]), (None, OK));
    let status = published.fields("status");
    assert_eq!(status["connections"]["max"], 77);
    assert_eq!(status["sites"][0]["requests"], 1, "a reload starts nothing over");
}

#[test]
fn a_failed_login_is_an_event() {
    let published = Published::new("option config @logins");
    published.router.write("logins", "/:user:right\n");
    published.router.reload(&published.daemon);
    let mut client = published.daemon.connect();
    // "us\er:wrong"
    client.send(request("GET", "/", &["Authorization: Basic dXNcZXI6d3Jvbmc="], false));
    assert_eq!(client.read_response().status, 401);
    let event = table(&published.bus.event("ecohttpd.login_failed"));
    assert_eq!(event, json!({"address": "127.0.0.1", "user": "us\\er", "site": "main"}));
    assert!(published.fields("status")["errors"][0]["message"].as_str().unwrap().contains("login as"));
}

#[test]
fn when_ubusd_comes_back_the_object_does() {
    let Published { router, bus, daemon } = Published::new("");
    bus.drop_publishers();
    bus.wait("the object again", |seen| seen.published == 2);
    let path = router.path("ubus.sock");
    drop(bus);
    let bus = Bus::start(Path::new(&path));
    bus.wait("the object on another bus", |seen| seen.published == 1);
    assert_eq!(bus.call(OBJECT, "connections", &[]).1, OK);
    let log = router.log();
    assert!(!log.contains("ubus"), "{log}");
    drop(daemon);
}

#[test]
fn a_name_that_is_taken_is_waited_for() {
    let router = Router::new();
    router.write("root/index.html", "content");
    let bus = Bus::start(Path::new(&router.path("ubus.sock")));
    bus.occupy(OBJECT, true);
    router.configure(&site(""));
    let daemon = router.start(1);
    assert_eq!(get(&mut daemon.connect(), "/"), 200);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bus.seen().published, 0);
    bus.occupy(OBJECT, false);
    bus.wait("the object", |seen| seen.published == 1);
    assert!(!router.log().contains("ubus"), "{}", router.log());
}

#[test]
fn nothing_is_said_where_there_is_no_ubusd() {
    let router = Router::new();
    router.write("root/index.html", "content");
    router.configure(&site(""));
    let daemon = router.start(1);
    assert_eq!(get(&mut daemon.connect(), "/"), 200);
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!router.log().contains("ubus"), "{}", router.log());
}

#[cfg(feature = "tls")]
#[test]
fn certificates_are_described_and_their_end_is_told() {
    use common_tls::Identity;
    const DAY: u64 = 86_400;
    let identity = Identity::new();
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let lines = format!(
        "list listen_https 127.0.0.1:0\n option cert {}\n option key {}\n option self_signed 0",
        file(&identity.cert),
        file(&identity.key)
    );
    let published = Published::new(&lines);
    let row = published.fields("certificates")["certificates"][0].clone();
    assert_eq!((&row["file"], &row["site"]), (&json!(file(&identity.cert)), &json!("main")));
    assert_eq!(row["names"], json!(["localhost", "127.0.0.1"]));
    assert_eq!((&row["key"], &row["self_signed"]), (&json!("P-256"), &json!(false)));
    assert!(row["subject"].as_str().unwrap().contains("CN=localhost"), "{row}");
    assert!(row["issuer"].as_str().unwrap().contains("Test authority"), "{row}");
    assert!(row["days_left"].as_i64().unwrap() > 1000 && row["not_after"].as_u64().unwrap() > now(), "{row}");

    // One that ends soon, and that another program has made: it is not renewed.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["soon.lan".to_owned()]).unwrap();
    let end = now() + 9 * DAY + DAY / 2;
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
    std::fs::write(&identity.cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&identity.key, key.serialize_pem()).unwrap();
    assert_eq!(published.bus.call(OBJECT, "reload", &[]), (None, OK));
    let event = table(&published.bus.event("ecohttpd.certificate"));
    assert_eq!(event, json!({"file": file(&identity.cert), "days_left": 9, "not_after": end}));
    let row = published.fields("certificates")["certificates"][0].clone();
    assert_eq!((&row["days_left"], &row["self_signed"]), (&json!(9), &json!(true)));

    std::fs::write(&identity.cert, "no certificate").unwrap();
    let row = published.fields("certificates")["certificates"][0].clone();
    assert!(row["error"].is_string() && row.get("days_left").is_none(), "{row}");
}

/// The programs of OpenWrt, if they are in the PATH.
#[test]
fn the_real_ubusd_has_the_object() {
    let router = Router::new();
    router.write("root/index.html", "content");
    let socket = router.path("ubus.sock");
    let mut ubusd = Command::new("ubusd");
    let Ok(ubusd) = ubusd.args(["-s", &socket]).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
        skip("no ubusd here");
        return;
    };
    let _ubusd = Ended(ubusd);
    until("ubusd listens", || Path::new(&socket).exists());
    router.configure(&site("option config @logins"));
    router.write("logins", "/:user:right\n");
    let daemon = router.start(1);
    let ubus = |args: &[&str]| {
        let output = Command::new("ubus").args(["-s", &socket]).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    until("it is registered", || ubus(&["list"]).1.contains(OBJECT));
    let listed = ubus(&["-v", "list", OBJECT]).1;
    assert!(listed.contains("\"status\":{}") && listed.contains("\"close\":{\"id\":\"Integer\"}"), "{listed}");
    let status: Value = serde_json::from_str(&ubus(&["call", OBJECT, "status"]).1).unwrap();
    assert_eq!((&status["pid"], &status["connections"]["open"]), (&json!(daemon.child.id()), &json!(0)));
    assert_eq!(ubus(&["call", OBJECT, "close", "{\"id\":9}"]).0, Some(256 - 4));
    assert_eq!(ubus(&["call", OBJECT, "reload"]).0, Some(0));
    let mut listener = Command::new("ubus");
    listener.args(["-s", &socket, "-t", "20", "listen", "ecohttpd.login_failed"]).stdout(Stdio::piped());
    let mut listener = Ended(listener.spawn().unwrap());
    let mut output = std::io::BufReader::new(listener.0.stdout.take().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = std::io::BufRead::read_line(&mut output, &mut line);
        let _ = tell.send(line);
    });
    // When it has registered is not told: another password, until one is seen.
    let (mut heard, mut attempts) = (None, 0);
    until("the event", || {
        attempts += 1;
        let mut client = daemon.connect();
        client.send(request("GET", "/", &[&format!("Authorization: Basic dXNlcjp3{attempts:04}")], false));
        client.read_response();
        heard = told.recv_timeout(Duration::from_millis(200)).ok();
        heard.is_some()
    });
    let heard: Value = serde_json::from_str(&heard.unwrap()).unwrap();
    let expected = json!({"address": "127.0.0.1", "user": "user", "site": "main"});
    assert_eq!(heard["ecohttpd.login_failed"], expected);
}

/// A process that ends with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
