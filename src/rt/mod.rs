//! The runtime: one poll loop's readiness, wakes, timers and tasks. Safe Rust, one thread.
//!
//! Each file uses only files above it in this table.
//!
//! | file | concept |
//! | --- | --- |
//! | `slots` | keys that tell the tenants of a slot apart |
//! | `wake` | the queue that wakers push to, from any thread |
//! | `timers` | deadlines, the earliest first |
//! | `lag` | how long turns of the loop take |
//! | `reactor` | `mio::Poll`, and the table of awaited descriptors |
//! | `tasks` | futures of the loop that belong to no connection |
//! | `runtime` | all of them together |
//! | `spawn` | starts a task: [`spawn`](spawn()) and its handle, [`Task`] |
//! | `sleep`, `async_fd` | what futures await: time and descriptors |
//!
//! The server, its connections and all futures that await something of the loop share one [`Runtime`] by `Rc`. Free
//! functions such as [`sleep`](sleep::sleep) find it through a thread-local that is set while the loop runs.

mod async_fd;
mod lag;
mod reactor;
mod runtime;
mod sleep;
mod slots;
mod spawn;
mod tasks;
mod timers;
mod wake;

pub use async_fd::AsyncFd;
#[cfg(feature = "stats")]
pub use lag::LAG_BOUNDS;
pub(crate) use reactor::{Edges, Source};
pub(crate) use runtime::Runtime;
pub(crate) use sleep::within;
pub use sleep::{sleep, yield_now};
pub(crate) use slots::{Key, MAX_SLOTS, Slots};
pub use spawn::{Task, spawn};
pub(crate) use tasks::drop_contained;
pub(crate) use timers::{Due, TimerId, deadline, millis};
pub(crate) use wake::{SlotWaker, WakeQueue, Woken};
