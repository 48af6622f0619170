//! The feature `http`: conversions from and to the types of the crate of that name.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Told, failed, next, serve, telling, told};
use ecohttpd::{Connection, Error, Options, Refusal, Request};
use http::header::{HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode, Version};

#[test]
fn a_request_becomes_theirs() {
    let (server, seen) = telling(Options::new, async |_: &mut Connection, req: &mut Request, tell| {
        tell.send(http::Request::<()>::try_from(&*req).map_err(Refusal::status)).unwrap();
        assert_eq!(Method::try_from(&*req)?, req.method());
        assert_eq!(HeaderMap::try_from(&*req)?.len(), req.headers_bytes().count());
        Ok(())
    });
    let bytes = b"BREW /pot?q=%20 HTTP/1.0\r\nHost: x\r\nVia: a\r\nX-Raw: \xff\r\nvia: b\r\n\r\n";
    server.ask(bytes);
    let head = next(&seen).unwrap();
    assert_eq!((head.method().as_str(), head.uri().to_string()), ("BREW", "/pot?q=%20".to_owned()));
    assert_eq!(head.version(), Version::HTTP_10);
    let via: Vec<_> = head.headers().get_all("via").iter().collect();
    assert_eq!(via, ["a", "b"]);
    assert_eq!(head.headers()["x-raw"].as_bytes(), b"\xff");

    server.ask("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let head = next(&seen).unwrap();
    assert_eq!((head.uri().path(), head.version()), ("*", Version::HTTP_11));
    server.ask("GET http://h:8080/a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let head = next(&seen).unwrap();
    assert_eq!(head.uri().authority().unwrap(), "h:8080");
}

#[test]
fn their_response_becomes_ours() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| {
        con.add_header("x-kept", "before")?;
        con.add_header("Set-Cookie", "replaced=1")?;
        let response = Response::builder()
            .status(StatusCode::CREATED)
            .header("location", "/1")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("x-raw", HeaderValue::from_bytes("ü".as_bytes()).unwrap())
            .body("made\n")
            .unwrap();
        con.set_response(&response)?;
        con.send(response.body()).await
    });
    let response = server.get("/");
    assert_eq!((response.status, response.text()), (201, "made\n"));
    assert_eq!((response.header("location"), response.header("x-kept")), (Some("/1"), Some("before")));
    assert_eq!(response.header("x-raw"), Some("ü"));
    let cookies: Vec<_> = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
}

#[test]
fn what_is_not_a_handlers_to_set_is_refused() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        let chunked = Response::builder().header("transfer-encoding", "chunked").body(()).unwrap();
        tell.send(told(con.set_response(&chunked))).unwrap();
        let early = Response::builder().status(103).body(()).unwrap();
        tell.send(told(con.set_response(&early))).unwrap();
        con.send("").await?;
        tell.send(told(con.set_response(&Response::new(())))).unwrap();
        Ok(())
    });
    server.get("/");
    let told: Vec<Told<()>> = (0..3).map(|_| next(&seen)).collect();
    assert_eq!(told, [failed("BadHeader"), failed("BadStatus"), failed("HeadSent")]);
}

#[test]
fn errors_have_their_status() {
    assert_eq!(StatusCode::from(&Error::BodyTooLarge), StatusCode::PAYLOAD_TOO_LARGE);
    let refusal = ecohttpd::CleanPath::new(b"/..").unwrap_err();
    assert_eq!(StatusCode::from(refusal), StatusCode::FORBIDDEN);
}
