//! Sends back each message of a WebSocket. For the tests: Autobahn's test suite asks it.
//!
//! ```sh
//! cargo run --release --example echo             # or: ... echo 127.0.0.1:0, a free port
//! ```

use std::net::SocketAddr;

use ecohttpd::{Connection, Message, Options, Request, Result, Server, WebSocketOptions};

/// Bytes of the longest message: Autobahn's have 16 MiB.
const MAX: usize = 16 << 20;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1);
    let addr: SocketAddr = addr.as_deref().unwrap_or("127.0.0.1:8080").parse()?;

    let mut server = Server::new(Options::new(), echo)?;
    let bound = server.bind(addr.ip().to_string().as_str(), addr.port())?;
    println!("listening on http://{bound}");
    Ok(server.run()?)
}

async fn echo(con: &mut Connection, _: &mut Request) -> Result<()> {
    let options = WebSocketOptions::new().any_origin(true).max_message(MAX).max_frame(MAX);
    let mut socket = con.websocket(&options).await?;
    while let Some(message) = socket.recv().await? {
        match message {
            Message::Text(text) => socket.send_text(text).await?,
            Message::Binary(bytes) => socket.send_binary(bytes).await?,
            _ => {}
        }
    }
    Ok(())
}
