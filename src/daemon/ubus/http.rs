//! The paths below `/ubus`.

use super::answer::{AnswerStream, push_error, unless_left};
use super::client::{BusClient, Subscription};
use super::json;
use super::message::{Status, status, status_name};
use super::rpc::{Answer, Caller, Fault, NO_SESSION, Named};
use super::window::Window;
use crate::daemon::config::UbusConfig;
use ecohttpd::{Connection, Error, Request, Result};
use std::time::{Duration, Instant};

/// Most calls of a batch that are in flight at once.
const WINDOW: usize = 32;

/// Longest silence of a stream of events before a comment is sent to keep it alive.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// After how many call timeouts the permission of a stream is checked again: by default every five minutes. A check extends
/// the session, so a page that only listens keeps it.
const ASK_AGAIN: u32 = 5;

/// The name under which subscriptions are authorized, in place of a method.
const SUBSCRIBE: &[u8] = b":subscribe";

/// The reference's error for access denied: -EACCES.
const DENIED: i64 = -13;

/// Bytes of a request's body; beyond: 413.
const MAX_BODY: usize = 64 << 10;

/// Methods that other origins may use.
const METHODS: &str = "GET, POST, OPTIONS";

/// Whether [`METHODS`] names it.
fn is_allowed(method: &str) -> bool {
    matches!(method, "GET" | "POST" | "OPTIONS")
}

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    /// Everything else: POST is JSON-RPC.
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

/// The ubus of one site, for all its requests. Connects when first needed.
pub struct Ubus {
    caller: Caller,
    /// Pages of other origins may call.
    cors: bool,
    /// How many milliseconds a client should wait before it reconnects after its stream of events ended.
    retry: Option<u32>,
}

impl Drop for Ubus {
    fn drop(&mut self) {
        self.caller.client.close();
    }
}

impl Ubus {
    /// One call may take `timeout`, including the questions whether it is allowed.
    pub fn new(config: &UbusConfig, timeout: Duration) -> Ubus {
        let client = BusClient::new(config.socket.clone(), timeout);
        let caller = Caller { client, no_auth: config.no_auth, timeout };
        Ubus { caller, cors: config.cors, retry: config.retry }
    }

