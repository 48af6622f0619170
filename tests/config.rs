//! The daemon's configuration as a router's owner meets it: the command line, the file, what is said about faults.

mod common;
mod common_config;
mod common_files;

use common_config::{Router, ask, free_addr, one_line};
use common_files::{Daemon, request};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

/// Letters of uhttpd's that take no value, and those that take one.
const LETTERS: (&str, &str) = ("DfqRSXa", "AbCcdEehHIikKlLmnNoOpPrstTuUxy");

#[test]
fn every_letter_of_uhttpd_is_known() {
    let router = Router::new();
    let help = String::from_utf8(router.output(&["--help"]).stdout).unwrap();
    for letter in LETTERS.0.chars().chain(LETTERS.1.chars()) {
        let line = help.lines().find(|line| line.starts_with(&format!("  -{letter}, --")));
        let line = line.unwrap_or_else(|| panic!("-{letter} is not in the help: {help}"));
        let valued = line.split_whitespace().count() > 2;
        assert_eq!(valued, LETTERS.1.contains(letter), "{line}");
        if valued {
            let output = router.output(&[&format!("-{letter}")]);
            assert_eq!(output.status.code(), Some(1), "{line}");
            one_line(&String::from_utf8(output.stderr).unwrap(), &[&format!("-{letter}"), "missing"]);
        }
    }
    // Letters may stand together, and so may a letter and its value, as getopt has it.
    let dump = router.output(&["-fDSRk7", "-hroot", "-p127.0.0.1:0", "--dump"]);
    let dump = String::from_utf8(dump.stdout).unwrap();
    for line in ["no_dirlists '1'", "no_symlinks '1'", "rfc1918_filter '1'", "http_keepalive '7'", "'127.0.0.1:0'"] {
        assert!(dump.contains(line), "{line}: {dump}");
    }
}

/// What a router's script starts uhttpd with (openwrt#14321), its ports and paths but for.
#[test]
fn uhttpds_command_line_starts_it() {
    let router = Router::new();
    router.write("root/cgi-bin/luci", "#!/bin/sh\n");
    let (cert, key, root) = (router.path("uhttpd.crt"), router.path("uhttpd.key"), router.path("root"));
    make_pair(&cert, &key);
    #[rustfmt::skip]
    let args = [
        "-f", "-h", &root, "-r", "gateway", "-x", "/cgi-bin", "-u", "/ubus", "-t", "60", "-T", "30", "-k", "20", "-A", "1", "-n", "5", "-N", "100",
        "-R", "-p", "127.0.0.1:0", "-p", "127.0.0.2:0", "-C", &cert, "-K", &key, "-s", "127.0.0.1:0", "-s", "127.0.0.2:0", "-q",
    ];
    let daemon = Daemon::run(&mut router.command(&args), 2);
    assert_eq!(daemon.addrs().len(), 2);
    for addr in daemon.addrs() {
        let reply = ask(addr, "GET", "/file.txt?a=b", &["X: y"]);
        if cfg!(feature = "tls") {
            assert_eq!((reply.status, reply.body.len()), (307, 0));
            let location = reply.header("location").unwrap();
            assert!(location.starts_with("https://t:") && location.ends_with("/file.txt?a=b"), "{location}");
        } else {
            assert_eq!(reply.text(), "content");
        }
    }
    let tls: Vec<String> = if cfg!(feature = "tls") { (0..2).map(|_| daemon.line()).collect() } else { Vec::new() };
    assert!(tls.iter().all(|line| line.contains("https://127.0.0.")), "{tls:?}");
}

/// A certificate and its key, as openssl makes them for uhttpd.
fn make_pair(cert: &str, key: &str) {
    let pair = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    std::fs::write(cert, made.der()).unwrap();
    std::fs::write(key, pair.serialize_pem()).unwrap();
}

