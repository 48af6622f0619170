//! One exchange as its handler drives it: the response's framing, its length kept to, its end; the request's body.

use super::conn::{Conn, Late, Link, Recv, Send, Step, Want, Wants, Work};
use super::core::Core;
use super::deadlines::{NEVER, Timer};
use super::error::{Error, Outcome, Result};
use super::limits;
use crate::http::{self, Encoder, ResponseHead};
use log::Level;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

impl Conn {
    pub(super) fn work(&mut self) -> Result<&mut Work> {
        self.work.as_deref_mut().ok_or(Error::Closed)
    }

    pub(super) fn response(&mut self) -> Result<&mut ResponseHead> {
        if !matches!(self.send, Send::Idle) {
            return Err(Error::HeadSent);
        }
        Ok(&mut self.work()?.response)
    }

    /// Queues the response's head if it is not out; `length` is the body's, where it is known.
    pub(super) fn commit(&mut self, core: &Core, length: Option<u64>) -> Result<()> {
        if !matches!(self.send, Send::Idle) {
            return Ok(());
        }
        if core.stopping() || self.would_close_after() {
            self.asked.keep_alive = false;
        }
        let (asked, server) = (self.asked, self.place.borrow().options.server_header);
        let work = self.work()?;
        let frame = http::frame(&work.response, asked, length);
        let (response, before) = (&work.response, work.output.mem());
        work.output.push_with(|out| http::write_head(out, response, asked, &frame, &core.date_lines(server)));
        work.head_bytes += (work.output.mem() - before) as u64;
        work.until_close = frame.encoder == Encoder::UntilClose;
        self.asked.keep_alive = frame.keep_alive;
        self.send = Send::Body(frame.encoder);
        Ok(())
    }

    /// Whether the request's body, left as it is now, would cost the connection.
    pub(super) fn would_close_after(&self) -> bool {
        match &self.recv {
            // Whether the client still sends what it announced can't be known: RFC 9110 §10.1.1.
            Recv::Body(_) if self.expecting => true,
            Recv::Body(decoder) => decoder.left().is_some_and(|left| left > limits::DRAIN_MAX),
            Recv::Closed => true,
            Recv::Head | Recv::Drain { .. } | Recv::Done => false,
        }
    }

    /// Bytes of body that fit below the high-water mark now; the encoder drops them where none belong.
    pub(super) fn room(&self) -> usize {
        self.work.as_ref().map_or(0, |work| self.place.borrow().options.high_water.saturating_sub(work.output.mem()))
    }

    /// Queues a piece of body in the response's framing.
    pub(super) fn push_body(&mut self, core: &Core, bytes: &[u8]) -> Result<()> {
        if self.account(core, bytes.len() as u64)? {
            let chunked = matches!(self.send, Send::Body(Encoder::Chunked));
            self.work()?.output.push_with(|out| {
                if chunked {
                    http::chunk_head(out, bytes.len() as u64);
                }
                out.extend_from_slice(bytes);
                if chunked {
                    out.extend_from_slice(http::CHUNK_END);
                }
            });
        }
        Ok(())
    }

    /// Queues a piece of a file in the response's framing.
    pub(super) fn push_file(&mut self, core: &Core, file: Rc<std::fs::File>, offset: u64, count: u64) -> Result<()> {
        if self.account(core, count)? {
            let chunked = matches!(self.send, Send::Body(Encoder::Chunked));
            let output = &mut self.work()?.output;
            if chunked {
                output.push_with(|out| http::chunk_head(out, count));
            }
            output.push_file(file, offset, count);
            if chunked {
                output.push(http::CHUNK_END);
            }
        }
        Ok(())
    }

    /// Queues shared bytes in the response's framing.
    pub(super) fn push_shared(&mut self, core: &Core, bytes: Rc<[u8]>) -> Result<()> {
        if matches!(self.send, Send::Body(Encoder::Chunked)) {
            return self.push_body(core, &bytes);
        }
        if self.account(core, bytes.len() as u64)? {
            self.work()?.output.push_shared(bytes);
        }
        Ok(())
    }

    /// Counts `n` bytes against what was promised; false when they are not to be sent at all.
    fn account(&mut self, core: &Core, n: u64) -> Result<bool> {
        match &mut self.send {
            _ if n == 0 => Ok(false),
            Send::Body(Encoder::Length { left }) if n <= *left => {
                *left -= n;
                Ok(true)
            }
            Send::Body(Encoder::Chunked | Encoder::UntilClose) => Ok(true),
            Send::Body(Encoder::Nothing) => {
                self.spend(usize::try_from(n).unwrap_or(usize::MAX));
                Ok(false)
            }
            Send::Body(Encoder::Length { .. }) => {
                self.cut(core, "more body than its content-length");
                Err(Error::LengthMismatch)
            }
            Send::Idle | Send::Done => Err(Error::HeadSent),
            Send::Cut => Err(Error::Closed),
        }
    }

