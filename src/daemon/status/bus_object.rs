//! The object `ecohttpd` on ubus: one task connects, registers it, answers calls and sends events. When ubusd goes away, it
//! connects again. docs/ubus-object.md has the methods.

use super::report::ServerStatus;
use crate::daemon::events::{self, BusEvent};
use crate::daemon::ubus::blob::{Value, Writer, field, kind as blob_kind};
use crate::daemon::ubus::connect;
use crate::daemon::ubus::message::{self, Message, Status, attr, kind, status};
use ecohttpd::AsyncFd;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The name of the object.
const NAME: &[u8] = b"ecohttpd";

/// The pause before the first attempt to connect again, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// How long ubusd may read nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes read at once: calls are short.
const READ: usize = 4 << 10;

/// The object of ubusd itself that passes events on.
const EVENTS: u32 = 1;

/// The methods, in the order of the document.
const METHODS: [&str; 5] = ["status", "connections", "certificates", "reload", "close"];

/// What the object gives access to.
pub struct BusObject {
    pub status: Rc<ServerStatus>,
    /// Loads the configuration; false if something is wrong with it.
    pub reload: Box<dyn Fn() -> bool>,
}

/// Registers the object and serves it, for as long as the program runs.
pub async fn serve_on_bus(object: BusObject) {
    let mut pause = FIRST_PAUSE;
    loop {
        // No line of the log: there are systems without ubus, and a missing ubusd is said by `/ubus`.
        if let Ok(socket) = connect(&object.status.bus_socket()).and_then(AsyncFd::new) {
            let mut session = BusSession { object: &object, own: None, inbox: Vec::new(), outbox: Vec::new() };
            let _ = session.run(&socket).await;
            if session.own.is_some() {
                pause = FIRST_PAUSE;
            }
        }
        ecohttpd::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// One connection to ubusd.
struct BusSession<'a> {
    object: &'a BusObject,
    /// The id of the object, once it is registered.
    own: Option<u32>,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

/// What a session waits for.
enum Heard {
    Bytes(usize),
    Event(BusEvent),
}

impl BusSession<'_> {
    /// Serves until the connection ends.
    async fn run(&mut self, socket: &AsyncFd<UnixStream>) -> io::Result<()> {
        loop {
            while !self.outbox.is_empty() {
                let write = socket.write_with(|mut stream| stream.write(&self.outbox));
                let written = ecohttpd::timeout(PATIENCE, write).await.map_err(|_| ErrorKind::TimedOut)??;
                self.outbox.drain(..written);
            }
            match self.hear(socket).await? {
                Heard::Bytes(0) => return Ok(()),
                Heard::Bytes(_) => self.receive()?,
                Heard::Event(event) => self.send_event(&event),
            }
        }
    }

    /// Waits for bytes, and once the object is registered for events.
    async fn hear(&mut self, socket: &AsyncFd<UnixStream>) -> io::Result<Heard> {
        let is_registered = self.own.is_some();
        let before = self.inbox.len();
        self.inbox.resize(before + READ, 0);
        let into = self.inbox.get_mut(before..).unwrap_or_default();
        let heard = {
            let mut read = pin!(socket.read_with(|mut stream| stream.read(into)));
            let mut event = pin!(events::next());
            poll_fn(|cx| match read.as_mut().poll(cx) {
                Poll::Ready(read) => Poll::Ready(read.map(Heard::Bytes)),
                Poll::Pending if is_registered => event.as_mut().poll(cx).map(|event| Ok(Heard::Event(event))),
                Poll::Pending => Poll::Pending,
            })
            .await
        };
        let got = if let Ok(Heard::Bytes(count)) = heard { count } else { 0 };
        self.inbox.truncate(before + got);
        heard
    }

    /// Handles all complete messages.
    fn receive(&mut self) -> io::Result<()> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        while let Some((message, length)) =
            message::first(rest).map_err(|what| io::Error::new(ErrorKind::InvalidData, what))?
        {
            match message.kind {
                kind::HELLO => self.register(),
                kind::DATA if self.own.is_none() => self.own = message.u32(attr::OBJECT),
                // Somebody else has the name, or this program may not have it.
                kind::STATUS if self.own.is_none() => return Err(ErrorKind::PermissionDenied.into()),
                kind::INVOKE => self.answer(&message),
                _ => {}
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        self.inbox = rest.to_vec();
        Ok(())
    }

    fn register(&mut self) {
        message::push(&mut self.outbox, kind::ADD_OBJECT, 1, 0, &|out| {
            out.attr_text(attr::OBJECT_PATH, NAME);
            let signature = out.open(attr::SIGNATURE);
            for method in METHODS {
                let arguments = out.open_field(blob_kind::TABLE, method.as_bytes());
                if method == "close" {
                    out.int(b"id", blob_kind::INT32.into());
                }
                out.close(arguments);
            }
            out.close(signature);
        });
    }

    // --- calls ------------------------------------------------------------------------------------

    /// Answers a call: with fields, if the method has some, and a status.
    fn answer(&mut self, call: &Message<'_>) {
        let Some(own) = self.own else { return };
        let method = call.attr(attr::METHOD).and_then(|attr| attr.text()).unwrap_or_default();
        let arguments = call.attr(attr::DATA).map_or(&b""[..], |attr| attr.content);
        let status = &self.object.status;
        let done = match method {
            b"status" => self.reply(call, own, &|out| status.write(out)),
            b"connections" => self.reply(call, own, &|out| status.write_connections("connections", out)),
            #[cfg(feature = "tls")]
            b"certificates" => self.reply(call, own, &|out| status.write_certificates(out)),
            #[cfg(not(feature = "tls"))]
            b"certificates" => self.reply(call, own, &|out| super::report::texts(out, "certificates", &[])),
            b"reload" if (self.object.reload)() => status::OK,
            b"reload" => status::INVALID_ARGUMENT,
            b"close" => self.close(arguments),
            _ => status::NO_METHOD,
        };
        let is_quiet = call.attr(attr::NO_REPLY).is_some_and(|attr| attr.content.first() != Some(&0));
        if !is_quiet {
            message::push(&mut self.outbox, kind::STATUS, call.seq, call.peer, &|out| {
                out.attr_u32(attr::STATUS, done);
                out.attr_u32(attr::OBJECT, own);
            });
        }
    }

    fn reply(&mut self, call: &Message<'_>, own: u32, write: &dyn Fn(&mut Writer<'_>)) -> Status {
        let fits = message::push(&mut self.outbox, kind::DATA, call.seq, call.peer, &|out| {
            out.attr_u32(attr::OBJECT, own);
            let data = out.open(attr::DATA);
            write(out);
            out.close(data);
        });
        if fits { status::OK } else { status::OUT_OF_MEMORY }
    }

    fn close(&self, arguments: &[u8]) -> Status {
        let Some(Value::Int(id)) = field(arguments, "id") else { return status::INVALID_ARGUMENT };
        let is_closed = u64::try_from(id).is_ok_and(|id| self.object.status.monitor.close(id));
        if is_closed { status::OK } else { status::NOT_FOUND }
    }

    // --- events -----------------------------------------------------------------------------------

    /// Has ubusd pass an event on. Its answer is ignored.
    fn send_event(&mut self, event: &BusEvent) {
        message::push(&mut self.outbox, kind::INVOKE, 2, EVENTS, &|out| {
            out.attr_u32(attr::OBJECT, EVENTS);
            out.attr_text(attr::METHOD, b"send");
            let data = out.open(attr::DATA);
            write_event(event, out);
            out.close(data);
        });
    }
}

/// The arguments of the method `send`: the name of the event, and its fields.
fn write_event(event: &BusEvent, out: &mut Writer<'_>) {
    out.text(
        b"id",
        match event {
            BusEvent::LoginFailed { .. } => b"ecohttpd.login_failed",
            #[cfg(feature = "tls")]
            BusEvent::Certificate { .. } => b"ecohttpd.certificate",
        },
    );
    let fields = out.open_field(blob_kind::TABLE, b"data");
    match event {
        BusEvent::LoginFailed { address, user, site } => {
            out.text(b"address", address.as_bytes());
            out.text(b"user", user.as_bytes());
            out.text(b"site", site.as_bytes());
        }
        #[cfg(feature = "tls")]
        BusEvent::Certificate { file, days_left, not_after } => {
            out.text(b"file", file.as_bytes());
            out.int(b"days_left", *days_left);
            out.int(b"not_after", i64::try_from(*not_after).unwrap_or(i64::MAX));
        }
    }
    out.close(fields);
}
