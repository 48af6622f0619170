//! The protocol, pure: HTTP/1.1 and HTTP/2 as values, without a socket and without a clock.
//!
//! Bytes come in as slices and go out into a `Vec<u8>`; the owner of the connection decides when. A request passes
//! these files in order:
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`scan`] | where a head ends, and when it can never end well |
//! | [`head`], [`directives`] | the parsed head, and what its fields tell the server |
//! | [`usual`] | the same in one pass, for heads that hold nothing unusual |
//! | [`span`], [`lenient`] | positions in a head; heads that the parser wrongly refuses |
//! | [`target`] | request targets, authorities, percent-encoding |
//! | [`framing`], [`chunked`] | how a request's body is delimited, and decoding it |
//! | [`response`], [`status`] | the response's head |
//! | [`reply`] | the head of a response that another server sent |
//! | [`encoder`] | how a response's body is delimited, and its head as bytes |
//! | [`keep_alive`] | what follows an exchange: the one place where keep-alive is decided |
//! | [`exchange`] | one request and its response, as a value |
//! | [`accept`] | what a client accepts, by weight |
//! | [`conditional`], [`range`], [`coding`] | which part and form of a representation a request wants; they read [`fields`] |
//! | [`multipart`], [`parameters`], [`query`] | forms, in bodies and in targets |
//! | [`date`] | dates as HTTP writes them |
//! | [`headers`] | small rules that they share |
//! | [`limits`] | every bound, with its reason |
//! | `h2` | HTTP/2: frames, field compression, streams |

pub mod accept;
pub mod chunked;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod directives;
pub mod encoder;
pub mod exchange;
pub mod fields;
pub mod framing;
#[cfg(feature = "http2")]
pub mod h2;
pub mod head;
pub mod headers;
pub mod keep_alive;
pub mod lenient;
pub mod limits;
pub mod multipart;
pub mod parameters;
pub mod query;
pub mod range;
pub mod reject;
#[cfg(feature = "client")]
pub mod reply;
pub mod response;
pub mod scan;
pub mod span;
pub mod status;
pub mod target;
pub mod usual;

pub use accept::media_weight;
pub use chunked::{BadChunk, Chunked};
pub use coding::{Coding, acceptable};
pub use encoder::{CHUNK_END, CONTINUE, Encoder, Frame, LAST_CHUNK, Persistence, chunk_head, write_head};
pub use exchange::{BodyState, Carry, Exchange, Receiving, SendError, Sending};
pub use head::Head;
pub use keep_alive::{CloseReason, Next};
pub use limits::HeadLimits;
pub use multipart::{BadForm, Multipart};
pub use parameters::Disposition;
pub use reject::Reject;
#[cfg(feature = "client")]
pub use reply::{BadReply, ReplyBody, ReplyHead, ReplyScanner};
pub use response::{BadHead, ResponseHead};
pub use scan::Scanner;
pub use status::reason as status_reason;
