//! Moves bytes between the client and a running script, both ways at once, in bounded memory.

use super::head::set_head;
use super::head_syntax::{Bad, Collector};
use super::minimum_rate::MinimumRate;
use super::process::Process;
use super::request_body::PIECE;
use super::slow_clients::{SLOW_AFTER, SlowClient};
use crate::daemon::log;
use crate::daemon::sys::process::Ended;
use ecohttpd::{AsyncFd, Chunked, Connection, Error, Result, sleep};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// How long to wait for more output after a script has ended, as other processes may hold its pipe. And how long to wait
/// for its end after its output has ended, as a signal means that the output is incomplete.
const LINGER: Duration = Duration::from_millis(300);

/// Most bytes that are read after a script has ended: no pipe holds more, so its own output is among them.
const LEFT_BEHIND: usize = 1 << 20;

/// How the exchange between client and script ended.
pub enum End {
    /// All output was sent.
    Output,
    /// The output was shorter than its head said, or its chunks were malformed. What there is was sent.
    Short(&'static str),
    /// A local redirect.
    Local(String),
    /// The output was not a valid response. Nothing was sent.
    Bad(Bad),
    /// The script was killed, or failed in another way that it could not tell. `begun`: the response had begun.
    Killed { ended: Ended, begun: bool },
    /// The script made no progress, or the client (`client`) sent too little. `begun`: the response had begun.
    Overdue { begun: bool, client: bool },
}

/// A running script, and our ends of its pipes.
pub struct Relay<'a> {
    /// The script and its client, for the log.
    pub name: &'a str,
    pub process: Process,
    /// `None` once the body has ended, or the script reads no more of it.
    pub stdin: Option<AsyncFd<PipeWriter>>,
    pub stdout: AsyncFd<PipeReader>,
    pub timeout: Duration,
    pub scratch: &'a RefCell<Vec<u8>>,
    pub progress: RelayProgress,
}

/// How far the exchange has come.
pub struct RelayProgress {
    /// The response to HEAD: no body is sent, whatever the script sends.
    pub head_only: bool,
    /// Bytes of the body, and how many of them are written to the script.
    up: Vec<u8>,
    up_at: usize,
    /// The head of the response, until it is sent.
    head: Option<Collector>,
    /// Output that the connection had no room for.
    down: Vec<u8>,
    /// Bytes left to send of the script's `Content-Length`; also 0 after its last chunk.
    left: Option<u64>,
    /// The decoder of chunked output: how the client gets the body is not the script's decision.
    chunked: Option<Chunked>,
    /// What is wrong with them.
    broken: Option<&'static str>,
    /// When the last byte was moved, or the script ended.
    moved: Instant,
    /// Waiting for the client, which the timeouts of the connection limit.
    on_client: bool,
    /// The script has ended; that many bytes are still read.
    after_end: Option<usize>,
    /// How it ended, if not by itself.
    killed: Option<Ended>,
    /// Further output is not sent.
    no_more: bool,
    /// Since when that is so, if the script has not ended.
    closed: Option<Instant>,
    /// How fast the client sends.
    gives: MinimumRate,
    /// How fast the client reads.
    takes: MinimumRate,
    slow: Rc<SlowClient>,
    /// Since when the script waits for the client, and for how long it did before.
    waits: Option<Instant>,
    waited: Duration,
    /// After how much waiting the permit is given up. `None`: it has been.
    gives_up: Option<Duration>,
    /// Undelivered bytes in the kernel when the time of the client was up.
    held: Option<u64>,
}

impl RelayProgress {
    /// A script that was just started; `up` is the beginning of the body.
    pub fn new(up: Vec<u8>, timeout: Duration, client: Option<IpAddr>) -> RelayProgress {
        let now = Instant::now();
        RelayProgress {
            head_only: false,
            up,
            up_at: 0,
            head: Some(Collector::default()),
            down: Vec::new(),
            left: None,
            chunked: None,
            broken: None,
            moved: now,
            on_client: false,
            after_end: None,
            killed: None,
            no_more: false,
            closed: None,
            gives: MinimumRate::new(timeout),
            takes: MinimumRate::new(timeout),
            slow: Rc::new(SlowClient::new(client, now)),
            waits: None,
            waited: Duration::ZERO,
            gives_up: Some(SLOW_AFTER),
            held: None,
        }
    }

