//! Bytes between the client and a running script, both ways at once, in bounded memory.

use super::errors::Escaped;
use super::head::{Bad, Collector};
use super::process::Process;
use super::slow::{SLOW_AFTER, SlowClient};
use super::upload::Pace;
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

/// Bytes that are moved at a time, in either direction.
pub const PIECE: usize = 16 << 10;

/// How long after a script's end others that hold its output are waited for: long enough to notice what was written. And
/// how long, after its output's end, it is waited for itself, as that tells whether the output is whole.
const LINGER: Duration = Duration::from_millis(300);

/// Bytes that are taken after a script's end: no pipe holds more, so all that it wrote is among them.
const LEFT_BEHIND: usize = 1 << 20;

/// The status of a reply that names none, but a `Location` (RFC 3875 §6.2.3).
const FOUND: u16 = 302;

/// How the exchange between client and script ended.
pub enum End {
    /// With the end of the script's output, all of which was sent.
    Output,
    /// With less output than its head told of, or with broken chunks: what there is was sent, and this is wrong.
    Short(&'static str),
    /// With a redirection to another place of ours.
    Local(String),
    /// In front of the reply, for what came is none.
    Bad(Bad),
    /// With the signal that ended the script; whether the reply had begun.
    Killed { signal: i32, begun: bool },
    /// The script did nothing for too long, or the client sent too little; whether the reply had begun.
    Overdue { begun: bool, client: bool },
}

/// A running script and the ends of its pipes that are ours.
pub struct Relay<'a> {
    /// The script and its client, for the log.
    pub name: &'a str,
    pub process: Process,
    /// Gone once the body has ended, or the script takes no more of it.
    pub stdin: Option<AsyncFd<PipeWriter>>,
    pub stdout: AsyncFd<PipeReader>,
    pub timeout: Duration,
    pub scratch: &'a RefCell<Vec<u8>>,
    pub state: State,
}

/// How far it has come.
pub struct State {
    /// The reply has no body, whatever the script sends: it answers HEAD.
    pub head_only: bool,
    /// Bytes of the body, and how many of them the script has.
    up: Vec<u8>,
    up_at: usize,
    /// The reply's head, until it is sent.
    head: Option<Collector>,
    /// Output that the client had no room for.
    down: Vec<u8>,
    /// What the script's `Content-Length` leaves to be sent; 0, too, once its last chunk was.
    left: Option<u64>,
    /// Its chunks, while they are taken off: how the client gets them is not the script's to say.
    chunked: Option<Chunked>,
    /// What is wrong with them.
    broken: Option<&'static str>,
    /// When a byte moved last, or the script ended.
    moved: Instant,
    /// The client is to move next, which is for the server's timeouts.
    on_client: bool,
    /// The script has ended; so many bytes are still taken.
    after_end: Option<usize>,
    /// The signal that ended it.
    killed: Option<i32>,
    /// What else comes out is not for the client.
    no_more: bool,
    /// When that was found though the script went on.
    closed: Option<Instant>,
    /// How the client's body comes.
    gives: Pace,
    /// How the client takes the output.
    takes: Pace,
    slow: Rc<SlowClient>,
    /// Since when the client is waited for, and how long it was before that.
    waits: Option<Instant>,
    waited: Duration,
    /// When the place is given up if the client does not move; `None` once that was done.
    gives_up: Option<Duration>,
    /// Bytes of it that were on their way when its time was up, since it last took any of us.
    held: Option<u64>,
}

impl State {
    /// A script that was just started, for whose timeout a client is waited for; and what of the body is there.
    pub fn new(up: Vec<u8>, timeout: Duration, client: Option<IpAddr>) -> State {
        let now = Instant::now();
        State {
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
            gives: Pace::new(timeout),
            takes: Pace::new(timeout),
            slow: Rc::new(SlowClient::new(client, now)),
            waits: None,
            waited: Duration::ZERO,
            gives_up: Some(SLOW_AFTER),
            held: None,
        }
    }

