//! Certificates of clients, as curl, openssl and browsers show them to the daemon: who gets in, and what scripts are told.
#![cfg(feature = "tls")]

mod common;
mod common_config;
mod common_files;
mod common_tls;

use common::{Client, Response};
use common_config::{Router, ask, free_addr, one_line, until};
use common_files::{Daemon, request};
use common_tls::{BOTH, Ca, Pair, config, has, over, run, s_client, try_open};
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// A site whose HTTPS asks for certificates of `clients`; the server's own is of `ca`.
struct World {
    router: Router,
    ca: Ca,
    clients: Ca,
    secure: SocketAddr,
}

impl World {
    fn new() -> World {
        let router = Router::new();
        let (ca, clients) = (Ca::new("Servers"), Ca::new("Clients"));
        ca.issue(&["localhost", "127.0.0.1", "a.lan", "b.lan"]).write(router.temp.path(), "server");
        router.write("clients.crt", clients.pem());
        router.write("servers.crt", ca.pem());
        router.write("root/admin/x", "HIDDEN");
        let script =
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s|%s' \"$SSL_CLIENT_VERIFY\" \"$SSL_CLIENT_S_DN\"\n";
        router.write("root/cgi-bin/who", script);
        fs::set_permissions(router.path("root/cgi-bin/who"), Permissions::from_mode(0o755)).unwrap();
        World { router, ca, clients, secure: free_addr() }
    }

    /// A section with these lines; `@` stands for the folder.
    fn section(&self, name: &str, lines: &str) -> String {
        format!(
            "config uhttpd {name}\n list listen_http 127.0.0.1:0\n list listen_https {}\n option home @root\n\
             option cert @server.crt\n option key @server.key\n{lines}\n",
            self.secure
        )
    }

    fn start(&self, lines: &str) -> Daemon {
        self.router.configure(&self.section("main", lines));
        self.router.start(1)
    }

    /// A client that shows such a certificate, if any.
    fn client(&self, auth: Option<&Pair>) -> Client {
        let config = Arc::new(config(&self.ca, BOTH, auth));
        over(try_open(&config, self.secure, "localhost").unwrap())
    }

    fn get(&self, auth: Option<&Pair>, target: &str) -> Response {
        let mut client = self.client(auth);
        client.send(request("GET", target, &[], true));
        client.read_response()
    }
}

#[track_caller]
fn assert_refused(reply: &Response, what: &str) {
    assert_eq!(reply.status, 403, "{what}: {reply:?}");
    let text = String::from_utf8_lossy(&reply.raw);
    assert!(text.contains("client certificate is required") && !text.contains("HIDDEN"), "{what}: {text}");
}

#[test]
fn a_path_may_want_a_certificate() {
    let world = World::new();
    let daemon = world.start(" option ca @clients.crt\n list require_client_cert /admin");
    let (alice, eve) = (world.clients.issue(&["alice"]), Ca::new("Clients").issue(&["eve"]));
    for (who, name) in [(None, "none"), (Some(&eve), "another authority's of the same name")] {
        for path in ["/admin/x", "/Admin/x", "//admin/./x", "/%61dmin/x", "/x/../admin/", "/admin"] {
            assert_refused(&world.get(who, path), &format!("{name}: {path}"));
        }
        assert_eq!(world.get(who, "/file.txt").text(), "content", "{name}");
        assert_eq!(world.get(who, "/cgi-bin/who").text(), "NONE|", "{name}");
    }
    assert_eq!(world.get(Some(&alice), "/admin/x").text(), "HIDDEN");
    assert_eq!(world.get(Some(&alice), "/cgi-bin/who").text(), "SUCCESS|O=Tests,CN=alice");
    // Resumed sessions know no less, and no more.
    for (who, status) in [(Some(&alice), 200), (Some(&eve), 403), (None, 403)] {
        let config = Arc::new(config(&world.ca, BOTH, who));
        for _ in 0..2 {
            let mut client = over(try_open(&config, world.secure, "localhost").unwrap());
            client.send(request("GET", "/admin/x", &[], true));
            assert_eq!(client.read_response().status, status);
            client.expect_close();
        }
    }
    // Without TLS there is none to be shown.
    assert_refused(&ask(daemon.addr, "GET", "/admin/x", &["SSL_CLIENT_VERIFY: SUCCESS", "X: y"]), "plain");
    assert_eq!(ask(daemon.addr, "GET", "/file.txt", &[]).text(), "content");
    assert!(world.router.log().contains("403: /admin/x: client certificate required"), "{}", world.router.log());
    assert!(world.router.log().contains("client certificate not accepted"), "{}", world.router.log());
}

#[test]
fn a_whole_site_may_want_one() {
    let world = World::new();
    world.router.write("root/.well-known/acme-challenge/token", "proof");
    let lines = " option ca @clients.crt\n option require_client_cert 1\n list alias /.well-known=/admin";
    let daemon = world.start(lines);
    let alice = world.clients.issue(&["alice"]);
    for path in ["/", "/file.txt", "/missing", "/.well-known/", "/.well-known/acme-challenge/../x"] {
        assert_refused(&world.get(None, path), path);
        assert_refused(&ask(daemon.addr, "GET", path, &[]), path);
    }
    assert_eq!(world.get(Some(&alice), "/file.txt").text(), "content");
    // An alias of the open place leads to what is none.
    world.router.write("root/admin/.well-known/acme-challenge/x", "HIDDEN");
    assert_refused(&ask(daemon.addr, "GET", "/.well-known/acme-challenge/x", &[]), "by an alias");
    drop(daemon);
    let daemon = world.start(" option ca @clients.crt\n option require_client_cert 1\n option redirect_https 1");
    // Who renews the server's certificate has none.
    assert_eq!(ask(daemon.addr, "GET", "/.well-known/acme-challenge/token", &[]).text(), "proof");
    assert_eq!(ask(daemon.addr, "GET", "/file.txt", &["X: y"]).status, 307);
    // A change of the authorities counts from the reload on.
    world.router.write("clients.crt", Ca::new("Others").pem());
    assert!(world.router.reload(&daemon).contains("configuration reloaded"));
    assert_refused(&world.get(Some(&alice), "/file.txt"), "of an authority of before");
}