    /// Counts the time that the script waits for the client.
    fn count_waiting(&mut self, now: Instant) {
        if self.on_client {
            self.waits.get_or_insert(now);
        } else if let Some(since) = self.waits.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// When to give up the permit, if the client does not move.
    fn gives_up_at(&self) -> Option<Instant> {
        let left = self.gives_up.filter(|_| self.after_end.is_none())?.saturating_sub(self.waited);
        self.waits.map(|since| since + left)
    }
}

impl Relay<'_> {
    /// Moves bytes until the exchange ends.
    pub async fn run(&mut self, con: &mut Connection) -> Result<End> {
        let mut timer = pin!(sleep(self.timeout));
        let mut due: Option<Instant> = None;
        poll_fn(|cx| {
            if let Poll::Ready(end) = self.poll(con, cx) {
                return Poll::Ready(end);
            }
            loop {
                let now = Instant::now();
                let deadline = self.deadline(now);
                if deadline <= now {
                    if self.gives_up_permit(now) {
                        continue;
                    }
                    if self.is_taken(con, now) {
                        continue;
                    }
                    return Poll::Ready(self.overdue(con, cx, now));
                }
                // A later deadline is checked when the timer fires.
                if due.is_none_or(|due| deadline < due) {
                    timer.set(sleep(deadline - now));
                    due = Some(deadline);
                }
                ready!(timer.as_mut().poll(cx));
                due = None;
            }
        })
        .await
    }

    /// Leaves the script running: it may have work to do after its response.
    pub fn leave(self) {
        // The pipes are closed at once.
        drop((self.stdin, self.stdout));
        self.process.leave();
    }

    fn deadline(&self, now: Instant) -> Instant {
        let progress = &self.progress;
        let allowed = if progress.after_end.is_some() { LINGER } else { self.timeout };
        let scripts = if progress.on_client { now } else { progress.moved } + allowed;
        let others = [
            progress.gives.deadline(),
            self.taken_by(),
            progress.gives_up_at(),
            progress.closed.map(|since| since + LINGER),
        ];
        others.into_iter().flatten().fold(scripts, Instant::min)
    }

    /// Gives up the permit once the script has waited long enough for its client. Returns true if it was time to try.
    fn gives_up_permit(&mut self, now: Instant) -> bool {
        let progress = &mut self.progress;
        if progress.gives_up_at().is_none_or(|at| at > now) {
            return false;
        }
        let given_up = self.process.permit().is_none_or(|permit| permit.give_up(&progress.slow, now));
        // If that failed, again later: others may have left by then.
        progress.gives_up = progress.gives_up.filter(|_| !given_up).map(|after| after + SLOW_AFTER);
        true
    }

    /// When the client must have read more: a slow one may go on once its script has given up its permit.
    fn taken_by(&self) -> Option<Instant> {
        self.progress.takes.deadline().filter(|_| self.progress.after_end.is_none())
    }

    /// Counts what the client has read from the kernel's buffer when it has taken nothing from us for long. Returns true if
    /// that is enough. The kernel takes more in lumps, of megabytes for a client that was fast before.
    fn is_taken(&mut self, con: &Connection, now: Instant) -> bool {
        if self.taken_by().is_none_or(|deadline| deadline > now) {
            return false;
        }
        let held = con.undelivered();
        // What it read before the first check is unknown: the time counts from there.
        let taken = self.progress.held.replace(held).map_or(u64::MAX, |before| before.saturating_sub(held));
        self.progress.takes.came(usize::try_from(taken).unwrap_or(usize::MAX), now);
        self.progress.takes.wait(now);
        self.taken_by().is_none_or(|deadline| deadline > now)
    }

