//! CGI: the example site, as its visitors use it.

mod common;
mod common_files;

use common::pattern;
use common_files::{Daemon, request};
use std::path::Path;

fn site() -> Daemon {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/www");
    Daemon::start(&["-h", root.to_str().unwrap()])
}

#[test]
fn its_pages_are_whole() {
    let site = site();
    for (path, kind, word) in [
        ("/", "text/html", "action=\"/cgi-bin/upload\""),
        ("/style.css", "text/css", "light-dark"),
        ("/cgi-bin/status", "text/html; charset=utf-8", "of the memory is in use"),
    ] {
        let page = site.get(path);
        assert!(page.status == 200 && page.header("content-type").unwrap().starts_with(kind), "{path}: {page:?}");
        assert!(page.text().contains(word), "{path}: {}", page.text());
        assert_eq!(page.text().matches("<svg").count(), page.text().matches("</svg>").count(), "{path}");
        assert!(kind == "text/css" || page.text().ends_with("</html>\n"), "{path}");
    }
}

#[test]
fn it_reports_an_upload() {
    let site = site();
    for size in [0, 1, 5_000_000] {
        let mut body = b"--x-y\r\nContent-Disposition: form-data; name=\"file\"; filename=\"<a>.bin\"\r\n\r\n".to_vec();
        body.extend_from_slice(&pattern(size));
        body.extend_from_slice(b"\r\n--x-y--\r\n");
        let mut client = site.connect();
        client.send(format!(
            "POST /cgi-bin/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x-y\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        client.send(&body);
        let page = client.read_response();
        assert_eq!(page.status, 200);
        assert!(page.text().contains(&format!("<p>{size} bytes, SHA-256:</p>")), "{}", page.text());
        assert!(page.text().contains("<h2>&lt;a&gt;.bin</h2>"), "{}", page.text());
        let empty = page.text().contains("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(empty, size == 0);
        client.send(request("GET", "/cgi-bin/upload", &[], false));
        assert_eq!(client.read_response().status, 405, "the connection goes on");
    }
    let mut client = site.connect();
    client.send("POST /cgi-bin/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 3\r\n\r\na\nb");
    assert_eq!(client.read_response().status, 400);
}

#[test]
fn it_makes_a_download() {
    let site = site();
    for (query, status, size) in [
        ("kib=300", 200, 300 << 10),
        ("x=1&kib=08&y", 200, 8192),
        ("kib=0", 400, 0),
        ("", 400, 0),
        ("kib=-1", 400, 0),
        ("kib=99999999", 400, 0),
    ] {
        let reply = site.get(&format!("/cgi-bin/download?{query}"));
        assert_eq!(reply.status, status, "{query}");
        assert!(status != 200 || reply.body.len() == size, "{query}");
    }
}
