//! What the tests of CGI share: a daemon whose docroot holds scripts, and its log.
//!
//! The scripts need /bin/sh and what is beside it on every system, a router's busybox too: cat, env, grep, head, printf,
//! sleep, tr, wc, yes.

#![allow(dead_code, clippy::unwrap_used)]

use crate::common::{Client, PATIENCE, Response};
use crate::common_files::{Daemon, folder, program, request};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A docroot with scripts, and the daemon that serves it.
pub struct Scripts {
    pub temp: TempDir,
    pub root: PathBuf,
    pub daemon: Daemon,
    log: Receiver<String>,
}

impl Scripts {
    /// Scripts in `cgi-bin`, by name and text; the daemon runs with these arguments besides.
    pub fn new(args: &[&str], scripts: &[(&str, &str)]) -> Scripts {
        Scripts::run(program(), args, scripts)
    }

    /// As `new`, with a command that becomes the daemon.
    pub fn run(mut command: Command, args: &[&str], scripts: &[(&str, &str)]) -> Scripts {
        let (temp, root) = folder();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = root.canonicalize().unwrap();
        fs::create_dir(root.join("cgi-bin")).unwrap();
        for (name, text) in scripts {
            install(&root.join("cgi-bin").join(name), text);
        }
        command.args(["-f", "-p", "127.0.0.1:0", "-h", root.to_str().unwrap()]).args(args).stderr(Stdio::piped());
        let mut daemon = Daemon::run(&mut command, 1);
        let stderr = BufReader::new(daemon.child.stderr.take().unwrap());
        let (sender, log) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Scripts { temp, root, daemon, log }
    }

    pub fn get(&self, target: &str) -> Response {
        self.daemon.get(target)
    }

    /// Sends a request and leaves the connection to the caller.
    pub fn begin(&self, bytes: impl AsRef<[u8]>) -> Client {
        let mut client = self.daemon.connect();
        client.send(bytes);
        client
    }

    pub fn begin_get(&self, target: &str) -> Client {
        self.begin(request("GET", target, &[], false))
    }

    /// The next line of the log that holds all of these.
    #[track_caller]
    pub fn log(&self, words: &[&str]) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// A line of the log, if there is one now.
    pub fn next_log(&self) -> Option<String> {
        self.log.try_recv().ok()
    }

    /// A file that scripts write to, beside the docroot: they find it at `$DOCUMENT_ROOT/../NAME`.
    pub fn note(&self, name: &str) -> PathBuf {
        self.root.parent().unwrap().join(name)
    }

    /// Waits until a note's text is as wanted.
    #[track_caller]
    pub fn await_note(&self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        let path = self.note(name);
        let mut text = String::new();
        until(&format!("{name} is not as wanted"), || {
            text = fs::read_to_string(&path).unwrap_or_default();
            wanted(&text)
        });
        text
    }

    pub fn pid(&self) -> u32 {
        self.daemon.child.id()
    }

    /// The daemon's children: running, or dead and not reaped.
    pub fn children(&self) -> Vec<u32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    #[track_caller]
    pub fn await_no_children(&self) {
        until("there are children left", || self.children().is_empty());
    }

    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Memory of the daemon in KiB, without the program's own pages, which others may share for a while.
    pub fn pss(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).unwrap();
        let line = rollup.lines().find(|line| line.starts_with("Pss_Anon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Writes a script that everybody may execute.
pub fn install(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::File::options().write(true).create_new(true).mode(0o755).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits until something is so.
#[track_caller]
pub fn until(otherwise: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{otherwise}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs: neither gone nor dead.
pub fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
