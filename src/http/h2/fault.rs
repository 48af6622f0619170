//! Errors. One of a stream resets it; one of the connection ends all (RFC 9113 §5.4).

/// An error code (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Not an error.
    None = 0,
    /// A rule of the protocol was broken.
    Protocol = 1,
    /// We failed.
    Internal = 2,
    /// More was sent than a window allows.
    FlowControl = 3,
    /// A frame for a stream that is closed.
    StreamClosed = 5,
    /// A frame of the wrong length.
    FrameSize = 6,
    /// The request was not looked at, and may be sent again.
    Refused = 7,
    /// The stream is not needed any more.
    Cancel = 8,
    /// A field block can't be decompressed.
    Compression = 9,
    /// The client causes too much work.
    Calm = 11,
}

/// An error of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its code.
    pub code: Code,
    /// What is wrong, for the log.
    pub reason: &'static str,
}

impl Fault {
    /// Any error.
    pub const fn new(code: Code, reason: &'static str) -> Fault {
        Fault { code, reason }
    }

    /// The usual one.
    pub const fn protocol(reason: &'static str) -> Fault {
        Fault { code: Code::Protocol, reason }
    }

    /// A frame of the wrong length.
    pub const fn size(reason: &'static str) -> Fault {
        Fault { code: Code::FrameSize, reason }
    }
}
