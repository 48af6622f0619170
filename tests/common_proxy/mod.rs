//! A site with a server behind it.

#![allow(dead_code)]

use crate::common_config::Router;
use crate::common_files::Daemon;
use crate::common_upstream::Backend;

pub const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello";

/// A site that forwards `/app`, with these further arguments.
pub fn site(more: &[&str]) -> (Router, Daemon, Backend) {
    site_at("/app=@", more)
}

/// A site with that value of `--proxy`; `@` stands for the URL of the server.
pub fn site_at(value: &str, more: &[&str]) -> (Router, Daemon, Backend) {
    let (router, backend) = (Router::new(), Backend::tcp());
    let value = value.replace('@', &backend.url());
    let daemon = router.start_by(&[&["--proxy", &value], more].concat());
    (router, daemon, backend)
}
