//! The direction from the client.

use super::super::error::{Error, Result};
use super::super::respond::another_turn;
use super::super::upgrade::{Side, Waiting};
use super::channel::{Channel, Delivery};
use super::options::WebSocketOptions;
use crate::websocket::{Close, Decoder, Event, Opcode, Todo, Vigil, Violation, close};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// The answer to the handler's last [`ping`](crate::WebSocket::ping), with the same payload.
    Pong(Vec<u8>),
}

/// The half of a [`WebSocket`](crate::WebSocket) that receives.
///
/// Pings are answered, and pings are sent, while a call of [`recv`](WebSocketReader::recv) waits.
#[derive(Debug)]
pub struct WebSocketReader {
    channel: Rc<Channel>,
    /// Set once the WebSocket is split.
    pub(super) waiting: Option<Arc<Waiting>>,
    decoder: Decoder,
    vigil: Vigil,
    /// The payload of the client's last ping, if there was no room for the answer yet.
    pong: Option<Vec<u8>>,
    /// What the client had received when it was last found to be receiving, and what was sent before its ping.
    delivery: Delivery,
    /// When a deadline had passed, and what had arrived by then was still to be read.
    last_look: Option<u64>,
    state: State,
    close: Option<Close>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    /// Both sides have sent a Close.
    Closed,
    Broken,
}

impl WebSocketReader {
    pub(super) fn new(channel: Rc<Channel>, options: &WebSocketOptions) -> WebSocketReader {
        let vigil = Vigil::new(options.times(), channel.now());
        WebSocketReader {
            channel,
            waiting: None,
            decoder: Decoder::new(options.limits),
            vigil,
            pong: None,
            delivery: Delivery::default(),
            last_look: None,
            state: State::Open,
            close: None,
        }
    }

    /// As [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Errors
    /// [`Error::BadFrame`], [`Error::Timeout`], [`Error::Closed`]: see there.
    pub async fn recv(&mut self) -> Result<Option<Message>> {
        poll_fn(|cx| match self.waiting.clone() {
            Some(waiting) => waiting.poll(Side::Reader, cx, |cx| self.poll_recv(cx)),
            None => self.poll_recv(cx),
        })
        .await
    }

    /// As [`WebSocket::peer_close`](crate::WebSocket::peer_close).
    pub fn peer_close(&self) -> Option<&Close> {
        self.close.as_ref()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>>> {
        match self.state {
            State::Open => {}
            State::Closed => return Poll::Ready(Ok(None)),
            State::Broken => return Poll::Ready(Err(Error::Closed)),
        }
        if self.is_late_to_close() {
            return Poll::Ready(self.give_up());
        }
        loop {
            self.answer_ping();
            let mut came = Ok(None);
            let decoder = &mut self.decoder;
            let polled = self.channel.poll_take(cx, &mut |bytes| match decoder.decode(bytes) {
                Ok((used, event)) => {
                    came = Ok(event);
                    used
                }
                Err(violation) => {
                    came = Err(violation);
                    bytes.len()
                }
            });
            match polled {
                Poll::Ready(Ok(true)) => self.heard(),
                Poll::Ready(ended) => return Poll::Ready(self.end_of_stream(ended)),
                Poll::Pending => return self.wait(cx),
            }
            match came {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if let Some(told) = self.tell(event) {
                        return Poll::Ready(Ok(told));
                    }
                }
                Err(Violation { code, reason }) => {
                    self.channel.close(&close::payload(code, reason));
                    self.channel.end(false);
                    return Poll::Ready(self.broken(Error::BadFrame(reason)));
                }
            }
        }
    }

