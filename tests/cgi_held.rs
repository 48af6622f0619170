//! CGI: bodies that come in chunks are held until their length is known (RFC 3875 §4.1.2), and that costs little.

mod common;
mod common_cgi;
mod common_files;

use common::{Client, Response, chunk, pattern, post_chunked, skip};
use common_cgi::{Scripts, until};
use common_files::program;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Reads as many bytes as it was told, as php-cgi and LuCI do, and tells what is beside them.
const COUNTED: &str = "#!/bin/sh\nprintf \"X-Length: $CONTENT_LENGTH\\nX-Coding: $HTTP_TRANSFER_ENCODING\\n\\n\"\n\
                       exec head -c \"$CONTENT_LENGTH\"\n";

const COUNT: &str = "#!/bin/sh\nn=$(wc -c)\nprintf '\\n%s' $n\n";

const HELLO: &str = "#!/bin/sh\nprintf '\\nhello'\n";

const HEAD: &str = "POST /cgi-bin/count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A daemon that holds bodies in a folder of its own.
struct Holding {
    site: Scripts,
    bodies: TempDir,
}

impl Holding {
    fn new(args: &[&str]) -> Holding {
        Holding::run(program(), args)
    }

    fn run(command: Command, args: &[&str]) -> Holding {
        let bodies = tempfile::tempdir().unwrap();
        let args = [&["--body-temp-path", bodies.path().to_str().unwrap()], args].concat();
        let scripts = [("counted", COUNTED), ("count", COUNT), ("hello", HELLO)];
        Holding { site: Scripts::run(command, &args, &scripts), bodies }
    }

    /// A chunked upload of so many bytes that has not ended.
    fn begin(&self, bytes: usize) -> Client {
        self.site.begin([HEAD.as_bytes(), &chunk(vec![b'x'; bytes])].concat())
    }

    /// A whole one; the client may be answered in the middle of it.
    fn post(&self, path: &str, body: &[u8]) -> Response {
        let stream = TcpStream::connect(self.site.daemon.addr).unwrap();
        let mut sender = stream.try_clone().unwrap();
        let bytes = post_chunked(path, body, 8000);
        let sent = thread::spawn(move || drop(sender.write_all(&bytes)));
        let reply = Client::new(stream).read_response();
        sent.join().unwrap();
        reply
    }

    /// Files that the daemon has open; `None` while one of them still has its name.
    fn files(&self) -> Option<usize> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.site.pid())).unwrap();
        let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let of_bodies: Vec<PathBuf> = targets.filter(|target| target.starts_with(self.bodies.path())).collect();
        let nameless = of_bodies.iter().all(|target| target.to_string_lossy().ends_with(" (deleted)"));
        nameless.then_some(of_bodies.len())
    }

    #[track_caller]
    fn await_files(&self, number: usize) {
        until(&format!("not {number} files"), || self.files() == Some(number));
    }
}

#[test]
fn a_script_is_told_the_length_of_a_chunked_body() {
    let holding = Holding::new(&[]);
    for size in [0, 1, 4097, 64 << 10, (64 << 10) + 1, 300_000, 4 << 20] {
        let body = pattern(size);
        let reply = holding.post("/cgi-bin/counted", &body);
        assert_eq!((reply.status, reply.header("x-length")), (200, Some(&*size.to_string())));
        assert_eq!(reply.header("x-coding"), Some(""), "nothing is coded any more");
        assert!(reply.body == body, "{} of {size} bytes", reply.body.len());
    }
    holding.site.await_no_children();
    assert_eq!(holding.files(), Some(0));
    assert_eq!(fs::read_dir(&holding.bodies).unwrap().count(), 0, "none ever had a name for long");
}

/// Whatever it is that comes slowly, others need not wait for it; and it costs no memory.
#[test]
fn a_chunked_body_that_drips_holds_no_place() {
    let holding = Holding::new(&["-n", "1"]);
    let site = &holding.site;
    let mut dripping: Vec<Client> = [1000, 70_000, 200_000].map(|size| holding.begin(size)).into();
    holding.await_files(2);
    assert_eq!(site.get("/cgi-bin/hello").text(), "hello");
    until("the page's script does not go", || site.children().is_empty());
    for client in &mut dripping {
        client.send(chunk("more"));
    }
    assert_eq!(site.get("/cgi-bin/hello").text(), "hello");
    for (client, size) in dripping.iter_mut().zip([1004, 70_004, 200_004]) {
        client.send(chunk(""));
        assert_eq!(client.read_response().text().trim(), size.to_string());
    }
    site.await_no_children();
    holding.await_files(0);
}

