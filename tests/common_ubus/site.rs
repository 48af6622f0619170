//! A daemon that serves a stand-in for ubusd at `/ubus`, and what is said to it.

#![allow(dead_code)]

use crate::common::{PATIENCE, Response, post};
use crate::common_files::{Daemon, folder};
use crate::common_ubus::{Bus, SID};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A bus, and a daemon that serves it at `/ubus`.
pub struct Site {
    pub bus: Bus,
    pub daemon: Daemon,
    pub socket: PathBuf,
    pub _temp: tempfile::TempDir,
}

pub fn site(args: &[&str]) -> Site {
    let (temp, root) = folder();
    std::fs::write(root.join("file.txt"), "content").unwrap();
    let socket = temp.path().join("ubus.sock");
    let bus = Bus::start(&socket);
    let root = root.to_str().unwrap();
    let daemon = Daemon::start(&[&["-h", root, "-u", "/ubus", "-U", bus.path()], args].concat());
    Site { bus, daemon, socket, _temp: temp }
}

impl Site {
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> Response {
        let mut client = self.daemon.connect();
        client.send(bytes);
        client.read_response()
    }

    /// What a JSON-RPC request is answered.
    #[track_caller]
    pub fn rpc(&self, body: &str) -> String {
        let reply = self.ask(post("/ubus", body.as_bytes()));
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{body}");
        reply.text().to_owned()
    }

    /// Descriptors that the daemon has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.daemon.child.id())).unwrap().count()
    }

    pub fn call(&self, method: &str, args: &str) -> String {
        let reply = self.rpc(&call(1, SID, "tobj", method, args));
        reply.strip_prefix(r#"{"jsonrpc":"2.0","id":1,"#).unwrap_or(&reply).strip_suffix('}').unwrap().to_owned()
    }
}

/// Waits until something is so.
pub fn settled(is_so: impl Fn() -> bool) -> Result<(), &'static str> {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > end {
            return Err("it does not come to rest");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

pub fn call(id: usize, sid: &str, object: &str, method: &str, args: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"call","params":["{sid}","{object}","{method}",{args}]}}"#)
}

pub fn error(id: &str, code: i32, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#)
}

pub fn unreachable_error() -> String {
    error("1", -32603, "Internal error")
}

/// A stream of events, as its client sees it.
pub struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    pub fn open(daemon: &Daemon, object: &str) -> Events {
        let mut stream = TcpStream::connect(daemon.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET /ubus/subscribe/{object} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SID}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Events { stream, text: String::new() }
    }

    /// Reads until the text is there; what came before it is forgotten.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        while !self.text.contains(text) {
            let mut buffer = [0; 4096];
            let n = self.stream.read(&mut buffer).unwrap();
            assert!(n > 0, "no {text:?} in {:?}", self.text);
            self.text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
        let end = self.text.find(text).unwrap() + text.len();
        self.text.drain(..end);
    }
}
