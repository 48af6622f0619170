//! What is told to other programs by way of ubus when it happens. Without the feature `status` nothing is.

#[cfg(feature = "status")]
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    task::{Poll, Waker},
};

/// Most events that wait to be told, as at the start, when ubusd can't be reached yet. The oldest are dropped.
#[cfg(feature = "status")]
const MAX_WAITING: usize = 32;

/// Something that happened.
#[cfg(feature = "status")]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum BusEvent {
    /// A login was wrong.
    LoginFailed { address: String, user: String, site: String },
    /// A certificate ends soon, or has ended.
    #[cfg(feature = "tls")]
    Certificate { file: String, days_left: i64, not_after: u64 },
}

#[cfg(feature = "status")]
struct EventQueue {
    events: VecDeque<BusEvent>,
    waker: Option<Waker>,
}

#[cfg(feature = "status")]
thread_local! {
    static QUEUE: RefCell<EventQueue> = const { RefCell::new(EventQueue { events: VecDeque::new(), waker: None }) };
}

/// A login at this address was wrong.
pub fn login_failed(_address: &str, _user: &str, _site: &str) {
    #[cfg(feature = "status")]
    push(BusEvent::LoginFailed { address: _address.into(), user: _user.into(), site: _site.into() });
}

#[cfg(feature = "status")]
pub fn push(event: BusEvent) {
    QUEUE.with_borrow_mut(|queue| {
        if queue.events.len() == MAX_WAITING {
            queue.events.pop_front();
        }
        queue.events.push_back(event);
        queue.waker.take().into_iter().for_each(Waker::wake);
    });
}

/// Waits for the next event. There is one who waits.
#[cfg(feature = "status")]
pub async fn next() -> BusEvent {
    poll_fn(|cx| {
        QUEUE.with_borrow_mut(|queue| match queue.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    })
    .await
}

#[cfg(all(test, feature = "status"))]
mod tests {
    use super::*;
    use crate::daemon::testing::on_loop;

    #[test]
    fn the_latest_are_kept() {
        for n in 0..MAX_WAITING + 3 {
            login_failed(&n.to_string(), "u", "s");
        }
        on_loop(async || {
            for n in 3..MAX_WAITING + 3 {
                let expected = BusEvent::LoginFailed { address: n.to_string(), user: "u".into(), site: "s".into() };
                assert_eq!(next().await, expected);
            }
        });
    }
}
