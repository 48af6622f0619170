//! Answering with the listing of a folder, sent in bounded pieces.

use super::descriptors::proc_path;
use super::limits::{LISTED, LISTED_AT_ONCE, LISTINGS};
use super::listing_page::{Entry, Page, order_from_query, sort};
use super::lookup::status_of;
use super::store::Store;
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
    let content_type = format!("text/html; charset={}", store.charset);
    let refusal = |error: io::Error| Refusal::new(status_of(&error));
    let opened = CString::new(relative).map_err(io::Error::from).and_then(|name| store.root(con).open(&name));
    let dir = opened.map_err(refusal)?;
    if !store.may_list(&dir) {
        return Err(Refusal::new(403).into());
    }
    if req.head.is_head() {
        con.add_header("Content-Type", content_type)?;
        return con.send("").await;
    }
    let (entries, cut) = read(con, store, relative, &dir).await.map_err(refusal)?;
    let order = order_from_query(req.query_string());
    let entries = sort(entries, order);
    let mut path = vec![b'/'];
    path.extend_from_slice(relative);
    if !relative.is_empty() {
        path.push(b'/');
    }
    let page = Page { path: &path, order, charset: &store.charset };
    con.add_header("Content-Type", content_type)?;
    let mut out = Vec::new();
    page.head(&mut out);
    for rows in entries.chunks(LISTED_AT_ONCE) {
        for entry in rows {
            page.row(entry, &mut out);
        }
        con.send(&out).await?;
        out.clear();
    }
    if cut {
        page.cut(&mut out);
    }
    page.foot(&mut out);
    con.send(&out).await?;
    drop(turn);
    Ok(())
}

/// Reads the files and folders in a folder; true if some were left out because there are too many.
///
/// Whatever else is in there is left out, and so is what clients may not read.
async fn read(con: &Connection, store: &Rc<Store>, relative: &[u8], dir: &File) -> io::Result<(Vec<Entry>, bool)> {
    let mut entries = Vec::new();
    for (n, entry) in std::fs::read_dir(proc_path(dir.as_fd()))?.enumerate() {
        let entry = entry?;
        let name = entry.file_name();
        if n >= LISTED {
            return Ok((entries, true));
        }
        if n % LISTED_AT_ONCE == LISTED_AT_ONCE - 1 {
            yield_now().await;
        }
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
