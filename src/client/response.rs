//! Answers as values. What was received is kept as it came; headers, text and JSON are read when they are asked for.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use encoding_rs::{Encoding, UTF_8};
use http::{Extensions, HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;

use super::RequestId;
use super::collected::{Collected, header_map};
#[cfg(feature = "postgres")]
use crate::postgres;
#[cfg(feature = "redis")]
use crate::redis;
use crate::url::Url;
use crate::version::Version;

/// The answer to a request.
pub struct Response {
    pub(super) id: RequestId,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) meta: Extensions,
    pub(super) timings: Timings,
    pub(super) collected: Collected,
    headers: OnceLock<HeaderMap>,
}

/// When things happened to a request, as durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// From being sent by the program to being written to a connection: queue, resolving and connecting included.
    pub queued: Duration,
    /// Asking for the addresses of the host, where that was done for this request's connection; part of `queued`.
    pub resolve: Option<Duration>,
    /// Connecting, TLS included, where this request was the first on its connection; part of `queued`.
    pub connect: Option<Duration>,
    /// The handshake of TLS; part of `connect`.
    pub tls: Option<Duration>,
    /// From being written to the head of the answer.
    pub first_byte: Duration,
    /// From being sent by the program to the whole answer.
    pub total: Duration,
}

impl Response {
    pub(super) fn new(
        id: RequestId,
        method: Method,
        url: Url,
        meta: Extensions,
        timings: Timings,
        collected: Collected,
    ) -> Self {
        Self { id, method, url, meta, timings, collected, headers: OnceLock::new() }
    }

    /// The values that came with the request.
    pub fn meta(&self) -> &Extensions {
        &self.meta
    }

    /// The id of the request.
    pub fn request_id(&self) -> RequestId {
        self.id
    }

    /// The method of the request.
    pub fn request_method(&self) -> &Method {
        &self.method
    }

    /// The URL that answered.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The status code of HTTP, 100 to 999. What has no status codes has 200, or 500 where the server says that it did
    /// not do as it was told.
    pub fn status(&self) -> StatusCode {
        self.collected.status()
    }

    /// The reason phrase of HTTP, often empty; else `OK`, or the code of the server's error.
    pub fn reason(&self) -> Cow<'_, str> {
        self.collected.reason()
    }

    /// What the answer came in.
    pub fn version(&self) -> Version {
        self.collected.version()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| header_map(self.collected.fields().block()))
    }

    /// The fields that came behind the body.
    pub fn trailers(&self) -> HeaderMap {
        header_map(self.collected.trailers().block())
    }

    /// The body, where it was collected. It is empty where the request says who else gets it.
    pub fn content(&self) -> &[u8] {
        &self.collected.content
    }

    /// Bytes of the body that came, whether they were collected, streamed or discarded.
    pub fn received(&self) -> u64 {
        self.collected.received
    }

    /// The body, taken out.
    pub fn into_content(self) -> Vec<u8> {
        self.collected.content
    }

    /// The character encoding that a byte order mark or the `content-type` names, else UTF-8; in the words of the WHATWG
    /// encoding standard.
    pub fn encoding(&self) -> &'static str {
        self.charset().name()
    }

    /// The body as text, in its [`encoding`](Self::encoding). What cannot be decoded becomes U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        self.charset().decode(&self.collected.content).0
    }

    /// The body read as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.collected.content)
    }

    /// What Redis answered: one value for each command of the request, errors too.
    #[cfg(feature = "redis")]
    pub fn replies(&self) -> &[redis::Value] {
        self.collected.replies().map_or(&[], |replies| &replies.values)
    }

    /// What Redis answered to the last command of the request, which is the only one unless there were several. `None` where
    /// it was not Redis that answered.
    #[cfg(feature = "redis")]
    pub fn value(&self) -> Option<&redis::Value> {
        self.replies().last()
    }

    /// The [`value`](Self::value) as a type of Rust. What the server says when it did not do as it was told is an error.
    /// It is copied: what is large is better taken out, with [`into_replies`](Self::into_replies).
    #[cfg(feature = "redis")]
    pub fn read<T: redis::FromValue>(&self) -> Result<T, redis::ReadError> {
        T::from_value(self.value().cloned().unwrap_or(redis::Value::Null))
    }

    /// What Redis answered, taken out.
    #[cfg(feature = "redis")]
    pub fn into_replies(mut self) -> Vec<redis::Value> {
        self.collected.take_replies()
    }

    /// What PostgreSQL answered: the results of all statements of the request, and its error if it failed.
    #[cfg(feature = "postgres")]
    pub fn results(&self) -> Option<&postgres::Results> {
        self.collected.results()
    }

    /// The rows of the first result that PostgreSQL answered.
    #[cfg(feature = "postgres")]
    pub fn rows(&self) -> impl Iterator<Item = postgres::Row<'_>> {
        self.results().into_iter().flat_map(postgres::Results::rows)
    }

    /// What PostgreSQL answered, taken out; with nothing in it where somebody else answered.
    #[cfg(feature = "postgres")]
    pub fn into_results(mut self) -> postgres::Results {
        self.collected.take_results()
    }

    /// How long it took.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    fn charset(&self) -> &'static Encoding {
        if let Some((encoding, _)) = Encoding::for_bom(&self.collected.content) {
            return encoding;
        }
        let fields = self.collected.fields();
        fields.get("content-type").and_then(charset).unwrap_or(UTF_8)
    }
}