#[test]
fn a_chunked_body_has_its_limit() {
    let holding = Holding::new(&["--chunked-body-limit", "100"]);
    let limit = 100 << 10;
    assert_eq!(holding.post("/cgi-bin/counted", &pattern(limit)).body.len(), limit);
    for size in [limit + 1, 2 << 20] {
        let reply = holding.post("/cgi-bin/counted", &pattern(size));
        assert!(reply.status == 413 && reply.closes(), "{reply:?}");
        holding.site.log(&["error", "127.0.0.1:", "/cgi-bin/counted", "413", "chunked_body_limit"]);
    }
    holding.await_files(0);
    // Bodies that tell their length are streamed, however long they are.
    let mut client = holding.site.begin(common::post("/cgi-bin/count", &pattern(4 * limit)));
    assert_eq!(client.read_response().text().trim(), (4 * limit).to_string());
}

#[test]
fn all_chunked_bodies_together_have_their_limits() {
    let holding = Holding::new(&["--chunked-body-limit", "100"]);
    let mut first: Vec<Client> = (0..2).map(|_| holding.begin(90_000)).collect();
    holding.await_files(2);
    let refused = holding.begin(70_000).read_response();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    holding.site.log(&["error", "/cgi-bin/count", "503", "chunked_body_limit"]);
    // Those that leave make room.
    first.pop();
    holding.await_files(1);
    let mut next = holding.begin(70_000);
    holding.await_files(2);
    for client in first.iter_mut().chain([&mut next]) {
        client.send(chunk(""));
        assert_eq!(client.read_response().status, 200);
    }

    let holding = Holding::new(&[]);
    let _held: Vec<Client> = (0..16).map(|_| holding.begin(66_000)).collect();
    holding.await_files(16);
    assert_eq!(holding.begin(66_000).read_response().status, 503);
    assert_eq!(holding.post("/cgi-bin/counted", b"short").text(), "short", "what fits into memory is not concerned");
}

#[test]
fn a_chunked_body_that_drips_is_given_up() {
    let holding = Holding::new(&["-t", "1"]);
    let mut client = holding.begin(70_000);
    holding.await_files(1);
    until("it is not given up", || {
        thread::sleep(Duration::from_millis(100));
        let _ = client.try_send(chunk("x"));
        holding.files() == Some(0)
    });
    let reply = client.read_response();
    assert!(reply.status == 408 && reply.closes(), "{reply:?}");
}

#[test]
fn what_keeps_a_body_from_being_held_is_answered() {
    let holding = Holding::new(&[]);
    fs::remove_dir(&holding.bodies).unwrap();
    let reply = holding.post("/cgi-bin/counted", &pattern(100_000));
    assert_eq!(reply.status, 500);
    holding.site.log(&["error", "/cgi-bin/counted", "500", "body_temp_path", "No such file"]);
    assert_eq!(holding.post("/cgi-bin/counted", &pattern(60_000)).status, 200, "memory needs no folder");
    fs::create_dir(&holding.bodies).unwrap();
    assert_eq!(holding.post("/cgi-bin/counted", &pattern(100_000)).status, 200);

    // A file's largest size stands for a full disk: 100 blocks of 512 or 1024 bytes.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -f 100; exec \"$@\"", "sh"]).arg(program().get_program()).args(program().get_args());
    let holding = Holding::run(command, &[]);
    let reply = holding.post("/cgi-bin/counted", &pattern(300_000));
    assert!(reply.status == 507 && reply.closes(), "{reply:?}");
    holding.site.log(&["error", "/cgi-bin/counted", "507", "body_temp_path"]);
    holding.await_files(0);
    assert_eq!(holding.post("/cgi-bin/counted", b"short").text(), "short", "the server lives on");
}

/// `Expect` is answered, a trailer is passed over, a client that breaks its chunks is told.
#[test]
fn held_bodies_are_read_as_any_others() {
    let holding = Holding::new(&[]);
    let head = HEAD.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let mut client = holding.site.begin(head);
    assert_eq!(client.read_response().status, 100);
    client.send([&chunk(pattern(70_000))[..], b"0\r\nTrailer: x\r\n\r\n"].concat());
    assert_eq!(client.read_response().text().trim(), "70000");
    client.send([HEAD.as_bytes(), &chunk(pattern(70_000)), b"no chunk\r\n"].concat());
    assert_eq!(client.read_response().status, 400);
    let leaving = holding.begin(70_000);
    holding.await_files(1);
    drop(leaving);
    holding.await_files(0);
}

/// What it is all for: the commonest interpreter of all reads nothing without a length.
#[test]
fn php_gets_a_chunked_form() {
    let Some(php) = ["/usr/bin/php-cgi", "/usr/bin/php8-cgi"].into_iter().find(|php| Path::new(php).exists()) else {
        skip("no php-cgi");
        return;
    };
    let holding = Holding::new(&["-i", &format!(".php={php}")]);
    let page = "<?php echo strlen($_POST['a'] ?? ''), ' ', strlen(file_get_contents('php://input'));";
    fs::write(holding.site.root.join("form.php"), page).unwrap();
    for size in [10, 300_000] {
        let body = format!("a={}", "x".repeat(size));
        let head = "POST /form.php HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let mut client = holding.site.begin([head.as_bytes(), &chunk(&body), &chunk("")].concat());
        assert_eq!(client.read_response().text(), format!("{size} {}", size + 2));
    }
}
