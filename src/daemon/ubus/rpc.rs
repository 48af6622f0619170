//! JSON-RPC 2.0 over ubus: requests are parsed, authorized and called.

use super::blob::Writer;
use super::budget::{Data, ReplyBudget};
use super::calls::CallError;
use super::client::BusClient;
use super::json;
use super::message::{Status, status};
use crate::daemon::counters::{self, Counted};
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The session of clients without one.
pub const NO_SESSION: &[u8] = &[b'0'; 32];

/// The argument that tells objects the session. Clients may not set it.
const SESSION: &[u8] = b"ubus_rpc_session";

/// Most patterns of one `list`: each may match all objects with all their methods.
const MAX_PATTERNS: usize = 64;

/// The errors of the protocol, with the numbers of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Parse,
    Method,
    Params,
    Internal,
    Object,
    Access,
    Timeout,
}

impl Fault {
    pub fn code(self) -> i64 {
        match self {
            Fault::Parse => -32700,
            Fault::Method => -32601,
            Fault::Params => -32602,
            Fault::Internal => -32603,
            Fault::Object => -32000,
            Fault::Access => -32002,
            Fault::Timeout => -32003,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Fault::Parse => "Parse error",
            Fault::Method => "Method not found",
            Fault::Params => "Invalid parameters",
            Fault::Internal => "Internal error",
            Fault::Object => "Object not found",
            Fault::Access => "Access denied",
            Fault::Timeout => "ubus request timed out",
        }
    }
}

impl From<CallError> for Fault {
    fn from(failure: CallError) -> Fault {
        match failure {
            CallError::Unreachable | CallError::TooMuch => Fault::Internal,
            CallError::NoObject => Fault::Object,
            CallError::TooLong => Fault::Params,
        }
    }
}

/// The result of a request.
pub enum CallOutcome<'a> {
    Fault(Fault),
    Called {
        status: Status,
        data: Data,
    },
    /// A listing: objects that match these patterns, with their methods; or the names of all. It is made when it is sent, so
    /// only one listing is in memory.
    List(Option<&'a [u8]>),
}

/// The answer to one request.
pub struct Answer<'a> {
    /// The request's own text.
    pub id: &'a [u8],
    pub outcome: CallOutcome<'a>,
}

impl Answer<'_> {
    pub fn fault(fault: Fault) -> Answer<'static> {
        Answer { id: b"null", outcome: CallOutcome::Fault(fault) }
    }
}

/// How calls are made.
pub struct Caller {
    pub client: Rc<BusClient>,
    /// Calls need no permission of a session.
    pub no_auth: bool,
    pub timeout: Duration,
}

/// The object from the path, and the session from the header.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    pub object: &'a [u8],
    pub sid: &'a [u8],
}

/// A call, as slices of the request.
struct MethodCall<'a> {
    sid: Cow<'a, [u8]>,
    object: Cow<'a, [u8]>,
    method: Cow<'a, [u8]>,
    arguments: &'a [u8],
}

/// The members of a request.
#[derive(Default)]
struct RpcRequest<'a> {
    id: Option<&'a [u8]>,
    is_2: bool,
    method: Option<Cow<'a, [u8]>>,
    params: Option<&'a [u8]>,
}

impl<'a> RpcRequest<'a> {
    fn read(text: &'a [u8]) -> RpcRequest<'a> {
        let mut request = RpcRequest::default();
        for (name, value) in json::members(text).into_iter().flatten() {
            match &*name {
                b"id" => request.id = Some(value),
                b"jsonrpc" => request.is_2 = json::string(value).is_some_and(|version| *version == *b"2.0"),
                b"method" => request.method = json::string(value),
                b"params" => request.params = Some(value),
                _ => {}
            }
        }
        request
    }

    /// `[session, object, method, arguments]`; what follows is ignored, as the reference does.
    fn call(&self) -> Option<MethodCall<'a>> {
        let mut params = json::elements(self.params?)?;
        let mut text = || json::string(params.next()?);
        let (sid, object, method) = (text()?, text()?, text()?);
        Some(MethodCall { sid, object, method, arguments: params.next()? })
    }

