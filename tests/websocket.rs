//! WebSockets of the library, seen by a client of raw bytes.

#![allow(clippy::unwrap_used)]

mod common;
mod common_websocket;

use common::{Client, End, MOMENT, Running, next, serve, telling, told};
use common_websocket::{
    BINARY, CLOSE, PING, PONG, TEXT, close, close_payload, expect, expect_close, expect_open, frame, open, read_frame,
    request,
};
use ecohttpd::{Connection, Error, Message, Options, Request, Result, WebSocket, WebSocketOptions, spawn};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// Sends back what comes, until the end.
async fn echo(socket: &mut WebSocket) -> Result<()> {
    while let Some(message) = socket.recv().await? {
        match message {
            Message::Text(text) => socket.send_text(text).await?,
            Message::Binary(bytes) => socket.send_binary(bytes).await?,
            _ => {}
        }
    }
    Ok(())
}

fn echo_server(options: fn() -> WebSocketOptions) -> Running {
    serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        let mut socket = con.websocket(&options()).await?;
        echo(&mut socket).await
    })
}

#[test]
fn requests_that_open_none() {
    let server = serve(Options::new, async |con: &mut Connection, req: &mut Request| {
        con.add_header("x-is", req.is_websocket())?;
        con.add_header("set-cookie", "secret")?;
        let mut socket = con.websocket(&WebSocketOptions::new().origin("https://a.example")).await?;
        echo(&mut socket).await
    });
    let good = request("/", "");
    for (change, to, status) in [
        ("GET", "POST", 426),
        ("HTTP/1.1", "HTTP/1.0", 426),
        ("Upgrade: websocket\r\n", "", 426),
        ("Connection: Upgrade", "Connection: close", 426),
        ("Version: 13", "Version: 12", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("Key: dG", "Key: ", 400),
        ("Host: x\r\n", "Host: x\r\nContent-Length: 1\r\n", 400),
        ("Host: x\r\n", "Host: x\r\nOrigin: https://evil.example\r\n", 403),
    ] {
        let mut client = server.connect();
        client.send(good.replace(change, to));
        let response = client.read_response();
        assert_eq!(response.status, status, "{change:?} to {to:?}");
        assert_eq!(response.header("set-cookie"), None, "{change:?}");
        let version = (status == 426).then_some("13");
        assert_eq!(response.header("sec-websocket-version"), version, "{change:?}");
        assert_eq!(response.has_token("upgrade", "websocket"), status == 426, "{change:?}");
        // A client may try again on the same connection, unless it said otherwise.
        let closes = change == "HTTP/1.1" || to == "Connection: close";
        assert_eq!(response.closes(), closes, "{change:?}");
        if closes {
            client.expect_close();
        } else if to.contains("Content-Length") {
            // The byte of the body that was announced.
            client.send("x");
        }
        if !closes {
            client.send(&good);
            assert_eq!(client.read_response().status, 101, "{change:?}");
        }
    }
    for origin in ["http://x", "https://a.example"] {
        let mut client = server.connect();
        client.send(request("/", &format!("Origin: {origin}\r\n")));
        let response = client.read_response();
        assert_eq!((response.status, response.header("x-is")), (101, Some("true")), "{origin}");
        assert_eq!(response.header("set-cookie"), Some("secret"), "fields of the handler stay");
    }
}

#[test]
fn a_subprotocol_is_chosen() {
    let (server, chosen) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        let options = WebSocketOptions::new().protocol("v2.chat").protocol("v1.chat");
        let socket = con.websocket(&options).await?;
        tell.send(socket.protocol().map(str::to_owned)).unwrap();
        Ok(())
    });
    for (offer, answer) in [("v0.chat, v1.chat, v2.chat", Some("v1.chat")), ("mqtt", None)] {
        let mut client = server.connect();
        client.send(request("/", &format!("Sec-WebSocket-Protocol: {offer}\r\n")));
        let response = client.read_response();
        assert_eq!((response.status, response.header("sec-websocket-protocol")), (101, answer));
        assert_eq!(next(&chosen).as_deref(), answer);
        expect_close(&mut client, 1000);
    }
}

