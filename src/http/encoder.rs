//! How a response's body is delimited, and the response's head as bytes.

use super::headers::{list, push_decimal, push_hex};
use super::response::{ResponseHead, is_named, lines};

/// The end of a chunk's payload.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The chunk that ends a body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The interim response that a client waits for before it sends a body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The facts about a request that decide how its response is delimited.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplyTo {
    /// Whether the method was HEAD.
    pub head: bool,
    /// Whether the request was HTTP/1.0.
    pub http10: bool,
    /// Whether the request was HTTP/2, which delimits bodies by itself.
    pub stream: bool,
}

/// How the payload is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// Unchanged, with a fixed length.
    Length {
        /// Bytes that the head promised and that are still to come.
        left: u64,
    },
    /// In chunks, then [`LAST_CHUNK`].
    Chunked,
    /// Unchanged, up to the end of the connection, or of the stream of HTTP/2.
    UntilClose,
    /// Not at all: payload is dropped.
    Nothing,
}

/// How a response is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// How the payload is sent.
    pub encoder: Encoder,
    /// The value of `Content-Length`, if it is sent.
    pub content_length: Option<u64>,
    /// Whether `Transfer-Encoding: chunked` is sent.
    pub chunked: bool,
}

/// Decides how the body is delimited; `known` is its length, if the whole body is available.
///
/// RFC 9112 §6.3 seen from the sender, with RFC 9110 §8.6 on `Content-Length`.
pub fn frame(response: &ResponseHead, to: ReplyTo, known: Option<u64>) -> Frame {
    let declared = response.declared;
    let (encoder, content_length) = match response.status {
        // 1. 1xx and 204 have no body and no length.
        100..=199 | 204 => (Encoder::Nothing, None),
        // 2. 304 has no body. A length would be that of the 200 response, which only the handler knows.
        304 => (Encoder::Nothing, declared),
        // 3. HEAD: no body. If the handler sent nothing, that is not the length that GET would have.
        _ if to.head => {
            let known = known.filter(|&length| length > 0);
            (Encoder::Nothing, declared.or(known))
        }
        // 4. The declared length, or else the known one.
        _ => match declared.or(known) {
            Some(left) => (Encoder::Length { left }, Some(left)),
            // 5. HTTP/1.0 has no chunks: the body ends with the connection. HTTP/2 has none, either: it ends with the stream.
            None if to.http10 || to.stream => (Encoder::UntilClose, None),
            // 6. Chunks.
            None => (Encoder::Chunked, None),
        },
    };
    Frame { encoder, content_length, chunked: encoder == Encoder::Chunked }
}

/// What the `Connection` field must say.
#[derive(Clone, Copy, Debug)]
pub struct Persistence {
    /// Whether the request was HTTP/1.0, where closing is the default (RFC 9112 §9.3).
    pub http10: bool,
    /// Whether another request may follow.
    pub keep_alive: bool,
}

