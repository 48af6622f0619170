//! A request that a server of a pool answers, whatever protocol it speaks: connected, relayed, repeated or given up.

use super::pool::{Pool, Pooled, Reuse, Unreachable};
use super::relay::{End, Fault, Relay, Scratch, Wire};
use crate::daemon::escape::Escaped;
use crate::daemon::log;
use ecohttpd::{Connection, Result};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

/// What a server gets.
pub struct Upload {
    /// What is sent first.
    pub up: Vec<u8>,
    /// The body follows it, from `held` or else from the client.
    pub has_body: bool,
    pub held: Option<File>,
    /// It has no more effect when it is sent twice: RFC 9110 §9.2.2.
    pub can_repeat: bool,
}

/// What came of it.
pub enum Outcome {
    /// The request was answered.
    Done,
    /// The server goes over to another protocol; what came of that already.
    Switched(Pooled, Vec<u8>),
    /// Nothing was sent; the answer is this error. The log says why.
    Failed(u16),
}

/// Has a server answer. `name`: what the log calls the request.
///
/// # Errors
/// Those of the connection; a server that fails in the middle of its response.
pub async fn exchange(
    pool: &Rc<Pool>,
    con: &mut Connection,
    wire: &mut dyn Wire,
    mut upload: Upload,
    scratch: &Scratch,
    timeout: Duration,
    name: &dyn Display,
) -> Result<Outcome> {
    let can_repeat = upload.can_repeat && !upload.has_body;
    let mut which = if can_repeat { Reuse::Repeatable } else { Reuse::Sure };
    loop {
        let mut pooled = match pool.connect(which, timeout).await {
            Ok(pooled) => pooled,
            Err(Unreachable { timed_out, why }) => {
                let status = if timed_out { 504 } else { 502 };
                tell(con, name, status, &why);
                return Ok(Outcome::Failed(status));
            }
        };
        let may_repeat = pooled.reused && can_repeat;
        // What may be needed once more is copied.
        let up = if may_repeat { upload.up.clone() } else { std::mem::take(&mut upload.up) };
        let mut relay = Relay::new(&mut pooled.stream, wire, scratch, up, upload.has_body, pool.pace(con, timeout));
        relay.held = upload.held.take();
        relay.waits = pooled.waits.take();
        let ran = relay.run(con, timeout).await;
        let (begun, sent_all, surplus) = (relay.begun, relay.has_sent_all(), relay.into_surplus());
        let (status, what) = match ran {
            Ok(End::Done) => {
                if wire.keeps() && sent_all && surplus.is_empty() {
                    pool.keep(pooled);
                }
                return Ok(Outcome::Done);
            }
            Ok(End::Switch) => return Ok(Outcome::Switched(pooled, surplus)),
            // RFC 9112 §9.3.1: it may have closed an idle connection as the request was on its way.
            Err(Fault::Unheard) if may_repeat => {
                which = Reuse::None;
                continue;
            }
            Err(Fault::Client(error)) => return Err(error),
            Err(Fault::Overdue) => (504, "no progress"),
            Err(Fault::Slow(what)) => (408, what),
            Err(Fault::Unheard) => {
                // What else fails may be the fault of the request.
                pool.has_failed(&pooled);
                (502, "closed the connection before its response")
            }
            Err(Fault::Short) => (502, "closed the connection within its response"),
            Err(Fault::Wrong(what)) => (502, what),
            Err(Fault::Refused(what)) => (503, what),
        };
        let cut = if begun { ": response cut short" } else { "" };
        tell(con, name, status, &[pool.name(&pooled), ": ", what, cut].concat());
        // Only closing the connection tells the client that it is not all.
        return if begun { Err(io::Error::from(ErrorKind::UnexpectedEof).into()) } else { Ok(Outcome::Failed(status)) };
    }
}

/// Logs why a request fails.
pub fn tell(con: &Connection, name: &dyn Display, status: u16, what: &str) {
    if con.takes_log_line() {
        log::error!("{name}: {status}: {}", Escaped(what.as_bytes()));
    }
}
