//! Each method of the reference, one by one, as `api.md` puts it into Rust.

#![allow(clippy::unwrap_used)]

mod common;

use common::system::mkfifo;
use common::{Client, Framing, Gate, chunk, failed, next, pattern, post, serve, telling, told};
use ecohttpd::{Connection, Error, Options, Request, Result, sleep, spawn};
use std::time::Duration;

// --- the request ------------------------------------------------------------------------------------

#[test]
fn request_fields() {
    let (server, seen) = telling(Options::new, async |_: &mut Connection, req: &mut Request, tell| {
        let query: Vec<String> = req.query().map(|(name, value)| format!("{name}={value}")).collect();
        let headers: Vec<String> = req.headers().map(|(name, value)| format!("{name}:{value}")).collect();
        tell.send([
            format!(
                "{} {} {} {}.{}",
                req.method(),
                req.raw_path(),
                req.path(),
                req.major_version(),
                req.minor_version()
            ),
            format!(
                "{} -> {} -> {:?} {:?}",
                req.query_string(),
                query.join("&"),
                req.query_value("b"),
                req.query_value("z")
            ),
            headers.join("|"),
            format!("{:?} {:?} {:?}", req.header("X-A"), req.header("x-none"), req.header("x-raw")),
            format!("{:?} {:?} {}", req.header_bytes("X-RAW"), req.path_bytes(), req.target()),
        ])
        .unwrap();
        Ok(())
    });
    server
        .ask(b"PUT /a%20%ff?b=1+2&c=%2B&b=3 HTTP/1.0\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\nX-Raw: \xff\r\n\r\n".as_slice());
    assert_eq!(
        next(&seen),
        [
            "PUT /a%20%ff /a \u{fffd} 1.0",
            "b=1+2&c=%2B&b=3 -> b=1 2&c=+&b=3 -> Some(\"1 2\") None",
            "host:x|x-a:1|x-a:2",
            "Some(\"1\") None None",
            "Some([255]) [47, 97, 32, 255] /a%20%ff?b=1+2&c=%2B&b=3",
        ]
    );
}

#[test]
fn addresses() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        let local = con.local_addr()?;
        tell.send((con.remote_addr().ip(), con.remote_addr().port(), local.ip(), local.port(), con.is_tls())).unwrap();
        Ok(())
    });
    let stream = std::net::TcpStream::connect(server.addr).unwrap();
    let port = stream.local_addr().unwrap().port();
    Client::new(stream).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let ip = Some(server.addr.ip());
    assert_eq!(next(&seen), (ip, Some(port), ip, Some(server.addr.port()), false));
}

// --- the head ---------------------------------------------------------------------------------------

