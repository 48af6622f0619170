//! One process per core: workers that share a port through `SO_REUSEPORT`.
//!
//! ```sh
//! cargo run --release --example workers                      # or: ... workers 127.0.0.1:8080 4
//! for i in 1 2 3 4 5 6; do curl -s http://127.0.0.1:8080/; done
//! ```
//!
//! The kernel spreads the connections, so the replies name different process ids. Kill a worker, and
//! another takes its place. End the parent with any signal, and the workers finish what they serve and exit.

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, io, process, thread};

use ecohttpd::{Connection, Options, Request, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let addr: SocketAddr = args.first().map_or("127.0.0.1:8080", |s| s).parse()?;
    match args.get(1).map(String::as_str) {
        Some("worker") => Ok(worker(addr)?),
        Some(count) => Ok(parent(addr, count.parse()?)?),
        None => Ok(parent(addr, thread::available_parallelism()?.get())?),
    }
}

/// Keeps `count` workers running. A thread watches each.
fn parent(addr: SocketAddr, count: usize) -> io::Result<()> {
    if addr.port() == 0 {
        // Each worker would get a port of its own.
        return Err(io::Error::other("workers need a port that is not 0"));
    }
    println!("{count} workers listening on http://{addr}");
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                loop {
                    match run_worker(addr) {
                        Ok(status) => eprintln!("a worker ended ({status}), starting another"),
                        Err(err) => eprintln!("cannot start a worker: {err}"),
                    }
                    // A worker that fails at once must not be restarted in a busy loop.
                    thread::sleep(Duration::from_secs(1));
                }
            });
        }
    });
    Ok(())
}

/// Starts this program again, as a worker, and waits for its end.
fn run_worker(addr: SocketAddr) -> io::Result<process::ExitStatus> {
    let mut child =
        Command::new(env::current_exe()?).args([&addr.to_string(), "worker"]).stdin(Stdio::piped()).spawn()?;
    // Nothing is ever written to this pipe. It is held (`wait` would close it) because the kernel
    // closes it when the parent dies, however it dies: the one signal that cannot be missed.
    let _lifeline = child.stdin.take();
    child.wait()
}

/// Serves until the parent has gone.
fn worker(addr: SocketAddr) -> io::Result<()> {
    let reply = format!("worker {}\n", process::id());
    let handler = async move |con: &mut Connection, _: &mut Request| {
        con.add_header("Content-Type", "text/plain")?;
        con.send(&reply).await
    };
    let mut server = Server::new(Options::new().reuseport(true), handler)?;
    server.bind(addr.ip().to_string().as_str(), addr.port())?;

    // The server stays on this thread; its handle is `Send`, so any other may stop it.
    let handle = server.handle();
    thread::spawn(move || {
        let _ = io::stdin().read(&mut [0]); // returns at the end of the pipe
        handle.stop(Duration::from_secs(5)); // the grace for replies under way
    });
    server.run()
}