#[test]
fn messages_of_all_lengths() {
    let server = echo_server(WebSocketOptions::new);
    let mut client = open(server.addr, "/");
    for len in [0, 1, 125, 126, 4096, 65_535, 65_536, 1 << 20] {
        client.send(frame(TEXT, "x".repeat(len)));
        expect(&mut client, TEXT, "x".repeat(len));
        client.send(frame(BINARY, common::pattern(len)));
        expect(&mut client, BINARY, common::pattern(len));
    }
    client.send(close(1000, "bye"));
    expect_close(&mut client, 1000);
}

/// Frames that come with the request, that come many at once, and a byte at a time.
#[test]
fn messages_however_they_come() {
    let server = echo_server(WebSocketOptions::new);
    let pieces =
        [frame(0x01, "gr\u{fc}n ".as_bytes()), frame(PING, "p"), frame(0x00, ""), frame(0x80, "blau")].concat();
    let expect_all = |client: &mut Client| {
        expect(client, PONG, "p");
        expect(client, TEXT, "grün blau".as_bytes());
    };
    let mut client = server.connect();
    client.send([request("/", "").as_bytes(), &pieces.repeat(1000)].concat());
    expect_open(&mut client);
    // A ping may be answered together with the next.
    let mut messages = 0;
    while messages < 1000 {
        let (first, payload) = read_frame(&mut client);
        assert!(first == PONG && payload == b"p" || first == TEXT && payload == "grün blau".as_bytes());
        messages += usize::from(first == TEXT);
    }
    for byte in &pieces {
        client.send([*byte]);
    }
    expect_all(&mut client);
}

#[test]
fn what_breaks_the_protocol_is_told_why() {
    let (server, ends) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        let options = WebSocketOptions::new().max_message(1000).max_frame(600);
        let mut socket = con.websocket(&options).await?;
        let end = echo(&mut socket).await;
        let again = told(socket.recv().await.map(drop));
        tell.send((told(end), again)).unwrap();
        Err(Error::Closed)
    });
    for (bytes, code) in [
        (vec![TEXT, 1, b'x'], 1002),
        (frame(0xc1, ""), 1002),
        (frame(0x83, ""), 1002),
        (frame(0x80, ""), 1002),
        (frame(0x09, ""), 1002),
        ([frame(0x01, "a"), frame(TEXT, "b")].concat(), 1002),
        (frame(CLOSE, "x"), 1002),
        (close(1005, ""), 1002),
        (close(1015, ""), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(TEXT, b"\xff"), 1007),
        // It fails before the frame is whole.
        (frame(TEXT, b"\xed\xa0\x80abc")[..9].to_vec(), 1007),
        (frame(BINARY, [0; 601])[..8].to_vec(), 1009),
        ([frame(0x02, [0; 600]), frame(0x80, [0; 401])[..8].to_vec()].concat(), 1009),
    ] {
        let mut client = open(server.addr, "/");
        client.send(&bytes);
        expect_close(&mut client, code);
        let (end, again) = next(&ends);
        assert!(end.as_ref().is_err_and(|error| error.starts_with("BadFrame")), "{bytes:x?}: {end:?}");
        assert_eq!(again, common::failed("Closed"));
    }
}

