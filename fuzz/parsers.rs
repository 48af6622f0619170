//! The parsers that are fuzzed: the program's own files, which are pure and therefore compile here as they are.
//!
//! They are private in ecohttpd; taken as files they need no back door there.

// What is not fuzzed of these files is used by nobody here.
#![allow(dead_code, unused_imports, rustdoc::all, missing_docs)]

#[path = "../src/daemon/ubus/blob.rs"]
pub mod blob;
#[path = "../src/daemon/cgi/head_syntax.rs"]
pub mod cgi_head;
#[path = "../src/daemon/escape.rs"]
pub mod escape;
#[path = "../src/daemon/fastcgi/record.rs"]
pub mod fastcgi;
#[path = "../src/daemon/field_names.rs"]
pub mod field_names;
#[path = "../src/daemon/sys/float.rs"]
pub mod float;
#[path = "../src/http/mod.rs"]
pub mod http;
#[path = "../src/daemon/config/httpd_conf.rs"]
pub mod httpd_conf;
#[path = "../src/daemon/ubus/json/mod.rs"]
pub mod json;
#[path = "../src/daemon/access/network.rs"]
pub mod network;
#[path = "../src/files/dot_segments.rs"]
pub mod path;
#[path = "../src/daemon/prefix.rs"]
pub mod prefix;
#[path = "../src/daemon/auth/realm_line.rs"]
pub mod realm_line;
#[path = "../src/daemon/access/rules.rs"]
pub mod rules;
#[path = "../src/daemon/cgi/told.rs"]
pub mod told;
#[path = "../src/daemon/config/uci.rs"]
pub mod uci;
#[path = "../src/websocket/mod.rs"]
pub mod websocket;
#[path = "../src/net/x509/mod.rs"]
pub mod x509;

// The program's files take these from the library.
extern crate self as ecohttpd;

/// As in the library.
pub mod syntax {
    pub use crate::http::date::http_date;
    pub use crate::http::headers::{decimal, is_token};
    pub use crate::http::query::{decode_form, decode_percent};
}

/// Where those files look for what they use.
pub mod daemon {
    pub use crate::{escape, field_names, prefix};

    pub mod access {
        pub use crate::network::Network;
        pub use crate::rules::{Rule, RuleKind};
    }

    pub mod auth {
        pub use crate::realm_line::RealmLine;
    }

    pub mod sys {
        pub use crate::float;
    }

    pub mod ubus {
        pub use crate::blob;
    }
}

/// The text before the first line's end, which says how to read the rest, and that rest.
pub fn parameter(data: &[u8]) -> Option<(&str, &[u8])> {
    let end = data.iter().position(|&byte| byte == b'\n')?;
    Some((str::from_utf8(&data[..end]).ok()?, &data[end + 1..]))
}
