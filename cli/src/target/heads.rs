//! Heads of answers, written out once a second and sent often: only the date in them changes. Knows no request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aquests::protocols::semantics::PreparedResponse;
use aquests::reactor::Moment;

/// The heads of one second.
#[derive(Debug)]
pub(super) struct Heads {
    date: String,
    /// When the date is another.
    until: Moment,
    usual: [PreparedResponse; KINDS],
    /// By status, made when they are first asked for in a second.
    statuses: Vec<Option<PreparedResponse>>,
    /// Nothing but what tells a client to go on.
    pub(super) go_on: PreparedResponse,
    /// The answer to an offer of HTTP/2.
    pub(super) switch: PreparedResponse,
}

/// Heads that are always at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Close,
    Options,
}

const KINDS: usize = 4;
const LEAST: u16 = 200;
const MOST: u16 = 599;

impl Heads {
    pub(super) fn new() -> Self {
        let date = httpdate::fmt_http_date(SystemTime::now());
        Self {
            usual: usual(&date),
            date,
            until: Moment::START,
            statuses: vec![None; usize::from(MOST - LEAST) + 1],
            go_on: PreparedResponse::new(100, "Continue").expect("100 is a status"),
            switch: switch(),
        }
    }

    /// Sees to it that the date is that of `now`. Reads the clock once a second.
    pub(super) fn refresh(&mut self, now: Moment) {
        if now < self.until {
            return;
        }
        let time = SystemTime::now();
        let part = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        self.until = now + (Duration::from_secs(1) - Duration::from_nanos(part.into()));
        self.date = httpdate::fmt_http_date(time);
        self.usual = usual(&self.date);
        self.statuses.fill(None);
    }

    pub(super) fn usual(&self, kind: Kind) -> &PreparedResponse {
        &self.usual[kind as usize]
    }

    /// A head with a text for this status, from 200 to 599, with the fields that it must have.
    pub(super) fn status(&mut self, status: u16) -> &PreparedResponse {
        let date = &self.date;
        self.statuses[usize::from(status.clamp(LEAST, MOST) - LEAST)].get_or_insert_with(|| {
            let field = match status {
                // RFC 9110 §11.6.1, §11.7.1, §15.5.6, §15.5.22
                401 => Some(("www-authenticate", "Basic realm=\"aquests\"")),
                407 => Some(("proxy-authenticate", "Basic realm=\"aquests\"")),
                405 => Some(("allow", super::route::METHODS)),
                426 => Some(("upgrade", "HTTP/1.1")),
                _ => None,
            };
            head(status, date, &[("content-type", "text/plain")], field)
        })
    }

    /// A redirect to a path.
    pub(super) fn redirect(&self, location: &str) -> PreparedResponse {
        head(302, &self.date, &[("location", location)], None)
    }
}

fn switch() -> PreparedResponse {
    let mut head = PreparedResponse::new(101, "Switching Protocols").expect("101 is a status");
    for (name, value) in [("connection", "upgrade"), ("upgrade", "h2c")] {
        head.field(name, value.as_bytes()).expect("these fields are well-formed");
    }
    head
}

fn usual(date: &str) -> [PreparedResponse; KINDS] {
    [Kind::Text, Kind::Bytes, Kind::Close, Kind::Options].map(|kind| match kind {
        Kind::Text => head(200, date, &[("content-type", "text/plain")], None),
        Kind::Bytes => head(200, date, &[("content-type", "application/octet-stream")], None),
        Kind::Close => head(200, date, &[("content-type", "text/plain"), ("connection", "close")], None),
        Kind::Options => head(204, date, &[("allow", super::route::METHODS)], None),
    })
}

fn head(status: u16, date: &str, fields: &[(&str, &str)], more: Option<(&str, &str)>) -> PreparedResponse {
    let mut head = PreparedResponse::new(status, reason(status)).expect("a status from 200 to 599");
    for (name, value) in [("date", date)].iter().chain(fields).chain(&more) {
        head.field(name, value.as_bytes()).expect("these fields are well-formed");
    }
    head
}

/// What the status is called.
pub(super) fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}
