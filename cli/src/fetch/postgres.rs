//! `aquests fetch postgres://…`: one statement with values, or any number without, in a session of its own, so that what
//! changes it (BEGIN, SET, LISTEN) means what it says. What is printed is in `results`.

use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aquests::postgres::{BoxedValue, Limits, LookUp, Postgres};
use aquests::{Outcome, Push, Request, Session};

use super::printer::{self, End};
use super::results::{Form, Results};
use super::{SILENCE, from_stdin, sql};
use crate::args::FetchArgs;
use crate::output::{Failure, Sink, note};
use crate::request::STDIN;
use crate::{database, signal};

/// A statement may take as long as it likes, and says nothing meanwhile.
const PATIENCE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Bytes of a row at most: no server sends longer messages, and libpq takes none. They are there because somebody asked for
/// them, and memory grows only with what comes.
const MESSAGE: u32 = 1 << 30;

/// Runs the command.
pub(super) fn run(args: &FetchArgs) -> Result<(), Failure> {
    // A body is what is copied.
    let of_http = args.of_http().find(|option| *option != "--body-file");
    let db = database::postgres(&args.url, &args.tls, of_http)?.limits(Limits::default().message(MESSAGE));
    let (text, values) = match args.more.split_first() {
        None if io::stdin().is_terminal() => {
            let words = "a statement is missing behind the URL: postgres://… \"SELECT 1\"";
            return Err(Failure::Usage(words.to_owned()));
        }
        None => (read()?, &[][..]),
        Some((word, [])) if word == STDIN => (read()?, &[][..]),
        Some((text, values)) => (text.clone(), values),
    };
    let listens = values.is_empty() && sql::listens(&text);
    if args.count.is_some() && !listens {
        return Err(Failure::Usage("--count is for what listens: LISTEN channel".to_owned()));
    }
    let copies_in = sql::copies_in(&text);
    let request = request(args, &db, &text, values)?;
    let mut client =
        super::client(args, &db.url(), args.timeout.map_or(PATIENCE, |timeout| timeout.saturating_add(SILENCE)))?;
    let human = args.output.is_none() && io::stdout().is_terminal();
    let form = if args.json {
        Form::Json
    } else if human {
        Form::Table
    } else {
        Form::Csv
    };
    let results = Arc::new(Mutex::new(Results::new(form, args.count, args.verbose)));
    let printer = || results.lock().unwrap_or_else(PoisonError::into_inner);
    let session = client.open(super::target(args, &db))?;
    listen(&session, &results);
    if args.verbose {
        let number = values.len();
        let with = if number == 0 { String::new() } else { format!(" with {number} values") };
        printer().say(&format!("> {}{with}", sql::shown(&text)));
    }
    printer().asked(text);
    let parts = Arc::clone(&results);
    let request = request.on_part(move |part| parts.lock().unwrap_or_else(PoisonError::into_inner).part(part));
    let interrupted = Arc::new(AtomicBool::new(false));
    let (flag, handle) = (Arc::clone(&interrupted), client.handle());
    signal::on_interrupt(move || {
        flag.store(true, Ordering::SeqCst);
        handle.wake();
    })?;
    let id = session.send(request).map_err(aquests::Error::from)?;
    // After everything that can be wrong with what was asked for: a file that is there is not cut for nothing.
    printer().print_to(Sink::open(args.output.as_deref())?);
    let (mut answered, mut listening, mut stopped) = (false, false, false);
    loop {
        client.turn(None)?;
        while let Some(outcome) = client.next_outcome() {
            answered = true;
            print(&mut printer(), args, outcome, stopped);
            listening = listens && !printer().failed && !stopped;
        }
        if !answered && !stopped && interrupted.load(Ordering::SeqCst) {
            stopped = true;
            // What copies waits for us, and nothing runs where nobody let us in yet: those are given up here.
            if copies_in || !client.interrupt(id) {
                client.cancel(id);
            }
        }
        // The callbacks lock it too: it is let go before anything is done.
        let (end, enough, lost) = {
            let mut printer = printer();
            (printer.end(), printer.left == Some(0), printer.lost.take().filter(|_| listening))
        };
        match end {
            None => {}
            Some(End::ReaderGone) => break,
            Some(End::Failed(failure)) => return Err(failure),
        }
        if let Some(words) = lost {
            printer().fail(&format!("aquests: {words}"));
            break;
        }
        if answered && (!listening || enough || interrupted.load(Ordering::SeqCst)) {
            break;
        }
    }
    let mut printer = printer();
    printer.flush();
    match printer.end() {
        Some(End::Failed(failure)) => Err(failure),
        _ if stopped => Err(Failure::Interrupted),
        _ if printer.failed => Err(Failure::Said),
        _ => Ok(()),
    }
}

