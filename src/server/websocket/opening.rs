//! The handshake: RFC 6455 §4.2.

use super::super::connection::Connection;
use super::super::error::{Error, Refusal, Result};
use super::super::request::Request;
use super::options::WebSocketOptions;
use super::socket::WebSocket;
use crate::websocket::handshake;

/// Sent with a 426, so that the client knows what to ask for: RFC 9110 §15.5.22, RFC 6455 §4.4.
const WANTED: &[(&str, &str)] = &[("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];

impl Request {
    /// Whether the client asks for a WebSocket of any version.
    pub fn is_websocket(&self) -> bool {
        handshake::is_websocket(&self.head)
    }
}

impl Connection {
    /// Opens a WebSocket: answers `101 Switching Protocols`, with the headers set before.
    ///
    /// # Errors
    /// [`Error::Refused`] for a request that can't open one. The response was sent then, and the handler should return
    /// the error: 426 for a request that wants none or another version, 400 for a malformed one, 403 for a page of
    /// another origin ([`WebSocketOptions::origin`]). [`Error::HeadSent`] once the head is out.
    pub async fn websocket(&mut self, options: &WebSocketOptions) -> Result<WebSocket> {
        let judged = handshake::judge(&*self.head()?, &options.rules, self.is_tls());
        let accepted = match judged {
            Ok(_) if !self.has_read_request() => Err((400, "a request for a WebSocket has no body\n")),
            judged => judged,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err((status, text)) => {
                self.refuse(status, if status == 426 { WANTED } else { &[] }, text)?;
                return Err(Error::Refused(Refusal::new(status)));
            }
        };
        let protocol = accepted.protocol.and_then(|at| options.rules.protocols.get(at)).cloned();
        self.add_header("Upgrade", "websocket")?;
        self.add_header("Sec-WebSocket-Accept", str::from_utf8(&accepted.accept).unwrap_or_default())?;
        if let Some(protocol) = &protocol {
            self.add_header("Sec-WebSocket-Protocol", protocol)?;
        }
        let stream = self.upgrade().await?.into_stream();
        Ok(WebSocket::new(stream, options, protocol))
    }
}
