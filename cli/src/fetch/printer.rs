//! What `aquests fetch` prints, and in which order: bodies as they come, but those of a URL only when all before it are
//! done. One whose turn has not come may be ahead by a little, then it is held. Knows no client.

use std::mem;

use aquests::http::{HeaderMap, Method};
use aquests::{Flow, Head, Outcome, Response, Timings, Url};

use crate::args::FetchArgs;
use crate::output::{Failure, Reader, Sink, note};
use crate::request::Parts;
use crate::words;

/// So much of a body waits for its turn before it is held.
const AHEAD: usize = 1 << 20;

/// Why printing ended early.
pub(super) enum End {
    ReaderGone,
    Failed(Failure),
}

/// Prints answers in the order of their URLs, whatever the order in which they come.
pub(super) struct Printer {
    include: bool,
    fail: bool,
    verbose: bool,
    sink: Sink,
    answers: Vec<Answer>,
    /// The place of the answer to be printed next.
    next: usize,
    /// Places of those that were held and whose turn has come.
    resume: Vec<usize>,
    end: Option<End>,
    pub(super) failed: bool,
}

/// What is there to print of one URL.
#[derive(Default)]
struct Answer {
    /// Its head was looked at.
    begun: bool,
    /// What is to be said on standard error before its body.
    notes: Vec<String>,
    /// What waits for its turn.
    ahead: Vec<u8>,
    held: bool,
    outcome: Option<Outcome>,
}

impl Printer {
    /// For so many URLs, in the order of these notes on what is sent.
    pub(super) fn new(args: &FetchArgs, sent: Vec<Vec<String>>) -> Self {
        let answers = sent.into_iter().map(|notes| Answer { notes, ..Answer::default() }).collect();
        Self {
            include: args.include,
            fail: args.fail,
            verbose: args.verbose,
            sink: Sink::Stdout,
            answers,
            next: 0,
            resume: Vec::new(),
            end: None,
            failed: false,
        }
    }

    /// Prints there.
    pub(super) fn print_to(&mut self, sink: Sink) {
        self.sink = sink;
    }

    /// Part of a body came.
    pub(super) fn piece(&mut self, place: usize, head: Head<'_>, bytes: &[u8]) -> Flow {
        if self.end.is_some() {
            return Flow::Cancel;
        }
        if !self.answers[place].begun {
            self.head(place, &Seen::of_head(head));
        }
        let bytes = if self.fail && head.status().as_u16() >= 400 { &[] } else { bytes };
        if place == self.next {
            self.print_ahead();
            self.write(bytes);
            return if self.end.is_some() { Flow::Cancel } else { Flow::Continue };
        }
        let answer = &mut self.answers[place];
        answer.ahead.extend_from_slice(bytes);
        answer.held = answer.ahead.len() >= AHEAD;
        if answer.held { Flow::Hold } else { Flow::Continue }
    }

    /// A request is done.
    pub(super) fn outcome(&mut self, place: usize, outcome: Outcome) {
        self.answers[place].outcome = Some(outcome);
        while self.end.is_none()
            && let Some(outcome) = self.answers.get_mut(self.next).and_then(|answer| answer.outcome.take())
        {
            self.finish(outcome);
            self.next += 1;
            if self.next < self.answers.len() {
                self.print_ahead();
                if mem::take(&mut self.answers[self.next].held) {
                    self.resume.push(self.next);
                }
            }
        }
    }

    /// The place of the one whose turn it is.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// The places of downloads that were held and may go on.
    pub(super) fn take_resumes(&mut self) -> Vec<usize> {
        mem::take(&mut self.resume)
    }

    /// Why nothing more can be printed, if that is so.
    pub(super) fn end(&mut self) -> Option<End> {
        self.end.take()
    }

    fn head(&mut self, place: usize, seen: &Seen) {
        let answer = &mut self.answers[place];
        answer.begun = true;
        if self.verbose {
            answer.notes.extend(seen.notes());
        }
        if self.include {
            answer.ahead.extend(seen.bytes());
        }
    }

    /// Prints what is there of the answer whose turn it is.
    fn print_ahead(&mut self) {
        let answer = &mut self.answers[self.next];
        for line in answer.notes.drain(..) {
            note(&line);
        }
        let ahead = mem::take(&mut answer.ahead);
        self.write(&ahead);
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.end.is_some() {
            return;
        }
        match self.sink.write(bytes) {
            Ok(Reader::There) => {}
            Ok(Reader::Gone) => self.end = Some(End::ReaderGone),
            Err(failure) => self.end = Some(End::Failed(failure)),
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        let response = match outcome.into_result() {
            Ok(response) => response,
            Err(error) => {
                self.print_ahead();
                self.failed = true;
                return note(&format!("aquests: {error}"));
            }
        };
        if !self.answers[self.next].begun {
            self.head(self.next, &Seen::of_response(&response));
        }
        self.print_ahead();
        if self.verbose {
            note(&times(response.received(), response.timings()));
        }
        if self.fail && response.status().as_u16() >= 400 {
            self.failed = true;
            note(&format!("aquests: {} answered {}", response.url(), Seen::of_response(&response).status()));
        }
    }
}

/// The head of an answer.
struct Seen {
    version: String,
    status: u16,
    reason: String,
    headers: HeaderMap,
}

impl Seen {
    fn of_head(head: Head<'_>) -> Self {
        Self {
            version: head.version().to_string(),
            status: head.status().as_u16(),
            reason: head.reason().into_owned(),
            headers: head.headers(),
        }
    }

    fn of_response(response: &Response) -> Self {
        Self {
            version: response.version().to_string(),
            status: response.status().as_u16(),
            reason: response.reason().into_owned(),
            headers: response.headers().clone(),
        }
    }

    fn status(&self) -> String {
        format!("{} {}", self.status, self.reason.escape_debug()).trim_end().to_owned()
    }

    /// As it stands in front of a body.
    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}", self.version, self.status, self.reason).trim_end().as_bytes().to_vec();
        head.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        let first = format!("< {} {}", self.version, self.status());
        let line = |(name, value): (_, &aquests::http::HeaderValue)| {
            format!("< {name}: {}", String::from_utf8_lossy(value.as_bytes()))
        };
        [first].into_iter().chain(self.headers.iter().map(line))
    }
}

/// What is said of a request before its answer.
pub(super) fn sent(url: &str, method: &Method, parts: &Parts, length: Option<u64>) -> Vec<String> {
    // Where it is none, that is said elsewhere.
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    // The version is known when the answer comes.
    let mut notes = vec![format!("> {method} {}", url.target())];
    if !parts.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        notes.push(format!("> host: {}", url.authority()));
    }
    notes.extend(parts.headers.iter().map(|(name, value)| format!("> {}: {value}", name.to_ascii_lowercase())));
    notes.extend(length.map(|length| format!("> content-length: {length}")));
    notes
}

pub(super) fn times(bytes: u64, timings: Timings) -> String {
    let body = timings.total.saturating_sub(timings.queued + timings.first_byte);
    // Names are asked for while a request waits for its connection.
    let wait = timings.queued.saturating_sub(timings.connect.unwrap_or_default());
    let connect =
        timings.connect.map_or("connection reused".to_owned(), |time| format!("connect {}", words::time(time)));
    format!(
        "* {bytes} bytes; wait {}, {connect}, first byte {}, body {}, total {}",
        words::time(wait),
        words::time(timings.first_byte),
        words::time(body),
        words::time(timings.total)
    )
}
