//! Requests as values. Making one never fails: what is wrong with it is said when it is sent.

#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, mem};

use http::{Extensions, Method};

use super::{BoxError, Callback, Client, Outcome};
use crate::error::Error;
use crate::protocols::semantics::PreparedRequest;
use crate::reactor::Address;
use crate::url::{Url, form_encode};
use crate::wire::Versions;

/// An HTTP request.
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
    method: Method,
    url: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    content_type: Option<&'static str>,
    meta: Extensions,
    callback: Option<Callback>,
    timeout: Option<Duration>,
    address: Option<Address>,
    versions: Option<Versions>,
    wrong: Option<String>,
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
        Self {
            method,
            url: url.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            content_type: None,
            meta: Extensions::new(),
            callback: None,
            timeout: None,
            address: None,
            versions: None,
            wrong: None,
        }
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
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds names and values to the query.
    pub fn params(mut self, pairs: &[(&str, &str)]) -> Self {
        self.query.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// Adds a header. One given here takes the place of what would be sent by default (`accept`, `user-agent`,
    /// `content-type`).
    pub fn header(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// The body, as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The body as a form: `application/x-www-form-urlencoded`.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        self.body = form_encode(pairs.iter().copied()).into_bytes();
        self.content_type = Some("application/x-www-form-urlencoded");
        self
    }

    /// The body as JSON.
    pub fn json(mut self, value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body = body,
            Err(error) => self.wrong = Some(format!("the body cannot be written as JSON: {error}")),
        }
        self.content_type = Some("application/json");
        self
    }

    /// The body as XML, already written.
    pub fn xml(mut self, document: impl Into<String>) -> Self {
        self.body = document.into().into_bytes();
        self.content_type = Some("application/xml; charset=utf-8");
        self
    }

    /// The body as names and values, one `name=value` a line: `text/namevalue`.
    pub fn nvp(mut self, pairs: &[(&str, &str)]) -> Self {
        self.body.clear();
        for (name, value) in pairs {
            if name.contains(['\r', '\n', '=']) || value.contains(['\r', '\n']) {
                self.wrong = Some("a name or a value has a line break (or a name has '=')".to_owned());
            }
            for part in [name, "=", value, "\r\n"] {
                self.body.extend_from_slice(part.as_bytes());
            }
        }
        self.content_type = Some("text/namevalue; charset=utf-8");
        self
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
        self.timeout = Some(timeout);
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
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = Some(versions);
        self
    }

    /// What is left of a request that is not sent.
    pub(super) fn into_owner(self) -> Owner {
        Owner { method: self.method, meta: self.meta, callback: self.callback }
    }

    /// Checks everything and writes the head.
    pub(super) fn prepare(&mut self) -> Result<Prepared, Error> {
        if let Some(wrong) = &self.wrong {
            return Err(Error::invalid(wrong.clone()));
        }
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
            ("content-type", self.content_type),
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
        if self.method == Method::TRACE && !self.body.is_empty() {
            return Err(Error::invalid("TRACE has no body (RFC 9110 §9.3.8)"));
        }
        Ok(Prepared {
            head,
            may_upgrade: self.body.is_empty() && !self.headers.iter().any(|(name, _)| is_private(name)),
            body: mem::take(&mut self.body),
            method: self.method.clone(),
            address: self.address.clone(),
            versions: self.versions,
            url,
            meta: mem::take(&mut self.meta),
            callback: self.callback.take(),
            timeout: self.timeout,
        })
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
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        // What stands before an @ is a secret.
        let url = url.rsplit('@').next().unwrap_or_default();
        f.debug_struct("Request").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// A request that can be sent.
pub(crate) struct Prepared {
    pub(super) head: PreparedRequest,
    pub(super) body: Vec<u8>,
    pub(super) method: Method,
    pub(super) address: Option<Address>,
    pub(super) versions: Option<Versions>,
    /// It may ask for HTTP/2 on a plain connection.
    pub(super) may_upgrade: bool,
    pub(super) url: Url,
    pub(super) meta: Extensions,
    pub(super) callback: Option<Callback>,
    pub(super) timeout: Option<Duration>,
}

impl Prepared {
    pub(super) fn into_owner(self) -> Owner {
        Owner { method: self.method, meta: self.meta, callback: self.callback }
    }
}

/// What of a request goes into its outcome, whatever happens to it.
pub(super) struct Owner {
    pub(super) method: Method,
    pub(super) meta: Extensions,
    pub(super) callback: Option<Callback>,
}