    fn overdue(&mut self, con: &mut Connection, cx: &mut Context<'_>, now: Instant) -> Result<End> {
        if self.taken_by().is_some_and(|deadline| deadline <= now) {
            let seconds = self.timeout.as_secs();
            log::error!("{}: client read less than 1 KiB/s of the response for {seconds} s", self.name);
            return Err(Error::Timeout);
        }
        if self.progress.after_end.is_some() || self.progress.closed.is_some_and(|since| since + LINGER <= now) {
            return self.end(con, cx);
        }
        let client = self.progress.gives.deadline().is_some_and(|deadline| deadline <= now);
        Ok(End::Overdue { begun: self.progress.head.is_none(), client })
    }

    fn poll(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<End>> {
        if self.progress.slow.is_cut_off(cx.waker()) {
            log::warn!("{}: ended: client too slow, and too many scripts wait for slow clients", self.name);
            return Poll::Ready(Err(Error::Timeout));
        }
        self.progress.on_client = false;
        if let Poll::Ready(Err(error)) = self.poll_up(con, cx) {
            return Poll::Ready(Err(error));
        }
        let down = self.poll_down(con, cx);
        if down.is_pending() {
            self.has_ended(cx);
        }
        self.progress.count_waiting(Instant::now());
        down
    }

    /// Whether the script has ended. If not, its end wakes the task.
    fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        let progress = &mut self.progress;
        if progress.after_end.is_none()
            && let Poll::Ready(ended) = self.process.poll_end(cx)
        {
            progress.after_end = Some(LEFT_BEHIND);
            progress.moved = Instant::now();
            progress.killed = Some(ended).filter(|ended| *ended != Ended::Exited);
        }
        progress.after_end.is_some()
    }

    /// Moves the body to the script. Ready only with an error.
    fn poll_up(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let progress = &mut self.progress;
        while let Some(stdin) = &self.stdin {
            if let Some(waits) = progress.up.get(progress.up_at..).filter(|waits| !waits.is_empty()) {
                let written = ready!(pin!(stdin.write_with(|mut pipe| pipe.write(waits))).poll(cx));
                match written {
                    Ok(n) => progress.up_at += n,
                    // A script need not read its body.
                    Err(_) => self.stdin = None,
                }
                progress.moved = Instant::now();
                continue;
            }
            if progress.up.capacity() > 2 * PIECE {
                // The beginning was larger than the pieces that follow.
                progress.up = Vec::new();
            }
            progress.up.clear();
            progress.up_at = 0;
            let read = con.poll_read_body(cx, &mut progress.up, PIECE);
            if read.is_pending() {
                progress.on_client = true;
                progress.gives.wait(Instant::now());
            }
            ready!(read)?;
            progress.gives.came(progress.up.len(), Instant::now());
            progress.slow.moved(progress.up.len());
            if progress.up.is_empty() {
                self.stdin = None;
            }
        }
        Poll::Pending
    }

