//! `aquests fetch`: all URLs at once, their answers printed in the order of the URLs. How a request travels lives in
//! the library; here is only what is printed where.

use std::collections::BTreeMap;
use std::time::Duration;

use aquests::http::Method;
use aquests::{BoxError, Client, Outcome, Request, Response, Url};

use crate::args::FetchArgs;
use crate::output::{Failure, Reader, Sink, note};
use crate::request::Parts;

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
    let mut client = Client::builder()
        .workers(args.urls.len().min(WORKERS))
        .connect_timeout(args.connect_timeout)
        .timeout(args.timeout.unwrap_or_default().saturating_add(SILENCE))
        .reply_limit(LARGEST)
        .buffer_limit(LARGEST)
        .build()?;
    let mut first = None;
    for url in &args.urls {
        let id = client.send(request(args, &method, &parts, url)).map_err(aquests::Error::from)?;
        first.get_or_insert(id.as_u64());
    }
    let mut printer =
        Printer { args, sink: Sink::open(args.output.as_deref())?, next: 0, early: BTreeMap::new(), failed: false };
    let first = first.unwrap_or_default();
    let mut ended = None;
    let run = client.fetch_all_with(|_, outcome| {
        let place = (outcome.request_id().as_u64() - first) as usize;
        printer.take(place, outcome).map_err(|end| {
            ended = Some(end);
            BoxError::from("nobody reads on")
        })
    });
    match ended {
        Some(End::ReaderGone) => {}
        Some(End::Failed(failure)) => return Err(failure),
        None => drop(run?),
    }
    if printer.failed { Err(Failure::Said) } else { Ok(()) }
}

fn request(args: &FetchArgs, method: &Method, parts: &Parts, url: &str) -> Request {
    let mut request = Request::new(method.clone(), url);
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
            say_sent(url, outcome.request_method());
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

fn say_sent(url: &str, method: &Method) {
    // It was sent, so it is one.
    if let Ok(url) = Url::parse(url) {
        note(&format!("> {method} {} HTTP/1.1", url.target()));
        note(&format!("> host: {}", url.authority()));
    }
}

fn say_answered(response: &Response) {
    note(&format!("< {} {}", response.version(), status(response)));
    for (name, value) in response.headers() {
        note(&format!("< {name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    let timings = response.timings();
    let connect = timings.connect.map(|connect| format!("connect {}, ", millis(connect))).unwrap_or_default();
    note(&format!(
        "* {} bytes; {connect}first byte {}, total {}",
        response.content().len(),
        millis(timings.first_byte),
        millis(timings.total)
    ));
}

fn millis(duration: Duration) -> String {
    format!("{:.3} ms", duration.as_secs_f64() * 1e3)
}