    /// Ends the response that a handler made, with what it returned.
    pub(super) fn finish(&mut self, core: &Core, outcome: Result<Outcome>) {
        if !matches!(self.link, Link::Open) {
            return;
        }
        let done = match (outcome, &self.send) {
            (Ok(Outcome::Close), _) => {
                self.asked.keep_alive = false;
                self.end_response(core)
            }
            (Ok(Outcome::KeepAlive), _) => self.end_response(core),
            (Err(error), Send::Idle) => {
                let status = error.status();
                // What is wrong with a body's framing was said when it was found.
                if !matches!((&error, &self.recv), (Error::BadBody(_), Recv::Closed)) {
                    self.note(core, error_level(status), format_args!("{status} {error}"));
                }
                self.asked.keep_alive = false;
                self.fail(core, status)
            }
            (Err(error), Send::Done) => {
                self.debug(format_args!("after the answer: {error}"));
                self.asked.keep_alive = false;
                Ok(())
            }
            (Err(error), Send::Body(_) | Send::Cut) => {
                self.note(core, Level::Info, format_args!("reply cut: {error}"));
                match error {
                    Error::Timeout | Error::Closed => self.drop_client(),
                    _ => self.break_off(),
                }
                Ok(())
            }
        };
        if let Err(error) = done {
            self.debug(format_args!("cannot finish the response: {error}"));
            self.link = Link::Dead;
        }
    }

    /// Ends the response of a handler that panicked.
    pub(super) fn finish_panicked(&mut self, core: &Core) {
        self.asked.keep_alive = false;
        if !matches!(self.send, Send::Idle) {
            self.cut(core, "its handler panicked");
        } else if let Err(error) = self.fail(core, 500) {
            self.debug(format_args!("cannot answer: {error}"));
            self.link = Link::Dead;
        }
    }

    /// Answers `status` in the place of whatever the handler had prepared.
    pub(super) fn fail(&mut self, core: &Core, status: u16) -> Result<()> {
        self.response()?.clear();
        let text = format!("{status} {}\n", http::status_reason(status));
        self.answer_text(core, status, &text)
    }

    /// Answers with a text; the response has no fields yet.
    pub(super) fn answer_text(&mut self, core: &Core, status: u16, text: &str) -> Result<()> {
        let work = self.work()?;
        work.response.set_status(status, None)?;
        work.response.push_raw(b"Content-Type: text/plain; charset=utf-8\r\n");
        self.send = Send::Idle;
        self.commit(core, Some(text.len() as u64))?;
        self.push_body(core, text.as_bytes())?;
        self.send = Send::Done;
        Ok(())
    }

    /// Completes the body in its framing.
    pub(super) fn end_response(&mut self, core: &Core) -> Result<()> {
        self.commit(core, Some(0))?;
        match &self.send {
            Send::Body(Encoder::Chunked) => self.work()?.output.push(http::LAST_CHUNK),
            Send::Body(Encoder::Length { left }) if *left > 0 => {
                self.cut(core, "less body than its content-length");
                return Ok(());
            }
            Send::Body(Encoder::UntilClose) => self.asked.keep_alive = false,
            _ => {}
        }
        self.send = Send::Done;
        Ok(())
    }