/// In the form of the file that OpenWrt installs: its options, comments and quotes.
const SHIPPED: &str = r#"
# Server configuration
config uhttpd main

	# HTTP listen addresses, multiple allowed
	list listen_http	127.0.0.1:0
	list listen_http	127.0.0.2:0

	# HTTPS listen addresses, multiple allowed
	list listen_https	127.0.0.1:0

	# Redirect HTTP requests to HTTPS if possible
	option redirect_https	0

	option home		@root

	# Reject requests from RFC1918 IP addresses
	option rfc1918_filter 1

	option max_requests 3
	option max_connections 100

	# Certificate and private key for HTTPS.
	option cert		@uhttpd.crt
	option key		@uhttpd.key

	option cgi_prefix	/cgi-bin
	list lua_prefix		"/cgi-bin/luci=/usr/lib/lua/luci/sgi/uhttpd.lua"
	list ucode_prefix	'/cgi-bin/luci=/usr/share/ucode/luci/uhttpd.uc'

	option script_timeout	60
	option network_timeout	30
	option http_keepalive	20
	option tcp_keepalive	1

#	list interpreter	".php=/usr/bin/php-cgi"
#	option realm	OpenWrt

# Defaults for automatic certificate and key generation
config cert defaults
	option days		397
	option key_type		ec
	option bits		2048
	# curve name
	option ec_curve		P-256
	option country		ZZ
	option state		Somewhere
	option location		Unknown
	option commonname	'OpenWrt'
"#;

#[test]
fn the_file_as_openwrt_ships_it_starts_it() {
    let router = Router::new();
    router.configure(SHIPPED);
    assert_eq!(router.check().0, Some(0));
    let daemon = router.start(2);
    for addr in daemon.addrs() {
        assert_eq!(ask(addr, "GET", "/", &[]).text(), "home");
    }
    if cfg!(feature = "tls") {
        assert!(daemon.line().contains("https://127.0.0.1:"));
        assert!(Path::new(&router.path("uhttpd.crt")).exists(), "made at the first start");
        let key = std::fs::metadata(router.path("uhttpd.key")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o077, 0, "the key is root's");
    }
    let log = router.log();
    let mut complaints = log.lines().filter(|line| line.contains("warn") || line.contains("error"));
    assert!(complaints.all(|line| line.contains("built without TLS")), "{log}");
    // As `uci export` prints it.
    let exported = format!("package uhttpd\n\n{SHIPPED}");
    let dump = |text: &str| {
        router.configure(text);
        router.output(&["--config", "uhttpd", "--dump"]).stdout
    };
    assert_eq!(dump(SHIPPED), dump(&exported));
}

#[test]
fn helpers_print_what_scripts_expect() {
    let router = Router::new();
    #[rustfmt::skip]
    let rows = [
        (["-d", "a%20b+c%2f%zz%4"], "a b c/%zz%4"), (["--urldecode", ""], ""), (["-d", "%41"], "A"),
    ];
    for (args, printed) in rows {
        let output = router.output(&args);
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), printed, "{args:?}");
    }
    let output = router.output(&["-m", "secret"]);
    let hash = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && hash.starts_with("$1$") && hash.ends_with('\n'), "{hash}");
    router.write("httpd.conf", format!("/file.txt:me:{hash}"));
    let daemon = router.start_by(&["-c", "httpd.conf"]);
    // me:secret
    assert_eq!(ask(daemon.addr, "GET", "/file.txt", &["Authorization: Basic bWU6c2VjcmV0"]).text(), "content");
    assert_eq!(ask(daemon.addr, "GET", "/file.txt", &[]).status, 401);
}

#[test]
fn handlers_that_cannot_answer_are_warned_of() {
    let router = Router::new();
    let args = ["-l", "/cgi-bin/luci", "-L", "/x.lua", "-o", "/cgi-bin/luci", "-O", "/x.uc"];
    let daemon = router.start_by(&args);
    assert_eq!(daemon.get("/file.txt").text(), "content");
    assert_eq!(router.log(), "", "LuCI's own is a CGI as well");
    let daemon = router.start_by(&["-o", "/metrics", "-l", "/a", "-H", "/z.json"]);
    assert_eq!(daemon.get("/file.txt").text(), "content");
    let log = router.log();
    assert_eq!(log.lines().count(), 3, "{log}");
    for (line, named) in
        log.lines().zip(["-o: ignored: expected a path and its handler (-O, ", "-l: ignored: ", "/z.json"])
    {
        assert!(line.contains(named) && line.contains("warn"), "{line}");
    }
}

