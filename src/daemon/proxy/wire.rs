//! HTTP/1.1 as the server behind sees it.

use super::back::Back;
use super::request::Outgoing;
use crate::daemon::field_names::FieldNames;
use crate::daemon::upstream::{Fault, Taken, Wire, Wrong};
use ecohttpd::{Chunked, Connection, ReplyBody, ReplyHead, ReplyScanner};
use std::io::Write;

/// Interim responses before the final one: some servers send two.
const INTERIM: u32 = 8;

/// The size of a chunk in four hex digits, and CRLF.
const CHUNK_HEAD: usize = 6;

/// Fields that are for this hop only (RFC 9110 §7.6.1), that the proxy writes itself, or that name the server behind.
const DROPPED: FieldNames = FieldNames::new(&[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
]);

/// One exchange with the server.
pub struct HttpWire<'a> {
    back: Back<'a>,
    /// The request's body is chunked.
    chunked: bool,
    to_head: bool,
    upgrades: bool,
    /// Fields are set that those of the server replace.
    replaces: bool,
    state: State,
    interim: u32,
    keep_alive: bool,
}

/// Where the response is.
enum State {
    /// In its head: what came of it, unless it came at once.
    Head(Vec<u8>, ReplyScanner),
    /// So many bytes are to come.
    Length(u64),
    Chunks(Chunked),
    UntilClose,
}

impl<'a> HttpWire<'a> {
    pub fn new(back: Back<'a>, request: &Outgoing<'_>) -> HttpWire<'a> {
        HttpWire {
            back,
            chunked: request.is_chunked(),
            to_head: request.req.method() == "HEAD",
            upgrades: request.wants_upgrade(),
            replaces: request.has_fields,
            state: State::Head(Vec::new(), ReplyScanner::default()),
            interim: 0,
            keep_alive: false,
        }
    }

    /// Takes a head off the input, once it is whole.
    fn take_head<'b>(&mut self, input: &mut &[u8], con: &mut Connection) -> Result<Taken<'b>, Fault> {
        let State::Head(held, scanner) = &mut self.state else { return Ok(Taken::More) };
        let mut head = std::mem::take(held);
        let known = head.len();
        let at_once = known == 0;
        if !at_once {
            head.extend_from_slice(input);
        }
        let bytes = if at_once { *input } else { &head };
        let Some(end) = scanner.find(bytes).map_err(|bad| Wrong(bad.reason()))? else {
            if at_once {
                head.extend_from_slice(input);
            }
            *held = head;
            *input = &[];
            return Ok(Taken::More);
        };
        *scanner = ReplyScanner::default();
        let parsed =
            ReplyHead::parse(bytes.get(..end).unwrap_or_default(), self.to_head).map_err(|bad| Wrong(bad.reason()))?;
        *input = input.get(end - known..).unwrap_or_default();
        self.read_head(&parsed, con)
    }

    fn read_head<'b>(&mut self, head: &ReplyHead<'_>, con: &mut Connection) -> Result<Taken<'b>, Fault> {
        match head.status() {
            101 if self.upgrades => {
                self.pass_on(head, con)?;
                return Ok(Taken::Switch);
            }
            101 => return Err(Fault::Wrong("101 without an offer of another protocol")),
            // The client was told to go on when its body was wanted here.
            100..200 => {
                self.interim += 1;
                return if self.interim > INTERIM {
                    Err(Fault::Wrong("too many interim responses"))
                } else {
                    Ok(Taken::More)
                };
            }
            _ => {}
        }
        match head.reason() {
            "OK" if head.status() == 200 => con.set_status(200)?,
            reason if reason == ecohttpd::status_reason(head.status()) => con.set_status(head.status())?,
            reason => con.set_status_reason(head.status(), reason)?,
        }
        self.pass_on(head, con)?;
        self.keep_alive = head.keep_alive();
        self.state = match head.body() {
            ReplyBody::None => State::Length(0),
            ReplyBody::Length(length) => State::Length(length),
            ReplyBody::Chunked => State::Chunks(Chunked::default()),
            ReplyBody::UntilClose => State::UntilClose,
        };
        Ok(Taken::Head)
    }

    /// Sets the fields of the response for the client. They replace configured ones of the same name, but not each other.
    fn pass_on(&self, head: &ReplyHead<'_>, con: &mut Connection) -> ecohttpd::Result<()> {
        let passes = |name: &str| {
            !DROPPED.holds(name) && !head.is_of_connection(name)
                || head.status() == 101 && name.eq_ignore_ascii_case("upgrade")
        };
        if self.replaces {
            for (name, _) in head.fields().filter(|(name, _)| passes(name)) {
                con.remove_header(name)?;
            }
        }
        for (name, value) in head.fields().filter(|(name, _)| passes(name)) {
            match self.back.field(name, value) {
                Some(ours) => con.append_header_bytes(name, ours.as_bytes())?,
                None => con.append_header_bytes(name, value)?,
            }
        }
        if let Some(length) = head.field("content-length") {
            con.append_header_bytes("Content-Length", length)?;
        }
        Ok(())
    }
}

impl Wire for HttpWire<'_> {
    fn room(&self) -> usize {
        if self.chunked { CHUNK_HEAD } else { 0 }
    }

    fn wrap(&mut self, out: &mut Vec<u8>) {
        if self.chunked {
            let size = out.len().saturating_sub(CHUNK_HEAD);
            // There is room for it.
            let _ = write!(out.get_mut(..CHUNK_HEAD).unwrap_or_default(), "{size:04x}\r\n");
            out.extend_from_slice(b"\r\n");
        }
    }

    fn end_body(&mut self, out: &mut Vec<u8>) {
        if self.chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    fn take<'a>(&mut self, input: &mut &'a [u8], con: &mut Connection) -> Result<Taken<'a>, Fault> {
        match &mut self.state {
            State::Head(..) => {
                while !input.is_empty() {
                    match self.take_head(input, con)? {
                        Taken::More => {}
                        taken => return Ok(taken),
                    }
                }
                Ok(Taken::More)
            }
            State::Length(0) => Ok(Taken::End),
            State::Length(left) => {
                let end = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                let (piece, rest) = input.split_at_checked(end).unwrap_or_default();
                *left -= end as u64;
                *input = rest;
                Ok(if piece.is_empty() { Taken::More } else { Taken::Body(piece) })
            }
            State::Chunks(chunked) => match chunked.take(input).map_err(|bad| Wrong(bad.reason()))? {
                [] if chunked.is_done() => Ok(Taken::End),
                [] => Ok(Taken::More),
                piece => Ok(Taken::Body(piece)),
            },
            State::UntilClose => match std::mem::take(input) {
                [] => Ok(Taken::More),
                piece => Ok(Taken::Body(piece)),
            },
        }
    }

    fn ends_here(&self) -> bool {
        matches!(self.state, State::UntilClose)
    }

    fn keeps(&self) -> bool {
        self.keep_alive
    }
}