    /// Handles an event. Returns what the handler is told: a message, or that it was the last one.
    fn tell(&mut self, event: Event) -> Option<Option<Message>> {
        match event {
            Event::Text(text) => Some(Some(Message::Text(text))),
            Event::Binary(bytes) => Some(Some(Message::Binary(bytes))),
            Event::Ping(payload) => {
                // One answer is enough for several: RFC 6455 §5.5.3.
                self.pong = Some(payload);
                None
            }
            // Others answer our own pings, or nobody's: RFC 6455 §5.5.3.
            Event::Pong(payload) => {
                let answered = self.channel.pinged.borrow_mut().take_if(|pinged| *pinged == payload);
                answered.map(|payload| Some(Message::Pong(payload)))
            }
            Event::Close(close) => {
                let echo = close.as_ref().map_or_else(Vec::new, |close| close::payload(close.code, ""));
                self.channel.close(&echo);
                self.channel.end(false);
                self.close = close;
                self.state = State::Closed;
                Some(None)
            }
        }
    }

    fn answer_ping(&mut self) {
        if self.pong.is_some()
            && self.channel.has_room()
            && let Some(payload) = self.pong.take()
        {
            // Nothing may follow a Close.
            let _ = self.channel.push(Opcode::Pong, &payload);
        }
    }

    fn end_of_stream(&mut self, ended: Result<bool>) -> Result<Option<Message>> {
        if ended.is_ok() && self.channel.closing().is_some() {
            self.channel.end(false);
            self.state = State::Closed;
            return Ok(None);
        }
        self.broken(ended.err().unwrap_or(Error::Closed))
    }

    fn broken(&mut self, error: Error) -> Result<Option<Message>> {
        self.state = State::Broken;
        Err(error)
    }

    /// Nothing has arrived: checks the time.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Message>>> {
        if self.pong.is_some() {
            self.channel.wait_for_room(cx);
        }
        self.channel.close_if_stopping();
        // If only this turn is used up, received bytes are read first.
        if !self.channel.is_silent() {
            return Poll::Pending;
        }
        let now = self.channel.now();
        match self.vigil.look(now, self.channel.closing()) {
            Todo::Wait(until) => self.channel.wake_at(until),
            Todo::Ping(until) => {
                self.delivery = self.channel.delivery();
                // It fails if the connection has ended, which the next read shows.
                let _ = self.channel.push(Opcode::Ping, b"");
                self.channel.wake_at(until);
            }
            Todo::GiveUp if self.last_look.is_none() => {
                self.take_last_look();
                return another_turn(cx);
            }
            Todo::GiveUp if self.is_receiving() => {
                let until = self.vigil.ask(now);
                self.last_look = None;
                self.channel.wake_at(until);
            }
            Todo::GiveUp => return Poll::Ready(self.give_up()),
        }
        Poll::Pending
    }

    // --- time ---------------------------------------------------------------------------------------

    fn heard(&mut self) {
        self.vigil.heard(self.channel.now());
        if self.channel.closing().is_none() {
            self.last_look = None;
        }
    }

    /// Whether the ping is still behind other output, and the client has received some of that.
    fn is_receiving(&mut self) -> bool {
        if self.channel.closing().is_some() || self.delivery.received >= self.delivery.all {
            return false;
        }
        let received = self.channel.delivery().received;
        std::mem::replace(&mut self.delivery.received, received) < received
    }

    /// Whether the time for an answer to our Close was over before this turn, however much else comes.
    fn is_late_to_close(&mut self) -> bool {
        let (now, closing) = (self.channel.now(), self.channel.closing());
        if closing.is_none() || self.vigil.look(now, closing) != Todo::GiveUp {
            return false;
        }
        if self.last_look.is_none() {
            self.take_last_look();
        }
        self.last_look < Some(now)
    }

    /// Has what came in time read first: the loop may have been held up, and with many events at once the kernel reports
    /// some only in the next turn.
    fn take_last_look(&mut self) {
        self.last_look = Some(self.channel.now());
        self.channel.look_again();
    }

    fn give_up(&mut self) -> Result<Option<Message>> {
        self.channel.end(self.channel.closing().is_none());
        self.broken(Error::Timeout)
    }
}