#[test]
fn the_client_closes() {
    let (server, closes) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        let mut socket = con.websocket(&WebSocketOptions::new()).await?;
        let end = told(echo(&mut socket).await);
        let twice = told(socket.recv().await.map(|message| assert!(message.is_none())));
        let late = told(socket.send_text("late").await);
        let said = socket.peer_close().map(|close| (close.code, close.reason.clone()));
        tell.send((end, twice, late, said)).unwrap();
        Ok(())
    });
    let late = || common::failed("Closed");
    let mut client = open(server.addr, "/");
    client.send(close(4321, "grün"));
    expect(&mut client, CLOSE, close_payload(4321, ""));
    client.expect_close();
    assert_eq!(next(&closes), (Ok(()), Ok(()), late(), Some((4321, "grün".into()))));
    let mut client = open(server.addr, "/");
    client.send(frame(CLOSE, ""));
    expect(&mut client, CLOSE, "");
    client.expect_close();
    assert_eq!(next(&closes), (Ok(()), Ok(()), late(), None));
    // Without a Close.
    let mut client = open(server.addr, "/");
    client.half_close();
    expect(&mut client, TEXT, "late");
    expect_close(&mut client, 1000);
    assert_eq!(next(&closes), (common::failed("Closed"), common::failed("Closed"), Ok(()), None));
}

#[test]
fn the_server_closes() {
    let (server, ends) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        let options = WebSocketOptions::new().close_timeout(if req.path() == "/short" { MOMENT } else { LONG });
        let mut socket = con.websocket(&options).await?;
        if req.path() == "/drop" {
            return Ok(());
        }
        if req.path() == "/bad" {
            tell.send(told(socket.close(1006, "").await)).unwrap();
            return Ok(());
        }
        socket.send_text("last").await?;
        tell.send(told(socket.close(4000, &"ü".repeat(100)).await)).unwrap();
        Ok(())
    });
    let expect_last = |client: &mut Client| {
        expect(client, TEXT, "last");
        expect(client, CLOSE, close_payload(4000, &"ü".repeat(61)));
    };
    // What still comes is dropped.
    let mut client = open(server.addr, "/");
    expect_last(&mut client);
    client.send([frame(TEXT, "late"), frame(PING, ""), close(4000, "")].concat());
    client.expect_close();
    assert_eq!(next(&ends), Ok(()));
    // A client that only ends its direction.
    let mut client = open(server.addr, "/");
    expect_last(&mut client);
    client.half_close();
    client.expect_close();
    assert_eq!(next(&ends), Ok(()));
    // One that never answers.
    let mut client = open(server.addr, "/short");
    expect_last(&mut client);
    assert_eq!(next(&ends), common::failed("Timeout"));
    client.expect_close();
    // A handler that says nothing, and one that says what it may not.
    expect_close(&mut open(server.addr, "/drop"), 1000);
    expect_close(&mut open(server.addr, "/bad"), 1000);
    assert!(next(&ends).is_err_and(|error| error.starts_with("Io")));
}

#[test]
fn a_silent_client_is_asked() {
    let (server, ends) = telling(Options::new, async |con: &mut Connection, req: &mut Request, tell| {
        let timeout = if req.path() == "/patient" { LONG } else { MOMENT };
        let options = WebSocketOptions::new().ping_interval(MOMENT).ping_timeout(timeout);
        let mut socket = con.websocket(&options).await?;
        let end = match req.path() {
            // The same from a task of its own.
            "/task" => {
                let (mut reader, _writer) = socket.split();
                spawn(async move { reader.recv().await.map(drop) }).await
            }
            _ => echo(&mut socket).await,
        };
        tell.send(told(end)).unwrap();
        Ok(())
    });
    let mut client = open(server.addr, "/patient");
    for _ in 0..3 {
        expect(&mut client, PING, "");
        client.send(frame(PONG, ""));
    }
    expect(&mut client, PING, "");
    // Any sign of life is one.
    client.send(frame(TEXT, "here"));
    expect(&mut client, TEXT, "here");
    expect(&mut client, PING, "");
    client.send(close(1000, ""));
    assert_eq!(next(&ends), Ok(()));
    for path in ["/", "/task"] {
        let mut client = open(server.addr, path);
        expect(&mut client, PING, "");
        assert_eq!(next(&ends), common::failed("Timeout"));
        assert_eq!(client.rest(), (Vec::new(), End::Reset), "nobody is there to take a Close");
    }
}

