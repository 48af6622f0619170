//! What a handler that waits is waiting for, and waking it.

use std::task::{Context, Waker};

/// One thing that a handler can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Bytes from the client.
    Read = 1,
    /// Room below the low-water mark, and for a file.
    Room = 2,
    /// All output gone to the kernel.
    Flushed = 4,
}

/// A waiting handler. One that relays waits for both directions at once.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    wants: u8,
    waker: Option<Waker>,
}

impl Waiter {
    pub(super) fn wants(&self, want: Want) -> bool {
        self.wants & want as u8 != 0
    }

    /// Has the handler woken when there is something to read, room, or nothing left to send.
    pub(super) fn wait(&mut self, want: Want, cx: &Context<'_>) {
        self.wants |= want as u8;
        self.wait_for_end(cx);
    }

    /// Has the handler woken when something happens to the connection.
    pub(super) fn wait_for_end(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    pub(super) fn wake(&mut self) {
        self.wants = 0;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
