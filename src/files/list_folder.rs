//! Answering with the listing of a folder, sent in bounded pieces.

use super::descriptors::proc_path;
use super::limits::{LISTED, LISTED_AT_ONCE, LISTINGS, SEARCHED};
use super::listing_json::Json;
use super::listing_page::Page;
use super::lookup::status_of;
use super::selection::{Entry, Selection};
use super::store::Store;
use crate::http::fields::Fields;
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
    let json = wants_json(&*req.head);
    let content_type =
        if json { "application/json".to_owned() } else { ["text/html; charset=", &store.charset].concat() };
    con.append_header("Vary", "Accept")?;
    con.add_header("Content-Type", content_type)?;
    if req.head.is_head() {
        return con.send("").await;
    }
    let selection = Selection::from_query(req.query_bytes());
    let (entries, cut) = read(con, store, relative, &dir, &selection).await.map_err(refusal)?;
    let entries = selection.sort(entries);
    if json {
        send_json(con, &entries, cut).await?;
    } else {
        send_page(con, store, relative, &selection, &entries, cut).await?;
    }
    drop(turn);
    Ok(())
}

/// Whether the client names JSON, and likes it at least as well as HTML.
fn wants_json(head: &impl Fields) -> bool {
    let weight = |media: &str| head.values("accept").map(|value| media_weight(value, media)).max().unwrap_or(0);
    let json = weight("application/json");
    json > 0 && json >= weight("text/html")
}

async fn send_json(con: &mut Connection, entries: &[Entry], cut: bool) -> Result<()> {
    if cut {
        con.add_header("X-Truncated", "true")?;
    }
    let (mut json, mut out) = (Json::new(), Vec::new());
    for elements in entries.chunks(LISTED_AT_ONCE) {
        elements.iter().for_each(|entry| json.element(entry, &mut out));
        con.send(&out).await?;
        out.clear();
    }
    json.end(&mut out);
    con.send(&out).await
}

async fn send_page(
    con: &mut Connection,
    store: &Store,
    relative: &[u8],
    selection: &Selection,
    entries: &[Entry],
    cut: bool,
) -> Result<()> {
    let mut path = vec![b'/'];
    path.extend_from_slice(relative);
    if !relative.is_empty() {
        path.push(b'/');
    }
    let page = Page { path: &path, selection, charset: &store.charset };
    let mut out = Vec::new();
    page.head(&mut out);
    for rows in entries.chunks(LISTED_AT_ONCE) {
        rows.iter().for_each(|entry| page.row(entry, &mut out));
        con.send(&out).await?;
        out.clear();
    }
    if cut {
        page.note("&hellip; and more, not listed", &mut out);
    } else if entries.is_empty() && !selection.search.is_empty() {
        page.note("Nothing found", &mut out);
    }
    page.foot(&mut out);
    con.send(&out).await
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
