//! A configuration that changes while it is served: what stays, what goes, what is refused.

mod common;
mod common_config;
mod common_files;
#[cfg(feature = "tls")]
mod common_tls;

use common::{Client, pattern};
use common_config::{Router, ask, free_addr, until};
use common_files::{Daemon, request};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// A router that serves `one` at an address, by a file.
fn started() -> (Router, SocketAddr, Daemon) {
    let router = Router::new();
    let addr = free_addr();
    for site in ["one", "two"] {
        router.write(&format!("{site}/index.html"), site);
    }
    router.configure(&serving(&addr, "one"));
    let daemon = router.start(1);
    (router, addr, daemon)
}

fn serving(addr: &SocketAddr, site: &str) -> String {
    format!("config uhttpd main\n list listen_http {addr}\n option home @{site}\n")
}

#[track_caller]
fn index(addr: SocketAddr) -> String {
    ask(addr, "GET", "/", &[]).text().to_owned()
}

#[test]
fn connections_stay_and_meet_the_new() {
    let (router, addr, daemon) = started();
    router.write("one/large", pattern(1 << 20).repeat(32));
    let mut idle = daemon.connect();
    let mut get = || {
        idle.send(request("GET", "/", &[], false));
        let reply = idle.read_response();
        (reply.text().to_owned(), reply.header("x-a").is_some())
    };
    assert_eq!(get(), ("one".into(), false));
    let mut loading = daemon.connect();
    loading.send(request("GET", "/large", &[], false));
    let mut reply = loading.read_exact(1000);
    router.configure(&(serving(&addr, "two") + " list header 'X-A: b'\n option no_dirlists 1\n"));
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(get(), ("two".into(), true));
    assert_eq!(index(addr), "two");
    // The download is that of the old configuration, whole.
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let rest = loading.read_exact((32 << 20) - (reply.len() - end));
    reply.extend(rest);
    assert!(reply[end..] == pattern(1 << 20).repeat(32));
    // And the connection goes on by the new one.
    loading.send(request("GET", "/large", &[], true));
    assert_eq!(loading.read_response().status, 404);
}

#[test]
fn listeners_come_and_go() {
    let (router, addr, daemon) = started();
    let other = free_addr();
    let mut idle = daemon.connect();
    idle.send(request("GET", "/", &[], false));
    assert_eq!(idle.read_response().text(), "one");
    let second = serving(&other, "two").replace("main", "second");
    router.configure(&(serving(&addr, "one") + &second));
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!((index(addr), index(other)), ("one".into(), "two".into()));
    router.configure(&second);
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(index(other), "two");
    until("the old address is closed", || TcpStream::connect(addr).is_err());
    // Clients that were connected get an answer or an orderly end, but no reset.
    let _ = idle.try_send(request("GET", "/", &[], true));
    let (rest, end) = idle.rest();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 200 "), "{:?}", rest.escape_ascii().to_string());
    assert_eq!(end, common::End::Eof);
    router.configure(&(serving(&addr, "one") + &second));
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!((index(addr), index(other)), ("one".into(), "two".into()));
}

/// Nothing of a configuration is taken over if any of it is wrong.
#[test]
fn a_wrong_configuration_is_refused_whole() {
    let (router, addr, daemon) = started();
    let taken = TcpListener::bind(free_addr()).unwrap();
    let taken = taken.local_addr().unwrap();
    let new = free_addr();
    let changed = serving(&addr, "two") + " list listen_http " + &new.to_string() + "\n";
    let mut idle = daemon.connect();
    #[rustfmt::skip]
    let mut wrong = vec![
        (" option http_keepalive soon\n".to_owned(), "http_keepalive"),
        ("config uhttpd b\n list listen_http 127.0.0.9:8099\n option error_page x\n".into(), "uhttpd.b.error_page"),
        (format!(" list listen_http {taken}\n"), "in use"),
        (" option config @no.conf\n".into(), "no.conf"),
        (" option access_log /no/such/log\n".into(), "/no/such/log"),
        (" option script_timeout x\n".into(), "script_timeout"),
        (format!(" list listen_http 0.0.0.0:{}\n", addr.port()), "already"),
        (" option realm 'cut".into(), "unterminated"),
        ("config".into(), "type"),
    ];
    if cfg!(feature = "tls") {
        router.write("junk", "junk");
        let tls = format!(" list listen_https {}\n option cert @junk\n option key @junk\n", free_addr());
        wrong.push((tls, "junk"));
        let tls = " list listen_https 127.0.0.1:0\n option self_signed 0\n option cert @no\n option key @no\n";
        wrong.push((tls.into(), "uhttpd.main.cert"));
    }
    for (lines, named) in &wrong {
        router.configure(&(changed.clone() + lines));
        let told = router.reload(&daemon);
        assert!(
            told.contains("reload failed, keeping the old configuration") && told.contains(named),
            "{lines}: {told}"
        );
        assert_eq!(index(addr), "one", "{lines}");
        assert!(TcpStream::connect(new).is_err(), "{lines}: a new listener");
        idle.send(request("GET", "/", &[], false));
        assert_eq!(idle.read_response().text(), "one", "{lines}");
    }
    fs::remove_file(router.path("uhttpd")).unwrap();
    assert!(router.reload(&daemon).contains("uhttpd"));
    assert_eq!(index(addr), "one");
    router.configure("");
    assert!(router.reload(&daemon).contains("config uhttpd"));
    assert_eq!(index(addr), "one");
    // And then the right one.
    router.configure(&changed);
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!((index(addr), index(new)), ("two".into(), "two".into()));
    idle.send(request("GET", "/", &[], false));
    assert_eq!(idle.read_response().text(), "two");
}

