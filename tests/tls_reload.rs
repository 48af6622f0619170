//! Certificates reloaded while clients come and go.
#![cfg(feature = "tls")]

mod common;
mod common_tls;

use common_tls::{Identity, exchange, open, serve_tls, trusting};
use ecohttpd::{Connection, Request};
use rustls::version::{TLS12, TLS13};
use std::thread;
use std::time::Duration;

const CLIENTS: usize = 150;

/// Half of the time a pair is on disk that does not fit, as it is when someone copies two files: the old one serves on.
#[test]
fn no_connection_fails_for_a_reload() {
    let id = Identity::new();
    let secure = serve_tls(id.options(), async |con: &mut Connection, _: &mut Request| con.send("hi").await);
    let pairs = [id.ca.issue(&["localhost"]), id.ca.issue(&["localhost"])];
    thread::scope(|scope| {
        let clients: Vec<_> = [&TLS12, &TLS13]
            .map(|version| {
                let addr = secure.addr;
                scope.spawn(move || {
                    for _ in 0..CLIENTS {
                        let (reply, _) = exchange(open(&trusting(&[version]), addr)).unwrap();
                        assert!(reply.contains("\r\nhi\r\n"), "{reply}");
                    }
                })
            })
            .into();
        let mut reloads = 0;
        while clients.iter().any(|client| !client.is_finished()) {
            let pair = &pairs[reloads % 2];
            pair.write(id.temp.path(), "server");
            secure.handle.reload_tls();
            thread::sleep(Duration::from_millis(2));
            std::fs::write(&id.key, pairs[(reloads + 1) % 2].key.serialize_pem()).unwrap();
            secure.handle.reload_tls();
            thread::sleep(Duration::from_millis(2));
            reloads += 1;
        }
        assert!(reloads > 3, "only {reloads} reloads while {CLIENTS} clients came and went");
    });
}
