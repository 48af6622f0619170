//! Moves a request's body to a server and its response to the client, both ways at once, in bounded memory.

use super::client_pace::{ClientPace, TOO_MANY};
use super::pool::Waits;
use ecohttpd::{Connection, Error, Result, Upstream, sleep};
use std::cell::RefCell;
use std::fs::File;
use std::future::poll_fn;
use std::io::Read;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Bytes moved at a time, in either direction. Of one exchange at most this much waits on its way up, and as much on its
/// way down, beside what waits for the client.
pub const PIECE: usize = 16 << 10;

/// Bytes of the request's body moved at a time: what protocols put around them fits in a piece.
const BODY_PIECE: usize = PIECE - 64;

/// A buffer for one read, which all exchanges of a site share.
pub type Scratch = RefCell<Vec<u8>>;

/// What a server made of its response is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong(pub &'static str);

/// What a protocol found at the front of the bytes that came.
pub enum Taken<'a> {
    /// Nothing yet; it took all of them.
    More,
    /// The response's head, which is set on the connection.
    Head,
    /// A piece of the response's body.
    Body(&'a [u8]),
    /// The response's end.
    End,
    /// The server goes over to another protocol.
    Switch,
}

/// How a protocol looks on the wire.
pub trait Wire {
    /// Bytes in front of a piece of the request's body that `wrap` fills in.
    fn room(&self) -> usize;

    /// Wraps a piece of the request's body: `out` holds what `room` asked for and then the piece.
    fn wrap(&mut self, out: &mut Vec<u8>);

    /// Appends the end of the request's body.
    fn end_body(&mut self, out: &mut Vec<u8>);

    /// Takes what it can use off the front of `input`.
    fn take<'a>(&mut self, input: &mut &'a [u8], con: &mut Connection) -> std::result::Result<Taken<'a>, Fault>;

    /// The server has closed its side: whether that is the response's end.
    fn ends_here(&self) -> bool;

    /// Whether another request may follow on the connection.
    fn keeps(&self) -> bool;
}

/// How an exchange ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of the response was passed on.
    Done,
    /// The protocol changes.
    Switch,
}

/// How it failed.
#[derive(Debug)]
pub enum Fault {
    /// The client, or its connection.
    Client(Error),
    /// The server closed its side before a byte of a response.
    Unheard,
    /// The server closed its side within its response.
    Short,
    /// The response is malformed.
    Wrong(&'static str),
    /// The server does not want to answer.
    Refused(&'static str),
    /// The server moved nothing for too long.
    Overdue,
    /// The client did, in this way.
    Slow(&'static str),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Client(error)
    }
}

impl From<Wrong> for Fault {
    fn from(Wrong(what): Wrong) -> Fault {
        Fault::Wrong(what)
    }
}

/// One exchange.
pub struct Relay<'a> {
    stream: &'a mut Upstream,
    wire: &'a mut dyn Wire,
    scratch: &'a Scratch,
    /// What waits to be sent to the server, and how much of it was.
    up: Vec<u8>,
    up_at: usize,
    /// More of the request's body may come.
    body_open: bool,
    /// All of the request's body, if it was read before.
    pub held: Option<File>,
    /// A piece of the response's body that the client's connection had no room for.
    down: Vec<u8>,
    /// What came after it.
    input: Vec<u8>,
    /// It must be parsed even if it is empty: that may have been the end.
    unread: bool,
    /// The response's head is out.
    pub begun: bool,
    /// Something came of the server.
    heard: bool,
    /// The server takes no more of the request; it may have answered before it closed.
    deaf: bool,
    /// When the server last moved a byte.
    moved: Instant,
    /// Waiting for the client.
    on_client: bool,
    pace: ClientPace,
    /// Until something came of the server.
    pub waits: Option<Waits>,
}

impl<'a> Relay<'a> {
    /// `up`: what is sent first. `has_body`: the request's body follows it.
    pub fn new(
        stream: &'a mut Upstream,
        wire: &'a mut dyn Wire,
        scratch: &'a Scratch,
        up: Vec<u8>,
        has_body: bool,
        pace: ClientPace,
    ) -> Relay<'a> {
        Relay {
            stream,
            wire,
            scratch,
            up,
            up_at: 0,
            body_open: has_body,
            held: None,
            down: Vec::new(),
            input: Vec::new(),
            unread: false,
            begun: false,
            heard: false,
            deaf: false,
            moved: Instant::now(),
            on_client: false,
            pace,
            waits: None,
        }
    }

    /// Moves bytes until the exchange ends. The server may be silent for `timeout` at a time.
    pub async fn run(&mut self, con: &mut Connection, timeout: Duration) -> std::result::Result<End, Fault> {
        let mut timer = pin!(sleep(timeout));
        let mut due = self.moved + timeout;
        poll_fn(|cx| {
            if self.pace.is_cut_off(cx.waker()) {
                return Poll::Ready(Err(Fault::Slow(TOO_MANY)));
            }
            if let Poll::Ready(end) = self.poll(con, cx) {
                return Poll::Ready(end);
            }
            self.pace.count(self.on_client);
            loop {
                if let Some(sooner) = self.pace.deadline().filter(|at| *at < due) {
                    timer.set(sleep(sooner.saturating_duration_since(Instant::now())));
                    due = sooner;
                }
                ready!(timer.as_mut().poll(cx));
                // What was moved since the timer was set has extended the time.
                let now = Instant::now();
                due = if self.on_client { now } else { self.moved } + timeout;
                if due <= now {
                    return Poll::Ready(Err(Fault::Overdue));
                }
                self.pace.check(con, now).map_err(Fault::Slow)?;
                timer.set(sleep(due - now));
            }
        })
        .await
    }

