//! [`Connection::serve_file`], the one method of a connection that its own folder can't hold: `server` knows no files.

use crate::files::Files;
use crate::server::{Connection, Request, Result};

impl Connection {
    /// Answers a request with a file beneath [`Options::docroot`](crate::Options::docroot): the reference's `serve_file`.
    ///
    /// GET and HEAD are answered with the file, OPTIONS with 204 and `Allow`, other methods with 405 or 501. The query is
    /// ignored. The path is percent-decoded once and its dot segments are resolved. A path that leaves the document root,
    /// by `..` or by a link, is 403. A folder redirects to its name with a slash, and then serves its index file.
    ///
    /// Preconditions follow RFC 9110 §13.2.2 and ranges §14; several ranges are sent as `multipart/byteranges`. With
    /// [`Options::gzip`](crate::Options::gzip), precompressed files are sent to clients that accept them. A missing file is
    /// 404, an unreadable one 403. 503 means that the system has no descriptor left.
    ///
    /// # Errors
    /// [`Error::HeadSent`](crate::Error::HeadSent); [`Error::Closed`](crate::Error::Closed) if the client left. Every
    /// problem with the file itself is answered, and no error.
    pub async fn serve_file(&mut self, req: &Request) -> Result<()> {
        Files::of(self).serve(self, req).await
    }
}
