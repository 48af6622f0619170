//! A request that comes by a stream of HTTP/2.

use super::super::encoder::ReplyTo;
use super::super::framing::{Decoder, Framing};
use super::super::limits::HeadLimits;
use super::super::reject::Reject;
use super::super::target::TargetForm;
use super::{Exchange, Receiving, Sending};
use std::rc::Rc;

impl Exchange {
    /// Starts with a request of HTTP/2, whose head is `bytes` in the form of HTTP/1.1. `ends`: it has no body.
    ///
    /// # Errors
    /// The request must be refused. Whatever the error says, others are not concerned.
    pub fn begin_stream(&mut self, bytes: &[u8], ends: bool, limits: &HeadLimits, now: u64) -> Result<(), Reject> {
        self.restart(now);
        let head = Rc::make_mut(&mut self.head);
        let parsed = match head.parse_of_stream(bytes, limits) {
            Ok(()) if head.form() == TargetForm::Authority => Err(Reject::close(501, "no tunnels here")),
            parsed => parsed,
        };
        self.to = ReplyTo { head: head.is_head(), http10: false, stream: true };
        self.client_keeps = true;
        self.server_keeps = true;
        self.event = None;
        self.expecting = !ends && head.expects_continue();
        self.receiving = match head.framing() {
            _ if ends || parsed.is_err() => Receiving::Done,
            framing @ Framing::Length(_) => Receiving::Body(Decoder::new(framing)),
            _ => Receiving::Body(Decoder::new(Framing::Stream)),
        };
        self.sending = Sending::Head;
        parsed
    }

    /// The client has ended its stream, and `left` bytes of body were received but not read.
    pub fn end_stream(&mut self, left: u64) {
        if let Receiving::Body(decoder) = &mut self.receiving {
            *decoder = Decoder::new(Framing::Length(left));
        }
    }
}