/// All the sections are one process; those that are off are none of it.
#[test]
fn sections_have_their_own_address_and_folder() {
    let router = Router::new();
    router.write("other/index.html", "other");
    let (main, other) = (free_addr(), free_addr());
    router.configure(&format!(
        "config uhttpd main\n list listen_http {main}\n option home @root\n\n\
         config uhttpd\n option listen_http {other}\n option home '@other'\n option no_dirlists 1\n\n\
         config uhttpd off\n option enabled 0\n list listen_http {other}\n option home @missing\n",
    ));
    let daemon = router.start(2);
    assert_eq!(daemon.addrs(), [main, other]);
    assert_eq!(ask(main, "GET", "/", &[]).text(), "home");
    assert_eq!(ask(other, "GET", "/", &[]).text(), "other");
    assert_eq!(ask(other, "GET", "/file.txt", &[]).status, 404);
    assert_eq!(router.log(), "");
    assert_eq!(router.check(), (Some(0), String::new()));
}

/// Port 0 is another one each time: sections do not share it.
#[test]
fn sections_have_their_own_free_port() {
    let router = Router::new();
    router.write("other/index.html", "other");
    router.configure(
        "config uhttpd a\n list listen_http 127.0.0.1:0\n option home @root\n\
         config uhttpd b\n list listen_http 127.0.0.1:0\n option home @other\n",
    );
    let daemon = router.start(2);
    let said = daemon.addrs().into_iter().map(|addr| ask(addr, "GET", "/", &[]).text().to_owned());
    assert_eq!(said.collect::<Vec<_>>(), ["home", "other"]);
}

/// The lines of a section, and what the line of error names: the line, the section, the option, the value, what is allowed.
#[rustfmt::skip]
const WRONG: &[(&str, &[&str])] = &[
    ("option http_keepalive soon", &["uhttpd:5:", "uhttpd.main.http_keepalive", "\"soon\"", "0 to 86400"]),
    ("option http2 maybe", &["uhttpd.main.http2", "\"maybe\"", "0 or 1"]),
    ("option script_timeout 1.5", &["script_timeout", "\"1.5\""]),
    ("option chunked_body_limit 4m", &["chunked_body_limit", "\"4m\"", "64 to 16777216"]),
    ("option access_log 'var/log'", &["access_log", "\"var/log\"", "syslog"]),
    ("option metrics metrics", &["metrics", "\"metrics\"", "a path such as /metrics"]),
    ("option server_status /", &["server_status", "\"/\"", "a path such as /metrics"]),
    ("list listen_http 127.0.0.1", &["listen_http", "\"127.0.0.1\"", "PORT"]),
    ("list listen_http router.lan:80", &["listen_http", "\"router.lan:80\"", "PORT"]),
    ("list listen_https '[::1]'", &["listen_https", "\"[::1]\"", "PORT"]),
    ("option listen_http '80 http'", &["listen_http", "\"http\"", "PORT"]),
    ("list alias 'a=/b'", &["alias", "\"a=/b\"", "/PATH"]),
    ("option error_page 404.html", &["error_page", "\"404.html\"", "slash"]),
    ("option fallback app.html", &["fallback", "\"app.html\"", "slash"]),
    ("list index_page /x", &["index_page", "\"/x\"", "slash"]),
    ("list interpreter =/bin/sh", &["interpreter", "\"=/bin/sh\"", ".php=/usr/bin/php-cgi"]),
    ("list header 'X-A b'", &["header", "\"X-A b\"", "NAME: VALUE"]),
    ("list header 'Content-Length: 1'", &["header", "NAME: VALUE"]),
    ("list server_name 'a/b'", &["server_name", "\"a/b\"", "router.lan"]),
    ("option config /no/such/httpd.conf", &["uhttpd.main.config", "/no/such/httpd.conf", "not in effect"]),
    ("option config @root", &["uhttpd.main.config", "root", "closed"]),
    ("list ubus_socket /a\n list ubus_socket /b", &["uhttpd:6:", "ubus_socket", "one value"]),
    ("list httpauth a\nconfig httpauth a\n option prefix /x", &["uhttpd:6: uhttpd.a", "username", "password", "/x is closed to everyone"]),
    ("list listen_http 127.0.0.9:81\n list listen_https 127.0.0.9:81", &["127.0.0.9:81", "already"]),
    ("list listen_http 127.0.0.9:81\nconfig uhttpd b\n list listen_http 127.0.0.9:81\n list listen_http 82\n option home @root", &["uhttpd.b.listen_http", "127.0.0.9:81", "uhttpd.main", "server_name"]),
    ("list listen_http 127.0.0.9:81\n list server_name A.lan\nconfig uhttpd b\n list listen_http 127.0.0.9:81\n list listen_http 82\n option home @root\n list server_name a.lan.", &["127.0.0.9:81", "server_name"]),
    ("list listen_http 0.0.0.0:8099\n list listen_http 127.0.0.9:8099", &["127.0.0.9:8099", "already", "0.0.0.0:8099"]),
    ("list listen_http [::1]:8099\n list listen_https [::]:8099", &["listen_https: [::]:8099", "already", "[::1]:8099"]),
    ("list listen_http 8099\nconfig uhttpd b\n list listen_http 0.0.0.0:8099\n list listen_http 82\n option home @root\n list server_name x", &["uhttpd.b.listen_http: 0.0.0.0:8099", "uhttpd.main", "8099"]),
    ("config uhttpd b\n option home @root", &["uhttpd.b.listen_http", "no address"]),
    ("config cert c\n option days soon", &["uhttpd.c.days", "\"soon\"", "1 to"]),
];

