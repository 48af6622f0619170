//! A configuration at boot: what can be served is served, and the rest is said.

mod common;
mod common_config;
mod common_files;

use common::skip;
use common_config::{Router, ask, free_addr, one_line, until};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// A router must stay within reach: what is wrong in the file but can be done without is said, and the rest served.
#[test]
fn a_boot_serves_what_can_be_served() {
    let router = Router::new();
    router.configure(
        &"config uhttpd main\n list listen_http 127.0.0.1:0\n list listen_http '[fe80::1%nowhere0]:8080'\n option home @root\n\
         list listen_https 127.0.0.1:0\n option cert @junk\n option key @junk\n\
         config uhttpd usb\n list listen_http @USB@\n option home @usb\n"
            .replace("@USB@", &free_addr().to_string()),
    );
    router.write("junk", "junk");
    let daemon = router.start(2);
    let addrs = daemon.addrs();
    assert_eq!(ask(addrs[0], "GET", "/", &[]).text(), "home");
    assert_eq!(ask(addrs[1], "GET", "/", &[]).status, 404);
    // The folder may come later.
    router.write("usb/index.html", "usb");
    until("the folder is found", || ask(addrs[1], "GET", "/", &[]).status == 200);
    let log = router.log();
    let mut named = vec!["usb.home", "nowhere0"];
    if cfg!(feature = "tls") {
        named.push("HTTPS can't be served");
    }
    for named in named {
        assert!(log.lines().any(|line| line.contains("error") && line.contains(named)), "{named}: {log}");
    }
}

/// A file that any fault of keeps uhttpd from starting, or not even that.
#[test]
fn a_boot_passes_over_wrong_options() {
    let router = Router::new();
    router.write("root/secret/x", "HIDDEN");
    router.write("root/al/x", "alias");
    let text = "config uhttpd main\n list listen_http 127.0.0.1:0\n list listen_http router.lan:80\n option home @root\n\
        option http_keepalive soon\n option max_connections 0x10\n option script_timeout 100000\n list header nonsense\n\
        list alias /al\n list alias nonsense\n list index_page /x\n option realm 'Z\u{fc}rich'\n option no_dirlists y\n\
        option rfc1918_filter maybe\n option error_page '/index.html?x'\n option config @no.conf\n option cgi_prefix cgi\n\
        list httpauth gone\n list httpauth half\nconfig httpauth half\n option prefix /secret\n option username u\n\
        config uhttpd empty\n option home @root\nconfig uhttpd none\n list listen_http nowhere\n\
        config cert c\n option days 0\n";
    // In Latin-1, as an editor of old leaves it.
    let text = text.replace('@', &router.path(""));
    let latin1 = text.chars().map(|char| u8::try_from(char).unwrap()).collect::<Vec<_>>();
    router.write("uhttpd", latin1);
    let daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).text(), "home");
    assert_eq!(ask(daemon.addr, "GET", "/missing", &[]).text(), "home", "the error page");
    for field in ["X: y", "Authorization: Basic dTo=", "Authorization: Basic OiQ=", "Authorization: Basic dTok"] {
        assert_eq!(ask(daemon.addr, "GET", "/secret/x", &[field]).status, 401, "{field}");
    }
    assert_eq!(ask(daemon.addr, "GET", "/al/", &[]).status, 404);
    let log = router.log();
    #[rustfmt::skip]
    let named = [
        ("error", "router.lan:80"), ("error", "http_keepalive"), ("error", "max_connections"), ("warn", "script_timeout"), ("error", "main.header"),
        ("error", "main.alias"), ("error", "index_page"), ("warn", "realm"), ("warn", "no_dirlists"), ("warn", "rfc1918_filter"),
        ("warn", "error_page"), ("error", "no.conf: "), ("error", "cgi_prefix"), ("error", "\"gone\""), ("error", "uhttpd.half"),
        ("error", "empty.listen_http"), ("error", "\"nowhere\""), ("error", "none.listen_http: no address"), ("warn", "uhttpd.c.days"),
    ];
    for (level, named) in named {
        assert!(log.lines().any(|line| line.contains(level) && line.contains(named)), "{level} {named}: {log}");
    }
    assert_eq!(log.lines().filter(|line| !line.contains("login as")).count(), named.len(), "{log}");
    let (status, said) = router.check();
    assert_eq!((status, said.lines().count()), (Some(1), named.len()), "{said}");
}

