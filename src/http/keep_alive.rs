//! What follows an exchange: the one place where keep-alive is decided (RFC 9112 §9.3, §9.6).

use super::limits::DRAIN_MAX;
use std::fmt;

/// What a connection does after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next request may follow.
    Reuse,
    /// It may follow once the rest of the request's body was discarded.
    Drain,
    /// None may follow.
    Close(CloseReason),
}

/// Why no request may follow; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The request had `Connection: close`, or was HTTP/1.0 without `keep-alive`.
    Client,
    /// The server is configured to close after each response.
    Disabled,
    /// The server is stopping.
    Stopping,
    /// The handler asked for it.
    Handler,
    /// The handler failed or panicked.
    HandlerFailed,
    /// The request was refused, and it is unknown where the next one starts.
    Refused,
    /// The end of the connection is the end of the response.
    NoLength,
    /// The response can't be completed.
    Cut,
    /// Too much of the request's body is unread to discard it.
    BodyUnread,
    /// The client waits for `100 Continue`, but may send its body without.
    BodyNotInvited,
    /// The body was malformed.
    BodyMalformed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The client half-closed.
    ClientLeft,
    /// The client stopped reading.
    Stalled,
    /// The connection was closed to make room for another one.
    Evicted,
    /// The connection broke.
    Lost,
}

impl CloseReason {
    /// A few words for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::Client => "the client asked for it",
            CloseReason::Disabled => "keep-alive is off",
            CloseReason::Stopping => "the server is stopping",
            CloseReason::Handler => "the handler asked for it",
            CloseReason::HandlerFailed => "the handler failed",
            CloseReason::Refused => "the request was refused",
            CloseReason::NoLength => "the response has no length",
            CloseReason::Cut => "the response is incomplete",
            CloseReason::BodyUnread => "too much of the request body is unread",
            CloseReason::BodyNotInvited => "the request body was not asked for",
            CloseReason::BodyMalformed => "the request body is malformed",
            CloseReason::BodyTimeout => "the request body timed out",
            CloseReason::ClientLeft => "the client left",
            CloseReason::Stalled => "the client stopped reading",
            CloseReason::Evicted => "evicted for a new connection",
            CloseReason::Lost => "the connection broke",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is left of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Nothing.
    Nothing,
    /// So many bytes.
    Bytes(u64),
    /// The rest of a chunked body.
    Unknown,
    /// All of it, and the client waits for `100 Continue`.
    NotInvited,
    /// It can't be read to its end.
    Lost,
}

/// Everything that the decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The first event of the exchange that prevents keep-alive.
    pub event: Option<CloseReason>,
    /// Whether the server is stopping.
    pub stopping: bool,
    /// Whether the request allows another one to follow: RFC 9112 §9.3.
    pub client_keeps: bool,
    /// Whether the server is configured to keep connections.
    pub server_keeps: bool,
    /// Whether the response has `Connection: close`.
    pub response_closes: bool,
    /// Whether the end of the connection is the end of the response.
    pub until_close: bool,
    /// What is left of the request's body.
    pub unread: Unread,
}

/// Decides what follows an exchange that ends like this.
///
/// Also called for the response's head, which must say `Connection: close` if nothing may follow.
pub fn next(situation: &Situation) -> Next {
    if let Some(reason) = situation.event {
        return Next::Close(reason);
    }
    if situation.stopping {
        return Next::Close(CloseReason::Stopping);
    }
    if !situation.client_keeps {
        return Next::Close(CloseReason::Client);
    }
    if !situation.server_keeps {
        return Next::Close(CloseReason::Disabled);
    }
    if situation.response_closes {
        return Next::Close(CloseReason::Handler);
    }
    if situation.until_close {
        return Next::Close(CloseReason::NoLength);
    }
    match situation.unread {
        Unread::Nothing => Next::Reuse,
        Unread::Bytes(left) if left > DRAIN_MAX => Next::Close(CloseReason::BodyUnread),
        Unread::Bytes(_) | Unread::Unknown => Next::Drain,
        // The client may send its body anyway: RFC 9110 §10.1.1.
        Unread::NotInvited => Next::Close(CloseReason::BodyNotInvited),
        Unread::Lost => Next::Close(CloseReason::ClientLeft),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPS: Situation = Situation {
        event: None,
        stopping: false,
        client_keeps: true,
        server_keeps: true,
        response_closes: false,
        until_close: false,
        unread: Unread::Nothing,
    };

    #[test]
    fn what_follows() {
        use CloseReason::*;
        #[rustfmt::skip]
        let rows = [
            (KEEPS, Next::Reuse, "nothing against it"),
            (Situation { client_keeps: false, ..KEEPS }, Next::Close(Client), "the client closes"),
            (Situation { server_keeps: false, ..KEEPS }, Next::Close(Disabled), "keep-alive is off"),
            (Situation { stopping: true, ..KEEPS }, Next::Close(Stopping), "the server stops"),
            (Situation { response_closes: true, ..KEEPS }, Next::Close(Handler), "`Connection: close` in the response"),
            (Situation { until_close: true, ..KEEPS }, Next::Close(NoLength), "no length for HTTP/1.0"),
            (Situation { unread: Unread::Bytes(1), ..KEEPS }, Next::Drain, "a byte is unread"),
            (Situation { unread: Unread::Bytes(DRAIN_MAX), ..KEEPS }, Next::Drain, "just as much as may be unread"),
            (Situation { unread: Unread::Bytes(DRAIN_MAX + 1), ..KEEPS }, Next::Close(BodyUnread), "a byte too many"),
            (Situation { unread: Unread::Unknown, ..KEEPS }, Next::Drain, "chunks are unread"),
            (Situation { unread: Unread::NotInvited, ..KEEPS }, Next::Close(BodyNotInvited), "100 Continue was not sent"),
            (Situation { unread: Unread::Lost, ..KEEPS }, Next::Close(ClientLeft), "half a body"),
            (Situation { event: Some(Cut), stopping: true, client_keeps: false, ..KEEPS }, Next::Close(Cut), "an event is told before all else"),
            (Situation { event: Some(BodyTimeout), unread: Unread::Bytes(1), ..KEEPS }, Next::Close(BodyTimeout), "an event forbids draining"),
        ];
        for (situation, verdict, name) in rows {
            assert_eq!(next(&situation), verdict, "{name}");
        }
    }
}
