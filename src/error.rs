//! What can go wrong with a request, by where it happened. Messages name the peer and the phase, and never a secret.

use std::fmt;
use std::io;

use crate::client::RequestId;
use crate::protocols;
use crate::reactor::Reason;

/// Why a request has no answer.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    peer: String,
    detail: String,
    request: Option<RequestId>,
    retryable: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Where it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be sent as it is: a bad URL, a line break in a header, …
    InvalidRequest,
    /// The queue of the client is full.
    QueueFull,
    /// The name of the host could not be resolved.
    Resolve,
    /// No connection could be made.
    Connect,
    /// TLS failed: an expired certificate, another host's, no version in common, …
    Tls,
    /// The server did not accept who we are: a wrong password, a user that it does not know, …
    Authentication,
    /// The server turned the connection away: it has too many, is starting up, …
    Refused,
    /// A phase took too long.
    Timeout(Phase),
    /// The connection broke.
    Io,
    /// The peer broke the protocol.
    Protocol,
    /// The answer is larger than allowed.
    TooLarge,
    /// The body of the request could not be had to its end: a file or a reader failed, or had fewer or more bytes than
    /// were promised. The [`source`](std::error::Error::source) says what.
    Upload,
    /// The body of the answer could not be put where it was to go: a file that cannot be written.
    Download,
    /// The connection closed before the answer was whole.
    Closed,
    /// It was cancelled, or its client is gone.
    Cancelled,
    /// A callback returned an error, which is the [`source`](std::error::Error::source).
    Callback,
    /// The system refused the event loop something.
    System,
}

/// A phase of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Phase {
    /// Resolving the name.
    Resolve,
    /// Connecting.
    Connect,
    /// The handshake of TLS.
    Tls,
    /// From being given to a connection until the connection has taken the last byte of its body.
    Send,
    /// From there to the head of the answer.
    FirstByte,
    /// Between any two signs of life once connected.
    Silence,
    /// From sending to the whole answer.
    Total,
}

impl ErrorKind {
    /// One word for reports: `connect`, `timeout (silence)`, …
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidRequest => "invalid request",
            ErrorKind::QueueFull => "queue full",
            ErrorKind::Resolve => "resolve",
            ErrorKind::Connect => "connect",
            ErrorKind::Tls => "tls",
            ErrorKind::Authentication => "authentication",
            ErrorKind::Refused => "refused",
            ErrorKind::Timeout(Phase::Resolve) => "timeout (resolve)",
            ErrorKind::Timeout(Phase::Connect) => "timeout (connect)",
            ErrorKind::Timeout(Phase::Tls) => "timeout (tls)",
            ErrorKind::Timeout(Phase::Send) => "timeout (send)",
            ErrorKind::Timeout(Phase::FirstByte) => "timeout (first byte)",
            ErrorKind::Timeout(Phase::Silence) => "timeout (silence)",
            ErrorKind::Timeout(Phase::Total) => "timeout (total)",
            ErrorKind::Io => "i/o",
            ErrorKind::Protocol => "protocol",
            ErrorKind::TooLarge => "too large",
            ErrorKind::Upload => "upload",
            ErrorKind::Download => "download",
            ErrorKind::Closed => "closed",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Callback => "callback",
            ErrorKind::System => "system",
        }
    }

    /// What the reason of the reactor means once the connection stood (`opened`) or while it was being made.
    pub(crate) fn of(reason: &Reason, opened: bool) -> ErrorKind {
        match reason {
            Reason::Io(error) if opened => match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                    ErrorKind::Closed
                }
                _ => ErrorKind::Io,
            },
            Reason::Deadline if opened => ErrorKind::Timeout(Phase::Total),
            Reason::Deadline => ErrorKind::Timeout(Phase::Connect),
            Reason::Silent => ErrorKind::Timeout(Phase::Silence),
            Reason::Owner => ErrorKind::Cancelled,
            Reason::Body(_) => ErrorKind::Upload,
            Reason::Tls(_) => ErrorKind::Tls,
            Reason::Truncated => ErrorKind::Closed,
            _ if !opened => ErrorKind::Connect,
            Reason::Protocol(protocols::Error::UnexpectedEof) | Reason::Ended | Reason::Finished => ErrorKind::Closed,
            Reason::Protocol(protocols::Error::TooLarge(_)) => ErrorKind::TooLarge,
            _ => ErrorKind::Protocol,
        }
    }
}

