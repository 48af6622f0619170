//! The paths beneath `/ubus`, and their answers.

use super::Ubus;
use super::client::Subscription;
use super::json;
use super::message::{Status, status, status_name};
use super::output::{Output, push_error, unless_left};
use super::rpc::{Answer, Fault, NO_SESSION, Named};
use super::window::Window;
use ecohttpd::{Connection, Error, Request, Result};
use std::time::{Duration, Instant};

/// Calls of one batch that are in flight together; the others follow as these end.
const WINDOW: usize = 32;

/// How long a stream of events is silent at most before a comment shows both sides that it lives.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// After how many times a call's time it is asked again whether a session may have a stream: every five minutes, unless
/// the time is set. Asking prolongs the session, so that a page which only listens keeps it.
const ASK_AGAIN: u32 = 5;

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
        } else if is_foreign(req) {
            return con.send_error(403, None, "a page of another origin may not call\n").await;
        }
        match (req.method(), Route::of(rest)) {
            ("POST", Route::Call(object)) => {
                let sid = session(req);
                self.rpc(con, Some(Named { object, sid })).await
            }
            ("POST", _) => self.rpc(con, None).await,
            ("GET" | "HEAD", Route::List(object)) => self.list(con, object).await,
            ("GET", Route::Subscribe(object)) => {
                let sid = session(req);
                match unless_left(con, self.subscribe(sid, object)).await {
                    Some(Ok(subscription)) => self.stream(con, &subscription, sid, object).await,
                    // The reference's status.
                    Some(Err(refusal)) => tell(con, refusal).await,
                    None => Ok(()),
                }
            }
            _ => empty(con, req),
        }
    }

    async fn rpc(&self, con: &mut Connection, named: Option<Named<'_>>) -> Result<()> {
        // One byte more than allowed tells that there are more.
        let body = con.read_body(self.max_body.saturating_add(1), None).await?;
        if body.len() > self.max_body {
            return Err(Error::BodyTooLarge);
        }
        let mut output = Output::new(con, &self.caller)?;
        let text = json::check(&body).unwrap_or_default();
        match (json::elements(text), text.first()) {
            (Some(mut requests), _) => {
                output.push(b"[");
                self.answer_all(&mut output, &mut requests, named).await?;
                output.push(b"]");
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
        let account = output.account();
        let mut window = Window::default();
        let mut is_first = true;
        loop {
            while window.len() < WINDOW
                && (window.is_empty() || account.has_room())
                && let Some(text) = requests.next()
            {
                window.push(self.caller.answer(text, named, &account));
            }
            if window.is_empty() {
                return Ok(());
            }
            let answer = output.wait(window.first()).await?;
            if !std::mem::take(&mut is_first) {
                output.push(b",");
            }
            // The others go on, and their time runs, however slowly this one is read.
            window.beside(output.answer(&answer, named.is_some())).await?;
        }
    }

    async fn list(&self, con: &mut Connection, object: Option<&[u8]>) -> Result<()> {
        con.notice_departure();
        let mut output = Output::new(con, &self.caller)?;
        let listed = self.caller.list(object, &output.account()).await;
        match (listed, object) {
            (Err(fault), _) => return refuse(con, fault.into()).await,
            (Ok(listed), Some(_)) if listed.rows().next().is_none() => {
                return refuse(con, status::NOT_FOUND.into()).await;
            }
            (Ok(listed), Some(_)) => output.methods(&listed).await?,
            (Ok(listed), None) => output.objects(&listed).await?,
        }
        output.end().await
    }

    async fn subscribe(&self, sid: &[u8], object: &[u8]) -> std::result::Result<Subscription, Refusal> {
        let subscribed = self.caller.within(async {
            self.caller.permit(sid, object, SUBSCRIBE).await?;
            Ok(self.caller.client.subscribe(object).await?)
        });
        Ok(subscribed.await??)
    }

    /// Sends events until there are no more, or their client has left, or its session is no longer allowed them.
    async fn stream(&self, con: &mut Connection, events: &Subscription, sid: &[u8], object: &[u8]) -> Result<()> {
        con.add_header("content-type", "text/event-stream")?;
        con.add_header("cache-control", "no-cache")?;
        let retry = self.retry.map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
        con.send(retry.map_or(String::new(), |millis| format!("retry: {millis}\n"))).await?;
        let mut allowed = Instant::now();
        loop {
            let next = ecohttpd::timeout(HEARTBEAT.min(self.caller.timeout), events.next());
            match unless_left(con, next).await {
                Some(Ok(Some(text))) => con.send(text).await?,
                Some(Err(_)) => con.send(":\n\n").await?,
                Some(Ok(None)) | None => return Ok(()),
            }
            if allowed.elapsed() >= self.caller.timeout.saturating_mul(ASK_AGAIN) {
                match unless_left(con, self.caller.within(self.caller.permit(sid, object, SUBSCRIBE))).await {
                    Some(Ok(())) => allowed = Instant::now(),
                    Some(Err(Fault::Access)) | None => return Ok(()),
                    // That nobody could be asked is no refusal.
                    Some(Err(_)) => {}
                }
            }
        }
    }
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

/// Whether a page of another origin asks: a browser sends what such a page posts as text without asking first, and where
/// no session is needed that would be obeyed.
fn is_foreign(req: &Request) -> bool {
    let Some(origin) = req.header_bytes("origin") else { return false };
    let host = origin.splitn(2, |&byte| byte == b'/').nth(1).and_then(|rest| rest.strip_prefix(b"/"));
    !host.is_some_and(|host| req.host().is_some_and(|own| host.eq_ignore_ascii_case(own.as_bytes())))
}

/// Lets a page of another origin ask. What the browser knows of the user is not sent along: a session is named by who
/// asks, and `access-control-allow-credentials` would let any page act in the user's name.
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
    con.add_header("access-control-allow-methods", METHODS)
}

/// Answers what has no answer.
fn empty(con: &mut Connection, req: &Request) -> Result<()> {
    con.set_status(match req.method() {
        "OPTIONS" => 200,
        "GET" | "HEAD" => 404,
        _ => req.refuse_method().status(),
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
    tell(con, refusal).await
}

/// Answers with the error alone.
async fn tell(con: &mut Connection, refusal: Refusal) -> Result<()> {
    con.add_header("content-type", "application/json")?;
    let mut text = Vec::new();
    push_error(&mut text, refusal.code, refusal.message);
    con.add_header("content-length", text.len())?;
    con.send(&text).await
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
}
