//! `/ubus`: JSON-RPC 2.0 over ubus, which is what LuCI speaks, and events as a stream.
//!
//! ```text
//!  HTTP ─► http ─► rpc ─► client ─► message ─► blob ─► ubusd
//!            └► json ◄──── feed ◄─────┘
//! ```
//!
//! | file | concept |
//! | --- | --- |
//! | `blob` | tagged binary trees |
//! | `message` | what they travel in |
//! | `json` | text to blob, blob to text, without a tree between |
//! | `outbox` | messages on their way to ubusd |
//! | `calls` | calls in flight, and their answers |
//! | `turns` | whose turn it is when there is room for a call |
//! | `account` | how much of them may be held for whom |
//! | `client` | the one connection to ubusd, known objects |
//! | `feed` | events on their way to clients |
//! | `rpc` | what is asked, whether it is allowed, what comes of it |
//! | `window` | calls of a batch, answered in their order |
//! | `output` | answers, made while they are sent |
//! | `http` | paths and methods, streams of events |

mod account;
mod blob;
mod calls;
mod client;
mod feed;
mod http;
mod json;
mod message;
mod outbox;
mod output;
mod rpc;
mod turns;
mod window;

use client::Client;
use rpc::Caller;
use std::path::PathBuf;
use std::time::Duration;

/// How ubus is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where ubusd listens.
    pub socket: PathBuf,
    /// Calls need no session's leave: uhttpd's `-a`.
    pub no_auth: bool,
    /// Pages of other origins may ask: uhttpd's `-X`.
    pub cors: bool,
    /// How soon a client is to come back whose stream of events ended: uhttpd's `-e`.
    pub retry: Option<Duration>,
    /// How long one call may take, the questions whether it is allowed included.
    pub timeout: Duration,
    /// Bytes of a request's body; beyond: 413.
    pub max_body: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            socket: PathBuf::from("/var/run/ubus/ubus.sock"),
            no_auth: false,
            cors: false,
            retry: None,
            timeout: Duration::from_secs(60),
            max_body: 64 << 10,
        }
    }
}

/// The ubus of one site, for all its requests. It connects when it is first asked.
pub struct Ubus {
    caller: Caller,
    cors: bool,
    retry: Option<Duration>,
    max_body: usize,
}

impl Ubus {
    pub fn new(config: Config) -> Ubus {
        let client = Client::new(config.socket, config.timeout);
        let caller = Caller { client, no_auth: config.no_auth, timeout: config.timeout };
        Ubus { caller, cors: config.cors, retry: config.retry, max_body: config.max_body }
    }
}

impl Drop for Ubus {
    fn drop(&mut self) {
        self.caller.client.close();
    }
}
