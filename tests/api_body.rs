//! The request's body as a handler reads it: by count, to the end, as form data, not at all.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, MOMENT, Response, Running, Told, next, pattern, post, post_chunked, serve, telling, told};
use ecohttpd::{Connection, Error, FormEvent, Options, Request, sleep};
use std::future::poll_fn;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::Receiver;
use std::task::Poll;
use std::time::Duration;

// --- the request's body -----------------------------------------------------------------------------

/// Runs the request against a handler that reads pieces of the sizes in its query, `0` meaning all.
fn read_pieces(server: &Running, seen: &Receiver<Told<Vec<u8>>>, request: &[u8]) -> (Vec<Told<Vec<u8>>>, Response) {
    let mut client = server.connect();
    let (first, second) = request.split_at(request.len() * 2 / 3);
    client.send(first);
    client.send(second);
    let reply = client.read_response();
    (seen.try_iter().collect(), reply)
}

#[test]
fn read_body_by_count_and_to_the_end() {
    let options = || Options::new().max_body(100_000).body_timeout(Duration::from_secs(60));
    let (server, seen) = telling(options, async |con: &mut Connection, req: &mut Request, tell| {
        for size in req.query_string().split(',') {
            let count = size.parse::<usize>().ok();
            tell.send(told(con.read_body(count, None).await)).unwrap();
        }
        Ok(())
    });
    let body = pattern(90_000);
    let rows: [(&str, &[(usize, usize)]); 5] = [
        ("all", &[(0, 90_000)]),
        ("all,all,5", &[(0, 90_000), (0, 0), (0, 0)]),
        ("5,10,all,all", &[(0, 5), (5, 15), (15, 90_000), (0, 0)]),
        ("0,90000,1", &[(0, 0), (0, 90_000), (0, 0)]),
        ("89999,100,100", &[(0, 89_999), (89_999, 90_000), (0, 0)]),
    ];
    for (sizes, pieces) in rows {
        let path = format!("/?{sizes}");
        for request in [post(&path, &body), post_chunked(&path, &body, 7), post_chunked(&path, &body, 50_000)] {
            let (answers, reply) = read_pieces(&server, &seen, &request);
            assert_eq!(reply.status, 200);
            for (answer, &(from, to)) in answers.iter().zip(pieces) {
                assert!(*answer.as_ref().unwrap() == body[from..to], "{sizes}: {from}..{to}");
            }
            assert_eq!(answers.len(), pieces.len());
        }
    }
    let reply = server.ask("GET /?all,5 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((reply.status, seen.try_iter().collect()), (200, vec![Ok(vec![]), Ok(vec![])]));
}

#[test]
fn read_body_fails_by_limit_time_and_loss() {
    let options = || Options::new().max_body(1000).body_timeout(MOMENT * 6);
    let (server, seen) = telling(options, async |con: &mut Connection, req: &mut Request, tell| {
        let timeout = (req.path() == "/timeout").then_some(MOMENT);
        let count = (req.path() == "/count").then_some(5000);
        let body = con.read_body(count, timeout).await;
        tell.send(told(body.as_ref().map(|body| body.len()).map_err(|_| Error::Closed))).unwrap();
        body.map(|_| ())
    });
    let body = pattern(1001);
    // The limit is of what is gathered; a handler that says how much it wants gets it.
    for request in [post("/", &body), post_chunked("/", &body, 600)] {
        let reply = server.ask(request);
        assert_eq!((reply.status, reply.closes()), (413, true));
        next(&seen).unwrap_err();
    }
    for request in [post("/", &body[..1000]), post_chunked("/", &body[..1000], 600)] {
        assert_eq!((server.ask(request).status, next(&seen)), (200, Ok(1000)));
    }
    for request in [post("/count", &body), post_chunked("/count", &body, 600)] {
        assert_eq!((server.ask(request).status, next(&seen)), (200, Ok(1001)));
    }
    // A whole head, half a body.
    for request in [post("/", b"123456"), post_chunked("/", b"123456", 6)] {
        let half = &request[..request.len() - 2];
        assert_eq!(server.ask(half).status, 408, "the server's time");
        next(&seen).unwrap_err();
        let half = [&b"POST /timeout"[..], &half[6..]].concat();
        assert_eq!(server.ask(half).status, 408, "the call's time");
        next(&seen).unwrap_err();
        let mut client = server.connect();
        client.send(&request[..request.len() - 2]);
        client.half_close();
        assert_eq!(client.read_response().status, 400, "the client left");
        client.expect_close();
        next(&seen).unwrap_err();
    }
}

#[test]
fn errors_of_read_body_by_name() {
    let options = || Options::new().max_body(1000);
    let (server, seen) = telling(options, async |con: &mut Connection, _: &mut Request, tell| {
        tell.send(told(con.read_body(None, MOMENT * 4).await)).unwrap();
        Ok(())
    });
    let rows: [(Vec<u8>, &str); 4] = [
        (post("/", &pattern(1001)), "BodyTooLarge"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx".to_vec(), "BadBody"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc".to_vec(), "Timeout"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc".to_vec(), "Timeout"),
    ];
    for (request, error) in rows {
        // The handler swallowed the error and said nothing more: 200, and where the body is lost, so is the connection.
        let reply = server.ask(&request);
        let got = next(&seen).unwrap_err();
        assert!(got.starts_with(error), "{got} instead of {error}");
        assert!(reply.closes() || error == "BodyTooLarge", "{error}: {reply:?}");
    }
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc");
    client.half_close();
    client.read_response();
    assert_eq!(next(&seen), Err("Closed".to_owned()));
}

/// A read that was given up must leave no deadline behind for the next one.
#[test]
fn a_read_that_was_dropped_does_not_end_the_next() {
    let options = || Options::new().body_timeout(MOMENT * 10);
    let (server, seen) = telling(options, async |con: &mut Connection, req: &mut Request, tell| {
        let bound = if req.path() == "/call" { Some(MOMENT) } else { None };
        assert!(ecohttpd::timeout(Duration::from_millis(20), con.read_body(5, bound)).await.is_err());
        sleep(MOMENT * 12).await;
        tell.send(Ok(vec![])).unwrap();
        tell.send(told(con.read_body(5, Duration::from_secs(10)).await)).unwrap();
        Ok(())
    });
    for path in ["/call", "/body"] {
        let mut client = server.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"));
        next(&seen).unwrap();
        // The body comes soon after the second read asks for it.
        client.send("hello");
        assert_eq!(next(&seen), Ok(b"hello".to_vec()), "{path}");
        assert_eq!(client.read_response().status, 200);
    }
}

#[test]
fn discard_body_leaves_the_next_request() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        if req.path() == "/some" {
            con.read_body(3, None).await?;
        }
        con.discard_body().await?;
        con.discard_body().await?;
        tell.send(told(con.read_body(None, None).await)).unwrap();
        con.send(req.path()).await
    });
    let body = pattern(3_000_000);
    for path in ["/all", "/some"] {
        for request in [post(path, &body), post_chunked(path, &body, 100_000)] {
            let mut client = server.connect();
            client.send(request);
            client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.read_response().text(), path);
            assert_eq!(client.read_response().text(), "/next");
            assert_eq!(seen.try_iter().collect::<Vec<_>>(), [Ok(vec![]), Ok(vec![])]);
        }
    }
}

