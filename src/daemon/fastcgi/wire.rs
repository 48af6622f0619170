//! One exchange with a FastCGI server.

use super::record::{self, HEAD, Piece, Records, kind};
use crate::daemon::cgi::{Collector, ErrorLines, ScriptHead, set_head};
use crate::daemon::log;
use crate::daemon::upstream::{Fault, Taken, Wire, Wrong};
use ecohttpd::Connection;
use std::fmt::Display;

/// One exchange.
pub struct FastCgiWire<'a> {
    /// The script and its client, for the log.
    name: &'a dyn Display,
    records: Records,
    /// The head of the response, until it is sent.
    head: Option<Collector>,
    /// What followed the head in the same record.
    rest: usize,
    /// Bytes left to send of the program's `Content-Length`.
    left: Option<u64>,
    errors: Option<ErrorLines>,
    /// The path of a local redirect.
    local: Option<String>,
    ended: bool,
    to_head: bool,
}

impl<'a> FastCgiWire<'a> {
    /// For HEAD nothing of a body is counted.
    pub fn new(name: &'a dyn Display, to_head: bool) -> FastCgiWire<'a> {
        FastCgiWire {
            name,
            records: Records::default(),
            head: Some(Collector::default()),
            rest: 0,
            left: None,
            errors: None,
            local: None,
            ended: false,
            to_head,
        }
    }

    /// Where the request goes on (RFC 3875 §6.2.2), if it does.
    pub fn take_local(&mut self) -> Option<String> {
        self.local.take()
    }

    /// Logs the last line of standard error.
    pub fn end_errors(&mut self) {
        if let Some(errors) = &mut self.errors {
            errors.end(self.name);
        }
    }

    /// Output without the head.
    fn payload<'b>(&mut self, output: &'b [u8]) -> Taken<'b> {
        let Some(left) = &mut self.left else { return Taken::Body(output) };
        // Many programs do not count their last newline.
        let wanted = output.get(..usize::try_from(*left).unwrap_or(usize::MAX)).unwrap_or(output);
        *left -= wanted.len() as u64;
        Taken::Body(wanted)
    }

    /// Turns the program's head into that of the response.
    fn begin<'b>(&mut self, collector: &Collector, con: &mut Connection) -> Result<Taken<'b>, Fault> {
        let (head, body) = collector.parse().map_err(|bad| Wrong(bad.0))?;
        if let Some(place) = head.local() {
            self.local = Some(place.to_owned());
            return Ok(Taken::End);
        }
        if head.chunked {
            return Err(Fault::Wrong("Transfer-Encoding in its response"));
        }
        self.rest = body.len();
        self.left = head.length.filter(|_| !self.to_head && has_body(&head));
        set_head(con, &head, self.name)?;
        Ok(Taken::Head)
    }

    fn end<'b>(&mut self, status: u32, refusal: u8, con: &mut Connection) -> Result<Taken<'b>, Fault> {
        self.ended = true;
        if refusal != 0 {
            return Err(Fault::Refused("it refuses the request, as it is overloaded or not a responder"));
        }
        if status != 0 {
            log::warn!("{}: ended with status {status}", self.name);
        }
        if let Some(mut collector) = self.head.take() {
            collector.end().map_err(|bad| Wrong(bad.0))?;
            return self.begin(&collector, con);
        }
        self.end_of_body()
    }

    fn end_of_body<'b>(&self) -> Result<Taken<'b>, Fault> {
        if self.left.is_some_and(|left| left > 0) { Err(Fault::Short) } else { Ok(Taken::End) }
    }
}

impl Wire for FastCgiWire<'_> {
    fn room(&self) -> usize {
        HEAD
    }

    fn wrap(&mut self, out: &mut Vec<u8>) {
        let head = record::head(kind::STDIN, out.len().saturating_sub(HEAD));
        out.get_mut(..HEAD).unwrap_or_default().copy_from_slice(&head);
    }

    fn end_body(&mut self, out: &mut Vec<u8>) {
        record::push_stdin(out, b"");
    }

    fn take<'a>(&mut self, input: &mut &'a [u8], con: &mut Connection) -> Result<Taken<'a>, Fault> {
        if self.ended {
            return self.end_of_body();
        }
        loop {
            if self.rest > 0 {
                let (rest, after) = input.split_at_checked(self.rest).unwrap_or_default();
                *input = after;
                self.rest = 0;
                return Ok(self.payload(rest));
            }
            let before = *input;
            match self.records.take(input).map_err(Wrong)? {
                // Nothing more of it is sent, and it may go on for ever.
                Piece::More if self.to_head && self.head.is_none() => return Ok(Taken::End),
                Piece::More => return Ok(Taken::More),
                Piece::Error(text) => self.errors.get_or_insert_with(ErrorLines::new).push(text, self.name),
                Piece::End { status, refusal } => return self.end(status, refusal, con),
                Piece::Output(output) => {
                    let Some(mut collector) = self.head.take() else { return Ok(self.payload(output)) };
                    if !collector.push(output).map_err(|bad| Wrong(bad.0))? {
                        self.head = Some(collector);
                        continue;
                    }
                    let taken = self.begin(&collector, con)?;
                    // It comes again, as body.
                    let end = before.len() - input.len();
                    *input = before.get(end - self.rest.min(end)..).unwrap_or_default();
                    return Ok(taken);
                }
            }
        }
    }

    fn ends_here(&self) -> bool {
        false
    }

    fn keeps(&self) -> bool {
        self.ended
    }
}

/// Whether the response has a body whose length must be counted (RFC 9110 §6.4.1).
fn has_body(head: &ScriptHead<'_>) -> bool {
    !matches!(head.status, Some((204 | 304, _)))
}
