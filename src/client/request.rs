//! Requests as values. Making one never fails: what is wrong with it is said when it is sent.

use std::borrow::Cow;
use std::io::Read;
use std::path::PathBuf;
#[cfg(feature = "redis")]
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, mem};

use http::{Extensions, Method};

use super::download::{Head, Progress, Sink};
use super::form::Form;
#[cfg(feature = "redis")]
use super::prepared;
use super::prepared::{Owner, Prepared, Streams, Timeouts, Words};
use super::upload::{Segment, Upload};
use super::writer::{self, BodyWriter};
use super::{BoxError, Callback, Client, Outcome};
use crate::error::Error;
#[cfg(feature = "postgres")]
use crate::postgres::Statement;
use crate::protocols::semantics::PreparedRequest;
use crate::reactor::{Address, Flow};
#[cfg(feature = "redis")]
use crate::redis::{Batch, Call, Command, Exchange, Transaction};
use crate::url::{Url, form_encode};
use crate::version::Versions;

/// A request: of HTTP, where it is made here, or of another protocol, whose own types turn into one.
///
/// ```
/// use aquests::Request;
///
/// # #[derive(Clone)] struct Job(&'static str);
/// let request = Request::post("http://127.0.0.1:5000/book")
///     .form(&[("author", "James Milton")])
///     .header("accept", "text/html")
///     .meta(Job("test1"));
/// ```
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    asked: Asked,
    meta: Extensions,
    callback: Option<Callback>,
    timeouts: Timeouts,
    address: Option<Address>,
    streams: Option<Box<Streams>>,
    wrong: Option<String>,
}

/// What is asked, as the user put it.
enum Asked {
    Http(Box<Http>),
    #[cfg(feature = "redis")]
    Redis(Arc<Exchange>),
    #[cfg(feature = "postgres")]
    Postgres(Box<Statement>),
}

struct Http {
    method: Method,
    url: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    content_type: Option<Cow<'static, str>>,
    expect: bool,
    versions: Option<Versions>,
}

macro_rules! methods {
    ($($name:ident $method:ident $text:literal)*) => {$(
        #[doc = concat!("A ", $text, " request.")]
        pub fn $name(url: impl Into<String>) -> Self {
            Self::new(Method::$method, url)
        }
    )*};
}