// --- form data --------------------------------------------------------------------------------------

fn form(boundary: &str, fields: &str, body: &[u8], chunked: Option<usize>) -> Vec<u8> {
    let request = match chunked {
        Some(size) => post_chunked("/", body, size),
        None => post("/", body),
    };
    let head = format!("POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n{fields}");
    [head.as_bytes(), &request[b"POST / HTTP/1.1\r\n".len()..]].concat()
}

/// A server that tells the events of each form; pieces of one part's body are joined, the largest is counted.
fn form_server() -> (Running, Receiver<(Vec<FormEvent>, usize)>) {
    telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        let (mut events, mut largest, mut part) = (Vec::new(), 0, Vec::new());
        loop {
            match con.read_formdata(req, None).await? {
                FormEvent::Body { data, done } => {
                    largest = largest.max(data.len());
                    part.extend(data);
                    if done {
                        events.push(FormEvent::Body { data: std::mem::take(&mut part), done });
                    }
                }
                FormEvent::End => break,
                header @ FormEvent::Header { .. } => events.push(header),
            }
        }
        assert_eq!(con.read_formdata(req, None).await?, FormEvent::End, "the end comes again");
        tell.send((events, largest)).unwrap();
        con.send("taken").await
    })
}

fn header(name: &str, value: &str) -> FormEvent {
    FormEvent::Header { name: name.to_owned(), value: value.to_owned() }
}

fn body(data: &[u8]) -> FormEvent {
    FormEvent::Body { data: data.to_vec(), done: true }
}

#[test]
fn form_events_in_order_wherever_the_body_is_cut() {
    let text = b"preamble\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--bb\r\n-\r\n--b\r\n\
        Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\nContent-Type: text/plain\r\n\r\n\r\n--b\r\n\
        \r\nno header\r\n--b--\r\nepilogue";
    let expected = [
        header("content-disposition", "form-data; name=\"a\""),
        body(b"\r\n--bb\r\n-"),
        header("content-disposition", "form-data; name=\"f\"; filename=\"x\""),
        header("content-type", "text/plain"),
        body(b""),
        body(b"no header"),
    ];
    let (server, seen) = form_server();
    let mut client = server.connect();
    for chunked in [None, Some(1), Some(5), Some(1000)] {
        let request = form("b", "", text, chunked);
        let first = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        for cut in first..request.len() {
            client.send(&request[..cut]);
            client.send(&request[cut..]);
            assert_eq!(next(&seen).0, expected, "cut at {cut} of {chunked:?}");
            assert_eq!(client.read_response().text(), "taken");
        }
    }
}