/// The `charset` parameter of a content type (RFC 9110 §8.3.2).
fn charset(content_type: &[u8]) -> Option<&'static Encoding> {
    content_type.split(|&byte| byte == b';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_at_checked(parameter.iter().position(|&byte| byte == b'=')?)?;
        if !name.trim_ascii().eq_ignore_ascii_case(b"charset") {
            return None;
        }
        let value = value[1..].trim_ascii();
        Encoding::for_label(value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
    })
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("request_id", &self.id)
            .field("url", &self.url)
            .field("status", &self.collected.status().as_u16())
            .field("received", &self.collected.received)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::semantics::{self, Fields, ResponseHead};

    fn response(content_type: &str, content: &[u8]) -> Response {
        let fields = format!("Content-Type: {content_type}\r\n\r\n");
        let mut collected = Collected::default();
        let fields = Fields::new(fields.as_bytes());
        collected.head(&ResponseHead { version: semantics::Version::Http11, status: 200, reason: b"", fields });
        collected.content = content.to_vec();
        let url = Url::parse("http://h/").unwrap();
        Response::new(RequestId(0), Method::GET, url, Extensions::new(), Timings::default(), collected)
    }

    #[test]
    fn text_honours_the_charset() {
        for (content_type, content, text, encoding) in [
            ("text/plain", &b"caf\xc3\xa9"[..], "café", "UTF-8"),
            ("text/plain; charset=ISO-8859-1", b"caf\xe9", "café", "windows-1252"),
            ("text/plain; x=y; Charset=\"windows-1251\"", b"\xc4\xe0", "Да", "windows-1251"),
            ("text/plain; charset=nonsense", b"a\xff", "a\u{fffd}", "UTF-8"),
            ("text/plain; charset", b"a", "a", "UTF-8"),
            ("text/plain; charset=utf-8", b"\xff\xfea\x00", "a", "UTF-16LE"),
        ] {
            let response = response(content_type, content);
            assert_eq!((&*response.text(), response.encoding()), (text, encoding), "{content_type}");
        }
    }

    #[test]
    fn json_is_read_and_its_errors_are_told() {
        assert_eq!(response("application/json", b"[1, 2]").json::<Vec<u8>>().unwrap(), [1, 2]);
        assert!(response("application/json", b"[1, ").json::<Vec<u8>>().is_err());
    }
}