    /// Answers a request; `rest` is its path behind the prefix: empty, or a slash and more.
    ///
    /// # Errors
    /// Those of reading the body and of sending.
    pub async fn serve(&self, con: &mut Connection, req: &mut Request, rest: &[u8]) -> Result<()> {
        // Boxed, so that the future of requests for files does not grow.
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
                    // With status 200, as in the reference.
                    Some(Err(refusal)) => tell(con, refusal).await,
                    None => Ok(()),
                }
            }
            _ => empty(con, req),
        }
    }

    async fn rpc(&self, con: &mut Connection, named: Option<Named<'_>>) -> Result<()> {
        // Reads one byte more than allowed, to notice a longer body.
        let body = con.read_body(MAX_BODY + 1, None).await?;
        if body.len() > MAX_BODY {
            return Err(Error::BodyTooLarge);
        }
        let mut output = AnswerStream::new(con, &self.caller)?;
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

    /// Answers the requests of a batch in order.
    async fn answer_all<'a>(
        &self,
        output: &mut AnswerStream<'_>,
        requests: &mut dyn Iterator<Item = &'a [u8]>,
        named: Option<Named<'a>>,
    ) -> Result<()> {
        let budget = output.budget();
        let mut window = Window::default();
        let mut is_first = true;
        loop {
            while window.len() < WINDOW
                && (window.is_empty() || budget.has_room())
                && let Some(text) = requests.next()
            {
                window.push(self.caller.answer(text, named, &budget));
            }
            if window.is_empty() {
                return Ok(());
            }
            let answer = output.wait(window.first()).await?;
            if !std::mem::take(&mut is_first) {
                output.push(b",");
            }
            // The other calls continue, and time out, while this answer is sent.
            window.beside(output.answer(&answer, named.is_some())).await?;
        }
    }

    async fn list(&self, con: &mut Connection, object: Option<&[u8]>) -> Result<()> {
        con.notice_departure();
        let mut output = AnswerStream::new(con, &self.caller)?;
        let listed = self.caller.list(object, &output.budget()).await;
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

    async fn subscribe(&self, sid: &[u8], object: &[u8]) -> std::result::Result<Subscription, UbusError> {
        let subscribed = self.caller.within(async {
            self.caller.permit(sid, object, SUBSCRIBE).await?;
            Ok(self.caller.client.subscribe(object).await?)
        });
        Ok(subscribed.await??)
    }

    /// Sends events until they end, the client leaves, or its session loses the permission.
    async fn stream(&self, con: &mut Connection, events: &Subscription, sid: &[u8], object: &[u8]) -> Result<()> {
        con.add_header("Content-Type", "text/event-stream")?;
        con.add_header("Cache-Control", "no-cache")?;
        con.send(self.retry.map_or(String::new(), |millis| format!("retry: {millis}\n"))).await?;
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
                    // A check that failed is not a refusal.
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

/// Whether a page of another origin sent the request. Browsers send text without a preflight, and where no session is
/// needed the call would be made.
fn is_foreign(req: &Request) -> bool {
    let Some(origin) = req.header_bytes("origin") else { return false };
    let host = origin.splitn(2, |&byte| byte == b'/').nth(1).and_then(|rest| rest.strip_prefix(b"/"));
    !host.is_some_and(|host| req.host().is_some_and(|own| host.eq_ignore_ascii_case(own.as_bytes())))
}

/// Lets pages of other origins call, without credentials: a page must know the session. With
/// `access-control-allow-credentials` any page could act as the user.
fn allow_origin(con: &mut Connection, req: &Request) -> Result<()> {
    con.add_header("Vary", "Origin")?;
    let Some(origin) = req.header("origin") else { return Ok(()) };
    if req.header("access-control-request-method").is_some_and(|method| !is_allowed(method)) {
        return Ok(());
    }
    con.add_header("Access-Control-Allow-Origin", origin)?;
    if let Some(fields) = req.header("access-control-request-headers") {
        con.add_header("Access-Control-Allow-Headers", fields)?;
    }
    con.add_header("Access-Control-Allow-Methods", METHODS)
}

/// Answers any other request.
fn empty(con: &mut Connection, req: &Request) -> Result<()> {
    con.set_status(match req.method() {
        "OPTIONS" => 200,
        "GET" | "HEAD" => 404,
        _ => req.refuse_method().status(),
    })?;
    con.add_header("Allow", METHODS)
}

/// An error of ubus, outside JSON-RPC.
struct UbusError {
    code: i64,
    message: &'static str,
}

impl From<Status> for UbusError {
    fn from(status: Status) -> UbusError {
        UbusError { code: i64::from(status), message: status_name(status) }
    }
}

impl From<Fault> for UbusError {
    fn from(fault: Fault) -> UbusError {
        UbusError::from(match fault {
            Fault::Access => return UbusError { code: DENIED, message: "Permission denied" },
            Fault::Object => status::NOT_FOUND,
            Fault::Timeout => status::TIMEOUT,
            Fault::Internal => status::UNREACHABLE,
            _ => status::UNKNOWN,
        })
    }
}

async fn refuse(con: &mut Connection, refusal: UbusError) -> Result<()> {
    con.set_status_reason(500, "Ubus Protocol Error")?;
    tell(con, refusal).await
}

/// Sends the error as the response.
async fn tell(con: &mut Connection, refusal: UbusError) -> Result<()> {
    con.add_header("Content-Type", "application/json")?;
    let mut text = Vec::new();
    push_error(&mut text, refusal.code, refusal.message);
    con.add_header("Content-Length", text.len())?;
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
