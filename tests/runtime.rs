//! The runtime under the handlers: waiting, waking, tasks, descriptors, back-pressure, stopping.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Gate, MOMENT, OnDrop, PATIENCE, next, reset, resident, serve, settled, start, telling};
use ecohttpd::{AsyncFd, Connection, Error, Options, Request, Result, Server, sleep, spawn, timeout};
use std::future::{pending, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const GIB: usize = 1 << 30;

/// Passes a wake on, and remembers it.
struct Branch {
    woken: AtomicBool,
    whole: Waker,
}

impl Wake for Branch {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.whole.wake_by_ref();
    }
}

/// Waits for both; polls each only when it was woken itself, as the combinators of the futures crate do.
async fn join<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    let mut branches: Option<[Arc<Branch>; 2]> = None;
    poll_fn(|cx: &mut Context<'_>| {
        let make = |_| Arc::new(Branch { woken: AtomicBool::new(true), whole: cx.waker().clone() });
        let [left, right] = branches.get_or_insert_with(|| [0, 1].map(make));
        fn step<T>(branch: &Arc<Branch>, future: Pin<&mut impl Future<Output = T>>, done: &mut Option<T>) {
            if done.is_none()
                && branch.woken.swap(false, Ordering::SeqCst)
                && let Poll::Ready(value) = future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(branch))))
            {
                *done = Some(value);
            }
        }
        step(left, first.as_mut(), &mut a);
        step(right, second.as_mut(), &mut b);
        if a.is_some() && b.is_some() { Poll::Ready((a.take().unwrap(), b.take().unwrap())) } else { Poll::Pending }
    })
    .await
}

// --- time -------------------------------------------------------------------------------------------

#[test]
fn sleep_and_timeout() {
    let (gone, drops) = channel();
    let (server, seen) = telling(Options::new, async move |_: &mut Connection, _: &mut Request, tell| {
        let start = Instant::now();
        sleep(MOMENT).await;
        tell.send(("sleep", start.elapsed() >= MOMENT)).unwrap();
        sleep(Duration::ZERO).await;
        let start = Instant::now();
        let guard = OnDrop::new(&gone, "dropped");
        let cut = timeout(MOMENT, async move {
            let _guard = guard;
            pending::<()>().await
        });
        tell.send(("cut", matches!(cut.await, Err(Error::Timeout)) && start.elapsed() >= MOMENT)).unwrap();
        tell.send(("in time", matches!(timeout(PATIENCE, async { 5 }).await, Ok(5)))).unwrap();
        tell.send(("never", matches!(timeout(Duration::MAX, sleep(MOMENT)).await, Ok(())))).unwrap();
        let (first, second) = join(timeout(MOMENT, sleep(PATIENCE)), timeout(PATIENCE, sleep(MOMENT))).await;
        tell.send(("both", first.is_err() && second.is_ok())).unwrap();
        Ok(())
    });
    assert_eq!(server.get("/").status, 200);
    assert_eq!(next(&drops), "dropped");
    let answers: Vec<_> = seen.try_iter().collect();
    assert_eq!(answers, ["sleep", "cut", "in time", "never", "both"].map(|name| (name, true)));
}

#[test]
fn outside_of_a_server_the_runtime_panics() {
    let outside = thread::spawn(|| {
        let mut future = pin!(sleep(MOMENT));
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    });
    assert!(outside.join().is_err());
    assert!(thread::spawn(|| spawn(async {}).detach()).join().is_err());
}

// --- wakes ------------------------------------------------------------------------------------------

#[test]
fn handlers_wait_side_by_side_and_are_woken_from_a_thread() {
    let gate = Gate::default();
    let opened = gate.clone();
    let (server, seen) = telling(Options::new, async move |con: &mut Connection, _: &mut Request, tell| {
        tell.send(()).unwrap();
        gate.wait().await;
        con.send("through").await
    });
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    clients.iter().for_each(|_| next(&seen));
    thread::spawn(move || opened.open());
    for client in &mut clients {
        assert_eq!(client.read_response().text(), "through");
    }
}

#[test]
fn a_handler_waits_for_its_client_and_a_thread_at_once() {
    let gates = [Gate::default(), Gate::default()];
    let [first, second] = gates.clone();
    let (server, seen) = telling(Options::new, async move |con: &mut Connection, req: &mut Request, tell| {
        let gate = &gates[usize::from(req.path() == "/thread-last")];
        let told = async {
            gate.wait().await;
            tell.send("gate").unwrap();
            "told"
        };
        let read = async {
            let body = con.read_body(None, None).await;
            tell.send("body").unwrap();
            body
        };
        let (body, told) = join(read, told).await;
        con.send([&body?[..], told.as_bytes()].concat()).await
    });
    let head = |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12");
    let mut client = server.connect();
    client.send(head("/thread-first"));
    first.open();
    assert_eq!(next(&seen), "gate");
    client.send("345");
    assert_eq!(next(&seen), "body");
    assert_eq!(client.read_response().text(), "12345told");

    client.send(head("/thread-last"));
    client.send("345");
    assert_eq!(next(&seen), "body");
    second.open();
    assert_eq!(next(&seen), "gate");
    assert_eq!(client.read_response().text(), "12345told");
}

