//! A connection that went over to another protocol: bytes both ways, until both sides have ended.

use crate::daemon::upstream::Scratch;
use ecohttpd::{Upgraded, Upstream, sleep};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Moves bytes until both sides have ended, one is broken, or nothing was moved for `idle`.
///
/// `first`: what came of the server already.
pub async fn run(client: Upgraded, server: Upstream, first: Vec<u8>, scratch: Rc<Scratch>, idle: Duration) {
    let mut tunnel =
        Tunnel { client, server, scratch, up: Way::default(), down: Way::default(), moved: Instant::now() };
    tunnel.down.waits = first;
    let mut timer = pin!(sleep(idle));
    poll_fn(|cx| {
        if tunnel.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            let left = idle.saturating_sub(tunnel.moved.elapsed());
            if left.is_zero() {
                return Poll::Ready(());
            }
            timer.set(sleep(left));
        }
    })
    .await;
}

struct Tunnel {
    client: Upgraded,
    server: Upstream,
    /// Idle, a tunnel has no buffer of its own.
    scratch: Rc<Scratch>,
    up: Way,
    down: Way,
    /// When a byte was last moved, either way.
    moved: Instant,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What the receiver had no room for.
    waits: Vec<u8>,
    /// The sender has ended.
    ended: bool,
    /// The receiver knows it.
    done: bool,
}

/// One side is broken: that ends both.
struct Broken;

impl Tunnel {
    /// Ready when there is nothing more to do.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Also while neither direction waits for the client.
        if self.client.poll_broken(cx).is_ready() {
            return Poll::Ready(());
        }
        let up = self.poll_up(cx);
        let down = self.poll_down(cx);
        match (up, down) {
            (Poll::Ready(Err(Broken)), _) | (_, Poll::Ready(Err(Broken))) => Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.up.done {
            if self.up.waits.is_empty() && !self.up.ended {
                let mut scratch = self.scratch.borrow_mut();
                let n = ready!(self.client.poll_read(cx, &mut scratch)).map_err(|_| Broken)?;
                let came = scratch.get(..n).unwrap_or_default();
                self.up.ended = came.is_empty();
                let sent = match self.server.poll_write(cx, came) {
                    _ if came.is_empty() => 0,
                    Poll::Ready(sent) => sent.map_err(|_| Broken)?,
                    Poll::Pending => 0,
                };
                self.up.waits.extend_from_slice(came.get(sent..).unwrap_or_default());
                self.moved = Instant::now();
            } else if self.up.waits.is_empty() {
                ready!(self.server.poll_shutdown(cx)).map_err(|_| Broken)?;
                self.up.done = true;
            } else {
                let sent = ready!(self.server.poll_write(cx, &self.up.waits)).map_err(|_| Broken)?;
                self.up.sent(sent);
                self.moved = Instant::now();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.down.done {
            if self.down.waits.is_empty() && !self.down.ended {
                let mut scratch = self.scratch.borrow_mut();
                let n = ready!(self.server.poll_read(cx, &mut scratch)).map_err(|_| Broken)?;
                let came = scratch.get(..n).unwrap_or_default();
                self.down.ended = came.is_empty();
                let sent = match self.client.poll_write(cx, came) {
                    _ if came.is_empty() => 0,
                    Poll::Ready(sent) => sent.map_err(|_| Broken)?,
                    Poll::Pending => 0,
                };
                self.down.waits.extend_from_slice(came.get(sent..).unwrap_or_default());
                self.moved = Instant::now();
            } else if self.down.waits.is_empty() {
                ready!(self.client.poll_finish(cx)).map_err(|_| Broken)?;
                self.down.done = true;
            } else {
                let sent = ready!(self.client.poll_write(cx, &self.down.waits)).map_err(|_| Broken)?;
                self.down.sent(sent);
                self.moved = Instant::now();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Way {
    fn sent(&mut self, n: usize) {
        self.waits.drain(..n.min(self.waits.len()));
        if self.waits.is_empty() {
            self.waits = Vec::new();
        }
    }
}