    /// Counts the time that the client is waited for.
    fn count_waiting(&mut self, now: Instant) {
        if self.on_client {
            self.waits.get_or_insert(now);
        } else if let Some(since) = self.waits.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// When the place is to be given up, if the client still does not move.
    fn gives_up_at(&self) -> Option<Instant> {
        let left = self.gives_up.filter(|_| self.after_end.is_none())?.saturating_sub(self.waited);
        self.waits.map(|since| since + left)
    }
}

impl Relay<'_> {
    /// Moves bytes until one of the ends comes.
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
                    if self.gives_up_place(now) {
                        continue;
                    }
                    if self.is_taken(con, now) {
                        continue;
                    }
                    return Poll::Ready(self.overdue(con, cx, now));
                }
                // A later deadline is looked at when the timer is due.
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

    /// Leaves the script to itself: it may have work that goes on after its reply.
    pub fn leave(self) {
        // Nobody is to wait for us any more.
        drop((self.stdin, self.stdout));
        self.process.leave();
    }

    fn deadline(&self, now: Instant) -> Instant {
        let state = &self.state;
        let allowed = if state.after_end.is_some() { LINGER } else { self.timeout };
        let scripts = if state.on_client { now } else { state.moved } + allowed;
        let others =
            [state.gives.deadline(), self.taken_by(), state.gives_up_at(), state.closed.map(|since| since + LINGER)];
        others.into_iter().flatten().fold(scripts, Instant::min)
    }

    /// Leaves the place to others once the script has waited for its client for long; true if it was time to try that.
    fn gives_up_place(&mut self, now: Instant) -> bool {
        let state = &mut self.state;
        if state.gives_up_at().is_none_or(|at| at > now) {
            return false;
        }
        let given_up = self.process.place().is_none_or(|place| place.give_up(&state.slow, now));
        // Else later: others may have left by then.
        state.gives_up = state.gives_up.filter(|_| !given_up).map(|after| after + SLOW_AFTER);
        true
    }

    /// When the client has to have taken more: one that reads slowly may do so once its script holds no place.
    fn taken_by(&self) -> Option<Instant> {
        self.state.takes.deadline().filter(|_| self.state.after_end.is_none())
    }

    /// Counts what the client took of what the kernel holds for it, when it took nothing of us for long; true: that is
    /// enough. The kernel takes more of us in lumps, of megabytes for a client that was fast before.
    fn is_taken(&mut self, con: &Connection, now: Instant) -> bool {
        if self.taken_by().is_none_or(|deadline| deadline > now) {
            return false;
        }
        let held = con.undelivered();
        // What it took before the first look is not known: the time counts from there.
        let taken = self.state.held.replace(held).map_or(u64::MAX, |before| before.saturating_sub(held));
        self.state.takes.came(usize::try_from(taken).unwrap_or(usize::MAX), now);
        self.state.takes.wait(now);
        self.taken_by().is_none_or(|deadline| deadline > now)
    }

    fn overdue(&mut self, con: &mut Connection, cx: &mut Context<'_>, now: Instant) -> Result<End> {
        if self.taken_by().is_some_and(|deadline| deadline <= now) {
            let seconds = self.timeout.as_secs();
            log::error!("{}: its client took less than 1 KiB/s of the reply for {seconds} s", self.name);
            return Err(Error::Timeout);
        }
        if self.state.after_end.is_some() || self.state.closed.is_some_and(|since| since + LINGER <= now) {
            return self.end(con, cx);
        }
        let client = self.state.gives.deadline().is_some_and(|deadline| deadline <= now);
        Ok(End::Overdue { begun: self.state.head.is_none(), client })
    }

    fn poll(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<End>> {
        if self.state.slow.is_cut_off(cx.waker()) {
            log::warn!("{}: cut off: its client is slow, and too many other scripts wait for theirs", self.name);
            return Poll::Ready(Err(Error::Timeout));
        }
        self.state.on_client = false;
        if let Poll::Ready(Err(error)) = self.poll_up(con, cx) {
            return Poll::Ready(Err(error));
        }
        let down = self.poll_down(con, cx);
        if down.is_pending() {
            self.has_ended(cx);
        }
        self.state.count_waiting(Instant::now());
        down
    }

    /// Whether the script has ended; if not, its end is a reason to look again.
    fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        let state = &mut self.state;
        if state.after_end.is_none()
            && let Poll::Ready(ended) = self.process.poll_end(cx)
        {
            state.after_end = Some(LEFT_BEHIND);
            state.moved = Instant::now();
            state.killed = if let Ended::Killed(signal) = ended { Some(signal) } else { None };
        }
        state.after_end.is_some()
    }

    /// Moves the request's body; ready only with an error.
    fn poll_up(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let state = &mut self.state;
        while let Some(stdin) = &self.stdin {
            if let Some(waits) = state.up.get(state.up_at..).filter(|waits| !waits.is_empty()) {
                let written = ready!(pin!(stdin.write_with(|mut pipe| pipe.write(waits))).poll(cx));
                match written {
                    Ok(n) => state.up_at += n,
                    // It may answer without reading.
                    Err(_) => self.stdin = None,
                }
                state.moved = Instant::now();
                continue;
            }
            if state.up.capacity() > 2 * PIECE {
                // The beginning was more than is moved at a time from now on.
                state.up = Vec::new();
            }
            state.up.clear();
            state.up_at = 0;
            let read = con.poll_read_body(cx, &mut state.up, PIECE);
            if read.is_pending() {
                state.on_client = true;
                state.gives.wait(Instant::now());
            }
            ready!(read)?;
            state.gives.came(state.up.len(), Instant::now());
            state.slow.moved(state.up.len());
            if state.up.is_empty() {
                self.stdin = None;
            }
        }
        Poll::Pending
    }

    /// Moves the script's output; ready with an end.
    fn poll_down(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Poll<Result<End>> {
        let scratch = self.scratch;
        loop {
            if !self.state.down.is_empty() {
                let down = std::mem::take(&mut self.state.down);
                ready!(self.state.offer(con, cx, &down))?;
            }
            if self.state.no_more {
                // How the script ends tells whether that was all, where no length does. It may live on, too.
                if self.state.left != Some(0) && !self.has_ended(cx) {
                    self.state.closed.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
                return Poll::Ready(self.end(con, cx));
            }
            let mut piece = scratch.borrow_mut();
            let read = ready!(pin!(self.stdout.read_with(|mut pipe| pipe.read(&mut piece))).poll(cx));
            // A pipe that can't be read has ended.
            let output = piece.get(..read.unwrap_or(0)).unwrap_or_default();
            if output.is_empty() {
                self.state.no_more = true;
                continue;
            }
            self.state.count(output.len());
            let Some(head) = &mut self.state.head else {
                ready!(self.state.pass(con, cx, output))?;
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

    /// The output has ended; that may end the head, too.
    fn end(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Result<End> {
        if let Some(signal) = self.state.killed.filter(|_| self.state.left != Some(0)) {
            return Ok(End::Killed { signal, begun: self.state.head.is_none() });
        }
        if let Some(head) = &mut self.state.head {
            if let Err(bad) = head.end() {
                return Ok(End::Bad(bad));
            }
            if let Some(end) = self.begin(con, cx)? {
                return Ok(end);
            }
        }
        Ok(self.state.lack().map_or(End::Output, End::Short))
    }

    /// Begins the reply with the script's head, unless that is the end of it.
    fn begin(&mut self, con: &mut Connection, cx: &mut Context<'_>) -> Result<Option<End>> {
        let Some(collector) = self.state.head.take() else { return Ok(None) };
        let (head, body) = match collector.parse() {
            Ok(parsed) => parsed,
            Err(bad) => return Ok(Some(End::Bad(bad))),
        };
        if let Some(place) = head.local() {
            return Ok(Some(End::Local(place.to_owned())));
        }
        if let Some(status) = head.odd_status {
            log::warn!("{}: its Status is none, and passed over: {}", self.name, Escaped(status));
        }
        match head.status {
            Some((code, "")) => con.set_status(code)?,
            Some((code, reason)) => con.set_status_reason(code, reason)?,
            None if head.redirects() => con.set_status(FOUND)?,
            // What the caller has set: 200, or that of the error that this is the page of.
            None => {}
        }
        // The script's fields go before the configuration's of the same name, and beside its own.
        for (name, _) in &head.fields {
            con.remove_header(name)?;
        }
        for (name, value) in &head.fields {
            con.append_header_bytes(name, value)?;
        }
        if let Some(length) = head.length {
            con.add_header("content-length", length)?;
        }
        // Without a body there is nothing to be counted (RFC 9110 §6.4.1).
        if !self.state.head_only && !matches!(head.status, Some((204 | 304, _))) {
            self.state.left = head.length;
            self.state.chunked = head.chunked.then(Chunked::default);
        }
        let _ = con.poll_send(cx, b"")?;
        let _ = self.state.pass(con, cx, body)?;
        Ok(None)
    }
}

impl State {
    /// Notes that output came.
    fn count(&mut self, n: usize) {
        if let Some(left) = &mut self.after_end {
            *left = left.saturating_sub(n);
            self.no_more |= *left == 0;
        } else {
            self.moved = Instant::now();
        }
    }

    /// What is wrong with the end of a reply, if that is now.
    fn lack(&self) -> Option<&'static str> {
        let promised = self.left.is_some_and(|left| left > 0).then_some("it sent less than its Content-Length");
        let ended = self.chunked.is_some().then_some("its last chunk is missing");
        self.broken.or(promised).or(ended)
    }

    /// Sends output, as much as `Content-Length` promised and no more: many a script forgets to count its last newline.
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

    /// What is in the chunks; behind the last one, or in broken ones, nothing more is for the client.
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

    /// Sends what there is room for, and keeps the rest.
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
