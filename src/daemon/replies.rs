//! Short responses of the program itself.

use super::escape::Html;
use ecohttpd::syntax::media_weight;
use ecohttpd::{Connection, Request, Result};

/// `Retry-After` of 503, in seconds: pages and most scripts take less.
const RETRY_AFTER: u32 = 2;

/// Answers a request with an error.
pub async fn fail(con: &mut Connection, req: &Request, status: u16) -> Result<()> {
    let path = Html(req.raw_path());
    let text = match status {
        404 => format!("The requested URL {path} was not found on this server."),
        403 => format!("You don't have permission to access {path} on this server."),
        _ => String::new(),
    };
    match status {
        405 => con.add_header("Allow", "GET, HEAD, OPTIONS")?,
        // The rest of the body would be as slow, or find no room either.
        408 | 413 | 507 => con.add_header("Connection", "close")?,
        503 => con.add_header("Retry-After", RETRY_AFTER)?,
        412 | 416 => {
            con.set_status(status)?;
            con.add_header("Content-Length", 0)?;
            return con.send("").await;
        }
        _ => {}
    }
    error(con, status, &text).await
}

/// Sends an error in uhttpd's form.
pub async fn error(con: &mut Connection, status: u16, text: &str) -> Result<()> {
    let reason = ecohttpd::status_reason(status);
    respond(con, status, "text/html; charset=utf-8", &format!("<h1>{reason}</h1>{text}")).await
}

pub async fn respond(con: &mut Connection, status: u16, content_type: &str, body: &str) -> Result<()> {
    con.set_status(status)?;
    con.add_header("Content-Type", content_type)?;
    con.add_header("Content-Length", body.len())?;
    con.send(body).await
}

/// Whether a client accepts HTML, as browsers do only for pages: requests for images and by programs get an error.
pub fn asks_for_page(req: &Request) -> bool {
    media_weight(req.header_bytes("accept").unwrap_or_default(), "text/html") > 0
}
