//! Short responses of the program itself.

use ecohttpd::{Connection, Result};

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