/// The statements of standard input.
fn read() -> Result<String, Failure> {
    let mut text = String::new();
    match io::stdin().lock().read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::Run(format!("cannot read standard input: {error}"))),
    }
}

fn request(args: &FetchArgs, db: &Postgres, text: &str, values: &[String]) -> Result<Request, Failure> {
    let copies_in = sql::copies_in(text);
    let mut request = match &args.request.body_file {
        _ if copies_in && !values.is_empty() => {
            return Err(Failure::Usage(
                "COPY takes no values: what is copied is standard input, or a file (-D)".to_owned(),
            ));
        }
        Some(_) if !copies_in => {
            return Err(Failure::Usage("--body-file is for COPY … FROM STDIN".to_owned()));
        }
        Some(path) if path != Path::new(STDIN) => {
            std::fs::metadata(path)
                .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
            Request::from(db.copy_in(text)).body_file(path)
        }
        // What was read for the statement is gone.
        _ if copies_in && args.more.first().is_none_or(|word| word == STDIN) => {
            let words =
                "standard input has the statement, and cannot have what is copied, too: write it behind the URL";
            return Err(Failure::Usage(words.to_owned()));
        }
        _ if copies_in => {
            if io::stdin().is_terminal() {
                note("aquests: what is written now is copied; Ctrl-D ends it");
            }
            from_stdin(db.copy_in(text).into())
        }
        None if values.is_empty() => db.query(text).into(),
        _ => {
            let values: Vec<BoxedValue> =
                values.iter().map(|word| Box::new(database::value(word)) as BoxedValue).collect();
            // It is sent once, and values are shown as text: nobody has to know their types.
            db.execute(text, values).prepare(false).look_up(LookUp::Never).into()
        }
    };
    #[cfg(unix)]
    if let Some(path) = &args.request.unix_socket {
        request = request.unix_socket(path);
    }
    if let Some(timeout) = args.timeout {
        request = request.timeout(timeout);
    }
    Ok(request)
}

/// Prints what the server says without being asked.
fn listen(session: &Session, results: &Arc<Mutex<Results>>) {
    let results = Arc::clone(results);
    session.on_push(move |push| {
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = push.notification() {
            let text = |bytes| String::from_utf8_lossy(bytes);
            results.notified(told.process, &text(told.channel), &text(told.payload));
        } else if let Some(notice) = push.notice() {
            results.complain(&notice);
        } else if let Push::Lost(error) = push {
            results.lost = Some(error.to_string());
        }
    });
}

/// `stopped`: it was given up because somebody wanted it to end.
fn print(results: &mut Results, args: &FetchArgs, outcome: Outcome, stopped: bool) {
    match outcome.into_result() {
        Ok(response) => {
            if let Some(error) = response.results().and_then(aquests::postgres::Results::error) {
                results.error(error);
            }
            if args.verbose {
                results.say(&printer::times(response.received(), response.timings()));
            }
        }
        // Nobody reads it any more.
        Err(error) if error.kind() == aquests::ErrorKind::Cancelled && !stopped => {}
        Err(error) => results.fail(&format!("aquests: {error}")),
    }
}