#[test]
fn tasks_outlive_handlers_and_end_with_the_server() {
    let (gone, drops) = channel();
    let (tell, told) = channel();
    let server = start(move || {
        let (first, handler_told) = (tell.clone(), tell);
        let handler = async move |con: &mut Connection, _: &mut Request| {
            let (tell, gone) = (handler_told.clone(), gone.clone());
            spawn(async move {
                let _guard = OnDrop::new(&gone, "task");
                sleep(MOMENT).await;
                let inner = tell.clone();
                spawn(async move { inner.send("task of a task").unwrap() }).detach();
                tell.send("task").unwrap();
                pending::<()>().await;
            })
            .detach();
            con.send("answered").await
        };
        let mut server = Server::new(Options::new(), handler).unwrap();
        server.spawn(async move { first.send("before run").unwrap() }).detach();
        let addr = server.bind("127.0.0.1", 0).unwrap();
        (server, addr)
    });
    assert_eq!(next(&told), "before run");
    assert_eq!(server.get("/").text(), "answered");
    let mut both = [next(&told), next(&told)];
    both.sort_unstable();
    assert_eq!(both, ["task", "task of a task"]);
    assert!(drops.try_recv().is_err());
    server.handle.stop(Duration::ZERO);
    assert_eq!(next(&drops), "task");
    server.join().unwrap();
}

// --- descriptors ------------------------------------------------------------------------------------

#[test]
fn async_fd_with_pipe_and_socket() {
    let (server, seen) = telling(Options::new, async |con: &mut Connection, _: &mut Request, tell| {
        let (mut ours, theirs) = mio::unix::pipe::new()?;
        let reader = AsyncFd::new(theirs)?;
        assert!(reader.get_ref().try_io(|| Ok(())).is_ok());
        let writer = thread::spawn(move || {
            thread::sleep(MOMENT);
            ours.write_all(b"by pipe").unwrap();
        });
        let mut text = Vec::new();
        while reader
            .read_with(|mut pipe| pipe.read_to_end(&mut text).or_else(|e| if text.is_empty() { Err(e) } else { Ok(0) }))
            .await?
            > 0
        {}
        writer.join().unwrap();
        tell.send(text.len()).unwrap();

        // A megabyte there and back over a socket that holds less, both directions at once.
        let (ours, mut theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let echo = thread::spawn(move || {
            let mut all = vec![0; 1 << 20];
            theirs.read_exact(&mut all).unwrap();
            theirs.write_all(&all).unwrap();
        });
        let stream = AsyncFd::new(ours)?;
        let sent = common::pattern(1 << 20);
        let mut back = vec![0; 1 << 20];
        let write = async {
            let mut at = 0;
            while at < sent.len() {
                at += stream.write_with(|mut s| s.write(&sent[at..])).await?;
            }
            Ok::<_, Error>(())
        };
        let read = async {
            let mut at = 0;
            while at < sent.len() {
                at += stream.read_with(|mut s| s.read(&mut back[at..])).await?;
            }
            let end = stream.read_with(|mut s| s.read(&mut [0; 9])).await?;
            Ok::<_, Error>(end)
        };
        let (wrote, end) = join(write, read).await;
        wrote?;
        assert_eq!(end?, 0);
        assert!(back == sent);
        echo.join().unwrap();
        drop(stream);
        tell.send(back.len()).unwrap();

        let file = AsyncFd::new(std::fs::File::open("/proc/self/exe")?);
        assert_eq!(file.err().and_then(|error| error.raw_os_error()), Some(libc::EPERM));
        con.send("done").await
    });
    assert_eq!(server.get("/").text(), "done");
    assert_eq!((next(&seen), next(&seen)), (7, 1 << 20));
}

// --- connections that go ----------------------------------------------------------------------------

#[test]
fn a_reset_drops_the_handler_where_it_waits() {
    let (gone, drops) = channel();
    let (server, seen) = telling(Options::new, async move |con: &mut Connection, req: &mut Request, tell| {
        let _guard = OnDrop::new(&gone, req.path().to_owned());
        tell.send(()).unwrap();
        match req.path() {
            "/sleep" => sleep(Duration::from_secs(3600)).await,
            "/body" => drop(con.read_body(None, None).await?),
            "/send" => loop {
                con.send([0; 60_000]).await?;
            },
            "/pending" => pending().await,
            path => unreachable!("{path}"),
        }
        Ok(())
    });
    for path in ["/sleep", "/body", "/send", "/pending"] {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12").unwrap();
        next(&seen);
        reset(stream);
        assert_eq!(next(&drops), path);
    }
    // An orderly close in the middle of a body is as good as a reset.
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12").unwrap();
    next(&seen);
    drop(stream);
    assert_eq!(next(&drops), "/body");
}

// --- back-pressure ----------------------------------------------------------------------------------

#[test]
fn a_gigabyte_out_takes_no_memory() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        con.add_header("content-length", GIB)?;
        let piece = vec![7; 1 << 20];
        for _ in 0..GIB / piece.len() {
            con.send(&piece).await?;
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
        Ok::<(), Error>(())
    });
    let before = resident();
    let mut client = server.connect();
    client.send(GET);
    // What the kernel's socket buffers take, and one piece: not the gigabyte.
    let waiting = settled(&accepted);
    assert!(waiting < 32 << 20, "{waiting} bytes accepted for a client that reads nothing");
    let mut left = GIB;
    let mut peak = 0;
    while client.read_exact(1) != b"\r" || client.read_exact(3) != b"\n\r\n" {}
    while left > 0 {
        left -= client.skim(left.min(1 << 20));
        peak = peak.max(resident());
    }
    assert!(peak.saturating_sub(before) < 100 << 20, "grew by {} bytes", peak - before);
    client.send(GET.replace("GET", "HEAD"));
    assert_eq!(client.read_head_response().header("content-length"), Some("1073741824"), "in step after it");
}

