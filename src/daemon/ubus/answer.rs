//! The body of a response, generated while it is sent.

use super::blob::{self, Attrs, Field, Value, kind};
use super::budget::{Data, ReplyBudget};
use super::json::{self, PIECE, Printer};
use super::message::{attr, find, status, status_name};
use super::rpc::{Answer, CallOutcome, Caller, Fault};
use ecohttpd::{Connection, Error, Result};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// The body of a response: sent whole with its length if it is short, otherwise in pieces.
pub struct AnswerStream<'a> {
    con: &'a mut Connection,
    caller: &'a Caller,
    /// The bytes held for this response.
    budget: Rc<ReplyBudget>,
    out: Vec<u8>,
    /// Pieces that have been sent.
    pieces: usize,
    /// The client has half-closed, and was sent something since.
    asked: bool,
}

impl<'a> AnswerStream<'a> {
    pub fn new(con: &'a mut Connection, caller: &'a Caller) -> Result<AnswerStream<'a>> {
        con.add_header("Content-Type", "application/json")?;
        let budget = caller.client.budget();
        Ok(AnswerStream { con, caller, budget, out: Vec::new(), pieces: 0, asked: false })
    }

    pub fn budget(&self) -> Rc<ReplyBudget> {
        Rc::clone(&self.budget)
    }

    pub fn push(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    /// Waits for something between two values, or before the first.
    ///
    /// A client that half-closes meanwhile is sent a space, with what there is. If it has left, that resets the connection,
    /// and the calls are abandoned; if it still waits, it gets its answer.
    pub async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let mut work = pin!(work);
        if !self.asked {
            if let Some(done) = unless_left(self.con, work.as_mut()).await {
                return Ok(done);
            }
            self.asked = true;
            self.out.push(b' ');
            self.send().await?;
        }
        Ok(work.await)
    }

    /// Sends what has been collected, if that is a piece.
    async fn pass(&mut self) -> Result<()> {
        if self.out.len() >= PIECE { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<()> {
        self.pieces += 1;
        self.con.send(&self.out).await?;
        self.out.clear();
        Ok(())
    }

    pub async fn end(mut self) -> Result<()> {
        if self.pieces == 0 {
            self.con.add_header("Content-Length", self.out.len())?;
        }
        self.send().await
    }

    pub async fn answer(&mut self, answer: &Answer<'_>, named: bool) -> Result<()> {
        self.push(b"{\"jsonrpc\":\"2.0\",\"id\":");
        self.push(answer.id);
        match &answer.outcome {
            CallOutcome::Fault(fault) => self.error(fault.code(), fault.message()),
            CallOutcome::Called { status, data: _ } if named && *status != status::OK => {
                self.error(i64::from(*status), status_name(*status));
            }
            CallOutcome::Called { data, .. } if named => {
                self.push(b",\"result\":");
                match data.fields() {
                    [] => self.push(b"null"),
                    fields => self.table(fields).await?,
                }
            }
            CallOutcome::Called { status, data } => {
                self.push(b",\"result\":[");
                json::push_int(&mut self.out, i64::from(*status));
                if !data.fields().is_empty() {
                    self.out.push(b',');
                    self.table(data.fields()).await?;
                }
                self.out.push(b']');
            }
            CallOutcome::List(patterns) => self.list(*patterns).await?,
        }
        self.out.push(b'}');
        self.pass().await
    }

    fn error(&mut self, code: i64, message: &str) {
        self.push(b",\"error\":");
        push_error(&mut self.out, code, message);
    }

    async fn table(&mut self, fields: &[u8]) -> Result<()> {
        let mut printer = Printer::new(fields, &mut self.out);
        while printer.fill(&mut self.out) {
            self.pass().await?;
        }
        Ok(())
    }

    /// The result of a `list`, or its error.
    async fn list(&mut self, patterns: Option<&[u8]>) -> Result<()> {
        let (start, pieces) = (self.out.len(), self.pieces);
        let Err(fault) = self.listing(patterns).await? else { return Ok(()) };
        if self.pieces > pieces {
            // What was sent can't be undone: the response is cut short.
            return Err(Error::Closed);
        }
        self.out.truncate(start);
        self.error(fault.code(), fault.message());
        Ok(())
    }

    /// Looks up one pattern after the other, and prints what is found.
    async fn listing(&mut self, patterns: Option<&[u8]>) -> Result<std::result::Result<(), Fault>> {
        let (caller, budget) = (self.caller, self.budget());
        let Some(patterns) = patterns else {
            self.push(b",\"result\":[");
            let listed = match self.wait(caller.list(None, &budget)).await? {
                Ok(listed) => listed,
                Err(fault) => return Ok(Err(fault)),
            };
            self.names(&listed).await?;
            self.out.push(b']');
            return Ok(Ok(()));
        };
        self.push(b",\"result\":{");
        let mut comma = Comma::default();
        for pattern in json::elements(patterns).into_iter().flatten() {
            let pattern = json::string(pattern).unwrap_or_default();
            match self.wait(caller.list(Some(&pattern), &budget)).await? {
                Ok(listed) => self.signatures(&listed, &mut comma).await?,
                Err(fault) => return Ok(Err(fault)),
            }
        }
        self.out.push(b'}');
        Ok(Ok(()))
    }

    async fn names(&mut self, listed: &Data) -> Result<()> {
        let mut comma = Comma::default();
        for path in listed.rows().filter_map(path_of) {
            comma.push(&mut self.out);
            json::push_text(&mut self.out, path);
            self.pass().await?;
        }
        Ok(())
    }

    /// Objects, each with its methods.
    pub async fn objects(&mut self, listed: &Data) -> Result<()> {
        self.out.push(b'{');
        self.signatures(listed, &mut Comma::default()).await?;
        self.out.push(b'}');
        Ok(())
    }

    /// The methods of one object; of several as if they were one.
    pub async fn methods(&mut self, listed: &Data) -> Result<()> {
        self.out.push(b'{');
        let mut comma = Comma::default();
        for signature in listed.rows().filter_map(signature_of) {
            push_methods(&mut self.out, signature, &mut comma);
            self.pass().await?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The objects with a signature, each with its methods.
    async fn signatures(&mut self, listed: &Data, comma: &mut Comma) -> Result<()> {
        for row in listed.rows() {
            let (Some(path), Some(signature)) = (path_of(row), signature_of(row)) else { continue };
            comma.push(&mut self.out);
            json::push_text(&mut self.out, path);
            self.push(b":{");
            push_methods(&mut self.out, signature, &mut Comma::default());
            self.out.push(b'}');
            self.pass().await?;
        }
        Ok(())
    }
}

/// The result of the work; `None` if the client half-closes first, which ends a stream of events.
pub async fn unless_left<T>(con: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let mut closed = pin!(con.closed());
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => closed.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Appends the comma between members.
#[derive(Default)]
struct Comma(bool);

impl Comma {
    fn push(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.0, true) {
            out.push(b',');
        }
    }
}

fn path_of(row: &[u8]) -> Option<&[u8]> {
    find(row, attr::OBJECT_PATH)?.text()
}

fn signature_of(row: &[u8]) -> Option<&[u8]> {
    find(row, attr::SIGNATURE).map(|attr| attr.content)
}

/// The methods of an object, each with the names of its arguments and their types.
fn push_methods(out: &mut Vec<u8>, signature: &[u8], comma: &mut Comma) {
    for method in blob::fields(signature) {
        comma.push(out);
        json::push_text(out, method.name);
        out.extend_from_slice(b":{");
        if let Value::Table(arguments) | Value::Array(arguments) = method.value {
            push_arguments(out, arguments);
        }
        out.push(b'}');
    }
}

fn push_arguments(out: &mut Vec<u8>, arguments: &[u8]) {
    let mut comma = Comma::default();
    for attr in Attrs::new(arguments) {
        // As in the reference: a type is a number of 32 bits.
        let Some(Field { name, value: Value::Int(number) }) = attr.field().filter(|_| attr.id == kind::INT32) else {
            continue;
        };
        comma.push(out);
        json::push_text(out, name);
        out.push(b':');
        json::push_text(out, type_name(number).as_bytes());
    }
}

/// The name of an argument's type.
fn type_name(number: i64) -> &'static str {
    match u8::try_from(number) {
        Ok(kind::BOOL) => "boolean",
        Ok(kind::INT32) => "number",
        Ok(kind::TEXT) => "string",
        Ok(kind::ARRAY) => "array",
        Ok(kind::TABLE) => "object",
        _ => "unknown",
    }
}

pub fn push_error(out: &mut Vec<u8>, code: i64, message: &str) {
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
    fn signatures_name_the_types() {
        let mut signature = Vec::new();
        let mut writer = blob::Writer::new(&mut signature);
        let method = writer.open_field(kind::TABLE, b"echo");
        for (name, id) in [("a", 7), ("b", 5), ("c", 3), ("d", 1), ("e", 2), ("f", 4), ("g", 300)] {
            writer.int(name.as_bytes(), id);
        }
        writer.int(b"64 bits", 1 << 40);
        writer.text(b"text", b"string");
        writer.int(b"z", 3);
        writer.close(method);
        let method = writer.open_field(kind::TABLE, b"none");
        writer.close(method);
        let mut text = Vec::new();
        push_methods(&mut text, &signature, &mut Comma::default());
        let expected = r#""echo":{"a":"boolean","b":"number","c":"string","d":"array","e":"object","f":"unknown","g":"unknown","z":"string"},"none":{}"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
