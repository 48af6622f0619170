//! The smallest handler: it answers every request with a line of text.
//!
//! ```sh
//! cargo run --release --example hello            # or: ... hello 127.0.0.1:0, a free port
//! curl -i http://127.0.0.1:8080/
//! ```
//!
//! It prints the address that it listens on; curl shows `200 OK` and `hello`.

use std::net::SocketAddr;

use ecohttpd::{Connection, Options, Request, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1);
    let addr: SocketAddr = addr.as_deref().unwrap_or("127.0.0.1:8080").parse()?;

    // The handler runs on the thread of the loop: it needs no runtime, no `Send`, no lock.
    let hello = async |con: &mut Connection, _: &mut Request| {
        con.add_header("Content-Type", "text/plain")?;
        con.send("hello\n").await
    };

    // `ecohttpd::listen` does the same in one call; in steps, the port that was bound can be printed.
    let mut server = Server::new(Options::new(), hello)?;
    let bound = server.bind(addr.ip().to_string().as_str(), addr.port())?;
    println!("listening on http://{bound}");
    Ok(server.run()?)
}
