//! What a script is told of its request (RFC 3875 §4), under the names and with the values that uhttpd gives.

use super::script::Script;
use crate::daemon::sys::process::HELD;
use ecohttpd::{Connection, PeerAddr, Request};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Where scripts find programs: nothing of our own environment reaches them.
const PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";

/// Fields that become no `HTTP_` variable: `HTTP_PROXY` steers HTTP libraries (httpoxy), the next two would pass for a
/// login that nobody verified, the next have variables of their own (RFC 3875 §4.1.18), `HTTP_HOST` is the host that the
/// request was judged by, and the chunks are taken off.
const WITHHELD: &[&str] =
    &["proxy", "auth-user", "auth-pass", "content-type", "content-length", "host", "transfer-encoding"];

/// `NAME=value`, each ended by a NUL.
pub struct Environment(Vec<u8>);

impl Environment {
    /// The environment of a script for a request; `length` is that of a body whose fields do not tell it.
    pub fn new(con: &Connection, req: &Request, script: &Script<'_>, length: Option<u64>) -> Environment {
        // One allocation in the usual case.
        let mut env = Environment(Vec::with_capacity(2048));
        env.text("PATH", PATH);
        env.text("GATEWAY_INTERFACE", "CGI/1.1");
        env.text("SERVER_SOFTWARE", "ecohttpd");
        env.text("SERVER_PROTOCOL", if req.minor_version() == 0 { "HTTP/1.0" } else { "HTTP/1.1" });
        env.text("REQUEST_METHOD", script.method(req));
        env.put("QUERY_STRING", &[script.query]);
        env.put("REQUEST_URI", &[req.target_bytes()]);
        env.put("SCRIPT_NAME", &[script.name]);
        // php-cgi runs the file of this name.
        let held = script.held.and(script.interpreter).map(|_| HELD.to_bytes());
        env.put("SCRIPT_FILENAME", &[held.unwrap_or(script.file.as_os_str().as_bytes())]);
        env.put("DOCUMENT_ROOT", &[script.docroot.as_os_str().as_bytes()]);
        if let Some(info) = script.path_info {
            env.put("PATH_INFO", &[info]);
        }
        env.number("REDIRECT_STATUS", script.status.into());
        if con.is_tls() {
            env.text("HTTPS", "on");
        }
        #[cfg(feature = "tls")]
        if script.tells_certificate {
            env.certificate(con.peer_subject().as_deref());
        }
        env.address(["SERVER_NAME", "SERVER_ADDR", "SERVER_PORT"], con.local_addr().ok().as_ref());
        env.address(["REMOTE_HOST", "REMOTE_ADDR", "REMOTE_PORT"], Some(con.remote_addr()));
        if let Some((user, password)) = script.login {
            env.text("AUTH_TYPE", "Basic");
            env.text("REMOTE_USER", user);
            env.text("HTTP_AUTH_USER", user);
            env.put("HTTP_AUTH_PASS", &[password]);
        }
        for (variable, field) in [("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length")] {
            if !script.as_get
                && let Some(value) = req.header_bytes(field)
            {
                env.put(variable, &[value]);
            }
        }
        if let Some(length) = length {
            env.number("CONTENT_LENGTH", length);
        }
        // An absolute target's goes before the field's, which may name any other (RFC 9112 §3.2.2).
        if let Some(host) = req.host() {
            env.text("HTTP_HOST", host);
        }
        env.fields(req);
        env
    }

    /// The block as execve(2) wants it, but for the list of pointers.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The request's fields; those that repeat are joined as if they had come in one.
    fn fields(&mut self, req: &Request) {
        for (at, (name, _)) in req.headers_bytes().enumerate() {
            let repeated = req.headers_bytes().take(at).any(|(before, _)| before == name);
            if repeated || !may_pass(name) {
                continue;
            }
            let separator = if name == "cookie" { &b"; "[..] } else { b", " };
            let start = self.0.len();
            self.0.extend_from_slice(b"HTTP_");
            self.0.extend(name.bytes().map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }));
            let mut joint = &b"="[..];
            for (_, value) in req.headers_bytes().skip(at).filter(|(other, _)| *other == name) {
                self.0.extend_from_slice(joint);
                self.0.extend_from_slice(value);
                joint = separator;
            }
            self.end(start);
        }
    }

    /// By the names that Apache and nginx give.
    #[cfg(feature = "tls")]
    fn certificate(&mut self, subject: Option<&str>) {
        self.text("SSL_CLIENT_VERIFY", if subject.is_some() { "SUCCESS" } else { "NONE" });
        if let Some(subject) = subject {
            self.text("SSL_CLIENT_S_DN", subject);
        }
    }

    fn address(&mut self, [host, address, port]: [&str; 3], of: Option<&PeerAddr>) {
        let ip = of.and_then(PeerAddr::ip).map(|ip| ip.to_string()).unwrap_or_default();
        self.text(host, &ip);
        self.text(address, &ip);
        self.number(port, of.and_then(PeerAddr::port).unwrap_or_default().into());
    }

    fn text(&mut self, name: &str, value: &str) {
        self.put(name, &[value.as_bytes()]);
    }

    fn number(&mut self, name: &str, value: u64) {
        let start = self.0.len();
        // Writing to memory does not fail.
        let _ = write!(self.0, "{name}={value}");
        self.end(start);
    }

    fn put(&mut self, name: &str, value: &[&[u8]]) {
        let start = self.0.len();
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'=');
        value.iter().for_each(|part| self.0.extend_from_slice(part));
        self.end(start);
    }

    /// Ends the variable that began at `start`; one with a NUL would be two, and is none.
    fn end(&mut self, start: usize) {
        if self.0.get(start..).is_some_and(|variable| variable.contains(&0)) {
            self.0.truncate(start);
        } else {
            self.0.push(0);
        }
    }
}

/// Whether a field, its name in lower case, becomes an `HTTP_` variable.
///
/// Only names that no other name is mistaken for: `a_b` and `a.b` would look like `a-b`.
fn may_pass(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !WITHHELD.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_pass() {
        for (name, passes) in [
            ("host", false),
            ("x-forwarded-for", true),
            ("sec-ch-ua-1", true),
            ("proxy", false),
            ("proxy-authorization", true),
            ("auth-user", false),
            ("auth_user", false),
            ("auth.user", false),
            ("auth-pass", false),
            ("content_length", false),
            ("a'b", false),
        ] {
            assert_eq!(may_pass(name), passes, "{name}");
        }
    }

    #[test]
    fn a_nul_makes_no_second_variable() {
        let mut env = Environment(Vec::new());
        env.text("A", "b");
        env.text("C", "d\0HTTPS=on");
        env.number("E", 200);
        env.put("F", &[b"/", b"\xff"]);
        assert_eq!(env.bytes(), b"A=b\0E=200\0F=/\xff\0");
    }
}
