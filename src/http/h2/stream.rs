//! One stream: RFC 9113 §5.1, §5.2 and §6.9.

use super::limits::WINDOW;
use super::priority::Priority;

/// One stream that is not closed. `T` is what the owner of the connection keeps for it.
#[derive(Debug)]
pub struct Stream<T> {
    /// Its number: odd, as clients open it.
    pub id: u32,
    /// What the owner keeps.
    pub tenant: T,
    /// Whether the client may send more. If not, it is half-closed (remote).
    pub open: bool,
    /// Whether our last byte was sent.
    pub ended: bool,
    /// Whether it is worth a look when something can be sent.
    pub active: bool,
    /// Whether it has something to send, but no window for it.
    pub blocked: bool,
    /// What is sent first.
    pub priority: Priority,
    /// Bytes that we may send; a new setting can make it negative (RFC 9113 §6.9.2).
    pub(super) window: i64,
    /// Bytes that the client may still send; negative if it sent much before it knew our settings.
    pub(super) allowed: i64,
    /// Bytes that it has sent and the handler has not read.
    pub(super) unread: u32,
    /// `Content-Length`.
    pub(super) length: Option<u64>,
    /// Bytes of body received.
    pub(super) received: u64,
}

impl<T> Stream<T> {
    /// A stream whose request has begun.
    pub(super) fn new(id: u32, tenant: T, window: i64, allowed: i64) -> Stream<T> {
        Stream {
            id,
            tenant,
            open: true,
            ended: false,
            active: false,
            blocked: false,
            priority: Priority::default(),
            window,
            allowed,
            unread: 0,
            length: None,
            received: 0,
        }
    }

    /// Changes what we may send; false if that is more than a window can hold.
    pub(super) fn widen(&mut self, by: i64) -> bool {
        self.window += by;
        self.active |= self.window > 0;
        self.window <= WINDOW
    }

    /// Counts body; false if it is not what `Content-Length` says (RFC 9113 §8.1.1).
    pub(super) fn receive(&mut self, n: usize, ended: bool) -> bool {
        self.received += n as u64;
        match self.length {
            Some(length) if ended => self.received == length,
            Some(length) => self.received <= length,
            None => true,
        }
    }
}
