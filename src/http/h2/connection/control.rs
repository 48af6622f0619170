//! Frames that carry no request: RFC 9113 §6.3 to §6.9.

use super::super::fault::{Code, Fault};
use super::super::frame::{self, FrameHead, flag, kind, setting};
use super::super::limits::{STREAM_WINDOW, WINDOW};
use super::{Connection, Event, Received};

impl<T: Default> Connection<T> {
    /// The scheme of RFC 7540 is obsolete: its frames are checked and ignored (RFC 9113 §5.3.2).
    pub(super) fn priority(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        self.charge(1, "too many PRIORITY frames")?;
        if head.stream == 0 {
            return Err(Fault::protocol("PRIORITY without its stream"));
        }
        let is_open = self.find(head.stream).is_some();
        let Some(&[a, b, c, d]) = payload.first_chunk().filter(|_| payload.len() == 5) else {
            // RFC 9113 §6.3: an error of the stream. If that is idle or closed, there is nothing to reset.
            let fault = Fault::size("PRIORITY of a wrong length");
            return if is_open { self.refuse(head.stream, Code::FrameSize) } else { Err(fault) };
        };
        if u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff != head.stream {
            return Ok(None);
        }
        let fault = Fault::protocol("a stream depends on itself");
        if is_open { self.refuse(head.stream, Code::Protocol) } else { Err(fault) }
    }

    pub(super) fn reset_received(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        self.check_not_idle(head.stream)?;
        if payload.len() != 4 {
            return Err(Fault::size("RST_STREAM of a wrong length"));
        }
        let Some(at) = self.find(head.stream) else {
            return self.charge(1, "too many RST_STREAM frames").map(|()| None);
        };
        self.charge(5, "too many requests were cancelled")?;
        // Nothing more can come from a client that has reset the stream.
        self.streams[at].open = false;
        Ok(Some(Event::Gone(self.remove(at))))
    }

    pub(super) fn settings(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        if head.stream != 0 {
            return Err(Fault::protocol("SETTINGS for a stream"));
        }
        self.charge(1 + payload.len() as u32 / 64, "too many SETTINGS frames")?;
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(Fault::size("SETTINGS with an acknowledgement and more"));
            }
            self.settings_known();
            return Ok(None);
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Fault::size("SETTINGS of a wrong length"));
        }
        for (name, value) in frame::settings(payload) {
            self.set(name, value)?;
        }
        frame::push(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
        Ok(None)
    }

    /// The client knows our settings, which hold from here on (RFC 9113 §6.5.3, §6.9.2).
    fn settings_known(&mut self) {
        let less = self.first_allowed - i64::from(STREAM_WINDOW);
        self.first_allowed -= less;
        for stream in &mut self.streams {
            stream.allowed -= less;
        }
    }

    fn set(&mut self, name: u16, value: u32) -> Result<(), Fault> {
        match name {
            setting::ENABLE_PUSH if value > 1 => Err(Fault::protocol("SETTINGS_ENABLE_PUSH is neither 0 nor 1")),
            setting::INITIAL_WINDOW_SIZE => {
                let value = i64::from(value);
                let by = value - self.first_window;
                self.first_window = value;
                let fits = self.streams.iter_mut().fold(value <= WINDOW, |fits, stream| stream.widen(by) && fits);
                if fits { Ok(()) } else { Err(Fault::new(Code::FlowControl, "SETTINGS_INITIAL_WINDOW_SIZE too large")) }
            }
            setting::MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                Err(Fault::protocol("SETTINGS_MAX_FRAME_SIZE out of its bounds"))
            }
            // Larger frames than the smallest maximum would only wait for their turn longer.
            // SETTINGS_HEADER_TABLE_SIZE: our field blocks use no table, which every size allows.
            _ => Ok(()),
        }
    }

    pub(super) fn ping(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        if head.stream != 0 {
            return Err(Fault::protocol("PING for a stream"));
        }
        if payload.len() != 8 {
            return Err(Fault::size("PING of a wrong length"));
        }
        self.charge(1, "too many PING frames")?;
        if !head.has(flag::ACK) {
            frame::push(&mut self.out, kind::PING, flag::ACK, 0, payload);
        }
        Ok(None)
    }

    pub(super) fn goaway_received(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        if head.stream != 0 {
            return Err(Fault::protocol("GOAWAY for a stream"));
        }
        if payload.len() < 8 {
            return Err(Fault::size("GOAWAY of a wrong length"));
        }
        // It concerns streams that we would open.
        self.charge(1, "too many GOAWAY frames").map(|()| None)
    }

    pub(super) fn window_update(&mut self, head: &FrameHead, payload: &[u8]) -> Received<T> {
        let Ok(more) = payload.try_into() else { return Err(Fault::size("WINDOW_UPDATE of a wrong length")) };
        let more = i64::from(u32::from_be_bytes(more) & 0x7fff_ffff);
        self.charge(1, "too many WINDOW_UPDATE frames")?;
        if head.stream == 0 {
            self.window += more;
            for stream in &mut self.streams {
                stream.active |= !stream.ended;
            }
            return match (more, self.window) {
                (0, _) => Err(Fault::protocol("WINDOW_UPDATE of nothing")),
                (_, ..=WINDOW) => Ok(None),
                _ => Err(Fault::new(Code::FlowControl, "the window is too large")),
            };
        }
        self.check_not_idle(head.stream)?;
        let Some(stream) = self.stream(head.stream) else { return Ok(None) };
        let fits = stream.widen(more);
        match (more, fits) {
            (0, _) => self.refuse(head.stream, Code::Protocol),
            (_, false) => self.refuse(head.stream, Code::FlowControl),
            _ => Ok(None),
        }
    }
}