/// Requests of the load, and signals in its midst.
const REQUESTS: usize = 10_000;
const RELOADS: usize = 10;

#[test]
fn no_request_fails_for_a_reload() {
    let (router, addr, daemon) = started();
    let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|n| {
                let (done, over) = (&done, &over);
                scope.spawn(move || {
                    while done.load(SeqCst) < REQUESTS || !over.load(SeqCst) {
                        // Half of them reconnect each time.
                        let mut client = Client::connect(addr);
                        for _ in 0..if n % 2 == 0 { 100 } else { 1 } {
                            client.send(request("GET", "/", &[], false));
                            let reply = client.read_response();
                            assert_eq!(reply.status, 200);
                            assert!(matches!(reply.text(), "one" | "two"), "{}", reply.text());
                            done.fetch_add(1, SeqCst);
                        }
                    }
                })
            })
            .collect();
        for n in 0..RELOADS {
            until("there is load", || {
                done.load(SeqCst) > (n + 1) * REQUESTS / (RELOADS + 2)
                    || clients.iter().any(|client| client.is_finished())
            });
            let site = if n % 2 == 0 { "two" } else { "one" };
            // Another listener each time, too.
            let more = format!(" list listen_http {}\n", free_addr());
            router.configure(&(serving(&addr, site) + &more));
            assert!(router.reload(&daemon).contains("configuration reloaded"));
            assert_eq!(index(addr), site, "from the reload on it is the new one");
        }
        over.store(true, SeqCst);
    });
    assert!(done.load(SeqCst) >= REQUESTS);
}

/// A signal may come as soon as the address is printed. It used to end the program, as it was not caught yet.
#[test]
fn a_reload_may_come_at_once() {
    let router = Router::new();
    for _ in 0..20 {
        let daemon = router.start_by(&[]);
        assert!(router.reload(&daemon).contains("configuration reloaded"));
        assert_eq!(index(daemon.addr), "home");
    }
}

/// A disk that was taken out must not keep a change elsewhere from being served.
#[test]
fn what_is_absent_holds_nothing_up() {
    let (router, addr, daemon) = started();
    let other = free_addr();
    router.write("usb/index.html", "usb");
    let usb = format!(
        "config uhttpd usb\n list listen_http {other}\n option home @usb\n list interpreter .x=@usb/program\n option access_log @usb/log\n"
    );
    router.write("usb/program", "");
    router.configure(&(serving(&addr, "one") + &usb));
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!((index(addr), index(other)), ("one".into(), "usb".into()));
    fs::rename(router.path("usb"), router.path("elsewhere")).unwrap();
    router.configure(&(serving(&addr, "two") + &usb));
    let mut told = router.log().len();
    let mut reload = || {
        assert!(router.reload(&daemon).contains("configuration reloaded"));
        let log = router.log();
        let lines = log[told..].to_owned();
        told = log.len();
        lines
    };
    let lines = reload();
    for named in ["usb.home", "usb.interpreter", "usb.access_log"] {
        assert_eq!(lines.lines().filter(|line| line.contains(named)).count(), 1, "{named}: {lines}");
    }
    assert_eq!(index(addr), "two");
    until("it answers 404", || ask(other, "GET", "/", &[]).status == 404);
    assert!(!reload().contains("usb.home"), "it is said once");
    fs::rename(router.path("elsewhere"), router.path("usb")).unwrap();
    until("it is back", || ask(other, "GET", "/", &[]).status == 200);
}

