//! The paths beneath `/ubus`, and their answers.

use super::Ubus;
use super::blob::{Attrs, Value, kind};
use super::calls::Data;
use super::client::Subscription;
use super::json::{self, PIECE, Printer};
use super::message::{Status, attr, find, status, status_name};
use super::rpc::{Answer, Fault, NO_SESSION, Named, Outcome};
use ecohttpd::{Connection, Error, Request, Result};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// Calls of one batch that are in flight together; the others follow as these end.
const WINDOW: usize = 32;

/// How long a stream of events is silent before a comment shows both sides that it lives.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What events are allowed as, in place of a method.
const SUBSCRIBE: &[u8] = b":subscribe";

/// The error of the reference for a session that may not: the system's number of it, below zero.
const DENIED: i64 = -13;

/// Methods of requests that other origins may send.
const METHODS: &str = "GET, POST, OPTIONS";

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    /// Everything that is not one of the others: POST is JSON-RPC here.
    Root,
    List(Option<&'a [u8]>),
    Call(&'a [u8]),
    Subscribe(&'a [u8]),
}

impl<'a> Route<'a> {
    fn of(path: &'a [u8]) -> Route<'a> {
        let mut words = path.strip_prefix(b"/").unwrap_or_default().splitn(2, |&byte| byte == b'/');
        let (word, object) = (words.next().unwrap_or_default(), words.next().filter(|object| !object.is_empty()));
        match (word, object) {
            (b"list", object) => Route::List(object),
            (b"call", Some(object)) => Route::Call(object),
            (b"subscribe", Some(object)) => Route::Subscribe(object),
            _ => Route::Root,
        }
    }
}

impl Ubus {
    /// Answers a request; `rest` is its path behind the prefix: empty, or a slash and more.
    ///
    /// # Errors
    /// Those of reading the body and of sending.
    pub async fn serve(&self, con: &mut Connection, req: &mut Request, rest: &[u8]) -> Result<()> {
        // Boxed, so that the requests for files, which share the handler, are no larger for it.
        Box::pin(self.route(con, req, rest)).await
    }

    async fn route(&self, con: &mut Connection, req: &Request, rest: &[u8]) -> Result<()> {
        if self.cors {
            allow_origin(con, req)?;
        }
        match (req.method(), Route::of(rest)) {
            ("POST", Route::Call(object)) => {
                let sid = session(req);
                self.rpc(con, Some(Named { object, sid })).await
            }
            ("POST", _) => self.rpc(con, None).await,
            ("GET" | "HEAD", Route::List(object)) => match self.list(object).await {
                Ok(listed) => show_list(con, object, &listed).await,
                Err(refusal) => refuse(con, refusal).await,
            },
            ("GET", Route::Subscribe(object)) => match unless_left(con, self.subscribe(session(req), object)).await {
                Some(Ok(subscription)) => self.stream(con, &subscription).await,
                Some(Err(refusal)) => refuse(con, refusal).await,
                None => Ok(()),
            },
            (method, _) => empty(con, method),
        }
    }

    async fn rpc(&self, con: &mut Connection, named: Option<Named<'_>>) -> Result<()> {
        // One byte more than allowed tells that there are more.
        let body = con.read_body(self.max_body.saturating_add(1), None).await?;
        if body.len() > self.max_body {
            return Err(Error::BodyTooLarge);
        }
        let mut output = Output::new(con)?;
        let text = json::check(&body).unwrap_or_default();
        match (json::elements(text), text.first()) {
            (Some(mut requests), _) => {
                output.out.push(b'[');
                self.answer_all(&mut output, &mut requests, named).await?;
                output.out.push(b']');
            }
            (None, Some(b'{')) => self.answer_all(&mut output, &mut std::iter::once(text), named).await?,
            _ => output.answer(&Answer::fault(Fault::Parse), named.is_some()).await?,
        }
        output.end().await
    }

    /// Answers the requests of a batch in their order, however long each takes.
    async fn answer_all<'a>(
        &self,
        output: &mut Output<'_>,
        requests: &mut dyn Iterator<Item = &'a [u8]>,
        named: Option<Named<'a>>,
    ) -> Result<()> {
        let mut window = Window(VecDeque::new());
        let mut is_first = true;
        loop {
            while window.0.len() < WINDOW
                && let Some(text) = requests.next()
            {
                window.0.push_back(Slot::Working(Box::pin(self.caller.answer(text, named))));
            }
            if window.0.is_empty() {
                return Ok(());
            }
            let answer = output.wait(&mut window).await?;
            if !std::mem::take(&mut is_first) {
                output.out.push(b',');
            }
            output.answer(&answer, named.is_some()).await?;
        }
    }

    async fn list(&self, object: Option<&[u8]>) -> std::result::Result<Data, Refusal> {
        let listed = self.caller.within(self.caller.list_one(object)).await?;
        // A star would have made a pattern of it.
        match object {
            Some(object) if row_of(&listed, object).is_none() => Err(Refusal::from(status::NOT_FOUND)),
            _ => Ok(listed),
        }
    }

    async fn subscribe(&self, sid: &[u8], object: &[u8]) -> std::result::Result<Subscription, Refusal> {
        let subscribed = self.caller.within(async {
            self.caller.admit(sid, object, SUBSCRIBE).await?;
            Ok(self.caller.client.subscribe(object).await?)
        });
        Ok(subscribed.await??)
    }

    /// Sends events until there are no more, or their client has left.
    async fn stream(&self, con: &mut Connection, subscription: &Subscription) -> Result<()> {
        con.add_header("content-type", "text/event-stream")?;
        con.add_header("cache-control", "no-cache")?;
        let retry = self.retry.map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
        con.send(retry.map_or(String::new(), |millis| format!("retry: {millis}\n"))).await?;
        loop {
            let next = ecohttpd::timeout(HEARTBEAT, subscription.next());
            match unless_left(con, next).await {
                Some(Ok(Some(text))) => con.send(text).await?,
                Some(Err(_)) => con.send(":\n\n").await?,
                Some(Ok(None)) | None => return Ok(()),
            }
        }
    }
}

/// What comes of the work, unless the client ends its direction first: of a stream of events that is its end.
async fn unless_left<T>(con: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let mut closed = pin!(con.closed());
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => closed.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// The session that `Authorization: Bearer` names.
fn session(req: &Request) -> &[u8] {
    let named = req.header_bytes("authorization").and_then(|value| {
        let (scheme, sid) = value.split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then_some(sid)
    });
    named.map_or(NO_SESSION, |sid| sid.trim_ascii())
}

const BEARER: &[u8] = b"Bearer ";

/// Lets a page of another origin ask, as the reference does: whoever it is.
fn allow_origin(con: &mut Connection, req: &Request) -> Result<()> {
    con.add_header("vary", "Origin")?;
    let Some(origin) = req.header("origin") else { return Ok(()) };
    if req.header("access-control-request-method").is_some_and(|method| !METHODS.split(", ").any(|one| one == method)) {
        return Ok(());
    }
    con.add_header("access-control-allow-origin", origin)?;
    if let Some(fields) = req.header("access-control-request-headers") {
        con.add_header("access-control-allow-headers", fields)?;
    }
    con.add_header("access-control-allow-methods", METHODS)?;
    con.add_header("access-control-allow-credentials", "true")
}

/// Answers what has no answer.
fn empty(con: &mut Connection, method: &str) -> Result<()> {
    con.set_status(match method {
        "OPTIONS" => 200,
        "GET" | "HEAD" => 404,
        _ => 405,
    })?;
    con.add_header("allow", METHODS)
}

/// An error of ubus, as an answer that is not JSON-RPC's.
struct Refusal {
    code: i64,
    message: &'static str,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Refusal {
        Refusal { code: i64::from(status), message: status_name(status) }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        Refusal::from(match fault {
            Fault::Access => return Refusal { code: DENIED, message: "Permission denied" },
            Fault::Object => status::NOT_FOUND,
            Fault::Timeout => status::TIMEOUT,
            Fault::Internal => status::UNREACHABLE,
            _ => status::UNKNOWN,
        })
    }
}

async fn refuse(con: &mut Connection, refusal: Refusal) -> Result<()> {
    con.set_status_reason(500, "Ubus Protocol Error")?;
    let mut output = Output::new(con)?;
    push_error(&mut output.out, refusal.code, refusal.message);
    output.end().await
}

async fn show_list(con: &mut Connection, object: Option<&[u8]>, listed: &Data) -> Result<()> {
    let mut output = Output::new(con)?;
    match object {
        Some(object) => push_signature(&mut output.out, row_of(listed, object).unwrap_or_default()),
        None => output.signatures(std::slice::from_ref(listed)).await?,
    }
    output.end().await
}

/// What is being answered, in order.
struct Window<F: Future>(VecDeque<Slot<F>>);

enum Slot<F: Future> {
    Working(Pin<Box<F>>),
    Done(F::Output),
}

impl<F: Future> Window<F> {
    /// Works on all; ready with the first's answer.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        for slot in &mut self.0 {
            if let Slot::Working(work) = slot
                && let Poll::Ready(done) = work.as_mut().poll(cx)
            {
                *slot = Slot::Done(done);
            }
        }
        match self.0.pop_front() {
            Some(Slot::Done(done)) => Poll::Ready(done),
            Some(working) => {
                self.0.push_front(working);
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}

/// The body of an answer: whole with its length if it is short, else in pieces as it is made.
struct Output<'a> {
    con: &'a mut Connection,
    out: Vec<u8>,
    started: bool,
}

impl<'a> Output<'a> {
    fn new(con: &'a mut Connection) -> Result<Output<'a>> {
        con.add_header("content-type", "application/json")?;
        Ok(Output { con, out: Vec::new(), started: false })
    }

    /// Waits for the first answer of the window.
    ///
    /// A client that ends its direction meanwhile is sent the head at once. If it has left altogether, that resets the
    /// connection, and the calls are given up; if it still waits, it gets its answer.
    async fn wait<F: Future>(&mut self, window: &mut Window<F>) -> Result<F::Output> {
        if !self.started {
            if let Some(done) = unless_left(self.con, poll_fn(|cx| window.poll_first(cx))).await {
                return Ok(done);
            }
            self.started = true;
            self.con.send("").await?;
        }
        Ok(poll_fn(|cx| window.poll_first(cx)).await)
    }

    /// Sends what has gathered, if that is a piece.
    async fn pass(&mut self) -> Result<()> {
        if self.out.len() >= PIECE {
            self.started = true;
            self.con.send(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    async fn end(self) -> Result<()> {
        if !self.started {
            self.con.add_header("content-length", self.out.len())?;
        }
        self.con.send(&self.out).await
    }

    async fn answer(&mut self, answer: &Answer<'_>, named: bool) -> Result<()> {
        self.out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        self.out.extend_from_slice(answer.id);
        match &answer.outcome {
            Outcome::Fault(fault) => self.error(fault.code(), fault.message()),
            Outcome::Called { status, data: _ } if named && *status != status::OK => {
                self.error(i64::from(*status), status_name(*status));
            }
            Outcome::Called { data, .. } if named => {
                self.out.extend_from_slice(b",\"result\":");
                match data.rows().find(|fields| !fields.is_empty()) {
                    Some(fields) => self.table(fields).await?,
                    None => self.out.extend_from_slice(b"null"),
                }
            }
            Outcome::Called { status, data } => {
                self.out.extend_from_slice(b",\"result\":[");
                json::push_int(&mut self.out, i64::from(*status));
                for fields in data.rows() {
                    self.out.push(b',');
                    self.table(fields).await?;
                }
                self.out.push(b']');
            }
            Outcome::Names(data) => {
                self.out.extend_from_slice(b",\"result\":[");
                self.names(data).await?;
                self.out.push(b']');
            }
            Outcome::Signatures(found) => {
                self.out.extend_from_slice(b",\"result\":");
                self.signatures(found).await?;
            }
        }
        self.out.push(b'}');
        self.pass().await
    }

    fn error(&mut self, code: i64, message: &str) {
        self.out.extend_from_slice(b",\"error\":");
        push_error(&mut self.out, code, message);
    }

    async fn table(&mut self, fields: &[u8]) -> Result<()> {
        let mut printer = Printer::new(fields, &mut self.out);
        while printer.fill(&mut self.out) {
            self.pass().await?;
        }
        Ok(())
    }

    async fn names(&mut self, data: &Data) -> Result<()> {
        for (at, path) in data.rows().filter_map(path_of).enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            json::push_text(&mut self.out, path);
            self.pass().await?;
        }
        Ok(())
    }

    /// The objects that say what methods they have, each with those.
    async fn signatures(&mut self, found: &[Data]) -> Result<()> {
        self.out.push(b'{');
        let mut is_first = true;
        for row in found.iter().flat_map(Data::rows) {
            let Some(path) = path_of(row) else { continue };
            if find(row, attr::SIGNATURE).is_none() {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            json::push_text(&mut self.out, path);
            self.out.push(b':');
            push_signature(&mut self.out, row);
            self.pass().await?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// What is said of the object of exactly that name.
fn row_of<'a>(listed: &'a Data, object: &[u8]) -> Option<&'a [u8]> {
    listed.rows().find(|row| path_of(row) == Some(object))
}

fn path_of(row: &[u8]) -> Option<&[u8]> {
    find(row, attr::OBJECT_PATH)?.text()
}

/// The methods of an object, each with the names of its arguments and their types.
fn push_signature(out: &mut Vec<u8>, row: &[u8]) {
    let signature = find(row, attr::SIGNATURE).map_or(&b""[..], |attr| attr.content);
    push_members(out, signature, |out, value| match value {
        Value::Table(arguments) | Value::Array(arguments) => push_members(out, arguments, |out, value| {
            json::push_text(out, type_name(value).as_bytes());
        }),
        _ => out.extend_from_slice(b"{}"),
    });
}

fn push_members(out: &mut Vec<u8>, table: &[u8], mut push: impl FnMut(&mut Vec<u8>, Value<'_>)) {
    out.push(b'{');
    for (at, field) in Attrs::new(table).map_while(|attr| attr.field()).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::push_text(out, field.name);
        out.push(b':');
        push(out, field.value);
    }
    out.push(b'}');
}

/// What an argument's type is called.
fn type_name(value: Value<'_>) -> &'static str {
    let Value::Int(number) = value else { return "unknown" };
    match u8::try_from(number) {
        Ok(kind::BOOL) => "boolean",
        Ok(kind::INT32) => "number",
        Ok(kind::TEXT) => "string",
        Ok(kind::ARRAY) => "array",
        Ok(kind::TABLE) => "object",
        _ => "unknown",
    }
}

fn push_error(out: &mut Vec<u8>, code: i64, message: &str) {
    out.extend_from_slice(b"{\"code\":");
    json::push_int(out, code);
    out.extend_from_slice(b",\"message\":");
    json::push_text(out, message.as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let rules: &[(&[u8], Route<'_>, &str)] = &[
            (b"", Route::Root, "the prefix alone"),
            (b"/", Route::Root, "with a slash"),
            (b"//system.board", Route::Root, "as some versions of LuCI mark single calls"),
            (b"/list", Route::List(None), "all"),
            (b"/list/", Route::List(None), "all, with a slash"),
            (b"/list/system", Route::List(Some(b"system")), "one"),
            (b"/lists", Route::Root, "another word"),
            (b"/call/file", Route::Call(b"file"), "call"),
            (
                b"/call/network.interface/lan",
                Route::Call(b"network.interface/lan"),
                "an object's name may hold a slash",
            ),
            (b"/call", Route::Root, "call of nothing"),
            (b"/subscribe/dhcp", Route::Subscribe(b"dhcp"), "subscribe"),
            (b"/subscribe/", Route::Root, "subscribe to nothing"),
            (b"list", Route::Root, "no slash"),
        ];
        for (path, route, name) in rules {
            assert_eq!(Route::of(path), *route, "{name}");
        }
    }

    #[test]
    fn signatures_name_the_types() {
        let mut row = Vec::new();
        let mut writer = crate::daemon::ubus::blob::Writer::new(&mut row);
        let signature = writer.open(attr::SIGNATURE);
        let method = writer.open_field(kind::TABLE, b"echo");
        for (name, id) in [("a", 7), ("b", 5), ("c", 3), ("d", 1), ("e", 2), ("f", 4), ("g", 300)] {
            writer.int(name.as_bytes(), id);
        }
        writer.close(method);
        let method = writer.open_field(kind::TABLE, b"none");
        writer.close(method);
        writer.close(signature);
        let mut text = Vec::new();
        push_signature(&mut text, &row);
        let expected = r#"{"echo":{"a":"boolean","b":"number","c":"string","d":"array","e":"object","f":"unknown","g":"unknown"},"none":{}}"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