/// What a server says, for an error: the beginning of it, and nothing that a terminal or a log takes for its own.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) fn told(text: &[u8]) -> String {
    /// Of what a server says, so many bytes are told.
    const TOLD: usize = 200;
    let text = String::from_utf8_lossy(&text[..text.len().min(TOLD)]);
    let mut words = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            // They are in most sentences, and do no harm.
            '"' | '\'' | '\\' => words.push(letter),
            letter => words.extend(letter.escape_debug()),
        }
    }
    words
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, peer: impl Into<String>, detail: impl Into<String>) -> Self {
        let inner =
            Inner { kind, peer: peer.into(), detail: detail.into(), request: None, retryable: false, source: None };
        Self { inner: Box::new(inner) }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, "", detail)
    }

    pub(crate) fn source_is(self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.boxed_source(Box::new(source))
    }

    pub(crate) fn boxed_source(mut self, source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        self.inner.source = Some(source);
        self
    }

    pub(crate) fn of_request(mut self, id: RequestId) -> Self {
        self.inner.request = Some(id);
        self
    }

    pub(crate) fn retryable(mut self, retryable: bool) -> Self {
        self.inner.retryable = retryable;
        self
    }

    /// Where it went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Whom the request was for: host and port, or the path of a socket. Empty where no peer was involved.
    pub fn peer(&self) -> &str {
        &self.inner.peer
    }

    /// The request, where there is one.
    pub fn request_id(&self) -> Option<RequestId> {
        self.inner.request
    }

    /// The same request may succeed another time, and sending it again does no harm: the server did not see it, or it is
    /// idempotent.
    pub fn is_retryable(&self) -> bool {
        self.inner.retryable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, peer, detail, .. } = &*self.inner;
        match kind {
            ErrorKind::InvalidRequest if peer.is_empty() => return f.write_str(detail),
            ErrorKind::InvalidRequest => write!(f, "the request to {peer} cannot be sent"),
            ErrorKind::QueueFull => write!(f, "the queue is full"),
            ErrorKind::Resolve => write!(f, "cannot resolve {peer}"),
            ErrorKind::Connect => write!(f, "cannot connect to {peer}"),
            ErrorKind::Tls => write!(f, "TLS with {peer} failed"),
            ErrorKind::Authentication => write!(f, "{peer} did not accept the login"),
            ErrorKind::Refused => write!(f, "{peer} turned the connection away"),
            ErrorKind::Timeout(Phase::Resolve) => write!(f, "resolving {peer} took too long"),
            ErrorKind::Timeout(Phase::Connect) => write!(f, "connecting to {peer} took too long"),
            ErrorKind::Timeout(Phase::Tls) => write!(f, "the TLS handshake with {peer} took too long"),
            ErrorKind::Timeout(Phase::Send) => write!(f, "{peer} did not take the request in time"),
            ErrorKind::Timeout(Phase::FirstByte) => write!(f, "{peer} did not begin to answer in time"),
            ErrorKind::Timeout(Phase::Silence) => write!(f, "{peer} was silent for too long"),
            ErrorKind::Timeout(Phase::Total) => write!(f, "{peer} did not answer in time"),
            ErrorKind::Io => write!(f, "the connection to {peer} broke"),
            ErrorKind::Protocol => write!(f, "{peer} broke the protocol"),
            ErrorKind::TooLarge => write!(f, "the answer of {peer} is too large"),
            ErrorKind::Closed => write!(f, "{peer} closed the connection before its answer was whole"),
            ErrorKind::Cancelled => write!(f, "the request to {peer} was cancelled"),
            ErrorKind::Upload => write!(f, "the body of the request to {peer} could not be sent"),
            ErrorKind::Download => write!(f, "the answer of {peer} could not be stored"),
            ErrorKind::Callback if peer.is_empty() => write!(f, "a callback ended the run"),
            ErrorKind::Callback => write!(f, "the callback for the answer of {peer} failed"),
            ErrorKind::System => write!(f, "the event loop failed"),
        }?;
        if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("peer", &self.inner.peer)
            .field("detail", &self.inner.detail)
            .field("request", &self.inner.request)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::other(error)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
