//! What the owner of a connection sends: heads, bodies, windows and ends.

use super::super::encoder::Frame;
use super::super::response::ResponseHead;
use super::connection::Connection;
use super::fault::{Code, Fault};
use super::frame::{self, FrameHead, flag, kind};
use super::limits::{CONNECTION_WINDOW, FRAME, STREAM_WINDOW, TINY_DATA};
use super::response;

impl<T: Default> Connection<T> {
    /// Sends a response's head; with `ends`, that is all of it.
    pub fn send_head(&mut self, id: u32, response: &ResponseHead, frame: &Frame, date_server: &[u8], ends: bool) {
        let at = self.begin_block();
        response::push(&mut self.out, response, frame, date_server, &mut self.own);
        self.end_block_at(at, id, ends);
    }

    /// Sends `100 Continue`.
    pub fn send_continue(&mut self, id: u32) {
        let at = self.begin_block();
        response::push_continue(&mut self.out);
        self.end_block_at(at, id, false);
    }

    fn begin_block(&mut self) -> usize {
        let at = self.out.len();
        self.out.extend_from_slice(&[0; frame::HEAD]);
        if !std::mem::replace(&mut self.has_sent_block, true) {
            self.out.push(response::NO_TABLE);
        }
        at
    }

    /// Completes the frame at `at`, or several frames for a long block (RFC 9113 §6.10).
    fn end_block_at(&mut self, at: usize, id: u32, ends: bool) {
        let Some(stream) = self.stream(id).filter(|stream| !stream.ended) else {
            self.out.truncate(at);
            return;
        };
        stream.ended = ends;
        let mut start = at;
        loop {
            let len = (self.out.len() - start - frame::HEAD).min(FRAME);
            let end = start + frame::HEAD + len;
            let is_last = end == self.out.len();
            let kind = if start == at { kind::HEADERS } else { kind::CONTINUATION };
            let mut flags = if is_last { flag::END_HEADERS } else { 0 };
            flags |= if ends && start == at { flag::END_STREAM } else { 0 };
            let head = FrameHead { len, kind, flags, stream: id }.bytes();
            self.out[start..start + frame::HEAD].copy_from_slice(&head);
            if is_last {
                return;
            }
            self.out.splice(end..end, [0; frame::HEAD]);
            start = end;
        }
    }

    /// Of the streams that are active, the one that has the right to be first (RFC 9218 §10).
    ///
    /// Of equal urgency, one that is not incremental is sent to its end, the oldest first; the others take turns.
    pub fn next_active(&mut self) -> Option<u32> {
        let turn = self.turn;
        let first = self.streams.iter().filter(|stream| stream.active).min_by_key(|stream| {
            let priority = stream.priority;
            let has_had_its_turn = priority.incremental && stream.id <= turn;
            (priority.urgency, priority.incremental, has_had_its_turn, stream.id)
        })?;
        let id = first.id;
        self.turn = id;
        Some(id)
    }

    /// Bytes of body that a stream may send in one frame now.
    pub fn room(&mut self, id: u32) -> usize {
        let window = self.window;
        let Some(stream) = self.stream(id) else { return 0 };
        usize::try_from(stream.window.min(window)).unwrap_or(0).min(FRAME)
    }

    /// Starts a DATA frame: the body is appended to `out`, then [`end_data`](Connection::end_data) completes it.
    pub fn begin_data(&mut self) -> usize {
        let at = self.out.len();
        self.out.extend_from_slice(&[0; frame::HEAD]);
        at
    }

    /// Completes the DATA frame that starts at `at`. `ends`: it is the last one. `wanted_more`: the window was too small.
    ///
    /// # Errors
    /// If the client makes us send many tiny frames.
    pub fn end_data(&mut self, at: usize, id: u32, ends: bool, wanted_more: bool) -> Result<(), Fault> {
        let len = self.out.len() - at - frame::HEAD;
        if len == 0 && !ends {
            self.out.truncate(at);
            return Ok(());
        }
        let flags = if ends { flag::END_STREAM } else { 0 };
        let head = FrameHead { len, kind: kind::DATA, flags, stream: id }.bytes();
        self.out[at..at + frame::HEAD].copy_from_slice(&head);
        self.window -= len as i64;
        if let Some(stream) = self.stream(id) {
            stream.window -= len as i64;
            stream.ended |= ends;
        }
        if wanted_more && len < TINY_DATA {
            return self.budget.charge(1, "windows are too small");
        }
        // A window update of the stream and one of the connection may answer it.
        self.budget.earn(2);
        Ok(())
    }

    /// The handler of a stream has left `unread` bytes of what was received: the client may send as much as was read.
    pub fn handler_has_read(&mut self, id: u32, unread: usize) {
        let unread = u32::try_from(unread).unwrap_or(u32::MAX);
        let to_come = self.body_to_come(id);
        let Some(at) = self.find(id) else { return };
        let stream = &mut self.streams[at];
        let read = stream.unread.saturating_sub(unread);
        stream.unread -= read;
        self.consumed = self.consumed.saturating_add(read);
        // Not for each piece: half of a window at a time.
        let more = i64::from(STREAM_WINDOW) - stream.allowed - i64::from(stream.unread + to_come);
        if stream.open && more >= i64::from(STREAM_WINDOW / 2) {
            stream.allowed += more;
            frame::push_window(&mut self.out, id, more as u32);
        }
    }

    /// Tells the client how much it may send on all streams together, if that is worth a frame.
    pub fn widen(&mut self) {
        if self.consumed >= CONNECTION_WINDOW / 2 {
            frame::push_window(&mut self.out, 0, self.consumed);
            self.allow();
        }
    }

    /// Closes a stream whose response is complete. If the request is not, the client is told to stop (RFC 9113 §8.1).
    pub fn finish(&mut self, id: u32) {
        let Some(at) = self.find(id) else { return };
        let stream = &self.streams[at];
        if !stream.ended || stream.open {
            frame::push_reset(&mut self.out, id, if stream.ended { Code::None } else { Code::Internal });
        }
        self.budget.earn(1);
        self.remove(at);
    }

    /// Gives up on a stream.
    pub fn reset(&mut self, id: u32, code: Code) {
        let Some(at) = self.find(id) else { return };
        if !self.streams[at].ended || self.streams[at].open {
            frame::push_reset(&mut self.out, id, code);
        }
        self.remove(at);
    }

    /// Opens no more streams, and says so. Those that are open go on.
    pub fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            frame::push_goaway(&mut self.out, self.last, Code::None);
        }
    }

    /// Whether no more streams are opened.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Ends the connection because of an error.
    pub fn fail(&mut self, fault: Fault) {
        self.leaving = true;
        frame::push_goaway(&mut self.out, self.last, fault.code);
    }
}