#[test]
fn a_gigabyte_in_takes_no_memory() {
    let gate = Gate::default();
    let opened = gate.clone();
    let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        con.read_body(10, None).await?;
        gate.wait().await;
        let mut total = 10;
        loop {
            match con.read_body(100_000, None).await?.len() {
                0 => return con.send(total.to_string()).await,
                n => total += n,
            }
        }
    });
    let before = resident();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let mut client = server.connect();
    let sender = thread::spawn(move || {
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {GIB}\r\n\r\n"));
        let piece = vec![7; 1 << 20];
        for _ in 0..GIB / piece.len() {
            client.send(&piece);
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
        client.read_response()
    });
    let waiting = settled(&sent);
    assert!(waiting < 64 << 20, "{waiting} bytes taken for a handler that reads nothing");
    opened.open();
    let mut peak = 0;
    while !sender.is_finished() {
        peak = peak.max(resident());
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(sender.join().unwrap().text(), GIB.to_string());
    assert!(peak.saturating_sub(before) < 100 << 20, "grew by {} bytes", peak - before);
}

/// A handler that never has to wait must still let others have their turn.
#[test]
fn one_connection_does_not_starve_the_others() {
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let (server, seen) = telling(Options::new, async move |con: &mut Connection, req: &mut Request, tell| {
        match req.path() {
            // To HEAD, and with 204, the pieces go nowhere: nothing ever fills up.
            "/out" => {
                con.add_header("content-type", "application/octet-stream")?;
                tell.send(()).unwrap();
                while !ended.load(Ordering::SeqCst) {
                    con.send([0; 1000]).await?;
                }
            }
            "/in" => {
                tell.send(()).unwrap();
                while !con.read_body(1000, None).await?.is_empty() {}
            }
            _ => {}
        }
        Ok(())
    });
    let others_are_served = || {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(GET.as_bytes()).unwrap();
        stream.read(&mut [0; 100]).is_ok_and(|n| n > 0)
    };

    let sender = TcpStream::connect(server.addr).unwrap();
    let mut sending = sender.try_clone().unwrap();
    let body = thread::spawn(move || {
        let _ = sending.write_all(b"POST /in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        let pieces = common::chunk([0; 4096]).repeat(100);
        while sending.write_all(&pieces).is_ok() {}
    });
    next(&seen);
    assert!(others_are_served(), "not while a body comes as fast as it can");
    sender.shutdown(std::net::Shutdown::Both).unwrap();
    body.join().unwrap();

    let mut head = server.connect();
    head.send("HEAD /out HTTP/1.1\r\nHost: x\r\n\r\n");
    next(&seen);
    let served = others_are_served();
    // Should the loop be held, this lets it go.
    over.store(true, Ordering::SeqCst);
    assert!(served, "not while an endless answer to HEAD is dropped");
}

/// A handler that wakes itself gets its turns, not ever more of them.
#[test]
fn a_handler_that_yields_has_its_share() {
    let (server, seen) = telling(Options::new, async |_: &mut Connection, _: &mut Request, tell| {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        spawn(async move {
            for _ in 0..3 {
                ecohttpd::yield_now().await;
            }
            ended.store(true, Ordering::SeqCst);
        })
        .detach();
        let mut turns = 0;
        while !over.load(Ordering::SeqCst) {
            ecohttpd::yield_now().await;
            turns += 1;
        }
        tell.send(turns).unwrap();
        Ok(())
    });
    assert_eq!(server.get("/").status, 200);
    let turns = next(&seen);
    assert!(turns < 5000, "{turns} turns while a task had three");
}

// --- stopping ---------------------------------------------------------------------------------------

#[test]
fn a_graceful_stop_finishes_what_is_in_flight() {
    let gate = Gate::default();
    let opened = gate.clone();
    let (server, seen) = telling(Options::new, async move |con: &mut Connection, req: &mut Request, tell| {
        if req.path() == "/slow" {
            tell.send(()).unwrap();
            gate.wait().await;
        }
        con.send("whole").await
    });
    let (mut idle, mut silent, mut slow) = (server.connect(), server.connect(), server.connect());
    idle.send(GET);
    idle.read_response();
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    next(&seen);
    server.handle.stop(Duration::from_secs(60));
    idle.expect_close();
    silent.expect_close();
    let refused = TcpStream::connect(server.addr).map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    opened.open();
    let reply = slow.read_response();
    assert_eq!((reply.text(), reply.closes()), ("whole", true));
    slow.expect_close();
    server.join().unwrap();
}

#[test]
fn a_stop_is_bounded_by_its_grace() {
    // The grace of the first stop, and of a second: at once, after a moment, at once after all.
    for (grace, second) in [(Duration::ZERO, None), (MOMENT, None), (PATIENCE * 100, Some(Duration::ZERO))] {
        let (gone, drops) = channel();
        let (server, seen) = telling(Options::new, async move |con: &mut Connection, _: &mut Request, tell| {
            let _guard = OnDrop::new(&gone, ());
            con.send("part").await?;
            tell.send(()).unwrap();
            pending::<Result<()>>().await
        });
        let mut client = server.connect();
        client.send(GET);
        next(&seen);
        server.handle.stop(grace);
        if let Some(second) = second {
            server.handle.stop(second);
        }
        next(&drops);
        assert!(client.try_response(false).is_err(), "a cut reply looks whole");
        server.join().unwrap();
    }
}

#[test]
fn a_handler_may_stop_its_server() {
    let (send, handles) = channel::<ecohttpd::Handle>();
    let handles = std::sync::Mutex::new(handles);
    let server = serve(Options::new, async move |con: &mut Connection, _: &mut Request| {
        next(&handles.lock().unwrap()).stop(PATIENCE);
        con.send("bye").await
    });
    send.send(server.handle.clone()).unwrap();
    let reply = server.ask(GET);
    assert_eq!(reply.text(), "bye");
    server.join().unwrap();
}

// --- listeners --------------------------------------------------------------------------------------

/// Panics when it is dropped, as the handler or task that owns it goes.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("a drop's panic, which the test wants");
        }
    }
}

