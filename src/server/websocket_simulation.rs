//! WebSockets on the simulated wire and clock.

use super::simulation::World;
use super::{Connection, Options, Request, Result, WebSocket, WebSocketOptions, WebSocketWriter};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const OPENING: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const HOUR: Duration = Duration::from_secs(3600);

/// What the client sends, masked with zeros.
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];
const TEXT: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, b'x'];
const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];

/// What the server sends.
const PING: &[u8] = &[0x89, 0];

/// How handlers ended.
type Ends = Rc<RefCell<Vec<String>>>;

/// A world whose client has opened a WebSocket, and how the handler ends.
fn open(handle: impl AsyncFn(WebSocket) -> Result<()> + 'static) -> (World, Ends) {
    let ends = Ends::default();
    let told = Rc::clone(&ends);
    let world = World::new(Options::new(), async move |con: &mut Connection, _: &mut Request| {
        let end = handle(con.websocket(&WebSocketOptions::new()).await?).await;
        told.borrow_mut().push(format!("{end:?}"));
        end
    });
    world.send(OPENING);
    world.settle();
    assert!(world.wire.borrow().outgoing.starts_with(b"HTTP/1.1 101 "));
    (world, ends)
}

/// Receives until the end.
async fn receive(mut socket: WebSocket) -> Result<()> {
    while socket.recv().await?.is_some() {}
    Ok(())
}

fn pings(world: &World) -> usize {
    world.wire.borrow().outgoing.windows(PING.len()).filter(|bytes| *bytes == PING).count()
}

#[test]
fn a_silent_client_is_given_up_in_time() {
    let (mut world, ends) = open(receive);
    world.pass_seconds(49);
    assert!(world.is_open() && pings(&world) == 1);
    world.pass_seconds(1);
    assert_eq!((world.is_open(), &ends.borrow()[..]), (false, &["Err(Timeout)".to_owned()][..]));
}

/// A ping waits behind a message that takes a while, here or in the kernel. As long as some of that leaves, the client is
/// there.
#[test]
fn a_client_that_receives_is_not_given_up() {
    for in_kernel in [false, true] {
        let (mut world, ends) = open(async |mut socket| {
            socket.recv().await?;
            socket.send_binary(vec![0; 100_000]).await?;
            receive(socket).await
        });
        world.wire.borrow_mut().stuck = !in_kernel;
        world.send(TEXT);
        for second in 0..100_u32 {
            if second % 15 == 0 {
                world.wire.borrow_mut().stuck = false;
                world.wire.borrow_mut().write_cuts = if in_kernel { vec![] } else { vec![1000, 0] }.into();
                world.wire.borrow_mut().queued = in_kernel.then_some(100_000 - second * 100);
                world.tick();
                world.wire.borrow_mut().stuck = !in_kernel;
            }
            world.pass_seconds(1);
            assert!(world.is_open(), "second {second}: {:?}", ends.borrow());
        }
        world.pass_seconds(40);
        assert!(!world.is_open(), "it has stood still for longer");
    }
}

/// The answer came in time, though it is read late: others have held up the loop, and its event comes with the next turn.
#[test]
fn an_answer_that_waits_is_read_before_time_counts() {
    for closes in [false, true] {
        let (mut world, ends) =
            open(async move |socket| if closes { socket.close(1000, "").await } else { receive(socket).await });
        world.pass_seconds(if closes { 4 } else { 40 });
        world.announced = false;
        world.send(if closes { CLOSE } else { PONG });
        world.pass(HOUR);
        assert_eq!(ends.borrow().len(), usize::from(closes));
        assert!(!ends.borrow().iter().any(|end| end != "Ok(())"), "{:?}", ends.borrow());
    }
}

/// A client that sends faster than it is read does not put off the end.
#[test]
fn a_close_is_waited_for_in_time_whatever_else_comes() {
    let (mut world, ends) = open(async |socket| socket.close(1000, "").await);
    let much = TEXT.repeat(100_000);
    for tenth in 0..60 {
        assert!(tenth >= 50 || ends.borrow().is_empty());
        if world.wire.borrow().incoming.len() < much.len() {
            world.send(&much);
        }
        world.pass_busy(Duration::from_millis(100));
    }
    assert_eq!(ends.borrow()[..], ["Err(Timeout)".to_owned()]);
}

/// What a writer that somebody keeps says after the reading half has ended.
fn late_send(writer: &mut WebSocketWriter) -> Poll<String> {
    pin!(writer.send_text("late")).poll(&mut Context::from_waker(Waker::noop())).map(|end| format!("{end:?}"))
}

/// Somebody else keeps the writing half, and has nothing to say.
#[test]
fn a_writer_that_is_kept_does_not_keep_an_ended_connection() {
    let kept: Rc<RefCell<Vec<WebSocketWriter>>> = Rc::default();
    for (sent, end) in
        [(CLOSE, "Ok(())"), (&[0x8f, 0x80], "Err(BadFrame(\"an unknown opcode\"))"), (b"", "Err(Timeout)")]
    {
        let list = Rc::clone(&kept);
        let (mut world, ends) = open(async move |socket| {
            let (mut reader, writer) = socket.split();
            list.borrow_mut().push(writer);
            let end = reader.recv().await.map(drop);
            // Whatever the handler does now, it may finish.
            crate::sleep(HOUR).await;
            end
        });
        world.send(sent);
        world.settle();
        if sent.is_empty() {
            world.pass_seconds(50);
        }
        let mut writer = kept.borrow_mut().pop().unwrap();
        assert_eq!(late_send(&mut writer), Poll::Ready("Err(Closed)".to_owned()), "{end}");
        assert!(ends.borrow().is_empty() && world.is_open(), "{end}: the handler works");
        world.pass(2 * HOUR);
        assert_eq!(ends.borrow()[..], [end.to_owned()]);
        world.wire.borrow_mut().eof = true;
        world.settle();
        assert!(!world.is_open(), "{end}");
    }
}

/// A writer that waits for room learns that the client was given up.
#[test]
fn a_writer_does_not_wait_for_a_client_that_is_gone() {
    let (mut world, ends) = open(async |socket| {
        let (mut reader, mut writer) = socket.split();
        reader.recv().await?;
        writer.send_binary(vec![0; 100_000]).await?;
        let (mut receiving, mut sending) = (pin!(reader.recv()), pin!(writer.send_text("more")));
        let mut received = None;
        poll_fn(|cx| {
            if received.is_none()
                && let Poll::Ready(end) = receiving.as_mut().poll(cx)
            {
                received = Some(end.map(drop));
            }
            sending.as_mut().poll(cx)
        })
        .await
    });
    world.wire.borrow_mut().stuck = true;
    world.send(TEXT);
    world.pass_seconds(60);
    assert_eq!((world.is_open(), &ends.borrow()[..]), (false, &["Err(Closed)".to_owned()][..]));
}

/// A call that is given up owns the connection no more, and the connection ends.
#[test]
fn an_upgrade_that_is_given_up_ends_the_connection() {
    let world = World::new(Options::new(), async |con: &mut Connection, _: &mut Request| {
        let given_up = poll_fn(|cx| Poll::Ready(pin!(con.upgrade()).poll(cx).is_pending())).await;
        assert!(given_up);
    });
    world.wire.borrow_mut().stuck = true;
    world.send(OPENING);
    world.settle();
    world.wire.borrow_mut().stuck = false;
    world.wire.borrow_mut().eof = true;
    world.settle();
    assert!(!world.is_open());
}