/// Whatever is wrong, nobody gets in without a certificate, and HTTPS stays.
#[test]
fn wrong_values_open_nothing() {
    let world = World::new();
    let alice = world.clients.issue(&["alice"]);
    world.router.write("junk", "junk");
    #[rustfmt::skip]
    let rows: [(&str, &[&str]); 5] = [
        (" list require_client_cert /admin", &["main.require_client_cert", "ca", "closed to everyone"]),
        (" option ca @missing.crt\n list require_client_cert /admin", &["missing.crt"]),
        (" option ca @junk\n list require_client_cert /admin", &["junk"]),
        (" option ca @clients.crt\n list require_client_cert 'admin/x'", &["main.require_client_cert", "\"admin/x\"", "slash"]),
        (" option ca @clients.crt\n list require_client_cert '/admin?x'", &["main.require_client_cert", "\"/admin?x\""]),
    ];
    for (lines, named) in rows {
        world.router.configure(&world.section("main", lines));
        let (status, said) = world.router.check();
        assert_eq!(status, Some(1), "{lines}");
        one_line(&said, named);
        let _daemon = world.router.start(1);
        assert_refused(&world.get(None, "/admin/x"), lines);
        let verified = lines.contains("clients.crt");
        assert_eq!(world.get(Some(&alice), "/admin/x").status, if verified { 200 } else { 403 }, "{lines}");
    }
    // Without HTTPS nobody can show one.
    world.router.section(" list require_client_cert /file.txt\n option ca /x");
    let (_, said) = world.router.check();
    one_line(&said, &["main.require_client_cert", "HTTPS", "closed to everyone"]);
    let daemon = world.router.start(1);
    assert_refused(&ask(daemon.addr, "GET", "/file.txt", &[]), "no HTTPS");
}

/// Sites that share an address share the authorities: else those of one would open the other.
#[test]
fn authorities_are_an_addresss() {
    let world = World::new();
    let others = Ca::new("Others");
    world.router.write("others.crt", others.pem());
    let a = world.section("a", " list server_name a.lan\n option ca @clients.crt\n option require_client_cert 1");
    let b = world.section("b", " list server_name b.lan\n option ca @others.crt\n option require_client_cert 1");
    let c = world.section("c", " list server_name c.lan");
    world.router.configure(&[a, b, c].concat());
    let (status, said) = world.router.check();
    assert_eq!(status, Some(1));
    one_line(&said, &["uhttpd.b.ca", "others.crt", "uhttpd.a"]);
    let _daemon = world.router.start(1);
    let (alice, bob) = (world.clients.issue(&["alice"]), others.issue(&["bob"]));
    let status = |who, host: &str| {
        let mut client = world.client(who);
        client.send(format!("GET /cgi-bin/who HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        let reply = client.read_response();
        (reply.status, if reply.status == 200 { reply.text().to_owned() } else { String::new() })
    };
    assert_eq!(status(Some(&alice), "a.lan").1, "SUCCESS|O=Tests,CN=alice");
    assert_eq!(status(Some(&bob), "a.lan").0, 403);
    for who in [&alice, &bob] {
        assert_eq!(status(Some(who), "b.lan").0, 403, "neither counts where the authorities are not in force");
        assert_eq!(status(Some(who), "c.lan").1, "|", "nor are scripts told where none are named");
    }
}

#[test]
fn as_programs_show_them() {
    if !has("openssl", "version") || !has("curl", "--version") {
        return;
    }
    let world = World::new();
    let _daemon = world.start(" option ca @clients.crt\n list require_client_cert /admin");
    let folder = world.router.temp.path();
    world.clients.issue(&["alice"]).write(folder, "alice");
    Ca::new("Others").issue(&["eve"]).write(folder, "eve");
    let url = format!("https://{}/admin/x", world.secure);
    let curl = |auth: &str| run(folder, &format!("curl -sS -w %{{http_code}} -k {auth} {url}"));
    assert_eq!(curl("--cert alice.crt --key alice.key"), "HIDDEN200");
    assert!(curl("").ends_with("403"));
    assert!(curl("--cert eve.crt --key eve.key").ends_with("403"));
    let (said, _) = s_client(folder, world.secure, "-CAfile servers.crt -cert alice.crt -key alice.key");
    assert!(said.contains("Acceptable client certificate CA names") && said.contains("CN = Clients"), "{said}");
    // As `openssl x509 -req` makes them without extensions: X.509 v1, which is not verified; the log says so.
    let line =
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout old.key -out old.csr -subj /CN=old";
    run(folder, line);
    run(
        folder,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.crt -subj /CN=own",
    );
    run(folder, "openssl x509 -req -in old.csr -CA own.crt -CAkey own.key -CAcreateserial -out old.crt");
    let old = run(folder, "openssl x509 -in old.crt -noout -text");
    if old.contains("Version: 1") {
        let (said, _) = s_client(folder, world.secure, "-CAfile servers.crt -cert old.crt -key old.key");
        assert!(!said.contains("200 OK"), "{said}");
        until("the log says why", || world.router.log().contains("certificate"));
    }
}
