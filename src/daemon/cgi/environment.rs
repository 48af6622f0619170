//! The environment variables of a script (RFC 3875 §4), with the names and values of uhttpd.

use super::script::Script;
use crate::daemon::addresses::push_ip;
use crate::daemon::sys::process::HELD;
use ecohttpd::syntax::push_decimal;
use ecohttpd::{Connection, PeerAddr, Request};
use std::os::unix::ffi::OsStrExt;

/// `PATH` of scripts. They get nothing of our own environment.
const PATH: &str = "/sbin:/usr/sbin:/bin:/usr/bin";

/// Fields that do not become `HTTP_` variables. `HTTP_PROXY` configures HTTP libraries (httpoxy); the next two would look
/// like a verified login; the next two have their own variables (RFC 3875 §4.1.18); `HTTP_HOST` is set to the host that
/// the site was chosen by; and chunks are removed.
const WITHHELD: &[&str] =
    &["proxy", "auth-user", "auth-pass", "content-type", "content-length", "host", "transfer-encoding"];

/// Bytes of the longest address (RFC 4291 §2.2), and more than those of a number.
const ADDRESS_MAX: usize = 45;

/// What names of variables of fields begin with.
const PREFIX: &[u8] = b"HTTP_";

/// The variables of a script.
pub struct Environment {
    bytes: Vec<u8>,
    form: Form,
}

/// How they are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `NAME=value`, each terminated by NUL: those of execve(2).
    Strings,
    /// The lengths of name and value, and then these: those of FastCGI.
    #[cfg(feature = "proxy")]
    Pairs,
}

impl Environment {
    /// The environment of a script for a request. `length`: that of a chunked body.
    pub fn new(con: &Connection, req: &Request, script: &Script<'_>, length: Option<u64>) -> Environment {
        // Usually one allocation.
        let mut env = Environment { bytes: Vec::with_capacity(2048), form: Form::Strings };
        env.describe(con, req, script, length);
        env
    }

    /// Appends the parameters for a FastCGI server, which may be another host: it does not learn the password of a login
    /// here, and no client tells it where a request comes from.
    #[cfg(feature = "proxy")]
    pub fn push_to(out: &mut Vec<u8>, con: &Connection, req: &Request, script: &Script<'_>, length: Option<u64>) {
        let mut env = Environment { bytes: std::mem::take(out), form: Form::Pairs };
        env.describe(con, req, script, length);
        *out = env.bytes;
    }

    fn describe(&mut self, con: &Connection, req: &Request, script: &Script<'_>, length: Option<u64>) {
        let to_server = self.form != Form::Strings;
        let env = self;
        env.text("PATH", PATH);
        env.text("GATEWAY_INTERFACE", "CGI/1.1");
        env.text("SERVER_SOFTWARE", "ecohttpd");
        env.text("SERVER_PROTOCOL", req.version());
        env.text("REQUEST_METHOD", script.method(req));
        env.put("QUERY_STRING", script.query);
        env.put("REQUEST_URI", req.target_bytes());
        env.put("SCRIPT_NAME", script.name);
        // php-cgi runs the file of this name.
        let held = script.held.and(script.interpreter).map(|_| HELD.to_bytes());
        env.put("SCRIPT_FILENAME", held.unwrap_or(script.file.as_os_str().as_bytes()));
        env.put("DOCUMENT_ROOT", script.docroot.as_os_str().as_bytes());
        if let Some(info) = script.path_info {
            env.put("PATH_INFO", info);
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
                env.put("HTTP_AUTH_PASS", password);
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
    }

    /// Type and length of the body. `length`: of one that was held until it was known.
    fn body(&mut self, req: &Request, script: &Script<'_>, length: Option<u64>) {
        if script.as_get {
            return;
        }
        if let Some(value) = req.header_bytes("content-type") {
            self.put("CONTENT_TYPE", value);
        }
        if let Some(length) = length.or(req.content_length()) {
            self.number("CONTENT_LENGTH", length);
        }
    }

    /// The strings of execve(2), one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The fields of the request. Repeated ones are joined into one.
    fn fields(&mut self, req: &Request, passes: impl Fn(&str) -> bool) {
        for (at, (name, _)) in req.headers_bytes().enumerate() {
            let repeated = req.headers_bytes().take(at).any(|(before, _)| before == name);
            if repeated || !passes(name) {
                continue;
            }
            let separator = if name == "cookie" { &b"; "[..] } else { b", " };
            let values = || req.headers_bytes().skip(at).filter(|(other, _)| *other == name).map(|(_, value)| value);
            let length = values().map(|value| value.len() + separator.len()).sum::<usize>() - separator.len();
            self.begin(PREFIX.len() + name.len(), length);
            self.bytes.extend_from_slice(PREFIX);
            self.bytes.extend(name.bytes().map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }));
            self.give();
            for (number, value) in values().enumerate() {
                self.bytes.extend_from_slice(if number > 0 { separator } else { b"" });
                self.bytes.extend_from_slice(value);
            }
            self.end();
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
        let mut text = Vec::with_capacity(ADDRESS_MAX);
        if let Some(ip) = of.and_then(PeerAddr::ip) {
            push_ip(&mut text, ip);
        }
        self.put(host, &text);
        self.put(address, &text);
        self.number(port, of.and_then(PeerAddr::port).unwrap_or_default().into());
    }