impl Request {
    /// A request with any method.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self::asking(Asked::Http(Box::new(Http {
            method,
            url: url.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            content_type: None,
            expect: false,
            versions: None,
        })))
    }

    fn asking(asked: Asked) -> Self {
        Self {
            asked,
            meta: Extensions::new(),
            callback: None,
            timeouts: Timeouts::default(),
            address: None,
            streams: None,
            wrong: None,
        }
    }

    /// Changes what only HTTP has.
    fn http(mut self, change: impl FnOnce(&mut Http)) -> Self {
        match &mut self.asked {
            Asked::Http(http) => change(http),
            #[cfg(feature = "redis")]
            Asked::Redis(_) => self.wrong = Some("a command of Redis has none of what belongs to HTTP".to_owned()),
            #[cfg(feature = "postgres")]
            Asked::Postgres(_) => self.wrong = Some("a statement has none of what belongs to HTTP".to_owned()),
        }
        self
    }

    methods! {
        get GET "GET"
        delete DELETE "DELETE"
        head HEAD "HEAD"
        options OPTIONS "OPTIONS"
        trace TRACE "TRACE"
        post POST "POST"
        put PUT "PUT"
        patch PATCH "PATCH"
    }

    /// Adds a name and a value to the query.
    pub fn param(self, name: &str, value: &str) -> Self {
        self.http(|http| http.query.push((name.to_owned(), value.to_owned())))
    }

    /// Adds names and values to the query.
    pub fn params(self, pairs: &[(&str, &str)]) -> Self {
        let owned = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.http(|http| http.query.extend(owned))
    }

    /// Adds a header. One given here takes the place of what would be sent by default (`accept`, `user-agent`,
    /// `content-type`).
    pub fn header(self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.http(|http| http.headers.push((name.into(), value.as_ref().to_vec())))
    }

    /// The body, as it is.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.whole(body.into())
    }

    /// The body, read from this while it is sent. With a length it is announced, and fewer or more bytes than that fail
    /// the request with [`ErrorKind::Upload`](crate::ErrorKind::Upload), as does a reader that fails; without one it is
    /// sent in chunks until the reader ends.
    ///
    /// It is read inside turns, at most 64 KiB at a time and no faster than the server takes it, so a reader that blocks
    /// blocks the loop (for bytes that come from elsewhere there is [`body_writer`](Self::body_writer)). A reader that has
    /// nothing yet may say [`WouldBlock`](std::io::ErrorKind::WouldBlock); it is asked again after
    /// [`Client::resume`](crate::Client::resume) or [`Handle::resume`](crate::Handle::resume). One with a length is asked
    /// for one byte more than that, before the last of it is sent.
    ///
    /// A request is sent again, where it may be, only if no byte was taken from its reader.
    pub fn body_reader(mut self, reader: impl Read + Send + 'static, length: Option<u64>) -> Self {
        self.streams().upload = Some(Upload::reader(reader, length));
        self
    }

    /// The body, from a file that is opened when the request is sent and read as it is sent, never whole. What is no plain
    /// file (a pipe, a device), or hides its length (in `/proc`), is sent in chunks until it ends. It is opened and read
    /// inside the client's turn, so everything waits where that waits: a named pipe that nobody writes to belongs behind a
    /// thread with a [`body_writer`](Self::body_writer). Where the request is sent again, so is the file.
    ///
    /// A file that cannot be opened, becomes shorter meanwhile, or is shorter than it says (in `/sys`), fails the request with
    /// [`ErrorKind::Upload`](crate::ErrorKind::Upload).
    pub fn body_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.streams().upload = Some(Upload::segments(vec![Segment::File(path.into())]));
        self
    }

    /// The body, written piece by piece while it is sent, from whatever thread has the pieces. With a length it is
    /// announced, without one it is sent in chunks.
    ///
    /// While the writer has nothing, the connection waits, and neither [`Builder::timeout`](crate::Builder::timeout) nor
    /// [`Builder::send_timeout`](crate::Builder::send_timeout) runs.
    pub fn body_writer(mut self, length: Option<u64>) -> (Self, BodyWriter) {
        let (writer, outlet) = writer::pipe(length);
        self.streams().upload = Some(Upload::outlet(outlet, length));
        (self, writer)
    }

    /// The body as a form with files: `multipart/form-data`.
    pub fn multipart(mut self, form: Form) -> Self {
        let (content_type, segments) = form.into_segments();
        self.streams().upload = Some(Upload::segments(segments));
        self.http(|http| http.content_type = Some(content_type.into()))
    }

    fn whole(mut self, body: Vec<u8>) -> Self {
        if let Some(streams) = &mut self.streams {
            streams.upload = None;
        }
        #[cfg(feature = "postgres")]
        if let Asked::Postgres(_) = self.asked {
            self.streams().upload = Some(Upload::segments(vec![Segment::Bytes(body)]));
            return self;
        }
        self.http(|http| http.body = body)
    }

    fn typed(self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.whole(body).http(|http| http.content_type = Some(content_type.into()))
    }

    fn streams(&mut self) -> &mut Streams {
        self.streams.get_or_insert_default()
    }

    /// Asks the server whether it wants the body before sending it (RFC 9110 §10.1.1): for large bodies that are likely to
    /// be refused. Nothing of the body is sent before the server says 100, or has said nothing for
    /// [`Builder::expect_timeout`](crate::Builder::expect_timeout). Any other answer is the answer, and no byte of the body
    /// was sent; after a 417 the request is sent again without asking. A request without a body asks nothing.
    ///
    /// It is never done by itself: servers that ignore the question would cost every upload a second.
    pub fn expect_continue(self) -> Self {
        self.http(|http| http.expect = true)
    }

    /// Hands the body of the answer to this, piece by piece as it comes, and keeps none of it: the limits for collected
    /// answers do not count, and [`Response::content`](crate::Response::content) is empty.
    ///
    /// It runs inside the client's turn, once the head is there, and never with an empty piece. [`Flow::Hold`] takes this
    /// piece and wants no more until [`Client::resume`](crate::Client::resume) or
    /// [`Handle::resume`](crate::Handle::resume): the server is slowed down, and
    /// [`Builder::timeout`](crate::Builder::timeout) does not run meanwhile. Over HTTP/2 the server may send as much as its
    /// window still allows (RFC 9113 §5.2), and that comes here all the same: after a hold, up to one
    /// window of the stream (`http2::Settings::most_window`, 4 MiB), and no more until it is resumed. [`Flow::Cancel`] ends the request as cancelled,
    /// and an error with [`ErrorKind::Callback`](crate::ErrorKind::Callback).
    pub fn on_chunk<E: Into<BoxError>>(
        mut self,
        mut callback: impl FnMut(Head<'_>, &[u8]) -> Result<Flow, E> + Send + 'static,
    ) -> Self {
        self.streams().sink = Some(Sink::Call(Box::new(move |head, bytes| callback(head, bytes).map_err(Into::into))));
        self
    }

    /// Hands the rows of a statement to this, one by one as they come, and keeps none of them: the limits for collected
    /// answers do not count. It runs inside the client's turn. [`Flow::Hold`] takes this row and wants no more until
    /// [`Client::resume`](crate::Client::resume) or [`Handle::resume`](crate::Handle::resume): nothing more is read from the
    /// connection meanwhile, and the server stops when what lies between is full. [`Flow::Cancel`] ends the request as
    /// cancelled, and an error with [`ErrorKind::Callback`](crate::ErrorKind::Callback).
    #[cfg(feature = "postgres")]
    pub fn on_row<E: Into<BoxError>>(
        mut self,
        mut callback: impl FnMut(crate::postgres::Row<'_>) -> Result<Flow, E> + Send + 'static,
    ) -> Self {
        let on_row = Box::new(move |row: crate::postgres::Row<'_>| callback(row).map_err(Into::into));
        self.taken_by(crate::postgres::Taker::Rows(on_row));
        self
    }

    #[cfg(feature = "postgres")]
    fn taken_by(&mut self, taker: crate::postgres::Taker) {
        let streams = self.streams();
        (streams.taker, streams.by_part) = (Some(taker), true);
    }

    /// Hands everything that comes of a statement to this as it comes, and keeps no row, no notice and nothing of what is
    /// copied: where one result ends and the next begins is told, too, so that several can be written one after the other
    /// without being held. An error of the server is in the outcome. In place of [`on_row`](Self::on_row), and with the
    /// same rules, except that the columns of a prepared statement come with what follows them: whoever holds at those gets
    /// one part more.
    #[cfg(feature = "postgres")]
    pub fn on_part<E: Into<BoxError>>(
        mut self,
        mut callback: impl FnMut(crate::postgres::Part<'_>) -> Result<Flow, E> + Send + 'static,
    ) -> Self {
        let on_part = Box::new(move |part: crate::postgres::Part<'_>| callback(part).map_err(Into::into));
        self.taken_by(crate::postgres::Taker::Parts(on_part));
        self
    }

    /// Writes the body of the answer to a file, whatever its status: created or cut to nothing when the head comes, written
    /// in place as the body comes, inside turns. A request that fails before that leaves the file as it was; one that fails
    /// after it leaves what came, and its error says how much. What is kept in memory is as with
    /// [`on_chunk`](Self::on_chunk).
    pub fn to_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.streams().sink = Some(Sink::file(path.into()));
        self
    }

    /// Counts the body of the answer and keeps nothing of it.
    pub fn discard(mut self) -> Self {
        self.streams().sink = Some(Sink::Discard);
        self
    }

    /// Called inside the client's turn whenever some of a body was sent or came.
    pub fn on_progress(mut self, callback: impl FnMut(Progress) + Send + 'static) -> Self {
        self.streams().progress = Some(Box::new(callback));
        self
    }

    /// The body as a form: `application/x-www-form-urlencoded`.
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        self.typed("application/x-www-form-urlencoded", form_encode(pairs.iter().copied()).into_bytes())
    }

    /// The body as JSON.
    pub fn json(mut self, value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.typed("application/json", body),
            Err(error) => {
                self.wrong = Some(format!("the body cannot be written as JSON: {error}"));
                self
            }
        }
    }

    /// The body as XML, already written.
    pub fn xml(self, document: impl Into<String>) -> Self {
        self.typed("application/xml; charset=utf-8", document.into().into_bytes())
    }

    /// The body as names and values, one `name=value` a line: `text/namevalue`.
    pub fn nvp(mut self, pairs: &[(&str, &str)]) -> Self {
        let mut body = Vec::new();
        for (name, value) in pairs {
            if name.contains(['\r', '\n', '=']) || value.contains(['\r', '\n']) {
                self.wrong = Some("a name or a value has a line break (or a name has '=')".to_owned());
            }
            for part in [name, "=", value, "\r\n"] {
                body.extend_from_slice(part.as_bytes());
            }
        }
        self.typed("text/namevalue; charset=utf-8", body)
    }

    /// Adds a value of the user's, one of each type. It comes back with the outcome.
    pub fn meta<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.meta.insert(value);
        self
    }

    /// Called with the outcome of this request, and no other callback is.
    pub fn callback<E: Into<BoxError>>(
        mut self,
        mut callback: impl FnMut(&mut Client, Outcome) -> Result<(), E> + Send + 'static,
    ) -> Self {
        self.callback = Some(Box::new(move |client, outcome| callback(client, outcome).map_err(Into::into)));
        self
    }

    /// How long this request may take in all, from the queue to the whole answer. Without it only silence ends it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.total = Some(timeout);
        self
    }

    /// How long the server may take to take this request, its body included, in place of
    /// [`Builder::send_timeout`](crate::Builder::send_timeout).
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.send = Some(timeout);
        self
    }

    /// How long the server may take to begin its answer, in place of
    /// [`Builder::first_byte_timeout`](crate::Builder::first_byte_timeout).
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.first_byte = Some(timeout);
        self
    }

    /// Connects to this unix socket, whatever the URL names.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.address = Some(Address::Unix(path.into()));
        self
    }

    /// Connects to this address, whatever the URL names.
    pub fn connect_to(mut self, address: std::net::SocketAddr) -> Self {
        self.address = Some(Address::Tcp(address));
        self
    }

    /// Which versions of HTTP the server is asked in, whatever the client was told.
    pub fn versions(self, versions: Versions) -> Self {
        self.http(|http| http.versions = Some(versions))
    }

    /// What is left of a request that is not sent.
    pub(super) fn into_owner(self) -> Owner {
        let method = match self.asked {
            Asked::Http(http) => http.method,
            #[cfg(feature = "redis")]
            Asked::Redis(exchange) => method(&exchange.name),
            #[cfg(feature = "postgres")]
            Asked::Postgres(statement) => method(statement.name()),
        };
        Owner { method, meta: self.meta, callback: self.callback }
    }

    /// Undoes [`prepare`](Self::prepare), so that it can be sent another time.
    pub(super) fn take_back(&mut self, prepared: Prepared) {
        let Prepared { body, streams, meta, callback, .. } = prepared;
        match &mut self.asked {
            Asked::Http(http) => {
                if streams.as_ref().is_none_or(|streams| streams.upload.is_none()) {
                    http.body = body;
                }
            }
            #[cfg(feature = "redis")]
            Asked::Redis(_) => {}
            #[cfg(feature = "postgres")]
            Asked::Postgres(_) => {}
        }
        (self.streams, self.meta, self.callback) = (streams, meta, callback);
    }

    /// Checks everything and puts it into the words of its protocol.
    pub(super) fn prepare(&mut self) -> Result<Prepared, Error> {
        if let Some(wrong) = &self.wrong {
            return Err(Error::invalid(wrong.clone()));
        }
        let (words, method, url, body) = match &mut self.asked {
            Asked::Http(http) => {
                let (words, url, body) = http.prepare(&mut self.streams)?;
                (words, http.method.clone(), url, body)
            }
            #[cfg(feature = "redis")]
            Asked::Redis(exchange) => {
                if self.streams.as_ref().is_some_and(|streams| streams.upload.is_some()) {
                    return Err(Error::invalid("a command of Redis has no body: give it as an argument"));
                }
                let words = prepared::Redis { exchange: Arc::clone(exchange), whole: false, detour: None };
                (Words::Redis(words), method(&exchange.name), exchange.settings.url(), Vec::new())
            }
            #[cfg(feature = "postgres")]
            Asked::Postgres(statement) => {
                statement.check()?;
                let uploads = self.streams.as_ref().is_some_and(|streams| streams.upload.is_some());
                if uploads && !statement.copies_in() {
                    return Err(Error::invalid("only what copies to the server has a body: Postgres::copy_in"));
                }
                let run = Box::new(statement.run());
                (Words::Postgres(run), method(statement.name()), statement.settings().url(), Vec::new())
            }
        };
        Ok(Prepared {
            words,
            body,
            given: 0,
            streams: self.streams.take(),
            method,
            address: self.address.clone(),
            url,
            meta: mem::take(&mut self.meta),
            callback: self.callback.take(),
            timeouts: self.timeouts,
        })
    }
}

