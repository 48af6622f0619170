//! The one connection to ubusd, shared by all requests: calls, known objects, subscriptions.
//!
//! It is opened when it is first needed, and again after ubusd was restarted. Calls in flight when it breaks fail: they are
//! not repeated, as they may have had their effect. A task owns the socket, sends queued messages, and dispatches received
//! ones.

use super::blob::{Value, Writer, field};
use super::budget::ReplyBudget;
use super::calls::{CallError, Calls, Ending, Reply};
use super::feed::{Feed, Feeds};
use super::message::{self, Message, Status, attr, find, kind, status};
use crate::daemon::context::said;
use crate::daemon::log;
use ecohttpd::{AsyncFd, yield_now};
use socket2::{Domain, SockAddr, Socket, Type};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Most objects whose ids are cached.
const MAX_KNOWN: usize = 64;

/// The object that manages sessions.
const SESSION: &[u8] = b"session";

/// Most bytes read at once.
const READ: usize = 16 << 10;

/// Reads before other tasks get a turn.
const READS: u32 = 16;

/// Capacity that the read buffer keeps when it is empty.
const KEEP: usize = 64 << 10;

/// The connection to ubusd.
pub struct BusClient {
    socket: PathBuf,
    /// How long ubusd may read nothing.
    timeout: Duration,
    calls: RefCell<Calls>,
    feeds: Feeds,
    known: RefCell<Vec<(Box<[u8]>, u32)>>,
    /// A task runs and owns a socket.
    connected: Cell<bool>,
    /// It has been logged that ubusd can't be reached.
    outage: Cell<bool>,
}

impl BusClient {
    pub fn new(socket: PathBuf, timeout: Duration) -> Rc<BusClient> {
        Rc::new(BusClient {
            socket,
            timeout,
            calls: RefCell::default(),
            feeds: Feeds::default(),
            known: RefCell::default(),
            connected: Cell::new(false),
            outage: Cell::new(false),
        })
    }

    /// Closes the connection, and ends its task.
    pub fn close(&self) {
        self.calls.borrow_mut().end(Ending::Closed);
    }

    /// A budget for the replies that one request holds.
    pub fn budget(&self) -> Rc<ReplyBudget> {
        self.calls.borrow().budget()
    }

    /// The id of an object, from the cache or from ubusd.
    pub async fn object(self: &Rc<Self>, path: &[u8]) -> Result<u32, CallError> {
        let known = self.known.borrow().iter().find(|(known, _)| **known == *path).map(|(_, id)| *id);
        match known {
            Some(id) => Ok(id),
            None => self.look_up(path).await,
        }
    }

    /// Asks ubusd for an object of exactly this name. ubusd would take a trailing star as a pattern.
    pub async fn look_up(self: &Rc<Self>, path: &[u8]) -> Result<u32, CallError> {
        if path.ends_with(b"*") {
            return Err(CallError::NoObject);
        }
        let reply = self.list(Some(path), None).await?;
        let row = reply.data.rows().find(|row| find(row, attr::OBJECT_PATH).and_then(|attr| attr.text()) == Some(path));
        let id = row.and_then(|row| find(row, attr::OBJECT)?.u32()).ok_or(CallError::NoObject)?;
        let mut known = self.known.borrow_mut();
        known.retain(|(known, _)| **known != *path);
        if known.len() == MAX_KNOWN {
            // Every call needs the session object.
            let oldest = known.iter().position(|(known, _)| **known != *SESSION);
            known.remove(oldest.unwrap_or(0));
        }
        known.push((path.into(), id));
        Ok(id)
    }

    /// The objects that match a name or pattern, or all.
    pub async fn list(
        self: &Rc<Self>,
        pattern: Option<&[u8]>,
        budget: Option<&Rc<ReplyBudget>>,
    ) -> Result<Reply, CallError> {
        self.ask(kind::LOOKUP, 0, budget, &|writer| {
            if let Some(pattern) = pattern {
                writer.attr_text(attr::OBJECT_PATH, pattern);
            }
        })
        .await
    }

