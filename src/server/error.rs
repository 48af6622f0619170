//! What can go wrong in a handler, and what a handler can return.

use crate::http::{BadForm, BadHead, Reject, status_reason};
use crate::sys;
use std::fmt;
use std::io;
use std::time::Duration;

/// The result of this crate's asynchronous methods.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a method of [`Connection`](crate::Connection) failed. Each error maps to a [status](Error::status).
///
/// If a handler returns one after the response's head was sent, the reply is cut: what was sent before arrives, and then the
/// connection ends in a way that the client can't mistake for the reply's end. After [`Timeout`](Error::Timeout) and
/// [`Closed`](Error::Closed), the connection is reset at once.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Handler error: the response head was sent already and can't be changed.
    HeadSent,
    /// Handler error: a control character in a header field, a name that is not a token, or a field that only the
    /// library sets.
    BadHeader,
    /// Handler error: a status outside 100..=999, or one that the method does not allow.
    BadStatus,
    /// Handler error: more or fewer bytes than `Content-Length` promised; the response is cut short.
    LengthMismatch,
    /// Client error: it took too long.
    Timeout,
    /// Client error: it left before the end of its request body.
    Closed,
    /// Client error: the request body is longer than [`max_body`](crate::Options::max_body).
    BodyTooLarge,
    /// Client error: the request body is malformed; the text says how.
    BadBody(&'static str),
    /// Client error: it broke the protocol of a WebSocket; the text says how. It was sent a Close frame that says so.
    #[cfg(feature = "websocket")]
    BadFrame(&'static str),
    /// System error: a file could not be opened or read.
    Io(io::Error),
    /// Request error: it can't be served. Nothing was sent yet, so the handler can still answer; only a refused WebSocket was
    /// answered already.
    Refused(Refusal),
}

/// Why a request is not served: the status that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// As wide as the other fields of `Error`: a narrow one would make each move of a `Result` one of several pieces.
#[repr(align(4))]
pub struct Refusal {
    status: u16,
}

impl Refusal {
    pub(crate) fn new(status: u16) -> Refusal {
        Refusal { status }
    }

    /// The status, 400 to 599.
    pub fn status(self) -> u16 {
        self.status
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(status_reason(self.status))
    }
}

impl std::error::Error for Refusal {}

impl Error {
    /// The status of the response when a handler returns this error before the head was sent.
    ///
    /// 408, 413 and 400 for the client's errors; that of a refusal; 404, 403 and 503 for files that are missing, forbidden
    /// or beyond the limit of descriptors; 500 for everything else.
    pub fn status(&self) -> u16 {
        match self {
            Error::HeadSent | Error::BadHeader | Error::BadStatus | Error::LengthMismatch => 500,
            Error::Timeout => 408,
            Error::Closed | Error::BadBody(_) => 400,
            #[cfg(feature = "websocket")]
            Error::BadFrame(_) => 400,
            Error::BodyTooLarge => 413,
            Error::Io(error) => Error::status_of_io(error),
            Error::Refused(refusal) => refusal.status,
        }
    }

    /// The status for a file system error.
    pub(crate) fn status_of_io(error: &io::Error) -> u16 {
        match error.raw_os_error() {
            Some(sys::EMFILE | sys::ENFILE | sys::ENOMEM) => 503,
            _ => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => 404,
                io::ErrorKind::PermissionDenied => 403,
                _ => 500,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::HeadSent => f.write_str("the response head was already sent"),
            Error::BadHeader => f.write_str("invalid header, or one that a handler may not set"),
            Error::BadStatus => f.write_str("invalid status code"),
            Error::LengthMismatch => f.write_str("the response body does not match its Content-Length"),
            Error::Timeout => f.write_str("timed out"),
            Error::Closed => f.write_str("the client closed the connection"),
            Error::BodyTooLarge => f.write_str("the request body is too large"),
            Error::BadBody(how) => write!(f, "malformed request body: {how}"),
            #[cfg(feature = "websocket")]
            Error::BadFrame(how) => write!(f, "malformed WebSocket: {how}"),
            Error::Io(error) => error.fmt(f),
            Error::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            Error::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Refused(refusal)
    }
}

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        if reject.status == 413 { Error::BodyTooLarge } else { Error::BadBody(reject.reason) }
    }
}

impl From<BadForm> for Error {
    fn from(bad: BadForm) -> Self {
        Error::BadBody(bad.0)
    }
}

impl From<BadHead> for Error {
    fn from(bad: BadHead) -> Self {
        match bad {
            BadHead::Status => Error::BadStatus,
            BadHead::Field => Error::BadHeader,
        }
    }
}

/// What happens to the connection after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It stays open for the next request, if the client and the protocol allow that.
    KeepAlive,
    /// It is closed once the response was sent.
    Close,
}

/// What a handler may return: `()`, `bool`, an [`Outcome`], or a [`Result`] of one of these.
///
/// No other type can implement it.
pub trait IntoOutcome: sealed::Sealed {
    /// Turns the handler's value into the connection's fate, or the error that answers the request.
    ///
    /// # Errors
    /// The handler's own.
    fn into_outcome(self) -> Result<Outcome>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(Outcome::KeepAlive)
    }
}

/// `false` closes the connection, as in the reference.
impl IntoOutcome for bool {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(if self { Outcome::KeepAlive } else { Outcome::Close })
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome> {
        Ok(self)
    }
}

impl<T: IntoOutcome> IntoOutcome for Result<T> {
    fn into_outcome(self) -> Result<Outcome> {
        self?.into_outcome()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for bool {}
    impl Sealed for super::Outcome {}
    impl<T: super::IntoOutcome> Sealed for super::Result<T> {}
}

/// Runs `future` for at most `duration`; when the time is up first, it is dropped.
///
/// # Errors
/// [`Error::Timeout`].
///
/// # Panics
/// If polled outside of a handler or task of a running server.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output> {
    crate::rt::within(duration, future).await.ok_or(Error::Timeout)
}