#[test]
fn form_parts_larger_than_any_buffer() {
    let (server, seen) = form_server();
    // A body full of what looks like the beginning of its delimiter.
    let large = b"\r\n--boundarx\r\r\n--boundar".repeat(200_000);
    let text = [&b"--boundary\r\nA: b\r\n\r\n"[..], &large, b"\r\n--boundary\r\n\r\nlast\r\n--boundary--"].concat();
    for chunked in [None, Some(33_333)] {
        let reply = server.ask(form("\"boundary\"", "", &text, chunked));
        assert_eq!((reply.status, reply.text()), (200, "taken"));
        let (events, largest) = next(&seen);
        assert!(events == [header("a", "b"), body(&large), body(b"last")], "{} events", events.len());
        assert!(largest <= 64 << 10, "{largest} bytes in one piece");
    }
}

#[test]
fn forms_that_are_none() {
    let (server, _seen) = form_server();
    let whole = b"--b\r\n\r\nx\r\n--b--\r\n";
    let rows: [(Vec<u8>, &str); 6] = [
        (post("/", whole), "no content type"),
        (form("b", "", b"", None), "empty"),
        (form("b", "", &whole[..12], None), "ends within a part"),
        (form("", "", whole, None), "no boundary"),
        (form("b", "", b"--b\r\nno colon\r\n\r\nx\r\n--b--", None), "header without colon"),
        (form(&"b".repeat(201), "", whole, None), "boundary too long"),
    ];
    for (request, name) in rows {
        assert_eq!(server.ask(request).status, 400, "{name}");
    }
    let endless = [&b"--b\r\nA: "[..], &[b'a'; 100_000]].concat();
    assert_eq!(server.ask(form("b", "", &endless, None)).status, 400, "endless header");
}

#[test]
fn read_formdata_has_its_timeout() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        let first = con.read_formdata(req, MOMENT).await?;
        tell.send(Ok(first)).unwrap();
        tell.send(told(con.read_formdata(req, MOMENT).await)).unwrap();
        Ok(())
    });
    let mut client = server.connect();
    let request = form("b", "", b"--b\r\nA: b\r\n\r\nx\r\n--b--", None);
    // With the first byte of the next line: until then this one may be folded.
    client.send(&request[..request.len() - 9]);
    assert_eq!(next(&seen), Ok(header("a", "b")));
    assert_eq!(next(&seen), Err("Timeout".to_owned()));
}

// --- both directions at once ------------------------------------------------------------------------

/// Answers with the body as it comes, in the order of whatever is possible first.
async fn echo(con: &mut Connection) -> ecohttpd::Result<()> {
    let (mut held, mut ended) = (Vec::new(), false);
    poll_fn(|cx| {
        let mut pending = true;
        if held.is_empty() && !ended {
            pending = match con.poll_read_body(cx, &mut held, 5000)? {
                Poll::Ready(()) => {
                    ended = held.is_empty();
                    false
                }
                Poll::Pending => true,
            };
        }
        if !held.is_empty() || ended {
            pending = match con.poll_send(cx, &held)? {
                Poll::Ready(n) => {
                    held.drain(..n);
                    false
                }
                Poll::Pending => true,
            };
        }
        if ended {
            return Poll::Ready(Ok(()));
        }
        if !pending {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

#[test]
fn a_relay_waits_for_both_directions() {
    let server =
        serve(|| Options::new().high_water(9000), async |con: &mut Connection, _: &mut Request| echo(con).await);
    let body = pattern(3_000_000);
    for request in [post("/", &body), post_chunked("/", &body, 40_000), post("/", b"")] {
        let stream = TcpStream::connect(server.addr).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let mut client = Client::new(stream);
        let sent = request.clone();
        let sender = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        let reply = client.read_response();
        sender.join().unwrap();
        assert!(reply.body == if request.len() > 1000 { &body[..] } else { b"" }, "{} bytes", reply.body.len());
    }
}

/// While the answer is stuck, with room left below the high-water mark, the body is still read.
#[test]
fn a_stuck_answer_does_not_stop_the_upload() {
    let (tell, seen) = std::sync::mpsc::channel();
    let server = serve(
        || Options::new().high_water(64 << 20),
        async move |con: &mut Connection, _: &mut Request| {
            con.send(vec![b'x'; 32 << 20]).await?;
            let mut read = 0;
            loop {
                let mut piece = Vec::new();
                poll_fn(|cx| con.poll_read_body(cx, &mut piece, 16_384)).await?;
                read += piece.len();
                if piece.is_empty() {
                    tell.send(read).unwrap();
                    return Ok::<(), Error>(());
                }
            }
        },
    );
    let mut client = server.connect();
    client.send(post("/", &pattern(8 << 20)));
    assert_eq!(next(&seen), 8 << 20, "all of the body was read before any of the answer");
    assert_eq!(client.read_response().body.len(), 32 << 20);
}