/// A file that may hold logins, but can't be read, leaves nothing open; one that is absent holds none.
#[test]
fn logins_that_cannot_be_read_close_the_site() {
    let router = Router::new();
    router.write("httpd.conf", "/file.txt\n/al:me\n");
    for (conf, index, file) in [("root", 401, 401), ("missing", 200, 200), ("httpd.conf", 200, 401)] {
        router.section(&format!(
            " option config {}\n list httpauth a\nconfig httpauth a\n option prefix /x\n option username u\n option password p",
            router.path(conf)
        ));
        let daemon = router.start(1);
        assert_eq!(ask(daemon.addr, "GET", "/", &[]).status, index, "{conf}");
        assert_eq!(ask(daemon.addr, "GET", "/file.txt", &[]).status, file, "{conf}");
        // u:p
        let known = ask(daemon.addr, "GET", "/x", &["Authorization: Basic dTpw"]).status;
        assert_eq!(known, if index == 401 { 401 } else { 404 }, "{conf}");
        assert!(router.log().contains(conf), "{conf}");
    }
}

/// Both families, each with an address of its own at the same port, are no contradiction.
#[test]
fn addresses_beside_each_other_are_right() {
    let router = Router::new();
    for listens in [["0.0.0.0:8099", "[::]:8099"], ["127.0.0.8:8099", "127.0.0.9:8099"], ["[::1]:8099", "0.0.0.0:8099"]]
    {
        router.section(&format!(" list listen_http {}\n list listen_http {}", listens[0], listens[1]));
        assert_eq!(router.check(), (Some(0), String::new()));
    }
}

/// A log on a disk that is not mounted yet is no reason to leave the router without a server.
#[test]
fn a_boot_does_without_its_log() {
    let router = Router::new();
    router.section(&format!(" option access_log {}", router.path("usb/log")));
    let daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).text(), "home");
    assert!(router.log().contains("access_log"));
}

/// Half of a port is not the port: the other half would be another server's.
#[test]
fn a_port_that_is_taken_in_one_family_is_said() {
    let taken = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None).unwrap();
    taken.set_only_v6(true).unwrap();
    let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
    if taken.bind(&any.into()).and_then(|()| taken.listen(1)).is_err() {
        skip("no IPv6 here");
        return;
    }
    let port = taken.local_addr().unwrap().as_socket().unwrap().port().to_string();
    let output = Router::new().output(&["-f", "-p", &port]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    one_line(&String::from_utf8(output.stderr).unwrap(), &[&port]);
}

#[test]
fn each_address_is_said_with_its_own_folder() {
    let router = Router::new();
    router.write("other/index.html", "other");
    let (main, other) = (free_addr(), free_addr());
    router.configure(&format!(
        "config uhttpd a\n list listen_http {main}\n option home @root\nconfig uhttpd b\n list listen_http {other}\n option home @other\n"
    ));
    let daemon = router.start(2);
    assert!(daemon.greeting[1].contains(&router.path("other")), "{:?}", daemon.greeting);
}

#[test]
fn an_address_that_is_taken_is_had_later() {
    let router = Router::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    // On a command line it is an error.
    let output = router.output(&["-f", "-p", &addr.to_string(), "-p", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2));
    one_line(&String::from_utf8(output.stderr).unwrap(), &[&addr.to_string()]);
    // A router serves what it can, and listens there once it may.
    router.write("root/index.html", "home");
    router.section(&format!(" list listen_http {addr}"));
    let daemon = router.start(1);
    assert!(daemon.addr != addr);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).text(), "home");
    until("it is said", || router.log().contains(&addr.to_string()));
    drop(taken);
    // A child that another test is starting may hold the old socket for a moment, so any answer but ours is none.
    until("it listens there", || {
        let mut reply = String::new();
        let asked = TcpStream::connect(addr).and_then(|mut stream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut reply)
        });
        asked.is_ok() && reply.ends_with("home")
    });
}
