//! Signals, as bytes in a pipe that the loop reads.

use super::log;
use ecohttpd::AsyncFd;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::ffi::c_int;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

/// The signals caught since the start. They are acted on once there is a server.
pub struct Signals {
    /// SIGTERM and SIGINT.
    pub stop: UnixStream,
    /// SIGHUP.
    pub reload: UnixStream,
}

impl Signals {
    pub fn catch() -> io::Result<Signals> {
        Ok(Signals { stop: receiver(&[SIGTERM, SIGINT])?, reload: receiver(&[SIGHUP])? })
    }
}

/// A pipe that gets a byte for each of these signals.
fn receiver(numbers: &[c_int]) -> io::Result<UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    for number in numbers {
        pipe::register(*number, sender.try_clone()?)?;
    }
    Ok(receiver)
}

/// Calls `act` at each signal, with the number of signals so far.
pub async fn on_each(signals: UnixStream, act: &mut dyn FnMut(u32)) {
    let watched = async {
        let signals = AsyncFd::new(signals)?;
        for count in 1.. {
            signals.read_with(|mut pipe| pipe.read(&mut [0])).await?;
            act(count);
        }
        io::Result::Ok(())
    };
    if let Err(error) = watched.await {
        log::error!("cannot watch for signals: {error}");
    }
}
