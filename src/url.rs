//! Addresses as users write them. Knows schemes and their ports; resolves nothing.

use std::fmt;

use crate::error::Error;

/// A URL: checked, with what a request needs of it at hand. Bytes that may not stand in a path or a query are
/// percent-encoded; everything else stays as it was written (no dot segment is resolved).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scheme {
    Http,
    #[cfg(feature = "tls")]
    Https,
    #[cfg(feature = "redis")]
    Redis,
    #[cfg(all(feature = "redis", feature = "tls"))]
    Rediss,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Scheme {
    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            #[cfg(feature = "tls")]
            Scheme::Https => 443,
            #[cfg(feature = "redis")]
            Scheme::Redis => 6379,
            #[cfg(all(feature = "redis", feature = "tls"))]
            Scheme::Rediss => 6379,
            #[cfg(feature = "postgres")]
            Scheme::Postgres => 5432,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            #[cfg(feature = "tls")]
            Scheme::Https => "https",
            #[cfg(feature = "redis")]
            Scheme::Redis => "redis",
            #[cfg(all(feature = "redis", feature = "tls"))]
            Scheme::Rediss => "rediss",
            #[cfg(feature = "postgres")]
            Scheme::Postgres => "postgres",
        }
    }
}

impl Url {
    /// Reads an absolute URL. One without a scheme is `http`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Http, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            #[cfg(feature = "tls")]
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, _)) if is_scheme(scheme) => {
                return Err(Error::invalid(format!("'{scheme}' is not a scheme that can be fetched")));
            }
            Some(_) => return Err(Error::invalid("what stands before '://' is not a scheme")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            // Said without the authority: it holds a secret.
            return Err(Error::invalid("credentials in a URL are not supported: send an authorization header"));
        }
        // What cannot be read is not repeated: it may be something else than a URL, and hold a password.
        let bad = || {
            let words = "the URL has no valid host and port";
            let how = if authority.is_ascii() { "" } else { ": outside of ASCII, a name is written as xn--…" };
            Error::invalid(format!("{words}{how}"))
        };
        if rest.len() == text.len() && authority.contains('=') {
            // These are the words of a database (`password=…`), and go nowhere as a host either.
            return Err(bad());
        }
        let parsed: http::uri::Authority = authority.parse().map_err(|_| bad())?;
        let port = match authority.strip_prefix(parsed.host()).unwrap_or_default() {
            "" => scheme.port(),
            after => after.strip_prefix(':').and_then(|p| p.parse().ok()).ok_or_else(|| {
                Error::invalid(format!("the URL has no valid port behind the host '{}'", parsed.host().escape_debug()))
            })?,
        };
        if parsed.host().is_empty() {
            return Err(bad());
        }
        let target = target.split('#').next().unwrap_or_default();
        Ok(Self { scheme, host: parsed.host().to_ascii_lowercase(), port, target: encode(target) })
    }

    /// Where a database is: without what a secret may stand in. `target` begins with a slash.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub(crate) fn of_database(scheme: Scheme, host: &str, port: u16, target: String) -> Self {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Self { scheme, host, port, target }
    }

    /// TLS is wanted.
    pub(crate) fn is_https(&self) -> bool {
        #[cfg(feature = "tls")]
        {
            self.scheme == Scheme::Https
        }
        #[cfg(not(feature = "tls"))]
        {
            false
        }
    }

    /// The host, in lower case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, or the default one of the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, at least `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as the `host` field has them: without the port where it is the default.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    pub(crate) fn add_query(&mut self, query: &str) {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(query);
    }

    /// The URL without its query, which may hold a secret.
    pub(crate) fn without_query(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme.name(), self.authority())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.target)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({})", self.without_query())
    }
}

/// It is one by its letters: RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Path and query with everything but visible ASCII percent-encoded, and a slash in front.
fn encode(target: &str) -> String {
    let mut encoded = String::with_capacity(target.len() + 1);
    if !target.starts_with('/') {
        encoded.push('/');
    }
    for byte in target.bytes() {
        match byte {
            b'"' | b'<' | b'>' => push_percent(&mut encoded, byte),
            0x21..=0x7e => encoded.push(byte as char),
            _ => push_percent(&mut encoded, byte),
        }
    }
    encoded
}

fn push_percent(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(DIGITS[usize::from(byte >> 4)] as char);
    text.push(DIGITS[usize::from(byte & 15)] as char);
}

/// `application/x-www-form-urlencoded`, as the WHATWG URL standard writes it.
pub(crate) fn form_encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut encoded = String::new();
    for (name, value) in pairs {
        if !encoded.is_empty() {
            encoded.push('&');
        }
        for (part, end) in [(name, "="), (value, "")] {
            for byte in part.bytes() {
                match byte {
                    b' ' => encoded.push('+'),
                    b'*' | b'-' | b'.' | b'_' => encoded.push(byte as char),
                    byte if byte.is_ascii_alphanumeric() => encoded.push(byte as char),
                    byte => push_percent(&mut encoded, byte),
                }
            }
            encoded.push_str(end);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_all_its_parts() {
        let url = Url::parse("HTTP://Example.org:8080/a/../b?c=d#e").unwrap();
        assert_eq!((url.host(), url.port(), url.target()), ("example.org", 8080, "/a/../b?c=d"));
        assert_eq!(url.to_string(), "http://example.org:8080/a/../b?c=d");
        let url = Url::parse("[::1]?q").unwrap();
        assert_eq!((url.host(), url.port(), url.target()), ("[::1]", 80, "/?q"));
        assert_eq!(Url::parse("http://h:80/").unwrap().authority(), "h");
        assert_eq!(Url::parse("h?a=b").unwrap().target(), "/?a=b");
        assert_eq!(Url::parse("http://h/a b\u{e9}\r\n").unwrap().target(), "/a%20b%C3%A9%0D%0A");
    }

    #[test]
    fn what_is_no_url_says_why() {
        for (text, words) in [
            ("", "host"),
            ("http:///x", "host"),
            ("http://h:99999/", "port"),
            ("http://h:/", "port"),
            ("http://a b/", "valid host"),
            ("ftp://h/", "not a scheme"),
            ("http://user:hunter2@h/", "credentials"),
            // Passwords at places where none belongs.
            ("http://user:hunter2/h/", "no valid port behind the host 'user'"),
            ("hots=h password=hunter2", "valid host"),
            ("passwd=hunter2", "valid host"),
            ("passwd=hunter2:80/path", "valid host"),
            ("http://h password=hunter2", "valid host"),
            ("password=hunter2 host=http://h/", "not a scheme"),
            ("password=hunter2://h/", "not a scheme"),
        ] {
            let said = Url::parse(text).expect_err(text).to_string();
            assert!(said.contains(words), "{text}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_form_is_encoded_as_browsers_do() {
        assert_eq!(form_encode([("a b", "c&d"), ("é", "~")]), "a+b=c%26d&%C3%A9=%7E");
    }
}
