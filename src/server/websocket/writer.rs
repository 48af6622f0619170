//! The direction to the client.

use super::super::error::{Error, Result};
use super::super::upgrade::{Side, Waiting};
use super::channel::Channel;
use crate::websocket::frame::MAX_CONTROL;
use crate::websocket::{Opcode, close};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The half of a [`WebSocket`](crate::WebSocket) that sends.
///
/// When both halves are dropped, the WebSocket closes.
#[derive(Debug)]
pub struct WebSocketWriter {
    pub(super) channel: Rc<Channel>,
    /// Set once the WebSocket is split.
    pub(super) waiting: Option<Arc<Waiting>>,
}

impl WebSocketWriter {
    /// As [`WebSocket::send_text`](crate::WebSocket::send_text).
    ///
    /// # Errors
    /// [`Error::Closed`] once either side has closed the WebSocket, and if the connection broke.
    pub async fn send_text(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.send(Opcode::Text, text.as_ref().as_bytes()).await
    }

    /// As [`WebSocket::send_binary`](crate::WebSocket::send_binary).
    ///
    /// # Errors
    /// Those of [`send_text`](WebSocketWriter::send_text).
    pub async fn send_binary(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.send(Opcode::Binary, bytes.as_ref()).await
    }

    /// As [`WebSocket::ping`](crate::WebSocket::ping).
    ///
    /// # Errors
    /// Those of [`send_text`](WebSocketWriter::send_text); [`Error::Io`] for a payload of more than 125 bytes.
    pub async fn ping(&mut self, payload: impl AsRef<[u8]>) -> Result<()> {
        let payload = payload.as_ref();
        if payload.len() > MAX_CONTROL {
            return Err(Error::Io(io::ErrorKind::InvalidInput.into()));
        }
        self.send(Opcode::Ping, payload).await?;
        self.channel.pinged.replace(Some(payload.to_vec()));
        Ok(())
    }

    /// Starts to close; the reading half sees the end. A second call does nothing.
    ///
    /// # Errors
    /// [`Error::Io`] for a code that may not be sent: see [`WebSocket::close`](crate::WebSocket::close).
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<()> {
        if !close::is_code(code) {
            return Err(Error::Io(io::ErrorKind::InvalidInput.into()));
        }
        self.channel.close(&close::payload(code, reason));
        // The reader now has another deadline.
        self.channel.wake_at(self.channel.now());
        Ok(())
    }

    /// Waits until everything sent has been passed to the kernel.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection broke before.
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| self.beside_reader(cx, |cx| self.channel.poll_flushed(cx))).await
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<()> {
        poll_fn(|cx| self.beside_reader(cx, |cx| self.channel.poll_room(cx))).await?;
        self.channel.push(opcode, payload)
    }

    fn beside_reader<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        match &self.waiting {
            Some(waiting) => waiting.poll(Side::Writer, cx, poll),
            None => poll(cx),
        }
    }
}
