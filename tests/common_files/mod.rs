//! What the tests of static files share: a document root in a folder of its own, and a server of it.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::{Response, Running, serve};
use ecohttpd::{Connection, Options, Request};
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// A document root, `root` in a temporary folder, and a server whose handler is `serve_file`.
pub struct Site {
    pub temp: TempDir,
    pub root: PathBuf,
    pub server: Running,
}

/// A folder with an empty `root` in it.
pub fn folder() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir(&root).unwrap();
    (temp, root)
}

impl Site {
    pub fn new(options: impl FnOnce(Options) -> Options + Send + 'static) -> Site {
        let (temp, root) = folder();
        let docroot = root.clone();
        let server = serve(
            move || options(Options::new().docroot(docroot)),
            async |con: &mut Connection, req: &mut Request| con.serve_file(req).await,
        );
        Site { temp, root, server }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file beneath the root, and the folders that lead to it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn get(&self, target: &str) -> Response {
        self.ask("GET", target, &[])
    }

    /// Asks on a connection of its own, which must end in order right behind the reply: a byte too many shows.
    #[track_caller]
    pub fn ask(&self, method: &str, target: &str, fields: &[&str]) -> Response {
        let mut client = self.server.connect();
        client.send(request(method, target, fields, true));
        let reply = if method == "HEAD" { client.read_head_response() } else { client.read_response() };
        client.expect_close();
        reply
    }
}

/// A request, without body, of HTTP/1.1.
pub fn request(method: &str, target: &str, fields: &[&str], close: bool) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}{connection}\r\n")
}

/// Sets a file's modification time, in Unix seconds.
pub fn set_mtime(path: &Path, seconds: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds))).unwrap();
}

pub fn mtime(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}
