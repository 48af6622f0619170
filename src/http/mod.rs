//! The protocol, pure: HTTP/1.1 as values, without a socket and without a clock.
//!
//! Bytes come in as slices and go out into a `Vec<u8>`; whoever owns the
//! connection decides when. A request passes these files in order:
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`scan`] | where a head ends, and when it can never end well |
//! | [`head`] | the parsed head, and every fact that its fields state |
//! | [`target`] | request targets, authorities, percent-encoding |
//! | [`framing`], [`chunked`] | how long a request's body is, and taking it apart |
//! | [`response`], [`status`] | the reply's head and how its body is delimited |
//! | [`conditional`], [`range`], [`coding`] | what a request wants of a representation; they read it as [`fields`] |
//! | [`multipart`], [`parameters`], [`query`] | forms, in bodies and in targets |
//! | [`date`] | dates as HTTP writes them |
//! | [`headers`] | the small rules that all of them share |
//! | [`limits`] | every bound, with its reason |

pub mod chunked;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod fields;
pub mod framing;
pub mod head;
pub mod headers;
pub mod limits;
pub mod multipart;
pub mod parameters;
pub mod query;
pub mod range;
pub mod response;
pub mod scan;
pub mod status;
pub mod target;

pub use chunked::{BadChunk, Chunked};
pub use coding::{Coding, acceptable};
pub use framing::{Decoder, Framing};
pub use head::Head;
pub use limits::HeadLimits;
pub use multipart::{BadForm, Multipart};
pub use parameters::Disposition;
pub use response::{
    Asked, BadHead, CHUNK_END, CONTINUE, Encoder, LAST_CHUNK, ResponseHead, chunk_head, frame, write_head,
};
pub use scan::Scanner;
pub use status::reason as status_reason;
pub use target::TargetForm;

/// Why a request is refused: the error type of the request path is a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status code to answer with.
    pub status: u16,
    /// What was wrong, for the log and the text of the answer.
    pub reason: &'static str,
    /// Whether the connection cannot be used after the reply.
    pub close: bool,
}

impl Reject {
    /// A refusal after which the position in the stream is unknown or not trusted.
    pub const fn close(status: u16, reason: &'static str) -> Self {
        Self { status, reason, close: true }
    }

    /// `400 Bad Request`, and the connection closes.
    pub const fn bad(reason: &'static str) -> Self {
        Self::close(400, reason)
    }
}
