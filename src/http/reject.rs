//! A request that is refused: the error type of the request path is a response.

/// Why a request is refused, and what answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status code to answer with.
    pub status: u16,
    /// What is wrong, for the log and the text of the response.
    pub reason: &'static str,
    /// Whether the connection can't be used after the response.
    pub close: bool,
}

impl Reject {
    /// A refusal that closes the connection: the position in the stream is unknown or not trusted.
    pub const fn close(status: u16, reason: &'static str) -> Self {
        Self { status, reason, close: true }
    }

    /// `400 Bad Request`, and the connection closes.
    pub const fn bad(reason: &'static str) -> Self {
        Self::close(400, reason)
    }
}
