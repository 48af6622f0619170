//! The program: options become a configuration, a configuration becomes a server; signals reload and stop it.
//!
//! It uses the library through its public interface only.
//!
//! | file or folder | concept |
//! | --- | --- |
//! | `run` | a run of the program: what it does in which order, and its exit code |
//! | `config` | options and files, read and checked |
//! | `plan` | what is served at each address |
//! | `bind` | listening sockets: bound, kept, closed, tried again |
//! | `reload` | putting a configuration into effect, at the start and at SIGHUP |
//! | `flaws` | which parts of a configuration can't be served, and whether that is tolerated |
//! | `signals`, `tasks` | signals, and what else runs beside the requests |
//! | `privileges`, `background`, `pid_file`, `exit` | the process: its user, its terminal, its id, its exit code |
//! | `virtual_hosts`, `router` | a request's way: which site, who may, what answers |
//! | `site_headers`, `replies` | configured header fields, short responses of the program itself |
//! | `access`, `auth` | who may: by address, proxy and certificate; by login |
//! | `https_policy`, `certificates`, `self_signed` | HTTPS: redirect and HSTS; the files |
//! | `scripts`, `cgi` | which paths are scripts; running them |
//! | `workers` | handlers in Lua and ucode, and the processes that run them |
//! | `ubus` | `/ubus`: JSON-RPC over ubus |
//! | `proxy`, `fastcgi` | servers behind this one, by HTTP and by FastCGI |
//! | `upstream` | connections to them, for any protocol |
//! | `log` | diagnostics and access logs |
//! | `terminal` | what a person at a terminal is told: colours, the address for a phone |
//! | `status` | what the program says about itself: metrics, a page, an object on ubus |
//! | `counters`, `events` | what happened, for `status` |
//! | `addresses`, `base64`, `escape`, `field_names`, `prefix`, `context` | what several of them need |
//! | `sys` | system calls |

mod access;
mod addresses;
mod auth;
mod background;
mod base64;
mod bind;
mod certificates;
mod cgi;
mod config;
mod context;
mod counters;
mod escape;
mod events;
mod exit;
#[cfg(feature = "proxy")]
mod fastcgi;
mod field_names;
mod flaws;
mod https_policy;
mod log;
mod pid_file;
mod plan;
mod prefix;
mod privileges;
#[cfg(feature = "proxy")]
mod proxy;
mod rebinding;
mod reload;
mod replies;
mod router;
mod run;
mod scripts;
#[cfg(feature = "tls")]
mod self_signed;
mod signals;
mod site_headers;
#[cfg_attr(not(feature = "status"), path = "no_status.rs")]
mod status;
mod sys;
mod tasks;
#[cfg(feature = "terminal")]
mod terminal;
#[cfg(test)]
mod testing;
#[cfg(feature = "ubus")]
mod ubus;
#[cfg(feature = "proxy")]
mod upstream;
mod virtual_hosts;
#[cfg(feature = "workers")]
mod workers;

pub use run::run;
