//! What a load of HTTP sends: heads and bodies from templates, in whichever version the server agrees to.

use super::plan::{Plan, Turns};
use super::template::Template;
use crate::error::Error;
#[cfg(feature = "http2")]
use crate::protocols::http2;
use crate::protocols::semantics::{self, Invalid, PreparedRequest};
use crate::protocols::{Established, ExchangeId, Protocol, http1};
use crate::url::Url;
use crate::version::Versions;
use crate::wire::{self, Wire};

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub(super) struct Http {
    pub(super) url: Url,
    pub(super) method: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) versions: Versions,
    pub(super) upgrade: bool,
    authority: String,
}

impl Http {
    pub(super) fn get(url: Url) -> Self {
        Self {
            authority: url.authority(),
            url,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            versions: Versions::Any,
            upgrade: false,
        }
    }

    pub(super) fn header(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("host") {
            self.authority = String::from_utf8_lossy(value).into_owned();
        } else {
            self.headers.push((name.to_owned(), value.to_vec()));
        }
    }

    pub(super) fn machine(&self, established: &Established<'_>, depth: u16) -> Wire {
        #[cfg(feature = "http2")]
        if self.versions.begin_with_http2(established) {
            return Wire::Http2(Box::new(http2::Client::with(settings(depth))));
        }
        let _ = established;
        Wire::Http1(http1::Client::new().pipeline(depth))
    }

    #[cfg(feature = "http2")]
    pub(super) fn upgraded(&self, id: ExchangeId, head: &PreparedRequest, depth: u16) -> Wire {
        Wire::Http2(Box::new(http2::Client::upgraded(settings(depth), id, head)))
    }

    /// What a request that asks for HTTP/2 tells of our settings.
    fn told(&self, depth: u16) -> String {
        #[cfg(feature = "http2")]
        if self.upgrade {
            return settings(depth).upgrade_field();
        }
        let _ = depth;
        String::new()
    }

    /// The first request of a connection asks for HTTP/2.
    pub(super) fn asks_for_http2(&self) -> bool {
        self.upgrade && self.versions == Versions::Any && !self.url.is_https()
    }

    /// Nothing but HTTP/1.1 can be spoken.
    fn is_http1(&self) -> bool {
        match self.versions {
            Versions::Http1 => true,
            #[cfg(feature = "http2")]
            Versions::Http2 => false,
            Versions::Any => !self.url.is_https() && !self.upgrade,
        }
    }

    pub(super) fn work(&self, plan: &Plan, turns: Turns) -> Result<Work, Error> {
        let first = turns.values.seq;
        let mut work = Work::new(self, plan, turns)?;
        if self.upgrade && !self.body.is_empty() {
            return Err(Error::invalid("a request with a body does not ask for an upgrade"));
        }
        if plan.depth > 1 && self.is_http1() && !work.head.is_idempotent() {
            // RFC 9112 §9.3.2
            let method = &self.method;
            return Err(Error::invalid(format!(
                "{method} is not idempotent and is never sent behind another: depth 1"
            )));
        }
        // What the machine never takes, it does not take the first time.
        let (mut machine, mut out) = (http1::Client::new(), Vec::new());
        if let Ok(request) = work.next(false)
            && let Err(refused) = machine.send(ExchangeId(0), request, &mut out)
        {
            return Err(Error::invalid(refused.to_string()));
        }
        work.turns.values.seq = first;
        Ok(work)
    }
}

#[cfg(feature = "http2")]
fn settings(depth: u16) -> http2::Settings {
    http2::Settings::default().streams(depth.into())
}

/// The requests of one thread, written out one after the other in the same memory.
#[derive(Debug)]
pub(super) struct Work {
    method: String,
    authority: String,
    target: Template,
    headers: Vec<(String, Template)>,
    body: Template,
    fixed: bool,
    head: PreparedRequest,
    /// The last head that asked for HTTP/2, and the settings that it tells.
    asking: Option<PreparedRequest>,
    told: String,
    filled_body: Vec<u8>,
    scratch: Vec<u8>,
    turns: Turns,
}

impl Work {
    fn new(http: &Http, plan: &Plan, turns: Turns) -> Result<Self, Error> {
        let template = |text: &[u8]| match plan.templates {
            true => Template::parse(text),
            false => Ok(Template::literal(text)),
        };
        let invalid = |invalid: Invalid| Error::invalid(invalid.to_string());
        let target = template(http.url.target().as_bytes())?;
        let mut headers = Vec::new();
        for (name, value) in &http.headers {
            headers.push((name.clone(), template(value)?));
        }
        let body = template(&http.body)?;
        let fixed = target.is_fixed() && body.is_fixed() && headers.iter().all(|(_, value)| value.is_fixed());
        let authority = http.authority.clone();
        let mut work = Self {
            head: PreparedRequest::new(&http.method, "/", &authority).map_err(invalid)?,
            method: http.method.clone(),
            authority,
            target,
            headers,
            body,
            fixed,
            asking: None,
            told: http.told(plan.depth),
            filled_body: Vec::new(),
            scratch: Vec::new(),
            turns,
        };
        work.fill().map_err(invalid)?;
        Ok(work)
    }

    /// The next request; it may ask for HTTP/2.
    pub(super) fn next(&mut self, ask: bool) -> Result<semantics::Request<'_>, Invalid> {
        if !self.fixed {
            self.fill()?;
            self.turns.advance();
        }
        let mut head = &self.head;
        if ask {
            head = self.asking.insert(wire::asking_for_http2(&self.head, &self.told)?);
        }
        Ok(semantics::Request { head, body: semantics::Body::Whole(&self.filled_body) })
    }

    /// The head of the last request.
    #[cfg(feature = "http2")]
    pub(super) fn head(&self) -> &PreparedRequest {
        &self.head
    }

    fn fill(&mut self) -> Result<(), Invalid> {
        self.scratch.clear();
        self.target.fill(&mut self.turns.values, &mut self.scratch);
        let target = std::str::from_utf8(&self.scratch).map_err(|_| Invalid::Target)?;
        self.head.restart(&self.method, target, &self.authority)?;
        for (name, value) in &self.headers {
            self.scratch.clear();
            value.fill(&mut self.turns.values, &mut self.scratch);
            self.head.field(name, &self.scratch)?;
        }
        self.filled_body.clear();
        self.body.fill(&mut self.turns.values, &mut self.filled_body);
        Ok(())
    }
}
