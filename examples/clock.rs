//! Replies that take long: server-sent events, and a body that grows line by line.
//!
//! ```sh
//! cargo run --release --example clock            # or: ... clock 127.0.0.1:0, a free port
//! curl -N http://127.0.0.1:8080/stream
//! ```
//!
//! <http://127.0.0.1:8080/> shows a clock that ticks each second; curl prints ten lines, one a second.
//! Thousands of such clients share one thread: a waiting handler costs the memory of its future and nothing else.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ecohttpd::{Connection, Options, Request, Result, Server, sleep};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1);
    let addr: SocketAddr = addr.as_deref().unwrap_or("127.0.0.1:8080").parse()?;

    let mut server = Server::new(Options::new(), route)?;
    let bound = server.bind(addr.ip().to_string().as_str(), addr.port())?;
    println!("listening on http://{bound}");
    Ok(server.run()?)
}

async fn route(con: &mut Connection, req: &mut Request) -> Result<()> {
    match req.path() {
        "/" => {
            con.add_header("Content-Type", "text/html; charset=utf-8")?;
            con.send(PAGE).await
        }
        "/events" => events(con).await,
        "/stream" => stream(con).await,
        _ => con.send_error(404, None, "not found\n").await,
    }
}

/// Sends the time each second, as server-sent events, for as long as the client listens.
async fn events(con: &mut Connection) -> Result<()> {
    con.add_header("Content-Type", "text/event-stream")?;
    con.add_header("Cache-Control", "no-store")?;
    loop {
        con.send(format!("data: {}\n\n", utc())).await?;
        // `send` only queues: `flush` returns when the event is on its way. Once the client
        // has gone it is an error, and `?` is then the end of this loop and of the handler.
        con.flush().await?;
        sleep(TICK).await;
    }
}

/// Sends ten lines, one a second.
async fn stream(con: &mut Connection) -> Result<()> {
    con.add_header("Content-Type", "text/plain")?;
    // No content-length is set, so the body is chunked (on HTTP/1.0: ended by closing).
    for line in 1..=10 {
        con.send(format!("{line:2} {}\n", utc())).await?;
        con.flush().await?;
        sleep(TICK).await;
    }
    Ok(()) // the last chunk is sent when the handler returns
}

/// The time of day, as `hh:mm:ss UTC`.
fn utc() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let secs = now.map_or(0, |since| since.as_secs());
    let (h, m, s) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{h:02}:{m:02}:{s:02} UTC")
}

const TICK: Duration = Duration::from_secs(1);

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>clock</title>
<h1 id="clock">…</h1>
<script>
  const clock = document.getElementById("clock");
  // The browser reconnects by itself when the stream ends.
  new EventSource("/events").onmessage = event => clock.textContent = event.data;
</script>
"#;
