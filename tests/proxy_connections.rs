//! Connections of the proxy to the servers behind it: which are used again, and whose turn it is.

#![cfg(feature = "proxy")]

mod common;
mod common_config;
mod common_files;
mod common_proxy;
mod common_upstream;

use common::MOMENT;
use common_config::Router;
use common_files::request;
use common_proxy::{HELLO, site};
use common_upstream::{Backend, closed_port};
use std::thread;

#[test]
fn a_request_is_repeated_once_if_the_server_closed_an_idle_connection() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    client.send(request("GET", "/app/1", &[], false));
    let (_, mut first) = backend.answer(HELLO);
    client.read_response();
    // It closes as the next request comes.
    client.send(request("GET", "/app/2", &[], false));
    first.request();
    drop(first);
    let (received, mut second) = backend.answer(HELLO);
    assert_eq!(received.line, "GET /app/2 HTTP/1.1");
    assert_eq!(client.read_response().text(), "hello");
    // Not one that has an effect each time, and not one with a body.
    for head in
        ["POST /app/3 HTTP/1.1\r\nHost: x\r\n\r\n", "PUT /app/3 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"]
    {
        client.send(head);
        second.request();
        drop(second);
        assert_eq!(client.read_response().status, 502, "{head:?}");
        client.send(request("GET", "/app/4", &[], false));
        second = backend.answer(HELLO).1;
        client.read_response();
    }
    // Nor after a part of the response came.
    client.send(request("GET", "/app/5", &[], false));
    second.request();
    second.send("HTTP");
    drop(second);
    assert_eq!(client.read_response().status, 502);
    // And only once.
    client.send(request("GET", "/app/6", &[], false));
    let (_, mut third) = backend.answer(HELLO);
    client.read_response();
    client.send(request("GET", "/app/7", &[], false));
    third.request();
    drop(third);
    let mut fourth = backend.accept();
    fourth.request();
    drop(fourth);
    assert_eq!(client.read_response().status, 502);
}

#[test]
fn a_connection_that_the_server_closed_is_not_used_again() {
    let (_router, daemon, backend) = site(&[]);
    let mut client = daemon.connect();
    let ends = ["", "surplus"];
    for surplus in ends {
        client.send("POST /app HTTP/1.1\r\nHost: x\r\n\r\n");
        let (_, mut peer) = backend.answer(HELLO);
        client.read_response();
        peer.send(surplus);
        drop(peer);
        // Time for the end to arrive.
        thread::sleep(MOMENT);
    }
    client.send("POST /app HTTP/1.1\r\nHost: x\r\n\r\n");
    let (_, mut peer) = backend.answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    client.read_response();
    peer.expect_end();
    // Nor one with bytes behind the response, which would answer the next request.
    client.send(request("GET", "/app", &[], false));
    let (_, mut peer) = backend.answer(format!("{HELLO}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    assert_eq!(client.read_response().text(), "hello");
    peer.expect_end();
    client.send(request("GET", "/app", &[], false));
    backend.answer(HELLO);
    assert_eq!(client.read_response().text(), "hello");
}

#[test]
fn servers_take_turns_and_one_that_fails_rests() {
    let (router, one, two) = (Router::new(), Backend::tcp(), Backend::tcp());
    let value = format!("/app={} http://127.0.0.1:{} {}", one.url(), closed_port(), two.url());
    for (backend, name) in [(one, "1"), (two, "2")] {
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{name}");
        thread::spawn(move || {
            while let Some(peer) = backend.next() {
                peer.answer_all(&reply)
            }
        });
    }
    let daemon = router.start_by(&["--proxy", &value]);
    let mut client = daemon.connect();
    let mut turns = String::new();
    for _ in 0..6 {
        client.send(request("GET", "/app", &[], false));
        turns += client.read_response().text();
    }
    // The second one's turns fall to the third.
    assert_eq!(turns, "122122");
}

#[test]
fn a_unix_socket_answers() {
    let router = Router::new();
    let path = router.path("x.sock");
    let backend = Backend::unix(path.as_ref());
    let daemon = router.start_by(&["--proxy", &format!("/app=unix:{path}:/")]);
    let mut client = daemon.connect();
    for target in ["/", "/x"] {
        client.send(request("GET", &format!("/app{target}"), &[], false));
    }
    let mut peer = backend.accept();
    for target in ["/", "/x"] {
        assert_eq!(peer.request().line, format!("GET {target} HTTP/1.1"));
        peer.send(HELLO);
        assert_eq!(client.read_response().text(), "hello");
    }
    // Its path is no host.
    for host in ["", "Host:\r\n"] {
        client.send(format!("GET /app/ HTTP/1.0\r\nConnection: keep-alive\r\n{host}\r\n"));
        assert_eq!(peer.request().field("host"), Some("localhost"));
        peer.send(HELLO);
        assert_eq!(client.read_response().text(), "hello");
    }
}

/// It may be the fault of the request alone.
#[test]
fn a_wrong_response_does_not_rest_a_server() {
    let (router, one, two) = (Router::new(), Backend::tcp(), Backend::tcp());
    let daemon = router.start_by(&["--proxy", &format!("/app={} {}", one.url(), two.url())]);
    for backend in [&one, &two, &one, &two] {
        let mut client = daemon.connect();
        client.send(request("GET", "/app", &[], false));
        backend.answer("HTTP/1.1 200 OK\r\nno colon\r\n\r\n");
        assert_eq!(client.read_response().status, 502);
    }
}
