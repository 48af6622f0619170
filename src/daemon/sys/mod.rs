//! The daemon's only unsafe code: calls of the C library that neither std nor the library offers.
#![allow(unsafe_code)]

#[cfg(feature = "terminal")]
pub mod clock;
pub mod crypt;
#[cfg(feature = "ubus")]
pub mod float;
#[cfg(feature = "workers")]
pub mod packets;
pub mod process;
pub mod service;
pub mod thread;
