//! How the program ends: its exit codes, and the errors behind them.

/// Stopped by a signal.
pub const STOPPED: u8 = 0;
/// An option, or something it names, is wrong.
pub const BAD_CONFIG: u8 = 1;
/// An address could not be bound, or the system refused something else that a server needs.
pub const CANNOT_SERVE: u8 = 2;

/// Why a configuration can't be served, in one line.
pub enum ServeError {
    /// The configuration is wrong, or something it names.
    Config(String),
    /// The system refused an address, or something else that a server needs.
    System(String),
}

impl ServeError {
    pub fn text(&self) -> &str {
        match self {
            ServeError::Config(text) | ServeError::System(text) => text,
        }
    }

    pub fn code(&self) -> u8 {
        match self {
            ServeError::Config(_) => BAD_CONFIG,
            ServeError::System(_) => CANNOT_SERVE,
        }
    }
}
