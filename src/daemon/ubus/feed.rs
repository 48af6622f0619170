//! Events of ubus objects, as text of server-sent events.

use super::json::Printer;
use super::message::{Message, attr};
use crate::daemon::log;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Most bytes of events that wait for one client. One that falls further behind loses its stream, and may reconnect.
const MAX_WAITING: usize = 256 << 10;

/// The feeds of a connection, by the id of the object that receives their events.
#[derive(Default)]
pub struct Feeds(RefCell<Vec<(u32, Rc<RefCell<Feed>>)>>);

/// Events that wait for one client.
#[derive(Default)]
pub struct Feed {
    text: Vec<u8>,
    ended: bool,
    waker: Option<Waker>,
}

impl Feeds {
    pub fn open(&self, own: u32) -> Rc<RefCell<Feed>> {
        let feed = Rc::new(RefCell::new(Feed::default()));
        self.0.borrow_mut().push((own, Rc::clone(&feed)));
        feed
    }

    /// Closes a feed. Returns false if it has ended with its connection.
    pub fn close(&self, feed: &Rc<RefCell<Feed>>) -> bool {
        let mut feeds = self.0.borrow_mut();
        let at = feeds.iter().position(|(_, other)| Rc::ptr_eq(other, feed));
        at.map(|at| feeds.swap_remove(at)).is_some()
    }

    /// Adds an event. Returns false if there is no feed for it.
    pub fn receive(&self, own: u32, message: &Message<'_>) -> bool {
        let feeds = self.0.borrow();
        let Some((_, feed)) = feeds.iter().find(|(id, _)| *id == own) else { return false };
        feed.borrow_mut().receive(message);
        true
    }

    /// The object that sends the events is gone.
    pub fn end(&self, own: Option<u32>) {
        for (_, feed) in self.0.borrow().iter().filter(|(id, _)| Some(*id) == own) {
            feed.borrow_mut().end();
        }
    }

    pub fn end_all(&self) {
        self.0.take().iter().for_each(|(_, feed)| feed.borrow_mut().end());
    }
}

impl Feed {
    fn receive(&mut self, message: &Message<'_>) {
        if self.ended {
            return;
        }
        let name = message.attr(attr::METHOD).and_then(|attr| attr.text()).unwrap_or_default();
        let data = message.attr(attr::DATA).map_or(&b""[..], |attr| attr.content);
        push_event(&mut self.text, name, data);
        if self.text.len() > MAX_WAITING {
            log::info!("ubus subscriber too slow, closing its stream");
            self.text = Vec::new();
            self.ended = true;
        }
        self.wake();
    }

    fn end(&mut self) {
        self.ended = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Ready with the text of events; `None` at the end.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Vec<u8>>> {
        if !self.text.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut self.text)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Appends an event. Its name ends at the first control character: a line end would begin another field.
fn push_event(out: &mut Vec<u8>, name: &[u8], data: &[u8]) {
    let name = name.split(|byte| *byte < b' ').next().unwrap_or_default();
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(String::from_utf8_lossy(name).as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut piece = Vec::new();
    let mut printer = Printer::new(data, &mut piece);
    while printer.fill(&mut piece) && out.len() <= MAX_WAITING {
        out.append(&mut piece);
    }
    out.append(&mut piece);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::ubus::blob::Writer;
    use crate::daemon::ubus::message::{first, kind, push};

    fn event(name: &[u8], text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, kind::INVOKE, 1, 2, &|w: &mut Writer<'_>| {
            w.attr_text(attr::METHOD, name);
            let data = w.open(attr::DATA);
            w.text(b"k", text);
            w.close(data);
        });
        out
    }

    fn next(feed: &mut Feed) -> Poll<Option<String>> {
        let text = feed.poll_next(&Context::from_waker(Waker::noop()));
        text.map(|text| text.map(|text| String::from_utf8(text).unwrap()))
    }

    #[test]
    fn events_are_lines() {
        let feeds = Feeds::default();
        let feed = feeds.open(7);
        assert_eq!(next(&mut feed.borrow_mut()), Poll::Pending);
        for (name, expected) in [
            (&b"up"[..], "event: up\ndata: {\"k\":\"a\\nb\"}\n\n"),
            (b"u\ndata: x", "event: u\ndata: {\"k\":\"a\\nb\"}\n\n"),
            (b"\xff", "event: \u{fffd}\ndata: {\"k\":\"a\\nb\"}\n\n"),
        ] {
            let bytes = event(name, b"a\nb");
            let (message, _) = first(&bytes).unwrap().unwrap();
            assert!(feeds.receive(7, &message) && !feeds.receive(8, &message));
            assert_eq!(next(&mut feed.borrow_mut()), Poll::Ready(Some(expected.into())));
        }
        feeds.end(Some(8));
        assert_eq!(next(&mut feed.borrow_mut()), Poll::Pending);
        feeds.end(Some(7));
        assert_eq!(next(&mut feed.borrow_mut()), Poll::Ready(None));
    }

    /// Numbers of one connection's objects may be those of others on the next.
    #[test]
    fn a_feed_closes_itself_alone() {
        let feeds = Feeds::default();
        let old = feeds.open(7);
        feeds.end_all();
        let new = feeds.open(7);
        assert!(!feeds.close(&old));
        let bytes = event(b"up", b"");
        let (message, _) = first(&bytes).unwrap().unwrap();
        assert!(feeds.receive(7, &message));
        assert!(feeds.close(&new) && !feeds.close(&new) && !feeds.receive(7, &message));
    }

    #[test]
    fn who_does_not_keep_up_is_let_go() {
        let feeds = Feeds::default();
        let feed = feeds.open(1);
        let bytes = event(b"e", &[b'x'; 100 << 10]);
        let (message, _) = first(&bytes).unwrap().unwrap();
        feeds.receive(1, &message);
        feeds.receive(1, &message);
        assert!(matches!(next(&mut feed.borrow_mut()), Poll::Ready(Some(text)) if text.len() > 200 << 10));
        for _ in 0..3 {
            feeds.receive(1, &message);
        }
        assert_eq!(next(&mut feed.borrow_mut()), Poll::Ready(None));
    }
}
