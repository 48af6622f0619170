//! Replies that can't be completed: what there is of them is sent, and then comes an end that tells.
//!
//! | where the body ends | what tells the client that it is not whole |
//! | --- | --- |
//! | after its length, or with its last chunk | the stream ends before that (RFC 9112 §8) |
//! | with the stream, over TLS | the stream ends without `close_notify` |
//! | with the stream, over TCP | a reset, which comes when the client has all the rest |

use super::conn::{Conn, Link, Send, Step};
use super::core::Core;
use super::deadlines::{Deadlines, NEVER, Timer};
use super::limits;
use log::Level;

impl Conn {
    /// Cuts the reply for a reason that the log is told.
    pub(super) fn cut(&mut self, core: &Core, why: &str) {
        self.note(core, Level::Warn, format_args!("reply cut: {why}"));
        self.break_off();
    }

    /// Nothing more of the reply follows, but what was queued is sent.
    pub(super) fn break_off(&mut self) {
        self.asked.keep_alive = false;
        self.stop_probing();
        self.send = Send::Cut;
        // To close with something unread would send a reset, which throws away what the client has not taken.
        self.link = Link::Closing { discard: limits::LINGER_MAX };
    }

    /// Has a client that is not waited for any longer see a reset; what was queued for it is thrown away.
    pub(super) fn drop_client(&mut self) {
        self.transport.reset_on_close();
        self.link = Link::Dead;
    }

    /// Whether nothing but a reset tells that the reply is not whole.
    pub(super) fn ends_by_reset(&self) -> bool {
        self.transport.is_plain_tcp() && self.work.as_ref().is_some_and(|work| work.until_close)
    }

    /// Waits until the client has all that the kernel holds for it.
    pub(super) fn deliver(&mut self, core: &Core) -> Step {
        self.link = Link::Delivering;
        self.deadlines = Deadlines::default();
        self.wait_for_reader(core);
        Step::Again
    }

    pub(super) fn step_delivering(&mut self, core: &Core) -> Step {
        if matches!(self.transport.queued(), 0 | u32::MAX) {
            self.link = Link::Dead;
            return Step::Close;
        }
        if self.deadlines.get(Timer::End) == NEVER {
            self.deadlines.set(Timer::End, core.runtime.deadline(limits::DELIVERY_GLANCE));
        }
        Step::Park
    }
}
