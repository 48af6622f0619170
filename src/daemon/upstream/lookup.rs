//! The addresses of a name, found by getaddrinfo(3) on a thread: it may take seconds, and the loop must serve others.

use crate::daemon::sys::thread;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// Bytes of the thread's stack: glibc's modules for names need more than musl's resolver.
const STACK: usize = 256 << 10;

/// Most addresses that are tried.
const ADDRESSES: usize = 4;

/// Looks up one name, by one thread at a time however many requests wait for it.
pub struct Lookup {
    host: String,
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    running: bool,
    /// Counts the results, so that none is taken that was there before.
    number: u32,
    found: Result<Vec<SocketAddr>, String>,
    /// The requests that wait, each with a number of its own.
    waiting: Vec<(u32, Waker)>,
    next: u32,
}

/// A request that waits. Dropped, it leaves nothing behind.
struct Waiting<'a>(&'a Mutex<State>, u32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(self.0).waiting.retain(|(number, _)| *number != self.1);
    }
}

impl Lookup {
    pub fn new(host: &str, port: u16) -> Lookup {
        Lookup { host: host.to_owned(), port, state: Arc::default() }
    }

    /// The addresses at present, in the order in which to try them.
    ///
    /// # Errors
    /// What the resolver says, or that no thread can be started.
    pub async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let (before, waiting) = {
            let mut state = lock(&self.state);
            if !state.running {
                let (shared, host, port) = (Arc::clone(&self.state), self.host.clone(), self.port);
                thread::spawn(STACK, Box::new(move || look_up(&shared, &host, port)))?;
                state.running = true;
            }
            state.next = state.next.wrapping_add(1);
            let number = state.next;
            state.waiting.push((number, Waker::noop().clone()));
            (state.number, Waiting(&self.state, number))
        };
        poll_fn(|cx| {
            let mut state = lock(&self.state);
            if state.number == before {
                if let Some((_, waker)) = state.waiting.iter_mut().find(|(number, _)| *number == waiting.1) {
                    waker.clone_from(cx.waker());
                }
                return Poll::Pending;
            }
            Poll::Ready(state.found.clone().map_err(io::Error::other))
        })
        .await
    }
}

impl Default for State {
    fn default() -> Self {
        State { running: false, number: 0, found: Ok(Vec::new()), waiting: Vec::new(), next: 0 }
    }
}

fn look_up(shared: &Mutex<State>, host: &str, port: u16) {
    let found = (host, port).to_socket_addrs().map(|found| found.take(ADDRESSES).collect());
    let mut state = lock(shared);
    state.running = false;
    state.number = state.number.wrapping_add(1);
    state.found = found.map_err(|error| error.to_string());
    state.waiting.drain(..).for_each(|(_, waker)| waker.wake());
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::testing::on_loop;
    use std::task::Context;

    #[test]
    fn names_are_found_again_each_time() {
        on_loop(async || {
            let lookup = Lookup::new("localhost", 80);
            for _ in 0..2 {
                let found = lookup.addresses().await.unwrap();
                assert!(!found.is_empty() && found.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80));
            }
            let number = lock(&lookup.state).number;
            assert_eq!(number, 2);
        });
    }

    #[test]
    fn requests_that_leave_are_forgotten() {
        on_loop(async || {
            let lookup = Lookup::new("localhost", 80);
            // As if a look-up took long.
            lock(&lookup.state).running = true;
            let mut stays = Box::pin(lookup.addresses());
            let waker = Waker::noop();
            assert!(stays.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
            for _ in 0..100 {
                assert!(Box::pin(lookup.addresses()).as_mut().poll(&mut Context::from_waker(waker)).is_pending());
            }
            assert_eq!(lock(&lookup.state).waiting.len(), 1);
            look_up(&lookup.state, "localhost", 80);
            assert!(stays.as_mut().poll(&mut Context::from_waker(waker)).is_ready());
        });
    }

    #[test]
    fn a_name_that_there_is_not_is_an_error() {
        on_loop(async || {
            let lookup = Lookup::new("name..invalid", 80);
            assert!(lookup.addresses().await.is_err());
        });
    }
}
