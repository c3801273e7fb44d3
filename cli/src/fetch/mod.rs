//! `aquests fetch`: many URLs at once, their answers printed in the order of the URLs; or the commands of a database (`redis`,
//! read by `script`, printed by `replies`; `postgres`, read by `sql`, printed by `results`). How a request travels lives in the library; here is only what is asked for, and
//! in `printer` what is printed where.

mod bar;
mod postgres;
mod printer;
mod redis;
mod replies;
mod results;
mod script;
mod sql;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aquests::http::Method;
use aquests::{Builder, Client, Form, Part, Request, Target, Url};

use crate::args::FetchArgs;
use crate::database::Database;
use crate::output::{Failure, Sink, note};
use crate::request::{Parts, STDIN};
use crate::units::Field;
use crate::{terminal, tls};
use bar::{Bar, FRAME};
use printer::{End, Printer};

/// Connections at once, and requests: those whose turn has not come wait on their connections, so that more of them could
/// have all, and leave none to the one whose turn it is.
const WORKERS: usize = 64;
/// How long a server may be silent; where there is a limit for all of it, that one comes first.
const SILENCE: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) fn run(args: &FetchArgs) -> Result<(), Failure> {
    match Database::of(&args.url) {
        Some(Database::Redis) => return redis::run(args),
        Some(Database::Postgres) => return postgres::run(args),
        None => {}
    }
    for (name, given) in [("--json", args.json), ("--count", args.count.is_some())] {
        if given {
            return Err(Failure::Usage(format!("{name} is for databases: redis://… GET key")));
        }
    }
    if args.request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let words =
            "the host header is what the URL names: ask for that, and lead it elsewhere with --connect-to HOST:PORT";
        return Err(Failure::Usage(words.to_owned()));
    }
    let urls: &Vec<&String> = &args.urls().collect();
    // What one request takes from standard input is gone for the next.
    let alone = urls.len() == 1;
    let from_stdin = args.request.body_file.as_deref() == Some(Path::new(STDIN));
    let mut parts = if from_stdin && !alone { Parts::read(&args.request)? } else { Parts::open(&args.request)? };
    if !args.form.is_empty() && args.request.method.is_none() {
        parts.method = "POST".to_owned();
    }
    let method = Method::from_bytes(parts.method.as_bytes())
        .map_err(|_| Failure::Usage(format!("'{}' is not a method", parts.method.escape_debug())))?;
    let mut builder = Client::builder();
    for url in urls {
        // What is wrong with it is said when it is sent.
        let Ok(url) = Url::parse(url) else { continue };
        if let Some((host, port)) = args.places.detour(url.host(), url.port()) {
            builder = builder.connect_to(url.host(), url.port(), &host, port);
        }
    }
    let mut client = resolving(builder, args)
        .workers(urls.len().min(WORKERS))
        .connect_timeout(args.connect_timeout)
        .tls(tls::settings(&args.tls, None)?)
        .timeout(args.timeout.unwrap_or_default().saturating_add(SILENCE))
        .build()?;
    let length = match (&parts.body, &parts.file) {
        (Some(body), _) => Some(body.len() as u64),
        (None, Some(path)) => path.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len()),
        (None, None) => None,
    };
    let say = |url: &str| if args.verbose { printer::sent(url, &method, &parts, length) } else { Vec::new() };
    let notes = urls.iter().map(|url| say(url)).collect();
    let printer = Arc::new(Mutex::new(Printer::new(args, notes)));
    let request = |place: usize| {
        let printer = Arc::clone(&printer);
        request(args, &method, &parts, urls[place]).on_chunk(move |head, bytes| {
            let mut printer = printer.lock().unwrap_or_else(PoisonError::into_inner);
            Ok::<_, aquests::Error>(printer.piece(place, head, bytes))
        })
    };
    // Only in this can a request be wrong and those before it good.
    for url in urls {
        Url::parse(url)?;
    }
    let mut ids = Vec::with_capacity(urls.len());
    for place in 0..urls.len().min(WORKERS) {
        ids.push(client.send(request(place)).map_err(aquests::Error::from)?);
    }
    let mut bar = (args.output.is_some() && !args.verbose && terminal::is_there()).then(|| Bar::new(urls.len()));
    let printer = || printer.lock().unwrap_or_else(PoisonError::into_inner);
    // After everything that can be wrong with what was asked for: a file that is there is not cut for nothing.
    printer().print_to(Sink::open(args.output.as_deref())?);
    while !client.is_idle() {
        client.turn(bar.is_some().then_some(FRAME))?;
        while let Some(outcome) = client.next_outcome() {
            if let Some(bar) = &mut bar {
                bar.ended(outcome.response().map_or(0, aquests::Response::received));
            }
            let place = (outcome.request_id().as_u64() - ids[0].as_u64()) as usize;
            printer().outcome(place, outcome);
        }
        // The callbacks of bodies lock it too: it is let go before anything is done.
        let (resume, end) = {
            let mut printer = printer();
            (printer.take_resumes(), printer.end())
        };
        for place in resume {
            client.resume(ids[place]);
        }
        match end {
            None => {}
            Some(End::ReaderGone) => return if printer().failed { Err(Failure::Said) } else { Ok(()) },
            Some(End::Failed(failure)) => return Err(failure),
        }
        if let Some(bar) = &mut bar {
            // Nothing is known of those that were not asked for yet.
            let unasked = (ids.len() < urls.len()).then_some((0, None));
            bar.draw(ids.iter().filter_map(|id| client.progress(*id)).chain(unasked));
        }
        let most = urls.len().min(printer().next() + WORKERS);
        while ids.len() < most {
            ids.push(client.send(request(ids.len())).map_err(aquests::Error::from)?);
        }
    }
    drop(bar);
    if printer().failed { Err(Failure::Said) } else { Ok(()) }
}