    /// Calls a method of an object by its id. If the object has a new id by now, calls it by that.
    pub async fn invoke(
        self: &Rc<Self>,
        path: &[u8],
        id: u32,
        method: &[u8],
        budget: Option<&Rc<ReplyBudget>>,
        arguments: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Reply, CallError> {
        let reply = self.invoke_id(id, method, budget, arguments).await?;
        if reply.status != status::NOT_FOUND || reply.from_object {
            return Ok(reply);
        }
        // ubusd does not know the id: its owner was restarted. The call reached nobody, so it can be repeated.
        self.known.borrow_mut().retain(|(_, known)| *known != id);
        self.invoke_id(self.look_up(path).await?, method, budget, arguments).await
    }

    async fn invoke_id(
        self: &Rc<Self>,
        id: u32,
        method: &[u8],
        budget: Option<&Rc<ReplyBudget>>,
        arguments: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Reply, CallError> {
        self.ask(kind::INVOKE, id, budget, &|writer| {
            writer.attr_u32(attr::OBJECT, id);
            writer.attr_text(attr::METHOD, method);
            let data = writer.open(attr::DATA);
            arguments(writer);
            writer.close(data);
        })
        .await
    }

    /// Whether a session may call this method of this object. The result is not cached.
    pub async fn allows(self: &Rc<Self>, sid: &[u8], object: &[u8], method: &[u8]) -> Result<bool, CallError> {
        let id = match self.object(SESSION).await {
            Err(CallError::NoObject) => return Ok(false),
            id => id?,
        };
        let arguments = |writer: &mut Writer<'_>| {
            writer.text(b"ubus_rpc_session", sid);
            writer.text(b"object", object);
            writer.text(b"function", method);
        };
        let reply = match self.invoke(SESSION, id, b"access", None, &arguments).await {
            Err(CallError::NoObject) => return Ok(false),
            reply => reply?,
        };
        Ok(reply.status == status::OK && field(reply.data.fields(), "access") == Some(Value::Bool(true)))
    }

    /// Subscribes to the events of an object.
    pub async fn subscribe(self: &Rc<Self>, path: &[u8]) -> Result<Result<Subscription, Status>, CallError> {
        let target = self.look_up(path).await?;
        let added = self.ask(kind::ADD_OBJECT, 0, None, &|_| ()).await?;
        if added.status != status::OK {
            return Ok(Err(added.status));
        }
        let own = added.data.rows().find_map(|row| find(row, attr::OBJECT)?.u32());
        let Some(own) = own else { return Ok(Err(status::UNKNOWN)) };
        let subscription = Subscription { client: Rc::clone(self), own, feed: self.feeds.open(own) };
        let both = |writer: &mut Writer<'_>| {
            writer.attr_u32(attr::OBJECT, own);
            writer.attr_u32(attr::TARGET, target);
        };
        Ok(match self.ask(kind::SUBSCRIBE, 0, None, &both).await?.status {
            status::OK => Ok(subscription),
            status => Err(status),
        })
    }

