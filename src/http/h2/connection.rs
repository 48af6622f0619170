//! What each frame of a client does: RFC 9113 §3.4, §5 and §6.

mod control;

use super::budget::Budget;
use super::fault::{Code, Fault};
use super::fields::{Malformed, RequestFields, RequestText, is_trailer};
use super::frame::{self, FrameHead, flag, kind, setting};
use super::hpack::Decoder;
use super::limits::{BLOCK, CONNECTION_WINDOW, CONTINUATIONS, FIRST_WINDOW, FORGOTTEN, FRAME, STREAM_WINDOW, STREAMS};
use super::response::OwnFields;
use super::stream::Stream;
use std::ops::Range;

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection. `T` is what its owner keeps for each stream.
#[derive(Debug)]
pub struct Connection<T> {
    stage: Stage,
    /// The DATA frame that is being read.
    data: Data,
    /// The field block that is being read.
    block: Option<Block>,
    decoder: Decoder,
    /// Sorted by number, as new ones have higher numbers.
    pub(super) streams: Vec<Stream<T>>,
    /// The highest number of a stream that the client has opened.
    pub(super) last: u32,
    /// Numbers of streams that we closed while the client could still send.
    forgotten: [u32; FORGOTTEN],
    forgotten_at: usize,
    /// Bytes that we may send on all streams together.
    pub(super) window: i64,
    /// Bytes that the client may still send on all streams together.
    allowed: u32,
    /// Bytes that were read or dropped since the client was last told.
    pub(super) consumed: u32,
    /// What a client may send on a new stream: the default, until it knows our settings.
    first_allowed: i64,
    /// The client's SETTINGS_INITIAL_WINDOW_SIZE.
    first_window: i64,
    pub(super) budget: Budget,
    /// A GOAWAY frame was sent: no more streams are opened.
    pub(super) leaving: bool,
    /// Bytes that a request's head may have.
    max_head: usize,
    /// Frames to be sent.
    pub out: Vec<u8>,
    /// The stream whose turn was last.
    pub(super) turn: u32,
    /// Whether the first field block was sent.
    pub(super) has_sent_block: bool,
    pub(super) own: OwnFields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// So many bytes of the preface have come.
    Preface(usize),
    /// The first SETTINGS frame is to come.
    Settings,
    Open,
}

#[derive(Clone, Copy, Debug, Default)]
struct Data {
    /// The stream; 0 if the payload is dropped.
    stream: u32,
    /// Bytes of body to come.
    body: usize,
    /// Bytes of padding behind it.
    padding: usize,
    /// The stream ends with it.
    ends: bool,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    purpose: Purpose,
    ends: bool,
    bytes: Vec<u8>,
    continuations: u32,
}

/// What becomes of a field block. All of them are decoded, as the table must stay the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Request,
    Trailers,
    /// Nothing; the stream was reset, or is refused.
    Nothing,
    /// The stream is reset with this code.
    Reset(Code),
}

/// What a client has done.
#[derive(Debug)]
pub enum Event<T> {
    /// A request: the stream is open, and waits for its tenant. `ends`: it has no body.
    Request {
        /// The stream.
        stream: u32,
        /// The request's head as one of HTTP/1.1.
        text: Vec<u8>,
        /// Whether this was all of the request.
        ends: bool,
    },
    /// A piece of a request's body.
    Body {
        /// The stream.
        stream: u32,
        /// Where the piece is in the input.
        at: Range<usize>,
        /// Whether this was all of the request.
        ends: bool,
    },
    /// A stream is gone before its end.
    Gone(T),
}

type Received<T> = Result<Option<Event<T>>, Fault>;

