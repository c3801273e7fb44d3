//! Which answer a request is to get, from its method and its target alone. Writes nothing and knows no connection.

use std::time::Duration;

use aquests::protocols::semantics::{RequestHead, Version};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A short text.
    Root,
    /// So many bytes, whose number is announced.
    Bytes(u64),
    /// So many bytes in chunks.
    Chunked(u64),
    /// An answer with this status.
    Status(u16),
    /// The short text after a while.
    Delay(Duration),
    /// The request itself.
    Echo,
    /// So many redirects, then the short text.
    Redirect(u32),
    /// The short text, and the end of the connection.
    Close,
    /// Which methods there are.
    Options,
    /// No: a status and the reason for it.
    Refuse(u16, &'static str),
}

/// What every path answers to.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The longest `/delay`.
const LONGEST: u64 = 600_000;

impl Route {
    pub(super) fn of(head: &RequestHead<'_>) -> Route {
        match head.method {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" => {}
            "OPTIONS" => return Route::Options,
            "CONNECT" | "TRACE" => return Route::Refuse(405, "this method is not for this server"),
            _ => return Route::Refuse(501, "this method is not known here"),
        }
        if let Some(expected) = head.fields.get("expect")
            && head.version != Version::Http10
            && !expected.eq_ignore_ascii_case(b"100-continue")
        {
            return Route::Refuse(417, "only 100-continue can be expected");
        }
        path(head.target)
    }
}

fn path(target: &str) -> Route {
    const ABSENT: Route = Route::Refuse(404, "there is nothing here: see /");
    // RFC 9112 §3.2.2: a server takes a whole URL, too.
    let origin = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |slash| &rest[slash..]),
        _ => target,
    };
    let path = origin.split('?').next().unwrap_or_default();
    match path {
        "/" => return Route::Root,
        "/echo" => return Route::Echo,
        "/close" => return Route::Close,
        _ => {}
    }
    let Some((name, number)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else { return ABSENT };
    let number = match number.parse::<u64>() {
        Ok(value) if number.bytes().all(|byte| byte.is_ascii_digit()) => Some(value),
        _ => None,
    };
    match (name, number) {
        ("bytes", Some(bytes)) => Route::Bytes(bytes),
        ("chunked", Some(bytes)) => Route::Chunked(bytes),
        ("delay", Some(millis)) if millis <= LONGEST => Route::Delay(Duration::from_millis(millis)),
        ("redirect", Some(0)) => Route::Root,
        ("redirect", Some(times)) if times <= u32::MAX.into() => Route::Redirect(times as u32),
        ("status", Some(status @ 200..=599)) => Route::Status(status as u16),
        ("bytes" | "chunked", _) => Route::Refuse(400, "a number of bytes is missing"),
        ("delay", _) => Route::Refuse(400, "milliseconds are missing, at most 600000"),
        ("redirect", _) => Route::Refuse(400, "a number of redirects is missing"),
        ("status", _) => Route::Refuse(400, "a status from 200 to 599 is missing"),
        _ => ABSENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_say() {
        for (target, route) in [
            ("/", Route::Root),
            ("/?a=/b", Route::Root),
            ("http://h:1/bytes/7?x", Route::Bytes(7)),
            ("http://h", Route::Root),
            ("/chunked/0", Route::Chunked(0)),
            ("/status/599", Route::Status(599)),
            ("/delay/20", Route::Delay(Duration::from_millis(20))),
            ("/redirect/0", Route::Root),
            ("/redirect/2", Route::Redirect(2)),
            ("/echo", Route::Echo),
            ("/close", Route::Close),
        ] {
            assert_eq!(path(target), route, "{target}");
        }
        for (target, status) in [
            ("*", 404),
            ("h:443", 404),
            ("/nowhere", 404),
            ("/bytes", 404),
            ("/bytes/", 400),
            ("/bytes/+1", 400),
            ("/bytes/99999999999999999999", 400),
            ("/bytes/1/2", 400),
            ("/status/199", 400),
            ("/status/600", 400),
            ("/delay/600001", 400),
        ] {
            assert!(matches!(path(target), Route::Refuse(got, _) if got == status), "{target}");
        }
    }
}
