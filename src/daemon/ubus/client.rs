//! The one connection to ubusd, shared by all requests: calls, known objects, subscriptions.
//!
//! It is made when it is first needed, and again when ubusd has gone and come back. What is in flight when it breaks
//! fails; nothing is sent twice, as a call may have had its effect. A task of the loop owns the socket: it sends what
//! gathers, and gives what arrives to whoever waits for it.

use super::account::Account;
use super::blob::{Value, Writer, field};
use super::calls::{Calls, Ending, Failure, Reply};
use super::feed::{Feed, Feeds};
use super::message::{self, Message, Status, attr, find, kind, status};
use ecohttpd::AsyncFd;
use socket2::{Domain, SockAddr, Socket, Type};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Objects whose ids are kept.
const MAX_KNOWN: usize = 64;

/// The object that knows the sessions.
const SESSION: &[u8] = b"session";

/// Bytes read at once.
const READ: usize = 16 << 10;

/// Reads before others get their turn.
const READS: u32 = 16;

/// Capacity that the buffer of what is read keeps when it is empty.
const KEEP: usize = 64 << 10;

/// The connection to ubusd.
pub struct Client {
    socket: PathBuf,
    /// How long ubusd may read nothing of what is sent to it.
    timeout: Duration,
    calls: RefCell<Calls>,
    feeds: Feeds,
    known: RefCell<Vec<(Box<[u8]>, u32)>>,
    /// A task owns a socket.
    connected: Cell<bool>,
    /// That ubusd cannot be reached has been logged.
    outage: Cell<bool>,
}

impl Client {
    pub fn new(socket: PathBuf, timeout: Duration) -> Rc<Client> {
        Rc::new(Client {
            socket,
            timeout,
            calls: RefCell::default(),
            feeds: Feeds::default(),
            known: RefCell::default(),
            connected: Cell::new(false),
            outage: Cell::new(false),
        })
    }

    /// Ends the connection, and its task.
    pub fn close(&self) {
        self.calls.borrow_mut().end(Ending::Closed);
    }

    /// An account for the replies that one request holds.
    pub fn account(&self) -> Rc<Account> {
        self.calls.borrow().account()
    }

    /// The id of an object, as it is known or as ubusd says.
    pub async fn object(self: &Rc<Self>, path: &[u8]) -> Result<u32, Failure> {
        let known = self.known.borrow().iter().find(|(known, _)| **known == *path).map(|(_, id)| *id);
        match known {
            Some(id) => Ok(id),
            None => self.look_up(path).await,
        }
    }

    /// Asks ubusd for an object of exactly this name: it would take a star at the end for a pattern.
    pub async fn look_up(self: &Rc<Self>, path: &[u8]) -> Result<u32, Failure> {
        if path.ends_with(b"*") {
            return Err(Failure::NoObject);
        }
        let reply = self.list(Some(path), None).await?;
        let row = reply.data.rows().find(|row| find(row, attr::OBJECT_PATH).and_then(|attr| attr.text()) == Some(path));
        let id = row.and_then(|row| find(row, attr::OBJECT)?.u32()).ok_or(Failure::NoObject)?;
        let mut known = self.known.borrow_mut();
        known.retain(|(known, _)| **known != *path);
        if known.len() == MAX_KNOWN {
            // Every call needs this one.
            let oldest = known.iter().position(|(known, _)| **known != *SESSION);
            known.remove(oldest.unwrap_or(0));
        }
        known.push((path.into(), id));
        Ok(id)
    }

    /// The objects of that name or pattern, or all.
    pub async fn list(
        self: &Rc<Self>,
        pattern: Option<&[u8]>,
        account: Option<&Rc<Account>>,
    ) -> Result<Reply, Failure> {
        self.ask(kind::LOOKUP, 0, account, &|writer| {
            if let Some(pattern) = pattern {
                writer.attr_text(attr::OBJECT_PATH, pattern);
            }
        })
        .await
    }

