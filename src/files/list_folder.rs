//! Answering with a folder's listing, streamed in bounded pieces.

use super::limits::{LISTED, LISTED_AT_ONCE, LISTINGS};
use super::listing::{Entry, Page, order_from_query, sort};
use super::root::proc_path;
use super::{Store, status_of};
use crate::server::{Connection, Request, Result};
use crate::sys;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::task::Poll;

/// Lists the folder `relative` beneath the document root, or returns the status of an error.
pub(super) async fn serve(con: &mut Connection, req: &Request, files: &Store, relative: &[u8]) -> Result<Option<u16>> {
    let content_type = format!("text/html; charset={}", files.charset);
    // Held until the page is out.
    let turn = Rc::clone(&files.listings);
    if Rc::strong_count(&turn) > LISTINGS + 1 {
        return Ok(Some(503));
    }
    let opened = CString::new(relative).map_err(io::Error::from).and_then(|name| files.root.borrow().open(&name));
    let entries = match opened {
        Ok(dir) if files.may_list(&dir) && req.head.is_head() => {
            con.add_header("content-type", content_type)?;
            return con.send("").await.map(|()| None);
        }
        Ok(dir) if files.may_list(&dir) => read(con, files, relative, &dir).await,
        Ok(_) => return Ok(Some(403)),
        Err(error) => Err(error),
    };
    let (entries, cut) = match entries {
        Ok(entries) => entries,
        Err(error) => return Ok(Some(status_of(&error))),
    };
    let order = order_from_query(req.query_string());
    let entries = sort(entries, order);
    let mut path = vec![b'/'];
    path.extend_from_slice(relative);
    if !relative.is_empty() {
        path.push(b'/');
    }
    let page = Page { path: &path, order, charset: &files.charset };
    con.add_header("content-type", content_type)?;
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
    Ok(None)
}

/// Reads a folder's files and folders; what is neither, can't be looked at or leads outside is left out.
async fn read(con: &Connection, files: &Store, relative: &[u8], dir: &File) -> io::Result<(Vec<Entry>, bool)> {
    let mut entries = Vec::new();
    for (n, entry) in std::fs::read_dir(proc_path(dir.as_fd()))?.enumerate() {
        let entry = entry?;
        let name = entry.file_name();
        if n >= LISTED {
            return Ok((entries, true));
        }
        if n % LISTED_AT_ONCE == LISTED_AT_ONCE - 1 {
            pause().await;
        }
        let stat = if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            let path = CString::new(if relative.is_empty() {
                name.as_bytes().to_vec()
            } else {
                [relative, b"/", name.as_bytes()].concat()
            })?;
            files.root.borrow_mut().stat(&path, con.core.runtime.now())
        } else {
            sys::stat_at(dir.as_fd(), &CString::new(name.as_bytes())?)
        };
        let Ok(stat) = stat else { continue };
        let shown = stat.is_file() && files.may_read(stat.mode) || stat.is_dir() && files.may_enter(stat.mode);
        if shown {
            let name = name.as_bytes().to_vec();
            entries.push(Entry { name, dir: stat.is_dir(), size: stat.size, mtime: stat.mtime.0 });
        }
    }
    Ok((entries, false))
}

/// Lets the other connections have their turn.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|cx| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