/// A test finds it, and nobody takes it over, but all else is in force.
#[test]
fn a_wrong_value_is_one_line_and_left_out() {
    let router = Router::new();
    // Without TLS, what is asked for of HTTPS is left out with a warning.
    let tls = |lines: &str| cfg!(feature = "tls") || !lines.contains("listen_https");
    for (lines, named) in WRONG.iter().filter(|(lines, _)| tls(lines)) {
        router.section(&lines.replace('@', &router.path("")));
        let (status, said) = router.check();
        assert_eq!((status, said.lines().count()), (Some(1), 1), "{lines}: {said}");
        one_line(&said, named);
        let output = router.output(&["--config", "uhttpd", "--dump"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && holds_text(&output.stdout, "option realm 'R'"), "{lines}: {stderr}");
        one_line(&stderr, named);
    }
}

fn holds_text(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// What can be understood is done, with a word about it.
#[test]
fn what_uhttpd_takes_is_no_fault() {
    let router = Router::new();
    #[rustfmt::skip]
    let rows = [
        ("option max_connections 0", ["max_connections", "\"0\"", "1 to"], "max_connections '1'"),
        ("option network_timeout -1", ["network_timeout", "\"-1\"", "1 to"], "network_timeout '1'"),
        ("option chunked_body_limit 1", ["chunked_body_limit", "\"1\"", "64 to"], "chunked_body_limit '64'"),
        ("option send_timeout 0", ["send_timeout", "\"0\"", "1 to"], "send_timeout '1'"),
        ("option tcp_keepalive 99999", ["tcp_keepalive", "\"99999\"", "32767"], "tcp_keepalive '32767'"),
        ("option redirect_https maybe", ["redirect_https", "\"maybe\"", "0 or 1"], "redirect_https '0'"),
        ("option no_dirlists 2", ["no_dirlists", "\"2\"", "0 or 1"], "no_dirlists '1'"),
        ("list listen_http :::8099", ["listen_http", "\":::8099\"", "PORT"], "'[::]:8099'"),
        ("option fallback '/app.html?x'", ["fallback", "query", "\"/app.html\""], "fallback '/app.html'"),
        ("option error_page '/e?x=y'", ["error_page", "query", "\"/e\""], "error_page '/e'"),
        ("list listen_http 127.0.0.9:81\n list listen_http 127.0.0.9:81", ["listen_http", "127.0.0.9:81", "already"], "127.0.0.9:81"),
        ("config cert c\n option days 36500", ["uhttpd.c.days", "36500", "398"], "days '36500'"),
        ("config cert c\n option days 40000", ["uhttpd.c.days", "40000", "36500"], "days '36500'"),
    ];
    for (lines, named, in_force) in rows {
        router.section(lines);
        let (status, said) = router.check();
        assert_eq!(status, Some(0), "{lines}: {said}");
        one_line(said.lines().next().unwrap(), &named);
        let output = router.output(&["--config", "uhttpd", "--dump"]);
        assert!(output.status.success() && holds_text(&output.stdout, in_force), "{lines}: {output:?}");
    }
    router.section(" option no_dirlists On\n option redirect_https FALSE\n list listen_http localhost:0");
    assert_eq!(router.check(), (Some(0), String::new()));
}

/// What is no configuration, or leaves nothing to serve, is one line and no daemon.
#[test]
fn what_cannot_be_served_at_all_is_one_line() {
    let router = Router::new();
    #[rustfmt::skip]
    let rows: &[(&str, &[&str])] = &[
        ("config uhttpd main\n option realm 'open", &["uhttpd:2:"]), ("config uhttpd\n option", &["uhttpd:2:", "name"]),
        ("config uhttpd\n optoin a b", &["uhttpd:2:", "\"optoin\""]), ("config uhttpd\n option realm a b", &["uhttpd:2:", "quotes"]),
        ("config other x\n", &["config uhttpd"]), ("config uhttpd\n option enabled 0\n", &["config uhttpd", "enabled"]),
        ("config uhttpd main\n option home /\n", &["config uhttpd", "uhttpd.main.listen_http", "no address"]),
        ("config uhttpd main\n list listen_http router.lan:80\n", &["config uhttpd", "\"router.lan:80\""]),
    ];
    for (text, named) in rows {
        router.configure(text);
        for args in [&["--test"][..], &["--dump"], &["-f"], &[]] {
            let output = router.output(&[&["--config", "uhttpd"], args].concat());
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{text}: {stderr}");
            one_line(&stderr, named);
        }
    }
    for missing in ["nowhere/uhttpd", "root"] {
        let output = router.output(&["--config", missing]);
        assert_eq!(output.status.code(), Some(1));
        one_line(&String::from_utf8(output.stderr).unwrap(), &["--config", missing]);
    }
    one_line(&String::from_utf8(router.output(&["--config", "uhttpd", "-D"]).stderr).unwrap(), &["-D", "--config"]);
}

/// Text that is no configuration is refused without a crash.
#[test]
fn hostile_files_are_answered() {
    let router = Router::new();
    let long = "x".repeat(2 << 20);
    let many = "config uhttpd\n".repeat(5000);
    for text in ["\0", "config\0 uhttpd", "\u{feff}config uhttpd", "config uhttpd '", "config uhttpd \\", &long, &many]
    {
        router.write("uhttpd", text);
        let (status, stderr) = router.check();
        assert_eq!(status, Some(1), "{stderr}");
        one_line(&stderr, &["uhttpd"]);
        assert!(stderr.len() < 500, "{}", stderr.len());
    }
    router.write("uhttpd", b"config uhttpd\n list listen_http 127.0.0.1:0\n option home /\n option cgi_prefix /\xff\n");
    one_line(router.check().1.lines().last().unwrap(), &["uhttpd:4:", "cgi_prefix", "UTF-8"]);
    let output = router.output(&["--config", "/dev/zero", "--test"]);
    assert!(output.status.code().is_some(), "{:?}", output.status.signal());
}

#[test]
fn unknown_options_are_warned_of_and_served() {
    let router = Router::new();
    router.section(" option htp_keepalive 5\n option ubus_prefx /u\n list mdns_txt a\n\nconfig other 'x'\n option y z");
    let (status, said) = router.check();
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(said.lines().count(), 3, "{said}");
    let daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/file.txt", &[]).text(), "content");
    let log = router.log();
    for (line, named) in
        log.lines().zip(["htp_keepalive", "ubus_prefx: unknown option, ignored (did you mean", "mdns_txt"])
    {
        assert!(line.contains("warn") && line.contains("uhttpd.main.") && line.contains(named), "{line}");
    }
    assert_eq!(log.lines().count(), 3, "{log}");
}

/// All that is wrong with what the configuration names is said at once, by `--test`.
#[test]
fn the_test_finds_what_is_missing() {
    let router = Router::new();
    router.configure(
        "config uhttpd main\n list listen_http 127.0.0.1:0\n list listen_https 127.0.0.1:0\n option home @missing\n\
         option self_signed 0\n option cert @no.crt\n option key @no.key\n list interpreter .php=/no/php\n\
         option access_log /no/such/log\n option body_temp_path /no/such\n",
    );
    let (status, said) = router.check();
    assert_eq!(status, Some(1));
    let tls: &[&str] = if cfg!(feature = "tls") { &["main.cert", "main.key"] } else { &[] };
    for named in [&["main.home", "main.interpreter", "main.access_log", "main.body_temp_path"], tls].concat() {
        assert!(
            said.lines().any(|line| line.contains(named) && line.contains("is wrong: expected")),
            "{named}: {said}"
        );
    }
}

#[cfg(feature = "tls")]
#[test]
fn the_test_reads_the_certificates() {
    let router = Router::new();
    make_pair(&router.path("a.crt"), &router.path("a.key"));
    make_pair(&router.path("b.crt"), &router.path("b.key"));
    router.write("junk", "junk");
    router.write("empty", "");
    for (cert, key, verdict, named) in [
        ("a.crt", "a.key", Some(0), ""),
        ("a.crt", "b.key", Some(1), "a.crt"),
        ("junk", "a.key", Some(1), "junk"),
        // Both will be made.
        ("a.crt", "empty", Some(0), ""),
        ("a.crt", "missing", Some(0), ""),
        ("empty", "empty", Some(1), "empty"),
        ("a.key", "a.crt", Some(1), "a."),
    ] {
        let tls = format!(
            " list listen_https 127.0.0.1:0\n option cert {}\n option key {}",
            router.path(cert),
            router.path(key)
        );
        router.section(&tls);
        let (status, said) = router.check();
        assert_eq!(status, verdict, "{cert} {key}: {said}");
        if !named.is_empty() {
            one_line(&said, &[named]);
        }
    }
    router.section(&format!(
        " list listen_https 127.0.0.1:0\n option cert {}\n option key {}\n option ciphers NO-SUCH",
        router.path("a.crt"),
        router.path("a.key")
    ));
    let (status, said) = router.check();
    assert_eq!(status, Some(1), "{said}");
    one_line(&said, &["NO-SUCH"]);
}

/// The dump of a configuration is one that means the same: whatever quotes, blanks and orders there are.
#[test]
fn a_dump_reads_as_the_same() {
    let router = Router::new();
    router.write("httpd.conf", "/a/:u:p\n/a/::\n/b:u:\nI:x.php\nE404:/e\n*.php:/bin/sh\n");
    for name in ["root/default.html", "root/sub/default.html"] {
        router.write(name, "default");
    }
    let hostile = r#"it's "a" \ back\\slash  # ; $x ü"#;
    let options = [
        &["-I", "default.html", "-I", "index.htm", "-r", hostile][..],
        &["-y", "/=/", "-y", "/a=/c=d"],
        &["--allow", "10.1.2.3/8 ::1 unix", "--deny", "/a *", "--allow", "/A/ ::ffff:1.2.3.4 fe80::/10"],
        &["--trusted-proxy", "unix 127.0.0.1", "--trusted-proxy", "fd00::/8"],
        &["-y", "/cgi", "-y", "/a b'c=/d \"e"],
        &["-c", "httpd.conf", "-E", "/"],
        &["-r", "", "-x", "/", "-u", "/", "-P", "A:B", "--hsts", "0"],
        &["--header", "X-A:", "--header", "/a 'X': it's", "--header", "/ X-B: a: b  c # d;", "--header", "/l?v X-C: d"],
        &["-p", "[::1]:0", "-p", "0", "-p", "[fe80::1%eth0]:80", "-s", "443", "-C", "a'b", "-K", "c d"],
        &["--server-name", "*.a.lan", "--server-name", "B.", "--access-log=/a b/c", "-A", "9", "-e", "5", "-X", "-a"],
        &["-l", "/x y", "-L", "/z", "-H", "/it's", "-i", ".a=/b c=d", "-D", "-S", "-R", "-q", "--self-signed"],
        &["--metrics", "/a/m it's", "--server-status", "/status/"],
        &["--chunked-body-limit", "64", "--body-temp-path", "/a 'b'"],
        &["-k", "0", "-T", "86400", "-N", "1", "-n", "1", "-t", "1", "-b", "KOI8-R", "--no-gzip", "--private-files"],
    ];
    // Without TLS there is none to be shown, which is an error.
    #[rustfmt::skip]
    let certified: &[&str] = if cfg!(feature = "tls") {
        &["-s", "443", "-C", "a'b", "-K", "c d", "--ca", "e f", "--require-client-cert", "/g h'i", "--require-client-cert", "/"]
    } else {
        &[]
    };
    for args in options.into_iter().chain([certified]) {
        let args = [&["-p", "127.0.0.1:0", "-h", "root", "--dump"], args].concat();
        let first = router.output(&args);
        assert!(first.status.success() && first.stderr.is_empty(), "{args:?}: {first:?}");
        router.write("uhttpd", &first.stdout);
        let second = router.output(&["--config", "uhttpd", "--dump"]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(text(second.stdout), text(first.stdout), "{args:?}: {}", text(second.stderr));
    }
    // The order of the index files is the same, too.
    let dump = router.output(&["-p", "127.0.0.1:0", "-h", "root", "-I", "default.html", "--dump"]).stdout;
    router.write("uhttpd", dump);
    let daemon = router.start(1);
    assert_eq!(ask(daemon.addr, "GET", "/", &[]).text(), "default");
}

/// A whole file, its logins and aliases, through the dump.
#[test]
fn a_file_through_the_dump_serves_the_same() {
    let router = Router::new();
    router.write("httpd.conf", "/conf:u:p\n");
    router.write("root/conf/x", "x");
    router.write("root/new/old/x", "moved");
    router.section(
        " list httpauth a\n list httpauth b\n option config httpd.conf\n list alias /old=/new\n list header '/file.txt X-A: b'\n\
         config httpauth a\n option prefix /file.txt\n option username \"it's\"\n option password 'a:\"b\\'\n\
         config httpauth b\n option prefix '/'\n option username b\n option password $p$no-such-user\n",
    );
    let seen = |addr: SocketAddr| {
        // it's:a:"b\
        let login = "Authorization: Basic aXQnczphOiJiXA==";
        ["/file.txt", "/conf/x", "/old/x", "/"].map(|path| {
            let reply = ask(addr, "GET", path, &[login]);
            (reply.status, reply.header("x-a").map(str::to_owned), reply.body)
        })
    };
    let first = seen(router.start(1).addr);
    assert_eq!((first[0].0, first[0].1.as_deref(), first[1].0, first[3].0), (200, Some("b"), 401, 401));
    let dump = router.output(&["--config", "uhttpd", "--dump"]);
    router.write("uhttpd", dump.stdout);
    assert_eq!(seen(router.start(1).addr), first);
}

/// The program's number stays, and with it what the shell knows of it.
#[test]
fn exit_codes_are_three() {
    let router = Router::new();
    let taken = TcpListener::bind(free_addr()).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, code) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&["--test"], 0),
        (&["--dump"], 0),
        (&["--nonsense"], 1),
        (&["-h", "/no/such"], 1),
        (&["-h", "/no/such", "--test"], 1),
        (&["--user", "no-such-user", "--test"], 1),
        (&["--user", "no-such-user"], 1),
        (&["-f", "-p", &taken], 2),
        (&["-p", &taken], 2),
    ] {
        assert_eq!(router.output(args).status.code(), Some(code), "{args:?}");
    }
    let daemon = router.start_by(&[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/file.txt", &[], false));
    assert_eq!(client.read_response().text(), "content");
    daemon.signal("TERM");
    client.expect_close();
    assert_eq!(daemon.wait().code(), Some(0));
}
