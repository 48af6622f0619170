//! The environment variables of a script (RFC 3875 §4), with the names and values of uhttpd.

use super::script::Script;
use crate::daemon::sys::process::HELD;
use ecohttpd::{Connection, PeerAddr, Request};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// `PATH` of scripts. They get nothing of our own environment.
const PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";

/// Fields that do not become `HTTP_` variables. `HTTP_PROXY` configures HTTP libraries (httpoxy); the next two would look
/// like a verified login; the next two have their own variables (RFC 3875 §4.1.18); `HTTP_HOST` is set to the host that
/// the site was chosen by; and chunks are removed.
const WITHHELD: &[&str] =
    &["proxy", "auth-user", "auth-pass", "content-type", "content-length", "host", "transfer-encoding"];

/// `NAME=value`, each terminated by NUL.
pub struct Environment(Vec<u8>);

impl Environment {
    /// The environment of a script for a request. `length`: that of a chunked body.
    pub fn new(con: &Connection, req: &Request, script: &Script<'_>, length: Option<u64>) -> Environment {
        Environment::make(con, req, script, length, false)
    }

    /// The parameters for a FastCGI server, which may be another host: it does not learn the password of a login here, and
    /// no client tells it where a request comes from.
    #[cfg(feature = "proxy")]
    pub fn for_server(con: &Connection, req: &Request, script: &Script<'_>, length: Option<u64>) -> Environment {
        Environment::make(con, req, script, length, true)
    }

    fn make(con: &Connection, req: &Request, script: &Script<'_>, length: Option<u64>, to_server: bool) -> Environment {
        // Usually one allocation.
        let mut env = Environment(Vec::with_capacity(2048));
        env.text("PATH", PATH);
        env.text("GATEWAY_INTERFACE", "CGI/1.1");
        env.text("SERVER_SOFTWARE", "ecohttpd");
        env.text("SERVER_PROTOCOL", req.version());
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
            if !to_server {
                env.text("HTTP_AUTH_USER", user);
                env.put("HTTP_AUTH_PASS", &[password]);
            }
        }
        env.body(req, script, length);
        // The host of an absolute target overrides the field (RFC 9112 §3.2.2).
        if let Some(host) = req.host() {
            env.text("HTTP_HOST", host);
        }
        env.fields(req, |name| {
            may_pass(name) && !(to_server && (claims_origin(name) || script.login.is_some() && name == "authorization"))
        });
        env
    }

    /// Type and length of the body. `length`: of one that was held until it was known.
    fn body(&mut self, req: &Request, script: &Script<'_>, length: Option<u64>) {
        if script.as_get {
            return;
        }
        if let Some(value) = req.header_bytes("content-type") {
            self.put("CONTENT_TYPE", &[value]);
        }
        if let Some(length) = length.or(req.content_length()) {
            self.number("CONTENT_LENGTH", length);
        }
    }

    /// The strings of execve(2), one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The fields of the request. Repeated ones are joined into one.
    fn fields(&mut self, req: &Request, passes: impl Fn(&str) -> bool) {
        for (at, (name, _)) in req.headers_bytes().enumerate() {
            let repeated = req.headers_bytes().take(at).any(|(before, _)| before == name);
            if repeated || !passes(name) {
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

    /// With the names of Apache and nginx.
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

    /// Ends the variable that began at `start`. One that contains a NUL would become two, and is dropped.
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
/// Only unambiguous names: `a_b` and `a.b` would become the same as `a-b`.
fn may_pass(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !WITHHELD.contains(&name)
}

/// Whether a field, its name in lower case, says where a request comes from: any client may send it. `REMOTE_ADDR` and
/// `HTTPS` say what a trusted proxy said.
fn claims_origin(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
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