impl<T: Default> Connection<T> {
    /// A new connection at the time `now`. `max_head`: bytes that a request's head may have.
    pub fn new(max_head: usize, now: u64) -> Connection<T> {
        let mut out = Vec::new();
        let list = u32::try_from(max_head).unwrap_or(u32::MAX);
        frame::push_settings(
            &mut out,
            &[
                (setting::MAX_CONCURRENT_STREAMS, STREAMS as u32),
                (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                (setting::MAX_HEADER_LIST_SIZE, list),
                (setting::NO_RFC7540_PRIORITIES, 1),
            ],
        );
        Connection {
            stage: Stage::Preface(0),
            data: Data::default(),
            block: None,
            decoder: Decoder::default(),
            streams: Vec::new(),
            last: 0,
            forgotten: [0; FORGOTTEN],
            forgotten_at: 0,
            window: FIRST_WINDOW.into(),
            allowed: CONNECTION_WINDOW,
            consumed: 0,
            first_allowed: FIRST_WINDOW.into(),
            first_window: FIRST_WINDOW.into(),
            budget: Budget::new(now),
            leaving: false,
            max_head,
            out,
            turn: 0,
            has_sent_block: false,
            own: OwnFields::default(),
        }
    }

    /// Whether the client is in the middle of something that it should finish soon.
    pub fn is_in_the_middle(&self) -> bool {
        self.stage != Stage::Open || self.block.is_some()
    }

    /// Whether a request has come.
    pub fn has_served(&self) -> bool {
        self.last > 0
    }

    /// Frees memory that an idle connection does not need.
    pub fn rest(&mut self) {
        if self.streams.is_empty() {
            self.streams = Vec::new();
        }
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        self.own = OwnFields::default();
        self.decoder.rest();
    }

    /// Reads from `input` at the time `now`, up to something that concerns the owner. Returns how many bytes were consumed.
    /// Without an event, more input is needed.
    ///
    /// # Errors
    /// The connection must end: see [`fail`](Connection::fail).
    pub fn receive(&mut self, input: &[u8], now: u64) -> Result<(usize, Option<Event<T>>), Fault> {
        self.budget.pass(now);
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            let (n, event) = self.step(rest)?;
            used += n;
            match event {
                Some(Event::Body { stream, at, ends }) => {
                    let start = used - n;
                    let at = at.start + start..at.end + start;
                    return Ok((used, Some(Event::Body { stream, at, ends })));
                }
                Some(event) => return Ok((used, Some(event))),
                None if n == 0 => return Ok((used, None)),
                None => {}
            }
        }
    }

    /// Consumes a frame, or a part of a DATA frame; 0 bytes if that needs more input.
    fn step(&mut self, input: &[u8]) -> Result<(usize, Option<Event<T>>), Fault> {
        if let Stage::Preface(have) = self.stage {
            return Ok((self.preface(have, input)?, None));
        }
        if self.data.body > 0 || self.data.padding > 0 {
            return Ok(self.data(input));
        }
        let Some(head) = FrameHead::read(input) else { return Ok((0, None)) };
        if head.len > FRAME {
            return Err(Fault::size("a frame is too long"));
        }
        self.check_order(&head)?;
        if head.kind == kind::DATA {
            return self.data_begins(&head, input);
        }
        let Some(payload) = input.get(frame::HEAD..frame::HEAD + head.len) else { return Ok((0, None)) };
        let event = match head.kind {
            kind::HEADERS => self.headers(&head, payload)?,
            kind::CONTINUATION => self.continuation(&head, payload)?,
            kind::PRIORITY => self.priority(&head, payload)?,
            kind::RST_STREAM => self.reset_received(&head, payload)?,
            kind::SETTINGS => self.settings(&head, payload)?,
            kind::PUSH_PROMISE => return Err(Fault::protocol("a client cannot push")),
            kind::PING => self.ping(&head, payload)?,
            kind::GOAWAY => self.goaway_received(&head, payload)?,
            kind::WINDOW_UPDATE => self.window_update(&head, payload)?,
            // RFC 9113 §5.5: unknown types are ignored.
            _ => self.charge(1, "too many unknown frames").map(|()| None)?,
        };
        Ok((frame::HEAD + head.len, event))
    }

