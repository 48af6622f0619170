//! The public types as Rust programs expect them: shown, sent, and errors that say what is wrong.

#![allow(clippy::unwrap_used)]

mod common;

use common::{next, serve, telling};
use ecohttpd::{
    AsyncFd, CleanPath, Connection, Error, Files, Handle, Listeners, Options, Refusal, Request, Result, Server, Site,
    Task, Upgraded, UpgradedReader, UpgradedWriter,
};
use std::fmt::Debug;

#[test]
fn every_type_is_shown() {
    fn shown<T: Debug>() {}
    shown::<AsyncFd<std::os::unix::net::UnixStream>>();
    shown::<(Connection, Request, Options, Server, Site, Handle, Listeners)>();
    shown::<(Files, Task<()>, Upgraded, UpgradedReader, UpgradedWriter, Error, Refusal)>();
    let handler = async |_: &mut Connection, _: &mut Request| ();
    let options = Options::new().docroot("/srv/www");
    let files = Files::new(&options);
    assert_eq!(format!("{files:?}"), r#"Files { docroot: "/srv/www", .. }"#);
    assert!(format!("{:?}", Site::new(options, handler)).contains("/srv/www"));
}

/// Logs are read by others: nothing that a client keeps secret is in the text of a request.
#[test]
fn a_request_is_shown_without_its_fields() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        tell.send(format!("{con:?} {req:?}")).unwrap();
        Ok(())
    });
    server.ask("GET /a?b HTTP/1.1\r\nHost: x\r\nAuthorization: Basic secret\r\nConnection: close\r\n\r\n");
    let text = next(&seen);
    assert!(text.contains("127.0.0.1") && text.ends_with(r#"Request { method: "GET", target: "/a?b", .. }"#), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn refusals_are_errors() {
    let rows: [(&[u8], u16, &str); 2] = [(b"/a/../..", 403, "Forbidden"), (b"/a\0", 400, "Bad Request")];
    for (path, status, text) in rows {
        let refusal = CleanPath::new(path).unwrap_err();
        assert_eq!((refusal.status(), refusal.to_string().as_str()), (status, text));
        let error = Error::from(refusal);
        assert_eq!((error.status(), error.to_string().as_str()), (status, text));
        assert!(std::error::Error::source(&error).is_some());
    }
    #[cfg(feature = "tls")]
    {
        let reversed = ecohttpd::x509::self_signed(&[], 2, 1).unwrap_err();
        assert_eq!(reversed.to_string(), "the certificate would end before it begins");
    }
    let bad = ecohttpd::Chunked::default().take(&mut &b"x"[..]).unwrap_err();
    assert_eq!((bad.reason(), bad.to_string()), ("chunk without a size", bad.reason().to_owned()));
}

#[test]
fn methods_are_refused_by_whether_they_are_known() {
    let (server, seen) = telling(Options::new, async |_: &mut Connection, req: &mut Request, tell| {
        tell.send(req.refuse_method().status()).unwrap();
        Ok(())
    });
    for (method, status) in [("PUT", 405), ("PATCH", 405), ("put", 501), ("BREW", 501)] {
        server.ask(format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert_eq!(next(&seen), status, "{method}");
    }
}

/// A handler that passes on what it was told is answered with its status.
#[test]
fn a_refusal_that_a_handler_returns_is_its_answer() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().to_owned();
    let server = serve(Options::new, async move |con: &mut Connection, req: &mut Request| -> Result<()> {
        let path = CleanPath::new(req.path_bytes())?;
        Files::new(&Options::new().docroot(&root)).try_serve(con, req, &path).await
    });
    for (target, status) in [("/missing", 404), ("/..", 403), ("/", 403), ("/%00", 400)] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
}