    /// Sends a message and waits for its reply. If the future is dropped, the call is abandoned.
    async fn ask(
        self: &Rc<Self>,
        kind: u8,
        peer: u32,
        budget: Option<&Rc<ReplyBudget>>,
        write: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Reply, CallError> {
        poll_fn(|cx| self.calls.borrow_mut().poll_room(cx, kind, peer)).await;
        self.connect()?;
        let seq = self.calls.borrow_mut().send(kind, peer, budget, write).ok_or(CallError::TooLong)?;
        PendingReply { client: self, seq }.await
    }

    /// Connects, if necessary. It does not wait: if the queue of ubusd is full, ubusd counts as unreachable.
    fn connect(self: &Rc<Self>) -> Result<(), CallError> {
        if self.connected.get() {
            return Ok(());
        }
        match connect(&self.socket).and_then(AsyncFd::new) {
            Ok(socket) => {
                self.connected.set(true);
                ecohttpd::spawn(Rc::clone(self).run(socket)).detach();
                Ok(())
            }
            Err(error) => {
                self.out_of_reach(&error);
                Err(CallError::Unreachable)
            }
        }
    }

    /// Logs that ubusd can't be reached, once per outage.
    fn out_of_reach(&self, error: &io::Error) {
        if !self.outage.replace(true) {
            log::warn!("cannot reach ubusd at {}: {error}", self.socket.display());
        }
    }

    /// Moves bytes both ways until the connection ends.
    async fn run(self: Rc<Self>, socket: AsyncFd<UnixStream>) {
        let mut connected = Connected { client: &self, error: None };
        let mut reading = pin!(self.read(&socket));
        let mut writing = pin!(self.write(&socket));
        connected.error = poll_fn(|cx| {
            let ending = self.calls.borrow_mut().poll_ending(cx);
            match ending {
                Poll::Ready(Ending::Closed) => return Poll::Ready(None),
                Poll::Ready(Ending::Overdue) => {
                    return Poll::Ready(Some(said(ErrorKind::Other, "too many unanswered calls".into())));
                }
                Poll::Pending => {}
            }
            match reading.as_mut().poll(cx) {
                Poll::Ready(error) => Poll::Ready(Some(error)),
                Poll::Pending => writing.as_mut().poll(cx).map(Some),
            }
        })
        .await;
    }

    async fn read(&self, socket: &AsyncFd<UnixStream>) -> io::Error {
        let mut inbox = Vec::new();
        let mut reads = 0;
        loop {
            let before = inbox.len();
            inbox.resize(before + READ, 0);
            let into = inbox.get_mut(before..).unwrap_or_default();
            match socket.read_with(|mut stream| stream.read(into)).await {
                Ok(0) => return ErrorKind::UnexpectedEof.into(),
                Ok(n) => inbox.truncate(before + n),
                Err(error) => return error,
            }
            match self.receive_all(&inbox) {
                Ok(used) => drop(inbox.drain(..used)),
                Err(what) => return said(ErrorKind::InvalidData, what.into()),
            }
            if inbox.is_empty() {
                inbox.shrink_to(KEEP);
            }
            reads += 1;
            if reads % READS == 0 {
                yield_now().await;
            }
        }
    }

    /// Sends queued messages. If ubusd does not read them, it counts as gone.
    async fn write(&self, socket: &AsyncFd<UnixStream>) -> io::Error {
        loop {
            poll_fn(|cx| self.calls.borrow_mut().poll_outbox(cx)).await;
            // The outbox may change while this waits: abandoned calls are removed from it.
            let write = socket.write_with(|mut stream| stream.write(self.calls.borrow().outbox()));
            match ecohttpd::timeout(self.timeout, write).await {
                Ok(Ok(count)) => self.calls.borrow_mut().written(count),
                Ok(Err(error)) => return error,
                Err(_) => return ErrorKind::TimedOut.into(),
            }
        }
    }

    /// The connection has ended, and all that depends on it.
    fn lost(&self, error: Option<io::Error>) {
        if let Some(error) = error {
            self.out_of_reach(&error);
        }
        self.connected.set(false);
        self.known.take();
        self.feeds.end_all();
        self.calls.borrow_mut().fail_all();
    }

    /// Handles all complete messages. Returns their length in bytes.
    fn receive_all(&self, inbox: &[u8]) -> Result<usize, &'static str> {
        let mut rest = inbox;
        while let Some((message, length)) = message::first(rest)? {
            match message.kind {
                kind::HELLO if self.outage.replace(false) => log::info!("connected to ubusd again"),
                kind::DATA => self.calls.borrow_mut().receive_data(&message),
                kind::STATUS => self.calls.borrow_mut().receive_status(&message),
                kind::INVOKE => self.receive_event(&message),
                kind::UNSUBSCRIBE => self.feeds.end(message.u32(attr::OBJECT)),
                _ => {}
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(inbox.len() - rest.len())
    }

    fn receive_event(&self, message: &Message<'_>) {
        let Some(own) = message.u32(attr::OBJECT) else { return };
        let known = self.feeds.receive(own, message);
        let is_quiet = message.attr(attr::NO_REPLY).is_some_and(|attr| attr.content.first() != Some(&0));
        if !is_quiet {
            let status = if known { status::OK } else { status::NOT_FOUND };
            self.calls.borrow_mut().answer_event(message, own, status);
        }
    }
}

/// Connects to ubusd. It does not wait: if the queue of ubusd is full, ubusd counts as unreachable.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

/// A connection, until its task ends in any way.
struct Connected<'a> {
    client: &'a BusClient,
    /// What ended it, if that was an error.
    error: Option<io::Error>,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.client.lost(self.error.take());
    }
}

/// Waits for the reply to one message.
struct PendingReply<'a> {
    client: &'a BusClient,
    seq: u16,
}

impl Future for PendingReply<'_> {
    type Output = Result<Reply, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.client.calls.borrow_mut().poll_answer(self.seq, cx)
    }
}

impl Drop for PendingReply<'_> {
    fn drop(&mut self) {
        self.client.calls.borrow_mut().abandon(self.seq);
    }
}

/// A subscription to the events of one object, until it is dropped.
pub struct Subscription {
    client: Rc<BusClient>,
    own: u32,
    feed: Rc<RefCell<Feed>>,
}

impl Subscription {
    /// Waits for events; `None` when there will be no more.
    pub async fn next(&self) -> Option<Vec<u8>> {
        poll_fn(|cx| self.feed.borrow_mut().poll_next(cx)).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The object ends with its connection. On the next one its id may belong to another.
        if self.client.feeds.close(&self.feed) {
            self.client.calls.borrow_mut().remove_object(self.own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// If its task panics, waiting calls fail, and the next call connects again.
    #[test]
    fn however_a_connection_ends_it_is_over() {
        let client = BusClient::new(PathBuf::from("nowhere"), Duration::from_secs(1));
        client.connected.set(true);
        let feed = client.feeds.open(7);
        let seq = client.calls.borrow_mut().send(kind::LOOKUP, 0, None, &|_| ()).unwrap();
        let task = std::panic::AssertUnwindSafe(|| {
            let _connected = Connected { client: &client, error: None };
            panic!("as the task may");
        });
        assert!(std::panic::catch_unwind(task).is_err());
        let cx = &Context::from_waker(Waker::noop());
        assert!(matches!(client.calls.borrow_mut().poll_answer(seq, cx), Poll::Ready(Err(CallError::Unreachable))));
        assert!(matches!(feed.borrow_mut().poll_next(cx), Poll::Ready(None)));
        assert!(!client.connected.get() && !client.outage.get());
    }
}