    fn text(&mut self, name: &str, value: &str) {
        self.put(name, value.as_bytes());
    }

    fn number(&mut self, name: &str, value: u64) {
        let mut text = Vec::with_capacity(ADDRESS_MAX);
        push_decimal(&mut text, value);
        self.put(name, &text);
    }

    /// One that contains a NUL would become two, and is dropped.
    fn put(&mut self, name: &str, value: &[u8]) {
        if !value.contains(&0) {
            self.begin(name.len(), value.len());
            self.bytes.extend_from_slice(name.as_bytes());
            self.give();
            self.bytes.extend_from_slice(value);
            self.end();
        }
    }

    /// What stands before a name.
    fn begin(&mut self, name: usize, value: usize) {
        #[cfg(feature = "proxy")]
        if self.form == Form::Pairs {
            push_length(&mut self.bytes, name);
            push_length(&mut self.bytes, value);
        }
        #[cfg(not(feature = "proxy"))]
        let _ = (name, value);
    }

    /// What stands between a name and its value.
    fn give(&mut self) {
        if self.form == Form::Strings {
            self.bytes.push(b'=');
        }
    }

    /// What stands behind a value.
    fn end(&mut self) {
        if self.form == Form::Strings {
            self.bytes.push(0);
        }
    }
}

/// One byte, or four with the high bit set.
#[cfg(feature = "proxy")]
fn push_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short @ ..0x80) => out.push(short),
        _ => out.extend_from_slice(&(u32::try_from(length).unwrap_or(u32::MAX) | 1 << 31).to_be_bytes()),
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
        let mut env = Environment { bytes: Vec::new(), form: Form::Strings };
        let put = |env: &mut Environment| {
            env.text("A", "b");
            env.text("C", "d\0HTTPS=on");
            env.number("E", 200);
            env.put("F", b"/\xff");
        };
        put(&mut env);
        assert_eq!(env.bytes(), b"A=b\0E=200\0F=/\xff\0");
        #[cfg(feature = "proxy")]
        {
            let mut env = Environment { bytes: b"x".to_vec(), form: Form::Pairs };
            put(&mut env);
            env.text("LONG", &"y".repeat(200));
            env.text("EMPTY", "");
            let wanted =
                [&b"x\x01\x01Ab\x01\x03E200\x01\x02F/\xff\x04\x80\0\0\xc8LONG"[..], &[b'y'; 200], b"\x05\0EMPTY"];
            assert_eq!(env.bytes().escape_ascii().to_string(), wanted.concat().escape_ascii().to_string());
        }
    }
}