#[test]
fn headers_of_the_response() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        con.add_header("X-One", "first")?;
        con.add_header("x-one", 2)?;
        con.append_header("Set-Cookie", "a=1")?;
        con.append_header("set-cookie", "b=2")?;
        con.add_header("X-Gone", "a")?;
        con.append_header("X-Gone", "b")?;
        con.add_header("X-Gone", "c")?;
        con.add_header("Server", "mine")?;
        con.add_header("Date", "Thu, 01 Jan 1970 00:00:00 GMT")?;
        let bad = [
            ("X-A", "a\r\nb"),
            ("X-A", "a\nb"),
            ("X-A", "a\rb"),
            ("X-A", "a\0b"),
            ("X-A", "a\x1bb"),
            ("", "a"),
            ("X A", "a"),
            ("X:A", "a"),
            ("X-A\r\nX-B", "a"),
            ("X\u{e4}", "a"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "x"),
            ("Content-Length", "-1"),
        ];
        for (name, value) in bad {
            tell.send((format!("{name:?} {value:?}"), told(con.add_header(name, value)))).unwrap();
            tell.send((format!("append {name:?} {value:?}"), told(con.append_header(name, value)))).unwrap();
        }
        con.send("x").await
    });
    let reply = server.get("/");
    assert_eq!(reply.header("x-one"), Some("2"));
    assert_eq!(reply.header("x-gone"), Some("c"));
    assert_eq!(reply.header("server"), Some("mine"));
    assert_eq!(reply.header("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(reply.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(reply.header("x-a"), None);
    let answers: Vec<_> = seen.try_iter().collect();
    assert_eq!(answers.len(), 26);
    for (call, answer) in answers {
        assert_eq!(answer, failed("BadHeader"), "{call}");
    }
}

#[test]
fn the_head_is_fixed_once_it_is_out() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        con.send("body").await?;
        tell.send(("add_header", told(con.add_header("a", "b")))).unwrap();
        tell.send(("append_header", told(con.append_header("a", "b")))).unwrap();
        tell.send(("append_header_bytes", told(con.append_header_bytes("a", b"b")))).unwrap();
        tell.send(("set_status", told(con.set_status(404)))).unwrap();
        tell.send(("set_status_reason", told(con.set_status_reason(404, "x")))).unwrap();
        tell.send(("send_error", told(con.send_error(500, None, "late").await))).unwrap();
        tell.send(("redirect", told(con.redirect(302, "/x").await))).unwrap();
        tell.send(("upgrade", told(con.upgrade().await.map(|_| ())))).unwrap();
        Ok(())
    });
    let reply = server.get("/");
    assert_eq!((reply.status, reply.text()), (200, "body"));
    for (method, answer) in seen.try_iter() {
        assert_eq!(answer, failed("HeadSent"), "{method}");
    }
}

#[test]
fn statuses() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        match req.path() {
            "/plain" => con.set_status(404)?,
            "/reason" => con.set_status_reason(299, "Fine, really")?,
            "/odd" => con.set_status(999)?,
            "/twice" => {
                con.set_status_reason(404, "Lost")?;
                con.set_status(410)?;
            }
            _ => {
                for code in [0, 99, 1000, u16::MAX] {
                    tell.send((code, told(con.set_status(code)))).unwrap();
                    tell.send((code, told(con.set_status_reason(code, "x")))).unwrap();
                }
                tell.send((1, told(con.set_status_reason(200, "a\r\nb")))).unwrap();
            }
        }
        Ok(())
    });
    let rows =
        [("/plain", 404, "Not Found"), ("/reason", 299, "Fine, really"), ("/twice", 410, "Gone"), ("/bad", 200, "OK")];
    for (path, status, reason) in rows {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.reason.as_str(), reply.text()), (status, reason, ""), "{path}");
    }
    assert_eq!(server.get("/odd").status, 999);
    for (code, answer) in seen.try_iter() {
        let error = if code == 1 { "BadHeader" } else { "BadStatus" };
        assert_eq!(answer, failed(error), "{code}");
    }
}

#[test]
fn send_error_answers_and_closes() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| match req.path() {
        "/bare" => con.send_error(503, None, None).await,
        "/full" => {
            con.add_header("retry-after", 7)?;
            con.add_header("content-length", 1)?;
            con.send_error(429, "Slow Down", "wait\n").await
        }
        _ => con.send_error(1000, None, None).await,
    });
    let reply = server.ask("GET /bare HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((reply.status, reply.reason.as_str(), reply.text()), (503, "Service Unavailable", ""));
    assert_eq!((reply.header("connection"), reply.header("content-length")), (Some("close"), Some("0")));
    let mut client = server.connect();
    client.send("GET /full HTTP/1.1\r\nHost: x\r\n\r\n");
    let reply = client.read_response();
    assert_eq!((reply.status, reply.reason.as_str(), reply.text()), (429, "Slow Down", "wait\n"));
    assert_eq!((reply.header("connection"), reply.header("retry-after")), (Some("close"), Some("7")));
    client.expect_close();
    assert_eq!(server.get("/bad").status, 500);
}