impl Http {
    /// Writes the head.
    fn prepare(&mut self, streams: &mut Option<Box<Streams>>) -> Result<(Words, Url, Vec<u8>), Error> {
        let mut url = Url::parse(&self.url)?;
        if !self.query.is_empty() {
            url.add_query(&form_encode(self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
        }
        let peer = || format!("{}:{}", url.host(), url.port());
        let invalid = |error: crate::protocols::semantics::Invalid| {
            Error::new(crate::ErrorKind::InvalidRequest, peer(), error.to_string())
        };
        let mut head = PreparedRequest::new(self.method.as_str(), url.target(), &url.authority()).map_err(invalid)?;
        for (name, value) in &self.headers {
            head.field(name, value).map_err(invalid)?;
        }
        let defaults = [
            ("user-agent", Some(concat!("aquests/", env!("CARGO_PKG_VERSION")))),
            ("accept", Some("*/*")),
            ("content-type", self.content_type.as_deref()),
        ];
        for (name, value) in defaults {
            if let Some(value) = value
                && !self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
            {
                head.field(name, value.as_bytes()).map_err(invalid)?;
            }
        }
        if self.method == Method::CONNECT {
            return Err(Error::invalid("CONNECT asks a proxy for a tunnel and cannot be sent as a request"));
        }
        let uploads = streams.as_ref().is_some_and(|streams| streams.upload.is_some());
        let has_body = uploads || !self.body.is_empty();
        if self.method == Method::TRACE && has_body {
            return Err(Error::invalid("TRACE has no body (RFC 9110 §9.3.8)"));
        }
        if self.expect && has_body {
            let plain = head.clone();
            head.field("expect", b"100-continue").map_err(invalid)?;
            streams.get_or_insert_default().expect = Some(plain);
        }
        let may_upgrade = !has_body && !self.headers.iter().any(|(name, _)| is_private(name));
        // What is streamed takes the place of what was given before.
        let body = if uploads { Vec::new() } else { mem::take(&mut self.body) };
        Ok((Words::Http { head, may_upgrade, versions: self.versions }, url, body))
    }
}

/// The name of a command stands where HTTP has a method.
#[cfg(any(feature = "postgres", feature = "redis"))]
fn method(name: &str) -> Method {
    let name = if name.contains(' ') { Cow::Owned(name.replace(' ', "-")) } else { Cow::Borrowed(name) };
    Method::from_bytes(name.as_bytes()).unwrap_or(Method::OPTIONS)
}

#[cfg(feature = "postgres")]
impl From<Statement> for Request {
    fn from(statement: Statement) -> Self {
        Self::asking(Asked::Postgres(Box::new(statement)))
    }
}

#[cfg(feature = "redis")]
impl Request {
    fn redis(exchange: Result<Exchange, Error>) -> Self {
        match exchange {
            Ok(exchange) => Self::asking(Asked::Redis(Arc::new(exchange))),
            Err(error) => Self { wrong: Some(error.to_string()), ..Self::get("") },
        }
    }
}

#[cfg(feature = "redis")]
impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self::redis(command.exchange())
    }
}

