//! Connections that come and go beside scripts: what belongs to one that left must never reach the next in its slot.

#![allow(clippy::unwrap_used)]

mod common;
mod common_cgi;
mod common_files;
#[cfg(feature = "tls")]
mod common_tls;

use common::{PATIENCE, reset};
use common_cgi::Scripts;
use common_files::request;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Connections that each test opens: more where `ECOHTTPD_TURNOVER` says so.
fn count(usual: usize) -> usize {
    std::env::var("ECOHTTPD_TURNOVER").map_or(usual, |count| count.parse().unwrap())
}

const OK: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nok\\n'\n";

/// A connection, a request, and all that comes until the end.
fn fetch(addr: SocketAddr, target: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request("GET", target, &[], true).as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

/// Asks for a script and leaves, at once or while it runs, by an end or by a reset.
fn leave(addr: SocketAddr, number: u64) {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE).unwrap();
    let _ = stream.write_all(request("GET", "/cgi-bin/ok", &[], false).as_bytes());
    // Any time in the life of a script will do; what is tested does not depend on it.
    thread::sleep(Duration::from_millis(number % 5));
    if number.is_multiple_of(2) {
        reset(stream);
    }
}

#[test]
fn fresh_connections_are_served_beside_scripts_whose_clients_leave() {
    let site = Scripts::new(&["-n", "6"], &[("ok", OK)]);
    std::fs::write(site.root.join("file"), "content").unwrap();
    let (addr, left, over) = (site.daemon.addr, AtomicUsize::new(count(4000)), AtomicBool::new(false));
    let lost: Vec<String> = thread::scope(|scope| {
        for first in 0..4 {
            let over = &over;
            scope.spawn(move || {
                (first..).take_while(|_| !over.load(Ordering::Relaxed)).for_each(|number| leave(addr, number))
            });
        }
        let fetching: Vec<_> = (0..2).map(|_| scope.spawn(|| fetch_files(addr, &left))).collect();
        let lost = fetching.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        lost
    });
    let said: Vec<String> = std::iter::from_fn(|| site.next_log()).filter(|line| !line.contains("503")).collect();
    assert_eq!(lost, Vec::<String>::new(), "{said:?}");
    site.await_no_children();
}

fn fetch_files(addr: SocketAddr, left: &AtomicUsize) -> Vec<String> {
    lost(left, || match fetch(addr, "/file") {
        Ok(reply) if reply.ends_with(b"\r\n\r\ncontent") => Ok(()),
        Ok(reply) => Err(reply.escape_ascii().to_string()),
        Err(error) => Err(error.to_string()),
    })
}

/// Fetches until none are left; what was lost.
fn lost(left: &AtomicUsize, fetch: impl Fn() -> Result<(), String>) -> Vec<String> {
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
    std::iter::from_fn(take).filter_map(|_| fetch().err()).collect()
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use common_tls::{Identity, TLS12, TLS13, config, over, try_open};
    use std::sync::Arc;

    /// Clients that leave without waiting for our close_notify have it answered by a reset, while a script starts.
    #[test]
    fn tls_handshakes_are_finished_beside_scripts() {
        let identity = Identity::new();
        let (cert, key) = (identity.cert.to_str().unwrap(), identity.key.to_str().unwrap());
        for scripts in ["3", "64"] {
            let args = ["-s", "127.0.0.1:0", "-C", cert, "-K", key, "-n", scripts];
            let site = Scripts::new(&args, &[("ok", OK)]);
            let line = site.daemon.line();
            let addr: SocketAddr = line.split("https://").nth(1).unwrap().trim_end_matches('/').parse().unwrap();
            for (threads, versions) in
                [2, 4, 8, 16].into_iter().flat_map(|threads| [(threads, TLS12), (threads, TLS13)])
            {
                let left = AtomicUsize::new(count(100));
                let config = Arc::new(config(&identity.ca, versions, None));
                let lost: Vec<String> = thread::scope(|scope| {
                    let fetch = || scope.spawn(|| fetch_scripts(&config, addr, &left));
                    let fetching: Vec<_> = (0..threads).map(|_| fetch()).collect();
                    fetching.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
                });
                assert_eq!(lost, Vec::<String>::new(), "{threads} threads, {scripts} scripts, {versions:?}");
            }
        }
    }

    fn fetch_scripts(config: &Arc<rustls::ClientConfig>, addr: SocketAddr, left: &AtomicUsize) -> Vec<String> {
        let fetch = || {
            let mut client = over(try_open(config, addr, "localhost").map_err(|error| format!("handshake: {error}"))?);
            client.send(request("GET", "/cgi-bin/ok", &[], false));
            match client.try_response(false) {
                Ok(reply) if reply.body == b"ok\n" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        lost(left, fetch)
    }
}
