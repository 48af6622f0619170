//! What the access log is told about an exchange.

use crate::net::PeerAddr;
use std::time::Duration;

/// One finished exchange, as passed to [`Options::access_log`](crate::Options::access_log).
#[derive(Debug)]
#[non_exhaustive]
pub struct Access<'a> {
    /// When the exchange ended, as an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub date: &'a str,
    /// The client.
    pub peer: &'a PeerAddr,
    /// The request's method; empty if the head could not be parsed.
    pub method: &'a str,
    /// The request's target as sent; empty if the head could not be parsed.
    pub target: &'a str,
    /// The version of the request: `HTTP/1.1`.
    pub version: &'a str,
    /// 0 or 1: the minor version of HTTP/1. A request of HTTP/2 counts as one of HTTP/1.1.
    pub minor_version: u8,
    /// The status that was sent; 499 if the client left before that.
    pub status: u16,
    /// Bytes of body sent, including chunk framing.
    pub bytes: u64,
    /// From the end of the request's head to the last byte passed to the kernel; the resolution is a millisecond.
    pub duration: Duration,
    /// The request's `Referer`, if it is text.
    pub referer: Option<&'a str>,
    /// The request's `User-Agent`, if it is text.
    pub user_agent: Option<&'a str>,
    /// Why the connection closes after this exchange; `None` if it stays open.
    pub close: Option<&'a str>,
}