    fn preface(&mut self, have: usize, input: &[u8]) -> Result<usize, Fault> {
        let missing = PREFACE.get(have..).unwrap_or_default();
        let n = missing.len().min(input.len());
        if missing.get(..n) != input.get(..n) {
            return Err(Fault::protocol("not the preface of HTTP/2"));
        }
        self.stage = if n == missing.len() { Stage::Settings } else { Stage::Preface(have + n) };
        Ok(n)
    }

    /// The first frame is SETTINGS (RFC 9113 §3.4); a field block is not interrupted (§6.10).
    fn check_order(&mut self, head: &FrameHead) -> Result<(), Fault> {
        if self.stage == Stage::Settings {
            if head.kind != kind::SETTINGS || head.has(flag::ACK) {
                return Err(Fault::protocol("the first frame is not SETTINGS"));
            }
            self.stage = Stage::Open;
        }
        match &self.block {
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => {
                Err(Fault::protocol("a field block was interrupted"))
            }
            None if head.kind == kind::CONTINUATION => Err(Fault::protocol("CONTINUATION without a field block")),
            _ => Ok(()),
        }
    }

    fn charge(&mut self, cost: u32, reason: &'static str) -> Result<(), Fault> {
        self.budget.charge(cost, reason)
    }

    // --- streams ----------------------------------------------------------------------------------

    /// The place of a stream that is not closed.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        self.streams.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    /// A stream that is not closed.
    pub fn stream(&mut self, id: u32) -> Option<&mut Stream<T>> {
        let at = self.find(id)?;
        self.streams.get_mut(at)
    }

    /// All streams that are not closed.
    pub fn streams(&self) -> &[Stream<T>] {
        &self.streams
    }

    /// RFC 9113 §5.1: a frame for a stream that was never opened is an error.
    fn check_not_idle(&self, id: u32) -> Result<(), Fault> {
        if id == 0 {
            return Err(Fault::protocol("a frame without its stream"));
        }
        if id > self.last || id.is_multiple_of(2) {
            return Err(Fault::protocol("a frame for a stream that is idle"));
        }
        Ok(())
    }

    /// Removes a stream. Frames for it that are under way are ignored, if the client could send any.
    pub(super) fn remove(&mut self, at: usize) -> T {
        let stream = self.streams.remove(at);
        self.consumed = self.consumed.saturating_add(stream.unread);
        if stream.open {
            self.forget(stream.id);
        }
        stream.tenant
    }

    fn forget(&mut self, id: u32) {
        self.forgotten[self.forgotten_at % FORGOTTEN] = id;
        self.forgotten_at = self.forgotten_at.wrapping_add(1);
    }

    /// Resets a stream because of what its client did.
    fn refuse(&mut self, id: u32, code: Code) -> Received<T> {
        self.charge(4, "too many malformed requests")?;
        frame::push_reset(&mut self.out, id, code);
        if let Some(at) = self.find(id) {
            return Ok(Some(Event::Gone(self.remove(at))));
        }
        self.forget(id);
        Ok(None)
    }

    // --- HEADERS and CONTINUATION -----------------------------------------------------------------

    fn headers(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        let (id, ends) = (head.stream, head.has(flag::END_STREAM));
        if id.is_multiple_of(2) {
            return Err(Fault::protocol("HEADERS for a stream that no client opens"));
        }
        let mut fragment = without_padding(head, payload)?;
        let mut depends_on = None;
        if head.has(flag::PRIORITY) {
            let (&[a, b, c, d, _], rest) =
                fragment.split_first_chunk().ok_or(Fault::size("HEADERS without its priority"))?;
            depends_on = Some(u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff);
            fragment = rest;
        }
        let mut purpose = self.purpose(id, ends)?;
        if depends_on == Some(id) {
            purpose = Purpose::Reset(Code::Protocol);
        }
        if head.has(flag::END_HEADERS) {
            return self.end_block(id, purpose, ends, fragment);
        }
        self.block = Some(Block { stream: id, purpose, ends, bytes: fragment.to_vec(), continuations: 0 });
        Ok(None)
    }

