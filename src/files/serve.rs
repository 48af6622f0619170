//! Answering a request with the file that was found: method, preconditions, ranges, body.

use super::clean_path::CleanPath;
use super::generated;
use super::header_lines::{push_file, push_not_modified};
use super::hot_file::HotFile;
use super::list_folder;
use super::listing_page::push_url;
use super::lookup::{self, FoundFile, status_of};
use super::plan::{self, Body, ByteRanges, Plan};
use super::store::Store;
use crate::http::status_reason;
use crate::server::{Connection, Refusal, Request, Result};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

/// The methods that files and folders support.
const ALLOW: &[u8] = b"Allow: GET, HEAD, OPTIONS\r\n";

/// What is left to send, piece by piece.
enum Rest {
    Nothing,
    Ranges(Rc<HotFile>, ByteRanges),
    Generated(File),
    Listing,
}

/// Answers with what `path` names.
///
/// # Errors
/// [`Error::Refused`](crate::Error::Refused), before anything was sent; those of [`Connection::send`].
pub(super) async fn serve(con: &mut Connection, req: &Request, store: &Rc<Store>, path: &CleanPath) -> Result<()> {
    match begin(con, req, store, path)? {
        Rest::Nothing => Ok(()),
        // Boxed, so that the future of a request for a whole file, the usual one, stays small.
        Rest::Ranges(hot, ranges) => Box::pin(send_ranges(con, &hot, ranges)).await,
        Rest::Generated(file) => Box::pin(generated::serve(con, req, file, path.relative())).await,
        Rest::Listing => Box::pin(list_folder::serve(con, req, store, path.relative())).await,
    }
}

/// Answers as far as possible without waiting, which nearly always is to the end.
fn begin(con: &mut Connection, req: &Request, store: &Rc<Store>, path: &CleanPath) -> Result<Rest> {
    if req.method() == "OPTIONS" {
        con.set_status(204)?;
        con.response()?.push_raw(ALLOW);
        return con.answer("").map(|()| Rest::Nothing);
    }
    if !req.head.is_get() && !req.head.is_head() {
        return Err(req.refuse_method().into());
    }
    match lookup::find(con, store, req, path) {
        Ok(FoundFile::File(hot)) => serve_file(con, req, store, &hot),
        Ok(FoundFile::Generated(file)) => Ok(Rest::Generated(file)),
        Ok(FoundFile::Folder) if !path.is_folder() => redirect_to_slash(con, req, path.relative()),
        Ok(FoundFile::Folder) if store.dir_listing => Ok(Rest::Listing),
        Ok(FoundFile::Folder) => Err(Refusal::new(403).into()),
        Err(error) => {
            let status = status_of(&error);
            if status >= 500 && con.takes_log_line() {
                log::error!("{}: {status} {}: {error}", con.remote_addr(), req.raw_path());
            }
            Err(Refusal::new(status).into())
        }
    }
}

/// Answers with a file, or as much of it as the request wants.
fn serve_file(con: &mut Connection, req: &Request, store: &Store, hot: &Rc<HotFile>) -> Result<Rest> {
    if !req.head.is_selective() {
        return serve_whole(con, hot).map(|()| Rest::Nothing);
    }
    let get = req.head.is_get();
    let plan = plan::plan(&*req.head, get, &hot.facts, &hot.etag, hot.content_type, boundary);
    if plan.status == 200 {
        return serve_whole(con, hot).map(|()| Rest::Nothing);
    }
    if plan.status >= 400 {
        con.response()?.push_raw(&plan.headers);
        return Err(Refusal::new(plan.status).into());
    }
    set_head(con, &plan, hot, store.gzip)?;
    let range = match plan.body {
        Body::Nothing | Body::Whole => 0..0,
        Body::Part(range) => range,
        Body::Parts(ranges) => {
            let wanted = con.start(ranges.length)?;
            return Ok(if wanted { Rest::Ranges(Rc::clone(hot), ranges) } else { Rest::Nothing });
        }
    };
    if con.start(range.end - range.start)? {
        hot.content.push(con, range)?;
    }
    Ok(Rest::Nothing)
}

/// Answers with a whole file.
pub(super) fn serve_whole(con: &mut Connection, hot: &HotFile) -> Result<()> {
    let mut response = con.response()?;
    response.push_raw(&hot.lines);
    if hot.facts.size == 0 {
        // For HEAD, a body of 0 bytes counts as one of unknown length. This length is known.
        response.set("Content-Length", "0")?;
    }
    drop(response);
    if con.start(hot.facts.size)? {
        hot.content.push(con, 0..hot.facts.size)?;
    }
    Ok(())
}

/// Sets the status and the header lines of a plan that is neither 200 nor an error.
fn set_head(con: &mut Connection, plan: &Plan, hot: &HotFile, vary: bool) -> Result<()> {
    let mut lines = Vec::new();
    match (plan.status, &plan.body) {
        (304, _) => push_not_modified(&mut lines, &hot.etag, hot.facts.mtime, vary),
        (206, body) => {
            let content_type = (!matches!(body, Body::Parts(_))).then_some(hot.content_type);
            push_file(&mut lines, content_type, &hot.etag, hot.facts.mtime, hot.coding, vary);
        }
        _ => {}
    }
    let mut response = con.response()?;
    response.set_status(plan.status, None)?;
    response.push_raw(&lines);
    response.push_raw(&plan.headers);
    Ok(())
}

async fn send_ranges(con: &mut Connection, hot: &HotFile, body: ByteRanges) -> Result<()> {
    for (head, range) in body.parts {
        con.room().await?;
        con.push(&head)?;
        hot.content.push(con, range)?;
    }
    con.push(&body.tail)
}

/// Redirects from a folder's name to the same name with a slash.
fn redirect_to_slash(con: &mut Connection, req: &Request, relative: &[u8]) -> Result<Rest> {
    // Built from the resolved path: the raw one may start with two slashes, which would name a host.
    let mut location = vec![b'/'];
    for segment in relative.split(|&b| b == b'/') {
        push_url(&mut location, segment);
        location.push(b'/');
    }
    let mut location = String::from_utf8(location).unwrap_or_default();
    if !req.query_string().is_empty() {
        location.push('?');
        location.push_str(req.query_string());
    }
    con.answer_redirect(301, &location)?;
    Ok(Rest::Nothing)
}

/// Answers with a short text for a status, and keeps the connection.
pub(super) fn answer_refusal(con: &mut Connection, refusal: Refusal) -> Result<()> {
    let status = refusal.status();
    con.set_status(status)?;
    match status {
        412 | 416 => return con.answer(""),
        405 => con.response()?.push_raw(ALLOW),
        503 => con.add_header("Retry-After", 1)?,
        _ => {}
    }
    con.response()?.push_raw(b"Content-Type: text/plain; charset=utf-8\r\n");
    con.answer(&format!("{status} {}\n", status_reason(status)))
}

/// A boundary that nobody can guess, so that no file can contain it.
fn boundary() -> String {
    // Keyed by the system's random numbers; std has no shorter way to them.
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