    /// Whether the server was sent all of the request.
    pub fn has_sent_all(&self) -> bool {
        !self.deaf && !self.body_open && self.up_at == self.up.len()
    }

    /// What came and is no part of the response: none of it, or what follows a change of protocol.
    pub fn into_surplus(self) -> Vec<u8> {
        self.input
    }

    fn poll(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<std::result::Result<End, Fault>> {
        if std::mem::take(&mut self.on_client) {
            self.moved = Instant::now();
        }
        if let Poll::Ready(Err(error)) = self.poll_up(con, cx) {
            return Poll::Ready(Err(error.into()));
        }
        self.poll_down(con, cx)
    }

    /// Moves the request. Ready when all of it is sent, or the server takes no more.
    fn poll_up(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.deaf {
            if let Some(waits) = self.up.get(self.up_at..).filter(|waits| !waits.is_empty()) {
                match ready!(self.stream.poll_write(cx, waits)) {
                    Ok(n) => self.up_at += n,
                    Err(_) => self.deaf = true,
                }
                self.moved = Instant::now();
                continue;
            }
            if !self.body_open {
                return Poll::Ready(Ok(()));
            }
            self.up.clear();
            self.up_at = 0;
            let room = self.wire.room();
            self.up.resize(room, 0);
            let read = match &mut self.held {
                // Regular files are always ready.
                Some(file) => {
                    Poll::Ready(file.take(BODY_PIECE as u64).read_to_end(&mut self.up).map(drop).map_err(Error::from))
                }
                None => con.poll_read_body(cx, &mut self.up, room + BODY_PIECE),
            };
            let came = self.up.len() > room;
            if came {
                self.wire.wrap(&mut self.up);
            } else {
                self.up.clear();
            }
            if came {
                self.pace.gave(self.up.len());
            }
            if read.is_pending() {
                self.on_client = true;
                self.pace.awaits_body();
            }
            ready!(read)?;
            if !came {
                self.pace.gave(0);
                self.wire.end_body(&mut self.up);
                self.body_open = false;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Moves the response.
    fn poll_down(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<std::result::Result<End, Fault>> {
        loop {
            if !self.down.is_empty() {
                let down = std::mem::take(&mut self.down);
                ready!(self.offer(con, cx, &down)?);
            }
            if std::mem::take(&mut self.unread) {
                let input = std::mem::take(&mut self.input);
                if let Some(end) = ready!(self.digest(con, cx, &input))? {
                    return Poll::Ready(Ok(end));
                }
                continue;
            }
            let scratch = self.scratch;
            let mut scratch = scratch.borrow_mut();
            let read = ready!(self.stream.poll_read(cx, &mut scratch));
            self.moved = Instant::now();
            // A stream that broke has come to its end, too, but not to that of a response.
            let n = *read.as_ref().unwrap_or(&0);
            if n == 0 {
                let end = if read.is_ok() && self.wire.ends_here() {
                    Ok(End::Done)
                } else {
                    Err(if self.heard { Fault::Short } else { Fault::Unheard })
                };
                return Poll::Ready(end);
            }
            self.heard = true;
            self.waits = None;
            if let Some(end) = ready!(self.digest(con, cx, scratch.get(..n).unwrap_or_default()))? {
                return Poll::Ready(Ok(end));
            }
        }
    }

    /// Passes on what came. Pending when the client has no room, or with `None` when all is passed on.
    fn digest(
        &mut self,
        con: &mut Connection,
        cx: &mut Context<'_>,
        mut input: &[u8],
    ) -> Poll<std::result::Result<Option<End>, Fault>> {
        loop {
            match self.wire.take(&mut input, con)? {
                Taken::More => return Poll::Ready(Ok(None)),
                Taken::Head => {
                    self.begun = true;
                    let _ = con.poll_send(cx, b"")?;
                }
                Taken::Body(piece) => {
                    let offered = self.offer(con, cx, piece)?;
                    if offered.is_pending() {
                        self.unread = true;
                        self.input.extend_from_slice(input);
                        return Poll::Pending;
                    }
                }
                Taken::End => {
                    self.input.extend_from_slice(input);
                    return Poll::Ready(Ok(Some(End::Done)));
                }
                Taken::Switch => {
                    self.input.extend_from_slice(input);
                    return Poll::Ready(Ok(Some(End::Switch)));
                }
            }
        }
    }

    /// Sends as much as there is room for, and keeps the rest.
    fn offer(&mut self, con: &mut Connection, cx: &mut Context<'_>, mut piece: &[u8]) -> Result<Poll<()>> {
        while !piece.is_empty() {
            match con.poll_send(cx, piece)? {
                Poll::Ready(sent) => {
                    self.pace.took(sent);
                    piece = piece.get(sent..).unwrap_or_default();
                }
                Poll::Pending => {
                    self.on_client = true;
                    self.pace.awaits_room();
                    self.down.extend_from_slice(piece);
                    return Ok(Poll::Pending);
                }
            }
        }
        Ok(Poll::Ready(()))
    }
}
