//! The settings of a WebSocket.

use crate::rt::millis;
use crate::websocket::{Limits, Rules, Times};
use std::time::Duration;

/// Bytes of a message: the same as of a request body that is read in one piece.
const MAX_MESSAGE: usize = 1 << 20;

/// Silence before a ping. Less than the minute after which many proxies and routers drop an idle connection.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// From a ping to any sign of life: a phone takes some seconds to wake up.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// From our Close to the peer's: a round trip, and the time for what the peer has queued before it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which clients may open a WebSocket, and what it may cost. Each setter returns the options.
///
/// ```
/// let options = ecohttpd::WebSocketOptions::new().protocol("chat").max_message(64 << 10);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use = "each setter returns the options"]
pub struct WebSocketOptions {
    pub(super) rules: Rules,
    pub(super) limits: Limits,
    ping_interval: Duration,
    ping_timeout: Duration,
    close_timeout: Duration,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        WebSocketOptions {
            rules: Rules::default(),
            limits: Limits { frame: MAX_MESSAGE, message: MAX_MESSAGE },
            ping_interval: PING_INTERVAL,
            ping_timeout: PING_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
        }
    }
}

impl WebSocketOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A subprotocol that the handler speaks; default none. May be called several times.
    ///
    /// The first one in the client's order that is among them is chosen: see
    /// [`WebSocket::protocol`](crate::WebSocket::protocol). A client that offers none of them may connect without one.
    pub fn protocol(mut self, name: impl Into<String>) -> Self {
        self.rules.protocols.push(name.into());
        self
    }

    /// An origin whose pages may connect, as browsers send it: `https://example.org`, or `null`. May be called several
    /// times.
    ///
    /// By default, only pages from the same host and port may connect: browsers let every page connect anywhere, with
    /// the user's cookies. If the connection [is encrypted](crate::Connection::is_tls), the page must have come by HTTPS.
    /// Clients that send no origin are not browsers, and may connect.
    ///
    /// That does not protect from DNS rebinding: a page whose name suddenly leads to this server's address has that name
    /// as its own origin. A server in a private network should answer only requests whose `Host` it knows.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.rules.origins.push(origin.into());
        self
    }

    /// Lets pages of all origins connect; default false.
    pub fn any_origin(mut self, yes: bool) -> Self {
        self.rules.any_origin = yes;
        self
    }

    /// Bytes of a message that the client may send; default 1 MiB. A longer one ends the connection with code 1009.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.limits.message = bytes;
        self
    }

    /// Bytes of one frame that the client may send; default 1 MiB. A longer one ends the connection with code 1009.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.limits.frame = bytes;
        self
    }

    /// How long a client may be silent before it is sent a ping; default 30 s. `Duration::MAX` sends none.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How long a client may take to answer a ping; default 20 s. After that the connection counts as broken.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// How long the client may take to answer a Close; default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    pub(super) fn times(&self) -> Times {
        Times {
            ping_after: millis(self.ping_interval),
            pong_within: millis(self.ping_timeout),
            close_within: millis(self.close_timeout),
        }
    }
}