/// Descriptors that a reload opens are those of the new configuration; the old one's go.
#[test]
fn reloads_leave_nothing_behind() {
    let (router, addr, daemon) = started();
    let log = format!(" option access_log {}\n list header 'X: y'\n", router.path("access"));
    let configured = serving(&addr, "one") + &log;
    router.configure(&configured);
    router.reload(&daemon);
    index(addr);
    let open = || fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap().count();
    let wrong = configured.clone() + " list listen_http " + &free_addr().to_string() + "\n option realm\n";
    let before = open();
    for n in 0..50 {
        router.configure(if n % 2 == 0 { &wrong } else { &configured });
        router.reload(&daemon);
        index(addr);
    }
    until("as many are open as before", || open() <= before);
    // Many signals at once are one, or few; none is the end.
    for _ in 0..200 {
        daemon.signal("HUP");
    }
    assert_eq!(index(addr), "one");
}

/// By the command line, too: with its files, which are where they were when it was started.
#[test]
fn a_command_line_is_read_anew() {
    let router = Router::new();
    router.write("httpd.conf", "I:first.html\n");
    for name in ["first", "second"] {
        router.write(&format!("root/{name}.html"), name);
    }
    let daemon = router.start_by(&["-c", "httpd.conf"]);
    assert_eq!(index(daemon.addr), "first");
    router.write("httpd.conf", "I:second.html\n");
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(index(daemon.addr), "second");
    fs::rename(router.path("root"), router.path("gone")).unwrap();
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert!(router.log().contains("-h: "), "{}", router.log());
    fs::rename(router.path("gone"), router.path("root")).unwrap();
    assert!(router.reload(&daemon).contains("configuration reloaded"));
    assert_eq!(index(daemon.addr), "second");
}

#[test]
fn an_address_may_become_narrower() {
    let router = Router::new();
    let port = free_addr().port();
    let section = |ip: &str| format!("config uhttpd main\n list listen_http {ip}:{port}\n option home @root\n");
    router.configure(&section("0.0.0.0"));
    let daemon = router.start(1);
    router.configure(&section("127.0.0.1"));
    let told = router.reload(&daemon);
    assert!(told.contains("configuration reloaded"), "{told}");
    assert_eq!(index(([127, 0, 0, 1], port).into()), "home");
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use common_tls::{Ca, leaf, over, trusting, try_open};
    use rustls::version::TLS13;

    #[test]
    fn certificates_are_read_anew() {
        let router = Router::new();
        let ca = Ca::new("authority");
        let pairs = [ca.issue(&["localhost"]), ca.issue(&["localhost"])];
        let (plain, secure) = (free_addr(), free_addr());
        pairs[0].write(router.temp.path(), "server");
        let (cert, key) = pairs[0].write(router.temp.path(), "server");
        let text = format!(
            "config uhttpd main\n list listen_http {plain}\n list listen_https {secure}\n option home @root\n option cert {}\n option key {}\n",
            cert.display(),
            key.display()
        );
        router.configure(&text);
        let daemon = router.start(1);
        let config = trusting(&[&TLS13]);
        let open = || try_open(&config, secure, "localhost").unwrap();
        assert_eq!(leaf(&open()), pairs[0].cert);
        let mut old = over(open());
        let mut get = || {
            old.send(request("GET", "/file.txt", &[], false));
            old.read_response().text().to_owned()
        };
        assert_eq!(get(), "content");
        pairs[1].write(router.temp.path(), "server");
        assert!(router.reload(&daemon).contains("configuration reloaded"));
        assert_eq!(leaf(&open()), pairs[1].cert);
        assert_eq!(get(), "content", "a connection of before");
        // A key that does not fit is refused, and with it all else.
        fs::write(&key, pairs[0].key.serialize_pem()).unwrap();
        router.configure(&(text + " option max_requests none\n"));
        assert!(router.reload(&daemon).contains("keeping the old configuration"));
        router.configure(
            &fs::read_to_string(router.path("uhttpd")).unwrap().replace("max_requests none", "max_requests 3"),
        );
        assert!(router.reload(&daemon).contains("keeping the old configuration"));
        assert_eq!(leaf(&open()), pairs[1].cert);
        assert_eq!(get(), "content");
    }

    #[test]
    fn a_port_may_become_https() {
        let (router, addr, daemon) = started();
        let other = free_addr();
        router.configure(&format!(
            "config uhttpd main\n list listen_http {other}\n list listen_https {addr}\n option home @one\n option cert @c\n option key @k\n"
        ));
        let told = router.reload(&daemon);
        assert!(told.contains("configuration reloaded"), "{told}");
        assert!(try_open(&trusting(&[&TLS13]), addr, "localhost").is_ok());
    }
}