#[test]
fn redirect_checks_code_and_location() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        for code in [0, 200, 299, 400, 404] {
            tell.send(told(con.redirect(code, "/x").await)).unwrap();
        }
        for location in ["/x\r\nSet-Cookie: a=b", "/x\n", "/x\0"] {
            tell.send(told(con.redirect(302, location).await)).unwrap();
        }
        con.redirect(req.query_string().parse().unwrap(), "/there?a=b").await
    });
    for code in [301, 302, 303, 307, 308] {
        let reply = server.ask(format!("GET /?{code} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!((reply.status, reply.header("location"), reply.text()), (code, Some("/there?a=b"), ""));
        assert_eq!((reply.header("set-cookie"), reply.closes()), (None, false));
        let answers: Vec<_> = seen.try_iter().collect();
        let expected = [vec![failed("BadStatus"); 5], vec![failed("BadHeader"); 3]].concat();
        assert_eq!(answers, expected);
    }
}

/// Devices compare letters: what the library writes itself has one case (RFC 9110 §5.1 would allow any).
#[test]
fn header_names_have_one_case() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| match req.path() {
        "/redirect" => con.redirect(302, "/there").await,
        "/error" => con.send_error(503, None, "wait").await,
        "/chunked" => con.send("hello").await,
        "/fails" => Err(Error::Timeout),
        _ => con.serve_file(req).await,
    });
    for request in ["GET /redirect", "GET /error", "GET /chunked", "GET /fails", "GET /no-such-file", "PUT /", "BAD"] {
        let mut client = server.connect();
        client.send(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let reply = String::from_utf8(client.rest().0).unwrap();
        let (head, _) = reply.split_once("\r\n\r\n").unwrap();
        let names = head.lines().skip(1).map(|line| line.split_once(": ").unwrap().0);
        let is_capital = |word: &str| word.starts_with(|c: char| c.is_ascii_uppercase());
        assert!(names.clone().count() > 2, "{reply}");
        names.for_each(|name| assert!(name.split('-').all(is_capital), "{request}: {name}"));
    }
}

// --- the body ---------------------------------------------------------------------------------------

#[test]
fn send_frames_the_body() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        if req.path() == "/length" {
            con.add_header("content-length", 6)?;
        }
        con.send("").await?;
        for piece in ["ab", "", "cd", "ef"] {
            con.send(piece).await?;
        }
        con.flush().await
    });
    let rows = [
        ("/", "1.1", Framing::Chunked, false),
        ("/", "1.0", Framing::Close, true),
        ("/length", "1.1", Framing::Length, false),
        ("/length", "1.0", Framing::Length, false),
    ];
    for (path, version, framing, closes) in rows {
        let request = format!("GET {path} HTTP/{version}\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
        let reply = server.ask(request);
        assert_eq!((reply.framing, reply.text(), reply.closes()), (framing, "abcdef", closes), "{path} {version}");
    }
}

#[test]
fn a_body_that_breaks_its_promise_is_cut() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        con.add_header("content-length", 5)?;
        con.send("1234").await?;
        if req.path() == "/more" {
            let answer = con.send("56").await;
            tell.send(told(answer)).unwrap();
        }
        Ok(())
    });
    for path in ["/more", "/less"] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let end = client.try_response(false).map(|reply| reply.text().to_owned());
        assert!(end.is_err(), "{path}: {end:?} looks whole");
    }
    assert_eq!(next(&seen), failed("LengthMismatch"));
}

#[test]
fn flush_sends_before_the_handler_ends() {
    let gate = Gate::default();
    let opened = gate.clone();
    let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        con.send("first").await?;
        con.flush().await?;
        gate.wait().await;
        con.send("second").await
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\r\n") {
        seen.extend(client.read_exact(1));
    }
    opened.open();
    client.half_close();
    let (rest, _) = client.rest();
    assert_eq!(rest, [chunk("second"), chunk("")].concat());
}

