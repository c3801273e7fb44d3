//! Versions of protocols: which are asked for, and which was spoken.

use std::fmt;

#[cfg(feature = "postgres")]
use crate::protocols::postgres;
#[cfg(feature = "redis")]
use crate::protocols::redis;
use crate::protocols::{Established, semantics};

/// What an answer came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// Version 2 of the protocol of Redis.
    Resp2,
    /// Version 3 of the protocol of Redis.
    Resp3,
    /// Version 3.0 of the protocol of PostgreSQL.
    Postgres30,
    /// Version 3.2 of the protocol of PostgreSQL.
    Postgres32,
}

impl Version {
    /// All of them, in their order.
    pub(crate) const ALL: [Version; 7] = [
        Version::Http10,
        Version::Http11,
        Version::Http2,
        Version::Resp2,
        Version::Resp3,
        Version::Postgres30,
        Version::Postgres32,
    ];
}

impl From<semantics::Version> for Version {
    fn from(version: semantics::Version) -> Self {
        match version {
            semantics::Version::Http10 => Version::Http10,
            semantics::Version::Http11 => Version::Http11,
            semantics::Version::Http2 => Version::Http2,
        }
    }
}

#[cfg(feature = "redis")]
impl From<redis::Version> for Version {
    fn from(version: redis::Version) -> Self {
        match version {
            redis::Version::Resp2 => Version::Resp2,
            redis::Version::Resp3 => Version::Resp3,
        }
    }
}

#[cfg(feature = "postgres")]
impl From<postgres::ProtocolVersion> for Version {
    fn from(version: postgres::ProtocolVersion) -> Self {
        match version {
            postgres::ProtocolVersion::V3_2 => Version::Postgres32,
            _ => Version::Postgres30,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2.0",
            Version::Resp2 => "RESP2",
            Version::Resp3 => "RESP3",
            Version::Postgres30 => "PostgreSQL 3.0",
            Version::Postgres32 => "PostgreSQL 3.2",
        })
    }
}

/// Which versions of HTTP a server is asked in.
///
/// Over TLS the server chooses (ALPN, RFC 7301) among those that are allowed. On plain `http` nothing is agreed on
/// before the first request, so that the first one of a [`Client`](crate::Client) asks (`upgrade: h2c`, RFC 7540 §3.2)
/// where HTTP/2 is allowed and not prescribed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Versions {
    /// HTTP/2 if the server has it, else HTTP/1.1.
    #[default]
    Any,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, on plain `http` without asking ("prior knowledge", RFC 9113 §3.3). A server that does not speak it is
    /// an error.
    #[cfg(feature = "http2")]
    Http2,
}

impl Versions {
    /// What is offered over TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            #[cfg(feature = "http2")]
            Versions::Any => &[b"h2", b"http/1.1"],
            #[cfg(not(feature = "http2"))]
            Versions::Any => &[b"http/1.1"],
            Versions::Http1 => &[b"http/1.1"],
            #[cfg(feature = "http2")]
            Versions::Http2 => &[b"h2"],
        }
    }

    /// Whether a connection that was established this way begins with HTTP/2. A server that chose nothing over TLS where
    /// only HTTP/2 was offered is spoken to in HTTP/2, and has the chance to understand it.
    pub(crate) fn begin_with_http2(self, at: &Established<'_>) -> bool {
        #[cfg(feature = "http2")]
        {
            self == Versions::Http2 || at.alpn == Some(b"h2")
        }
        #[cfg(not(feature = "http2"))]
        {
            let _ = at;
            false
        }
    }
}