    /// What the field block of a stream is for.
    fn purpose(&mut self, id: u32, ends: bool) -> Result<Purpose, Fault> {
        if id > self.last {
            if self.leaving {
                return Ok(Purpose::Nothing);
            }
            self.last = id;
            return Ok(if self.streams.len() < STREAMS { Purpose::Request } else { Purpose::Reset(Code::Refused) });
        }
        let is_forgotten = self.forgotten.contains(&id);
        match self.stream(id) {
            Some(stream) if !stream.open => Ok(Purpose::Reset(Code::StreamClosed)),
            // RFC 9113 §8.1: trailers end the stream.
            Some(_) if !ends => Ok(Purpose::Reset(Code::Protocol)),
            Some(_) => Ok(Purpose::Trailers),
            None if is_forgotten => Ok(Purpose::Nothing),
            None => Err(Fault::new(Code::StreamClosed, "HEADERS for a stream that is closed")),
        }
    }

    fn continuation(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        let Some(mut block) = self.block.take() else { return Ok(None) };
        block.bytes.extend_from_slice(payload);
        block.continuations += 1;
        if block.bytes.len() > BLOCK || block.continuations > CONTINUATIONS {
            return Err(Fault::new(Code::Calm, "a field block is too long"));
        }
        if head.has(flag::END_HEADERS) {
            return self.end_block(block.stream, block.purpose, block.ends, &block.bytes);
        }
        self.block = Some(block);
        Ok(None)
    }

    fn end_block(&mut self, id: u32, purpose: Purpose, ends: bool, block: &[u8]) -> Received<T> {
        let broken = Fault::new(Code::Compression, "a field block cannot be decoded");
        let mut is_good = true;
        match purpose {
            Purpose::Request => {
                let mut fields = RequestFields::new(self.max_head);
                self.decoder.decode(block, &mut |name, value| fields.add(name, value)).ok_or(broken)?;
                self.open(id, fields.finish(ends), ends)
            }
            Purpose::Trailers => {
                let mut check = |name: &[u8], value: &[u8]| is_good &= is_trailer(name, value);
                self.decoder.decode(block, &mut check).ok_or(broken)?;
                self.end_by_trailers(id, is_good)
            }
            Purpose::Nothing | Purpose::Reset(_) => {
                self.decoder.decode(block, &mut |_, _| {}).ok_or(broken)?;
                match purpose {
                    Purpose::Reset(code) => self.refuse(id, code),
                    _ => self.charge(1, "too many frames for closed streams").map(|()| None),
                }
            }
        }
    }

    fn open(&mut self, id: u32, request: Result<RequestText, Malformed>, ends: bool) -> Received<T> {
        let mut stream = Stream::new(id, T::default(), self.first_window, self.first_allowed);
        let Ok(RequestText { text, length, priority }) = request else { return self.refuse(id, Code::Protocol) };
        stream.length = length;
        stream.open = !ends;
        stream.priority = priority;
        if ends && !stream.receive(0, true) {
            return self.refuse(id, Code::Protocol);
        }
        self.streams.push(stream);
        Ok(Some(Event::Request { stream: id, text, ends }))
    }

    fn end_by_trailers(&mut self, id: u32, is_good: bool) -> Received<T> {
        let Some(stream) = self.stream(id) else { return Ok(None) };
        if !is_good || !stream.receive(0, true) {
            return self.refuse(id, Code::Protocol);
        }
        stream.open = false;
        Ok(Some(Event::Body { stream: id, at: 0..0, ends: true }))
    }

    // --- DATA -------------------------------------------------------------------------------------

