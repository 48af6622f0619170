//! Tasks that wait for room for another call.

use std::task::{Context, Waker};

/// Waiting tasks at which all are woken: among so many some will have ended.
const MAX_WAITING: usize = 512;

/// The waiting tasks, in order.
#[derive(Default)]
pub struct Waiters(Vec<Waker>);

impl Waiters {
    /// Wakes the caller when there is room.
    pub fn wait(&mut self, cx: &Context<'_>) {
        if self.0.iter().any(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        if self.0.len() >= MAX_WAITING {
            self.begin();
        }
        self.0.push(cx.waker().clone());
    }

    /// There is room: wakes all. The one that was first the last time is last, as it may always want more than there is.
    pub fn begin(&mut self) {
        if !self.0.is_empty() {
            self.0.rotate_left(1);
        }
        self.0.drain(..).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    /// Notes when it is woken.
    struct Noting(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Noting {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn turns_go_round() {
        let woken = Arc::<Mutex<Vec<usize>>>::default();
        let wakers: Vec<_> = (0..3).map(|number| Waker::from(Arc::new(Noting(number, Arc::clone(&woken))))).collect();
        let mut waiters = Waiters::default();
        let mut order = vec![0, 1, 2];
        for expected in [[1, 2, 0], [2, 0, 1], [0, 1, 2], [1, 2, 0]] {
            // Each comes again, with all the calls it has.
            for number in order.iter().flat_map(|number| [number; 3]) {
                waiters.wait(&Context::from_waker(&wakers[*number]));
            }
            waiters.begin();
            order = std::mem::take(&mut *woken.lock().unwrap());
            assert_eq!(order, expected);
        }
        waiters.begin();
        assert!(woken.lock().unwrap().is_empty());
    }
}
