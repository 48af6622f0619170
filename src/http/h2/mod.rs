//! HTTP/2 (RFC 9113) as values, without a socket and without a clock.
//!
//! The owner of the byte stream passes in what it received, and sends what comes out. A stream's request is handed over as
//! the head of HTTP/1.1 that means the same, so that both protocols share one parser and its rules; its response is an
//! ordinary [`ResponseHead`](super::ResponseHead). Each file uses only files above it in this table.
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`limits`] | every bound, with its reason |
//! | [`fault`] | error codes, and errors of the whole connection |
//! | [`frame`] | frames as bytes (RFC 9113 §4, §6) |
//! | [`huffman`], [`static_table`], [`dynamic_table`], [`hpack`] | field compression (RFC 7541) |
//! | [`priority`] | the `priority` field (RFC 9218) |
//! | [`fields`] | which field sections are malformed (RFC 9113 §8); the head that they mean |
//! | [`response`] | a response's head as a field block |
//! | [`budget`] | how much useless work a client may cause |
//! | [`stream`] | one stream: its state and its windows |
//! | [`connection`] | the connection: what each frame does |
//! | [`sending`] | what the owner sends |

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no length here is larger than a frame's, and no window than 2^31; the code of each integer is its own rule"
)]

pub mod budget;
pub mod connection;
pub mod dynamic_table;
pub mod fault;
pub mod fields;
pub mod frame;
pub mod hpack;
pub mod huffman;
pub mod limits;
pub mod priority;
pub mod response;
pub mod sending;
pub mod static_table;
pub mod stream;
#[cfg(test)]
mod tests;

pub use connection::{Connection, Event, PREFACE};
pub use fault::{Code, Fault};
