//! Clients behind proxies: whose word is taken about whom a request is of, and what follows from it.

mod common;
mod common_config;
mod common_files;

use common_config::{Router, ask, ask_from, one_line, until};
use common_files::request;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

/// An address that is no proxy's.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A site whose script tells whom it takes a request for.
fn site() -> Router {
    let router = Router::new();
    let path = "root/cgi-bin/who";
    router.write(path, "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s' \"$REMOTE_ADDR $REMOTE_HOST $HTTPS\"\n");
    fs::set_permissions(router.path(path), Permissions::from_mode(0o755)).unwrap();
    router
}

#[test]
fn scripts_are_told_the_client() {
    let router = site();
    let daemon = router.start_by(&["--trusted-proxy", "127.0.0.1 10.0.0.0/8"]);
    #[rustfmt::skip]
    let rows: &[(&[&str], &str)] = &[
        (&["X: y"], "127.0.0.1 127.0.0.1 "),
        (&["X-Forwarded-For: 192.0.2.1"], "192.0.2.1 192.0.2.1 "),
        (&["X-Forwarded-For: 127.0.0.1, 192.0.2.1, 10.0.0.7", "X-Forwarded-Proto: https"], "192.0.2.1 192.0.2.1 on"),
        (&["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 2001:db8::1"], "2001:db8::1 2001:db8::1 "),
        (&["Forwarded: for=\"[2001:db8::1]:80\";proto=https"], "2001:db8::1 2001:db8::1 on"),
        (&["X-Forwarded-Proto: https"], "127.0.0.1 127.0.0.1 on"),
    ];
    for (fields, expected) in rows {
        assert_eq!(ask(daemon.addr, "GET", "/cgi-bin/who", fields).text(), *expected, "{fields:?}");
        let field = fields[0];
        assert_eq!(ask_from(STRANGER, daemon.addr, "/cgi-bin/who", field).text(), "127.0.0.2 127.0.0.2 ", "{field}");
    }
    // What one request of a connection says is not for the next.
    let mut client = daemon.connect();
    for (fields, expected) in rows.iter().chain(&rows[..1]) {
        client.send(request("GET", "/cgi-bin/who", fields, false));
        assert_eq!(client.read_response().text(), *expected, "{fields:?}");
    }
    for fields in [
        &["X-Forwarded-For: 192.0.2.1", "Forwarded: for=127.0.0.1"][..],
        &["Forwarded: for=\"127.0.0.1, for=192.0.2.1"],
        &["X-Forwarded-For: 192.0.2.1", "Forwarded: for=127.0.0.1\"", "Forwarded: \"x"],
    ] {
        assert_eq!(ask(daemon.addr, "GET", "/cgi-bin/who", fields).status, 400, "{fields:?}");
    }
    until("it is logged", || router.log().contains("127.0.0.1:") && router.log().contains("different clients"));
    // Nobody is believed but those who are trusted.
    let daemon = router.start_by(&[]);
    assert_eq!(ask(daemon.addr, "GET", "/cgi-bin/who", rows[2].0).text(), "127.0.0.1 127.0.0.1 ");
}

/// Rules, logins and both logs know the client, not the proxy.
#[test]
fn the_client_is_judged() {
    let router = site();
    let log = router.path("access");
    router.write("httpd.conf", "/secret:me:secret\n");
    router.write("root/secret/x", "HIDDEN");
    let access_log = format!("--access-log={log}");
    #[rustfmt::skip]
    let args = ["--trusted-proxy", "127.0.0.1", "--allow", "/file.txt 192.0.2.0/24", "-c", "httpd.conf", &access_log];
    let daemon = router.start_by(&args);
    let status = |path, field: &str| ask(daemon.addr, "GET", path, &[field]).status;
    assert_eq!(status("/file.txt", "X-Forwarded-For: 192.0.2.1"), 200);
    assert_eq!(status("/file.txt", "X-Forwarded-For: 192.0.2.1, 198.51.100.1"), 403);
    assert_eq!(status("/file.txt", "X: y"), 403);
    assert_eq!(ask_from(STRANGER, daemon.addr, "/file.txt", "X-Forwarded-For: 192.0.2.1").status, 403);
    // me:wrong
    let wrong = "Authorization: Basic bWU6d3Jvbmc=";
    for client in ["198.51.100.7", "198.51.100.7", "198.51.100.7"] {
        let field = format!("X-Forwarded-For: {client}");
        assert_eq!(ask(daemon.addr, "GET", "/secret/x", &[&field, wrong]).status, 401);
    }
    // The guesser waits from now on; another client of the same proxy does not, however many there are of the first.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| ask(daemon.addr, "GET", "/secret/x", &["X-Forwarded-For: 198.51.100.7", wrong]));
        }
        let right = "Authorization: Basic bWU6c2VjcmV0";
        assert_eq!(ask(daemon.addr, "GET", "/secret/x", &["X-Forwarded-For: 192.0.2.1", right]).text(), "HIDDEN");
    });
    let text = router.log();
    assert!(text.contains("198.51.100.7: login as \"me\""), "{text}");
    assert!(text.contains("198.51.100.1:0: 403: /file.txt"), "{text}");
    let lines = fs::read_to_string(&log).unwrap();
    let mut clients: Vec<&str> = lines.lines().take(4).map(|line| line.split(' ').next().unwrap()).collect();
    clients.sort_unstable();
    assert_eq!(clients, ["127.0.0.1", "127.0.0.2", "192.0.2.1", "198.51.100.1"], "{lines}");
}

/// A proxy ends TLS for us: its word decides whether a client is sent to HTTPS, and there is none of ours.
#[cfg(feature = "tls")]
#[test]
fn a_proxy_may_be_all_the_https_there_is() {
    let router = site();
    let daemon = router.start_by(&["--trusted-proxy", "127.0.0.1", "-q", "--hsts", "60"]);
    let get = |field| ask(daemon.addr, "GET", "/file.txt?a", &[field]);
    let plain = get("X-Forwarded-Proto: http");
    assert_eq!((plain.status, plain.header("location")), (307, Some("https://t/file.txt?a")));
    let encrypted = get("X-Forwarded-Proto: https");
    assert_eq!(encrypted.text(), "content");
    assert_eq!(encrypted.header("strict-transport-security"), Some("max-age=60"));
    assert!(!router.log().contains("redirect"), "{}", router.log());
}

/// What is wrong may be the proxy's address: then nobody knows whom it asks for.
#[test]
fn wrong_values_open_nothing() {
    let router = site();
    for value in ["10.0.0.x", "*", "proxy.lan", "10.0.0.0/33"] {
        router.section(&format!(" list trusted_proxy '{value}'\n list allow '/file.txt 127.0.0.0/8'"));
        let (status, said) = router.check();
        assert_eq!(status, Some(1), "{value}");
        one_line(&said, &["uhttpd:5:", "uhttpd.main.trusted_proxy", value, "127.0.0.1 or 10.0.0.0/8"]);
        let daemon = router.start(1);
        let get = |path, field: &str| ask(daemon.addr, "GET", path, &[field]).status;
        for field in ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"] {
            assert_eq!(get("/file.txt", field), 403, "{value}");
            assert_eq!(get("/", field), 200, "{value}");
        }
        assert_eq!(get("/file.txt", "X: y"), 200, "who comes without a proxy is known");
    }
    assert_eq!(router.output(&["-f", "--trusted-proxy", "*"]).status.code(), Some(1));
}