    /// Reads body into `into` until it holds `upto` bytes or the body ends, or would have to wait with `least` bytes there.
    pub(super) fn poll_body(
        &mut self,
        core: &Core,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
        least: usize,
        upto: usize,
    ) -> Poll<Result<()>> {
        loop {
            if matches!(self.recv, Recv::Closed) {
                return Poll::Ready(Err(Error::Closed));
            }
            let Recv::Body(decoder) = &mut self.recv else {
                return Poll::Ready(Ok(()));
            };
            if decoder.is_done() {
                self.recv = Recv::Done;
                return Poll::Ready(Ok(()));
            }
            let missing = upto.saturating_sub(into.len());
            if missing == 0 {
                return Poll::Ready(Ok(()));
            }
            if !self.input.is_empty() {
                // Given no more bytes than are missing, the decoder can't find more payload than that.
                let bytes = self.input.bytes();
                match decoder.decode(&bytes[..missing.min(bytes.len())]) {
                    Ok(piece) => {
                        into.extend_from_slice(bytes.get(piece.start..piece.end).unwrap_or_default());
                        self.input.consume(piece.used);
                        self.unscanned = !self.input.is_empty();
                    }
                    Err(reject) => {
                        self.note(core, Level::Info, format_args!("{} {}", reject.status, reject.reason));
                        self.recv = Recv::Closed;
                        self.asked.keep_alive = false;
                        return Poll::Ready(Err(reject.into()));
                    }
                }
                continue;
            }
            if !self.readable || self.credit == 0 {
                if into.len() >= least {
                    return Poll::Ready(Ok(()));
                }
                if self.readable {
                    return self.let_others(cx);
                }
                if self.late == Late::TimedOut {
                    self.late = Late::No;
                    self.asked.keep_alive = false;
                    return Poll::Ready(Err(Error::Timeout));
                }
                return self.wait_for_body(core, cx);
            }
            let mut scratch = core.scratch();
            match self.read(core, &mut scratch) {
                Ok(0) => {
                    self.recv = Recv::Closed;
                    self.asked.keep_alive = false;
                    return Poll::Ready(Err(Error::Closed));
                }
                Ok(n) => {
                    self.spend(n);
                    self.deadlines.set(Timer::Body, NEVER);
                    self.input.push(&scratch[..n]);
                }
                Err(Step::Close) => {
                    self.link = Link::Dead;
                    return Poll::Ready(Err(Error::Closed));
                }
                Err(_) => {}
            }
        }
    }

    fn wait_for_body(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.expecting {
            self.expecting = false;
            // After the final head it would be no interim response any more.
            if matches!(self.send, Send::Idle) {
                let work = self.work()?;
                work.output.push(http::CONTINUE);
                work.head_bytes += http::CONTINUE.len() as u64;
            }
        }
        if self.deadlines.get(Timer::Body) == NEVER {
            self.deadlines.set(Timer::Body, core.runtime.deadline(self.place.borrow().options.body_timeout));
        }
        self.wait(Want::Read, cx);
        Poll::Pending
    }

    /// Bounds the reads of one call, besides the body's own timeout.
    pub(super) fn bound_read(&mut self, core: &Core, within: Duration) {
        self.deadlines.set(Timer::Call, core.runtime.deadline(within));
    }

    /// A call to read has ended, whatever its result.
    pub(super) fn unbound_read(&mut self) {
        self.late = Late::No;
        self.deadlines.set(Timer::Body, NEVER);
        self.deadlines.set(Timer::Call, NEVER);
    }

    /// Ready when output is below the high-water mark and a file more may be queued.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if matches!(self.link, Link::Dead) {
            return Poll::Ready(Err(Error::Closed));
        }
        let high_water = self.place.borrow().options.high_water;
        let work = self.work()?;
        if work.output.mem() < high_water && work.output.files() < limits::QUEUED_FILES {
            return if self.credit > 0 { Poll::Ready(Ok(())) } else { self.let_others(cx) };
        }
        self.wait(Want::Room, cx);
        Poll::Pending
    }

    /// Ready when all output is in the kernel.
    pub(super) fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if matches!(self.link, Link::Dead) {
            return Poll::Ready(Err(Error::Closed));
        }
        if !self.has_output() {
            return Poll::Ready(Ok(()));
        }
        self.wait(Want::Flushed, cx);
        Poll::Pending
    }

    /// Ready when the client has ended its direction, or the connection broke.
    pub(super) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.peer_closed || matches!(self.recv, Recv::Closed) || matches!(self.link, Link::Dead) {
            return Poll::Ready(());
        }
        self.set_waiter(cx);
        Poll::Pending
    }

    /// Counts bytes that passed without anybody having to wait for them.
    pub(super) fn spend(&mut self, n: usize) {
        self.credit = self.credit.saturating_sub(n);
    }

    /// Ends a turn in which the handler never had to wait.
    pub(super) fn let_others<T>(&self, cx: &Context<'_>) -> Poll<T> {
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(super) fn wait(&mut self, want: Want, cx: &Context<'_>) {
        self.wants.add(want);
        self.set_waiter(cx);
    }

    fn set_waiter(&mut self, cx: &Context<'_>) {
        match &mut self.waiter {
            Some(waiter) => waiter.clone_from(cx.waker()),
            None => self.waiter = Some(cx.waker().clone()),
        }
    }

    pub(super) fn wake(&mut self) {
        self.wants = Wants::default();
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

fn error_level(status: u16) -> Level {
    if status >= 500 { Level::Error } else { Level::Info }
}