    /// Calls a method of the object that has or had this id; when it has another by now, that one's.
    pub async fn invoke(
        self: &Rc<Self>,
        path: &[u8],
        id: u32,
        method: &[u8],
        account: Option<&Rc<Account>>,
        arguments: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Reply, Failure> {
        let reply = self.invoke_id(id, method, account, arguments).await?;
        if reply.status != status::NOT_FOUND || reply.from_object {
            return Ok(reply);
        }
        // ubusd knows no such id: its owner was restarted. The call reached nobody, so it may be made again.
        self.known.borrow_mut().retain(|(_, known)| *known != id);
        self.invoke_id(self.look_up(path).await?, method, account, arguments).await
    }

    async fn invoke_id(
        self: &Rc<Self>,
        id: u32,
        method: &[u8],
        account: Option<&Rc<Account>>,
        arguments: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Reply, Failure> {
        self.ask(kind::INVOKE, id, account, &|writer| {
            writer.attr_u32(attr::OBJECT, id);
            writer.attr_text(attr::METHOD, method);
            let data = writer.open(attr::DATA);
            arguments(writer);
            writer.close(data);
        })
        .await
    }

    /// Whether a session may call this method of this object; asked each time.
    pub async fn allows(self: &Rc<Self>, sid: &[u8], object: &[u8], method: &[u8]) -> Result<bool, Failure> {
        let id = match self.object(SESSION).await {
            Err(Failure::NoObject) => return Ok(false),
            id => id?,
        };
        let arguments = |writer: &mut Writer<'_>| {
            writer.text(b"ubus_rpc_session", sid);
            writer.text(b"object", object);
            writer.text(b"function", method);
        };
        let reply = match self.invoke(SESSION, id, b"access", None, &arguments).await {
            Err(Failure::NoObject) => return Ok(false),
            reply => reply?,
        };
        Ok(reply.status == status::OK && field(reply.data.fields(), "access") == Some(Value::Bool(true)))
    }

    /// Has the events of an object delivered to a feed.
    pub async fn subscribe(self: &Rc<Self>, path: &[u8]) -> Result<Result<Subscription, Status>, Failure> {
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

    /// Sends a message and waits for its answer. Dropped, it gives the call up.
    async fn ask(
        self: &Rc<Self>,
        kind: u8,
        peer: u32,
        account: Option<&Rc<Account>>,
        write: &dyn Fn(&mut Writer<'_>),
    ) -> Result<Reply, Failure> {
        poll_fn(|cx| self.calls.borrow_mut().poll_room(cx, kind, peer)).await;
        self.connect()?;
        let seq = self.calls.borrow_mut().send(kind, peer, account, write).ok_or(Failure::TooLong)?;
        Asked { client: self, seq }.await
    }

    /// Sees to it that there is a connection. It does not wait: a ubusd whose queue is full counts as away.
    fn connect(self: &Rc<Self>) -> Result<(), Failure> {
        if self.connected.get() {
            return Ok(());
        }
        match self.open().and_then(AsyncFd::new) {
            Ok(socket) => {
                self.connected.set(true);
                ecohttpd::spawn(Rc::clone(self).run(socket)).detach();
                Ok(())
            }
            Err(error) => {
                self.out_of_reach(&error);
                Err(Failure::Unreachable)
            }
        }
    }

    /// Says so, once for each time that ubusd is away.
    fn out_of_reach(&self, error: &io::Error) {
        if !self.outage.replace(true) {
            log::warn!("cannot reach ubusd at {}: {error}", self.socket.display());
        }
    }

    fn open(&self) -> io::Result<UnixStream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(&self.socket)?)?;
        Ok(UnixStream::from(OwnedFd::from(socket)))
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
                Poll::Ready(Ending::Overdue) => return Poll::Ready(Some(io::Error::other("too many answers are due"))),
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
                Err(what) => return io::Error::new(ErrorKind::InvalidData, what),
            }
            if inbox.is_empty() {
                inbox.shrink_to(KEEP);
            }
            reads += 1;
            if reads % READS == 0 {
                let_others().await;
            }
        }
    }

    /// Sends what gathers. A ubusd that does not take it is as good as away.
    async fn write(&self, socket: &AsyncFd<UnixStream>) -> io::Error {
        loop {
            poll_fn(|cx| self.calls.borrow_mut().poll_outbox(cx)).await;
            // Each time as it is by then: calls that were given up have been taken out.
            let write = socket.write_with(|mut stream| stream.write(self.calls.borrow().outbox()));
            match ecohttpd::timeout(self.timeout, write).await {
                Ok(Ok(count)) => self.calls.borrow_mut().written(count),
                Ok(Err(error)) => return error,
                Err(_) => return ErrorKind::TimedOut.into(),
            }
        }
    }

    /// The connection has ended: so has all that needed it.
    fn lost(&self, error: Option<io::Error>) {
        if let Some(error) = error {
            self.out_of_reach(&error);
        }
        self.connected.set(false);
        self.known.take();
        self.feeds.end_all();
        self.calls.borrow_mut().fail_all();
    }

    /// Takes every whole message; returns how many bytes those were.
    fn receive_all(&self, inbox: &[u8]) -> Result<usize, &'static str> {
        let mut rest = inbox;
        while let Some((message, length)) = message::first(rest)? {
            match message.kind {
                kind::HELLO if self.outage.replace(false) => log::info!("ubusd answers again"),
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

/// A connection, until its task ends in whatever way.
struct Connected<'a> {
    client: &'a Client,
    /// What ended it, unless we did.
    error: Option<io::Error>,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.client.lost(self.error.take());
    }
}

/// Waits for the answer to one message.
struct Asked<'a> {
    client: &'a Client,
    seq: u16,
}

impl Future for Asked<'_> {
    type Output = Result<Reply, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.client.calls.borrow_mut().poll_answer(self.seq, cx)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.client.calls.borrow_mut().abandon(self.seq);
    }
}

/// The events of one object, as long as this lives.
pub struct Subscription {
    client: Rc<Client>,
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
        // With the connection its objects are gone, and on another the number may be somebody else's.
        if self.client.feeds.close(&self.feed) {
            self.client.calls.borrow_mut().remove_object(self.own);
        }
    }
}

/// Ends a turn.
async fn let_others() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Should its task panic, the next call makes another connection, and whoever waits is told.
    #[test]
    fn however_a_connection_ends_it_is_over() {
        let client = Client::new(PathBuf::from("nowhere"), Duration::from_secs(1));
        client.connected.set(true);
        let feed = client.feeds.open(7);
        let seq = client.calls.borrow_mut().send(kind::LOOKUP, 0, None, &|_| ()).unwrap();
        let task = std::panic::AssertUnwindSafe(|| {
            let _connected = Connected { client: &client, error: None };
            panic!("as the task may");
        });
        assert!(std::panic::catch_unwind(task).is_err());
        let cx = &Context::from_waker(Waker::noop());
        assert!(matches!(client.calls.borrow_mut().poll_answer(seq, cx), Poll::Ready(Err(Failure::Unreachable))));
        assert!(matches!(feed.borrow_mut().poll_next(cx), Poll::Ready(None)));
        assert!(!client.connected.get() && !client.outage.get());
    }
}
