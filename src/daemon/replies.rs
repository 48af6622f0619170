//! Short replies of the program's own.

use ecohttpd::{Connection, Result};
use std::fmt;

/// Answers with an error in uhttpd's form.
pub async fn error(con: &mut Connection, status: u16, text: &str) -> Result<()> {
    let reason = ecohttpd::status_reason(status);
    respond(con, status, "text/html; charset=utf-8", &format!("<h1>{reason}</h1>{text}")).await
}

pub async fn respond(con: &mut Connection, status: u16, content_type: &str, body: &str) -> Result<()> {
    con.set_status(status)?;
    con.add_header("content-type", content_type)?;
    con.add_header("content-length", body.len())?;
    con.send(body).await
}

/// Text in HTML.
pub struct Html<'a>(pub &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_str(other.encode_utf8(&mut [0; 4]))?,
            }
        }
        Ok(())
    }
}