#[test]
fn a_panic_ends_no_more_than_its_own() {
    let options = || {
        Options::new().access_log(|access| {
            assert!(!access.target.contains("log"), "a log's panic, which the test wants");
        })
    };
    let (told, tells) = channel();
    let server = serve(options, async move |con: &mut Connection, req: &mut Request| {
        match req.path() {
            "/done" => {
                let _bomb = Bomb;
                con.send("done").await?;
            }
            "/left" => {
                let _bomb = Bomb;
                told.send(()).unwrap();
                std::future::pending::<()>().await;
            }
            "/task" => spawn(async {
                let _bomb = Bomb;
            })
            .detach(),
            _ => con.send(req.path().to_owned()).await?,
        }
        Ok::<(), Error>(())
    });
    let mut other = server.connect();
    let mut ask_other = || {
        other.send("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(other.read_response().text(), "/other");
    };
    ask_other();
    let mut client = server.connect();
    client.send("GET /done HTTP/1.1\r\nHost: x\r\n\r\n");
    // Whole or cut, but it ends.
    let _ = client.try_response(false);
    ask_other();
    let stream = TcpStream::connect(server.addr).unwrap();
    (&stream).write_all(b"GET /left HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    next(&tells);
    reset(stream);
    ask_other();
    assert_eq!(server.get("/task").status, 200);
    ask_other();
    assert_eq!(server.get("/log").text(), "/log", "what is logged was sent");
    ask_other();
}
