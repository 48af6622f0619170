//! The direction from the client.

use super::super::error::{Error, Result};
use super::super::upgrade::{Side, Waiting};
use super::channel::Channel;
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
    /// The answer to the handler's [`ping`](crate::WebSocket::ping).
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
                Poll::Ready(Ok(true)) => self.vigil.heard(self.channel.now()),
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
            Event::Pong(payload) => self.channel.pinged.replace(false).then_some(Some(Message::Pong(payload))),
            Event::Close(close) => {
                let echo = close.as_ref().map_or_else(Vec::new, |close| close::payload(close.code, ""));
                self.channel.close(&echo);
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
        match self.vigil.look(self.channel.now(), self.channel.closing()) {
            Todo::Wait(until) => self.channel.wake_at(until),
            Todo::Ping(until) => {
                // It fails if the connection has ended, which the next read shows.
                let _ = self.channel.push(Opcode::Ping, b"");
                self.channel.wake_at(until);
            }
            Todo::GiveUp => {
                self.channel.is_lost.set(self.channel.closing().is_none());
                return Poll::Ready(self.broken(Error::Timeout));
            }
        }
        Poll::Pending
    }
}
