//! WebSocket, pure (RFC 6455): bytes come in as slices, and go out into a `Vec<u8>`. No socket, no clock.
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`sha1`] | the hash of the handshake |
//! | [`violation`] | how a peer is told that it broke a rule |
//! | [`frame`] | the header of a frame, and the mask |
//! | [`close`] | what a Close frame says |
//! | [`decoder`] | frames put together to messages |
//! | [`handshake`] | whether a request opens a WebSocket, and the answer |
//! | [`vigil`] | when a silent peer is asked whether it is there; time is an argument |

pub mod close;
pub mod decoder;
pub mod frame;
pub mod handshake;
pub mod sha1;
pub mod vigil;
pub mod violation;

pub use close::Close;
pub use decoder::{Decoder, Event, Limits};
pub use frame::Opcode;
pub use handshake::Rules;
pub use vigil::{Times, Todo, Vigil};
pub use violation::Violation;