fn request(args: &FetchArgs, method: &Method, parts: &Parts, url: &str) -> Request {
    let mut request = Request::new(method.clone(), url).versions(args.request.versions());
    for (name, value) in &parts.headers {
        request = request.header(name.as_str(), value);
    }
    request = match (&parts.body, &parts.file) {
        _ if !args.form.is_empty() => request.multipart(form(&args.form)),
        (Some(body), _) => request.body(body.clone()),
        (None, Some(path)) if path == Path::new(STDIN) => from_stdin(request),
        (None, Some(path)) => request.body_file(path),
        (None, None) => request,
    };
    if args.expect_continue {
        request = request.expect_continue();
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

/// With what the options say of names.
fn resolving(mut builder: Builder, args: &FetchArgs) -> Builder {
    for known in &args.places.resolve {
        builder = builder.resolve(&known.host, known.port, known.addresses.iter().copied());
    }
    if let Some(servers) = &args.dns_servers {
        builder = builder.nameservers(servers.iter().copied());
    }
    builder
}

/// A client for one database, which may be silent for so long.
fn client(args: &FetchArgs, url: &Url, silence: Duration) -> Result<Client, Failure> {
    let mut builder = Client::builder();
    if let Some((host, port)) = args.places.detour(url.host(), url.port()) {
        builder = builder.connect_to(url.host(), url.port(), &host, port);
    }
    let builder = resolving(builder, args).workers(1).connect_timeout(args.connect_timeout);
    Ok(builder.tls(tls::settings(&args.tls, None)?).timeout(silence).build()?)
}

/// Where a session with a database leads.
fn target(args: &FetchArgs, db: impl Into<Target>) -> Target {
    let target = db.into();
    #[cfg(unix)]
    if let Some(path) = &args.request.unix_socket {
        return target.unix_socket(path);
    }
    target
}

fn form(fields: &[Field]) -> Form {
    fields.iter().cloned().fold(Form::new(), |form, field| match field {
        Field::Text { name, text } => form.text(name, text),
        Field::File { name, path, file_name, content_type } => {
            let mut part = Part::file(path);
            if let Some(file_name) = file_name {
                part = part.file_name(file_name);
            }
            if let Some(content_type) = content_type {
                part = part.content_type(content_type);
            }
            form.part(name, part)
        }
    })
}

/// A thread waits for standard input, so that the loop does not. It ends with the process at the latest.
fn from_stdin(request: Request) -> Request {
    let (request, mut writer) = request.body_writer(None);
    thread::spawn(move || match io::copy(&mut io::stdin().lock(), &mut writer) {
        Ok(_) => writer.finish(),
        // The request has its outcome, which is told.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => note(&format!("aquests: cannot read standard input: {error}")),
    });
    request
}