    fn data_begins(&mut self, head: &FrameHead, input: &[u8]) -> Result<(usize, Option<Event<T>>), Fault> {
        let id = head.stream;
        self.check_not_idle(id)?;
        let is_padded = head.has(flag::PADDED);
        let padding = match (is_padded, input.get(frame::HEAD)) {
            (false, _) => 0,
            (true, _) if head.len == 0 => return Err(Fault::size("DATA without its padding")),
            (true, None) => return Ok((0, None)),
            (true, Some(padding)) => usize::from(*padding),
        };
        let framing = usize::from(is_padded);
        let body = (head.len - framing).checked_sub(padding).ok_or(Fault::protocol("more padding than payload"))?;
        let total = head.len as u32;
        self.allowed = self.allowed.checked_sub(total).ok_or(Fault::new(Code::FlowControl, "more than the window"))?;
        // What is no body is read at once.
        self.consumed = self.consumed.saturating_add((framing + padding) as u32);
        let ends = head.has(flag::END_STREAM);
        self.data = Data { stream: id, body, padding, ends };
        if body == 0 && !ends {
            self.charge(1, "too many empty DATA frames")?;
        }
        let used = frame::HEAD + framing;
        let verdict = match self.stream(id) {
            None => Err(Code::StreamClosed),
            Some(stream) if !stream.open => Err(Code::StreamClosed),
            Some(stream) if stream.allowed < i64::from(total) => Err(Code::FlowControl),
            Some(stream) => {
                // What is no body is not read later, so it does not count.
                stream.allowed -= body as i64;
                if stream.receive(body, ends) { Ok(()) } else { Err(Code::Protocol) }
            }
        };
        let event = match verdict {
            Ok(()) if body == 0 && ends => self.end_of_body(id),
            Ok(()) => None,
            Err(code) => {
                self.data.stream = 0;
                self.consumed = self.consumed.saturating_add(body as u32);
                let was_closed_by_us = self.find(id).is_none() && self.forgotten.contains(&id);
                if was_closed_by_us { None } else { self.refuse(id, code)? }
            }
        };
        Ok((used, event))
    }

    /// Bytes of body that are to come in the DATA frame that is being read.
    pub(super) fn body_to_come(&self, id: u32) -> u32 {
        if self.data.stream == id { self.data.body as u32 } else { 0 }
    }

    fn end_of_body(&mut self, id: u32) -> Option<Event<T>> {
        self.stream(id)?.open = false;
        Some(Event::Body { stream: id, at: 0..0, ends: true })
    }

    /// Reads on in a DATA frame.
    fn data(&mut self, input: &[u8]) -> (usize, Option<Event<T>>) {
        let Data { stream: id, body, padding, ends } = self.data;
        if body == 0 {
            let n = padding.min(input.len());
            self.data.padding -= n;
            return (n, None);
        }
        let n = body.min(input.len());
        self.data.body -= n;
        let ends = ends && n == body;
        let Some(stream) = self.stream(id).filter(|_| n > 0) else {
            // The stream was reset meanwhile, and its window went with it.
            if n > 0 && id != 0 {
                self.consumed = self.consumed.saturating_add(n as u32);
            }
            return (n, None);
        };
        stream.unread += n as u32;
        stream.open &= !ends;
        (n, Some(Event::Body { stream: id, at: 0..n, ends }))
    }

    /// Lets the client send as much more as was consumed.
    pub(super) fn allow(&mut self) {
        self.allowed = self.allowed.saturating_add(std::mem::take(&mut self.consumed));
    }
}

/// A payload without its padding (RFC 9113 §6.1).
fn without_padding<'a>(head: &FrameHead, payload: &'a [u8]) -> Result<&'a [u8], Fault> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(Fault::size("a frame without its padding"))?;
    let len = rest.len().checked_sub(padding.into()).ok_or(Fault::protocol("more padding than payload"))?;
    rest.get(..len).ok_or(Fault::protocol("more padding than payload"))
}