    /// Moves the script's output. Ready at the end.
    fn poll_down(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<End>> {
        let scratch = self.scratch;
        loop {
            if !self.progress.down.is_empty() {
                let down = std::mem::take(&mut self.progress.down);
                ready!(self.progress.offer(con, cx, &down))?;
            }
            if self.progress.no_more {
                // Without a length, only the exit of the script tells whether that was all. It may also keep running.
                if self.progress.left != Some(0) && !self.has_ended(cx) {
                    self.progress.closed.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
                return Poll::Ready(self.end(con, cx));
            }
            let mut piece = scratch.borrow_mut();
            let read = ready!(pin!(self.stdout.read_with(|mut pipe| pipe.read(&mut piece))).poll(cx));
            // An error counts as the end.
            let output = piece.get(..read.unwrap_or(0)).unwrap_or_default();
            if output.is_empty() {
                self.progress.no_more = true;
                continue;
            }
            self.progress.count(output.len());
            let Some(head) = &mut self.progress.head else {
                ready!(self.progress.pass(con, cx, output))?;
                continue;
            };
            match head.push(output) {
                Ok(true) => {
                    if let Some(end) = self.begin(con, cx)? {
                        return Poll::Ready(Ok(end));
                    }
                }
                Ok(false) => {}
                Err(bad) => return Poll::Ready(Ok(End::Bad(bad))),
            }
        }
    }

    /// The output has ended, which may also end the head.
    fn end(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Result<End> {
        if let Some(ended) = self.progress.killed.filter(|_| self.progress.left != Some(0)) {
            return Ok(End::Killed { ended, begun: self.progress.head.is_none() });
        }
        if let Some(head) = &mut self.progress.head {
            if let Err(bad) = head.end() {
                return Ok(End::Bad(bad));
            }
            if let Some(end) = self.begin(con, cx)? {
                return Ok(end);
            }
        }
        Ok(self.progress.lack().map_or(End::Output, End::Short))
    }

    /// Begins the response, once the script's head is there. Returns an end if there is nothing to send.
    fn begin(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Result<Option<End>> {
        let Some(collector) = self.progress.head.take() else { return Ok(None) };
        let (head, body) = match collector.parse() {
            Ok(parsed) => parsed,
            Err(bad) => return Ok(Some(End::Bad(bad))),
        };
        if let Some(place) = head.local() {
            return Ok(Some(End::Local(place.to_owned())));
        }
        set_head(con, &head, &self.name)?;
        // Without a body there is nothing to count (RFC 9110 §6.4.1).
        if !self.progress.head_only && !matches!(head.status, Some((204 | 304, _))) {
            self.progress.left = head.length;
            self.progress.chunked = head.chunked.then(Chunked::default);
        }
        let _ = con.poll_send(cx, b"")?;
        let _ = self.progress.pass(con, cx, body)?;
        Ok(None)
    }
}

impl RelayProgress {
    /// Counts output.
    fn count(&mut self, n: usize) {
        if let Some(left) = &mut self.after_end {
            *left = left.saturating_sub(n);
            self.no_more |= *left == 0;
        } else {
            self.moved = Instant::now();
        }
    }

    /// What is missing, if the output ends here.
    fn lack(&self) -> Option<&'static str> {
        let promised = self.left.is_some_and(|left| left > 0).then_some("sent less than its Content-Length");
        let ended = self.chunked.is_some().then_some("last chunk missing");
        self.broken.or(promised).or(ended)
    }

    /// Sends output, but no more than its `Content-Length`: many scripts do not count their last newline.
    fn pass(&mut self, con: &mut Connection, cx: &mut Context<'_>, output: &[u8]) -> Poll<Result<()>> {
        if self.chunked.is_some() {
            let payload = self.take_off_chunks(output);
            return self.offer(con, cx, &payload);
        }
        let Some(left) = &mut self.left else { return self.offer(con, cx, output) };
        let wanted = output.get(..usize::try_from(*left).unwrap_or(usize::MAX)).unwrap_or(output);
        *left -= wanted.len() as u64;
        self.no_more |= wanted.len() < output.len();
        self.offer(con, cx, wanted)
    }

    /// Decodes chunks. After the last one, or a malformed one, nothing more is sent.
    fn take_off_chunks(&mut self, mut output: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        while let Some(chunked) = &mut self.chunked {
            match chunked.take(&mut output) {
                Ok([]) if chunked.is_done() => {
                    self.left = Some(0);
                    self.no_more = true;
                    self.chunked = None;
                }
                Ok([]) => break,
                Ok(piece) => payload.extend_from_slice(piece),
                Err(bad) => {
                    self.broken = Some(bad.reason());
                    self.no_more = true;
                    break;
                }
            }
        }
        payload
    }

    /// Sends as much as there is room for, and keeps the rest.
    fn offer(&mut self, con: &mut Connection, cx: &mut Context<'_>, mut output: &[u8]) -> Poll<Result<()>> {
        while !output.is_empty() {
            let sent = con.poll_send(cx, output)?;
            if sent.is_pending() {
                self.on_client = true;
                self.takes.wait(Instant::now());
                self.down.extend_from_slice(output);
            }
            let sent = ready!(sent);
            self.takes.came(sent, Instant::now());
            self.slow.moved(sent);
            self.held = None;
            output = output.get(sent..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }
}