/// Appends the whole head to `out`: status line, our fields, the handler's, empty line.
///
/// `date_server` holds our `Date` and `Server` as complete lines. Those that the handler set itself are left out.
pub fn write_head(
    out: &mut Vec<u8>,
    response: &ResponseHead,
    frame: &Frame,
    persistence: Persistence,
    date_server: &[u8],
) {
    const FRAMING: usize = 96; // Content-Length and Connection lines
    let room = date_server.len() + FRAMING + response.options.len();
    response.write_around(out, room, |out| {
        if response.has_date || response.has_server {
            for line in lines(date_server) {
                let overridden =
                    response.has_date && is_named(line, "date") || response.has_server && is_named(line, "server");
                if !overridden {
                    out.extend_from_slice(line);
                }
            }
        } else {
            out.extend_from_slice(date_server);
        }
        if let Some(length) = frame.content_length {
            out.extend_from_slice(b"Content-Length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        } else if frame.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        write_connection(out, response, persistence);
    });
}

/// Appends the size line of a chunk. `len` must not be zero, which would end the body.
pub fn chunk_head(out: &mut Vec<u8>, len: u64) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    push_hex(out, len);
    out.extend_from_slice(b"\r\n");
}

/// The `Connection` line, unless the version's default is enough (RFC 9112 §9.3).
fn write_connection(out: &mut Vec<u8>, response: &ResponseHead, persistence: Persistence) {
    let ours: &[u8] = match (response.status, persistence.keep_alive) {
        // The connection switches to another protocol: neither word fits.
        (101, _) if list(&response.options).any(is_upgrade) => b"",
        (101, _) => b"upgrade",
        (_, false) => b"close",
        (_, true) if persistence.http10 => b"keep-alive",
        (_, true) => b"",
    };
    if ours.is_empty() && response.options.is_empty() {
        return;
    }
    out.extend_from_slice(b"Connection: ");
    out.extend_from_slice(ours);
    if !ours.is_empty() && !response.options.is_empty() {
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(&response.options);
    out.extend_from_slice(b"\r\n");
}

fn is_upgrade(option: &[u8]) -> bool {
    option.eq_ignore_ascii_case(b"upgrade")
}

#[cfg(test)]
mod tests {
    use super::super::keep_alive::{Next, Situation, Unread, next};
    use super::super::response::tests::response;
    use super::*;

    /// A request, and whether both sides want to go on.
    #[derive(Clone, Copy)]
    struct Asked {
        head: bool,
        http10: bool,
        keep_alive: bool,
    }

    const ASKED: Asked = Asked { head: false, http10: false, keep_alive: true };

    /// Status, fields, what was asked, the length known, and the head without its version.
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Asked, Option<u64>, String);

    fn framed(response: &ResponseHead, asked: Asked, known: Option<u64>) -> Frame {
        frame(response, ReplyTo { head: asked.head, http10: asked.http10, stream: false }, known)
    }

    fn keeps(response: &ResponseHead, asked: Asked, frame: &Frame) -> bool {
        let situation = Situation {
            event: None,
            stopping: false,
            client_keeps: asked.keep_alive,
            server_keeps: true,
            response_closes: response.closes(),
            until_close: frame.encoder == Encoder::UntilClose,
            unread: Unread::Nothing,
        };
        next(&situation) == Next::Reuse
    }

    fn whole(response: &ResponseHead, asked: Asked, known: Option<u64>) -> String {
        let mut out = Vec::new();
        let frame = framed(response, asked, known);
        let persistence = Persistence { http10: asked.http10, keep_alive: keeps(response, asked, &frame) };
        write_head(&mut out, response, &frame, persistence, b"Date: d\r\nServer: s\r\n");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn frames() {
        let head = Asked { head: true, ..ASKED };
        let http10 = Asked { http10: true, ..ASKED };
        let length: &[(&str, &str)] = &[("content-length", "5")];
        let closing = Asked { keep_alive: false, ..ASKED };
        let nothing = Encoder::Nothing;
        let five = Encoder::Length { left: 5 };
        #[rustfmt::skip]
        let rows = [
            (200, length, ASKED, None, five, true, Some(5), "declared"),
            (200, length, ASKED, Some(9), five, true, Some(5), "declared before known"),
            (200, &[], ASKED, Some(5), five, true, Some(5), "known"),
            (200, &[], ASKED, Some(0), Encoder::Length { left: 0 }, true, Some(0), "empty"),
            (200, &[], ASKED, None, Encoder::Chunked, true, None, "neither"),
            (200, &[], http10, None, Encoder::UntilClose, false, None, "neither, for 1.0"),
            (200, length, http10, None, five, true, Some(5), "declared, for 1.0"),
            (200, length, head, None, nothing, true, Some(5), "HEAD, declared"),
            (200, &[], head, Some(5), nothing, true, Some(5), "HEAD, known"),
            (200, &[], head, Some(0), nothing, true, None, "HEAD, handler sent nothing"),
            (200, &[], head, None, nothing, true, None, "HEAD, neither"),
            (204, length, ASKED, Some(5), nothing, true, None, "204"),
            (101, length, ASKED, Some(5), nothing, true, None, "101"),
            (304, &[], ASKED, Some(0), nothing, true, None, "304"),
            (304, length, ASKED, Some(0), nothing, true, Some(5), "304, declared"),
            (500, &[], closing, Some(5), five, false, Some(5), "close asked"),
        ];
        for (status, fields, asked, known, encoder, keep_alive, content_length, name) in rows {
            let response = response(status, fields);
            let got = framed(&response, asked, known);
            let chunked = encoder == Encoder::Chunked;
            assert_eq!(got, Frame { encoder, content_length, chunked }, "{name}");
            assert_eq!(keeps(&response, asked, &got), keep_alive, "{name}");
        }
        let closing = response(200, &[("connection", "Close")]);
        assert!(!keeps(&closing, ASKED, &framed(&closing, ASKED, Some(5))));
    }

    #[test]
    fn heads() {
        let http10 = Asked { http10: true, ..ASKED };
        let closing = Asked { keep_alive: false, ..ASKED };
        let ds = "Date: d\r\nServer: s\r\n";
        #[rustfmt::skip]
        let rows: Vec<Row<'_>> = vec![
            (200, &[("A", "b")], ASKED, Some(5), format!("200 OK\r\n{ds}Content-Length: 5\r\nA: b\r\n\r\n")),
            (200, &[], ASKED, None, format!("200 OK\r\n{ds}Transfer-Encoding: chunked\r\n\r\n")),
            (200, &[], http10, None, format!("200 OK\r\n{ds}Connection: close\r\n\r\n")),
            (200, &[], http10, Some(0), format!("200 OK\r\n{ds}Content-Length: 0\r\nConnection: keep-alive\r\n\r\n")),
            (400, &[("connection", "x, keep-alive"), ("Connection", "y")], closing, Some(0), format!("400 Bad Request\r\n{ds}Content-Length: 0\r\nConnection: close, x, y\r\n\r\n")),
            (204, &[("date", "mine")], ASKED, Some(0), "204 No Content\r\nServer: s\r\ndate: mine\r\n\r\n".into()),
            (204, &[("SERVER", "mine")], ASKED, None, "204 No Content\r\nDate: d\r\nSERVER: mine\r\n\r\n".into()),
            (101, &[("Upgrade", "websocket")], closing, None, format!("101 Switching Protocols\r\n{ds}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")),
            (101, &[("Connection", "Upgrade"), ("Upgrade", "x")], ASKED, None, format!("101 Switching Protocols\r\n{ds}Connection: Upgrade\r\nUpgrade: x\r\n\r\n")),
        ];
        for (status, fields, asked, known, want) in rows {
            let got = whole(&response(status, fields), asked, known);
            assert_eq!(got, format!("HTTP/1.1 {want}"));
        }
    }

    #[test]
    fn chunks() {
        let mut out = Vec::new();
        chunk_head(&mut out, 0xbeef);
        assert_eq!(out, b"beef\r\n");
    }
}
