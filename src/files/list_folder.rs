//! Answering with the listing of a folder, sent in bounded pieces.

use super::descriptors::proc_path;
use super::limits::{LISTED, LISTED_AT_ONCE, LISTINGS, SEARCHED};
use super::listing_json::Json;
use super::listing_page::Page;
use super::lookup::status_of;
use super::selection::{Entry, Selection};
use super::store::Store;
use crate::http::media_weight;
use crate::rt::yield_now;
use crate::server::{Connection, Refusal, Request, Result};
use crate::sys;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

/// Lists the folder `relative` beneath the document root.
///
/// # Errors
/// [`Error::Refused`](crate::Error::Refused), before anything was sent; those of [`Connection::send`].
pub(super) async fn serve(con: &mut Connection, req: &Request, store: &Rc<Store>, relative: &[u8]) -> Result<()> {
    // Held until the page is sent.
    let turn = Rc::clone(&store.listings);
    if Rc::strong_count(&turn) > LISTINGS + 1 {
        return Err(Refusal::new(503).into());
    }
    let refusal = |error: io::Error| Refusal::new(status_of(&error));
    let opened = CString::new(relative).map_err(io::Error::from).and_then(|name| store.root(con).open(&name));
    let dir = opened.map_err(refusal)?;
    if !store.may_list(&dir) {
        return Err(Refusal::new(403).into());
    }
    let json = wants_json(req);
    let content_type =
        if json { "application/json".to_owned() } else { ["text/html; charset=", &store.charset].concat() };
    con.append_header("Vary", "Accept")?;
    con.add_header("Content-Type", content_type)?;
    if req.head.is_head() {
        return con.send("").await;
    }
    let selection = Selection::from_query(req.query_bytes());
    let (entries, cut) = read(con, store, relative, &dir, &selection).await.map_err(refusal)?;
    if json && cut {
        con.add_header("X-Truncated", "true")?;
    }
    let entries = selection.sort(entries);
    let mut path = vec![b'/'];
    path.extend_from_slice(relative);
    if !relative.is_empty() {
        path.push(b'/');
    }
    let page = Page { path: &path, selection: &selection, charset: &store.charset };
    let mut view = if json { View::Json(Json::new()) } else { View::Page(page) };
    let mut out = Vec::new();
    view.begin(&mut out);
    for some in entries.chunks(LISTED_AT_ONCE) {
        view.entries(some, &mut out);
        con.send(&out).await?;
        out.clear();
    }
    view.end(entries.is_empty(), cut, &mut out);
    con.send(&out).await?;
    drop(turn);
    Ok(())
}

/// A listing in the form that the client asked for.
enum View<'a> {
    Page(Page<'a>),
    Json(Json),
}

impl View<'_> {
    fn begin(&self, out: &mut Vec<u8>) {
        if let View::Page(page) = self {
            page.head(out);
        }
    }

    fn entries(&mut self, entries: &[Entry], out: &mut Vec<u8>) {
        for entry in entries {
            match self {
                View::Page(page) => page.row(entry, out),
                View::Json(json) => json.element(entry, out),
            }
        }
    }

    fn end(&self, empty: bool, cut: bool, out: &mut Vec<u8>) {
        match self {
            View::Json(json) => json.end(out),
            View::Page(page) => {
                if cut {
                    page.note("&hellip; and more, not listed", out);
                } else if empty && !page.selection.search.is_empty() {
                    page.note("Nothing found", out);
                }
                page.foot(out);
            }
        }
    }
}

/// Whether the client names JSON, and likes it at least as well as HTML. Nobody sends `Accept` in several lines.
fn wants_json(req: &Request) -> bool {
    let accept = req.header_bytes("accept").unwrap_or_default();
    let json = media_weight(accept, "application/json");
    json > 0 && json >= media_weight(accept, "text/html")
}

/// Reads the selected files and folders in a folder; true if some were left out because there are too many.
///
/// Whatever else is in there is left out, and so is what clients may not read.
async fn read(
    con: &Connection,
    store: &Rc<Store>,
    relative: &[u8],
    dir: &File,
    selection: &Selection,
) -> io::Result<(Vec<Entry>, bool)> {
    let mut found = 0;
    let mut entries = Vec::new();
    for (n, entry) in std::fs::read_dir(proc_path(dir.as_fd()))?.enumerate() {
        let entry = entry?;
        let name = entry.file_name();
        if n % LISTED_AT_ONCE == LISTED_AT_ONCE - 1 {
            yield_now().await;
        }
        let selected = selection.shows(name.as_bytes());
        if found >= LISTED && selected || n >= SEARCHED {
            return Ok((entries, true));
        }
        if !selected {
            continue;
        }
        found += 1;
        let stat = if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            let path = CString::new(if relative.is_empty() {
                name.as_bytes().to_vec()
            } else {
                [relative, b"/", name.as_bytes()].concat()
            })?;
            store.root(con).stat(&path, con.now())
        } else {
            sys::stat_at(dir.as_fd(), &CString::new(name.as_bytes())?)
        };
        let Ok(stat) = stat else { continue };
        let shown = stat.is_file() && store.may_read(stat.mode) || stat.is_dir() && store.may_enter(stat.mode);
        if shown {
            let name = name.as_bytes().to_vec();
            entries.push(Entry { name, dir: stat.is_dir(), size: stat.size, mtime: stat.mtime.0 });
        }
    }
    Ok((entries, false))
}
