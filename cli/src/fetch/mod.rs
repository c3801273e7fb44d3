//! `aquests fetch`: all URLs at once, their answers printed in the order of the URLs. How a request travels lives in
//! the library; here is only what is printed where.

mod bar;

use std::collections::BTreeMap;
use std::time::Duration;

use aquests::http::Method;
use aquests::{Client, Outcome, Request, Response, Url};

use crate::args::FetchArgs;
use crate::output::{Failure, Reader, Sink, note};
use crate::request::Parts;
use crate::{terminal, tls, words};
use bar::{Bar, FRAME};

/// Connections at once.
const WORKERS: usize = 64;
/// How long a server may be silent; where there is a limit for all of it, that one comes first.
const SILENCE: Duration = Duration::from_secs(10);
/// As long as answers are kept whole, the memory of the machine is their limit.
const LARGEST: usize = usize::MAX / 2;

/// Runs the command.
pub(crate) fn run(args: &FetchArgs) -> Result<(), Failure> {
    let parts = Parts::read(&args.request)?;
    let method = Method::from_bytes(parts.method.as_bytes())
        .map_err(|_| Failure::Usage(format!("'{}' is not a method", parts.method.escape_debug())))?;
    let mut builder = Client::builder();
    for url in &args.urls {
        // What is wrong with it is said when it is sent.
        let Ok(url) = Url::parse(url) else { continue };
        if let Some((host, port)) = args.places.detour(url.host(), url.port()) {
            builder = builder.connect_to(url.host(), url.port(), &host, port);
        }
    }
    for known in &args.places.resolve {
        builder = builder.resolve(&known.host, known.port, known.addresses.iter().copied());
    }
    if let Some(servers) = &args.dns_servers {
        builder = builder.nameservers(servers.iter().copied());
    }
    let mut client = builder
        .workers(args.urls.len().min(WORKERS))
        .connect_timeout(args.connect_timeout)
        .tls(tls::settings(&args.tls, None)?)
        .timeout(args.timeout.unwrap_or_default().saturating_add(SILENCE))
        .reply_limit(LARGEST)
        .buffer_limit(LARGEST)
        .build()?;
    let mut ids = Vec::with_capacity(args.urls.len());
    for url in &args.urls {
        ids.push(client.send(request(args, &method, &parts, url)).map_err(aquests::Error::from)?);
    }
    let mut printer = Printer {
        args,
        parts: &parts,
        sink: Sink::open(args.output.as_deref())?,
        next: 0,
        early: BTreeMap::new(),
        failed: false,
    };
    let mut bar = (args.output.is_some() && !args.verbose && terminal::is_there()).then(|| Bar::new(ids.len()));
    while !client.is_idle() {
        client.turn(bar.is_some().then_some(FRAME))?;
        while let Some(outcome) = client.next_outcome() {
            if let Some(bar) = &mut bar {
                bar.ended(outcome.response().map_or(0, |response| response.content().len()));
            }
            let place = (outcome.request_id().as_u64() - ids[0].as_u64()) as usize;
            match printer.take(place, outcome) {
                Ok(()) => {}
                Err(End::ReaderGone) => return if printer.failed { Err(Failure::Said) } else { Ok(()) },
                Err(End::Failed(failure)) => return Err(failure),
            }
        }
        if let Some(bar) = &mut bar {
            bar.draw(ids.iter().filter_map(|id| client.progress(*id)));
        }
    }
    drop(bar);
    if printer.failed { Err(Failure::Said) } else { Ok(()) }
}

fn request(args: &FetchArgs, method: &Method, parts: &Parts, url: &str) -> Request {
    let mut request = Request::new(method.clone(), url).versions(args.request.versions());
    for (name, value) in &parts.headers {
        request = request.header(name.as_str(), value);
    }
    if let Some(body) = &parts.body {
        request = request.body(body.clone());
    }
    if let Some(timeout) = args.timeout {
        request = request.timeout(timeout);
    }
    #[cfg(unix)]
    if let Some(path) = &args.request.unix_socket {
        request = request.unix_socket(path);
    }
    request
}

/// Why printing ended early.
enum End {
    ReaderGone,
    Failed(Failure),
}

/// Prints answers in the order of their URLs, whatever the order in which they come.
struct Printer<'a> {
    args: &'a FetchArgs,
    parts: &'a Parts,
    sink: Sink,
    /// The place of the answer to be printed next.
    next: usize,
    /// Answers that came before it was their turn.
    early: BTreeMap<usize, Outcome>,
    failed: bool,
}

impl Printer<'_> {
    fn take(&mut self, place: usize, outcome: Outcome) -> Result<(), End> {
        self.early.insert(place, outcome);
        while let Some(outcome) = self.early.remove(&self.next) {
            let url = &self.args.urls[self.next];
            self.next += 1;
            match self.print(url, outcome) {
                Ok(Reader::There) => {}
                Ok(Reader::Gone) => return Err(End::ReaderGone),
                Err(failure) => return Err(End::Failed(failure)),
            }
        }
        Ok(())
    }

    fn print(&mut self, url: &str, outcome: Outcome) -> Result<Reader, Failure> {
        if self.args.verbose {
            say_sent(url, outcome.request_method(), self.parts);
        }
        let response = match outcome.into_result() {
            Ok(response) => response,
            Err(error) => {
                self.failed = true;
                note(&format!("aquests: {error}"));
                return Ok(Reader::There);
            }
        };
        if self.args.verbose {
            say_answered(&response);
        }
        if self.args.include && self.sink.write(&head(&response))? == Reader::Gone {
            return Ok(Reader::Gone);
        }
        if self.args.fail && response.status().as_u16() >= 400 {
            self.failed = true;
            note(&format!("aquests: {} answered {}", response.url(), status(&response)));
            return Ok(Reader::There);
        }
        self.sink.write(response.content())
    }
}

fn status(response: &Response) -> String {
    format!("{} {}", response.status().as_u16(), response.reason().escape_debug()).trim_end().to_owned()
}

/// The head as it stands in front of a body.
fn head(response: &Response) -> Vec<u8> {
    let mut head = format!("{} {} {}\r\n", response.version(), response.status().as_u16(), response.reason());
    head.truncate(head.trim_end().len());
    let mut head = head.into_bytes();
    head.extend_from_slice(b"\r\n");
    for (name, value) in response.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn say_sent(url: &str, method: &Method, parts: &Parts) {
    // It was sent, so it is one.
    if let Ok(url) = Url::parse(url) {
        note(&format!("> {method} {} HTTP/1.1", url.target()));
        let own_host = parts.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if !own_host {
            note(&format!("> host: {}", url.authority()));
        }
        for (name, value) in &parts.headers {
            note(&format!("> {}: {value}", name.to_ascii_lowercase()));
        }
        if let Some(body) = &parts.body {
            note(&format!("> content-length: {}", body.len()));
        }
    }
}

fn say_answered(response: &Response) {
    note(&format!("< {} {}", response.version(), status(response)));
    for (name, value) in response.headers() {
        note(&format!("< {name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    let timings = response.timings();
    let body = timings.total.saturating_sub(timings.queued + timings.first_byte);
    // Names are asked for while a request waits for its connection.
    let wait = timings.queued.saturating_sub(timings.connect.unwrap_or_default());
    let connect =
        timings.connect.map_or("connection reused".to_owned(), |time| format!("connect {}", words::time(time)));
    note(&format!(
        "* {} bytes; wait {}, {connect}, first byte {}, body {}, total {}",
        response.content().len(),
        words::time(wait),
        words::time(timings.first_byte),
        words::time(body),
        words::time(timings.total)
    ));
}