    /// The call of a method of the object that the path names.
    fn call_named(self, named: Named<'a>) -> Option<MethodCall<'a>> {
        let Named { object, sid } = named;
        let (method, arguments) = (self.method?, self.params.unwrap_or(b"{}"));
        Some(MethodCall { sid: sid.into(), object: object.into(), method, arguments })
    }
}

impl Caller {
    /// Handles one request of a body that [`json::check`] has accepted.
    pub async fn answer<'a>(&self, text: &'a [u8], named: Option<Named<'a>>, budget: &Rc<ReplyBudget>) -> Answer<'a> {
        if !json::is_sound(text) {
            return Answer::fault(Fault::Parse);
        }
        let request = RpcRequest::read(text);
        let id = request.id.unwrap_or(b"null");
        let outcome = match self.apply(request, named, budget).await {
            Ok(outcome) => outcome,
            Err(fault) => CallOutcome::Fault(fault),
        };
        Answer { id, outcome }
    }

    async fn apply<'a>(
        &self,
        request: RpcRequest<'a>,
        named: Option<Named<'a>>,
        budget: &Rc<ReplyBudget>,
    ) -> Result<CallOutcome<'a>, Fault> {
        if !request.is_2 {
            return Err(Fault::Parse);
        }
        let call = match (named, request.method.as_deref().ok_or(Fault::Parse)?) {
            (Some(named), _) => request.call_named(named),
            (None, b"call") => request.call(),
            (None, b"list") => return list(request.params),
            (None, _) => return Err(Fault::Method),
        };
        let call = call.ok_or(Fault::Parse)?;
        let mut arguments = json::members(call.arguments).ok_or(Fault::Parse)?;
        if arguments.any(|(name, _)| *name == *SESSION) {
            return Err(Fault::Params);
        }
        self.within(self.call(&call, budget)).await
    }

    /// The objects that match a pattern, or all. No match is not an error.
    pub async fn list(&self, pattern: Option<&[u8]>, budget: &Rc<ReplyBudget>) -> Result<Data, Fault> {
        let listed = async { Ok(self.client.list(pattern, Some(budget)).await?.data) };
        self.within(listed).await
    }

    async fn call(&self, call: &MethodCall<'_>, budget: &Rc<ReplyBudget>) -> Result<CallOutcome<'static>, Fault> {
        let sid = if self.no_auth && call.sid.is_empty() { NO_SESSION } else { &call.sid };
        let id = self.admit(sid, &call.object, &call.method).await?;
        let arguments = |writer: &mut Writer<'_>| {
            let members = json::members(call.arguments).into_iter().flatten();
            members.for_each(|(name, value)| json::write(value, &name, writer));
            writer.text(SESSION, sid);
        };
        counters::add(Counted::UbusCalls);
        match self.client.invoke(&call.object, id, &call.method, Some(budget), &arguments).await {
            Ok(reply) => Ok(CallOutcome::Called { status: reply.status, data: reply.data }),
            // The call was made, even if the reply is too long.
            Err(CallError::TooMuch) => Ok(CallOutcome::Called { status: status::OUT_OF_MEMORY, data: Data::default() }),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The id of the object, if the session may call this method. Both are requested at the same time.
    async fn admit(&self, sid: &[u8], object: &[u8], method: &[u8]) -> Result<u32, Fault> {
        let mut id = pin!(self.client.object(object));
        if self.no_auth {
            return Ok(id.await?);
        }
        let mut allowed = pin!(self.client.allows(sid, object, method));
        let (mut found, mut access) = (None, None);
        poll_fn(|cx| {
            if found.is_none()
                && let Poll::Ready(done) = id.as_mut().poll(cx)
            {
                found = Some(done?);
            }
            if access.is_none()
                && let Poll::Ready(done) = allowed.as_mut().poll(cx)
            {
                access = Some(done?);
            }
            match (found, access) {
                (Some(id), Some(true)) => Poll::Ready(Ok(id)),
                (Some(_), Some(false)) => Poll::Ready(Err(Fault::Access)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Checks that the session may call this method of this object, whether or not the object exists.
    pub async fn permit(&self, sid: &[u8], object: &[u8], method: &[u8]) -> Result<(), Fault> {
        if self.no_auth || self.client.allows(sid, object, method).await? { Ok(()) } else { Err(Fault::Access) }
    }

    /// Limits the time of a call.
    pub async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        ecohttpd::timeout(self.timeout, work).await.unwrap_or(Err(Fault::Timeout))
    }
}

/// The listing that a `list` with these parameters asks for.
fn list(params: Option<&[u8]>) -> Result<CallOutcome<'_>, Fault> {
    let patterns = params.filter(|params| json::elements(params).is_some());
    let mut each = patterns.and_then(json::elements).into_iter().flatten();
    if each.by_ref().take(MAX_PATTERNS).any(|pattern| json::string(pattern).is_none()) {
        return Err(Fault::Parse);
    }
    if each.next().is_some() { Err(Fault::Params) } else { Ok(CallOutcome::List(patterns)) }
}