#[test]
fn a_handler_asks() {
    let (server, got) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        let mut socket = con.websocket(&WebSocketOptions::new().ping_interval(Duration::MAX)).await?;
        let long = socket.ping([0; 126]).await;
        tell.send(format!("{:?}", long.map_err(|error| error.status()))).unwrap();
        socket.ping("are you there").await?;
        while let Some(message) = socket.recv().await? {
            tell.send(format!("{message:?}")).unwrap();
        }
        Ok(())
    });
    let mut client = open(server.addr, "/");
    assert_eq!(next(&got), "Err(500)");
    expect(&mut client, PING, "are you there");
    // The answer to a ping of the server's own, one that nobody asked for, the answer, and the answer again.
    let pongs = ["", "unasked", "are you there", "are you there"].map(|payload| frame(PONG, payload));
    client.send([pongs.concat(), frame(TEXT, "x")].concat());
    assert_eq!(next(&got), format!("Pong({:?})", b"are you there"));
    assert_eq!(next(&got), "Text(\"x\")");
}

/// More than sockets and the server hold of a direction that nobody reads.
const MUCH: usize = 8 << 20;

/// A client that does not read is heard nevertheless, and its last ping is answered at last.
#[test]
fn halves_do_not_wait_for_each_other() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| {
        let (mut reader, mut writer) = con.websocket(&WebSocketOptions::new()).await?.split();
        let writing = spawn(async move {
            for _ in 0..MUCH / 4096 {
                writer.send_binary([b'w'; 4096]).await?;
            }
            writer.flush().await?;
            Ok::<_, Error>(writer)
        });
        let mut bytes = 0;
        while bytes < MUCH {
            match reader.recv().await? {
                Some(Message::Binary(message)) => bytes += message.len(),
                _ => return Err(Error::Closed),
            }
        }
        let mut writer = writing.await?;
        writer.send_text(format!("{bytes}")).await?;
        reader.recv().await.map(drop)
    });
    let mut client = open(server.addr, "/");
    for number in 0..MUCH / 4096 {
        client.send(frame(BINARY, [b'r'; 4096]));
        client.send(frame(PING, format!("{number}")));
    }
    client.send(frame(PING, "last"));
    let (mut bytes, mut pongs, mut said) = (0, 0, Vec::new());
    loop {
        match read_frame(&mut client) {
            (BINARY, payload) => bytes += payload.len(),
            (PONG, payload) if payload == b"last" => break,
            (PONG, _) => pongs += 1,
            (TEXT, text) => said = text,
            (first, _) => panic!("{first:x}"),
        }
    }
    assert_eq!((bytes, said), (MUCH, format!("{MUCH}").into_bytes()));
    // One answer may be for several pings (RFC 6455 §5.5.3): how many depends on who is faster.
    assert!(pongs <= MUCH / 4096, "{pongs} answers");
    client.send(close(1000, ""));
    expect_close(&mut client, 1000);
}

/// A call that is given up loses nothing, in either direction.
#[test]
fn calls_can_be_given_up() {
    let server = serve(Options::new, async |con: &mut Connection, _: &mut Request| {
        let mut socket = con.websocket(&WebSocketOptions::new()).await?;
        loop {
            match ecohttpd::timeout(Duration::from_millis(1), socket.recv()).await {
                Err(_) => {}
                Ok(message) => match message? {
                    Some(Message::Text(text)) => socket.send_text(text).await?,
                    _ => return Ok(()),
                },
            }
        }
    });
    let mut client = open(server.addr, "/");
    for byte in frame(TEXT, "in small pieces") {
        client.send([byte]);
        std::thread::sleep(Duration::from_millis(3));
    }
    expect(&mut client, TEXT, "in small pieces");
}

#[test]
fn a_server_that_stops_says_so() {
    let server = echo_server(WebSocketOptions::new);
    let mut clients: Vec<Client> = (0..5).map(|_| open(server.addr, "/")).collect();
    server.handle.stop(LONG);
    for client in &mut clients {
        expect(client, CLOSE, close_payload(1001, "the server stops"));
        client.send(close(1001, ""));
        client.expect_close();
    }
    server.join().unwrap();
}
