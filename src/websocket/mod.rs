//! WebSocket, pure (RFC 6455): bytes come in as slices, and go out into a `Vec<u8>`. No socket, no clock.
//!
//! | file | what it knows |
//! | --- | --- |
//! | [`sha1`] | the hash of the handshake |
//! | [`violation`] | what a peer did wrong, as a code for its Close |
//! | [`frame`] | the header of a frame, and the mask |
//! | [`close`] | the payload of a Close frame |
//! | [`decoder`] | assembles frames into messages |
//! | [`handshake`] | whether a request opens a WebSocket, and the answer |
//! | [`vigil`] | when a silent peer is sent a ping, and when it is given up; time is an argument |

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