#[cfg(feature = "redis")]
impl From<Batch> for Request {
    fn from(batch: Batch) -> Self {
        Self::redis(batch.exchange())
    }
}

#[cfg(feature = "redis")]
impl From<Transaction> for Request {
    fn from(transaction: Transaction) -> Self {
        Self::redis(transaction.exchange())
    }
}

#[cfg(feature = "redis")]
impl From<Call> for Request {
    fn from(call: Call) -> Self {
        Self::from(Command::from(call))
    }
}

/// Headers that keep a request from asking for an upgrade: a server that agrees may treat the request as if it had come
/// twice, and one that does not understand may pass on what concerns the connection. Nothing that matters takes part.
fn is_private(name: &str) -> bool {
    const NAMES: [&str; 7] =
        ["authorization", "connection", "cookie", "expect", "http2-settings", "proxy-authorization", "upgrade"];
    NAMES.iter().any(|private| name.eq_ignore_ascii_case(private))
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.asked {
            Asked::Http(http) => {
                let url = http.url.split(['?', '#']).next().unwrap_or_default();
                // What stands before an @ is a secret.
                let url = url.rsplit('@').next().unwrap_or_default();
                f.debug_struct("Request").field("method", &http.method).field("url", &url).finish_non_exhaustive()
            }
            #[cfg(feature = "redis")]
            Asked::Redis(exchange) => f.debug_tuple("Request").field(&exchange.name).finish(),
            #[cfg(feature = "postgres")]
            Asked::Postgres(statement) => f.debug_tuple("Request").field(statement).finish(),
        }
    }
}