#[test]
fn send_file_sends_regular_files_only() {
    let dir = tempfile::tempdir().unwrap();
    let content = pattern(300_000);
    std::fs::write(dir.path().join("file"), &content).unwrap();
    std::fs::write(dir.path().join("empty"), "").unwrap();
    mkfifo(dir.path().join("fifo"));
    let root = dir.path().to_owned();
    let (server, seen) = telling(Options::new, async move |con: &mut Connection, req: &mut Request, tell| {
        let number = |name: &str| req.query_value(name).map(|text| text.parse::<u64>().unwrap());
        con.add_header("x-mark", "kept")?;
        if let Some(length) = number("length") {
            con.add_header("content-length", length)?;
        }
        let answer = con.send_file(root.join(&req.path()[1..]), number("count"), number("offset")).await;
        tell.send(answer.as_ref().map_err(ToString::to_string).copied()).unwrap();
        match answer {
            // Nothing was sent: the handler may still answer as it likes.
            Err(Error::Io(_)) if req.query_value("catch").is_some() => con.send_error(410, None, "caught").await,
            answer => answer,
        }
    });
    let rows: [(&str, &[u8]); 8] = [
        ("/file", &content),
        ("/file?count=10", &content[..10]),
        ("/file?offset=299990", &content[299_990..]),
        ("/file?count=1000&offset=5000", &content[5000..6000]),
        ("/file?count=1000&offset=299999", &content[299_999..]),
        ("/file?offset=300001", b""),
        ("/file?count=0", b""),
        ("/empty", b""),
    ];
    for (path, expected) in rows {
        for (version, framing) in [("1.1", Framing::Chunked), ("1.0", Framing::Close)] {
            let reply = server.ask(format!("GET {path} HTTP/{version}\r\nHost: x\r\n\r\n"));
            assert_eq!((reply.status, reply.framing), (200, framing), "{path}");
            assert!(reply.body == expected, "{path} over {version}: {} bytes", reply.body.len());
            assert_eq!(reply.header("x-mark"), Some("kept"));
            assert_eq!(next(&seen), Ok(()), "{path}");
        }
    }
    let reply = server.get("/file?length=1000&count=1000");
    assert_eq!((reply.framing, &reply.body[..]), (Framing::Length, &content[..1000]));
    next(&seen).unwrap();

    for (path, status) in [("/none", 404), ("/file/none", 404), ("/", 500), ("/fifo", 500), ("/../../../dev/null", 500)]
    {
        assert_eq!(server.get(path).status, status, "{path}");
        next(&seen).unwrap_err();
        let reply = server.get(&format!("{path}?catch=1"));
        assert_eq!((reply.status, reply.text()), (410, "caught"), "{path}");
        next(&seen).unwrap_err();
    }
}

// --- upgrade ----------------------------------------------------------------------------------------

#[test]
fn upgrade_hands_over_the_stream() {
    async fn echo(mut stream: ecohttpd::Upgraded) -> Result<()> {
        let mut buffer = [0; 1000];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return stream.close().await,
                n => stream.write_all(&buffer[..n]).await?,
            }
        }
    }
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        con.add_header("upgrade", "echo")?;
        let stream = con.upgrade().await?;
        if req.path() == "/task" {
            spawn(async {
                sleep(Duration::from_millis(20)).await;
                echo(stream).await.unwrap();
            })
            .detach();
            return Ok(());
        }
        echo(stream).await
    });
    let data = pattern(2_000_000);
    for path in ["/handler", "/task"] {
        let mut client = server.connect();
        // The first bytes of the new protocol come with the request.
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly"));
        let reply = client.read_response();
        assert_eq!((reply.status, reply.header("upgrade")), (101, Some("echo")));
        assert!(reply.has_token("connection", "upgrade"), "{reply:?}");
        assert_eq!(client.read_exact(5), b"early");
        for piece in data.chunks(100_000) {
            client.send(piece);
            assert!(client.read_exact(piece.len()) == piece, "{path}");
        }
        client.half_close();
        client.expect_close();
    }
    assert_eq!(server.ask("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").status, 500);
    assert_eq!(server.ask(post("/", b"unread")).status, 500, "no upgrade while a body waits");
}

// --- what handlers return ---------------------------------------------------------------------------
