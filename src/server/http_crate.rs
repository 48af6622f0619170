//! Conversions from and to the types of the crate `http` (feature `http`).
//!
//! Only heads are converted. Bodies are read with [`Connection::read_body`] and sent with [`Connection::send`].

use super::connection::Connection;
use super::error::{Error, Refusal, Result};
use super::request::Request;
use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Response, StatusCode, Uri, Version};

/// The head of the request.
///
/// ```no_run
/// # use ecohttpd::{Connection, Request, Result};
/// async fn handler(con: &mut Connection, req: &mut Request) -> Result<()> {
///     let head = http::Request::<()>::try_from(&*req)?;
///     con.send(format!("{} {}", head.method(), head.uri())).await
/// }
/// ```
///
/// # Errors
/// 400 for a target that `http::Uri` does not take.
impl TryFrom<&Request> for ::http::Request<()> {
    type Error = Refusal;

    fn try_from(request: &Request) -> std::result::Result<Self, Refusal> {
        let mut head = ::http::Request::new(());
        *head.method_mut() = Method::try_from(request)?;
        *head.uri_mut() = Uri::try_from(request)?;
        *head.version_mut() = match (request.major_version(), request.minor_version()) {
            (2, _) => Version::HTTP_2,
            (_, 0) => Version::HTTP_10,
            _ => Version::HTTP_11,
        };
        *head.headers_mut() = HeaderMap::try_from(request)?;
        Ok(head)
    }
}

impl TryFrom<&Request> for Method {
    type Error = Refusal;

    fn try_from(request: &Request) -> std::result::Result<Self, Refusal> {
        Method::from_bytes(request.method().as_bytes()).map_err(refuse)
    }
}

impl TryFrom<&Request> for Uri {
    type Error = Refusal;

    fn try_from(request: &Request) -> std::result::Result<Self, Refusal> {
        Uri::try_from(request.target_bytes()).map_err(refuse)
    }
}

/// All header fields in their order, with those that come several times.
impl TryFrom<&Request> for HeaderMap {
    type Error = Refusal;

    fn try_from(request: &Request) -> std::result::Result<Self, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers_bytes() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(refuse)?;
            let value = HeaderValue::from_bytes(value).map_err(refuse)?;
            headers.try_append(name, value).map_err(refuse)?;
        }
        Ok(headers)
    }
}

impl From<&Error> for StatusCode {
    fn from(error: &Error) -> Self {
        StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refusal> for StatusCode {
    fn from(refusal: Refusal) -> Self {
        StatusCode::from(&Error::from(refusal))
    }
}

impl Connection {
    /// Sets the response's status and header fields to those of `response`; its body is left to the caller.
    ///
    /// Its fields replace those of the same name; others that were set before stay. Version and extensions are ignored.
    ///
    /// ```no_run
    /// # use ecohttpd::{Connection, Request, Result};
    /// async fn handler(con: &mut Connection, _: &mut Request) -> Result<()> {
    ///     let response = http::Response::builder().status(201).header("location", "/1").body("made\n").unwrap();
    ///     con.set_response(&response)?;
    ///     con.send(response.body()).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`set_status`](Connection::set_status) and [`set_headers`](Connection::set_headers).
    pub fn set_response<T>(&mut self, response: &Response<T>) -> Result<()> {
        self.set_status(response.status().as_u16())?;
        self.set_headers(response.headers())
    }

    /// Sets header fields of the response, in place of those of the same name.
    ///
    /// # Errors
    /// Those of [`add_header`](Connection::add_header); some fields may be set then.
    pub fn set_headers(&mut self, headers: &HeaderMap) -> Result<()> {
        for name in headers.keys() {
            self.remove_header(name.as_str())?;
        }
        headers.iter().try_for_each(|(name, value)| self.append_header_bytes(name.as_str(), value.as_bytes()))
    }
}

/// The crate's types hold nearly everything that a request may hold. What they can't hold is refused.
fn refuse<E>(_: E) -> Refusal {
    Refusal::new(400)
}
