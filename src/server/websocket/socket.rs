//! A WebSocket, as a handler sees it.

use super::super::error::Result;
use super::super::upgrade::{Stream, Waiting};
use super::channel::Channel;
use super::options::WebSocketOptions;
use super::reader::{Message, WebSocketReader};
use super::writer::WebSocketWriter;
use crate::websocket::Close;
use std::rc::Rc;
use std::sync::Arc;

/// A connection that carries messages both ways: RFC 6455. [`Connection::websocket`](crate::Connection::websocket) opens it.
///
/// While idle it owns no buffer. Dropping it sends a Close with code 1000, "normal", and then closes the connection. A
/// handler that fails should [`close`](WebSocket::close) it with 1011 instead, so that pages know to connect again.
///
/// ```no_run
/// # use ecohttpd::{Connection, Message, Request, Result, WebSocketOptions};
/// async fn echo(con: &mut Connection, _: &mut Request) -> Result<()> {
///     let mut socket = con.websocket(&WebSocketOptions::new()).await?;
///     while let Some(message) = socket.recv().await? {
///         match message {
///             Message::Text(text) => socket.send_text(text).await?,
///             Message::Binary(bytes) => socket.send_binary(bytes).await?,
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct WebSocket {
    reader: WebSocketReader,
    writer: WebSocketWriter,
    protocol: Option<String>,
}

impl WebSocket {
    pub(super) fn new(stream: Stream, options: &WebSocketOptions, protocol: Option<String>) -> WebSocket {
        let channel = Rc::new(Channel::new(stream));
        let reader = WebSocketReader::new(Rc::clone(&channel), options);
        WebSocket { reader, writer: WebSocketWriter { channel, waiting: None }, protocol }
    }

    /// The subprotocol that was chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Waits for a message; `None` when the client has closed the WebSocket, or has answered our Close.
    ///
    /// While this waits, pings are answered, and a silent client is sent pings. If the call is dropped before it is
    /// ready, nothing is lost. Many messages may come at once: then it is ready that often in a row, and no other task runs in
    /// between unless the caller yields. When the server [stops](crate::Handle::stop), the client is sent a Close with code 1001.
    ///
    /// # Errors
    /// [`Error::BadFrame`](crate::Error::BadFrame) if the client broke the protocol or a limit; it was told so.
    /// [`Error::Timeout`](crate::Error::Timeout) if it did not answer a ping or a Close in time.
    /// [`Error::Closed`](crate::Error::Closed) if the connection ended without a Close.
    pub async fn recv(&mut self) -> Result<Option<Message>> {
        self.reader.recv().await
    }

    /// Queues a message of text, in one frame. Waits only while more than the high-water mark is queued already.
    ///
    /// If the call is dropped before it is ready, nothing of the message is sent.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) once either side has closed the WebSocket, and if the connection broke.
    pub async fn send_text(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.writer.send_text(text).await
    }

    /// Queues a message of bytes, as [`send_text`](WebSocket::send_text) does.
    ///
    /// # Errors
    /// Those of [`send_text`](WebSocket::send_text).
    pub async fn send_binary(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.writer.send_binary(bytes).await
    }

    /// Queues a ping, of at most 125 bytes; [`recv`](WebSocket::recv) returns the answer, which has the same payload.
    /// After several pings it returns only the answer to the last one: the client need not answer the others.
    ///
    /// Silent clients are sent pings automatically: see [`ping_interval`](WebSocketOptions::ping_interval).
    ///
    /// # Errors
    /// Those of [`send_text`](WebSocket::send_text); [`Error::Io`](crate::Error::Io) for a longer one.
    pub async fn ping(&mut self, payload: impl AsRef<[u8]>) -> Result<()> {
        self.writer.ping(payload).await
    }

    /// Waits until everything sent has been passed to the kernel.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if the connection broke before.
    pub async fn flush(&mut self) -> Result<()> {
        self.writer.flush().await
    }

    /// Closes: sends a Close, waits for the client's, and closes the connection. Messages that arrive meanwhile are
    /// dropped.
    ///
    /// `code` is 1000 for a normal end, 1001 if the server goes away, 1011 if it failed, or one of the application's from 3000 to 4999
    /// (RFC 6455 §7.4). `reason` is cut to 123 bytes.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) for a code that may not be sent; those of [`recv`](WebSocket::recv).
    pub async fn close(mut self, code: u16, reason: &str) -> Result<()> {
        self.writer.close(code, reason).await?;
        while self.recv().await?.is_some() {}
        Ok(())
    }

    /// The code and reason of the client's Close, if it gave any.
    pub fn peer_close(&self) -> Option<&Close> {
        self.reader.peer_close()
    }

    /// Splits it into two halves, to send and receive at the same time. They may be used in one task or in two.
    pub fn split(self) -> (WebSocketReader, WebSocketWriter) {
        let WebSocket { mut reader, mut writer, .. } = self;
        let waiting = Arc::new(Waiting::default());
        reader.waiting = Some(Arc::clone(&waiting));
        writer.waiting = Some(waiting);
        (reader, writer)
    }
}
