//! Error codes (RFC 9113 §7), and which of our errors is told to the peer by which.

use core::fmt;

use super::Violation;
use crate::Error;

/// Why a stream or a connection ended, as it stands in RST_STREAM and GOAWAY, and in
/// [`Error::Reset`] and [`Error::GoneAway`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Code = Code($code);)*

            /// Its name in RFC 9113 §7.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Code::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Nothing is wrong.
    NO_ERROR = 0x0;
    /// The protocol was broken, in a way that has no code of its own.
    PROTOCOL_ERROR = 0x1;
    /// The sender of the code has a fault.
    INTERNAL_ERROR = 0x2;
    /// More was sent than the window allowed, or a window grew too large.
    FLOW_CONTROL_ERROR = 0x3;
    /// Settings were not acknowledged in time.
    SETTINGS_TIMEOUT = 0x4;
    /// A frame on a stream that was closed.
    STREAM_CLOSED = 0x5;
    /// A frame of a wrong length.
    FRAME_SIZE_ERROR = 0x6;
    /// The stream was not acted on in any way: it may be sent again.
    REFUSED_STREAM = 0x7;
    /// The stream is not needed any more.
    CANCEL = 0x8;
    /// Header compression cannot go on.
    COMPRESSION_ERROR = 0x9;
    /// The connection behind a CONNECT broke.
    CONNECT_ERROR = 0xa;
    /// The sender of the code has had enough.
    ENHANCE_YOUR_CALM = 0xb;
    /// TLS is not good enough.
    INADEQUATE_SECURITY = 0xc;
    /// HTTP/1.1 is to be used.
    HTTP_1_1_REQUIRED = 0xd;
}

impl Code {
    /// What the peer is told when it caused this error. The only place where this is decided.
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::Violation(crate::Violation::Http2(violation)) => match violation {
                Violation::Compression(_) => Code::COMPRESSION_ERROR,
                Violation::FlowControl | Violation::WindowOverflow => Code::FLOW_CONTROL_ERROR,
                Violation::FrameSize => Code::FRAME_SIZE_ERROR,
                Violation::StreamClosed => Code::STREAM_CLOSED,
                Violation::Authority
                | Violation::ConnectionField
                | Violation::ContentLength
                | Violation::Continuation
                | Violation::FieldName
                | Violation::FieldValue
                | Violation::GoAway
                | Violation::IdleStream
                | Violation::Interim
                | Violation::Padding
                | Violation::Preface
                | Violation::PseudoField
                | Violation::Push
                | Violation::Setting
                | Violation::StreamId
                | Violation::Trailers
                | Violation::WindowIncrement => Code::PROTOCOL_ERROR,
            },
            Error::TooLarge(limit) if limit.what == FRAME => Code::FRAME_SIZE_ERROR,
            Error::TooLarge(_) => Code::ENHANCE_YOUR_CALM,
            _ => Code::PROTOCOL_ERROR,
        }
    }
}

/// The name of the limit on frames, whose code is not that of the other limits.
pub(super) const FRAME: &str = "frame bytes";

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}
