//! A room to chat in, over WebSocket.
//!
//! ```sh
//! cargo run --release --example chat             # or: ... chat 0.0.0.0:8080, for the phones around
//! ```
//!
//! <http://127.0.0.1:8080/> in two windows shows each what the other says. The line `stop` ends the server: those in the
//! room are told so, and their pages try again until it is back.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use ecohttpd::{Connection, Message, Options, Request, Result, Server, WebSocketOptions, WebSocketWriter, spawn};

/// Bytes of a message.
const MAX_MESSAGE: usize = 4096;

/// Messages that wait for one who does not read. If there are more, it is sent away.
const MAX_BEHIND: usize = 64;

/// How long one may read nothing at all. Then its connection is reset.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long those in the room have to leave it when the server stops.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1);
    let addr: SocketAddr = addr.as_deref().unwrap_or("127.0.0.1:8080").parse()?;

    let room = Rc::new(Room::default());
    let handler = async move |con: &mut Connection, req: &mut Request| route(con, req, &room).await;
    let mut server = Server::new(Options::new().write_timeout(PATIENCE), handler)?;
    let bound = server.bind(addr.ip().to_string().as_str(), addr.port())?;
    println!("listening on http://{bound}");
    let handle = server.handle();
    std::thread::spawn(move || {
        if std::io::stdin().lines().any(|line| line.is_ok_and(|line| line == "stop")) {
            handle.stop(GRACE);
        }
    });
    Ok(server.run()?)
}

async fn route(con: &mut Connection, req: &mut Request, room: &Rc<Room>) -> Result<()> {
    match req.path() {
        "/" => {
            con.add_header("Content-Type", "text/html; charset=utf-8")?;
            con.send(include_str!("chat.html")).await
        }
        "/room" => chat(con, room).await,
        _ => con.send_error(404, None, "not found\n").await,
    }
}

/// Passes on what one of the room says, until it leaves.
async fn chat(con: &mut Connection, room: &Rc<Room>) -> Result<()> {
    let options = WebSocketOptions::new().max_message(MAX_MESSAGE).max_frame(MAX_MESSAGE);
    let (mut reader, writer) = con.websocket(&options).await?.split();
    let seat = room.enter();
    // In a task of its own: one who reads slowly can still speak.
    let _writing = spawn(write(writer, Rc::clone(&seat.guest)));
    while let Some(message) = reader.recv().await? {
        if let Message::Text(text) = message {
            room.say(&text.into());
        }
    }
    Ok(())
}

/// Sends what is said in the room.
async fn write(mut writer: WebSocketWriter, guest: Rc<Guest>) -> Result<()> {
    while let Some(text) = guest.next().await {
        guest.is_reading.set(false);
        writer.send_text(text).await?;
        guest.is_reading.set(true);
    }
    // 1013: try again later.
    writer.close(1013, "too far behind").await
}

/// Those that are here.
#[derive(Default)]
struct Room(RefCell<Vec<Rc<Guest>>>);

impl Room {
    fn enter(self: &Rc<Self>) -> Seat {
        let guest = Rc::new(Guest::default());
        guest.is_reading.set(true);
        self.0.borrow_mut().push(Rc::clone(&guest));
        self.tell_number();
        Seat { room: Rc::clone(self), guest }
    }

    fn say(&self, text: &Rc<str>) {
        self.0.borrow().iter().for_each(|guest| guest.hear(text));
    }

    fn tell_number(&self) {
        let number = self.0.borrow().len();
        self.say(&format!("{number} here").into());
    }
}

/// A place in the room, given up when it is dropped: however the handler ends.
struct Seat {
    room: Rc<Room>,
    guest: Rc<Guest>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.0.borrow_mut().retain(|guest| !Rc::ptr_eq(guest, &self.guest));
        self.room.tell_number();
    }
}

/// One in the room: what it has yet to hear. The text itself is there once, for all.
#[derive(Default)]
struct Guest {
    unheard: RefCell<VecDeque<Rc<str>>>,
    /// What was sent last has left. If more waits, that is only because much was said at once.
    is_reading: Cell<bool>,
    is_behind: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Guest {
    fn hear(&self, text: &Rc<str>) {
        let mut unheard = self.unheard.borrow_mut();
        if unheard.len() >= MAX_BEHIND && !self.is_reading.get() {
            self.is_behind.set(true);
        } else {
            unheard.push_back(Rc::clone(text));
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What comes next; `None` if it is too far behind.
    async fn next(&self) -> Option<Rc<str>> {
        poll_fn(|cx| {
            if self.is_behind.get() {
                return Poll::Ready(None);
            }
            if let Some(text) = self.unheard.borrow_mut().pop_front() {
                return Poll::Ready(Some(text));
            }
            self.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}
